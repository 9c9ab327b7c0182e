package spool

import (
	"fmt"
	"runtime"
	"time"

	"postern/internal/message"
)

// request is a message on its way through the committer.
type request struct {
	header
	id    message.ID
	env   *message.Envelope
	meta  []byte
	body  []byte
	fixed messageMeta
	done  chan error
	kept  bool  // the content has become the store's
	err   error // why a failed message was refused
	// unsealed says that the message failed and that its record may be found
	// by a recovery all the same.
	unsealed bool
}

// maxMetaKept is the largest buffer for an envelope, in octets, that is used
// again.
const maxMetaKept = 4 << 10

func newRequest(d *Draft, e *message.Envelope) *request {
	r, ok := d.s.requests.Get().(*request)
	if !ok {
		r = &request{meta: make([]byte, 0, 512), done: make(chan error, 1)}
	}
	*r = request{id: d.id, env: e, meta: r.meta[:0], done: r.done}
	r.fixed = messageMeta{size: d.size, crc: d.crc, rcpts: uint32(len(e.Recipients))}
	r.meta = message.AppendEnvelope(r.fixed.append(r.meta), e)
	r.header = header{kind: kindMessage, id: uint64(d.id), metaLen: uint32(len(r.meta)), metaCRC: checksum(r.meta)}
	if d.file != nil {
		r.flags = flagBodyFile
	} else {
		r.body = d.buf
		r.bodyLen, r.bodyCRC = uint32(len(d.buf)), d.crc
	}
	return r
}

// forget takes back a request that was answered: the committer has no more use
// for it then.
func (s *Store) forget(r *request) {
	if cap(r.meta) <= maxMetaKept {
		r.env, r.body = nil, nil
		s.requests.Put(r)
	}
}

// submit hands a message to the committer and waits for the result.
func (s *Store) submit(r *request) error {
	if n := r.size(); n > s.maxRecord {
		return fmt.Errorf("%w: %d octets of record, at most %d", ErrTooLarge, n, s.maxRecord)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.queue = append(s.queue, r)
	s.mu.Unlock()
	kick(s.kickCommitter)
	return <-r.done
}

// commitLoop is the committer: it writes one group after the other, each with
// one write and one sync, as long as there is anything to write.
func (s *Store) commitLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var g group
	inARow := 0 // failed groups
	for {
		// Those who have just been answered may have the next message ready.
		runtime.Gosched()
		s.mu.Lock()
		g.reset()
		wait := s.collect(&g)
		idle := len(s.queue) == 0 && s.updates.len() == 0
		stop := s.closed && g.empty() && (idle || wait < 0)
		s.mu.Unlock()
		switch {
		case stop:
			s.end()
			return
		case g.empty():
			if wait > 0 {
				timer.Reset(wait)
			}
			select {
			case <-s.kickCommitter:
			case <-timer.C:
			}
		case s.write(&g) == nil:
			inARow = 0
		default:
			if inARow++; inARow < maxFailures {
				continue
			}
			// The disk is in trouble: burn no more segments for a while.
			if s.pause(); s.isClosed() {
				s.end()
				return
			}
			timer.Reset(retryInterval)
			<-timer.C
		}
	}
}

// maxFailures is after how many failed groups in a row the committer pauses.
const maxFailures = 3

// pause answers everybody who waits after a row of failed groups.
func (s *Store) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuseSealless()
	s.refuseQueue(fmt.Errorf("spool: the disk fails: %s", s.stats.lastError))
}

