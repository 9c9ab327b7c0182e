package queue

import (
	"slices"
	"time"
)

// enqueue makes an item wait in d, or hands it to a clerk when its time is up.
// Called with mu held.
func (q *Queue) enqueue(d *destination, it item, now int64) {
	it.granted = it.granted && !d.unreachable
	if d.deadline(&it, &q.schedule) <= now {
		if q.overdue(d, &it, now) {
			q.settle(d, now)
			return
		}
	}
	switch {
	case it.suspended || d.parked:
		it.due = never
		if d == q.submission && !d.suspended && q.phase == running {
			q.addChore(chore{due: now, kind: choreSubmit}) // it was resumed just now
		}
	case d.unreachable:
		it.due = int64(it.gen)
		if it.gen != q.gen && q.phase == running && !d.suspended {
			// The router was changed after it was asked about this message.
			q.addChore(chore{due: now, kind: choreReroute})
		}
	}
	d.push(it, &q.schedule)
	if d.special == "" && q.stale(d, &it) && it.due > now && q.phase == running {
		q.walkLater(d, now)
	}
	q.settle(d, now)
	q.startWorkers()
}

// overdue deals with an item whose deadline has passed. An expired one goes to
// a clerk, and true is returned; for the others the delay notification is
// ordered, and they go on waiting. Called with mu held.
func (q *Queue) overdue(d *destination, it *item, now int64) (taken bool) {
	if q.schedule.expired(it, now) && !d.suspended {
		d.pins++
		q.addChore(chore{due: now, kind: choreExpire, id: it.id, dest: d, item: *it})
		return true
	}
	it.delayTold = true
	q.addChore(chore{due: now, kind: choreDelay, id: it.id, dest: d, item: *it})
	return false
}

// settle puts a destination where it belongs after a change: into a ring when
// something can be tried now, else on the clock for when something can. Called
// with mu held.
func (q *Queue) settle(d *destination, now int64) {
	key := d.readyAt(&q.schedule, now)
	if key <= now {
		q.enterRing(d, now)
		key = never
	} else {
		q.leaveRing(d, now)
	}
	switch {
	case len(d.items) > 0:
		key = min(key, d.sweepAt)
		d.idleSince = 0
	case len(d.active) > 0 || d.pins > 0 || d.special != "" || d.suspended:
		d.idleSince = 0
	default:
		d.deferral = nil
		if d.idleSince == 0 {
			d.idleSince = now
		}
		key = d.forgotten()
	}
	q.clock.set(d, key)
	q.wakeBy(key)
}

// wakeBy makes the timekeeper look no later than at the given time. Called with
// mu held.
func (q *Queue) wakeBy(at int64) {
	if at >= q.armed {
		return
	}
	q.armed = at
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// keepTime is the timekeeper: the one timer of the queue.
func (q *Queue) keepTime() {
	defer q.done.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-q.stop:
			return
		case <-q.kick:
		case <-timer.C:
		}
		q.mu.Lock()
		now := q.now()
		q.wakeups++
		q.tick(now)
		next := never
		if len(q.clock) > 0 {
			next = min(next, q.clock[0].key)
		}
		if len(q.chores) > 0 && q.chores[0].due > now {
			next = min(next, q.chores[0].due)
		}
		if len(q.idlers) > 0 {
			next = min(next, q.dismissAt)
		}
		next = min(next, q.openGates(now))
		q.armed = next
		q.mu.Unlock()
		timer.Reset(time.Duration(next - now))
	}
}

// tick does everything whose time has come, or a good part of it, and what is
// left the next time, so that others get the lock in between. Called with mu
// held.
func (q *Queue) tick(now int64) {
	for seen := 0; len(q.clock) > 0 && q.clock[0].key <= now && seen < tickBatch; seen++ {
		d := q.clock[0]
		if len(d.items) > 0 && d.sweepAt <= now {
			seen += len(d.items) / 10 // a look at an item costs that much less
			d.sweep(now, &q.schedule, func(it *item) bool { return q.overdue(d, it, now) })
		}
		if d.idleSince != 0 && d.forgotten() <= now {
			q.clock.set(d, never)
			// A walk may bring back one that was forgotten and made anew.
			if q.destinations[d.hop] == d {
				delete(q.destinations, d.hop)
			}
			continue
		}
		q.settle(d, now)
	}
	q.openGates(now)
	q.startClerks(now)
	q.startWorkers()
	if len(q.idlers) > 0 && q.dismissAt <= now {
		q.dismiss(false)
		q.dismissAt = now + int64(workerMaxIdle)
	}
}

