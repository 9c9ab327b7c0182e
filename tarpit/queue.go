package tarpit

import (
	"container/list"
	"sync"
)

// Queue holds the sessions whose replies are held back, the one that waits
// longest first, and bounds their number. The zero value takes nobody; see
// NewQueue. All methods may be called concurrently.
type Queue struct {
	size int

	mu      sync.Mutex
	waiting list.List // of *Place
}

// Place is that of one session in a Queue.
type Place struct {
	letGo   func()
	element *list.Element // nil once it has left
}

// NewQueue returns a queue of at most size sessions.
func NewQueue(size int) *Queue { return &Queue{size: size} }

// Enter adds a session. When there are too many, those that wait longest leave
// and their letGo is called, perhaps for the new one itself. letGo must not
// wait.
func (q *Queue) Enter(letGo func()) *Place {
	p := &Place{letGo: letGo}
	q.mu.Lock()
	p.element = q.waiting.PushBack(p)
	var gone []*Place
	for q.waiting.Len() > q.size {
		first := q.waiting.Front().Value.(*Place)
		q.remove(first)
		gone = append(gone, first)
	}
	q.mu.Unlock()
	for _, p := range gone {
		p.letGo()
	}
	return p
}

// Leave takes a session out. It reports false when the session had been let go.
func (q *Queue) Leave(p *Place) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remove(p)
}

// Len returns how many sessions wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.Len()
}

// remove is called with the lock held.
func (q *Queue) remove(p *Place) bool {
	if p.element == nil {
		return false
	}
	q.waiting.Remove(p.element)
	p.element = nil
	return true
}
