package send

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
)

func TestHeloName(t *testing.T) {
	for _, tt := range []struct{ fqdn, local, want string }{
		{"out.contoso.example", "192.0.2.12:40000", "out.contoso.example"},
		{"out.contoso.example.", "192.0.2.12:40000", "out.contoso.example"},
		{"bücher.example", "192.0.2.12:40000", "xn--bcher-kva.example"},
		// RFC 5321 4.1.4: without a qualified name, an address literal.
		{"edge", "192.0.2.12:40000", "[192.0.2.12]"},
		{"edge", "[2001:db8::12]:40000", "[IPv6:2001:db8::12]"},
		{"localhost", "", "[127.0.0.1]"},
	} {
		c := &conn{connector: &config.SendConnector{FQDN: tt.fqdn}}
		if tt.local != "" {
			c.local = netip.MustParseAddrPort(tt.local)
		}
		if got := c.heloName(); got != tt.want {
			t.Errorf("fqdn %q at %s: EHLO %s, want %s", tt.fqdn, tt.local, got, tt.want)
		}
	}
}

// TestHELO: a host that does not know EHLO is spoken to without extensions.
func TestHELO(t *testing.T) {
	for _, tt := range []struct {
		helo fault
		want string
	}{
		{reply("250 mx.test"), took},
		{reply("550 5.7.1 nor HELO"), "0 failed 550 5.7.1 nor HELO"},
		{reply("450 4.3.2 later"), "0 deferred 450 4.3.2 later; unreachable"},
		{reply("354 eh"), "0 deferred 421 4.4.0 "},
		{closes, "0 deferred 421 4.4.2 "},
	} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{faults: map[string]fault{"EHLO": reply("502 5.5.1 unknown"), "HELO": tt.helo}}
			b := newBench(t, mx)
			d := mail("x\r\n")
			d.Envelope.EnvID, d.Envelope.Body = "id", message.Body8BitMIME
			r := b.deliver(t.Context(), hop(), d)
			b.stop()
			if got := sum(r); !strings.HasPrefix(got, strings.TrimSuffix(tt.want, "; unreachable")) {
				t.Errorf("outcome %q, want %q", got, tt.want)
			}
			lines := strings.Join(mx.commands(), "|")
			if tt.want == took && lines != "EHLO out.contoso.example|HELO out.contoso.example|MAIL FROM:<sender@contoso.example>|RCPT TO:<a@example.test>|DATA|QUIT" {
				t.Errorf("commands %s", lines)
			}
		})
	}
}

// TestFallbackIsTold: that TLS failed and the message went in clear is told.
func TestFallbackIsTold(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		mx := &fakeMX{tls: server, faults: map[string]fault{"STARTTLS": reply("454 4.7.0 no TLS today")}}
		b := newBench(t, mx)
		b.options.Logger = slog.New(slog.NewTextHandler(&out, nil))
		r := b.send()
		b.stop()
		if sum(r) != took || !strings.Contains(out.String(), "TLS failed") || !strings.Contains(out.String(), "no TLS today") {
			t.Errorf("outcome %q, log %q", sum(r), out.String())
		}
		if a := r.Attempts[0].Reply.String(); !strings.Contains(a, "454 4.7.0 no TLS today") {
			t.Errorf("the first attempt says %q", a)
		}
	})
}

// TestReplyText: a host's whole text is kept, but not without bound.
func TestReplyText(t *testing.T) {
	var long []string
	for range 50 {
		long = append(long, "550-5.1.1 "+strings.Repeat("x", 500))
	}
	long = append(long, "550 5.1.1 end")
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{faults: map[string]fault{"RCPT": reply(long...)}}
		b := newBench(t, mx)
		r := b.send()
		b.stop()
		text := r.Outcomes[0].Reply.Text
		if len(text) > maxReplyText+10 || !strings.HasSuffix(text, " [...]") || r.Outcomes[0].Status != message.Failed {
			t.Errorf("%d octets kept", len(text))
		}
	})
}

