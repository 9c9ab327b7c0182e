package send

import (
	"context"
	"crypto/x509"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"postern/config"
	"postern/internal/dkim"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/internal/metrics"
	"postern/internal/resolver"
	"postern/logs"
	"postern/routing"
	ptls "postern/tls"
)

// Resolver is what a Sender needs to know of names; *resolver.Resolver is one.
type Resolver interface {
	MX(ctx context.Context, domain string) (resolver.MXResult, error)
	Host(ctx context.Context, host string, want resolver.Families) (resolver.HostAddresses, error)
	// KnowsMX and KnowsHost report whether MX and Host would answer at once.
	KnowsMX(domain string) bool
	KnowsHost(host string, want resolver.Families) bool
}

// DialFunc opens a TCP connection from a source address, which is the zero
// value where the system shall choose, to a remote one. It must heed the
// context.
type DialFunc func(ctx context.Context, source netip.Addr, remote netip.AddrPort) (net.Conn, error)

// Options are what a Sender works with. Config is required; of everything else
// the zero value works.
type Options struct {
	Config *config.Config
	// Resolver serves the connectors without DNS servers of their own. It must
	// change with the configuration; nil means one that asks as the [dns] of the
	// first configuration says.
	Resolver Resolver
	// Log is the protocol log of Send connectors; nil for none. SessionIDs
	// names the sessions; the gateway has one for all.
	Log        *logs.Protocol
	SessionIDs *logs.SessionIDs
	// Connectivity is told how hosts were found and reached; nil for nobody.
	Connectivity *logs.Log[logs.ConnectivityLine]
	// Dial opens connections; nil means TCP over the network.
	Dial DialFunc
	// LocalAddrs returns the addresses of this host, by which the Sender knows
	// that a next hop is the gateway itself; nil means those of its
	// interfaces.
	LocalAddrs func() []netip.Addr
	// Roots are the certificate authorities trusted where a connector names none
	// of its own; nil means the system's.
	Roots *x509.CertPool
	// Certificates is the directory of those that may be presented to next
	// hops; empty for none.
	Certificates string
	// Material has them read already, in the place of Certificates and Roots.
	Material *ptls.Material
	// Timeouts bound each phase; fields left zero have their defaults.
	Timeouts Timeouts
	// Logger hears what an administrator should know; nil for nobody.
	Logger *slog.Logger
	// Metrics counts connections; nil for nobody to see.
	Metrics *metrics.Registry
}

// Sender delivers messages to next hops. All methods may be called
// concurrently.
type Sender struct {
	o         Options
	timeouts  Timeouts
	snapshot  atomic.Pointer[snapshot]
	pool      *pool
	material  *ptls.Material // the certificates that policies name
	dead      deadHosts
	gone      goneSources
	counts    *counts
	own       ownAddresses
	keys      dkim.Keys
	dnsLogger *slog.Logger
	unsigned  once // of which keys it was told that they can't be used
	// shuffle is rand.Shuffle; tests take another.
	shuffle func(n int, swap func(i, j int))

	// base ends when Close has waited long enough; everything under way ends
	// with it.
	base    context.Context
	abandon context.CancelFunc

	mu     sync.Mutex
	closed bool
	span   *span          // of the deliveries under way, or some of them
	busy   sync.WaitGroup // deliveries under way
}

// New returns a Sender for the configuration. Close it when it is no longer
// needed.
func New(o Options) *Sender {
	if o.SessionIDs == nil {
		o.SessionIDs = new(logs.SessionIDs)
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Resolver == nil {
		d := o.Config.DNS
		o.Resolver = resolver.New(resolver.Options{Servers: d.Servers, Protocol: d.Protocol, Hosts: d.Hosts})
	}
	s := &Sender{o: o, dnsLogger: o.Logger.With(eventid.AreaKey, string(eventid.DNS)), timeouts: o.Timeouts.withDefaults(), counts: newCounts(o.Metrics), shuffle: rand.Shuffle}
	s.own.list = o.LocalAddrs
	s.dead.probe = s.timeouts.Dead
	s.base, s.abandon = context.WithCancel(context.Background())
	s.pool = newPool(s)
	if s.material = o.Material; s.material == nil {
		s.material = ptls.NewMaterial(ptls.MaterialOptions{Directory: o.Certificates, Roots: o.Roots, Logger: o.Logger})
	}
	s.Configure(o.Config)
	return s
}

// Configure puts a new configuration in place. Deliveries under way keep
// theirs; connections kept for reuse are closed.
func (s *Sender) Configure(cfg *config.Config) {
	snap := newSnapshot(cfg, s.o.Resolver, s.snapshot.Load())
	s.snapshot.Store(snap)
	s.material.Retain(slices.Collect(maps.Values(snap.policies)))
	s.gone.clear(netip.Addr{})
	s.keys.Retain(keyPaths(cfg))
	s.pool.configure(perHostLimit(cfg.Queue.MaxPerDomainOutboundConnections))
}

// Close lets the deliveries under way end, closes the connections and returns
// once nothing is left running. When the context ends, what is still under way
// is cut off, its recipients deferred, and the context's error returned.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.busy.Wait()
		s.pool.close()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.abandon()
		<-done
	}
	s.abandon()
	return err
}

// begin notes a delivery under way, unless the Sender is closed.
func (s *Sender) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.busy.Add(1)
	return true
}

// Deliver makes one attempt to bring a message to a next hop: it tries the
// hosts in turn until one takes the message or there are none left. The report
// has an outcome for every recipient of the delivery, whatever happens: when
// the context ends, those without one are deferred. Deliver returns once
// nothing of the attempt is left running but the polite end of a connection,
// which Close waits for.
func (s *Sender) Deliver(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
	if !s.begin() {
		return refuseAll(d, ours(451, codeShutdown, "The gateway is shutting down"))
	}
	defer s.busy.Done()
	sp, end := s.under(ctx)
	defer end()
	return s.deliver(sp, hop, d)
}
