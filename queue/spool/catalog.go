package spool

import (
	"slices"

	"postern/internal/message"
)

// entry is what is known of a stored message without reading it.
type entry struct {
	msg      loc // of the message record
	state    loc // of the record of state shard 0; zero when there is none
	size     int64
	msgLen   uint32
	stateLen uint32
	rcpts    uint32
	copies   uint16 // message records of it that may be on disk
	flags    uint16
}

const (
	entryBodyFile = 1 << iota // the content is in a file of its own
	entryDying                // a done record is on its way to the disk
	entryShards               // there are states beyond shard 0
)

// place is a record's location with its length.
type place struct {
	loc loc
	len uint32
}

// corpse is a finished message of which message records may still be on disk.
type corpse struct {
	copies uint32
	epoch  uint32 // of the segment with the done record that counts
}

// catalog is the index of all that is stored: which records are live, and in
// which segments. It does no I/O. The store's mutex guards it.
type catalog struct {
	index map[message.ID]entry
	// shards holds the places of state shards 1 and up.
	shards map[message.ID][]place
	dead   map[message.ID]corpse
	segs   map[uint32]*segment
	bytes  int64
	// room is what the first states of all shards without one may take.
	room int64
	// sunk is set when a cold segment has become worth compacting.
	sunk bool
}

func newCatalog() catalog {
	return catalog{
		index:  make(map[message.ID]entry),
		shards: make(map[message.ID][]place),
		dead:   make(map[message.ID]corpse),
		segs:   make(map[uint32]*segment),
	}
}

// count adds to the live octets of a segment, which may be gone.
func (c *catalog) count(epoch uint32, n int64) {
	g := c.segs[epoch]
	if g == nil {
		return
	}
	g.live += n
	if n < 0 && !g.compactable && !g.ring && !g.dest && g.live < g.used()/2 {
		g.compactable, c.sunk = true, true
	}
}

// addCopy notes that a message record may from now on be in segment g.
func (c *catalog) addCopy(g *segment, id message.ID) {
	g.messages = append(g.messages, id)
	if e, ok := c.index[id]; ok {
		e.copies++
		c.index[id] = e
	} else if d, ok := c.dead[id]; ok {
		d.copies++
		c.dead[id] = d
	}
}

// dropCopies notes that the records of segment g are durably gone.
func (c *catalog) dropCopies(g *segment) {
	for _, id := range g.messages {
		if e, ok := c.index[id]; ok {
			e.copies--
			c.index[id] = e
		} else if d, ok := c.dead[id]; ok {
			if d.copies--; d.copies == 0 {
				delete(c.dead, id)
				c.count(d.epoch, -recordHeader)
			} else {
				c.dead[id] = d
			}
		}
	}
	g.messages = nil
}

// addMessage notes a message whose record is durable at at.
func (c *catalog) addMessage(id message.ID, at place, size int64, rcpts uint32, bodyFile bool) {
	e := entry{msg: at.loc, msgLen: at.len, size: size, rcpts: rcpts}
	if bodyFile {
		e.flags |= entryBodyFile
	}
	c.index[id] = e
	c.bytes += size
	for i := range shardCount(rcpts) {
		c.room += stateRoom(rcpts, i)
	}
	c.count(at.loc.epoch(), int64(at.len))
}

// stateRoom is what a lean state record of shard i may take.
func stateRoom(rcpts uint32, i int) int64 {
	n := min(max(int64(rcpts)-int64(i)*shardSize, 0), shardSize)
	return outcomeRoom + n*outcomeRoom
}

// statePlace returns where shard i of a message's state is.
func (c *catalog) statePlace(id message.ID, e *entry, i int) place {
	if i == 0 {
		return place{e.state, e.stateLen}
	}
	if e.flags&entryShards == 0 {
		return place{}
	}
	if l := c.shards[id]; i <= len(l) {
		return l[i-1]
	}
	return place{}
}

// setState notes where shard i of a message's state now is.
func (c *catalog) setState(id message.ID, i int, at place) {
	e, ok := c.index[id]
	if !ok || i >= shardCount(e.rcpts) {
		return
	}
	old := c.statePlace(id, &e, i)
	c.count(old.loc.epoch(), -int64(old.len))
	c.count(at.loc.epoch(), int64(at.len))
	if old.loc == 0 {
		c.room -= stateRoom(e.rcpts, i)
	}
	if at.loc == 0 {
		c.room += stateRoom(e.rcpts, i)
	}
	if i == 0 {
		e.state, e.stateLen = at.loc, at.len
	} else {
		l := c.shards[id]
		if l == nil {
			l = make([]place, shardCount(e.rcpts)-1)
			c.shards[id] = l
		}
		l[i-1] = at
		e.flags |= entryShards
	}
	c.index[id] = e
}

