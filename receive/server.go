package receive

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/bucket"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/internal/metrics"
	"postern/internal/tcp"
	"postern/internal/wire"
	"postern/logs"
	"postern/queue/spool"
	"postern/tarpit"
)

// Queue is where accepted messages go. A draft that was created is either
// aborted or submitted, and is the queue's from then on, whatever Submit returns.
type Queue interface {
	// Create begins a message. Every error is temporary.
	Create() (*spool.Draft, error)
	// Submit makes the message durable; nil means that it is the queue's from
	// now on. Every error is temporary, and the message is not accepted.
	Submit(ctx context.Context, d *spool.Draft, e *message.Envelope) error
}

// draft is what a session does with a spool.Draft.
type draft interface {
	io.Writer
	ID() message.ID
	Abort()
}

// intake is Queue as a session sees it.
type intake interface {
	create() (draft, error)
	submit(ctx context.Context, d draft, e *message.Envelope) error
}

type queueIntake struct{ queue Queue }

func (q queueIntake) create() (draft, error) {
	d, err := q.queue.Create()
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (q queueIntake) submit(ctx context.Context, d draft, e *message.Envelope) error {
	return q.queue.Submit(ctx, d.(*spool.Draft), e)
}

// Domains are the domains that the gateway takes mail for.
type Domains interface {
	// Accepted looks up a domain in any form.
	Accepted(domain string) (config.AcceptedDomain, bool)
	// DefaultDomain is the domain of recipients that have none.
	DefaultDomain() string
}

// Snapshot is the part of the configuration that a reload replaces.
type Snapshot struct {
	Connectors []config.ReceiveConnector
	Domains    Domains
	// Routes refuses what nobody could send on; without it nothing is refused
	// for that.
	Routes Routes
	// External are the addresses at which this host is reached from outside, at
	// most one of each family, where they are not those of its interfaces.
	External []netip.Addr
	// Auth has the mechanisms of AUTH; without it AUTH is not offered, whatever
	// the connectors allow.
	Auth Authenticator
	// Partner finds out whether the certificate of a client proves that it is
	// one of the domains' (mutual TLS). It returns an Identity without a Name
	// when it is nobody's, and an error when it is not to be trusted. Nil knows
	// no partners.
	Partner func(peer Peer, domains []string) (Identity, error)
	// Named tells which of the domains the certificate of a client is for, and
	// returns an error when it is for some and not to be trusted. Nil knows
	// none.
	Named func(peer Peer, domains []string) ([]string, error)
}

// Options are what a Server is made of. Queue is needed; the rest has working
// zero values.
type Options struct {
	Queue Queue
	// Pressure is asked at MAIL; nil means that no resource is ever short.
	Pressure Pressure
	// TLS gives the configuration of the server side of handshakes on a
	// connector, which must not be changed afterwards; without it, and where it
	// returns nil, STARTTLS is not offered.
	TLS func(*config.ReceiveConnector) *tls.Config
	// Log is the protocol log; nil logs nothing.
	Log *logs.Protocol
	// Agents is the agent log, which hears what is refused by a rule or a limit;
	// nil hears nothing.
	Agents *logs.Log[logs.AgentLine]
	// SessionIDs names the sessions; nil takes a source of its own.
	SessionIDs *logs.SessionIDs
	Metrics    *metrics.Registry
	Logger     *slog.Logger
	// Listen opens the listeners; nil means TCP. The networks are tcp4, tcp6
	// and, for the any-address of both families, tcp.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// Server holds the listeners and sessions of all Receive connectors. All its
// methods may be called concurrently.
type Server struct {
	queue    intake
	pressure Pressure
	tls      func(*config.ReceiveConnector) *tls.Config
	log      *logs.Protocol
	agents   *logs.Log[logs.AgentLine]
	ids      *logs.SessionIDs
	metrics  *metrics.Registry
	logger   *slog.Logger
	listen   func(ctx context.Context, network, address string) (net.Listener, error)

	ctx    context.Context // ends the listeners
	cancel context.CancelFunc
	commit context.Context // ends the waits for storage
	cut    context.CancelFunc

	snapshot    atomic.Pointer[snapshot]
	configuring sync.Mutex
	tally       *tally
	harvest     *tarpit.Harvest
	tarpitted   *tarpit.Queue // sessions whose replies are held back
	crowd       *crowd
	trouble     trouble
	proxies     troubles // with PROXY headers
	strangers   trouble  // for whom there is no connector
	guessers    trouble  // who try passwords
	limited     troubles // connections beyond a limit, by connector and limit

	failures        *bucket.Table[netip.Prefix] // failed logons by source
	connectionRates *bucket.Table[string]       // by connector
	messageRates    *bucket.Table[rateKey]

	work sync.WaitGroup // every goroutine

	readers sync.Pool // of *wire.Reader
	content wire.Buffers
	dates   message.Dates
	buffers sync.Pool // of *[]byte: replies while they wait; an idle session has none

	mu        sync.Mutex
	stopping  bool
	sessions  map[*deadlines]struct{}
	resting   []chan arrival // of goroutines that wait for a connection; closed to end them
	listeners map[socket]*listener
	active    map[string]*atomic.Int64 // sessions by connector; outlives snapshots
}

// New returns a Server without connectors: it refuses every connection until
// Configure.
func New(o Options) *Server {
	s := &Server{
		queue: queueIntake{o.Queue}, pressure: o.Pressure, tls: o.TLS, log: o.Log, agents: o.Agents, ids: o.SessionIDs,
		metrics: o.Metrics, logger: o.Logger, listen: o.Listen,
		sessions:  make(map[*deadlines]struct{}),
		listeners: make(map[socket]*listener),
		active:    make(map[string]*atomic.Int64),
		failures:  bucket.New[netip.Prefix](maxFailed),
		harvest:   tarpit.NewHarvest(), tarpitted: tarpit.NewQueue(maxTarpitted),
		crowd:           newCrowd(),
		connectionRates: bucket.New[string](maxRateSources), messageRates: bucket.New[rateKey](maxRateSources),
	}
	s.readers.New = func() any {
		r := wire.NewReader(nil, readBuffer)
		r.Borrow(&s.content)
		return r
	}
	s.buffers.New = func() any { b := make([]byte, 0, 512); return &b }
	if s.ids == nil {
		s.ids = new(logs.SessionIDs)
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.listen == nil {
		// Sessions have deadlines of their own, so keep-alive serves nothing.
		s.listen = (&net.ListenConfig{KeepAlive: -1}).Listen
	}
	if s.tls == nil {
		s.tls = func(*config.ReceiveConnector) *tls.Config { return nil }
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.commit, s.cut = context.WithCancel(context.Background())
	s.tally = newTally(s.metrics)
	s.snapshot.Store(&snapshot{})
	return s
}

// Configure makes the snapshot that of all connections to come, and opens and
// closes listeners accordingly. Open sessions keep the snapshot they began
// with. It returns when every new binding listens or has failed for the first
// time; a binding that fails is logged, shown by Bindings, and tried again. It
// must not be called after Shutdown.
func (s *Server) Configure(next Snapshot) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	s.snapshot.Store(s.compile(next))
	s.bind(next.Connectors)
}

// Serve takes connections from a listener of the caller's until the server
// stops, which returns nil, or the listener fails. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.begin() {
		l.Close()
		return nil
	}
	defer s.work.Done()
	return s.accept(s.ctx, l, addrPort(l.Addr()).Port())
}

// ServeConn carries one connection to its end, and closes it.
func (s *Server) ServeConn(conn net.Conn) {
	if !s.begin() {
		conn.Close()
		return
	}
	defer s.work.Done()
	s.serve(conn, addrPort(conn.LocalAddr()).Port())
}

// begin counts a goroutine in, unless the server is stopping.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.work.Add(1)
	return true
}

