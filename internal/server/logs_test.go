package server

import (
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
	"postern/queue"
)

// logText is all that stands in the files of a log's directory.
func logText(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	return text.String()
}

// finishes counts the messages that have left the queue.
func finishes() (func(queue.Event), func(t *testing.T) message.ID) {
	done := make(chan message.ID, 100)
	return func(e queue.Event) {
			if e.Kind == queue.Finished {
				done <- e.ID
			}
		}, func(t *testing.T) message.ID {
			t.Helper()
			select {
			case id := <-done:
				return id
			case <-time.After(wait):
				t.Fatal("no message left the queue")
				return 0
			}
		}
}

// TestTrackingThrough follows a message from the client's session to the next
// hop's by its tracking lines: who is refused gets a line and a notification.
func TestTrackingThrough(t *testing.T) {
	hub, port, dir := newSink(t, "127.0.0.1:0"), freePort(t), t.TempDir()
	onEvent, finished := finishes()
	cfg := parse(t, fmt.Sprintf(edge, dir, port, `protocol_logging = "verbose"`, hub.port)+"[dns]\nservers = [\"127.0.0.1:1\"]\n")
	cfg.SendConnectors[0].ProtocolLogging = "verbose"
	s := start(t, Options{Config: cfg, OnEvent: onEvent})
	ids := map[string]string{}
	for _, to := range []string{"kim@contoso.example", "nobody@contoso.example"} {
		if err := submit(port, "", to, text); err != nil { // of the null path nobody is told
			t.Fatal(err)
		}
		ids[to] = finished(t).String()
	}
	stop(t, s)
	lines := trackingLines(t, filepath.Join(dir, "logs", "MessageTracking"))
	var events []string
	received, sent := logText(t, filepath.Join(dir, "logs", "ProtocolLog", "SmtpReceive")), logText(t, filepath.Join(dir, "logs", "ProtocolLog", "SmtpSend"))
	for _, l := range lines {
		events = append(events, l.Source+" "+l.Event)
		if l.InternalID != ids[l.Recipients[0]] || l.Custom.Get("generation") == "" {
			t.Errorf("%+v", l)
		}
		session := l.Custom.Get("session")
		switch l.Event {
		case logs.TrackReceive:
			if !strings.HasPrefix(l.SourceContext, session+";") || !strings.Contains(received, ","+session+",") || l.Custom.Get("connector") != "Hub" || l.Custom.Get("reason") == "" {
				t.Errorf("%+v", l)
			}
		case logs.TrackSend, logs.TrackFail:
			if l.SourceContext != session || !strings.Contains(sent, ","+session+",") || !strings.Contains(received, ","+l.Custom.Get("receive_session")+",") ||
				l.Custom.Get("latency") == "" || l.ServerIP != "127.0.0.1" {
				t.Errorf("%+v", l)
			}
		}
	}
	if got := logText(t, filepath.Join(dir, "logs", "Connectivity")); !strings.Contains(got, ":"+fmt.Sprint(hub.port)+",+,SmartHostConnectorDelivery Hub;QueueLength=TQ=1;\n") ||
		!strings.Contains(got, "Established connection to 127.0.0.1\n") || !strings.Contains(got, ",-,Messages: 1 Bytes: ") {
		t.Errorf("the connectivity log:\n%s", got)
	}
	if got, want := strings.Join(events, ", "), "SMTP RECEIVE, SMTP SEND, SMTP RECEIVE, SMTP FAIL, DSN SUPPRESSED"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestReloadMovesLogs: every log goes on in its new directory and format, for a
// session under way, too, and nothing is lost or told twice.
func TestReloadMovesLogs(t *testing.T) {
	hub, port, dir := newSink(t, "127.0.0.1:0"), freePort(t), t.TempDir()
	onEvent, finished := finishes()
	original := fmt.Sprintf(edge, dir, port, `protocol_logging = "verbose"`, hub.port)
	file := original
	s := start(t, Options{
		Config: parse(t, file), OnEvent: onEvent,
		Load: func() (*config.Config, []config.Finding, error) { return config.Parse("test.toml", []byte(file)) },
	})
	c, err := textproto.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(line string, code int) {
		t.Helper()
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.ReadResponse(code); err != nil {
			t.Fatal(err)
		}
	}
	say("", 220)
	say("EHLO client.example", 250)
	if err := submit(port, "bob@fabrikam.example", "kim@contoso.example", text); err != nil {
		t.Fatal(err)
	}
	finished(t)
	other := filepath.Join(dir, "other")
	file = original + fmt.Sprintf("[logs]\ndirectory = %q\nformat = \"json\"\n[logs.message_tracking]\ndirectory = %q\nformat = \"csv\"\n", other, filepath.Join(dir, "tracked"))
	if _, findings, _, err := s.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err, findings)
	}
	say("NOOP", 250)
	if err := submit(port, "bob@fabrikam.example", "lee@contoso.example", text); err != nil {
		t.Fatal(err)
	}
	finished(t)
	say("QUIT", 221)
	stop(t, s)

	before := logText(t, filepath.Join(dir, "logs", "ProtocolLog", "SmtpReceive"))
	after := logText(t, filepath.Join(other, "ProtocolLog", "SmtpReceive"))
	next := map[string]int{}
	for line := range strings.Lines(before + after) {
		l, err := logs.ParseLine(line)
		if err == logs.ErrComment {
			continue
		}
		if err != nil || l.Sequence != next[l.Session] {
			t.Fatalf("%s: %v, want number %d", line, err, next[l.Session])
		}
		next[l.Session]++
	}
	if len(next) != 3 || !strings.Contains(before, "EHLO client.example") || !strings.Contains(after, `"data":"NOOP"`) {
		t.Errorf("%d sessions:\n%s\n%s", len(next), before, after)
	}
	for dir, want := range map[string]string{filepath.Join(dir, "logs", "MessageTracking"): "kim", filepath.Join(dir, "tracked"): "lee"} {
		lines := trackingLines(t, dir)
		if len(lines) != 2 || lines[0].Recipients[0] != want+"@contoso.example" || lines[1].Event != logs.TrackSend {
			t.Errorf("%s: %+v", dir, lines)
		}
	}
}
