// Command spool measures how many messages a second the spool makes durable.
//
//	go run ./bench/spool --dir /var/spool/bench --size 8192 --duration 2s
//
// For each number of writers it runs several rounds in a fresh spool and
// prints the median. Every writer commits one message after the other and
// finishes each one, as a relay that keeps up with its mail does; with --keep
// messages stay, so that all of them are copied out of the journal. For
// comparison it prints how many bare writes with fdatasync of the same size
// the device takes one after the other in a preallocated file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
)

type settings struct {
	dir      string
	size     int
	duration time.Duration
	rounds   int
	writers  []int
	keep     bool
}

func main() {
	var o settings
	var writers string
	flag.StringVar(&o.dir, "dir", "", "directory on the device to measure (default: the system's temporary directory)")
	flag.IntVar(&o.size, "size", 8192, "content of a message in octets")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "length of a round")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds for each number of writers; the median counts")
	flag.StringVar(&writers, "writers", "1,16,64,256", "numbers of writers")
	flag.BoolVar(&o.keep, "keep", false, "leave messages in the spool instead of finishing them")
	flag.Parse()
	for _, w := range strings.Split(writers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(w))
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "--writers: %q is not a number of writers\n", w)
			os.Exit(2)
		}
		o.writers = append(o.writers, n)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o settings) (err error) {
	dir, err := os.MkdirTemp(o.dir, "spool-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rate, err := bareRate(dir, o)
	if err != nil {
		return err
	}
	fmt.Printf("bare write and sync of %d octets: %.0f/s\n", o.size, rate)
	fmt.Printf("%8s %12s %12s %12s %10s\n", "writers", "messages/s", "syncs/s", "per sync", "max sync")
	for _, n := range o.writers {
		var results []result
		for range o.rounds {
			r, err := round(dir, n, o)
			if err != nil {
				return err
			}
			results = append(results, r)
		}
		slices.SortFunc(results, func(a, b result) int { return int(a.messages - b.messages) })
		r := results[len(results)/2]
		fmt.Printf("%8d %12.0f %12.0f %12.1f %10s\n", n, r.messages, r.syncs, r.messages/r.syncs, r.maxSync.Round(10*time.Microsecond))
	}
	return nil
}

// bareRate is what one writer without a spool reaches.
func bareRate(dir string, o settings) (float64, error) {
	f, err := spool.OS().OpenFile(filepath.Join(dir, "bare"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	const length = 16 << 20
	if _, err := f.WriteAt(make([]byte, length), 0); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	b := make([]byte, o.size)
	count, start := 0, time.Now()
	for off := int64(0); time.Since(start) < o.duration; off += int64(len(b)) {
		if off+int64(len(b)) > length {
			off = 0
		}
		if _, err := f.WriteAt(b, off); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		count++
	}
	return float64(count) / time.Since(start).Seconds(), nil
}

type result struct {
	messages, syncs float64 // a second
	maxSync         time.Duration
}

func round(dir string, writers int, o settings) (result, error) {
	path := filepath.Join(dir, "round")
	s, err := spool.Open(path, spool.Options{})
	if err != nil {
		return result{}, err
	}
	var (
		wg    sync.WaitGroup
		count atomic.Int64
		fail  atomic.Pointer[error]
	)
	start := time.Now()
	for i := range writers {
		wg.Go(func() {
			body := make([]byte, o.size)
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for j := range body {
				body[j] = byte(rng.Uint32())
			}
			for time.Since(start) < o.duration && fail.Load() == nil {
				if err := one(s, body, o.keep); err != nil {
					fail.Store(&err)
					return
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(start).Seconds()
	st := s.Stats()
	err = errors.Join(s.Close(), os.RemoveAll(path))
	if p := fail.Load(); p != nil {
		err = errors.Join(*p, err)
	}
	return result{float64(count.Load()) / took, float64(st.Syncs) / took, st.MaxSync}, err
}

// one takes a message through the spool.
func one(s *spool.Store, body []byte, keep bool) error {
	d, err := s.Create()
	if err != nil {
		return err
	}
	if _, err := d.Write(body); err != nil {
		d.Abort()
		return err
	}
	if err := d.Commit(context.Background(), envelope()); err != nil {
		return err
	}
	if keep {
		return nil
	}
	return s.Update(d.ID(), &message.Update{Done: true})
}

func envelope() *message.Envelope {
	return &message.Envelope{
		From:       message.Address{Local: "alice", Domain: "fabrikam.example"},
		Recipients: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "contoso.example"}}},
		Arrived:    time.Now(), MessageID: "<20260101120000.1234@fabrikam.example>",
		Origin: message.Origin{Connector: "From Internet", Session: "08DE23A4C5B60001", Client: netip.MustParseAddrPort("192.0.2.1:33445"),
			Local: netip.MustParseAddrPort("192.0.2.2:25"), Helo: "mail.fabrikam.example", Protocol: "ESMTPS"},
	}
}
