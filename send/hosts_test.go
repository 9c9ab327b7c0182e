package send

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/internal/resolver"
	"postern/routing"
)

// tried returns the addresses that were connected to, in order.
func (b *bench) tried() string {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	var list []string
	for _, d := range b.net.dials {
		list = append(list, strings.TrimSuffix(d.remote.String(), ":25"))
	}
	return strings.Join(list, " ")
}

func TestHosts(t *testing.T) {
	refuses := &fakeMX{greeting: "554 5.7.1 go away"}
	busy := &fakeMX{greeting: "421 4.3.2 busy"}
	full := &fakeMX{faults: map[string]fault{"MAIL": reply("452 4.3.1 disk full")}}
	takes := &fakeMX{}
	for _, tt := range []struct {
		name   string
		domain string // example.test when empty
		mx     map[string]any
		addrs  map[string]any
		hosts  map[string]*fakeMX
		want   string // the outcome
		tried  string
	}{
		{
			name: "preference", mx: map[string]any{"example.test": "one.test,two.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"},
			hosts: map[string]*fakeMX{"192.0.2.31:25": takes, "192.0.2.32:25": refuses},
			want:  "0 delivered 250 2.6.0 Queued", tried: "192.0.2.31",
		},
		{
			name: "failover at connect, greeting and MAIL", mx: map[string]any{"example.test": "one.test,two.test,three.test,four.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32", "three.test": "192.0.2.33", "four.test": "192.0.2.34"},
			hosts: map[string]*fakeMX{"192.0.2.32:25": busy, "192.0.2.33:25": full, "192.0.2.34:25": takes},
			want:  "0 delivered 250 2.6.0 Queued", tried: "192.0.2.31 192.0.2.32 192.0.2.33 192.0.2.34",
		},
		{
			name: "failover to the next address", mx: map[string]any{"example.test": "one.test"},
			addrs: map[string]any{"one.test": "192.0.2.31 2001:db8::31 192.0.2.32"},
			hosts: map[string]*fakeMX{"192.0.2.32:25": takes},
			want:  "0 delivered 250 2.6.0 Queued", tried: "192.0.2.31 [2001:db8::31] 192.0.2.32",
		},
		{
			name: "implicit MX", domain: "only-a.test", addrs: map[string]any{"only-a.test": "192.0.2.31"},
			hosts: map[string]*fakeMX{"192.0.2.31:25": takes},
			want:  "0 delivered 250 2.6.0 Queued", tried: "192.0.2.31",
		},
		{
			name: "address literal", domain: "[192.0.2.31]", hosts: map[string]*fakeMX{"192.0.2.31:25": takes},
			want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.31",
		},
		{
			name: "IPv6 address literal", domain: "[IPv6:2001:db8::31]", hosts: map[string]*fakeMX{"[2001:db8::31]:25": takes},
			want: "0 delivered 250 2.6.0 Queued", tried: "[2001:db8::31]",
		},
		{
			name: "no address literal", domain: "[X-400:nonsense]",
			want: "0 failed 550 5.1.2 [X-400:nonsense] is no address to which mail can be sent",
		},
		{
			name: "null MX", mx: map[string]any{"example.test": resolver.MXResult{Null: true}},
			want: "0 failed 556 5.1.10 The domain example.test does not accept mail (null MX)",
		},
		{name: "no such domain", domain: "absent.test", want: "0 failed 550 5.4.4 Nonexistent domain absent.test"},
		{
			name: "DNS trouble", mx: map[string]any{"example.test": dnsTrouble(resolver.Temporary)},
			want: "0 deferred 451 4.4.0 DNS query failed: MX of \"x\": temporary failure: trouble; unreachable",
		},
		{
			name: "exchangers without addresses", mx: map[string]any{"example.test": "one.test,two.test"},
			addrs: map[string]any{"two.test": dnsTrouble(resolver.NoData)},
			want:  "0 failed 550 5.4.4 Nonexistent domain one.test",
		},
		{
			name: "one exchanger without address, one in trouble", mx: map[string]any{"example.test": "one.test,two.test"},
			addrs: map[string]any{"two.test": dnsTrouble(resolver.Temporary)},
			want:  "0 deferred 451 4.4.0 DNS query failed: MX of \"x\": temporary failure: trouble; unreachable",
		},
		{
			name: "all refuse for good", mx: map[string]any{"example.test": "one.test,two.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"},
			hosts: map[string]*fakeMX{"192.0.2.31:25": refuses, "192.0.2.32:25": refuses},
			want:  "0 failed 554 5.7.1 go away", tried: "192.0.2.31 192.0.2.32",
		},
		{
			name: "one refuses for good, one is down", mx: map[string]any{"example.test": "one.test,two.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"},
			hosts: map[string]*fakeMX{"192.0.2.31:25": refuses},
			want:  "0 deferred 421 4.4.1 Unable to connect: dial tcp: connect: connection refused; unreachable", tried: "192.0.2.31 192.0.2.32",
		},
		{
			name: "what a host said counts more than silence", mx: map[string]any{"example.test": "one.test,two.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"},
			hosts: map[string]*fakeMX{"192.0.2.32:25": busy},
			want:  "0 deferred 421 4.3.2 busy; unreachable", tried: "192.0.2.31 192.0.2.32",
		},
		{
			name: "a host took the connection", mx: map[string]any{"example.test": "one.test,two.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"},
			hosts: map[string]*fakeMX{"192.0.2.31:25": full},
			want:  "0 deferred 452 4.3.1 disk full", tried: "192.0.2.31 192.0.2.32",
		},
		{
			name: "loop by address", mx: map[string]any{"example.test": "one.test"},
			addrs: map[string]any{"one.test": "192.0.2.1"},
			want:  "0 failed 554 5.4.6 Mail loop: one.test [192.0.2.1] at port 25 is this gateway",
		},
		{
			name: "loop over loopback", domain: "[127.0.0.5]",
			want: "0 failed 554 5.4.6 Mail loop: [127.0.0.5] at port 25 is this gateway",
		},
		{
			name: "loop by name", mx: map[string]any{"example.test": "mail.contoso.example"},
			want: "0 failed 554 5.4.6 Mail loop: the mail exchanger mail.contoso.example is this gateway",
		},
		{
			name: "loop by greeting", mx: map[string]any{"example.test": "one.test"},
			addrs: map[string]any{"one.test": "198.51.100.1"},
			hosts: map[string]*fakeMX{"198.51.100.1:25": {greeting: "220 Edge.Contoso.Example ESMTP"}},
			want:  "0 failed 554 5.4.6 Mail loop: one.test [198.51.100.1] greets with our own name Edge.Contoso.Example", tried: "198.51.100.1",
		},
		{
			name: "we are the second exchanger: the third is not tried", mx: map[string]any{"example.test": "one.test,two.test,three.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.1", "three.test": "192.0.2.33"},
			hosts: map[string]*fakeMX{"192.0.2.33:25": takes},
			want:  "0 deferred 421 4.4.1 Unable to connect: dial tcp: connect: connection refused; unreachable", tried: "192.0.2.31",
		},
		{
			name: "we are among equals", mx: map[string]any{"example.test": "one.test=two.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.1"},
			hosts: map[string]*fakeMX{"192.0.2.31:25": takes},
			want:  "0 failed 554 5.4.6 Mail loop: two.test [192.0.2.1] at port 25 is this gateway",
		},
		{
			name: "we are the second by name", mx: map[string]any{"example.test": "one.test,edge.contoso.example,three.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "three.test": "192.0.2.33"},
			hosts: map[string]*fakeMX{"192.0.2.31:25": takes, "192.0.2.33:25": takes},
			want:  "0 delivered 250 2.6.0 Queued", tried: "192.0.2.31",
		},
		{
			name: "greeting of ours ends the list", mx: map[string]any{"example.test": "one.test,two.test,three.test"},
			addrs: map[string]any{"one.test": "192.0.2.31", "two.test": "198.51.100.1", "three.test": "192.0.2.33"},
			hosts: map[string]*fakeMX{"198.51.100.1:25": {greeting: "220 edge.contoso.example ESMTP"}, "192.0.2.33:25": takes},
			want:  "0 deferred 421 4.4.1 Unable to connect: dial tcp: connect: connection refused; unreachable", tried: "192.0.2.31 198.51.100.1",
		},
		{
			name: "many addresses", mx: map[string]any{"example.test": "one.test"},
			addrs: map[string]any{"one.test": strings.Repeat("192.0.2.31 ", 30)},
			want:  "0 deferred 421 4.4.1 Unable to connect: dial tcp: connect: connection refused; unreachable",
			tried: strings.TrimSpace(strings.Repeat("192.0.2.31 ", maxTries)),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.names.mx, b.names.addrs = tt.mx, tt.addrs
				for a, mx := range tt.hosts {
					mx.mu.Lock()
					mx.messages = nil
					mx.mu.Unlock()
					b.host(a, mx)
				}
				h := hop()
				if tt.domain != "" {
					h.Domain = tt.domain
				}
				r := b.deliver(t.Context(), h, mail("x\r\n"))
				b.stop()
				if got := sum(r); got != tt.want {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				if got := b.tried(); got != tt.tried {
					t.Errorf("tried %q, want %q", got, tt.tried)
				}
				if want := len(strings.Fields(tt.tried)); len(r.Attempts) != want {
					t.Errorf("%d attempts, want %d: %+v", len(r.Attempts), want, r.Attempts)
				}
			})
		})
	}
}

