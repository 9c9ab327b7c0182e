package dsn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postern/internal/message"
)

func TestFailure(t *testing.T) {
	p := compose(t, failure(plainOriginal))
	for name, want := range map[string]string{
		"From": "Mail Delivery System <postmaster@contoso.example>", "To": "<bob@example.net>",
		"Subject": "Undeliverable: Hello there", "Auto-Submitted": "auto-replied", "MIME-Version": "1.0",
		"Message-Id": "<" + message.ID(78).String() + "@edge.contoso.example>", "In-Reply-To": "<a1@example.net>",
		"References": "<a1@example.net>", "Date": "Wed, 4 Mar 2026 09:10:11 +0100",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(p.fields) != 2 {
		t.Fatalf("%d groups of fields", len(p.fields))
	}
	for i, want := range []map[string]string{
		{"Reporting-Mta": "dns; edge.contoso.example", "Original-Envelope-Id": "QQ314159", "Arrival-Date": "Wed, 4 Mar 2026 08:10:11 +0100"},
		{"Original-Recipient": "rfc822; Kim@example.org", "Final-Recipient": "rfc822; kim@example.org", "Action": "failed",
			"Status": "5.1.1", "Remote-Mta": "dns; mx1.example.org", "Diagnostic-Code": "smtp; 550 5.1.1 User unknown",
			"Last-Attempt-Date": "Wed, 4 Mar 2026 09:10:11 +0100"},
	} {
		if len(p.fields[i]) != len(want) {
			t.Errorf("group %d is %v", i, p.fields[i])
		}
		for name, v := range want {
			if got := p.fields[i].Get(name); got != v {
				t.Errorf("%s is %q, want %q", name, got, v)
			}
		}
	}
	if p.kind != "message/rfc822" || p.third != returnedOriginal {
		t.Errorf("the original came back as %s:\n%q", p.kind, p.third)
	}
	for _, want := range []string{"Subject: Hello there", "kim@example.org (originally Kim@example.org)", "The server mx1.example.org [198.51.100.25] refused it",
		"550 5.1.1 User unknown", "Diagnostic information for administrators:", "Generating server: edge.contoso.example", "Check the address"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("the text lacks %q:\n%s", want, p.text)
		}
	}
	e := p.envelope
	if !e.From.IsNull() || len(e.Recipients) != 1 || e.Recipients[0].Address != addr("bob@example.net") ||
		e.Recipients[0].Notify != message.NotifyNever || e.Return != 0 || e.Body != 0 || !e.Origin.Internal || e.Origin.ReportOf != 77 {
		t.Errorf("envelope %+v", e)
	}
}

func TestDelay(t *testing.T) {
	r := failure(plainOriginal)
	r.Kind, r.RetryUntil = Delay, at.Add(44*time.Hour)
	r.Recipients[0].State.Reply = message.Reply{Code: 451, Enhanced: [3]int{4, 4, 1}, Text: "Connection timed out"}
	r.Recipients[0].State.RemoteMTA = ""
	p := compose(t, r)
	if got := p.header.Get("Subject"); got != "Delivery delayed: Hello there" {
		t.Errorf("Subject %q", got)
	}
	f := p.fields[1]
	if f.Get("Action") != "delayed" || f.Get("Status") != "4.4.1" || f.Get("Will-Retry-Until") != "Fri, 6 Mar 2026 05:10:11 +0100" || f.Get("Remote-Mta") != "" {
		t.Errorf("fields %v", f)
	}
	header, _, _ := strings.Cut(returnedOriginal, "\r\n\r\n")
	if p.kind != "text/rfc822-headers" || p.third != header+"\r\n" {
		t.Errorf("third part %s %q", p.kind, p.third)
	}
}

