package receive

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postern/config"
)

// proxyAddr is a proxy of the connectors below.
var proxyAddr = netip.MustParseAddrPort("10.0.0.5:4711")

// Headers of both versions for strangerAddr.
const (
	header1 = "PROXY TCP4 198.51.100.7 203.0.113.9 40122 25\r\n"
	header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\xcb\x00\x71\x09\x9c\xba\x00\x19"
	local2  = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

func behindProxy(c *config.ReceiveConnector) {
	c.ProxyProtocolFrom = []config.Range{ipRange("10.0.0.5"), ipRange("10.1.0.0/24")}
}

// trustful is a connector for one host, which it trusts.
func trustful(name, host string) config.ReceiveConnector {
	return testConnector(func(c *config.ReceiveConnector) {
		c.Name = name
		c.RemoteIPRanges = []config.Range{ipRange(host)}
		c.PermissionGroups, c.AuthMechanism = []string{"servers"}, []string{"tls", "external_authoritative"}
	})
}

// TestProxyHeader: the client that the header names takes the place of the
// proxy, in the greeting, the trace field, the envelope and the log.
func TestProxyHeader(t *testing.T) {
	for version, header := range map[string]string{"v1": header1, "v2": header2} {
		t.Run(version, func(t *testing.T) {
			b := newBench(t, testConnector(behindProxy))
			logged := protocolLog(t, b)
			c := b.dial(proxyAddr)
			c.send(header)
			c.play(begin + `
				C: Subject: x
				C: .
				S: 250 .*` + quit)
			c.close()
			m := b.only()
			if o := m.envelope.Origin; o.Client != strangerAddr || o.Local != serverAddr {
				t.Errorf("origin: %+v", o)
			}
			if !strings.HasPrefix(m.content, "Received: from client.example ([198.51.100.7]) by edge.contoso.example\r\n\t([192.0.2.10]) with ESMTP ") {
				t.Errorf("content: %s", m.content)
			}
			want := "+  | \n* 10.0.0.5:4711 for 198.51.100.7:40122 to 203.0.113.9:25 | PROXY protocol " + version + "\n* submit "
			if got := logged(); !strings.HasPrefix(got, want) {
				t.Errorf("logged:\n%s", got)
			}
		})
	}
}

// TestProxyHeaderAndMore: what stands behind the header in the same packet is
// the client's.
func TestProxyHeaderAndMore(t *testing.T) {
	b := newBench(t, testConnector(behindProxy))
	for _, header := range []string{header1, header2} {
		c := b.dial(proxyAddr)
		c.send(header + "EHLO client.example\r\n")
		c.play(`
			S: 220 .*
			S~ 250-edge\.contoso\.example Hello \[198\.51\.100\.7\]\n.*` + quit)
		c = b.dial(proxyAddr)
		for i := range header {
			c.send(header[i : i+1])
		}
		c.play(greet + quit)
	}
}

func TestProxyHeaderBeforeTLS(t *testing.T) {
	b := newBench(t, testConnector(behindProxy, func(c *config.ReceiveConnector) { c.ImplicitTLS = true }))
	for _, header := range []string{header1, header2} {
		c := b.dial(proxyAddr)
		c.send(header)
		c.play("TLS" + greet + quit)
	}
}

// TestProxyForItself: a health check of the proxy's is a session from the
// proxy.
func TestProxyForItself(t *testing.T) {
	for _, header := range []string{"PROXY UNKNOWN\r\n", "PROXY UNKNOWN 1.1.1.1 2.2.2.2 1 2\r\n", local2, "\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00"} {
		t.Run(strconv.Quote(header), func(t *testing.T) {
			b := newBench(t, testConnector(behindProxy))
			logged := protocolLog(t, b)
			c := b.dial(proxyAddr)
			c.send(header)
			c.play(`
				S: 220 .*
				C: EHLO proxy.example
				S~ 250-edge\.contoso\.example Hello \[10\.0\.0\.5\]\n.*` + quit)
			c.close()
			if got := logged(); !strings.Contains(got, "* 10.0.0.5:4711 for itself | PROXY protocol v") {
				t.Errorf("logged:\n%s", got)
			}
		})
	}
}

// TestProxySelection: the connector is the one of the binding that fits the
// client, whichever connector named the proxy.
func TestProxySelection(t *testing.T) {
	narrow := trustful("From hub", "10.9.0.1")
	elsewhere := trustful("Elsewhere", "198.51.100.8")
	elsewhere.Bindings = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:26")}
	six := trustful("IPv6", "2001:db8::1")
	off := testConnector(func(c *config.ReceiveConnector) {
		c.Name, c.Enabled = "off", false
		c.ProxyProtocolFrom = []config.Range{ipRange("10.2.0.1")}
	})
	front := testConnector(behindProxy, func(c *config.ReceiveConnector) {
		c.RemoteIPRanges = []config.Range{ipRange("198.51.100.0/24"), ipRange("10.0.0.5")}
	})
	for _, tt := range []struct{ from, header, want string }{
		{"10.0.0.5:1", header1, "From Internet"},
		{"10.1.0.255:1", header2, "From Internet"},
		{"10.0.0.5:1", "PROXY TCP4 10.9.0.1 203.0.113.9 7 25\r\n", "From hub"},
		{"10.0.0.5:1", "PROXY TCP6 ::ffff:10.9.0.1 ::ffff:203.0.113.9 7 25\r\n", "From hub"},
		{"10.0.0.5:1", "PROXY TCP6 2001:db8::1 2001:db8::9 7 25\r\n", "IPv6"},
		{"10.0.0.5:1", "PROXY TCP4 198.51.100.8 203.0.113.9 7 26\r\n", "From Internet"},
		{"10.0.0.5:1", "PROXY TCP4 203.0.113.1 203.0.113.9 7 25\r\n", ""},
		{"10.0.0.5:1", local2, "From Internet"},
		{"10.1.0.1:1", local2, ""},
		{"10.9.0.1:1", "", "From hub"}, // by itself
		{"10.2.0.1:1", "", ""},
		{"[::ffff:10.0.0.5]:1", header1, "From Internet"},
	} {
		t.Run(tt.from+" "+strconv.Quote(tt.header), func(t *testing.T) {
			b := newBench(t, narrow, elsewhere, six, off, front)
			c := b.dial(netip.MustParseAddrPort(tt.from))
			c.send(tt.header)
			if tt.want == "" {
				c.play(`
				S: 421 4\.3\.2 Service not available
				END`)
				return
			}
			c.play(`
			S: 220 .*
			C: EHLO client.example
			S~ 250-.*
			C: MAIL FROM:<>
			S: 250 .*
			C: RCPT TO:<postmaster>
			S: 250 .*
			C: DATA
			S: 354 .*
			C: .
			S: 250 .*` + quit)
			if got := b.only().envelope.Origin.Connector; got != tt.want {
				t.Errorf("%s with %q: taken by %q, want %q", tt.from, tt.header, got, tt.want)
			}
		})
	}
}

// TestNoProxyHeader: a proxy that sends none, or a malformed one, is told
// nothing.
func TestNoProxyHeader(t *testing.T) {
	for in, why := range map[string]string{
		"EHLO client.example\r\n":                          "there is no PROXY header",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcd": "there is no PROXY header",
		"GET / HTTP/1.1\r\n\r\n":                           "there is no PROXY header",
		"Q":                                                "there is no PROXY header",
		"\r\n" + header1:                                   "there is no PROXY header",
		"PROXY TCP4 198.51.100.7 203.0.113.9 40122\r\n":   "not TCP4 or TCP6",
		"PROXY TCP4 198.51.100.7 x 40122 25\r\n":          `"x" for an address`,
		"PROXY TCP4 198.51.100.7 203.0.113.9 40122 25\n":  "bare line feed",
		"PROXY TCP4 " + strings.Repeat("1", 200):          "longer than 107 octets",
		header2[:12] + "\x22" + header2[13:]:              "version and command 0x22",
		header2[:13] + "\x31" + header2[14:]:              "family and transport 0x31",
		header2[:14] + "\x00\x0b" + header2[16:]:          "too few for its addresses",
		header2[:14] + "\xff\xff" + header2[16:]:          "more than 2048",
		header2[:14] + "\x00\x0d" + header2[16:] + "\x00": "ends within a TLV",
	} {
		t.Run(strconv.Quote(in), func(t *testing.T) {
			b := newBench(t, testConnector(behindProxy))
			logged := protocolLog(t, b)
			c := b.dial(proxyAddr)
			c.send(in + "\r\n\r\n\r\n\r\n")
			c.play("END")
			<-c.done
			if b.limitCount(limitProxyHeader) != 1 || b.server.snapshot.Load().connectors[0].active.Load() != 0 {
				t.Errorf("%q was counted otherwise", in)
			}
			got := logged()
			if !strings.HasPrefix(got, "+  | \n* ") || !strings.Contains(got, why) || !strings.HasSuffix(got, " | limit proxy_header\n-  | Local\n") {
				t.Errorf("%q: logged:\n%s", in, got)
			}
			if got := b.logged.String(); !strings.Contains(got, "proxy=10.0.0.5:4711") || strings.Count(got, "\n") != 1 {
				t.Errorf("%q: the event log has\n%s", in, got)
			}
		})
	}
}

// TestProxyComesAndGoes: one that connects and closes is no news, one that
// breaks off within its header is.
func TestProxyComesAndGoes(t *testing.T) {
	b := newBench(t, testConnector(behindProxy))
	logged := protocolLog(t, b)
	b.dial(proxyAddr).close()
	if got := logged() + b.logged.String(); got != "+  | \n-  | Remote\n" || b.limitCount(limitProxyHeader) != 0 {
		t.Errorf("logged:\n%s", got)
	}
	c := b.dial(proxyAddr)
	c.send(header1[:20])
	c.close()
	if got := b.logged.String(); !strings.Contains(got, "unexpected EOF") || b.limitCount(limitProxyHeader) != 1 {
		t.Errorf("logged:\n%s", got)
	}
}

// TestProxyHeaderFromStrangers: to anybody else a header is a bad command, and
// what it says is not believed.
func TestProxyHeaderFromStrangers(t *testing.T) {
	b := newBench(t, trustful("From hub", "10.9.0.1"), testConnector(behindProxy, patient))
	for _, header := range []string{
		"PROXY TCP4 10.9.0.1 203.0.113.9 40122 25\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x09\x00\x01\xcb\x00\x71\x09\x9c\xba\x00\x19\r\n",
	} {
		c := b.dial(strangerAddr)
		c.send(header)
		c.play(`
			S: 220 .*
			S: 500 .*
			C: EHLO client.example`)
		got := c.reply()
		for strings.HasPrefix(got, "500 ") {
			got = c.reply()
		}
		if !strings.HasPrefix(got, "250-edge.contoso.example Hello [198.51.100.7]\n") {
			t.Errorf("%q: said %s", header, got)
		}
		c.play(`
			C: MAIL FROM:<a@b.example>
			S: 250 .*
			C: RCPT TO:<b@elsewhere.example>
			S: 550 5\.7\.54 .*` + quit)
	}
	// A second header, through the proxy, is a command as well.
	c := b.dial(proxyAddr)
	c.send(header1 + "PROXY TCP4 10.9.0.1 203.0.113.9 40122 25\r\n")
	c.play(`
		S: 220 .*
		S: 500 .*` + quit)
}

func TestProxyHeaderFromStrangersCounts(t *testing.T) {
	b := newBench(t, testConnector(behindProxy, func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 0 }))
	c := b.dial(strangerAddr)
	c.send(header1)
	c.play(`
		S: 220 .*
		S: 421 4\.7\.0 .*
		END`)
}

