package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/backpressure"
	"postern/config"
	"postern/logs"
)

// pressed is a gateway whose resources have dials.
type pressed struct {
	*Server
	t                *testing.T
	outside, inside  int // ports: of strangers, and of hosts that may relay
	hubPort          int
	pickup           string
	values           map[backpressure.Name]*atomic.Int64
	reads            atomic.Int64
	mu               sync.Mutex
	lines            strings.Builder
	events           *eventLog
	text, configured string
}

type eventLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *eventLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *eventLog) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

const pressedEdge = `[[receive_connector]]
name = "Inside"
bindings = ["127.0.0.1:%d"]
permission_groups = ["anonymous"]
grant = ["accept_any_recipient"]
message_rate_limit = "unlimited"
protocol_logging = "verbose"
[pickup]
pickup_directory_path = %q
[back_pressure]
interval = "100ms"
memory.history_depth = 2
submission_queue.history_depth = 2
submission_queue.medium = 10
submission_queue.high = 20
`

func newPressed(t *testing.T) *pressed {
	t.Helper()
	dir := t.TempDir()
	p := &pressed{t: t, outside: freePort(t), inside: freePort(t), hubPort: freePort(t), pickup: filepath.Join(dir, "pickup"),
		values: make(map[backpressure.Name]*atomic.Int64), events: &eventLog{}}
	p.text = fmt.Sprintf(edge, filepath.Join(dir, "data"), p.outside, "protocol_logging = \"verbose\"\nmessage_rate_limit = \"unlimited\"\n", p.hubPort)
	meters := make(map[backpressure.Name]backpressure.Meter)
	for name, limit := range map[backpressure.Name]int64{backpressure.Disk: 100 << 30, backpressure.Memory: 1 << 30, backpressure.SubmissionQueue: 0} {
		v := new(atomic.Int64)
		p.values[name] = v
		meters[name] = func() (backpressure.Reading, error) {
			p.reads.Add(1)
			return backpressure.Reading{Used: v.Load(), Limit: limit}, nil
		}
	}
	p.configured = p.text + fmt.Sprintf(pressedEdge, p.inside, p.pickup)
	p.Server = start(t, Options{
		Config: parse(t, p.configured), Meters: meters, Logger: slog.New(slog.NewTextHandler(p.events, nil)),
		Load: func() (*config.Config, []config.Finding, error) {
			return config.Parse("test.toml", []byte(p.configured))
		},
		Line: func(_ logs.Kind, l logs.Line) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.lines.WriteString(l.Data + " | " + l.Context + "\n")
		},
	})
	t.Cleanup(func() { stop(t, p.Server) })
	return p
}

func (p *pressed) logged(s string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.lines.String(), s)
}

func (p *pressed) await(what string, met func() bool) {
	p.t.Helper()
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if met() {
			return
		}
	}
	p.t.Fatalf("waited in vain for %s", what)
}

// set turns a dial, and waits until the level is known and everything has been
// done that follows from it: until the round after that.
func (p *pressed) set(name backpressure.Name, value int64, level backpressure.Level) {
	p.t.Helper()
	p.values[name].Store(value)
	p.await("the level "+level.String(), func() bool { return p.Pressure().Level == level })
	n := p.reads.Load()
	p.await("the next round", func() bool { return p.reads.Load() > n })
}

// refused insists on 452 4.3.1 at MAIL.
func (p *pressed) refused(port int) {
	p.t.Helper()
	var e *smtp.SMTPError
	if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); !errors.As(err, &e) || e.Code != 452 || e.EnhancedCode != (smtp.EnhancedCode{4, 3, 1}) || e.Message != "Insufficient system resources" {
		p.t.Errorf("want 452 4.3.1 Insufficient system resources, got %v", err)
	}
}

func (p *pressed) taken(port int) {
	p.t.Helper()
	if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); err != nil {
		p.t.Errorf("not taken: %v", err)
	}
}

