package send

import (
	"bufio"
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
)

// TestFaults lets the only host of a domain misbehave in every way at every
// place. Each outcome is stated; the time it may take is bounded by the
// phase's timeout.
func TestFaults(t *testing.T) {
	ways := []struct {
		name  string
		fault fault
	}{
		{"4xx", reply("450 4.2.1 not now")},
		{"5xx", reply("550 5.7.1 never")},
		{"421", replyAndClose("421 4.3.2 going down")},
		{"garbage", reply("\x00\xff what is this")},
		{"3xx", reply("399 4.0.0 hmm")},
		{"hang", hangs},
		{"close", closes},
		{"drip", drips},
		{"overlong", overlong},
		{"extra", reply("250 2.0.0 fine", "250 2.0.0 and more")},
	}
	const (
		said450   = "0 deferred 450 4.2.1 not now"
		said550   = "0 failed 550 5.7.1 never"
		said421   = "0 deferred 421 4.3.2 going down"
		garbage   = "0 deferred 421 4.4.0 Remote server response was not RFC conformant"
		timeout   = "0 deferred 421 4.4.1 Connection timed out"
		dropped   = "0 deferred 421 4.4.2 Connection dropped by the remote server"
		delivered = "0 delivered 250 2.6.0 Queued"
		none      = "; unreachable"
	)
	for _, tt := range []struct {
		place string
		want  map[string]string // by way; a trailing "; unreachable" is part of it
		limit time.Duration
	}{
		{"greeting", map[string]string{"4xx": said450 + none, "5xx": said550, "421": said421 + none, "garbage": garbage + none, "3xx": garbage + none,
			"hang": timeout + none, "close": dropped + none, "drip": timeout + none, "overlong": garbage + none, "extra": garbage + none}, 2 * time.Minute},
		// A host that refuses EHLO is asked with HELO.
		{"EHLO", map[string]string{"4xx": said450 + none, "5xx": delivered, "421": said421 + none, "garbage": garbage + none, "3xx": garbage + none,
			"hang": timeout + none, "close": dropped + none, "drip": timeout + none, "overlong": garbage + none, "extra": garbage}, 2 * time.Minute},
		{"MAIL", map[string]string{"4xx": said450, "5xx": said550, "421": said421, "garbage": garbage, "3xx": garbage,
			"hang": timeout, "close": dropped, "drip": timeout, "overlong": garbage, "extra": garbage}, 5 * time.Minute},
		{"RCPT", map[string]string{"4xx": said450, "5xx": said550, "421": said421, "garbage": garbage, "3xx": garbage,
			"hang": timeout, "close": dropped, "drip": timeout, "overlong": garbage, "extra": garbage}, 5 * time.Minute},
		{"DATA", map[string]string{"4xx": said450, "5xx": said550, "421": said421, "garbage": garbage, "3xx": garbage,
			"hang": timeout, "close": dropped, "drip": timeout, "overlong": garbage, "extra": garbage}, 2 * time.Minute},
		{"body", map[string]string{"421": said421, "hang": timeout, "close": "0 deferred 421 4.4.2 Connection dropped"}, 10 * time.Minute},
		// What follows a complete reply is no reason to doubt it.
		{"end", map[string]string{"4xx": said450, "5xx": said550, "421": said421, "garbage": garbage, "3xx": garbage,
			"hang": timeout, "close": dropped, "drip": timeout, "overlong": garbage, "extra": "0 delivered 250 2.0.0 fine"}, 10 * time.Minute},
		{"QUIT", map[string]string{"4xx": delivered, "5xx": delivered, "421": delivered, "garbage": delivered, "3xx": delivered,
			"hang": delivered, "close": delivered, "drip": delivered, "overlong": delivered, "extra": delivered}, 0},
	} {
		for _, way := range ways {
			want, ok := tt.want[way.name]
			if !ok {
				continue
			}
			for _, pipelining := range []bool{true, false} {
				name := tt.place + "/" + way.name
				if !pipelining {
					name += "/stepwise"
				}
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						mx := &fakeMX{faults: map[string]fault{tt.place: way.fault}}
						if !pipelining {
							mx.ext = []string{"8BITMIME"}
						}
						b := newBench(t, mx)
						start := time.Now()
						r := b.send()
						took := time.Since(start)
						if got := sum(r); !matches(got, want) {
							t.Errorf("outcome %q, want %q", got, want)
						}
						if took > tt.limit {
							t.Errorf("took %v, want %v at most", took, tt.limit)
						}
						if len(r.Attempts) != 1 {
							t.Errorf("%d attempts, want 1: %+v", len(r.Attempts), r.Attempts)
						}
						if n := mx.count(); n != 1 {
							t.Errorf("%d connections, want 1", n)
						}
						start = time.Now()
						b.stop()
						if took := time.Since(start); took > 11*time.Second {
							t.Errorf("closing took %v", took)
						}
					})
				})
			}
		}
	}
}