// next chooses the delivery queue whose turn it is: those with nothing in
// flight first, then the others while enough workers are left for the former.
// Of the former, those whose next hop answered last stand in line with those of
// which that is not so, or not known, as long as enough workers are left for
// what will be done soon. Called with mu held.
func (q *Queue) next() *destination {
	if q.phase != running || q.alone || q.unsaved >= maxUnsaved || q.busy >= q.mayRun() {
		return nil
	}
	reserve := min(q.schedule.reserve, q.mayRun()/reservedPart)
	doubt := !q.doubtful.empty() && q.busy < q.mayRun()-reserve/2
	switch {
	case !q.fresh.empty() && (!doubt || q.fresh.head.stands < q.doubtful.head.stands):
		return q.fresh.head
	case doubt:
		return q.doubtful.head
	case !q.more.empty() && q.busy < q.mayRun()-reserve:
		return q.more.head
	}
	return nil
}

// startWorkers wakes or starts a worker when there is something to do. That
// worker starts the next one. Called with mu held.
func (q *Queue) startWorkers() {
	q.resume()
	if q.workers >= q.schedule.workers || q.next() == nil {
		return
	}
	q.workers++
	if n := len(q.idlers); n > 0 {
		q.idlers[n-1] <- true
		q.idlers = q.idlers[:n-1]
		q.leastIdle = min(q.leastIdle, n-1)
		return
	}
	q.done.Add(1)
	go q.work()
}

// dismiss ends idle workers: all of them, or those that there was no need of
// since the last call. Called with mu held.
func (q *Queue) dismiss(all bool) {
	n := q.leastIdle
	if all {
		n = len(q.idlers)
	}
	for _, c := range q.idlers[:n] {
		c <- false
	}
	q.idlers = slices.Delete(q.idlers, 0, n)
	q.leastIdle = len(q.idlers)
}

// rest puts a worker to those that wait. Called with mu held.
func (q *Queue) rest(more chan bool) {
	if len(q.idlers) == 0 {
		q.leastIdle, q.dismissAt = 0, q.now()+int64(workerMaxIdle)
		q.wakeBy(q.dismissAt)
	}
	q.idlers = append(q.idlers, more)
}

// work delivers what is ready, and waits for more when nothing is: a goroutine
// that has grown its stack once is cheaper than a new one for each message.
func (q *Queue) work() {
	defer q.done.Done()
	more := make(chan bool, 1)
	q.mu.Lock()
	for {
		d, it, epoch, ok := q.take()
		if !ok {
			q.workers--
			q.resume()
			stop := q.phase != running
			if !stop {
				q.rest(more)
			}
			q.mu.Unlock()
			if stop || !<-more {
				return
			}
			q.mu.Lock()
			continue
		}
		q.startWorkers()
		q.mu.Unlock()
		q.attempt(d, it, epoch)
		q.mu.Lock()
	}
}

// take takes the next item to be tried and counts it as in flight. Called with
// mu held.
func (q *Queue) take() (d *destination, it item, epoch uint32, ok bool) {
	now := q.now()
	for {
		d := q.next()
		if d == nil {
			return nil, item{}, 0, false
		}
		if d.readyAt(&q.schedule, now) > now {
			q.settle(d, now)
			continue
		}
		q.returns = 0
		d.ring.remove(d)
		if d.offered { // its place at the gate becomes that of the delivery
			d.offered = false
			d.gate.offered--
		}
		d.begin(now)
		it := d.pop()
		d.active = append(d.active, it)
		q.busy++
		q.settle(d, now)
		return d, it, d.epoch, true
	}
}

// land ends an attempt. The item goes on waiting when next is not nil.
func (q *Queue) land(d *destination, it item, next *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	d.finish(it.id)
	q.busy--
	q.end(d, now)
	if q.returning.Len() > 0 {
		q.startWorkers()
	}
	if next == nil {
		q.items--
		d.rates.left(now)
		q.settle(d, now)
		return
	}
	q.enqueue(d, *next, now)
}
