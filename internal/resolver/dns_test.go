package resolver

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a name server on loopback that answers from records, or as its
// hooks say.
type zone struct {
	t       *testing.T
	addr    netip.AddrPort
	mu      sync.Mutex
	records map[string][]dns.RR // by "name TYPE"
	names   map[string]bool
	asked   map[string]int // by "name TYPE", and "udp" and "tcp"
	hooks   map[string]func(w dns.ResponseWriter, m *dns.Msg)
}

// newZone serves the records, which are lines as in a master file.
func newZone(t *testing.T, records string) *zone {
	t.Helper()
	z := &zone{t: t, records: map[string][]dns.RR{}, names: map[string]bool{}, asked: map[string]int{},
		hooks: map[string]func(dns.ResponseWriter, *dns.Msg){}}
	for line := range strings.SplitSeq(strings.TrimSpace(records), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		key := strings.ToLower(rr.Header().Name) + " " + dns.TypeToString[rr.Header().Rrtype]
		z.records[key] = append(z.records[key], rr)
		z.names[strings.ToLower(rr.Header().Name)] = true
	}
	pc, l := listenBoth(t)
	z.addr = netip.MustParseAddrPort(pc.LocalAddr().String())
	started := make(chan struct{}, 2)
	var done sync.WaitGroup
	servers := []*dns.Server{{PacketConn: pc}, {Listener: l}}
	for _, s := range servers {
		s.Handler = z
		s.NotifyStartedFunc = func() { started <- struct{}{} }
		done.Go(func() { _ = s.ActivateAndServe() })
	}
	t.Cleanup(func() {
		for _, s := range servers {
			_ = s.Shutdown()
		}
		done.Wait()
	})
	<-started
	<-started
	return z
}

// listenBoth takes the same port for UDP and TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		pc.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// hook answers one question in its own way.
func (z *zone) hook(question string, f func(w dns.ResponseWriter, m *dns.Msg)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hooks[question] = f
}

func (z *zone) count(what string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[what]
}

const soa = "test. 300 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60"

func (z *zone) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	q := m.Question[0]
	name := strings.ToLower(q.Name)
	key := name + " " + dns.TypeToString[q.Qtype]
	z.mu.Lock()
	z.asked[key]++
	z.asked[w.LocalAddr().Network()]++
	hook := z.hooks[key]
	z.mu.Unlock()
	if hook != nil {
		hook(w, m)
		return
	}
	r := z.reply(m)
	at := name
	for range 10 {
		if rrs := z.records[at+" "+dns.TypeToString[q.Qtype]]; len(rrs) > 0 {
			r.Answer = append(r.Answer, rrs...)
			break
		}
		alias := z.records[at+" CNAME"]
		if len(alias) == 0 {
			if !z.names[at] {
				r.Rcode = dns.RcodeNameError
			}
			rr, _ := dns.NewRR(soa)
			r.Ns = append(r.Ns, rr)
			break
		}
		r.Answer = append(r.Answer, alias...)
		at = strings.ToLower(alias[0].(*dns.CNAME).Target)
	}
	if w.LocalAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if o := m.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		r.Truncate(size)
	}
	_ = w.WriteMsg(r)
}

func (z *zone) reply(m *dns.Msg) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(m)
	r.RecursionAvailable = true
	return r
}

// rcode answers with a bare response code.
func rcode(code int) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		r.SetRcode(m, code)
		_ = w.WriteMsg(r)
	}
}

// silence never answers.
func silence(dns.ResponseWriter, *dns.Msg) {}

// resolver returns one that asks the zones in order, with short timeouts.
func (z *zone) resolver(o Options, more ...*zone) *Resolver {
	o.Servers = []netip.AddrPort{z.addr}
	for _, m := range more {
		o.Servers = append(o.Servers, m.addr)
	}
	if o.QueryTimeout == 0 {
		o.QueryTimeout = 2 * time.Second
	}
	return New(o)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
