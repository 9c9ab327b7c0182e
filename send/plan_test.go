package send

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/resolver"
	"postern/routing"
)

// text writes a plan in lines, "1/10 mx.test: 192.0.2.25:25 from 192.0.2.12".
func (p Plan) text() string {
	var lines []string
	for _, h := range p.Hosts {
		line := strings.TrimSpace(strings.Join([]string{string(rune('0' + h.Rank)), h.Host}, " "))
		if h.Preference != 0 {
			line += " preference"
		}
		if h.IPv4 != "" {
			line += " (IPv4: " + h.IPv4 + ")"
		}
		if h.IPv6 != "" {
			line += " (IPv6: " + h.IPv6 + ")"
		}
		for _, a := range h.Addresses {
			line += " | " + a.Address.String()
			for i, s := range a.Sources {
				line += []string{" from ", " or "}[min(i, 1)] + s.String()
			}
			if a.Skipped != "" {
				line += " skipped: " + a.Skipped
			}
			if a.Unhealthy {
				line += " unhealthy"
			}
		}
		if h.Problem != "" {
			line += " | " + h.Problem
		}
		lines = append(lines, line)
	}
	for _, n := range p.Notes {
		lines = append(lines, "note: "+n)
	}
	if p.Reply != "" {
		lines = append(lines, "reply: "+p.Reply)
	}
	return strings.Join(lines, "\n")
}

