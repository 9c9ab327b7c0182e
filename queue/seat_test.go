package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

// TestWaitingStarvesNobody: deliveries to many next hops wait for something
// that all of them share. Others go on as if they were not there, and the
// number of those that run stays within the limit.
func TestWaitingStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(20, 5) })
		defer w.stop()
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if strings.HasPrefix(hop.Domain, "d") && d.Place.Leave() {
				time.Sleep(time.Minute)
				d.Place.Return(ctx)
			}
			return accept(d)
		})
		for i := range 300 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		synctest.Wait()
		if s := w.q.Stats(); s.Waiting != 300 || s.InFlight != 300 {
			t.Errorf("%d deliveries wait of %d in flight, want 300 of 300", s.Waiting, s.InFlight)
		}
		for i := range 100 {
			w.submit(envelope(fmt.Sprintf("u@healthy%d.example", i)))
		}
		synctest.Wait()
		if n := len(w.made()); n != 400 {
			t.Errorf("%d deliveries were begun at once, want 400", n)
		}
		time.Sleep(time.Hour)
		w.settled()
	})
}

// TestDeadHostsStarveNobody: more next hops than deliveries may run let
// connections run into nothing, at first and whenever they are tried again. A
// next hop that answered last has its mail at once.
func TestDeadHostsStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(100, 5) })
		defer w.stop()
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "healthy.example" || hop.Domain == "sender.example" {
				return accept(d)
			}
			time.Sleep(30 * time.Second)
			return unreachable(d)
		})
		w.submit(envelope("u@healthy.example"))
		synctest.Wait()
		for i := range 300 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		for range 300 { // first tries, and two rounds of others
			w.submit(envelope("u@healthy.example"))
			synctest.Wait()
			if n := w.store.live(); n > 300 {
				t.Fatalf("%v: %d messages wait beside those for the dead hosts", time.Since(w.began), n-300)
			}
			time.Sleep(time.Second)
		}
		w.mu.Lock()
		if n := w.peak[""]; n < 95 {
			t.Errorf("only %d of 100 ran at a time", n)
		}
		w.mu.Unlock()
		time.Sleep(50 * time.Hour)
		w.settled()
	})
}

// TestTooManyWait: there is a bound to those who have left their places, and
// who can't leave goes on as it was.
func TestTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(50, 5) })
		defer w.stop()
		var mu sync.Mutex
		left, stayed := 0, 0
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			ok := d.Place.Leave()
			mu.Lock()
			if ok {
				left++
			} else {
				stayed++
			}
			mu.Unlock()
			if ok {
				if d.Place.Leave() {
					t.Error("a place was left twice")
				}
				time.Sleep(time.Minute)
				d.Place.Return(ctx)
			}
			return accept(d)
		})
		for i := range maxAway + 100 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		synctest.Wait()
		mu.Lock()
		if left != maxAway || stayed != 100 {
			t.Errorf("%d left and %d stayed, want %d and 100", left, stayed, maxAway)
		}
		mu.Unlock()
		time.Sleep(time.Hour)
		w.settled()
	})
}

// TestReturnsGoFirst: who returns gets a free place before what is new, but for
// one in five that a queue with nothing in flight gets.
func TestReturnsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(1, 1) })
		defer w.stop()
		var mu sync.Mutex
		var order strings.Builder
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			what := "n"
			if strings.HasPrefix(hop.Domain, "d") && d.Place.Leave() {
				what = "r"
				time.Sleep(time.Until(w.began.Add(time.Minute)))
				d.Place.Return(ctx)
			}
			mu.Lock()
			order.WriteString(what)
			mu.Unlock()
			time.Sleep(time.Second)
			return accept(d)
		})
		for i := range 20 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		time.Sleep(time.Minute - time.Millisecond)
		for i := range 10 { // the first is under way when they return
			w.submit(envelope(fmt.Sprintf("u@new%d.example", i)))
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if got, want := order.String(), "n"+strings.Repeat("rrrrn", 5)+"nnnn"; got != want {
			t.Errorf("the order was %s, want %s", got, want)
		}
		w.settled()
	})
}