// TestSilentProxy: the header is waited for, but not long, and not octet by
// octet either.
func TestSilentProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(behindProxy))
		logged := protocolLog(t, b)
		start := time.Now()
		c := b.dial(proxyAddr)
		c.play("END")
		after(t, start, proxyTimeout)
		<-c.done
		checkLog(t, logged(), `\+  \| `, `\* proxy_header_timeout reached \| limit proxy_header_timeout`, `-  \| Local`)

		start = time.Now()
		c = b.dial(proxyAddr)
		wait := func() func() {
			c.send("PROXY UNKNOWN ")
			return c.drip("x", time.Second)
		}()
		c.play("END")
		after(t, start, proxyTimeout)
		c.close()
		wait()
		if b.limitCount(limitProxyTimeout) != 2 {
			t.Error("the limit was not counted")
		}
		if got := b.logged.String(); strings.Count(got, "\n") != 1 {
			t.Errorf("more than one line in the event log:\n%s", got)
		}

		// The header's deadline is none of the session's.
		c = b.dial(proxyAddr)
		c.send(header1)
		c.play(greet)
		time.Sleep(50 * time.Second)
		c.play("C: NOOP\nS: 250 .*" + quit)
	})
}

// TestSilentProxiesAreBounded: connections that wait for their header count as
// sessions.
func TestSilentProxiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(behindProxy, func(c *config.ReceiveConnector) { c.MaxInboundConnection = 3 }))
		var silent []*client
		for range 3 {
			silent = append(silent, b.dial(proxyAddr))
		}
		synctest.Wait()
		start := time.Now()
		c := b.dial(proxyAddr) // no header is waited for
		c.play("END")
		after(t, start, 0)
		c = b.dial(strangerAddr)
		c.play(`
			S: 421 4\.3\.2 The maximum number .*
			END`)
		if b.limitCount(limitConnections) != 2 {
			t.Error("the limit was not counted")
		}
		silent[0].send(header1)
		silent[0].play(greet) // in the place that it had
		for _, c := range silent[1:] {
			c.play("END")
			<-c.done
		}
		c = b.dial(proxyAddr)
		c.send(header1)
		c.play(greet + quit)
		<-c.done
		silent[0].play(quit)
		<-silent[0].done
		if n := b.server.snapshot.Load().connectors[0].active.Load(); n != 0 {
			t.Errorf("%d sessions are counted", n)
		}
	})
}