// TestEqualPreference: hosts of equal preference share the load.
func TestEqualPreference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.names.mx = map[string]any{"example.test": "a.test=b.test=c.test,last.test"}
		b.names.addrs = map[string]any{"a.test": "192.0.2.31", "b.test": "192.0.2.32", "c.test": "192.0.2.33", "last.test": "192.0.2.34"}
		b.connector.MessagesPerConnection = 1
		counts := map[string]int{}
		hosts := map[string]*fakeMX{}
		for _, a := range []string{"192.0.2.31:25", "192.0.2.32:25", "192.0.2.33:25", "192.0.2.34:25"} {
			hosts[a] = &fakeMX{}
			b.host(a, hosts[a])
		}
		b.start().shuffle = New(Options{Config: b.config, Resolver: b.names}).shuffle
		for range 60 {
			b.send()
		}
		b.stop()
		for a, mx := range hosts {
			counts[a] = len(mx.got())
		}
		for _, a := range []string{"192.0.2.31:25", "192.0.2.32:25", "192.0.2.33:25"} {
			if counts[a] < 5 {
				t.Errorf("messages by host %v: want them shared among equals", counts)
			}
		}
		if counts["192.0.2.34:25"] != 0 {
			t.Errorf("messages by host %v: the last is not preferred", counts)
		}
	})
}

