package send

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postern/config"
	"postern/logs"
)

func addrsOf(s string) (list []netip.Addr) {
	for a := range strings.FieldsSeq(s) {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

// sourcesUsed returns the source addresses of the connections, in order, by their
// last label: "12 13 12".
func (b *bench) sourcesUsed() string {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	var list []string
	for _, d := range b.net.dials {
		s := d.source.String()
		list = append(list, s[strings.LastIndexAny(s, ".:")+1:])
	}
	b.net.dials = nil
	return strings.Join(list, " ")
}

const sourcePool = "192.0.2.12 192.0.2.13 192.0.2.14 2001:db8::12 2001:db8::13"

// TestRoundRobin: each connection comes from the next address, each family in
// turns of its own, and a connection is used again only from its own address.
func TestRoundRobin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx, mx6 := &fakeMX{}, &fakeMX{}
		b := newBench(t, mx)
		defer b.stop()
		b.host("[2001:db8::25]:25", mx6)
		b.names.mx["six.test"], b.names.addrs["mx6.test"] = "mx6.test", "2001:db8::25"
		b.connector.SourceIPAddress = addrsOf(sourcePool)
		six := hop()
		six.Domain = "six.test"
		for range 3 {
			b.send()
			b.deliver(t.Context(), six, mail("x\r\n"))
		}
		if got := b.sourcesUsed(); got != "12 12 13 13 14" { // the third to IPv6 is on the first connection
			t.Errorf("sources %s", got)
		}
		for range 6 {
			b.send()
		}
		if got := b.sourcesUsed(); got != "" || mx.count() != 3 {
			t.Errorf("sources %q of new connections, %d sessions; want the three kept ones used", got, mx.count())
		}
	})
}

// TestSticky: mail for a destination comes from one address, whatever the order
// in which the pool is written, and destinations share the pool.
func TestSticky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		for _, pool := range []string{sourcePool, "2001:db8::13 192.0.2.14 192.0.2.13 192.0.2.12"} {
			b := newBench(t, &fakeMX{})
			b.connector.SourceIPAddress, b.connector.SourceIPSelection = addrsOf(pool), config.SourceSticky
			b.connector.MessagesPerConnection = 1
			for i := range 30 {
				domain := fmt.Sprintf("d%d.test", i)
				b.names.mx[domain] = "mx.test"
				h := hop()
				h.Domain = domain
				for range 3 {
					b.deliver(t.Context(), h, mail("x\r\n"))
				}
				used := strings.Fields(b.sourcesUsed())
				if len(used) != 3 || used[0] != used[1] || used[1] != used[2] {
					t.Fatalf("%s: sources %v", domain, used)
				}
				seen[domain+" "+used[0]]++
				seen[used[0]]++
			}
			b.stop()
		}
		for _, s := range []string{"12", "13", "14"} {
			if seen[s] < 8 {
				t.Errorf("%s of 60 destinations are at %s: %v", fmt.Sprint(seen[s]), s, seen)
			}
		}
		for k, n := range seen {
			if strings.Contains(k, " ") && n != 2 {
				t.Errorf("%s is at another address with the pool in another order", k)
			}
		}
	})
}

// TestStickySmartHost: to smart hosts a destination is the smart host.
func TestStickySmartHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.stop()
		b.connector.SourceIPAddress, b.connector.SourceIPSelection = addrsOf(sourcePool), config.SourceSticky
		b.connector.MessagesPerConnection = 1
		var hosts []string
		for i := range 12 {
			a := fmt.Sprintf("198.51.100.%d", i+1)
			b.host(a+":25", &fakeMX{})
			hosts = append(hosts, "["+a+"]:25")
		}
		at := map[string]string{}
		used := map[string]bool{}
		for range 36 {
			r := b.deliver(t.Context(), smartHop(strings.Join(hosts, ",")), mail("x\r\n"))
			source, host := b.sourcesUsed(), r.Attempts[0].Address
			if at[host] != "" && at[host] != source {
				t.Errorf("%s is connected to from %s and %s", host, at[host], source)
			}
			at[host], used[source] = source, true
		}
		if len(at) != 12 || len(used) != 3 {
			t.Errorf("hosts and their sources: %v", at)
		}
	})
}

