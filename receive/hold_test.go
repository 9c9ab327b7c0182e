package receive

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/metrics"
)

// tarry is a connector that holds refusals back as the defaults have it.
func tarry(c *config.ReceiveConnector) {
	c.TarpitInterval, c.AuthTarpitInterval, c.MaxIdleCommands = 5*time.Second, 5*time.Second, 500
}

// hail is greet for clients from anywhere.
const hail = "S: 220 .*\nC: EHLO client.example\nS~ 250.*"

func (b *bench) gauge(name string) int64 {
	return b.metrics.Gauge(name, metrics.Label{Name: "connector", Value: "From Internet"}).Value()
}

func (b *bench) counter(name string) int64 {
	return b.metrics.Counter(name, metrics.Label{Name: "connector", Value: "From Internet"}).Value()
}

// TestTarpit: a refusal comes late, what was answered before it comes at once,
// and what stands behind it waits.
func TestTarpit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(tarry))
		logged := protocolLog(t, b)
		c := b.dialog(greet)
		start := time.Now()
		c.play(`
			C| MAIL FROM:<a@b.example>
			C| RCPT TO:<kim@contoso.example>
			C| RCPT TO:<x@elsewhere.example>
			C: RCPT TO:<bob@contoso.example>
			S: 250 .*
			S: 250 2\.1\.5 .*`)
		after(t, start, 0)
		synctest.Wait()
		if n := b.gauge("receive_tarpitted_sessions"); n != 1 {
			t.Errorf("%d sessions are held back", n)
		}
		c.play(`
			S: 550 5\.7\.54 .*
			S: 250 2\.1\.5 .*`)
		after(t, start, 5*time.Second)
		c.play(`
			C: DATA
			S: 354 .*
			C: .
			S: 250 .*` + quit)
		after(t, start, 5*time.Second)
		if b.counter("receive_tarpits") != 1 || b.gauge("receive_tarpitted_sessions") != 0 {
			t.Error("the metrics are wrong")
		}
		_, got, _ := strings.Cut(logged(), "< RCPT TO:<x@elsewhere.example> | \n")
		const want = "* Tarpit for '0.00:00:05' | 550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain\n" +
			"> 550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain | \n< RCPT TO:<bob@contoso.example> | \n"
		if !strings.HasPrefix(got, want) {
			t.Errorf("logged:\n%s", got)
		}
	})
}

// TestWhatIsHeldBack: each refusal of a stranger, and nothing else.
func TestWhatIsHeldBack(t *testing.T) {
	relay := func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }
	off := func(c *config.ReceiveConnector) { c.TarpitInterval, c.AuthTarpitInterval = 0, 0 }
	for _, tt := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		script string
		want   time.Duration
	}{
		{"no command", nil, "C: FOO\nS: 500 .*", 5 * time.Second},
		{"a line without CR", nil, "C> \"NOOP\\n\\r\\n\"\nS: 500 .*", 5 * time.Second},
		{"out of order", nil, "C: DATA\nS: 503 .*", 5 * time.Second},
		{"a bad name", nil, "C: EHLO my_host\nS: 501 .*", 5 * time.Second},
		{"a bad parameter", nil, "C: MAIL FROM:<> X=Y\nS: 555 .*", 5 * time.Second},
		{"two of them", nil, "C: FOO\nS: 500 .*\nC: FOO\nS: 500 .*", 10 * time.Second},
		{"content", nil, strings.TrimPrefix(strings.ReplaceAll(begin, greet, ""), "\n") + "\nC> \"a\\nb\\r\\n.\\r\\n\"\nS: 550 5\\.6\\.11 .*", 5 * time.Second},
		{"a failed logon", nil, "C: AUTH PLAIN " + b64("\x00kim\x00wrong") + "\nS: 535 .*", 5 * time.Second},
		{"the last failed logon", func(c *config.ReceiveConnector) { c.MaxLogonFailures = 1 }, "C: AUTH PLAIN " + b64("\x00kim\x00wrong") + "\nS: 421 .*", 5 * time.Second},
		{"too many failed logons of the address", func(c *config.ReceiveConnector) { c.MaxLogonFailuresPerSource, c.TarpitInterval = 1, 0 },
			"C: AUTH PLAIN " + b64("\x00kim\x00wrong") + "\nS: 535 .*\nC: AUTH PLAIN " + b64("\x00kim\x00kim") + "\nS: 421 .*", 10 * time.Second},
		{"a failed logon that costs more", func(c *config.ReceiveConnector) { c.TarpitInterval, c.AuthTarpitInterval = 0, time.Minute/4 },
			"C: AUTH PLAIN " + b64("\x00kim\x00wrong") + "\nS: 535 .*", 15 * time.Second},
		{"a failed logon of a host that may relay", relay, "C: AUTH PLAIN " + b64("\x00kim\x00wrong") + "\nS: 535 .*", 5 * time.Second},
		{"trouble that passes", nil, "C: AUTH X-BROKEN " + b64("temporary") + "\nS: 454 .*", 0},
		{"good replies", nil, "C: NOOP\nS: 250 .*\nC: RSET\nS: 250 .*\nC: HELP\nS~ 214.*", 0},
		{"a host that may relay", relay, "C: FOO\nS: 500 .*\nC: RCPT TO:<x@y.example>\nS: 503 .*", 0},
		{"a user", nil, "C: AUTH PLAIN " + b64("\x00kim\x00kim") + "\nS: 235 .*\nC: FOO\nS: 500 .*", 0},
		{"too many errors", func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 0 }, "C: FOO\nS: 421 .*", 0},
		{"off", off, "C: FOO\nS: 500 .*\nC: AUTH PLAIN " + b64("\x00kim\x00wrong") + "\nS: 535 .*", 0},
		{"chunks behind a refused chunk", nil, "C: MAIL FROM:<>\nS: 250 .*\nC> \"BDAT 1\\r\\nxBDAT 1\\r\\nxBDAT 1 LAST\\r\\nx\"\nS: 554 .*\nS: 554 .*\nS: 554 .*", 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newHeldBench(t, tt.change)
				c := b.dialog(greet)
				start := time.Now()
				c.play(tt.script)
				after(t, start, tt.want)
			})
		})
	}
}

