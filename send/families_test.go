package send

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

// TestIPPreference: which addresses are tried, in which order. No host answers.
func TestIPPreference(t *testing.T) {
	const (
		refused = "0 deferred 421 4.4.1 Unable to connect: dial tcp: connect: connection refused; unreachable"
		both    = "192.0.2.31 192.0.2.32 192.0.2.33 2001:db8::31 2001:db8::32"
	)
	for _, tt := range []struct {
		preference string
		addrs      string
		hop        string // a smart host or an address literal
		want       string
		tried      string
	}{
		{"", both, "", refused, "192.0.2.31 [2001:db8::31] 192.0.2.32 [2001:db8::32] 192.0.2.33"},
		{config.PreferIPv4, both, "", refused, "192.0.2.31 [2001:db8::31] 192.0.2.32 [2001:db8::32] 192.0.2.33"},
		{config.PreferIPv6, both, "", refused, "[2001:db8::31] 192.0.2.31 [2001:db8::32] 192.0.2.32 192.0.2.33"},
		{config.IPv4Only, both, "", refused, "192.0.2.31 192.0.2.32 192.0.2.33"},
		{config.IPv6Only, both, "", refused, "[2001:db8::31] [2001:db8::32]"},
		{config.PreferIPv6, "192.0.2.31", "", refused, "192.0.2.31"},
		{config.PreferIPv4, "2001:db8::31", "", refused, "[2001:db8::31]"},
		{config.IPv6Only, "192.0.2.31", "", `0 failed 550 5.4.4 The mail host mx.test has no address that may be used: send connector "Internet" has ip_preference = "ipv6_only"`, ""},
		{config.IPv4Only, "2001:db8::31", "", `0 failed 550 5.4.4 The mail host mx.test has no address that may be used: send connector "Internet" has ip_preference = "ipv4_only"`, ""},
		{config.IPv4Only, "", "[IPv6:2001:db8::31]", `0 deferred 451 4.4.4 [2001:db8::31] was passed over: send connector "Internet" has ip_preference = "ipv4_only"; unreachable`, ""},
		{config.IPv6Only, "", "[192.0.2.31]", `0 deferred 451 4.4.4 [192.0.2.31] was passed over: send connector "Internet" has ip_preference = "ipv6_only"; unreachable`, ""},
		{"", "", "[0.0.0.0]", "0 failed 550 5.1.2 [0.0.0.0] is no address to which mail can be sent", ""},
		{"", "", "[IPv6:::]", "0 failed 550 5.1.2 [IPv6:::] is no address to which mail can be sent", ""},
		{"", "", "[224.0.0.1]", "0 failed 550 5.1.2 [224.0.0.1] is no address to which mail can be sent", ""},
		{"", "", "[255.255.255.255]", "0 failed 550 5.1.2 [255.255.255.255] is no address to which mail can be sent", ""},
	} {
		t.Run(tt.preference+" "+tt.addrs+tt.hop, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.names.addrs["mx.test"] = tt.addrs
				b.connector.IPPreference = tt.preference
				h := hop()
				if tt.hop != "" {
					h.Domain = tt.hop
				}
				got := sum(b.deliver(t.Context(), h, mail("x\r\n")))
				b.stop()
				if got != tt.want {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				if got := b.tried(); got != tt.tried {
					t.Errorf("tried %q, want %q", got, tt.tried)
				}
			})
		})
	}
}

