//go:build linux

package main_test

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// peers counts the addresses that deliveries came from.
func peers(list []*delivery) map[string]int {
	seen := map[string]int{}
	for _, d := range list {
		seen[d.Peer]++
	}
	return seen
}

// to returns the deliveries to a recipient's domain.
func to(list []*delivery, domain string) []*delivery {
	return slices.DeleteFunc(slices.Clone(list), func(d *delivery) bool { return !strings.Contains(d.Rcpt[0], "@"+domain+">") })
}

// Next hops see the source addresses of the connector: one, each in turn, or
// one for each destination. One that this host does not have is told of at the
// start, and costs nothing but that.
func TestSourceAddresses(t *testing.T) {
	t.Parallel()
	hop := newSink(t, sinkOptions{})
	e := newEdge(t)
	const each = "messages_per_connection = 1\nprotocol_logging = \"verbose\"\n"
	e.route("One", "one.example", hop.addr, each+`source_ip_address = ["127.0.0.7"]`)
	e.route("Turns", "turns.example", hop.addr, each+`source_ip_address = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]`)
	e.route("Sticky", "sticky.example", hop.addr, each+"source_ip_selection = \"sticky\"\nsource_ip_address = [\"127.0.0.2\", \"127.0.0.3\", \"127.0.0.4\"]")
	e.route("Gap", "gap.example", hop.addr, each+`source_ip_address = ["192.0.2.1", "127.0.0.8", "127.0.0.9"]`)
	e.route("Six", "six.example", hop.addr, each+`source_ip_address = ["::1"]`)
	g := e.serve(t)
	c := dial(t, e.addr)
	for range 6 {
		for _, domain := range []string{"one", "turns", "sticky", "gap"} {
			c.deliver(t, "kim@contoso.example", "bob@"+domain+".example", letter(domain))
		}
	}
	c.deliver(t, "kim@contoso.example", "bob@six.example", letter("six"))
	got := hop.await(t, 24)
	for domain, want := range map[string]string{
		"one.example":   "map[127.0.0.7:6]",
		"turns.example": "map[127.0.0.2:2 127.0.0.3:2 127.0.0.4:2]",
	} {
		if seen := fmt.Sprint(peers(to(got, domain))); seen != want {
			t.Errorf("mail for %s came from %s, want %s", domain, seen, want)
		}
	}
	if seen := peers(to(got, "sticky.example")); len(seen) != 1 || !strings.HasPrefix(slices.Collect(maps.Keys(seen))[0], "127.0.0.") {
		t.Errorf("mail for one destination came from %v", seen)
	}
	if seen := peers(to(got, "gap.example")); len(seen) != 2 || seen["127.0.0.8"]+seen["127.0.0.9"] != 6 {
		t.Errorf("where one address is missing mail came from %v", seen)
	}
	if printed := g.output.String(); !strings.Contains(printed, `send connector \"Gap\" can't use the source address 192.0.2.1`) &&
		!strings.Contains(printed, `send connector "Gap" can't use the source address 192.0.2.1`) {
		t.Errorf("no warning at start:\n%s", tail(printed))
	}
	for _, want := range []string{",127.0.0.7:", ",127.0.0.3:", ",192.0.2.1:0," + hop.addr + ",*,,attempting to connect"} {
		until(t, "a line with "+want+" in the protocol log", func() bool { return strings.Contains(e.protocolLog(t), want) })
	}
	// There is no source address of the only next hop's family.
	m := e.awaitMessage(t, "--status", "retry")
	e.wants(t, 0, "was passed over", "queue", "show", m.ID)
	e.wants(t, 0, `no source address of its family`, "queue", "show", m.ID)
	// A reload tries the addresses as well.
	e.send = strings.Replace(e.send, "127.0.0.7", "192.0.2.7", 1)
	if code, stdout, stderr := g.reload(t); code != 0 || !strings.Contains(stdout+stderr, "can't use the source address 192.0.2.7") {
		t.Errorf("exit code %d, want a warning of 192.0.2.7\n%s%s", code, stdout, stderr)
	}
}

// A connector's own DNS servers find its next hops, whatever those of [dns] say;
// static hosts come before both.
func TestOwnDNSServers(t *testing.T) {
	t.Parallel()
	var addr = map[string]string{}
	hops := map[string]*sink{}
	_, p, _ := strings.Cut(freeAddr(t), ":")
	for i, name := range []string{"general", "own", "static"} {
		addr[name] = fmt.Sprintf("127.77.%d.1", i+1)
		hops[name] = newSink(t, sinkOptions{Addr: addr[name] + ":" + p})
	}
	records := func(to string) []string {
		return []string{"a.example. MX 10 mx.a.example.", "mx.a.example. A " + addr[to], "b.example. MX 10 mx.b.example.", "mx.b.example. A " + addr[to],
			"c.example. MX 10 hub.static.example.", "hub.static.example. A 127.77.9.9"}
	}
	general, own := newUnbound(t, records("general")...), newUnbound(t, records("own")...)
	e := newEdge(t)
	e.top = fmt.Sprintf("[dns]\nservers = [%q]\nhosts = { \"hub.static.example\" = [%q] }\n%s", general, addr["static"], impatient)
	e.send = fmt.Sprintf(`
[[send_connector]]
name = "Internet"
address_spaces = ["*"]
port = %[1]s

[[send_connector]]
name = "Partner"
address_spaces = ["b.example", "c.example"]
port = %[1]s
dns_servers = [%[2]q]
dns_protocol = "tcp"
`, p, own)
	e.serve(t)
	c := dial(t, e.addr)
	for _, domain := range []string{"a", "b", "c"} {
		c.deliver(t, "kim@contoso.example", "bob@"+domain+".example", letter(domain))
	}
	for name, domain := range map[string]string{"general": "a.example", "own": "b.example", "static": "c.example"} {
		if got := hops[name].await(t, 1); len(to(got, domain)) != 1 {
			t.Errorf("the host that %s DNS names has %s, want mail for %s", name, got[0].Rcpt, domain)
		}
	}
	e.wants(t, 0, own, "connector", "show", "Partner")
}

