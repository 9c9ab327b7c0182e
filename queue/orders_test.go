package queue

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/routing"
)

// carry carries an order out to its end.
func (w *world) carry(o Order) Tally {
	w.t.Helper()
	sum := Tally{}
	for {
		t, err := w.q.Carry(context.Background(), o)
		if err != nil {
			w.t.Fatalf("%+v: %v", o, err)
		}
		sum.Matched, sum.Changed, sum.Pending = sum.Matched+t.Matched, sum.Changed+t.Changed, sum.Pending+t.Pending
		sum.Recipients += t.Recipients
		n := t.Changed + t.Pending
		for why, k := range t.Skipped {
			if sum.Skipped == nil {
				sum.Skipped = map[string]int{}
			}
			sum.Skipped[why] += k
			n += k
		}
		if n != t.Matched {
			w.t.Errorf("%+v: the tally does not add up: %+v", o, t)
		}
		if t.Next == 0 {
			return sum
		}
		o.After = t.Next
	}
}

func (w *world) order(verb Verb, ids ...message.ID) Tally {
	w.t.Helper()
	return w.carry(Order{Verb: verb, Filter: Filter{IDs: ids}, WithNDR: true, By: "root"})
}

// list lists all messages that a filter chooses.
func (w *world) list(f Filter) (list []MessageSummary) {
	w.t.Helper()
	var after message.ID
	for {
		p, err := w.q.Messages(context.Background(), f, after, 3)
		if err != nil {
			w.t.Fatalf("%+v: %v", f, err)
		}
		list = append(list, p.Messages...)
		if after = p.Next; after == 0 {
			return list
		}
	}
}

// status is a message's status, empty when it is in no queue.
func (w *world) status(id message.ID) MessageStatus {
	w.t.Helper()
	for _, m := range w.list(Filter{IDs: []message.ID{id}}) {
		return m.Status
	}
	return ""
}

func (w *world) wantStatus(id message.ID, want MessageStatus) {
	w.t.Helper()
	if got := w.status(id); got != want {
		w.t.Errorf("the message is %q, want %q", got, want)
	}
}

// kinds are the events about a message that came by order of somebody.
func (w *world) ordered(id message.ID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := ""
	for _, e := range w.events {
		if e.ID == id && e.By != "" {
			s += e.Kind.String() + " by " + e.By + ";"
		}
	}
	return s
}

func inWorld(t *testing.T, change func(*world), test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		test(t, w)
		w.stop()
	})
}

// later is a Deliverer that takes a minute for each delivery.
func later(fn func(*message.Delivery) message.Report) func(context.Context, routing.NextHop, *message.Delivery) message.Report {
	return func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
		if hop.Domain == "sender.example" {
			return accept(d)
		}
		select {
		case <-time.After(time.Minute):
			return fn(d)
		case <-ctx.Done():
			return unreachable(d)
		}
	}
}

func TestSuspendWaiting(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(postpone)
		id := w.submit(envelope("a@x.example", "b@y.example"))
		synctest.Wait()
		w.wantStatus(id, StatusRetry)
		if got := w.order(Suspend, id); !reflect.DeepEqual(got, Tally{Matched: 1, Changed: 1, Recipients: 2}) {
			t.Errorf("%+v", got)
		}
		w.wantStatus(id, StatusSuspended)
		if got := w.order(Suspend, id); got.Skipped[skipSuspended] != 1 {
			t.Errorf("twice: %+v", got)
		}
		n := len(w.made())
		time.Sleep(72 * time.Hour) // far beyond delay notification and expiry
		synctest.Wait()
		if len(w.made()) != n || w.statuses(id) != "dd" || len(w.store.reports(id)) != 0 {
			t.Errorf("while suspended: %d deliveries more, %s, %d notifications", len(w.made())-n, w.statuses(id), len(w.store.reports(id)))
		}
		w.stop()
		w.start()
		synctest.Wait()
		w.wantStatus(id, StatusSuspended)
		time.Sleep(time.Hour)
		if len(w.made()) != n {
			t.Error("a suspended message was delivered after a restart")
		}
		w.always(accept)
		if got := w.order(Resume, id); got.Changed != 1 {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if w.statuses(id) != "DD" {
			t.Errorf("resumed: %s", w.statuses(id))
		}
		if got, want := w.ordered(id), "suspended by root;resumed by root;"; got != want {
			t.Errorf("events %q, want %q", got, want)
		}
		time.Sleep(time.Minute) // a clerk who met another at the message comes again
		w.settled()
	})
}

// A message that is resumed when its time is up is tried once before it expires.
func TestResumeLate(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(postpone)
		id := w.submit(envelope("a@x.example"))
		synctest.Wait()
		w.order(Suspend, id)
		time.Sleep(72 * time.Hour)
		n := len(w.callsTo("x.example"))
		w.order(Resume, id)
		synctest.Wait()
		if got := len(w.callsTo("x.example")) - n; got != 1 || w.statuses(id) != "E" {
			t.Errorf("%d tries, %s", got, w.statuses(id))
		}
		w.settled()
	})
}

