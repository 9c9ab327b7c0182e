package queue

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"postern/internal/message"
	"postern/routing"
)

// What waits in a suspended queue stays there whatever is reloaded, and is
// routed anew when the queue is resumed.
func TestSuspendedQueueOverReload(t *testing.T) {
	inWorld(t, func(w *world) { w.options.Router = by("Old") }, func(t *testing.T, w *world) {
		const name = "Old/x.example"
		w.always(postpone)
		id := w.submit(envelope("a@x.example", "b@y.example"))
		held := w.submit(envelope("c@x.example"))
		synctest.Wait()
		if err := w.q.SuspendQueue(name); err != nil {
			t.Fatal(err)
		}
		w.order(Suspend, held)
		late := w.submit(envelope("d@x.example"))
		w.setDeliver(nil)
		w.reconfigure(by("New"))
		w.reconfigure(by("Newer"))
		time.Sleep(30 * time.Hour)
		if i := w.info(name); !i.Suspended || i.Messages != 3 || w.statuses(id) != "dD" || w.statuses(late) != "p" {
			t.Errorf("%+v; %s, %s", i, w.statuses(id), w.statuses(late))
		}
		if n := w.q.Stats().Rerouting; n != 0 {
			t.Errorf("%d messages to be routed anew", n)
		}
		if err := w.q.ResumeQueue(name); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.statuses(id) != "DD" || w.statuses(late) != "D" || w.statuses(held) != "d" {
			t.Errorf("resumed: %s, %s, %s", w.statuses(id), w.statuses(late), w.statuses(held))
		}
		w.mu.Lock()
		last := w.events[len(w.events)-1]
		w.mu.Unlock()
		if last.Kind != Finished {
			t.Errorf("%+v", last)
		}
		w.order(Resume, held)
		time.Sleep(time.Minute)
		w.settled()
	})
}

// So it is when the queue had been in Retry for so long that it would be routed
// anew.
func TestSuspendedQueueResubmit(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Router = routerFunc(func(q routing.Query) routing.Decision {
			if time.Since(w.began) > 11*time.Hour && q.Recipient.Domain == "x.example" {
				return to("Backup", "x.example")
			}
			return byDomain(q)
		})
	}, func(t *testing.T, w *world) {
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Connector == "Backup" || hop.Domain != "x.example" {
				return accept(d)
			}
			if at := time.Since(w.began); at > 11*time.Hour {
				time.Sleep(12*time.Hour + 30*time.Minute - at)
			}
			return unreachable(d)
		})
		id, other := w.submit(envelope("a@x.example")), w.submit(envelope("b@x.example"))
		time.Sleep(12*time.Hour + 10*time.Minute)
		if n := w.q.Stats().InFlight; n != 1 {
			t.Fatalf("%d in flight", n)
		}
		if err := w.q.SuspendQueue("Internet/x.example"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Hour)
		if w.statuses(id)+w.statuses(other) != "dd" {
			t.Errorf("%s, %s", w.statuses(id), w.statuses(other))
		}
	})
}

