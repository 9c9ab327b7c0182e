package receive

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// ranges serves these clients, at the bindings of their families.
func ranges(of ...string) func(*config.ReceiveConnector) {
	return func(c *config.ReceiveConnector) {
		c.RemoteIPRanges = nil
		families := map[bool]bool{}
		for _, r := range of {
			c.RemoteIPRanges = append(c.RemoteIPRanges, ipRange(r))
			families[ipRange(r).From.Is4()] = true
		}
		c.Bindings = slices.DeleteFunc(slices.Clone(c.Bindings), func(b netip.AddrPort) bool { return !families[b.Addr().Is4()] })
	}
}

// bindings listens there instead.
func bindings(at ...string) func(*config.ReceiveConnector) {
	return func(c *config.ReceiveConnector) {
		c.Bindings = nil
		for _, b := range at {
			c.Bindings = append(c.Bindings, netip.MustParseAddrPort(b))
		}
	}
}

func TestLint(t *testing.T) {
	stranger := func(c *config.ReceiveConnector) {
		c.Deny = []string{"accept_authoritative_domain_sender"}
	}
	relays := func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }
	for _, tt := range []struct {
		name   string
		change []func(*config.ReceiveConnector)
		want   []string // path: part of the message
	}{
		{"a good Internet connector", []func(*config.ReceiveConnector){stranger}, nil},
		{"strangers send as us", nil, []string{`receive_connector[0].deny: strangers may send as us`}},
		{"open relay by grant", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
		}}, []string{`receive_connector[0].grant: open relay: connector "From Internet" grants accept_any_recipient to every session, without authentication, from 0.0.0.0/0`}},
		{"open relay by trust", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.AuthMechanism = []string{"servers"}, []string{"external_authoritative"}
		}}, []string{`receive_connector[0].auth_mechanism: open relay: connector "From Internet" trusts every host from 0.0.0.0/0 as one of our servers`}},
		{"only IPv6 is open", []func(*config.ReceiveConnector){stranger, relays, ranges("10.0.0.0/8", "2000::/3")}, []string{`receive_connector[0].grant: open relay`}},
		{"deny closes it", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.Grant, c.Deny = []string{"accept_any_recipient"}, []string{"accept_any_recipient", "accept_authoritative_domain_sender"}
		}}, nil},
		{"nobody may submit", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.Grant = nil, []string{"accept_any_recipient"}
		}}, []string{`receive_connector[0].permission_groups: nobody may send on connector "From Internet": it has no permission_groups`}},
		{"submit is granted", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.Grant = nil, []string{"submit", "accept_any_sender"}
		}}, nil},
		{"submit is denied", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.Deny = []string{"submit"}
		}}, []string{`receive_connector[0].deny: nobody may send on connector "From Internet": submit stands in deny`}},
		{"groups that must authenticate", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.PermissionGroups = []string{"users", "servers"}
		}}, []string{`receive_connector[0].permission_groups: nobody may send on connector "From Internet": its permission groups (users, servers) are`}},
		{"private networks", []func(*config.ReceiveConnector){relays, ranges("10.0.0.0/8", "192.168.0.0/16", "127.0.0.0/8", "fd00::/8", "::1")}, []string{
			`receive_connector[0].remote_ip_ranges: every host in 10.0.0.0/8 may relay without authentication`}},
		{"a private network that is known", []func(*config.ReceiveConnector){relays, ranges("10.0.0.0/24", "192.168.7.0/24", "127.0.0.0/8", "fd00:0:0:1::/64", "::1")}, nil},
		{"a private network by trust", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.AuthMechanism = []string{"servers"}, []string{"external_authoritative"}
		}, ranges("10.0.0.0/24", "10.0.1.0/24")}, []string{
			`receive_connector[0].remote_ip_ranges: every host in 10.0.0.0/23 may relay without authentication, and whoever comes through a NAT or a load balancer there: connector "From Internet" trusts every host there as one of our servers`}},
		{"a private network of strangers", []func(*config.ReceiveConnector){ranges("10.0.0.0/8")}, nil},
		{"known hosts", []func(*config.ReceiveConnector){relays, ranges("203.0.113.5", "198.51.100.0/24", "2001:db8:1:2::/64")}, nil},
		{"more hosts than anyone knows", []func(*config.ReceiveConnector){stranger, relays, ranges("198.51.100.0/23")}, []string{"receive_connector[0].grant: open relay"}},
		{"two halves of it", []func(*config.ReceiveConnector){stranger, relays, ranges("198.51.101.0/24", "198.51.100.0/24")}, []string{`receive_connector[0].grant: open relay: connector "From Internet" grants accept_any_recipient to every session, without authentication, from 198.51.100.0/23`}},
		{"many small ranges", []func(*config.ReceiveConnector){stranger, relays, ranges("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "192.88.99.0/24", "2001:db8::/64")}, []string{`receive_connector[0].grant: open relay: connector "From Internet" grants accept_any_recipient to every session, without authentication, from 192.0.2.0/24 and other ranges, together 1025 hosts`}},
		{"as many as are known", []func(*config.ReceiveConnector){stranger, relays, ranges("198.51.100.0/24", "198.51.100.7", "203.0.113.0/24", "192.0.2.0/24", "192.88.99.0/24")}, nil},
		{"a range that is private only in part", []func(*config.ReceiveConnector){stranger, relays, ranges("10.0.0.0-11.255.255.255")}, []string{"receive_connector[0].grant: open relay"}},
		{"only loopback is bound", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:25")}
		}}, nil},
		{"disabled", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.Grant, c.Enabled = []string{"accept_any_recipient"}, false
		}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &config.Config{
				ReceiveConnectors: []config.ReceiveConnector{testConnector(tt.change...)},
				AcceptedDomains:   []config.AcceptedDomain{{Domain: "external.example", Type: config.ExternalRelay}, {Domain: "contoso.example", Type: config.InternalRelay}},
			}
			found := Lint(cfg)
			if len(found) != len(tt.want) {
				t.Fatalf("found %+v, want %q", found, tt.want)
			}
			for i, f := range found {
				if s := f.Path + ": " + f.Message; !strings.HasPrefix(s, tt.want[i]) || f.Severity != config.Warning || f.Remedy == "" {
					t.Errorf("found %+v, want %q", f, tt.want[i])
				}
			}
		})
	}
}