// newHeldBench is a bench with AUTH where refusals are held back.
func newHeldBench(t *testing.T, change func(*config.ReceiveConnector)) *bench {
	b := startBench(t, testConnector(authenticating, tarry, func(c *config.ReceiveConnector) {
		c.MaxLogonFailures = 3
		if change != nil {
			change(c)
		}
	}))
	withFakes(b, fakes{})
	return b
}

// TestHarvest: whoever tries out recipients waits longer from step to step, on
// every connection from the same source, and is forgotten in the end.
func TestHarvest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(tarry, func(c *config.ReceiveConnector) { c.ConnectionTimeout = config.Unlimited }))
		logged := protocolLog(t, b)
		from := netip.MustParseAddrPort("[2001:db8:1:2::7]:4000")
		try := func(from netip.AddrPort) time.Duration {
			c := b.dial(from)
			c.play(hail + "\nC: MAIL FROM:<>\nS: 250 .*")
			start := time.Now()
			c.play("C: RCPT TO:<x@elsewhere.example>\nS: 550 .*")
			d := time.Since(start)
			c.close()
			return d
		}
		for i := range 9 {
			if d := try(from); d != 5*time.Second {
				t.Fatalf("recipient %d: %v", i+1, d)
			}
		}
		if d := try(from); d != 5*time.Second && d != 10*time.Second { // one may be forgotten by now
			t.Fatalf("recipient 10: %v", d)
		}
		for range 150 { // who hangs up is no better off
			c := b.dial(from)
			c.play(hail + "\nC: MAIL FROM:<>\nS: 250 .*\nC: RCPT TO:<x@elsewhere.example>")
			synctest.Wait()
			c.close()
		}
		if d := try(netip.MustParseAddrPort("[2001:db8:1:2:ffff::1]:4000")); d != 55*time.Second {
			t.Errorf("after many recipients: %v", d)
		}
		if d := try(netip.MustParseAddrPort("[2001:db8:1:3::7]:4000")); d != 5*time.Second {
			t.Errorf("a neighbour waits %v", d)
		}
		if !strings.Contains(logged(), "* Tarpit for '0.00:00:55' due to 'DirectoryHarvest' | 550 5.7.54 ") {
			t.Errorf("logged:\n%s", logged())
		}
		time.Sleep(2 * time.Hour)
		if d := try(from); d != 5*time.Second {
			t.Errorf("after two hours: %v", d)
		}
	})
}

