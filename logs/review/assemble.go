package review

import (
	"cmp"
	"slices"
	"time"
)

// assembler puts parts of sessions together that lie in several blocks. Blocks
// come newest first, so that a session is whole as soon as its first line is
// found: that is what makes the order and bounds the memory. It belongs to one
// goroutine.
type assembler struct {
	m    *matcher
	open map[string]*pending
	// octets is how much of lines the pending sessions hold.
	octets int
	r      lineReader
	out    []*Session
}

// pending is the end of a session, as far as it was found.
type pending struct {
	part          // of all together, without format and lines
	parts []*part // the newest first
	size  int     // octets of their lines
}

const (
	// quietSpan is how long a session may say nothing before its beginning is
	// taken to be missing, milliseconds.
	quietSpan = int64(time.Hour / time.Millisecond)
	// maxPending is how many sessions may be open at one moment.
	maxPending = 30_000
	// maxPendingOctets is how many octets of lines they may hold together, and
	// maxSession one of them.
	maxPendingOctets = 16 << 20
	maxSession       = 2 * maxPart
)

// add takes the next older block, and returns the sessions that are whole now,
// newest first. The result is good until the next call.
func (a *assembler) add(b *parsed) []*Session {
	a.out = a.out[:0]
	for _, it := range b.items {
		if it.session != nil {
			a.out = append(a.out, it.session)
			continue
		}
		a.part(it.part)
	}
	if b.known {
		a.flush(func(p *pending) bool { return p.first-b.newest > quietSpan })
	}
	if len(a.open) > maxPending {
		a.flushNewest()
	}
	if a.octets > maxPendingOctets {
		a.shrink()
	}
	return a.out
}

// part takes a part of a session in front of what is there of it.
func (a *assembler) part(p *part) {
	o := a.open[p.id]
	if o == nil {
		o = &pending{part: *p}
		o.lines = nil
	} else {
		o.first, o.begins = p.first, p.begins
		o.count += p.count
		o.dropped += p.dropped
		o.high = max(o.high, p.high)
		o.hits |= p.hits
		o.ends = o.ends || p.ends
		a.octets -= o.size
		delete(a.open, p.id)
	}
	o.parts = append(o.parts, p)
	o.size += len(p.lines)
	if o.size > maxSession {
		o.trim(maxSession)
	}
	if p.begins {
		a.finish(o)
		return
	}
	if a.open == nil {
		a.open = make(map[string]*pending)
	}
	a.open[p.id] = o
	a.octets += o.size
}

// trim drops lines from the middle of a session until no more than limit octets
// are left.
func (p *pending) trim(limit int) {
	newest, size := 0, 0
	for newest < len(p.parts) && size+len(p.parts[newest].lines) <= limit/2 {
		size += len(p.parts[newest].lines)
		newest++
	}
	oldest := len(p.parts)
	for oldest > newest && size+len(p.parts[oldest-1].lines) <= limit {
		oldest--
		size += len(p.parts[oldest].lines)
	}
	for _, one := range p.parts[newest:oldest] {
		p.dropped += one.count - one.dropped
	}
	p.parts = slices.Delete(p.parts, newest, oldest)
	p.size = size
}

// shrink makes room when the open sessions hold too many lines together.
func (a *assembler) shrink() {
	for limit := maxSession / 2; a.octets > maxPendingOctets/2 && limit > 64; limit /= 2 {
		for _, p := range a.open {
			if p.size > limit {
				a.octets -= p.size
				p.trim(limit)
				a.octets += p.size
			}
		}
	}
}

// finish builds a session and puts it out if it is wanted.
func (a *assembler) finish(p *pending) {
	if !a.m.overall(p.hits, p.first, p.last) {
		return
	}
	b := newBuilder(a.m, p.id)
	var v view
	for _, one := range slices.Backward(p.parts) {
		for line := range lines(one.lines) {
			if a.r.parse(one.format, line, &v) {
				b.add(one.format, &v)
			}
		}
	}
	if s := b.finish(&p.part); s != nil {
		a.out = append(a.out, s)
	}
}

// flush puts out the pending sessions that are not to wait any longer for their
// beginning, newest first.
func (a *assembler) flush(over func(*pending) bool) {
	var list []*pending
	for id, p := range a.open {
		if over(p) {
			list = append(list, p)
			a.octets -= p.size
			delete(a.open, id)
		}
	}
	slices.SortFunc(list, func(a, b *pending) int {
		return cmp.Or(cmp.Compare(b.first, a.first), cmp.Compare(a.id, b.id))
	})
	for _, p := range list {
		a.finish(p)
	}
}

// flushNewest puts out those half of the pending sessions that have been quiet
// for longest.
func (a *assembler) flushNewest() {
	times := make([]int64, 0, len(a.open))
	for _, p := range a.open {
		times = append(times, p.first)
	}
	slices.Sort(times)
	middle := times[len(times)/2]
	a.flush(func(p *pending) bool { return p.first >= middle })
}

// rest puts out what has no beginning in the log.
func (a *assembler) rest() []*Session {
	a.out = a.out[:0]
	a.flush(func(*pending) bool { return true })
	return a.out
}
