package receive

import (
	"fmt"
	"net/netip"
	"slices"

	"postern/config"
)

// lintProxies names proxies that anybody could be, and clients that can't come
// by themselves any more because they stand among the proxies.
func lintProxies(connectors []config.ReceiveConnector, i int, path string) []config.Finding {
	c := &connectors[i]
	if len(c.ProxyProtocolFrom) == 0 {
		return nil
	}
	path += ".proxy_protocol_from"
	if public, ok := publicPart(c.ProxyProtocolFrom); ok && !onLoopback(c) {
		return []config.Finding{warning(path,
			fmt.Sprintf("anybody may forge the client's address: connector %q believes PROXY headers from %s, and with them any address, those of our own servers too", c.Name, public),
			"name the addresses of the proxies alone")}
	}
	var out []config.Finding
	if wide, ok := wideRange(c.ProxyProtocolFrom); ok && !onLoopback(c) {
		out = append(out, warning(path,
			fmt.Sprintf("whoever is in %s may forge the client's address: connector %q believes PROXY headers from there, and with them any address, those of our own servers too", wide, c.Name),
			"name the addresses of the proxies alone"))
	}
	for k, proxies := range c.ProxyProtocolFrom {
		for j := range connectors {
			o := &connectors[j]
			if !o.Enabled || !shareBinding(c, o) {
				continue
			}
			for _, clients := range o.RemoteIPRanges {
				if !coversSome(proxies, clients) {
					continue
				}
				return append(out, warning(fmt.Sprintf("%s[%d]", path, k),
					fmt.Sprintf("clients of connector %q in %s can't connect by themselves: from %s only connections with a PROXY header are taken", o.Name, clients, proxies),
					"name the addresses of the proxies alone, or give their clients a binding of their own"))
			}
		}
	}
	return out
}

// wideRange finds proxies that nobody knows one by one, private addresses or
// not: more than 256 of IPv4, or more than a /64 network of IPv6. Those on this
// host are known.
func wideRange(of []config.Range) (wide config.Range, ok bool) {
	for _, r := range merge(of) {
		n, known := hosts(r)
		if r.From.Is6() {
			known = known && n == 1
		}
		if !known && !(r.From.IsLoopback() && r.To.IsLoopback()) {
			return r, true
		}
	}
	return wide, false
}

// coversSome reports whether some clients of a range are among the proxies, but
// for a range that holds the proxies and others besides: there nobody means the
// proxies by it.
func coversSome(proxies, clients config.Range) bool {
	p := config.Range{From: plainAddr(proxies.From), To: plainAddr(proxies.To)}
	c := config.Range{From: plainAddr(clients.From), To: plainAddr(clients.To)}
	if p.From.Is4() != c.From.Is4() || p.To.Less(c.From) || c.To.Less(p.From) {
		return false
	}
	within := !p.From.Less(c.From) && !c.To.Less(p.To)
	return !within || p == c
}

// shareBinding reports whether a connection may reach both connectors.
func shareBinding(a, b *config.ReceiveConnector) bool {
	return slices.ContainsFunc(a.Bindings, func(x netip.AddrPort) bool {
		x = plain(x)
		return slices.ContainsFunc(b.Bindings, func(y netip.AddrPort) bool {
			y = plain(y)
			return x.Port() == y.Port() && x.Addr().Is4() == y.Addr().Is4() &&
				(x.Addr() == y.Addr() || !specific(x) || !specific(y))
		})
	})
}
