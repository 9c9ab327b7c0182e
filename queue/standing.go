package queue

import (
	"postern/internal/message"
)

// replyRemoved is what a sender is told of recipients that an administrator
// removed.
var replyRemoved = message.Reply{Code: 550, Enhanced: [3]int{5, 3, 0}, Text: "QUEUE.Removed; the administrator deleted the message"}

// ordered reports whether something was ordered about the message that keeps it
// from being delivered. Called with f.mu held.
func (f *flight) ordered() bool {
	s := &f.state.Standing
	return s.Suspended || s.Poison || s.Removal != message.RemovalNone
}

// standing is what has been ordered about the message.
func (f *flight) standing() message.Standing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Standing
}

// obey does with the item of a message that must not be delivered what was
// ordered: list is its recipients. It returns what remains of the item in d.
// Called with f.mu held, by whoever has the item in hand.
func (q *Queue) obey(f *flight, d *destination, it item, list []int) (next *item, events []Event) {
	switch s := &f.state.Standing; {
	case s.Removal != message.RemovalNone:
		return nil, q.remove(f, d, list, s.Removal == message.RemovalQuiet)
	case s.Poison && d == q.poison:
	case s.Poison:
		q.mu.Lock()
		q.moveTo(f, d, q.poison, it, list)
		q.mu.Unlock()
		return nil, nil
	case s.Suspended:
		it.suspended = true
	}
	return &it, nil
}

// moveTo gives recipients to a queue without next hop. Called with f.mu and mu
// held.
func (q *Queue) moveTo(f *flight, from, to *destination, it item, list []int) {
	if len(list) == 0 {
		return
	}
	now := q.now()
	it.suspended = false
	q.move(f, from, to, it, &group{to: to, recipients: list, due: now}, now)
	q.tidy(f)
}

// doom notes that these recipients of a message are to be removed by whoever has
// them in hand: a part of a message that stands in several queues, which the
// standing of the whole can't tell of. It holds as long as the process lives.
// When all of them are doomed already, it returns why they are passed over.
// Called with f.mu held.
func (c *carrying) doom(f *flight, list []int) (skip string) {
	again := true
	for _, i := range list {
		_, known := f.doomed[i]
		again = again && known
	}
	if again {
		return skipRemoving
	}
	if f.doomed == nil {
		f.doomed = make(map[int]bool)
		c.q.mu.Lock()
		f.refs++ // until tidy finds none left
		c.q.mu.Unlock()
	}
	for _, i := range list {
		if _, known := f.doomed[i]; !known {
			f.doomed[i] = !c.o.WithNDR
		}
	}
	return ""
}

// spare removes those of an item's recipients who are doomed, and returns the
// others. Called with f.mu held, by whoever has the item in hand.
func (q *Queue) spare(f *flight, d *destination, list []int) (left []int, events []Event) {
	if len(f.doomed) == 0 {
		return list, nil
	}
	var doomed [2][]int
	for _, i := range list {
		if quiet, ok := f.doomed[i]; !ok {
			left = append(left, i)
		} else if quiet {
			doomed[1] = append(doomed[1], i)
		} else {
			doomed[0] = append(doomed[0], i)
		}
	}
	events = q.remove(f, d, doomed[0], false)
	return left, append(events, q.remove(f, d, doomed[1], true)...)
}

// tidy forgets which recipient stands in which queue when all that are left
// stand in one, and who was doomed and has met an end. Called with f.mu and mu
// held.
func (q *Queue) tidy(f *flight) {
	q.tidySplit(f)
	if f.doomed == nil {
		return
	}
	for i := range f.doomed {
		if f.state.Recipients[i].Status.Final() {
			delete(f.doomed, i)
		}
	}
	if len(f.doomed) == 0 {
		f.doomed = nil
		f.refs-- // the caller has another
	}
}

// remove ends recipients, and the message when they were the last. Quiet says
// that the sender is not told. Called with f.mu held.
func (q *Queue) remove(f *flight, d *destination, list []int, quiet bool) []Event {
	if len(list) == 0 {
		return nil
	}
	u := &message.Update{At: q.wall()}
	for _, i := range list {
		u.Outcomes = addOutcome(u.Outcomes, i, message.Outcome{Status: message.Removed, Reply: replyRemoved, Tries: f.state.Recipients[i].Tries})
	}
	if quiet {
		u.Notified = list
	}
	events := q.conclude(f, u, d.hop)
	q.mu.Lock()
	q.tidy(f)
	q.mu.Unlock()
	return events
}

// renew routes the recipients of an item in d anew. It returns those that are
// to be tried from d now; when there are none, next is what remains of the item.
// Called with f.mu held.
func (q *Queue) renew(f *flight, d *destination, it *item, list []int) (next *item, stay []int, events []Event) {
	stay, events = q.reroute(f, d, it, list)
	if len(stay) == 0 || !f.ordered() {
		return nil, stay, events
	}
	next, more := q.obey(f, d, *it, stay) // it has been parked
	return next, nil, append(events, more...)
}

// order records what has been ordered about a message. Called with f.mu held.
func (q *Queue) order(f *flight, s message.Standing, kind EventKind, by string) []Event {
	f.by = by
	if s == f.state.Standing && kind == 0 {
		return nil
	}
	u := &message.Update{At: q.wall()}
	if s != f.state.Standing {
		u.Standing = &s
		q.record(f, u)
	}
	if kind == 0 {
		return nil
	}
	return []Event{{Kind: kind, At: u.At, ID: f.id, Envelope: f.envelope, By: by, Standing: s}}
}

// takeUpApart queues a message found at the start that is not to be routed: a
// poison message, or one that nothing has happened to while the Submission queue
// is suspended.
func (q *Queue) takeUpApart(st *message.State, it item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	pending := st.Pending()
	g := group{recipients: pending, deferred: anyDeferred(st, pending)}
	switch {
	case st.Standing.Poison && (st.Standing.Removal == message.RemovalNone || len(pending) == 0):
		g.to, it.suspended = q.poison, false
	case q.submission.suspended && st.Standing.Removal == message.RemovalNone && untouched(st):
		g.to = q.submission
	default:
		return false
	}
	q.queueGroups(it, len(st.Recipients), []group{g}, q.now())
	return true
}

// untouched reports whether nothing has been tried for a message.
func untouched(st *message.State) bool {
	for i := range st.Recipients {
		if st.Recipients[i].Status != message.Pending {
			return false
		}
	}
	return len(st.Attempts) == 0
}
