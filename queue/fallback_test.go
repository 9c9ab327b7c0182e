package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

// sendTo is a Send connector with a smart host of its own name.
func sendTo(name, space string) config.SendConnector {
	c := config.SendConnector{Name: name, Enabled: true, MaxMessageSize: config.Unlimited, Port: 25, FallbackAfter: config.Unlimited, FallbackFailures: config.Unlimited,
		SmartHosts: []config.SmartHost{{Host: strings.ToLower(name) + ".example"}}}
	if space != "" {
		c.AddressSpaces = []string{space}
	}
	return c
}

func tableOf(t *testing.T, connectors ...config.SendConnector) *routing.Table {
	t.Helper()
	connectors = append(connectors, sendTo("Back", "sender.example"))
	tab, findings := routing.New(&config.Config{SendConnectors: connectors})
	if tab == nil {
		t.Fatal(findings)
	}
	return tab
}

// failing answers by next hop: those with an answer here fail so, the others
// take everything.
type failing map[string]func(*message.Delivery) message.Report

func (a failing) deliver(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
	if fn := a[strings.TrimSuffix(hop.Domain, ".example:25")]; fn != nil {
		return fn(d)
	}
	return accept(d)
}

func (w *world) use(t *routing.Table) {
	w.options.Router = t
	w.q.Reconfigure(w.options.Settings)
}

// tried lists the deliveries to the hops, as "hop@minutes".
func (w *world) tried(id message.ID) string {
	var out []string
	for _, c := range w.made() {
		if c.id == id {
			out = append(out, fmt.Sprintf("%s@%d", strings.TrimSuffix(c.hop, ".example:25"), int(c.at.Minutes())))
		}
	}
	return strings.Join(out, " ")
}

// tenMinutes is a schedule of one interval; with its jitter it has twelve at most.
var tenMinutes = config.Queue{Retry: []config.RetryStep{{Interval: 10 * time.Minute, Count: 1}}}

// TestFallbackAfterFailures: a dead next hop loses its mail to the fallback once
// it has failed three times, what is new follows at once, and one message at a
// time finds out when it is back.
func TestFallbackAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sendTo("A", "*")
		a.Fallback, a.FallbackFailures = "B", 3
		dead := failing{"a": unreachable}
		w := newWorld(t, func(w *world) {
			w.options.Router, w.options.Queue = tableOf(t, a, sendTo("B", "")), tenMinutes
			w.deliver = dead.deliver
		})
		defer w.stop()
		var ids []message.ID
		for n := range 300 {
			ids = append(ids, w.submit(envelope(fmt.Sprintf("u%d@there.example", n))))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(19 * time.Minute)
		synctest.Wait()
		if n := len(w.callsTo("b.example:25")); n > 0 {
			t.Fatalf("%d deliveries by the fallback before its time", n)
		}
		time.Sleep(7 * time.Minute) // two intervals with jitter are over
		synctest.Wait()
		for _, id := range ids {
			if s := w.statuses(id); s != "D" {
				t.Fatalf("message %d: %s, tried %s", id, s, w.tried(id))
			}
		}
		w.mu.Lock()
		fell := 0
		for _, e := range w.events {
			if e.Kind == FallenBack {
				fell++
				if e.Fallback != "B" || e.Hop.Connector != "A" || e.Outcome.Reply.Code != 421 || len(e.Outcome.Recipients) != 1 {
					t.Errorf("event %+v", e)
				}
			}
		}
		w.mu.Unlock()
		if fell != 300 {
			t.Errorf("%d events", fell)
		}

		before := len(w.callsTo("a.example:25"))
		late := w.submit(envelope("kim@there.example"))
		time.Sleep(time.Second)
		if got := w.tried(late); !strings.HasPrefix(got, "b@") {
			t.Errorf("what is new while the next hop is known to be dead: %s", got)
		}
		if st := w.store.get(late).state.Recipients[0]; st.Fallen.Connector != "B" || st.Fallen.Tries != 0 {
			t.Errorf("%+v", st)
		}
		// When the queue's retry is due, one message asks; it is not late for it.
		time.Sleep(13 * time.Minute)
		probe := w.submit(envelope("lee@there.example"))
		other := w.submit(envelope("max@there.example"))
		time.Sleep(time.Minute)
		if got := w.tried(probe); !strings.HasPrefix(got, "a@") || !strings.Contains(got, " b@") {
			t.Errorf("the message that asks: %s", got)
		}
		if got := w.tried(other); !strings.HasPrefix(got, "b@") {
			t.Errorf("the one behind it: %s", got)
		}
		if n := len(w.callsTo("a.example:25")); n != before+1 {
			t.Errorf("%d attempts at the dead next hop, want one", n-before)
		}
		// It is back: from the next time on, mail stays.
		w.setDeliver(nil)
		time.Sleep(13 * time.Minute)
		for range 3 {
			id := w.submit(envelope("kim@there.example"))
			time.Sleep(time.Second)
			if got := w.tried(id); !strings.HasPrefix(got, "a@") || strings.Contains(got, "b") {
				t.Errorf("when it is back: %s", got)
			}
		}
		w.settled()
	})
}

