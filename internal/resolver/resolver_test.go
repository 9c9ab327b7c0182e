package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const mailZone = `
plain.test.     300 IN MX 20 b.plain.test.
plain.test.     300 IN MX 10 C.plain.test.
plain.test.     300 IN MX 10 a.plain.test.
plain.test.     300 IN MX 10 a.plain.test.
null.test.      300 IN MX 0 .
mixed.test.     300 IN MX 0 .
mixed.test.     300 IN MX 10 mx.mixed.test.
hostonly.test.  300 IN A 192.0.2.1
alias.test.     300 IN CNAME plain.test.
dangling.test.  300 IN CNAME gone.test.
toempty.test.   300 IN CNAME hostonly.test.
circle.test.    300 IN CNAME circle2.test.
circle2.test.   300 IN CNAME circle.test.
xn--bcher-kva.test. 300 IN MX 10 mx.buch.test.
both.test.      300 IN A 192.0.2.2
both.test.      300 IN A 192.0.2.3
both.test.      300 IN A 192.0.2.2
both.test.      300 IN AAAA 2001:db8::2
six.test.       300 IN AAAA 2001:db8::6
zero.test.      300 IN A 0.0.0.0
mapped.test.    300 IN AAAA ::ffff:192.0.2.9
mapped.test.    300 IN A 192.0.2.8
text.test.      300 IN TXT "v=spf1 " "-all"
text.test.      300 IN TXT "other"
`

