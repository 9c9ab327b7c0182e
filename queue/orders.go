package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"postern/internal/dsn"
	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// The reasons for which an order passes over a message.
const (
	skipRemoving    = "being removed"
	skipPoison      = "in the poison queue"
	skipSuspended   = "suspended"
	skipFree        = "not suspended"
	skipActive      = "being delivered"
	skipUnreachable = "no Send connector matches"
	skipSubmission  = "not routed yet"
	skipGone        = "ended meanwhile"
	skipTrouble     = "can't be read"
	skipElsewhere   = "also in other queues"
	skipHeld        = "its queue is suspended"
)

// Carry carries an order out on the messages that its filter chooses, in the
// order of their ids. One call looks at a few thousand messages at most and
// takes a fraction of a second; the caller goes on with Order.After set to the
// Tally's Next until that is zero. What it reports as changed or pending is on
// stable storage.
//
// An order never races a delivery: of a message in flight, what is not delivered
// when the attempt ends meets the order then.
//
// The error is ErrBadOrder when the order can't be understood, ErrNoQueue when
// the filter names a queue that does not exist, ErrNotRunning, ErrNotKept, or
// ctx's; the Tally counts what was done before.
func (q *Queue) Carry(ctx context.Context, o Order) (Tally, error) {
	redirect := ""
	switch o.Verb {
	case Suspend, Resume, RetryNow, Resubmit, Remove:
	case Redirect:
		var err error
		if redirect, err = hostList(o.To); err != nil {
			return Tally{}, err
		}
	default:
		return Tally{}, fmt.Errorf("%w: there is no verb %q", ErrBadOrder, o.Verb)
	}
	c, err := q.chooser(o.Filter)
	if err != nil {
		return Tally{}, err
	}
	q.mu.Lock()
	if q.phase != running {
		q.mu.Unlock()
		return Tally{}, ErrNotRunning
	}
	q.done.Add(1) // Stop waits for it
	q.mu.Unlock()
	defer q.done.Done()
	run := carrying{q: q, o: &o, redirect: redirect, within: c.queue}
	run.Next, run.Examined, err = q.examine(ctx, c, o.After, func(e *spool.Entry, at *place) bool {
		run.Matched++
		if o.DryRun {
			run.foresee(e, at)
		} else {
			run.ids = append(run.ids, e.ID)
		}
		return true
	})
	run.carry()
	if err == nil {
		err = run.keep(ctx)
	}
	return run.Tally, err
}

