package receive

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

const (
	tooMany     = `S: 421 4\.3\.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel` + "\nEND"
	tooManyRate = `S: 421 4\.3\.2 The rate of connections has exceeded a limit, closing transmission channel` + "\nEND"
	tooFast     = `S: 421 4\.4\.2 Message submission rate for this client has exceeded the configured limit` + "\nEND"
)

func from(addr string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), 40122)
}

// limitSeen holds that a limit was counted and logged so often.
func (b *bench) limitSeen(logged func() string, limit, figures string, times int) {
	b.t.Helper()
	if got := b.limitCount(limit); got != int64(times) {
		b.t.Errorf("%s was counted %d times, want %d", limit, got, times)
	}
	if got := strings.Count(logged(), "* "+figures+" | limit "+limit+"\n"); got != times {
		b.t.Errorf("%s was logged %d times with %q, want %d:\n%s", limit, got, figures, times, logged())
	}
}

// TestConnectionsPerSource: one source does not take the room of others, and
// gets it back with each session that ends. Loopback is a source as others are.
func TestConnectionsPerSource(t *testing.T) {
	for _, tt := range []struct{ name, one, same, other string }{
		{"IPv4", "198.51.100.7", "198.51.100.7", "198.51.100.8"},
		{"IPv6", "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"},
		{"mapped", "::ffff:198.51.100.7", "198.51.100.7", "::ffff:198.51.100.8"},
		{"loopback", "127.0.0.1", "127.0.0.1", "127.0.0.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxInboundConnectionPerSource = 2 }))
			logged := protocolLog(t, b)
			first, second := b.dial(from(tt.one)), b.dial(from(tt.same))
			first.play(hail)
			second.play(hail)
			refused := b.dial(from(tt.same))
			refused.play(tooMany)
			refused.close()
			b.limitSeen(logged, limitPerSource, "3 of 2", 1)
			b.dial(from(tt.other)).play(hail)
			first.play("C: NOOP\nS: 250 .*")
			first.close()
			b.dial(from(tt.one)).play(hail)
			b.dial(from(tt.one)).play(tooMany)
			if !strings.Contains(b.logged.String(), `msg="a connection is refused: max_inbound_connection_per_source" event_id=1021 connector="From Internet" figures="3 of 2"`) {
				t.Errorf("the event log does not tell:\n%s", b.logged)
			}
		})
	}
}

// TestPercentagePerSource: the fuller a connector is, the less one source gets
// of what is left.
func TestPercentagePerSource(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.MaxInboundConnection, c.MaxInboundConnectionPercentagePerSource = 10, 30
	}))
	logged := protocolLog(t, b)
	open := func(addr string) *client {
		c := b.dial(from(addr))
		c.play(hail)
		return c
	}
	for range 3 { // 30 % of 10, 9 and 8 is 3 each, rounded up
		open("198.51.100.7")
	}
	b.dial(from("198.51.100.7")).play(tooMany)
	for i := range 3 { // of 7, 6 and 5
		open(fmt.Sprintf("198.51.100.%d", 10+i))
	}
	open("198.51.100.10") // 30 % of 4 is 2
	b.dial(from("198.51.100.10")).play(tooMany)
	for i := range 3 { // of 3, 2 and 1
		open(fmt.Sprintf("198.51.100.%d", 20+i))
	}
	b.dial(from("198.51.100.30")).play(tooMany) // it is full
	b.limitSeen(logged, limitConnections, "11 of 10", 1)
	got := logged()
	if !strings.Contains(got, "* 4 of 3 | limit "+limitPercentage) || !strings.Contains(got, "* 3 of 1 | limit "+limitPercentage) || b.limitCount(limitPercentage) != 2 {
		t.Errorf("the limit was not counted or logged:\n%s", got)
	}
}

