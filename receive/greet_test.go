package receive

import (
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

func TestBanner(t *testing.T) {
	const date = `[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`
	for _, tt := range []struct{ banner, want string }{
		{"", `220 edge\.contoso\.example ESMTP Postern ready at ` + date},
		{"220 edge.contoso.example ESMTP. No unsolicited mail.", `220 edge\.contoso\.example ESMTP\. No unsolicited mail\.`},
		{"220 {fqdn} ESMTP {session}", `220 edge\.contoso\.example ESMTP [0-9A-F]{16}`},
		{"220-{fqdn} ESMTP\n220-it is {date}\nsession {session}\n220 {fqdn}", "220-edge\\.contoso\\.example ESMTP\n220-it is " + date + "\n220-session [0-9A-F]{16}\n220 edge\\.contoso\\.example"},
		{"220 a\n\n220\nb", "220-a\n220-\n220-\n220 b"},
		{"220 a {braces} 220-4", `220 a \{braces\} 220-4`},
	} {
		t.Run("", func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.Banner = tt.banner }))
			c := b.dial(netip.AddrPort{})
			c.expect(0, tt.want, c.reply())
			c.play("C: EHLO client.example\nS~ 250.*" + quit)
		})
	}
}

// TestBannerNamesTheSession: the id of the greeting is that of the log.
func TestBannerNamesTheSession(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.Banner = "220 {fqdn} {session}" }))
	c := b.dial(netip.AddrPort{})
	id := strings.Fields(c.reply())[2]
	c.play("C: EHLO client.example\nS~ 250.*\n" + oneMessage)
	if got := b.only().envelope.Origin.Session; got != id {
		t.Errorf("the greeting says %s, the log %s", id, got)
	}
}

// TestHelloIsValidated: each HELO and EHLO of a session, in clear text and
// within TLS, is checked the same, and one that is refused changes nothing.
func TestHelloIsValidated(t *testing.T) {
	const good = "250.*"
	const bad = `501 5\.5\.4 Invalid domain name`
	for _, tt := range []struct{ arg, strict, lenient, off, name string }{
		{"client.example", good, good, good, "client.example"},
		{"vm", good, good, good, "vm"},
		{"client.example.", bad, good, good, ""},
		{"client.example ", bad, good, good, ""},
		{"client.example. ", bad, good, good, ""},
		{"my_host.example", bad, bad, good, ""},
		{"-a.example", bad, bad, good, ""},
		{"a-.example", bad, bad, good, ""},
		{"a..example", bad, bad, good, ""},
		{strings.Repeat("x", 64) + ".example", bad, bad, good, ""},
		{"[192.0.2.1]", good, good, good, "[192.0.2.1]"},
		{"[IPv6:2001:db8::1]", good, good, good, "[IPv6:2001:db8::1]"},
		{"[192.0.2.256]", bad, bad, good, ""},
		{"[2001:db8::1]", bad, bad, good, ""},
		{"[192.0.2.1", bad, bad, good, ""},
		{"xn--bcher-kva.example", good, good, good, "xn--bcher-kva.example"},
		{"b\u00fccher.example", bad, bad, good, ""}, // RFC 6531 3.7.1: A-labels alone
		{"a b", bad, bad, good, ""},
		{"a\x01b", bad, bad, bad, ""},
		{"", `501 5\.0\.0 HELO / EHLO requires domain address`, `501 5\.0\.0 .*`, `501 5\.0\.0 .*`, ""},
	} {
		for check, want := range map[string]string{"strict": tt.strict, "lenient": tt.lenient, "off": tt.off} {
			t.Run(check+" "+tt.arg, func(t *testing.T) {
				b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
					c.EHLODomainValidation, c.MaxProtocolErrors = check, 100
				}))
				c := b.dial(netip.AddrPort{})
				say := func(verb string) {
					t.Helper()
					line := verb
					if tt.arg != "" {
						line += " " + tt.arg
					}
					c.send(line + "\r\n")
					got := c.reply()
					// A control character is refused before anything else is looked at.
					if strings.ContainsRune(tt.arg, 1) && strings.HasPrefix(got, "501 5.5.4 ") {
						return
					}
					c.expect(0, want, got)
				}
				c.play("S: 220 .*")
				say("EHLO")
				c.play("C: EHLO first.example\nS~ 250.*")
				say("HELO")
				say("EHLO")
				c.play("C: STARTTLS\nS: 220 .*\nTLS")
				say("EHLO")
				say("HELO")
				c.play("C: EHLO last.example\nS~ 250.*\nC: MAIL FROM:<a@b.example>\nS: 250 .*")
				refused := !regexp.MustCompile("^" + want).MatchString("250 ")
				say("EHLO")
				if refused { // the transaction and the name are still there
					c.play("C: RCPT TO:<kim@contoso.example>\nS: 250 .*\nC: DATA\nS: 354 .*\nC: .\nS: 250 .*")
					if got := b.only().envelope.Origin.Helo; got != "last.example" {
						t.Errorf("the name is %q", got)
					}
				} else {
					c.play("C: RCPT TO:<kim@contoso.example>\nS: 503 .*\n" + oneMessage)
					if got := b.only().envelope.Origin.Helo; tt.name != "" && got != tt.name {
						t.Errorf("the name is %q", got)
					}
					if content := b.only().content; strings.ContainsFunc(content, func(r rune) bool { return r > '~' }) {
						t.Errorf("the Received field is not US-ASCII: %q", content)
					}
				}
			})
		}
	}
}