// TestFallbackAfterTime: it takes over just when the time has come, however long
// the interval between attempts is.
func TestFallbackAfterTime(t *testing.T) {
	for name, answer := range map[string]func(*message.Delivery) message.Report{"dead": unreachable, "deferring": postpone} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := sendTo("A", "*")
				a.Fallback, a.FallbackAfter = "B", 25*time.Minute
				w := newWorld(t, func(w *world) {
					w.options.Router = tableOf(t, a, sendTo("B", ""))
					w.options.Queue.Retry = []config.RetryStep{{Interval: 20 * time.Minute, Count: 1}}
					w.deliver = failing{"a": answer}.deliver
				})
				defer w.stop()
				id := w.submit(envelope("kim@there.example"))
				time.Sleep(24*time.Minute + 59*time.Second)
				synctest.Wait()
				if got := w.tried(id); strings.Contains(got, "b") || !strings.HasPrefix(got, "a@0 a@2") {
					t.Fatalf("before its time: %s", got)
				}
				if info, err := w.q.Show(id); err != nil || info.Fallbacks[0].At.Sub(w.began).Round(time.Second) != 25*time.Minute || info.Fallbacks[0].Tries != 0 {
					t.Errorf("%+v %v", info.Fallbacks, err)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := w.tried(id); !strings.HasSuffix(got, " b@25") {
					t.Errorf("when the time has come: %s", got)
				}
				time.Sleep(time.Hour)
				w.settled()
			})
		})
	}
}

// TestFallbackOfOneMessage: a message that the next hop puts off three times goes
// the other way alone.
func TestFallbackOfOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sendTo("A", "*")
		a.Fallback, a.FallbackFailures = "B", 3
		w := newWorld(t, func(w *world) {
			w.options.Router, w.options.Queue = tableOf(t, a, sendTo("B", "")), tenMinutes
			w.deliver = func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
				if hop.Connector == "A" && d.Envelope.Recipients[0].Address.Local == "grey" {
					return postpone(d)
				}
				return accept(d)
			}
		})
		defer w.stop()
		grey, white := w.submit(envelope("grey@there.example")), w.submit(envelope("white@there.example"))
		time.Sleep(25 * time.Minute)
		synctest.Wait()
		if got := strings.Fields(w.tried(grey)); len(got) != 4 || !strings.HasPrefix(got[2], "a@2") || !strings.HasPrefix(got[3], "b@2") {
			t.Errorf("put off: %s", got)
		}
		if got := w.tried(white); got != "a@0" {
			t.Errorf("the other: %s", got)
		}
		w.settled()
	})
}

