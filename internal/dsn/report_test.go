package dsn

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/internal/message"
)

// TestRFC3461 holds what sections 4 to 6 ask of a relay that composes
// notifications.
func TestRFC3461(t *testing.T) {
	ask := func(n message.Notify) func(*Report) {
		return func(r *Report) { r.Envelope.Recipients[0].Notify = n }
	}
	for _, tt := range []struct {
		section, name string
		change        func(*Report)
		kind          Kind
		wanted        bool
		field, value  string // of the recipient; value "" means that it is missing
		third         string
	}{
		{"4.1", "without NOTIFY a failure is told", ask(0), Failure, true, "Action", "failed", "message/rfc822"},
		{"4.1", "without NOTIFY success is not", ask(0), Relayed, false, "", "", ""},
		{"4.1", "NEVER", ask(message.NotifyNever), Failure, false, "", "", ""},
		{"4.1", "DELAY alone", ask(message.NotifyDelay), Failure, false, "", "", ""},
		{"4.2, 6.3", "ORCPT comes back", ask(0), Failure, true, "Original-Recipient", "rfc822; Kim@example.org", "message/rfc822"},
		{"4.2, 6.3", "no ORCPT, no field", func(r *Report) { r.Envelope.Recipients[0].ORcpt = "" }, Failure, true, "Original-Recipient", "", "message/rfc822"},
		{"4.3", "RET=HDRS", func(r *Report) { r.Envelope.Return = message.ReturnHeaders }, Failure, true, "Action", "failed", "text/rfc822-headers"},
		{"4.3", "RET=FULL is for failures", func(r *Report) { r.Envelope.Return = message.ReturnFull }, Delay, true, "Action", "delayed", "text/rfc822-headers"},
		{"4.3", "RET=FULL of a relayed message", func(r *Report) {
			r.Envelope.Return = message.ReturnFull
			r.Envelope.Recipients[0].Notify = message.NotifySuccess
		}, Relayed, true, "Action", "relayed", "text/rfc822-headers"},
		{"5.2.2 (b)", "SUCCESS and a next hop without DSN", ask(message.NotifySuccess), Relayed, true, "Action", "relayed", "text/rfc822-headers"},
		{"5.2.2 (c)", "FAILURE", ask(message.NotifyFailure), Failure, true, "Action", "failed", "message/rfc822"},
		{"5.2.2 (d)", "NEVER, whatever the next hop said", ask(message.NotifyNever), Relayed, false, "", "", ""},
		{"5.2.2 (e)", "without NOTIFY, relayed", ask(0), Relayed, false, "", "", ""},
		{"5.2.5", "DELAY", ask(message.NotifyDelay), Delay, true, "Action", "delayed", "text/rfc822-headers"},
		{"5.2.5", "FAILURE alone asks for no delay", ask(message.NotifyFailure), Delay, false, "", "", ""},
		{"5.2.6", "SUCCESS alone asks for no failure", ask(message.NotifySuccess), Failure, false, "", "", ""},
	} {
		t.Run(tt.section+" "+tt.name, func(t *testing.T) {
			r := failure(plainOriginal)
			r.Kind = tt.kind
			switch tt.kind {
			case Delay:
				r.Recipients[0].State.Reply = message.Reply{Code: 451, Enhanced: [3]int{4, 4, 1}, Text: "x"}
			case Relayed:
				r.Recipients[0].State.Reply = message.Reply{Code: 250, Enhanced: [3]int{2, 6, 0}, Text: "x"}
			}
			tt.change(r)
			if got := Wanted(r.Envelope, 0, tt.kind); got != tt.wanted {
				t.Fatalf("wanted %v", got)
			}
			if !tt.wanted {
				return
			}
			p := compose(t, r)
			if got := p.fields[1].Get(tt.field); got != tt.value {
				t.Errorf("%s is %q, want %q", tt.field, got, tt.value)
			}
			if p.kind != tt.third {
				t.Errorf("returned as %s, want %s", p.kind, tt.third)
			}
			// 6.1: null reverse path, NOTIFY=NEVER or none, no RET and no ENVID.
			e := p.envelope
			if !e.From.IsNull() || e.Recipients[0].Notify&^message.NotifyNever != 0 || e.Return != 0 || e.EnvID != "" || e.Recipients[0].ORcpt != "" {
				t.Errorf("envelope %+v", e)
			}
			// 6.2, 6.3: the sender's envelope id, as it was given; one recipient.
			if got := p.fields[0].Get("Original-Envelope-Id"); got != "QQ314159" || len(p.fields) != 2 {
				t.Errorf("Original-Envelope-Id %q, %d groups", got, len(p.fields))
			}
		})
	}
}