// TestGoneSource: when an address of the pool is gone, the others take its place
// in the same attempt, and at once in those after it; when it is back, it is
// used again.
func TestGoneSource(t *testing.T) {
	for _, selection := range []string{config.SourceRoundRobin, config.SourceSticky} {
		t.Run(selection, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeMX{})
				defer b.stop()
				b.connector.MessagesPerConnection = 1
				b.connector.SourceIPAddress, b.connector.SourceIPSelection = addrsOf(sourcePool), selection
				b.send()
				first := b.sourcesUsed()
				gone := netip.MustParseAddr("192.0.2." + first)
				b.net.missing[gone] = true
				tried := func() (s string) {
					t.Helper()
					for range 3 {
						if got := sum(b.send()); got != "0 delivered 250 2.6.0 Queued" {
							t.Fatalf("outcome %q", got)
						}
					}
					return b.sourcesUsed()
				}
				if n := strings.Count(tried(), first); n != 1 {
					t.Errorf("the address that is gone was tried %d times, want once", n)
				}
				if s := tried(); strings.Contains(s, first) {
					t.Errorf("sources %s: %s is gone", s, first)
				}
				if b.s.dead.has(netip.MustParseAddrPort("192.0.2.25:25")) {
					t.Error("the host is held for dead")
				}
				delete(b.net.missing, gone)
				time.Sleep(b.s.timeouts.Dead)
				if s := tried(); !strings.Contains(s, first) {
					t.Errorf("sources %s: %s is back", s, first)
				}
			})
		})
	}
}

// TestAllSourcesGone: the mail waits, and says why; nothing is said of the host.
func TestAllSourcesGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeMX{})
		b.connector.SourceIPAddress = addrsOf("192.0.2.12 192.0.2.13")
		for _, a := range b.connector.SourceIPAddress {
			b.net.missing[a] = true
		}
		for range 2 {
			r := b.send()
			if got := sum(r); got != "0 deferred 421 4.4.1 Unable to connect: dial tcp: bind: cannot assign requested address; unreachable" || len(r.Attempts) != 2 {
				t.Errorf("outcome %q, attempts %+v", got, r.Attempts)
			}
		}
		// A host that refuses is heard all the same, when a source is there.
		b.net.missing = map[netip.Addr]bool{netip.MustParseAddr("192.0.2.12"): true}
		b.host("192.0.2.25:25", &fakeMX{greeting: "554 5.7.1 go away"})
		if got := sum(b.send()); got != "0 failed 554 5.7.1 go away" {
			t.Errorf("outcome %q", got)
		}
		b.stop()
	})
}

// TestManyGoneSources: a large pool of which all but one are gone does not use
// up the connections of an attempt.
func TestManyGoneSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.names.mx["example.test"], b.names.addrs["second.test"] = "mx.test,second.test", "192.0.2.26"
		b.host("192.0.2.26:25", &fakeMX{})
		for i := range 40 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			b.connector.SourceIPAddress = append(b.connector.SourceIPAddress, a)
			b.net.missing[a] = i != 39
		}
		if got := sum(b.send()); got != "0 delivered 250 2.6.0 Queued" {
			t.Errorf("outcome %q", got)
		}
		b.stop()
	})
}

