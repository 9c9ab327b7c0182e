package resolver

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestKnown: a name is known exactly when its look-up would ask nobody, and what
// comes from the cache is what came from the servers.
func TestKnown(t *testing.T) {
	z := newZone(t, mailZone)
	z.hook("down.test. A", rcode(dns.RcodeServerFailure))
	z.hook("down.test. AAAA", rcode(dns.RcodeServerFailure))
	z.hook("down.test. MX", rcode(dns.RcodeServerFailure))
	static := map[string][]netip.Addr{"static.test": {netip.MustParseAddr("10.0.0.1")}}
	for _, want := range []Families{BothFamilies, OnlyIPv4, OnlyIPv6} {
		for host, before := range map[string]bool{
			"both.test": false, "six.test": false, "zero.test": false, "absent.test": false, "down.test": false, "BOTH.test.": false,
			"static.test": true, "localhost": true, "no name": true, "": true,
		} {
			r := z.resolver(Options{Hosts: static})
			if r.KnowsHost(host, want) != before {
				t.Errorf("KnowsHost(%q, %d) = %v at first", host, want, !before)
			}
			first, err := r.Host(testContext(t), host, want)
			asked := z.count("udp") + z.count("tcp")
			if !r.KnowsHost(host, want) {
				t.Errorf("KnowsHost(%q, %d) = false after a look-up", host, want)
			}
			second, again := r.Host(testContext(t), host, want)
			if a, b := fmt.Sprint(first, err), fmt.Sprint(second, again); a != b {
				t.Errorf("Host(%q, %d) = %s, from the cache %s", host, want, a, b)
			}
			if n := z.count("udp") + z.count("tcp"); n != asked {
				t.Errorf("Host(%q, %d) asked again", host, want)
			}
		}
	}
	for domain, before := range map[string]bool{"plain.test": false, "null.test": false, "hostonly.test": false, "absent.test": false, "down.test": false,
		"static.test": true, "no name": true} {
		r := z.resolver(Options{Hosts: static})
		if r.KnowsMX(domain) != before {
			t.Errorf("KnowsMX(%q) = %v at first", domain, !before)
		}
		_, _ = r.MX(testContext(t), domain)
		if !r.KnowsMX(domain) {
			t.Errorf("KnowsMX(%q) = false after a look-up", domain)
		}
		if r.Flush(); r.KnowsMX(domain) != before {
			t.Errorf("KnowsMX(%q) = %v when all is forgotten", domain, !before)
		}
	}
	// One family of two is not the host.
	r := z.resolver(Options{})
	_, _ = r.Host(testContext(t), "both.test", OnlyIPv4)
	if !r.KnowsHost("both.test", OnlyIPv4) || r.KnowsHost("both.test", BothFamilies) || r.KnowsHost("both.test", OnlyIPv6) {
		t.Error("a host is known of which only IPv4 was asked for")
	}
}

// BenchmarkKnownHost is the look-up that nearly every delivery by MX makes.
func BenchmarkKnownHost(b *testing.B) {
	r := New(Options{})
	for _, q := range []question{{"mx.test", dns.TypeA}, {"mx.test", dns.TypeAAAA}} {
		rr, _ := dns.NewRR("mx.test. 300 IN A 192.0.2.1")
		if q.qtype == dns.TypeAAAA {
			rr, _ = dns.NewRR("mx.test. 300 IN AAAA 2001:db8::1")
		}
		r.cache.put(q, answer{records: []dns.RR{rr}, ttl: DefaultMaxTTL}, time.Now())
	}
	b.ReportAllocs()
	for b.Loop() {
		if !r.KnowsHost("mx.test", BothFamilies) {
			b.Fatal("not known")
		}
		if _, err := r.Host(b.Context(), "mx.test", BothFamilies); err != nil {
			b.Fatal(err)
		}
	}
}
