package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/routing"
)

// by sends every domain through a connector.
func by(connector string) routerFunc {
	return func(q routing.Query) routing.Decision { return to(connector, q.Recipient.Domain) }
}

// TestConnectorRenamed: what waits for hours behind a connector that a reload
// takes away goes by the new one within moments; what stays where it is keeps
// its time.
func TestConnectorRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.Router = by("Old")
			w.options.Queue.MessageRetryInterval = 20 * time.Hour
		})
		defer w.stop()
		w.always(postpone)
		const domains, each = 6, rerouteBatch + 1
		for i := range domains * each {
			w.submit(envelope(fmt.Sprintf("kim@d%d.example", i%domains)))
		}
		time.Sleep(time.Hour)
		if n := len(w.made()); n != domains*each {
			t.Fatalf("%d deliveries", n)
		}
		w.setDeliver(nil)
		w.q.setAlone(true) // clerks would begin before we have counted
		w.reconfigure(func(q routing.Query) routing.Decision {
			if q.Recipient.Domain == "d0.example" {
				return to("Old", "d0.example")
			}
			return to("New", q.Recipient.Domain)
		})
		if n := w.q.Stats().Rerouting; n != domains*each {
			t.Errorf("%d messages to be routed anew, want %d", n, domains*each)
		}
		w.q.setAlone(false)
		synctest.Wait()
		if n := w.q.Stats().Rerouting; n != 0 {
			t.Errorf("%d messages are still to be routed anew", n)
		}
		if n := len(w.made()); n != (2*domains-1)*each {
			t.Errorf("%d deliveries, want %d", n, (2*domains-1)*each)
		}
		for _, s := range w.q.Snapshot() {
			if want := s.Hop.Domain == "d0.example"; (s.Messages == each) != want && s.Messages != 0 || s.Hop.Connector == "Old" && !want && s.Messages != 0 {
				t.Errorf("queue %s holds %d messages", s.Name, s.Messages)
			}
		}
		time.Sleep(24 * time.Hour)
		w.settled()
	})
}

// TestReloadWhileWalking: reloads one after the other, while messages are being
// routed anew, arrive and come back from attempts: in the end each is where the
// last one wants it.
func TestReloadWhileWalking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(50, 10) })
		defer w.stop()
		slow := func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(10 * time.Second)
			return postpone(d)
		}
		w.setDeliver(slow)
		for i := range 800 {
			w.submit(envelope(fmt.Sprintf("kim@d%d.example", i%7), "lee@other.example"))
		}
		for n := range 20 {
			w.reconfigure(by(fmt.Sprintf("C%d", n)))
			w.reconfigure(by(fmt.Sprintf("D%d", n)))
			w.submit(envelope("kim@d1.example"))
			time.Sleep(3 * time.Second)
		}
		w.reconfigure(by("Last"))
		time.Sleep(30 * time.Second) // what was in flight is back
		synctest.Wait()
		for _, s := range w.q.Snapshot() {
			if s.Hop.Connector != "Last" && s.Messages > 0 {
				t.Errorf("%d messages are left in %s", s.Messages, s.Name)
			}
		}
		if n := w.q.Stats().Rerouting; n != 0 {
			t.Errorf("%d messages to be routed anew", n)
		}
		w.setDeliver(nil)
		time.Sleep(24 * time.Hour)
		w.settled()
	})
}

// TestResubmit: after twelve hours in Retry every message is routed anew, though
// nobody changed the settings, and the queue's own clock goes on.
func TestResubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		w := newWorld(t, nil)
		defer w.stop()
		w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
			w.mu.Lock()
			defer w.mu.Unlock()
			asked[q.Recipient.Local]++
			if q.Recipient.Local == "moves" && time.Since(w.began) > 11*time.Hour {
				return to("Backup", q.Recipient.Domain)
			}
			return byDomain(q)
		})
		w.q.Reconfigure(w.options.Settings)
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Connector == "Backup" || hop.Domain != "dead.example" {
				return accept(d)
			}
			return unreachable(d)
		})
		const n = 2 * rerouteBatch
		for range n {
			w.submit(envelope("moves@dead.example"))
		}
		stays := w.submit(envelope("stays@dead.example"))
		time.Sleep(11*time.Hour + 55*time.Minute)
		synctest.Wait()
		if left := w.store.live(); left < n*9/10 { // those that probed may have been routed since
			t.Errorf("%d messages are left before the time", left)
		}
		w.mu.Lock()
		clear(asked)
		w.mu.Unlock()
		time.Sleep(41 * time.Minute) // twelve hours, and what is left of an interval
		synctest.Wait()
		w.mu.Lock()
		if asked["stays"] != 1 {
			t.Errorf("a message that stays was routed %d times", asked["stays"])
		}
		w.mu.Unlock()
		if left := w.store.live(); left != 1 {
			t.Errorf("%d messages are left, though all but one have another way now", left)
		}
		if s := w.q.Snapshot()[len(w.q.Snapshot())-1]; s.Status != Retry || s.Messages != 1 || s.RetryCount < 20 {
			t.Errorf("snapshot %+v", s)
		}
		w.mu.Lock()
		clear(asked)
		w.mu.Unlock()
		time.Sleep(11 * time.Hour)
		w.mu.Lock()
		if asked["stays"] != 0 {
			t.Errorf("routed anew %d times within twelve hours", asked["stays"])
		}
		w.mu.Unlock()
		time.Sleep(25 * time.Hour)
		if s := w.statuses(stays); s != "E" {
			t.Errorf("status %s", s)
		}
		w.settled()
	})
}
