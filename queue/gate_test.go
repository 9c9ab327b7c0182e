package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

// limited is a Send connector with limits; byDomain routes everything to it.
func limited(change func(c *config.SendConnector)) []config.SendConnector {
	c := config.SendConnector{Name: "Internet", MaxConnections: config.Unlimited, MaxConnectionsPerDomain: config.Unlimited,
		MessageRateLimit: config.Unlimited, MessageRateLimitPerDomain: config.Unlimited}
	change(&c)
	return []config.SendConnector{c}
}

// slowly delivers everything after a time.
func slowly(takes time.Duration) func(context.Context, routing.NextHop, *message.Delivery) message.Report {
	return func(ctx context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
		return accept(d)
	}
}

func TestMessageRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MessageRateLimit = 30 })
			w.options.Queue = limits(2, 2) // a worker that waits would be missed
		})
		defer w.stop()
		for i := range 20 {
			w.submit(envelope(fmt.Sprintf("a@d%d.example", i%5)))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if i := w.info("Internet/d4.example"); i.WaitsFor != `message_rate_limit (30 a minute) of send connector "Internet"` || i.InFlight != 0 || time.Until(i.NextDue) > 2*time.Second {
			t.Errorf("the queue waits for %q: %+v", i.WaitsFor, i)
		}
		if busy := w.q.Stats().InFlight; busy != 0 {
			t.Errorf("%d workers are held", busy)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		calls := w.made()
		if len(calls) != 20 {
			t.Fatalf("%d deliveries, want 20", len(calls))
		}
		for i, c := range calls {
			if want := time.Duration(i) * 2 * time.Second; c.at < want || c.at > want+200*time.Millisecond {
				t.Errorf("delivery %d at %v, want %v", i, c.at, want)
			}
			if want := fmt.Sprintf("d%d.example", i%5); c.hop != want {
				t.Errorf("delivery %d to %s, whose turn it is not; want %s", i, c.hop, want)
			}
		}
	})
}

func TestMessageRatePerDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MessageRateLimitPerDomain = 600 })
		})
		defer w.stop()
		for range 100 {
			w.submit(envelope("a@slow.example"))
		}
		w.submit(envelope("a@other.example"))
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(w.callsTo("slow.example")); n < 19 || n > 21 { // ten at once, then ten a second
			t.Errorf("%d deliveries in a second", n)
		}
		if n := len(w.callsTo("other.example")); n != 1 {
			t.Errorf("the other domain waits: %d", n)
		}
		i := w.info("Internet/slow.example")
		if i.WaitsFor != `message_rate_limit_per_domain (600 a minute) of send connector "Internet"` || !i.NextDue.After(time.Now()) {
			t.Errorf("waits for %q until %v", i.WaitsFor, i.NextDue)
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if n := len(w.callsTo("slow.example")); n != 100 {
			t.Errorf("%d deliveries in ten seconds, want all", n)
		}
	})
}

func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections, c.MaxConnectionsPerDomain = 3, 2 })
		})
		defer w.stop()
		w.setDeliver(slowly(10 * time.Second))
		for range 50 {
			w.submit(envelope("a@large.example"))
		}
		time.Sleep(time.Second)
		for i := range 10 {
			w.submit(envelope(fmt.Sprintf("a@d%d.example", i)))
		}
		synctest.Wait()
		if i := w.info("Internet/large.example"); i.InFlight != 2 || i.WaitsFor != `max_connections_per_domain (2) of send connector "Internet"` {
			t.Errorf("large: %+v", i)
		}
		if i := w.info("Internet/d9.example"); i.InFlight != 0 || i.WaitsFor != `max_connections (3) of send connector "Internet"` {
			t.Errorf("d9: %+v", i)
		}
		// The ten single messages take turns with the large queue.
		time.Sleep(59 * time.Second)
		synctest.Wait()
		small := 0
		for _, c := range w.made() {
			if strings.HasPrefix(c.hop, "d") {
				small++
			}
		}
		if small != 10 {
			t.Errorf("after a minute %d of ten domains had their turn", small)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if w.peak[""] != 3 || w.peak["large.example"] != 2 || len(w.made()) != 60 {
			t.Errorf("at most %d at a time, %d to large, %d in all; want 3, 2, 60", w.peak[""], w.peak["large.example"], len(w.made()))
		}
	})
}