// TestDeadHosts: a host that took no connection is tried last for a while,
// but is tried.
func TestDeadHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := &fakeMX{}
		b := newBench(t, nil)
		defer b.stop()
		b.names.mx = map[string]any{"example.test": "one.test,two.test"}
		b.names.addrs = map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"}
		b.connector.MessagesPerConnection = 1
		b.host("192.0.2.32:25", second)
		step := func(want string) {
			t.Helper()
			b.net.mu.Lock()
			b.net.dials = nil
			b.net.mu.Unlock()
			b.send()
			if got := b.tried(); got != want {
				t.Errorf("tried %q, want %q", got, want)
			}
		}
		step("192.0.2.31 192.0.2.32") // the first is down
		step("192.0.2.32")            // and remembered
		second.mu.Lock()
		second.faults = map[string]fault{"greeting": closes}
		second.mu.Unlock()
		step("192.0.2.32 192.0.2.31") // it is tried after all others
		step("192.0.2.31 192.0.2.32") // both are dead: in their order
		time.Sleep(b.s.timeouts.Dead)
		first := &fakeMX{}
		b.net.mu.Lock()
		b.host("192.0.2.31:25", first)
		b.net.mu.Unlock()
		step("192.0.2.31") // the memory is short
		step("192.0.2.31")
	})
}

func smartHop(hosts string) routing.NextHop {
	return routing.NextHop{Connector: "Internet", Kind: routing.SmartHost, Domain: hosts}
}