// TestProxyPlaces: the place in which a connection waited is given back when
// another connector takes it, and that one's limit holds.
func TestProxyPlaces(t *testing.T) {
	hub := trustful("From hub", "10.9.0.1")
	hub.MaxInboundConnection = 1
	b := newBench(t, testConnector(behindProxy, func(c *config.ReceiveConnector) { c.MaxInboundConnection = 1 }), hub)
	counts := func(front, back int64) {
		t.Helper()
		c := b.server.snapshot.Load().connectors
		if f, h := c[0].active.Load(), c[1].active.Load(); f != front || h != back {
			t.Errorf("%d and %d sessions are counted, want %d and %d", f, h, front, back)
		}
	}
	forHub := "PROXY TCP4 10.9.0.1 203.0.113.9 7 25\r\n"
	first := b.dial(proxyAddr)
	first.send(forHub)
	first.play("S: 220 .*")
	counts(0, 1)
	second := b.dial(proxyAddr)
	second.send(forHub)
	second.play(`
		S: 421 4\.3\.2 The maximum number .*
		END`)
	<-second.done
	counts(0, 1)
	third := b.dial(proxyAddr)
	third.send(header1)
	third.play("S: 220 .*")
	counts(1, 1)
	first.close()
	third.close()
	counts(0, 0)
}

