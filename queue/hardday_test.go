package queue

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"postern/internal/message"
	"postern/routing"
)

// hang never answers.
func hang(ctx context.Context, d *message.Delivery) message.Report {
	<-ctx.Done()
	return unreachable(d)
}

// cut ends a world whose deliveries would go on for ever.
func (w *world) cut() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.q.Stop(ctx) // its error says that deliveries were cut
}

// TestSlowDomains: a hundred thousand messages for one domain whose host hangs,
// or ten thousand for fifty of them, keep nobody else's waiting.
func TestSlowDomains(t *testing.T) {
	if n := unsafe.Sizeof(item{}); n != 32 {
		t.Errorf("a waiting message takes %d octets", n)
	}
	for _, slow := range []int{1, 50} {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.cut()
				w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
					if hop.Domain[0] == 's' {
						return hang(ctx, d)
					}
					return accept(d)
				})
				n := 100_000
				if slow > 1 || testing.Short() {
					n = 10_000
				}
				for i := range n {
					w.submit(envelope(fmt.Sprintf("kim@s%d.example", i%slow)))
				}
				synctest.Wait()
				if busy := w.q.Stats().InFlight; busy != slow*initialWindow {
					t.Errorf("%d deliveries hang, want %d", busy, slow*initialWindow)
				}
				one := w.submit(envelope("kim@fast.example"))
				var others []message.ID
				for i := range 100 {
					others = append(others, w.submit(envelope(fmt.Sprintf("kim@f%d.example", i))))
				}
				synctest.Wait() // no time has passed
				for _, id := range append(others, one) {
					if s := w.statuses(id); s != "D" {
						t.Fatalf("message %s for a domain that answers is %s", id, s)
					}
				}
			})
		})
	}
}

// TestEverythingDead: for an hour no next hop of a thousand queues answers, or no
// name server does. Attempts and wake-ups stay few, and those who come back are
// met by some deliveries at a time, one queue after the other.
func TestEverythingDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queues = 1000
		each := 100
		if testing.Short() {
			each = 10
		}
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			r := unreachable(d)
			if hop.Domain[0] == 'n' { // the look-up of its name failed
				r.Attempts = nil
			}
			return r
		})
		for i := range queues * each {
			w.submit(envelope(fmt.Sprintf("kim@%c%d.example", "nd"[i%2], i%queues)))
		}
		time.Sleep(time.Minute - time.Second)
		synctest.Wait()
		start := w.q.Stats()
		if start.InRetry != queues || start.Items != queues*each || start.InFlight != 0 {
			t.Errorf("after a minute: %+v", start)
		}
		if n := len(w.made()); n > queues*initialWindow {
			t.Errorf("%d attempts in the first minute", n)
		}
		before := len(w.made())
		time.Sleep(time.Hour - time.Minute)
		synctest.Wait()
		// Four times after a minute, five or six times after ten.
		attempts := len(w.made()) - before
		if attempts < 7*queues || attempts > 10*queues {
			t.Errorf("%d attempts in an hour", attempts)
		}
		s := w.q.Stats()
		if n := s.Wakeups - start.Wakeups; n > uint64(4*attempts) {
			t.Errorf("the queue looked %d times for %d attempts", n, attempts)
		}
		w.q.mu.Lock()
		flights, busy := len(w.q.flights), w.q.busy
		w.q.mu.Unlock()
		if s.Items != queues*each || s.Chores != 0 || flights != busy {
			t.Errorf("after an hour: %+v, %d flights, %d workers at work", s, flights, busy)
		}
		if n := runtime.NumGoroutine(); n > defaultOutbound+50 {
			t.Errorf("%d goroutines", n)
		}

		clear(w.peak)
		before = len(w.made())
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(100 * time.Millisecond)
			return accept(d)
		})
		back := time.Since(w.began)
		time.Sleep(13 * time.Minute)
		w.settled()
		probes, first := map[time.Duration]int{}, map[string]bool{}
		for _, c := range w.made()[before:] {
			if !first[c.hop] {
				first[c.hop] = true
				probes[(c.at-back).Truncate(5*time.Second)]++
			}
		}
		for at, n := range probes {
			if n > queues/20 {
				t.Errorf("%d queues came back within five seconds, %v on", n, at)
			}
		}
		for hop, n := range w.peak {
			if hop == "" && n > defaultOutbound || hop != "" && n > defaultPerDomain {
				t.Errorf("%d deliveries to %q at a time", n, hop)
			}
		}
	})
}

// TestResumeAfterReload: a suspended message whose connector a reload took away
// takes the new way when it is resumed.
func TestResumeAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Router = by("Old") })
		defer w.stop()
		w.always(postpone)
		id := w.submit(envelope("kim@there.example"))
		w.submit(envelope("lee@there.example"))
		synctest.Wait()
		if _, err := w.q.Carry(context.Background(), Order{Verb: Suspend, Filter: Filter{IDs: []message.ID{id}}}); err != nil {
			t.Fatal(err)
		}
		w.setDeliver(nil)
		w.reconfigure(by("New"))
		time.Sleep(10 * time.Hour)
		if s := w.statuses(id); s != "d" || w.store.live() != 1 {
			t.Errorf("a suspended message is %s, %d are left", s, w.store.live())
		}
		if _, err := w.q.Carry(context.Background(), Order{Verb: Resume, Filter: Filter{IDs: []message.ID{id}}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.mu.Lock()
		for _, e := range w.events {
			if e.Kind == Delivered && e.ID == id && e.Hop.Connector != "New" {
				t.Errorf("it went by %s", e.Hop)
			}
		}
		w.mu.Unlock()
		w.settled()
	})
}
