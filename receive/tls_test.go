package receive

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"postern/config"
)

func TestStartTLS(t *testing.T) {
	b := newBench(t)
	c := b.dialog(greet + `
		C: MAIL FROM:<a@b.example>
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: STARTTLS
		S: 220 2\.0\.0 SMTP server ready
		TLS
		C: DATA
		S: 503 5\.5\.2 Send hello first
		C: EHLO other.example
		S~ 250-edge\.contoso\.example Hello \[198\.51\.100\.7\]\n250-SIZE 37748736\n250-PIPELINING\n250-DSN\n250-ENHANCEDSTATUSCODES\n250-8BITMIME\n250-BINARYMIME\n250-CHUNKING\n250-SMTPUTF8\n250-REQUIRETLS\n250 LIMITS RCPTMAX=200
		C: STARTTLS
		S: 503 5\.5\.1 TLS is already active
		C: DATA
		S: 503 5\.5\.2 Need mail command
		C: MAIL FROM:<a@b.example>
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: x
		C: .
		S: 250 .*
		C: QUIT
		S: 221 .*
		END`)
	if _, ok := c.conn.(*tls.Conn); !ok {
		t.Fatal("no TLS")
	}
	m := b.only()
	if m.envelope.Origin.Protocol != "ESMTPS" || m.envelope.Origin.Helo != "other.example" {
		t.Errorf("origin: %+v", m.envelope.Origin)
	}
	head := strings.Join(strings.Fields(m.content[:strings.Index(m.content, ";")]), " ")
	if !strings.Contains(head, "with ESMTPS (TLS1.3 TLS_") {
		t.Errorf("Received: %s", head)
	}
}

// TestClearTextBehindStartTLS: it is neither obeyed nor answered (RFC 3207 4.2).
func TestClearTextBehindStartTLS(t *testing.T) {
	b := newBench(t)
	b.dialog(greet + `
		C| STARTTLS
		C| EHLO evil.example
		C: MAIL FROM:<evil@b.example>
		S: 220 2\.0\.0 SMTP server ready
		TLS
		C: MAIL FROM:<a@b.example>
		S: 503 5\.5\.2 Send hello first
		C: QUIT
		S: 221 .*
		END`)
}

func TestImplicitTLS(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.ImplicitTLS, c.RequireTLS = true, true
	}))
	b.dialog(`
		TLS
		S: 220 .*
		C: EHLO client.example
		S~ .*
		C: MAIL FROM:<a@b.example>
		S: 250 .*
		C: QUIT
		S: 221 .*
		END`)
}

// TestFailedHandshake: nothing in clear text follows it, and nothing that the
// client says is obeyed.
func TestFailedHandshake(t *testing.T) {
	for _, rubbish := range []string{"EHLO client.example\r\nQUIT\r\n", "\x16\x03\x01\x00\x04\xff\x00\x00\x00", strings.Repeat("\x00", 100)} {
		b := newBench(t)
		c := b.dialog(greet + `
			C: STARTTLS
			S: 220 .*`)
		c.send(rubbish)
		rest, _ := io.ReadAll(c.r)
		if strings.Contains(string(rest), "250") || strings.Contains(string(rest), "221") || strings.Contains(string(rest), "500") {
			t.Errorf("after a failed handshake the server said %q", rest)
		}
		<-c.done
	}
}

// TestLongHandshake: a client can't make us hold more than a handshake has.
func TestLongHandshake(t *testing.T) {
	// The beginning of a ClientHello, which may have 64 KB.
	record := "\x16\x03\x01\x40\x00\x01\x00\xff\x00" + strings.Repeat("\x00", 16<<10-4)
	for _, tt := range []struct {
		mechanism, reason string
		records           int
	}{
		{"none", "sends too much in its handshake", 2},
		{"client_certificate", "cut the connection in the handshake", 2},
		{"client_certificate", "sends too much in its handshake", 4},
	} {
		t.Run(fmt.Sprintf("%s %d", tt.mechanism, tt.records), func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.AuthMechanism = []string{"tls", tt.mechanism} }))
			logged := protocolLog(t, b)
			c := b.dialog(greet + `
				C: STARTTLS
				S: 220 .*`)
			for range tt.records {
				if _, err := io.WriteString(c.conn, record); err != nil { // nobody reads on
					break
				}
			}
			_ = c.conn.Close()
			<-c.done
			if log := logged(); !strings.Contains(log, "the client "+tt.reason+" | TLS negotiation failed") {
				t.Error(log)
			}
		})
	}
}

