package receive

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/metrics"
)

// refusals is how often replies of that status refused something.
func (b *bench) refusals(status string) int64 {
	return b.metrics.Counter("receive_refusals", metrics.Label{Name: "connector", Value: "From Internet"},
		metrics.Label{Name: "status", Value: status}).Value()
}

// refused holds what a refusal of one command leaves: the log's reason, the
// metric, and a session that goes on.
func (b *bench) refused(c *client, logged func() string, status, reason string) {
	b.t.Helper()
	c.play("C: NOOP\nS: 250 .*")
	if n := b.refusals(status); n != 1 {
		b.t.Errorf("%d refusals with %s are counted", n, status)
	}
	if reason != "" && !strings.Contains(logged(), "* "+reason+" | reason\n") {
		b.t.Errorf("no reason %q in\n%s", reason, logged())
	}
}

// TestRefusedRecipients: domains that nobody has, address literals.
func TestRefusedRecipients(t *testing.T) {
	const (
		top    = "550 5.1.4 Recipient address reserved by RFC 2606"
		second = "550 5.1.5 Recipient address reserved by RFC 2606"
		single = "550 5.1.6 Recipient addresses in single label domains not accepted"
		direct = "550 5.1.2 Recipient addresses in address literals not accepted"
		relay  = "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"
		taken  = "250 2.1.5 Recipient OK"
	)
	all := func(c *config.ReceiveConnector) {
		c.RejectReservedTopLevelRecipientDomains, c.RejectReservedSecondLevelRecipientDomains, c.RejectSingleLabelRecipientDomains = true, true, true
	}
	relays := func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }
	for _, tt := range []struct {
		path   string
		change func(*config.ReceiveConnector)
		want   string
		log    string
	}{
		{"b@elsewhere.example", nil, relay, ""},
		{"b@elsewhere.example", all, top, "reject_reserved_top_level_recipient_domains"},
		{"b@a.TEST", all, top, "reject_reserved_top_level_recipient_domains"},
		{"b@x.invalid", all, top, "reject_reserved_top_level_recipient_domains"},
		{"b@localhost", all, top, "reject_reserved_top_level_recipient_domains"},
		{"b@localhost", func(c *config.ReceiveConnector) { c.RejectSingleLabelRecipientDomains = true }, single, "reject_single_label_recipient_domains"},
		{"b@hub", all, single, "reject_single_label_recipient_domains"},
		{"b@example.com", all, second, "reject_reserved_second_level_recipient_domains"},
		{"b@mx.Example.org", all, second, "reject_reserved_second_level_recipient_domains"},
		{"b@example.com.fabrikam.com", all, relay, ""},
		{"b@contoso.example", all, taken, ""}, // accepted
		{"postmaster", all, taken, ""},
		{"b@[192.0.2.10]", all, taken, ""},
		{"b@[198.51.100.1]", all, relay, ""},
		{"b@hub", relays, taken, ""},
		{"b@hub", func(c *config.ReceiveConnector) { all(c); relays(c) }, single, "reject_single_label_recipient_domains"},
		{"b@[192.0.2.10]", noLiterals, direct, "accept_address_literals is off"},
		{"b@[IPv6:2001:db8::1]", noLiterals, direct, "accept_address_literals is off"},
		{"b@[198.51.100.1]", func(c *config.ReceiveConnector) { noLiterals(c); relays(c) }, direct, "accept_address_literals is off"},
		{"PostMaster@[192.0.2.10]", noLiterals, taken, ""},
		{"b@contoso.example", noLiterals, taken, ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
				if tt.change != nil {
					tt.change(c)
				}
			}))
			logged := protocolLog(t, b)
			c := b.dialog(greet + "\nC: MAIL FROM:<>\nS: 250 .*")
			c.send("RCPT TO:<" + tt.path + ">\r\n")
			if got := c.reply(); got != tt.want {
				t.Fatalf("got %s, want %s", got, tt.want)
			}
			if tt.want != taken {
				b.refused(c, logged, strings.Fields(tt.want)[1], tt.log)
			}
			c.play("C: RCPT TO:<b@contoso.example>\nS: 250 .*\nC: DATA\nS: 354 .*\nC: .\nS: 250 .*" + quit)
		})
	}
}