// serve finds the connector of a connection and runs the session.
func (s *Server) serve(conn net.Conn, port uint16) {
	conn = tcp.New(conn)
	defer conn.Close()
	x := &session{
		server: s, snapshot: s.snapshot.Load(), conn: conn, id: s.ids.Next(),
		local: addrPort(conn.LocalAddr()), remote: addrPort(conn.RemoteAddr()),
	}
	defer func() {
		if r := recover(); r != nil {
			s.logger.Error("a session panicked; its connection is closed", eventid.SessionPanic.Attr(), "connector", x.name(), "session", x.id,
				"remote", x.remote.String(), "panic", r, "stack", string(debug.Stack()))
		}
	}()
	x.deadlines.start(conn)
	if !s.enrol(&x.deadlines) {
		return
	}
	defer s.leave(&x.deadlines)
	defer x.dismiss()

	bound := netip.AddrPortFrom(x.local.Addr(), port)
	if !x.unwrap(bound) {
		return
	}
	i := choose(x.snapshot.configs, bound, x.remote)
	if i < 0 {
		s.countRefused("", refusedNoConnector)
		s.strangers.tell(s.logger.Warn, "no receive connector takes the connection", nil, eventid.NoConnector.Attr(), "local", x.local.String(), "remote", x.remote.String())
		x.deadlines.last(refuseTimeout)
		conn.Write(replyNotAvailable.Append(nil, true))
		return
	}
	x.connector = &x.snapshot.connectors[i]
	x.connector.connections.Inc()
	x.deadlines.limit(x.connector.ReceiveConnector, time.Now())
	if s.debugs() {
		began := time.Now()
		s.tellBegun(x)
		defer s.tellEnded(x, began)
	}
	x.run(x.admit())
}

func (s *Server) enrol(d *deadlines) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.sessions[d] = struct{}{}
	return true
}

func (s *Server) leave(d *deadlines) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, d)
}

// Shutdown closes the listeners, tells sessions that wait for a command
// 421 4.3.2, and lets those that are in DATA finish. It returns nil when all
// goroutines are gone. When the context ends first, it cuts the rest off, waits
// for them all the same, and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	s.cancel()
	for d := range s.sessions {
		d.stop()
	}
	for _, next := range s.resting {
		close(next)
	}
	s.resting = nil
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
		s.mu.Lock()
		for d := range s.sessions {
			d.abort()
		}
		s.mu.Unlock()
		s.cut()
		<-done
	}
	s.cut()
	return err
}

// Close is Shutdown without patience: every session is cut off. It waits for
// all goroutines.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// addrPort returns a connection's end; the zero value for one that is not IP.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	case nil:
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