func TestWhatIsReturned(t *testing.T) {
	long := "Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 100)
	for _, c := range []struct {
		name, original string
		change         func(*Report)
		kind, encoding string
		body           message.BodyType
		whole          bool
	}{
		{"RET=HDRS", long, func(r *Report) { r.Envelope.Return = message.ReturnHeaders }, "text/rfc822-headers", "7bit", 0, false},
		{"RET=FULL", long, func(r *Report) { r.Envelope.Return = message.ReturnFull }, "message/rfc822", "7bit", 0, true},
		{"REQUIRETLS", long, func(r *Report) { r.Envelope.RequireTLS = true }, "text/rfc822-headers", "7bit", 0, false},
		{"too large", long, func(r *Report) { r.MaxOriginal = 1000 }, "text/rfc822-headers", "7bit", 0, false},
		{"just fits", long, func(r *Report) { r.MaxOriginal = int64(len(long)) }, "message/rfc822", "7bit", 0, true},
		{"8-bit body", "Subject: x\r\n\r\nGr\xfc\xdfe\r\n", nil, "message/rfc822", "8bit", message.Body8BitMIME, true},
		{"8-bit body, RET=HDRS", "Subject: x\r\n\r\nGr\xfc\xdfe\r\n", func(r *Report) { r.Envelope.Return = message.ReturnHeaders }, "text/rfc822-headers", "7bit", 0, false},
		{"8-bit header", "Subject: Gr\xfc\xdfe\r\n\r\n", func(r *Report) { r.Kind = Delay }, "text/rfc822-headers", "8bit", message.Body8BitMIME, false},
		{"UTF-8 header", "Subject: Grüße\r\n\r\n", func(r *Report) { r.Envelope.SMTPUTF8 = true }, "message/global", "8bit", message.Body8BitMIME, true},
		{"NUL", "Subject: x\r\n\r\na\x00b\r\n", nil, "text/rfc822-headers", "7bit", 0, false},
		{"bare CR", "Subject: x\r\n\r\na\rb\r\n", nil, "text/rfc822-headers", "7bit", 0, false},
		{"bare LF", "Subject: x\r\n\r\na\nb\r\n", nil, "text/rfc822-headers", "7bit", 0, false},
		{"CR at the end", "Subject: x\r\n\r\na\r", nil, "text/rfc822-headers", "7bit", 0, false},
		{"BINARYMIME", "Subject: x\r\n\r\na\r\n", func(r *Report) { r.Envelope.Body = message.BodyBinaryMIME }, "text/rfc822-headers", "7bit", 0, false},
		{"NUL in the header", "Subject: x\x00\xff\r\n\r\na\r\n", nil, "text/rfc822-headers", "quoted-printable", 0, false},
		{"no final CRLF", "Subject: x\r\n\r\nend", nil, "message/rfc822", "7bit", 0, true},
		{"no header", "\r\nbody\r\n", nil, "message/rfc822", "7bit", 0, true},
		{"empty", "", nil, "message/rfc822", "7bit", 0, true},
		{"a boundary of ours", "Subject: x\r\n\r\n--=_\r\n--=_--\r\n", nil, "message/rfc822", "7bit", 0, true},
		{"long lines", "Subject: x\r\n\r\n" + strings.Repeat("x", 200000) + "\r\n", nil, "message/rfc822", "7bit", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := failure(c.original)
			if c.change != nil {
				c.change(r)
			}
			p := compose(t, r)
			if p.kind != c.kind || p.encoding != c.encoding || p.envelope.Body != c.body {
				t.Errorf("got %s %s body %v, want %s %s body %v", p.kind, p.encoding, p.envelope.Body, c.kind, c.encoding, c.body)
			}
			want := c.original
			if !c.whole {
				header, _, _ := strings.Cut(c.original, "\r\n\r\n")
				want = header + "\r\n"
			}
			if p.third != want {
				t.Errorf("returned %.200q, want %.200q", p.third, want)
			}
			if eight := p.header.Get("Content-Transfer-Encoding") == "8bit"; eight != (c.encoding == "8bit") {
				t.Errorf("the whole is declared %q", p.header.Get("Content-Transfer-Encoding"))
			}
		})
	}
}

func TestOriginalUnreadable(t *testing.T) {
	r := failure("")
	r.Original = nil
	p := compose(t, r)
	if p.kind != "" || !strings.Contains(p.text, "could not be read") {
		t.Errorf("third part %q, text\n%s", p.kind, p.text)
	}
	broken := content(plainOriginal)
	broken.fail = errors.New("input/output error")
	r.Original = broken
	if _, err := Compose(io.Discard, r); !errors.Is(err, broken.fail) {
		t.Errorf("a read error gave %v", err)
	}
}

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, errNoSpace
	}
	return len(p), nil
}

var errNoSpace = errors.New("no space left")