func TestSmartHosts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hosts string
		sends int
		want  string // of the last
		tried string
	}{
		{name: "in turns", hosts: "[192.0.2.41]:25,[192.0.2.42]:25", sends: 4,
			want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.41 192.0.2.42 192.0.2.41 192.0.2.42"},
		{name: "failover", hosts: "[192.0.2.49]:25,[192.0.2.42]:25", sends: 1,
			want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.49 192.0.2.42"},
		{name: "port", hosts: "[192.0.2.43]:2525", sends: 1, want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.43:2525"},
		{name: "IPv6", hosts: "[2001:db8::44]:25", sends: 1, want: "0 delivered 250 2.6.0 Queued", tried: "[2001:db8::44]"},
		{name: "name", hosts: "hub.test:25", sends: 1, want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.41"},
		{name: "name of exchangers", hosts: "hubs.test:25", sends: 1, want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.42"},
		{name: "name of exchangers, of which we are the second", hosts: "ours.test:25", sends: 1, want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.42"},
		// That the name does not exist is our configuration: the mail waits.
		{name: "no such name", hosts: "absent.test:25", sends: 1,
			want: "0 deferred 451 4.4.4 Nonexistent domain absent.test; unreachable"},
		{name: "one is ourselves", hosts: "[192.0.2.1]:25,[192.0.2.41]:25", sends: 1, want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.41"},
		{name: "only ourselves", hosts: "[192.0.2.1]:587", sends: 1,
			want: "0 failed 554 5.4.6 Mail loop: [192.0.2.1] at port 587 is this gateway"},
		{name: "our address, another port", hosts: "[192.0.2.1]:10025", sends: 1, want: "0 delivered 250 2.6.0 Queued", tried: "192.0.2.1:10025"},
		{name: "nonsense", hosts: "hub", sends: 1, want: `0 deferred 451 4.3.5 The smart hosts "hub" can't be used: "hub" has no port; unreachable`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.connector.MessagesPerConnection = 1
				b.names.mx = map[string]any{"hubs.test": "hub2.test", "ours.test": "hub2.test,edge.contoso.example,hub.test"}
				b.names.addrs = map[string]any{"hub.test": "192.0.2.41", "hub2.test": "192.0.2.42", "hubs.test": dnsTrouble(resolver.NoData), "ours.test": dnsTrouble(resolver.NoData)}
				for _, a := range []string{"192.0.2.41:25", "192.0.2.42:25", "192.0.2.43:2525", "[2001:db8::44]:25", "192.0.2.1:10025"} {
					b.host(a, &fakeMX{})
				}
				var r message.Report
				for range tt.sends {
					r = b.deliver(t.Context(), smartHop(tt.hosts), mail("x\r\n"))
				}
				b.stop()
				if got := sum(r); got != tt.want {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				if got := b.tried(); got != tt.tried {
					t.Errorf("tried %q, want %q", got, tt.tried)
				}
			})
		})
	}
}

// TestTurnsOfEachConnector: smart hosts share the load also when connectors take
// turns among themselves.
func TestTurnsOfEachConnector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.stop()
		other := *b.connector
		other.Name = "Other"
		b.config.SendConnectors = append(b.config.SendConnectors, other)
		hops := []routing.NextHop{smartHop("[192.0.2.41]:25,[192.0.2.42]:25"), smartHop("[192.0.2.43]:25,[192.0.2.44]:25")}
		hops[1].Connector = "Other"
		for i := range hops {
			c := &b.config.SendConnectors[i]
			c.MessagesPerConnection = 1
			for n := range 2 {
				a := fmt.Sprintf("192.0.2.%d", 41+2*i+n)
				c.SmartHosts = append(c.SmartHosts, config.SmartHost{Host: a})
				b.host(a+":25", &fakeMX{})
			}
			if set := routing.HostSet(c); set != hops[i].Domain {
				t.Fatalf("smart hosts %s", set)
			}
		}
		for range 2 {
			for _, h := range hops {
				b.deliver(t.Context(), h, mail("x\r\n"))
			}
		}
		if got := b.tried(); got != "192.0.2.41 192.0.2.43 192.0.2.42 192.0.2.44" {
			t.Errorf("tried %s", got)
		}
	})
}

// TestSource: the source address of the family is bound; a family without one
// is passed over, and said to be.
func TestSource(t *testing.T) {
	for _, tt := range []struct {
		sources string
		addrs   string
		want    string
		dials   string
	}{
		{"192.0.2.12 2001:db8::12", "192.0.2.25 2001:db8::25", "0 delivered 250 2.6.0 Queued", "[{192.0.2.12 192.0.2.25:25}]"},
		{"192.0.2.12 2001:db8::12", "2001:db8::25", "0 delivered 250 2.6.0 Queued", "[{2001:db8::12 [2001:db8::25]:25}]"},
		{"2001:db8::12", "192.0.2.25 2001:db8::25", "0 delivered 250 2.6.0 Queued", "[{2001:db8::12 [2001:db8::25]:25}]"},
		{"2001:db8::12", "192.0.2.25", `0 deferred 451 4.4.4 mx.test [192.0.2.25] was passed over: send connector "Internet" has no source address of its family; unreachable`, "[]"},
		{"", "192.0.2.25", "0 delivered 250 2.6.0 Queued", "[{invalid IP 192.0.2.25:25}]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, &fakeMX{})
			b.host("[2001:db8::25]:25", &fakeMX{})
			b.names.addrs["mx.test"] = tt.addrs
			for a := range strings.FieldsSeq(tt.sources) {
				b.connector.SourceIPAddress = append(b.connector.SourceIPAddress, netip.MustParseAddr(a))
			}
			r := b.send()
			b.stop()
			if got := sum(r); got != tt.want {
				t.Errorf("sources %q: outcome %q, want %q", tt.sources, got, tt.want)
			}
			if got := fmt.Sprint(b.net.dials); got != tt.dials {
				t.Errorf("sources %q: dialled %s, want %s", tt.sources, got, tt.dials)
			}
			if len(b.net.dials) == 1 && tt.sources != "" && !strings.Contains(r.Attempts[0].Source, b.net.dials[0].source.String()) {
				t.Errorf("attempt names the source %q", r.Attempts[0].Source)
			}
		})
	}
}

