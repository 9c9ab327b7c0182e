package queue

import (
	"context"
	"errors"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue/spool"
)

const (
	// maxExamined and maxExamining bound what one call of Messages or Carry
	// looks at.
	maxExamined  = 2000
	maxExamining = 200 * time.Millisecond
	defaultPage  = 100
)

// Messages lists messages that stand in some queue, in the order of their ids,
// from after on. One call looks at a few thousand messages at most and takes a
// fraction of a second, so a page may have fewer than limit messages, even none,
// and not be the last: that is the one whose Next is zero. No delivery stands
// still meanwhile. Messages that move between queues while the page is made may
// be left out.
//
// The error is ErrBadOrder when the filter can't be understood, ErrNoQueue when
// it names a queue that does not exist, or ctx's. A limit of zero means 100.
func (q *Queue) Messages(ctx context.Context, f Filter, after message.ID, limit int) (Page, error) {
	if limit <= 0 {
		limit = defaultPage
	}
	c, err := q.chooser(f)
	if err != nil {
		return Page{}, err
	}
	q.mu.Lock()
	s := q.schedule
	q.mu.Unlock()
	page := Page{}
	page.Next, page.Examined, err = q.examine(ctx, c, after, func(e *spool.Entry, at *place) bool {
		page.Messages = append(page.Messages, q.summarise(e, at, &s))
		return len(page.Messages) < limit
	})
	return page, err
}

// examine calls fn for messages that a filter chooses until fn returns false,
// or enough has been looked at. It returns the id after which to go on, zero
// when nothing is left.
func (q *Queue) examine(ctx context.Context, c *chooser, after message.ID, fn func(*spool.Entry, *place) bool) (next message.ID, examined int, err error) {
	began := time.Now()
	ids, more := q.candidates(c, after, maxExamined)
	places := q.locate(ids)
	for n, id := range ids {
		if err := ctx.Err(); err != nil {
			return id - 1, examined, err
		}
		examined++
		goOn := true
		at := places[id]
		if at == nil && len(c.IDs) > 0 {
			// A clerk has taken it out of its queue and not in hand yet.
			at = &place{active: true, next: never}
		}
		if at != nil {
			e, err := q.look(id)
			switch {
			case errors.Is(err, spool.ErrNotFound):
			case err != nil:
				q.counters.loadFailures.Add(1)
				q.log.Error("a queued message can't be read and is left out of a list", eventid.MessageUnlisted.Attr(), "id", id, "error", err)
			case c.matches(&e, at):
				goOn = fn(&e, at)
			}
		}
		last := n == len(ids)-1
		if last && !more {
			break
		}
		if last || !goOn || time.Since(began) > maxExamining {
			return id, examined, nil
		}
	}
	return 0, examined, nil
}

// look returns what is known of a message, the state a copy.
func (q *Queue) look(id message.ID) (spool.Entry, error) {
	q.mu.Lock()
	f := q.flights[id]
	q.mu.Unlock()
	if f == nil {
		return q.store.Load(id) // which has all that is not in a flight
	}
	f, err := q.acquire(id)
	if err != nil {
		return spool.Entry{}, err
	}
	defer q.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	return spool.Entry{ID: id, Envelope: f.envelope, State: cloneState(f.state), Size: f.size}, nil
}

// summarise describes a message for a list.
func (q *Queue) summarise(e *spool.Entry, at *place, s *schedule) MessageSummary {
	env, st := e.Envelope, e.State
	m := MessageSummary{
		ID: e.ID, Status: status(st, at), From: env.From, Size: e.Size, Arrived: env.Arrived,
		Subject: env.Subject, MessageID: env.MessageID, Source: source(env), Standing: st.Standing,
	}
	m.NextTry, m.Expires = q.times(at, st, s)
	for _, d := range at.queues {
		m.Queues = append(m.Queues, d.title())
	}
	var latest time.Time
	for i := range st.Recipients {
		r := &st.Recipients[i]
		if r.Status.Final() {
			continue
		}
		if m.Recipients++; m.Recipients == 1 {
			m.FirstRecipient = env.Recipients[i].Address
		}
		m.Tries = max(m.Tries, r.Tries)
		if r.Reply.Code != 0 && !r.At.Before(latest) {
			m.LastError, latest = r.Reply, r.At
		}
	}
	return m
}

// times are when a message is tried next and when it is given up, zero where
// that is not for the clock to decide: while all its queues are suspended there
// is neither, and none expires before the last try that it is granted.
func (q *Queue) times(at *place, st *message.State, s *schedule) (next, expires time.Time) {
	if st.Standing.Suspended || st.Standing.Poison || len(st.Pending()) == 0 {
		return next, expires
	}
	if at.next != never {
		next = q.wallTime(at.next)
	}
	if at.expiring {
		expires = q.wallTime(at.arrived + int64(s.expiration))
	}
	return next, expires
}

// source says how a message came: by way of a Receive connector, as a
// notification of ours, or by what Origin.Protocol names.
func source(e *message.Envelope) string {
	switch {
	case e.Origin.Internal:
		return "DSN"
	case e.Origin.Connector == "" && e.Origin.Protocol != "":
		return e.Origin.Protocol
	}
	return "SMTP:" + e.Origin.Connector
}

// Content opens a message's content, for export. It is closed after use. The
// error is spool.ErrNotFound when there is no such message.
func (q *Queue) Content(id message.ID) (message.Content, error) { return q.store.Content(id) }
