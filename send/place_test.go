package send

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/internal/resolver"
)

// places are those of the deliveries that may run at a time, as a queue has
// them.
type places struct {
	t    *testing.T
	free chan struct{}
	full bool // nobody may leave

	mu   sync.Mutex
	left int // how often one was
	away int
}

func newPlaces(t *testing.T, n int) *places {
	p := &places{t: t, free: make(chan struct{}, n)}
	for range n {
		p.free <- struct{}{}
	}
	return p
}

// run makes a delivery once there is a place for it.
func (p *places) run(fn func(message.Place)) {
	<-p.free
	at := &fakePlace{p: p}
	fn(at)
	if at.away {
		p.t.Error("a delivery ended without its place")
	}
	p.free <- struct{}{}
}

type fakePlace struct {
	p    *places
	away bool
}

func (f *fakePlace) Leave() bool {
	if f.away {
		f.p.t.Error("a place was left twice")
	}
	if f.p.full {
		return false
	}
	f.p.mu.Lock()
	f.p.left++
	f.p.away++
	f.p.mu.Unlock()
	f.away = true
	f.p.free <- struct{}{}
	return true
}

func (f *fakePlace) Return(ctx context.Context) {
	if !f.away {
		f.p.t.Error("a place was taken twice")
	}
	<-f.p.free // the tests see to it that some is free once the context ends
	f.p.mu.Lock()
	f.p.away--
	f.p.mu.Unlock()
	f.away = false
}

func (p *places) counts() (left, away int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left, p.away
}

// TestWaitingLeavesPlace: of ten deliveries that may run at a time, those that
// wait for a connection to a host are none, so that mail for others goes on. All
// get their connection in the end, and who must go on elsewhere has a place.
func TestWaitingLeavesPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fakeMX{faults: map[string]fault{"end": func(s *fakeSession) bool {
			time.Sleep(10 * time.Second)
			s.send("250 2.6.0 Queued")
			return true
		}}}
		b := newBench(t, slow)
		b.config.Queue.MaxPerDomainOutboundConnections = 3
		b.names.mx["other.test"] = "other-mx.test"
		b.names.addrs["other-mx.test"] = "192.0.2.26"
		b.host("192.0.2.26:25", &fakeMX{})
		s := b.start()
		p := newPlaces(t, 10)
		var wg sync.WaitGroup
		done := 0
		for range 60 {
			wg.Go(func() {
				p.run(func(at message.Place) {
					d := mail("x\r\n")
					d.Place = at
					got := sum(s.Deliver(t.Context(), hop(), d))
					p.mu.Lock()
					defer p.mu.Unlock()
					if got == took {
						done++
					} else if !strings.HasPrefix(got, "0 deferred 451 4.4.5 ") {
						t.Errorf("outcome %q", got)
					}
				})
			})
		}
		synctest.Wait()
		if _, away := p.counts(); away != 57 {
			t.Errorf("%d wait without a place, want 57", away)
		}
		began := time.Now()
		for range 20 {
			p.run(func(at message.Place) {
				d, h := mail("x\r\n"), hop()
				d.Place, h.Domain = at, "other.test"
				if got := sum(s.Deliver(t.Context(), h, d)); got != took {
					t.Errorf("outcome %q", got)
				}
			})
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("mail for others waited %v", waited)
		}
		if left, _ := p.counts(); left != 57 {
			t.Errorf("places were left %d times, want 57: nobody else has to wait", left)
		}
		wg.Wait()
		// Three at a time for a minute, and those that began before its end.
		if done < 18 || done > 21 {
			t.Errorf("%d were delivered", done)
		}
		b.stop()
	})
}

// TestCrowded: who can't leave its place does not wait, and neither does who
// finds too many waiting.
func TestCrowded(t *testing.T) {
	for name, full := range map[string]bool{"no leave": true, "too many wait": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeMX{faults: map[string]fault{"end": func(s *fakeSession) bool {
					time.Sleep(30 * time.Second)
					s.send("250 2.6.0 Queued")
					return true
				}}})
				b.config.Queue.MaxPerDomainOutboundConnections = 1
				s := b.start()
				p := newPlaces(t, 5)
				p.full = full
				deliver := func() (got string) {
					p.run(func(at message.Place) {
						d := mail("x\r\n")
						d.Place = at
						r := s.Deliver(t.Context(), hop(), d)
						if got = sum(r); got != took && !r.Congested {
							t.Errorf("%q, and not congested", got)
						}
					})
					return got
				}
				var wg sync.WaitGroup
				wg.Go(func() { deliver() })
				synctest.Wait()
				if !full {
					for range maxWaiting {
						wg.Go(func() { deliver() })
					}
					synctest.Wait()
				}
				began := time.Now()
				if got, want := deliver(), "0 deferred 451 4.4.5 No connection to mx.test [192.0.2.25]: "+errCrowded.Error(); got != want || time.Since(began) != 0 {
					t.Errorf("%q after %v, want %q at once", got, time.Since(began), want)
				}
				wg.Wait()
				b.stop()
			})
		})
	}
}

// TestLookUpLeavesPlace: while the DNS is asked, the place is left; what is
// known costs nothing.
func TestLookUpLeavesPlace(t *testing.T) {
	for _, tt := range []struct {
		slow   time.Duration
		change func(b *bench)
		want   int
	}{
		{0, nil, 0},
		{time.Second, nil, 2}, // the exchangers and their addresses
		{time.Second, func(b *bench) { b.names.mx["example.test"] = "mx0.test,mx.test" }, 3},
		{time.Second, func(b *bench) { b.names.mx["example.test"] = dnsTrouble(resolver.Temporary) }, 1},
	} {
		t.Run(fmt.Sprint(tt.slow, tt.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeMX{})
				b.names.slow = tt.slow
				if tt.change != nil {
					tt.change(b)
				}
				s := b.start()
				p := newPlaces(t, 1)
				var wg sync.WaitGroup
				began := time.Now()
				for range 50 {
					wg.Go(func() {
						p.run(func(at message.Place) {
							d := mail("x\r\n")
							d.Place = at
							s.Deliver(t.Context(), hop(), d)
						})
					})
				}
				wg.Wait()
				if left, _ := p.counts(); left != 50*tt.want {
					t.Errorf("the place was left %d times, want %d", left, 50*tt.want)
				}
				if took := time.Since(began); took != time.Duration(tt.want)*tt.slow {
					t.Errorf("50 deliveries with one place took %v", took)
				}
				b.stop()
			})
		})
	}
}
