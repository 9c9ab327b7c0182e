package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/routing"
)

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(40, 7) })
		defer w.stop()
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(rand.N(time.Minute))
			if rand.N(3) == 0 {
				return postpone(d)
			}
			if rand.N(50) == 0 {
				return unreachable(d)
			}
			return accept(d)
		})
		for i := range 2000 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i%20)))
		}
		time.Sleep(40 * time.Hour)
		w.settled()
		if n := w.peak[""]; n > 40 || n < 36 { // the last tenth is for queues with nothing in flight
			t.Errorf("%d deliveries at a time, want 40 at most and nearly so at some time", n)
		}
		for hop, n := range w.peak {
			if hop != "" && n > 7 {
				t.Errorf("%s: %d deliveries at a time, want 7", hop, n)
			}
		}
	})
}

func TestIdleWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(30, 30) })
		defer w.stop()
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			return accept(d)
		})
		count := func() (idle, working int) {
			w.q.mu.Lock()
			defer w.q.mu.Unlock()
			return len(w.q.idlers), w.q.workers
		}
		for i := range 20 { // to as many next hops: one of them alone would begin with fewer
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		time.Sleep(1500 * time.Millisecond)
		if idle, working := count(); idle < 20 || idle > 30 || working != 0 {
			t.Errorf("after the deliveries %d workers wait and %d work, want 20 to 30 and 0", idle, working)
		}
		for i := range 5 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		time.Sleep(500 * time.Millisecond)
		if idle, working := count(); idle < 15 || idle > 25 || working != 5 {
			t.Errorf("with five deliveries under way %d workers wait and %d work, want 15 to 25 and 5", idle, working)
		}
		time.Sleep(3 * time.Minute)
		if idle, working := count(); idle != 0 || working != 0 {
			t.Errorf("after three quiet minutes %d workers wait and %d work, want none", idle, working)
		}
		w.settled()
	})
}

func TestOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(1, 1) })
		defer w.stop()
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			return accept(d)
		})
		for i := range 20 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i%2)))
		}
		time.Sleep(20*time.Second + time.Millisecond)
		w.settled()
		if w.peak[""] != 1 {
			t.Errorf("peak %d", w.peak[""])
		}
		for i, c := range w.made() {
			if want := fmt.Sprintf("d%d.example", i%2); c.hop != want {
				t.Errorf("delivery %d went to %s: queues do not take turns", i, c.hop)
			}
		}
	})
}

// TestFairness: destinations that take for ever and one with a huge queue do not
// keep a newcomer waiting, though they could use every connection.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(50, 50) })
		defer w.stop()
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			switch {
			case strings.HasPrefix(hop.Domain, "slow"):
				time.Sleep(10 * time.Minute)
			case hop.Domain == "huge.example":
				time.Sleep(time.Second)
			}
			return accept(d)
		})
		for i := range 1000 {
			w.submit(envelope(fmt.Sprintf("u@slow%d.example", i%10)))
		}
		synctest.Wait()
		if n := len(w.made()); n != 45 {
			t.Errorf("%d deliveries to the slow ones: a tenth is kept back", n)
		}
		for range 5000 {
			w.submit(envelope("u@huge.example"))
		}
		for i := range 100 {
			time.Sleep(5 * time.Second)
			id := w.submit(envelope(fmt.Sprintf("u@new%d.example", i%10)))
			at := time.Since(w.began)
			time.Sleep(1100 * time.Millisecond)
			synctest.Wait()
			if w.statuses(id) != "D" {
				t.Fatalf("a newcomer at %v waits behind the others", at)
			}
		}
		time.Sleep(24 * time.Hour)
		w.settled()
	})
}

