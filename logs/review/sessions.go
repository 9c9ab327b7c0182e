package review

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"postern/logs"
)

var _ Source = (*Files)(nil)

// Sessions returns the sessions that q chooses; see Source.
func (f *Files) Sessions(ctx context.Context, q *Query, p *Progress) iter.Seq2[*Session, error] {
	return func(yield func(*Session, error) bool) {
		var kinds []logs.Kind
		for _, d := range []logs.Direction{logs.Receive, logs.Send} {
			if q.wants(d) {
				kinds = append(kinds, d.Kind())
			}
		}
		sets := f.sets(kinds, p)
		if len(sets) == 0 {
			yield(nil, f.nothing(kinds))
			return
		}
		s := newScan(ctx, p, func() *scanner { return new(scanner) })
		defer s.close()
		streams := make([]*sessionStream, len(sets))
		for i, set := range sets {
			m := newMatcher(q, directionOf(set.kind))
			streams[i] = &sessionStream{
				q: q, assembler: assembler{m: m},
				blocks: blocks(s, set, q.Since, q.Until, func(w *scanner, b *block) *parsed { return w.read(m, b, p) }),
			}
		}
		for {
			newest := -1
			for i, st := range streams {
				if st.fill() && (newest < 0 || st.queue[0].Start.After(streams[newest].queue[0].Start)) {
					newest = i
				}
			}
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if newest < 0 || !yield(streams[newest].take(), nil) {
				return
			}
		}
	}
}

func directionOf(k logs.Kind) logs.Direction {
	if k == logs.SendProtocol {
		return logs.Send
	}
	return logs.Receive
}

// ErrNoLogs says that there are no log files of the kind asked for.
var ErrNoLogs = errors.New("no log files found")

// nothing says where logs of some kinds were looked for in vain.
func (f *Files) nothing(kinds []logs.Kind) error {
	var names, where []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	for _, pl := range f.places {
		for _, k := range kinds {
			if !pl.flat || pl.kind == k {
				where = append(where, pl.path)
				break
			}
		}
	}
	return fmt.Errorf("%w (%s) in %s", ErrNoLogs, strings.Join(names, ", "), strings.Join(where, ", "))
}

// sessionStream is the sessions of one set of files.
type sessionStream struct {
	q *Query
	assembler
	blocks <-chan *parsed
	queue  []*Session
	over   bool
}

// fill makes sure that there is a session in the queue, and reports whether
// there is.
func (s *sessionStream) fill() bool {
	for len(s.queue) == 0 && !s.over {
		b, ok := <-s.blocks
		switch {
		case !ok:
			s.over = true
			s.queue = s.rest()
		default:
			s.queue = s.add(b)
			s.over = s.past(b)
			if s.over {
				s.blocks = nil
			}
		}
	}
	return len(s.queue) > 0
}

// past reports whether all that comes is before Since.
func (s *sessionStream) past(b *parsed) bool {
	return !s.q.Since.IsZero() && b.known && len(s.open) == 0 && b.newest < s.q.Since.Add(-disorder).UnixMilli()
}

func (s *sessionStream) take() *Session {
	first := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return first
}
