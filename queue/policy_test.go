package queue

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
)

func TestRemoteDomains(t *testing.T) {
	r := newRemoteDomains([]config.RemoteDomain{{Domain: "*"}, {Domain: "*.Fabrikam.example"}, {Domain: "*.a.fabrikam.example"}, {Domain: "b.fabrikam.example"}, {Domain: "*.bücher.example"}})
	for domain, want := range map[string]string{
		"FABRIKAM.example": "*.Fabrikam.example", "x.y.fabrikam.example.": "*.Fabrikam.example", "a.fabrikam.example": "*.a.fabrikam.example",
		"x.a.fabrikam.example": "*.a.fabrikam.example", "b.fabrikam.example": "b.fabrikam.example", "c.b.fabrikam.example": "*.Fabrikam.example",
		"notfabrikam.example": "*", "example": "*", "[192.0.2.1]": "*", "": "*", "xn--bcher-kva.example": "*.bücher.example",
	} {
		if got := r.of(domain).Domain; got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
	if d := newRemoteDomains(nil).of("x.example"); !d.NDREnabled || !d.NDRDiagnosticInfo || !d.DeliveryReportEnabled {
		t.Errorf("without a table: %+v", d)
	}
}

// TestRemoteDomainSwitches: what a policy switches off is not sent, is told as
// an event with the reason, and the message ends all the same.
func TestRemoteDomainSwitches(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		domain                    config.RemoteDomain
		failure, delayed, relayed int
		reason                    string
	}{
		{"all on", config.RemoteDomain{Domain: "sender.example", NDREnabled: true, NDRDiagnosticInfo: true, DeliveryReportEnabled: true}, 1, 1, 1, ""},
		{"no NDR", config.RemoteDomain{Domain: "*.example", NDRDiagnosticInfo: true, DeliveryReportEnabled: true}, 0, 1, 1, `ndr_enabled is false in the remote domain "*.example"`},
		{"no reports", config.RemoteDomain{Domain: "*", NDREnabled: true, NDRDiagnosticInfo: true}, 1, 0, 0, `delivery_report_enabled is false in the remote domain "*"`},
		{"another domain", config.RemoteDomain{Domain: "other.example"}, 1, 1, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.options.Notifications.RemoteDomains = []config.RemoteDomain{tt.domain} })
				defer w.stop()
				w.always(refuse)
				failed := w.submit(envelope("a@x.example"))
				synctest.Wait()
				w.always(relay)
				relayed := w.submit(wanting(message.NotifySuccess, "a@y.example"))
				synctest.Wait()
				w.always(func(d *message.Delivery) message.Report {
					if time.Since(w.began) > 5*time.Hour {
						return accept(d)
					}
					return unreachable(d)
				})
				late := w.submit(envelope("a@z.example"))
				time.Sleep(6 * time.Hour)
				w.settled()
				if a, b, c := len(w.store.reports(failed)), len(w.store.reports(late)), len(w.store.reports(relayed)); a != tt.failure || b != tt.delayed || c != tt.relayed {
					t.Errorf("%d failures, %d delays, %d relayed", a, b, c)
				}
				suppressed := 0
				for _, e := range w.events {
					if e.Kind == Suppressed {
						suppressed++
						if e.Reason != tt.reason || len(e.Outcome.Recipients) != 1 || e.Delay != (e.ID == late) || e.Relayed != (e.ID == relayed) {
							t.Errorf("event %+v", e)
						}
					}
				}
				if want := 3 - tt.failure - tt.delayed - tt.relayed; suppressed != want || w.q.Stats().Suppressed != uint64(want) {
					t.Errorf("%d events, stats %+v", suppressed, w.q.Stats())
				}
			})
		})
	}
}

