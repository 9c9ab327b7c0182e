package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
	"postern/queue"
	"postern/queue/spool"
)

// wait bounds what a test waits for; nothing takes a fraction of it.
const wait = 20 * time.Second

// sink is a next hop that keeps what it receives.
type sink struct {
	port     int
	arrived  chan string // "sender recipient content"
	listener net.Listener
	server   *smtp.Server
	served   chan error
}

func newSink(t *testing.T, address string) *sink {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{port: l.Addr().(*net.TCPAddr).Port, arrived: make(chan string, 100), listener: l, served: make(chan error, 1)}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	s.server.Domain = "hub.contoso.example"
	go func() { s.served <- s.server.Serve(l) }()
	t.Cleanup(func() {
		s.server.Close()
		<-s.served
	})
	return s
}

type sinkSession struct {
	sink *sink
	from string
	to   []string
}

func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err == nil {
		s.sink.arrived <- fmt.Sprintf("<%s> <%s>\n%s", s.from, strings.Join(s.to, ">,<"), text)
	}
	return err
}

func (s *sinkSession) Reset()        { s.from, s.to = "", nil }
func (s *sinkSession) Logout() error { return nil }

func (s *sink) next(t *testing.T) string {
	t.Helper()
	select {
	case m := <-s.arrived:
		return m
	case <-time.After(wait):
		t.Fatal("no message arrived")
		return ""
	}
}

// freePort finds a port of 127.0.0.1 on which nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