// TestFallbackIsKept: over a restart and a reload, as long as the configuration
// has it; and not when somebody resubmits.
func TestFallbackIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sendTo("A", "*")
		a.Fallback, a.FallbackFailures = "B", 2
		both := failing{"a": postpone, "b": postpone}
		w := newWorld(t, func(w *world) {
			w.options.Router, w.options.Queue = tableOf(t, a, sendTo("B", "")), tenMinutes
			w.deliver = both.deliver
		})
		id := w.submit(envelope("kim@there.example", "lee@there.example"))
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		w.stop()
		at := len(w.made())
		w.start()
		defer func() { w.stop() }()
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if late := w.made()[at:]; len(late) == 0 || slices.ContainsFunc(late, func(c call) bool { return c.hop != "b.example:25" }) {
			t.Errorf("after a restart: %v", late)
		}
		queue := func() string {
			synctest.Wait()
			info, err := w.q.Show(id)
			if err != nil || info.Queues[0] != info.Queues[1] {
				t.Fatalf("%+v %v", info.Queues, err)
			}
			return info.Queues[0]
		}
		if got := queue(); got != "B/b.example:25" {
			t.Errorf("in %s", got)
		}
		w.use(tableOf(t, a, sendTo("B", ""), sendTo("C", "c.example")))
		if got := queue(); got != "B/b.example:25" {
			t.Errorf("after a reload in %s", got)
		}
		without := a
		without.Fallback = ""
		w.use(tableOf(t, without, sendTo("B", "")))
		if got := queue(); got != "A/a.example:25" {
			t.Errorf("without the fallback in %s", got)
		}
		w.use(tableOf(t, a, sendTo("B", "")))
		if got := queue(); got != "B/b.example:25" {
			t.Errorf("with the fallback again in %s", got)
		}
		if tally, err := w.q.Carry(context.Background(), Order{Verb: Resubmit, Filter: Filter{IDs: []message.ID{id}}}); err != nil || tally.Changed != 1 {
			t.Fatalf("%+v %v", tally, err)
		}
		time.Sleep(time.Second)
		if got := queue(); got != "A/a.example:25" {
			t.Errorf("resubmitted, in %s", got)
		}
		// It begins anew: two more tries.
		time.Sleep(30 * time.Minute)
		if got := queue(); got != "B/b.example:25" {
			t.Errorf("tried twice more, in %s", got)
		}
		w.setDeliver(nil)
		time.Sleep(2 * time.Hour)
		w.settled()
	})
}

// TestFallbackThatDoesNotTakeIt: what the fallback may not take stays, and is
// tried no more often for it.
func TestFallbackThatDoesNotTakeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := sendTo("A", "*"), sendTo("B", "")
		a.Fallback, a.FallbackFailures, b.MaxMessageSize = "B", 1, 10 // each has some 20 octets
		w := newWorld(t, func(w *world) {
			w.options.Router, w.options.Queue = tableOf(t, a, b), tenMinutes
			w.deliver = failing{"a": unreachable}.deliver
		})
		defer w.stop()
		ids := []message.ID{w.submit(envelope("kim@there.example")), w.submit(envelope("lee@there.example"))}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := len(w.callsTo("a.example:25")); n < 10 || n > 15 {
			t.Errorf("%d tries in two hours", n)
		}
		if n := len(w.callsTo("b.example:25")); n > 0 {
			t.Errorf("%d tries by the fallback", n)
		}
		w.use(tableOf(t, a, sendTo("B", "")))
		time.Sleep(time.Minute)
		for _, id := range ids {
			if s := w.statuses(id); s != "D" {
				t.Errorf("now that it takes them: %s, tried %s", s, w.tried(id))
			}
		}
		w.settled()
	})
}

// TestWhatHasNoFallbackIsRoutedOnce: when a next hop fails again and again, what
// may not go the other way is not routed anew each time.
func TestWhatHasNoFallbackIsRoutedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := sendTo("A", "*"), sendTo("B", "")
		a.Fallback, a.FallbackFailures, b.BlockedSenders = "B", 1, []string{"bob@sender.example"}
		var asked atomic.Int64
		tab := tableOf(t, a, b)
		w := newWorld(t, func(w *world) {
			w.options.Queue = tenMinutes
			w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
				asked.Add(1)
				return tab.Route(q)
			})
			w.deliver = failing{"a": unreachable}.deliver
		})
		defer w.stop()
		const n = 500
		for i := range n {
			w.submit(envelope(fmt.Sprintf("u%d@there.example", i)))
		}
		free := envelope("kim@there.example")
		free.From = address("ann@sender.example")
		id := w.submit(free)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := w.statuses(id); s != "D" {
			t.Fatalf("what may go the other way: %s", s)
		}
		before := asked.Load()
		if before > 10*n {
			t.Errorf("%d questions about %d messages", before, n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if more := asked.Load() - before; more > 3*n { // each once, with what its fallback is
			t.Errorf("%d questions more in two hours of ten tries", more)
		}
		w.setDeliver(nil)
		time.Sleep(time.Hour)
		w.settled()
	})
}

// TestFallbackOfFallback: the time of each begins when it takes over.
func TestFallbackOfFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := sendTo("A", "*"), sendTo("B", "")
		a.Fallback, a.FallbackAfter = "B", 30*time.Minute
		b.Fallback, b.FallbackAfter, b.FallbackFailures = "C", 45*time.Minute, 100
		w := newWorld(t, func(w *world) {
			w.options.Router, w.options.Queue = tableOf(t, a, b, sendTo("C", "")), tenMinutes
			w.deliver = failing{"a": unreachable, "b": postpone}.deliver
		})
		defer w.stop()
		id := w.submit(envelope("kim@there.example"))
		time.Sleep(76 * time.Minute)
		synctest.Wait()
		got := w.tried(id)
		if !strings.HasSuffix(got, " c@75") || !strings.Contains(got, " b@30 b@4") || strings.Count(got, "c@") != 1 {
			t.Errorf("tried %s", got)
		}
		w.settled()
	})
}

