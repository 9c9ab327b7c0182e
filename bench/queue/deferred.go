package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// measureDeferred measures a gateway whose many messages can't leave.
func (b *bench) measureDeferred(ctx context.Context) error {
	if err := b.room(int64(b.deferred) * 10 << 10); err != nil {
		return err
	}
	middle, err := b.fill(ctx, "deferred", filling{messages: b.deferred, domain: func(i int) string { return downDomain(i % b.hops) }, deferred: true})
	if err != nil {
		return err
	}
	g, err := b.start(ctx, "deferred", `retry = ["1h"]`, 10*time.Minute)
	if err != nil {
		return err
	}
	defer g.Stop()
	atReady, err := g.Usage()
	if err != nil {
		return err
	}
	fmt.Printf("%d messages for %d next hops that are down\n", b.deferred, b.hops)
	fmt.Printf("  from the start of the process to 220    %.1f s\n", g.ready.Seconds())
	fmt.Printf("  resident when ready                     %s\n", size(atReady.Resident))
	rest, load, err := g.rest(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  resident at rest                        %s (%s at most), %d threads, %.1f %% of a processor\n",
		size(rest.Resident), size(rest.Peak), rest.Threads, 100*load)
	if err := g.waiting(ctx, b.deferred); err != nil {
		return err
	}
	for _, c := range []struct {
		what string
		args []string
	}{
		{"postern queue list", []string{"queue", "list"}},
		{"postern queue ages", []string{"queue", "ages"}},
		{"postern queue messages, the first page", []string{"queue", "messages", "--limit", "1000"}},
		{"  a page in the middle", []string{"queue", "messages", "--limit", "1000", "--after", middle.String()}},
		{"  a page of one queue", []string{"queue", "messages", "--limit", "1000", "--queue", "By MX/" + downDomain(7)}},
	} {
		shortest, longest, err := g.best(ctx, c.args...)
		if err != nil {
			return err
		}
		fmt.Printf("  %-38s  %.0f ms (%.0f ms at most, of 5)\n", c.what, milliseconds(shortest), milliseconds(longest))
	}
	if rest, err = g.Usage(); err != nil {
		return err
	}
	octets, err := disk(g.data)
	if err != nil {
		return err
	}
	fmt.Printf("  resident after all that                 %s\n", size(rest.Resident))
	fmt.Printf("  on disk                                 %s, %d octets a message\n", size(octets), octets/int64(b.deferred))
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// queueStatus is what is read of "postern status".
type queueStatus struct {
	Server struct {
		Goroutines int `json:"goroutines"`
	} `json:"server"`
	Queues struct {
		Messages int `json:"messages"`
		Deferred int `json:"deferred"`
	} `json:"queues"`
}

func (g *gateway) status(ctx context.Context) (s queueStatus, err error) {
	out, _, err := g.ask(ctx, "status", "--output", "json")
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	return s, err
}

// waiting insists that so many messages are queued: what is measured must be
// there.
func (g *gateway) waiting(ctx context.Context, messages int) error {
	s, err := g.status(ctx)
	if err == nil && s.Queues.Messages != messages {
		err = fmt.Errorf("%d messages are queued, not %s", s.Queues.Messages, strconv.Itoa(messages))
	}
	return err
}