func TestMX(t *testing.T) {
	z := newZone(t, mailZone)
	z.hook("broken.test. MX", rcode(dns.RcodeServerFailure))
	z.hook("refused.test. MX", rcode(dns.RcodeRefused))
	r := z.resolver(Options{Hosts: map[string][]netip.Addr{"static.test": {netip.MustParseAddr("10.0.0.1")}}})
	implicit := func(host string) MXResult {
		return MXResult{Records: []MX{{Host: host}}, Implicit: true}
	}
	plain := MXResult{Records: []MX{{"a.plain.test", 10}, {"c.plain.test", 10}, {"b.plain.test", 20}}}
	for _, tt := range []struct {
		domain string
		want   MXResult
		kind   Kind
		fails  bool
	}{
		{domain: "plain.test", want: plain},
		{domain: "PLAIN.Test.", want: plain},
		{domain: "alias.test", want: plain},
		{domain: "null.test", want: MXResult{Null: true}},
		{domain: "mixed.test", want: MXResult{Records: []MX{{"mx.mixed.test", 10}}}},
		{domain: "hostonly.test", want: implicit("hostonly.test")},
		{domain: "toempty.test", want: implicit("toempty.test")},
		{domain: "Static.test", want: implicit("static.test")},
		{domain: "localhost", want: implicit("localhost")},
		{domain: "bücher.test", want: MXResult{Records: []MX{{"mx.buch.test", 10}}}},
		{domain: "absent.test", fails: true, kind: NXDomain},
		{domain: "dangling.test", fails: true, kind: NXDomain},
		{domain: "circle.test", fails: true, kind: Temporary},
		{domain: "broken.test", fails: true, kind: Temporary},
		{domain: "refused.test", fails: true, kind: Temporary},
		{domain: "", fails: true, kind: NXDomain},
		{domain: "a..test", fails: true, kind: NXDomain},
		{domain: `a\.b.test`, fails: true, kind: NXDomain},
		{domain: "a b.test", fails: true, kind: NXDomain},
		{domain: strings.Repeat("a", 64) + ".test", fails: true, kind: NXDomain},
		{domain: strings.Repeat("abc.", 64) + "test", fails: true, kind: NXDomain},
	} {
		got, err := r.MX(testContext(t), tt.domain)
		if tt.fails {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != tt.kind {
				t.Errorf("MX(%q): %v, want a failure: %v", tt.domain, err, tt.kind)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("MX(%q) = %+v, %v; want %+v", tt.domain, got, err, tt.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	z := newZone(t, mailZone)
	for _, name := range []string{"v6broken.test. ", "v6denied.test. ", "v4broken.test. ", "down.test. ", "v6down.test. "} {
		z.hook(name+"AAAA", rcode(dns.RcodeServerFailure))
	}
	z.hook("v6denied.test. AAAA", rcode(dns.RcodeNameError))
	a := func(w dns.ResponseWriter, m *dns.Msg) {
		r := z.reply(m)
		rr, _ := dns.NewRR(m.Question[0].Name + " 60 IN A 192.0.2.7")
		r.Answer = append(r.Answer, rr)
		_ = w.WriteMsg(r)
	}
	z.hook("v6broken.test. A", a)
	z.hook("v6denied.test. A", a)
	z.hook("v4broken.test. A", rcode(dns.RcodeServerFailure))
	z.hook("v4broken.test. AAAA", rcode(dns.RcodeNameError))
	z.hook("down.test. A", rcode(dns.RcodeServerFailure))
	z.hook("v6down.test. A", rcode(dns.RcodeNameError))
	r := z.resolver(Options{Hosts: map[string][]netip.Addr{"static.test": {netip.MustParseAddr("10.0.0.1")}}})
	for _, tt := range []struct {
		host string
		want string
		kind Kind
	}{
		{host: "both.test", want: "[192.0.2.2 192.0.2.3 2001:db8::2]"},
		{host: "six.test", want: "[2001:db8::6]"},
		{host: "mapped.test", want: "[192.0.2.8]"},
		{host: "static.test.", want: "[10.0.0.1]"},
		{host: "localhost", want: "[127.0.0.1 ::1]"},
		{host: "v6broken.test", want: "[192.0.2.7]"},
		{host: "v6denied.test", want: "[192.0.2.7]"},
		{host: "zero.test", kind: NoData},
		{host: "plain.test", kind: NoData},
		{host: "absent.test", kind: NXDomain},
		{host: "down.test", kind: Temporary},
		// AAAA denies the name, but only A is believed in that.
		{host: "v4broken.test", kind: Temporary},
		{host: "v6down.test", kind: NXDomain},
	} {
		got, err := r.Addresses(testContext(t), tt.host)
		if tt.want != "" {
			if err != nil || fmt.Sprint(got) != tt.want {
				t.Errorf("Addresses(%q) = %v, %v; want %v", tt.host, got, err, tt.want)
			}
			continue
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != tt.kind {
			t.Errorf("Addresses(%q) = %v, %v; want a failure: %v", tt.host, got, err, tt.kind)
		}
	}
}

// TestSilentFamily: a server that drops AAAA questions delays nobody beyond
// the grace.
func TestSilentFamily(t *testing.T) {
	z := newZone(t, mailZone)
	z.hook("both.test. AAAA", silence)
	z.hook("six.test. A", silence)
	r := z.resolver(Options{FamilyGrace: 20 * time.Millisecond, QueryTimeout: time.Minute, Timeout: time.Minute})
	for host, want := range map[string]string{"both.test": "[192.0.2.2 192.0.2.3]", "six.test": "[2001:db8::6]"} {
		start := time.Now()
		got, err := r.Addresses(testContext(t), host)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("Addresses(%q) = %v, %v; want %v", host, got, err, want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Addresses(%q) took %v", host, took)
		}
	}
}

// TestSilentFamilyRemembered: only the first look-up of such a host takes the
// grace; those that follow don't ask the silent servers again for a while.
func TestSilentFamilyRemembered(t *testing.T) {
	z := newZone(t, mailZone)
	z.hook("both.test. AAAA", func(dns.ResponseWriter, *dns.Msg) {})
	r := z.resolver(Options{FamilyGrace: 20 * time.Millisecond, QueryTimeout: time.Minute, Timeout: time.Minute})
	for range 3 {
		if got, err := r.Addresses(testContext(t), "both.test"); err != nil || fmt.Sprint(got) != "[192.0.2.2 192.0.2.3]" {
			t.Fatalf("Addresses = %v, %v", got, err)
		}
	}
	if n := z.count("both.test. AAAA"); n != 1 {
		t.Errorf("AAAA was asked for %d times, want once", n)
	}
	// One who gives up himself leaves nothing behind.
	r = z.resolver(Options{FamilyGrace: time.Minute, QueryTimeout: time.Minute, Timeout: time.Minute})
	ctx, cancel := context.WithCancel(testContext(t))
	defer time.AfterFunc(50*time.Millisecond, cancel).Stop()
	_, _ = r.Addresses(ctx, "both.test")
	if n := r.cache.len(); n != 1 {
		t.Errorf("%d answers are kept, want that for A alone", n)
	}
}

func TestTXT(t *testing.T) {
	z := newZone(t, mailZone)
	r := z.resolver(Options{})
	got, err := r.TXT(testContext(t), "text.test")
	if err != nil || !reflect.DeepEqual(got, []string{"v=spf1 -all", "other"}) {
		t.Errorf("TXT = %q, %v", got, err)
	}
	_, err = r.TXT(testContext(t), "both.test")
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != NoData {
		t.Errorf("TXT of a name without: %v, want %v", err, NoData)
	}
}

func TestTruncation(t *testing.T) {
	records := ""
	for i := range 60 {
		records += fmt.Sprintf("large.test. 300 IN MX %d a-long-name-for-a-mail-exchanger-%d.large.test.\n", i, i)
	}
	z := newZone(t, records)
	res, err := z.resolver(Options{}).MX(testContext(t), "large.test")
	if err != nil || len(res.Records) != 60 {
		t.Errorf("MX gave %d records, %v; want 60", len(res.Records), err)
	}
	if z.count("udp") != 1 || z.count("tcp") != 1 {
		t.Errorf("asked %d times over UDP and %d over TCP, want once each", z.count("udp"), z.count("tcp"))
	}
}

// TestServers: what one server fails at, the next is asked for.
func TestServers(t *testing.T) {
	for _, tt := range []struct {
		name string
		hook func(w dns.ResponseWriter, m *dns.Msg)
	}{
		{"SERVFAIL", rcode(dns.RcodeServerFailure)},
		{"REFUSED", rcode(dns.RcodeRefused)},
		{"silence", silence},
		{"referral", func(w dns.ResponseWriter, m *dns.Msg) {
			r := new(dns.Msg)
			r.SetReply(m)
			ns, _ := dns.NewRR("test. 300 IN NS ns.elsewhere.test.")
			r.Ns = append(r.Ns, ns)
			_ = w.WriteMsg(r)
		}},
		{"empty without recursion", func(w dns.ResponseWriter, m *dns.Msg) {
			r := new(dns.Msg)
			r.SetReply(m)
			_ = w.WriteMsg(r)
		}},
		{"garbage", func(w dns.ResponseWriter, m *dns.Msg) { _, _ = w.Write([]byte("this is no DNS message at all")) }},
		{"wrong id", func(w dns.ResponseWriter, m *dns.Msg) {
			r := forged(m)
			r.Id++
			_ = w.WriteMsg(r)
		}},
		{"wrong question", func(w dns.ResponseWriter, m *dns.Msg) {
			r := forged(m)
			r.Question[0].Name = "other.test."
			_ = w.WriteMsg(r)
		}},
		{"wrong type", func(w dns.ResponseWriter, m *dns.Msg) {
			r := forged(m)
			r.Question[0].Qtype = dns.TypeTXT
			_ = w.WriteMsg(r)
		}},
		{"own question back", func(w dns.ResponseWriter, m *dns.Msg) { _ = w.WriteMsg(m) }},
		{"no question", func(w dns.ResponseWriter, m *dns.Msg) {
			r := forged(m)
			r.Question = nil
			_ = w.WriteMsg(r)
		}},
		{"damaged over TCP", func(w dns.ResponseWriter, m *dns.Msg) {
			if w.LocalAddr().Network() == "udp" {
				r := new(dns.Msg)
				r.SetReply(m)
				r.Truncated = true
				_ = w.WriteMsg(r)
				return
			}
			_, _ = w.Write([]byte{1, 2, 3})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad, good := newZone(t, ""), newZone(t, mailZone)
			bad.hook("plain.test. MX", tt.hook)
			r := bad.resolver(Options{QueryTimeout: 100 * time.Millisecond}, good)
			res, err := r.MX(testContext(t), "plain.test")
			if err != nil || len(res.Records) != 3 || res.Records[0].Host != "a.plain.test" {
				t.Errorf("MX = %+v, %v; want the second server's answer", res, err)
			}
			if bad.count("plain.test. MX") == 0 {
				t.Error("the first server was not asked at all")
			}
			// Alone, the bad server gives a temporary failure, never a
			// statement about the domain.
			_, err = bad.resolver(Options{QueryTimeout: 50 * time.Millisecond}).MX(testContext(t), "plain.test")
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Temporary || e.Server != bad.addr.String() {
				t.Errorf("the bad server alone: %v, want a temporary failure that names it", err)
			}
		})
	}
}

// forged is an answer that would send the mail elsewhere if it were believed.
func forged(m *dns.Msg) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(m)
	r.RecursionAvailable = true
	rr, _ := dns.NewRR(m.Question[0].Name + " 300 IN MX 1 evil.test.")
	r.Answer = append(r.Answer, rr)
	return r
}

// TestStrays: forged datagrams before the true answer change nothing, and a
// flood of them moves the question to TCP.
func TestStrays(t *testing.T) {
	for _, n := range []int{5, maxStrays + 10} {
		z := newZone(t, mailZone)
		z.hook("plain.test. MX", func(w dns.ResponseWriter, m *dns.Msg) {
			if w.LocalAddr().Network() == "udp" {
				for range n {
					r := forged(m)
					r.Id += 7
					_ = w.WriteMsg(r)
				}
			}
			r := z.reply(m)
			r.Answer = z.records["plain.test. MX"]
			_ = w.WriteMsg(r)
		})
		res, err := z.resolver(Options{}).MX(testContext(t), "plain.test")
		if err != nil || len(res.Records) != 3 || res.Records[0].Host != "a.plain.test" {
			t.Errorf("after %d strays: %+v, %v", n, res, err)
		}
		if overTCP := z.count("tcp") == 1; overTCP != (n > maxStrays) {
			t.Errorf("after %d strays: asked over TCP: %v", n, overTCP)
		}
	}
}

// TestForeignRecords: records of other names in an answer are not taken.
func TestForeignRecords(t *testing.T) {
	z := newZone(t, mailZone)
	z.hook("plain.test. MX", func(w dns.ResponseWriter, m *dns.Msg) {
		r := z.reply(m)
		rr, _ := dns.NewRR("other.test. 300 IN MX 1 evil.test.")
		soa, _ := dns.NewRR(soa)
		r.Answer, r.Ns = append(r.Answer, rr), append(r.Ns, soa)
		_ = w.WriteMsg(r)
	})
	res, err := z.resolver(Options{}).MX(testContext(t), "plain.test")
	if err != nil || !res.Implicit {
		t.Errorf("MX = %+v, %v; want an implicit exchanger", res, err)
	}
}

func TestWithoutEDNS(t *testing.T) {
	for _, code := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers} {
		z := newZone(t, mailZone)
		z.hook("plain.test. MX", func(w dns.ResponseWriter, m *dns.Msg) {
			if m.IsEdns0() != nil {
				r := new(dns.Msg)
				r.SetRcode(m, code)
				if code == dns.RcodeBadVers {
					r.SetEdns0(512, false)
				} else {
					r.Question = nil
				}
				_ = w.WriteMsg(r)
				return
			}
			r := z.reply(m)
			r.Answer = z.records["plain.test. MX"]
			_ = w.WriteMsg(r)
		})
		res, err := z.resolver(Options{}).MX(testContext(t), "plain.test")
		if err != nil || len(res.Records) != 3 {
			t.Errorf("server that answers %s to EDNS: %+v, %v", dns.RcodeToString[code], res, err)
		}
	}
}

// TestAliasLeftToUs: a server that does not follow an alias is asked for its
// end.
func TestAliasLeftToUs(t *testing.T) {
	z := newZone(t, mailZone)
	z.hook("alias.test. MX", func(w dns.ResponseWriter, m *dns.Msg) {
		r := z.reply(m)
		r.Answer = z.records["alias.test. CNAME"]
		_ = w.WriteMsg(r)
	})
	res, err := z.resolver(Options{}).MX(testContext(t), "alias.test")
	if err != nil || len(res.Records) != 3 {
		t.Errorf("MX = %+v, %v; want those of the alias's target", res, err)
	}
}

func TestPreferredServer(t *testing.T) {
	dead, good := newZone(t, ""), newZone(t, mailZone)
	for _, q := range []string{"plain.test. MX", "null.test. MX", "mixed.test. MX"} {
		dead.hook(q, silence)
	}
	r := dead.resolver(Options{QueryTimeout: 50 * time.Millisecond}, good)
	for _, domain := range []string{"plain.test", "null.test", "mixed.test"} {
		if _, err := r.MX(testContext(t), domain); err != nil {
			t.Fatal(err)
		}
	}
	if n := dead.count("udp"); n != 1 {
		t.Errorf("the dead server was asked %d times, want once", n)
	}
}

func TestSystemServers(t *testing.T) {
	z := newZone(t, mailZone)
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 127.0.0.1\nnameserver fe80::1%lo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "127.0.0.1:53" {
			t.Errorf("asked %s", address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, z.addr.String())
	}
	r := New(Options{Config: path, Dial: dial})
	if _, err := r.MX(testContext(t), "plain.test"); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(r.servers.list(time.Now())); got != "[127.0.0.1:53 [fe80::1%lo]:53]" {
		t.Errorf("servers: %s", got)
	}
	// A change is seen, once the file is looked at again.
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.servers.list(time.Now().Add(recheck))); got != "[192.0.2.53:53]" {
		t.Errorf("servers after the change: %s", got)
	}
	// While the file is missing, the last servers hold; from the start, those
	// of this host.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.servers.list(time.Now().Add(3 * recheck))); got != "[192.0.2.53:53]" {
		t.Errorf("servers without the file: %s", got)
	}
	if got := fmt.Sprint(New(Options{Config: path}).servers.list(time.Now())); got != "[127.0.0.1:53 [::1]:53]" {
		t.Errorf("servers without a file ever: %s", got)
	}
}

func TestCanceled(t *testing.T) {
	z := newZone(t, "")
	asked := make(chan struct{}, 1)
	z.hook("plain.test. MX", func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	r := z.resolver(Options{QueryTimeout: time.Minute, Timeout: time.Minute})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	_, err := r.MX(ctx, "plain.test")
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Temporary || !errors.Is(err, context.Canceled) {
		t.Errorf("MX: %v, want a temporary failure because of the context", err)
	}
	if r.cache.len() != 0 {
		t.Error("an abandoned look-up was cached")
	}
}