// TestProxyAndShutdown: a connection that waits for its header holds nothing
// up.
func TestProxyAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(behindProxy))
		c := b.dial(proxyAddr)
		synctest.Wait()
		start := time.Now()
		if err := b.server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		after(t, start, 0)
		c.play("END")
		if got := b.logged.String(); got != "" {
			t.Errorf("logged:\n%s", got)
		}
	})
}

// TestProxyTCP carries headers over real sockets while reloads change who is a
// proxy, from many connections at once.
func TestProxyTCP(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := New(Options{TLS: serverTLS})
	s.queue = &memory{}
	defer func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	plain := bound("127.0.0.1:0")
	plain.MaxProtocolErrors = config.Unlimited
	proxied := plain
	proxied.ProxyProtocolFrom = []config.Range{ipRange("127.0.0.0/8")}
	configure := func(c config.ReceiveConnector) {
		s.Configure(Snapshot{Connectors: []config.ReceiveConnector{c}, Domains: testDomains})
	}
	configure(proxied)
	state := s.Bindings()
	if state[0].Err != nil {
		t.Fatalf("can't listen on loopback: %v", state[0].Err)
	}
	// dial says what a server made of a header behind which EHLO stands.
	dial := func(header string) string {
		conn, err := net.Dial("tcp", state[0].Addr.String())
		if err != nil {
			t.Error(err)
			return ""
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "%sEHLO client.example\r\nQUIT\r\n", header)
		said, _ := io.ReadAll(conn) // a reset comes with what was not read
		return string(said)
	}
	for _, header := range []string{header1, header2} {
		if got := dial(header); !strings.Contains(got, "250-edge.contoso.example Hello [198.51.100.7]\r\n") || !strings.Contains(got, "\r\n221 ") {
			t.Errorf("said:\n%s", got)
		}
	}
	if got := dial(""); got != "" {
		t.Errorf("without a header: %s", got)
	}
	configure(plain)
	if got := dial(header1); !strings.Contains(got, "\r\n500 ") || !strings.Contains(got, "Hello [127.0.0.1]\r\n") {
		t.Errorf("a header that is not expected:\n%s", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var reloads, clients sync.WaitGroup
	reloads.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if i%2 == 0 {
				configure(proxied)
			} else {
				configure(plain)
			}
		}
	})
	for i := range 8 {
		header := []string{header1, header2, "", "PROXY rubbish\r\n"}[i%4]
		clients.Go(func() {
			for range 25 {
				got := dial(header)
				believed := strings.Contains(got, "Hello [198.51.100.7]")
				if got != "" && !strings.Contains(got, "\r\n221 ") || believed && (header == "" || strings.Contains(got, "\r\n500 ")) {
					t.Errorf("header %q, said:\n%s", header, got)
				}
			}
		})
	}
	clients.Wait()
	cancel()
	reloads.Wait()
	configure(proxied)
	if got := dial(header2); !strings.Contains(got, "Hello [198.51.100.7]\r\n") {
		t.Errorf("at the end:\n%s", got)
	}
}