// TestReturnBehindGate: deliveries that wait leave their place behind the gate
// of their connector as well, and take one again.
func TestReturnBehindGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections = 3 })
		})
		defer w.stop()
		var mu sync.Mutex
		running, most := 0, 0
		run := func(d time.Duration) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(d)
			mu.Lock()
			running--
			mu.Unlock()
		}
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			run(0)
			if d.Place.Leave() {
				time.Sleep(10 * time.Second)
				d.Place.Return(ctx)
			}
			run(time.Second)
			return accept(d)
		})
		for i := range 30 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		synctest.Wait()
		if n := w.q.Stats().Waiting; n != 30 {
			t.Errorf("%d wait, want 30", n)
		}
		time.Sleep(20*time.Second + 100*time.Millisecond)
		w.settled()
		mu.Lock()
		defer mu.Unlock()
		if most != 3 {
			t.Errorf("%d ran at a time, want 3", most)
		}
	})
}

// TestReloadWhileReturning: who returns stands behind the gate also after a
// reload, behind the new one.
func TestReloadWhileReturning(t *testing.T) {
	for _, limit := range []int64{1, 2, config.Unlimited} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) {
					w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections = 1 })
				})
				defer w.stop()
				var running atomic.Int64
				w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
					if hop.Domain != "busy.example" && d.Place.Leave() {
						time.Sleep(time.Second)
						d.Place.Return(ctx)
					}
					running.Add(1)
					time.Sleep(time.Minute)
					running.Add(-1)
					return accept(d)
				})
				for i := range 4 {
					w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
					synctest.Wait()
				}
				w.submit(envelope("u@busy.example"))
				time.Sleep(2 * time.Second)
				w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections = limit })
				w.q.Reconfigure(w.options.Settings)
				synctest.Wait()
				checkSeats(t, w.q, 0)
				if n, want := running.Load(), min(limit, 5); n != want {
					t.Errorf("%d run, want %d", n, want)
				}
				time.Sleep(time.Hour)
				w.settled()
			})
		})
	}
}

// TestSeats leaves and takes places at random, while limits change, back
// pressure comes and goes and deliveries panic or end without theirs. What is
// counted is at any moment what there is, limits hold, and everything is
// delivered in the end.
func TestSeats(t *testing.T) {
	for seed := range 30 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playSeats(t, rand.New(rand.NewPCG(uint64(seed), 7))) })
		})
	}
}

func playSeats(t *testing.T, r *rand.Rand) {
	most := int64(1 + r.IntN(8))
	connectors := func() []config.SendConnector {
		if r.IntN(3) == 0 {
			return nil
		}
		return limited(func(c *config.SendConnector) { c.MaxConnections = 1 + r.Int64N(most) })
	}
	w := newWorld(t, func(w *world) {
		w.options.Queue = limits(most, 3)
		w.options.SendConnectors = connectors()
	})
	var mu sync.Mutex
	running, peak := 0, 0
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		running += n
		peak = max(peak, running)
	}
	w.setDeliver(func(ctx context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
		count(1)
		for range rand.N(4) {
			time.Sleep(rand.N(time.Second))
			count(-1)
			left := d.Place.Leave()
			time.Sleep(rand.N(5 * time.Second))
			switch rand.N(30) {
			case 0:
				return postpone(d)
			case 1:
				return unreachable(d)
			}
			ctx, cancel := ctx, context.CancelFunc(func() {})
			if rand.N(10) == 0 { // it may be over while it waits, and then it ends
				ctx, cancel = context.WithTimeout(ctx, rand.N(time.Second))
			}
			d.Place.Return(ctx)
			over := ctx.Err() != nil
			cancel()
			if !left {
				t.Error("nobody else is away, and yet too many are")
			}
			if over {
				return postpone(d)
			}
			count(1)
		}
		count(-1)
		return accept(d)
	})
	for step := range 100 {
		for range r.IntN(10) {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", r.IntN(12))))
		}
		switch r.IntN(10) {
		case 0:
			w.options.SendConnectors = connectors()
			w.q.Reconfigure(w.options.Settings)
		case 1:
			w.q.Throttle(false)
		case 2:
			w.q.Throttle(true)
		}
		time.Sleep(time.Duration(r.Int64N(int64(2 * time.Second))))
		synctest.Wait()
		checkSeats(t, w.q, step)
	}
	w.q.Throttle(true)
	time.Sleep(50 * time.Hour)
	w.settled()
	w.stop()
	mu.Lock()
	defer mu.Unlock()
	if peak > int(most) {
		t.Errorf("%d ran at a time, want %d at most", peak, most)
	}
}

