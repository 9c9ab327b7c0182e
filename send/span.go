package send

import (
	"context"
	"sync"
)

// span is a context under which many deliveries run: that of the queue, which
// asks for all of them, ended by the Sender's own end too. A context derived for
// each delivery, and asked by each to watch its connection, would cost as much
// as a short read or write.
type span struct {
	outer <-chan struct{} // by which the caller's context is known again
	ctx   context.Context

	mu    sync.Mutex
	over  bool
	lines map[*line]struct{} // to be cut at the end
}

// under returns a span for the caller's context, and what to call when the
// delivery is over.
func (s *Sender) under(ctx context.Context) (sp *span, end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.span != nil && s.span.outer == ctx.Done() && s.span.ctx.Err() == nil {
		return s.span, func() {}
	}
	sp = &span{outer: ctx.Done(), lines: make(map[*line]struct{})}
	inner, cancel := context.WithCancel(ctx)
	sp.ctx = inner
	stop := context.AfterFunc(s.base, cancel)
	context.AfterFunc(inner, func() {
		stop()
		sp.end()
	})
	if s.span == nil || s.span.ctx.Err() != nil {
		s.span = sp
		return sp, func() {} // it ends with the caller's context, or the Sender
	}
	return sp, cancel
}

// end cuts all that is under way.
func (sp *span) end() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.over = true
	for l := range sp.lines {
		l.cut()
	}
	clear(sp.lines)
}

// watch makes the end of the span end whatever a line waits for, until leave.
func (sp *span) watch(l *line) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.over {
		l.cut()
		return
	}
	sp.lines[l] = struct{}{}
}

// leave ends watch, and reports whether the line was left alone.
func (sp *span) leave(l *line) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	_, alone := sp.lines[l]
	delete(sp.lines, l)
	return alone
}
