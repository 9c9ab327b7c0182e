package send

import (
	"strings"
	"testing"
	"testing/synctest"

	"postern/config"
	"postern/internal/message"
)

// TestFailoverToTLS: required TLS is looked for at every host, and none gets
// the message in clear.
func TestFailoverToTLS(t *testing.T) {
	server := testServerTLS(t, "two.test")
	synctest.Test(t, func(t *testing.T) {
		first, second := &fakeMX{}, &fakeMX{tls: server}
		b := newBench(t, nil)
		b.connector.TLS = config.TLSRequired
		b.names.mx["example.test"] = "one.test,two.test"
		b.names.addrs["one.test"], b.names.addrs["two.test"] = "192.0.2.31", "192.0.2.32"
		b.host("192.0.2.31:25", first)
		b.host("192.0.2.32:25", second)
		r := b.send()
		b.stop()
		if got := sum(r); got != took || len(first.got()) != 0 || len(second.got()) != 1 || len(r.Attempts) != 2 {
			t.Errorf("outcome %q", got)
		}
	})
}

// TestForgottenExtensions: what was offered in clear says nothing about what
// is offered over TLS (RFC 3207 4.2).
func TestForgottenExtensions(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{tls: server, ext: []string{"SIZE 1", "8BITMIME", "DSN"}, tlsExt: []string{"PIPELINING"}}
		b := newBench(t, mx)
		d := mail("x\r\n")
		d.Envelope.Body, d.Envelope.EnvID = message.Body8BitMIME, "id"
		r := b.deliver(t.Context(), hop(), d)
		b.stop()
		if got := sum(r); got != took || !strings.Contains(strings.Join(mx.commands(), "|"), "|MAIL FROM:<sender@contoso.example>|") {
			t.Errorf("outcome %q, commands %q", got, mx.commands())
		}
	})
}