// TestNoDiagnosticInfo: nothing of what servers said, nor their names, and a
// reload puts it in force.
func TestNoDiagnosticInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(refuse)
		before := w.submit(envelope("a@x.example"))
		w.settled()
		s := w.options.Settings
		s.Notifications.RemoteDomains = []config.RemoteDomain{{Domain: "*", NDREnabled: true, DeliveryReportEnabled: true}}
		w.q.Reconfigure(s)
		after := w.submit(envelope("a@x.example"))
		w.settled()
		for _, word := range []string{"mx1.example", "User unknown", "Diagnostic information", "Diagnostic-Code", "Remote-MTA"} {
			if !strings.Contains(string(w.store.reports(before)[0].content), word) || strings.Contains(string(w.store.reports(after)[0].content), word) {
				t.Errorf("%q: before or after", word)
			}
		}
		if text := string(w.store.reports(after)[0].content); !strings.Contains(text, "Status: 5.1.1") || !strings.Contains(text, "The address does not exist") {
			t.Errorf("the plain words are missing:\n%s", text)
		}
	})
}

// TestQuota: an address gets so many notifications an hour, and what is beyond
// ends its message.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Notifications.MaxPerHour = 3 })
		defer w.stop()
		w.always(refuse)
		send := func(from string) int {
			e := envelope("a@x.example")
			e.From = address(from)
			id := w.submit(e)
			w.settled()
			if w.statuses(id) != "F" || !w.store.get(id).state.Recipients[0].Notified {
				t.Errorf("%s: %+v", from, w.store.get(id).state)
			}
			return len(w.store.reports(id))
		}
		got := ""
		for i := range 5 {
			got += fmt.Sprint(send([]string{"bob@sender.example", "bob@SENDER.example"}[i%2]), send("kim@sender.example"))
			time.Sleep(time.Minute)
		}
		if got != "1 11 11 10 00 0" {
			t.Errorf("sent %q", got)
		}
		time.Sleep(time.Hour)
		if send("bob@sender.example") != 1 {
			t.Error("nothing is sent after the hour")
		}
		reasons := 0
		for _, e := range w.events {
			if e.Kind == Suppressed && strings.Contains(e.Reason, "3 notifications within the hour") {
				reasons++
			}
		}
		if s := w.q.Stats(); reasons != 4 || s.Notifications != 7 {
			t.Errorf("%d events, %+v", reasons, s)
		}
	})
}

// TestQuotaWithStorageTrouble: what could not be stored is not counted.
func TestQuotaWithStorageTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Notifications.MaxPerHour = 1 })
		defer w.stop()
		w.always(refuse)
		id := w.submit(envelope("a@x.example"))
		w.store.setFail(func(op string) error {
			if op == "commit" {
				return errDisk
			}
			return nil
		})
		time.Sleep(30 * time.Minute)
		w.store.setFail(nil)
		time.Sleep(10 * time.Minute)
		w.settled()
		if n := len(w.store.reports(id)); n != 1 {
			t.Errorf("%d notifications", n)
		}
	})
}

// TestQuotaMemory: it knows so many addresses at most, and whoever is being
// flooded stays known.
func TestQuotaMemory(t *testing.T) {
	var q quota
	now := time.Now()
	for range 100 {
		q.take("victim", 100, now)
	}
	for i := range 3 * maxWindows {
		q.take(fmt.Sprint(i), 100, now)
	}
	if len(q.windows) > maxWindows || q.take("victim", 100, now) {
		t.Errorf("%d addresses are known", len(q.windows))
	}
	if !q.take("victim", 100, now.Add(time.Hour)) || !q.take("victim", 100, now.Add(-time.Minute)) {
		t.Error("the hour does not end, or the clock set back counts")
	}
}

