package receive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/config"
	"postern/internal/message"
	"postern/internal/metrics"
	ptls "postern/tls"
)

// The addresses of most tests.
var (
	serverAddr   = netip.MustParseAddrPort("192.0.2.10:25")
	strangerAddr = netip.MustParseAddrPort("198.51.100.7:40122")
	loopbackAddr = netip.MustParseAddrPort("127.0.0.1:40122")
)

// stored is a message that a test queue took.
type stored struct {
	envelope *message.Envelope
	content  string
}

// memory is a queue in memory. Its errors make it fail.
type memory struct {
	mu       sync.Mutex
	next     message.ID
	messages []stored
	open     int // drafts neither submitted nor aborted

	createErr, writeErr, submitErr error
	// submitting, if set, is called while Submit is under way.
	submitting func(ctx context.Context)
}

type memoryDraft struct {
	m    *memory
	id   message.ID
	body bytes.Buffer
	done bool
}

func (m *memory) create() (draft, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.createErr != nil {
		return nil, m.createErr
	}
	m.next++
	m.open++
	return &memoryDraft{m: m, id: m.next}, nil
}

func (m *memory) submit(ctx context.Context, d draft, e *message.Envelope) error {
	if m.submitting != nil {
		m.submitting(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x := d.(*memoryDraft)
	x.finish()
	if m.submitErr != nil {
		return m.submitErr
	}
	m.messages = append(m.messages, stored{e, x.body.String()})
	return nil
}

func (m *memory) fail(create, write, submit error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.createErr, m.writeErr, m.submitErr = create, write, submit
}

// all returns the messages taken so far.
func (m *memory) all() []stored {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]stored(nil), m.messages...)
}

func (m *memory) drafts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

func (d *memoryDraft) finish() {
	if d.done {
		panic("a draft is submitted or aborted twice")
	}
	d.done = true
	d.m.open--
}

func (d *memoryDraft) ID() message.ID { return d.id }

func (d *memoryDraft) Write(p []byte) (int, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if d.done {
		panic("a draft is written after its end")
	}
	if d.m.writeErr != nil {
		return 0, d.m.writeErr
	}
	return d.body.Write(p)
}

func (d *memoryDraft) Abort() {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	d.finish()
}

// domains are the accepted domains of most tests.
type domains map[string]config.DomainType

func (d domains) Accepted(name string) (config.AcceptedDomain, bool) {
	key := message.DomainKey(name)
	t, ok := d[key]
	return config.AcceptedDomain{Domain: key, Type: t}, ok
}

func (d domains) DefaultDomain() string { return "contoso.example" }

var testDomains = domains{
	"contoso.example":  config.Authoritative,
	"internal.example": config.InternalRelay,
	"external.example": config.ExternalRelay,
}

// testConnector is a connector with the defaults, open to strangers, but that
// refusals are not held back, commands may idle and nothing is limited by
// source.
func testConnector(change ...func(*config.ReceiveConnector)) config.ReceiveConnector {
	c := config.ReceiveConnector{
		Name: "From Internet", Enabled: true, FQDN: "edge.contoso.example",
		Bindings:         []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25"), netip.MustParseAddrPort("[::]:25")},
		RemoteIPRanges:   []config.Range{ipRange("0.0.0.0-255.255.255.255"), ipRange("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")},
		PermissionGroups: []string{"anonymous"}, AuthMechanism: []string{"tls"},
		AcceptAddressLiterals: true, RequireEHLODomain: true, EHLODomainValidation: "strict", BareLineEnds: "reject", LongLines: "pass",
		MaxMessageSize: 37748736, MaxHeaderSize: 262144, MaxHopCount: 30, MaxLocalHopCount: 8,
		MaxRecipientsPerMessage: 200, MaxInboundConnection: 5000,
		MaxInboundConnectionPerSource: config.Unlimited, MaxInboundConnectionPercentagePerSource: config.Unlimited,
		MaxConnectionRatePerMinute: config.Unlimited, MessageRateLimit: config.Unlimited, MessageRateSource: "ip_address",
		ConnectionTimeout: 5 * time.Minute, ConnectionInactivityTimeout: time.Minute, MaxProtocolErrors: 5,
		SizeEnabled: "enabled", PipeliningEnabled: true, EnhancedStatusCodesEnabled: true, EightBitMIMEEnabled: true,
		ChunkingEnabled: true, BinaryMIMEEnabled: true, SMTPUTF8Enabled: true, DeliveryStatusNotificationEnabled: true, RequireTLSExtensionEnabled: true, LimitsEnabled: true,
		MaxIdleCommands: config.Unlimited,
		ProtocolLogging: "verbose",
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func ipRange(s string) config.Range {
	if p, err := netip.ParsePrefix(s); err == nil {
		last := p.Addr().As16()
		bits := p.Bits()
		if p.Addr().Is4() {
			bits += 96
		}
		for i := bits; i < 128; i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		return config.Range{From: p.Addr(), To: plainAddr(netip.AddrFrom16(last))}
	}
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		to = from
	}
	return config.Range{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)}
}

