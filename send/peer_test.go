package send

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/config"
	"postern/internal/message"
)

// peer is an independent server that keeps what it gets.
type peer struct {
	mu       sync.Mutex
	sessions int
	messages []peerMessage
}

type peerMessage struct {
	from    string
	rcpts   []string
	content string
	tls     bool
	utf8    bool
}

type peerSession struct {
	p   *peer
	c   *smtp.Conn
	cur peerMessage
}

func (p *peer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions++
	return &peerSession{p: p, c: c}, nil
}

func (s *peerSession) Mail(from string, o *smtp.MailOptions) error {
	_, isTLS := s.c.TLSConnectionState()
	s.cur = peerMessage{from: from, tls: isTLS, utf8: o.UTF8}
	return nil
}

func (s *peerSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	}
	s.cur.rcpts = append(s.cur.rcpts, to)
	return nil
}

func (s *peerSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.cur.content = string(b)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.messages = append(s.p.messages, s.cur)
	return nil
}

func (s *peerSession) Reset()        {}
func (s *peerSession) Logout() error { return nil }

// startPeer runs a go-smtp server on loopback.
func startPeer(t testing.TB, config *tls.Config) (*peer, netip.AddrPort) {
	t.Helper()
	p := &peer{}
	srv := smtp.NewServer(p)
	srv.Domain = "peer.test"
	srv.TLSConfig = config
	srv.EnableSMTPUTF8, srv.EnableDSN, srv.EnableBINARYMIME = true, true, true
	srv.MaxRecipients = 50
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		_ = srv.Close()
		_ = l.Close() // in case Serve had not yet begun
		done.Wait()
	})
	return p, netip.MustParseAddrPort(l.Addr().String())
}

// overTCP sends by the network proper.
func (b *bench) overTCP() *bench {
	b.options.Dial = dialTCP
	return b
}

func TestPeer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			var server *tls.Config
			if secure {
				server = testServerTLS(t, "peer.test")
			}
			p, addr := startPeer(t, server)
			b := newBench(t, nil).overTCP()
			defer b.stop()
			b.options.Roots = testRoots()
			b.connector.SourceIPAddress = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
			if secure {
				b.connector.TLS, b.connector.TLSAuthLevel, b.connector.TLSDomain = config.TLSRequired, config.DomainValidation, []string{"peer.test"}
			}
			h := smartHop(fmt.Sprintf("[%s]:%d", addr.Addr(), addr.Port()))
			line := strings.Repeat("0123456789", 7) + "\r\n"
			small, large := "Subject: s\r\n\r\n.dot\r\n..\r\n", "Subject: l\r\n\r\n"+strings.Repeat(line, 30000)
			contents := []string{small, large, strings.Repeat(line, 1000)}
			for _, content := range contents {
				r := b.deliver(t.Context(), h, mail(content, "a", "nobody", "b"))
				if got := sum(r); !strings.HasPrefix(got, "0,2 delivered 250 2.0.0 ") || !strings.HasSuffix(got, "1 failed 550 5.1.1 User unknown") {
					t.Errorf("outcome %q", got)
				}
				if a := r.Attempts[0]; !strings.HasPrefix(a.Source, "127.0.0.2:") || a.Address != addr.String() || (a.TLS != "") != secure || a.Session == "" {
					t.Errorf("attempt %+v", a)
				}
			}
			utf8 := mail("x\r\n", "bücher")
			utf8.Envelope.SMTPUTF8 = true
			if got := sum(b.deliver(t.Context(), h, utf8)); !strings.HasPrefix(got, "0 delivered") {
				t.Errorf("outcome %q", got)
			}
			binary := mail("a bare \n and a bare \r and a NUL \x00\r\n")
			binary.Envelope.Body = message.BodyBinaryMIME
			if got := sum(b.deliver(t.Context(), h, binary)); !strings.HasPrefix(got, "0 delivered") {
				t.Errorf("outcome %q", got)
			}
			var many []string
			for i := range 120 {
				many = append(many, fmt.Sprintf("user%d", i))
			}
			if r := b.deliver(t.Context(), h, mail("x\r\n", many...)); len(r.Outcomes) != 1 || r.Outcomes[0].Status != message.Delivered {
				t.Errorf("many recipients: %s", sum(r))
			}
			if p.sessions != 1 && p.sessions != 2 { // over TLS EHLO makes another
				t.Errorf("%d sessions, want one connection", p.sessions)
			}
			contents = append(contents, "x\r\n", "a bare \n and a bare \r and a NUL \x00\r\n", "x\r\n", "x\r\n", "x\r\n")
			if len(p.messages) != len(contents) {
				t.Fatalf("%d messages, want %d", len(p.messages), len(contents))
			}
			for i, m := range p.messages {
				if m.content != contents[i] || m.tls != secure || m.from != "sender@contoso.example" {
					t.Errorf("message %d: from %s, tls %v, %d octets, want %d", i, m.from, m.tls, len(m.content), len(contents[i]))
				}
			}
			if n := len(p.messages[5].rcpts); n != 50 || !p.messages[3].utf8 {
				t.Errorf("a transaction had %d recipients, want 50 as LIMITS says", n)
			}
		})
	}
}