// A queue whose messages are all put off one by one says why, until something is
// delivered.
func TestLastDeferral(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(func(d *message.Delivery) message.Report {
			return report(d, message.Deferred, 451, [3]int{4, 7, 1}, strings.Repeat("Gr\u00fc\u00dfe ", 200))
		})
		id := w.submit(envelope("a@x.example", "b@x.example"))
		time.Sleep(30 * time.Second)
		i := w.info("Internet/x.example")
		if i.Status != Ready || i.LastError.Code != 451 || len(i.LastError.Text) > 600 || !utf8.ValidString(i.LastError.Text) || time.Since(i.LastErrorAt) != 30*time.Second || i.NextDue.IsZero() || !i.LastRetry.IsZero() {
			t.Errorf("%+v", i)
		}
		w.always(func(d *message.Delivery) message.Report {
			r := postpone(d)
			r.Outcomes[0].Recipients = d.Recipients[1:]
			r.Outcomes = append(r.Outcomes, message.Outcome{Recipients: d.Recipients[:1], Status: message.Delivered, Reply: message.Reply{Code: 250}})
			return r
		})
		w.order(RetryNow, id)
		synctest.Wait()
		if i := w.info("Internet/x.example"); i.LastError.Code != 0 || !i.LastErrorAt.IsZero() {
			t.Errorf("%+v", i)
		}
		w.always(postpone)
		w.order(RetryNow, id)
		synctest.Wait()
		if i := w.info("Internet/x.example"); i.LastError.Text != "Greylisted" {
			t.Errorf("%+v", i)
		}
		w.order(Remove, id)
		synctest.Wait()
		if i := w.info("Internet/x.example"); i.Messages != 0 || i.LastError.Code != 0 {
			t.Errorf("%+v", i)
		}
		w.settled()
	})
}

// Stats counts a message once, however many queues it stands in.
func TestMessageCount(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.always(postpone)
		w.submit(envelope("a@x.example", "b@y.example", "c@z.example"))
		w.submit(envelope("a@x.example"))
		synctest.Wait()
		for range 2 {
			if s := w.q.Stats(); s.Messages != 2 || s.Items != 4 {
				t.Errorf("%d messages, %d items", s.Messages, s.Items)
			}
			w.stop()
			w.start()
		}
		w.setDeliver(nil)
		time.Sleep(time.Hour)
		if s := w.q.Stats(); s.Messages != 0 {
			t.Errorf("%d messages", s.Messages)
		}
		w.settled()
	})
}

// Nothing expires in a suspended queue. Resumed into Retry, what is overdue is
// tried once at once, by one message for all, and expires when that fails.
func TestOverdueResumedIntoRetry(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		const name = "Internet/x.example"
		w.always(unreachable)
		var ids []message.ID
		for range 5 {
			ids = append(ids, w.submit(envelope("a@x.example")))
		}
		time.Sleep(10 * time.Hour)
		if m := w.list(Filter{IDs: ids[:1]}); m[0].Expires.IsZero() {
			t.Error("it does not expire")
		}
		if err := w.q.SuspendQueue(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Hour)
		for _, m := range w.list(Filter{IDs: ids}) {
			if !m.Expires.IsZero() || !m.NextTry.IsZero() {
				t.Errorf("expires %v, next try %v", m.Expires, m.NextTry)
			}
		}
		if i, err := w.q.Show(ids[0]); err != nil || !i.Expires.IsZero() {
			t.Errorf("%v, %v", i.Expires, err)
		}
		fresh := w.submit(envelope("b@x.example"))
		n := len(w.callsTo("x.example"))
		if err := w.q.ResumeQueue(name); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if got := len(w.callsTo("x.example")) - n; got != 1 {
			t.Errorf("%d tries", got)
		}
		for _, id := range ids {
			if w.statuses(id) != "E" {
				t.Errorf("%s", w.statuses(id))
			}
		}
		if w.statuses(fresh) == "E" {
			t.Error("a fresh message expired too")
		}
		w.order(Remove, fresh)
		time.Sleep(time.Minute)
		w.settled()
	})
}

// A message in the suspended Unreachable queue that has a way by now takes it
// when the queue is resumed, however late.
func TestOverdueUnreachableResumed(t *testing.T) {
	inWorld(t, func(w *world) { w.options.Router = routerFunc(fourQueues) }, func(t *testing.T, w *world) {
		id := w.submit(envelope("a@u.example"))
		if err := w.q.SuspendQueue(UnreachableName); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Hour)
		w.wantStatus(id, StatusUnreachable)
		w.reconfigure(byDomain)
		time.Sleep(time.Hour)
		if err := w.q.ResumeQueue(UnreachableName); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.statuses(id) != "D" {
			t.Errorf("%s", w.statuses(id))
		}
		w.settled()
	})
}
