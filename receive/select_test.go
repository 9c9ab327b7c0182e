package receive

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"postern/config"
)

func TestSelect(t *testing.T) {
	make := func(name, bindings string, ranges ...string) config.ReceiveConnector {
		c := config.ReceiveConnector{Name: name, Enabled: true, Bindings: []netip.AddrPort{netip.MustParseAddrPort(bindings)}}
		for _, r := range ranges {
			c.RemoteIPRanges = append(c.RemoteIPRanges, ipRange(r))
		}
		return c
	}
	connectors := []config.ReceiveConnector{
		make("any", "0.0.0.0:25", "0.0.0.0/0"),
		make("lan", "0.0.0.0:25", "10.0.0.0/8", "192.168.1.0-192.168.1.255"),
		make("host", "0.0.0.0:25", "10.0.0.7"),
		make("specific", "192.0.2.10:25", "0.0.0.0/0"),
		make("six", "[::]:25", "::/0"),
		make("submission", "0.0.0.0:587", "0.0.0.0/0"),
		make("twin", "0.0.0.0:587", "0.0.0.0/0"),
		make("off", "0.0.0.0:25", "10.0.0.7"),
		make("mapped", "[::ffff:192.0.2.77]:26", "::ffff:10.1.0.0-::ffff:10.1.255.255"),
	}
	connectors[7].Enabled = false
	for _, tt := range []struct{ local, remote, want string }{
		{"192.0.2.1:25", "198.51.100.7:1", "any"},
		{"192.0.2.1:25", "10.1.2.3:1", "lan"},
		{"192.0.2.1:25", "192.168.1.20:1", "lan"},
		{"192.0.2.1:25", "10.0.0.7:1", "host"},
		{"192.0.2.10:25", "10.0.0.7:1", "specific"},
		{"[::ffff:192.0.2.1]:25", "[::ffff:10.0.0.7]:1", "host"},
		{"[2001:db8::1]:25", "[2001:db8::2]:1", "six"},
		{"[fe80::1%eth0]:25", "[fe80::2%eth0]:1", "six"},
		{"192.0.2.1:587", "10.0.0.7:1", "submission"},
		{"192.0.2.77:26", "10.1.2.3:1", "mapped"},
		{"192.0.2.77:26", "10.2.2.3:1", ""},
		{"192.0.2.1:2525", "10.0.0.7:1", ""},
	} {
		t.Run(tt.local+" "+tt.remote, func(t *testing.T) {
			s := Select(connectors, netip.MustParseAddrPort(tt.local), netip.MustParseAddrPort(tt.remote))
			got := ""
			if s.Connector != nil {
				got = s.Connector.Name
			}
			if got != tt.want {
				t.Fatalf("got %q, want %q: %+v", got, tt.want, s.Candidates)
			}
			for i, c := range s.Candidates {
				if c.Connector != &connectors[i] {
					t.Errorf("candidate %d is %s", i, c.Connector.Name)
				}
				if (c.EliminatedBy == "") != (c.Connector == s.Connector) || c.Detail == "" {
					t.Errorf("candidate %s: %+v", c.Connector.Name, c)
				}
			}
		})
	}

	s := Select(connectors, netip.MustParseAddrPort("192.0.2.10:25"), netip.MustParseAddrPort("10.0.0.7:1"))
	want := map[string]string{
		"any": "less specific binding", "lan": "less specific binding", "host": "less specific binding", "specific": "",
		"six": "binding", "submission": "binding", "twin": "binding", "off": "disabled", "mapped": "binding",
	}
	for _, c := range s.Candidates {
		if c.EliminatedBy != want[c.Connector.Name] {
			t.Errorf("%s was eliminated by %q, want %q", c.Connector.Name, c.EliminatedBy, want[c.Connector.Name])
		}
	}
	s = Select(connectors, netip.MustParseAddrPort("192.0.2.1:587"), netip.MustParseAddrPort("10.0.0.7:1"))
	if by := s.Candidates[6].EliminatedBy; by != "order" {
		t.Errorf("the twin was eliminated by %q", by)
	}
	s = Select(connectors, netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("10.0.0.7:1"))
	if by := s.Candidates[1].EliminatedBy; by != "wider range" {
		t.Errorf("lan was eliminated by %q", by)
	}
	s = Select(connectors, netip.MustParseAddrPort("192.0.2.77:26"), netip.MustParseAddrPort("10.2.2.3:1"))
	if by := s.Candidates[8].EliminatedBy; by != "remote_ip_ranges" {
		t.Errorf("mapped was eliminated by %q", by)
	}
}

// TestSelectIsTheMostSpecific compares the selection with the rule written down
// as plainly as can be.
func TestSelectIsTheMostSpecific(t *testing.T) {
	locals := []netip.Addr{netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	rapid.Check(t, func(t *rapid.T) {
		var cs []config.ReceiveConnector
		for i := range rapid.IntRange(0, 6).Draw(t, "connectors") {
			c := config.ReceiveConnector{Name: fmt.Sprint(i), Enabled: rapid.IntRange(0, 9).Draw(t, "enabled") > 0}
			for range rapid.IntRange(1, 3).Draw(t, "bindings") {
				c.Bindings = append(c.Bindings, netip.AddrPortFrom(rapid.SampledFrom(locals).Draw(t, "local"), uint16(rapid.IntRange(25, 26).Draw(t, "port"))))
			}
			for range rapid.IntRange(1, 3).Draw(t, "ranges") {
				from := rapid.IntRange(0, 9).Draw(t, "from")
				to := rapid.IntRange(from, 9).Draw(t, "to")
				c.RemoteIPRanges = append(c.RemoteIPRanges, config.Range{From: netip.AddrFrom4([4]byte{1, 1, 1, byte(from)}), To: netip.AddrFrom4([4]byte{1, 1, 1, byte(to)})})
			}
			cs = append(cs, c)
		}
		local := netip.AddrPortFrom(locals[rapid.IntRange(1, 2).Draw(t, "at")], 25)
		host := rapid.IntRange(0, 9).Draw(t, "host")
		remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 1, 1, byte(host)}), 1)

		want, best := -1, 1<<30
		for i, c := range cs {
			for _, b := range c.Bindings {
				for _, r := range c.RemoteIPRanges {
					from, to := int(r.From.As4()[3]), int(r.To.As4()[3])
					if !c.Enabled || b.Port() != 25 || from > host || to < host {
						continue
					}
					score := to - from
					switch b.Addr() {
					case local.Addr():
					case locals[0]:
						score += 1000
					default:
						continue
					}
					if score < best {
						want, best = i, score
					}
				}
			}
		}
		s := Select(cs, local, remote)
		got := -1
		for i := range cs {
			if s.Connector == &cs[i] {
				got = i
			}
		}
		if got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}

func TestChooseAllocatesNothing(t *testing.T) {
	cs := []config.ReceiveConnector{testConnector(), testConnector()}
	if n := testing.AllocsPerRun(100, func() { choose(cs, serverAddr, strangerAddr) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
