package send

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"postern/config"
	"postern/internal/message"
)

// TestForceHELO: the connector says HELO at once, and uses nothing that the
// host offers all the same.
func TestForceHELO(t *testing.T) {
	for _, tt := range []struct {
		faults map[string]fault
		want   string
		lines  string
	}{
		{nil, "0 delivered 250 2.6.0 Queued",
			"HELO out.contoso.example|MAIL FROM:<sender@contoso.example>|RCPT TO:<a@example.test>|DATA|QUIT"},
		{map[string]fault{"HELO": reply("250-mx.test", "250-PIPELINING", "250-STARTTLS", "250 SIZE 10")}, "0 delivered 250 2.6.0 Queued",
			"HELO out.contoso.example|MAIL FROM:<sender@contoso.example>|RCPT TO:<a@example.test>|DATA|QUIT"},
		{map[string]fault{"HELO": reply("550 5.7.1 not you")}, "0 failed 550 5.7.1 not you", "HELO out.contoso.example"},
	} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{ext: []string{"PIPELINING", "STARTTLS", "SIZE"}, faults: tt.faults}
			b := newBench(t, mx)
			b.connector.ForceHELO = true
			got := sum(b.send())
			b.stop()
			if got != tt.want {
				t.Errorf("outcome %q, want %q", got, tt.want)
			}
			if lines := strings.Join(mx.commands(), "|"); lines != tt.lines {
				t.Errorf("commands %s, want %s", lines, tt.lines)
			}
		})
	}
}

// TestMasquerade: the reverse path of our own senders gets another domain, and
// nothing else changes.
func TestMasquerade(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from     message.Address
		to       string
		utf8     bool   // the envelope asks for it
		want     string // the MAIL command, without what follows the path
		rewrites bool
	}{
		{"authoritative", message.Address{Local: "kim", Domain: "contoso.example"}, "mail.fabrikam.example", false, "<kim@mail.fabrikam.example>", true},
		{"in any case", message.Address{Local: "Kim", Domain: "Contoso.EXAMPLE"}, "fabrikam.example", false, "<Kim@fabrikam.example>", true},
		{"internal relay", message.Address{Local: "kim", Domain: "relay.example"}, "fabrikam.example", false, "<kim@fabrikam.example>", true},
		{"external relay", message.Address{Local: "kim", Domain: "customer.example"}, "fabrikam.example", false, "<kim@customer.example>", false},
		{"subdomain of a wildcard", message.Address{Local: "kim", Domain: "a.b.sub.example"}, "fabrikam.example", false, "<kim@fabrikam.example>", true},
		{"the wildcard's own domain", message.Address{Local: "kim", Domain: "sub.example"}, "fabrikam.example", false, "<kim@sub.example>", false},
		{"somebody else's", message.Address{Local: "bob", Domain: "contoso.example.org"}, "fabrikam.example", false, "<bob@contoso.example.org>", false},
		{"notification", message.Address{}, "fabrikam.example", false, "<>", false},
		{"address literal", message.Address{Local: "kim", Domain: "[192.0.2.1]"}, "fabrikam.example", false, "<kim@[192.0.2.1]>", false},
		{"the same already", message.Address{Local: "kim", Domain: "Contoso.example"}, "contoso.example", false, "<kim@Contoso.example>", false},
		{"quoted local part", message.Address{Local: `"a b> X=Y"`, Domain: "contoso.example"}, "fabrikam.example", false, `<"a b> X=Y"@fabrikam.example>`, true},
		{"local part in UTF-8", message.Address{Local: "jörg", Domain: "contoso.example"}, "fabrikam.example", true, "<jörg@fabrikam.example> SMTPUTF8", true},
		{"domain in UTF-8", message.Address{Local: "kim", Domain: "bücher.example"}, "fabrikam.example", true, "<kim@fabrikam.example> SMTPUTF8", true},
		{"none wanted", message.Address{Local: "kim", Domain: "contoso.example"}, "", false, "<kim@contoso.example>", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const content = "From: <kim@contoso.example>\r\nReturn-Path: <kim@contoso.example>\r\n\r\nhello\r\n"
				mx := &fakeMX{ext: []string{"SMTPUTF8", "8BITMIME"}}
				b := newBench(t, mx)
				b.config.AcceptedDomains = []config.AcceptedDomain{
					{Domain: "contoso.example", Type: config.Authoritative}, {Domain: "relay.example", Type: config.InternalRelay},
					{Domain: "customer.example", Type: config.ExternalRelay}, {Domain: "*.sub.example", Type: config.Authoritative},
					{Domain: "xn--bcher-kva.example", Type: config.Authoritative},
				}
				b.connector.MasqueradeDomain = tt.to
				d := mail(content, "a")
				d.Envelope.From, d.Envelope.SMTPUTF8 = tt.from, tt.utf8
				d.Envelope.Recipients[0].Address.Domain = "contoso.example" // a recipient in our domain stays
				before := *d.Envelope
				h := hop()
				r := b.deliver(t.Context(), h, d)
				b.stop()
				if got := sum(r); got != "0 delivered 250 2.6.0 Queued" {
					t.Fatalf("outcome %q", got)
				}
				lines := strings.Join(mx.commands(), "|")
				if want := "|MAIL FROM:" + tt.want + "|RCPT TO:<a@contoso.example>|"; !strings.Contains(lines, want) {
					t.Errorf("commands %s, want %s", lines, want)
				}
				if got := mx.got()[0].content; got != content {
					t.Errorf("the content arrived as %q", got)
				}
				if d.Envelope.From != before.From {
					t.Error("the stored envelope was changed")
				}
				want := ""
				if tt.rewrites {
					want = strings.TrimSuffix(strings.Trim(tt.want[:strings.LastIndex(tt.want, ">")+1], "<>"), " SMTPUTF8")
				}
				if got := r.Attempts[0].Sender; got != want {
					t.Errorf("the attempt names the sender %q, want %q", got, want)
				}
			})
		})
	}
}

