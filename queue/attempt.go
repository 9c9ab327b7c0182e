package queue

import (
	"errors"
	"slices"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// replyNoOutcome stands for a recipient that a delivery forgot.
var replyNoOutcome = message.Reply{Code: 451, Enhanced: [3]int{4, 3, 0}, Text: "The delivery ended without an outcome"}

// attempt tries an item once. epoch is that of d's Retry state when the item
// was taken.
func (q *Queue) attempt(d *destination, it item, epoch uint32) {
	f, err := q.acquire(it.id)
	if err != nil {
		q.unloadable(d, it, err)
		return
	}
	defer q.release(f)
	list, orders := q.prepare(f, d, &it)
	if list == nil {
		return
	}
	held := q.suspects.hold(it.id)
	report, panicked := q.deliver(f, d, list)
	q.suspects.drop(held)
	now := q.now()
	cut := q.ctx.Err() != nil
	rule := q.judge(d, epoch, &report, now, cut)
	if rule.renew {
		it.gen = 0
	}

	// The item lands under the flight's lock: whoever gives an order finds it
	// either here, where the order is seen, or in its queue.
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = slices.DeleteFunc(f.begun, func(b begun) bool { return b.to == d })
	var events []Event
	if panicked != nil {
		events = q.countPanic(f, panicked)
	}
	rule.arrived = it.arrived
	u := &message.Update{At: q.wall(), Attempts: report.Attempts, Outcomes: rule.outcomes(f.state, list, &report, cut)}
	nameHop(u, d.hop)
	if len(u.Outcomes) > 0 || len(u.Attempts) > 0 {
		events = append(events, q.conclude(f, u, d.hop)...)
	}
	next, more := q.remainder(f, d, it, f.orders != orders)
	q.tell(append(events, more...))
	q.land(d, it, next)
}

// nameHop notes the next hop in an update, so that what was tried for a
// recipient can be told from what was tried for others. What was delivered
// needs it only where the sender may be told of it.
func nameHop(u *message.Update, hop routing.NextHop) {
	name := hop.String()
	for i := range u.Attempts {
		u.Attempts[i].NextHop = name
	}
	for i := range u.Outcomes {
		if o := &u.Outcomes[i]; o.Status != message.Delivered || o.NoDSN {
			o.NextHop = name
		}
	}
}

// prepare decides who of an item's recipients is to be tried, and counts the
// orders that it has seen. When there is nobody the item has landed.
func (q *Queue) prepare(f *flight, d *destination, it *item) (list []int, orders int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, events := q.spare(f, d, q.mine(f, d))
	q.mu.Lock()
	stale := it.gen != q.gen
	expired := q.schedule.expired(it, q.now())
	fallback := d.fallback
	q.mu.Unlock()
	var next *item
	switch {
	case len(list) == 0:
	case f.ordered():
		var more []Event
		next, more = q.obey(f, d, *it, list)
		list, events = nil, append(events, more...)
	case expired:
		next, list = it, nil // to be handed to a clerk
	case stale, q.spent(f, fallback, it, list):
		var more []Event
		next, list, more = q.renew(f, d, it, list)
		events = append(events, more...)
	}
	if len(list) > 0 {
		f.begun = append(f.begun, begun{d, q.wall()})
		q.tell(events)
		return list, f.orders
	}
	q.tell(events)
	q.land(d, *it, next)
	return nil, 0
}

// verdict is what an attempt means for the recipients that stay.
type verdict struct {
	queue    *Queue
	until    int64 // of the queue's Retry state; zero when a host was reached
	schedule schedule
	after    time.Duration // at least so long
	renew    bool          // the queue's messages are to be routed anew
	fallback routing.Fallback
	arrived  int64 // of the message
}

// judge updates the queue's window and Retry state by what an attempt found.
// That no host took a connection is congestion as long as others are under way
// and the latest to end reached one: the next hop lives.
func (q *Queue) judge(d *destination, epoch uint32, r *message.Report, now int64, cut bool) *verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.schedule
	v := &verdict{queue: q, schedule: *s, after: r.RetryAfter}
	if !cut {
		d.note(now, r)
	}
	switch {
	case cut: // it says nothing about the next hop
	case !r.Unreachable && !r.Congested:
		d.succeed(s)
	case d.failures > 0, r.Unreachable && (!d.connected || len(d.active) == 1), d.window.congest():
		counts := epoch == d.epoch
		probe := d.failures > 0 && counts
		v.until = d.fail(now, epoch, lastReply(r), r.RetryAfter, s)
		if probe && d.granted {
			d.forfeit(now)
		}
		if max(d.trouble.first, d.resubmitted)+int64(s.resubmit) <= now {
			q.resubmit(d, now)
			v.renew = true
		}
		switch {
		case d.forsaken(now):
			q.forsake(d, now)
			v.renew = true
		case counts:
			q.passOld(d, now)
		}
	}
	v.fallback = d.fallback
	return v
}