func TestWriteErrors(t *testing.T) {
	big := "Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 20000)
	for _, room := range []int{0, 1000, 40000, 200000} {
		if _, err := Compose(&fullDisk{room}, failure(big)); !errors.Is(err, errNoSpace) {
			t.Errorf("room %d: %v", room, err)
		}
	}
	if _, err := Compose(&fullDisk{400000}, failure(big)); err != nil {
		t.Error(err)
	}
}

func TestNullReversePath(t *testing.T) {
	r := failure(plainOriginal)
	r.Envelope.From = message.Address{}
	if _, err := Compose(io.Discard, r); err != ErrNullReversePath {
		t.Errorf("got %v", err)
	}
	for k := Failure; k <= Relayed; k++ {
		if Wanted(r.Envelope, 0, k) {
			t.Errorf("%v is wanted for the null reverse path", k)
		}
	}
}

func TestBadReport(t *testing.T) {
	r := failure(plainOriginal)
	r.Recipients[0].Index = 2
	if _, err := Compose(io.Discard, r); err == nil {
		t.Error("a recipient that does not exist was reported on")
	}
	r.Recipients = nil
	if _, err := Compose(io.Discard, r); err == nil {
		t.Error("a report on nobody was made")
	}
}

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		notify                  message.Notify
		failure, delay, relayed bool
	}{
		{0, true, true, false}, // RFC 3461 4.1
		{message.NotifyNever, false, false, false},
		{message.NotifySuccess, false, false, true},
		{message.NotifyFailure, true, false, false},
		{message.NotifyDelay, false, true, false},
		{message.NotifySuccess | message.NotifyFailure | message.NotifyDelay, true, true, true},
		{message.NotifyNever | message.NotifyFailure, false, false, false},
	} {
		e := &message.Envelope{From: addr("a@b"), Recipients: []message.Recipient{{Notify: c.notify}}}
		if f, d, r := Wanted(e, 0, Failure), Wanted(e, 0, Delay), Wanted(e, 0, Relayed); f != c.failure || d != c.delay || r != c.relayed {
			t.Errorf("NOTIFY %b: failure %v, delay %v, relayed %v", c.notify, f, d, r)
		}
		if Wanted(e, 1, Failure) || Wanted(e, -1, Failure) {
			t.Error("wanted for a recipient that does not exist")
		}
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		reply message.Reply
		want  string
	}{
		{Failure, message.Reply{Code: 550, Enhanced: [3]int{4, 4, 7}}, "4.4.7"},
		{Failure, message.Reply{Code: 550}, "5.0.0"},
		{Failure, message.Reply{Code: 550, Enhanced: [3]int{2, 1, 5}}, "5.0.0"},
		{Failure, message.Reply{}, "5.0.0"},
		{Delay, message.Reply{Code: 451}, "4.0.0"},
		{Delay, message.Reply{Code: 451, Enhanced: [3]int{5, 7, 3}}, "4.0.0"},
		{Delay, message.Reply{Code: 451, Enhanced: [3]int{4, 7, 1}}, "4.7.1"},
		{Relayed, message.Reply{Code: 250, Enhanced: [3]int{2, 6, 0}}, "2.6.0"},
		{Relayed, message.Reply{Code: 250}, "2.0.0"},
	} {
		r := failure(plainOriginal)
		r.Kind = c.kind
		r.Recipients[0].State.Reply = c.reply
		f := compose(t, r).fields[1]
		if got := f.Get("Status"); got != c.want {
			t.Errorf("%v %v: Status %s, want %s", c.kind, c.reply, got, c.want)
		}
		if got := f.Get("Diagnostic-Code"); (got == "") != (c.reply.Code == 0) {
			t.Errorf("%v %v: Diagnostic-Code %q", c.kind, c.reply, got)
		}
	}
}

