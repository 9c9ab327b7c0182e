package queue

import (
	"time"

	"postern/internal/message"
)

// The queue keeps a time of its own: nanoseconds since 1970 as the wall clock
// had them when the Queue was made, and from there on as the monotonic clock
// goes. What waits in memory waits by it, so that a wall clock that is set, or a
// machine that slept, makes nothing late and nothing expire. Times on disk and
// times that people read are the wall clock's; they are turned into the queue's
// at the border, here.

// now is the queue's time.
func (q *Queue) now() int64 { return q.epoch.UnixNano() + int64(time.Since(q.epoch)) }

// wallTime is a moment of the queue's time by the wall clock as it goes now.
func (q *Queue) wallTime(at int64) time.Time {
	return q.wall().Round(0).Add(time.Duration(at - q.now()))
}

// arrival is the queue's time of a message's arrival. One that lies ahead, for
// the wall clock was set back since, counts as now.
func (q *Queue) arrival(e *message.Envelope) int64 {
	return q.now() - max(0, int64(q.wall().Sub(e.Arrived)))
}

func (q *Queue) expiration() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.schedule.expiration
}

// dueOf is the queue's time of a recipient's next try: at once without an
// outcome. When the wall clock was set back since the time was recorded, the
// interval counts from now.
func (q *Queue) dueOf(r *message.RecipientState) int64 {
	now := q.now()
	if r.Status == message.Pending || r.Due.IsZero() {
		return now
	}
	wait := r.Due.Sub(q.wall())
	if interval := r.Due.Sub(r.At); wait > interval && !r.At.IsZero() {
		wait = max(interval, 0)
	}
	return now + int64(wait)
}
