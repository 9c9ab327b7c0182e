package receive

import (
	"net/netip"
	"strings"
	"testing"

	"postern/config"
)

func TestRightsOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		proven Principals
		want   string
	}{
		{"anonymous", nil, 0, "submit accept_any_sender accept_authoritative_domain_sender accept_headers_routing"},
		{"nobody", func(c *config.ReceiveConnector) { c.PermissionGroups = nil }, 0, "none"},
		{"a user where only strangers may", nil, Users, "none"},
		{"a user", func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"users"} }, Users,
			"submit accept_any_recipient bypass_anti_spam accept_headers_routing"},
		{"a user is no stranger", func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"users", "anonymous"} }, Users,
			"submit accept_any_recipient bypass_anti_spam accept_headers_routing"},
		{"a partner", func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"partners"} }, Partners,
			"submit accept_headers_routing"},
		{"a server by authentication", func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"servers"} }, Servers,
			strings.Join(rightNames[:], " ")},
		{"a server by address", func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.AuthMechanism = []string{"servers"}, []string{"tls", "external_authoritative"}
		}, 0, strings.Join(rightNames[:8], " ")},
		{"no server by address without the mechanism", func(c *config.ReceiveConnector) {
			c.PermissionGroups = []string{"servers"}
		}, 0, "none"},
		{"grant", func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.Grant = nil, []string{"submit", "accept_any_recipient"}
		}, 0, "submit accept_any_recipient"},
		{"deny beats grant", func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.Grant = nil, []string{"submit", "accept_any_recipient"}
			c.Deny = []string{"accept_any_recipient", "bypass_anti_spam"}
		}, 0, "submit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConnector()
			if tt.change != nil {
				tt.change(&c)
			}
			if got := RightsOf(&c, tt.proven).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := ParseRight("submitt"); err == nil {
		t.Error("an unknown right is known")
	}
	for i, n := range rightNames {
		if r, err := ParseRight(n); err != nil || r != 1<<i || r >= rightsEnd {
			t.Errorf("ParseRight(%s) = %d, %v", n, r, err)
		}
	}
}

// TestRecipients asks for one recipient after another from a stranger.
func TestRecipients(t *testing.T) {
	const denied = "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"
	const trick = "550 5.7.1 Unable to relay: the local part names another host"
	for _, tt := range []struct{ path, want string }{
		{"b@contoso.example", "b@contoso.example"},
		{"b@Contoso.Example", "b@Contoso.Example"},
		{"b@internal.example", "b@internal.example"},
		{"b@external.example", "b@external.example"},
		{"b@elsewhere.example", denied},
		{"b@sub.contoso.example", denied},
		{"b@[198.51.100.1]", denied},
		{"b@[192.0.2.10]", "b@contoso.example rfc822;b@[192.0.2.10]"}, // the local end
		{"b@[192.0.2.11]", "b@contoso.example rfc822;b@[192.0.2.11]"}, // another binding
		{"b@[IPv6:2001:db8::25]", "b@contoso.example rfc822;b@[IPv6:2001:db8::25]"},
		{"b@[IPv6:::ffff:192.0.2.10]", "b@contoso.example rfc822;b@[IPv6:::ffff:192.0.2.10]"},
		{"postmaster", "postmaster@contoso.example"},
		{"PostMaster", "PostMaster@contoso.example"},
		{"postmaster@[192.0.2.10]", "postmaster@contoso.example rfc822;postmaster@[192.0.2.10]"},
		{"postmaster@elsewhere.example", denied},
		{"x%elsewhere.example@contoso.example", trick},
		{"elsewhere.example!x@contoso.example", trick},
		{`"x@elsewhere.example"@contoso.example`, trick},
		{"x%elsewhere.example@[192.0.2.10]", trick},
		{"x%elsewhere.example@elsewhere.example", trick},
		{`"with space"@contoso.example`, `"with space"@contoso.example`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			b := newBench(t, testConnector(), testConnector(func(c *config.ReceiveConnector) {
				c.Name = "other"
				c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.11:25"), netip.MustParseAddrPort("[2001:db8::25]:25")}
			}))
			c := b.dialog(greet + `
				C: MAIL FROM:<>
				S: 250 .*`)
			c.send("RCPT TO:<" + tt.path + ">\r\n")
			got := c.reply()
			if strings.HasPrefix(got, "250 ") {
				c.play("C: DATA\nS: 354 .*\nC: .\nS: 250 .*")
				r := b.only().envelope.Recipients[0]
				got = strings.TrimSpace(r.Address.String() + " " + r.ORcpt)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// noDomains has no accepted domain.
type noDomains struct{}

func (noDomains) Accepted(string) (config.AcceptedDomain, bool) {
	return config.AcceptedDomain{}, false
}
func (noDomains) DefaultDomain() string { return "edge.contoso.example" }

func TestPostmasterIsAlwaysTaken(t *testing.T) {
	b := newBench(t)
	b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{testConnector()}, Domains: noDomains{}}))
	b.dialog(greet + `
		C: MAIL FROM:<>
		S: 250 .*
		C: RCPT TO:<b@[192.0.2.10]>
		S: 550 5\.7\.54 .*
		C: RCPT TO:<b@edge.contoso.example>
		S: 550 5\.7\.54 .*
		C: RCPT TO:<Postmaster>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: .
		S: 250 .*`)
	if got, want := addresses(b.only().envelope), "<> -> Postmaster@edge.contoso.example"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRelayWithTheRight(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }))
	b.dialog(greet + `
		C: MAIL FROM:<a@b.example>
		S: 250 .*
		C: RCPT TO:<x%y@elsewhere.example>
		S: 250 .*
		C: RCPT TO:<x@[203.0.113.5]>
		S: 250 .*`)
}

func TestSenders(t *testing.T) {
	const denied = `550 5\.7\.1 Anonymous client does not have permissions to send as this sender`
	for _, tt := range []struct {
		name, deny, from, want string
	}{
		{"ours, by default", "", "a@contoso.example", "250 .*"},
		{"ours", "accept_authoritative_domain_sender", "a@contoso.example", denied},
		{"ours, in capitals", "accept_authoritative_domain_sender", "a@CONTOSO.example", denied},
		{"ours, internal relay", "accept_authoritative_domain_sender", "a@internal.example", denied},
		{"not ours, external relay", "accept_authoritative_domain_sender", "a@external.example", "250 .*"},
		{"not ours", "accept_authoritative_domain_sender", "a@stranger.example", "250 .*"},
		{"ours, by our address", "accept_authoritative_domain_sender", "a@[192.0.2.10]", denied},
		{"ours, by our address in another form", "accept_authoritative_domain_sender", "a@[IPv6:::ffff:192.0.2.10]", denied},
		{"another's address", "accept_authoritative_domain_sender", "a@[198.51.100.7]", "250 .*"},
		{"null", "accept_authoritative_domain_sender", "", "250 .*"},
		{"nobody proven", "accept_any_sender", "a@stranger.example", denied},
		{"null when nobody is proven", "accept_any_sender", "", "250 .*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
				if tt.deny != "" {
					c.Deny = []string{tt.deny}
				}
			}))
			b.dialog(greet + `
				C: MAIL FROM:<` + tt.from + `>
				S: ` + tt.want)
		})
	}
}

func TestSizeLimitCanBeBypassed(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.MaxMessageSize = 10
		c.Grant = []string{"bypass_message_size_limit"}
	}))
	b.dialog(`
		S: 220 .*
		C: EHLO client.example
		S~ .*\n250-SIZE\n.*
		C: MAIL FROM:<> SIZE=11
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: 01234567890123456789
		C: .
		S: 250 .*`)
}
