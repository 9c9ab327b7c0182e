package queue

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// Status is what a delivery queue is doing (Exchange's queue status).
type Status string

// The statuses of a delivery queue.
const (
	Active     Status = "active"     // delivering, or waiting for a free worker
	Connecting Status = "connecting" // an attempt is under way that has reached no host yet
	Ready      Status = "ready"      // nothing is due; the Unreachable queue is always so
	Retry      Status = "retry"      // no host took a connection; nothing is tried before NextRetry
	Suspended  Status = "suspended"  // by an administrator: nothing of it is tried, or routed anew
)

// QueueInfo describes a delivery queue at one moment.
type QueueInfo struct {
	// Name is the next hop as text, or UnreachableName; Hop the next hop
	// itself, zero for Unreachable.
	Name   string
	Hop    routing.NextHop
	Status Status
	// Suspended: an administrator suspended the queue.
	Suspended bool
	// Messages counts the messages, InFlight those of them in the hands of a
	// worker, Deferred those that were tried before and wait.
	Messages int
	InFlight int
	Deferred int
	// Oldest is when the oldest message arrived; zero in an empty queue.
	Oldest time.Time
	// IncomingRate and OutgoingRate are messages per second over the last
	// minute, Velocity what the queue shrinks by: outgoing less incoming.
	IncomingRate, OutgoingRate, Velocity float64
	// Window is how many deliveries may run at a time now.
	Window int
	// NextDue is when a message is tried next, as far as the clock decides; zero
	// when none waits for it.
	NextDue time.Time
	// What follows is of a queue in Retry: the last error, the failures in a row,
	// the first and the last of them, and when the next try is due. The
	// Unreachable queue has a last error only.
	LastError  message.Reply
	RetryCount int
	FirstRetry time.Time
	LastRetry  time.Time
	NextRetry  time.Time
}