// TestHeldSessionEnds: what ends a session ends it at once while a reply is
// held back.
func TestHeldSessionEnds(t *testing.T) {
	minutes := func(c *config.ReceiveConnector) { c.TarpitInterval = 10 * time.Minute }
	start := func(t *testing.T, b *bench) (*client, time.Time) {
		c := b.dialog(greet + "\nC| NOOP\nC| FOO\nC: NOOP\nS: 250 .*")
		synctest.Wait()
		return c, time.Now()
	}
	t.Run("the client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := startBench(t, testConnector(tarry, minutes))
			logged := protocolLog(t, b)
			c, began := start(t, b)
			time.Sleep(time.Second)
			c.close()
			after(t, began, time.Second)
			if got := logged(); !strings.HasSuffix(got, "| 500 5.3.3 Unrecognized command\n> 500 5.3.3 Unrecognized command | \n-  | Remote\n") {
				t.Errorf("logged:\n%s", got)
			}
		})
	})
	t.Run("the session's deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := startBench(t, testConnector(tarry, minutes))
			c, began := start(t, b)
			c.play("S: 500 .*\nS: 421 4\\.4\\.1 .*\nEND")
			after(t, began, 5*time.Minute)
			if b.limitCount(limitTimeout) != 1 {
				t.Error("the limit was not counted")
			}
		})
	})
	t.Run("shutdown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := startBench(t, testConnector(tarry, minutes))
			c, began := start(t, b)
			if err := b.server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			c.play("S: 500 .*\nS: 421 4\\.3\\.2 .*\nEND")
			after(t, began, 0)
		})
	})
	t.Run("shutdown without patience", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := startBench(t, testConnector(tarry, minutes))
			c, began := start(t, b)
			b.server.Close()
			<-c.done
			after(t, began, 0)
		})
	})
}

// TestHeldBackIsNotIdle: the time in the tarpit is not the client's.
func TestHeldBackIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(tarry, func(c *config.ReceiveConnector) { c.TarpitInterval = 2 * time.Minute }))
		c := b.dialog(greet + "\nC: FOO\nS: 500 .*")
		time.Sleep(59 * time.Second)
		c.play("C: NOOP\nS: 250 .*")
	})
}

// TestTarpitReadsNothing: what a client sends behind a refusal stays where it
// is: the server holds one buffer's worth at most.
func TestTarpitReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(tarry))
		c := b.dialog(greet + "\nC: FOO")
		c.send(strings.Repeat("NOOP\r\n", 10000))
		synctest.Wait()
		c.pipe.in.mu.Lock()
		unread := len(c.pipe.in.data)
		c.pipe.in.mu.Unlock()
		if unread < 60000-readBuffer {
			t.Errorf("%d octets were read", 60000-unread)
		}
	})
}

// TestTooManyHeldBack: beyond the cap the session that has waited longest gets
// its reply, and goes on.
func TestTooManyHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(tarry))
		logged := protocolLog(t, b)
		var held []*client
		start := time.Now()
		for i := range maxTarpitted {
			c := b.dial(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 4000))
			c.play(hail + "\nC: FOO")
			synctest.Wait()
			held = append(held, c)
		}
		if n := b.gauge("receive_tarpitted_sessions"); n != maxTarpitted {
			t.Fatalf("%d sessions are held back", n)
		}
		last := b.dialog(greet + "\nC: FOO")
		held[0].play("S: 500 .*\nC: NOOP\nS: 250 .*")
		after(t, start, 0)
		if b.limitCount(limitTarpitted) != 1 || !strings.Contains(logged(), "* 2001 of 2000 | limit max_tarpitted_sessions\n") {
			t.Error("the limit was not counted or logged")
		}
		last.play("S: 500 .*")
		after(t, start, 5*time.Second)
	})
}