// TestCopyToPostmaster: of failures with the chosen codes alone.
func TestCopyToPostmaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.Postmaster = address("help@contoso.example")
			w.options.Notifications.CopyFor = []string{"5.4.6", "4.4.7"}
		})
		defer w.stop()
		w.always(refuse)
		plain := w.submit(envelope("a@x.example"))
		w.settled()
		w.always(func(d *message.Delivery) message.Report {
			if strings.HasPrefix(d.Envelope.Recipients[0].Address.Local, "post") || d.Envelope.Recipients[0].Address.Local == "help" {
				return accept(d)
			}
			return report(d, message.Failed, 554, [3]int{5, 4, 6}, "Loop")
		})
		loop := w.submit(envelope("a@y.example"))
		own := envelope("a@y.example")
		own.From = address("help@contoso.example")
		mine := w.submit(own)
		w.settled()
		if a, b, c := len(w.store.reports(plain)), len(w.store.reports(loop)), len(w.store.reports(mine)); a != 1 || b != 2 || c != 1 {
			t.Fatalf("%d, %d and %d notifications", a, b, c)
		}
		r := w.store.reports(loop)[1]
		if r.envelope.Recipients[0].Address != address("help@contoso.example") || !r.envelope.From.IsNull() || !strings.Contains(string(r.content), "To: <help@contoso.example>") {
			t.Errorf("the copy: %+v\n%s", r.envelope, r.content)
		}
		// It was made while the message was still there.
		for _, want := range []string{"Subject: Undeliverable: hello\r\n", "  Subject: hello\r\n", "\r\nbody\r\n"} {
			if !strings.Contains(string(r.content), want) {
				t.Errorf("the copy lacks %q:\n%s", want, r.content)
			}
		}
	})
}

// TestHostsTried: each host's own error is shown, of the recipient's next hop
// alone, also after many tries.
func TestHostsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		var calls atomic.Int32 // of two queues at a time
		w.always(func(d *message.Delivery) message.Report {
			r := unreachable(d)
			domain := d.Envelope.Recipients[d.Recipients[0]].Address.Domain
			n := calls.Add(1)
			r.Attempts = nil
			for _, host := range []string{"mx1.", "mx2."} {
				if host == "mx2." && n > 4 {
					continue
				}
				r.Attempts = append(r.Attempts, message.Attempt{At: time.Now(), Host: host + domain, Address: "192.0.2.1:25", TLS: "TLS1.3 X",
					Reply: message.Reply{Code: 421, Enhanced: [3]int{4, 4, 1}, Text: host + " does not answer"}})
			}
			return r
		})
		id := w.submit(envelope("a@x.example", "b@y.example"))
		time.Sleep(50 * time.Hour)
		w.settled()
		failed := ""
		for _, r := range w.store.reports(id) {
			if strings.Contains(string(r.content), "Action: failed") {
				failed += string(r.content)
			}
		}
		_, admin, _ := strings.Cut(failed, "Diagnostic information for administrators:")
		x, y, ok := strings.Cut(admin, "\r\nb@y.example")
		if !ok || !strings.Contains(x, "mx1.x.example") || !strings.Contains(x, "mx2.x.example 192.0.2.1:25, TLS1.3 X\r\n    421 4.4.1 mx2. does not answer") || strings.Contains(x, "mx1.y.example") {
			t.Errorf("the section of x:\n%s", x)
		}
		if !strings.Contains(y, "mx1.y.example") || !strings.Contains(y, "mx2.y.example") || strings.Contains(y, "mx1.x.example") {
			t.Errorf("the section of y:\n%s", y)
		}
		if st := w.store.get(id).state; len(st.Attempts) > message.MaxAttempts {
			t.Errorf("%d attempts are kept", len(st.Attempts))
		}
	})
}

// TestDelayNever: without delay notifications mail expires all the same.
func TestDelayNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue.DelayNotification = config.Unlimited })
		defer w.stop()
		w.always(unreachable)
		id := w.submit(envelope("a@x.example"))
		time.Sleep(50 * time.Hour)
		w.settled()
		if r := w.store.reports(id); len(r) != 1 || !strings.Contains(string(r[0].content), "Action: failed") || w.statuses(id) != "E" {
			t.Errorf("%d notifications, %s", len(r), w.statuses(id))
		}
	})
}
