package queue

import (
	"errors"
	"slices"
	"time"

	"postern/internal/eventid"
	"postern/queue/spool"
	"postern/routing"
)

// walk is the clerks' way through the delivery queues after a reload: every
// message that waits is routed anew. A queue whose first message moves is one
// whose next hop is gone, and is emptied at once; the others follow, in batches
// with pauses in between, since most of their messages stay. All fields are
// guarded by Queue.mu.
type walk struct {
	// first are the queues of which nothing was looked at yet, urgent those
	// whose messages move, later the others.
	first, urgent, later []*destination
	// cursor is how many items of the queue in turn are still to be looked at;
	// found says that some were taken out in this pass, which others may have
	// slipped past, so that another pass follows.
	cursor int
	found  bool
	// sweep says that the deadlines have changed.
	sweep bool
	// ordered says that a chore is under way or waits.
	ordered bool
}

// left is how many messages are still to be looked at, about.
func (w *walk) left() int {
	n := 0
	for _, list := range [][]*destination{w.first, w.urgent, w.later} {
		for i, d := range list {
			if i == 0 && w.cursor > 0 {
				n += min(w.cursor, len(d.items))
				continue
			}
			n += len(d.items)
		}
	}
	return n
}

// walkAll begins the way through all queues. Called with mu held.
func (q *Queue) walkAll(sweep bool, now int64) {
	list := make([]*destination, 0, len(q.destinations))
	for _, d := range q.destinations {
		d.listed = true
		d.fallback, d.forsook = routing.Fallback{}, false // until it is known of the new router
		list = append(list, d)
	}
	q.walk = walk{first: list, sweep: sweep || q.walk.sweep && q.walk.ordered, ordered: q.walk.ordered}
	q.orderWalk(now)
}

// walkLater adds a queue in which a message waits that was routed by an earlier
// router. Called with mu held.
func (q *Queue) walkLater(d *destination, now int64) {
	if !d.listed {
		d.listed = true
		q.walk.later = append(q.walk.later, d)
		q.orderWalk(now)
	}
}

func (q *Queue) orderWalk(due int64) {
	if !q.walk.ordered {
		q.walk.ordered = true
		q.addChore(chore{due: due, kind: choreWalk})
	}
}

// resubmit has all messages that wait in a queue routed anew, whatever they were
// routed by. Called with mu held.
func (q *Queue) resubmit(d *destination, now int64) {
	d.resubmitted = now
	q.routeAnew(d, now)
}

// adopt lets a queue go by the present settings. Called with mu held.
func (q *Queue) adopt(d *destination, now int64) {
	d.probe(now)
	if q.walk.sweep {
		d.lastSweep, d.sweepAt = 0, now
	}
	q.settle(d, now)
	q.startWorkers()
}

