package receive

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"postern/config"
)

func explained(t *testing.T, c config.ReceiveConnector) Explanation {
	t.Helper()
	cfg := &config.Config{ReceiveConnectors: []config.ReceiveConnector{c}}
	for name, kind := range testDomains {
		cfg.AcceptedDomains = append(cfg.AcceptedDomains, config.AcceptedDomain{Domain: name, Type: kind})
	}
	return Explain(cfg, serverAddr, strangerAddr)
}

// TestExplain: what is said of a stranger is what a session finds.
func TestExplain(t *testing.T) {
	all := []string{"contoso.example", "external.example", "internal.example"}
	for _, tt := range []struct {
		name                       string
		change                     func(*config.ReceiveConnector)
		recipients, sendsAs        []string
		submits, relays, anySender bool
	}{
		{"anonymous", nil, all, all, true, false, true},
		{"not as us", func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} }, all, []string{"external.example"}, true, false, true},
		{"relay", func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }, nil, all, true, true, true},
		{"trusted by address", func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.AuthMechanism = []string{"servers"}, []string{"external_authoritative"}
		}, nil, all, true, true, true},
		{"users alone", func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"users"} }, nil, nil, false, false, false},
		{"no sender but <>", func(c *config.ReceiveConnector) { c.Deny = []string{"accept_any_sender"} }, all, nil, true, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConnector()
			if tt.change != nil {
				tt.change(&c)
			}
			s := explained(t, c).Stranger
			if !slices.Equal(s.Recipients, tt.recipients) || !slices.Equal(s.SendsAs, tt.sendsAs) ||
				s.Rights.Has(Submit) != tt.submits || s.Relays != tt.relays || s.AnySender != tt.anySender {
				t.Errorf("%+v", s)
			}
			b := newBench(t, c)
			reply := func(command string) bool {
				x := b.dialog(greet)
				defer x.close()
				for _, line := range strings.Split(command, "\n") {
					x.send(line + "\r\n")
					if !strings.HasPrefix(x.reply(), "250") {
						return false
					}
				}
				return true
			}
			for _, d := range all {
				if got, want := reply("MAIL FROM:<a@"+d+">"), slices.Contains(tt.sendsAs, d); got != want {
					t.Errorf("sends as %s: %v, explained %v", d, got, want)
				}
				if got, want := reply("MAIL FROM:<>\nRCPT TO:<a@"+d+">"), tt.relays || slices.Contains(tt.recipients, d); got != want {
					t.Errorf("sends to %s: %v, explained %v", d, got, want)
				}
			}
			if got := reply("MAIL FROM:<>\nRCPT TO:<a@elsewhere.example>"); got != tt.relays {
				t.Errorf("relays: %v, explained %v", got, tt.relays)
			}
			if got := reply("MAIL FROM:<a@elsewhere.example>"); got != tt.anySender {
				t.Errorf("any sender: %v, explained %v", got, tt.anySender)
			}
		})
	}
}

func TestExplainProven(t *testing.T) {
	e := explained(t, testConnector(func(c *config.ReceiveConnector) {
		c.PermissionGroups = []string{"anonymous", "users", "partners", "servers"}
		c.AuthMechanism = []string{"tls", "basic", "basic_require_tls", "scram", "client_certificate"}
	}))
	var got []string
	for _, s := range e.Proven {
		got = append(got, s.Group+":"+strings.Join(s.Groups, "+"))
	}
	if !slices.Equal(got, []string{"users:users", "partners:partners"}) || !e.Proven[0].Relays || e.Proven[1].Relays {
		t.Errorf("proven: %v", got)
	}
	if len(e.Auth) != 3 || !e.Auth[0].NeedsTLS || e.Auth[1].NeedsTLS || !e.Auth[2].NeedsCertificate {
		t.Errorf("AUTH: %+v", e.Auth)
	}
	// Without a mechanism nobody can prove anything.
	e = explained(t, testConnector(func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"anonymous", "users", "partners"} }))
	if len(e.Proven) != 0 || len(e.Auth) != 0 {
		t.Errorf("%+v", e)
	}
}

// TestExplainNobody: where a connector listens that does not serve the client
// there is a reply, where none listens the host refuses the connection.
func TestExplainNobody(t *testing.T) {
	for _, tt := range []struct{ local, reply, by string }{
		{"192.0.2.10:25", "421 4.3.2 Service not available", "remote_ip_ranges"},
		{"192.0.2.10:26", "", "binding"},
	} {
		c := testConnector(func(c *config.ReceiveConnector) {
			c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:25")}
			c.RemoteIPRanges = []config.Range{{From: netip.MustParseAddr("10.0.0.1"), To: netip.MustParseAddr("10.0.0.1")}}
		})
		e := Explain(&config.Config{ReceiveConnectors: []config.ReceiveConnector{c}}, netip.MustParseAddrPort(tt.local), strangerAddr)
		if e.Connector != nil || e.Reply != tt.reply || e.Stranger.Rights != 0 || e.Candidates[0].EliminatedBy != tt.by {
			t.Errorf("%s: %+v", tt.local, e)
		}
	}
}

// TestExplainExceptions: domains and addresses for authenticated senders, and
// senders that a certificate must prove.
func TestExplainExceptions(t *testing.T) {
	c := testConnector(func(c *config.ReceiveConnector) {
		c.PermissionGroups = []string{"anonymous", "users", "partners"}
		c.AuthMechanism = []string{"tls", "basic", "client_certificate"}
		c.DomainSecureEnabled, c.TLSReceiveDomainSecureList = true, []string{"fabrikam.example"}
	})
	cfg := &config.Config{ReceiveConnectors: []config.ReceiveConnector{c}, AcceptedDomains: []config.AcceptedDomain{
		{Domain: "intern.example", RequireSenderAuthentication: true},
		{Domain: "contoso.example", RequireSenderAuthenticationFor: []string{"all@contoso.example"}},
	}}
	e := Explain(cfg, serverAddr, strangerAddr)
	text := func(s Standing) string {
		return s.Group + ": not to " + strings.Join(s.NotTo, " ") + ", not as " + strings.Join(s.NotAs, " ")
	}
	got := []string{text(e.Stranger)}
	for _, p := range e.Proven {
		got = append(got, text(p))
	}
	want := []string{": not to all@contoso.example intern.example, not as fabrikam.example", "users: not to , not as fabrikam.example",
		"partners: not to all@contoso.example intern.example, not as "}
	if !slices.Equal(got, want) {
		t.Errorf("explained\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	cfg.ReceiveConnectors[0].PermissionGroups, cfg.ReceiveConnectors[0].AuthMechanism = []string{"servers"}, []string{"external_authoritative"}
	if s := Explain(cfg, serverAddr, strangerAddr).Stranger; len(s.NotTo) > 0 || !s.Relays {
		t.Errorf("our servers: %+v", s)
	}
}
