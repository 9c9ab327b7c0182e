package review

import (
	"context"
	"errors"
	"time"
)

// Collect adds up what a Query chooses, in one pass over the protocol logs and
// one over message tracking. Message tracking is left out where the Query asks
// for what it does not know. That one of the logs is missing is no error. Where
// the context ends, what was added until then is returned with its error.
func Collect(ctx context.Context, src Source, q *Query, zone *time.Location, p *Progress) (*Statistics, error) {
	s := NewStatistics(zone)
	withLines := *q
	withLines.Lines = true
	var missing error
	for v, err := range src.Sessions(ctx, &withLines, p) {
		if errors.Is(err, ErrNoLogs) {
			missing = err
			break
		}
		if err != nil {
			return s, err
		}
		s.AddSession(v)
	}
	if !q.Tracks() {
		return s, missing
	}
	for t, err := range src.Tracking(ctx, q, p) {
		if errors.Is(err, ErrNoLogs) {
			return s, missing
		}
		if err != nil {
			return s, err
		}
		s.AddTracking(t)
	}
	return s, ctx.Err()
}

// Tracks tells whether message tracking knows all that the Query asks for.
func (q *Query) Tracks() bool {
	return len(q.Directions) == 0 && q.TLS == TLSFilter{} && len(q.Users) == 0 && q.MinDuration == 0
}
