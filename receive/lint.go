package receive

import (
	"fmt"
	"net/netip"

	"postern/config"
)

// Lint says what is worth knowing about the Receive connectors: who may relay
// and who may send as us. All findings are warnings; what a configuration can't
// run with, package config refuses.
func Lint(cfg *config.Config) []config.Finding {
	var out []config.Finding
	for i := range cfg.ReceiveConnectors {
		c := &cfg.ReceiveConnectors[i]
		if !c.Enabled {
			continue
		}
		path := fmt.Sprintf("receive_connector[%d]", i)
		out = append(out, lintRelay(c, path)...)
		out = append(out, lintSenders(c, path, cfg.AcceptedDomains)...)
	}
	return out
}

func warning(path, message, remedy string) config.Finding {
	return config.Finding{Severity: config.Warning, Path: path, Message: message, Remedy: remedy}
}

// lintRelay names the way in which strangers may relay.
func lintRelay(c *config.ReceiveConnector, path string) []config.Finding {
	public, ok := publicRange(c)
	if !ok || !RightsOf(c, 0).Has(Submit|AcceptAnyRecipient) {
		return nil
	}
	if rightSet(c.Grant).Has(AcceptAnyRecipient) {
		return []config.Finding{warning(path+".grant",
			fmt.Sprintf("open relay: connector %q grants accept_any_recipient to every session, without authentication, from %s", c.Name, rangeText(public)),
			"narrow remote_ip_ranges to the hosts that may relay, or take accept_any_recipient out of grant")}
	}
	return []config.Finding{warning(path+".auth_mechanism",
		fmt.Sprintf("open relay: connector %q trusts every host from %s as one of our servers (external_authoritative with permission group servers), which may relay, skips filters and size limits", c.Name, rangeText(public)),
		"narrow remote_ip_ranges to our own servers, or take external_authoritative out of auth_mechanism")}
}

// lintSenders names connectors where strangers may send as us.
func lintSenders(c *config.ReceiveConnector, path string, domains []config.AcceptedDomain) []config.Finding {
	public, ok := publicRange(c)
	if !ok || !RightsOf(c, 0).Has(Submit|AcceptAnySender|AcceptAuthoritativeDomainSender) {
		return nil
	}
	for _, d := range domains {
		if d.Type == config.ExternalRelay {
			continue
		}
		return []config.Finding{warning(path+".deny",
			fmt.Sprintf("strangers may send as us: on connector %q anyone from %s may use senders in %s without authentication", c.Name, rangeText(public), d.Domain),
			`add deny = ["accept_authoritative_domain_sender"], unless our own servers send through this connector`)}
	}
	return nil
}

// privateRanges are the addresses that strangers don't have: loopback, RFC
// 1918, RFC 4193, link-local.
var privateRanges = [...]netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

// maxHosts is how many public addresses a range may hold and still be a list
// of known hosts: a /24 of IPv4. A range of public IPv6 addresses counts by its
// /64 networks.
const maxHosts = 256

// publicRange returns a range of the connector that holds strangers: public
// addresses, and more than an administrator would know one by one. A connector
// that only listens on loopback has none.
func publicRange(c *config.ReceiveConnector) (config.Range, bool) {
	loopback := len(c.Bindings) > 0
	for _, b := range c.Bindings {
		loopback = loopback && b.Addr().Unmap().IsLoopback()
	}
	if loopback {
		return config.Range{}, false
	}
	for _, r := range c.RemoteIPRanges {
		if r := (config.Range{From: plainAddr(r.From), To: plainAddr(r.To)}); !private(r) && !few(r) {
			return r, true
		}
	}
	return config.Range{}, false
}

func private(r config.Range) bool {
	for _, p := range privateRanges {
		if p.Contains(r.From) && p.Contains(r.To) {
			return true
		}
	}
	return false
}

func few(r config.Range) bool {
	n := span(r)
	if r.From.Is6() {
		for _, b := range n[:7] {
			if b != 0 {
				return false
			}
		}
		return true
	}
	for _, b := range n[:15] {
		if b != 0 {
			return false
		}
	}
	return int(n[15]) < maxHosts
}
