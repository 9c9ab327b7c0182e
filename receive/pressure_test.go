package receive

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/backpressure"
	"postern/config"
	"postern/internal/metrics"
)

// pressure is a Pressure with a dial for strangers and one for others.
type pressure struct {
	mu               sync.Mutex
	outsider, others backpressure.Verdict
}

func (p *pressure) Mail(outsider bool) backpressure.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if outsider {
		return p.outsider
	}
	return p.others
}

func (p *pressure) set(outsider, others backpressure.Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outsider, p.others = outsider, others
}

// newPressed is a bench with AUTH and the default tarpits.
func newPressed(t *testing.T, outsider, others backpressure.Verdict, change func(*config.ReceiveConnector)) (*bench, *pressure) {
	b := newHeldBench(t, change)
	p := &pressure{outsider: outsider, others: others}
	b.server.pressure = p
	return b, p
}

var (
	noDisk   = backpressure.Verdict{Refuse: true, Resource: "disk", Figures: "900MB free of 63GB, medium from 1GB free"}
	tooLong  = backpressure.Verdict{Delay: 10 * time.Second, Resource: "submission_queue", Figures: "12000 messages, medium from 9999"}
	noMemory = backpressure.Verdict{Refuse: true, Resource: "memory", Figures: "7.6GB of 10GB, high from 7.5GB", Named: true}
)

// TestPressureRefuses: an outsider gets 452 at MAIL at once; the protocol log
// and the metrics name the resource, the reply does not.
func TestPressureRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newPressed(t, noDisk, backpressure.Verdict{}, nil)
		logged := protocolLog(t, b)
		c := b.dialog(greet)
		start := time.Now()
		c.play(`
			C: MAIL FROM:<a@stranger.example>
			S: 452 4\.3\.1 Insufficient system resources
			C: MAIL FROM:<>
			S: 452 4\.3\.1 Insufficient system resources`)
		after(t, start, 0)
		got := logged()
		const want = "* 900MB free of 63GB, medium from 1GB free | limit back_pressure.disk\n> 452 4.3.1 Insufficient system resources | \n"
		if strings.Count(got, want) != 2 {
			t.Errorf("logged:\n%s", got)
		}
		counted := b.metrics.Counter("receive_limits", metrics.Label{Name: "connector", Value: "From Internet"}, metrics.Label{Name: "limit", Value: "back_pressure.disk"})
		if counted.Value() != 2 {
			t.Errorf("%d refusals are counted", counted.Value())
		}
		// It passes by itself, in the same session.
		p.set(backpressure.Verdict{}, backpressure.Verdict{})
		c.play(`
			C: MAIL FROM:<a@stranger.example>
			S: 250 2\.1\.0 Sender OK` + quit)
	})
}

// TestPressureAndPipelining: what a client has sent behind a MAIL that is
// refused gets the same reply, at once, and is no error of its own; once more
// out of order it is.
func TestPressureAndPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newPressed(t, noDisk, backpressure.Verdict{}, func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 1 })
		c := b.dialog(greet)
		start := time.Now()
		const refused = "\nS: 452 4\\.3\\.1 Insufficient system resources"
		c.play(`
			C| MAIL FROM:<a@stranger.example>
			C| RCPT TO:<b@contoso.example>
			C| RCPT TO:<c@contoso.example>
			C: DATA` + strings.Repeat(refused, 4) + `
			C> "BDAT 3\r\nabcBDAT 0 LAST\r\n"` + strings.Repeat(refused, 2))
		after(t, start, 0)
		limit := b.metrics.Counter("receive_limits", metrics.Label{Name: "connector", Value: "From Internet"}, metrics.Label{Name: "limit", Value: "back_pressure.disk"})
		if limit.Value() != 1 {
			t.Errorf("%d refusals are counted, want 1", limit.Value())
		}
		p.set(backpressure.Verdict{}, backpressure.Verdict{})
		c.play(`
			C: RSET
			S: 250 .*
			C: RCPT TO:<b@contoso.example>
			S: 503 5\.5\.2 Need mail command
			C: MAIL FROM:<a@stranger.example>
			S: 250 .*
			C: RCPT TO:<b@contoso.example>
			S: 250 .*` + quit)
		after(t, start, 5*time.Second)
	})
}