// TestEnvelopeTime: a host that answers each command just in time does not
// hold the message for hours.
func TestEnvelopeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{faults: map[string]fault{"RCPT": func(s *fakeSession) bool {
			time.Sleep(4 * time.Minute)
			s.send("250 2.1.5 fine")
			return true
		}}}
		b := newBench(t, mx)
		defer b.stop()
		start := time.Now()
		r := b.send("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
		if got := sum(r); !strings.HasPrefix(got, "0,1,2,3,4,5,6,7,8,9 deferred 421 4.4.1 ") {
			t.Errorf("outcome %q", got)
		}
		if took := time.Since(start); took != 30*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestDeadHostsBound(t *testing.T) {
	var d deadHosts
	base := netip.MustParseAddr("10.0.0.0")
	for range maxDead + 100 {
		base = base.Next()
		d.mark(netip.AddrPortFrom(base, 25), time.Now().Add(time.Hour))
	}
	if len(d.until) != maxDead {
		t.Errorf("%d entries, want %d", len(d.until), maxDead)
	}
	for a := range d.until {
		d.until[a] = time.Now().Add(-time.Second)
	}
	last := netip.AddrPortFrom(base, 26)
	d.mark(last, time.Now().Add(time.Hour))
	if !d.has(last) || len(d.until) != 1 {
		t.Errorf("%d entries after the old ones expired", len(d.until))
	}
}

func TestPerHostLimit(t *testing.T) {
	for in, want := range map[int64]int{0: 20, 7: 7, config.Unlimited: unlimitedHostLimit} {
		if got := perHostLimit(in); got != want {
			t.Errorf("perHostLimit(%d) = %d, want %d", in, got, want)
		}
	}
}

func TestOwnAddresses(t *testing.T) {
	snap := newSnapshot(&config.Config{
		Server: config.Server{FQDN: "Edge.contoso.example", ExternalIPAddress: []netip.Addr{netip.MustParseAddr("198.51.100.1")}},
		ReceiveConnectors: []config.ReceiveConnector{
			{Enabled: true, FQDN: "localhost", Bindings: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25"), netip.MustParseAddrPort("203.0.113.1:587")}},
			{Enabled: false, FQDN: "off.contoso.example", Bindings: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:2525")}},
		},
	}, nil, nil)
	own := &ownAddresses{list: func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	}}
	for addr, want := range map[string]bool{
		"192.0.2.1:25": true, "127.0.0.1:25": true, "127.0.0.9:25": true, "203.0.113.1:587": true,
		"198.51.100.1:25": true, "198.51.100.1:587": true, "198.51.100.1:2525": false,
		"192.0.2.2:25": false, "192.0.2.1:587": false, "203.0.113.1:25": false, "192.0.2.1:2525": false,
		// Nothing listens on IPv6.
		"[2001:db8::1]:25": false, "[::1]:25": false,
	} {
		if got := snap.isOurs(netip.MustParseAddrPort(addr), own); got != want {
			t.Errorf("isOurs(%s) = %v, want %v", addr, got, want)
		}
	}
	for name, want := range map[string]bool{"edge.CONTOSO.example.": true, "localhost": false, "off.contoso.example": false, "mx.test": false, "": false} {
		if got := snap.isOurName(name); got != want {
			t.Errorf("isOurName(%q) = %v, want %v", name, got, want)
		}
	}
	if len(interfaceAddrs()) == 0 {
		t.Error("this host has no address, not even loopback")
	}
}

// TestGreetingCodes: only 220 opens a session (RFC 5321 4.3.2).
func TestGreetingCodes(t *testing.T) {
	for code, want := range map[int]string{250: "0 deferred 421 4.4.0 ", 354: "0 deferred 421 4.4.0 ", 521: "0 failed 521", 220: took} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, &fakeMX{greeting: fmt.Sprintf("%d-mx.test\r\n%d hello", code, code)})
			r := b.send()
			b.stop()
			if got := sum(r); !strings.HasPrefix(got, want) {
				t.Errorf("greeting %d: %q, want %q", code, got, want)
			}
		})
	}
}
