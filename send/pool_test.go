package send

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
)

const took = "0 delivered 250 2.6.0 Queued"

func TestReuse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(b *bench)
		pause  time.Duration
		sends  int
		want   int // connections
	}{
		{"one after the other", nil, 0, 10, 1},
		{"a short pause", nil, 4 * time.Second, 3, 1},
		{"a long pause", nil, 6 * time.Second, 3, 3},
		{"connection_inactivity_timeout", func(b *bench) { b.connector.ConnectionInactivityTimeout = time.Second }, 2 * time.Second, 3, 3},
		{"messages_per_connection", func(b *bench) { b.connector.MessagesPerConnection = 4 }, 0, 10, 3},
		{"one message a connection", func(b *bench) { b.connector.MessagesPerConnection = 1 }, 0, 3, 3},
		{"the default", func(b *bench) { b.connector.MessagesPerConnection = 0 }, 0, 21, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{}
				b := newBench(t, mx)
				if tt.change != nil {
					tt.change(b)
				}
				for range tt.sends {
					r := b.send()
					if got := sum(r); got != took || len(r.Attempts) != 1 {
						t.Errorf("outcome %q, %d attempts", got, len(r.Attempts))
					}
					time.Sleep(tt.pause)
				}
				b.stop()
				if got := mx.count(); got != tt.want {
					t.Errorf("%d connections, want %d", got, tt.want)
				}
				quits := strings.Count(strings.Join(mx.commands(), "\n"), "QUIT")
				if quits != tt.want {
					t.Errorf("%d connections ended with QUIT, want %d", quits, tt.want)
				}
			})
		})
	}
}

// TestStale: what a host does to an idle connection is noticed, and never
// taken for the answer to the next command.
func TestStale(t *testing.T) {
	for name, f := range map[string]fault{
		"closed while idle": func(s *fakeSession) bool { s.send("250 2.6.0 Queued"); time.Sleep(time.Second); return false },
		"421 while idle": func(s *fakeSession) bool {
			s.send("250 2.6.0 Queued")
			time.Sleep(time.Second)
			s.send("421 4.4.2 idle for too long")
			return false
		},
		"421 and no close": func(s *fakeSession) bool {
			s.send("250 2.6.0 Queued")
			time.Sleep(time.Second)
			s.send("421 4.4.2 idle for too long")
			return hangs(s)
		},
		"extra reply":           reply("250 2.6.0 Queued", "250 2.6.0 Queued, I said"),
		"closed at once":        replyAndClose("250 2.6.0 Queued"),
		"closed at MAIL":        nil,
		"421 to MAIL":           nil,
		"closed at DATA":        nil,
		"hangs until timed out": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{faults: map[string]fault{}}
				if f != nil {
					mx.faults["end"] = f
				}
				mx.answer = func(s *fakeSession, line string) string {
					if f != nil || s.n != 1 || len(mx.got()) == 0 {
						return ""
					}
					switch {
					case name == "closed at MAIL" && strings.HasPrefix(line, "MAIL"), name == "closed at DATA" && line == "DATA":
						_ = s.c.Close()
					case name == "421 to MAIL" && strings.HasPrefix(line, "MAIL"):
						return "421 4.4.2 idle for too long"
					case name == "hangs until timed out" && strings.HasPrefix(line, "MAIL"):
						hangs(s)
					}
					return ""
				}
				b := newBench(t, mx)
				if got := sum(b.send()); got != took {
					t.Errorf("the first: %q", got)
				}
				time.Sleep(2 * time.Second)
				mx.mu.Lock()
				delete(mx.faults, "end")
				mx.mu.Unlock()
				r := b.send()
				if got := sum(r); got != took {
					t.Errorf("the second: %q", got)
				}
				// The broken connection is not counted.
				if len(r.Attempts) != 1 {
					t.Errorf("%d attempts, want 1: %+v", len(r.Attempts), r.Attempts)
				}
				if n := len(mx.got()); n != 2 || mx.count() != 2 {
					t.Errorf("%d messages over %d connections, want 2 over 2", n, mx.count())
				}
				b.stop()
			})
		})
	}
}

