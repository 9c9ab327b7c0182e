package receive

import (
	"strings"
	"testing"
	"unicode"

	"postern/config"
)

func TestSMTPUTF8(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		script string
		taken  string // the envelope; "" for none
		trace  string // what the Received field holds
	}{
		{
			name: "a sender and a recipient",
			script: greet + `
				C: MAIL FROM:<usér@bücher.example> BODY=8BITMIME SMTPUTF8
				S: 250 .*
				C: RCPT TO:<δοκιμή@contoso.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: Subject: grüße
				C: Message-ID: <ü@y>
				C:
				C: .
				S: 250 2\.6\.0 \[InternalId=.*` + quit,
			taken: "<usér@bücher.example> -> δοκιμή@contoso.example",
			trace: " with UTF8SMTP id 0000000000001\r\n\tfor <δοκιμή@contoso.example>;",
		},
		{
			name: "under TLS",
			script: greet + `
				C: STARTTLS
				S: 220 .*
				TLS
				C: EHLO client.example
				S~ 250-.*\n250-SMTPUTF8\n.*
				C: MAIL FROM:<> smtputf8
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C> "BDAT 3 LAST\r\nx\r\n"
				S: 250 .*
				C: QUIT
				S: 221 .*`,
			taken: "<> -> b@contoso.example",
			trace: " with UTF8SMTPS (TLS",
		},
		{
			name: "without the parameter",
			script: greet + `
				C: MAIL FROM:<usér@b.example>
				S: 553 5\.6\.7 Non-ASCII addresses need the SMTPUTF8 parameter
				C: MAIL FROM:<a@bücher.example> BODY=8BITMIME
				S: 553 5\.6\.7 .*
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: RCPT TO:<δοκιμή@contoso.example>
				S: 553 5\.6\.7 .*
				C: RCPT TO:<b@contöso.example>
				S: 553 5\.6\.7 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: .
				S: 250 .*` + quit,
			taken: "<a@b.example> -> b@contoso.example",
			trace: " with ESMTP ",
		},
		{
			name: "it holds for one transaction",
			script: greet + `
				C: MAIL FROM:<usér@b.example> SMTPUTF8
				S: 250 .*
				C: RSET
				S: 250 .*
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: RCPT TO:<usér@contoso.example>
				S: 553 5\.6\.7 .*` + quit,
		},
		{
			name:   "switched off",
			change: func(c *config.ReceiveConnector) { c.SMTPUTF8Enabled = false },
			script: `
				S: 220 .*
				C: EHLO client.example
				S~ 250-.*\n250-CHUNKING\n250 LIMITS .*
				C: MAIL FROM:<a@b.example> SMTPUTF8
				S: 555 5\.5\.4 Unrecognized parameter
				C: MAIL FROM:<usér@b.example>
				S: 553 5\.6\.7 .*` + quit,
		},
		{
			name: "the parameter has no value, and stands at MAIL only",
			script: greet + `
				C: MAIL FROM:<a@b.example> SMTPUTF8=YES
				S: 501 5\.5\.4 Invalid arguments
				C: MAIL FROM:<a@b.example> SMTPUTF8 SMTPUTF8
				S: 501 5\.5\.4 Invalid arguments
				C: MAIL FROM:<a@b.example> SMTPUTF8
				S: 250 .*
				C: RCPT TO:<b@contoso.example> SMTPUTF8
				S: 555 5\.5\.4 Unrecognized parameter
				C: VRFY usér SMTPUTF8
				S: 252 .*` + quit,
		},
		{
			name: "what is no UTF-8 is no address",
			script: greet + `
				C> "MAIL FROM:<us\xe9r@b.example> SMTPUTF8\r\n"
				S: 501 5\.1\.7 Invalid address
				C> "MAIL FROM:<us\xc0\xa0r@b.example> SMTPUTF8\r\n"
				S: 501 5\.1\.7 Invalid address
				C> "MAIL FROM:<us\xc2\x85r@b.example> SMTPUTF8\r\n"
				S: 501 5\.1\.7 Invalid address
				C> "MAIL FROM:<us\xed\xa0\x80r@b.example> SMTPUTF8\r\n"
				S: 501 5\.1\.7 Invalid address` + quit,
		},
		{
			name: "accepted domains in U-labels and A-labels",
			script: greet + `
				C: MAIL FROM:<a@b.example> SMTPUTF8
				S: 250 .*
				C: RCPT TO:<b@bücher.example>
				S: 250 .*
				C: RCPT TO:<b@BÜCHER.example>
				S: 250 .*
				C: RCPT TO:<b@xn--bcher-kva.example>
				S: 250 .*
				C: RCPT TO:<b@müller.example>
				S: 550 5\.7\.54 .*
				C: DATA
				S: 354 .*
				C: .
				S: 250 .*` + quit,
			taken: "<a@b.example> -> b@bücher.example",
			trace: "for <b@bücher.example>;",
		},
		{
			name:   "no stranger sends as our domain in U-labels",
			change: func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} },
			script: greet + `
				C: MAIL FROM:<a@bücher.example> SMTPUTF8
				S: 550 5\.7\.1 .*` + quit,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConnector()
			if tt.change != nil {
				tt.change(&c)
			}
			b := newBench(t, c)
			b.server.snapshot.Load().domains = domains{"contoso.example": config.Authoritative, "xn--bcher-kva.example": config.Authoritative}
			b.dialog(tt.script)
			if tt.taken == "" {
				if n := len(b.queue.all()); n != 0 {
					t.Fatalf("%d messages were taken", n)
				}
				return
			}
			m := b.only()
			if got := addresses(m.envelope); got != tt.taken {
				t.Errorf("taken: %s", got)
			}
			if !strings.Contains(m.content, tt.trace) {
				t.Errorf("the trace has no %q:\n%s", tt.trace, m.content)
			}
			asked := strings.Contains(tt.script, "SMTPUTF8\n") || strings.Contains(tt.script, "smtputf8")
			needed := strings.ContainsFunc(tt.script, func(r rune) bool { return r > unicode.MaxASCII })
			if m.envelope.SMTPUTF8 != (asked && needed) {
				t.Errorf("the envelope says SMTPUTF8: %v", m.envelope.SMTPUTF8)
			}
			if o := m.envelope.Origin.Protocol; !strings.Contains(m.content, "with "+o) {
				t.Errorf("the envelope says %s", o)
			}
		})
	}
}

