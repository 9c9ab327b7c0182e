package queue

import (
	"container/list"
	"context"

	"postern/internal/message"
)

// A delivery that waits for something that many share - a connection to a host,
// an answer of the DNS - leaves its place to others meanwhile: as a system call
// hands off its processor. It then counts neither as one of the deliveries that
// may run at a time nor behind its connector's gate, but stays in flight for its
// delivery queue, whose window has room for it. Before it goes on it takes both
// again, first that behind the gate, as an offered queue does, then that of a
// worker. Nobody who holds a place waits for one, so whoever waits gets one when
// another delivery ends or leaves.
const (
	// maxAway is how many deliveries may have left their places. One that waits
	// costs some 10 kB, most of it its goroutine's stack.
	maxAway = 10000
	// maxReturns is how many in a row who return get the place that is free,
	// while a queue with nothing in flight could have it.
	maxReturns = 4
)

// seat is a delivery in the hands of the Deliverer. It is a message.Place.
type seat struct {
	q    *Queue
	d    *destination
	open opened
	message.Delivery

	// away: the place is left. It is the delivery's own as long as that does
	// not wait in Return, then Queue.mu guards it, as it does what follows.
	away bool
	// passed: while away, the delivery has its place behind the gate again.
	passed bool
	at     *list.Element
	in     *list.List    // where it waits, nil when it does not
	turn   chan struct{} // told when it has a place
}

// content opens the content.
func (p *seat) content() (message.Content, error) { return p.open.add(p.q.store.Content(p.ID)) }

// newSeat is for the delivery of a message that has a worker.
func (q *Queue) newSeat(f *flight, d *destination, recipients []int) *seat {
	p := &seat{q: q, d: d}
	p.Delivery = message.Delivery{ID: f.id, Envelope: f.envelope, Recipients: recipients, Size: f.size, Open: p.content, Place: p}
	return p
}

// Waiting implements message.Backlog.
func (p *seat) Waiting() int {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	return len(p.d.items)
}

// Leave implements message.Place.
func (p *seat) Leave() bool {
	q := p.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.away || q.away >= maxAway {
		return false
	}
	p.away = true
	q.away++
	q.workers--
	q.busy--
	p.d.away++
	q.end(p.d, q.now())
	q.startWorkers()
	return true
}

// Return implements message.Place.
func (p *seat) Return(ctx context.Context) {
	q := p.q
	q.mu.Lock()
	if !p.away {
		q.mu.Unlock()
		return
	}
	q.comeBack(p)
	q.resume()
	if !p.away {
		q.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	p.turn = turn
	q.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
		p.claim()
	}
}

// claim takes the place again at once, whether there is one or not: the
// delivery is to end.
func (p *seat) claim() {
	q := p.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if !p.away {
		return
	}
	p.stand(nil)
	if !p.passed {
		q.pass(p)
	}
	q.sit(p)
}

// stand makes a delivery wait at the end of a list, or nowhere.
func (p *seat) stand(in *list.List) {
	if p.in != nil {
		p.in.Remove(p.at)
	}
	p.in, p.at = in, nil
	if in != nil {
		p.at = in.PushBack(p)
	}
}

// comeBack makes a delivery wait for its place behind the gate, or for that of a
// worker. Called with mu held.
func (q *Queue) comeBack(p *seat) {
	if g := p.d.gate; g != nil && g.full() {
		p.stand(&g.returning)
		return
	}
	q.pass(p)
	p.stand(&q.returning)
}

// pass gives a delivery that is away its place behind the gate. Called with mu
// held.
func (q *Queue) pass(p *seat) {
	p.passed = true
	p.d.away--
	if p.d.gate != nil {
		p.d.gate.active++
	}
}

// sit gives a delivery that has passed the gate the place of a worker. Called
// with mu held.
func (q *Queue) sit(p *seat) {
	q.away--
	q.workers++
	q.busy++
	p.away, p.passed = false, false
	if p.turn != nil {
		close(p.turn)
		p.turn = nil
	}
}

// resume gives places that are free to the deliveries that return, before
// anything new is begun: they may hold others up. But queues with nothing in
// flight have a part of the places, as long as there are any. Called with mu
// held.
func (q *Queue) resume() {
	for q.returning.Len() > 0 && q.busy < q.mayRun() {
		if q.returns >= maxReturns {
			if d := q.next(); d != nil && d.ring != &q.more {
				return // and its worker, once it has begun, comes here again
			}
		}
		q.returns++
		p := q.returning.Front().Value.(*seat)
		p.stand(nil)
		q.sit(p)
	}
}

// returnGate lets those through a gate who return. Called with mu held.
func (q *Queue) returnGate(g *gate) {
	for g.returning.Len() > 0 && !g.full() {
		p := g.returning.Front().Value.(*seat)
		q.pass(p)
		p.stand(&q.returning)
	}
	q.resume()
}

// deliver hands a message to the Deliverer. When that panics, the report says
// that nothing is known of the recipients.
func (q *Queue) deliver(f *flight, d *destination, recipients []int) (r message.Report, c *caught) {
	p := q.newSeat(f, d, recipients)
	defer func() {
		if v := recover(); v != nil {
			c = newCaught("delivery", v)
			p.open.closeAll()
			r = message.Report{Outcomes: []message.Outcome{{Recipients: recipients, Status: message.Deferred, Reply: replyPanic}}}
		}
		if p.away {
			p.claim()
		}
	}()
	return q.deliverer.Deliver(q.ctx, d.hop, &p.Delivery), nil
}
