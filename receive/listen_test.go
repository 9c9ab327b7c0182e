package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"postern/config"
)

func bound(bindings ...string) config.ReceiveConnector {
	return testConnector(func(c *config.ReceiveConnector) {
		c.Bindings = nil
		for _, b := range bindings {
			c.Bindings = append(c.Bindings, netip.MustParseAddrPort(b))
		}
	})
}

func TestSocketsOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []config.ReceiveConnector
		want string
	}{
		{"one each", []config.ReceiveConnector{bound("192.0.2.1:25", "192.0.2.2:25"), bound("192.0.2.1:25", "[2001:db8::1]:25")},
			"tcp4 192.0.2.1:25, tcp4 192.0.2.2:25, tcp6 [2001:db8::1]:25"},
		{"the any-address serves its family", []config.ReceiveConnector{bound("192.0.2.1:25"), bound("0.0.0.0:25", "[2001:db8::1]:25")},
			"tcp4 0.0.0.0:25, tcp6 [2001:db8::1]:25"},
		{"the other family", []config.ReceiveConnector{bound("192.0.2.1:25", "[2001:db8::1]:25", "[::]:25")},
			"tcp4 192.0.2.1:25, tcp6 [::]:25"},
		{"both families share", []config.ReceiveConnector{bound("192.0.2.1:25", "0.0.0.0:25"), bound("[::]:25", "[2001:db8::1]:25")},
			"tcp :25"},
		{"each port for itself", []config.ReceiveConnector{bound("0.0.0.0:25", "192.0.2.1:587")},
			"tcp4 0.0.0.0:25, tcp4 192.0.2.1:587"},
		{"mapped", []config.ReceiveConnector{bound("[::ffff:192.0.2.1]:25", "192.0.2.1:25")},
			"tcp4 192.0.2.1:25"},
		{"disabled", []config.ReceiveConnector{testConnector(func(c *config.ReceiveConnector) { c.Enabled = false })}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, k := range socketsOf(tt.in) {
				got = append(got, k.network+" "+k.listenAddress())
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

// network is a network in memory.
type network struct {
	mu     sync.Mutex
	absent map[string]bool // addresses that do not exist
	open   map[string]*memoryListener
	tries  int
}

type memoryListener struct {
	n     *network
	name  string
	addr  netip.AddrPort
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (n *network) listen(_ context.Context, network, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tries++
	if n.absent[address] {
		return nil, errors.New("cannot assign requested address")
	}
	if n.open[address] != nil {
		return nil, errors.New("address already in use")
	}
	l := &memoryListener{n: n, name: address, addr: netip.MustParseAddrPort(address), conns: make(chan net.Conn), done: make(chan struct{})}
	if n.open == nil {
		n.open = make(map[string]*memoryListener)
	}
	n.open[address] = l
	return l, nil
}

func (n *network) names() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var s []string
	for name := range n.open {
		s = append(s, name)
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func (n *network) at(name string) *memoryListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open[name]
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.n.mu.Lock()
		defer l.n.mu.Unlock()
		delete(l.n.open, l.name)
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// TestBindings: bindings that fail stop nobody else and are tried again, and a
// reload opens and closes what has changed and nothing else.
func TestBindings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		n := &network{absent: map[string]bool{"192.0.2.9:25": true}}
		b.server.listen = n.listen
		b.server.Configure(Snapshot{Connectors: []config.ReceiveConnector{bound("192.0.2.1:25", "192.0.2.9:25")}, Domains: testDomains})
		if got := n.names(); got != "192.0.2.1:25" {
			t.Errorf("open: %s", got)
		}
		state := b.server.Bindings()
		if len(state) != 2 || state[0].Addr == nil || state[0].Err != nil || state[1].Addr != nil || state[1].Err == nil {
			t.Errorf("bindings: %+v", state)
		}

		time.Sleep(2*rebindInterval + time.Second)
		if s := b.logged.String(); strings.Count(s, "can't listen") != 1 {
			t.Errorf("one error was reported other than once:\n%s", s)
		}
		n.mu.Lock()
		n.absent = nil
		n.mu.Unlock()
		time.Sleep(rebindInterval)
		if got := n.names(); got != "192.0.2.1:25 192.0.2.9:25" {
			t.Errorf("open: %s", got)
		}

		kept := n.at("192.0.2.1:25")
		near, far := newPipe(strangerAddr, netip.MustParseAddrPort("192.0.2.1:25"))
		kept.conns <- far
		c := &client{t: t, conn: near, r: newReader(near)}
		c.play("S: 220 .*")

		b.server.Configure(Snapshot{Connectors: []config.ReceiveConnector{bound("192.0.2.1:25", "192.0.2.2:25")}, Domains: testDomains})
		if got := n.names(); got != "192.0.2.1:25 192.0.2.2:25" {
			t.Errorf("open: %s", got)
		}
		if n.at("192.0.2.1:25") != kept {
			t.Error("a listener that stays was opened again")
		}
		c.play("C: NOOP\nS: 250 .*")

		// The any-address takes the place of the specific one.
		b.server.Configure(Snapshot{Connectors: []config.ReceiveConnector{bound("0.0.0.0:25", "192.0.2.2:25")}, Domains: testDomains})
		if got := n.names(); got != "0.0.0.0:25" {
			t.Errorf("open: %s", got)
		}
		c.play("C: QUIT\nS: 221 .*\nEND")
		near.Close()

		if err := b.server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := n.names(); got != "" {
			t.Errorf("open: %s", got)
		}
		b.server.Configure(Snapshot{Connectors: []config.ReceiveConnector{bound("192.0.2.1:25")}})
		if got := n.names(); got != "" {
			t.Errorf("open after the end: %s", got)
		}
	})
}

// brokenListener fails, a few times for the moment and then for good.
type brokenListener struct {
	*memoryListener
	errs []error
}

type momentary struct{ error }

func (momentary) Temporary() bool { return true }

func (l *brokenListener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.memoryListener.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		n := &network{}
		full := momentary{errors.New("too many open files")}
		b.server.listen = func(ctx context.Context, network, address string) (net.Listener, error) {
			l, err := n.listen(ctx, network, address)
			if err != nil {
				return nil, err
			}
			out := &brokenListener{memoryListener: l.(*memoryListener)}
			if n.tries == 1 {
				out.errs = []error{full, full, errors.New("broken for good")}
			}
			return out, nil
		}
		b.server.Configure(Snapshot{Connectors: []config.ReceiveConnector{bound("192.0.2.1:25")}, Domains: testDomains})
		time.Sleep(time.Second)
		if s := b.logged.String(); strings.Count(s, "can't accept") != 2 || !strings.Contains(s, "broken for good") {
			t.Errorf("logged:\n%s", s)
		}
		if n.names() != "" {
			t.Error("a broken listener was not closed")
		}
		time.Sleep(rebindInterval)
		near, far := newPipe(strangerAddr, netip.MustParseAddrPort("192.0.2.1:25"))
		n.at("192.0.2.1:25").conns <- far
		c := &client{t: t, conn: near, r: newReader(near)}
		c.play("S: 220 .*")
		near.Close()
	})
}

