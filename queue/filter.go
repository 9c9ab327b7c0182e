package queue

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// chooser is a Filter made ready for use.
type chooser struct {
	Filter
	from, to, domain *routing.Pattern
	subject          string // folded
	queue            *destination
}

func (q *Queue) chooser(f Filter) (*chooser, error) {
	c := &chooser{Filter: f, subject: strings.ToLower(f.Subject)}
	for _, p := range []struct {
		what, text string
		to         **routing.Pattern
	}{{"sender", f.From, &c.from}, {"recipient", f.To, &c.to}, {"domain", f.Domain, &c.domain}} {
		if p.text == "" {
			continue
		}
		pattern, err := routing.ParsePattern(p.text)
		if err == nil && p.what == "domain" && strings.ContainsAny(p.text, "@<>") {
			err = fmt.Errorf("%q is no domain; write a domain or \"*.domain\"", p.text)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the filter's %s: %w", ErrBadOrder, p.what, err)
		}
		*p.to = &pattern
	}
	switch f.Status {
	case "", StatusReady, StatusActive, StatusRetry, StatusSuspended, StatusPendingSuspend, StatusPendingRemove, StatusUnreachable, StatusPoison:
	default:
		return nil, fmt.Errorf("%w: there is no message status %q", ErrBadOrder, f.Status)
	}
	if f.Queue != "" {
		q.mu.Lock()
		defer q.mu.Unlock()
		if c.queue = q.named(f.Queue); c.queue == nil && !q.holds[f.Queue] {
			return nil, fmt.Errorf("%w: %q", ErrNoQueue, f.Queue)
		}
	}
	return c, nil
}

// candidates lists the ids of messages that may match, in order from after on,
// at most so many.
func (q *Queue) candidates(c *chooser, after message.ID, limit int) (ids []message.ID, more bool) {
	switch {
	case len(c.IDs) > 0:
		for _, id := range c.IDs {
			if id > after {
				ids = append(ids, id)
			}
		}
		return smallest(ids, limit)
	case c.Filter.Queue != "" && c.queue == nil:
		return nil, false // a suspended queue that does not exist just now
	}
	return q.waiting(c.queue, after, limit)
}

// admits reports whether the filter admits a message by what never changes.
func (c *chooser) admits(e *spool.Entry) bool {
	env := e.Envelope
	return (c.from == nil || c.from.Match(env.From)) &&
		(c.ArrivedBefore.IsZero() || env.Arrived.Before(c.ArrivedBefore)) &&
		e.Size > c.LargerThan &&
		(c.subject == "" || strings.Contains(strings.ToLower(env.Subject), c.subject)) &&
		(c.to == nil && c.domain == nil || slices.ContainsFunc(e.State.Pending(), func(i int) bool {
			a := env.Recipients[i].Address
			return (c.to == nil || c.to.Match(a)) && (c.domain == nil || c.domain.Match(a))
		}))
}

// matches reports whether the filter chooses a message that is here.
func (c *chooser) matches(e *spool.Entry, at *place) bool {
	return (len(at.queues) > 0 || len(e.State.Pending()) > 0) && (c.queue == nil || slices.Contains(at.queues, c.queue)) && c.admits(e) &&
		(c.Status == "" || c.Status == status(e.State, at))
}

// status is what is happening with a message.
func status(st *message.State, at *place) MessageStatus {
	switch s := &st.Standing; {
	case s.Removal != message.RemovalNone && len(st.Pending()) > 0:
		return StatusPendingRemove
	case s.Poison:
		return StatusPoison
	case s.Suspended && at.active:
		return StatusPendingSuspend
	case s.Suspended:
		return StatusSuspended
	case at.active:
		return StatusActive
	case at.unreachable:
		return StatusUnreachable
	}
	for i := range st.Recipients {
		if st.Recipients[i].Status == message.Deferred {
			return StatusRetry
		}
	}
	return StatusReady
}

// cloneState returns a copy that does not change with the original.
func cloneState(st *message.State) *message.State {
	c := *st
	c.Recipients, c.Attempts = slices.Clone(st.Recipients), slices.Clone(st.Attempts)
	return &c
}
