package receive

import (
	"net/netip"
	"strings"
	"testing"

	"postern/config"
)

func TestLint(t *testing.T) {
	stranger := func(c *config.ReceiveConnector) {
		c.Deny = []string{"accept_authoritative_domain_sender"}
	}
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
		{"only IPv6 is open", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("10.0.0.0/8"), ipRange("2000::/3")}
		}}, []string{`receive_connector[0].grant: open relay`}},
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
		{"private networks", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("10.0.0.0/8"), ipRange("192.168.0.0/16"), ipRange("127.0.0.0/8"), ipRange("fd00::/8"), ipRange("::1")}
		}}, nil},
		{"known hosts", []func(*config.ReceiveConnector){func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("203.0.113.5"), ipRange("198.51.100.0/24"), ipRange("2001:db8:1:2::/64")}
		}}, nil},
		{"more hosts than anyone knows", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("198.51.100.0/23")}
		}}, []string{"receive_connector[0].grant: open relay"}},
		{"two halves of it", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("198.51.101.0/24"), ipRange("198.51.100.0/24")}
		}}, []string{`receive_connector[0].grant: open relay: connector "From Internet" grants accept_any_recipient to every session, without authentication, from 198.51.100.0/23`}},
		{"many small ranges", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("198.51.100.0/24"), ipRange("203.0.113.0/24"), ipRange("192.0.2.0/24"), ipRange("192.88.99.0/24"), ipRange("2001:db8::/64")}
		}}, []string{`receive_connector[0].grant: open relay: connector "From Internet" grants accept_any_recipient to every session, without authentication, from 192.0.2.0/24 and other ranges, together 1025 hosts`}},
		{"as many as are known", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("198.51.100.0/24"), ipRange("198.51.100.7"), ipRange("203.0.113.0/24"), ipRange("192.0.2.0/24"), ipRange("192.88.99.0/24")}
		}}, nil},
		{"a range that is private only in part", []func(*config.ReceiveConnector){stranger, func(c *config.ReceiveConnector) {
			c.Grant = []string{"accept_any_recipient"}
			c.RemoteIPRanges = []config.Range{ipRange("10.0.0.0-11.255.255.255")}
		}}, []string{"receive_connector[0].grant: open relay"}},
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