func TestHostileText(t *testing.T) {
	bad := []string{
		"x\r\nBcc: victim@example.com\r\n\r\nbody", "x\nBcc: v", "x\rBcc: v", "\x00\x01\x7f\x1b[31m", "Gr\xfc\xdfe", "Grüße",
		strings.Repeat("x", 5000), strings.Repeat("ü", 5000), strings.Repeat("word ", 2000), strings.Repeat(" ", 500),
		"\u202egnp.exe", "=?utf-8?q?=0D=0ABcc:_v?=", "--=_", "\r\n--=_x--\r\n", "\u2028\u0085next",
	}
	for _, s := range bad {
		// As a subject the text passes a header block first, where CRLF would
		// end the field.
		subject := strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
		r := failure("Subject: " + subject + "\r\n\r\nbody\r\n")
		st := &r.Recipients[0].State
		st.Reply.Text, st.RemoteMTA = s, s
		r.Envelope.EnvID, r.Envelope.MessageID = s, "<"+s+"@x>"
		r.Envelope.Recipients[0].ORcpt = "rfc822;" + s
		r.ReportingMTA = "edge" + s
		p := compose(t, r)
		for f := p.header.Fields(); f.Next(); {
			switch f.Key() {
			case "From", "To", "Subject", "Date", "Message-Id", "In-Reply-To", "References", "Auto-Submitted", "Mime-Version", "Content-Type", "Content-Transfer-Encoding":
			default:
				t.Errorf("%q made a field %s", s, f.Key())
			}
		}
		if p.header.Get("Bcc") != "" || len(p.fields) != 2 || p.kind == "" {
			t.Errorf("%q broke the structure:\n%s", s, p.raw)
		}
		for name := range p.fields[1] {
			switch name {
			case "Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-Mta", "Diagnostic-Code", "Last-Attempt-Date":
			default:
				t.Errorf("%q made a field %s", s, name)
			}
		}
		if strings.ContainsAny(p.text, "\x00\x1b\x7f\u202e\u2028\u0085") {
			t.Errorf("%q left controls in the text:\n%q", s, p.text)
		}
		if len(p.header.Get("Subject")) > 2000 {
			t.Errorf("%.20q gave a subject of %d octets", s, len(p.header.Get("Subject")))
		}
	}
}

