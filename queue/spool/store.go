package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
)

// Store is a durable store of messages in one directory. Its methods are safe
// for concurrent use. Two goroutines work for it: the committer writes groups
// to the journal, the recycler makes room; Close waits for both.
type Store struct {
	fs     FS
	dir    string
	o      Options
	lock   io.Closer
	meta   metaFile
	bodies bodyDirs

	secret    uint64
	segSize   int64
	inline    int64 // the largest content kept in a segment
	maxRecord int64
	maxState  int
	memory    atomic.Int64 // octets held by drafts, and kept
	latency   latency
	buffers   bufferPool
	recovery  Recovery

	mu        sync.Mutex
	unpinned  sync.Cond // a segment has lost its last reader
	cat       catalog
	cache     cache
	kept      keeper
	requests  sync.Pool // of *request
	active    *segment
	free      []*segment // by epoch
	lsn       uint64
	opening   bool
	closed    bool
	queue     []*request // messages to be written
	updates   updateQueue
	seals     []uint32   // epochs of segments whose seal is to be written
	refused   []*request // failed messages whose segment is not sealed yet
	noSpace   bool       // intake is refused
	waitPass  uint64     // the attempt of the recycler that the queue waits for
	passBegun uint64     // attempts of the recycler
	passEnded uint64
	starving  bool     // outcomes wait for a segment
	gained    uint64   // counts what the recycler has made free
	waitGain  uint64   // gained when the wait for waitPass began
	closePass uint64   // attempts of the recycler when Close was called
	offered   *segment // what is left of a destination, for outcomes
	unlink    []message.ID
	stats     counters

	kickCommitter chan struct{}
	kickRecycler  chan struct{}
	settle        chan chan struct{}
	stopRecycler  chan struct{}
	committer     sync.WaitGroup
	recycler      sync.WaitGroup
	// Owned by the recycler.
	dest     *segment
	diskFull bool
	grown    int
}

// counters are what Stats reports and nothing else needs.
type counters struct {
	syncs                          uint64
	lastSync, maxSync              time.Duration
	committed, finished, relocated uint64
	failures                       uint64
	lastError                      string
	damaged                        int
}

// Entry is a stored message without its content.
type Entry struct {
	ID       message.ID
	Envelope *message.Envelope // shared, and never to be changed
	State    *message.State    // the caller's own
	// Size is the content's size in octets, trace fields included.
	Size int64
}

// Recovery returns what opening the store found.
func (s *Store) Recovery() Recovery { return s.recovery }

// Stats returns figures about the store at this moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Messages: len(s.cat.index), Bytes: s.cat.bytes,
		SegmentSize: s.segSize, Segments: len(s.cat.segs), FreeSegments: len(s.free), ReservedSegments: s.reserve(),
		NoSpace: s.noSpace, PendingUpdates: s.updates.len(), DraftBytes: s.memory.Load() - s.kept.octets,
		Syncs: s.stats.syncs, LastSync: s.stats.lastSync, MaxSync: s.stats.maxSync,
		Committed: s.stats.committed, Finished: s.stats.finished, Relocated: s.stats.relocated,
		Failures: s.stats.failures, LastError: s.stats.lastError, Damaged: s.stats.damaged,
	}
	var live, used int64
	for _, g := range s.cat.segs {
		live += g.live
		used += g.used()
		if !g.ring {
			st.ColdSegments++
		}
	}
	st.LiveRatio = 1
	if used > 0 {
		st.LiveRatio = float64(live) / float64(used)
	}
	return st
}

// reserve is how many free segments are held back for outcomes and
// compaction: one, and room for the first outcome of every recipient that has
// none; the end of the active segment holds the first part of that. Later
// outcomes take the place of earlier ones.
func (s *Store) reserve() int {
	use := (s.segSize - dataStart) * 7 / 8
	return 1 + int((s.cat.room+use*3/4)/use)
}

const (
	// outcomeRoom is the octets held back for the state of a recipient, and
	// again for each record of states.
	outcomeRoom = 128
	// leanText is how much is kept of a text when there is little room.
	leanText = 48
	// retryInterval is how often the recycler tries again when something is
	// missing.
	retryInterval = time.Second
	// maxGroup bounds the octets written in one go.
	maxGroup = 4 << 20
)

// Close refuses what is new, writes what has been handed in, and ends. It
// returns an error when updates could not be made durable; they are then
// lost, and the deliveries they were about will be repeated.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed, s.closePass = true, s.passBegun
	s.mu.Unlock()
	kick(s.kickCommitter)
	s.committer.Wait()
	close(s.stopRecycler)
	s.recycler.Wait()

	s.mu.Lock()
	pending := s.updates.len()
	s.mu.Unlock()
	var errs []error
	if pending > 0 {
		errs = append(errs, fmt.Errorf("spool: updates of %d messages could not be written and are lost: %s", pending, s.stats.lastError))
	}
	errs = append(errs, s.meta.close())
	for _, g := range s.cat.segs {
		errs = append(errs, g.file.Close())
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// Flush waits until all updates handed in so far are durable, or ctx ends.
func (s *Store) Flush(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	done := s.updates.flush()
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	kick(s.kickCommitter)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("spool: updates are not durable yet: %w", ctx.Err())
	}
}

// kick wakes a goroutine that may be waiting.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// failed notes a failed write or sync.
func (s *Store) failed(what string, err error) {
	s.stats.failures++
	s.stats.lastError = what + ": " + err.Error()
	s.o.Logger.Error("spool: "+what, eventid.SpoolFailed.Attr(), "what", what, "error", err)
}

// pin keeps a segment from being recycled while it is read.
func (s *Store) pin(epoch uint32) *segment {
	g := s.cat.segs[epoch]
	if g != nil {
		g.readers++
	}
	return g
}

func (s *Store) unpin(g *segment) {
	if g.readers--; g.readers == 0 {
		s.unpinned.Broadcast()
	}
}
