package queue

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

func TestFailureNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Postmaster = address("help@contoso.example") })
		defer w.stop()
		w.always(refuse)
		id := w.submit(envelope("kim@there.example"))
		w.settled()
		r := w.store.reports(id)
		if len(r) != 1 {
			t.Fatalf("%d notifications", len(r))
		}
		e := r[0].envelope
		if !e.From.IsNull() || len(e.Recipients) != 1 || e.Recipients[0].Address != address("bob@sender.example") || !e.Origin.Internal {
			t.Errorf("envelope %+v", e)
		}
		for _, want := range []string{"From: Mail Delivery System <help@contoso.example>", "Reporting-MTA: dns; edge.contoso.example", "Diagnostic-Code: smtp; 550 5.1.1 User unknown",
			"Remote-MTA: dns; mx1.example", "Subject: Undeliverable: hello", "Attempts: 1"} {
			if !strings.Contains(string(r[0].content), want) {
				t.Errorf("the notification lacks %q", want)
			}
		}
		var kinds []string
		for _, e := range w.events {
			if e.ID == id {
				kinds = append(kinds, e.Kind.String())
			}
		}
		if got := strings.Join(kinds, " "); got != "submitted failed notified finished" {
			t.Errorf("events: %s", got)
		}
	})
}

// TestOrder: the failure is recorded before its notification is stored, and the
// message is done only afterwards.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(refuse)
		id := w.submit(envelope("kim@there.example"))
		checked := false
		w.store.setFail(func(op string) error {
			if op == "commit" {
				m := w.store.messages[id]
				if m == nil || m.state.Recipients[0].Status != message.Failed || m.state.Recipients[0].Notified {
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

func TestNoNotification(t *testing.T) {
	for name, change := range map[string]func(*message.Envelope){
		"null reverse path":           func(e *message.Envelope) { e.From = message.Address{} },
		"NOTIFY=NEVER":                func(e *message.Envelope) { e.Recipients[0].Notify = message.NotifyNever },
		"NOTIFY=SUCCESS":              func(e *message.Envelope) { e.Recipients[0].Notify = message.NotifySuccess },
		"a notification of ours, too": func(e *message.Envelope) { e.From, e.Origin.Internal = message.Address{}, true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				w.always(refuse)
				e := envelope("kim@there.example")
				change(e)
				refused := w.submit(e)
				e = envelope("kim@gone.example")
				change(e)
				w.always(func(d *message.Delivery) message.Report {
					if d.ID == refused {
						return refuse(d)
					}
					return unreachable(d)
				})
				expired := w.submit(e)
				time.Sleep(49 * time.Hour)
				w.settled()
				if w.statuses(refused) != "F" || w.statuses(expired) != "E" {
					t.Errorf("%s, %s", w.statuses(refused), w.statuses(expired))
				}
				if n := len(w.store.reports(refused)) + len(w.store.reports(expired)); n != 0 {
					t.Errorf("%d notifications", n)
				}
				if s := w.q.Stats(); s.Suppressed != 2 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

func TestNotifyConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(unreachable)
		e := envelope("failure@x.example", "delay@x.example", "both@x.example", "never@x.example", "unset@y.example")
		for i, n := range []message.Notify{message.NotifyFailure, message.NotifyDelay, message.NotifyFailure | message.NotifyDelay, message.NotifyNever, 0} {
			e.Recipients[i].Notify = n
		}
		id := w.submit(e)
		time.Sleep(49 * time.Hour)
		w.settled()
		// Failures of the two queues meet in one notification or two.
		var delayed, failed string
		for _, r := range w.store.reports(id) {
			if strings.Contains(string(r.content), "Action: delayed") {
				delayed += string(r.content)
			} else {
				failed += string(r.content)
			}
		}
		for _, c := range []struct {
			name            string
			delayed, failed bool
		}{{"failure@x", false, true}, {"delay@x", true, false}, {"both@x", true, true}, {"never@x", false, false}, {"unset@y", true, true}} {
			field := "Final-Recipient: rfc822; " + c.name
			if got := strings.Count(delayed, field); got != count(c.delayed) {
				t.Errorf("%s: delay told %d times", c.name, got)
			}
			if got := strings.Count(failed, field); got != count(c.failed) {
				t.Errorf("%s: failure told %d times", c.name, got)
			}
		}
		if n := strings.Count(delayed, "Action: delayed"); n != 3 {
			t.Errorf("%d recipients reported late", n)
		}
	})
}

// A delay notification promises word of a failure only where that will come.
func TestDelayPromise(t *testing.T) {
	for _, tt := range []struct {
		name    string
		notify  message.Notify
		enabled bool
		want    int
	}{
		{"by default", 0, true, 1},
		{"NOTIFY=FAILURE,DELAY", message.NotifyFailure | message.NotifyDelay, true, 1},
		{"NOTIFY=DELAY", message.NotifyDelay, true, 0},
		{"no failures to the domain", 0, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.options.Notifications.RemoteDomains = []config.RemoteDomain{{Domain: "*", NDREnabled: tt.enabled, NDRDiagnosticInfo: true, DeliveryReportEnabled: true}}
			}, func(t *testing.T, w *world) {
				w.always(postpone)
				e := envelope("a@x.example")
				e.Recipients[0].Notify = tt.notify
				id := w.submit(e)
				time.Sleep(5 * time.Hour)
				r := w.store.reports(id)
				if len(r) != 1 || strings.Count(string(r[0].content), "You will be told if it fails.") != tt.want {
					t.Errorf("%d notifications", len(r))
				}
			})
		})
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestFailureMerging: failures within seconds share a notification, later ones
// have another.
func TestFailureMerging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			switch hop.Domain {
			case "b.example":
				time.Sleep(5 * time.Second)
			case "c.example":
				time.Sleep(2 * time.Minute)
			case "d.example":
				time.Sleep(3 * time.Minute)
				return accept(d)
			case "sender.example":
				return accept(d)
			}
			return refuse(d)
		})
		id := w.submit(envelope("1@a.example", "2@b.example", "3@c.example", "4@d.example"))
		time.Sleep(9 * time.Second)
		if n := len(w.store.reports(id)); n != 0 {
			t.Errorf("%d notifications after 9 s", n)
		}
		time.Sleep(2 * time.Second)
		if r := w.store.reports(id); len(r) != 1 || strings.Count(string(r[0].content), "Final-Recipient") != 2 {
			t.Errorf("%d notifications after 11 s", len(r))
		}
		time.Sleep(10 * time.Minute)
		w.settled()
		if r := w.store.reports(id); len(r) != 2 || strings.Count(string(r[1].content), "Final-Recipient") != 1 {
			t.Errorf("%d notifications in all", len(r))
		}
	})
}
