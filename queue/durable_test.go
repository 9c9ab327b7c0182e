package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// TestRestart: messages without outcome are due at once, deferred ones when
// they were due, delivered recipients never again.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "grey.example" {
				return postpone(d)
			}
			return accept(d)
		})
		id := w.submit(envelope("a@white.example", "b@grey.example"))
		synctest.Wait()
		if s := w.statuses(id); s != "Dd" {
			t.Fatalf("before: %s", s)
		}
		due := w.store.get(id).state.Recipients[1].Due
		w.stop()
		d, _ := w.store.create()
		fresh := d.ID()
		d.Commit(context.Background(), envelope("c@fresh.example")) // accepted, then the process died

		time.Sleep(30 * time.Second)
		w.setDeliver(nil)
		w.start()
		defer w.stop()
		synctest.Wait()
		if w.statuses(id) != "Dd" || w.statuses(fresh) != "D" {
			t.Errorf("after the start: %s, %s", w.statuses(id), w.statuses(fresh))
		}
		if info := w.q.Snapshot(); len(info) != 2 || info[1].Name != "Internet/grey.example" || info[1].Deferred != 1 || !info[1].NextDue.Equal(due) {
			t.Errorf("snapshot %+v", info)
		}
		time.Sleep(time.Until(due) + time.Millisecond)
		w.settled()
		if r := w.store.get(id).state.Recipients[1]; r.Tries != 2 {
			t.Errorf("%d tries", r.Tries)
		}
		if n := len(w.callsTo("white.example")); n != 1 {
			t.Errorf("%d deliveries to white.example", n)
		}
	})
}

// TestRestartOwed: what was owed when the process died is made up.
func TestRestartOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.stop()
		put := func(u *message.Update, recipients ...string) message.ID {
			d, _ := w.store.create()
			fmt.Fprint(d, "Subject: x\r\n\r\n")
			e := envelope(recipients...)
			if len(recipients) > 1 { // its delivery and word of its delay would race
				e.Recipients[0].Notify, e.Recipients[1].Notify = message.NotifyFailure, message.NotifyFailure
			}
			d.Commit(context.Background(), e)
			if u != nil {
				u.At = time.Now()
				w.store.Update(d.ID(), u)
			}
			return d.ID()
		}
		failed := message.Outcome{Recipients: []int{0}, Status: message.Failed, Reply: message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}}, Tries: 1}
		owed := put(&message.Update{Outcomes: []message.Outcome{failed}}, "a@x.example")
		told := put(&message.Update{Outcomes: []message.Outcome{failed}, Notified: []int{0}}, "a@x.example") // but not Done
		mixed := put(&message.Update{Outcomes: []message.Outcome{failed}}, "a@x.example", "b@x.example")
		late := put(nil, "a@dead.example")
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "dead.example" {
				return unreachable(d)
			}
			return accept(d)
		})
		time.Sleep(5 * time.Hour)
		w.start()
		synctest.Wait()
		for id, want := range map[message.ID]struct {
			statuses string
			reports  int
		}{owed: {"F", 1}, told: {"F", 0}, mixed: {"FD", 1}, late: {"d", 1}} {
			if s, n := w.statuses(id), len(w.store.reports(id)); s != want.statuses || n != want.reports {
				t.Errorf("message %d: %s, %d notifications; want %v", id, s, n, want)
			}
		}
		w.stop()
		time.Sleep(100 * time.Hour)
		w.start()
		time.Sleep(lastChance + time.Second)
		synctest.Wait()
		if s := w.statuses(late); s != "E" || len(w.store.reports(late)) != 2 {
			t.Errorf("late: %s, %d notifications", s, len(w.store.reports(late)))
		}
		w.settled()
		w.stop()
	})
}

var errDisk = errors.New("no space left on device")

// TestUpdateFails: while outcomes can't be stored nobody is sent anything twice,
// and they are stored when there is room again.
func TestUpdateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		ids := []message.ID{}
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "grey.example" && time.Since(w.began) < 30*time.Minute {
				return postpone(d)
			}
			return accept(d)
		})
		w.store.setFail(func(op string) error {
			if op == "update" {
				return errDisk
			}
			return nil
		})
		for range 100 {
			ids = append(ids, w.submit(envelope("a@white.example", "b@grey.example")))
		}
		time.Sleep(time.Hour)
		if s := w.q.Stats(); s.Unsaved != 100 || s.SaveFailures == 0 || s.Items != 0 {
			t.Errorf("stats %+v", s)
		}
		for _, id := range ids {
			if info, err := w.q.Show(id); err != nil || info.State.Recipients[0].Status != message.Delivered {
				t.Errorf("show: %+v, %v", info, err)
			}
			if w.statuses(id) != "pp" {
				t.Errorf("stored: %s", w.statuses(id))
			}
		}
		w.store.setFail(nil)
		time.Sleep(time.Minute)
		w.settled()
		for _, id := range ids {
			if w.statuses(id) != "DD" {
				t.Errorf("stored: %s", w.statuses(id))
			}
		}
	})
}

