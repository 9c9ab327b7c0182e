package control

import (
	"context"
	"sync"
	"time"
)

const (
	// trendEvery is how often the counters are noted, trendKept for how long.
	trendEvery = 10 * time.Second
	trendKept  = 5 * time.Minute
	// trendShown is the time that a Trend is about, once the gateway has run so
	// long.
	trendShown = time.Minute
)

// Trend is what has happened of late: messages that came in, recipients by what
// came of them, and lines of logs that found no room. Seconds is over how long.
type Trend struct {
	Seconds      float64 `json:"seconds"`
	Submitted    uint64  `json:"submitted"`
	Delivered    uint64  `json:"delivered"`
	Deferrals    uint64  `json:"deferrals"`
	Failed       uint64  `json:"failed"`
	Expired      uint64  `json:"expired"`
	DroppedLines int64   `json:"dropped_log_lines"`
}

// counted are the counters at one moment.
type counted struct {
	at                                               time.Time
	submitted, delivered, deferrals, failed, expired uint64
	dropped                                          int64
}

// trends notes the counters every so often. The zero value has noted nothing.
type trends struct {
	now func() counted

	mu   sync.Mutex
	past []counted // oldest first
}

// count reads the counters.
func (o *Options) count() counted {
	s := o.Queues.Stats()
	return counted{
		at: time.Now(), submitted: s.Submitted, delivered: s.Delivered, deferrals: s.Deferrals, failed: s.Failed, expired: s.Expired,
		dropped: o.Gateway.LinesDropped(),
	}
}

// run notes them until ctx ends.
func (t *trends) run(ctx context.Context) {
	ticker := time.NewTicker(trendEvery)
	defer ticker.Stop()
	for {
		t.note(t.now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (t *trends) note(c counted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.past = append(t.past, c)
	if n := int(trendKept/trendEvery) + 1; len(t.past) > n {
		t.past = append(t.past[:0], t.past[len(t.past)-n:]...)
	}
}

// over is what has happened in the last so long, or since the counters were
// first noted.
func (t *trends) over(last time.Duration) Trend {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.past) == 0 {
		return Trend{}
	}
	then := t.past[0]
	for _, c := range t.past {
		if now.at.Sub(c.at) < last {
			break
		}
		then = c
	}
	return Trend{
		Seconds: now.at.Sub(then.at).Round(time.Millisecond).Seconds(), Submitted: now.submitted - then.submitted, Delivered: now.delivered - then.delivered,
		Deferrals: now.deferrals - then.deferrals, Failed: now.failed - then.failed, Expired: now.expired - then.expired, DroppedLines: now.dropped - then.dropped,
	}
}
