package send

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"postern/config"
	"postern/internal/resolver"
	"postern/routing"
)

// exits are the ways out of a Send connector: what its next hops are found by
// and where connections come from, made ready once for each configuration.
type exits struct {
	// hosts are the smart hosts, and set is how NextHop.Domain writes them.
	hosts []host
	set   string
	// turn rotates them.
	turn     atomic.Uint32
	resolver Resolver
	sources  sources
}

func newExits(c *config.SendConnector, r Resolver) *exits {
	e := &exits{resolver: r}
	if len(c.SmartHosts) > 0 {
		e.set = routing.HostSet(c)
		e.hosts, _ = parseSmartHosts(e.set) // it is written as it is read
	}
	e.sources.init(c)
	return e
}

// resolvers are those of the connectors that have DNS servers of their own:
// one for all that ask the same servers in the same way, so that the answers in
// its cache serve all of them.
type resolvers struct {
	hosts map[string][]netip.Addr
	own   map[serversKey]Resolver
}

type serversKey struct {
	servers  string
	protocol string
}

// The caches of up to 10,000 such resolvers hold this many answers together, and each
// at least that many.
const (
	totalCache = 200000
	leastCache = 20
)

// newResolvers makes the resolvers of a configuration. Those of the one before
// are kept, with what they have cached, where they ask the same servers.
func newResolvers(cfg *config.Config, before *resolvers) *resolvers {
	r := &resolvers{hosts: cfg.DNS.Hosts, own: make(map[serversKey]Resolver)}
	for i := range cfg.SendConnectors {
		if k, ok := ownServers(cfg, &cfg.SendConnectors[i]); ok {
			r.own[k] = nil
		}
	}
	keep := before != nil && maps.EqualFunc(before.hosts, r.hosts, slices.Equal)
	size := max(leastCache, min(resolver.DefaultCacheSize, totalCache/max(1, len(r.own))))
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		k, ok := ownServers(cfg, c)
		if !ok || r.own[k] != nil {
			continue
		}
		if keep && before.own[k] != nil {
			r.own[k] = before.own[k]
			continue
		}
		r.own[k] = resolver.New(resolver.Options{Servers: serversOf(cfg, c), Protocol: c.DNSProtocol, Hosts: cfg.DNS.Hosts, CacheSize: size})
	}
	return r
}

// of returns a connector's own resolver, or the one of [dns].
func (r *resolvers) of(cfg *config.Config, c *config.SendConnector, standard Resolver) Resolver {
	if k, ok := ownServers(cfg, c); ok {
		return r.own[k]
	}
	return standard
}

// ownServers reports whether a connector asks other servers than [dns], or in
// another way.
func ownServers(cfg *config.Config, c *config.SendConnector) (serversKey, bool) {
	if len(c.DNSServers) == 0 && (c.DNSProtocol == "" || c.DNSProtocol == cfg.DNS.Protocol) {
		return serversKey{}, false
	}
	var names []string
	for _, s := range serversOf(cfg, c) {
		names = append(names, s.String())
	}
	return serversKey{strings.Join(names, " "), c.DNSProtocol}, true
}

func serversOf(cfg *config.Config, c *config.SendConnector) []netip.AddrPort {
	if len(c.DNSServers) > 0 {
		return c.DNSServers
	}
	return cfg.DNS.Servers
}
