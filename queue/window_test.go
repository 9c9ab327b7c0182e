package queue

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/routing"
)

// congested is the report of a next hop that does not stand another delivery.
func congested(d *message.Delivery) message.Report {
	r := report(d, message.Deferred, 421, [3]int{4, 3, 2}, "Too many connections")
	r.Congested = true
	return r
}

func TestWindow(t *testing.T) {
	t.Run("grows at once", func(t *testing.T) {
		var w window
		n := 0
		for ; w.now() < 20; n++ {
			w.succeed(w.now(), 20)
		}
		if n != 15 {
			t.Errorf("%d successes to 20", n)
		}
		w.succeed(20, 20)
		if w.now() != 20 {
			t.Errorf("it grew beyond the limit to %d", w.now())
		}
	})
	t.Run("unused", func(t *testing.T) {
		var w window
		for range 100 {
			w.succeed(1, 1000)
		}
		if w.now() != 1+initialWindow {
			t.Errorf("with one delivery at a time it grew to %d", w.now())
		}
	})
	t.Run("after congestion", func(t *testing.T) {
		w := window{size: 20}
		if w.congest() || w.now() != 19 {
			t.Errorf("one congested delivery: %+v", w)
		}
		for range 18 {
			w.succeed(19, 40)
		}
		if w.now() != 19 {
			t.Errorf("it grew before a window of successes: %+v", w)
		}
		if w.succeed(19, 40); w.now() != 20 {
			t.Errorf("it did not grow after a window of successes: %+v", w)
		}
	})
	t.Run("cohort", func(t *testing.T) {
		for size, want := range map[int]int{1: 5, 5: 5, 20: 13, 100: 64} {
			w := window{size: size}
			n := 1
			for !w.congest() {
				n++
			}
			if n != want || w.now() < 1 {
				t.Errorf("from %d: a cohort has %d deliveries, want %d; %+v", size, n, want, w)
			}
		}
		w := window{size: 5}
		for range 1000 { // a success in between, and there is no end
			for range 4 {
				if w.congest() {
					t.Fatal("a success does not count")
				}
			}
			w.succeed(1, 20)
		}
	})
}

// TestConnectionLimit: a next hop that takes ten connections, and tells whoever
// comes eleventh to go, is given about ten at a time, hears few in vain, and
// never makes the queue pause.
func TestConnectionLimit(t *testing.T) {
	for name, over := range map[string]func(*message.Delivery) message.Report{"421": congested, "no connection": unreachable} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.options.Queue = limits(100, 40) })
				defer w.stop()
				var open, refused atomic.Int64
				w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
					defer open.Add(-1)
					if open.Add(1) > 10 {
						refused.Add(1)
						return over(d)
					}
					time.Sleep(time.Second)
					return accept(d)
				})
				const n = 3000
				for range n {
					w.submit(envelope("kim@there.example"))
				}
				for range 200 {
					time.Sleep(time.Second)
					if s := w.q.Snapshot()[0]; s.Status == Retry {
						t.Fatalf("the queue is in Retry: %+v", s)
					}
				}
				if s := w.q.Snapshot()[0]; s.Window < 9 || s.Window > 12 {
					t.Errorf("window %d", s.Window)
				}
				if done := n - w.store.live(); done < 1800 {
					t.Errorf("%d messages in 200 s, though ten in a second could be", done)
				}
				if r := refused.Load(); r > 400 {
					t.Errorf("%d deliveries in vain", r)
				}
				time.Sleep(2 * time.Hour)
				w.settled()
			})
		})
	}
}

// TestCongestedRetry: a next hop that has too much to do for everybody gets a
// pause as one that is not there, and its queue begins anew after it.
func TestCongestedRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			return accept(d)
		})
		for range 500 {
			w.submit(envelope("kim@there.example"))
		}
		time.Sleep(5*time.Second + time.Millisecond)
		if s := w.q.Snapshot()[0]; s.Window != 20 {
			t.Errorf("window %d after five seconds", s.Window)
		}
		w.always(congested)
		time.Sleep(30 * time.Second)
		s := w.q.Snapshot()[0]
		if s.Status != Retry || s.RetryCount != 1 || s.LastError.Code != 421 || s.Window != 1 {
			t.Errorf("snapshot %+v", s)
		}
		before := len(w.made())
		time.Sleep(4 * time.Minute)
		if n := len(w.made()) - before; n < 3 || n > 4 {
			t.Errorf("%d attempts in four minutes of Retry", n)
		}
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			return accept(d)
		})
		time.Sleep(time.Until(w.q.Snapshot()[0].NextRetry) + time.Millisecond)
		time.Sleep(time.Second)
		if s := w.q.Snapshot()[0]; s.Status != Active || s.Window != initialWindow || s.InFlight != initialWindow {
			t.Errorf("after Retry: %+v", s)
		}
		time.Sleep(5 * time.Minute)
		w.settled()
	})
}

// TestRefusalsAreNoCongestion: 4xx and 5xx to recipients leave the window alone.
func TestRefusalsAreNoCongestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		var n atomic.Int64
		w.always(func(d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			if n.Add(1)%2 == 0 {
				return postpone(d)
			}
			return refuse(d)
		})
		for range 300 {
			w.submit(envelope("kim@there.example"))
		}
		time.Sleep(10 * time.Second)
		for _, s := range w.q.Snapshot() {
			if s.Hop.Domain == "there.example" && s.Window != 20 {
				t.Errorf("window %d", s.Window)
			}
		}
		w.setDeliver(nil)
		time.Sleep(time.Hour)
		w.settled()
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(10, 1) })
		defer w.stop()
		near := func(what string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > 0.11 {
				t.Errorf("%s is %.2f, want %.2f", what, got, want)
			}
		}
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			return accept(d)
		})
		for range 300 { // two in a second come, five minutes long
			w.submit(envelope("kim@there.example"))
			w.submit(envelope("kim@there.example"))
			time.Sleep(time.Second)
		}
		s := w.q.Snapshot()[0]
		near("incoming", s.IncomingRate, 2)
		near("outgoing", s.OutgoingRate, 1)
		near("velocity", s.Velocity, -1)
		time.Sleep(30 * time.Second)
		s = w.q.Snapshot()[0]
		near("incoming, half a minute on", s.IncomingRate, 1)
		near("outgoing, half a minute on", s.OutgoingRate, 1)
		time.Sleep(31 * time.Second)
		s = w.q.Snapshot()[0]
		near("incoming, a minute on", s.IncomingRate, 0)
		near("velocity, a minute on", s.Velocity, 1)
		time.Sleep(10 * time.Minute)
		w.settled()
	})
}
