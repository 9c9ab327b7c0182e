package pickup

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"postern/internal/message"
)

var testTime = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func testRules(replay bool) *rules {
	return &rules{replay: replay, fqdn: "edge.contoso.example", domain: "contoso.example", maxHeader: 64 << 10, maxSize: 1 << 20, maxRecipients: 100}
}

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// paths writes an envelope's addresses down.
func paths(e *message.Envelope) string {
	if e == nil {
		return "none"
	}
	s := e.From.Path() + " ->"
	for _, r := range e.Recipients {
		s += " " + r.Address.Path()
	}
	return s
}

const dated1 = "Date: Sun, 22 Nov 2026 09:00:00 +0000\nMessage-ID: <1@x.example>\n"

func TestPickupEnvelope(t *testing.T) {
	tests := []struct {
		name, header, want, refused string
	}{
		{"plain", "From: a@x.example\nTo: b@y.example\n", "<a@x.example> -> <b@y.example>", ""},
		{"names and comments", "From: \"A, B\" (c) <a@x.example>\nTo: =?utf-8?q?J=C3=BCrgen?= <b@y.example>\n", "<a@x.example> -> <b@y.example>", ""},
		{"unknown character set", "From: =?x-none?q?J=FC?= <a@x.example>\nTo: b@y.example\n", "<a@x.example> -> <b@y.example>", ""},
		{"all three, once each", "From: a@x.example\nTo: b@y.example, c@y.example\nCc: B@y.example,b@Y.EXAMPLE\nBcc: d@y.example\n",
			"<a@x.example> -> <b@y.example> <c@y.example> <B@y.example> <d@y.example>", ""},
		{"folded", "From:\n a@x.example\nTo: b@y.example,\n\tc@y.example\n", "<a@x.example> -> <b@y.example> <c@y.example>", ""},
		{"groups", "From: a@x.example\nTo: them: b@y.example, c@y.example;, d@y.example\n", "<a@x.example> -> <b@y.example> <c@y.example> <d@y.example>", ""},
		{"empty group", "From: a@x.example\nTo: undisclosed-recipients:;\nBcc: b@y.example\n", "<a@x.example> -> <b@y.example>", ""},
		{"quoted local part", "From: \"a b\"@x.example\nTo: \"c\\\"d\"@y.example\n", `<"a b"@x.example> -> <"c\"d"@y.example>`, ""},
		{"UTF-8", "From: a@x.example\nTo: jürgen@bücher.example\n", "<a@x.example> -> <jürgen@bücher.example>", ""},
		{"From wins", "From: a@x.example\nSender: s@x.example\nTo: b@y.example\n", "<a@x.example> -> <b@y.example>", ""},
		{"Sender of many", "From: a@x.example, b@x.example\nSender: s@x.example\nTo: b@y.example\n", "<s@x.example> -> <b@y.example>", ""},
		{"Sender alone", "Sender: s@x.example\nTo: b@y.example\n", "<s@x.example> -> <b@y.example>", ""},
		{"any case", "FROM : a@x.example\nbCC: b@y.example\n", "<a@x.example> -> <b@y.example>", ""},
		{"many without Sender", "From: a@x.example, b@x.example\nTo: b@y.example\n", "<> ->", "needs a field Sender"},
		{"many Senders", "From: a@x.example, b@x.example\nSender: c@x.example, d@x.example\nTo: b@y.example\n", "<> ->", "needs a field Sender"},
		{"two From fields", "From: a@x.example\nFrom: b@x.example\nTo: b@y.example\n", "<> ->", "more than one field From"},
		{"no sender", "To: b@y.example\n", "<> ->", "names no sender"},
		{"bad sender", "From: nobody\nTo: b@y.example\n", "<> ->", "the field From"},
		{"no recipient", "From: a@x.example\nTo: nobody:;\n", "<a@x.example> ->", "names no recipient"},
		{"bad recipient", "From: a@x.example\nTo: b@y.example\nCc: c@\n", "<a@x.example> -> <b@y.example>", "the field Cc"},
		{"injection", "From: \"a> NOTIFY=NEVER\"@x.example\nTo: b@y.example\n", `<"a> NOTIFY=NEVER"@x.example> -> <b@y.example>`, ""},
		{"no header", "Hello,\nFrom: a@x.example\n", "<> ->", "no proper header"},
		{"mbox", "From a@x.example Sat Nov 21\nFrom: a@x.example\nTo: b@y.example\n", "<> ->", "no proper header"},
		{"header runs into text", "From: a@x.example\nTo: b@y.example\nHello you\n", "<a@x.example> -> <b@y.example>", "line 3 is no header field"},
		{"too many", "From: a@x.example\nTo: " + strings.Repeat("b@y.example, ", 3) + many(101) + "\n", "", "102 recipients"},
		{"empty", "", "<> ->", "names no sender"},
	}
	for _, tt := range tests {
		l, ref := testRules(false).read(crlf(tt.header), 1, testTime)
		var e *message.Envelope
		switch {
		case ref != nil && (tt.refused == "" || !strings.Contains(ref.reply.Text, tt.refused)):
			t.Errorf("%s: refused: %s; want %q", tt.name, ref.reply.Text, tt.refused)
		case ref == nil && tt.refused != "":
			t.Errorf("%s: taken, want it refused: %s", tt.name, tt.refused)
		case ref != nil:
			e = ref.about
		default:
			e = l.envelope
		}
		if got := paths(e); tt.want != "" && got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func many(n int) string {
	var list []string
	for i := range n {
		list = append(list, "r"+string(rune('a'+i%26))+strings.Repeat("x", i/26)+"@y.example")
	}
	return strings.Join(list, ", ")
}

// TestHeader tells what becomes of the fields themselves.
func TestHeader(t *testing.T) {
	const top = "From: a@x.example\n"
	tests := []struct {
		name   string
		replay bool
		in     string
		want   string
	}{
		{"kept as it is", false, top + "To: b@y.example\nSubject:  odd \n\tfold\n" + dated1, top + "To: b@y.example\nSubject:  odd \n\tfold\n" + dated1},
		{"stripped", false, "Received: by x\nResent-From: r@x.example\nRESENT-To: q@x.example\n" + top + "To: b@y.example\nBcc: c@y.example,\n d@y.example\n" +
			"X-MS-Exchange-Organization-AuthAs : Internal\nx-ms-exchange-forest-y: z\nX-MS-Exchange-Other: kept\n" + dated1,
			top + "To: b@y.example\nX-MS-Exchange-Other: kept\n" + dated1},
		{"only Bcc", false, top + "Bcc: b@y.example\n" + dated1, "To: Undisclosed recipients:;\n" + top + dated1},
		{"empty To", false, top + "To:\nBcc: b@y.example\n" + dated1, "To: Undisclosed recipients:;\n" + top + dated1},
		{"neither date nor id", false, top + "To: b@y.example\n",
			"Message-ID: <0000000000001@contoso.example>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n" + top + "To: b@y.example\n"},
		{"bad date, empty id", false, top + "To: b@y.example\nDate: yesterday\nMessage-ID:\n",
			"Message-ID: <0000000000001@contoso.example>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n" + top + "To: b@y.example\n"},
		{"replay keeps trace", true, "X-Sender: <s@x.example>\nX-Receiver: <b@y.example>\nReceived: by x\nResent-To: c@y.example\nBcc: d@y.example\n" +
			"X-MS-Exchange-Organization-AuthAs: Internal\nX-Sender: <later@x.example>\n" + top + dated1,
			"Received: by x\nResent-To: c@y.example\nX-Sender: <later@x.example>\n" + top + dated1},
		{"replay, trusted", true, "X-Sender: <s@x.example>\nX-Receiver: <b@y.example>\nX-CreatedBy: MSExchange15\nX-EndOfInjectedXHeaders: 90\n" +
			"X-MS-Exchange-Organization-AuthAs: Internal\n" + dated1, "X-MS-Exchange-Organization-AuthAs: Internal\n" + dated1},
		{"replay, end mark", true, "X-Sender: <s@x.example>\nX-Receiver: <b@y.example>\nX-EndOfInjectedXHeaders: 90\nX-Receiver: <c@y.example>\n" + dated1,
			"X-Receiver: <c@y.example>\n" + dated1},
	}
	for _, tt := range tests {
		l, ref := testRules(tt.replay).read(crlf(tt.in), 1, testTime)
		if ref != nil {
			t.Errorf("%s: refused: %s", tt.name, ref.reply.Text)
			continue
		}
		if got, want := string(l.header), string(crlf(tt.want))+"\r\n"; got != want {
			t.Errorf("%s: got\n%q\nwant\n%q", tt.name, got, want)
		}
		if n := len(l.envelope.Recipients); n != 1 && tt.name != "stripped" {
			t.Errorf("%s: %d recipients", tt.name, n)
		}
	}
}

func TestReplayEnvelope(t *testing.T) {
	tests := []struct {
		name, block, want, refused string
	}{
		{"plain", "X-Sender: <a@x.example>\nX-Receiver: <b@y.example>\nX-Receiver: <c@y.example>\n", "<a@x.example> -> <b@y.example> <c@y.example>", ""},
		{"null", "X-Sender: <>\nX-Receiver: <b@y.example>\n", "<> -> <b@y.example>", ""},
		{"postmaster", "X-Sender: <>\nX-Receiver: <postmaster>\n", "<> -> <postmaster@contoso.example>", ""},
		{"no brackets", "X-Sender: a@x.example BODY=7BIT\nX-Receiver: b@y.example\n", "<a@x.example> -> <b@y.example>", ""},
		{"UTF-8", "X-Sender: <a@x.example>\nX-Receiver: <jürgen@y.example>\n", "<a@x.example> -> <jürgen@y.example>", ""},
		{"folded, any case", "x-sender:\n <a@x.example>\n BODY=8BITMIME\nX-RECEIVER: <b@y.example>\n", "<a@x.example> -> <b@y.example>", ""},
		{"two senders", "X-Sender: <a@x.example>\nX-Sender: <b@x.example>\nX-Receiver: <b@y.example>\n", "", "2 X-Sender"},
		{"none", "X-Receiver: <b@y.example>\n", "", "0 X-Sender"},
		{"no receiver", "X-Sender: <a@x.example>\n", "", "no X-Receiver"},
		{"behind others", "Subject: x\nX-Sender: <a@x.example>\nX-Receiver: <b@y.example>\n", "", "0 X-Sender"},
		{"empty creator", "X-Sender: <a@x.example>\nX-Receiver: <b@y.example>\nX-CreatedBy:\n", "", "X-CreatedBy is empty"},
		{"bad address", "X-Sender: <a@x.example>\nX-Receiver: <b@y..example>\n", "", "X-Receiver"},
		{"unknown parameter", "X-Sender: <a@x.example> FOO=1\nX-Receiver: <b@y.example>\n", "", "FOO"},
		{"bad source", "X-Sender: <a@x.example>\nX-Receiver: <b@y.example>\nX-SourceIPAddress: here\n", "", "no IP address"},
	}
	for _, tt := range tests {
		l, ref := testRules(true).read(crlf(tt.block+"From: x@x.example\n"), 1, testTime)
		switch {
		case tt.refused != "":
			if ref == nil || !strings.Contains(ref.reply.Text, tt.refused) {
				t.Errorf("%s: %v, want it refused: %s", tt.name, ref, tt.refused)
			}
		case ref != nil:
			t.Errorf("%s: refused: %s", tt.name, ref.reply.Text)
		case paths(l.envelope) != tt.want:
			t.Errorf("%s: %s, want %s", tt.name, paths(l.envelope), tt.want)
		}
	}
}

// TestReplayParameters reads what Exchange's documentation gives as an example,
// and every parameter there is.
func TestReplayParameters(t *testing.T) {
	l, ref := testRules(true).read(crlf("X-Sender: <a@x.example> BODY=8BITMIME RET=HDRS ENVID=12345abcd AUTH=<>\n"+
		"X-Receiver: <b@y.example> NOTIFY=NEVER ORcpt=b@y.example\nX-Receiver: <c@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;d+2Be@z.example\n"+
		"X-CreatedBy: Unspecified\nX-HeloDomain: mail.x.example\nX-SourceIPAddress: 192.0.2.7\nX-Source: SMTP:Default\n"), 1, testTime)
	if ref != nil {
		t.Fatal(ref.reply.Text)
	}
	e := l.envelope
	want := []message.Recipient{
		{Address: message.Address{Local: "b", Domain: "y.example"}, Notify: message.NotifyNever, ORcpt: "rfc822;b@y.example"},
		{Address: message.Address{Local: "c", Domain: "y.example"}, Notify: message.NotifySuccess | message.NotifyDelay, ORcpt: "rfc822;d+e@z.example"},
	}
	if e.Body != message.Body8BitMIME || e.Return != message.ReturnHeaders || e.EnvID != "12345abcd" || e.Auth != "" ||
		len(e.Recipients) != 2 || e.Recipients[0] != want[0] || e.Recipients[1] != want[1] {
		t.Errorf("envelope %+v", e)
	}
	if e.Origin.Helo != "mail.x.example" || e.Origin.Client.Addr().String() != "192.0.2.7" || e.Origin.Protocol != "Replay" {
		t.Errorf("origin %+v", e.Origin)
	}
	if got := string(l.received.Append(nil)); !strings.HasPrefix(got, "Received: from mail.x.example ([192.0.2.7])") {
		t.Errorf("trace %q", got)
	}
}

// FuzzRead: whatever a header holds, what comes of it has proper lines, valid
// addresses, and nothing that had to go.
func FuzzRead(f *testing.F) {
	f.Add([]byte("From: a@x.example\nTo: b@y.example\nBcc : c@y.example\n\nhello"), false, uint8(3))
	f.Add([]byte("X-Sender: <a@x.example> RET=HDRS\r\nX-Receiver: <b@y.example> ORCPT=x\r\nX-MS-Exchange-Organization-A: b\r\n\r\n"), true, uint8(200))
	f.Add([]byte("From: a@x.example\rTo: b@y.example\n \r\n\n"), false, uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, replay bool, piece uint8) {
		d := &memoryDraft{id: 7}
		i := intake{rules: testRules(replay), draft: d, now: testTime}
		e, err := i.copy(&pieces{in, int(piece) + 1})
		if err != nil {
			if _, ok := err.(*refusal); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		out := d.Bytes()
		if bytes.IndexByte(out, 0) >= 0 && e.Body != message.BodyBinaryMIME {
			t.Fatal("a NUL")
		}
		head, _, ok := bytes.Cut(out, []byte("\r\n\r\n"))
		if !ok || !bytes.HasPrefix(out, []byte("Received: ")) {
			t.Fatalf("no header in %q", out)
		}
		h, err := parseHeader(append(head, "\r\n"...))
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		trusted := replay && strings.Contains(string(in), trustedCreator)
		for _, f := range h {
			if f.name == "bcc" || !trusted && firewalled(f, message.InternalHeaders) || !replay && strings.HasPrefix(f.name, "resent-") {
				t.Fatalf("%s stayed in %q", f.name, out)
			}
			if bytes.Count(f.raw, []byte("\n")) != bytes.Count(f.raw, []byte("\r\n")) || bytes.Count(f.raw, []byte("\r")) != bytes.Count(f.raw, []byte("\n")) {
				t.Fatalf("line ends of %q", f.raw)
			}
		}
		for _, a := range append([]message.Recipient{{Address: e.From}}, e.Recipients...) {
			if a.Address.IsNull() && replay {
				continue
			}
			if _, err := message.ParseAddress(a.Address.String(), true); err != nil {
				t.Fatalf("%v: %v", a.Address, err)
			}
		}
	})
}

// memoryDraft keeps what is written.
type memoryDraft struct {
	bytes.Buffer
	id message.ID
}

func (d *memoryDraft) ID() message.ID { return d.id }
func (d *memoryDraft) Abort()         { d.Reset() }

// pieces reads a few octets at a time.
type pieces struct {
	rest []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b, p.rest[:min(p.n, len(p.rest))])
	p.rest = p.rest[n:]
	if len(p.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}