// checkSeats compares what the queue counts with what there is, at a moment
// when nothing moves.
func checkSeats(t *testing.T, q *Queue, step int) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	flying := 0
	passed := map[*gate]int{}
	for _, d := range q.destinations {
		flying += len(d.active)
		if d.away < 0 || d.away > len(d.active) {
			t.Errorf("step %d: %s: %d away of %d in flight", step, d.hop, d.away, len(d.active))
		}
		passed[d.gate] += len(d.active) - d.away
	}
	if q.busy+q.away != flying || q.busy < 0 || q.away < 0 || q.busy != q.workers {
		t.Errorf("step %d: %d busy of %d workers, %d away, %d in flight", step, q.busy, q.workers, q.away, flying)
	}
	if q.returning.Len() > 0 && q.busy < q.mayRun() {
		t.Errorf("step %d: %d return while %d of %d run", step, q.returning.Len(), q.busy, q.mayRun())
	}
	for _, g := range q.gates {
		if g.active != passed[g] {
			t.Errorf("step %d: the gate counts %d, %d have passed", step, g.active, passed[g])
		}
		if g.returning.Len() > 0 && !g.full() {
			t.Errorf("step %d: %d return behind a gate that has room: %d of %d", step, g.returning.Len(), g.active+g.offered, g.limit)
		}
	}
}

// TestPanicWhileWaiting: a delivery that panics without its place leaves the
// counts as they should be.
func TestPanicWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(2, 2) })
		defer w.stop()
		var once sync.Once
		w.setDeliver(func(ctx context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			if d.Place.Leave() {
				once.Do(func() { panic("without its place") })
				d.Place.Return(ctx)
				d.Place.Return(ctx) // which changes nothing
			}
			return accept(d)
		})
		w.submit(envelope("a@panic.example"))
		time.Sleep(time.Hour)
		checkSeats(t, w.q, 0)
		w.settled()
		if n := w.q.Stats().Panics; n != 1 {
			t.Errorf("%d panics", n)
		}
	})
}

// TestStopWhileWaiting: an end that does not wait cuts those without a place,
// too, and those that wait for one.
func TestStopWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.Queue = limits(1, 1)
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections = 1 })
		})
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain != "busy.example" && d.Place.Leave() {
				select {
				case <-time.After(time.Duration(d.ID) * time.Minute):
				case <-ctx.Done():
				}
				d.Place.Return(ctx)
			} else {
				<-ctx.Done()
			}
			return postpone(d)
		})
		for i := range 10 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
			synctest.Wait()
		}
		w.submit(envelope("u@busy.example"))
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.q.Stop(ctx); err == nil {
			t.Error("nothing was cut")
		}
		w.q.mu.Lock()
		defer w.q.mu.Unlock()
		if q := w.q; q.away != 0 || q.busy != 0 || q.returning.Len() != 0 || q.gates["Internet"].active != 0 || q.gates["Internet"].returning.Len() != 0 {
			t.Errorf("left over: %d away, %d busy, %d return; gate: %+v", q.away, q.busy, q.returning.Len(), q.gates["Internet"])
		}
	})
}

// TestMemoryWaiting measures what a delivery costs that has left its place. The
// Deliverer adds what it has at hand.
func TestMemoryWaiting(t *testing.T) {
	const n = 5000
	store := newStore()
	free := make(chan struct{})
	q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.example"}, Store: store,
		Deliverer: delivererFunc(func(ctx context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			if d.Place.Leave() {
				<-free
				d.Place.Return(ctx)
			}
			return accept(d)
		})})
	if err != nil {
		t.Fatal(err)
	}
	q.newDraft = store.create
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		d, _ := store.create()
		if err := q.submit(t.Context(), d, envelope(fmt.Sprintf("kim@d%d.example", i))); err != nil {
			t.Fatal(err)
		}
	}
	for q.Stats().Waiting < n {
		time.Sleep(time.Millisecond)
	}
	with := footprint()
	close(free)
	for q.Stats().Waiting > 0 {
		time.Sleep(time.Millisecond)
	}
	if err := q.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	each := float64(with-footprint()) / n
	t.Logf("a delivery that waits: %.0f octets", each)
	if each > 32<<10 {
		t.Errorf("%.0f octets for each", each)
	}
	runtime.KeepAlive(q)
}

// footprint is what is in use of heap and stacks.
func footprint() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

type delivererFunc func(context.Context, routing.NextHop, *message.Delivery) message.Report

func (f delivererFunc) Deliver(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
	return f(ctx, hop, d)
}