// keep waits until what was done is on stable storage.
func (c *carrying) keep(ctx context.Context) error {
	if c.o.DryRun || c.o.Verb == RetryNow || c.Changed+c.Pending == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	if err := c.q.store.Flush(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	if c.unsaved {
		return ErrNotKept
	}
	return nil
}

// carrying is one call of Carry under way.
type carrying struct {
	Tally
	q        *Queue
	o        *Order
	redirect string
	ids      []message.ID // of the messages that matched, in order
	unsaved  bool         // the store did not take something
	within   *destination // the queue that the filter names, if any
}

// scope is the queue whose recipients alone the order is about; nil when it is
// about messages as a whole.
func (c *carrying) scope() *destination {
	switch c.o.Verb {
	case Remove, RetryNow, Resubmit:
		return c.within
	}
	return nil
}

// foresee counts what the order would come to for a message.
func (c *carrying) foresee(e *spool.Entry, at *place) {
	queues, active, list := at.queues, at.active, e.State.Pending()
	all := len(list)
	if c.within != nil {
		list = c.q.standing(e.ID, e.State, c.within)
	}
	if c.scope() != nil {
		queues, active = []*destination{c.within}, slices.Contains(at.flying, c.within)
	}
	skip, pending := c.judge(e.State, queues, active, len(list) < all)
	if c.scope() == nil {
		list = e.State.Pending()
	}
	c.count(skip, pending, len(list))
}

// judge returns the reason for which the order passes over a message, and
// whether it has to wait for something in flight. Elsewhere says that the
// message also stands in queues that the filter does not name.
func (c *carrying) judge(st *message.State, queues []*destination, active, elsewhere bool) (skip string, pending bool) {
	s := &st.Standing
	any := func(special string) bool {
		return slices.ContainsFunc(queues, func(d *destination) bool { return d.special == special })
	}
	switch {
	case st.Done || len(st.Pending()) == 0 && !s.Poison:
		return skipGone, false
	case s.Removal != message.RemovalNone && len(st.Pending()) > 0:
		return skipRemoving, false
	case c.o.Verb == Resume && !s.Suspended && !s.Poison:
		return skipFree, false
	case s.Poison && c.o.Verb != Resume && c.o.Verb != Remove:
		return skipPoison, false
	case s.Suspended && (c.o.Verb == Suspend || c.o.Verb == RetryNow || c.o.Verb == Resubmit):
		return skipSuspended, false
	case c.o.Verb == RetryNow && len(queues) == 0, c.o.Verb == RetryNow && active:
		return skipActive, false
	case c.o.Verb == RetryNow && any(UnreachableName):
		return skipUnreachable, false
	case c.o.Verb == RetryNow && !any(SubmissionName) && c.q.allSuspended(queues):
		return skipHeld, false
	case (c.o.Verb == RetryNow || c.o.Verb == Resubmit) && any(SubmissionName):
		return skipSubmission, false
	case elsewhere && (c.o.Verb == Redirect || c.o.Verb == Resubmit && s.Redirect != ""):
		return skipElsewhere, false // a redirection is of the whole message
	case c.o.Verb == Redirect && len(queues) > 0 && !active && !slices.ContainsFunc(queues, func(d *destination) bool { return !d.unreachable }):
		return skipUnreachable, false
	}
	return "", active
}

func (c *carrying) count(skip string, pending bool, recipients int) {
	switch {
	case skip != "":
		if c.Skipped == nil {
			c.Skipped = make(map[string]int)
		}
		c.Skipped[skip]++
	case pending:
		c.Pending++
		c.Recipients += recipients
	default:
		c.Changed++
		c.Recipients += recipients
	}
}

// carry carries the order out on all messages found. Their waiting items are
// taken out of their queues at once; what is not among them is in the hands of
// a worker or a clerk, who looks for orders before it lets go. What has landed
// before the order was written down is found by a second look.
func (c *carrying) carry() {
	items := c.q.pull(c.ids, c.scope())
	var rest []message.ID
	for _, id := range c.ids {
		if c.message(id, items[id]) {
			rest = append(rest, id)
		}
	}
	for id, items := range c.q.pull(rest, c.scope()) {
		f, err := c.q.acquire(id)
		if err != nil {
			c.q.putBack(items, errors.Is(err, spool.ErrNotFound))
			continue
		}
		f.mu.Lock()
		c.q.tell(c.treat(f, items))
		f.mu.Unlock()
		c.q.release(f)
	}
}

// putBack lets go of items. Those of a message that has ended are dropped.
func (q *Queue) putBack(items []pulled, gone bool) {
	for i := range items {
		if gone {
			q.unpin(items[i].d, nil)
		} else {
			q.unpin(items[i].d, &items[i].it)
		}
	}
}

// message carries the order out on one message, of which the given items have
// been pulled. It reports whether something of it was in other hands.
func (c *carrying) message(id message.ID, items []pulled) (elsewhere bool) {
	f, err := c.q.acquire(id)
	if err != nil {
		gone := errors.Is(err, spool.ErrNotFound)
		c.q.putBack(items, gone)
		if gone {
			c.count(skipGone, false, 0)
		} else {
			c.q.counters.loadFailures.Add(1)
			c.count(skipTrouble, false, 0)
		}
		return false
	}
	defer c.q.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	var queues []*destination
	covered := 0
	for i := range items {
		queues = append(queues, items[i].d)
		covered += len(c.q.mine(f, items[i].d))
	}
	target := f.state.Pending()
	all := len(target)
	if c.within != nil {
		target = c.q.mine(f, c.within)
	}
	partly := len(target) < all
	if c.scope() == nil {
		target = f.state.Pending()
	}
	elsewhere = covered < len(target)
	skip, pending := c.judge(f.state, queues, elsewhere, partly)
	switch {
	case skip == "" && len(target) == 0 && c.scope() != nil && all > 0:
		skip = skipGone // to another queue
	case skip == "" && partly && c.o.Verb == Remove:
		skip = c.doom(f, target)
	}
	c.count(skip, pending, len(target))
	if skip != "" {
		c.q.putBack(items, f.state.Done)
		return false
	}
	wasPoison := f.state.Standing.Poison
	s, kind := c.standing(f.state.Standing)
	if partly && c.o.Verb == Remove {
		s = f.state.Standing // it is not removed as a whole
	}
	events := c.q.order(f, s, kind, c.o.By)
	if c.o.Verb == Resubmit {
		c.q.forget(f, target)
	}
	c.unsaved = c.unsaved || len(f.unsaved) > 0
	if c.o.Verb == Redirect || c.o.Verb == Resubmit && elsewhere {
		f.orders++ // for what is in flight
	}
	unparked := wasPoison && len(f.state.Pending()) == 0 // a notification is owed
	c.q.tell(append(events, c.treat(f, items)...))
	if len(f.state.Pending()) == 0 && s.Removal == message.RemovalQuiet && wasPoison {
		if list := append(owed(f.envelope, f.state, dsn.Failure), owed(f.envelope, f.state, dsn.Relayed)...); len(list) > 0 {
			c.q.tell(c.q.conclude(f, &message.Update{At: c.q.wall(), Notified: list}, routing.NextHop{}))
		}
	}
	if unparked {
		c.q.mu.Lock()
		c.q.addChore(chore{due: c.q.now(), kind: choreNotify, id: f.id})
		c.q.mu.Unlock()
	}
	return elsewhere
}

// standing is what the order makes of a message's standing.
func (c *carrying) standing(s message.Standing) (message.Standing, EventKind) {
	switch c.o.Verb {
	case Suspend:
		s.Suspended = true
		return s, MessageSuspended
	case Resume:
		s.Suspended, s.Poison, s.Panics = false, false, 0
		return s, Resumed
	case Resubmit:
		s.Redirect = ""
		return s, Resubmitted
	case Redirect:
		s.Redirect = c.redirect
		return s, Redirected
	case Remove:
		s.Removal = message.RemovalQuiet
		if c.o.WithNDR {
			s.Removal = message.RemovalTold
		}
		s.Poison, s.Suspended = false, false
	}
	return s, 0
}

// treat does with pulled items what the order, or an earlier one, asks for.
// Called with f.mu held.
func (c *carrying) treat(f *flight, items []pulled) (events []Event) {
	for i := range items {
		p := &items[i]
		next, more := c.item(f, p.d, p.it)
		events = append(events, more...)
		c.q.unpin(p.d, next)
	}
	return events
}

func (c *carrying) item(f *flight, d *destination, it item) (next *item, events []Event) {
	q := c.q
	list, events := q.spare(f, d, q.mine(f, d))
	switch {
	case len(list) == 0:
		return nil, events
	case f.ordered():
		// Where it is routed to while it is suspended, it will be when resumed.
		if c.o.Verb == Redirect {
			it.gen = 0
		}
		next, more := q.obey(f, d, it, list)
		return next, append(events, more...)
	}
	q.mu.Lock()
	stale := it.gen != q.gen
	it.granted = it.arrived+int64(q.schedule.expiration) <= q.now() && c.o.Verb == Resume
	q.mu.Unlock()
	it.suspended, it.due = false, q.now()
	switch {
	case d == q.submission:
	case c.o.Verb == Redirect, c.o.Verb == Resubmit, c.o.Verb == Resume && (stale || d == q.poison):
		next, list, events = q.renew(f, d, &it, list)
		if len(list) == 0 {
			return next, events
		}
	}
	if c.o.Verb != Suspend && c.o.Verb != Remove {
		q.mu.Lock()
		d.probe(q.now())
		q.mu.Unlock()
	}
	return &it, events
}