// lastReply is the reply by which a report explains itself.
func lastReply(r *message.Report) message.Reply {
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; o.Status == message.Deferred && o.Reply.Code != 0 {
			return o.Reply
		}
	}
	if n := len(r.Attempts); n > 0 {
		return r.Attempts[n-1].Reply
	}
	return message.Reply{}
}

// outcomes brings a report into the form in which it is recorded: each
// recipient of the list once, with its tries, deferred ones with a common due
// time. Of a delivery that was cut only what is final counts.
func (v *verdict) outcomes(st *message.State, list []int, r *message.Report, cut bool) []message.Outcome {
	left := make(map[int]bool, len(list))
	tries := 0
	for _, i := range list {
		left[i] = true
		tries = max(tries, st.Recipients[i].Tries+1)
	}
	due := v.due(tries)
	var out []message.Outcome
	add := func(i int, o message.Outcome) {
		if !left[i] {
			return
		}
		delete(left, i)
		o.Tries = st.Recipients[i].Tries + 1
		o.Recipients, o.Due = nil, time.Time{}
		if o.Status != message.Delivered && o.Status != message.Failed {
			if cut {
				return
			}
			o.Status, o.Due = message.Deferred, v.dueBeforeFallback(&st.Recipients[i], due)
		}
		out = addOutcome(out, i, o)
	}
	for _, o := range r.Outcomes {
		for _, i := range o.Recipients {
			add(i, o)
		}
	}
	for _, i := range list {
		add(i, message.Outcome{Status: message.Deferred, Reply: replyNoOutcome})
	}
	return out
}

// due is when a message is tried again after so many attempts.
func (v *verdict) due(tries int) time.Time {
	if v.until != 0 {
		return v.queue.wallTime(v.until)
	}
	return v.queue.wall().Add(v.schedule.messageWait(tries, v.after))
}

// remainder is the item for the recipients that are still pending, nil when
// there are none. Recipients that joined while the attempt was under way are
// tried at once. Renew says that the message is to be routed anew. Called with
// f.mu held.
func (q *Queue) remainder(f *flight, d *destination, it item, renew bool) (next *item, events []Event) {
	// Before tidy, without which all that is left would be d's.
	left, events := q.spare(f, d, q.mine(f, d))
	q.mu.Lock()
	q.tidy(f)
	fallback := d.fallback
	q.mu.Unlock()
	if len(left) == 0 {
		return nil, events
	}
	it.due = q.earliestDue(f.state, left)
	it.deferred = anyDeferred(f.state, left)
	it.granted = false
	switch {
	case f.ordered():
		next, more := q.obey(f, d, it, left)
		return next, append(events, more...)
	case renew || q.spent(f, fallback, &it, left):
		if renew {
			it.due = q.now()
		}
		next, left, more := q.renew(f, d, &it, left)
		events = append(events, more...)
		if len(left) == 0 {
			return next, events
		}
	}
	return &it, events
}

// unloadable deals with an item whose message can't be read.
func (q *Queue) unloadable(d *destination, it item, err error) {
	if errors.Is(err, spool.ErrNotFound) {
		q.log.Error("a queued message is not in the spool any more and is dropped", eventid.MessageGone.Attr(), "id", it.id, "error", err)
		q.mu.Lock()
		delete(q.splits, it.id)
		q.mu.Unlock()
		q.land(d, it, nil)
		if q.locate([]message.ID{it.id})[it.id] == nil { // that was the last of it
			q.counters.messages.Add(-1)
		}
		return
	}
	q.log.Error("a queued message can't be read; it will be tried again", eventid.MessageUnreadable.Attr(), "id", it.id, "after", loadRetry, "error", err)
	q.counters.loadFailures.Add(1)
	it.due = q.now() + int64(loadRetry) + int64(jitter(loadRetry))
	q.land(d, it, &it)
}

// conclude records an update with outcomes, orders the notification that they
// call for, and returns the events to tell. Called with f.mu held.
func (q *Queue) conclude(f *flight, u *message.Update, hop routing.NextHop) []Event {
	if f.state.Done {
		return nil
	}
	q.record(f, u)
	events := q.outcomeEvents(f, u, hop)
	if owes(f.envelope, f.state) {
		now := q.now()
		due := now
		if len(f.state.Pending()) > 0 {
			due += int64(mergeFailures)
		}
		q.mu.Lock()
		q.addChore(chore{due: due, kind: choreNotify, id: f.id})
		q.mu.Unlock()
	}
	return events
}