// TestConnectionsOfManySources: whatever comes and goes at once, the counts
// come back to nothing.
func TestConnectionsOfManySources(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.MaxInboundConnection, c.MaxInboundConnectionPerSource, c.MaxInboundConnectionPercentagePerSource = 20, 3, 50
	}))
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 20 {
				near, far := newPipe(from(fmt.Sprintf("198.51.100.%d", (g*7+i)%5)), serverAddr)
				near.Write([]byte("QUIT\r\n"))
				b.server.ServeConn(far)
			}
		})
	}
	wg.Wait()
	if n := len(b.server.crowd.sessions); n != 0 {
		t.Errorf("%d sources are still counted", n)
	}
	if n := b.gauge("receive_sessions"); n != 0 {
		t.Errorf("%d sessions are still counted", n)
	}
}

// TestConnectionRate: a minute's worth may come at once, then as many as the
// rate lets in.
func TestConnectionRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxConnectionRatePerMinute = 3 }))
		logged := protocolLog(t, b)
		try := func(addr, script string) {
			c := b.dial(from(addr))
			c.play(script)
			c.close()
		}
		for i := range 3 {
			try(fmt.Sprintf("198.51.100.%d", i), hail)
		}
		try("198.51.100.9", tooManyRate)
		b.limitSeen(logged, limitRate, "more than 3 a minute", 1)
		time.Sleep(20 * time.Second)
		try("198.51.100.9", hail)
		try("198.51.100.9", tooManyRate)
		time.Sleep(2 * time.Minute)
		for range 3 {
			try("198.51.100.9", hail)
		}
		if n := len(b.server.crowd.sessions); n != 0 {
			t.Errorf("%d sources are still counted", n)
		}
	})
}

const oneMessage = `
	C: MAIL FROM:<>
	S: 250 .*
	C: RCPT TO:<kim@contoso.example>
	S: 250 .*
	C: DATA
	S: 354 .*
	C: .
	S: 250 .*
`

// TestMessageRate: messages count by address, over all sessions of it.
func TestMessageRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(func(c *config.ReceiveConnector) { c.MessageRateLimit = 4 }))
		logged := protocolLog(t, b)
		one := b.dialog(greet + oneMessage + oneMessage)
		two := b.dialog(greet + oneMessage + `
			C: MAIL FROM:<> SIZE=99999999999
			S: 552 .*` + oneMessage)
		two.play("C: MAIL FROM:<>\n" + tooFast)
		b.limitSeen(logged, limitMessageRate, "more than 4 a minute of this address", 1)
		other := b.dial(from("198.51.100.8"))
		other.play(hail + oneMessage + strings.TrimPrefix(quit, "\n"))
		time.Sleep(15 * time.Second)
		one.play(oneMessage + "C: MAIL FROM:<>\n" + tooFast)
		if n := len(b.queue.all()); n != 6 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestMessageRateOfIPv6: all of a /64 is one source.
func TestMessageRateOfIPv6(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MessageRateLimit = 1 }))
	b.dial(from("2001:db8:1:2::1")).play(hail + oneMessage)
	b.dial(from("2001:db8:1:2:9::1")).play(hail + "\nC: MAIL FROM:<>\n" + tooFast)
	b.dial(from("2001:db8:1:3::1")).play(hail + oneMessage)
}

// TestMessageRateSources: whom the limit is for.
func TestMessageRateSources(t *testing.T) {
	logon := func(user string) string {
		return "\nC: AUTH PLAIN " + b64("\x00"+user+"\x00"+user) + "\nS: 235 .*\n"
	}
	const refused = "C: MAIL FROM:<>\n" + tooFast
	for _, tt := range []struct {
		source                    string
		stranger, same, elsewhere string // of a stranger's, a user's from the address, and the user's from elsewhere
	}{
		{"none", oneMessage, oneMessage, oneMessage},
		{"ip_address", refused, refused, oneMessage},
		{"user", refused, oneMessage, refused},
		{"all", refused, refused, oneMessage},
	} {
		t.Run(tt.source, func(t *testing.T) {
			b := newAuthBench(t, func(c *config.ReceiveConnector) {
				c.MessageRateLimit, c.MessageRateSource = 1, tt.source
				c.PermissionGroups = []string{"anonymous", "users"}
			})
			b.dialog(greet + oneMessage).close()
			b.dialog(greet + "\n" + tt.stranger).close()
			b.dialog(greet + logon("kim") + tt.same).close()
			c := b.dial(from("198.51.100.8"))
			c.play(hail + logon("kim") + tt.elsewhere)
			c.close()
		})
	}
}