func (p *pressed) drop(name string) {
	p.t.Helper()
	file := filepath.Join(p.pickup, name)
	if err := os.WriteFile(file+".tmp", []byte("To: kim@contoso.example\r\nFrom: bob@contoso.example\r\nSubject: picked up\r\n\r\nx\r\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(file+".tmp", file+".eml"); err != nil {
		p.t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute) // at rest
	if err := os.Chtimes(file+".eml", old, old); err != nil {
		p.t.Fatal(err)
	}
}

// TestPressureThrough raises a resource to medium and high and lets it fall
// again: who is refused, what goes on, and that it comes back by itself.
func TestPressureThrough(t *testing.T) {
	for name, steps := range map[backpressure.Name][3]int64{
		backpressure.Disk:   {100<<30 - 900<<20, 100<<30 - 100<<20, 50 << 30},
		backpressure.Memory: {1 << 30 / 100 * 73, 1 << 30 / 100 * 80, 1 << 30 / 2},
	} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			p := newPressed(t)
			// Its next hop is not there yet; it will be refused when all is high.
			if err := submit(p.inside, "ann@contoso.example", "nobody@contoso.example", text); err != nil {
				t.Fatal(err)
			}
			p.set(name, steps[0], backpressure.Medium)
			p.refused(p.outside)
			p.taken(p.inside)
			p.drop("one")
			p.set(name, steps[1], backpressure.High)
			p.refused(p.outside)
			p.refused(p.inside)
			hub := newSink(t, fmt.Sprintf("127.0.0.1:%d", p.hubPort))
			if got := hub.next(t) + hub.next(t); !strings.Contains(got, "<bob@fabrikam.example> <kim@contoso.example>") || !strings.Contains(got, "multipart/report") {
				t.Errorf("at high the queued message and a notification should leave; what came is\n%s", got)
			}
			if _, _, _, err := p.Reload(t.Context(), "test"); err != nil { // the directory is looked at now
				t.Fatal(err)
			}
			for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if _, err := os.Stat(filepath.Join(p.pickup, "one.eml")); err != nil {
					t.Fatalf("the file in Pickup did not wait: %v", err)
				}
			}
			p.set(name, steps[2], backpressure.Normal)
			p.taken(p.outside)
			p.taken(p.inside)
			if got := hub.next(t) + hub.next(t) + hub.next(t); strings.Count(got, "Subject: picked up") != 1 {
				t.Errorf("the file in Pickup was not taken:\n%s", got)
			}
			if limit := "limit back_pressure." + string(name); !p.logged(limit) {
				t.Errorf("no refusal names %q in the protocol log", limit)
			}
			for _, id := range []string{"event_id=15004", "event_id=15005", map[backpressure.Name]string{backpressure.Disk: "event_id=15006", backpressure.Memory: "event_id=15007"}[name]} {
				if !p.events.has(id) {
					t.Errorf("no %s in the event log", id)
				}
			}
			if s := p.Pressure(); s.Refused != 3 || len(s.SwitchedOff) != 0 {
				t.Errorf("the status is %+v", s)
			}
		})
	}
}

// TestQueuePressure: strangers wait for the reply to MAIL, hosts of ours do not;
// at high both are refused. A reload switches it off.
func TestQueuePressure(t *testing.T) {
	t.Parallel()
	p := newPressed(t)
	hub := newSink(t, fmt.Sprintf("127.0.0.1:%d", p.hubPort))
	p.set(backpressure.SubmissionQueue, 10, backpressure.Medium)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.outside))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "HELO client.example\r\nMAIL FROM:<bob@fabrikam.example>\r\n")
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "250 ") {
		t.Fatal(line, err)
	}
	p.await("the line of the protocol log", func() bool {
		return p.logged("Tarpit for '0.00:00:10' due to 'Back Pressure' | 250 2.1.0 Sender OK")
	})
	if !p.logged("10 messages, medium from 10 | limit back_pressure.submission_queue") {
		t.Error("the protocol log does not name the resource")
	}
	p.taken(p.inside)
	hub.next(t)
	p.set(backpressure.SubmissionQueue, 20, backpressure.High)
	p.refused(p.outside)
	p.refused(p.inside)
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if line, err := r.ReadString('\n'); err == nil {
		t.Errorf("the stranger was answered at once: %s", line)
	}
	p.configured = strings.Replace(p.configured, "[back_pressure]\n", "[back_pressure]\nenabled = false\n", 1)
	if _, _, _, err := p.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	p.await("the level normal", func() bool { return p.Pressure().Level == backpressure.Normal })
	p.taken(p.outside)
	hub.next(t)
}