// connect joins two networks by a cable. The addresses are with their prefix
// lengths.
func connect(t *testing.T, a, b *place, ofA, ofB []string) {
	t.Helper()
	ip := need(t, "ip")
	var thread int
	b.run(func() { thread = syscall.Gettid() })
	do := func(p *place, args ...string) {
		t.Helper()
		var out []byte
		var err error
		p.run(func() { out, err = exec.Command(ip, args...).CombinedOutput() })
		if err != nil {
			lacking(t, "ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	do(a, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", fmt.Sprint(thread))
	for p, list := range map[*place][]string{a: ofA, b: ofB} {
		for _, addr := range list {
			args := []string{"address", "add", addr, "dev", "cable"}
			if strings.Contains(addr, ":") {
				args = append(args, "nodad") // else it can't be used for a second or two
			}
			do(p, args...)
		}
		do(p, "link", "set", "cable", "up")
	}
}

// Across a network: the next hop sees each address of the pools of both
// families, and the gateway gets along with an address that is taken away, a
// family that leads nowhere, and one that it has no address of.
func TestSourceAddressesAcrossNetworks(t *testing.T) {
	t.Parallel()
	inside, outside := newNetwork(t), newNetwork(t)
	connect(t, inside, outside,
		[]string{"198.18.0.11/24", "198.18.0.12/24", "fd00:18::11/64", "fd00:18::12/64"}, []string{"198.18.0.25/24", "fd00:18::25/64"})
	four := newSink(t, sinkOptions{Place: outside, Addr: "198.18.0.25:25"})
	six := newSink(t, sinkOptions{Place: outside, Addr: "[fd00:18::25]:25"})
	resolver := newUnboundIn(t, inside,
		"four.example. MX 10 mx4.four.example.", "mx4.four.example. A 198.18.0.25",
		"six.example. MX 10 mx6.six.example.", "mx6.six.example. AAAA fd00:18::25",
		"both.example. MX 10 mx.both.example.", "mx.both.example. A 198.18.0.25", "mx.both.example. AAAA fd00:18::25",
		"hole.example. MX 10 mx.hole.example.", "mx.hole.example. A 198.18.0.25", "mx.hole.example. AAAA fd00:18::99",
		"lone.example. MX 10 mx6.six.example.",
	)
	e := newEdge(t)
	e.top = fmt.Sprintf("[dns]\nservers = [%q]\n%s", resolver, impatient)
	const pool = `source_ip_address = ["198.18.0.11", "198.18.0.12", "fd00:18::11", "fd00:18::12"]`
	connector := func(name, spaces, keys string) {
		e.send += fmt.Sprintf("\n[[send_connector]]\nname = %q\naddress_spaces = [%s]\nmessages_per_connection = 1\nprotocol_logging = \"verbose\"\n%s\n", name, spaces, keys)
	}
	connector("Turns", `"four.example", "six.example"`, pool)
	connector("Six first", `"both.example", "hole.example"`, pool+"\nip_preference = \"prefer_ipv6\"\nsource_ip_selection = \"sticky\"")
	connector("Four alone", `"lone.example"`, `source_ip_address = ["198.18.0.11"]`)
	g := e.serveIn(t, inside)
	send := func(n int, domains ...string) {
		t.Helper()
		c := dialFrom(t, inside, "", e.addr)
		defer c.close()
		for range n {
			for _, d := range domains {
				c.deliver(t, "kim@contoso.example", "bob@"+d+".example", letter(d))
			}
		}
	}
	send(4, "four", "six", "both", "hole")
	at4, at6 := four.await(t, 8), six.await(t, 8)
	for _, tt := range []struct {
		list   []*delivery
		domain string
		want   string
	}{
		{at4, "four.example", "map[198.18.0.11:2 198.18.0.12:2]"},
		{at6, "six.example", "map[fd00:18::11:2 fd00:18::12:2]"},
	} {
		if seen := fmt.Sprint(peers(to(tt.list, tt.domain))); seen != tt.want {
			t.Errorf("mail for %s came from %s, want %s", tt.domain, seen, tt.want)
		}
	}
	both := peers(to(at6, "both.example"))
	if len(both) != 1 || len(peers(to(at4, "hole.example"))) != 1 {
		t.Errorf("sticky mail came from %v and %v", both, peers(to(at4, "hole.example")))
	}
	// The address that both.example's mail comes from is taken away.
	gone := slices.Collect(maps.Keys(both))[0]
	inside.run(func() { _ = exec.Command(need(t, "ip"), "address", "del", gone+"/64", "dev", "cable").Run() })
	send(3, "both")
	later := peers(to(six.await(t, 11), "both.example"))
	if len(later) != 2 || later[gone] != 4 {
		t.Errorf("with %s gone, mail came from %v", gone, later)
	}
	if !strings.Contains(g.output.String(), "a source address can't be used") {
		t.Errorf("nobody was told that %s is gone:\n%s", gone, tail(g.output.String()))
	}
	for _, want := range []string{",198.18.0.11:", ",198.18.0.12:", ",[fd00:18::11]:", ",[fd00:18::12]:"} {
		until(t, "a line with "+want+" in the protocol log", func() bool { return strings.Contains(e.protocolLog(t), want) })
	}
	send(1, "lone")
	m := e.awaitMessage(t, "--status", "retry")
	e.wants(t, 0, "has no source address of its family", "queue", "show", m.ID, "--output", "json")
}