// uLabels has a default domain in U-labels.
type uLabels struct{ domains }

func (uLabels) DefaultDomain() string { return "bücher.example" }

// TestRecipientAtOurAddressInUTF8: the path as it was received is kept in the
// form that RFC 6533 has for it, and the default domain needs no SMTPUTF8.
func TestRecipientAtOurAddressInUTF8(t *testing.T) {
	b := newBench(t)
	b.server.snapshot.Load().domains = uLabels{testDomains}
	b.dialog(greet + `
		C: MAIL FROM:<> SMTPUTF8
		S: 250 .*
		C: RCPT TO:<usér@[192.0.2.10]>
		S: 550 5\.7\.54 .*
		C: RSET
		S: 250 .*
		C: MAIL FROM:<>
		S: 250 .*
		C: RCPT TO:<postmaster>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: .
		S: 250 .*` + quit)
	if got := addresses(b.only().envelope); got != "<> -> postmaster@xn--bcher-kva.example" {
		t.Errorf("taken: %s", got)
	}
	b = newBench(t)
	b.dialog(greet + `
		C: MAIL FROM:<> SMTPUTF8
		S: 250 .*
		C: RCPT TO:<usér@[192.0.2.10]>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: .
		S: 250 .*` + quit)
	if r := b.only().envelope.Recipients[0]; r.ORcpt != "utf-8;usér@[192.0.2.10]" || r.Address.String() != "usér@contoso.example" {
		t.Errorf("recipient: %+v", r)
	}
}
