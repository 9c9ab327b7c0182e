package queue

import (
	"strings"
	"time"

	"golang.org/x/time/rate"

	"postern/internal/message"
	"postern/routing"
)

// destination is a delivery queue: everything that goes to one next hop, or
// everything that has none. All fields are guarded by Queue.mu.
type destination struct {
	hop routing.NextHop
	// unreachable marks the one queue of messages without next hop. Nothing in
	// it is ever ready, and its items' due is the routing generation that had
	// no answer for them.
	unreachable bool
	// special is the name of a queue without next hop. Of those that are parked,
	// Submission and Poison, nothing is ever ready or comes to its deadline.
	special string
	parked  bool
	// suspended: an administrator lets nothing out.
	suspended bool
	// granted says that an item may be there that has its last try before it.
	granted bool

	items    dueHeap
	active   []item // in flight
	away     int    // of active, those that have left their place behind the gate
	pins     int    // items with the clerks
	deferred int    // of items

	// failures counts the attempts in a row that reached no host; above zero
	// the queue is in Retry, nothing is tried before until and then one item at
	// a time. epoch grows when that state changes, so that attempts that were
	// under way together count as one.
	failures  int
	until     int64
	epoch     uint32
	connected bool // the latest attempt reached a host
	trouble   *trouble
	deferral  *trouble // why messages were deferred that a host was reached for

	window window
	rates  rates

	// fallback is when another Send connector takes over what can't be
	// delivered, as far as the router has said so of any message. forsook says
	// that all messages have been routed anew since it was to take over.
	fallback routing.Fallback
	forsook  bool

	// gate is that of its Send connector, nil when that has no limits; rate is
	// its own limit behind it. offered says that the gate has let it through to
	// where workers look.
	gate    *gate
	rate    *rate.Limiter
	offered bool

	// listed says that a walk is to come by, resubmitted is when all messages
	// were last routed anew because the queue was in Retry for so long.
	listed      bool
	resubmitted int64

	// sweepAt is when items have to be looked at for their deadlines: never
	// later than the earliest one, but for the pause that keeps sweeps cheap.
	sweepAt   int64
	lastSweep int64
	idleSince int64

	// key is when the timekeeper must look here next; place is its index in the
	// clock, -1 when it is not there.
	key   int64
	place int

	// ring, prev and next make the rings of ready queues.
	ring       *ring
	prev, next *destination
	stands     uint64 // since when, in the order of all
}

// trouble is what a queue in Retry tells an administrator.
type trouble struct {
	reply message.Reply
	first int64 // the queue's time
	last  int64
}

// limit is how many deliveries may run at a time.
func (d *destination) limit(s *schedule) int {
	switch {
	case d.special != "", d.suspended:
		return 0
	case d.failures > 0:
		return 1
	}
	return min(d.window.now(), d.most(s))
}

// readyAt is when the next item may be tried; never when something must happen
// before that can be said.
func (d *destination) readyAt(s *schedule, now int64) int64 {
	if len(d.items) == 0 || len(d.active) >= d.limit(s) {
		return never
	}
	at := d.itemDue()
	if d.rate == nil || at == never {
		return at
	}
	return max(at, opensAt(d.rate, 1, now))
}

// itemDue is when an item may be tried as far as its own clock and that of the
// next hop decide. There is one.
func (d *destination) itemDue() int64 {
	if d.failures > 0 {
		return max(d.until, d.items[0].due)
	}
	return d.items[0].due
}

// push adds an item that waits.
func (d *destination) push(it item, s *schedule) {
	d.items.push(it)
	d.granted = d.granted || it.granted
	if it.deferred {
		d.deferred++
	}
	// Deadlines that follow one another closely share a sweep.
	at := max(d.deadline(&it, s), d.lastSweep+d.pause())
	if len(d.items) == 1 {
		d.sweepAt = at
	} else {
		d.sweepAt = min(d.sweepAt, at)
	}
}

// pop takes the item that is due first.
func (d *destination) pop() item {
	it := d.items.pop()
	if it.deferred {
		d.deferred--
	}
	return it
}

// pause is the shortest time between two sweeps of the queue.
func (d *destination) pause() int64 { return int64(len(d.items)) * int64(sweepCost) }