// TestSweep: idle connections that end, or whose time is up, don't wait for
// somebody to want them.
func TestSweep(t *testing.T) {
	for name, tt := range map[string]struct {
		fault fault
		after time.Duration
	}{
		"closed by the host": {func(s *fakeSession) bool { s.send("250 2.6.0 Queued"); time.Sleep(time.Second); return false }, 2500 * time.Millisecond},
		"told to go": {func(s *fakeSession) bool {
			s.send("250 2.6.0 Queued")
			time.Sleep(time.Second)
			s.send("421 4.4.2 idle for too long")
			return hangs(s)
		}, 2500 * time.Millisecond},
		"too old": {nil, 6500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{faults: map[string]fault{}}
				if tt.fault != nil {
					mx.faults["end"] = tt.fault
				}
				b := newBench(t, mx)
				if got := sum(b.send()); got != took {
					t.Fatalf("outcome %q", got)
				}
				held := func() (idle, open int) {
					b.s.pool.mu.Lock()
					defer b.s.pool.mu.Unlock()
					return b.s.pool.idleCount, len(b.s.pool.open)
				}
				if idle, open := held(); idle != 1 || open != 1 {
					t.Errorf("after the delivery %d idle of %d open, want 1 of 1", idle, open)
				}
				time.Sleep(tt.after)
				synctest.Wait()
				if idle, open := held(); idle != 0 || open != 0 {
					t.Errorf("after %v %d idle of %d open, want none", tt.after, idle, open)
				}
				b.stop()
			})
		})
	}
}

// TestBrokenAfterDATA: a reused connection that breaks with the content under
// way is not tried again at once: the host may have the message.
func TestBrokenAfterDATA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{faults: map[string]fault{}}
		b := newBench(t, mx)
		defer b.stop()
		b.send()
		mx.mu.Lock()
		mx.faults["end"] = closes
		mx.mu.Unlock()
		r := b.send()
		if got := sum(r); !strings.HasPrefix(got, "0 deferred 421 4.4.2 ") || len(r.Attempts) != 1 || mx.count() != 1 {
			t.Errorf("outcome %q, %d attempts, %d connections", got, len(r.Attempts), mx.count())
		}
	})
}

// TestPoolKey: connections are not shared where they must not be.
func TestPoolKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{}
		b := newBench(t, mx)
		b.names.mx["other.test"] = "mx.test"
		b.names.mx["alias.test"] = "alias-mx.test"
		b.names.addrs["alias-mx.test"] = "192.0.2.25"
		second := *b.connector
		second.Name = "Second"
		b.config.SendConnectors = append(b.config.SendConnectors, second)
		for _, tt := range []struct {
			connector, domain string
			want              int
		}{
			{"Internet", "example.test", 1},
			{"Internet", "other.test", 1}, // another domain with the same host
			{"Internet", "alias.test", 2}, // the host by another name: its certificate might differ
			{"Second", "example.test", 3}, // another connector
			{"Internet", "example.test", 3},
		} {
			h := hop()
			h.Connector, h.Domain = tt.connector, tt.domain
			b.deliver(t.Context(), h, mail("x\r\n"))
			if got := mx.count(); got != tt.want {
				t.Errorf("%s to %s: %d connections, want %d", tt.connector, tt.domain, got, tt.want)
			}
		}
		b.stop()
	})
}

// TestReconfigured: idle connections of an earlier configuration are given up.
func TestReconfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{}
		b := newBench(t, mx)
		b.send()
		next := *b.config
		next.SendConnectors = append([]config.SendConnector(nil), next.SendConnectors...)
		next.SendConnectors[0].FQDN = "new.contoso.example"
		b.s.Configure(&next)
		b.send()
		b.stop()
		if got := strings.Join(mx.commands(), " "); !strings.Contains(got, "EHLO new.contoso.example") || mx.count() != 2 {
			t.Errorf("commands %s", got)
		}
	})
}

// TestReconfiguredInUse: nor is one kept that was in use meanwhile.
func TestReconfiguredInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{faults: map[string]fault{"end": func(s *fakeSession) bool {
			time.Sleep(time.Second)
			s.send("250 2.6.0 Queued")
			return true
		}}}
		b := newBench(t, mx)
		s := b.start()
		done := make(chan string, 1)
		go func() { done <- sum(s.Deliver(t.Context(), hop(), mail("x\r\n"))) }()
		synctest.Wait()
		s.Configure(b.config)
		if got := <-done; got != took {
			t.Errorf("outcome %q", got)
		}
		b.send()
		b.stop()
		if mx.count() != 2 {
			t.Errorf("%d connections, want 2", mx.count())
		}
	})
}