// Snapshot describes all delivery queues, ordered by name, the Unreachable queue
// last and only when it holds something. It looks at every queued message: about
// a millisecond for a million.
func (q *Queue) Snapshot() []QueueInfo {
	q.mu.Lock()
	list := make([]QueueInfo, 0, len(q.destinations)+1)
	now := q.now()
	for _, d := range q.destinations {
		list = append(list, q.describe(d, now))
	}
	unreachable := q.describe(q.unreachable, now)
	q.mu.Unlock()
	for i := range list {
		list[i].Name = list[i].Hop.String()
	}
	slices.SortFunc(list, func(a, b QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	if unreachable.Messages > 0 {
		list = append(list, unreachable)
	}
	return list
}

func (q *Queue) describe(d *destination, now int64) QueueInfo {
	i := QueueInfo{
		Hop: d.hop, Suspended: d.suspended, Status: d.status(&q.schedule, now),
		Messages: len(d.items) + len(d.active) + d.pins, InFlight: len(d.active), Deferred: d.deferred,
	}
	oldest := never
	for _, list := range [][]item{d.items, d.active} {
		for n := range list {
			oldest = min(oldest, list[n].arrived)
		}
	}
	if oldest != never {
		i.Oldest = q.wallTime(oldest)
	}
	if d.special != "" {
		i.Name = d.special
	} else if at := d.readyAt(&q.schedule); at != never {
		i.NextDue = q.wallTime(at)
	}
	i.Window = d.limit(&q.schedule)
	i.IncomingRate, i.OutgoingRate = d.rates.perSecond(now)
	i.Velocity = i.OutgoingRate - i.IncomingRate
	if t := d.trouble; t != nil {
		i.LastError = t.reply
		if t.first != 0 {
			i.FirstRetry, i.LastRetry = q.wallTime(t.first), q.wallTime(t.last)
		}
	}
	if d.failures > 0 {
		i.RetryCount, i.NextRetry = d.failures, q.wallTime(d.until)
	}
	return i
}

func (d *destination) status(s *schedule, now int64) Status {
	switch {
	case d.suspended:
		return Suspended
	case d.special != "":
		return Ready
	case len(d.active) > 0 && d.connected:
		return Active
	case len(d.active) > 0:
		return Connecting
	case d.failures > 0:
		return Retry
	case d.readyAt(s) <= now:
		return Active
	}
	return Ready
}

// MessageInfo describes one message.
type MessageInfo struct {
	spool.Entry
	// Queues names, for each recipient, the delivery queue that it stands in;
	// empty for those that are final.
	Queues []string
	// Status is that of the message as a whole, NextTry when one of its
	// recipients is tried next as far as the clock decides that, Expires when
	// it is given up; zero when they do not apply.
	Status           MessageStatus
	NextTry, Expires time.Time
	// Routes has, for each recipient still to be delivered, what the router says
	// of it now; zero for the others. Generation counts the configurations since
	// the start, beginning with 1.
	Routes     []routing.Decision
	Generation uint32
}

// Show describes one message with all its recipients. The error is the
// spool's: ErrNotFound when there is no such message.
func (q *Queue) Show(id message.ID) (MessageInfo, error) {
	f, err := q.acquire(id)
	if err != nil {
		return MessageInfo{}, err
	}
	defer q.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	st := *f.state
	st.Recipients = slices.Clone(st.Recipients)
	st.Attempts = slices.Clone(st.Attempts)
	info := MessageInfo{Entry: spool.Entry{ID: id, Envelope: f.envelope, State: &st, Size: f.size}}
	info.Queues = make([]string, len(st.Recipients))
	pending := st.Pending()
	q.mu.Lock()
	router := q.settings.Router
	if split := q.splits[id]; split != nil {
		for _, i := range pending {
			info.Queues[i] = nameOf(split[i].hop)
		}
		pending = nil
	}
	q.mu.Unlock()
	groups, _, _ := routes(router, f.envelope, st.Standing.Redirect, pending)
	for _, g := range groups {
		for _, i := range g.recipients {
			info.Queues[i] = nameOf(g.hop)
		}
	}
	return info, nil
}

func nameOf(hop routing.NextHop) string {
	if hop == (routing.NextHop{}) {
		return UnreachableName
	}
	return hop.String()
}

// counters count since the start.
type counters struct {
	submitted, delivered, deferrals, failed, expired atomic.Uint64
	notifications, suppressed                        atomic.Uint64
	saveFailures, loadFailures, panics               atomic.Uint64
}

// Stats are figures for metrics. The first block is the present, the second
// counts since the start.
type Stats struct {
	// Queues are delivery queues, InRetry those of them in Retry. Items are
	// messages, counted once for each delivery queue they stand in; InFlight,
	// Deferred and Unreachable are parts of Items.
	Queues, InRetry, Items, InFlight, Deferred, Unreachable int
	// Wakeups is how often the queue looked what is due, since the start.
	Wakeups uint64
	// Rerouting is how many messages are still to be routed anew since the
	// settings changed, at most; those in the Unreachable queue are not counted.
	Rerouting int
	// Chores are pieces of work that wait for a clerk, Unsaved messages with
	// outcomes that could not be stored yet.
	Chores, Unsaved int

	// Submitted and Notifications count messages, the others recipients.
	Submitted, Delivered, Deferrals, Failed, Expired uint64
	Notifications, Suppressed                        uint64
	SaveFailures, LoadFailures, Panics               uint64
}

// Stats returns the figures. Its cost grows with the number of queues, not of
// messages.
func (q *Queue) Stats() Stats {
	c := &q.counters
	s := Stats{
		Submitted: c.submitted.Load(), Delivered: c.delivered.Load(), Deferrals: c.deferrals.Load(), Failed: c.failed.Load(), Expired: c.expired.Load(),
		Notifications: c.notifications.Load(), Suppressed: c.suppressed.Load(), SaveFailures: c.saveFailures.Load(), LoadFailures: c.loadFailures.Load(),
		Panics: c.panics.Load(),
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Queues, s.Items, s.InFlight, s.Wakeups = len(q.destinations), q.items, q.busy, q.wakeups
	s.Unreachable, s.Chores, s.Unsaved = len(q.unreachable.items), len(q.chores), q.unsaved
	s.Rerouting = q.walk.left()
	s.Deferred = q.unreachable.deferred
	for _, d := range q.destinations {
		s.Deferred += d.deferred
		if d.failures > 0 {
			s.InRetry++
		}
	}
	return s
}
