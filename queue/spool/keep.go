package spool

import "time"

// Most content is wanted as soon as it is stored, by who delivers it. Small
// content therefore stays in the memory that it came in until it is opened for
// the first time, and need not be read back and verified.
const (
	// maxKept bounds the buffers of what is kept, in octets. They count as
	// drafts do, and are an eighth of BodyBudget at most.
	maxKept = 8 << 20
	// maxKeptFor is how long content is kept that nobody opens.
	maxKeptFor = 2 * time.Second
)

// keeper knows whose content is kept, the oldest first, with those among them
// whose content is not there any more. The store's mutex guards it.
type keeper struct {
	octets int64
	list   []*cached
}

// keep takes over the content of a message that has just become durable, if
// there is room.
func (s *Store) keep(h *cached, r *request, now time.Time) {
	if len(r.body) == 0 || len(r.body) > wholeRead {
		return
	}
	k := &s.kept
	for len(k.list) > 0 && (k.list[0].body == nil || now.Sub(k.list[0].keptAt) > maxKeptFor) {
		s.buffers.put(s.takeKept(k.list[0])[:0])
		k.list[0] = nil
		k.list = k.list[1:]
	}
	n := int64(cap(r.body))
	if k.octets+n > min(maxKept, s.o.BodyBudget/8) {
		return
	}
	k.octets += n
	k.list = append(k.list, h)
	h.body, h.bodyCRC, h.keptAt, r.kept = r.body, r.header.bodyCRC, now, true
}

// takeKept returns the content of a message that is kept, and keeps it no longer.
// The buffer is the caller's.
func (s *Store) takeKept(h *cached) []byte {
	b := h.body
	h.body = nil
	s.kept.octets -= int64(cap(b))
	s.memory.Add(-int64(cap(b)))
	return b
}
