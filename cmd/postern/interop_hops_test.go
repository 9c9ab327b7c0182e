//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"
)

// Next hops of every kind get the same message: one that knows nothing but
// HELO, one without a single extension, and one that takes messages in chunks.
func TestPlainAndModernNextHops(t *testing.T) {
	t.Parallel()
	old := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if strings.HasPrefix(line, "EHLO") {
			return "502 5.5.1 unknown"
		}
		return ""
	}})
	bare := newSink(t, sinkOptions{Keywords: []string{}})
	chunks := newSink(t, sinkOptions{Keywords: []string{"SIZE", "pipelining", "8bitmime", "CHUNKING", "BINARYMIME", "DSN", "SMTPUTF8"}})
	e := newEdge(t)
	sinks := map[string]*sink{"old.example": old, "bare.example": bare, "chunks.example": chunks}
	for domain, s := range sinks {
		e.route(domain, domain, s.addr, "")
	}
	e.serve(t)
	c := dial(t, e.addr)
	contents := []string{letter("small"), letter("large") + strings.Repeat(strings.Repeat("l", 62)+"\r\n", 3<<20/64)}
	for _, content := range contents {
		r, err := c.submit("<a@contoso.example>", recipients("b", []string{"old.example", "bare.example", "chunks.example"}), []byte(content))
		if err != nil || r.code != 250 {
			t.Fatal(r, err)
		}
	}
	for domain, s := range sinks {
		for _, d := range s.await(t, len(contents)) {
			_, rest, err := splitTrace(d.Data)
			if err != nil || string(rest) != contents[0] && string(rest) != contents[1] {
				t.Errorf("%s: %d octets arrived changed: %v", domain, len(rest), err)
			}
			if params := strings.Contains(d.Mail, "> "); params && domain != "chunks.example" {
				t.Errorf("%s: MAIL %s, want no parameters", domain, d.Mail)
			}
			if large := len(rest) > 1<<20; d.Chunked && domain != "chunks.example" || domain == "chunks.example" && large && !d.Chunked {
				t.Errorf("%s: %d octets, in chunks: %v", domain, len(rest), d.Chunked)
			}
			if len(d.Rcpt) != 1 || !strings.Contains(d.Rcpt[0], "b@"+domain) {
				t.Errorf("%s: recipients %v", domain, d.Rcpt)
			}
		}
	}
	for _, line := range old.log() {
		if strings.Contains(line, "HELO edge.contoso.example") {
			return
		}
	}
	t.Errorf("no HELO after EHLO was refused: %v", old.log())
}

// A client that pipelines gets its replies in order, and each message goes on
// its own.
func TestPipelining(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.route("out", "*", s.addr, "")
	e.serve(t)
	c := dial(t, e.addr)
	const rounds = 20
	var all, want []string
	for i := range rounds {
		// Content goes on its own: 354 may come or not (RFC 2920 3.1).
		all = append(all, fmt.Sprintf("MAIL FROM:<a%d@contoso.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<broken\r\nRCPT TO:<c@y.example>\r\nRSET\r\nNOOP\r\n", i))
		want = append(want, "250 2.1.0", "250 2.1.5", "5", "250 2.1.5", "250", "250")
	}
	// Protocol errors are counted; a few of them end no session.
	all, want = all[:4], want[:4*6]
	if err := c.send([]byte(strings.Join(all, ""))); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		r, err := c.read()
		if err != nil || !strings.HasPrefix(r.String(), w) {
			t.Fatalf("reply %d: %v %v, want %s", i, r, err, w)
		}
	}
	for i := range rounds {
		text := letter(fmt.Sprintf("p%d", i))
		if err := c.send([]byte("MAIL FROM:<a@contoso.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@z.example>\r\nDATA\r\n")); err != nil {
			t.Fatal(err)
		}
		for _, code := range []int{250, 250, 250, 354} {
			if r, err := c.read(); err != nil || r.code != code {
				t.Fatalf("message %d: %v %v, want %d", i, r, err, code)
			}
		}
		// The next command follows the final dot in one write.
		if err := c.send(append(stuffed([]byte(text)), "NOOP\r\n"...)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r, err := c.read(); err != nil || r.code != 250 {
				t.Fatalf("message %d: %v %v, want 250", i, r, err)
			}
		}
	}
	for _, d := range s.await(t, rounds) {
		if _, rest, err := splitTrace(d.Data); err != nil || !strings.HasPrefix(string(rest), "From: kim") {
			t.Errorf("%.80q arrived: %v", rest, err)
		}
		if len(d.Rcpt) != 2 { // one next hop, one copy
			t.Errorf("a delivery is for %v, want both recipients", d.Rcpt)
		}
	}
	if n := s.count(); n != rounds {
		t.Errorf("%d messages arrived, want %d", n, rounds)
	}
}