func noLiterals(c *config.ReceiveConnector) { c.AcceptAddressLiterals = false }

// guarded are domains with recipients for ourselves.
type guarded struct{ domains }

func (g guarded) Accepted(name string) (config.AcceptedDomain, bool) {
	d, ok := g.domains.Accepted(name)
	switch d.Domain {
	case "internal.example":
		d.RequireSenderAuthentication = true
	case "contoso.example":
		d.RequireSenderAuthenticationFor = []string{"All@Contoso.example"}
	}
	return d, ok
}

// TestRecipientsForAuthenticated: mail to them comes from ourselves alone, and
// no sender address and no right makes a stranger one of us.
func TestRecipientsForAuthenticated(t *testing.T) {
	const required = `550 5\.7\.1 RESOLVER\.RST\.AuthRequired; authentication required`
	const taken = `250 2\.1\.5 Recipient OK`
	user := "C: AUTH PLAIN " + b64("\x00kim\x00kim") + "\nS: 235 .*\n"
	for _, tt := range []struct {
		name, script string
		change       func(*config.ReceiveConnector)
		path, want   string
	}{
		{"a stranger", "C: MAIL FROM:<a@b.example>", nil, "all@contoso.example", required},
		{"a stranger as one of us", "C: MAIL FROM:<ann@contoso.example>", nil, "ALL@contoso.example", required},
		{"a notification", "C: MAIL FROM:<>", nil, "all@contoso.example", required},
		{"a stranger who quotes", "C: MAIL FROM:<>", nil, `"All"@contoso.example`, required},
		{"a stranger who escapes", "C: MAIL FROM:<>", nil, `"a\ll"@contoso.example`, required},
		{"a stranger with a route", "C: MAIL FROM:<>", nil, "@b.example:all@contoso.example", required},
		{"a stranger at the address", "C: MAIL FROM:<>", nil, "all@[192.0.2.10]", required},
		{"a stranger to others", "C: MAIL FROM:<>", nil, "ann@contoso.example", taken},
		{"a stranger to the whole domain", "C: MAIL FROM:<>", nil, "ann@internal.example", required},
		{"a stranger to the postmaster", "C: MAIL FROM:<>", nil, "Postmaster@internal.example", taken},
		{"a stranger to postmaster", "C: MAIL FROM:<>", nil, "postmaster", taken},
		{"a stranger who may relay", "C: MAIL FROM:<>", func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }, "ann@internal.example", required},
		{"a user", user + "C: MAIL FROM:<>", nil, "all@contoso.example", taken},
		{"a user to the whole domain", user + "C: MAIL FROM:<>", nil, "ann@internal.example", taken},
		{"a server", "C: MAIL FROM:<>", func(c *config.ReceiveConnector) { c.AuthMechanism = []string{"external_authoritative"} }, "ann@internal.example", taken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newAuthBench(t, func(c *config.ReceiveConnector) {
				if tt.change != nil {
					tt.change(c)
				}
			})
			s := *b.server.snapshot.Load()
			s.domains = guarded{testDomains}
			b.server.snapshot.Store(&s)
			logged := protocolLog(t, b)
			c := b.dialog(greet + "\n" + tt.script + "\nS: 250 .*\nC: RCPT TO:<" + tt.path + ">\nS: " + tt.want)
			if tt.want == required {
				b.refused(c, logged, "5.7.1", "require_sender_authentication, and nobody has authenticated")
			}
		})
	}
}

