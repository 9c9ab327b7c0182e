package receive

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"sync/atomic"

	"postern/config"
	"postern/internal/message"
	"postern/internal/metrics"
)

// snapshot is a Snapshot made ready for sessions. It is never changed.
type snapshot struct {
	configs    []config.ReceiveConnector
	connectors []connector // one for each of configs
	domains    Domains
	routes     Routes
	auth       Authenticator // nil: there are no mechanisms
	partner    func(Peer, []string) (Identity, error)
	named      func(Peer, []string) ([]string, error)
	addresses  []netip.Addr // the specific addresses that we are bound to, and the external ones
	external   []netip.Addr // at which we are reached from outside
	names      []string     // what the connectors call themselves, as keys
}

// connector is a Receive connector made ready for sessions.
type connector struct {
	*config.ReceiveConnector
	// tls is nil where TLS is not offered.
	tls *tls.Config
	// active counts the sessions, those of earlier snapshots included.
	active *atomic.Int64

	connections, messages, octets *metrics.Counter
	logons, logonFailures         *metrics.Counter
	tarpits, tarpitTime           *metrics.Counter // the time in nanoseconds
	earlyTalkers                  *metrics.Counter
	firewalled                    *metrics.Counter
	sessions, tarpitted           *metrics.Gauge
}

// enter counts a session in, unless the connector has as many as it may.
func (c *connector) enter() bool {
	n := c.active.Add(1)
	if n > c.MaxInboundConnection {
		c.active.Add(-1)
		return false
	}
	c.sessions.Add(1)
	return true
}

func (c *connector) leave() {
	c.active.Add(-1)
	c.sessions.Add(-1)
}

// compile makes a snapshot ready. It takes what outlives snapshots from the
// server.
func (s *Server) compile(next Snapshot) *snapshot {
	snap := &snapshot{
		configs:    next.Connectors,
		connectors: make([]connector, len(next.Connectors)),
		domains:    next.Domains,
		routes:     next.Routes,
		external:   next.External,
		addresses:  slices.Clone(next.External),
		auth:       next.Auth,
		partner:    next.Partner,
		named:      next.Named,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range next.Connectors {
		c := &next.Connectors[i]
		for _, b := range c.Bindings {
			if a := plainAddr(b.Addr()); !a.IsUnspecified() && !slices.Contains(snap.addresses, a) {
				snap.addresses = append(snap.addresses, a)
			}
		}
		if name := message.DomainKey(c.FQDN); !slices.Contains(snap.names, name) {
			snap.names = append(snap.names, name)
		}
		label := metrics.Label{Name: "connector", Value: c.Name}
		out := &snap.connectors[i]
		*out = connector{
			ReceiveConnector: c,
			active:           s.active[c.Name],
			connections:      s.metrics.Counter("receive_connections", label),
			messages:         s.metrics.Counter("receive_messages", label),
			octets:           s.metrics.Counter("receive_octets", label),
			logons:           s.metrics.Counter("receive_logons", label),
			logonFailures:    s.metrics.Counter("receive_logon_failures", label),
			earlyTalkers:     s.metrics.Counter("receive_early_talkers", label),
			tarpits:          s.metrics.Counter("receive_tarpits", label),
			tarpitTime:       s.metrics.Counter("receive_tarpit_nanoseconds", label),
			firewalled:       s.metrics.Counter("receive_header_fields_removed", label),
			sessions:         s.metrics.Gauge("receive_sessions", label),
			tarpitted:        s.metrics.Gauge("receive_tarpitted_sessions", label),
		}
		if hasMechanism(c, "tls") || c.ImplicitTLS {
			out.tls = sessionConfig(c, s.tls(c))
		}
		if out.active == nil {
			out.active = new(atomic.Int64)
			s.active[c.Name] = out.active
		}
	}
	return snap
}

// public is our end of a session as others know it: with the external address of
// its family, if there is one (reference 2.5).
func (s *snapshot) public(local netip.AddrPort) netip.AddrPort {
	for _, a := range s.external {
		if a.Is4() == plainAddr(local.Addr()).Is4() {
			return netip.AddrPortFrom(a, local.Port())
		}
	}
	return local
}

// ours reports whether a domain is an address literal of one of our bindings or
// of the local end of the session.
func (s *session) ours(domain string) bool {
	if domain == "" || domain[0] != '[' {
		return false
	}
	a, err := message.ParseLiteral(domain)
	if err != nil || !a.IsValid() {
		return false
	}
	a = plainAddr(a)
	return a == plainAddr(s.local.Addr()) || slices.Contains(s.snapshot.addresses, a)
}

// ownName reports whether a domain or literal is what one of our connectors
// calls itself.
func (s *session) ownName(domain string) bool {
	return s.ours(domain) || slices.Contains(s.snapshot.names, message.DomainKey(domain))
}

// accepted reports whether mail for the domain is taken from strangers.
func (s *session) accepted(domain string) (config.AcceptedDomain, bool) {
	if s.snapshot.domains == nil {
		return config.AcceptedDomain{}, false
	}
	return s.snapshot.domains.Accepted(domain)
}

// defaultDomain is where recipients without a domain go, in US-ASCII: the
// transaction may be without SMTPUTF8.
func (s *session) defaultDomain() string {
	if s.snapshot.domains != nil {
		switch d := s.snapshot.domains.DefaultDomain(); {
		case d == "":
		case message.Address{Domain: d}.ASCII():
			return d
		default:
			return message.DomainKey(d)
		}
	}
	return s.connector.FQDN
}
