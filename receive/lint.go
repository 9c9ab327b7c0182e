package receive

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/config"
)

// Lint says what is worth knowing about the Receive connectors: who may relay,
// who may send as us, whose word is believed, and which clients don't get the
// connector that was meant for them. All findings are warnings and notes; what a
// configuration can't run with, package config refuses.
func Lint(cfg *config.Config) []config.Finding {
	var out []config.Finding
	backscatter := authoritativeDomains(cfg)
	for i := range cfg.ReceiveConnectors {
		c := &cfg.ReceiveConnectors[i]
		if !c.Enabled {
			continue
		}
		path := fmt.Sprintf("receive_connector[%d]", i)
		out = append(out, lintSubmit(c, path)...)
		out = append(out, lintProxies(cfg.ReceiveConnectors, i, path)...)
		out = append(out, lintFamilies(cfg.ReceiveConnectors, i, path)...)
		out = append(out, lintClocks(c, path)...)
		out = append(out, lintHidden(cfg.ReceiveConnectors, i, path)...)
		out = append(out, lintPorts(c, path)...)
		out = append(out, lintCapabilities(c, path)...)
		proxied := slices.ContainsFunc(cfg.ReceiveConnectors, func(o config.ReceiveConnector) bool {
			return o.Enabled && len(o.ProxyProtocolFrom) > 0 && shareBinding(c, &o)
		})
		if onLoopback(c) && !proxied {
			continue // nobody but this host
		}
		public, ok := publicPart(c.RemoteIPRanges)
		if !ok {
			out = append(out, lintTrust(c, path)...)
			continue
		}
		out = append(out, lintRelay(c, path, public)...)
		out = append(out, lintCertifiedRelay(c, path, public)...)
		out = append(out, lintSenders(c, path, public, cfg.AcceptedDomains)...)
		out = append(out, lintGrants(c, path, public)...)
		out = append(out, lintSubmissionPort(c, path, public)...)
		if f, ok := lintBackscatter(c, backscatter); ok {
			out = append(out, f)
			backscatter = nil // once is enough
		}
	}
	return out
}

func warning(path, message, remedy string) config.Finding {
	return config.Finding{Severity: config.Warning, Path: path, Message: message, Remedy: remedy}
}

// lintSubmit names connectors that take connections and then refuse every MAIL.
func lintSubmit(c *config.ReceiveConnector, path string) []config.Finding {
	if RightsOf(c, 0).Has(Submit) {
		return nil
	}
	message := fmt.Sprintf("nobody may send on connector %q", c.Name)
	switch {
	case rightSet(c.Deny).Has(Submit):
		return []config.Finding{warning(path+".deny", message+": submit stands in deny",
			"take it out, or write enabled = false to close the connector")}
	case offersLogon(c): // package logon knows whether those who do may send
		return nil
	case len(c.PermissionGroups) == 0:
		return []config.Finding{warning(path+".permission_groups", message+": it has no permission_groups",
			`write permission_groups = ["anonymous"] to take mail for accepted domains from strangers, or ["servers"] with "external_authoritative" in auth_mechanism to trust the hosts in remote_ip_ranges`)}
	}
	return []config.Finding{warning(path+".permission_groups",
		fmt.Sprintf("%s: its permission groups (%s) are for clients that authenticate, which auth_mechanism does not offer", message, strings.Join(c.PermissionGroups, ", ")),
		`add "basic" and "basic_require_tls", "scram" or "client_certificate" to auth_mechanism; or "anonymous" to permission_groups`)}
}

// offersLogon reports whether clients can show who they are.
func offersLogon(c *config.ReceiveConnector) bool {
	return hasMechanism(c, mechanismBasic) || hasMechanism(c, "scram") || hasMechanism(c, mechanismCertificate)
}

