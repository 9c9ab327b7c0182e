package queue

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/routing"
)

// fourQueues routes u.example nowhere and the others each to a queue of its own.
func fourQueues(q routing.Query) routing.Decision {
	if q.Recipient.Domain == "u.example" {
		return nowhere()
	}
	return byDomain(q)
}

// An order that names a queue removes the recipients who stand in it, and
// nobody else.
func TestRemoveFromQueue(t *testing.T) {
	inWorld(t, func(w *world) { w.options.Router = routerFunc(fourQueues) }, func(t *testing.T, w *world) {
		w.always(postpone)
		id := w.submit(envelope("a@x.example", "b@u.example", "c@y.example", "d@u.example"))
		only := w.submit(envelope("e@u.example"))
		synctest.Wait()
		o := Order{Verb: Remove, Filter: Filter{Queue: UnreachableName}, WithNDR: true, By: "root", DryRun: true}
		want := Tally{Matched: 2, Changed: 2, Recipients: 3}
		if got := w.carry(o); !reflect.DeepEqual(got, want) {
			t.Errorf("dry run: %+v", got)
		}
		o.DryRun = false
		if got := w.carry(o); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v", got)
		}
		if got := w.statuses(id) + " " + w.statuses(only); got != "dRdR R" {
			t.Errorf("%s", got)
		}
		time.Sleep(mergeFailures + time.Second)
		r := w.store.reports(id)
		if len(r) != 1 || strings.Count(string(r[0].content), "Final-Recipient") != 2 || strings.Contains(string(r[0].content), "x.example") {
			t.Errorf("%d notifications", len(r))
		}
		if got := w.carry(Order{Verb: Remove, Filter: Filter{Queue: "Internet/y.example"}}); got.Recipients != 1 || w.statuses(id) != "dRRR" {
			t.Errorf("%+v, %s", got, w.statuses(id))
		}
		w.always(accept)
		time.Sleep(time.Hour)
		if w.statuses(id) != "DRRR" || len(w.callsTo("y.example")) != 1 {
			t.Errorf("%s", w.statuses(id))
		}
		w.settled()
	})
}

// So it is with recipients who are being delivered: what is left of them when
// that ends is removed, the others stay.
func TestRemoveFromQueueInFlight(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain != "x.example" {
				return postpone(d)
			}
			return later(func(d *message.Delivery) message.Report {
				r := postpone(d)
				r.Outcomes[0].Recipients = d.Recipients[1:]
				r.Outcomes = append(r.Outcomes, message.Outcome{Recipients: d.Recipients[:1], Status: message.Delivered, Reply: message.Reply{Code: 250}})
				return r
			})(ctx, hop, d)
		})
		id := w.submit(envelope("a@x.example", "b@x.example", "c@y.example"))
		synctest.Wait()
		o := Order{Verb: Remove, Filter: Filter{Queue: "Internet/x.example"}, By: "root", DryRun: true}
		for range 2 {
			if got := w.carry(o); got.Pending != 1 || got.Recipients != 2 {
				t.Errorf("%+v", got)
			}
			o.DryRun = false
		}
		if got := w.carry(o); got.Skipped[skipRemoving] != 1 {
			t.Errorf("again: %+v", got)
		}
		time.Sleep(61 * time.Second)
		if w.statuses(id) != "DRd" || len(w.store.reports(id)) != 0 {
			t.Errorf("%s, %d notifications", w.statuses(id), len(w.store.reports(id)))
		}
		w.setDeliver(nil)
		time.Sleep(time.Hour)
		if w.statuses(id) != "DRD" || len(w.callsTo("x.example")) != 1 {
			t.Errorf("%s", w.statuses(id))
		}
		w.settled()
	})
}