// TestUnreachablePort: a refused connection over TCP is reported as such.
func TestUnreachablePort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	b := newBench(t, nil).overTCP()
	defer b.stop()
	r := b.deliver(t.Context(), smartHop(addrHost(addr)), mail("x\r\n"))
	if got := sum(r); !strings.HasPrefix(got, "0 deferred 421 4.4.1 Unable to connect: ") || !r.Unreachable || !b.s.dead.has(addr) {
		t.Errorf("outcome %q", got)
	}
}

// TestForeignSource: a source address that is not ours is our trouble, not
// the host's.
func TestForeignSource(t *testing.T) {
	_, addr := startPeer(t, nil)
	b := newBench(t, nil).overTCP()
	defer b.stop()
	b.connector.SourceIPAddress = []netip.Addr{netip.MustParseAddr("192.0.2.99")}
	r := b.deliver(t.Context(), smartHop(addrHost(addr)), mail("x\r\n"))
	if got := sum(r); !strings.Contains(got, "cannot assign requested address") || b.s.dead.has(addr) {
		t.Errorf("outcome %q, dead %v", got, b.s.dead.has(addr))
	}
}

func addrHost(a netip.AddrPort) string { return fmt.Sprintf("[%s]:%d", a.Addr(), a.Port()) }

// BenchmarkDeliver sends messages of 4 KB over reused connections to a sink
// that does nothing but answer.
func BenchmarkDeliver(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { sink(c) })
		}
	})
	addr := netip.MustParseAddrPort(l.Addr().String())
	cfg := &config.Config{SendConnectors: []config.SendConnector{{Name: "Internet", FQDN: "out.contoso.example",
		TLS: config.TLSOpportunistic, MessagesPerConnection: 1 << 30}}}
	s := New(Options{Config: cfg, Resolver: &names{}})
	content := "Subject: hello\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 64)
	h := smartHop(addrHost(addr))
	b.ReportAllocs()
	for b.Loop() {
		d := mail(content)
		if r := s.Deliver(b.Context(), h, d); r.Outcomes[0].Status != message.Delivered {
			b.Fatal(sum(r))
		}
	}
	b.StopTimer()
	_ = s.Close(b.Context())
	l.Close()
	wg.Wait()
}

// sink answers as cheaply as can be: one write for a pipelined group.
func sink(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = c.Write([]byte("220 sink.test\r\n"))
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		switch got := string(buf[:n]); {
		case strings.HasPrefix(got, "EHLO"):
			_, _ = c.Write([]byte("250-sink.test\r\n250 PIPELINING\r\n"))
		case strings.HasPrefix(got, "MAIL"):
			_, _ = c.Write([]byte("250 ok\r\n250 ok\r\n354 go\r\n"))
		case strings.HasPrefix(got, "QUIT"):
			_, _ = c.Write([]byte("221 bye\r\n"))
			return
		case strings.HasSuffix(got, "\r\n.\r\n"):
			_, _ = c.Write([]byte("250 queued\r\n"))
		}
	}
}