// TestMasqueradeNeedsSMTPUTF8: that the new domain is plain does not make the
// message one that any host takes.
func TestMasqueradeNeedsSMTPUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeMX{})
		b.config.AcceptedDomains = []config.AcceptedDomain{{Domain: "contoso.example", Type: config.Authoritative}}
		b.connector.MasqueradeDomain = "fabrikam.example"
		d := mail("x\r\n")
		d.Envelope.From.Local = "jörg"
		got := sum(b.deliver(t.Context(), hop(), d))
		b.stop()
		if got != "0 failed 550 5.6.7 The message needs SMTPUTF8, which the next hop does not offer" {
			t.Errorf("outcome %q", got)
		}
	})
}

// TestEightBit: where 8BITMIME is missing, 8-bit content goes only where the
// connector says so, and 7-bit content always, whatever BODY= was given.
func TestEightBit(t *testing.T) {
	const (
		took   = "0 delivered 250 2.6.0 Queued"
		failed = "0 failed 554 5.6.3 The message has 8-bit content, but the host does not offer 8BITMIME"
		plain  = "Subject: x\r\n\r\nplain\r\n"
		eight  = "Subject: x\r\n\r\nKäse\r\n"
	)
	late := "Subject: x\r\n\r\n" + strings.Repeat("plain\r\n", 20000) + "\x80\r\n"
	for _, tt := range []struct {
		name    string
		policy  string
		ext     []string
		body    message.BodyType
		content string
		want    string
		mail    string
	}{
		{"offered", "", []string{"8BITMIME"}, message.Body8BitMIME, eight, took, " BODY=8BITMIME"},
		{"offered, undeclared", "", []string{"8BITMIME"}, message.BodyUnspecified, eight, took, ""},
		{"missing", "", []string{"PIPELINING"}, message.Body8BitMIME, eight, failed, "-"},
		{"missing, undeclared", config.EightBitFail, []string{"PIPELINING"}, message.BodyUnspecified, eight, failed, "-"},
		{"missing, at the end of much", config.EightBitFail, []string{"PIPELINING"}, message.BodyUnspecified, late, failed, "-"},
		{"missing, but not needed", config.EightBitFail, []string{"PIPELINING"}, message.Body8BitMIME, plain, took, ""},
		{"missing, and sent all the same", config.EightBitSend, []string{"PIPELINING"}, message.Body8BitMIME, eight, took, ""},
		{"missing, and sent in chunks", config.EightBitSend, []string{"CHUNKING"}, message.Body8BitMIME, eight, took, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: tt.ext}
				b := newBench(t, mx)
				b.connector.EightBitMIMEMissing = tt.policy
				d := mail(tt.content)
				d.Envelope.Body = tt.body
				got := sum(b.deliver(t.Context(), hop(), d))
				b.stop()
				if got != tt.want {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				lines := strings.Join(mx.commands(), "|")
				if tt.mail == "-" {
					if strings.Contains(lines, "MAIL") {
						t.Errorf("commands %s: the host was asked", lines)
					}
				} else if !strings.Contains(lines, "MAIL FROM:<sender@contoso.example>"+tt.mail+"|") {
					t.Errorf("commands %s, want MAIL with %q", lines, tt.mail)
				}
				if tt.want == took && mx.got()[0].content != tt.content {
					t.Error("the content was changed")
				}
			})
		})
	}
}

// TestEightBitElsewhere: another host may offer what one lacks; content that
// can't be read is no host's fault.
func TestEightBitElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, modern := &fakeMX{}, &fakeMX{ext: []string{"8BITMIME"}}
		b := newBench(t, nil)
		b.names.mx["example.test"], b.names.addrs = "one.test,two.test", map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"}
		b.host("192.0.2.31:25", old)
		b.host("192.0.2.32:25", modern)
		r := b.deliver(t.Context(), hop(), mail("Subject: x\r\n\r\nKäse\r\n"))
		if got := sum(r); got != "0 delivered 250 2.6.0 Queued" || len(modern.got()) != 1 {
			t.Errorf("outcome %q", got)
		}
		if got := r.Attempts[0].Reply.String(); !strings.HasPrefix(got, "554 5.6.3") {
			t.Errorf("the first host's attempt says %q", got)
		}
		b.names.mx["example.test"] = "one.test"
		d := mail("Subject: x\r\n\r\nKäse\r\n")
		d.Open = func() (message.Content, error) {
			return &broken{stored: stored{bytes.NewReader([]byte("Subject: x\r\n\r\nplain\r\n"))}, from: 0}, nil
		}
		if got := sum(b.deliver(t.Context(), hop(), d)); !strings.HasPrefix(got, "0 deferred 451 4.3.0 the content can't be read") {
			t.Errorf("outcome %q", got)
		}
		b.stop()
	})
}