// TestPressureSpares: who may relay, by address or by authenticating, still
// flows at medium; at high nobody does, and the reply may name the resource.
func TestPressureSpares(t *testing.T) {
	relay := func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_recipient"} }
	for name, tt := range map[string]struct {
		others backpressure.Verdict
		change func(*config.ReceiveConnector)
		script string
	}{
		"a user":           {backpressure.Verdict{}, nil, "C: AUTH PLAIN " + b64("\x00kim\x00kim") + "\nS: 235 .*\nC: MAIL FROM:<>\nS: 250 .*"},
		"a host of ours":   {backpressure.Verdict{}, relay, "C: MAIL FROM:<a@b.example>\nS: 250 .*\nC: RCPT TO:<x@elsewhere.example>\nS: 250 .*"},
		"a user at high":   {noMemory, nil, "C: AUTH PLAIN " + b64("\x00kim\x00kim") + "\nS: 235 .*\nC: MAIL FROM:<>\nS: 452 4\\.3\\.1 Insufficient system resources \\(memory\\)"},
		"a host at high":   {noMemory, relay, "C: MAIL FROM:<>\nS: 452 4\\.3\\.1 Insufficient system resources \\(memory\\)"},
		"refused for good": {noMemory, nil, "C: MAIL FROM:<a@b.example> SIZE=99999999999\nS: 552 .*"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newPressed(t, noDisk, tt.others, tt.change)
				b.dialog(greet).play(tt.script + quit)
			})
		})
	}
}

// TestPressureDelays: an outsider's MAIL is held back and then taken.
func TestPressureDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newPressed(t, tooLong, backpressure.Verdict{}, nil)
		logged := protocolLog(t, b)
		c := b.dialog(greet)
		start := time.Now()
		c.play(`
			C| MAIL FROM:<a@stranger.example>
			C: RCPT TO:<b@contoso.example>
			S: 250 2\.1\.0 Sender OK
			S: 250 2\.1\.5 Recipient OK`)
		after(t, start, 10*time.Second)
		const want = "* 12000 messages, medium from 9999 | limit back_pressure.submission_queue\n" +
			"* Tarpit for '0.00:00:10' due to 'Back Pressure' | 250 2.1.0 Sender OK\n> 250 2.1.0 Sender OK | \n"
		if got := logged(); !strings.Contains(got, want) {
			t.Errorf("logged:\n%s", got)
		}
		// A message under way goes on, whatever the level has become.
		p.set(noMemory, noMemory)
		c.play(`
			C: DATA
			S: 354 .*
			C: Subject: x
			C:
			C: .
			S: 250 2\.6\.0 .*
			C: MAIL FROM:<a@stranger.example>
			S: 452 4\.3\.1 Insufficient system resources \(memory\)` + quit)
		after(t, start, 10*time.Second)
		if len(b.queue.all()) != 1 {
			t.Errorf("%d messages were taken", len(b.queue.all()))
		}
	})
}

// TestPressureDelayEnds: whoever hangs up while held back, and the end of the
// server, end the wait.
func TestPressureDelayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newPressed(t, tooLong, backpressure.Verdict{}, nil)
		c := b.dialog(greet + "\nC: MAIL FROM:<a@stranger.example>")
		time.Sleep(3 * time.Second)
		c.conn.Close()
		synctest.Wait()
		if n := b.gauge("receive_sessions"); n != 0 {
			t.Errorf("%d sessions are left of a client that is gone", n)
		}
		b.dialog(greet + "\nC: MAIL FROM:<a@stranger.example>")
		time.Sleep(3 * time.Second)
		start := time.Now()
		if err := b.server.Close(); err != nil {
			t.Fatal(err)
		}
		after(t, start, 0)
	})
}
