package receive

import (
	"net/netip"
	"strings"
	"testing"

	"postern/config"
)

func TestLintProxies(t *testing.T) {
	stranger := func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} }
	from := func(ranges ...string) func(*config.ReceiveConnector) {
		return func(c *config.ReceiveConnector) {
			for _, r := range ranges {
				c.ProxyProtocolFrom = append(c.ProxyProtocolFrom, ipRange(r))
			}
		}
	}
	for _, tt := range []struct {
		name string
		in   []config.ReceiveConnector
		want string
	}{
		{"two proxies", []config.ReceiveConnector{testConnector(stranger, from("10.0.0.5", "10.1.0.0/24"))}, ""},
		{"all the world", []config.ReceiveConnector{testConnector(stranger, from("10.0.0.5", "0.0.0.0/0"))},
			`receive_connector[0].proxy_protocol_from: anybody may forge the client's address: connector "From Internet" believes PROXY headers from 0.0.0.0/0, and`},
		{"half of it", []config.ReceiveConnector{testConnector(stranger, from("2000::/3"))},
			`receive_connector[0].proxy_protocol_from: anybody may forge`},
		{"a private network", []config.ReceiveConnector{testConnector(stranger, from("10.0.0.5", "10.1.0.0/23"))},
			`receive_connector[0].proxy_protocol_from: whoever is in 10.1.0.0/23 may forge the client's address: connector "From Internet"`},
		{"two that adjoin", []config.ReceiveConnector{testConnector(stranger, from("10.1.1.0/24", "10.1.0.0/24"))},
			`receive_connector[0].proxy_protocol_from: whoever is in 10.1.0.0/23 may`},
		{"one network of IPv6", []config.ReceiveConnector{testConnector(stranger, from("2001:db8::/64", "fd00::/64"))}, ""},
		{"more of IPv6", []config.ReceiveConnector{testConnector(stranger, from("fd00::/63"))},
			`receive_connector[0].proxy_protocol_from: whoever is in fd00::/63 may forge`},
		{"this host", []config.ReceiveConnector{testConnector(stranger, from("127.0.0.0/8", "::1"))}, ""},
		{"everybody comes through them", []config.ReceiveConnector{testConnector(stranger, from("10.0.0.5"), func(c *config.ReceiveConnector) {
			c.Bindings = c.Bindings[:1]
			c.RemoteIPRanges = []config.Range{ipRange("0.0.0.0/0"), ipRange("10.0.0.0/24")}
		})}, ""},
		{"a trusted host among them", []config.ReceiveConnector{testConnector(stranger, from("10.1.0.0/24")), trustful("hub", "10.1.0.7")},
			`receive_connector[0].proxy_protocol_from[0]: clients of connector "hub" in 10.1.0.7 can't connect by themselves: from 10.1.0.0/24 only`},
		{"the same range", []config.ReceiveConnector{testConnector(stranger, from("10.0.0.5")), trustful("hub", "10.0.0.5")},
			`receive_connector[0].proxy_protocol_from[0]: clients of connector "hub"`},
		{"overlap in part", []config.ReceiveConnector{testConnector(stranger, from("10.0.0.9", "10.0.0.5-10.0.0.8")), trustful("hub", "10.0.0.7-10.0.0.8"), trustful("x", "10.0.0.1-10.0.0.6")},
			`receive_connector[0].proxy_protocol_from[1]: clients of connector "hub"`},
		{"another binding", []config.ReceiveConnector{testConnector(stranger, from("10.1.0.0/24")), func() config.ReceiveConnector {
			c := trustful("hub", "10.1.0.7")
			c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:26")}
			return c
		}()}, ""},
		{"one binding within the other", []config.ReceiveConnector{testConnector(stranger, from("10.1.0.0/24")), func() config.ReceiveConnector {
			c := trustful("hub", "10.1.0.7")
			c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}
			return c
		}()}, `receive_connector[0].proxy_protocol_from[0]: clients of connector "hub"`},
		{"a proxy brings strangers to loopback", []config.ReceiveConnector{testConnector(from("127.0.0.1"), func(c *config.ReceiveConnector) {
			c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:25")}
			c.Grant = []string{"accept_any_recipient"}
		})}, `receive_connector[0].grant: open relay`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := Lint(&config.Config{ReceiveConnectors: tt.in})
			if tt.want == "" && len(found) == 0 {
				return
			}
			if len(found) != 1 || !strings.HasPrefix(found[0].Path+": "+found[0].Message, tt.want) || tt.want == "" {
				t.Errorf("found %+v, want %q", found, tt.want)
			}
		})
	}
}

func TestSelectNamesTheProxy(t *testing.T) {
	in := []config.ReceiveConnector{trustful("hub", "10.0.0.5"), testConnector(behindProxy)}
	s := Select(in, serverAddr, proxyAddr)
	if s.Proxy != &in[1] || s.Connector != &in[0] {
		t.Errorf("selected %+v", s)
	}
	if s := Select(in, serverAddr, strangerAddr); s.Proxy != nil || s.Connector != &in[1] {
		t.Errorf("selected %+v", s)
	}
	if s := Select(in, netip.MustParseAddrPort("192.0.2.10:26"), proxyAddr); s.Proxy != nil || s.Connector != nil {
		t.Errorf("selected %+v", s)
	}
}