func TestSuspendInFlight(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.setDeliver(later(postpone))
		id := w.submit(envelope("a@x.example"))
		synctest.Wait()
		w.wantStatus(id, StatusActive)
		if got := w.order(Suspend, id); got.Pending != 1 || got.Changed != 0 {
			t.Errorf("%+v", got)
		}
		w.wantStatus(id, StatusPendingSuspend)
		time.Sleep(2 * time.Minute)
		w.wantStatus(id, StatusSuspended)
		time.Sleep(5 * time.Hour)
		if n := len(w.made()); n != 1 {
			t.Errorf("%d deliveries", n)
		}
		w.setDeliver(nil)
		w.order(Resume, id)
		w.settled()
	})
}

func TestRemove(t *testing.T) {
	for _, tt := range []struct {
		name          string
		from          string
		ndr, inFlight bool
		end           func(*message.Delivery) message.Report
		want          string
		reports       int
	}{
		{"waiting", "bob@sender.example", true, false, postpone, "RR", 1},
		{"without NDR", "bob@sender.example", false, false, postpone, "RR", 0},
		{"null reverse path", "", true, false, postpone, "RR", 0},
		{"in flight, refused", "bob@sender.example", true, true, postpone, "RR", 1},
		{"in flight, without NDR", "bob@sender.example", false, true, postpone, "RR", 0},
		{"in flight, delivered", "bob@sender.example", true, true, accept, "DD", 0},
		{"in flight, failed", "bob@sender.example", false, true, refuse, "FF", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				if w.always(tt.end); tt.inFlight {
					w.setDeliver(later(tt.end))
				}
				e := envelope("a@x.example", "b@x.example")
				if e.From = address(tt.from); tt.from == "" {
					e.From = message.Address{}
				}
				id := w.submit(e)
				synctest.Wait()
				got := w.carry(Order{Verb: Remove, Filter: Filter{Queue: "Internet/x.example"}, WithNDR: tt.ndr, By: "uid 0"})
				if got.Matched != 1 || got.Pending != count(tt.inFlight) || got.Changed != count(!tt.inFlight) {
					t.Errorf("%+v", got)
				}
				if tt.inFlight {
					w.wantStatus(id, StatusPendingRemove)
					if again := w.order(Remove, id); again.Skipped[skipRemoving] != 1 {
						t.Errorf("again: %+v", again)
					}
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if w.statuses(id) != tt.want || len(w.store.reports(id)) != tt.reports || len(w.callsTo("x.example")) != 1 {
					t.Errorf("%s, %d notifications, %d deliveries", w.statuses(id), len(w.store.reports(id)), len(w.callsTo("x.example")))
				}
				removed := ""
				if tt.want == "RR" {
					removed = "removed by uid 0;"
					if tt.reports == 0 {
						removed += "suppressed by uid 0;"
					}
				}
				if got := w.ordered(id); got != removed {
					t.Errorf("events %q, want %q", got, removed)
				}
				w.settled()
			})
		})
	}
}

// What was ordered while a delivery was in flight holds when the process ends
// before it does.
func TestRemoveInFlightSurvives(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.setDeliver(later(accept))
		id := w.submit(envelope("a@x.example"))
		synctest.Wait()
		w.order(Remove, id)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.q.Stop(ctx) // cuts it
		w.setDeliver(nil)
		w.start()
		synctest.Wait()
		if w.statuses(id) != "R" || len(w.callsTo("x.example")) != 1 {
			t.Errorf("%s after %d deliveries", w.statuses(id), len(w.callsTo("x.example")))
		}
		w.settled()
	})
}

func TestRedirect(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(unreachable)
		id := w.submit(envelope("a@x.example", "b@y.example"))
		other := w.submit(envelope("c@x.example"))
		synctest.Wait()
		const hub = "[10.0.0.11]:25,hub2.example:2525"
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop == (routing.NextHop{Connector: "Internet", Kind: routing.SmartHost, Domain: hub}) {
				return postpone(d)
			}
			return unreachable(d)
		})
		got := w.carry(Order{Verb: Redirect, Filter: Filter{IDs: []message.ID{id}}, To: "Hub2.Example:2525, 10.0.0.11", By: "root"})
		if got.Changed != 1 {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if calls := w.callsTo(hub); len(calls) != 1 || !slices.Equal(calls[0].list, []int{0, 1}) {
			t.Errorf("calls to the hub: %v", calls)
		}
		w.stop()
		w.start()
		time.Sleep(20 * time.Minute)
		if n := len(w.callsTo(hub)); n < 2 {
			t.Errorf("%d calls to the hub after a restart", n)
		}
		if list := w.list(Filter{Queue: "Internet/" + hub}); len(list) != 1 || list[0].ID != id || list[0].Standing.Redirect != hub {
			t.Errorf("in the hub's queue: %+v", list)
		}
		w.setDeliver(nil)
		n := len(w.callsTo(hub))
		if got := w.order(Resubmit, id); got.Changed != 1 {
			t.Errorf("%+v", got)
		}
		if _, err := w.q.RetryQueue("Internet/x.example", false); err != nil {
			t.Error(err)
		}
		if _, err := w.q.RetryQueue("Internet/y.example", false); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if len(w.callsTo(hub)) != n || w.statuses(id) != "DD" || w.statuses(other) != "D" {
			t.Errorf("resubmitted: %d calls more to the hub, %s, %s", len(w.callsTo(hub))-n, w.statuses(id), w.statuses(other))
		}
		w.settled()
	})
}