// matches compares an outcome with what is wanted, of whose text the end may
// be missing; "unreachable" is compared exactly.
func matches(got, want string) bool {
	g, gu := strings.CutSuffix(got, "; unreachable")
	w, wu := strings.CutSuffix(want, "; unreachable")
	return gu == wu && strings.HasPrefix(g, w)
}

// TestSTARTTLSFaults: in opportunistic mode whatever goes wrong with STARTTLS
// leads to a fresh connection in clear, in required mode the message waits.
func TestSTARTTLSFaults(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	for name, f := range map[string]fault{
		"4xx":       reply("454 4.7.0 TLS not available"),
		"5xx":       reply("502 5.5.1 no"),
		"421":       replyAndClose("421 4.3.2 going down"),
		"garbage":   reply("hello?"),
		"hang":      hangs,
		"close":     closes,
		"drip":      drips,
		"overlong":  overlong,
		"no TLS":    replyAndClose("220 go ahead", "this is no TLS record, and never will be one"),
		"injection": func(s *fakeSession) bool { s.send("220 go ahead", "250-mx.test", "250 PIPELINING"); return hangs(s) },
		"silence behind 220": func(s *fakeSession) bool {
			s.send("220 go ahead")
			return hangs(s)
		},
		"closed behind 220": replyAndClose("220 go ahead"),
	} {
		for _, mode := range []string{config.TLSOpportunistic, config.TLSRequired} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mx := &fakeMX{tls: server, faults: map[string]fault{"STARTTLS": f}}
					b := newBench(t, mx)
					b.connector.TLS = mode
					defer b.stop()
					r := b.send()
					if mode == config.TLSRequired {
						if r.Outcomes[0].Status != message.Deferred || r.Unreachable || len(mx.got()) != 0 || len(r.Attempts) != 1 {
							t.Errorf("%s, %d messages in clear; want it to wait", sum(r), len(mx.got()))
						}
						return
					}
					got := mx.got()
					if r.Outcomes[0].Status != message.Delivered || len(got) != 1 || got[0].tls || got[0].session != 2 || len(r.Attempts) != 2 {
						t.Errorf("%s, messages %+v; want one in clear over a second connection", sum(r), got)
					}
				})
			})
		}
	}
}

// TestUnasked: replies that nobody asked for are not taken for answers, nor
// for what the host thinks of the message.
func TestUnasked(t *testing.T) {
	for _, ext := range [][]string{{"PIPELINING"}, {}} {
		for name, faults := range map[string]map[string]fault{
			"behind the greeting":         {"greeting": reply("220 mx.test", "250 mx.test")},
			"behind EHLO":                 {"EHLO": reply("250 mx.test", "550 5.7.1 strange")},
			"behind EHLO with PIPELINING": {"EHLO": reply("250-mx.test", "250 PIPELINING", "550 5.7.1 strange")},
		} {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: ext, faults: faults}
				b := newBench(t, mx)
				defer b.stop()
				if got := sum(b.send()); !strings.HasPrefix(got, "0 deferred 421 4.4.0 ") || !strings.Contains(got, "sent unasked") {
					t.Errorf("%s: %q", name, got)
				}
			})
		}
	}
}

