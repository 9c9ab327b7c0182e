package queue

// routeSubmitted routes a batch of the messages in the Submission queue and
// orders the next batch. They get there only while it is suspended.
func (q *Queue) routeSubmitted() {
	s := q.submission
	for range rerouteBatch {
		q.mu.Lock()
		if s.suspended || len(s.items) == 0 || q.phase != running {
			q.mu.Unlock()
			return
		}
		it := s.pop()
		s.pins++
		q.settle(s, q.now())
		q.mu.Unlock()
		q.rerouteItem(s, it)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addChore(chore{due: q.now(), kind: choreSubmit})
}
