package queue

import (
	"slices"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

// A Send connector may name another that takes over what it can't deliver. The
// router says which; when, is decided here, by what happens to each recipient
// and to the queue it stands in:
//
//   - A recipient that was tried in vain is spent once it had as many tries, or
//     is as old, as the fallback waits for. Both count from its arrival, or from
//     when it came here by the fallback of another connector. Where the queue
//     is in Retry that is looked at when a message has tried the next hop.
//   - A queue is forsaken while it is in Retry and its next hop has failed as
//     often, or for as long. Everything in it goes the other way, and what comes
//     new follows at once, but for the one message that tries the next hop each
//     time it is due. When that gets through, mail stays again.
//
// That a recipient has gone the other way is written down with it, so that it
// stays there over restarts and reloads as long as the configuration has the
// fallback. An order to resubmit it forgets it.

// forsaken reports whether what waits in the queue is to go by the fallback:
// always but when a message is due to ask for the next hop. Called with mu held.
func (d *destination) forsaken(now int64) bool { return d.failing(now) && now < d.until }

// failing reports whether the next hop has failed as often, or for as long, as
// the fallback waits for.
func (d *destination) failing(now int64) bool {
	return d.fallback.Connector != "" && d.failures > 0 &&
		(int64(d.failures) >= d.fallback.Failures || over(d.trouble.first, d.fallback.After, now))
}

// forsake has what waits in a forsaken queue routed anew: everything once, then
// what has come since. What stays all the same has no fallback that takes it.
// Called with mu held.
func (q *Queue) forsake(d *destination, now int64) {
	if d.forsook {
		q.walkAgain(d, now)
		return
	}
	d.forsook = true
	q.routeAnew(d, now)
}

// over reports whether a time that may be unlimited has gone by.
func over(since int64, limit time.Duration, now int64) bool {
	return limit != config.Unlimited && since+int64(limit) <= now
}

// passOld has the items of a queue in Retry routed anew that were tried in vain
// and are as old as the fallback waits for: their turn to be tried may be far
// away. Called with mu held.
func (q *Queue) passOld(d *destination, now int64) {
	if d.fallback.Connector == "" {
		return
	}
	found := false
	for i := range d.items {
		if it := &d.items[i]; it.deferred && over(it.arrived, d.fallback.After, now) {
			it.gen, found = 0, true
		}
	}
	if found {
		q.walkAgain(d, now)
	}
}

// beforeFallback is when a queue in Retry tries again: no later than its
// fallback is to take over.
func (d *destination) beforeFallback(now, until int64) int64 {
	if d.fallback.Connector == "" || d.fallback.After == config.Unlimited {
		return until
	}
	if at := d.trouble.first + int64(d.fallback.After); at > now {
		return min(until, at)
	}
	return until
}

// forgotten is when a queue that is empty is forgotten. One whose next hop fails
// is remembered until a message would be tried, and as long again, so that what
// comes seldom need not find out anew.
func (d *destination) forgotten() int64 {
	at := d.idleSince + int64(queueMaxIdle)
	if d.fallback.Connector != "" && d.failures > 0 {
		at = max(at, 2*d.until-d.trouble.last)
	}
	return at
}

// passOn has an item that comes new into a forsaken queue routed again, so that
// it goes by the fallback: at once, or when the next hop has been asked for and
// does not answer. Called with mu held.
func (q *Queue) passOn(d *destination, it item, now int64) item {
	if d.special != "" || !d.failing(now) || q.phase != running {
		return it
	}
	it.gen = 0
	if d.forsaken(now) {
		q.walkAgain(d, now)
	}
	return it
}

// routeAnew has all messages that wait in a queue routed anew, whatever they were
// routed by. Called with mu held.
func (q *Queue) routeAnew(d *destination, now int64) {
	for i := range d.items {
		d.items[i].gen = 0 // no router's
	}
	q.walkAgain(d, now)
}

// walkAgain is walkLater where somebody may be on his way through the queue, who
// must then come by again. Called with mu held.
func (q *Queue) walkAgain(d *destination, now int64) {
	q.walk.found = q.walk.found || d.listed
	q.walkLater(d, now)
}

// heldSince is when a recipient came to the connector that it is with, in the
// queue's time.
func (q *Queue) heldSince(r *message.RecipientState, arrived int64) int64 {
	if r.Fallen.At.IsZero() {
		return arrived
	}
	return q.now() - max(0, int64(q.wall().Sub(r.Fallen.At)))
}

// isSpent reports whether a recipient has been tried long or often enough.
func (q *Queue) isSpent(fb routing.Fallback, r *message.RecipientState, arrived int64) bool {
	tries := r.Tries - r.Fallen.Tries
	return fb.Connector != "" && tries > 0 &&
		(int64(tries) >= fb.Failures || over(q.heldSince(r, arrived), fb.After, q.now()))
}

// spent reports whether some of an item's recipients are. Called with f.mu held.
func (q *Queue) spent(f *flight, fb routing.Fallback, it *item, list []int) bool {
	return fb.Connector != "" && f.state.Standing.Redirect == "" && slices.ContainsFunc(list, func(i int) bool { return q.isSpent(fb, &f.state.Recipients[i], it.arrived) })
}

// dueBeforeFallback is when a recipient is tried again: no later than its
// fallback is to take over.
func (v *verdict) dueBeforeFallback(r *message.RecipientState, due time.Time) time.Time {
	if v.fallback.Connector == "" || v.fallback.After == config.Unlimited {
		return due
	}
	at := v.queue.heldSince(r, v.arrived) + int64(v.fallback.After)
	if wall := v.queue.wallTime(at); at > v.queue.now() && wall.Before(due) {
		return wall
	}
	return due
}

// takeOver lets fallbacks take over for the recipients of an item in d for whom
// the time has come. The router says for each whether its fallback takes it.
// Called with f.mu held.
func (q *Queue) takeOver(f *flight, d *destination, it *item, list []int, router Router) []Event {
	q.mu.Lock()
	forsaken := d.forsaken(q.now())
	q.mu.Unlock()
	if f.state.Standing.Redirect != "" {
		return nil
	}
	u := &message.Update{At: q.wall()}
	for _, i := range list {
		r := &f.state.Recipients[i]
		if !forsaken && r.Tries == r.Fallen.Tries {
			continue
		}
		now := ask(router, f.envelope, f.state, i)
		if fb := now.Fallback; now.NextHop == d.hop && fb.Connector != "" && (forsaken || q.isSpent(fb, r, it.arrived)) {
			u.Fallbacks = addFallback(u.Fallbacks, i, fb.Connector, r.Tries)
		}
	}
	if len(u.Fallbacks) == 0 {
		return nil
	}
	q.record(f, u)
	var events []Event
	for _, l := range u.Fallbacks {
		o := message.Outcome{Recipients: l.Recipients, Reply: f.state.Recipients[l.Recipients[0]].Reply, Tries: l.Tries}
		if o.Reply.Code == 0 { // it was not tried itself
			q.mu.Lock()
			o.Reply = q.troubleOf(d)
			q.mu.Unlock()
		}
		events = append(events, Event{Kind: FallenBack, At: u.At, ID: f.id, Envelope: f.envelope, Hop: d.hop, Outcome: o, Fallback: l.Connector})
	}
	return events
}

// addFallback adds a recipient to those that the same connector takes over after
// as many tries.
func addFallback(list []message.Fallback, recipient int, connector string, tries int) []message.Fallback {
	for i := range list {
		if l := &list[i]; l.Connector == connector && l.Tries == tries {
			l.Recipients = append(l.Recipients, recipient)
			return list
		}
	}
	return append(list, message.Fallback{Recipients: []int{recipient}, Connector: connector, Tries: tries})
}

// forget lets recipients begin anew with the connector that they are routed to.
// Called with f.mu held.
func (q *Queue) forget(f *flight, list []int) {
	u := &message.Update{At: q.wall()}
	fallen := false
	for _, i := range list {
		r := &f.state.Recipients[i]
		fallen = fallen || r.Fallen.Connector != ""
		u.Fallbacks = addFallback(u.Fallbacks, i, "", r.Tries)
	}
	if fallen {
		q.record(f, u)
	}
}

// takeover is when a fallback takes over for a recipient.
func (q *Queue) takeover(fb routing.Fallback, r *message.RecipientState, e *message.Envelope) (t Takeover) {
	if fb.Connector == "" {
		return t
	}
	if fb.After != config.Unlimited {
		t.At = q.wallTime(q.heldSince(r, q.arrival(e)) + int64(fb.After))
	}
	if fb.Failures != config.Unlimited {
		t.Tries = int64(r.Fallen.Tries) + fb.Failures
	}
	return t
}
