package rig

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// Load is how smtp-source sends messages: over so many connections at a time,
// of so many octets each; with Reuse many on one connection.
type Load struct {
	Sessions, Size int
	Reuse          bool
}

// Relay sends messages to an address and waits until all are at the sink. It
// returns the times from the first connection until smtp-source had ended, and
// until the last message was at the sink.
func (l Load) Relay(ctx context.Context, addr string, sink *Sink, messages int) (accepted, total time.Duration, err error) {
	program, err := LookPath("smtp-source")
	if err != nil {
		return 0, 0, err
	}
	args := []string{"-s", strconv.Itoa(l.Sessions), "-m", strconv.Itoa(messages), "-l", strconv.Itoa(l.Size),
		"-f", "source@contoso.example", "-t", "sink@fabrikam.example"}
	if l.Reuse {
		args = append(args, "-d")
	}
	goal := sink.Count() + int64(messages)
	began := time.Now()
	if out, err := exec.CommandContext(ctx, program, append(args, "inet:"+addr)...).CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("smtp-source: %w\n%s", err, out)
	}
	accepted = time.Since(began)
	last, since := int64(-1), time.Now()
	for {
		n := sink.Count()
		if n >= goal {
			return accepted, sink.At(began), nil
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > Waiting || ctx.Err() != nil {
			return 0, 0, fmt.Errorf("%d messages did not arrive within %v of the one before: %w", goal-n, Waiting, errors.Join(ctx.Err(), sink.Ended()))
		}
		time.Sleep(time.Millisecond)
	}
}

// Median is the value in the middle; of an even number of values, what is
// halfway between the two.
func Median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
