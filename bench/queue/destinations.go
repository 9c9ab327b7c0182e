package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/bench/internal/rig"
)

// measureDestinations measures a gateway that has one message for each of many
// destinations, all of them up. Each has a host of its own, and all hosts have
// the one address at which the sink listens, so by default the limit on
// connections to an address is lifted.
func (b *bench) measureDestinations(ctx context.Context) error {
	if err := b.room(int64(b.destinations) * 10 << 10); err != nil {
		return err
	}
	if _, err := b.fill(ctx, "destinations", filling{messages: b.destinations, domain: upDomain}); err != nil {
		return err
	}
	sink, err := rig.NewSink(ctx, b.sink())
	if err != nil {
		return err
	}
	defer sink.Stop()
	g, err := b.start(ctx, "destinations", fmt.Sprintf("max_per_domain_outbound_connections = %d", b.perHost), time.Minute)
	if err != nil {
		return err
	}
	defer g.Stop()
	var peak rig.Usage
	goroutines := 0
	total, err := b.follow(ctx, sink, b.destinations, g.began, func() error {
		u, err := g.Usage()
		if err != nil {
			return err
		}
		peak.Threads = max(peak.Threads, u.Threads)
		peak.Peak = u.Peak
		if s, err := g.status(ctx); err == nil {
			goroutines = max(goroutines, s.Server.Goroutines)
		}
		return nil
	})
	if err != nil {
		return err
	}
	u, err := g.Usage()
	if err != nil {
		return err
	}
	fmt.Printf("%d destinations with one message each, MX and address looked up for each, %d connections to the host at a time\n", b.destinations, b.perHost)
	fmt.Printf("  from the start of the process to 220    %.1f s\n", g.ready.Seconds())
	fmt.Printf("  to the last message at the sink         %.1f s, %.0f messages/s\n", total.Seconds(), rate(b.destinations, total))
	fmt.Printf("  at most                                 %s resident, %d threads, %d goroutines\n", size(peak.Peak), peak.Threads, goroutines)
	fmt.Printf("  processor time                          %.0f µs a message\n", float64(u.CPU.Microseconds())/float64(b.destinations))
	return nil
}

func rate(messages int, d time.Duration) float64 { return float64(messages) / d.Seconds() }

// follow waits until so many messages more are at the sink than when it began,
// and returns when the last one came, counted from began. It calls sample once
// a second.
func (b *bench) follow(ctx context.Context, sink *rig.Sink, messages int, began time.Time, sample func() error) (time.Duration, error) {
	progress := newProgress("delivering")
	defer progress.end()
	last, since := int64(-1), time.Now()
	var sampled time.Time
	for {
		n := sink.Count()
		if n >= int64(messages) {
			return sink.At(began), nil
		}
		if n != last {
			last, since = n, time.Now()
		}
		if err := ctx.Err(); err != nil || time.Since(since) > rig.Waiting {
			return 0, fmt.Errorf("%d of %d messages did not arrive within %v of the one before: %w", int64(messages)-n, messages, rig.Waiting, errors.Join(ctx.Err(), sink.Ended()))
		}
		progress.show("%d of %d messages", n, messages)
		if sample != nil && time.Since(sampled) > time.Second {
			if err := sample(); err != nil {
				return 0, err
			}
			sampled = time.Now()
		}
		time.Sleep(time.Millisecond)
	}
}
