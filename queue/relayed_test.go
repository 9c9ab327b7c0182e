package queue

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
)

// relay delivers to a next hop without DSN.
func relay(d *message.Delivery) message.Report {
	r := accept(d)
	r.Outcomes[0].NoDSN = true
	return r
}

// wanting is an envelope that asks for these notifications.
func wanting(n message.Notify, recipients ...string) *message.Envelope {
	e := envelope(recipients...)
	for i := range e.Recipients {
		e.Recipients[i].Notify = n
	}
	return e
}

// TestRelayedNotification: who asked for SUCCESS is told once that no word will
// come from beyond a next hop without DSN; nobody else is.
func TestRelayedNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(relay)
		asked := wanting(message.NotifySuccess|message.NotifyFailure, "a@x.example", "b@x.example")
		asked.EnvID, asked.Recipients[0].ORcpt = "id 1", "rfc822;old@x.example"
		id := w.submit(asked)
		null := wanting(message.NotifySuccess, "a@x.example")
		null.From = message.Address{}
		quiet := []message.ID{w.submit(null), w.submit(envelope("a@x.example")), w.submit(wanting(message.NotifyNever, "a@x.example")),
			w.submit(wanting(message.NotifyFailure|message.NotifyDelay, "a@x.example"))}
		synctest.Wait()
		w.always(accept)
		quiet = append(quiet, w.submit(wanting(message.NotifySuccess, "a@y.example"))) // the next hop will tell
		w.settled()
		r := w.store.reports(id)
		if len(r) != 1 {
			t.Fatalf("%d notifications", len(r))
		}
		for _, want := range []string{"Action: relayed", "Status: 2.6.0", "Original-Envelope-Id: id 1", "Original-Recipient: rfc822; old@x.example",
			"Final-Recipient: rfc822; b@x.example", "Remote-MTA: dns; mx1.example", "Content-Type: text/rfc822-headers"} {
			if !strings.Contains(string(r[0].content), want) {
				t.Errorf("the notification lacks %q:\n%s", want, r[0].content)
			}
		}
		if e := r[0].envelope; !e.From.IsNull() || e.Recipients[0].Notify != message.NotifyNever {
			t.Errorf("envelope %+v", e)
		}
		for _, id := range quiet {
			if n := len(w.store.reports(id)); n != 0 {
				t.Errorf("message %d: %d notifications", id, n)
			}
		}
		for _, e := range w.events {
			if e.Kind == Notified && (!e.Relayed || e.Delay || len(e.Outcome.Recipients) != 2) {
				t.Errorf("event %+v", e)
			}
		}
	})
}

// TestRelayedAndFailed: two kinds of end make two notifications.
func TestRelayedAndFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(func(d *message.Delivery) message.Report {
			if d.Envelope.Recipients[d.Recipients[0]].Address.Domain == "x.example" {
				return relay(d)
			}
			return refuse(d)
		})
		id := w.submit(wanting(message.NotifySuccess|message.NotifyFailure, "a@x.example", "b@y.example"))
		time.Sleep(time.Minute)
		w.settled()
		r := w.store.reports(id)
		if len(r) != 2 || !strings.Contains(string(r[0].content), "Action: failed") || !strings.Contains(string(r[1].content), "Action: relayed") {
			t.Errorf("%d notifications", len(r))
		}
		if w.statuses(id) != "DF" {
			t.Errorf("%s", w.statuses(id))
		}
	})
}

// TestRelayedOrder: the delivery is recorded first with what is owed, then the
// notification is stored, then the message is done.
func TestRelayedOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(relay)
		id := w.submit(wanting(message.NotifySuccess, "a@x.example"))
		checked := false
		w.store.setFail(func(op string) error {
			if op == "commit" {
				m := w.store.messages[id]
				if m == nil || m.state.Recipients[0].Status != message.Delivered || !m.state.Recipients[0].NoDSN || m.state.Recipients[0].Notified {
					t.Errorf("when the notification is stored: %+v", m)
				}
				checked = true
			}
			return nil
		})
		w.settled()
		if !checked || !w.store.get(id).state.Recipients[0].Notified {
			t.Error("the order was not seen")
		}
	})
}

// TestRelayedAfterCrash: what was owed when the process died is made up, and
// what was told is not told again.
func TestRelayedAfterCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.stop()
		put := func(n message.Notify, u *message.Update) message.ID {
			d, _ := w.store.create()
			d.Write([]byte("Subject: x\r\n\r\n"))
			d.Commit(context.Background(), wanting(n, "a@x.example"))
			u.At = time.Now()
			w.store.Update(d.ID(), u)
			return d.ID()
		}
		outcomes := func(noDSN bool) []message.Outcome {
			return []message.Outcome{{Recipients: []int{0}, Status: message.Delivered, NoDSN: noDSN, Reply: message.Reply{Code: 250}, Tries: 1}}
		}
		want := map[message.ID]int{
			put(message.NotifySuccess, &message.Update{Outcomes: outcomes(true)}):                        1,
			put(message.NotifySuccess, &message.Update{Outcomes: outcomes(true), Notified: []int{0}}):    0,
			put(message.NotifySuccess, &message.Update{Outcomes: outcomes(false)}):                       0,
			put(message.NotifyFailure, &message.Update{Outcomes: outcomes(true)}):                        0,
			put(message.NotifySuccess, &message.Update{Outcomes: outcomes(true), Notified: []int{0, 5}}): 0,
		}
		for range 2 {
			w.start()
			w.settled()
			for id, n := range want {
				if got := len(w.store.reports(id)); got != n || w.statuses(id) != "D" {
					t.Errorf("message %d: %d notifications, %s", id, got, w.statuses(id))
				}
			}
			w.stop()
		}
		if n := len(w.callsTo("x.example")); n != 0 {
			t.Errorf("%d deliveries", n)
		}
	})
}

// TestRelayedWithStorageTrouble: the notification waits for the storage, and is
// made once.
func TestRelayedWithStorageTrouble(t *testing.T) {
	for _, op := range []string{"create", "write", "commit", "update"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				w.always(relay)
				id := w.submit(wanting(message.NotifySuccess, "a@x.example"))
				w.store.setFail(func(o string) error {
					if o == op {
						return errDisk
					}
					return nil
				})
				time.Sleep(time.Hour)
				w.store.setFail(nil)
				time.Sleep(time.Hour)
				w.settled()
				if n := len(w.store.reports(id)); n != 1 || w.statuses(id) != "D" {
					t.Errorf("%d notifications, %s", n, w.statuses(id))
				}
			})
		})
	}
}