// TestRedirectedHasNoFallback: whoever says where a message goes is obeyed.
func TestRedirectedHasNoFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sendTo("A", "*")
		a.Fallback, a.FallbackFailures = "B", 1
		w := newWorld(t, func(w *world) {
			w.options.Router, w.options.Queue = tableOf(t, a, sendTo("B", "")), tenMinutes
			w.deliver = failing{"x": unreachable, "a": postpone, "b": postpone}.deliver
		})
		defer w.stop()
		id := w.submit(envelope("kim@there.example"))
		synctest.Wait()
		if tally, err := w.q.Carry(context.Background(), Order{Verb: Redirect, To: "x.example:25", Filter: Filter{IDs: []message.ID{id}}}); err != nil || tally.Changed != 1 {
			t.Fatalf("%+v %v", tally, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		tries := strings.Fields(w.tried(id))
		if len(tries) < 5 || slices.ContainsFunc(tries[2:], func(s string) bool { return !strings.HasPrefix(s, "x@") }) {
			t.Errorf("tried %v", tries)
		}
		w.setDeliver(nil)
		time.Sleep(time.Hour)
		w.settled()
	})
}

// TestGenerations: a message names the configuration by which it was routed.
func TestGenerations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := tableOf(t, sendTo("A", "*")), tableOf(t, sendTo("A", "*;2"))
		w := newWorld(t, func(w *world) {
			w.options.Router = first
			w.deliver = failing{"a": postpone}.deliver
		})
		defer w.stop()
		id := w.submit(envelope("kim@there.example"))
		synctest.Wait()
		show := func() MessageInfo {
			info, err := w.q.Show(id)
			if err != nil {
				t.Fatal(err)
			}
			return info
		}
		if s := show(); s.Table != first.Generation() || s.Current != s.Table || s.Generation != 1 {
			t.Errorf("%d %q %q", s.Generation, s.Table, s.Current)
		}
		if tally, err := w.q.Carry(context.Background(), Order{Verb: Suspend, Filter: Filter{IDs: []message.ID{id}}}); err != nil || tally.Changed != 1 {
			t.Fatal(err)
		}
		w.use(second)
		synctest.Wait()
		if s := show(); s.Table != first.Generation() || s.Current != second.Generation() { // it stays where it is
			t.Errorf("suspended: %d %q %q", s.Generation, s.Table, s.Current)
		}
		w.q.Carry(context.Background(), Order{Verb: Resume, Filter: Filter{IDs: []message.ID{id}}})
		synctest.Wait()
		if s := show(); s.Table != second.Generation() {
			t.Errorf("resumed: %d %q %q", s.Generation, s.Table, s.Current)
		}
		w.setDeliver(nil)
		time.Sleep(time.Hour)
		w.settled()
	})
}

// TestFallbackOfOldInRetry: what was deferred long ago is not late for its
// fallback because its queue has come into Retry since, with others before it.
func TestFallbackOfOldInRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sendTo("A", "*")
		a.Fallback, a.FallbackAfter = "B", 2*time.Hour
		w := newWorld(t, func(w *world) {
			w.options.Router, w.options.Queue = tableOf(t, a, sendTo("B", "")), tenMinutes
			w.deliver = failing{"a": postpone}.deliver
		})
		defer w.stop()
		old := w.submit(envelope("old@there.example"))
		time.Sleep(100 * time.Minute)
		w.setDeliver(failing{"a": unreachable}.deliver)
		for n := range 30 {
			w.submit(envelope(fmt.Sprintf("u%d@there.example", n)))
		}
		time.Sleep(33 * time.Minute) // two hours, and an interval with jitter
		synctest.Wait()
		if s := w.statuses(old); s != "D" {
			t.Errorf("the old message: %s, tried %s", s, w.tried(old))
		}
		if n := len(w.callsTo("b.example:25")); n != 1 {
			t.Errorf("%d deliveries by the fallback, want that of the old message alone", n)
		}
		time.Sleep(3 * time.Hour)
		w.settled()
	})
}