// TestOtherFamily: an address that does not answer costs a host that has one of
// the other family a few seconds, once a minute, and is not given up for it.
func TestOtherFamily(t *testing.T) {
	const (
		took   = "0 delivered 250 2.6.0 Queued"
		v4, v6 = "192.0.2.31:25", "[2001:db8::31]:25"
	)
	for _, tt := range []struct {
		name  string
		set   func(b *bench)
		want  string
		tried string
		took  time.Duration
	}{
		{"IPv6 is a black hole", func(b *bench) { b.silent(v6); b.host(v4, &fakeMX{}) }, took, "[2001:db8::31] 192.0.2.31", 5 * time.Second},
		{"both are", func(b *bench) { b.silent(v6, v4) },
			"0 deferred 421 4.4.1 Connection timed out connecting; unreachable", "[2001:db8::31] 192.0.2.31 [2001:db8::31]", 65 * time.Second},
		{"IPv6 is slow and IPv4 down", func(b *bench) { b.slow(v6, 12*time.Second); b.host(v6, &fakeMX{}) },
			took, "[2001:db8::31] 192.0.2.31 [2001:db8::31]", 17 * time.Second},
		{"IPv6 is a little slow", func(b *bench) { b.slow(v6, 4*time.Second); b.host(v6, &fakeMX{}) }, took, "[2001:db8::31]", 4 * time.Second},
		// As long as one host may take it later, the message waits.
		{"IPv6 is a black hole, and IPv4 refuses for good", func(b *bench) { b.silent(v6); b.host(v4, &fakeMX{greeting: "554 5.7.1 go away"}) },
			"0 deferred 421 4.4.1 Connection timed out connecting; unreachable", "[2001:db8::31] 192.0.2.31 [2001:db8::31]", 35 * time.Second},
		{"IPv6 is slow, and both refuse for good", func(b *bench) {
			b.slow(v6, 12*time.Second)
			b.host(v6, &fakeMX{greeting: "554 5.7.1 go away"})
			b.host(v4, &fakeMX{greeting: "554 5.7.1 go away"})
		}, "0 failed 554 5.7.1 go away", "[2001:db8::31] 192.0.2.31 [2001:db8::31]", 17 * time.Second},
		{"there is no other family", func(b *bench) {
			b.names.addrs["mx.test"] = "2001:db8::31"
			b.slow(v6, 12*time.Second)
			b.host(v6, &fakeMX{})
		},
			took, "[2001:db8::31]", 12 * time.Second},
		{"the other family is dead", func(b *bench) {
			b.start().dead.mark(netip.MustParseAddrPort(v4), time.Now().Add(time.Minute))
			b.slow(v6, 12*time.Second)
			b.host(v6, &fakeMX{})
		}, took, "[2001:db8::31]", 12 * time.Second},
		{"the other family has no source address", func(b *bench) {
			b.connector.SourceIPAddress = []netip.Addr{netip.MustParseAddr("2001:db8::12")}
			b.slow(v6, 12*time.Second)
			b.host(v6, &fakeMX{})
		}, took, "[2001:db8::31]", 12 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.connector.IPPreference = config.PreferIPv6
				b.connector.MessagesPerConnection = 1
				b.names.addrs["mx.test"] = "192.0.2.31 2001:db8::31"
				tt.set(b)
				started := time.Now()
				got := sum(b.send())
				if took := time.Since(started); took != tt.took {
					t.Errorf("the attempt took %v, want %v", took, tt.took)
				}
				b.stop()
				if got != tt.want {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				if got := b.tried(); got != tt.tried {
					t.Errorf("tried %q, want %q", got, tt.tried)
				}
			})
		})
	}
	// The message after it does not wait at all.
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.stop()
		b.connector.IPPreference = config.PreferIPv6
		b.names.addrs["mx.test"] = "192.0.2.31 2001:db8::31"
		b.silent(v6)
		b.host(v4, &fakeMX{})
		b.send()
		for range 3 {
			started := time.Now()
			if got := sum(b.send()); got != took || time.Since(started) != 0 {
				t.Errorf("outcome %q after %v", got, time.Since(started))
			}
		}
	})
}

func (b *bench) silent(addrs ...string) {
	for _, a := range addrs {
		b.net.silent[netip.MustParseAddrPort(a)] = true
	}
}

func (b *bench) slow(addr string, d time.Duration) { b.net.slow[netip.MustParseAddrPort(addr)] = d }