// late is a connector that greets late.
func late(c *config.ReceiveConnector) { c.GreetingDelay, c.EarlyTalker = 5*time.Second, "log" }

func reject(c *config.ReceiveConnector) { c.EarlyTalker = "reject" }

func TestGreetingDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(late, reject))
		start := time.Now()
		b.dialog(greet + quit)
		after(t, start, 5*time.Second)
		if b.counter("receive_early_talkers") != 0 {
			t.Error("somebody talked early")
		}
	})
}

// TestGreetingDelayIsForStrangers: our own hosts don't wait, and may say what
// they like.
func TestGreetingDelayIsForStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(late, reject, func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }))
		start := time.Now()
		b.dialog("C: NOOP\nS: 220 .*\nS: 250 .*" + quit)
		after(t, start, 0)
	})
}

func TestEarlyTalker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(late))
		logged := protocolLog(t, b)
		start := time.Now()
		b.dialog("C: EHLO client.example\nS: 220 .*\nS~ 250.*" + quit).close()
		after(t, start, 5*time.Second)
		if b.counter("receive_early_talkers") != 1 || strings.Count(logged(), "* the client spoke before the greeting | early talker\n> 220 ") != 1 {
			t.Errorf("not counted or logged:\n%s", logged())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(late, tarry, reject))
		logged := protocolLog(t, b)
		start := time.Now()
		c := b.dial(netip.AddrPort{})
		time.Sleep(time.Second)
		c.play(`
			C: EHLO client.example
			S: 554 5\.5\.1 Protocol error: the client spoke before the greeting
			END`)
		after(t, start, time.Second)
		c.close()
		b.limitSeen(logged, limitEarlyTalker, "the client spoke before the greeting", 1)
		if b.counter("receive_early_talkers") != 1 || strings.Contains(logged(), "EHLO") {
			t.Errorf("logged:\n%s", logged())
		}
	})
}

// TestDelayEnds: what ends a session ends it before its greeting too.
func TestDelayEnds(t *testing.T) {
	minute := func(c *config.ReceiveConnector) { c.GreetingDelay, c.ConnectionTimeout = time.Minute, 30*time.Second }
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(late, minute))
		logged := protocolLog(t, b)
		start := time.Now()
		gone, slow := b.dial(netip.AddrPort{}), b.dial(netip.AddrPort{})
		synctest.Wait()
		gone.close()
		after(t, start, 0)
		if !strings.HasSuffix(logged(), "-  | Remote\n") || strings.Contains(logged(), "220") {
			t.Errorf("logged:\n%s", logged())
		}
		slow.play("S: 421 4\\.4\\.1 .*\nEND")
		after(t, start, 30*time.Second)
	})
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(late, minute))
		start := time.Now()
		c := b.dial(netip.AddrPort{})
		synctest.Wait()
		if err := b.server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		c.play("S: 421 4\\.3\\.2 .*\nEND")
		after(t, start, 0)
	})
}

// TestEarlyTalkerOnSockets: the kernel tells of words, and of a client that
// goes without any.
func TestEarlyTalkerOnSockets(t *testing.T) {
	b := newBench(t, testConnector(late, reject, func(c *config.ReceiveConnector) { c.GreetingDelay = time.Minute }))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, words := range []string{"EHLO client.example\r\n", ""} {
		conn, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			b.server.serve(far, 25)
		}()
		io.WriteString(conn, words)
		conn.(*net.TCPConn).SetReadDeadline(time.Now().Add(10 * time.Second))
		if words == "" {
			conn.Close()
		} else if rest, _ := io.ReadAll(conn); !strings.HasPrefix(string(rest), "554 5.5.1 ") {
			t.Errorf("the server said %q", rest)
		}
		conn.Close()
		select {
		case <-over:
		case <-time.After(10 * time.Second):
			t.Error("the session goes on")
		}
	}
}
