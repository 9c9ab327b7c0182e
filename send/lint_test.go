package send

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"postern/config"
)

func TestLint(t *testing.T) {
	sound := config.SendConnector{Name: "Internet", FQDN: "out.contoso.example", TLS: config.TLSOpportunistic}
	hub := []config.SmartHost{{Host: "hub.test"}, {Host: "2001:db8::1"}}
	for _, tt := range []struct {
		name   string
		change func(c *config.SendConnector)
		want   string // "severity path", separated by commas
	}{
		{"sound", func(c *config.SendConnector) {}, ""},
		{"the server's fqdn", func(c *config.SendConnector) { c.FQDN = "vm" }, ""},
		{"password over TLS", func(c *config.SendConnector) {
			c.SmartHosts, c.SmartHostAuth.Mechanism, c.TLS = hub, authBasic, config.TLSRequired
			c.TLSAuthLevel, c.TLSDomain = config.DomainValidation, []string{"hub.example"}
		}, ""},
		{"password to whoever answers", func(c *config.SendConnector) {
			c.SmartHosts, c.SmartHostAuth.Mechanism, c.TLS = hub, authBasic+authRequireTLS, config.TLSRequired
		}, "warning send_connector[0].smart_host_auth"},
		{"SCRAM to whoever answers", func(c *config.SendConnector) {
			c.SmartHosts, c.SmartHostAuth.Mechanism, c.TLS = hub, authSCRAM, config.TLSRequired
		}, ""},
		{"unqualified fqdn", func(c *config.SendConnector) { c.FQDN = "edge" }, "warning send_connector[0].fqdn"},
		{"password in clear", func(c *config.SendConnector) { c.SmartHosts, c.SmartHostAuth.Mechanism = hub, authBasic }, "warning send_connector[0].smart_host_auth"},
		{"no source for a smart host", func(c *config.SendConnector) {
			c.SmartHosts, c.SourceIPAddress = hub, []netip.Addr{netip.MustParseAddr("192.0.2.12")}
		}, "warning send_connector[0].source_ip_address"},
		{"a source of a family that is left out", func(c *config.SendConnector) {
			c.IPPreference, c.SourceIPAddress = config.IPv4Only, []netip.Addr{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("2001:db8::12")}
		}, "warning send_connector[0].source_ip_address"},
		{"a smart host of a family that is left out", func(c *config.SendConnector) { c.IPPreference, c.SmartHosts = config.IPv4Only, hub },
			"warning send_connector[0].smart_hosts"},
		{"servers for a smart host by name", func(c *config.SendConnector) {
			c.SmartHosts, c.DNSServers = hub, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}
		}, ""},
		{"servers that nobody asks", func(c *config.SendConnector) {
			c.SmartHosts, c.DNSServers = hub[1:], []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}
		}, "warning send_connector[0].dns_servers"},
		{"masquerade as our own", func(c *config.SendConnector) { c.MasqueradeDomain = "Contoso.example" }, ""},
		{"masquerade below a wildcard", func(c *config.SendConnector) { c.MasqueradeDomain = "mail.sub.example" }, ""},
		{"masquerade as another", func(c *config.SendConnector) { c.MasqueradeDomain = "fabrikam.example" }, "warning send_connector[0].masquerade_domain"},
	} {
		c := sound
		tt.change(&c)
		var got []string
		for _, f := range Lint(&config.Config{Server: config.Server{FQDN: "vm"},
			AcceptedDomains: []config.AcceptedDomain{{Domain: "contoso.example", Type: config.Authoritative}, {Domain: "*.sub.example", Type: config.InternalRelay}}, SendConnectors: []config.SendConnector{c}}) {
			got = append(got, fmt.Sprintf("%s %s", f.Severity, f.Path))
			if f.Remedy == "" || !strings.Contains(f.Message, `"Internet"`) {
				t.Errorf("%s: finding %+v", tt.name, f)
			}
		}
		if strings.Join(got, ",") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
}

func TestCheckSources(t *testing.T) {
	cfg := &config.Config{SendConnectors: []config.SendConnector{{Name: "Internet", SourceIPAddress: []netip.Addr{
		netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.99")}}}}
	got := CheckSources(cfg)
	if len(got) != 1 || got[0].Severity != config.Warning || got[0].Path != "send_connector[0].source_ip_address[1]" {
		t.Errorf("findings %+v", got)
	}
}