// TestPlainWords: what happened and what to do, by the enhanced status code.
func TestPlainWords(t *testing.T) {
	for code, want := range map[[3]int][2]string{
		{5, 1, 1}: {"does not exist", "Check the address"}, {5, 1, 2}: {"domain behind the @", "Check the part behind the @"},
		{5, 2, 2}: {"mailbox is full", "another way"}, {5, 3, 4}: {"too large", "smaller"}, {5, 4, 4}: {"no way to the recipient's domain", "behind the @"},
		{5, 4, 6}: {"in a circle", "administrator"}, {5, 4, 7}: {"for as long as it was tried", "later"}, {4, 4, 7}: {"for as long as it was tried", "later"},
		{5, 7, 1}: {"refused by a rule", "Ask the recipient"}, {5, 7, 10}: {"could not be protected", "administrator"}, {5, 7, 30}: {"REQUIRETLS", "may travel"},
		{5, 7, 999}: {"security or policy", "Ask the recipient"}, {5, 6, 7}: {"beyond plain Latin letters", "plain Latin"}, {5, 0, 0}: {"", "administrator"},
	} {
		r := failure(plainOriginal)
		r.Recipients[0].State.Reply.Enhanced = code
		user, _, _ := strings.Cut(compose(t, r).text, "Diagnostic information for administrators:")
		what := strings.Index(user, want[0])
		said := strings.Index(user, "User unknown")
		do := strings.LastIndex(user, want[1])
		if what < 0 || said < what || do < said {
			t.Errorf("%v: %q and %q do not stand around the reply:\n%s", code, want[0], want[1], user)
		}
	}
	r := failure(plainOriginal)
	r.Recipients[0].State.Status = message.Removed
	if p := compose(t, r); !strings.Contains(p.text, "An administrator removed the message") {
		t.Errorf("removed:\n%s", p.text)
	}
}

// TestAttemptsShown: of the recipient's next hop, each with its own error, and
// cleaned.
func TestAttemptsShown(t *testing.T) {
	r := failure(plainOriginal)
	r.Recipients[0].State.NextHop = "Internet/example.org"
	r.Attempts = []message.Attempt{
		{At: at, Host: "mx1.example.org", Address: "198.51.100.25:25", NextHop: "Internet/example.org", Reply: message.Reply{Code: 421, Text: "busy\r\n\r\nBcc: v\x1b[2J"}},
		{At: at, Host: "mx2.example.org", Address: "198.51.100.26:25", TLS: "TLS1.3 AES", NextHop: "Internet/example.org", Reply: message.Reply{Code: 550, Text: strings.Repeat("x", 9000)}},
		{At: at, Host: "mx.elsewhere.example", NextHop: "Internet/elsewhere.example"},
	}
	r.Recipients[0].State.RemoteMTA = ""
	p := compose(t, r)
	_, admin, _ := strings.Cut(p.text, "Hosts tried:")
	for _, want := range []string{"mx1.example.org 198.51.100.25:25, no TLS", "    421 busy\r\n    421 Bcc: v", "mx2.example.org 198.51.100.26:25, TLS1.3 AES"} {
		if !strings.Contains(admin, want) {
			t.Errorf("no %q in\n%.2000s", want, admin)
		}
	}
	if strings.Contains(admin, "elsewhere") || strings.Contains(admin, "\x1b") || len(admin) > 4000 {
		t.Errorf("%d octets:\n%.3000s", len(admin), admin)
	}
}

