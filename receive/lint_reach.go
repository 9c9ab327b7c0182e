package receive

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/config"
)

// The ports on which clients expect more than on others.
const (
	portRelay       = 25
	portSubmission  = 587 // RFC 6409 3.1
	portSubmissions = 465 // RFC 8314 7.3
)

// lintFamilies names bindings where every client is refused: none of the
// connectors there has a range of the binding's family.
func lintFamilies(connectors []config.ReceiveConnector, i int, path string) []config.Finding {
	var out []config.Finding
	for k, b := range connectors[i].Bindings {
		v4 := plain(b).Addr().Is4()
		if slices.ContainsFunc(connectors, func(o config.ReceiveConnector) bool {
			_, bound := matchBinding(o.Bindings, plain(b))
			return o.Enabled && bound && slices.ContainsFunc(o.RemoteIPRanges, func(r config.Range) bool { return plainAddr(r.From).Is4() == v4 })
		}) {
			continue
		}
		family, all := "IPv6", "::/0"
		if v4 {
			family, all = "IPv4", "0.0.0.0/0"
		}
		out = append(out, warning(fmt.Sprintf("%s.bindings[%d]", path, k),
			fmt.Sprintf("every client of binding %s is refused: remote_ip_ranges of connector %q has no %s addresses", b, connectors[i].Name, family),
			fmt.Sprintf("add those of its clients to remote_ip_ranges, %q for all, or take the binding out", all)))
	}
	return out
}

// lintClocks names delays that the end of the session overtakes, so that what
// was to come late never comes.
func lintClocks(c *config.ReceiveConnector, path string) []config.Finding {
	if c.ConnectionTimeout <= 0 || c.ConnectionTimeout == config.Unlimited {
		return nil
	}
	var out []config.Finding
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"tarpit_interval", c.TarpitInterval}, {"auth_tarpit_interval", c.AuthTarpitInterval}, {"greeting_delay", c.GreetingDelay},
	} {
		if d.value >= c.ConnectionTimeout {
			out = append(out, warning(path+"."+d.key,
				fmt.Sprintf("%s = %s of connector %q is never over: connection_timeout ends the session after %s", d.key, config.FormatDuration(d.value), c.Name, config.FormatDuration(c.ConnectionTimeout)),
				"write a few seconds"))
		}
	}
	return out
}

// lintHidden notes clients of a connector who get another one when they connect
// to one address of several: a binding to the address itself beats the
// any-address before ranges are looked at.
func lintHidden(connectors []config.ReceiveConnector, i int, path string) []config.Finding {
	c := &connectors[i]
	for j := range connectors {
		o := &connectors[j]
		if i == j || !o.Enabled {
			continue
		}
		for _, at := range o.Bindings {
			mine, ok := matchBinding(c.Bindings, plain(at))
			if !specific(at) || !ok || specific(mine) {
				continue
			}
			for k, r := range c.RemoteIPRanges {
				if plain(at).Addr().IsLoopback() != plainAddr(r.From).IsLoopback() {
					continue // they never meet
				}
				if wide, ok := wider(o.RemoteIPRanges, r); ok {
					return []config.Finding{{
						Severity: config.Note, Path: fmt.Sprintf("%s.remote_ip_ranges[%d]", path, k),
						Message: fmt.Sprintf("clients in %s that connect to %s get connector %q with its range %s, not %q: a binding to the address itself beats %s, whatever the ranges",
							r, at, o.Name, wide, c.Name, mine),
						Remedy: fmt.Sprintf("add %q to the bindings of %q", at.String(), c.Name),
					}}
				}
			}
		}
	}
	return nil
}

// wider finds a range that holds r and others besides.
func wider(ranges []config.Range, r config.Range) (config.Range, bool) {
	from, to := plainAddr(r.From), plainAddr(r.To)
	for _, w := range ranges {
		wf, wt := plainAddr(w.From), plainAddr(w.To)
		if wf.Is4() == from.Is4() && !from.Less(wf) && !wt.Less(to) && (wf != from || wt != to) {
			return w, true
		}
	}
	return config.Range{}, false
}

// lintPorts names ports whose clients begin otherwise than the connector does.
func lintPorts(c *config.ReceiveConnector, path string) []config.Finding {
	for k, b := range c.Bindings {
		switch port := b.Port(); {
		case port == portSubmissions && !c.ImplicitTLS: // RFC 8314 3.3
			return []config.Finding{warning(fmt.Sprintf("%s.bindings[%d]", path, k),
				fmt.Sprintf("clients of port %d begin with TLS, and connector %q waits for clear text", port, c.Name),
				"write implicit_tls = true, or bind another port")}
		case c.ImplicitTLS && (port == portRelay || port == portSubmission):
			return []config.Finding{warning(path+".implicit_tls",
				fmt.Sprintf("clients of port %d begin in clear text, and connector %q waits for TLS", port, c.Name),
				`write implicit_tls = false, or bind port 465`)}
		}
	}
	return nil
}

// lintSubmissionPort names ports for users where strangers may send
// (RFC 6409 4.3).
func lintSubmissionPort(c *config.ReceiveConnector, path, public string) []config.Finding {
	i := slices.IndexFunc(c.Bindings, func(b netip.AddrPort) bool { return b.Port() == portSubmission || b.Port() == portSubmissions })
	if i < 0 || !slices.Contains(c.PermissionGroups, "anonymous") || !RightsOf(c, 0).Has(Submit) {
		return nil
	}
	return []config.Finding{warning(path+".permission_groups",
		fmt.Sprintf("strangers from %s may send on connector %q without authentication, and port %d is for those who log on", public, c.Name, c.Bindings[i].Port()),
		`take "anonymous" out of permission_groups, or bind port 25`)}
}
