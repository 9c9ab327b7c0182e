package send

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postern/config"
	"postern/internal/resolver"
)

// dnsServer answers over UDP on loopback, as its script says.
func dnsServer(t *testing.T, script func(w dns.ResponseWriter, m *dns.Msg, q string)) (addr netip.AddrPort, asked *atomic.Int32) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
			asked.Add(1)
			script(w, m, strings.ToLower(m.Question[0].Name)+" "+dns.TypeToString[m.Question[0].Qtype])
		})}
	var done sync.WaitGroup
	done.Go(func() { _ = s.ActivateAndServe() })
	t.Cleanup(func() {
		_ = s.Shutdown()
		done.Wait()
	})
	<-started
	return netip.MustParseAddrPort(pc.LocalAddr().String()), asked
}

// answer replies with records, or that there are none of the type.
func answer(w dns.ResponseWriter, m *dns.Msg, records ...string) {
	r := new(dns.Msg).SetReply(m)
	r.RecursionAvailable = true
	for _, s := range records {
		rr, _ := dns.NewRR(s)
		r.Answer = append(r.Answer, rr)
	}
	if len(records) == 0 {
		soa, _ := dns.NewRR("test. 300 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60")
		r.Ns = append(r.Ns, soa)
	}
	_ = w.WriteMsg(r)
}

func rcode(w dns.ResponseWriter, m *dns.Msg, code int) {
	_ = w.WriteMsg(new(dns.Msg).SetRcode(m, code))
}

// TestBrokenAAAA: whatever a connector's DNS servers make of AAAA, mail for a
// domain with an A record leaves without delay, also where IPv6 is preferred.
func TestBrokenAAAA(t *testing.T) {
	for name, broken := range map[string]func(w dns.ResponseWriter, m *dns.Msg){
		"silence":  func(dns.ResponseWriter, *dns.Msg) {},
		"SERVFAIL": func(w dns.ResponseWriter, m *dns.Msg) { rcode(w, m, dns.RcodeServerFailure) },
		"REFUSED":  func(w dns.ResponseWriter, m *dns.Msg) { rcode(w, m, dns.RcodeRefused) },
		"NXDOMAIN": func(w dns.ResponseWriter, m *dns.Msg) { rcode(w, m, dns.RcodeNameError) },
		"FORMERR":  func(w dns.ResponseWriter, m *dns.Msg) { rcode(w, m, dns.RcodeFormatError) },
		"truncated, no TCP": func(w dns.ResponseWriter, m *dns.Msg) {
			r := new(dns.Msg).SetReply(m)
			r.Truncated = true
			_ = w.WriteMsg(r)
		},
		"wrong id": func(w dns.ResponseWriter, m *dns.Msg) {
			r := new(dns.Msg).SetReply(m)
			r.Id++
			_ = w.WriteMsg(r)
		},
		"lame":     func(w dns.ResponseWriter, m *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetReply(m)) },
		"slow":     func(w dns.ResponseWriter, m *dns.Msg) { time.Sleep(4500 * time.Millisecond); answer(w, m) },
		"no route": func(w dns.ResponseWriter, m *dns.Msg) { answer(w, m, "mx.test. 60 IN AAAA 2001:db8::99") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := dnsServer(t, func(w dns.ResponseWriter, m *dns.Msg, q string) {
				switch q {
				case "example.test. MX":
					answer(w, m, "example.test. 60 IN MX 10 mx.test.")
				case "mx.test. A":
					answer(w, m, "mx.test. 60 IN A 192.0.2.25")
				default:
					broken(w, m)
				}
			})
			b := newBench(t, &fakeMX{})
			defer b.stop()
			b.connector.DNSServers, b.connector.IPPreference = []netip.AddrPort{server}, config.PreferIPv6
			started := time.Now()
			for range 3 {
				if got := sum(b.send()); got != "0 delivered 250 2.6.0 Queued" {
					t.Errorf("outcome %q", got)
				}
			}
			// The grace of a second, once; silence alone would cost six.
			if took := time.Since(started); took > 4*time.Second {
				t.Errorf("three messages took %v", took)
			}
		})
	}
}