// states returns the places of all state shards of a message.
func (c *catalog) states(id message.ID, e *entry) []place {
	l := []place{{e.state, e.stateLen}}
	if e.flags&entryShards != 0 {
		l = append(l, c.shards[id]...)
	}
	return l
}

// kill notes that a done record in segment epoch is durable. The message
// leaves the index; the done record stays live while copies of the message
// are elsewhere. It returns the entry as it was.
func (c *catalog) kill(id message.ID, epoch uint32) (entry, bool) {
	e, ok := c.index[id]
	if !ok {
		return e, false
	}
	c.remove(id, &e)
	// A done record in the segment of the only copy goes when the copy goes.
	if e.copies > 1 || e.msg.epoch() != epoch {
		c.dead[id] = corpse{uint32(e.copies), epoch}
		c.count(epoch, recordHeader)
	}
	return e, true
}

// remove takes a message and its records out of the account.
func (c *catalog) remove(id message.ID, e *entry) {
	c.count(e.msg.epoch(), -int64(e.msgLen))
	for i := range shardCount(e.rcpts) {
		p := c.statePlace(id, e, i)
		c.count(p.loc.epoch(), -int64(p.len))
		if p.loc == 0 {
			c.room -= stateRoom(e.rcpts, i)
		}
	}
	delete(c.shards, id)
	c.bytes -= e.size
	delete(c.index, id)
}

// live reports whether the record at at must be kept when its segment is
// recycled. here is how many message records of the same message the segment
// holds: a done record is not needed for those.
func (c *catalog) live(h *header, at loc, here uint32) bool {
	id := message.ID(h.id)
	switch h.kind {
	case kindMessage:
		return c.index[id].msg == at
	case kindState:
		e, ok := c.index[id]
		return ok && c.statePlace(id, &e, int(h.shard)).loc == at
	case kindDone:
		d, ok := c.dead[id]
		return ok && d.epoch == at.epoch() && d.copies > here
	case kindSeal:
		epoch, _ := h.sealed()
		g := c.segs[epoch]
		return g != nil && g.seal == at
	}
	return false
}

// move points the index to a copy that is durable, if the original was still
// live until now.
func (c *catalog) move(h *header, from, to loc) {
	if !c.live(h, from, 0) {
		return
	}
	id, n := message.ID(h.id), h.size()
	switch h.kind {
	case kindMessage:
		e := c.index[id]
		e.msg = to
		c.index[id] = e
	case kindState:
		c.setState(id, int(h.shard), place{to, uint32(n)})
		return
	case kindDone:
		d := c.dead[id]
		d.epoch = to.epoch()
		c.dead[id] = d
	case kindSeal:
		epoch, _ := h.sealed()
		c.segs[epoch].seal = to
	}
	c.count(from.epoch(), -n)
	c.count(to.epoch(), n)
}

// forget takes a segment out that is durably gone, and its seal with it.
func (c *catalog) forget(g *segment) {
	c.dropCopies(g)
	delete(c.segs, g.epoch)
	if g.seal != 0 {
		c.count(g.seal.epoch(), -recordHeader)
	}
}

// setSeal notes that segment g is sealed by a record at at. A seal in the
// segment itself goes when the segment goes, and needs no care.
func (c *catalog) setSeal(g *segment, at loc) {
	if at.epoch() == g.epoch {
		g.sealPending = false
		return
	}
	if g.seal != 0 {
		c.count(g.seal.epoch(), -recordHeader)
	}
	g.seal, g.sealPending = at, false
	c.count(at.epoch(), recordHeader)
}

// stranded returns the ids of messages that have records in a segment, in
// order. It looks at every message, and is for damage only.
func (c *catalog) stranded(epoch uint32) (ids []message.ID) {
	for id, e := range c.index {
		in := e.msg.epoch() == epoch
		for _, p := range c.states(id, &e) {
			in = in || p.loc.epoch() == epoch
		}
		if in {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
