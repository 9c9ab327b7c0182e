package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"postern/bench/internal/rig"
)

// freshly is how many messages are relayed for comparison, after a few to warm
// up.
const (
	freshly = 20_000
	warmUp  = 500
)

// measureBacklog measures how fast what waited for a next hop leaves when that
// is back, beside the rate at which the same gateway relays while it is up.
func (b *bench) measureBacklog(ctx context.Context) error {
	if err := b.room(int64(b.backlog) * 20 << 10); err != nil {
		return err
	}
	fmt.Printf("%d messages of 4 KB that waited for one next hop, beside %d relayed while it is up; 20 connections in, 20 out\n", b.backlog, freshly)
	var fresh, drained []float64
	for round := range b.rounds {
		f, d, err := b.backlogRound(ctx)
		if err != nil {
			return err
		}
		fresh, drained = append(fresh, f), append(drained, d)
		fmt.Printf("  round %d: relaying %5.0f/s, draining %5.0f/s, %3.0f %%\n", round+1, f, d, 100*d/f)
	}
	share := slices.Max(drained) / slices.Max(fresh)
	fmt.Printf("  best of each: draining is %.0f %% of relaying\n", 100*share)
	if share < b.atLeast {
		return fmt.Errorf("the backlog leaves at %.2f times the rate of relaying, below the %.2f that -at-least asks for", share, b.atLeast)
	}
	return nil
}

func (b *bench) backlogRound(ctx context.Context) (fresh, drained float64, err error) {
	if err := os.RemoveAll(filepath.Join(b.dir, "backlog")); err != nil {
		return 0, 0, err
	}
	g, err := b.start(ctx, "backlog", "", time.Minute)
	if err != nil {
		return 0, 0, err
	}
	defer g.Stop()
	sink, err := rig.NewSink(ctx, b.sink())
	if err != nil {
		return 0, 0, err
	}
	if fresh, err = b.relay(ctx, g, sink); err != nil {
		sink.Stop()
		return 0, 0, err
	}
	sink.Stop()

	if err := b.submit(ctx, g, b.backlog); err != nil {
		return 0, 0, err
	}
	if err := g.waiting(ctx, b.backlog); err != nil {
		return 0, 0, err
	}
	if sink, err = rig.NewSink(ctx, b.sink()); err != nil {
		return 0, 0, err
	}
	defer sink.Stop()
	queue, err := g.queueInRetry(ctx)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if _, _, err := g.ask(ctx, "queue", "retry", queue); err != nil {
		return 0, 0, err
	}
	took, err := b.follow(ctx, sink, b.backlog, began, nil)
	return fresh, rate(b.backlog, took), err
}

// relay is the rate from the first connection to the last message at the sink.
func (b *bench) relay(ctx context.Context, g *gateway, sink *rig.Sink) (float64, error) {
	if err := b.submit(ctx, g, warmUp); err != nil {
		return 0, err
	}
	if _, err := b.follow(ctx, sink, warmUp, time.Now(), nil); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := b.submit(ctx, g, freshly); err != nil {
		return 0, err
	}
	took, err := b.follow(ctx, sink, warmUp+freshly, began, nil)
	return rate(freshly, took), err
}

// submit sends messages to the gateway with smtp-source.
func (b *bench) submit(ctx context.Context, g *gateway, messages int) error {
	program, err := rig.LookPath("smtp-source")
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, program, "-s", "20", "-m", strconv.Itoa(messages), "-l", "4096",
		"-f", "source@contoso.example", "-t", "sink@fabrikam.example", "inet:"+g.addr).CombinedOutput()
	if err != nil {
		return fmt.Errorf("smtp-source: %w\n%s", err, out)
	}
	return nil
}

// queueInRetry names the queue that waits for its next hop.
func (g *gateway) queueInRetry(ctx context.Context) (string, error) {
	out, _, err := g.ask(ctx, "queue", "list", "--output", "json")
	if err != nil {
		return "", err
	}
	var list struct {
		Queues []struct{ Identity, Status string } `json:"queues"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return "", err
	}
	for _, q := range list.Queues {
		if q.Status == "retry" {
			return q.Identity, nil
		}
	}
	return "", fmt.Errorf("no queue is in Retry:\n%s", out)
}