// TestHostLimit: no host gets more connections at once than it may, and all
// messages get through.
func TestHostLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{}
		var mu sync.Mutex
		now, most := 0, 0
		mx.faults = map[string]fault{"end": func(s *fakeSession) bool {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			s.send("250 2.6.0 Queued")
			return true
		}}
		b := newBench(t, mx)
		b.config.Queue.MaxPerDomainOutboundConnections = 3
		// Another name for the same host takes from the same limit.
		b.names.mx["alias.test"] = "alias-mx.test"
		b.names.addrs["alias-mx.test"] = "192.0.2.25"
		s := b.start()
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				h := hop()
				if i%3 == 0 {
					h.Domain = "alias.test"
				}
				if got := sum(s.Deliver(t.Context(), h, mail("x\r\n"))); got != took {
					t.Errorf("outcome %q", got)
				}
			})
		}
		wg.Wait()
		if most != 3 {
			t.Errorf("%d at once, want 3", most)
		}
		b.stop()
	})
}

// TestHostTurns: who waits for one of a host's connections gets it in turn. One
// that is freed wakes one who waits, not all: there may be a thousand.
func TestHostTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{faults: map[string]fault{"end": func(s *fakeSession) bool {
			time.Sleep(time.Second)
			s.send("250 2.6.0 Queued")
			return true
		}}}
		b := newBench(t, mx)
		b.config.Queue.MaxPerDomainOutboundConnections = 1
		b.names.mx["alias.test"] = "alias-mx.test"
		b.names.addrs["alias-mx.test"] = "192.0.2.25"
		s := b.start()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				h := hop()
				if i%2 == 0 { // which can't take over a connection of the others
					h.Domain = "alias.test"
				}
				ctx := t.Context()
				if i%5 == 4 { // and some give up before it is their turn
					c, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
					defer cancel()
					ctx = c
				}
				got := sum(s.Deliver(ctx, h, mail("x\r\n")))
				mu.Lock()
				defer mu.Unlock()
				if i%5 != 4 {
					order = append(order, i)
					if got != took {
						t.Errorf("delivery %d: outcome %q", i, got)
					}
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if !slices.IsSorted(order) || len(order) != 16 {
			t.Errorf("done in the order %v", order)
		}
		b.stop()
	})
}

// TestHostBusy: who gets no connection in time is deferred, and the host is
// not taken for dead.
func TestHostBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{faults: map[string]fault{"end": func(s *fakeSession) bool {
			time.Sleep(5 * time.Minute)
			s.send("250 2.6.0 Queued")
			return true
		}}}
		b := newBench(t, mx)
		b.config.Queue.MaxPerDomainOutboundConnections = 1
		s := b.start()
		first := make(chan string, 1)
		go func() { first <- sum(s.Deliver(t.Context(), hop(), mail("x\r\n"))) }()
		synctest.Wait()
		start := time.Now()
		if got := sum(b.send()); !strings.HasPrefix(got, "0 deferred 451 4.4.5 ") || strings.Contains(got, "unreachable") {
			t.Errorf("outcome %q", got)
		}
		if got := time.Since(start); got != s.timeouts.Slot {
			t.Errorf("waited %v, want %v", got, s.timeouts.Slot)
		}
		if got := <-first; got != took {
			t.Errorf("the first: %q", got)
		}
		b.stop()
	})
}

// TestConcurrent drives one Sender from many sides while hosts misbehave; it
// is for the race detector.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		for i := range 4 {
			mx := &fakeMX{}
			n := 0
			mx.answer = func(s *fakeSession, line string) string {
				mx.mu.Lock()
				defer mx.mu.Unlock()
				if n++; n%17 == 0 {
					return "421 4.3.2 tired"
				}
				return ""
			}
			addr := fmt.Sprintf("192.0.2.%d", 31+i)
			b.host(addr+":25", mx)
			b.names.mx[fmt.Sprintf("d%d.test", i)] = "m.test=" + fmt.Sprintf("m%d.test", i)
			b.names.addrs[fmt.Sprintf("m%d.test", i)] = addr
		}
		b.names.addrs["m.test"] = "192.0.2.31 192.0.2.32"
		s := b.start()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%50)*time.Second)
				defer cancel()
				h := hop()
				h.Domain = fmt.Sprintf("d%d.test", i%4)
				d := mail("x\r\n", "a", "b", "c")
				r := s.Deliver(ctx, h, d)
				checkReport(t, d, r)
				for _, o := range r.Outcomes {
					if o.Status == message.Failed {
						t.Errorf("outcome %+v", o)
					}
				}
			})
			if i%50 == 0 {
				s.Configure(b.config)
			}
		}
		wg.Wait()
		b.stop()
	})
}