// TestInjection: what stands in clear behind the reply to STARTTLS ends the
// connection, though the handshake would succeed (RFC 3207 6).
func TestInjection(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{tls: server, faults: map[string]fault{"STARTTLS": func(s *fakeSession) bool {
			s.send("220 ready", "250 injected")
			tc := tls.Server(s.c, server)
			if tc.Handshake() != nil {
				return false
			}
			s.c, s.r, s.tls = tc, bufio.NewReader(tc), true
			return true
		}}}
		b := newBench(t, mx)
		b.connector.TLS = config.TLSRequired
		defer b.stop()
		if got := sum(b.send()); !strings.HasPrefix(got, "0 deferred 421 4.7.5 ") || len(mx.got()) != 0 {
			t.Errorf("outcome %q", got)
		}
	})
}

// TestStalledBody: a host that stops reading in the middle of the content, or
// reads ever so slowly, does not hold the message for ever.
func TestStalledBody(t *testing.T) {
	slow := func(s *fakeSession) bool {
		for {
			// Fast enough for the bound of each block, too slow for all.
			if _, err := s.r.Discard(1 << 10); err != nil {
				return false
			}
			time.Sleep(3 * time.Second)
		}
	}
	content := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 40000)
	for name, f := range map[string]fault{"deaf": deaf, "slow": slow} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{faults: map[string]fault{"body": f}}
			b := newBench(t, mx)
			defer b.stop()
			start := time.Now()
			r := b.deliver(t.Context(), hop(), mail(content))
			if got := sum(r); !matches(got, "0 deferred 421 4.4.1 Connection timed out sending the content") {
				t.Errorf("%s: %s", name, got)
			}
			want := b.s.timeouts.DataBlock
			if name == "slow" {
				want += time.Duration(int64(len(content))/b.s.timeouts.MinRate) * time.Second
			}
			// A last look for what the host may have to say is part of it.
			if took := time.Since(start); took != want+b.s.timeouts.Quit {
				t.Errorf("%s: took %v, want %v", name, took, want)
			}
		})
	}
}

// TestEarlyRefusal: a host that refuses in the middle of the content and takes
// no more of it is heard.
func TestEarlyRefusal(t *testing.T) {
	content := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 40000)
	for _, tt := range []struct{ said, want string }{
		{"552 5.3.4 too much", "0 failed 552 5.3.4 too much"},
		{"452 4.3.1 disk full", "0 deferred 452 4.3.1 disk full"},
	} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{faults: map[string]fault{"body": func(s *fakeSession) bool {
				s.send(tt.said)
				return deaf(s)
			}}}
			b := newBench(t, mx)
			defer b.stop()
			if got := sum(b.deliver(t.Context(), hop(), mail(content))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestCanceled: the end of the context ends a delivery at once wherever the
// host hangs.
func TestCanceled(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	for _, place := range []string{"connect", "greeting", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "body", "end"} {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{faults: map[string]fault{place: hangs}, tls: server}
				b := newBench(t, mx)
				defer b.stop()
				if place == "connect" {
					for a := range b.net.hosts {
						b.net.silent[a] = true
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), soon)
				defer cancel()
				start := time.Now()
				r := b.deliver(ctx, hop(), mail("x\r\n"))
				if took := time.Since(start); took != soon {
					t.Errorf("took %v, want %v", took, soon)
				}
				if got := sum(r); !matches(got, "0 deferred 451 4.3.2 The delivery was interrupted") {
					t.Errorf("outcome %q", got)
				}
				if len(b.start().dead.until) != 0 {
					t.Error("the host is remembered as dead")
				}
			})
		})
	}
}

// TestCloseCutsOff: Close waits for deliveries as long as it may, and then
// ends them.
func TestCloseCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mx := &fakeMX{faults: map[string]fault{"MAIL": hangs}}
		b := newBench(t, mx)
		s := b.start()
		done := make(chan message.Report, 1)
		go func() { done <- s.Deliver(t.Context(), hop(), mail("x\r\n")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		start := time.Now()
		if err := s.Close(ctx); err != context.DeadlineExceeded || time.Since(start) != soon {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		if got := sum(<-done); !matches(got, "0 deferred 451 4.3.2 The delivery was interrupted") {
			t.Errorf("outcome %q", got)
		}
		r := s.Deliver(t.Context(), hop(), mail("x\r\n"))
		if got := sum(r); got != "0 deferred 451 4.3.2 The gateway is shutting down" {
			t.Errorf("after Close: %q", got)
		}
		b.net.wg.Wait()
	})
}
