package queue

// What back pressure asks of the queue, and what it may have.

// Lengths returns how many messages are queued in all, each counted once, and
// how many of them are not routed yet.
func (q *Queue) Lengths() (messages, submission int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	messages = min(max(int(q.counters.messages.Load()), 0), q.items)
	return messages, len(q.submission.items) + q.submission.pins
}

// Throttle lets no more deliveries run at a time than half of those that run
// now, one at least; again, half of those that run then. With off all may run
// that the settings allow.
func (q *Queue) Throttle(off bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if off {
		q.throttle = 0
		q.startWorkers()
		return
	}
	q.throttle = max(min(q.busy, q.mayRun())/2, 1)
}

// mayRun is how many deliveries may run at a time. Called with mu held.
func (q *Queue) mayRun() int {
	if q.throttle > 0 {
		return min(q.throttle, q.schedule.workers)
	}
	return q.schedule.workers
}
