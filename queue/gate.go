package queue

import (
	"container/list"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"postern/config"
)

// gate is what a Send connector with limits of its own lets through: so many
// deliveries at a time, so many in a minute. Its delivery queues that have
// something ready wait behind it in turn, one after the other, and as many of
// them as there is room for are offered to the workers. So no worker ever waits
// for a limit, and no queue for another of the same connector that is longer.
// All fields are guarded by Queue.mu.
type gate struct {
	connector string
	limit     int           // deliveries at a time
	perMinute int64         // deliveries in a minute; zero: any number
	rate      *rate.Limiter // the same; nil: any number
	// queueLimit and queueMinute are the same for each delivery queue; zero: as
	// many as [queue] has, any number.
	queueLimit  int
	queueMinute int64

	active  int  // deliveries under way
	offered int  // of its queues that stand where workers look
	waiting ring // the others that have something ready
	// returning are deliveries that had left their places; *place.
	returning list.List
}

// newGate makes the gate of a connector, nil when it has no limits beyond that
// of every delivery queue.
func newGate(c *config.SendConnector, perQueue int) *gate {
	g := &gate{connector: c.Name, limit: maxWorkers,
		perMinute: perMinute(c.MessageRateLimit), queueMinute: perMinute(c.MessageRateLimitPerDomain)}
	if n := c.MaxConnections; n > 0 {
		g.limit = int(min(n, maxWorkers))
	}
	if n := c.MaxConnectionsPerDomain; n > 0 {
		g.queueLimit = int(min(n, maxWorkers))
	}
	if g.queueLimit == perQueue {
		g.queueLimit = 0
	}
	g.rate = newLimiter(g.perMinute)
	if g.limit == maxWorkers && g.queueLimit == 0 && g.perMinute == 0 && g.queueMinute == 0 {
		return nil
	}
	return g
}

func perMinute(limit int64) int64 {
	if limit < 0 || limit == config.Unlimited {
		return 0
	}
	return limit
}

// newLimiter spreads deliveries evenly; what a second's worth is may go at once.
func newLimiter(perMinute int64) *rate.Limiter {
	if perMinute == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(perMinute)/time.Minute.Seconds()), int(max(perMinute/60, 1)))
}

// opensAt is when a limiter lets another n deliveries through.
func opensAt(l *rate.Limiter, n int, now int64) int64 {
	if l == nil {
		return now
	}
	missing := float64(n) - l.TokensAt(time.Unix(0, now))
	if missing <= 0 {
		return now
	}
	return now + max(int64(missing/float64(l.Limit())*float64(time.Second)), int64(time.Millisecond))
}

// spend takes a delivery out of a limiter.
func spend(l *rate.Limiter, now int64) {
	if l != nil {
		l.ReserveN(time.Unix(0, now), 1)
	}
}

// full says that a delivery must end before another queue is let through.
func (g *gate) full() bool { return g.active+g.offered >= g.limit }

// opens is when the gate lets another queue through: now, later, or never when
// a delivery must end before.
func (g *gate) opens(now int64) int64 {
	if g.full() {
		return never
	}
	return opensAt(g.rate, g.offered+1, now)
}

// reason says which limit of the connector a queue behind the gate waits for.
func (g *gate) reason() string {
	if g.full() {
		return fmt.Sprintf("max_connections (%d) of send connector %q", g.limit, g.connector)
	}
	return fmt.Sprintf("message_rate_limit (%d a minute) of send connector %q", g.perMinute, g.connector)
}

// openGate offers as many queues to the workers as the gate lets through. Called
// with mu held.
func (q *Queue) openGate(g *gate, now int64) {
	if g == nil {
		return
	}
	delete(q.shut, g)
	q.returnGate(g)
	for !g.waiting.empty() {
		at := g.opens(now)
		if at > now {
			if at != never {
				q.shut[g] = at
				q.wakeBy(at)
			}
			return
		}
		d := g.waiting.head
		g.waiting.remove(d)
		d.offered = true
		g.offered++
		q.line(d)
		q.startWorkers()
	}
}

// openGates looks at the gates whose time has come, and returns when the next
// one's does. Called with mu held.
func (q *Queue) openGates(now int64) (next int64) {
	for g, at := range q.shut {
		if at <= now {
			q.openGate(g, now)
		}
	}
	next = never
	for _, at := range q.shut {
		next = min(next, at)
	}
	return next
}

