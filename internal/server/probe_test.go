package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"postern/config"
)

// The probe looks at the gateway from outside, as a stranger does who has read
// the RFCs and nothing else: each case is a dialog, the rule that it follows
// from, and what must arrive at the next hop. Every case runs in every way in
// which a client can reach the gateway, and every reply in every case is held
// against what the RFCs say of all replies; see parseProbes for the notation.

// probeGroups are the tables of cases.
var probeGroups = []struct{ name, table string }{
	{"greeting", greetingProbes},
	{"commands", commandProbes},
	{"data", dataProbes},
	{"tls", tlsProbes},
	{"utf8", utf8Probes},
	{"dsn", dsnProbes},
	{"bdat", bdatProbes},
	{"pipelining", pipeliningProbes},
	{"mail", mailProbes},
	{"parameters", parameterProbes},
	{"rcpt", rcptProbes},
}

// probeConnectors are the Receive connectors of the probe, each with what it
// has besides the defaults.
var probeConnectors = map[string]string{
	"":          "",
	"errors":    "max_protocol_errors = 5",
	"relay":     `grant = ["accept_any_recipient"]`,
	"nosubmit":  `deny = ["submit"]`,
	"nospoof":   `deny = ["accept_authoritative_domain_sender"]`,
	"normalise": `bare_line_ends = "normalise"`,
	"lenient":   `ehlo_domain_validation = "lenient"`,
	"any":       "ehlo_domain_validation = \"off\"\nrequire_ehlo_domain = false",
	"needtls":   "require_tls = true",
	"small":     "max_message_size = \"64KB\"\nmax_header_size = \"1KB\"\nmax_hop_count = 3\nmax_recipients_per_message = 3",
	"unsized":   `size_enabled = "enabled_without_value"`,
	"plain": `size_enabled = "disabled"
pipelining_enabled = false
enhanced_status_codes_enabled = false
eight_bit_mime_enabled = false
chunking_enabled = false
binary_mime_enabled = false
smtp_utf8_enabled = false
delivery_status_notification_enabled = false
require_tls_extension_enabled = false
limits_enabled = false`,
}

// probeGateway is one gateway with all of these connectors, and its next hop.
type probeGateway struct {
	ports map[string]int // by connector and listener
	sink  *probeSink

	mu       sync.Mutex
	accepted map[string]bool // by queue id
}

// probeListeners are the kinds of listeners that each connector has.
var probeListeners = []string{"clear", "implicit", "proxy", "proxy-implicit"}

// freePorts finds ports of 127.0.0.1, each unlike the others. They lie below
// those that systems give to outgoing connections, of which there are many at
// the same time.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	const low, high = 20000, 32000
	var ports []int
	for range 100 * n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", low+rand.IntN(high-low)))
		if err != nil {
			continue
		}
		defer l.Close() // not before all are found
		if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
			return ports
		}
	}
	t.Fatalf("there are no %d free ports", n)
	return nil
}

// newProbeGateway builds and starts a gateway.
func newProbeGateway(t *testing.T) *probeGateway {
	t.Helper()
	g := &probeGateway{ports: map[string]int{}, sink: newProbeSink(t), accepted: map[string]bool{}}
	var b strings.Builder
	fmt.Fprintf(&b, `[server]
fqdn = "edge.contoso.example"
data_dir = %q
[[accepted_domain]]
domain = "contoso.example"
default = true
[[accepted_domain]]
domain = "*.contoso.example"
type = "internal_relay"
[[accepted_domain]]
domain = "bücher.example"
[[send_connector]]
name = "Hub"
address_spaces = ["*"]
smart_hosts = ["127.0.0.1:%d"]
`, t.TempDir(), g.sink.port)
	ports := freePorts(t, len(probeConnectors)*len(probeListeners))
	for name, keys := range probeConnectors {
		for _, listener := range probeListeners {
			port := ports[len(g.ports)]
			g.ports[name+"/"+listener] = port
			fmt.Fprintf(&b, `[[receive_connector]]
name = "Probe %s %s"
bindings = ["127.0.0.1:%d"]
permission_groups = ["anonymous"]
banner = "220 edge.contoso.example ESMTP"
max_inbound_connection = "unlimited"
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = "unlimited"
message_rate_limit = "unlimited"
tarpit_interval = "0s"
max_idle_commands = "unlimited"
implicit_tls = %t
`, name, listener, port, strings.Contains(listener, "implicit"))
			if strings.Contains(listener, "proxy") {
				b.WriteString("proxy_protocol_from = [\"127.0.0.0/8\"]\n")
			}
			if !strings.Contains(keys, "max_protocol_errors") {
				b.WriteString("max_protocol_errors = \"unlimited\"\n")
			}
			b.WriteString(keys + "\n")
		}
	}
	cfg, findings, err := config.Parse("probe.toml", []byte(b.String()))
	if err != nil || config.HasErrors(findings) {
		t.Fatal(err, findings)
	}
	s := start(t, Options{Config: cfg})
	t.Cleanup(func() { stop(t, s) })
	for _, bound := range s.Bindings() {
		if bound.Err != nil {
			t.Fatal(bound)
		}
	}
	return g
}

// probeSessions is how many sessions run at a time.
const probeSessions = 24

// TestProbe runs all cases in all modes through one gateway.
func TestProbe(t *testing.T) {
	g := newProbeGateway(t)
	total := 0
	for _, group := range probeGroups {
		cases := parseProbes(t, group.table)
		total += len(cases)
		t.Run(group.name, func(t *testing.T) { g.runAll(t, cases) })
	}
	t.Logf("%d cases", total)
	g.sink.check(t, g.accepted)
}

// runAll runs the cases, many at a time, and reports each under its name.
func (g *probeGateway) runAll(t *testing.T, cases []probe) {
	type job struct {
		p    *probe
		mode probeMode
		err  error
	}
	var jobs []*job
	for i := range cases {
		for _, m := range probeModes {
			if cases[i].inMode(m) {
				jobs = append(jobs, &job{p: &cases[i], mode: m})
			}
		}
	}
	next := make(chan *job)
	var wg sync.WaitGroup
	for range probeSessions {
		wg.Go(func() {
			for j := range next {
				j.err = g.runOne(j.p, j.mode)
			}
		})
	}
	for _, j := range jobs {
		next <- j
	}
	close(next)
	wg.Wait()
	for _, j := range jobs {
		if j.err != nil {
			t.Run(j.p.name+"/"+j.mode.name, func(t *testing.T) { t.Errorf("%s: %v", j.p.rule, j.err) })
		}
	}
}

func (g *probeGateway) runOne(p *probe, mode probeMode) error {
	c, err := g.dial(mode, p.on)
	if err != nil {
		return err
	}
	defer c.Close()
	ids, err := p.run(c)
	g.accept(ids...)
	if err != nil {
		return err
	}
	return p.arrived(g.sink, ids)
}

// accept notes what a client was told was taken.
func (g *probeGateway) accept(ids ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		g.accepted[id] = true
	}
}
