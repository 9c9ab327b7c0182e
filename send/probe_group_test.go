package send

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
)

// TestLargeGroups: a next hop that allows any number of recipients and answers
// each command before it reads the next does not stall, nor is it stalled by,
// a client that sends them together (RFC 2920 3.1).
func TestLargeGroups(t *testing.T) {
	const n = 20000
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("user%d", i))
	}
	for _, tt := range []struct {
		name   string
		faults map[string]fault
		want   message.Status
	}{
		{"taken", map[string]fault{"RCPT": reply("250 2.1.5 " + strings.Repeat("x", 400))}, message.Delivered},
		{"MAIL refused", map[string]fault{"MAIL": reply("550 5.7.1 no"), "RCPT": reply("503 5.5.1 no"), "DATA": reply("503 5.5.1 no")}, message.Failed},
	} {
		synctest.Test(t, func(t *testing.T) {
			mx := &fakeMX{ext: []string{"PIPELINING", "LIMITS RCPTMAX=100000"}, faults: tt.faults}
			b := newBench(t, mx)
			start := time.Now()
			r := b.send(names...)
			b.stop()
			if len(r.Outcomes) != 1 || r.Outcomes[0].Status != tt.want || time.Since(start) > 0 {
				t.Errorf("%s: %d outcomes, of which the first is %v %v, after %v", tt.name, len(r.Outcomes), r.Outcomes[0].Status, r.Outcomes[0].Reply, time.Since(start))
			}
			if lines := len(mx.commands()); tt.want == message.Failed && lines > 200 {
				t.Errorf("%d commands were sent to a host that refused MAIL", lines)
			}
		})
	}
}

// TestEarlyAcceptance: a reply that comes while the content is under way is
// not the one to its end, however long the content takes (RFC 5321 4.3.1).
func TestEarlyAcceptance(t *testing.T) {
	content := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 40000)
	for _, after := range []time.Duration{0, time.Second, 150 * time.Second} {
		for _, secure := range []bool{false, true} {
			server := testServerTLS(t, "mx.test")
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{faults: map[string]fault{
					"body": func(s *fakeSession) bool {
						time.Sleep(after)
						s.send("250 2.0.0 taken already")
						return true
					},
					"end": reply("550 5.7.1 spam"),
				}}
				if secure {
					mx.tls = server
				}
				b := newBench(t, mx)
				r := b.deliver(t.Context(), hop(), mail(content))
				b.stop()
				if got := sum(r); !matches(got, "0 deferred 421 4.4.0 Remote server response was not RFC conformant") || len(mx.got()) != 0 {
					t.Errorf("after %v: %q, %d messages", after, got, len(mx.got()))
				}
			})
		}
	}
}
