package send

import (
	"strings"
	"testing"
	"testing/synctest"

	"crypto/tls"

	"postern/config"
	"postern/internal/message"
)

// TestTLSModes: each mode against each kind of server. "clear" and "tls" say
// how the message travelled; anything else is why it waits.
func TestTLSModes(t *testing.T) {
	good := testServerTLS(t, "mx.test")
	other := testServerTLS(t, "other.test")
	untrusted := func() *tls.Config {
		ca, err := issue(nil, "Another CA")
		if err != nil {
			t.Fatal(err)
		}
		c, err := issue(ca, "mx.test", "example.test")
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{*c}}
	}()
	domain := testServerTLS(t, "example.test")
	old := good.Clone()
	old.MaxVersion = tls.VersionTLS11

	servers := []string{"none", "good", "other", "untrusted", "domain", "old", "no EHLO"}
	hosts := map[string]func() *fakeMX{
		"none":      func() *fakeMX { return &fakeMX{} },
		"good":      func() *fakeMX { return &fakeMX{tls: good} },
		"other":     func() *fakeMX { return &fakeMX{tls: other} },
		"untrusted": func() *fakeMX { return &fakeMX{tls: untrusted} },
		"domain":    func() *fakeMX { return &fakeMX{tls: domain} },
		"old":       func() *fakeMX { return &fakeMX{tls: old} },
		"no EHLO":   func() *fakeMX { return &fakeMX{faults: map[string]fault{"EHLO": reply("502 5.5.1 what?")}} },
	}
	const (
		notOffered = "0 deferred 451 4.7.4 TLS is required"
		failed     = "0 deferred 454 4.7.5 TLS negotiation failed"
		invalid    = "0 deferred 454 4.7.5 Certificate validation failure"
	)
	for _, tt := range []struct {
		mode, level, domain string
		want                []string // by server
	}{
		{config.TLSIgnoreSTARTTLS, "", "", []string{"clear", "clear", "clear", "clear", "clear", "clear", "clear"}},
		{config.TLSOpportunistic, "", "", []string{"clear", "tls", "tls", "tls", "tls", "clear", "clear"}},
		{config.TLSRequired, "", "", []string{notOffered, "tls", "tls", "tls", "tls", failed, notOffered}},
		{config.TLSRequired, config.EncryptionOnly, "", []string{notOffered, "tls", "tls", "tls", "tls", failed, notOffered}},
		{config.TLSRequired, config.CertificateValidation, "", []string{notOffered, "tls", "tls", invalid, "tls", failed, notOffered}},
		{config.TLSRequired, config.DomainValidation, "mx.test", []string{notOffered, "tls", invalid, invalid, invalid, failed, notOffered}},
		// Without tls_domain the recipient's domain is looked for.
		{config.TLSRequired, config.DomainValidation, "", []string{notOffered, invalid, invalid, invalid, "tls", failed, notOffered}},
	} {
		for i, server := range servers {
			t.Run(strings.Join([]string{tt.mode, tt.level, tt.domain, server}, "/"), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mx := hosts[server]()
					b := newBench(t, mx)
					b.options.Roots = testRoots()
					b.connector.TLS, b.connector.TLSAuthLevel, b.connector.TLSDomain = tt.mode, tt.level, strings.Fields(tt.domain)
					r := b.send()
					b.stop()
					got, want := sum(r), tt.want[i]
					messages := mx.got()
					if want != "clear" && want != "tls" {
						if !strings.HasPrefix(got, want) || r.Unreachable || len(messages) != 0 {
							t.Errorf("outcome %q, %d messages; want %q", got, len(messages), want)
						}
						if lines := strings.Join(mx.commands(), " "); strings.Contains(lines, "HELO") {
							t.Errorf("commands %s: HELO can't lead to TLS", lines)
						}
						return
					}
					last := r.Attempts[len(r.Attempts)-1]
					if got != took || len(messages) != 1 || messages[0].tls != (want == "tls") || (last.TLS != "") != (want == "tls") {
						t.Errorf("outcome %q, attempts %+v; want it sent, %s", got, r.Attempts, want)
					}
					if want == "tls" {
						lines := strings.Join(mx.commands(), " ")
						if !strings.HasPrefix(lines, "EHLO out.contoso.example STARTTLS EHLO out.contoso.example MAIL") {
							t.Errorf("commands %s", lines)
						}
						if !strings.HasPrefix(last.TLS, "TLS1.3 TLS_") {
							t.Errorf("the attempt says %q", last.TLS)
						}
					}
				})
			})
		}
	}
}

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
