//go:build linux

package main_test

import (
	"crypto/tls"
	"strings"
	"testing"
)

// The judges are judged first: what the raw client sends is what the raw sink
// keeps, and Postfix takes it too.
func TestHarness(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t, tempDir(t), "sink.example")
	s := newSink(t, sinkOptions{TLS: cert.server()})
	c := dial(t, s.addr)
	content := letter("plain") + ".\r\n..\r\n\x00\xff bare\nlf and bare\rcr\r\n.x\r\n"
	c.deliver(t, "a@x.example", "b@y.example", content)
	if cs := c.startTLS(t); cs.Version < tls.VersionTLS12 {
		t.Fatalf("TLS version %x", cs.Version)
	}
	c.deliver(t, "a@x.example", "b@y.example", content)
	for i, d := range s.await(t, 2) {
		if string(d.Data) != content || d.TLS != (i == 1) || d.Mail != "FROM:<a@x.example>" || len(d.Rcpt) != 1 {
			t.Errorf("delivery %d: %+v", i, d)
		}
	}

	text := strings.ReplaceAll(letter("other"), "\r\n", "\n")
	for i, other := range realClients() {
		other.send(t, s.addr, "a@x.example", []string{"b@y.example", "c@y.example"}, text)
		d := s.await(t, 3+i)[2+i]
		if got := strings.ReplaceAll(string(d.Data), "\r\n", "\n"); !strings.HasSuffix(got, text) || d.TLS != strings.HasSuffix(other.name, "-tls") || len(d.Rcpt) != 2 {
			t.Errorf("from %s came %+v with %q", other.name, d, got)
		}
	}

	p := newPostfix(t, "y.example")
	c = dial(t, p.addr)
	c.startTLS(t)
	c.deliver(t, "a@x.example", "b@y.example", letter("postfix"))
	if m := p.awaitMail(t, 1)[0]; !strings.HasSuffix(m, strings.ReplaceAll(letter("postfix"), "\r\n", "\n")) {
		t.Errorf("Postfix keeps %q", m)
	}
}