// TestPlan: what is planned, and that a delivery comes to the same.
func TestPlan(t *testing.T) {
	const (
		shared = "note: The smart hosts share the mail: each delivery begins with the next of them, and goes on to the others when one fails."
		inTurn = "note: Source addresses of a family take turns, since source_ip_selection is \"round_robin\"; the others stand in for the one whose turn it is."
	)
	const leftOut = "; it, those of the same preference and all after them are left out (RFC 5321 5.1)"
	for _, tt := range []struct {
		name      string
		hop       routing.NextHop
		mx, addrs map[string]any
		change    func(*config.SendConnector)
		dead      string
		want      string
	}{
		{
			name: "exchangers", mx: map[string]any{"example.test": "one.test=two.test,three.test"},
			addrs: map[string]any{"one.test": "192.0.2.31 2001:db8::31", "two.test": "192.0.2.32", "three.test": dnsTrouble(resolver.Temporary)},
			dead:  "192.0.2.32:25",
			want: "1 one.test preference | 192.0.2.31:25 | [2001:db8::31]:25\n" +
				"1 two.test preference | 192.0.2.32:25 unhealthy\n" +
				`2 three.test preference | 451 4.4.0 DNS query failed: MX of "x": temporary failure: trouble`,
		},
		{
			name: "sources", addrs: map[string]any{"example.test": "192.0.2.31 2001:db8::31"},
			change: func(c *config.SendConnector) {
				c.SourceIPAddress = []netip.Addr{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("192.0.2.13")}
			},
			want: `1 example.test | 192.0.2.31:25 from 192.0.2.12 or 192.0.2.13 | [2001:db8::31]:25 skipped: send connector "Internet" has no source address of its family` + "\n" + inTurn,
		},
		{
			name: "a destination's own source", addrs: map[string]any{"example.test": "192.0.2.31"},
			change: func(c *config.SendConnector) {
				c.SourceIPAddress = []netip.Addr{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("192.0.2.13")}
				c.SourceIPSelection = config.SourceSticky
			},
			want: "1 example.test | 192.0.2.31:25 from 192.0.2.13 or 192.0.2.12",
		},
		{
			name: "nothing left", addrs: map[string]any{"example.test": "2001:db8::31"},
			change: func(c *config.SendConnector) { c.SourceIPAddress = []netip.Addr{netip.MustParseAddr("192.0.2.12")} },
			want: "1 example.test | [2001:db8::31]:25 skipped: send connector \"Internet\" has no source address of its family\n" +
				"reply: 451 4.4.4 example.test [2001:db8::31] was passed over: send connector \"Internet\" has no source address of its family",
		},
		{name: "no such domain", want: "reply: 550 5.4.4 Nonexistent domain example.test"},
		{
			name: "null MX", mx: map[string]any{"example.test": resolver.MXResult{Null: true}},
			want: "reply: 556 5.1.10 The domain example.test does not accept mail (null MX)",
		},
		{
			name: "one family alone", addrs: map[string]any{"example.test": "192.0.2.31"},
			change: func(c *config.SendConnector) { c.IPPreference = config.IPv6Only },
			want: "1 example.test | 550 5.4.4 The mail host example.test has no address that may be used: send connector \"Internet\" has ip_preference = \"ipv6_only\"\n" +
				"reply: 550 5.4.4 The mail host example.test has no address that may be used: send connector \"Internet\" has ip_preference = \"ipv6_only\"",
		},
		{
			name: "we are the second", mx: map[string]any{"example.test": "one.test,two.test=three.test,four.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32", "three.test": "192.0.2.1", "four.test": "192.0.2.33"},
			want: "1 one.test preference | 192.0.2.31:25\n" +
				"2 two.test preference | 192.0.2.32:25 | the gateway itself has the same preference\n" +
				"2 three.test preference | 192.0.2.1:25 | Mail loop: three.test [192.0.2.1] at port 25 is this gateway\n" +
				"note: Mail loop: three.test [192.0.2.1] at port 25 is this gateway" + leftOut,
		},
		{
			name: "we are the first, by name", mx: map[string]any{"example.test": "edge.contoso.example,one.test"},
			want: "note: Mail loop: the mail exchanger edge.contoso.example is this gateway" + leftOut + "\n" +
				"reply: 554 5.4.6 Mail loop: the mail exchanger edge.contoso.example is this gateway",
		},
		{
			name: "smart hosts", hop: smartHop("[192.0.2.41]:25,hub.test:2525"), addrs: map[string]any{"hub.test": "192.0.2.42"},
			want: "1 192.0.2.41 | 192.0.2.41:25\n2 hub.test | 192.0.2.42:2525\n" + shared,
		},
		{
			name: "a smart host that does not exist", hop: smartHop("gone.test:25"),
			want: "1 gone.test | 451 4.4.4 Nonexistent domain gone.test\nreply: 451 4.4.4 Nonexistent domain gone.test",
		},
		{
			name: "unknown connector", hop: routing.NextHop{Connector: "Gone", Domain: "example.test"},
			want: `reply: 451 4.3.5 There is no send connector "Gone" in the configuration`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			defer b.stop()
			b.names.mx, b.names.addrs = tt.mx, tt.addrs
			if tt.change != nil {
				tt.change(b.connector)
			}
			h := hop()
			if tt.hop.Connector != "" {
				h = tt.hop
			}
			if tt.dead != "" {
				b.start().dead.mark(netip.MustParseAddrPort(tt.dead), time.Now().Add(time.Hour))
			}
			p := b.start().Plan(t.Context(), h)
			if got := p.text(); got != tt.want {
				t.Errorf("plan\n%s\nwant\n%s", got, tt.want)
			}
			if p.Connector != h.Connector || p.NextHop != h.String() {
				t.Errorf("the plan is for %q, %q", p.Connector, p.NextHop)
			}
			if len(b.net.dials) != 0 {
				t.Error("a plan opens no connection")
			}
			// Where there is nothing to connect to, a delivery says the same.
			if p.Reply != "" {
				if got := sum(b.deliver(t.Context(), h, mail("x\r\n"))); !strings.Contains(got, p.Reply) {
					t.Errorf("a delivery says %q, the plan %q", got, p.Reply)
				}
			}
		})
	}
}

// TestNewPlan: without a gateway, and with a form for programs.
func TestNewPlan(t *testing.T) {
	cfg := &config.Config{
		DNS: config.DNS{Hosts: map[string][]netip.Addr{"hub.test": {netip.MustParseAddr("10.0.0.11")}}},
		SendConnectors: []config.SendConnector{{Name: "Hub", Enabled: true, TLS: config.TLSRequired, FQDN: "out.contoso.example",
			SmartHosts: []config.SmartHost{{Host: "hub.test"}}}},
	}
	p := NewPlan(t.Context(), cfg, routing.NextHop{Connector: "Hub", Kind: routing.SmartHost, Domain: routing.HostSet(&cfg.SendConnectors[0])})
	if got := p.text(); got != "1 hub.test | 10.0.0.11:25" {
		t.Errorf("plan %s", got)
	}
	j, err := json.Marshal(p)
	if err != nil || !strings.HasPrefix(string(j), `{"connector":"Hub","next_hop":"Hub/hub.test:25","hosts":[{"host":"hub.test","rank":1,"preference":0,"addresses":[{"address":"10.0.0.11:25","tls":"TLS (send connector \"Hub\")"`) {
		t.Errorf("%s, %v", j, err)
	}
}