// bench is a server under test.
type bench struct {
	t       testing.TB
	server  *Server
	queue   *memory
	metrics *metrics.Registry
	logged  *lines
}

// lines collects what the server logs. A panic in a session is in there.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// certificates is the certificate store of all tests, made when first asked.
var certificates = sync.OnceValues(func() (*tls.Config, error) {
	dir, err := tempDir()
	if err != nil {
		return nil, err
	}
	s, err := ptls.OpenStore(ptls.StoreOptions{Directory: dir, Names: []string{"edge.contoso.example"}})
	if err != nil {
		return nil, err
	}
	return s.ServerConfig(), nil
})

func serverTLS(*config.ReceiveConnector) *tls.Config {
	cfg, err := certificates()
	if err != nil {
		panic(err)
	}
	return cfg
}

// newBench starts a server with the connectors; without any, with
// testConnector. It ends with the test, and every goroutine of it.
func newBench(t testing.TB, connectors ...config.ReceiveConnector) *bench {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	return startBench(t, connectors...)
}

// startBench is newBench for tests within synctest, which finds goroutines that
// are left by itself.
func startBench(t testing.TB, connectors ...config.ReceiveConnector) *bench {
	t.Helper()
	if len(connectors) == 0 {
		connectors = []config.ReceiveConnector{testConnector()}
	}
	b := &bench{t: t, queue: &memory{}, metrics: new(metrics.Registry), logged: new(lines)}
	b.server = New(Options{
		TLS: serverTLS, Metrics: b.metrics, Logger: slog.New(slog.NewTextHandler(b.logged, nil)),
		Listen: func(context.Context, string, string) (net.Listener, error) {
			return nil, errors.New("no sockets here")
		},
	})
	b.server.queue = b.queue
	b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: connectors, Domains: testDomains}))
	t.Cleanup(func() {
		b.server.Close()
		if n := b.queue.drafts(); n != 0 {
			t.Errorf("%d drafts were neither submitted nor aborted", n)
		}
		if s := b.logged.String(); strings.Contains(s, "panicked") {
			t.Errorf("a session panicked:\n%s", s)
		}
	})
	return b
}

// client is one end of a dialog.
type client struct {
	t    testing.TB
	conn net.Conn
	pipe *pipe // the server's end
	r    *bufio.Reader
	done chan struct{} // the server is through with the connection
}

// dial connects from an address; invalid means from a stranger.
func (b *bench) dial(from netip.AddrPort) *client { return b.dialTo(from, serverAddr) }

func (b *bench) dialTo(from, to netip.AddrPort) *client {
	if !from.IsValid() {
		from = strangerAddr
	}
	near, far := newPipe(from, to)
	c := &client{t: b.t, conn: near, pipe: far, r: newReader(near), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		b.server.ServeConn(far)
	}()
	b.t.Cleanup(func() { c.close() })
	return c
}

// close ends the client's side and waits for the server's.
func (c *client) close() {
	c.conn.Close()
	<-c.done
}

