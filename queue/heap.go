package queue

import "postern/internal/message"

// item is a message in one delivery queue. There may be millions.
type item struct {
	id      message.ID
	due     int64 // nanoseconds since 1970; in the Unreachable queue the routing generation
	arrived int64 // nanoseconds since 1970
	gen     uint32
	// deferred says that an attempt was made, delayTold that the delay
	// notification is made or not wanted.
	deferred  bool
	delayTold bool
	// suspended says that it waits to be resumed, and is never due; granted that
	// it was resumed late and gets one try before it expires.
	suspended bool
	granted   bool
}

func (a *item) before(b *item) bool {
	return a.due < b.due || a.due == b.due && a.id < b.id
}

// dueHeap is a binary heap of items, the one due first on top. Its memory
// shrinks with it.
type dueHeap []item

func (h *dueHeap) push(it item) {
	*h = append(*h, it)
	h.up(len(*h) - 1)
}

func (h *dueHeap) pop() item {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	*h = s[:last]
	h.down(0)
	h.shrink()
	return top
}

// takeAt takes out the item at an index.
func (h *dueHeap) takeAt(i int) item {
	s := *h
	it := s[i]
	last := len(s) - 1
	s[i] = s[last]
	*h = s[:last]
	if i < last {
		h.up(i)
		h.down(i)
	}
	h.shrink()
	return it
}

func (h *dueHeap) shrink() {
	if n := len(*h); cap(*h) > 64 && n < cap(*h)/4 {
		*h = append(make(dueHeap, 0, cap(*h)/2), *h...)
	}
}

func (h dueHeap) up(i int) {
	it := h[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !it.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = it
}

func (h dueHeap) down(i int) {
	if i >= len(h) {
		return
	}
	it := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if r := child + 1; r < len(h) && h[r].before(&h[child]) {
			child = r
		}
		if !h[child].before(&it) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = it
}

// take takes out the items at the given places, which are in ascending order.
func (h *dueHeap) take(places []int) []item {
	s := *h
	taken := make([]item, len(places))
	for n, i := range places {
		taken[n] = s[i]
		// What moves down on its way lies before i, so that the places after it
		// stay right.
		s[i].due = -1 << 63
		h.up(i)
	}
	for range places {
		h.pop()
	}
	return taken
}

// order makes a heap of items in any order.
func (h dueHeap) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// remove takes out the items for which fn returns true. fn may change what does
// not concern their order.
func (h *dueHeap) remove(fn func(*item) bool) (taken []item) {
	s := *h
	kept := s[:0]
	for i := range s {
		if fn(&s[i]) {
			taken = append(taken, s[i])
			continue
		}
		kept = append(kept, s[i])
	}
	*h = kept
	if len(taken) > 0 {
		h.order()
		h.shrink()
	}
	return taken
}