// TestIdleCommands: a session that brings no mail forward ends, whatever it
// spends its commands on.
func TestIdleCommands(t *testing.T) {
	const over = "421 4\\.7\\.0 Too many commands without a message on this connection, closing transmission channel"
	for _, tt := range []struct{ name, before, command string }{
		{"NOOP", "", "NOOP"},
		{"RSET", "", "RSET"},
		{"VRFY", "", "VRFY x"},
		{"HELP", "", "HELP"},
		{"HELO", "", "HELO client.example"},
		{"refused recipients", "C: MAIL FROM:<a@b.example>\nS: 250 .*", "RCPT TO:<x@elsewhere.example>"},
		{"a recipient again and again", "C: MAIL FROM:<a@b.example>\nS: 250 .*\nC: RCPT TO:<kim@contoso.example>\nS: 250 .*", "RCPT TO:<kim@contoso.example>"},
		{"refused senders", "", "MAIL FROM:<a@b.example> SIZE=99999999999"},
		{"tiny chunks", "C: MAIL FROM:<a@b.example>\nS: 250 .*\nC: RCPT TO:<kim@contoso.example>\nS: 250 .*", "BDAT 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxIdleCommands = 20 }))
			logged := protocolLog(t, b)
			c := b.dial(netip.AddrPort{})
			c.play("S: 220 .*\nC: EHLO client.example\nS~ .*\n" + tt.before)
			n := 0
			for ; n < 100; n++ {
				c.send(tt.command + "\r\n")
				if r := c.reply(); strings.HasPrefix(r, "421") {
					c.expect(0, over, r)
					break
				}
			}
			if n != 19 { // EHLO was the first
				t.Errorf("the session ended after %d", n)
			}
			c.play("END")
			c.close()
			if b.limitCount(limitIdleCommands) != 1 || !strings.Contains(logged(), "* 21 of 20 | limit max_idle_commands\n> 421 4.7.0 Too many commands ") {
				t.Errorf("the limit was not counted or logged:\n%s", logged())
			}
		})
	}
}

// TestMessagesBeginTheCountAnew: a session that brings mail may go on for ever.
func TestMessagesBeginTheCountAnew(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxIdleCommands = 5 }))
	c := b.dialog(greet)
	for range 20 {
		c.play(`
			C: NOOP
			S: 250 .*
			C: RSET
			S: 250 .*
			C: MAIL FROM:<a@b.example>
			S: 250 .*
			C: RCPT TO:<kim@contoso.example>
			S: 250 .*
			C: RCPT TO:<x@elsewhere.example>
			S: 550 .*
			C: DATA
			S: 354 .*
			C: .
			S: 250 .*`)
	}
	c.play(strings.TrimPrefix(quit, "\n"))
}

// TestFlood: a million refused recipients in one session come to nothing.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(tarry))
		logged := protocolLog(t, b)
		c := b.dialog(greet + "\nC: MAIL FROM:<>\nS: 250 .*")
		start := time.Now()
		go func() {
			line := strings.Repeat("RCPT TO:<x@elsewhere.example>\r\n", 1000)
			for range 1000 {
				if _, err := io.WriteString(c.conn, line); err != nil {
					return
				}
			}
		}()
		io.Copy(io.Discard, c.r)
		<-c.done
		if d := time.Since(start); d > 5*time.Minute+time.Second {
			t.Errorf("it took %v", d)
		}
		if n := len(logged()); n > 64<<10 {
			t.Errorf("%d octets were logged", n)
		}
	})
}

// TestTarpitOnSockets: a client that closes a real connection is noticed
// although octets of it are unread, in clear text and within TLS; and no
// goroutine waits for it but the session's own.
func TestTarpitOnSockets(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		b := newBench(t, testConnector(tarry, func(c *config.ReceiveConnector) {
			c.TarpitInterval = 10 * time.Minute
			c.Bindings = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
		}))
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			x, _ := conn.(*net.TCPConn)
			b.server.serve(x, 0)
		}()
		var conn net.Conn
		conn, err = net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		c := &client{t: t, conn: conn, r: bufio.NewReader(conn)}
		c.play(hail)
		if encrypted {
			c.play("C: STARTTLS\nS: 220 .*\nTLS\nC: EHLO client.example\nS~ .*")
		}
		before := runtime.NumGoroutine()
		c.play("C| NOOP\nC| FOO\nC: NOOP\nS: 250 .*")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		for b.gauge("receive_tarpitted_sessions") == 0 && ctx.Err() == nil {
			runtime.Gosched()
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines, %d before", n, before)
		}
		c.send("NOOP\r\n")
		if x, ok := c.conn.(*tls.Conn); ok {
			x.NetConn().Close()
		}
		c.conn.Close()
		select {
		case <-over:
		case <-ctx.Done():
			t.Error("the session does not see that the client is gone")
		}
		cancel()
		b.server.Close()
		<-over
	}
}
