package queue

import (
	"fmt"
	"runtime/debug"
	"sync"

	"postern/internal/eventid"
	"postern/internal/message"
)

// poisonThreshold is at how many panics a message is parked (reference:
// Exchange's PoisonThreshold).
const poisonThreshold = 2

// replyPanic stands for recipients whose delivery panicked.
var replyPanic = message.Reply{Code: 451, Enhanced: [3]int{4, 3, 0}, Text: "Internal error; the delivery was broken off"}

// caught is a panic with a message in hand. Panics are caught where the queue
// calls others - the Deliverer, the Router, the making of a notification - and
// nowhere else: there no lock of the queue is left in an unknown state and no
// count half done. A panic of the queue itself ends the process.
type caught struct {
	during string
	value  any
	stack  []byte
}

func newCaught(during string, value any) *caught {
	return &caught{during, value, debug.Stack()}
}

func (c *caught) Error() string { return fmt.Sprintf("panic while %s: %v", c.during, c.value) }

// countPanic logs a panic with the message in hand, and counts it durably. At
// the threshold the message is poison from then on. Called with f.mu held.
func (q *Queue) countPanic(f *flight, c *caught) []Event {
	s := f.state.Standing
	s.Panics++
	poison := s.Panics >= poisonThreshold && !s.Poison
	s.Poison = s.Poison || poison
	q.counters.panics.Add(1)
	q.log.Error("panic with a message in hand", eventid.DeliveryPanic.Attr(), "id", f.id, "during", c.during, "panic", fmt.Sprint(c.value), "panics", s.Panics, "parked", s.Poison, "stack", string(c.stack))
	if f.state.Done {
		return nil
	}
	var kind EventKind
	if poison {
		kind = Poisoned
	}
	events := q.order(f, s, kind, "")
	if poison {
		// What waits elsewhere follows when a clerk comes by.
		q.mu.Lock()
		q.addChore(chore{due: q.now(), kind: chorePark, id: f.id})
		q.mu.Unlock()
	}
	return events
}

// notePanic counts a panic.
func (q *Queue) notePanic(f *flight, c *caught) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q.tell(q.countPanic(f, c))
}

// park brings all of a poison message that waits to the poison queue. One that
// has no recipients left, of which only a notification is owed, is put there
// too: otherwise nobody would find it.
func (q *Queue) park(f *flight) {
	items := q.pull([]message.ID{f.id}, nil)[f.id]
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range items {
		p := &items[i]
		next := &p.it
		list, events := q.spare(f, p.d, q.mine(f, p.d))
		switch {
		case len(list) == 0 && events != nil:
			next = nil
		case f.state.Standing.Poison:
			next, _ = q.obey(f, p.d, p.it, list)
		}
		q.tell(events)
		q.unpin(p.d, next)
	}
	if !f.state.Standing.Poison || f.state.Done || len(f.state.Pending()) > 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.poison.items {
		if q.poison.items[i].id == f.id {
			return
		}
	}
	q.items++
	q.enqueue(q.poison, item{id: f.id, arrived: q.arrival(f.envelope), gen: q.gen, delayTold: true}, q.now())
}

// opened are the contents that a delivery has opened.
type opened struct {
	mu   sync.Mutex
	list []message.Content
}

func (o *opened) add(c message.Content, err error) (message.Content, error) {
	if err == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.list = append(o.list, c)
	}
	return c, err
}

// closeAll closes what a delivery that panicked has left open, so that the
// store is not held up by it.
func (o *opened) closeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.list {
		_ = c.Close()
	}
}