// dialog plays a script on a new connection from a stranger and returns the
// connection. See play.
func (b *bench) dialog(script string) *client {
	b.t.Helper()
	c := b.dial(netip.AddrPort{})
	c.play(script)
	return c
}

// play plays a script, a line each:
//
//	C: text     the client sends the line
//	C| text     the client sends the line together with the next one
//	C> "text"   the client sends exactly that
//	S: regexp   the server says a line that the expression matches as a whole
//	S~ regexp   the server says a reply, of whatever number of lines
//	TLS         the client shakes hands
//	END         the server has closed the connection
//
// Empty lines and those that begin with # say nothing.
func (c *client) play(script string) {
	c.t.Helper()
	var batch string
	for n, line := range strings.Split(script, "\n") {
		line = strings.TrimLeft(line, " \t")
		what, text, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case what == "C|":
			batch += text + "\r\n"
		case what == "C:":
			c.send(batch + text + "\r\n")
			batch = ""
		case what == "C>":
			raw, err := strconv.Unquote(text)
			if err != nil {
				c.t.Fatalf("line %d of the script: %v", n+1, err)
			}
			c.send(batch + raw)
			batch = ""
		case what == "S:":
			c.expect(n+1, text, c.line())
		case what == "S~":
			c.expect(n+1, text, c.reply())
		case line == "TLS":
			c.handshake()
		case line == "END":
			if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
				c.t.Fatalf("line %d of the script: the server said %q instead of closing (%v)", n+1, rest, err)
			}
		default:
			c.t.Fatalf("line %d of the script: %q", n+1, line)
		}
	}
}

func (c *client) expect(n int, pattern, got string) {
	c.t.Helper()
	if !regexp.MustCompile("(?s)^(?:" + pattern + ")$").MatchString(got) {
		c.t.Fatalf("line %d of the script: the server said %q, want %s", n, got, pattern)
	}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("can't send %q: %v", s, err)
	}
}

// line reads one line of a reply.
func (c *client) line() string {
	c.t.Helper()
	s, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("the server said %q, then %v", s, err)
	}
	if !strings.HasSuffix(s, "\r\n") {
		c.t.Fatalf("the server said %q, which does not end with CRLF", s)
	}
	return strings.TrimSuffix(s, "\r\n")
}

// reply reads a whole reply.
func (c *client) reply() string {
	c.t.Helper()
	var b strings.Builder
	for {
		s := c.line()
		b.WriteString(s)
		if len(s) < 4 || s[3] != '-' {
			return b.String()
		}
		b.WriteByte('\n')
	}
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// handshake puts the client's side under TLS.
func (c *client) handshake() *tls.Conn {
	c.t.Helper()
	return c.handshakeWith(clientTLS())
}

func (c *client) handshakeWith(cfg *tls.Config) *tls.Conn {
	c.t.Helper()
	conn := tls.Client(c.conn, cfg)
	if err := conn.Handshake(); err != nil {
		c.t.Fatalf("handshake: %v", err)
	}
	c.conn, c.r = conn, newReader(conn)
	return conn
}

// counter returns a metric of the connector "From Internet".
func (b *bench) limitCount(limit string) int64 {
	return b.metrics.Counter("receive_limits",
		metrics.Label{Name: "connector", Value: "From Internet"}, metrics.Label{Name: "limit", Value: limit}).Value()
}

// only returns the one message in the queue.
func (b *bench) only() stored {
	b.t.Helper()
	all := b.queue.all()
	if len(all) != 1 {
		b.t.Fatalf("%d messages were taken, want 1", len(all))
	}
	return all[0]
}

// bodyOf returns the content without the Received field on top.
func bodyOf(content string) string {
	for {
		line, rest, ok := strings.Cut(content, "\r\n")
		content = rest
		if !ok || !strings.HasPrefix(content, "\t") {
			_ = line
			return content
		}
	}
}

func addresses(e *message.Envelope) string {
	var s []string
	for _, r := range e.Recipients {
		s = append(s, r.Address.String())
	}
	return fmt.Sprintf("%s -> %s", e.From.Path(), strings.Join(s, " "))
}