// sweep shows fn the items whose deadline has passed, a batch at most; those
// that it takes leave the queue.
func (d *destination) sweep(now int64, s *schedule, fn func(*item) (taken bool)) {
	shown := 0
	taken := d.items.remove(func(it *item) bool {
		if shown == sweepBatch || d.deadline(it, s) > now {
			return false
		}
		shown++
		return fn(it)
	})
	for i := range taken {
		if taken[i].deferred {
			d.deferred--
		}
	}
	d.lastSweep = now
	d.sweepAt = never
	for i := range d.items {
		d.sweepAt = min(d.sweepAt, d.deadline(&d.items[i], s))
	}
	pause := d.pause()
	if shown == sweepBatch {
		pause /= 10 // there is more
	}
	d.sweepAt = max(d.sweepAt, now+max(pause, 1))
}

// finish takes an item out of those in flight.
func (d *destination) finish(id message.ID) {
	for i := range d.active {
		if d.active[i].id == id {
			last := len(d.active) - 1
			d.active[i] = d.active[last]
			d.active = d.active[:last]
			return
		}
	}
}

// fail records that an attempt begun in the given epoch reached no host, and
// returns when the queue tries again.
func (d *destination) fail(now int64, epoch uint32, reply message.Reply, atLeast time.Duration, s *schedule) int64 {
	d.connected = false
	if d.trouble == nil {
		d.trouble = &trouble{first: now}
	}
	if epoch == d.epoch {
		d.epoch++
		d.failures++
		d.until = d.beforeFallback(now, now+int64(s.wait(d.failures, atLeast)))
	}
	d.trouble.reply, d.trouble.last = reply, now
	return max(d.until, now)
}

// maxDeferral bounds the text of a deferral that is kept for a queue, in octets.
const maxDeferral = 500

// note keeps what a delivery met that did not bring the queue into Retry: the
// latest deferral until something is delivered.
func (d *destination) note(now int64, r *message.Report) {
	for i := range r.Outcomes {
		if r.Outcomes[i].Status == message.Delivered {
			d.deferral = nil
			return
		}
	}
	reply := lastReply(r)
	if !reply.Temporary() {
		return
	}
	if len(reply.Text) > maxDeferral {
		reply.Text = strings.Clone(strings.ToValidUTF8(reply.Text[:maxDeferral], "")) + " ..."
	}
	d.deferral = &trouble{reply: reply, last: now}
}

// succeed records that an attempt reached a host: Retry ends at once, and the
// window is as at the beginning.
func (d *destination) succeed(s *schedule) {
	d.connected = true
	if d.failures == 0 {
		d.window.succeed(len(d.active), d.most(s))
		return
	}
	d.failures, d.until, d.trouble, d.window, d.forsook = 0, 0, nil, window{}, false
	d.epoch++
}

// probe lets a queue in Retry try once at once.
func (d *destination) probe(now int64) {
	if d.failures == 0 {
		return
	}
	d.until = min(d.until, now)
	// What waited for the queue may go with it.
	if len(d.items) > 0 && !d.items[0].suspended && d.items[0].due > now {
		d.items[0].due = now // stays on top: it was the earliest
	}
}

// ring is a list of ready queues that take turns.
type ring struct{ head, tail *destination }

func (r *ring) empty() bool { return r.head == nil }

func (r *ring) append(d *destination) {
	d.ring, d.prev, d.next = r, r.tail, nil
	if r.tail == nil {
		r.head = d
	} else {
		r.tail.next = d
	}
	r.tail = d
}

func (r *ring) remove(d *destination) {
	if d.prev == nil {
		r.head = d.next
	} else {
		d.prev.next = d.next
	}
	if d.next == nil {
		r.tail = d.prev
	} else {
		d.next.prev = d.prev
	}
	d.ring, d.prev, d.next = nil, nil, nil
}

// clock orders the destinations by key, the earliest on top.
type clock []*destination

// set gives a destination its key and puts it in its place; never takes it out.
func (c *clock) set(d *destination, key int64) {
	s := *c
	switch {
	case d.place < 0 && key == never:
		return
	case d.place < 0:
		d.key, d.place = key, len(s)
		*c = append(s, d)
		c.up(d.place)
	case key == never:
		i, last := d.place, len(s)-1
		s.swap(i, last)
		s[last] = nil
		*c = s[:last]
		d.place = -1
		if i < last {
			c.fix(i)
		}
	case key != d.key:
		d.key = key
		c.fix(d.place)
	}
}

func (c clock) swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].place, c[j].place = i, j
}

func (c clock) fix(i int) {
	c.up(i)
	c.down(i)
}

func (c clock) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if c[parent].key <= c[i].key {
			return
		}
		c.swap(i, parent)
		i = parent
	}
}

func (c clock) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(c) {
			return
		}
		if r := child + 1; r < len(c) && c[r].key < c[child].key {
			child = r
		}
		if c[i].key <= c[child].key {
			return
		}
		c.swap(i, child)
		i = child
	}
}
