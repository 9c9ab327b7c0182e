package receive

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"

	"postern/config"
	"postern/logs"
)

// protocolLog opens a protocol log and returns a function that gives what was
// logged, a line each as "event data | context".
func protocolLog(t *testing.T, b *bench) func() string {
	t.Helper()
	var mu sync.Mutex
	var got strings.Builder
	p, err := logs.OpenProtocol(logs.Options{
		Log: config.Log{Enabled: true, Directory: t.TempDir()}, Server: "EDGE01",
		Tee: func(l logs.Line) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&got, "%c %s | %s\n", l.Event, l.Data, l.Context)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.server.Close()
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.server.log = p
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return got.String()
	}
}

func checkLog(t *testing.T, got string, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for i, w := range want {
		if i >= len(lines) || !regexp.MustCompile("^(?:"+w+")$").MatchString(lines[i]) {
			t.Fatalf("line %d is not %s:\n%s", i, w, got)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %d:\n%s", len(lines), len(want), got)
	}
}

func TestProtocolLog(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} }))
	logged := protocolLog(t, b)
	c := b.dialog(`
		S: 220 .*
		C: EHLO client.example
		S~ .*
		C: MAIL FROM:<a@contoso.example>
		S: 550 .*
		C: MAIL FROM:<a@b.example> SIZE=99999999
		S: 552 .*
		C| MAIL FROM:<a@b.example>
		C| RCPT TO:<b@contoso.example>
		C: DATA
		S: 250 .*
		S: 250 .*
		S: 354 .*
		C: Subject: a secret
		C:
		C: QUIT
		C: .
		S: 250 .*
		C: QUIT
		S: 221 .*
		END`)
	c.close()
	checkLog(t, logged(),
		`\+  \| `,
		`\* submit accept_any_sender accept_headers_routing \| Set Session Permissions`,
		`> 220 edge\.contoso\.example ESMTP Postern ready at .* \| `,
		`< EHLO client\.example \| `,
		`> 250-edge\.contoso\.example Hello \[198\.51\.100\.7\] \| `,
		`> 250-SIZE 37748736 \| `,
		`> 250-PIPELINING \| `,
		`> 250-DSN \| `,
		`> 250-ENHANCEDSTATUSCODES \| `,
		`> 250-STARTTLS \| `,
		`> 250-8BITMIME \| `, `> 250-BINARYMIME \| `, `> 250-CHUNKING \| `, `> 250-SMTPUTF8 \| `, `> 250 LIMITS RCPTMAX=200 \| `,
		`< MAIL FROM:<a@contoso\.example> \| `,
		`\* accept_authoritative_domain_sender is missing for our domain contoso\.example \| reason`,
		`> 550 5\.7\.1 .* \| `,
		`< MAIL FROM:<a@b\.example> SIZE=99999999 \| `,
		`\* 99999999 of 37748736 \| limit max_message_size`,
		`> 552 5\.3\.4 .* \| `,
		`< MAIL FROM:<a@b\.example> \| `,
		`> 250 2\.1\.0 Sender OK \| `,
		`< RCPT TO:<b@contoso\.example> \| `,
		`> 250 2\.1\.5 Recipient OK \| `,
		`< DATA \| `,
		`\* 0000000000001;\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z;1 \| receiving message`,
		`> 354 Start mail input; end with <CRLF>\.<CRLF> \| `,
		`> 250 2\.6\.0 \[InternalId=0000000000001, Hostname=edge\.contoso\.example\] Queued mail for delivery \| `,
		`< QUIT \| `,
		`> 221 2\.0\.0 Service closing transmission channel \| `,
		`-  \| Local`,
	)
	if o := b.only().envelope.Origin; !regexp.MustCompile("^[0-9A-F]{16}$").MatchString(o.Session) {
		t.Errorf("session %q", o.Session)
	}
}

func TestProtocolLogOfTLS(t *testing.T) {
	b := newBench(t)
	logged := protocolLog(t, b)
	c := b.dial(netip.AddrPort{})
	c.play(greet + `
		C: STARTTLS
		S: 220 .*
		TLS
		C: NOOP
		S: 250 .*`)
	c.close()
	got := logged()
	_, got, _ = strings.Cut(got, "< STARTTLS | \n")
	checkLog(t, got,
		`> 220 2\.0\.0 SMTP server ready \| `,
		`\*  \| Sending certificate`,
		`\* CN=edge\.contoso\.example.* \| Certificate subject`,
		`\* CN=edge\.contoso\.example.* \| Certificate issuer name`,
		`\* [0-9A-F]+ \| Certificate serial number`,
		`\* [0-9A-F]{64} \| Certificate thumbprint`,
		`\* edge\.contoso\.example.* \| Certificate alternate names`,
		`\* TLS1\.3 TLS_\S+ \| TLS negotiation succeeded`,
		`< NOOP \| `,
		`> 250 2\.0\.0 OK \| `,
		`-  \| Remote`,
	)
}

// TestCredentialsAreNotLogged holds that no secret reaches the log, although
// AUTH is refused: some clients send it unasked, and some scripts read no
// replies and go on with name and password.
func TestCredentialsAreNotLogged(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 20 }))
	logged := protocolLog(t, b)
	b.dialog(greet + `
		C: AUTH PLAIN AGEAc2VjcmV0
		S: 502 .*
		C: auth plain AGEAc2VjcmV0
		S: 502 .*
		C> "AUTH\tPLAIN AGEAc2VjcmV0\r\n"
		S: 500 .*
		C: AUTH=PLAIN AGEAc2VjcmV0
		S: 500 .*
		C> " AUTH PLAIN AGEAc2VjcmV0\r\n"
		S: 500 .*
		C> "AUTH PLAIN AGEAc2VjcmV0\x01\r\n"
		S: 501 .*
		C> "\x00AUTH PLAIN AGEAc2VjcmV0\r\n"
		S: 500 .*
		C: XAUTH PLAIN AGEAc2VjcmV0
		S: 500 .*
		C: AUTH LOGIN
		S: 502 .*
		C: YWRtaW4=
		S: 500 .*
		C: c2VjcmV0
		S: 500 .*
		C: MAIL FROM:<a@b.example>
		S: 250 .*
		C: XUNKNOWN of no secret
		S: 500 .*` + quit)
	got := logged()
	for _, secret := range []string{"AGEAc2VjcmV0", "YWRtaW4", "c2VjcmV0"} {
		if strings.Contains(got, secret) {
			t.Errorf("%s is logged:\n%s", secret, got)
		}
	}
	for want, n := range map[string]int{
		"< AUTH <redacted> | \n": 9, "< <redacted> | \n": 2,
		"< MAIL FROM:<a@b.example> | \n": 1, "< XUNKNOWN of no secret | \n": 1,
	} {
		if strings.Count(got, want) != n {
			t.Errorf("%q stands %d times in the log, want %d:\n%s", want, strings.Count(got, want), n, got)
		}
	}
}

func TestProtocolLogCanBeOff(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.ProtocolLogging = "none" }))
	logged := protocolLog(t, b)
	b.dialog(begin + `
		C: .
		S: 250 .*` + quit)
	if got := logged(); got != "" {
		t.Errorf("logged:\n%s", got)
	}
}
