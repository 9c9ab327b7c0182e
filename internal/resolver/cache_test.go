package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// TestCache counts questions over (synthetic) time.
func TestCache(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answer   string // records, or an rcode
		negative bool
		lives    time.Duration
	}{
		{name: "time to live", answer: "x.test. 30 IN MX 1 mx.test.", lives: 30 * time.Second},
		{name: "zero", answer: "x.test. 0 IN MX 1 mx.test.", lives: 0},
		{name: "top bit", answer: "x.test. 4294967295 IN MX 1 mx.test.", lives: 0},
		{name: "capped", answer: "x.test. 864000 IN MX 1 mx.test.", lives: DefaultMaxTTL},
		{name: "shortest of a chain", answer: "x.test. 20 IN CNAME y.test.\ny.test. 300 IN MX 1 mx.test.", lives: 20 * time.Second},
		{name: "negative", answer: "NXDOMAIN test. 300 IN SOA ns.test. h.test. 1 1 1 1 60", lives: time.Minute},
		{name: "negative by the SOA's own TTL", answer: "NXDOMAIN test. 45 IN SOA ns.test. h.test. 1 1 1 1 60", lives: 45 * time.Second},
		{name: "negative capped", answer: "NXDOMAIN test. 86400 IN SOA ns.test. h.test. 1 1 1 1 86400", lives: DefaultMaxNegativeTTL},
		{name: "negative without SOA", answer: "NXDOMAIN", lives: 0},
		{name: "SERVFAIL", answer: "SERVFAIL", lives: failureTTL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &pipeServer{answer: tt.answer}
				r := New(Options{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Dial: s.dial})
				defer s.wg.Wait()
				ask := func() { _, _ = r.MX(t.Context(), "x.test") }
				ask()
				if tt.lives > 0 {
					time.Sleep(tt.lives - time.Millisecond)
					ask()
					if n := s.count(); n != 1 {
						t.Errorf("asked %d times within %v, want once", n, tt.lives)
					}
					time.Sleep(time.Millisecond)
				}
				ask()
				if n := s.count(); n != 2 {
					t.Errorf("asked %d times, want twice: the answer lives %v", n, tt.lives)
				}
			})
		})
	}
}

func TestFlush(t *testing.T) {
	z := newZone(t, mailZone)
	r := z.resolver(Options{})
	for range 2 {
		if _, err := r.MX(testContext(t), "plain.test"); err != nil {
			t.Fatal(err)
		}
		r.Flush()
	}
	if n := z.count("udp"); n != 2 {
		t.Errorf("asked %d times, want twice", n)
	}
}

func TestCacheBound(t *testing.T) {
	c := cache{max: 100}
	now := time.Unix(1e9, 0)
	for i := range 1000 {
		q := question{name: fmt.Sprint(i), qtype: dns.TypeMX}
		c.put(q, answer{ttl: time.Duration(i+1) * time.Second}, now)
		if _, ok := c.get(q, now); !ok {
			t.Fatalf("entry %d was not kept", i)
		}
	}
	if c.len() != 100 {
		t.Errorf("%d entries, want 100", c.len())
	}
	// Expired entries go first.
	late := now.Add(time.Hour)
	c.put(question{name: "late"}, answer{ttl: time.Second}, late)
	if c.len() != 100 {
		t.Errorf("%d entries, want 100", c.len())
	}
	off := cache{max: -1}
	off.put(question{}, answer{ttl: time.Hour}, now)
	if _, ok := off.get(question{}, now); ok || off.len() != 0 {
		t.Error("a cache that is off keeps an answer")
	}
}

// TestSingleFlight: many who ask the same at once cost one question, and one
// who gives up does not take the others along.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &pipeServer{answer: "x.test. 300 IN MX 1 mx.test.", delay: time.Second}
		r := New(Options{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Dial: s.dial})
		defer s.wg.Wait()
		leader, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.MX(leader, "x.test"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who gave up got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if res, err := r.MX(t.Context(), "x.test"); err != nil || len(res.Records) != 1 {
					t.Errorf("MX = %v, %v", res, err)
				}
			})
		}
		synctest.Wait()
		short, cancelShort := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancelShort()
		start := time.Now()
		if _, err := r.MX(short, "x.test"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("a waiting caller's own deadline: %v after %v", err, time.Since(start))
		}
		wg.Wait()
		if n := s.count(); n != 2 {
			t.Errorf("asked %d times, want twice: the one who gave up, then once for all others", n)
		}
	})
}

// TestPatience: against servers that never answer, a look-up ends when its
// time is up, each server having had its turn.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &pipeServer{silent: true}
		r := New(Options{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("192.0.2.54:53")},
			Dial: s.dial})
		start := time.Now()
		_, err := r.MX(t.Context(), "x.test")
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Temporary {
			t.Errorf("MX: %v", err)
		}
		if got, want := time.Since(start), 4*DefaultQueryTimeout; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
		s.wg.Wait()
		if n := s.count(); n != 4 {
			t.Errorf("asked %d times, want 4", n)
		}
	})
}

// pipeServer answers over net.Pipe, so that time can be synthetic.
type pipeServer struct {
	answer string
	delay  time.Duration
	silent bool

	mu    sync.Mutex
	asked int
	wg    sync.WaitGroup
}

func (s *pipeServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *pipeServer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	client, server := net.Pipe()
	s.wg.Go(func() {
		defer server.Close()
		buf := make([]byte, 4096)
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
		var m dns.Msg
		if m.Unpack(buf[:n]) != nil {
			return
		}
		time.Sleep(s.delay)
		if s.silent {
			_, _ = server.Read(buf) // until the client gives up
			return
		}
		packed, _ := s.reply(&m).Pack()
		_, _ = server.Write(packed)
	})
	return client, nil
}

func (s *pipeServer) reply(m *dns.Msg) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(m)
	r.RecursionAvailable = true
	records := s.answer
	if records == "SERVFAIL" {
		r.Rcode = dns.RcodeServerFailure
		return r
	}
	if rest, ok := strings.CutPrefix(records, "NXDOMAIN"); ok {
		r.Rcode = dns.RcodeNameError
		if rest != "" {
			rr, _ := dns.NewRR(strings.TrimSpace(rest))
			r.Ns = append(r.Ns, rr)
		}
		return r
	}
	for line := range strings.SplitSeq(records, "\n") {
		rr, _ := dns.NewRR(line)
		r.Answer = append(r.Answer, rr)
	}
	return r
}
