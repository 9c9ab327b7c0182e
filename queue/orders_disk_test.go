package queue

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool/faultfs"
)

// orderedOn is a queue on a spool with a few messages that wait, and the
// orders that tests give about them.
func orderedOn(t *testing.T, fsys *faultfs.FS) (w *world, ids []message.ID, end func()) {
	t.Helper()
	s, change := onSpool(t, "/spool", fsys)
	w = newWorld(t, change)
	w.always(postpone)
	for i := range 3 {
		d, err := w.q.Create()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(d, "Subject: x\r\n\r\n")
		if err := w.q.Submit(context.Background(), d, envelope(fmt.Sprintf("kim@d%d.example", i))); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID())
	}
	time.Sleep(time.Second)
	return w, ids, func() {
		w.stop()
		_ = s.Close()
	}
}

func order(verb Verb, id message.ID) Order {
	return Order{Verb: verb, Filter: Filter{IDs: []message.ID{id}}, To: "[192.0.2.9]", By: "root"}
}

// TestOrdersArePermanent: what an order was answered to have changed has
// changed, though the power goes in the moment of the answer.
func TestOrdersArePermanent(t *testing.T) {
	for _, how := range faultfs.Survivals {
		synctest.Test(t, func(t *testing.T) {
			fsys := faultfs.New(0)
			w, ids, end := orderedOn(t, fsys)
			for i, verb := range []Verb{Suspend, Redirect, Remove} {
				if tally, err := w.q.Carry(context.Background(), order(verb, ids[i])); err != nil || tally.Changed != 1 {
					t.Fatalf("%s: %+v, %v", verb, tally, err)
				}
			}
			fsys.CutPower()
			end()
			s, change := onSpool(t, "/spool", fsys.Crash(how, 1))
			change(w)
			defer s.Close()
			suspended, err := s.Load(ids[0])
			if err != nil || !suspended.State.Standing.Suspended {
				t.Errorf("survival %d: the suspended message: %+v, %v", how, suspended.State, err)
			}
			redirected, err := s.Load(ids[1])
			if err != nil || redirected.State.Standing.Redirect == "" {
				t.Errorf("survival %d: the redirected message: %+v, %v", how, redirected.State, err)
			}
			if removed, err := s.Load(ids[2]); err == nil && removed.State.Standing.Removal == message.RemovalNone && len(removed.State.Pending()) > 0 {
				t.Errorf("survival %d: the removed message is back: %+v", how, removed.State)
			}
		})
	}
}

// TestOrdersWithoutDisk: when an order can't be written down the answer says
// so, and it holds for as long as the gateway runs.
func TestOrdersWithoutDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		w, ids, end := orderedOn(t, fsys)
		defer end()
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Kind == faultfs.Sync || op.Kind == faultfs.Write {
				return faultfs.Fault{Err: syscall.EIO}
			}
			return faultfs.Fault{}
		})
		began := time.Now()
		for i, verb := range []Verb{Suspend, Redirect} {
			tally, err := w.q.Carry(context.Background(), order(verb, ids[i]))
			if err == nil || !strings.Contains(err.Error(), "not on the disk yet") || tally.Changed != 1 {
				t.Errorf("%s: %+v, %v", verb, tally, err)
			}
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the answers took %v", took)
		}
		page, err := w.q.Messages(context.Background(), Filter{Status: StatusSuspended}, 0, 10)
		if err != nil || len(page.Messages) != 1 || page.Messages[0].ID != ids[0] {
			t.Errorf("suspended: %+v, %v", page, err)
		}
		// What changes nothing on the disk does not wait for it.
		if _, err := w.q.Carry(context.Background(), order(RetryNow, ids[2])); err != nil {
			t.Errorf("retry: %v", err)
		}
		fsys.SetHook(nil)
		time.Sleep(10 * time.Second)
		if tally, err := w.q.Carry(context.Background(), order(Resume, ids[0])); err != nil || tally.Changed != 1 {
			t.Errorf("with the disk back: %+v, %v", tally, err)
		}
	})
}