// TestLintTraps: what looks right and is not, and what looks so and is right.
func TestLintTraps(t *testing.T) {
	stranger := func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} }
	hub := func(at ...string) config.ReceiveConnector {
		return testConnector(func(c *config.ReceiveConnector) {
			c.Name, c.PermissionGroups, c.AuthMechanism = "hub", []string{"servers"}, []string{"external_authoritative"}
		}, ranges("10.0.0.11"), bindings(at...))
	}
	grants := func(rights ...string) func(*config.ReceiveConnector) {
		return func(c *config.ReceiveConnector) { c.Grant = rights }
	}
	for _, tt := range []struct {
		name       string
		domain     config.DomainType
		connectors []config.ReceiveConnector
		want       []string // severity, path and part of the message
	}{
		{"no trap", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger), hub("0.0.0.0:25")}, nil},
		{"two connectors for strangers to an authoritative domain", config.Authoritative,
			[]config.ReceiveConnector{testConnector(stranger, bindings("192.0.2.10:25")), testConnector(stranger, bindings("192.0.2.11:25"))},
			[]string{"note accepted_domain[0].type: backscatter: strangers may write"}},
		{"known hosts to an authoritative domain", config.Authoritative, []config.ReceiveConnector{testConnector(ranges("192.0.2.0/24")), hub("0.0.0.0:25")}, nil},
		{"partners to an authoritative domain", config.Authoritative, []config.ReceiveConnector{testConnector(stranger, func(c *config.ReceiveConnector) { c.Deny = append(c.Deny, "accept_any_sender") })}, nil},
		{"the address itself beats the range", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("192.0.2.10:25")), hub("0.0.0.0:25")},
			[]string{`note receive_connector[1].remote_ip_ranges[0]: clients in 10.0.0.11 that connect to 192.0.2.10:25 get connector "From Internet" with its range 0.0.0.0/0, not "hub"`}},
		{"both have the address", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("192.0.2.10:25")), hub("0.0.0.0:25", "192.0.2.10:25")}, nil},
		{"another port of the address", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("192.0.2.10:26")), hub("0.0.0.0:25")}, nil},
		{"another family", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("[2001:db8::1]:25")), hub("0.0.0.0:25")}, nil},
		{"an address of loopback", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("127.0.0.1:25")), hub("0.0.0.0:25")}, nil},
		{"programs of this host at an address of loopback", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("127.0.0.1:25")),
			testConnector(func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }, ranges("127.0.0.1"), bindings("0.0.0.0:25"))},
			[]string{`note receive_connector[1].remote_ip_ranges[0]: clients in 127.0.0.1 that connect to 127.0.0.1:25 get connector "From Internet"`}},
		{"the address for everybody", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("192.0.2.10:25")), testConnector(stranger, bindings("0.0.0.0:25"))}, nil},
		{"an address that is closed", config.InternalRelay, []config.ReceiveConnector{
			testConnector(stranger, bindings("192.0.2.10:25"), func(c *config.ReceiveConnector) { c.Enabled = false }), hub("0.0.0.0:25")}, nil},
		{"a family that nobody serves", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, ranges("0.0.0.0/0"), bindings("0.0.0.0:25", "[::]:25"))},
			[]string{`warning receive_connector[0].bindings[1]: every client of binding [::]:25 is refused: remote_ip_ranges of connector "From Internet" has no IPv6 addresses`}},
		{"a family that another connector serves", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, ranges("0.0.0.0/0"), bindings("0.0.0.0:25", "[::1]:25")), testConnector(stranger, bindings("[::]:25"))}, nil},
		{"delays beyond the session", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, func(c *config.ReceiveConnector) {
			c.ConnectionTimeout, c.TarpitInterval, c.AuthTarpitInterval, c.GreetingDelay = time.Minute, time.Minute, 59*time.Second, 2*time.Minute
		})}, []string{
			`warning receive_connector[0].tarpit_interval: tarpit_interval = 1m of connector "From Internet" is never over: connection_timeout ends the session after 1m`,
			`warning receive_connector[0].greeting_delay: greeting_delay = 2m`}},
		{"465 in clear text", config.InternalRelay, []config.ReceiveConnector{testConnector(bindings("192.0.2.10:2465", "192.0.2.10:465"), ranges("192.0.2.0/24"))},
			[]string{"warning receive_connector[0].bindings[1]: clients of port 465 begin with TLS"}},
		{"25 within TLS", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, func(c *config.ReceiveConnector) { c.ImplicitTLS = true })},
			[]string{"warning receive_connector[0].implicit_tls: clients of port 25 begin in clear text"}},
		{"strangers on 587", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("192.0.2.10:587"))},
			[]string{`warning receive_connector[0].permission_groups: strangers from 0.0.0.0/0 may send on connector "From Internet" without authentication, and port 587`}},
		{"known hosts on 587", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, bindings("192.0.2.10:587"), ranges("192.0.2.0/24"))}, nil},
		{"rights for strangers", config.InternalRelay, []config.ReceiveConnector{testConnector(stranger, grants("submit", "bypass_anti_spam", "accept_headers_organization"))},
			[]string{"warning receive_connector[0].grant[1]: connector \"From Internet\" grants bypass_anti_spam to strangers", "warning receive_connector[0].grant[2]: "}},
		{"rights for known hosts", config.InternalRelay, []config.ReceiveConnector{testConnector(grants("bypass_anti_spam"), ranges("192.0.2.0/24"))}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &config.Config{ReceiveConnectors: tt.connectors, AcceptedDomains: []config.AcceptedDomain{{Domain: "contoso.example", Type: tt.domain}}}
			found := Lint(cfg)
			if len(found) != len(tt.want) {
				t.Fatalf("found %+v, want %q", found, tt.want)
			}
			for i, f := range found {
				if s := f.Severity.String() + " " + f.Path + ": " + f.Message; !strings.HasPrefix(s, tt.want[i]) || f.Remedy == "" {
					t.Errorf("found %+v, want %q", f, tt.want[i])
				}
			}
			cfg.RemoteDomains = []config.RemoteDomain{{Domain: "*", NDREnabled: true}, {Domain: "*", NDREnabled: false}}
			if strings.Contains(fmt.Sprint(Lint(cfg)), "backscatter") {
				t.Error("backscatter where nothing is returned to strangers")
			}
		})
	}
}
