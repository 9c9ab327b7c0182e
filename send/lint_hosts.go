package send

import (
	"net/netip"

	"postern/config"
	"postern/internal/message"
	"postern/internal/resolver"
)

type warnFunc func(field, remedy, format string, args ...any)

// lintHosts tells which smart hosts, source addresses and DNS servers are never
// used.
func lintHosts(c *config.SendConnector, warn warnFunc) {
	want := families(c)
	left := func(a netip.Addr) bool {
		return want == resolver.OnlyIPv4 && !a.Is4() || want == resolver.OnlyIPv6 && a.Is4()
	}
	for _, a := range c.SourceIPAddress {
		if left(a.Unmap()) {
			warn("source_ip_address", "remove the source address, or change ip_preference",
				"the source address %s is never used: ip_preference = %q leaves its family out", a, c.IPPreference)
		}
	}
	var from sources
	from.init(c)
	names := len(c.SmartHosts) == 0 // by MX, names are always asked for
	for _, h := range c.SmartHosts {
		a, err := netip.ParseAddr(h.Host)
		switch {
		case err != nil:
			names = true
		case left(a.Unmap()):
			warn("smart_hosts", "remove the smart host, or change ip_preference",
				"the smart host %s is never used: ip_preference = %q leaves its family out", h.Host, c.IPPreference)
		case !from.serves(a.Unmap()):
			warn("source_ip_address", "add a source address of the smart host's family, or remove the smart host",
				"the smart host %s is never used: there is no source address of its family", h.Host)
		}
	}
	if len(c.DNSServers) > 0 && !names {
		warn("dns_servers", "take dns_servers out", "dns_servers are never asked: all smart hosts are given by address")
	}
}

// lintMasquerade tells when notifications to a masqueraded sender don't come
// back to this gateway.
func lintMasquerade(cfg *config.Config, c *config.SendConnector, warn warnFunc) {
	if c.MasqueradeDomain == "" {
		return
	}
	for _, a := range cfg.AcceptedDomains {
		if message.DomainKey(a.Domain) == message.DomainKey(c.MasqueradeDomain) {
			return
		}
	}
	if !ourDomains(cfg)(c.MasqueradeDomain) {
		warn("masquerade_domain", "make it an accepted domain, unless another gateway takes its mail",
			"%q is no accepted domain: what next hops send back to its senders is not taken here", c.MasqueradeDomain)
	}
}