// TestOwnResolvers: who asks the same servers in the same way shares a cache,
// which a reload keeps as long as that holds.
func TestOwnResolvers(t *testing.T) {
	a, b := netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("192.0.2.54:53")
	general := &names{}
	cfg := &config.Config{DNS: config.DNS{Protocol: config.DNSAny}, SendConnectors: []config.SendConnector{
		{Name: "general", DNSProtocol: config.DNSAny},
		{Name: "one", DNSProtocol: config.DNSAny, DNSServers: []netip.AddrPort{a, b}},
		{Name: "same", DNSProtocol: config.DNSAny, DNSServers: []netip.AddrPort{a, b}},
		{Name: "other order", DNSProtocol: config.DNSAny, DNSServers: []netip.AddrPort{b, a}},
		{Name: "other way", DNSProtocol: config.DNSTCP, DNSServers: []netip.AddrPort{a, b}},
		{Name: "general by TCP", DNSProtocol: config.DNSTCP},
	}}
	first := newSnapshot(cfg, general, nil)
	of := func(s *snapshot, name string) Resolver { return s.exits[name].resolver }
	if of(first, "general") != general {
		t.Error("a connector without servers of its own does not ask [dns]")
	}
	if of(first, "one") != of(first, "same") {
		t.Error("two connectors with the same servers do not share a cache")
	}
	distinct := map[Resolver]bool{}
	for _, c := range cfg.SendConnectors {
		distinct[of(first, c.Name)] = true
	}
	if len(distinct) != 5 {
		t.Errorf("%d resolvers, want 5", len(distinct))
	}
	second := newSnapshot(cfg, general, first)
	if of(second, "one") != of(first, "one") || of(second, "general by TCP") != of(first, "general by TCP") {
		t.Error("a reload that changes nothing loses what is cached")
	}
	changed := *cfg
	changed.DNS.Hosts = map[string][]netip.Addr{"hub.test": {netip.MustParseAddr("10.0.0.1")}}
	if third := newSnapshot(&changed, general, second); of(third, "one") == of(second, "one") {
		t.Error("new static hosts are not seen")
	}
}

// TestReloadOfServers: the next delivery asks the servers of the new
// configuration.
func TestReloadOfServers(t *testing.T) {
	serve := func(addr string) (netip.AddrPort, *atomic.Int32) {
		return dnsServer(t, func(w dns.ResponseWriter, m *dns.Msg, q string) {
			switch q {
			case "example.test. A":
				answer(w, m, "example.test. 60 IN A "+addr)
			default:
				answer(w, m)
			}
		})
	}
	one, askedOne := serve("192.0.2.31")
	two, askedTwo := serve("192.0.2.32")
	b := newBench(t, nil)
	defer b.stop()
	b.host("192.0.2.31:25", &fakeMX{})
	b.host("192.0.2.32:25", &fakeMX{})
	b.connector.DNSServers = []netip.AddrPort{one}
	b.send()
	b.send()
	if n := askedOne.Load(); n != 3 { // MX, A, AAAA
		t.Errorf("%d questions for two messages, want three", n)
	}
	b.connector.DNSServers = []netip.AddrPort{two}
	b.s.Configure(b.config)
	b.send()
	if askedTwo.Load() != 3 || askedOne.Load() != 3 {
		t.Errorf("after the reload the servers were asked %d and %d times", askedOne.Load(), askedTwo.Load())
	}
	if got := b.tried(); got != "192.0.2.31 192.0.2.32" {
		t.Errorf("tried %s", got)
	}
}

// TestStandardResolver: without a resolver handed in, the servers of [dns] are
// asked, in the way that it says.
func TestStandardResolver(t *testing.T) {
	server, asked := dnsServer(t, func(w dns.ResponseWriter, m *dns.Msg, q string) { rcode(w, m, dns.RcodeNameError) })
	s := New(Options{Config: &config.Config{DNS: config.DNS{Servers: []netip.AddrPort{server}, Protocol: config.DNSUDP},
		SendConnectors: []config.SendConnector{{Name: "Internet", DNSProtocol: config.DNSUDP}}}})
	defer s.Close(t.Context())
	if p := s.Plan(t.Context(), hop()); p.Reply != "550 5.4.4 Nonexistent domain example.test" || asked.Load() != 1 {
		t.Errorf("%+v after %d questions", p, asked.Load())
	}
	var _ Resolver = (*resolver.Resolver)(nil)
}