func TestRedirectInFlight(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "hub.example:25" {
				return accept(d)
			}
			return later(unreachable)(ctx, hop, d)
		})
		id := w.submit(envelope("a@x.example"))
		synctest.Wait()
		if got := w.carry(Order{Verb: Redirect, To: "hub.example"}); got.Pending != 1 {
			t.Errorf("%+v", got)
		}
		time.Sleep(61 * time.Second) // when the attempt has ended, and not at its next try
		if w.statuses(id) != "D" || len(w.callsTo("hub.example:25")) != 1 {
			t.Errorf("%s", w.statuses(id))
		}
		w.settled()
	})
}

func TestRetryMessages(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(postpone)
		slow := w.submit(envelope("a@x.example"))
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			switch hop.Domain {
			case "x.example":
				return postpone(d)
			case "sender.example":
				return accept(d)
			}
			return unreachable(d)
		})
		dead := w.submit(envelope("a@y.example"))
		time.Sleep(6 * time.Hour) // long intervals by now
		w.setDeliver(nil)
		if got := w.order(RetryNow, slow, dead); got.Changed != 2 {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if w.statuses(slow)+w.statuses(dead) != "DD" {
			t.Errorf("%s %s", w.statuses(slow), w.statuses(dead))
		}
		if got := w.carry(Order{Verb: RetryNow}); got.Matched != 0 {
			t.Errorf("%+v", got)
		}
		w.settled()
	})
}

func TestHostList(t *testing.T) {
	for in, want := range map[string]string{
		"hub.example":                      "hub.example:25",
		"HUB.example.:2525":                "hub.example:2525",
		"10.0.0.11":                        "[10.0.0.11]:25",
		"10.0.0.11:26":                     "[10.0.0.11]:26",
		"[10.0.0.11]":                      "[10.0.0.11]:25",
		"2001:DB8::1":                      "[2001:db8::1]:25",
		"[2001:db8::1]:2525":               "[2001:db8::1]:2525",
		"[IPv6:2001:db8::1]":               "[2001:db8::1]:25",
		"::ffff:10.0.0.1":                  "[10.0.0.1]:25",
		"b.example, a.example ,b.example":  "a.example:25,b.example:25",
		"hub:25":                           "hub:25",
		"b\u00fccher.example":              "xn--bcher-kva.example:25",
		"":                                 "",
		"a.example,":                       "",
		"a.example:0":                      "",
		"a.example:65536":                  "",
		"a.example:+25":                    "",
		"a.example:smtp":                   "",
		"a b.example":                      "",
		"[10.0.0.1":                        "",
		"[hub.example]:25":                 "",
		"[10.0.0.1]x":                      "",
		"0.0.0.0":                          "",
		"[::]:25":                          "",
		"fe80::1%eth0":                     "",
		"224.0.0.1":                        "",
		"a@b.example":                      "",
		"a1,a2,a3,a4,a5,a6,a7,a8,a9":       "",
		"x.example\r\nMAIL FROM:<a@b.com>": "",
	} {
		got, err := hostList(in)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrBadOrder) {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
		if again, err := hostList(got); got != "" && (again != got || err != nil) {
			t.Errorf("%q is not canonical: %q, %v", got, again, err)
		}
	}
}

func TestBadOrders(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		for _, tt := range []struct {
			o    Order
			want error
		}{
			{Order{}, ErrBadOrder}, {Order{Verb: "burn"}, ErrBadOrder}, {Order{Verb: Redirect}, ErrBadOrder},
			{Order{Verb: Suspend, Filter: Filter{Queue: "Internet/nowhere.example"}}, ErrNoQueue},
			{Order{Verb: Suspend, Filter: Filter{From: "not an address @"}}, ErrBadOrder},
			{Order{Verb: Suspend, Filter: Filter{Domain: "a@b.example"}}, ErrBadOrder},
			{Order{Verb: Suspend, Filter: Filter{Domain: "<>"}}, ErrBadOrder},
			{Order{Verb: Suspend, Filter: Filter{Status: "lost"}}, ErrBadOrder},
		} {
			if _, err := w.q.Carry(context.Background(), tt.o); !errors.Is(err, tt.want) {
				t.Errorf("%+v: %v, want %v", tt.o, err, tt.want)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w.always(postpone)
		id := w.submit(envelope("a@x.example"))
		synctest.Wait()
		if tally, err := w.q.Carry(ctx, Order{Verb: Remove}); err == nil || tally.Matched != 0 || tally.Next >= id {
			t.Errorf("a context that is over: %+v, %v", tally, err)
		}
	})
}
