package send

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/config"
	"postern/internal/message"
	ptls "postern/tls"
)

// snapshot is what a Sender needs of a configuration. It is never changed.
type snapshot struct {
	connectors map[string]*config.SendConnector
	// exits are the connectors' ways out, by name; resolvers those that some of
	// them have of their own.
	exits     map[string]*exits
	resolvers *resolvers
	// isOurDomain says of a domain, in any form, that mail for it is ours to
	// answer for: it is an authoritative or internal-relay one. It is nil where
	// no connector wants to know.
	isOurDomain func(domain string) bool
	// policies say what TLS must be, by connector.
	policies map[string]*ptls.Rules
	// names are the names by which the gateway calls itself, as
	// message.DomainKeys; unqualified ones, which any host may have, are not
	// among them.
	names map[string]bool
	// bindings are the addresses on which the gateway listens, external those
	// at which its host is reached from outside.
	bindings []netip.AddrPort
	external []netip.Addr
	signing  signingDomains
	rules    map[string]replyRules // by connector
}

// newSnapshot makes one. The standard resolver asks as [dns] says; before is the
// snapshot that this one takes the place of, if any.
func newSnapshot(cfg *config.Config, standard Resolver, before *snapshot) *snapshot {
	s := &snapshot{signing: newSigningDomains(cfg.DKIM), connectors: make(map[string]*config.SendConnector), exits: make(map[string]*exits),
		policies: make(map[string]*ptls.Rules), rules: make(map[string]replyRules), names: make(map[string]bool)}
	if before != nil {
		s.resolvers = before.resolvers
	}
	s.resolvers = newResolvers(cfg, s.resolvers)
	addName := func(name string) {
		if key := message.DomainKey(name); strings.Contains(key, ".") {
			s.names[key] = true
		}
	}
	addName(cfg.Server.FQDN)
	s.external = cfg.Server.ExternalIPAddress
	for i := range cfg.SendConnectors {
		c := &cfg.SendConnectors[i]
		if rules := newReplyRules(c); len(rules) > 0 {
			s.rules[c.Name] = rules
		}
		s.connectors[c.Name] = c
		if c.MasqueradeDomain != "" && s.isOurDomain == nil {
			s.isOurDomain = ourDomains(cfg)
		}
		s.exits[c.Name] = newExits(c, s.resolvers.of(cfg, c, standard))
		s.policies[c.Name] = ptls.RulesOf(c)
	}
	for i := range cfg.ReceiveConnectors {
		c := &cfg.ReceiveConnectors[i]
		if c.Enabled {
			addName(c.FQDN)
			s.bindings = append(s.bindings, c.Bindings...)
		}
	}
	return s
}

// isOurName reports whether a host's name is one of the gateway's own.
func (s *snapshot) isOurName(name string) bool { return s.names[message.DomainKey(name)] }

// isOurs reports whether a connection to the endpoint would reach the gateway
// itself: the address is one of a binding with the same port, or the binding
// is the wildcard of its family and the address is one of this host. What reaches
// an external address may be led to any binding with that port.
func (s *snapshot) isOurs(a netip.AddrPort, own *ownAddresses) bool {
	for _, b := range s.bindings {
		if b.Port() != a.Port() {
			continue
		}
		at := b.Addr().Unmap()
		if at == a.Addr() || slices.Contains(s.external, a.Addr()) || at.IsUnspecified() && at.Is4() == a.Addr().Is4() && own.has(a.Addr()) {
			return true
		}
	}
	return false
}

// ownAddresses are the addresses of this host, read again from time to time.
type ownAddresses struct {
	list func() []netip.Addr

	mu    sync.Mutex
	read  time.Time
	addrs map[netip.Addr]bool
}

// ownRefresh is how long the list of our own addresses is believed.
const ownRefresh = 30 * time.Second

func (o *ownAddresses) has(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.addrs == nil || now.Sub(o.read) >= ownRefresh {
		list := o.list
		if list == nil {
			list = interfaceAddrs
		}
		o.read, o.addrs = now, make(map[netip.Addr]bool)
		for _, a := range list() {
			o.addrs[a.Unmap().WithZone("")] = true
		}
	}
	return o.addrs[a.WithZone("")]
}

func interfaceAddrs() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs
}

// deadHosts remembers for a short while which hosts took no connection, so
// that they are tried after all others. It never keeps a host from being
// tried when there is no other.
type deadHosts struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time
	probe time.Duration // how long one delivery is given to try a host again
}

// maxDead bounds the table.
const maxDead = 10000

func (d *deadHosts) mark(a netip.AddrPort, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil {
		d.until = make(map[netip.AddrPort]time.Time)
	}
	if len(d.until) >= maxDead {
		now := time.Now()
		for k, t := range d.until {
			if !now.Before(t) {
				delete(d.until, k)
			}
		}
		if len(d.until) >= maxDead {
			return
		}
	}
	d.until[a] = until
}

func (d *deadHosts) clear(a netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.until, a)
}

// isDead reports whether a host is dead, without asking to be the one who tries
// it again.
func (d *deadHosts) isDead(a netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.until[a])
}

// has reports whether a host is dead. When its time is up, the first who asks is
// told that it is not, and tries it; for the others it stays dead meanwhile, so
// that one delivery waits for it rather than all.
func (d *deadHosts) has(a netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.until[a]
	if !ok {
		return false
	}
	now := time.Now()
	if now.Before(t) {
		return true
	}
	d.until[a] = now.Add(d.probe)
	return false
}