func TestUnknownConnector(t *testing.T) {
	b := newBench(t, nil)
	defer b.stop()
	h := hop()
	h.Connector = "Gone"
	r := b.deliver(t.Context(), h, mail("x\r\n", "a", "b"))
	if got := sum(r); got != `0,1 deferred 451 4.3.5 There is no send connector "Gone" in the configuration` {
		t.Errorf("outcome %q", got)
	}
}

func TestParseSmartHosts(t *testing.T) {
	got, err := parseSmartHosts("[10.0.0.11]:25,[2001:db8::1]:2525,hub2.example:587")
	want := []host{{addr: netip.MustParseAddr("10.0.0.11"), port: 25}, {addr: netip.MustParseAddr("2001:db8::1"), port: 2525}, {name: "hub2.example", port: 587}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "hub", "hub:", "hub:0", "hub:65536", "hub:x", "[10.0.0.1]", "[ten]:25", ":25", "a:25,,b:25"} {
		if got, err := parseSmartHosts(bad); err == nil {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}

// TestRoutingWritesWhatSendReads: the next hops that routing makes of smart
// hosts are understood here.
func TestRoutingWritesWhatSendReads(t *testing.T) {
	cfg := &config.Config{SendConnectors: []config.SendConnector{{Name: "Hub", Enabled: true, AddressSpaces: []string{"*"}, Port: 2525,
		SmartHosts: []config.SmartHost{{Host: "hub.test"}, {Host: "10.0.0.11", Port: 26}, {Host: "2001:db8::1"}}, FQDN: "out.contoso.example"}}}
	table, findings := routing.New(cfg)
	if table == nil {
		t.Fatal(findings)
	}
	d := table.Route(routing.Query{Recipient: message.Address{Local: "a", Domain: "example.test"}})
	got, err := parseSmartHosts(d.NextHop.Domain)
	if err != nil || len(got) != 3 || d.NextHop.Kind != routing.SmartHost {
		t.Errorf("next hop %+v: %+v, %v", d.NextHop, got, err)
	}
}

// TestSilentZones: a domain with any number of exchangers whose zones never
// answer does not hold a delivery for longer than a few look-ups take.
func TestSilentZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.stop()
		silent := func() error {
			time.Sleep(20 * time.Second)
			return dnsTrouble(resolver.Temporary)
		}
		var group []string
		for i := range 300 {
			host := fmt.Sprintf("mx%d.test", i)
			group = append(group, host)
			b.names.addrs[host] = silent
		}
		for _, separator := range []string{"=", ","} { // of one preference, and of 300
			b.names.mx["example.test"] = strings.Join(group, separator)
			started := time.Now()
			r := b.send()
			if took := time.Since(started); took > 3*time.Minute {
				t.Errorf("the attempt took %v", took)
			}
			if got := sum(r); !strings.HasPrefix(got, "0 deferred 451 4.4.0 DNS query failed") || !r.Unreachable {
				t.Errorf("outcome %q, unreachable %v", got, r.Unreachable)
			}
		}
	})
}