// A redirection is of the whole message: an order that names one of its queues
// passes over it, and so does any order where there is no connector.
func TestRedirectFromQueue(t *testing.T) {
	inWorld(t, func(w *world) { w.options.Router = routerFunc(fourQueues) }, func(t *testing.T, w *world) {
		w.always(postpone)
		two := w.submit(envelope("a@x.example", "b@y.example"))
		one := w.submit(envelope("c@x.example"))
		lost := w.submit(envelope("d@u.example"))
		synctest.Wait()
		redirect := func(f Filter) Tally {
			t.Helper()
			dry := w.carry(Order{Verb: Redirect, Filter: f, To: "hub.example", DryRun: true})
			got := w.carry(Order{Verb: Redirect, Filter: f, To: "hub.example"})
			if !reflect.DeepEqual(dry, got) {
				t.Errorf("dry run %+v, then %+v", dry, got)
			}
			return got
		}
		if got := redirect(Filter{Queue: "Internet/x.example"}); got.Changed != 1 || got.Skipped[skipElsewhere] != 1 {
			t.Errorf("%+v", got)
		}
		if got := redirect(Filter{IDs: []message.ID{lost}}); got.Changed != 0 || got.Skipped[skipUnreachable] != 1 {
			t.Errorf("%+v", got)
		}
		if list := w.list(Filter{IDs: []message.ID{two, one, lost}}); list[0].Standing.Redirect != "" || list[1].Standing.Redirect == "" || list[2].Standing.Redirect != "" {
			t.Errorf("%+v", list)
		}
		if got := redirect(Filter{IDs: []message.ID{two}}); got.Changed != 1 || got.Recipients != 2 {
			t.Errorf("%+v", got)
		}
		w.order(Remove, two, one, lost)
		w.settled()
	})
}

// Retry and resubmit are about the recipients in the queue that is named, and
// retry passes over what a suspended queue holds.
func TestRetryFromQueue(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(postpone)
		id := w.submit(envelope("a@x.example", "b@y.example"))
		synctest.Wait()
		o := Order{Verb: RetryNow, Filter: Filter{Queue: "Internet/x.example"}}
		if got := w.carry(o); got.Changed != 1 || got.Recipients != 1 {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if x, y := len(w.callsTo("x.example")), len(w.callsTo("y.example")); x != 2 || y != 1 {
			t.Errorf("%d and %d tries", x, y)
		}
		if err := w.q.SuspendQueue("Internet/x.example"); err != nil {
			t.Fatal(err)
		}
		for _, dry := range []bool{true, false} {
			o.DryRun = dry
			if got := w.carry(o); got.Changed != 0 || got.Skipped[skipHeld] != 1 {
				t.Errorf("%+v", got)
			}
		}
		if got := w.order(RetryNow, id); got.Changed != 1 { // for the other recipient
			t.Errorf("%+v", got)
		}
		w.order(Remove, id)
		time.Sleep(time.Minute)
		w.settled()
	})
}

// A message that becomes poison by the very attempt after which it is removed
// can be resumed, also after a restart, and its sender is told.
func TestRemovedWhenPoison(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
				if hop.Domain == "sender.example" {
					return accept(d)
				}
				time.Sleep(time.Minute)
				panic("a bug")
			})
			id := w.submit(envelope("a@x.example"))
			time.Sleep(2 * time.Minute)
			w.order(RetryNow, id)
			synctest.Wait()
			if got := w.order(Remove, id); got.Pending != 1 {
				t.Errorf("%+v", got)
			}
			time.Sleep(2 * time.Minute)
			if restart {
				w.stop()
				w.start()
				synctest.Wait()
			}
			w.wantStatus(id, StatusPoison)
			if got := w.order(Resume, id); got.Changed != 1 {
				t.Errorf("%+v", got)
			}
			time.Sleep(time.Minute)
			if w.statuses(id) != "R" || len(w.store.reports(id)) != 1 {
				t.Errorf("%s, %d notifications", w.statuses(id), len(w.store.reports(id)))
			}
			w.settled()
		})
	}
}

// An order by id also meets a message that a clerk has just taken out of its
// queue.
func TestOrderMeetsPinned(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(postpone)
		id := w.submit(envelope("a@x.example"))
		synctest.Wait()
		d := w.q.named("Internet/x.example")
		w.q.mu.Lock()
		it := w.q.pin(d, 0, w.q.now())
		w.q.mu.Unlock()
		if got := w.order(Remove, id); got.Pending != 1 {
			t.Errorf("%+v", got)
		}
		w.q.rerouteItem(d, it)
		synctest.Wait()
		if w.statuses(id) != "R" {
			t.Errorf("%s", w.statuses(id))
		}
		w.settled()
	})
}
