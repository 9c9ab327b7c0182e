package send

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
)

// TestKnownFaults holds against our client what other SMTP clients were found
// to do wrong, one subtest a fault.
func TestKnownFaults(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	for _, tt := range []struct {
		fault string
		check func(t *testing.T)
	}{
		{"opportunistic TLS takes a second connection, or EHLO localhost", func(t *testing.T) {
			mx := &fakeMX{tls: server}
			b := newBench(t, mx)
			r := b.send()
			b.stop()
			got := strings.Join(mx.commands(), " ")
			if !strings.HasPrefix(got, "EHLO out.contoso.example STARTTLS EHLO out.contoso.example MAIL") || mx.count() != 1 || sum(r) != took {
				t.Errorf("%q, commands %s", sum(r), got)
			}
		}},
		{"a host without STARTTLS is an error where TLS is opportunistic", func(t *testing.T) {
			b := newBench(t, &fakeMX{})
			if r := b.send(); sum(r) != took || len(r.Attempts) != 1 {
				t.Errorf("%+v", r)
			}
			b.stop()
		}},
		{"a peer that takes no more of the content holds the client for ever", func(t *testing.T) {
			for _, ext := range [][]string{nil, {"PIPELINING", "CHUNKING", "BINARYMIME"}} {
				mx := &fakeMX{ext: ext, faults: map[string]fault{"body": deaf}}
				if ext != nil {
					mx.answer = func(s *fakeSession, line string) string {
						if strings.HasPrefix(line, "BDAT") {
							deaf(s)
						}
						return ""
					}
				}
				b := newBench(t, mx)
				start := time.Now()
				r := b.deliver(t.Context(), hop(), mail(strings.Repeat(strings.Repeat("x", 76)+"\r\n", 40000)))
				if got := sum(r); !matches(got, "0 deferred 421 4.4.1 ") || time.Since(start) > b.s.timeouts.DataBlock+b.s.timeouts.Quit {
					t.Errorf("%q after %v", got, time.Since(start))
				}
				b.stop()
			}
		}},
		{"one time-out for every phase", eachPhaseItsTime},
		{"no context: a delivery can't be given up", func(t *testing.T) {
			b := newBench(t, &fakeMX{faults: map[string]fault{"RCPT": hangs}})
			b.start()
			time.AfterFunc(soon, b.s.abandon)
			start := time.Now()
			if r := b.send(); r.Outcomes[0].Status != message.Deferred || time.Since(start) != soon {
				t.Errorf("%s after %v", sum(r), time.Since(start))
			}
			b.stop()
		}},
		{"MAIL, RCPT and DATA one round trip each", func(t *testing.T) {
			const delay = 100 * time.Millisecond
			mx := &fakeMX{answer: func(s *fakeSession, line string) string {
				// What is already here came without waiting for a reply.
				if strings.HasPrefix(line, "MAIL") {
					time.Sleep(delay)
					if s.r.Buffered() == 0 {
						t.Error("nothing was sent along with MAIL")
					}
				}
				return ""
			}}
			b := newBench(t, mx)
			b.send("a", "b", "c")
			b.stop()
		}},
		{"line ends are rewritten: bare LF, CR CR LF, bare CR", func(t *testing.T) {
			const content = "a bare \n and \r\r\n and \r\n.\n.\r.\r\n"
			mx := &fakeMX{ext: []string{"CHUNKING", "BINARYMIME"}}
			b := newBench(t, mx)
			d := mail(content)
			d.Envelope.Body = message.BodyBinaryMIME
			b.deliver(t.Context(), hop(), d)
			b.stop()
			if got := mx.got(); len(got) != 1 || got[0].content != content {
				t.Errorf("arrived %+v", got)
			}
		}},
		{"an unquoted local part becomes parameters", func(t *testing.T) {
			for _, local := range []string{"x> NOTIFY=NEVER@c.test <y", "x>", "x y", "x\r\nRSET", "x\ty", "<x", "", "x@y", `"x`, "x\x00", "a..b"} {
				for _, ofSender := range []bool{true, false} {
					mx := &fakeMX{ext: []string{"PIPELINING", "DSN", "SMTPUTF8"}}
					b := newBench(t, mx)
					d := mail("x\r\n")
					a := &d.Envelope.Recipients[0].Address
					if ofSender {
						a = &d.Envelope.From
					}
					a.Local = local
					r := b.deliver(t.Context(), hop(), d)
					b.stop()
					if r.Outcomes[0].Status != message.Failed || len(mx.got()) != 0 {
						t.Errorf("%q: %s", local, sum(r))
					}
					for _, line := range mx.commands() {
						if strings.Contains(line, "NOTIFY") || line == "RSET" || strings.HasPrefix(line, "RCPT") && !ofSender {
							t.Errorf("%q: sent %q", local, line)
						}
					}
				}
			}
		}},
		{"BODY=8BITMIME is said of every message", func(t *testing.T) {
			for body, want := range map[message.BodyType]string{
				message.BodyUnspecified: "", message.Body7Bit: " BODY=7BIT", message.Body8BitMIME: " BODY=8BITMIME"} {
				mx := &fakeMX{ext: []string{"8BITMIME", "PIPELINING"}}
				b := newBench(t, mx)
				d := mail("x\r\n")
				d.Envelope.Body = body
				b.deliver(t.Context(), hop(), d)
				b.stop()
				if got := mx.got(); len(got) != 1 || got[0].from != "MAIL FROM:<sender@contoso.example>"+want {
					t.Errorf("%v: %+v", body, got)
				}
			}
		}},
		{"large content never goes by BDAT", func(t *testing.T) {
			mx := &fakeMX{ext: []string{"CHUNKING"}}
			b := newBench(t, mx)
			content := strings.Repeat(".\r\n", chunkingFrom/3+1)
			b.deliver(t.Context(), hop(), mail(content))
			b.stop()
			if got := mx.got(); len(got) != 1 || !got[0].bdat || got[0].content != content {
				t.Errorf("%d messages", len(got))
			}
		}},
		{"keywords are known in upper case alone", func(t *testing.T) {
			mx := &fakeMX{ext: []string{"pipelining", "Size 99999", "8bitMime"}}
			b := newBench(t, mx)
			d := mail("x\r\n")
			d.Envelope.Body = message.Body8BitMIME
			b.deliver(t.Context(), hop(), d)
			b.stop()
			if got := mx.got(); len(got) != 1 || got[0].from != "MAIL FROM:<sender@contoso.example> SIZE=3 BODY=8BITMIME" {
				t.Errorf("%+v", got)
			}
		}},
		{"only the last reply's text is kept", func(t *testing.T) {
			for _, place := range []string{"greeting", "MAIL", "RCPT", "DATA", "end"} {
				mx := &fakeMX{faults: map[string]fault{place: reply("554-5.7.1 at "+place, "554-5.7.1 "+strings.Repeat("x", 900), "554 5.7.1 end")}}
				b := newBench(t, mx)
				r := b.send()
				b.stop()
				want := message.Reply{Code: 554, Enhanced: [3]int{5, 7, 1}, Text: "at " + place + "\n" + strings.Repeat("x", 900) + "\nend"}
				if o := r.Outcomes[0]; o.Status != message.Failed || o.Reply != want || o.RemoteMTA != "mx.test [192.0.2.25]" {
					t.Errorf("%s: %+v", place, o)
				}
			}
		}},
		{"any three numbers are an enhanced code", func(t *testing.T) {
			for text, want := range map[string][3]int{
				"5.7.1 x": {5, 7, 1}, "5.1000.1 x": {}, "2.0.0 x": {}, "4.7.1 x": {}, "5.7 x": {}, "5.7.1.1 x": {}, "55.7.1 x": {}, "5.-7.1 x": {}, "5.7.1x": {}, "192.0.2": {}} {
				b := newBench(t, &fakeMX{faults: map[string]fault{"RCPT": reply("550 " + text)}})
				r := b.send()
				b.stop()
				if got := r.Outcomes[0].Reply; got.Enhanced != want || want == [3]int{} && got.Text != text {
					t.Errorf("%q: %+v", text, got)
				}
			}
		}},
		{"a reply pushed while idle answers the next command", func(t *testing.T) {
			for _, pushed := range []string{"421 4.4.2 idle", "250 2.0.0 what?", "550 5.7.1 no", "\x00"} {
				mx := &fakeMX{faults: map[string]fault{}}
				mx.faults["end"] = func(s *fakeSession) bool {
					s.send("250 2.6.0 Queued")
					if s.n == 1 {
						time.AfterFunc(soon, func() { s.send(pushed) })
					}
					return true
				}
				b := newBench(t, mx)
				b.send()
				time.Sleep(2 * soon)
				if got := sum(b.send()); got != took || mx.count() != 2 {
					t.Errorf("%q: %s over %d connections", pushed, got, mx.count())
				}
				b.stop()
			}
		}},
	} {
		t.Run(tt.fault, func(t *testing.T) { synctest.Test(t, tt.check) })
	}
}

