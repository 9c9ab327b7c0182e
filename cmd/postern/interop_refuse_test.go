//go:build linux

package main_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A stranger reaches our domains and no others, does not send as us, and
// keeps to the limits.
func TestStranger(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.receive = `
permission_groups = ["anonymous"]
deny = ["accept_authoritative_domain_sender"]
max_message_size = "64KB"
max_recipients_per_message = 3
`
	e.route("inside", "contoso.example", s.addr, "")
	e.route("outside", "*", s.addr, "")
	e.serve(t)

	big := letter("big") + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 2048)
	for _, c := range []struct {
		name   string
		dialog []string // command, then the beginning of the reply
	}{
		{"relay", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<b@y.example>", "550 5.7.54", "RCPT TO:<b@contoso.example>", "250"}},
		{"percent hack", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<b%y.example@contoso.example>", "550"}},
		{"bang path", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<y.example!b@contoso.example>", "550"}},
		{"quoted at sign", []string{"MAIL FROM:<a@x.example>", "250", `RCPT TO:<"b@y.example"@contoso.example>`, "550"}},
		{"source route", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<@contoso.example:b@y.example>", "55"}},
		{"subdomain", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<b@sub.contoso.example>", "550"}},
		{"look-alike", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<b@contoso.example.y.example>", "550", "RCPT TO:<b@notcontoso.example>", "550"}},
		{"no final dot trick", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<b@y.example.>", "5"}},
		{"null sender may not relay", []string{"MAIL FROM:<>", "250", "RCPT TO:<b@y.example>", "550"}},
		{"spoof", []string{"MAIL FROM:<ceo@contoso.example>", "550 5.7.1", "MAIL FROM:<ceo@CONTOSO.Example>", "550 5.7.1"}},
		{"declared size", []string{"MAIL FROM:<a@x.example> SIZE=65537", "552 5.3.4", "MAIL FROM:<a@x.example> SIZE=65536", "250"}},
		{"too many recipients", []string{"MAIL FROM:<a@x.example>", "250", "RCPT TO:<1@contoso.example>", "250", "RCPT TO:<2@contoso.example>", "250",
			"RCPT TO:<3@contoso.example>", "250", "RCPT TO:<4@contoso.example>", "452 4.5.3"}},
		{"order", []string{"RCPT TO:<b@contoso.example>", "503", "DATA", "503", "MAIL FROM:<a@x.example>", "250", "MAIL FROM:<a@x.example>", "503", "DATA", "503"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, e.addr)
			for i := 0; i < len(c.dialog); i += 2 {
				r, err := conn.command(c.dialog[i])
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(r.String(), c.dialog[i+1]) {
					t.Errorf("%s: %v, want %s", c.dialog[i], r, c.dialog[i+1])
				}
			}
		})
	}
	content := map[string]struct {
		text string
		want string
	}{
		"size":    {big, "552 5.3.4"},
		"bare LF": {letter("lf") + "bare\nline\r\n", "550 5.6.11"},
		"bare CR": {letter("cr") + "bare\rline\r\n", "550 5.6.11"},
		"hops":    {strings.Repeat("Received: from a by b; Tue, 4 Mar 2025 08:00:00 +0000\r\n", 31) + letter("hops"), "554 5.4.6"},
		"smuggle": {letter("outer") + "\n.\r\nMAIL FROM:<ceo@contoso.example>\r\nRCPT TO:<b@contoso.example>\r\nDATA\r\nsmuggled\r\n", "550 5.6.11"},
	}
	for name, c := range content {
		t.Run("content "+name, func(t *testing.T) {
			conn := dial(t, e.addr)
			r, err := conn.submit("<a@x.example>", []string{"b@contoso.example"}, []byte(c.text))
			if err != nil || !strings.HasPrefix(r.String(), c.want) {
				t.Fatalf("%v %v, want %s", r, err, c.want)
			}
			conn.deliver(t, "a@x.example", fmt.Sprintf("after%d@contoso.example", len(name)), letter("after"))
		})
	}
	for _, d := range s.await(t, len(content)) {
		if !strings.HasPrefix(d.Rcpt[0], "TO:<after") {
			t.Errorf("%v arrived", d.Rcpt)
		}
	}
	if n := s.count(); n != len(content) {
		t.Errorf("%d messages arrived, want %d", n, len(content))
	}
}

// TLS is required where it says so, and never falls silently.
func TestRequireTLS(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.receive += "require_tls = true\n"
	e.route("out", "*", s.addr, "")
	e.serve(t)
	c := dial(t, e.addr)
	r, err := c.command("MAIL FROM:<a@x.example>")
	if err != nil || r.code != 530 && r.code != 451 {
		t.Fatalf("MAIL in clear: %v %v, want it refused", r, err)
	}
	c.startTLS(t)
	c.deliver(t, "a@x.example", "b@y.example", letter("secure"))
	s.await(t, 1)

	// What came in clear behind STARTTLS must not be carried out within TLS
	// (CVE-2011-0411): each command gets its own reply and no other.
	c = dial(t, e.addr)
	if err := c.send([]byte("STARTTLS\r\nHELP\r\n")); err != nil {
		t.Fatal(err)
	}
	if r, err := c.read(); err != nil || r.code != 220 {
		return // a gateway may also end the session here
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	_ = conn.SetDeadline(time.Now().Add(patience))
	if conn.Handshake() != nil {
		return
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	if r := c.want(t, 250, "EHLO client.example"); !r.has("SIZE") {
		t.Errorf("EHLO within TLS: %v", r)
	}
	c.want(t, 250, "NOOP")
	c.want(t, 221, "QUIT")
}

func TestNextHopTLS(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t, tempDir(t), "sink.example")
	bare := newSink(t, sinkOptions{})
	wrong := newSink(t, sinkOptions{TLS: cert.server()})
	broken := newSink(t, sinkOptions{TLS: cert.server(), BreakTLS: true})
	e := newEdge(t)
	e.top = impatient
	e.route("no STARTTLS", "bare.example", bare.addr, `tls = "required"`)
	e.route("unknown issuer", "wrong.example", wrong.addr, "tls = \"required\"\ntls_auth_level = \"certificate_validation\"")
	e.route("falls back", "broken.example", broken.addr, `tls = "opportunistic"`)
	e.serve(t)
	c := dial(t, e.addr)
	for _, domain := range []string{"bare", "wrong", "broken"} {
		c.deliver(t, "a@contoso.example", "b@"+domain+".example", letter(domain))
	}

	// In clear only on a fresh connection.
	d := broken.await(t, 1)[0]
	if d.TLS || d.Session == 0 {
		t.Errorf("the fallback used session %d, TLS %v; want a fresh connection in clear", d.Session, d.TLS)
	}
	// Two attempts each, and never a word of the envelope.
	for name, s := range map[string]*sink{"bare": bare, "wrong": wrong} {
		until(t, "a second attempt at "+name, func() bool { return s.sessionCount() >= 2 })
		for _, line := range s.log() {
			if strings.Contains(strings.ToUpper(line), "MAIL") {
				t.Errorf("%s: the gateway sent %q", name, line)
			}
		}
	}
}