// TestPartnersAreNotInternal: they have proven to be somebody else.
func TestPartnersAreNotInternal(t *testing.T) {
	b := newSecureBench(t)
	s := *b.server.snapshot.Load()
	s.domains = guarded{testDomains}
	b.server.snapshot.Store(&s)
	c := b.secure(t, "mail.fabrikam.example")
	c.play(`
		C: MAIL FROM:<bob@fabrikam.example>
		S: 250 .*
		C: RCPT TO:<all@contoso.example>
		S: 550 5\.7\.1 RESOLVER.*` + quit)
}

// TestDefaultDomain completes addresses of submissions, and of nobody else.
func TestDefaultDomain(t *testing.T) {
	completed := func(c *config.ReceiveConnector) { c.DefaultDomain = "hosts.contoso.example" }
	for _, tt := range []struct {
		name   string
		from   netip.AddrPort
		change func(*config.ReceiveConnector)
		script string
		taken  string
	}{
		{"this host", loopbackAddr, completed, `
			C: MAIL FROM:<cron>
			S: 250 .*
			C: RCPT TO:<root>
			S: 250 .*
			C: RCPT TO:<postmaster>
			S: 250 .*
			C: RCPT TO:<"a b">
			S: 250 .*
			C: RCPT TO:<b@contoso.example>
			S: 250 .*`, `<cron@hosts.contoso.example> -> root@hosts.contoso.example postmaster@contoso.example "a b"@hosts.contoso.example b@contoso.example`},
		{"a stranger", strangerAddr, completed, `
			C: MAIL FROM:<cron>
			S: 501 5\.1\.7 Invalid address
			C: MAIL FROM:<>
			S: 250 .*
			C: RCPT TO:<root>
			S: 501 5\.1\.3 Invalid address
			C: RCPT TO:<b@contoso.example>
			S: 250 .*`, `<> -> b@contoso.example`},
		{"without a default", loopbackAddr, nil, `
			C: MAIL FROM:<cron>
			S: 501 5\.1\.7 Invalid address
			C: MAIL FROM:<>
			S: 250 .*
			C: RCPT TO:<b@contoso.example>
			S: 250 .*`, `<> -> b@contoso.example`},
		{"a user", strangerAddr, completed, "C: AUTH PLAIN " + b64("\x00kim\x00kim") + `
			S: 235 .*
			C: MAIL FROM:<kim>
			S: 250 .*
			C: RCPT TO:<root>
			S: 250 .*`, `<kim@hosts.contoso.example> -> root@hosts.contoso.example`},
		{"a user who is not that", strangerAddr, completed, "C: AUTH PLAIN " + b64("\x00kim\x00kim") + `
			S: 235 .*
			C: MAIL FROM:<ann>
			S: 550 5\.7\.60 .*
			C: MAIL FROM:<>
			S: 250 .*
			C: RCPT TO:<root@>
			S: 501 5\.1\.3 .*
			C: RCPT TO:<root>
			S: 250 .*`, `<> -> root@hosts.contoso.example`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newAuthBench(t, func(c *config.ReceiveConnector) {
				if tt.from == loopbackAddr {
					c.Grant = []string{"accept_any_recipient"}
				}
				if tt.change != nil {
					tt.change(c)
				}
			})
			withFakes(b, fakes{senders: own{"kim@hosts.contoso.example"}})
			c := b.dial(tt.from)
			c.play("S: 220 .*\nC: EHLO x\nS~ 250-.*\n" + tt.script + "\nC: DATA\nS: 354 .*\nC: .\nS: 250 .*" + quit)
			if got := addresses(b.only().envelope); got != tt.taken {
				t.Errorf("got %s, want %s", got, tt.taken)
			}
		})
	}
}

