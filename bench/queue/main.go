// Command queue measures what large queues cost: a million messages whose next
// hops are down, a hundred thousand destinations at once, and how fast a
// backlog leaves when its next hop is back.
//
//	go run ./bench/queue
//	go run ./bench/queue -only deferred -deferred 5000000 -hops 20000
//	go run ./bench/queue -only backlog -rounds 3 -at-least 0.8
//
// Everything is measured from outside, on the real binary. The two large spools
// are filled by the spool's own API while no gateway runs; the backlog is
// submitted over SMTP. A name server within the program gives each destination
// an MX of its own; the hosts of those that are down have addresses of
// loopback, one each, where nothing listens.
//
// It needs Linux, and smtp-source and smtp-sink installed. Everything listens on
// loopback, everything it writes is under -dir and removed at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

// settings are what the flags say.
type settings struct {
	deferred, hops, destinations, backlog, rounds, perHost int
	dir, binary, only                                      string
	atLeast                                                float64
}

func main() {
	var s settings
	flag.IntVar(&s.deferred, "deferred", 1_000_000, "deferred messages, of 1 to 4 KB")
	flag.IntVar(&s.hops, "hops", 1000, "next hops that are down, among which they are spread")
	flag.IntVar(&s.destinations, "destinations", 100_000, "destinations with one message each")
	flag.IntVar(&s.perHost, "per-host", 1000, "connections to the one host of all these destinations at a time; a gateway has 20 unless it is told otherwise")
	flag.IntVar(&s.backlog, "backlog", 100_000, "messages that wait for one next hop")
	flag.IntVar(&s.rounds, "rounds", 1, "how often the backlog and the fresh relaying beside it are measured; the best of each counts")
	flag.StringVar(&s.dir, "dir", "", "where spools are kept; a directory on the disk to measure (default: that of temporary files)")
	flag.StringVar(&s.binary, "binary", "", "the postern binary (default: built from this tree)")
	flag.StringVar(&s.only, "only", "", "measure only what has this in its name: deferred, destinations, backlog")
	flag.Float64Var(&s.atLeast, "at-least", 0, "fail when the backlog leaves at less than this many times the rate of fresh relaying")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings) (err error) {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	fmt.Printf("%s on %d CPUs, %s\n", runtime.Version(), runtime.NumCPU(), b.dir)
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{"deferred", b.measureDeferred}, {"destinations", b.measureDestinations}, {"backlog", b.measureBacklog}} {
		if !strings.Contains(part.name, s.only) {
			continue
		}
		fmt.Println()
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
