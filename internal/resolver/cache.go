package resolver

import (
	"sync"
	"time"
)

// cache keeps answers for their time to live, at most max of them.
type cache struct {
	mu      sync.Mutex
	max     int
	entries map[question]cached
}

type cached struct {
	answer  answer
	expires time.Time
}

// evictionSample is how many entries are looked at to find one to give up
// when the cache is full.
const evictionSample = 16

func (c *cache) get(q question, now time.Time) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	if !ok || !now.Before(e.expires) {
		return answer{}, false
	}
	return e.answer, true
}

func (c *cache) put(q question, a answer, now time.Time) {
	if c.max <= 0 || a.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[question]cached)
	}
	if _, ok := c.entries[q]; !ok && len(c.entries) >= c.max {
		c.evict(now)
	}
	c.entries[q] = cached{answer: a, expires: now.Add(a.ttl)}
}

// evict removes the entry that expires first among a few; the order of a map
// is random enough to choose them.
func (c *cache) evict(now time.Time) {
	var victim question
	var first time.Time
	n := 0
	for q, e := range c.entries {
		if !now.Before(e.expires) {
			delete(c.entries, q)
			return
		}
		if n == 0 || e.expires.Before(first) {
			victim, first = q, e.expires
		}
		if n++; n == evictionSample {
			break
		}
	}
	delete(c.entries, victim)
}

func (c *cache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}
