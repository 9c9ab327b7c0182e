package receive

import (
	"strings"
	"testing"

	"postern/config"
)

// greet is how most dialogs begin.
const greet = `
	S: 220 edge\.contoso\.example ESMTP Postern ready at .*
	C: EHLO client.example
	S~ 250-edge\.contoso\.example Hello \[198\.51\.100\.7\]\n.*`

// begin is a transaction up to DATA.
const begin = greet + `
	C: MAIL FROM:<a@stranger.example>
	S: 250 2\.1\.0 Sender OK
	C: RCPT TO:<b@contoso.example>
	S: 250 2\.1\.5 Recipient OK
	C: DATA
	S: 354 Start mail input; end with <CRLF>\.<CRLF>`

const quit = `
	C: QUIT
	S: 221 2\.0\.0 Service closing transmission channel
	END`

func TestDialogs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		script string
		taken  string // envelopes in the queue, a line each
	}{
		{
			name: "a message",
			script: begin + `
				C: Subject: hello
				C:
				C: Hello.
				C: .
				S: 250 2\.6\.0 \[InternalId=0000000000001, Hostname=edge\.contoso\.example\] Queued mail for delivery` + quit,
			taken: "<a@stranger.example> -> b@contoso.example",
		},
		{
			name:   "HTTP is no SMTP with errors",
			change: func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 100 },
			script: `
				S: 220 .*
				C> "POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@contoso.example>\r\n"
				S: 421 4\.7\.0 This is SMTP, closing transmission channel
				END`,
		},
		{
			name: "a word of HTTP elsewhere is an error",
			script: greet + `
				C: TELL HTTP
				S: 500 5\.3\.3 Unrecognized command
				C: TELL x/1 HTTP/x
				S: 500 5\.3\.3 Unrecognized command
				C: NOOP HTTP/1.1
				S: 250 .*` + quit,
		},
		{
			name: "the Message-ID is said back",
			script: begin + `
				C> "Message-ID: <x@y>\r\n\r\n.\r\n"
				S: 250 2\.6\.0 <x@y> \[InternalId=0000000000001, Hostname=edge\.contoso\.example\] Queued mail for delivery` + quit,
			taken: "<a@stranger.example> -> b@contoso.example",
		},
		{
			name: "a Message-ID with spaces is not",
			script: begin + `
				C> "Message-ID: <x y@z>\r\n\r\n.\r\n"
				S: 250 2\.6\.0 \[InternalId.*` + quit,
			taken: "<a@stranger.example> -> b@contoso.example",
		},
		{
			name: "a Message-ID of 250 octets is not",
			script: begin + `
				C> "Message-ID: <` + strings.Repeat("x", 246) + `@y>\r\n\r\n.\r\n"
				S: 250 2\.6\.0 \[InternalId.*` + quit,
			taken: "<a@stranger.example> -> b@contoso.example",
		},
		{
			name: "HELO",
			script: `
				S: 220 .*
				C: HELO client.example
				S: 250 edge\.contoso\.example Hello \[198\.51\.100\.7\]
				C: MAIL FROM:<>
				S: 250 2\.1\.0 Sender OK
				C: RCPT TO:<b@contoso.example>
				S: 250 2\.1\.5 Recipient OK
				C: DATA
				S: 354 .*
				C: .
				S: 250 2\.6\.0 .*` + quit,
			taken: "<> -> b@contoso.example",
		},
		{
			name: "names of clients, strict",
			script: `
				S: 220 .*
				C: EHLO
				S: 501 5\.0\.0 HELO / EHLO requires domain address
				C: EHLO a_b.example
				S: 501 5\.5\.4 Invalid domain name
				C> "EHLO client.example \r\n"
				S: 501 5\.5\.4 Invalid domain name
				C: EHLO client.example.
				S: 501 5\.5\.4 Invalid domain name
				C: MAIL FROM:<a@b.example>
				S: 503 5\.5\.2 Send hello first
				C: EHLO [192.0.2.300]
				S: 421 4\.7\.0 Too many errors .*
				END`,
		},
		{
			name: "names of clients, single labels and literals are fine",
			script: `
				S: 220 .*
				C: EHLO localhost
				S~ 250-.*
				C: EHLO [192.0.2.1]
				S~ 250-.*
				C: EHLO [IPv6:2001:db8::1]
				S~ 250-.*
				C: HELO vm
				S: 250 .*` + quit,
		},
		{
			name: "names of clients, internationalised",
			script: `
				S: 220 .*
				C: EHLO xn--bcher-kva.example
				S~ 250-.*
				C: EHLO bücher.example
				S: 501 5\.5\.4 Invalid domain name
				C: HELO xn--99zzzz9999.example
				S: 501 5\.5\.4 Invalid domain name` + quit,
		},
		{
			name:   "names of clients, lenient",
			change: func(c *config.ReceiveConnector) { c.EHLODomainValidation = "lenient" },
			script: `
				S: 220 .*
				C> "EHLO client.example. \r\n"
				S~ 250-.*
				C: EHLO a b
				S: 501 5\.5\.4 Invalid domain name` + quit,
		},
		{
			name: "names of clients, off",
			change: func(c *config.ReceiveConnector) {
				c.EHLODomainValidation, c.RequireEHLODomain = "off", false
			},
			script: `
				S: 220 .*
				C: EHLO !@#$ %
				S~ 250-.*
				C: EHLO
				S~ 250-.*
				C: MAIL FROM:<>
				S: 250 .*` + quit,
		},
		{
			name: "the order of commands",
			script: `
				S: 220 .*
				C: NOOP
				S: 250 2\.0\.0 OK
				C: RSET
				S: 250 2\.0\.0 Resetting
				C: VRFY postmaster
				S: 252 2\.1\.5 Cannot VRFY user, .*
				C: HELP
				S~ 214-2\.0\.0 This server supports the following commands:\n214 2\.0\.0 HELO EHLO STARTTLS MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT
				C: MAIL FROM:<a@b.example>
				S: 503 5\.5\.2 Send hello first
				C: EHLO client.example
				S~ 250-.*
				C: RCPT TO:<b@contoso.example>
				S: 503 5\.5\.2 Need mail command
				C: DATA
				S: 503 5\.5\.2 Need mail command
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: MAIL FROM:<a@b.example>
				S: 503 5\.5\.2 Sender already specified
				C: DATA
				S: 503 5\.5\.2 Need rcpt command` + quit,
		},
		{
			name: "RSET and EHLO end the transaction",
			script: greet + `
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: RSET
				S: 250 .*
				C: DATA
				S: 503 .*
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: EHLO client.example
				S~ 250-.*
				C: DATA
				S: 503 .*` + quit,
		},
		{
			name: "an EHLO that is refused does not end the transaction",
			script: greet + `
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: EHLO
				S: 501 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*` + quit,
		},
		{
			name: "arguments where there are none",
			script: greet + `
				C: RSET x
				S: 501 5\.5\.4 Invalid arguments
				C: DATA x
				S: 501 5\.5\.4 Invalid arguments
				C: STARTTLS x
				S: 501 5\.5\.4 Invalid arguments
				C: QUIT x
				S: 501 5\.5\.4 Invalid arguments
				C: VRFY
				S: 501 5\.5\.4 Invalid arguments
				C: NOOP what you like
				S: 250 .*
				C> "QUIT  \r\n"
				S: 221 .*
				END`,
		},
		{
			name: "commands that are not there",
			script: greet + `
				C: EXPN list
				S: 502 5\.5\.1 Command not implemented
				C: TURN
				S: 502 5\.5\.1 Command not implemented
				C: FROBNICATE
				S: 500 5\.3\.3 Unrecognized command
				C: STARTTLSxyz
				S: 500 5\.3\.3 Unrecognized command
				C:
				S: 500 5\.3\.3 Unrecognized command
				C: Received: from x
				S: 421 4\.7\.0 Too many errors on this connection, closing transmission channel
				END`,
		},
		{
			name: "commands in any case",
			script: `
				S: 220 .*
				C: ehlo client.example
				S~ 250-.*
				C: mAiL fRoM:<a@b.example>
				S: 250 .*
				C: rcpt to:<b@contoso.example>
				S: 250 .*
				C: quit
				S: 221 .*
				END`,
		},
		{
			name: "parameters",
			script: greet + `
				C: MAIL FROM:<a@b.example> SIZE=37748736 BODY=8BITMIME
				S: 250 .*
				C: RSET
				S: 250 .*
				C: MAIL FROM:<a@b.example> SIZE=37748737
				S: 552 5\.3\.4 Message size exceeds fixed maximum message size
				C: MAIL FROM:<a@b.example> SIZE=99999999999999999999
				S: 552 5\.3\.4 Message size exceeds fixed maximum message size
				C: MAIL FROM:<a@b.example> SIZE=9223372036854775808
				S: 552 5\.3\.4 Message size exceeds fixed maximum message size
				C: MAIL FROM:<a@b.example> FOO=bar
				S: 555 5\.5\.4 Unrecognized parameter
				C: MAIL FROM:<a@b.example> SIZE=x
				S: 501 5\.5\.4 Invalid arguments
				C: MAIL FROM:<a@b.example> AUTH=<>
				S: 555 5\.5\.4 Unrecognized parameter
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: RCPT TO:<b@contoso.example> FOO=bar
				S: 555 5\.5\.4 Unrecognized parameter
				C: RCPT TO:<b@contoso.example>
				S: 250 .*` + quit,
		},
		{
			name: "malformed paths",
			script: greet + `
				C: MAIL FROM:a@b.example
				S: 501 5\.1\.7 Invalid address
				C: MAIL FROM:<a@>
				S: 501 5\.1\.7 Invalid address
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: RCPT TO:<>
				S: 501 5\.1\.3 Invalid address
				C: RCPT TO:<x> NOTIFY=NEVER@contoso.example>
				S: 501 5\.1\.3 Invalid address` + quit,
		},
		{
			name: "control characters in a command",
			script: greet + `
				C> "MAIL FROM:<a\x00@b.example>\r\n"
				S: 501 .*` + quit,
		},
		{
			name: "lines that are too long or do not end in CRLF",
			script: greet + `
				C: NOOP ` + strings.Repeat("x", 2041) + `
				S: 250 .*
				C: NOOP ` + strings.Repeat("x", 2042) + `
				S: 500 5\.5\.2 Line too long
				C: NOOP ` + strings.Repeat("x", 100_000) + `
				S: 500 5\.5\.2 Line too long
				C> "NOOP\n"
				S: 500 5\.5\.2 Commands end with CRLF
				C> "QUIT\nQUIT\r\n"
				C> "NO\rOP\r\n"
				S: 500 5\.5\.2 Commands end with CRLF` + quit,
		},
		{
			name:   "no protocol error is allowed",
			change: func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 0 },
			script: greet + `
				C| FOO
				C: MAIL FROM:<a@b.example>
				S: 421 4\.7\.0 Too many errors .*
				END`,
		},
		{
			name: "policy is no protocol error",
			script: greet + `
				C: MAIL FROM:<a@b.example>
				S: 250 .*` + strings.Repeat(`
				C: RCPT TO:<x@elsewhere.example>
				S: 550 .*`, 20) + quit,
		},
		{
			name:   "TLS is required",
			change: func(c *config.ReceiveConnector) { c.RequireTLS = true },
			script: greet + `
				C: NOOP
				S: 250 .*
				C: MAIL FROM:<a@b.example>
				S: 530 5\.7\.0 Must issue a STARTTLS command first
				C: RCPT TO:<b@contoso.example>
				S: 530 .*
				C: DATA
				S: 530 .*
				C: VRFY x
				S: 530 .*
				C: STARTTLS
				S: 220 2\.0\.0 SMTP server ready
				TLS
				C: MAIL FROM:<a@b.example>
				S: 503 5\.5\.2 Send hello first
				C: EHLO client.example
				S~ 250-.*
				C: MAIL FROM:<a@b.example>
				S: 250 .*` + quit,
		},
		{
			name: "nobody may submit",
			change: func(c *config.ReceiveConnector) {
				c.PermissionGroups = []string{"users"}
			},
			script: greet + `
				C: MAIL FROM:<a@b.example>
				S: 530 5\.7\.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM` + quit,
		},
		{
			name: "duplicates give one copy and count once",
			change: func(c *config.ReceiveConnector) {
				c.MaxRecipientsPerMessage = 2
			},
			script: greet + `
				C: MAIL FROM:<a@b.example>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: RCPT TO:<b@CONTOSO.example>
				S: 250 .*
				C: RCPT TO:<"b"@contoso.example>
				S: 250 .*
				C: RCPT TO:<B@contoso.example>
				S: 250 .*
				C: RCPT TO:<c@contoso.example>
				S: 452 4\.5\.3 Too many recipients
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: .
				S: 250 .*` + quit,
			taken: "<a@b.example> -> b@contoso.example B@contoso.example",
		},
		{
			name: "two messages in a session",
			script: begin + `
				C: .
				S: 250 .*
				C: DATA
				S: 503 5\.5\.2 Need mail command
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<c@internal.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: .
				S: 250 .*` + quit,
			taken: "<a@stranger.example> -> b@contoso.example\n<> -> c@internal.example",
		},
		{
			name: "source routes are dropped",
			script: greet + `
				C: MAIL FROM:<@x.example,@y.example:a@b.example>
				S: 250 .*
				C: RCPT TO:<@contoso.example:b@elsewhere.example>
				S: 550 5\.7\.54 .*
				C: RCPT TO:<@elsewhere.example:b@contoso.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: .
				S: 250 .*` + quit,
			taken: "<a@b.example> -> b@contoso.example",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConnector()
			if tt.change != nil {
				tt.change(&c)
			}
			b := newBench(t, c)
			b.dialog(tt.script)
			var taken []string
			for _, m := range b.queue.all() {
				taken = append(taken, addresses(m.envelope))
			}
			if got := strings.Join(taken, "\n"); got != tt.taken {
				t.Errorf("taken:\n%s\nwant:\n%s", got, tt.taken)
			}
		})
	}
}