// TestAttemptsOfOthers: a recipient's list leaves out what was tried for others
// after its own end, and shows the reply that it got itself, not the last one of
// the connection.
func TestAttemptsOfOthers(t *testing.T) {
	const hop = "Internet/example.org"
	attempt := func(minute int, host, address string, code int, text string) message.Attempt {
		return message.Attempt{At: at.Add(time.Duration(minute) * time.Minute), Host: host, Address: address, NextHop: hop, Reply: message.Reply{Code: code, Text: text}}
	}
	r := failure(plainOriginal)
	st := &r.Recipients[0].State
	st.NextHop, st.At, st.Status = hop, at.Add(10*time.Minute+30*time.Second), message.Failed
	st.Reply, st.RemoteMTA = message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "no such user"}, "[127.0.0.1]"
	r.Attempts = []message.Attempt{
		attempt(0, "127.0.0.1", "127.0.0.1:18602", 250, "queued, for others"),
		attempt(1, "mx2.example.org", "198.51.100.26:25", 421, "busy"),
		attempt(10, "127.0.0.1", "127.0.0.1:18602", 452, "others: too many"),
		attempt(10, "mx2.example.org", "198.51.100.26:25", 554, "others: no"),
		attempt(20, "127.0.0.1", "127.0.0.1:18602", 553, "others: later"),
	}
	_, admin, _ := strings.Cut(compose(t, r).text, "Hosts tried:\r\n")
	admin, _, _ = strings.Cut(admin, "\r\n\r\n")
	want := "  " + date(at) + ": 127.0.0.1:18602, no TLS\r\n" +
		"  " + date(at.Add(time.Minute)) + ": mx2.example.org 198.51.100.26:25, no TLS\r\n    421 busy\r\n" +
		"  " + date(at.Add(10*time.Minute)) + ": 127.0.0.1:18602, no TLS\r\n    550 5.1.1 no such user"
	if strings.TrimRight(admin, "\r\n") != want {
		t.Errorf("got\n%s\nwant\n%s", admin, want)
	}
	// One that is late takes part in what follows.
	r.Kind, st.Status, st.Reply = Delay, message.Deferred, message.Reply{Code: 451, Text: "come back"}
	text := compose(t, r).text
	if strings.Count(text, "mx2.example.org 198.51.100.26:25") != 2 || strings.Contains(text, "others: too many") || strings.Contains(text, "others: later") {
		t.Errorf("late:\n%s", text)
	}
}

// TestGlobal: with SMTPUTF8, addresses as they are and headers in a type of
// their own; without, nothing but US-ASCII.
func TestGlobal(t *testing.T) {
	r := failure("From: usér\r\nSubject: Grüße\r\n\r\nx\r\n")
	r.Envelope.SMTPUTF8, r.Envelope.Return = true, message.ReturnHeaders
	r.Envelope.Recipients[0] = message.Recipient{Address: addr("jürgen@bücher.example"), ORcpt: "utf-8;usér@x.example"}
	p := compose(t, r)
	if p.reportType != "global-delivery-status" || p.kind != "message/global-headers" || p.fields[1].Get("Final-Recipient") != "utf-8; jürgen@bücher.example" ||
		p.fields[1].Get("Original-Recipient") != "utf-8; usér@x.example" || p.envelope.Body != message.Body8BitMIME || p.envelope.SMTPUTF8 {
		t.Errorf("%s %s %v %+v", p.reportType, p.kind, p.fields[1], p.envelope)
	}
	if p.envelope.Subject != "Undeliverable: Grüße" {
		t.Errorf("subject %q", p.envelope.Subject)
	}
	r.Envelope.SMTPUTF8 = false
	if p = compose(t, r); p.reportType != "delivery-status" || p.kind != "text/rfc822-headers" || p.fields[1].Get("Final-Recipient") != `utf-8; j\x{FC}rgen@b\x{FC}cher.example` {
		t.Errorf("%s %s %v", p.reportType, p.kind, p.fields[1])
	}
}

func TestHeaderAlone(t *testing.T) {
	r := failure(plainOriginal)
	r.MaxOriginal = -1
	if p := compose(t, r); p.kind != "text/rfc822-headers" || strings.Contains(p.text, "too large") {
		t.Errorf("returned as %s:\n%s", p.kind, p.text)
	}
}