// lintRelay names the way in which strangers from a public range may relay.
func lintRelay(c *config.ReceiveConnector, path, public string) []config.Finding {
	if !RightsOf(c, 0).Has(Submit | AcceptAnyRecipient) {
		return nil
	}
	if rightSet(c.Grant).Has(AcceptAnyRecipient) {
		return []config.Finding{warning(path+".grant",
			fmt.Sprintf("open relay: connector %q grants accept_any_recipient to every session, without authentication, from %s", c.Name, public),
			"narrow remote_ip_ranges to the hosts that may relay, or take accept_any_recipient out of grant")}
	}
	return []config.Finding{warning(path+".auth_mechanism",
		fmt.Sprintf("open relay: connector %q trusts every host from %s as one of our servers (external_authoritative with permission group servers), which may relay, send as us, and skip filters and size limits", c.Name, public),
		"narrow remote_ip_ranges to our own servers, or take external_authoritative out of auth_mechanism")}
}

// lintSenders names connectors where strangers from a public range may send as
// us. Those who are taken for our servers may do more, of which lintRelay tells.
func lintSenders(c *config.ReceiveConnector, path, public string, domains []config.AcceptedDomain) []config.Finding {
	trusted := RightsOf(c, 0).Has(AcceptAnyRecipient) && !rightSet(c.Grant).Has(AcceptAnyRecipient)
	if trusted || !RightsOf(c, 0).Has(Submit|AcceptAnySender|AcceptAuthoritativeDomainSender) {
		return nil
	}
	for _, d := range domains {
		if d.Type == config.ExternalRelay {
			continue
		}
		return []config.Finding{warning(path+".deny",
			fmt.Sprintf("strangers may send as us: on connector %q anyone from %s may use senders in %s without authentication", c.Name, public, d.Domain),
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
// /64 networks. All ranges of a connector together may hold four times that.
const (
	maxHosts    = 256
	maxAllHosts = 4 * maxHosts
)

// onLoopback reports whether nobody but this host can connect. A proxy on it
// may bring strangers all the same.
func onLoopback(c *config.ReceiveConnector) bool {
	return len(c.Bindings) > 0 && !slices.ContainsFunc(c.Bindings, func(b netip.AddrPort) bool {
		return !b.Addr().Unmap().IsLoopback()
	})
}

// publicPart describes the part of some ranges that holds strangers: public
// addresses, and more than an administrator would know one by one.
func publicPart(of []config.Range) (text string, ok bool) {
	ranges, all := publicRanges(of), 0
	for _, r := range ranges {
		n, known := hosts(r)
		if !known {
			return r.String(), true
		}
		all += n
	}
	if all <= maxAllHosts {
		return "", false
	}
	return fmt.Sprintf("%s and other ranges, together %d hosts", ranges[0], all), true
}

// publicRanges lists those ranges that are not private, with those that overlap
// or adjoin each other as one.
func publicRanges(of []config.Range) []config.Range {
	return merge(slices.DeleteFunc(slices.Clone(of), private))
}

// merge makes ranges that overlap or adjoin each other one.
func merge(of []config.Range) []config.Range {
	var ranges []config.Range
	for _, r := range of {
		ranges = append(ranges, config.Range{From: plainAddr(r.From), To: plainAddr(r.To)})
	}
	slices.SortFunc(ranges, func(a, b config.Range) int { return a.From.Compare(b.From) })
	var merged []config.Range
	for _, r := range ranges {
		if n := len(merged); n > 0 && (r.From.Compare(merged[n-1].To) <= 0 || r.From == merged[n-1].To.Next()) {
			if merged[n-1].To.Less(r.To) {
				merged[n-1].To = r.To
			}
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

func private(r config.Range) bool {
	for _, p := range privateRanges {
		if p.Contains(plainAddr(r.From)) && p.Contains(plainAddr(r.To)) {
			return true
		}
	}
	return false
}

// hosts counts a range, unless it is larger than any that is known host by
// host.
func hosts(r config.Range) (n int, known bool) {
	size, last := span(r), 15
	if r.From.Is6() {
		last = 7 // its /64 networks
	}
	for _, b := range size[:last] {
		if b != 0 {
			return 0, false
		}
	}
	return int(size[last]) + 1, true
}