// end answers everybody who waits when the committer ends, and seals the
// active segment within itself: after an orderly end nothing in it can be
// taken for a torn tail.
func (s *Store) end() {
	s.mu.Lock()
	s.refuseSealless()
	s.refuseQueue(ErrClosed)
	s.updates.abandon()
	a := s.active
	s.mu.Unlock()
	if a == nil || a.used() == 0 || a.size-a.end < recordHeader {
		return
	}
	b := make([]byte, recordHeader)
	h := header{kind: kindSeal, lsn: s.lsn + 1, id: sealID(a.epoch, a.end+recordHeader)}
	h.put(b, a.stamp, a.end)
	_, err := a.file.WriteAt(b, a.end)
	if err == nil {
		err = a.file.Sync()
	}
	if err != nil {
		s.mu.Lock()
		s.failed("sealing the last segment", err)
		s.mu.Unlock()
	}
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// collect puts together the next group. When there is none it returns how long
// updates may still wait for company; zero means until something happens,
// less than zero that waiting is no use.
func (s *Store) collect(g *group) (wait time.Duration) {
	due, wait := s.updatesDue()
	if len(s.refused) > 0 {
		if s.seals = s.pendingSeals(); len(s.seals) == 0 {
			s.answerRefused() // the failed segment has been removed meanwhile
		}
	}
	if len(s.queue) == 0 && !due && len(s.refused) == 0 {
		return wait
	}
	for {
		s.fill(g)
		if !g.empty() {
			s.waitPass = 0
			return 0
		}
		if !s.change(false) {
			break
		}
	}
	// There is no room.
	if len(s.refused) > 0 {
		s.refuseSealless()
	}
	s.starving = s.updates.len() > 0 && due
	if len(s.queue) == 0 && !s.starving {
		return wait
	}
	switch {
	case s.noSpace && !s.starving:
		s.refuseQueue(ErrNoSpace)
	case s.waitPass == 0:
		s.awaitPass()
	case s.passEnded >= s.waitPass:
		began := s.waitPass
		s.waitPass = 0
		s.noSpace = true
		s.refuseQueue(ErrNoSpace)
		switch {
		case s.starving && s.gained != s.waitGain:
			s.awaitPass() // what has been freed may be what the next attempt needs
		case s.starving && s.change(true):
			if s.fill(g); g.empty() && s.closed {
				return -1
			}
		case s.closed && began <= s.closePass:
			s.awaitPass() // there may have come room since that one began
		case s.closed:
			return -1
		}
	}
	return 0
}

// awaitPass has the queue wait for an attempt of the recycler that begins after
// now.
func (s *Store) awaitPass() {
	s.waitPass, s.waitGain = s.passBegun+1, s.gained
	kick(s.kickRecycler)
}

// updatesDue reports whether updates have waited long enough for company, or
// how much longer they may.
func (s *Store) updatesDue() (due bool, wait time.Duration) {
	if s.updates.len() == 0 {
		return false, 0
	}
	if s.closed || len(s.updates.waiters) > 0 {
		return true, 0
	}
	wait = s.o.OutcomeDelay - time.Since(s.updates.first)
	return wait <= 0, max(wait, 0)
}

// change makes the next free segment the active one, if what waits may have
// it. The old one is sealed by the first record in the new one. The last free
// segment is what evacuation needs to gain anything: outcomes first take what
// that has left over, and the segment itself only when nothing is to be gained.
func (s *Store) change(last bool) bool {
	outcomes := s.updates.len() > 0 || len(s.refused) > 0
	if s.active != nil && s.active.used() == 0 {
		return false // it is as empty as the next one would be
	}
	if d := s.offered; d != nil && outcomes && len(s.free) <= 1 {
		s.retire()
		s.offered, s.active = nil, d
		d.dest, d.index = false, nil
		return true
	}
	if len(s.free) == 0 || (!outcomes && len(s.free) <= s.reserve()) || (len(s.free) == 1 && !last && len(s.refused) == 0) {
		return false
	}
	s.retire()
	s.active = s.free[0]
	s.free = s.free[1:]
	kick(s.kickRecycler)
	return true
}

// retire ends the active segment.
func (s *Store) retire() {
	if s.active == nil {
		return
	}
	s.active.sealPending = true
	s.seals = append(s.seals, s.active.epoch)
	s.active = nil
}

// fill takes what fits into the active segment: seals, outcomes, messages.
func (s *Store) fill(g *group) {
	if s.active == nil {
		return
	}
	g.seg, g.start = s.active, s.active.end
	room := s.active.size - s.active.end
	if len(s.queue) == 0 && s.updates.len() == 0 && len(s.refused) == 0 {
		return
	}
	s.fillSeals(g, room)
	if !s.fillDone(g, room) || !s.fillStates(g, room) {
		return
	}
	g.seq = s.updates.seq // all outcomes are in
	s.updates.first = time.Time{}
	switch spare := len(s.free) - s.reserve(); {
	case spare < 0:
		room = 0 // the active segment is part of the reserve
	case spare == 0:
		room -= s.segSize / 8
	}
	for len(s.queue) > 0 && g.size < maxGroup {
		r := s.queue[0]
		if g.size+r.size() > room {
			break
		}
		g.add(s, record{header: r.header, meta: r.meta, body: r.body, request: r})
		s.queue = s.queue[1:]
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
	// Seals alone are no reason to write, unless somebody waits for them.
	if len(g.records) == g.seals && len(s.refused) == 0 {
		g.reset()
	}
}

func (s *Store) fillSeals(g *group, room int64) {
	for _, epoch := range s.seals {
		seg := s.cat.segs[epoch]
		if seg == nil || !seg.sealPending || g.size+recordHeader > room {
			continue
		}
		g.add(s, record{header: header{kind: kindSeal, id: sealID(epoch, seg.end)}})
		g.seals++
	}
}

// fillDone adds done records; false when not all fit.
func (s *Store) fillDone(g *group, room int64) bool {
	n := 0
	for _, id := range s.updates.done {
		if g.size+recordHeader > room || g.size >= maxGroup {
			break
		}
		g.add(s, record{header: header{kind: kindDone, id: uint64(id)}})
		n++
	}
	s.updates.done = s.updates.done[n:]
	if len(s.updates.done) > 0 {
		return false
	}
	s.updates.done = nil
	return true
}

// fillStates adds the states that have changed; false when not all fit.
func (s *Store) fillStates(g *group, room int64) bool {
	lean := len(s.free) < s.reserve() || s.noSpace && len(s.free) == s.reserve() // the reserve is in use
	for i, h := range s.updates.dirty {
		for len(h.dirty) > 0 {
			shard := h.dirty[len(h.dirty)-1]
			at := len(g.arena)
			g.arena = appendShard(g.arena, h.state, int(shard), s.maxState, lean)
			n := len(g.arena) - at
			hd := header{kind: kindState, id: uint64(h.id), shard: shard, metaLen: uint32(n), metaCRC: checksum(g.arena[at:])}
			if g.size+hd.size() > room || g.size >= maxGroup {
				g.arena = g.arena[:at]
				s.updates.dirty = s.updates.dirty[i:]
				return false
			}
			g.add(s, record{header: hd, arena: at, cached: h})
			h.flying++
			h.dirty = h.dirty[:len(h.dirty)-1]
		}
		h.queued = false
	}
	s.updates.dirty = nil
	return true
}

// refuseQueue answers the messages that wait for room.
func (s *Store) refuseQueue(err error) {
	for _, r := range s.queue {
		r.done <- err
	}
	s.queue = nil
}

// answerRefused answers failed messages.
func (s *Store) answerRefused() {
	for _, r := range s.refused {
		r.done <- r.err
	}
	s.refused = nil
}

// refuseSealless answers failed messages whose segment can't be sealed.
func (s *Store) refuseSealless() {
	for _, r := range s.refused {
		r.unsealed = true
	}
	s.answerRefused()
}