const edge = `[server]
fqdn = "edge.contoso.example"
data_dir = %q
[[accepted_domain]]
domain = "contoso.example"
[[receive_connector]]
name = "From Internet"
tarpit_interval = "0s"
bindings = ["127.0.0.1:%d"]
permission_groups = ["anonymous"]
%s
[[send_connector]]
name = "Hub"
address_spaces = ["--"]
smart_hosts = ["127.0.0.1:%d"]
tls = "opportunistic"
[queue]
retry = ["1s"]
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, findings, err := config.Parse("test.toml", []byte(text))
	if err != nil || config.HasErrors(findings) {
		t.Fatal(err, findings)
	}
	return cfg
}

// start builds and starts a gateway that ends with the test.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Build(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error("stop:", err)
	}
}

func submit(port int, from, to, text string) error {
	c, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SendMail(from, []string{to}, strings.NewReader(text)); err != nil {
		return err
	}
	return c.Quit()
}

const text = "Subject: hello\r\nDate: Sat, 21 Nov 2026 22:00:00 +0000\r\nMessage-ID: <1@fabrikam.example>\r\n\r\n.dot\r\nend\r\n"

// TestThrough sends a message all the way, and finds it in both logs under one
// queue id.
func TestThrough(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("dialog", func(t *testing.T) {
		hub, port := newSink(t, "127.0.0.1:0"), freePort(t)
		lines := make(chan string, 1000)
		finished := make(chan message.ID, 1)
		s := start(t, Options{
			Config: parse(t, fmt.Sprintf(edge, t.TempDir(), port, `protocol_logging = "verbose"`, hub.port)),
			Line:   func(d logs.Kind, l logs.Line) { lines <- d.String() + " " + l.Data },
			OnEvent: func(e queue.Event) {
				if e.Kind == queue.Finished {
					finished <- e.ID
				}
			},
		})
		defer stop(t, s)
		if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); err != nil {
			t.Fatal(err)
		}
		got := hub.next(t)
		id := (<-finished).String()
		head, rest, ok := strings.Cut(got, "Subject: hello")
		if !ok || rest != strings.TrimPrefix(text, "Subject: hello") {
			t.Errorf("the message was changed:\n%s", got)
		}
		if !strings.HasPrefix(head, "<bob@fabrikam.example> <kim@contoso.example>\nReceived: from ") || !strings.Contains(head, id) {
			t.Errorf("trace field without the queue id %s:\n%s", id, head)
		}
		var log strings.Builder
		for len(lines) > 0 {
			log.WriteString(<-lines + "\n")
		}
		for _, want := range []string{"receive MAIL FROM:<bob@fabrikam.example>", "receive " + id + ";"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %q:\n%s", want, log.String())
			}
		}
	})
}

// TestStopAndStart queues for a next hop that is not there, ends, starts again,
// and delivers once the next hop is up.
func TestStopAndStart(t *testing.T) {
	port, hubPort, dir := freePort(t), freePort(t), t.TempDir()
	cfg := parse(t, fmt.Sprintf(edge, dir, port, "", hubPort))
	s := start(t, Options{Config: cfg})
	if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	hub := newSink(t, fmt.Sprintf("127.0.0.1:%d", hubPort))
	s = start(t, Options{Config: cfg})
	defer stop(t, s)
	if got := hub.next(t); !strings.HasSuffix(got, "\r\n\r\n.dot\r\nend\r\n") {
		t.Errorf("arrived:\n%s", got)
	}
}

// TestReload changes the rights of a connector under an open session, which
// keeps those it began with, and refuses a file with errors.
func TestReload(t *testing.T) {
	hub, port, dir := newSink(t, "127.0.0.1:0"), freePort(t), t.TempDir()
	file := fmt.Sprintf(edge, dir, port, "", hub.port)
	s := start(t, Options{
		Config: parse(t, file),
		Load:   func() (*config.Config, []config.Finding, error) { return config.Parse("test.toml", []byte(file)) },
	})
	defer stop(t, s)
	open, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := open.Hello("client.example"); err != nil {
		t.Fatal(err)
	}

	file = fmt.Sprintf(edge, dir, port, `deny = ["submit"]`, hub.port)
	changes, _, _, err := s.Reload(t.Context(), "test")
	if err != nil || len(changes) != 1 || changes[0].Path != `receive_connector["From Internet"].deny` {
		t.Fatalf("changes %v, error %v", changes, err)
	}
	if err := open.SendMail("bob@fabrikam.example", []string{"kim@contoso.example"}, strings.NewReader(text)); err != nil {
		t.Error("the open session lost its rights:", err)
	}
	var refused *smtp.SMTPError
	if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); !errors.As(err, &refused) || refused.Code != 530 {
		t.Errorf("a new session still may submit: %v", err)
	}

	file = `[[receive_connector]]` + "\nname = 5\n"
	_, findings, _, err := s.Reload(t.Context(), "test")
	if !errors.Is(err, ErrInvalid) || !config.HasErrors(findings) {
		t.Errorf("a file with errors: %v, findings %v", err, findings)
	}
	if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); !errors.As(err, &refused) || refused.Code != 530 {
		t.Errorf("the running configuration did not stay in force: %v", err)
	}
}

// TestReloadRemembersWhatNeedsARestart: a key that holds only after a restart
// is named at every reload until its value is the one that is in force.
func TestReloadRemembersWhatNeedsARestart(t *testing.T) {
	hub, port := newSink(t, "127.0.0.1:0"), freePort(t)
	dir := t.TempDir()
	original := fmt.Sprintf(edge, dir, port, "", hub.port)
	file := original
	s := start(t, Options{
		Config: parse(t, file),
		Load:   func() (*config.Config, []config.Finding, error) { return config.Parse("test.toml", []byte(file)) },
	})
	defer stop(t, s)
	later := fmt.Sprintf(`{control.socket %q "other.sock" true}`, filepath.Join(dir, "control.sock"))
	for _, step := range []struct{ add, want string }{
		{"[control]\nsocket = \"other.sock\"\n", "[" + later + "]"},
		{"[control]\nsocket = \"other.sock\"\n[routing]\nrestrictions = \"enforce\"\n", `[{routing.restrictions "filter" "enforce" false} ` + later + "]"},
		{"[routing]\nrestrictions = \"enforce\"\n", "[]"},
	} {
		file = original + step.add
		changes, _, _, err := s.Reload(t.Context(), "test")
		if got := fmt.Sprint(changes); err != nil || got != step.want {
			t.Errorf("with %q: changes %s, want %s; error %v", step.add, got, step.want, err)
		}
	}
}

// TestStopWithoutTimeLeft cuts an open session off, and its log is whole all the
// same.
func TestStopWithoutTimeLeft(t *testing.T) {
	hub, port, dir := newSink(t, "127.0.0.1:0"), freePort(t), t.TempDir()
	s := start(t, Options{Config: parse(t, fmt.Sprintf(edge, dir, port, `protocol_logging = "verbose"`, hub.port))})
	open, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := open.Hello("client.example"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Stop(ctx); err != nil && strings.Contains(err.Error(), "log") {
		t.Error("stop:", err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "logs", "ProtocolLog", "SmtpReceive", "*.log"))
	if len(files) != 1 {
		t.Fatalf("log files %v", files)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if last := strings.Split(strings.TrimSpace(string(text)), "\n"); !strings.HasSuffix(last[len(last)-1], ",-,,Local") {
		t.Errorf("the log does not end with the end of the session:\n%s", text)
	}
}

// TestBuildCleansUp: a second gateway on the same spool gets a clear error and
// leaves nothing behind, and the first is not disturbed.
func TestBuildCleansUp(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("second", func(t *testing.T) {
		hub, port := newSink(t, "127.0.0.1:0"), freePort(t)
		cfg := parse(t, fmt.Sprintf(edge, t.TempDir(), port, "", hub.port))
		s := start(t, Options{Config: cfg})
		defer stop(t, s)
		if _, err := Build(Options{Config: cfg}); !errors.Is(err, spool.ErrLocked) {
			t.Errorf("error %v, want ErrLocked", err)
		}
		if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); err != nil {
			t.Error(err)
		}
		hub.next(t)
	})
}

// TestEventLog: mail that is late, refused or without a way to its recipient
// is told of, with the reason, and the sender of what was refused too.
func TestEventLog(t *testing.T) {
	hub, port := newSink(t, "127.0.0.1:0"), freePort(t)
	told := make(chan string, 100)
	text := fmt.Sprintf(edge, t.TempDir(), port, `grant = ["accept_any_recipient"]`, hub.port) + fmt.Sprintf(`
[[send_connector]]
name = "Down"
address_spaces = ["down.example"]
smart_hosts = ["127.0.0.1:%d"]
`, freePort(t))
	s := start(t, Options{Config: parse(t, text), Logger: slog.New(slog.NewTextHandler(lineWriter(told), nil))})
	defer stop(t, s)
	for to, want := range map[string][]string{
		"kim@down.example":       {`"message deferred"`, "to=kim@down.example", "connector=Down", "4.4.1", "tries=1", "next_try="},
		"kim@nowhere.example":    {`"message waits in the Unreachable queue"`, "to=kim@nowhere.example", "4.4.4"},
		"nobody@contoso.example": {`"message refused"`, "to=nobody@contoso.example", "550 5.1.1 User unknown", `host=[127.0.0.1]`},
	} {
		if err := submit(port, "bob@contoso.example", to, text); err != nil {
			t.Fatal(err)
		}
		line := ""
		for !strings.Contains(line, want[0]) {
			select {
			case line = <-told:
			case <-time.After(wait):
				t.Fatalf("%s: nothing with %s was told", to, want[0])
			}
		}
		for _, w := range want {
			if !strings.Contains(line, w) {
				t.Errorf("%s: no %s in %s", to, w, line)
			}
		}
	}
}

// lineWriter passes on what is written to it.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}
