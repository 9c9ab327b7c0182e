package queue

import (
	"math"
	"slices"

	"postern/internal/message"
)

// deadline is when something has to be done about an item that waits in d.
// While the queue is suspended nothing expires, but senders are told that their
// messages are late.
func (d *destination) deadline(it *item, s *schedule) int64 {
	if d.parked {
		return never
	}
	at := s.deadline(it)
	if d.suspended && at == it.arrived+int64(s.expiration) {
		return never
	}
	return at
}

// title is the queue's name.
func (d *destination) title() string {
	if d.special != "" {
		return d.special
	}
	return d.hop.String()
}

// every calls fn for all queues, those without next hop last. Called with mu
// held.
func (q *Queue) every(fn func(*destination)) {
	for _, d := range q.destinations {
		fn(d)
	}
	for _, d := range q.specials() {
		fn(d)
	}
}

func (q *Queue) specials() [3]*destination {
	return [3]*destination{q.submission, q.unreachable, q.poison}
}

// named returns the queue of a name, nil when there is none. Called with mu held.
func (q *Queue) named(name string) *destination {
	for _, d := range q.specials() {
		if d.special == name {
			return d
		}
	}
	for hop, d := range q.destinations {
		if n := len(hop.Connector); len(name) == n+1+len(hop.Domain) && name[:n] == hop.Connector && hop.String() == name {
			return d
		}
	}
	return nil
}

// pulled is an item in the hands of who carries out an order: taken out of its
// queue, and counted as one of its pins.
type pulled struct {
	d  *destination
	it item
}

// pull takes the waiting items of messages, whose ids are given in order, out
// of their queues, or out of one. What is in flight or with the clerks stays
// there. It looks at every item that waits: a few milliseconds for a million.
func (q *Queue) pull(ids []message.ID, in *destination) map[message.ID][]pulled {
	list := make(map[message.ID][]pulled, len(ids))
	if len(ids) == 0 {
		return list
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.every(func(d *destination) {
		if in != nil && d != in {
			return
		}
		for _, it := range d.pull(ids) {
			list[it.id] = append(list[it.id], pulled{d, it})
			d.pins++
		}
		if d.pins > 0 {
			q.settle(d, now)
		}
	})
	return list
}

// pull takes out the items of messages.
func (d *destination) pull(ids []message.ID) []item {
	first, last := ids[0], ids[len(ids)-1]
	var places []int
	for i := range d.items {
		id := d.items[i].id
		if id < first || id > last {
			continue
		}
		if _, ok := slices.BinarySearch(ids, id); ok {
			places = append(places, i)
		}
	}
	if len(places) == 0 {
		return nil
	}
	var taken []item
	if len(places) > len(d.items)/8 {
		taken = d.items.remove(func(it *item) bool {
			_, ok := slices.BinarySearch(ids, it.id)
			return ok
		})
	} else {
		taken = d.items.take(places)
	}
	for i := range taken {
		if taken[i].deferred {
			d.deferred--
		}
	}
	return taken
}

// place is where a message stands at one moment.
type place struct {
	queues      []*destination
	flying      []*destination // those in which it is in flight
	active      bool           // something of it is in flight
	expiring    bool           // its time runs
	unreachable bool           // all of it is in the Unreachable queue
	next        int64          // when something of it is tried; never when the clock does not decide that
	arrived     int64
	gen         uint32
}

// locate says where messages stand, whose ids are given in order. Those that
// stand nowhere are left out.
func (q *Queue) locate(ids []message.ID) map[message.ID]*place {
	list := make(map[message.ID]*place, len(ids))
	if len(ids) == 0 {
		return list
	}
	first, last := ids[0], ids[len(ids)-1]
	add := func(d *destination, it *item, active bool, next int64) {
		if it.id < first || it.id > last {
			return
		}
		if _, ok := slices.BinarySearch(ids, it.id); !ok {
			return
		}
		p := list[it.id]
		if p == nil {
			p = &place{unreachable: true, next: never, arrived: it.arrived}
			list[it.id] = p
		}
		p.queues = append(p.queues, d)
		if active {
			p.flying = append(p.flying, d)
		}
		p.active = p.active || active
		p.expiring = p.expiring || !d.parked && !d.suspended && !it.granted
		p.unreachable = p.unreachable && d.unreachable
		p.next, p.gen = min(p.next, next), max(p.gen, it.gen)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.every(func(d *destination) {
		floor, clocked := int64(math.MinInt64), d.special == "" && !d.suspended
		if d.failures > 0 {
			floor = d.until
		}
		for i := range d.items {
			next := never
			if clocked && !d.items[i].suspended {
				next = max(d.items[i].due, floor)
			}
			add(d, &d.items[i], false, next)
		}
		for i := range d.active {
			add(d, &d.active[i], true, never)
		}
	})
	for i := range q.chores {
		if c := &q.chores[i]; c.kind == choreExpire {
			add(c.dest, &c.item, false, never)
		}
	}
	for _, id := range ids { // with a clerk just now
		if q.flights[id] != nil && list[id] == nil {
			list[id] = &place{active: true, next: never}
		}
	}
	return list
}

// waiting lists the ids of messages after a given one, in order, at most so
// many; more says that there are others. With a queue it lists those in it.
func (q *Queue) waiting(in *destination, after message.ID, limit int) (ids []message.ID, more bool) {
	add := func(id message.ID) {
		if id > after {
			ids = append(ids, id)
		}
	}
	walk := func(d *destination) {
		if in != nil && d != in {
			return
		}
		ids = slices.Grow(ids, len(d.items)) // once for each large queue
		for i := range d.items {
			add(d.items[i].id)
		}
		for i := range d.active {
			add(d.active[i].id)
		}
	}
	q.mu.Lock()
	if in != nil {
		walk(in)
	} else {
		ids = make([]message.ID, 0, q.items)
		q.every(walk)
	}
	for i := range q.chores {
		if c := &q.chores[i]; c.kind == choreExpire && (in == nil || c.dest == in) {
			add(c.item.id)
		}
	}
	if in == nil {
		for id := range q.flights {
			add(id)
		}
	}
	q.mu.Unlock()
	return smallest(ids, limit)
}

// smallest returns the n smallest of ids, each once and in order. It may
// overwrite ids.
func smallest(ids []message.ID, n int) (list []message.ID, more bool) {
	for len(ids) > 4*n { // nearly always once or twice
		pivot := sample(ids, n)
		kept := ids[:0]
		was := len(ids)
		rest := false
		for _, id := range ids {
			if id <= pivot {
				kept = append(kept, id)
			} else {
				rest = true
			}
		}
		// The kept may be fewer than n, when the sample was odd: then the next
		// page goes on from there.
		ids, more = kept, more || rest
		if len(ids) == was {
			break
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > n {
		return ids[:n], true
	}
	return ids, more
}

// sample guesses an id that about 2n of the ids do not exceed.
func sample(ids []message.ID, n int) message.ID {
	const size = 1024
	some := make([]message.ID, size)
	for i := range some {
		some[i] = ids[i*len(ids)/size]
	}
	slices.Sort(some)
	return some[min(size-1, 2*n*size/len(ids)+1)]
}