// mainRing is where workers look for a ready queue.
func (q *Queue) mainRing(d *destination) *ring {
	switch {
	case len(d.active) > 0:
		return &q.more
	case d.connected:
		return &q.fresh
	}
	return &q.doubtful
}

// line puts a queue at the end of the ring where workers look for it. Called
// with mu held.
func (q *Queue) line(d *destination) {
	q.stands++
	d.stands = q.stands
	q.mainRing(d).append(d)
}

// enterRing puts a queue that is ready where it waits for a worker: at once, or
// behind its connector's gate. Called with mu held.
func (q *Queue) enterRing(d *destination, now int64) {
	gated := d.gate != nil && !d.offered
	to := q.mainRing(d)
	if gated {
		to = &d.gate.waiting
	}
	if d.ring == to {
		return
	}
	if d.ring != nil {
		d.ring.remove(d)
	}
	if !gated {
		q.line(d)
		return
	}
	to.append(d)
	q.openGate(d.gate, now)
}

// leaveRing takes a queue out of where it stands, and lets others take its
// place. Called with mu held.
func (q *Queue) leaveRing(d *destination, now int64) {
	if d.ring == nil {
		return
	}
	d.ring.remove(d)
	if d.offered {
		d.offered = false
		d.gate.offered--
		q.openGate(d.gate, now)
	}
}

// begin counts a delivery that begins. Called with mu held.
func (d *destination) begin(now int64) {
	spend(d.rate, now)
	if d.gate != nil {
		d.gate.active++
		spend(d.gate.rate, now)
	}
}

// end counts a delivery that has ended. Called with mu held.
func (q *Queue) end(d *destination, now int64) {
	if d.gate != nil {
		d.gate.active--
		q.openGate(d.gate, now)
	}
}

// useGates puts the connectors' limits in force for all queues. What has been
// spent of a rate that stays the same stays spent. Called with mu held.
func (q *Queue) useGates(connectors []config.SendConnector) {
	before := q.gates
	q.gates, q.shut = make(map[string]*gate), make(map[*gate]int64)
	for i := range connectors {
		g := newGate(&connectors[i], q.schedule.perQueue)
		if g == nil {
			continue
		}
		if old := before[g.connector]; old != nil && old.perMinute == g.perMinute {
			g.rate = old.rate
		}
		q.gates[g.connector] = g
	}
	if len(before)+len(q.gates) == 0 {
		return
	}
	var back []*seat
	for _, g := range before {
		for g.returning.Len() > 0 {
			p := g.returning.Front().Value.(*seat)
			p.stand(nil)
			back = append(back, p)
		}
	}
	now := q.now()
	for _, d := range q.destinations {
		if d.ring != nil {
			d.ring.remove(d)
		}
		d.offered = false
		q.bind(d)
		if d.gate != nil {
			d.gate.active += len(d.active) - d.away
		}
	}
	for _, p := range back {
		q.comeBack(p)
	}
	q.resume()
	for _, d := range q.destinations {
		q.settle(d, now)
	}
}

// bind puts a queue behind the gate of its connector. Called with mu held.
func (q *Queue) bind(d *destination) {
	var old int64
	if d.gate != nil {
		old = d.gate.queueMinute
	}
	d.gate = q.gates[d.hop.Connector]
	switch {
	case d.gate == nil:
		d.rate = nil
	case d.rate == nil || d.gate.queueMinute != old:
		d.rate = newLimiter(d.gate.queueMinute)
	}
}

// most is how many deliveries of the queue may ever run at a time.
func (d *destination) most(s *schedule) int {
	if d.gate != nil && d.gate.queueLimit > 0 {
		return d.gate.queueLimit
	}
	return s.perQueue
}

// waitsFor says which limit of its connector keeps a queue waiting that has
// something due; empty when none does.
func (d *destination) waitsFor(s *schedule, now int64) string {
	switch {
	case d.gate == nil || len(d.items) == 0:
		return ""
	case d.ring == &d.gate.waiting:
		return d.gate.reason()
	case d.ring == nil && len(d.active) < d.limit(s) && d.itemDue() <= now && opensAt(d.rate, 1, now) > now:
		return fmt.Sprintf("message_rate_limit_per_domain (%d a minute) of send connector %q", d.gate.queueMinute, d.gate.connector)
	case d.ring == nil && d.failures == 0 && d.itemDue() <= now && d.gate.queueLimit > 0 && len(d.active) >= d.gate.queueLimit:
		return fmt.Sprintf("max_connections_per_domain (%d) of send connector %q", d.gate.queueLimit, d.gate.connector)
	}
	return ""
}
