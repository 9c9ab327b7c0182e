package spool

import (
	"time"

	"postern/internal/message"
)

// Stats describes a store at one moment. Sizes are in octets.
type Stats struct {
	// Messages is how many messages are stored, Bytes their content.
	Messages int   `json:"messages"`
	Bytes    int64 `json:"bytes"`
	// SegmentSize is the size of a segment; Segments counts all of them,
	// FreeSegments those ready for use, ReservedSegments how many of the free
	// ones are held back for outcomes and compaction, ColdSegments those that
	// hold what was copied out of the journal.
	SegmentSize      int64 `json:"segment_size"`
	Segments         int   `json:"segments"`
	FreeSegments     int   `json:"free_segments"`
	ReservedSegments int   `json:"reserved_segments"`
	ColdSegments     int   `json:"cold_segments"`
	// LiveRatio is the part of all used segment space that is still needed.
	LiveRatio float64 `json:"live_ratio"`
	// NoSpace says that new messages are refused.
	NoSpace bool `json:"no_space"`
	// PendingUpdates counts messages with updates not yet durable.
	PendingUpdates int `json:"pending_updates"`
	// DraftBytes is the content held in memory by drafts.
	DraftBytes int64 `json:"draft_bytes"`
	// Syncs counts the journal's syncs; LastSync and MaxSync are how long the
	// last and the longest took.
	Syncs    uint64        `json:"syncs"`
	LastSync time.Duration `json:"last_sync"`
	MaxSync  time.Duration `json:"max_sync"`
	// Committed and Finished count messages since the store was opened,
	// Relocated the records that were copied to cold segments.
	Committed uint64 `json:"committed"`
	Finished  uint64 `json:"finished"`
	Relocated uint64 `json:"relocated"`
	// Failures counts failed writes and syncs, LastError the latest of them.
	Failures  uint64 `json:"failures"`
	LastError string `json:"last_error,omitempty"`
	// Damaged counts stretches that could not be read back, at start or since.
	Damaged int `json:"damaged"`
}

// Recovery is what opening a store found.
type Recovery struct {
	Messages int           `json:"messages"`
	Bytes    int64         `json:"bytes"`
	Took     time.Duration `json:"took"`
	// Damage lists what could not be read back and was put aside.
	Damage []Damage `json:"damage,omitempty"`
	// Orphans counts body files without message that were removed.
	Orphans int `json:"orphans"`
	// Stored are those of Options.Ask that were committed. Of a message that
	// ended long before the start the journal may know nothing any more; of those
	// that were in hand when the process ended it does.
	Stored []message.ID `json:"stored,omitempty"`
}
