package spool

import (
	"log/slog"
	"time"

	"postern/internal/message"
	"postern/internal/metrics"
)

// Options are the settings of a Store. The zero value works.
type Options struct {
	// FS is the file system; nil means the operating system's.
	FS FS
	// SegmentSize is the size of a journal segment in octets, 16 MB by
	// default. It is scaled down so that Segments of them take at most 20 %
	// of the volume.
	SegmentSize int64
	// Segments is how many segments an empty spool has, 4 by default and at
	// least 3; MaxSegments is how many it may grow to under load while the
	// volume has plenty of room, 16 by default.
	Segments    int
	MaxSegments int
	// InlineSize is the largest content in octets that is kept inside a
	// segment, 256 KB by default and at most an eighth of a segment; larger
	// content has a file of its own.
	InlineSize int64
	// BodyBudget is how much content may be held in memory at a time by all
	// drafts together, 64 MB by default, what was stored just now included.
	// Content beyond it goes to files.
	BodyBudget int64
	// OutcomeDelay is how long updates wait for company, 5 ms by default.
	OutcomeDelay time.Duration
	// Ask are ids that earlier drafts had. Recovery.Stored says which of them were
	// committed, ended since or not.
	Ask []message.ID
	// SyncTimes observes how long each sync of the journal takes; nil for none.
	SyncTimes *metrics.Histogram
	// Logger takes reports of damage and trouble; nil discards them.
	Logger *slog.Logger
}

// The defaults of Options.
const (
	// Four segments and the small files beside them stay under 64 MB.
	defaultSegmentSize  = 16<<20 - 16<<10
	defaultSegments     = 4
	defaultMaxSegments  = 16
	defaultInlineSize   = 256 << 10
	defaultBodyBudget   = 64 << 20
	defaultOutcomeDelay = 5 * time.Millisecond
	minSegments         = 3
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = OS()
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = defaultSegmentSize
	}
	if o.Segments <= 0 {
		o.Segments = defaultSegments
	}
	o.Segments = max(o.Segments, minSegments)
	if o.MaxSegments <= 0 {
		o.MaxSegments = defaultMaxSegments
	}
	o.MaxSegments = max(o.MaxSegments, o.Segments)
	if o.InlineSize <= 0 {
		o.InlineSize = defaultInlineSize
	}
	if o.BodyBudget <= 0 {
		o.BodyBudget = defaultBodyBudget
	}
	if o.OutcomeDelay <= 0 {
		o.OutcomeDelay = defaultOutcomeDelay
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
