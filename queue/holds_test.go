package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool/faultfs"
	"postern/routing"
)

// info is one queue of a snapshot, zero when it is not there.
func (w *world) info(name string) QueueInfo {
	for _, i := range w.q.Snapshot() {
		if i.Name == name {
			return i
		}
	}
	return QueueInfo{}
}

func TestSuspendQueue(t *testing.T) {
	fsys := newFS(t)
	inWorld(t, func(w *world) { fileWorld(fsys, w) }, func(t *testing.T, w *world) {
		const name = "Internet/x.example"
		if err := w.q.SuspendQueue(name); !errors.Is(err, ErrNoQueue) {
			t.Errorf("a queue that is not there: %v", err)
		}
		if err := w.q.SuspendQueue(PoisonName); !errors.Is(err, ErrNoQueue) {
			t.Errorf("the poison queue: %v", err)
		}
		w.setDeliver(later(accept))
		first := w.submit(envelope("a@x.example"))
		synctest.Wait()
		if err := w.q.SuspendQueue(name); err != nil {
			t.Fatal(err)
		}
		second := w.submit(envelope("b@x.example"))
		other := w.submit(envelope("c@y.example"))
		time.Sleep(2 * time.Minute)
		if w.statuses(first) != "D" || w.statuses(second) != "p" || w.statuses(other) != "D" {
			t.Errorf("in flight %s, new %s, elsewhere %s", w.statuses(first), w.statuses(second), w.statuses(other))
		}
		if i := w.info(name); i.Status != Suspended || !i.Suspended || i.Messages != 1 || !i.NextDue.IsZero() {
			t.Errorf("%+v", i)
		}
		w.stop()
		w.start()
		w.reconfigure(byDomain)
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		if w.statuses(second) != "p" {
			t.Errorf("long after: %s", w.statuses(second))
		}
		if n := len(w.store.reports(second)); n != 1 { // of the delay
			t.Errorf("%d notifications", n)
		}
		if _, err := w.q.RetryQueue(name, false); !errors.Is(err, ErrBadOrder) {
			t.Errorf("retry while suspended: %v", err)
		}
		if err := w.q.ResumeQueue(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if w.statuses(second) != "D" { // it got its try, though its time was up
			t.Errorf("resumed: %s", w.statuses(second))
		}
		w.settled()
	})
}

// A suspension by name holds for a queue that comes and goes.
func TestSuspendedEmptyQueue(t *testing.T) {
	fsys := newFS(t)
	inWorld(t, func(w *world) { fileWorld(fsys, w) }, func(t *testing.T, w *world) {
		const name = "Internet/x.example"
		w.submit(envelope("a@x.example"))
		synctest.Wait()
		if err := w.q.SuspendQueue(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		w.stop()
		w.start()
		if i := w.info(name); !i.Suspended || i.Status != Suspended {
			t.Errorf("%+v", i)
		}
		if p, err := w.q.Messages(context.Background(), Filter{Queue: name}, 0, 0); err != nil || len(p.Messages) != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		id := w.submit(envelope("b@x.example"))
		time.Sleep(time.Hour)
		w.wantStatus(id, StatusReady)
		if err := w.q.ResumeQueue(name); err != nil {
			t.Fatal(err)
		}
		w.settled()
		if b, err := fsys.ReadFile("/queue/" + holdsName); err != nil || string(b) != string(encodeHolds(nil)) {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestSuspendSubmission(t *testing.T) {
	fsys := newFS(t)
	inWorld(t, func(w *world) { fileWorld(fsys, w) }, func(t *testing.T, w *world) {
		if err := w.q.SuspendQueue(SubmissionName); err != nil {
			t.Fatal(err)
		}
		id := w.submit(envelope("a@x.example", "b@y.example"))
		held := w.submit(envelope("c@x.example"))
		gone := w.submit(envelope("d@x.example"))
		time.Sleep(time.Hour)
		w.wantStatus(id, StatusReady)
		if i := w.info(SubmissionName); i.Messages != 3 || i.Status != Suspended {
			t.Errorf("%+v", i)
		}
		if i, err := w.q.Show(id); err != nil || !slices.Equal(i.Queues, []string{SubmissionName, SubmissionName}) || i.Routes[1].Connector != "Internet" {
			t.Errorf("%+v, %v", i, err)
		}
		if got := w.order(RetryNow, id); got.Skipped[skipSubmission] != 1 {
			t.Errorf("%+v", got)
		}
		w.order(Suspend, held)
		w.order(Remove, gone)
		w.stop()
		w.start()
		w.reconfigure(byDomain)
		time.Sleep(100 * time.Hour)
		if n := len(w.callsTo("x.example")); n != 0 || w.statuses(gone) != "R" {
			t.Errorf("%d deliveries; the removed one is %s", n, w.statuses(gone))
		}
		if err := w.q.ResumeQueue(SubmissionName); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.statuses(id) != "DD" || w.statuses(held) != "p" {
			t.Errorf("resumed: %s, and the suspended one %s", w.statuses(id), w.statuses(held))
		}
		if i := w.info(SubmissionName); i.Name != "" {
			t.Errorf("%+v", i)
		}
		w.order(Resume, held)
		synctest.Wait()
		if w.statuses(held) != "D" {
			t.Errorf("%s", w.statuses(held))
		}
		w.settled()
	})
}

func TestSuspendUnreachable(t *testing.T) {
	none := routerFunc(func(q routing.Query) routing.Decision {
		if q.Recipient.Domain == "x.example" {
			return nowhere()
		}
		return byDomain(q)
	})
	inWorld(t, func(w *world) { w.options.Router = none }, func(t *testing.T, w *world) {
		id := w.submit(envelope("a@x.example"))
		held := w.submit(envelope("b@x.example"))
		synctest.Wait()
		w.order(Suspend, held)
		if err := w.q.SuspendQueue(UnreachableName); err != nil {
			t.Fatal(err)
		}
		w.reconfigure(byDomain)
		time.Sleep(time.Hour)
		w.wantStatus(id, StatusUnreachable)
		if err := w.q.ResumeQueue(UnreachableName); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.statuses(id) != "D" || w.statuses(held) != "p" {
			t.Errorf("%s, and the suspended one %s", w.statuses(id), w.statuses(held))
		}
		w.order(Resume, held) // from the Unreachable queue it is routed anew
		synctest.Wait()
		if w.statuses(held) != "D" {
			t.Errorf("%s", w.statuses(held))
		}
		w.settled()
	})
}

func TestRetryQueue(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		const name = "Internet/x.example"
		w.always(unreachable)
		var ids []message.ID
		for range 3 {
			ids = append(ids, w.submit(envelope("a@x.example")))
		}
		time.Sleep(3*time.Hour + time.Minute)
		w.order(Suspend, ids[2])
		n := len(w.callsTo("x.example"))
		if got, err := w.q.RetryQueue(name, false); got != 2 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		synctest.Wait()
		if got := len(w.callsTo("x.example")) - n; got != 1 {
			t.Errorf("%d probes", got)
		}
		w.reconfigure(routerFunc(func(q routing.Query) routing.Decision { return to("Internet", "new.example") }))
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "new.example" {
				return accept(d)
			}
			return unreachable(d)
		})
		// Those that the reload has moved by now are there no more.
		if got, err := w.q.RetryQueue(name, true); got > 2 || err != nil {
			t.Errorf("resubmitted %d, %v", got, err)
		}
		synctest.Wait()
		if w.statuses(ids[0])+w.statuses(ids[1])+w.statuses(ids[2]) != "DDd" {
			t.Errorf("%s %s %s", w.statuses(ids[0]), w.statuses(ids[1]), w.statuses(ids[2]))
		}
		for name, want := range map[string]error{"nowhere": ErrNoQueue, PoisonName: ErrBadOrder, SubmissionName: ErrBadOrder, UnreachableName: ErrBadOrder} {
			if _, err := w.q.RetryQueue(name, false); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.order(Remove, ids[2])
		synctest.Wait()
		w.settled()
	})
}

// A damaged list of suspended queues is reported and kept aside.
func TestDamagedHolds(t *testing.T) {
	good := encodeHolds(map[string]bool{"Internet/x.example": true})
	for name, content := range map[string][]byte{
		"empty": {}, "zeros": make([]byte, 512), "flipped": append(append([]byte(nil), good[:len(good)-5]...), 'q', 'q', 'q', 'q', '\n'), "short": good[:len(good)-3],
	} {
		t.Run(name, func(t *testing.T) {
			fsys, log := newFS(t), new(quietLog)
			fsys.WriteFile("/queue/"+holdsName, content)
			inWorld(t, func(w *world) {
				fileWorld(fsys, w)
				w.options.Logger = slog.New(slog.NewTextHandler(log, nil))
			}, func(t *testing.T, w *world) {
				id := w.submit(envelope("a@x.example"))
				synctest.Wait()
				if w.statuses(id) != "D" {
					t.Errorf("%s", w.statuses(id))
				}
				if b, err := fsys.ReadFile("/queue/" + holdsName + ".damaged"); err != nil || string(b) != string(content) {
					t.Errorf("aside: %q, %v", b, err)
				}
				if log.count("NO QUEUE IS SUSPENDED") != 1 {
					t.Errorf("%s", log.b.String())
				}
			})
		})
	}
}

// Through a power cut the list is the old one or the new one.
func TestHoldsPowerCut(t *testing.T) {
	for n := 1; n < 20; n++ {
		for _, how := range faultfs.Survivals {
			synctest.Test(t, func(t *testing.T) {
				fsys := newFS(t)
				if err := fsys.SyncDir("/"); err != nil {
					t.Fatal(err)
				}
				w := newWorld(t, func(w *world) { fileWorld(fsys, w) })
				w.always(postpone)
				w.submit(envelope("a@x.example", "b@y.example"))
				synctest.Wait()
				if err := w.q.SuspendQueue("Internet/x.example"); err != nil {
					t.Fatal(err)
				}
				first := fsys.Ops()
				fsys.SetHook(func(op faultfs.Op) faultfs.Fault { return faultfs.Fault{Cut: op.N == first+n} })
				noted := w.q.SuspendQueue("Internet/y.example") == nil
				fsys.CutPower()
				w.stop()
				w.options.FS = fsys.Crash(how, uint64(n))
				w.start()
				x, y := w.info("Internet/x.example").Suspended, w.info("Internet/y.example").Suspended
				if !x || noted && !y {
					t.Errorf("cut at operation %d, survival %d: x %v, y %v, noted %v", n, how, x, y, noted)
				}
				w.stop()
			})
		}
	}
}