// TestGatesReload: new limits hold at once, for what is under way and what
// waits, and what was spent of a rate is not given back.
func TestGatesReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections = 2 })
		})
		defer w.stop()
		w.setDeliver(slowly(time.Minute))
		for i := range 40 {
			w.submit(envelope(fmt.Sprintf("a@d%d.example", i)))
		}
		running := func() int {
			synctest.Wait()
			return w.q.Stats().InFlight
		}
		use := func(c []config.SendConnector) {
			s := w.options.Settings
			s.SendConnectors = c
			w.q.Reconfigure(s)
		}
		if n := running(); n != 2 {
			t.Errorf("%d run, want 2", n)
		}
		use(limited(func(c *config.SendConnector) { c.MaxConnections = 5 }))
		if n := running(); n != 5 {
			t.Errorf("%d run after the limit was raised to 5", n)
		}
		use(limited(func(c *config.SendConnector) { c.MaxConnections = 1 }))
		time.Sleep(time.Minute)
		if n := running(); n != 1 {
			t.Errorf("%d run after the limit was lowered to 1", n)
		}
		rated := limited(func(c *config.SendConnector) { c.MessageRateLimit = 1 })
		use(rated)
		if n := running(); n != 2 {
			t.Errorf("%d run with a rate in the place of the limit, want one more", n)
		}
		for range 5 {
			use(rated)
		}
		if n := running(); n != 2 {
			t.Errorf("%d run: reloads gave the rate back", n)
		}
		use(nil)
		if n := running(); n < 30 {
			t.Errorf("%d run after all limits are gone", n)
		}
		time.Sleep(time.Hour)
		w.settled()
		if n := len(w.made()); n != 40 {
			t.Errorf("%d deliveries, want 40", n)
		}
	})
}

// A queue that leaves the gate's line, for it is suspended, lets the others
// pass.
func TestGateLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections = 1 })
		})
		defer w.stop()
		w.setDeliver(slowly(time.Minute))
		for _, d := range []string{"a", "b", "c"} {
			w.submit(envelope("x@" + d + ".example"))
		}
		synctest.Wait()
		if err := w.q.SuspendQueue("Internet/b.example"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(w.callsTo("c.example")); n != 1 {
			t.Errorf("c was tried %d times", n)
		}
		if err := w.q.ResumeQueue("Internet/b.example"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		w.settled()
	})
}

// What waits for a rate expires like everything else.
func TestGateAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MessageRateLimit = 1 })
		})
		defer w.stop()
		var ids []message.ID
		for range 4000 { // more than two days' worth
			e := envelope("a@there.example")
			e.From = message.Address{} // else notifications would want their share
			ids = append(ids, w.submit(e))
		}
		time.Sleep(50 * time.Hour)
		synctest.Wait()
		expired := 0
		for _, id := range ids {
			if w.statuses(id) == "E" {
				expired++
			}
		}
		if n := len(w.callsTo("there.example")); n < 2800 || n > 2900 || expired+n != 4000 {
			t.Errorf("%d deliveries, %d expired, of 4000", n, expired)
		}
	})
}

// What was in hand at an unclean end and is tried alone counts as any other
// delivery does, when it begins and when it ends.
func TestLimitsAfterSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections, c.MessageRateLimit = 2, 60 })
		})
		defer w.stop()
		w.q.setAlone(true)
		for i := range 3 {
			w.q.tryOne(w.submit(envelope(fmt.Sprintf("a@s%d.example", i))))
		}
		w.q.setAlone(false)
		if n := len(w.made()); n != 3 {
			t.Fatalf("%d suspects were tried", n)
		}
		w.setDeliver(slowly(time.Hour))
		for i := range 20 {
			w.submit(envelope(fmt.Sprintf("a@d%d.example", i)))
		}
		synctest.Wait()
		if n := w.q.Stats().InFlight; n != 0 { // the suspects have used the rate up
			t.Errorf("%d deliveries at once beyond message_rate_limit", n)
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if n := w.q.Stats().InFlight; n != 2 {
			t.Errorf("%d deliveries at a time, want max_connections = 2", n)
		}
	})
}

// A reload's way through the queues may come to one that has been forgotten and
// made anew meanwhile. The new one stays known: its limits hold, and a reload
// that changes them reaches what waits in it.
func TestForgottenQueueMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.SendConnectors = limited(func(c *config.SendConnector) { c.MaxConnections = 1 })
		})
		defer w.stop()
		hop := to("Internet", "a.example").NextHop
		w.submit(envelope("a@a.example"))
		synctest.Wait()
		w.q.mu.Lock()
		old := w.q.destinations[hop]
		w.q.mu.Unlock()
		time.Sleep(2 * queueMaxIdle)
		w.setDeliver(slowly(24 * time.Hour))
		w.submit(envelope("a@b.example")) // uses the limit up
		synctest.Wait()
		w.submit(envelope("a@a.example"))
		w.q.mu.Lock()
		made := w.q.destinations[hop]
		w.q.adopt(old, w.q.now()) // what the walk does
		w.q.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		w.q.mu.Lock()
		now := w.q.destinations[hop]
		w.q.mu.Unlock()
		if made == nil || made == old || now != made {
			t.Fatalf("the queue was %p, made anew as %p, and is now %p", old, made, now)
		}
		s := w.options.Settings
		s.SendConnectors = nil
		w.q.Reconfigure(s)
		synctest.Wait()
		if n := w.q.Stats().InFlight; n != 2 {
			t.Errorf("%d deliveries without limits, want 2", n)
		}
	})
}
