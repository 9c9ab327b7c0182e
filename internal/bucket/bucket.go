// Package bucket knows leaky buckets: how much has been poured in of late, by
// key. It serves everyone who counts events by source and forgets them with
// time: rates of messages and connections, refused recipients. What a bucket
// holds is a duration, the time that it takes to run empty, so that one instant
// is all that is kept of each.
package bucket

import (
	"sync"
	"time"
)

// sampled is how many buckets are looked at when one must make room.
const sampled = 16

// Table holds buckets by key, in a bounded number. When it is full, a bucket
// that is about as empty as any makes room for a new one. The zero value holds
// nothing; see New. All methods may be called concurrently.
type Table[K comparable] struct {
	size int

	mu    sync.Mutex
	empty map[K]time.Time // when the bucket will have run empty
}

// New returns a table of at most size buckets.
func New[K comparable](size int) *Table[K] {
	return &Table[K]{size: size, empty: make(map[K]time.Time)}
}

// Pour adds amount to the bucket of the key, unless it would then hold more
// than most: then nothing is poured and ok is false. It returns what the bucket
// holds.
func (t *Table[K]) Pour(key K, now time.Time, amount, most time.Duration) (level time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	empty, known := t.empty[key]
	level = max(empty.Sub(now), 0)
	if amount > most-level {
		return level, false
	}
	if !known {
		t.makeRoom(now)
	}
	if t.size > 0 {
		t.empty[key] = now.Add(level + amount)
	}
	return level + amount, true
}

// Level returns what the bucket of the key holds.
func (t *Table[K]) Level(key K, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.empty[key].Sub(now), 0)
}

// Len returns the number of buckets that are kept.
func (t *Table[K]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.empty)
}

// makeRoom drops empty buckets among a few, and when the table is full the one
// of them that holds least. The order of a map is random enough. It is called
// with the lock held.
func (t *Table[K]) makeRoom(now time.Time) {
	var least K
	var first time.Time
	n := 0
	for k, empty := range t.empty {
		switch {
		case !empty.After(now):
			delete(t.empty, k)
		case first.IsZero() || empty.Before(first):
			least, first = k, empty
		}
		if n++; n == sampled {
			break
		}
	}
	if len(t.empty) >= t.size {
		delete(t.empty, least)
	}
}