// TestAnyReport: whatever is reported, the notification can be read back with
// each recipient once, no field more than there should be, and lines that every
// server takes.
func TestAnyReport(t *testing.T) {
	str := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a\r\nBcc: x", "--=_", "\r\n--x--\r\n", "\xff\x00", "Grüße", "\u202e", strings.Repeat("long ", 300), strings.Repeat("ü", 1200)}))
	rapid.Check(t, func(rt *rapid.T) {
		s := func(name string) string { return str.Draw(rt, name) }
		reply := func() message.Reply {
			return message.Reply{Code: rapid.SampledFrom([]int{0, 250, 421, 550, 999}).Draw(rt, "code"), Text: s("text"),
				Enhanced: [3]int{rapid.IntRange(0, 5).Draw(rt, "c"), rapid.IntRange(0, 7).Draw(rt, "s"), rapid.IntRange(0, 60).Draw(rt, "d")}}
		}
		r := failure("Subject: " + strings.NewReplacer("\r", "", "\n", "").Replace(s("subject")) + "\r\n\r\n" + s("body"))
		r.Kind = rapid.SampledFrom([]Kind{Failure, Delay, Relayed}).Draw(rt, "kind")
		r.NoDiagnostics = rapid.Bool().Draw(rt, "quiet")
		r.Envelope.SMTPUTF8, r.Envelope.EnvID, r.Envelope.MessageID = rapid.Bool().Draw(rt, "utf8"), s("envid"), s("id")
		r.Envelope.Return = message.Return(rapid.IntRange(0, 2).Draw(rt, "ret"))
		r.MaxOriginal = rapid.Int64Range(-1, 400).Draw(rt, "max")
		r.RetryUntil = at.Add(time.Hour)
		r.Recipients, r.Envelope.Recipients = nil, nil
		n := rapid.IntRange(1, 5).Draw(rt, "recipients")
		for i := range n {
			rcpt := message.Recipient{Address: addr(fmt.Sprintf("u%d@example.org", i)), ORcpt: s("orcpt")}
			if rapid.Bool().Draw(rt, "eai") {
				rcpt.Address = addr(fmt.Sprintf("ü%d@bücher.example", i))
			}
			r.Envelope.Recipients = append(r.Envelope.Recipients, rcpt)
			r.Recipients = append(r.Recipients, Recipient{Index: i, State: message.RecipientState{
				Status: message.Status(rapid.IntRange(0, 5).Draw(rt, "status")), Reply: reply(), RemoteMTA: s("mta"), NextHop: rapid.SampledFrom([]string{"", "a"}).Draw(rt, "hop"), Tries: 3, At: at}})
		}
		for range rapid.IntRange(0, 3).Draw(rt, "attempts") {
			r.Attempts = append(r.Attempts, message.Attempt{At: at, Host: s("host"), Address: s("address"), TLS: s("tls"), Reply: reply(), NextHop: "a"})
		}
		var out bytes.Buffer
		if _, err := Compose(&out, r); err != nil {
			rt.Fatal(err)
		}
		checkLines(t, out.String())
		p := parse(t, out.String())
		if len(p.fields) != n+1 || p.header.Get("Bcc") != "" || t.Failed() {
			rt.Fatalf("%d groups for %d recipients:\n%q", len(p.fields), n, out.String())
		}
		for i, f := range p.fields[1:] {
			if f.Get("Action") != r.Kind.String() || len(f["Action"]) != 1 || len(f["Final-Recipient"]) != 1 || len(f["Status"]) != 1 || f.Get("Bcc") != "" {
				rt.Fatalf("recipient %d: %v", i, f)
			}
			if r.NoDiagnostics && (f.Get("Diagnostic-Code") != "" || f.Get("Remote-Mta") != "") {
				rt.Fatalf("recipient %d: %v", i, f)
			}
		}
		if strings.ContainsAny(p.text, "\x00\x1b\x7f\u202e") {
			rt.Fatalf("controls in %q", p.text)
		}
	})
}
