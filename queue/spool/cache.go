package spool

import (
	"slices"
	"time"

	"postern/internal/message"
)

// cacheCost is how many recipients the cached messages have together.
const cacheCost = 16384

// cached is a decoded message. One with updates that are not durable is the
// only place where they are, and stays; others leave when room is needed.
type cached struct {
	id    message.ID
	env   *message.Envelope // nil when it has not been read
	state *message.State    // nil when it has not been read
	// body is the content while it is kept (keeper), since keptAt.
	body    []byte
	bodyCRC uint32
	keptAt  time.Time
	cost    int
	// dirty lists the state shards that have to be written, flying counts
	// those in a group on its way to the disk.
	dirty      []uint16
	queued     bool // is in the update queue
	flying     int
	prev, next *cached
}

// cache keeps decoded messages, the latest used first. The store's mutex
// guards it.
type cache struct {
	byID map[message.ID]*cached
	root cached // of the ring: root.next is the latest used
	cost int
}

func (c *cache) init() {
	c.byID = make(map[message.ID]*cached)
	c.root.prev, c.root.next = &c.root, &c.root
}

// get returns what is cached of a message, or nil.
func (c *cache) get(id message.ID) *cached {
	h := c.byID[id]
	if h != nil && c.root.next != h {
		h.unlink()
		h.link(&c.root)
	}
	return h
}

// put returns what is cached of a message, making a place if need be.
func (c *cache) put(id message.ID, rcpts uint32) *cached {
	if h := c.get(id); h != nil {
		return h
	}
	h := &cached{id: id, cost: 1 + int(rcpts)}
	c.byID[id] = h
	h.link(&c.root)
	c.cost += h.cost
	c.shrink()
	return h
}

// shrink drops what was used longest ago until the rest fits; the latest and
// what can't be dropped stays.
func (c *cache) shrink() {
	for h := c.root.prev; c.cost > cacheCost && h != &c.root && h != c.root.next; {
		prev := h.prev
		if !h.queued && h.flying == 0 {
			c.drop(h)
		}
		h = prev
	}
}

// drop forgets a message.
func (c *cache) drop(h *cached) {
	if c.byID[h.id] != h {
		return
	}
	delete(c.byID, h.id)
	h.unlink()
	c.cost -= h.cost
}

func (h *cached) unlink() { h.prev.next, h.next.prev = h.next, h.prev }

func (h *cached) link(at *cached) {
	h.prev, h.next = at, at.next
	h.prev.next, h.next.prev = h, h
}

// touch notes that a shard has to be written.
func (h *cached) touch(shard uint16) {
	if !slices.Contains(h.dirty, shard) {
		h.dirty = append(h.dirty, shard)
	}
}

// cloneState returns a copy that its owner may change.
func cloneState(s *message.State) *message.State {
	return &message.State{Recipients: slices.Clone(s.Recipients), Attempts: slices.Clone(s.Attempts), Standing: s.Standing, Done: s.Done}
}