// TestMeters: a running gateway measures everything that can be measured here.
func TestMeters(t *testing.T) {
	t.Parallel()
	hub, port := newSink(t, "127.0.0.1:0"), freePort(t)
	s := start(t, Options{Config: parse(t, fmt.Sprintf(edge, t.TempDir(), port, "", hub.port)+"[back_pressure]\ninterval = \"100ms\"\n")})
	defer stop(t, s)
	for range 20 {
		if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); err != nil {
			t.Fatal(err)
		}
		hub.next(t)
	}
	used := map[backpressure.Name]bool{backpressure.Disk: true, backpressure.Inodes: true, backpressure.Memory: true, backpressure.FileDescriptors: true, backpressure.SyncLatency: true}
	var wrong string
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		st := s.Pressure()
		wrong = ""
		if len(st.Resources) != 8 { // the logs lie on the spool's volume
			wrong = fmt.Sprintf("%d resources", len(st.Resources))
		}
		for _, r := range st.Resources {
			if r.State != backpressure.StateWatched || r.Level != backpressure.Normal || r.ValueText == "" || (r.Used > 0) != used[r.Name] {
				wrong = fmt.Sprintf("%+v", r)
			}
		}
		if wrong == "" {
			return
		}
	}
	t.Error(wrong)
}

// TestMemoryPressureSlowsDeliveries: half of those that run go on; all may when
// it is over.
func TestMemoryPressureSlowsDeliveries(t *testing.T) {
	t.Parallel()
	p := newPressed(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.hubPort))
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	var begun atomic.Int64
	hub := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &gatedSession{&begun, gate}, nil }))
	served := make(chan error, 1)
	go func() { served <- hub.Serve(l) }()
	t.Cleanup(func() {
		hub.Close()
		<-served
	})
	release := func(n int) {
		for range n {
			gate <- struct{}{}
		}
	}
	inFlight := func(n int) func() bool { return func() bool { return p.Queue().Stats().InFlight == n } }
	for range 40 {
		p.taken(p.inside)
	}
	p.await("as many deliveries as a next hop begins with", func() bool { return begun.Load() == 5 })
	p.set(backpressure.Memory, 1<<30/1000*735, backpressure.Medium)
	release(5)
	p.await("half of them", func() bool { return begun.Load() == 7 && inFlight(2)() })
	release(2)
	p.await("two more", func() bool { return begun.Load() == 9 && inFlight(2)() })
	p.set(backpressure.Memory, 1<<30/100*90, backpressure.High)
	release(2)
	p.await("half of those", func() bool { return begun.Load() == 10 && inFlight(1)() })
	p.set(backpressure.Memory, 0, backpressure.Normal)
	p.await("more", func() bool { return begun.Load() >= 15 })
	close(gate)
	p.await("all to leave", func() bool { n, _ := p.Queue().Lengths(); return n == 0 })
}

// gatedSession takes a message when the gate lets it.
type gatedSession struct {
	begun *atomic.Int64
	gate  chan struct{}
}

func (s *gatedSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *gatedSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *gatedSession) Reset()                               {}
func (s *gatedSession) Logout() error                        { return nil }
func (s *gatedSession) Data(r io.Reader) error {
	s.begun.Add(1)
	<-s.gate
	_, err := io.Copy(io.Discard, r)
	return err
}
