package review

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/logs"
)

func newTestMasker(t interface {
	Helper()
	Fatal(...any)
}, m Masking) *Masker {
	t.Helper()
	if m.Key == nil {
		m.Key = []byte("sixteen octets!!")
	}
	masker, err := NewMasker(m)
	if err != nil {
		t.Fatal(err)
	}
	return masker
}

// unmask gives the masks of a text short names, in their order.
func unmask(s string) string {
	seen := map[string]string{}
	var b strings.Builder
	for s != "" {
		if len(s) >= len(maskPrefix)+10 && isMask(s[:len(maskPrefix)+10]) {
			mask := s[:len(maskPrefix)+10]
			if seen[mask] == "" {
				seen[mask] = fmt.Sprint("M", len(seen)+1)
			}
			b.WriteString(seen[mask])
			s = s[len(mask):]
			continue
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

func TestMaskWire(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"MAIL FROM:<kim@contoso.example> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=QQ314159 AUTH=kim@contoso.example",
			"MAIL FROM:<M1@contoso.example> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=M2 AUTH=M1@contoso.example"},
		{"mail from: <Kim@Contoso.example> smtputf8", "mail from: <M1@Contoso.example> smtputf8"},
		{"MAIL FROM:<> AUTH=<>", "MAIL FROM:<> AUTH=<>"},
		{`RCPT TO:<"kim lee"@contoso.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;kim+20lee@contoso.example`,
			`RCPT TO:<M1@contoso.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;M2@contoso.example`},
		{"RCPT TO:<@a.example,@b.example:kim@contoso.example>", "RCPT TO:<M1@contoso.example>"},
		{"RCPT TO:<kim%fabrikam.example@contoso.example>", "RCPT TO:<M1@contoso.example>"},
		{"RCPT TO:<postmaster>", "RCPT TO:<M1>"},
		{"RCPT TO:<kim@[192.0.2.1]>", "RCPT TO:<M1@[192.0.2.1]>"},
		{"RCPT TO:kim@contoso.example XTRA=kim FOO", "RCPT TO:M1@contoso.example XTRA=M2 M3"},
		{"RCPT TO <kim@contoso.example>", "RCPT TO <M1@contoso.example>"},
		{"RCPT kim", "RCPT M1"},
		{"RCPT TO:<kim@contoso.example", "RCPT TO:<M1@contoso.example"},
		{`RCPT TO:<"kim@contoso.example">`, `RCPT TO:<M1>`},
		{"EHLO kim.contoso.example", "EHLO kim.contoso.example"},
		{"EHLO [192.0.2.1]", "EHLO [192.0.2.1]"},
		{"EHLO kim@contoso.example", "EHLO M1@contoso.example"},
		{"AUTH <redacted>", "AUTH <redacted>"},
		{"<redacted>", "<redacted>"},
		{"AUTH PLAIN AGtpbQBzZWNyZXQ=", "AUTH PLAIN <redacted>"},
		{"AUTH LOGIN", "AUTH LOGIN"},
		{"VRFY kim", "VRFY M1"},
		{"BDAT 1000 LAST", "BDAT 1000 LAST"},
		{"QUIT", "QUIT"},
		{"kim@contoso.example and 'lee@contoso.example'!", "M1@contoso.example and M2@contoso.example'!"},
		{"250 2.1.5 Recipient OK", "250 2.1.5 Recipient OK"},
		{"550-5.1.1 <kim@contoso.example>... kim is unknown, KIM!", "550-5.1.1 <M1@contoso.example>... M1 is unknown, M1!"},
		{`550 5.1.1 "kim lee"@contoso.example? "kim" kim@contoso.example. kimono`, `550 5.1.1 M1@contoso.example? "M2" M2@contoso.example. kimono`},
		{"250 2.6.0 <a1b2@fabrikam.example> [InternalId=0AKWKNNHG0000] Queued mail for delivery", "250 2.6.0 <M1@fabrikam.example> [InternalId=0AKWKNNHG0000] Queued mail for delivery"},
	} {
		if got := unmask(newTestMasker(t, Masking{}).Wire(c.line)); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

// A Message-ID is hidden in the reply that says it back, whatever it looks like,
// and has the mask there that it has in its column.
func TestMaskMessageIDInReply(t *testing.T) {
	for _, id := range []string{"<kim.secret-4711>", "<kim secret@contoso.example>", `<"kim secret"@contoso.example>`, "<kim.secret@contoso.example>", "<kim<secret>>"} {
		m := newTestMasker(t, Masking{})
		reply := "250 2.6.0 " + id + " [InternalId=0AM0CF6C00000, Hostname=EDGE] Queued mail for delivery"
		want := "250 2.6.0 " + m.messageID(id) + " [InternalId=0AM0CF6C00000, Hostname=EDGE] Queued mail for delivery"
		for _, got := range []string{m.Reply(reply), m.Wire(reply), m.Reply(m.Reply(reply))} {
			if got != want || strings.Contains(got, "kim") || strings.Contains(got, "secret") {
				t.Errorf("%s\n got %s\nwant %s", reply, got, want)
			}
		}
	}
}

func TestMaskOptions(t *testing.T) {
	all := newTestMasker(t, Masking{Domains: true, IPs: true})
	for _, c := range []struct{ line, want string }{
		{"RCPT TO:<kim@contoso.example>", "RCPT TO:<M1@M2.invalid>"},
		{"RCPT TO:<kim@[IPv6:2001:db8::1]>", "RCPT TO:<M1@[IPv6:2001:db8:"},
		{"550 5.1.1 no contoso.example here [", "550 5.1.1 no M1.invalid here ["},
		{"EHLO mx.fabrikam.example", "EHLO mx.fabrikam.example"},
	} {
		if got := unmask(all.Wire(c.line)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
	got := all.Wire("550 5.7.1 [192.0.2.7]:25 and 192.0.2.7. and 2001:db8::7, not 5.7.1 or 12:30:00")
	if strings.Contains(got, "192.0.2.7") || strings.Contains(got, "2001:db8::7,") || !strings.HasSuffix(got, ", not 5.7.1 or 12:30:00") {
		t.Errorf("IP addresses: %s", got)
	}
	a, b := all.ip(netip.MustParseAddr("192.0.2.7")), all.ip(netip.MustParseAddr("::ffff:192.0.2.7"))
	if a != b || !netip.MustParsePrefix("240.0.0.0/4").Contains(a) || !strings.Contains(got, a.String()) {
		t.Errorf("masked %v and %v in %s", a, b, got)
	}
	if _, err := NewMasker(Masking{Key: []byte("short")}); err == nil {
		t.Error("a key of five octets is taken")
	}
}

// One key gives one mask, another key another.
func TestMaskKeys(t *testing.T) {
	key := func(s string) *Masker { return newTestMasker(t, Masking{Key: []byte(s)}) }
	const address = "kim@contoso.example"
	one, same, other := key("sixteen octets!!").Address(address), key("sixteen octets!!").Address("<KIM@contoso.EXAMPLE>"), key("another key of 2").Address(address)
	if !strings.EqualFold("<"+one+">", same) || one == other {
		t.Errorf("%s, %s, %s", one, same, other)
	}
	a, _ := NewMasker(Masking{})
	b, _ := NewMasker(Masking{})
	if a.Address(address) == b.Address(address) {
		t.Error("two random keys are the same")
	}
	if again := a.Text(a.Text(address)); again != a.Text(address) {
		t.Errorf("a mask is masked again: %s", again)
	}
}

// people draws local parts that occur nowhere by chance.
func people(t *rapid.T) []string {
	return rapid.SliceOfNDistinct(rapid.StringMatching(`[w-z][a-z]{2}[w-z]{3}([.+_'=/-][w-z]{4})?`), 1, 5, rapid.ID[string]).Draw(t, "people")
}

// spoken draws text in which a local part may stand in every way that is not
// glued to other letters.
func spoken(t *rapid.T, who []string) string {
	name := rapid.SampledFrom(who).Draw(t, "who")
	if rapid.Bool().Draw(t, "upper") {
		name = strings.ToUpper(name)
	}
	domain := rapid.SampledFrom([]string{"contoso.example", "[192.0.2.9]", "b\u00fccher.example", "sub.fabrikam.example."}).Draw(t, "domain")
	return fmt.Sprintf(rapid.SampledFrom([]string{
		"MAIL FROM:<%[1]s@%[2]s> SIZE=10", "RCPT TO:<%[1]s@%[2]s> ORCPT=rfc822;%[1]s@%[2]s", "RCPT TO: <%[1]s@%[2]s", "RCPT %[1]s@%[2]s",
		`RCPT TO:<"%[1]s"@%[2]s>`, "VRFY %[1]s", "VRFY <%[1]s@%[2]s>", "550 5.1.1 <%[1]s@%[2]s>: Recipient address rejected", "550 5.1.1 %[1]s... User unknown",
		"550-5.1.1 '%[1]s@%[2]s'.", "554 no (%[1]s@%[2]s), %[1]s!", "%[1]s@%[2]s", "501 %[1]s@%[2]s;%[1]s|%[1]s", "MAIL FROM:<@a.example,@b.example:%[1]s@%[2]s>",
		"RCPT TO:<%[1]s%%a.example@%[2]s>", "MAIL FROM:<> AUTH=%[1]s@%[2]s ENVID=%[1]s", "550 mailto:%[1]s@%[2]s?subject=x", "250 \"%[1]s\" <%[1]s@%[2]s> ok",
		"RCPT TO:<%[1]s>", "550 5.1.1 user=%[1]s@%[2]s, size=10", "EXPN %[1]s", "250 Hello %[1]s/%[1]s", "XFOO %[1]s@%[2]s %[1]s",
		"MAIL FROM:<SRS0=hash=tt=%[2]s=%[1]s@list.example>", "\x1b[31m%[1]s@%[2]s\x07", "RCPT TO:<%[1]s@%[2]s> %[1]s FOO=%[1]s",
	}).Draw(t, "form"), name, domain)
}

// No local part of the input stands anywhere in what is masked, and it reads
// back.
func TestMaskHidesEveryLocalPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		who := people(t)
		m := newTestMasker(t, Masking{Domains: rapid.Bool().Draw(t, "domains"), IPs: rapid.Bool().Draw(t, "ips")})
		lines := make([]logs.Line, rapid.IntRange(1, 12).Draw(t, "n"))
		events := []logs.Event{logs.EventSent, logs.EventReceived, logs.EventInfo}
		for i := range lines {
			lines[i] = logs.Line{
				Time: time.Date(2026, 11, 22, 8, 0, i, 0, time.UTC), Connector: `EDGE\In`, Session: "08DD5A0B1C2D3E4F", Sequence: i,
				Local: netip.MustParseAddrPort("192.0.2.1:25"), Remote: netip.MustParseAddrPort("[2001:db8::7]:40122"),
				Event: rapid.SampledFrom(events).Draw(t, "event"), Data: spoken(t, who),
			}
			if lines[i].Event == logs.EventInfo {
				lines[i].Context = rapid.SampledFrom([]string{"reason", "authenticated by PLAIN", "550 5.1.1 <" + who[0] + "@contoso.example>"}).Draw(t, "context")
			}
		}
		// Every one of them is seen in an address once.
		for i, name := range who {
			lines = append(lines, logs.Line{Time: lines[0].Time, Session: lines[0].Session, Sequence: len(lines) + i, Event: logs.EventReceived, Data: "RCPT TO:<" + name + "@contoso.example>"})
		}
		for i := range lines {
			m.Learn(&lines[i])
		}
		for i := range lines {
			masked := m.Line(lines[i])
			for _, written := range []string{string(masked.Append(nil)), string(masked.AppendJSON(nil, logs.ReceiveProtocol))} {
				for _, name := range who {
					if strings.Contains(strings.ToLower(written), name) {
						t.Fatalf("%s stands in\n%s\nmade of\n%s", name, written, lines[i])
					}
				}
				back, err := logs.ParseLine(written)
				if err != nil || back != masked {
					t.Fatalf("%s reads back as %+v: %v", written, back, err)
				}
			}
			if again := m.Line(masked); !m.ips && again != masked {
				t.Fatalf("masked twice:\n%s\n%s", masked, again)
			}
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("MAIL FROM:<kim@contoso.example> SIZE=1", "550 5.1.1 \"kim lee\"@contoso.example kim")
	f.Add("RCPT TO:<@a,@b:\"x\\\"@y\"@[192.0.2.1]> ORCPT=utf-8;k\\x{e9}@x ", "192.0.2.1:25 [2001:db8::1]")
	f.Add("AUTH PLAIN AGtpbQBzZWNyZXQ=", "\xff\x00@")
	f.Fuzz(func(t *testing.T, line, text string) {
		const name = "wyzzyx"
		m := newTestMasker(t, Masking{Domains: true, IPs: true})
		m.Address(name + "@contoso.example")
		for _, s := range []string{line, text} {
			for _, got := range []string{m.Wire(s), m.Text(s), m.Reply(s), m.Address(s)} {
				if len(got) > 40*len(s)+40 {
					t.Fatalf("%d octets became %d", len(s), len(got))
				}
			}
		}
		// What stands as a word of its own is found in whatever there is around.
		for _, s := range []string{text + " " + name + " " + line, name + "@" + text, line + ":" + name + "@contoso.example"} {
			for _, got := range []string{m.Text(s), m.Reply("550 " + s)} {
				if strings.Contains(lowerASCII(got), name) {
					t.Fatalf("%q became %q", s, got)
				}
			}
		}
	})
}

func TestMaskedMemoryIsBounded(t *testing.T) {
	m := newTestMasker(t, Masking{})
	for i := range maxKnown + 100 {
		m.Address(fmt.Sprintf("person%d@contoso.example", i))
	}
	if len(m.known) != maxKnown {
		t.Errorf("%d local parts are known, want %d", len(m.known), maxKnown)
	}
	if bytes.Contains([]byte(m.Text("person7 and person7@x")), []byte("person7")) {
		t.Error("the first ones are forgotten")
	}
}
