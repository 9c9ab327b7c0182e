package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postern/config"
)

// brokenness is every way in which a server is known to treat one type of
// record badly, with the kind of failure that it is.
var brokenness = []struct {
	name string
	hook func(w dns.ResponseWriter, m *dns.Msg)
	kind Kind
}{
	{"silence", silence, Temporary},
	{"slow", func(w dns.ResponseWriter, m *dns.Msg) {
		time.Sleep(3 * time.Second)
		_ = w.WriteMsg(new(dns.Msg).SetReply(m))
	}, Temporary},
	{"SERVFAIL", rcode(dns.RcodeServerFailure), Temporary},
	{"REFUSED", rcode(dns.RcodeRefused), Temporary},
	{"FORMERR", rcode(dns.RcodeFormatError), Temporary},
	{"NOTIMP", rcode(dns.RcodeNotImplemented), Temporary},
	{"NXDOMAIN for this type alone", rcode(dns.RcodeNameError), NXDomain},
	{"truncated, and nothing over TCP", func(w dns.ResponseWriter, m *dns.Msg) {
		if w.LocalAddr().Network() == "udp" {
			r := new(dns.Msg).SetReply(m)
			r.Truncated = true
			_ = w.WriteMsg(r)
			return
		}
		_ = w.Close()
	}, Temporary},
	{"truncated over TCP as well", func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.Truncated = true
		_ = w.WriteMsg(r)
	}, Temporary},
	{"lame", func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		ns, _ := dns.NewRR("test. 300 IN NS ns.elsewhere.test.")
		r.Ns = append(r.Ns, ns)
		_ = w.WriteMsg(r)
	}, Temporary},
	{"no recursion", func(w dns.ResponseWriter, m *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetReply(m)) }, Temporary},
	{"wrong id", func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.RecursionAvailable, r.Id = true, r.Id+1
		_ = w.WriteMsg(r)
	}, Temporary},
	{"wrong question", func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.RecursionAvailable, r.Question[0].Name = true, "other.test."
		_ = w.WriteMsg(r)
	}, Temporary},
	{"garbage", func(w dns.ResponseWriter, m *dns.Msg) { _, _ = w.Write([]byte{0xff, 0, 1}) }, Temporary},
	{"an alias of itself", func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.RecursionAvailable = true
		rr, _ := dns.NewRR(m.Question[0].Name + " 60 IN CNAME " + m.Question[0].Name)
		r.Answer = append(r.Answer, rr)
		_ = w.WriteMsg(r)
	}, Temporary},
	{"nothing, without SOA", func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.RecursionAvailable = true
		_ = w.WriteMsg(r)
	}, NoData},
}

// TestBrokenFamily: whatever a server makes of one family, a host that has
// addresses of the other is found, without a wait worth the name, and why the
// family is missing is told.
func TestBrokenFamily(t *testing.T) {
	for _, b := range brokenness {
		for _, family := range []string{"A", "AAAA"} {
			t.Run(b.name+" for "+family, func(t *testing.T) {
				t.Parallel()
				z := newZone(t, mailZone)
				z.hook("both.test. "+family, b.hook)
				r := z.resolver(Options{FamilyGrace: 30 * time.Millisecond, QueryTimeout: 20 * time.Second, Timeout: 20 * time.Second})
				want := "[192.0.2.2 192.0.2.3]"
				if family == "A" {
					want = "[2001:db8::2]"
				}
				started := time.Now()
				for range 5 {
					got, err := r.Host(testContext(t), "both.test", BothFamilies)
					if err != nil || fmt.Sprint(got.Addrs) != want {
						t.Fatalf("Host = %v, %v; want %v", got.Addrs, err, want)
					}
					missing, there := got.IPv6, got.IPv4
					if family == "A" {
						missing, there = got.IPv4, got.IPv6
					}
					if there != nil || missing == nil || missing.Kind != b.kind {
						t.Fatalf("the families lack: %v and %v, want one failure: %v", missing, there, b.kind)
					}
				}
				// Far from what a server is given to answer, and from the slow one.
				if took := time.Since(started); took > 10*time.Second || b.name == "slow" && took > 2900*time.Millisecond {
					t.Errorf("five look-ups took %v", took)
				}
			})
		}
	}
}

