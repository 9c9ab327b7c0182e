package queue

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

func (w *world) reconfigure(r routerFunc) {
	w.options.Router = r
	w.q.Reconfigure(w.options.Settings)
}

// TestUnreachable: without a connector messages wait, and a reload that brings
// one frees them.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
				if q.Recipient.Domain == "sender.example" {
					return byDomain(q)
				}
				return nowhere()
			})
		})
		defer w.stop()
		const n = 3*rerouteBatch + 7
		ids := []message.ID{}
		for range n {
			ids = append(ids, w.submit(envelope("kim@there.example", "lee@elsewhere.example")))
		}
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if len(w.callsTo("there.example")) != 0 || len(w.store.reports(ids[0])) != 1 {
			t.Errorf("%d deliveries, %d notifications", len(w.callsTo("there.example")), len(w.store.reports(ids[0])))
		}
		if r := w.store.reports(ids[0])[0]; !strings.Contains(string(r.content), "A matching connector cannot be found") {
			t.Errorf("the delay notification gives no reason:\n%s", r.content)
		}
		info := w.q.Snapshot()
		last := info[len(info)-1]
		if last.Name != UnreachableName || last.Messages != n || last.Status != Ready || last.LastError.Code != 451 {
			t.Errorf("snapshot %+v", last)
		}
		// A reload that has an answer for one of the two only.
		w.reconfigure(func(q routing.Query) routing.Decision {
			if q.Recipient.Domain == "elsewhere.example" {
				return nowhere()
			}
			return byDomain(q)
		})
		synctest.Wait()
		for n, id := range ids {
			if s := w.statuses(id); s != "Dp" {
				t.Fatalf("after the reload message %d: %s", n, s)
			}
		}
		if s, err := w.q.Show(ids[0]); err != nil || s.Queues[0] != "" || s.Queues[1] != UnreachableName {
			t.Errorf("show %+v %v", s, err)
		}
		time.Sleep(43*time.Hour + time.Second)
		synctest.Wait()
		for _, id := range ids {
			if s := w.statuses(id); s != "DE" {
				t.Fatalf("at the end: %s", s)
			}
		}
		w.settled()
	})
}

// TestReloadWhileRouting: a message that is routed while a reload brings its
// connector does not stay behind in the Unreachable queue.
func TestReloadWhileRouting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(accept)
		var reload sync.Once
		w.reconfigure(func(routing.Query) routing.Decision {
			reload.Do(func() { w.reconfigure(byDomain) })
			return nowhere()
		})
		id := w.submit(envelope("kim@there.example"))
		synctest.Wait()
		if n := len(w.callsTo("there.example")); n != 1 {
			t.Errorf("%d deliveries of message %s, want 1", n, id)
		}
		w.settled()
	})
}

// TestRefusedByRouter: what the router refuses fails at once, the rest goes.
func TestRefusedByRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusal := message.Reply{Code: 550, Enhanced: [3]int{5, 3, 4}, Text: "ROUTING.SizeLimit; message size exceeds fixed maximum size for route"}
		w := newWorld(t, func(w *world) {
			w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
				if q.Recipient.Domain == "small.example" && q.Size > 0 {
					return routing.Decision{Problem: routing.ProblemSize, Reply: refusal}
				}
				return byDomain(q)
			})
		})
		defer w.stop()
		for _, list := range [][]string{{"a@small.example"}, {"a@small.example", "b@x.example"}, {"a@small.example", "b@x.example", "c@y.example", "d@small.example"}} {
			id := w.submit(envelope(list...))
			time.Sleep(time.Minute)
			synctest.Wait()
			want := map[int]string{1: "F", 2: "FD", 4: "FDDF"}[len(list)]
			if s := w.statuses(id); s != want {
				t.Errorf("%v: %s", list, s)
			}
			r := w.store.reports(id)
			if len(r) != 1 || !strings.Contains(string(r[0].content), "Status: 5.3.4") || !strings.Contains(string(r[0].content), "ROUTING.SizeLimit") {
				t.Errorf("%v: %d notifications", list, len(r))
			}
		}
		// A notification of ours is exempt.
		e := envelope("a@small.example")
		e.From, e.Origin.Internal = message.Address{}, true
		id := w.submit(e)
		synctest.Wait()
		if s := w.statuses(id); s != "D" {
			t.Errorf("a notification: %s", s)
		}
		w.settled()
	})
}

