// Command relay measures how many messages a second a gateway relays: from
// smtp-source through the gateway to smtp-sink, from the first connection until
// the last message is at the sink. Postern and Postfix take turns, on the same
// disk and with the same number of connections on either side; smtp-source
// straight into smtp-sink shows the limit of the measurement itself.
//
//	go run ./bench/relay
//	go run ./bench/relay -rounds 9 -messages 20000 -size 65536
//
// It needs Linux, root (as Postfix does), and smtp-source, smtp-sink and
// Postfix installed. Everything listens on loopback, everything it writes is
// under -dir and removed at the end.
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
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"postern/bench/internal/rig"
)

// settings are what the flags say.
type settings struct {
	rounds, messages, size, sessions, outbound int
	reuse                                      bool
	dir, binary, only                          string
	atLeast                                    float64
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "how often each contender is measured")
	flag.IntVar(&s.messages, "messages", 5000, "messages in one measurement")
	flag.IntVar(&s.size, "size", 4096, "octets of one message")
	flag.IntVar(&s.sessions, "sessions", 20, "connections of smtp-source at a time")
	flag.IntVar(&s.outbound, "outbound", 20, "connections of a gateway to the sink at a time")
	flag.BoolVar(&s.reuse, "reuse", false, "let smtp-source send many messages on one connection (-d)")
	flag.StringVar(&s.dir, "dir", "", "where queues and spools are kept; a directory on the disk to measure (default: that of temporary files)")
	flag.StringVar(&s.binary, "binary", "", "the postern binary (default: built from this tree)")
	flag.StringVar(&s.only, "only", "", "measure only contenders whose name has this in it, and direct")
	flag.Float64Var(&s.atLeast, "at-least", 0, "fail when Postern without logs relays fewer than this many times the messages of Postfix")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

// result holds the measurements of one contender.
type result struct {
	name     string
	rates    []float64 // messages a second, until the last is at the sink
	accepted []float64 // messages a second, until smtp-source has ended
	cpu      []float64 // microseconds of processor time for a message
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
	fmt.Printf("%d rounds of %d messages of %d octets, %d connections in, %d out, reuse %v; %s on %d CPUs, %s\n\n",
		s.rounds, s.messages, s.size, s.sessions, s.outbound, s.reuse, runtime.Version(), runtime.NumCPU(), b.dir)

	results := make([]*result, 0, 4)
	contenders := slices.DeleteFunc(b.contenders(), func(c contender) bool {
		return s.only != "" && c.start != nil && !strings.Contains(c.name, s.only)
	})
	for _, c := range contenders {
		results = append(results, &result{name: c.name})
	}
	for round := range s.rounds {
		for i, c := range contenders {
			m, err := b.measure(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			r := results[i]
			r.accepted = append(r.accepted, rate(s.messages, m.accepted))
			r.rates = append(r.rates, rate(s.messages, m.total))
			r.cpu = append(r.cpu, float64(m.cpu.Microseconds()))
			fmt.Printf("round %d  %-24s %8.0f/s %6.0f µs of processor time a message\n", round+1, c.name, r.rates[round], r.cpu[round])
		}
	}
	print(results)
	return judge(results, s.atLeast)
}

func rate(messages int, d time.Duration) float64 { return float64(messages) / d.Seconds() }

// print shows the medians of all rounds and how they stand to one another.
func print(results []*result) {
	direct, postfix := find(results, nameDirect), find(results, namePostfix)
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "messages/s (median)\tend to end\tlowest\thighest\taccepted\tCPU µs/message\tx Postfix\t% of direct\t")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%s\t\n", r.name, rig.Median(r.rates), slices.Min(r.rates), slices.Max(r.rates),
			rig.Median(r.accepted), rig.Median(r.cpu), quotient(r, postfix, 1, "%.2f"), quotient(r, direct, 100, "%.0f"))
	}
	w.Flush()
}

func find(results []*result, name string) *result {
	i := slices.IndexFunc(results, func(r *result) bool { return r.name == name })
	if i < 0 {
		return nil
	}
	return results[i]
}

func quotient(r, of *result, times float64, format string) string {
	if of == nil {
		return "-"
	}
	return fmt.Sprintf(format, times*rig.Median(r.rates)/rig.Median(of.rates))
}

func judge(results []*result, atLeast float64) error {
	if atLeast == 0 {
		return nil
	}
	postern, postfix := find(results, namePostern), find(results, namePostfix)
	if postern == nil || postfix == nil {
		return errors.New("-at-least needs both Postern and Postfix measured")
	}
	if x := rig.Median(postern.rates) / rig.Median(postfix.rates); x < atLeast {
		return fmt.Errorf("%.2f times the messages of Postfix, fewer than the %.2f times that -at-least asks for", x, atLeast)
	}
	return nil
}