// TestGoroutinesServeAgain: connections that come one after the other are
// served by one goroutine; of those for many at once not more than a few stay,
// and none after the end.
func TestGoroutinesServeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t)
		n := &network{}
		b.server.listen = n.listen
		b.server.Configure(Snapshot{Connectors: []config.ReceiveConnector{bound("192.0.2.1:25")}, Domains: testDomains})
		resting := func(want int) {
			t.Helper()
			synctest.Wait()
			b.server.mu.Lock()
			defer b.server.mu.Unlock()
			if got := len(b.server.resting); got != want {
				t.Errorf("%d goroutines rest, want %d", got, want)
			}
		}
		connect := func() *client {
			near, far := newPipe(strangerAddr, netip.MustParseAddrPort("192.0.2.1:25"))
			n.at("192.0.2.1:25").conns <- far
			return &client{t: t, conn: near, r: newReader(near)}
		}
		for range 3 {
			c := connect()
			c.play("S: 220 .*")
			resting(0)
			c.play("C: QUIT\nS: 221 .*\nEND")
			resting(1)
		}
		many := make([]*client, 3*maxResting)
		for i := range many {
			many[i] = connect()
		}
		for _, c := range many {
			c.play("S: 220 .*")
		}
		resting(0)
		for _, c := range many {
			c.conn.Close()
		}
		resting(maxResting)
		if err := b.server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		resting(0)
	})
}

// TestTCP carries messages of an independent client over real sockets, in clear
// text and under TLS.
func TestTCP(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	queue := &memory{}
	s := New(Options{TLS: serverTLS})
	s.queue = queue
	defer func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	plainOnly, wrapped := bound("127.0.0.1:0"), bound("127.0.0.2:0")
	wrapped.Name, wrapped.ImplicitTLS = "wrapped", true
	s.Configure(Snapshot{Connectors: []config.ReceiveConnector{plainOnly, wrapped}, Domains: testDomains})
	state := s.Bindings()
	if len(state) != 2 || state[0].Err != nil || state[1].Err != nil {
		t.Fatalf("can't listen on loopback: %+v", state)
	}
	body := "Subject: x\r\n\r\n.leading dot\r\n" + strings.Repeat("0123456789\r\n", 10_000)
	send := func(c *smtp.Client, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SendMail("a@stranger.example", []string{"b@contoso.example"}, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if err := c.Quit(); err != nil {
			t.Fatal(err)
		}
	}
	insecure := clientTLS()
	send(smtp.Dial(state[0].Addr.String()))
	send(smtp.DialStartTLS(state[0].Addr.String(), insecure))
	send(smtp.DialTLS(state[1].Addr.String(), insecure))
	for i, m := range queue.all() {
		rest := m.content
		// From loopback: Date and Message-ID are added.
		if at := strings.Index(rest, "Subject: x\r\n"); at < 0 || rest[at:] != body {
			t.Errorf("message %d has changed", i)
		}
		if want := []string{"ESMTP", "ESMTPS", "ESMTPS"}[i]; m.envelope.Origin.Protocol != want {
			t.Errorf("message %d came by %s, want %s", i, m.envelope.Origin.Protocol, want)
		}
		if !m.envelope.Origin.Client.Addr().IsLoopback() || m.envelope.Origin.Client.Port() == 0 {
			t.Errorf("message %d came from %v", i, m.envelope.Origin.Client)
		}
	}
	if n := len(queue.all()); n != 3 {
		t.Errorf("%d messages", n)
	}
}

// TestLastWordsAreRead: a client that talks on while we hang up on it still
// reads why.
func TestLastWordsAreRead(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := New(Options{})
	s.queue = &memory{}
	defer s.Close()
	s.Configure(Snapshot{Connectors: []config.ReceiveConnector{bound("127.0.0.1:0")}, Domains: testDomains})
	state := s.Bindings()
	if state[0].Err != nil {
		t.Fatalf("can't listen on loopback: %v", state[0].Err)
	}
	for range 20 {
		conn, err := net.Dial("tcp", state[0].Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, strings.Repeat("FOO\r\n", 3000))
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.Contains(string(got), "\r\n421 4.7.0 ") {
			t.Fatalf("the client read %d octets, then %v", len(got), err)
		}
	}
}