// TestUnsavedBound: with too many outcomes in memory deliveries pause.
func TestUnsavedBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.store.setFail(func(op string) error {
			if op == "update" {
				return errDisk
			}
			return nil
		})
		for range 3 * maxUnsaved {
			w.submit(envelope("a@white.example"))
		}
		time.Sleep(5 * time.Minute)
		if n := len(w.made()); n < maxUnsaved || n > maxUnsaved+defaultPerDomain {
			t.Errorf("%d deliveries", n)
		}
		w.store.setFail(nil)
		time.Sleep(time.Minute)
		w.settled()
	})
}

// TestStopSaves: what could not be stored is tried once more at the end.
func TestStopSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.store.setFail(func(op string) error {
			if op == "update" {
				return errDisk
			}
			return nil
		})
		id := w.submit(envelope("a@white.example"))
		synctest.Wait()
		w.store.setFail(nil)
		w.stop()
		if w.statuses(id) != "D" || w.store.live() != 0 {
			t.Errorf("stored: %s", w.statuses(id))
		}
	})
}

// TestNotificationTrouble: whatever goes wrong while a notification is made, it
// is made in the end, once.
func TestNotificationTrouble(t *testing.T) {
	for _, op := range []string{"create", "write", "commit", "load"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				broken := func(o string) error {
					if o == op {
						return errDisk
					}
					return nil
				}
				w.always(func(d *message.Delivery) message.Report {
					if time.Since(w.began) < 10*time.Minute {
						time.Sleep(time.Second) // until both are submitted
						w.store.setFail(broken)
					}
					return refuse(d)
				})
				id := w.submit(envelope("a@x.example"))
				late := w.submit(envelope("a@y.example"))
				time.Sleep(10 * time.Minute)
				if n := len(w.store.reports(id)); n != 0 && op != "load" {
					t.Errorf("%d notifications", n)
				}
				w.store.setFail(nil)
				time.Sleep(2 * time.Minute)
				w.settled()
				if len(w.store.reports(id)) != 1 || len(w.store.reports(late)) != 1 {
					t.Errorf("%d and %d notifications", len(w.store.reports(id)), len(w.store.reports(late)))
				}
			})
		})
	}
	for _, op := range []string{"content", "read"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				w.always(refuse)
				w.store.setFail(func(o string) error {
					if o == op {
						return errDisk
					}
					return nil
				})
				id := w.submit(envelope("a@x.example"))
				w.settled()
				r := w.store.reports(id)
				if len(r) != 1 || !strings.Contains(string(r[0].content), "could not be read") {
					t.Errorf("%d notifications", len(r))
				}
			})
		})
	}
}

// TestLoadFails: a message that can't be read is tried again later; one that is
// gone is dropped.
func TestLoadFails(t *testing.T) {
	for err, status := range map[error]string{errDisk: "D", spool.ErrNotFound: "p"} {
		t.Run(err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				w.store.setFail(func(op string) error {
					if op == "load" {
						return err
					}
					return nil
				})
				id := w.submit(envelope("a@x.example", "b@y.example"))
				time.Sleep(10 * time.Minute)
				w.store.setFail(nil)
				time.Sleep(2 * time.Minute)
				if s := w.statuses(id); s != status+status {
					t.Errorf("status %s", s)
				}
				if status == "p" {
					w.store.mu.Lock()
					delete(w.store.messages, id)
					w.store.mu.Unlock()
				}
				w.settled()
			})
		})
	}
}

// TestHoldOff: with a full disk a crowd of notifications does not ask for room
// one by one.
func TestHoldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(refuse)
		asked := 0
		const n = 500
		for range n {
			d, _ := w.store.create()
			d.Commit(context.Background(), envelope("a@x.example"))
		}
		w.store.setFail(func(op string) error {
			if op == "create" {
				asked++
				return errDisk
			}
			return nil
		})
		w.stop()
		w.start()
		time.Sleep(time.Hour)
		w.store.mu.Lock()
		if asked > 80*maxClerks || asked < 50 {
			t.Errorf("asked %d times in an hour", asked)
		}
		w.store.mu.Unlock()
		w.store.setFail(nil)
		time.Sleep(2 * time.Minute)
		w.settled()
		if got := w.q.Stats().Notifications; got != n {
			t.Errorf("%d notifications", got)
		}
	})
}

func TestSubmitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		d, _ := w.store.create()
		w.store.setFail(func(op string) error { return errDisk })
		if err := w.q.submit(context.Background(), d, envelope("a@x.example")); !errors.Is(err, errDisk) {
			t.Errorf("submit: %v", err)
		}
		w.store.setFail(nil)
		if err := w.q.submit(context.Background(), d, envelope()); err == nil {
			t.Error("a message to nobody was accepted")
		}
		w.settled()
		if len(w.made()) != 0 {
			t.Error("it was delivered all the same")
		}
	})
}
