// Command sessions measures what sessions cost that do nothing: 10,000 idle
// ones and 2,000 that are held back in the tarpit, from hundreds of addresses of
// loopback. It says how large the gateway is with them, and how fast it relays
// with and without them: in each round it relays before the crowd comes, among
// it, and after it has gone, and at the end every session of the crowd is asked
// whether it is still what it was.
//
//	go run ./bench/sessions
//	go run ./bench/sessions -rounds 5 -at-most 600 -slowdown 10
//	go run ./bench/sessions -tls -idle 5000 -tarpitted 0
//
// It needs Linux, smtp-source and smtp-sink (of Postfix), and a limit of 20,000
// open files for itself and for the gateway each. Everything listens on loopback,
// everything it writes is under -dir and removed at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	"postern/bench/internal/rig"
)

// settings are what the flags say.
type settings struct {
	rounds, messages, size, sessions int
	idle, tarpitted                  int
	tls                              bool
	dir, binary                      string
	atMost, slowdown                 float64
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 3, "how often all of it is measured")
	flag.IntVar(&s.messages, "messages", 5000, "messages in one measurement")
	flag.IntVar(&s.size, "size", 4096, "octets of one message")
	flag.IntVar(&s.sessions, "sessions", 20, "connections of smtp-source at a time")
	flag.IntVar(&s.idle, "idle", 10000, "sessions that have said EHLO and nothing since")
	flag.IntVar(&s.tarpitted, "tarpitted", 2000, "sessions that wait for the refusal of a recipient")
	flag.BoolVar(&s.tls, "tls", false, "let idle sessions be within TLS")
	flag.StringVar(&s.dir, "dir", "", "where the gateway keeps its spool; a directory on the disk to measure (default: that of temporary files)")
	flag.StringVar(&s.binary, "binary", "", "the postern binary (default: built from this tree)")
	flag.Float64Var(&s.atMost, "at-most", 0, "fail when the gateway is ever larger than so many MB")
	flag.Float64Var(&s.slowdown, "slowdown", 0, "fail when relaying among the crowd is slower by more than so many percent")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sessions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings) (err error) {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if err := s.openFiles(); err != nil {
		return err
	}
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	fmt.Printf("%d rounds, %d idle sessions (TLS: %v), %d tarpitted ones; %d messages of %d octets over %d connections; %s on %d CPUs, %s\n\n",
		s.rounds, s.idle, s.tls, s.tarpitted, s.messages, s.size, s.sessions, runtime.Version(), runtime.NumCPU(), b.dir)
	var all []measured
	for round := range s.rounds {
		m, err := b.measure(ctx)
		if err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		all = append(all, m)
		fmt.Printf("round %d  resident %5.1f MB before, %5.1f MB with the crowd (%.1f KB a session), %5.1f MB at most\n", round+1,
			mega(m.before.Resident), mega(m.crowded.Resident), float64(m.crowded.Resident-m.before.Resident)/1024/float64(s.idle+s.tarpitted), mega(m.peak))
		fmt.Printf("         relayed %5.0f/s before, %5.0f/s among it (%+.1f %%), %5.0f/s after; the crowd came in %.1f s and takes %.2f %% of a processor\n",
			m.alone[0], m.among, m.change(), m.alone[1], m.opening.Seconds(), 100*m.load)
	}
	return judge(all, s)
}

func judge(all []measured, s *settings) error {
	var changes, peaks, alone, among []float64
	for _, m := range all {
		changes, peaks = append(changes, m.change()), append(peaks, mega(m.peak))
		alone, among = append(alone, m.alone[:]...), append(among, m.among)
	}
	fmt.Printf("\nmedians: %.0f/s without the crowd, %.0f/s among it, %+.1f %% within a round; %.1f MB at most\n",
		rig.Median(alone), rig.Median(among), rig.Median(changes), slices.Max(peaks))
	if largest := slices.Max(peaks); s.atMost > 0 && largest > s.atMost {
		return fmt.Errorf("the gateway was %.1f MB large, more than -at-most %.1f", largest, s.atMost)
	}
	if slower := -rig.Median(changes); s.slowdown > 0 && slower > s.slowdown {
		return fmt.Errorf("relaying was slower by %.1f %%, more than -slowdown %.1f", slower, s.slowdown)
	}
	return nil
}

func mega(octets int64) float64 { return float64(octets) / (1 << 20) }