// TestSkippedFamily: what was passed over is in the report of an attempt that
// came to nothing, once for each host and family, and not in that of one that
// succeeded.
func TestSkippedFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{greeting: "421 4.3.2 busy"}
		b := newBench(t, mx)
		b.names.addrs["mx.test"] = "192.0.2.25 2001:db8::25 2001:db8::26"
		b.connector.SourceIPAddress = addrsOf("192.0.2.12")
		r := b.send()
		if len(r.Attempts) != 2 || r.Attempts[0].Address != "[2001:db8::25]:25" || r.Attempts[0].Source != "" ||
			r.Attempts[0].Reply.Text != `mx.test [2001:db8::25] was passed over: send connector "Internet" has no source address of its family` ||
			!strings.HasPrefix(r.Attempts[1].Source, "192.0.2.12:") {
			t.Errorf("attempts %+v", r.Attempts)
		}
		mx.mu.Lock()
		mx.greeting = ""
		mx.mu.Unlock()
		if r := b.send(); sum(r) != "0 delivered 250 2.6.0 Queued" || len(r.Attempts) != 1 {
			t.Errorf("%s, attempts %+v", sum(r), r.Attempts)
		}
		b.stop()
	})
}

// TestWeights: when an address leaves a sticky pool, only the destinations that
// were at it move.
func TestWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 20).Draw(t, "addresses")
		var pool []netip.Addr
		for i := range n {
			pool = append(pool, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		}
		destination := rapid.StringMatching(`[a-z0-9.-]{1,30}`).Draw(t, "destination")
		all := byWeight(slices.Clone(pool), destination)
		gone := rapid.SampledFrom(pool).Draw(t, "gone")
		left := byWeight(slices.DeleteFunc(slices.Clone(pool), func(a netip.Addr) bool { return a == gone }), destination)
		if want := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a == gone }); !slices.Equal(left, want) {
			t.Fatalf("without %v the order is %v, with it %v", gone, left, all)
		}
	})
}

// TestSourceInLog: the line of each connection shows the address that it comes
// from, and so does that of the attempt at one.
func TestSourceInLog(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	log, err := logs.OpenProtocol(logs.Options{Kind: logs.SendProtocol, Log: config.Log{Enabled: true, Directory: t.TempDir()}, Tee: func(l logs.Line) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, fmt.Sprintf("%s %s %c %s", l.Local, l.Remote, l.Event, l.Context))
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, &fakeMX{})
	b.options.Log, b.connector.ProtocolLogging = log, "verbose"
	b.connector.SourceIPAddress, b.connector.MessagesPerConnection = addrsOf("192.0.2.12 192.0.2.13"), 1
	b.net.missing[netip.MustParseAddr("192.0.2.13")] = true
	b.send()
	b.send()
	b.stop()
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The session before may still be at its QUIT meanwhile: only the lines of one
	// source stand in order.
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:len("192.0.2.12:")], b[:len("192.0.2.12:")]) })
	text := strings.Join(lines, "\n")
	for _, want := range []string{"192.0.2.12:0 192.0.2.25:25 * attempting to connect", "192.0.2.12:40001 192.0.2.25:25 + ",
		"192.0.2.13:0 192.0.2.25:25 * attempting to connect\n192.0.2.13:0 192.0.2.25:25 * failed to connect", "192.0.2.12:40003 192.0.2.25:25 + "} {
		if !strings.Contains(text, want) {
			t.Errorf("no line has %q:\n%s", want, text)
		}
	}
}

// TestSourcesTogether: many deliveries at a time, with an address that comes and
// goes meanwhile.
func TestSourcesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeMX{})
		b.connector.SourceIPAddress, b.connector.MessagesPerConnection = addrsOf(sourcePool), 1
		s := b.start()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				for n := range 5 {
					if i == 0 {
						b.net.mu.Lock()
						b.net.missing[netip.MustParseAddr("192.0.2.13")] = n%2 == 0
						b.net.mu.Unlock()
					}
					if i == 1 {
						s.Configure(b.config)
						s.Plan(t.Context(), hop())
					}
					if got := sum(s.Deliver(t.Context(), hop(), mail("x\r\n"))); got != "0 delivered 250 2.6.0 Queued" {
						t.Errorf("outcome %q", got)
					}
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		b.stop()
	})
}