// eachPhaseItsTime hangs at every phase, each of which has a time of its own.
func eachPhaseItsTime(t *testing.T) {
	times := Timeouts{Greeting: 11 * time.Second, EHLO: 12 * time.Second, TLS: 13 * time.Second, Mail: 14 * time.Second, Rcpt: 15 * time.Second,
		DataInit: 16 * time.Second, DataEnd: 17 * time.Second}
	for place, want := range map[string]time.Duration{"greeting": times.Greeting, "EHLO": times.EHLO, "STARTTLS": times.EHLO, "MAIL": times.Mail,
		"RCPT": times.Rcpt, "DATA": times.DataInit, "end": times.DataEnd} {
		mx := &fakeMX{faults: map[string]fault{place: hangs}, tls: testServerTLS(t, "mx.test")}
		b := newBench(t, mx)
		b.options.Timeouts = times
		b.connector.TLS, b.connector.TLSAuthLevel = config.TLSRequired, config.EncryptionOnly
		start := time.Now()
		r := b.send()
		if took := time.Since(start); took != want || r.Outcomes[0].Status != message.Deferred {
			t.Errorf("%s: %s after %v, want %v", place, sum(r), took, want)
		}
		b.stop()
		if n := mx.count(); n != 1 {
			t.Error(fmt.Errorf("%s: %d connections", place, n))
		}
	}
}
