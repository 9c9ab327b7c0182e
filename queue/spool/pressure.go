package spool

import (
	"sync"
	"time"
)

// What back pressure asks of a store, and what it may have.

// Room returns how many segments new messages may still use, the one in use
// among them, and how many that could be at most. None means that new messages
// are refused.
func (s *Store) Room() (free, segments int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.reserve()
	segments = max(s.ringCount()-held, 2)
	if s.noSpace {
		return 0, segments
	}
	free = max(len(s.free)-held, 0)
	if s.active != nil {
		free++
	}
	return min(free, segments), segments
}

// Latency returns how long the latest write of the journal took until it was
// durable, or the one that is under way has taken so far if that is longer. What
// ended more than latencyMemory ago says nothing any more: a disk that was slow
// once must be given the next write to show what it is now.
func (s *Store) Latency() time.Duration { return s.latency.now(time.Now()) }

const latencyMemory = 10 * time.Second

// latency is how long the journal's writes take.
type latency struct {
	mu    sync.Mutex
	began time.Time // of the one under way; zero: none
	ended time.Time
	took  time.Duration
}

func (l *latency) begin(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began = at
}

func (l *latency) end(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took, l.ended, l.began = at.Sub(l.began), at, time.Time{}
}

func (l *latency) now(at time.Time) (d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended.IsZero() && at.Sub(l.ended) < latencyMemory {
		d = l.took
	}
	if !l.began.IsZero() {
		d = max(d, at.Sub(l.began))
	}
	return d
}

// Shed forgets what is kept in memory only to be quick. It is read again from
// the disk when it is asked for.
func (s *Store) Shed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.kept.list {
		s.takeKept(h)
	}
	s.kept.list = nil
	for h := s.cache.root.prev; h != &s.cache.root; {
		prev := h.prev
		if !h.queued && h.flying == 0 {
			s.cache.drop(h)
		}
		h = prev
	}
}