// TestBrokenAlone: a family that is the only one wanted fails as its server
// does, and the other is not asked for.
func TestBrokenAlone(t *testing.T) {
	for _, b := range brokenness {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			z := newZone(t, mailZone)
			z.hook("both.test. A", b.hook)
			r := z.resolver(Options{QueryTimeout: 100 * time.Millisecond})
			got, err := r.Host(testContext(t), "both.test", OnlyIPv4)
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != b.kind {
				t.Errorf("IPv4 alone: %v, %v, want a failure: %v", got.Addrs, err, b.kind)
			}
			if got, err := r.Host(testContext(t), "both.test", OnlyIPv6); err != nil || fmt.Sprint(got.Addrs) != "[2001:db8::2]" {
				t.Errorf("IPv6 alone: %v, %v", got.Addrs, err)
			}
			if z.count("both.test. AAAA") != 1 {
				t.Errorf("AAAA was asked for %d times, want once", z.count("both.test. AAAA"))
			}
		})
	}
}

// TestNoSuchHost: that A denies the name is believed without a wait for AAAA.
func TestNoSuchHost(t *testing.T) {
	z := newZone(t, mailZone)
	z.hook("absent.test. AAAA", silence)
	r := z.resolver(Options{FamilyGrace: 20 * time.Millisecond, QueryTimeout: 20 * time.Second})
	started := time.Now()
	_, err := r.Host(testContext(t), "absent.test", BothFamilies)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != NXDomain {
		t.Errorf("%v, want %v", err, NXDomain)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestStaticFamilies(t *testing.T) {
	r := New(Options{Hosts: map[string][]netip.Addr{
		"four.test": {netip.MustParseAddr("10.0.0.1")},
		"both.test": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1")},
	}})
	for _, tt := range []struct {
		host     string
		families Families
		want     string
	}{
		{"four.test", BothFamilies, "[10.0.0.1] <nil>"},
		{"four.test", OnlyIPv4, "[10.0.0.1] <nil>"},
		{"four.test", OnlyIPv6, `[] AAAA of "four.test": no such record: the static addresses are all of the other family`},
		{"both.test", OnlyIPv6, "[2001:db8::1] <nil>"},
		{"localhost", OnlyIPv6, "[::1] <nil>"},
	} {
		got, err := r.Host(testContext(t), tt.host, tt.families)
		if s := fmt.Sprint(got.Addrs, " ", err); s != tt.want {
			t.Errorf("%s, families %d: %s, want %s", tt.host, tt.families, s, tt.want)
		}
	}
}

// TestProtocol: over which protocols a server is asked, for an answer that fits
// a datagram and for one that does not.
func TestProtocol(t *testing.T) {
	records := "small.test. 300 IN MX 1 a.test.\n"
	for i := range 60 {
		records += fmt.Sprintf("large.test. 300 IN MX %d a-long-name-for-a-mail-exchanger-%d.large.test.\n", i, i)
	}
	for _, tt := range []struct {
		protocol, domain string
		udp, tcp         int
		fails            bool
	}{
		{"", "small.test", 1, 0, false},
		{config.DNSAny, "small.test", 1, 0, false},
		{config.DNSAny, "large.test", 1, 1, false},
		{config.DNSUDP, "small.test", 1, 0, false},
		{config.DNSUDP, "large.test", 1, 0, true},
		{config.DNSTCP, "small.test", 0, 1, false},
		{config.DNSTCP, "large.test", 0, 1, false},
	} {
		z := newZone(t, records)
		_, err := z.resolver(Options{Protocol: tt.protocol}).MX(testContext(t), tt.domain)
		if e, ok := errors.AsType[*Error](err); (err != nil) != tt.fails || tt.fails && (!ok || e.Kind != Temporary) {
			t.Errorf("%q, %s: %v", tt.protocol, tt.domain, err)
		}
		if z.count("udp") != tt.udp || z.count("tcp") != tt.tcp {
			t.Errorf("%q, %s: asked %d times over UDP and %d over TCP, want %d and %d",
				tt.protocol, tt.domain, z.count("udp"), z.count("tcp"), tt.udp, tt.tcp)
		}
	}
	// Over TCP alone a server without EDNS(0) is asked again without it.
	z := newZone(t, records)
	z.hook("small.test. MX", func(w dns.ResponseWriter, m *dns.Msg) {
		if m.IsEdns0() != nil {
			rcode(dns.RcodeFormatError)(w, m)
			return
		}
		r := z.reply(m)
		r.Answer = z.records["small.test. MX"]
		_ = w.WriteMsg(r)
	})
	if _, err := z.resolver(Options{Protocol: config.DNSTCP}).MX(testContext(t), "small.test"); err != nil || z.count("udp") != 0 {
		t.Errorf("%v, asked over UDP %d times", err, z.count("udp"))
	}
}