// newSecureBench is a server that takes senders in two domains with their
// certificate only.
func newSecureBench(t *testing.T) *bench {
	b := newAuthBench(t, func(c *config.ReceiveConnector) {
		c.TLSReceiveDomainSecureList, c.DomainSecureEnabled = []string{"fabrikam.example", "xn--bcher-kva.example"}, true
	})
	s := *b.server.snapshot.Load()
	s.partner = func(p Peer, _ []string) (Identity, error) {
		if p.TLS == nil || len(p.TLS.PeerCertificates) == 0 {
			return Identity{}, nil
		}
		switch name := p.TLS.PeerCertificates[0].Subject.CommonName; name {
		case "mail.fabrikam.example":
			return Identity{Name: name, Senders: own{"bob@fabrikam.example"}}, nil
		case "expired":
			return Identity{}, errors.New("the certificate has expired")
		}
		return Identity{}, nil
	}
	b.server.snapshot.Store(&s)
	return b
}

// secure is a session within TLS with a certificate of that name, or none.
func (b *bench) secure(t *testing.T, name string) *client {
	c := b.dialog(greet + "\nC: STARTTLS\nS: 220 .*")
	cfg := clientTLS()
	if name != "" {
		cfg.Certificates = append(cfg.Certificates, clientCertificate(t, name))
	}
	c.handshakeWith(cfg)
	c.play(again)
	return c
}

// TestDomainSecure: a sender in such a domain needs the certificate.
func TestDomainSecure(t *testing.T) {
	const why = "domain_secure_enabled, and the certificate for fabrikam.example is missing"
	for _, tt := range []struct{ name, certificate, from, want, log string }{
		{"clear text", "-", "bob@Fabrikam.example", `530 5\.7\.0 Must issue a STARTTLS command first`, why + ": the session is in clear text"},
		{"clear text, somebody else", "-", "a@b.example", `250 .*`, ""},
		{"clear text, the null sender", "-", "", `250 .*`, ""},
		{"no certificate", "", "bob@fabrikam.example", `550 5\.7\.1 Senders in this domain need its certificate`, why},
		{"another's certificate", "mail.northwind.example", "bob@fabrikam.example", `550 5\.7\.1 .*`, why},
		{"another's certificate, another domain", "mail.northwind.example", "a@b.example", `250 .*`, ""},
		{"no good certificate", "expired", "bob@fabrikam.example", `454 4\.7\.5 Certificate validation failure`, why + ": the certificate has expired"},
		{"no good certificate, another domain", "expired", "a@b.example", `250 .*`, ""},
		{"the certificate", "mail.fabrikam.example", "bob@fabrikam.example", `250 .*`, ""},
		{"the certificate of the other domain", "mail.fabrikam.example", "a@xn--bcher-kva.example", `550 5\.7\.1 .*`,
			"domain_secure_enabled, and the certificate for xn--bcher-kva.example is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newSecureBench(t)
			logged := protocolLog(t, b)
			var c *client
			if tt.certificate == "-" {
				c = b.dialog(greet)
			} else {
				c = b.secure(t, tt.certificate)
			}
			c.play("C: MAIL FROM:<" + tt.from + ">\nS: " + tt.want)
			if tt.log != "" {
				b.refused(c, logged, strings.ReplaceAll(strings.Fields(tt.want)[1], `\`, ""), tt.log)
				c.play("C: MAIL FROM:<>\nS: 250 .*")
			}
			c.play("C: RCPT TO:<b@contoso.example>\nS: 250 .*" + quit)
		})
	}
	t.Run("as a U-label", func(t *testing.T) {
		b := newSecureBench(t)
		b.dialog(greet + `
			C: MAIL FROM:<a@bücher.example> SMTPUTF8
			S: 530 5\.7\.0 .*` + quit)
	})
	t.Run("switched off", func(t *testing.T) {
		b := newAuthBench(t, func(c *config.ReceiveConnector) { c.TLSReceiveDomainSecureList = []string{"fabrikam.example"} })
		b.dialog(greet + "\nC: MAIL FROM:<bob@fabrikam.example>\nS: 250 .*" + quit)
	})
}
