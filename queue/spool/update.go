package spool

import (
	"errors"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
)

// updateQueue holds what has been handed in and is not durable. The store's
// mutex guards it.
type updateQueue struct {
	done    []message.ID // messages to be finished
	dirty   []*cached    // messages with states to be written
	first   time.Time    // when the oldest of them was handed in
	seq     uint64       // counts what has been handed in
	durable uint64       // up to where it is durable
	waiters []flushWaiter
}

type flushWaiter struct {
	seq  uint64
	done chan error
}

func (q *updateQueue) len() int { return len(q.done) + len(q.dirty) }

// added notes that something was handed in.
func (q *updateQueue) added(now time.Time) {
	if q.first.IsZero() {
		q.first = now
	}
	q.seq++
}

// flush returns a channel that tells when all that has been handed in is
// durable; nil when it is already.
func (q *updateQueue) flush() chan error {
	if q.seq == q.durable {
		return nil
	}
	w := flushWaiter{q.seq, make(chan error, 1)}
	q.waiters = append(q.waiters, w)
	return w.done
}

// reached notes that everything up to seq is durable.
func (q *updateQueue) reached(seq uint64) {
	q.durable = max(q.durable, seq)
	for len(q.waiters) > 0 && q.waiters[0].seq <= q.durable {
		q.waiters[0].done <- nil
		q.waiters = q.waiters[1:]
	}
}

// abandon tells all who wait that nothing more will be written.
func (q *updateQueue) abandon() {
	for _, w := range q.waiters {
		w.done <- ErrClosed
	}
	q.waiters = nil
}

// Update adds an update to a message. It does not wait: the update is seen by
// Load at once and rides the next group, at most OutcomeDelay later; Flush
// waits for that. Update has no failures of the disk to report: what can't be
// written is kept and tried again. With u.Done the message is gone for Load,
// Content and Update. It returns ErrNotFound and ErrClosed.
func (s *Store) Update(id message.ID, u *message.Update) error {
	for {
		retry, err := s.tryUpdate(id, u)
		if err != nil || !retry {
			return err
		}
		// The state is neither in memory nor new: read it first.
		if err := s.fetch(id, false); err != nil {
			if !errors.Is(err, ErrDamaged) {
				return err
			}
			s.resetState(id)
		}
	}
}

// tryUpdate adds the update if the message's state is in memory.
func (s *Store) tryUpdate(id message.ID, u *message.Update) (retry bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, ErrClosed
	}
	e, ok := s.cat.index[id]
	if !ok || e.flags&entryDying != 0 {
		return false, ErrNotFound
	}
	if u.Done {
		e.flags |= entryDying
		s.cat.index[id] = e
		s.finish(id)
		return false, nil
	}
	h := s.cache.put(id, e.rcpts)
	if h.state == nil {
		if e.state != 0 || e.flags&entryShards != 0 {
			return true, nil
		}
		h.state = message.NewState(int(e.rcpts))
	}
	h.state.Apply(u)
	h.touchAll(u)
	if len(h.dirty) > 0 {
		if !h.queued {
			h.queued = true
			s.updates.dirty = append(s.updates.dirty, h)
		}
		s.updates.added(time.Now())
		kick(s.kickCommitter)
	}
	return false, nil
}

// finish queues a done record. States that were to be written need not be.
func (s *Store) finish(id message.ID) {
	if h := s.cache.byID[id]; h != nil {
		h.dirty = nil // it leaves the queue when the committer meets it
		if !h.queued && h.flying == 0 {
			s.cache.drop(h)
		}
	}
	s.updates.done = append(s.updates.done, id)
	s.updates.added(time.Now())
	kick(s.kickCommitter)
}

// touchAll notes the shards that an update changed.
func (h *cached) touchAll(u *message.Update) {
	mark := func(list []int) {
		for _, i := range list {
			if i >= 0 && i < len(h.state.Recipients) {
				h.touch(uint16(i / shardSize))
			}
		}
	}
	for i := range u.Outcomes {
		mark(u.Outcomes[i].Recipients)
	}
	mark(u.Notified)
	mark(u.DelayNotified)
	for i := range u.Fallbacks {
		mark(u.Fallbacks[i].Recipients)
	}
	if len(u.Attempts) > 0 || u.Standing != nil {
		h.touch(0)
	}
}

// resetState gives up a state that can't be read back. The update that is
// about to be added must not be lost with it.
func (s *Store) resetState(id message.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.cat.index[id]
	if !ok {
		return
	}
	h := s.cache.put(id, e.rcpts)
	if h.state == nil {
		h.state = message.NewState(int(e.rcpts))
		s.o.Logger.Error("spool: a message's state is damaged; its recipients count as pending", eventid.SpoolStateDamaged.Attr(), "id", id.String())
	}
}

// appendShard encodes one shard of a state. If it is larger than a record may
// be, texts are cut, never what happened. A lean one has short texts and no
// attempts from the start.
func appendShard(b []byte, st *message.State, shard, limit int, lean bool) []byte {
	sub := shardOf(st, shard)
	start := len(b)
	if lean {
		sub.Attempts = nil
		sub = clipState(sub, leanText)
	}
	b = message.AppendState(b, sub)
	for _, text := range []int{512, 128, 32, 0} {
		if len(b)-start <= limit {
			return b
		}
		sub = clipState(sub, text)
		b = message.AppendState(b[:start], sub)
	}
	sub.Attempts = nil
	return message.AppendState(b[:start], sub)
}

// clipState returns a copy with no text longer than n octets.
func clipState(st *message.State, n int) *message.State {
	c := cloneState(st)
	clip := func(s *string) {
		if len(*s) > n {
			*s = (*s)[:n]
		}
	}
	for i := range c.Recipients {
		clip(&c.Recipients[i].Reply.Text)
		clip(&c.Recipients[i].RemoteMTA)
		clip(&c.Recipients[i].NextHop)
	}
	for i := range c.Attempts {
		a := &c.Attempts[i]
		for _, t := range []*string{&a.Host, &a.Address, &a.Source, &a.TLS, &a.Session, &a.Reply.Text, &a.NextHop} {
			clip(t)
		}
	}
	return c
}