// TestRefusedAfterRestart: a stored message that the router refuses now.
func TestRefusedAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.always(postpone)
		id := w.submit(envelope("a@x.example", "b@y.example"))
		synctest.Wait()
		w.stop()
		w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
			if q.Recipient.Domain == "x.example" {
				return routing.Decision{Problem: routing.ProblemSender, Reply: message.Reply{Code: 550, Enhanced: [3]int{5, 7, 1}}}
			}
			return byDomain(q)
		})
		w.setDeliver(nil)
		w.start()
		defer w.stop()
		synctest.Wait()
		if s := w.statuses(id); s != "Fd" {
			t.Errorf("after the start: %s", s)
		}
		time.Sleep(10 * time.Minute)
		if s := w.statuses(id); s != "FD" || len(w.store.reports(id)) != 1 {
			t.Errorf("in the end: %s", s)
		}
		w.settled()
	})
}

// TestRerouteJoins: recipients that move to a queue in which their message waits
// already wait there with it.
func TestRerouteJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
				if q.Recipient.Local == "c" {
					return to("Internet", "two.example")
				}
				return to("Internet", "one.example")
			})
		})
		defer w.stop()
		w.always(postpone)
		id := w.submit(envelope("a@x.example", "b@x.example", "c@x.example"))
		synctest.Wait()
		w.setDeliver(nil)
		// b moves over to two.example, where c stands already.
		w.reconfigure(func(q routing.Query) routing.Decision {
			if q.Recipient.Local == "a" || q.Recipient.Domain == "sender.example" {
				return to("Internet", "one.example")
			}
			return to("Internet", "two.example")
		})
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := len(w.made()); n != 2 {
			t.Errorf("%d deliveries before anything was due", n)
		}
		time.Sleep(time.Minute)
		w.settled()
		if s := w.statuses(id); s != "DDD" {
			t.Errorf("statuses %s", s)
		}
		got := map[string]int{}
		for _, c := range w.made()[2:] {
			got[c.hop] += len(c.list)
		}
		if got["one.example"] != 1 || got["two.example"] != 2 {
			t.Errorf("deliveries %v", w.made())
		}
	})
}

// TestReconfigureFreesRetry: messages behind a dead next hop take a new route
// as soon as there is one.
func TestReconfigureFreesRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "dead.example" {
				return unreachable(d)
			}
			return accept(d)
		})
		for range 200 {
			w.submit(envelope("kim@dead.example"))
		}
		time.Sleep(10 * time.Hour)
		if n := w.q.Snapshot()[0]; n.Messages != 200 || n.Status != Retry {
			t.Fatalf("snapshot %+v", n)
		}
		before := len(w.callsTo("dead.example"))
		w.q.Reconfigure(w.options.Settings) // nothing new: one try, no more
		synctest.Wait()
		if n := len(w.callsTo("dead.example")) - before; n != 1 {
			t.Errorf("%d attempts after a reload", n)
		}
		w.reconfigure(func(q routing.Query) routing.Decision { return to("Backup", "alive.example") })
		synctest.Wait()
		if n := len(w.callsTo("alive.example")); n < 150 {
			t.Errorf("%d deliveries by the new route at once", n)
		}
		time.Sleep(time.Hour)
		w.settled()
	})
}

// TestReconfigureSchedule: new limits and times hold for what is queued.
func TestReconfigureSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(10, 1) })
		defer w.stop()
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(10 * time.Second)
			return accept(d)
		})
		for range 100 {
			w.submit(envelope("kim@there.example"))
		}
		time.Sleep(15 * time.Second)
		w.options.Queue = limits(200, 200)
		w.q.Reconfigure(w.options.Settings)
		time.Sleep(60 * time.Second) // 5 at a time, and each that gets through lets another go along
		w.settled()

		w.always(postpone)
		id := w.submit(envelope("kim@there.example"))
		time.Sleep(time.Hour)
		w.options.Queue = config.Queue{MessageExpiration: 30 * time.Minute}
		w.q.Reconfigure(w.options.Settings)
		synctest.Wait()
		if s := w.statuses(id); s != "E" {
			t.Errorf("a shorter expiration leaves the message %s", s)
		}
		w.settled()
	})
}
