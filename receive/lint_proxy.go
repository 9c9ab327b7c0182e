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
				return []config.Finding{warning(fmt.Sprintf("%s[%d]", path, k),
					fmt.Sprintf("clients of connector %q in %s can't connect by themselves: from %s only connections with a PROXY header are taken", o.Name, rangeText(clients), rangeText(proxies)),
					"name the addresses of the proxies alone, or give their clients a binding of their own")}
			}
		}
	}
	return nil
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