// TestAllSources: with "all" a user has one rate wherever he comes from.
func TestAllSources(t *testing.T) {
	b := newAuthBench(t, func(c *config.ReceiveConnector) { c.MessageRateLimit, c.MessageRateSource = 1, "all" })
	logged := protocolLog(t, b)
	logon := "\nC: AUTH PLAIN " + b64("\x00kim\x00kim") + "\nS: 235 .*\n"
	b.dialog(greet + logon + oneMessage).close()
	c := b.dial(from("198.51.100.8"))
	c.play(hail + logon + "C: MAIL FROM:<>\n" + tooFast)
	c.close()
	b.limitSeen(logged, limitMessageRate, "more than 1 a minute of user kim", 1)
}

// TestRatesAreForgotten: however many sources come, what is kept of them has a
// bound.
func TestRatesAreForgotten(t *testing.T) {
	s := New(Options{})
	c := testConnector(func(c *config.ReceiveConnector) { c.MessageRateLimit = 10 })
	x := &session{server: s, connector: &connector{ReceiveConnector: &c}}
	for i := range 3 * maxRateSources {
		x.remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		if r := x.checkMessageRate(); r != nil {
			t.Fatal(r)
		}
	}
	if n := s.messageRates.Len(); n > maxRateSources {
		t.Errorf("%d sources", n)
	}
}

// TestLocalHops: a message that was here too often is in a loop.
func TestLocalHops(t *testing.T) {
	const ours = "Received: from hub.example by EDGE.contoso.example\r\n\t([192.0.2.10]) with ESMTP; date\r\n"
	const literal = "Received: by [192.0.2.10] with ESMTP; date\r\n"
	const others = "Received: from edge.contoso.example by hub.example; date\r\n"
	for _, tt := range []struct {
		header string
		most   int64
		want   string
	}{
		{strings.Repeat(ours, 2), 2, `S: 250 .*`},
		{strings.Repeat(ours+others, 3), 2, `S: 554 5\.4\.6 Hop count exceeded - possible mail loop`},
		{ours + literal + ours, 2, `S: 554 5\.4\.6 .*`},
		{strings.Repeat(others, 20), 2, `S: 250 .*`},
		{strings.Repeat(ours, 20), 0, `S: 250 .*`},
	} {
		t.Run("", func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxLocalHopCount = tt.most }))
			logged := protocolLog(t, b)
			c := b.dialog(begin)
			c.send(tt.header + "Subject: x\r\n\r\nbody\r\n.\r\n")
			c.play(tt.want + quit)
			c.close()
			if strings.Contains(tt.want, "554") {
				b.limitSeen(logged, limitLocalHops, "3 of 2", 1)
			}
		})
	}
}

// TestLimitsAreToldOfOnceAMinute: each limit of each connector has a line of its
// own a minute, however many connections it refuses.
func TestLimitsAreToldOfOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxInboundConnection, c.MaxInboundConnectionPerSource = 2, 1 }))
		first := b.dial(from("198.51.100.7"))
		first.play(hail)
		for i := range 63 { // one a second
			c := b.dial(from("198.51.100.7"))
			c.play(tooMany)
			c.close()
			if i == 0 {
				second := b.dial(from("198.51.100.8"))
				second.play(hail)
				c := b.dial(from("198.51.100.9"))
				c.play(tooMany)
				c.close()
				second.play(quit)
				second.close()
			}
			first.play("C: NOOP\nS: 250 .*")
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(b.logged.String()), "\n")
		if len(lines) != 3 || !strings.Contains(lines[0], "event_id=1021") || !strings.Contains(lines[1], "event_id=1020") ||
			!strings.Contains(lines[1], `max_inbound_connection"`) || !strings.HasSuffix(lines[2], "refused_meanwhile=59") {
			t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
		}
	})
}
