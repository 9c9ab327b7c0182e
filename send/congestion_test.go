package send

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
)

// TestCongested: a report says that a next hop does not stand more when hosts
// say or show so before the first recipient and no other host heard the message,
// and never because of the message.
func TestCongested(t *testing.T) {
	mail := func(lines ...string) *fakeMX { return &fakeMX{faults: map[string]fault{"MAIL": reply(lines...)}} }
	takes := &fakeMX{}
	for _, tt := range []struct {
		name   string
		first  *fakeMX
		second *fakeMX
		want   bool
	}{
		{"nobody is there", nil, nil, true},
		{"one of two is there", nil, takes, false},
		{"421 for a greeting", &fakeMX{greeting: "421 4.3.2 busy"}, nil, true},
		{"421 for a greeting, the other takes it", &fakeMX{greeting: "421 4.3.2 busy"}, takes, false},
		{"554 for a greeting", &fakeMX{greeting: "554 5.7.1 go away"}, &fakeMX{greeting: "554 5.7.1 go away"}, false},
		{"the connection ends at EHLO", &fakeMX{faults: map[string]fault{"EHLO": closes}}, nil, true},
		{"421 to EHLO", &fakeMX{faults: map[string]fault{"EHLO": replyAndClose("421 4.7.0 Too many sessions")}}, nil, true},
		{"421 to MAIL", &fakeMX{faults: map[string]fault{"MAIL": replyAndClose("421 4.7.0 try later")}}, nil, true},
		{"no room", mail("452 4.3.1 disk full"), nil, true},
		{"too many", mail("450 4.7.1 Too many connections from your address"), nil, true},
		{"flood", mail("450 4.7.28 slow down"), nil, true},
		{"too many, and the other has gone", mail("450 4.7.1 Too many connections from your address"), nil, true},
		{"sender greylisted", mail("450 4.7.1 Greylisted"), nil, false},
		{"sender refused", mail("550 5.7.1 no"), nil, false},
		{"busy, and the sender refused by the other", &fakeMX{greeting: "421 4.3.2 busy"}, mail("550 5.7.1 no"), false},
		{"recipient later", &fakeMX{faults: map[string]fault{"RCPT": reply("451 4.7.1 later")}}, takes, false},
		{"recipient unknown", &fakeMX{faults: map[string]fault{"RCPT": reply("550 5.1.1 unknown")}}, takes, false},
		{"421 to RCPT", &fakeMX{faults: map[string]fault{"RCPT": replyAndClose("421 4.7.0 no more")}}, nil, false},
		{"content refused", &fakeMX{faults: map[string]fault{"end": reply("451 4.3.0 later")}}, takes, false},
		{"delivered", takes, takes, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				defer b.stop()
				b.names.mx = map[string]any{"example.test": "one.test,two.test"}
				b.names.addrs = map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32"}
				if tt.first != nil {
					b.host("192.0.2.31:25", tt.first)
				}
				if tt.second != nil {
					b.host("192.0.2.32:25", tt.second)
				}
				if r := b.send(); r.Congested != tt.want {
					t.Errorf("congested %v, want %v; %+v", r.Congested, tt.want, r)
				}
			})
		})
	}
}

// TestCanceledIsNoCongestion: what ends because the gateway stops says nothing of
// the next hop.
func TestCanceledIsNoCongestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeMX{faults: map[string]fault{"greeting": hangs}})
		defer b.stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := b.deliver(ctx, hop(), mail("hello\r\n")); r.Congested {
			t.Errorf("%+v", r)
		}
	})
}

// TestDeadHostCostsLittle: one host of three that lets connections run into
// nothing is tried by one delivery in a minute; the others hardly notice.
func TestDeadHostCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.names.mx = map[string]any{"example.test": "one.test,two.test,three.test"}
		b.names.addrs = map[string]any{"one.test": "192.0.2.31", "two.test": "192.0.2.32", "three.test": "192.0.2.33"}
		b.connector.MessagesPerConnection = 1
		silent := &fakeMX{faults: map[string]fault{"greeting": hangs}}
		b.host("192.0.2.31:25", silent)
		b.host("192.0.2.32:25", &fakeMX{})
		b.host("192.0.2.33:25", &fakeMX{})
		b.options.Timeouts.Greeting = 30 * time.Second
		defer b.stop()
		b.start()
		// All find it dead at once; from then on ten minutes go by.
		ends := time.Now().Add(10 * time.Minute)
		var wg sync.WaitGroup
		var done, congested atomic.Int64
		for range 20 {
			wg.Go(func() {
				for time.Now().Before(ends) {
					r := b.deliver(t.Context(), hop(), mail("hello\r\n"))
					if r.Congested {
						congested.Add(1)
					}
					if r.Outcomes[0].Status == message.Delivered {
						done.Add(1)
					}
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		// 20 deliveries lose half a minute at first, then one in a minute does.
		if n, most := done.Load(), int64(20*600); n < most*9/10 {
			t.Errorf("%d deliveries of the %d that could be", n, most)
		}
		if congested.Load() != 0 {
			t.Errorf("%d deliveries were congested, though two hosts took all", congested.Load())
		}
	})
}
