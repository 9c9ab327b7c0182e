package queue

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"postern/internal/message"
	"postern/routing"
)

// Status is what a delivery queue is doing (Exchange's queue status).
type Status string

// The statuses of a delivery queue.
const (
	Active     Status = "active"     // delivering, or waiting for a free worker
	Connecting Status = "connecting" // attempts are under way, and none has come to its end at a host yet
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
	// WaitsFor names the limit of its Send connector that the queue waits for,
	// such as `message_rate_limit (60 a minute) of send connector "Internet"`;
	// empty when messages wait for none.
	WaitsFor string
	// NextDue is when a message is tried next, as far as the clock decides; zero
	// when none waits for it.
	NextDue time.Time
	// LastError is why nothing leaves, and LastErrorAt when it was met: in Retry
	// the error of the next hop, else the reply by which a message was last put
	// off, of at most some hundred octets, until something is delivered. The
	// Unreachable queue has the router's answer, without a time.
	LastError   message.Reply
	LastErrorAt time.Time
	// What follows is of a queue in Retry: the failures in a row, the first and
	// the last of them, and when the next try is due.
	RetryCount int
	FirstRetry time.Time
	LastRetry  time.Time
	NextRetry  time.Time
}

// Snapshot describes all delivery queues, ordered by name, then Submission,
// Unreachable and Poison, each only when it holds something or is suspended. A
// suspended queue that has been empty since the start has a Name and no Hop. It
// looks at every queued message: about a millisecond for a million.
func (q *Queue) Snapshot() []QueueInfo {
	q.mu.Lock()
	list := make([]QueueInfo, 0, len(q.destinations)+1)
	now := q.now()
	for _, d := range q.destinations {
		list = append(list, q.describe(d, now))
	}
	for name := range q.holds {
		if q.named(name) == nil {
			list = append(list, QueueInfo{Name: name, Suspended: true, Status: Suspended})
		}
	}
	var last []QueueInfo
	for _, d := range q.specials() {
		if i := q.describe(d, now); i.Messages > 0 || i.Suspended {
			last = append(last, i)
		}
	}
	q.mu.Unlock()
	for i := range list {
		if list[i].Name == "" {
			list[i].Name = list[i].Hop.String()
		}
	}
	slices.SortFunc(list, func(a, b QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return append(list, last...)
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
	} else if at := d.readyAt(&q.schedule, now); at != never {
		i.NextDue = q.wallTime(at)
	}
	if d.gate != nil && d.ring == &d.gate.waiting {
		if at, ok := q.shut[d.gate]; ok {
			i.NextDue = q.wallTime(at)
		}
	}
	i.Window = d.limit(&q.schedule)
	i.WaitsFor = d.waitsFor(&q.schedule, now)
	i.IncomingRate, i.OutgoingRate = d.rates.perSecond(now)
	i.Velocity = i.OutgoingRate - i.IncomingRate
	if t := d.trouble; t != nil {
		i.LastError = t.reply
		if t.first != 0 {
			i.FirstRetry, i.LastRetry = q.wallTime(t.first), q.wallTime(t.last)
			i.LastErrorAt = i.LastRetry
		}
	} else if t := d.deferral; t != nil {
		i.LastError, i.LastErrorAt = t.reply, q.wallTime(t.last)
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
	case d.readyAt(s, now) <= now:
		return Active
	}
	return Ready
}

// counters count since the start.
type counters struct {
	submitted, delivered, deferrals, failed, expired atomic.Uint64
	notifications, suppressed                        atomic.Uint64
	saveFailures, loadFailures, panics               atomic.Uint64
	messages                                         atomic.Int64 // that are not finished
}

// Stats are figures for metrics. The first block is the present, the second
// counts since the start.
type Stats struct {
	// Queues are delivery queues, InRetry those of them in Retry. Items are
	// messages, counted once for each delivery queue they stand in; InFlight,
	// Deferred and Unreachable are parts of Items. Messages counts each once.
	Queues, InRetry, Items, InFlight, Deferred, Unreachable, Messages int
	// Waiting is how many of those in flight have left their place among the
	// deliveries that may run, while they wait for what they share with others: a
	// connection to a host, an answer of the DNS.
	Waiting int
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
	s.Queues, s.Items, s.InFlight, s.Wakeups = len(q.destinations), q.items, q.busy+q.away, q.wakeups
	s.Waiting = q.away
	// Not those of which only a notification is owed.
	s.Messages = min(max(int(q.counters.messages.Load()), 0), q.items)
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