func TestStop(t *testing.T) {
	t.Run("in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.options.Queue = limits(5, 5) })
			w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
				time.Sleep(time.Minute)
				return accept(d)
			})
			for range 20 {
				w.submit(envelope("u@there.example"))
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			if err := w.q.Stop(ctx); err != nil {
				t.Error(err)
			}
			if n := len(w.made()); n != 5 || w.store.live() != 15 || time.Since(w.began) != time.Minute {
				t.Errorf("%d deliveries, %d messages left, stopped after %v", n, w.store.live(), time.Since(w.began))
			}
			d, _ := w.store.create()
			if err := w.q.submit(context.Background(), d, envelope("u@there.example")); err != ErrNotRunning {
				t.Errorf("submit after stop: %v", err)
			}
			w.setDeliver(nil)
			w.start()
			w.settled()
			w.stop()
			if len(w.made()) != 20 {
				t.Errorf("%d deliveries in all", len(w.made()))
			}
		})
	})
	t.Run("cut", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.setDeliver(func(ctx context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
				select {
				case <-ctx.Done():
					r := unreachable(d)
					// One recipient got through before the end.
					r.Outcomes[0].Recipients = []int{1}
					r.Outcomes = append(r.Outcomes, message.Outcome{Recipients: []int{0}, Status: message.Delivered, Reply: message.Reply{Code: 250}})
					return r
				case <-time.After(time.Hour):
					return accept(d)
				}
			})
			id := w.submit(envelope("a@there.example", "b@there.example"))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := w.q.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stop: %v", err)
			}
			if s := w.statuses(id); s != "Dp" || time.Since(w.began) != time.Minute {
				t.Errorf("after the cut: %s at %v", s, time.Since(w.began))
			}
			w.setDeliver(nil)
			w.start()
			w.settled()
			w.stop()
		})
	})
	t.Run("never started", func(t *testing.T) {
		q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain)}, Store: newStore(), Deliverer: &world{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestNewNeedsParts(t *testing.T) {
	for _, o := range []Options{
		{Settings: Settings{Router: routerFunc(byDomain)}, Store: newStore()},
		{Settings: Settings{Router: routerFunc(byDomain)}, Deliverer: &world{}},
		{Store: newStore(), Deliverer: &world{}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// TestBadReports: a deliverer that names recipients twice, not at all, or of
// others does no harm.
func TestBadReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			if len(d.Recipients) == 1 {
				return accept(d)
			}
			return message.Report{Outcomes: []message.Outcome{
				{Recipients: []int{0, 0, 7, -1, 3}, Status: message.Delivered, Reply: message.Reply{Code: 250}},
				{Recipients: []int{0}, Status: message.Failed, Reply: message.Reply{Code: 550}},
				{Recipients: []int{1}, Status: message.Pending},
			}}
		})
		id := w.submit(envelope("a@x.example", "b@x.example", "c@x.example", "d@y.example"))
		synctest.Wait()
		if s := w.statuses(id); s != "DddD" {
			t.Errorf("statuses %s", s)
		}
		if r := w.store.get(id).state.Recipients[2].Reply; r != replyNoOutcome {
			t.Errorf("a forgotten recipient has %v", r)
		}
		clear(w.delivered) // it counted what the deliverer said twice
		w.setDeliver(nil)
		time.Sleep(time.Hour)
		w.settled()
	})
}

func TestManyRecipients(t *testing.T) {
	for _, hops := range []int{1, 50, 500} {
		t.Run(fmt.Sprint(hops), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				var list []string
				for i := range 500 {
					list = append(list, fmt.Sprintf("u%d@d%d.example", i, i%hops))
				}
				// A fifth is refused, a fifth greylisted at first, by recipient.
				w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
					time.Sleep(rand.N(5 * time.Second))
					var r message.Report
					for _, i := range d.Recipients {
						o := message.Outcome{Recipients: []int{i}, Status: message.Delivered, Reply: message.Reply{Code: 250}}
						switch {
						case hop.Domain == "sender.example":
						case i%5 == 0:
							o.Status, o.Reply = message.Failed, message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "no"}
						case i%5 == 1 && time.Since(w.began) < 5*time.Minute:
							o.Status, o.Reply = message.Deferred, message.Reply{Code: 450, Text: "later"}
						}
						r.Outcomes = append(r.Outcomes, o)
					}
					return r
				})
				id := w.submit(envelope(list...))
				w.store.mu.Lock()
				if w.store.last != id {
					t.Errorf("the content is stored %d times", w.store.last-id+1)
				}
				w.store.mu.Unlock()
				time.Sleep(3 * time.Hour)
				w.settled()
				if n := len(w.delivered); n != 400+1 {
					t.Errorf("%d recipients delivered", n)
				}
				reports := w.store.reports(id)
				if len(reports) != 1 {
					t.Errorf("%d notifications for failures within seconds of one another", len(reports))
				}
				for i, r := range w.store.get(id).state.Recipients {
					if (i%5 == 0) != (r.Status == message.Failed && r.Notified) {
						t.Errorf("recipient %d: %+v", i, r)
					}
				}
				first := 0
				for _, c := range w.made() {
					if c.at == 0 {
						first++
					}
				}
				if first != hops {
					t.Errorf("%d deliveries at once, want one for each next hop", first)
				}
			})
		})
	}
}
