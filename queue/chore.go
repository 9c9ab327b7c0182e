package queue

import (
	"errors"
	"slices"
	"time"

	"postern/internal/dsn"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue/spool"
)

// chore is work on a message that is not delivery.
type chore struct {
	due  int64
	kind choreKind
	id   message.ID
	dest *destination // choreExpire: pinned; choreDelay: whose trouble to tell of
	item item         // choreExpire, choreDelay
	// flight of a choreSave, which holds a reference to it
	flight *flight
}

type choreKind uint8

const (
	choreExpire  choreKind = iota // give up an item's recipients
	choreDelay                    // notify of a delay
	choreNotify                   // notify of failures, and end the message when it is over
	choreSave                     // store what could not be stored
	choreReroute                  // route anew what is unreachable
	choreSubmit                   // route what waits in the Submission queue
	chorePark                     // bring a poison message to its queue
	choreWalk                     // route anew what waits elsewhere
)

// choreHeap is a binary heap of chores, the one due first on top.
type choreHeap []chore

func (h *choreHeap) push(c chore) {
	s := append(*h, c)
	*h = s
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if s[parent].due <= s[i].due {
			return
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

func (h *choreHeap) pop() chore {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s[last] = chore{}
	s = s[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if r := child + 1; r < len(s) && s[r].due < s[child].due {
			child = r
		}
		if s[i].due <= s[child].due {
			break
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
	if cap(s) > 64 && len(s) < cap(s)/4 {
		s = append(make(choreHeap, 0, cap(s)/2), s...)
	}
	*h = s
	return top
}

// addChore gives the clerks something to do. Called with mu held.
func (q *Queue) addChore(c chore) {
	q.chores.push(c)
	if now := q.now(); c.due > now {
		q.wakeBy(c.due)
	} else {
		q.startClerks(now)
	}
}

// startClerks starts a clerk when a chore is due. Called with mu held.
func (q *Queue) startClerks(now int64) {
	if q.phase == running && !q.alone && q.clerks < maxClerks && len(q.chores) > 0 && q.chores[0].due <= now {
		q.clerks++
		q.done.Add(1)
		go q.clerk()
	}
}

// clerk does chores until none is due.
func (q *Queue) clerk() {
	defer q.done.Done()
	q.mu.Lock()
	for q.phase == running && !q.alone && len(q.chores) > 0 {
		now := q.now()
		if q.chores[0].due > now {
			q.wakeBy(q.chores[0].due)
			break
		}
		c := q.chores.pop()
		q.startClerks(now)
		q.mu.Unlock()
		q.do(&c)
		q.mu.Lock()
	}
	q.clerks--
	q.mu.Unlock()
}

func (q *Queue) do(c *chore) {
	var err error
	switch c.kind {
	case choreReroute:
		q.rerouteUnreachable()
		return
	case choreSubmit:
		q.routeSubmitted()
		return
	case choreWalk:
		q.walkOn()
		return
	case choreSave:
		if q.save(c.flight) {
			q.saved(c.flight)
			return
		}
		q.again(c, storageRetry+jitter(storageRetry))
		return
	case choreDelay, choreNotify:
		if wait := q.holdOff(); wait > 0 {
			q.again(c, wait+jitter(storageRetry))
			return
		}
	}
	err = q.onMessage(c)
	switch {
	case err == errReporting:
		q.again(c, time.Second)
	case err != nil && q.ctx.Err() == nil: // after a cut the next start makes up for it
		q.failed(c, err)
	}
}

// again puts a chore off.
func (q *Queue) again(c *chore, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.due = q.now() + int64(wait)
	q.addChore(*c)
}

// holdOff is how long to leave the storage alone with new notifications.
func (q *Queue) holdOff() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Duration(q.storageUntil - q.now())
}

// failed puts a chore off after trouble with the storage, and all others that
// need it: when a disk is full a million notifications may wait, and they must
// not ask one by one.
func (q *Queue) failed(c *chore, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := q.now(); now >= q.storageUntil {
		wait := min(storageRetry<<min(q.storageFailures, 8), maxStorageRetry)
		q.storageFailures++
		q.storageUntil = now + int64(wait)
		q.log.Error("queue: work on a message failed; it will be tried again, and others like it", eventid.ChoreFailed.Attr(), "id", c.id, "after", wait, "error", err)
	}
	c.due = q.storageUntil + int64(jitter(storageRetry))
	q.addChore(*c)
}

// onMessage does a chore that needs the message in hand.
func (q *Queue) onMessage(c *chore) error {
	f, err := q.acquire(c.id)
	if errors.Is(err, spool.ErrNotFound) {
		if c.kind == choreExpire {
			q.unpin(c.dest, nil)
		}
		return nil // it was finished meanwhile
	}
	if err != nil {
		q.counters.loadFailures.Add(1)
		return err
	}
	defer q.release(f)
	held := q.suspects.hold(c.id)
	defer q.suspects.drop(held)
	switch c.kind {
	case choreExpire:
		q.expire(f, c)
		return nil
	case chorePark:
		q.park(f)
		return nil
	case choreDelay:
		err = f.report(func() error { return q.notifyDelay(f, c.dest, c.item.arrived) })
	default:
		err = f.report(func() error { return q.notifyEnds(f) })
	}
	if p, ok := errors.AsType[*caught](err); ok {
		q.notePanic(f, p)
		q.again(c, storageRetry) // in vain when it is parked now
		return nil
	}
	return err
}

// unpin ends a clerk's hold on an item. It waits again when next is not nil.
func (q *Queue) unpin(d *destination, next *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.pins--
	now := q.now()
	if next != nil {
		q.enqueue(d, *next, now)
		return
	}
	q.items--
	d.rates.left(now)
	q.settle(d, now)
}

// expire gives up the recipients of an item.
func (q *Queue) expire(f *flight, c *chore) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q.mu.Lock()
	// The expiration may have been raised, or the queue suspended, meanwhile.
	still := q.schedule.expired(&c.item, q.now()) && !c.dest.suspended
	reason := q.troubleOf(c.dest)
	q.mu.Unlock()
	list, events := q.spare(f, c.dest, q.mine(f, c.dest))
	q.tell(events)
	switch {
	case len(list) == 0:
		q.unpin(c.dest, nil)
		return
	case f.ordered():
		next, events := q.obey(f, c.dest, c.item, list)
		q.tell(events)
		q.unpin(c.dest, next)
		return
	case !still:
		q.unpin(c.dest, &c.item)
		return
	}
	u := &message.Update{At: q.wall()}
	for _, i := range list {
		r := &f.state.Recipients[i]
		last := r.Reply
		if last.Code == 0 {
			last = reason
		}
		u.Outcomes = addOutcome(u.Outcomes, i, message.Outcome{Status: message.Expired, Reply: expiredReply(last), NextHop: r.NextHop, Tries: r.Tries})
	}
	events = q.conclude(f, u, c.dest.hop)
	q.mu.Lock()
	q.tidy(f)
	q.mu.Unlock()
	q.tell(events)
	// Recipients join a queue under the flight's lock: nobody is left in it.
	q.unpin(c.dest, nil)
}

// expiredReply is Exchange's reply for an expired message, with the last error
// behind it.
func expiredReply(last message.Reply) message.Reply {
	r := message.Reply{Code: 550, Enhanced: [3]int{4, 4, 7}, Text: "QUEUE.Expired; message expired"}
	if last.Code != 0 {
		r.Text += "\nLast error: " + last.String()
	}
	return r
}

// troubleOf is the reply that says why nothing leaves a queue. Called with mu
// held.
func (q *Queue) troubleOf(d *destination) message.Reply {
	if d == nil || d.trouble == nil {
		return message.Reply{}
	}
	return d.trouble.reply
}

// staleUnreachable reports whether some unreachable message was last routed by
// an earlier router. Called with mu held.
func (q *Queue) staleUnreachable() bool {
	u := q.unreachable
	return !u.suspended && len(u.items) > 0 && !u.items[0].suspended && u.items[0].due != int64(q.gen)
}

// unwanted lists those of the recipients whose failure the sender is not told.
func unwanted(e *message.Envelope, recipients []int) []int {
	return slices.DeleteFunc(slices.Clone(recipients), func(i int) bool { return dsn.Wanted(e, i, dsn.Failure) })
}