func TestSubject(t *testing.T) {
	for _, c := range []struct{ original, want string }{
		{"Subject: Hello\r\n", "Undeliverable: Hello"},
		{"subject :Hello\r\n", "Undeliverable: Hello"},
		{"Subject:\r\n", "Undeliverable: (no subject)"},
		{"To: x\r\n", "Undeliverable: (no subject)"},
		{"X-Subject: no\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n", "Undeliverable: Grüße"},
		{"Subject: Grüße\r\n", "Undeliverable: Grüße"},
		{"Subject: Gr\xfc\xdfe\r\n", "Undeliverable: Gr\uFFFD\uFFFDe"},
		{"To: x\r\n Subject: folded\r\nSubject: first\r\nSubject: second\r\n", "Undeliverable: first"},
		{"\r\nSubject: in the body\r\n", "Undeliverable: (no subject)"},
	} {
		p := compose(t, failure(c.original+"\r\nbody\r\n"))
		if got, err := p.header.Subject(); got != c.want || err != nil {
			t.Errorf("%q gave %q (%v), want %q", c.original, got, err, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	r := failure(plainOriginal)
	r.Envelope.From = message.Address{Local: `"a  b"`, Domain: "example.net"}
	r.Envelope.Recipients[0] = message.Recipient{Address: message.Address{Local: "jürgen", Domain: "müller.example"}, ORcpt: "utf-8;jürgen@müller.example"}
	p := compose(t, r)
	if got := p.header.Get("To"); got != `<"a  b"@example.net>` {
		t.Errorf("To %q", got)
	}
	if got := p.fields[1].Get("Final-Recipient"); got != `utf-8; j\x{FC}rgen@m\x{FC}ller.example` { // RFC 6533 3
		t.Errorf("Final-Recipient %q", got)
	}
	if got := p.fields[1].Get("Original-Recipient"); got != `utf-8; j\x{FC}rgen@m\x{FC}ller.example` {
		t.Errorf("Original-Recipient %q", got)
	}
	if p.envelope.SMTPUTF8 {
		t.Error("SMTPUTF8 is asked for without need")
	}
	r.Envelope.From = addr("jürgen@example.net")
	p = compose(t, r)
	if got := p.fields[1].Get("Final-Recipient"); got != "utf-8; jürgen@müller.example" || p.reportType != "global-delivery-status" {
		t.Errorf("Final-Recipient %q in a %s", got, p.reportType)
	}
	if got := p.header.Get("To"); got != "<jürgen@example.net>" || !p.envelope.SMTPUTF8 || p.envelope.Body != message.Body8BitMIME {
		t.Errorf("To %q, envelope %+v", got, p.envelope)
	}
	r.Recipients[0].State.RemoteMTA = "2001:db8::25"
	if got := compose(t, r).fields[1].Get("Remote-Mta"); got != "dns; [IPv6:2001:db8::25]" {
		t.Errorf("Remote-MTA %q", got)
	}
}

func TestManyRecipients(t *testing.T) {
	r := failure(plainOriginal)
	one := r.Recipients[0].State
	r.Recipients = nil
	r.Envelope.Recipients = nil
	for i := range 500 {
		r.Envelope.Recipients = append(r.Envelope.Recipients, message.Recipient{Address: addr(fmt.Sprintf("u%d@example.org", i))})
		st := one
		if i%2 == 1 {
			st.Reply.Text = "Mailbox full"
		}
		r.Recipients = append(r.Recipients, Recipient{Index: i, State: st})
	}
	p := compose(t, r)
	if len(p.fields) != 501 {
		t.Errorf("%d groups of fields", len(p.fields))
	}
	if n := strings.Count(p.text, "User unknown"); n != 2 {
		t.Errorf("one reply stands %d times in the text", n)
	}
}

// TestPython reads notifications back with Python's email package.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is missing")
		}
		t.Skip("python3 is missing: notifications are not read back by its email package")
	}
	const script = `
import sys, email, email.policy
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
assert not m.defects, m.defects
assert m.get_content_type() == 'multipart/report', m.get_content_type()
assert m.get_param('report-type') == 'delivery-status'
parts = list(m.iter_parts())
for p in parts: assert not p.defects, p.defects
assert [p.get_content_type() for p in parts[:2]] == ['text/plain', 'message/delivery-status']
parts[0].get_content()
groups = parts[1].get_payload()
assert groups[0]['reporting-mta'].startswith('dns; ')
assert all(g['action'] == 'failed' for g in groups[1:] if len(g)), groups
print(parts[2].get_content_type(), sum(1 for g in groups[1:] if len(g)), m['subject'])
`
	for original, want := range map[string]string{
		plainOriginal:                              "message/rfc822 1 Undeliverable: Hello there",
		"Subject: x\r\n\r\nGr\xfc\xdfe\r\n":        "message/rfc822 1 Undeliverable: x",
		"Subject: " + strings.Repeat("é", 100):     "text/rfc822-headers 1 Undeliverable: " + strings.Repeat("é", 100),
		"Subject: =?utf-8?q?a=C3=A9?=\r\n\r\n\x00": "text/rfc822-headers 1 Undeliverable: aé",
	} {
		r := failure(original)
		if strings.Contains(want, "headers") {
			r.Envelope.Return = message.ReturnHeaders
		}
		r.Recipients[0].State.Reply.Text = strings.Repeat("Grüße ", 300)
		var in bytes.Buffer
		if _, err := Compose(&in, r); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(python, "-c", script)
		cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
		cmd.Stdin = &in
		raw := in.String()
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%.40q: %v\n%s\nwant %s\n%s", original, err, out, want, raw)
		}
	}
}

func FuzzCompose(f *testing.F) {
	f.Add([]byte(plainOriginal), "User unknown", "rfc822;kim@example.org", "mx1 [192.0.2.1]", uint8(0))
	f.Add([]byte("Subject: \xff\r\n\tx\r\n\r\n\x00"), "a\r\nb\x1b", "x;\r\n", "[::1]", uint8(1))
	f.Add([]byte("\n\n\n"), "", ";", "", uint8(2))
	f.Fuzz(func(t *testing.T, original []byte, reply, orcpt, remote string, kind uint8) {
		r := failure(string(original))
		r.Kind = Kind(kind % 3)
		r.Envelope.Recipients[0].ORcpt = orcpt
		r.Recipients[0].State.Reply.Text, r.Recipients[0].State.RemoteMTA = reply, remote
		p := compose(t, r)
		if len(p.fields) != 2 || p.kind == "" || len(p.fields[1].Values("Action")) != 1 {
			t.Errorf("structure broken:\n%q", p.raw)
		}
		want, err := firewalled(original)
		if err != nil {
			t.Fatal(err)
		}
		if p.kind == "message/rfc822" && p.third != string(want) {
			t.Errorf("the original came back as %q", p.third)
		}
	})
}