func TestNoCertificate(t *testing.T) {
	clear, implicit := testConnector(), testConnector(func(c *config.ReceiveConnector) {
		c.Name, c.ImplicitTLS = "implicit", true
		c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:465")}
	})
	b := newBench(t)
	b.server.tls = func(*config.ReceiveConnector) *tls.Config { return nil }
	b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{clear, implicit}, Domains: testDomains}))
	c := b.dialog(`
		S: 220 .*
		C: EHLO client.example`)
	if got := c.reply(); strings.Contains(got, "STARTTLS") {
		t.Errorf("offered: %s", got)
	}
	c.play(`
		C: STARTTLS
		S: 502 5\.5\.1 Command not implemented`)
	b.dialTo(strangerAddr, netip.MustParseAddrPort("192.0.2.10:465")).play("END")
}

// TestPipelining: the replies to commands that came together go together
// (RFC 2920 3.2).
func TestPipelining(t *testing.T) {
	b := newBench(t)
	c := b.dialog(greet + `
		C| MAIL FROM:<a@b.example>
		C| RCPT TO:<b@contoso.example>
		C| RCPT TO:<x@elsewhere.example>
		C| RCPT TO:<c@contoso.example>
		C: DATA
		S: 250 2\.1\.0 .*
		S: 250 2\.1\.5 .*
		S: 550 .*
		S: 250 2\.1\.5 .*
		S: 354 .*
		C| Subject: x
		C|
		C| body
		C| .
		C| MAIL FROM:<a@b.example>
		C: QUIT
		S: 250 2\.6\.0 .*
		S: 250 2\.1\.0 .*
		S: 221 .*
		END`)
	var got []string
	for _, w := range c.pipe.written() {
		got = append(got, firstCodes(string(w)))
	}
	if s := strings.Join(got, " | "); s != "220 | 250 | 250 250 550 250 354 | 250 250 221" {
		t.Errorf("written: %s", s)
	}
}

// firstCodes lists the code of each reply.
func firstCodes(s string) string {
	var codes []string
	for line := range strings.Lines(s) {
		if len(line) > 3 && line[3] == ' ' {
			codes = append(codes, line[:3])
		}
	}
	return strings.Join(codes, " ")
}

// TestHalfACommand: the reply to a whole command does not wait for the rest of
// another.
func TestHalfACommand(t *testing.T) {
	b := newBench(t)
	b.dialog(greet + `
		C> "NOOP\r\nNO"
		S: 250 2\.0\.0 OK
		C> "OP\r\nRS"
		S: 250 2\.0\.0 OK
		C> "ET\r\n"
		S: 250 2\.0\.0 Resetting`)
}

// TestManyPipelined: a batch of replies is bounded, and a client that sends all
// its commands before it reads is served.
func TestManyPipelined(t *testing.T) {
	const n = 20_000
	b := newBench(t)
	c := b.dialog(greet)
	go c.send(strings.Repeat("NOOP\r\n", n) + "QUIT\r\n")
	for range n {
		if got := c.line(); got != "250 2.0.0 OK" {
			t.Fatal(got)
		}
	}
	c.play("S: 221 .*\nEND")
	for _, w := range c.pipe.written() {
		if len(w) > batchSize+512 {
			t.Fatalf("a write of %d octets", len(w))
		}
	}
}

func TestNoConnector(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.RemoteIPRanges = []config.Range{ipRange("10.0.0.0/8")}
	}))
	b.dialog(`
		S: 421 4\.3\.2 Service not available
		END`)
	if s := b.logged.String(); !strings.Contains(s, "198.51.100.7:40122") {
		t.Errorf("logged: %s", s)
	}
}

func TestConnectionLimit(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxInboundConnection = 2 }))
	one, two := b.dialog(greet), b.dialog(greet)
	b.dialog(`
		S: 421 4\.3\.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel
		END`)
	// A new snapshot does not forget the sessions of the old one.
	b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{
		testConnector(func(c *config.ReceiveConnector) { c.MaxInboundConnection = 2 })}, Domains: testDomains}))
	b.dialog("S: 421 4\\.3\\.2 .*\nEND")
	one.close()
	b.dialog(greet)
	two.play("C: NOOP\nS: 250 .*")
	if n := b.limitCount(limitConnections); n != 2 {
		t.Errorf("the limit was counted %d times", n)
	}
}