// walkOn looks at a batch of messages and orders the next.
func (q *Queue) walkOn() {
	began := time.Now()
	lazy := false
	for range rerouteBatch {
		q.mu.Lock()
		if q.phase != running {
			q.mu.Unlock()
			return
		}
		d, it, ok := q.walkStep()
		if d == nil {
			q.walk = walk{}
			q.mu.Unlock()
			return
		}
		first := ok && len(q.walk.first) > 0 && q.walk.first[0] == d
		lazy = len(q.walk.first) == 0 && len(q.walk.urgent) == 0
		q.mu.Unlock()
		if !ok {
			continue
		}
		stays := q.rerouteItem(d, it)
		if first {
			q.mu.Lock()
			q.walkSort(d, stays)
			q.mu.Unlock()
		}
	}
	pause := time.Duration(0)
	if lazy {
		pause = 2 * time.Since(began)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.walk.ordered = false
	q.orderWalk(q.now() + int64(pause))
}

// walkStep takes the next message that is to be routed anew out of its queue,
// and counts it as one of the queue's pins. It looks at a few thousand items at
// most: when there is none among them ok is false, and d is nil at the end of
// the way. Called with mu held.
func (q *Queue) walkStep() (d *destination, it item, ok bool) {
	w := &q.walk
	now := q.now()
	if len(w.first) > 0 {
		d = w.first[0]
		q.adopt(d, now)
		if last := len(d.items) - 1; last < 0 || !q.stale(d, &d.items[last]) {
			q.walkSort(d, true)
			return d, item{}, false
		}
		return d, q.pin(d, len(d.items)-1, now), true
	}
	list := &w.urgent
	if len(*list) == 0 {
		list = &w.later
	}
	if len(*list) == 0 {
		return nil, item{}, false
	}
	d = (*list)[0]
	if w.cursor == 0 {
		w.cursor = len(d.items)
	}
	w.cursor = min(w.cursor, len(d.items))
	for range sweepBatch {
		if w.cursor == 0 {
			break
		}
		if i := w.cursor - 1; q.stale(d, &d.items[i]) {
			w.found = true // the cursor stays: another item takes this place
			return d, q.pin(d, i, now), true
		}
		w.cursor--
	}
	if w.cursor == 0 && !w.found {
		*list = slices.Delete(*list, 0, 1)
		d.listed = false
	}
	if w.cursor == 0 {
		w.found = false
	}
	return d, item{}, false
}

// stale reports whether an item that waits in d is to be routed anew, since an
// earlier router routed it. What is suspended, itself or with its queue, stays
// where it is until it is resumed. Called with mu held.
func (q *Queue) stale(d *destination, it *item) bool {
	return it.gen != q.gen && !it.suspended && !d.suspended
}

// walkSort says after the first look at a queue when the rest of it follows.
// Called with mu held.
func (q *Queue) walkSort(d *destination, stays bool) {
	w := &q.walk
	if len(w.first) == 0 || w.first[0] != d {
		return // another reload came in between
	}
	w.first = w.first[1:]
	switch {
	case len(d.items) == 0:
		d.listed = false
	case stays:
		w.later = append(w.later, d)
	default:
		w.urgent = append(w.urgent, d)
	}
}

// pin takes a waiting item out of its queue for a clerk who routes it anew, and
// who looks at it once, whatever comes of it. Called with mu held.
func (q *Queue) pin(d *destination, i int, now int64) item {
	it := d.items.takeAt(i)
	it.gen = q.gen
	if it.deferred {
		d.deferred--
	}
	d.pins++
	q.settle(d, now)
	return it
}

// rerouteUnreachable routes a batch of unreachable messages anew, those first
// that were longest without answer, and orders the next batch.
func (q *Queue) rerouteUnreachable() {
	u := q.unreachable
	for range rerouteBatch {
		q.mu.Lock()
		if !q.staleUnreachable() || q.phase != running {
			q.mu.Unlock()
			return
		}
		it := u.pop()
		u.pins++
		q.settle(u, q.now())
		q.mu.Unlock()
		q.rerouteItem(u, it)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addChore(chore{due: q.now(), kind: choreReroute})
}

// rerouteItem routes the recipients of a pinned item anew and ends its pin. It
// reports whether some of them stay.
func (q *Queue) rerouteItem(d *destination, it item) (stays bool) {
	f, err := q.acquire(it.id)
	if err != nil {
		if errors.Is(err, spool.ErrNotFound) {
			q.unpin(d, nil)
			return false
		}
		// By the present generation it waits until it is due, or for the next
		// reload, or expires.
		q.log.Error("a message can't be read and is not routed anew", eventid.MessageNotRerouted.Attr(), "id", it.id, "error", err)
		q.counters.loadFailures.Add(1)
		q.mu.Lock()
		it.gen = q.gen
		q.mu.Unlock()
		q.unpin(d, &it)
		return true
	}
	defer q.release(f)
	inHand := q.suspects.hold(it.id)
	defer q.suspects.drop(inHand)
	f.mu.Lock()
	defer f.mu.Unlock()
	list, events := q.spare(f, d, q.mine(f, d))
	q.tell(events)
	var next *item
	held := f.state.Standing.Suspended && d == q.submission // it is routed, and waits in its delivery queue
	it.suspended = held
	if d == q.submission { // it has waited at our wish
		q.mu.Lock()
		it.granted = q.schedule.expired(&it, q.now())
		q.mu.Unlock()
	}
	if len(list) == 0 {
		q.unpin(d, nil)
		return false
	}
	if f.ordered() && !held {
		it.gen = 0 // it was not routed
		next, events = q.obey(f, d, it, list)
	} else if next, list, events = q.renew(f, d, &it, list); len(list) > 0 {
		next = &it
	}
	q.tell(events)
	q.unpin(d, next)
	return next != nil
}
