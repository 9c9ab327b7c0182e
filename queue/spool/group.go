package spool

import (
	"fmt"
	"time"

	"postern/internal/message"
)

// group is what one write and one sync make durable. The committer owns it.
type group struct {
	seg     *segment
	start   int64
	size    int64
	records []record
	seals   int    // the first so many records are seals
	seq     uint64 // updates up to here are durable with it; 0 when not all are in
	arena   []byte // the encoded states
	buf     []byte
}

// record is one record of a group.
type record struct {
	header
	off     int64
	meta    []byte // of a message; a state's is in the arena
	body    []byte
	arena   int
	request *request
	cached  *cached
}

func (g *group) reset() {
	clear(g.records)
	*g = group{records: g.records[:0], arena: g.arena[:0], buf: g.buf[:0]}
	if cap(g.buf) > 2*maxGroup {
		g.buf = nil
	}
}

func (g *group) empty() bool { return len(g.records) == 0 }

// add gives the record its place and its LSN.
func (g *group) add(s *Store, r record) {
	s.lsn++
	r.lsn = s.lsn
	r.off = g.start + g.size
	g.size += r.size()
	g.records = append(g.records, r)
}

// encode lays the records out.
func (g *group) encode() []byte {
	if int64(cap(g.buf)) < g.size {
		g.buf = make([]byte, g.size+g.size/4)
	}
	b := g.buf[:g.size]
	for i := range g.records {
		r := &g.records[i]
		p := b[r.off-g.start:][:r.size()]
		r.put(p, g.seg.stamp, r.off)
		meta := r.meta
		if meta == nil {
			meta = g.arena[r.arena:][:r.metaLen]
		}
		n := recordHeader + copy(p[recordHeader:], meta)
		n += copy(p[n:], r.body)
		clear(p[n:])
	}
	return b
}

// write makes a group durable and publishes it, or gives its segment up.
func (s *Store) write(g *group) error {
	b := g.encode()
	s.latency.begin(time.Now())
	_, err := g.seg.file.WriteAt(b, g.start)
	took := time.Duration(0)
	if err == nil {
		started := time.Now()
		err = g.seg.file.Sync()
		took = time.Since(started)
	}
	now := time.Now()
	s.latency.end(now)
	s.mu.Lock()
	if err != nil {
		s.giveUp(g, err)
		s.mu.Unlock()
		return err
	}
	s.o.SyncTimes.Observe(took)
	s.stats.syncs++
	s.stats.lastSync, s.stats.maxSync = took, max(s.stats.maxSync, took)
	s.answerRefused() // the seals in this group were for them
	s.publish(g, now)
	s.mu.Unlock()
	for i := range g.records {
		if r := g.records[i].request; r != nil {
			r.done <- nil
		}
	}
	return nil
}

// publish takes a durable group into the index.
func (s *Store) publish(g *group, now time.Time) {
	g.seg.end = g.start + g.size
	for i := range g.records {
		r := &g.records[i]
		id, at := message.ID(r.id), place{makeLoc(g.seg.epoch, r.off), uint32(r.size())}
		switch r.kind {
		case kindMessage:
			q := r.request
			s.cat.addMessage(id, at, q.fixed.size, q.fixed.rcpts, r.flags&flagBodyFile != 0)
			s.cat.addCopy(g.seg, id)
			h := s.cache.put(id, q.fixed.rcpts)
			h.env, h.state = q.env, message.NewState(len(q.env.Recipients))
			s.keep(h, q, now)
			s.stats.committed++
		case kindState:
			s.cat.setState(id, int(r.shard), at)
			r.cached.flying--
		case kindDone:
			s.publishDone(id, g.seg)
		case kindSeal:
			epoch, _ := r.sealed()
			if seg := s.cat.segs[epoch]; seg != nil {
				s.cat.setSeal(seg, at.loc)
			}
		}
	}
	if g.seals > 0 {
		s.seals = s.pendingSeals()
	}
	if g.seq > 0 {
		s.updates.reached(g.seq)
	}
	if s.cat.sunk || len(s.unlink) > 0 || s.noSpace {
		s.cat.sunk = false
		kick(s.kickRecycler)
	}
}

func (s *Store) publishDone(id message.ID, g *segment) {
	e, ok := s.cat.kill(id, g.epoch)
	if !ok {
		return
	}
	if h := s.cache.byID[id]; h != nil {
		s.cache.drop(h)
	}
	if e.flags&entryBodyFile != 0 {
		s.unlink = append(s.unlink, id)
	}
	s.stats.finished++
}

// pendingSeals drops from the list what has been written.
func (s *Store) pendingSeals() (left []uint32) {
	for _, epoch := range s.seals {
		if g := s.cat.segs[epoch]; g != nil && g.sealPending {
			left = append(left, epoch)
		}
	}
	return left
}

// giveUp ends a segment in which a write or sync failed. What it held stays,
// what the group would have added is void as soon as the seal is durable.
// Outcomes are queued again; messages are refused once that seal is.
func (s *Store) giveUp(g *group, err error) {
	s.failed("writing the journal", err)
	g.seg.failed = true
	if s.active == g.seg {
		s.retire()
	}
	for i := range g.records {
		r := &g.records[i]
		switch r.kind {
		case kindMessage:
			r.request.err = spaceError(fmt.Errorf("spool: writing the journal: %w", err))
			s.refused = append(s.refused, r.request)
		case kindState:
			h := r.cached
			h.flying--
			if s.cat.index[h.id].flags&entryDying != 0 || s.cache.byID[h.id] != h {
				continue
			}
			h.touch(r.shard)
			if !h.queued {
				h.queued = true
				s.updates.dirty = append(s.updates.dirty, h)
			}
		case kindDone:
			s.updates.done = append(s.updates.done, message.ID(r.id))
		}
	}
}