// TestSnapshot: a session keeps the configuration that it began with.
func TestSnapshot(t *testing.T) {
	b := newBench(t)
	old := b.dialog(greet)
	b.server.Configure(Snapshot{Connectors: []config.ReceiveConnector{testConnector(func(c *config.ReceiveConnector) {
		c.FQDN, c.PermissionGroups = "new.contoso.example", nil
		c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:25")}
	})}, Domains: testDomains})
	old.play("C: MAIL FROM:<>\nS: 250 .*")
	b.dialog(`
		S: 220 new\.contoso\.example .*
		C: EHLO client.example
		S~ .*
		C: MAIL FROM:<>
		S: 530 .*`)
}

// TestLastCommandsOfAHalfClosedConnection: a client that says all it has to say
// and closes its side still gets every reply, in clear text and under TLS,
// where the end may come with the last octets.
func TestLastCommandsOfAHalfClosedConnection(t *testing.T) {
	const commands = "MAIL FROM:<>\r\nRCPT TO:<b@contoso.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"
	for _, implicit := range []bool{false, true} {
		b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.ImplicitTLS = implicit }))
		c := b.dial(netip.AddrPort{})
		if implicit {
			c.handshake()
		}
		c.play("S: 220 .*\nC: EHLO c\nS~ .*")
		c.send(commands)
		if conn, ok := c.conn.(*tls.Conn); ok {
			conn.CloseWrite()
		} else {
			c.pipe.in.close(io.EOF)
		}
		c.play("S: 250 .*\nS: 250 .*\nS: 354 .*\nS: 250 2\\.6\\.0 .*\nS: 221 .*\nEND")
		b.only()
	}
}

// TestRequireTLSExtension: REQUIRETLS is offered and taken within TLS only
// (RFC 8689 2), and stands in the envelope.
func TestRequireTLSExtension(t *testing.T) {
	const inTLS = greet + `
		C: STARTTLS
		S: 220 .*
		TLS
		C: EHLO client.example`
	b := newBench(t)
	c := b.dial(strangerAddr)
	c.play("S: 220 .*\nC: EHLO client.example")
	if offer := c.reply(); strings.Contains(offer, "REQUIRETLS") {
		t.Errorf("offered in clear text: %s", offer)
	}
	c.play(`
		C: MAIL FROM:<a@b.example> REQUIRETLS
		S: 555 5\.5\.4 Unrecognized parameter` + quit)
	b.dialog(inTLS + `
		S~ .*\n250-REQUIRETLS\n.*
		C: MAIL FROM:<a@b.example> REQUIRETLS=1
		S: 501 5\.5\.4 Invalid arguments
		C: MAIL FROM:<a@b.example> requiretls
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: .
		S: 250 .*
		C: QUIT
		S: 221 .*`)
	if !b.only().envelope.RequireTLS {
		t.Error("the envelope says nothing of REQUIRETLS")
	}
	b = newBench(t, testConnector(func(c *config.ReceiveConnector) { c.RequireTLSExtensionEnabled = false }))
	b.dialog(inTLS + `
		S~ .*\n250-SMTPUTF8\n250 LIMITS RCPTMAX=200
		C: MAIL FROM:<a@b.example> REQUIRETLS
		S: 555 5\.5\.4 Unrecognized parameter
		C: QUIT
		S: 221 .*`)
}

// TestSessionTickets: sessions are resumed where the connector lets them be, and
// nowhere else.
func TestSessionTickets(t *testing.T) {
	for _, tickets := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			b := newBench(t)
			b.server.tls = func(c *config.ReceiveConnector) *tls.Config {
				cfg := serverTLS(c).Clone()
				cfg.SessionTicketsDisabled = !tickets
				return cfg
			}
			b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{testConnector()}, Domains: testDomains}))
			cache := tls.NewLRUClientSessionCache(1)
			for i := range 2 {
				c := b.dialog(greet + `
					C: STARTTLS
					S: 220 .*`)
				conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "edge.contoso.example", ClientSessionCache: cache, MaxVersion: version})
				if err := conn.Handshake(); err != nil {
					t.Fatal(err)
				}
				if got, want := conn.ConnectionState().DidResume, tickets && i > 0; got != want {
					t.Errorf("session_tickets %v, %s: connection %d resumed: %v", tickets, tls.VersionName(version), i, got)
				}
				if _, err := io.WriteString(conn, "QUIT\r\n"); err != nil {
					t.Fatal(err)
				}
				if rest, err := io.ReadAll(conn); !strings.HasPrefix(string(rest), "221 ") {
					t.Errorf("%q, %v", rest, err)
				}
				<-c.done
			}
		}
	}
}
