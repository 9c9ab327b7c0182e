//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// told is a story as "logs trace --output json" has it.
type told struct {
	ID            string `json:"id"`
	MessageID     string `json:"message_id"`
	Sender        string
	ReportOf      string `json:"report_of"`
	Pending       bool
	Untracked     bool
	Arrival       *struct{ Connector, Session, Client, HELO, Reply string }
	Routes        []struct{ Connector, Reason, Generation string }
	Recipients    []struct{ Address, End, Reply string }
	Steps         []toldStep
	Notifications []told
	Sessions      []struct {
		ID, Direction string
		Lines         []any
	}
}

type toldStep struct {
	Kind, Connector, Host, Address, Session, By, Related, Notification, Due string
	At                                                                      time.Time
	Replies, Recipients                                                     []string
}

// story asks for the one story of a name.
func (e *edge) story(t testing.TB, name string, args ...string) told {
	t.Helper()
	code, stdout, stderr := e.postern(t, append([]string{"logs", "trace", name, "--output", "json"}, args...)...)
	var all struct{ Messages []told }
	if err := json.Unmarshal([]byte(stdout), &all); code != 0 || err != nil || len(all.Messages) != 1 {
		t.Fatalf("trace %s: exit code %d, %v\n%s%s", name, code, err, stdout, stderr)
	}
	return all.Messages[0]
}

// kinds are the kinds of the steps, in order, each once in a row.
func (s *told) kinds() string {
	var list []string
	for _, step := range s.Steps {
		if n := len(list); n == 0 || list[n-1] != step.Kind {
			list = append(list, step.Kind)
		}
	}
	return strings.Join(list, " ")
}

func (s *told) step(kind string) toldStep {
	for _, step := range s.Steps {
		if step.Kind == kind {
			return step
		}
	}
	return toldStep{}
}

// ended waits until the story of a message is over.
func (e *edge) ended(t testing.TB, name string) (s told) {
	t.Helper()
	until(t, "the end of "+name, func() bool {
		code, stdout, _ := e.postern(t, "logs", "trace", name, "--output", "json")
		var all struct{ Messages []told }
		if code != 0 || json.Unmarshal([]byte(stdout), &all) != nil || len(all.Messages) != 1 {
			return false // not in the log yet
		}
		s = all.Messages[0]
		for _, n := range s.Notifications {
			if n.Pending {
				return false
			}
		}
		return !s.Pending
	})
	return s
}

// tracedEdge logs everything in one of the formats.
func tracedEdge(t *testing.T, format, queue string) *edge {
	t.Helper()
	e := newEdge(t)
	e.top = fmt.Sprintf("[queue]\nretry = [\"1s\"]\n%s\n[logs]\nformat = %q\n", queue, format)
	e.receive += verbose
	return e
}

const verbose = "\nprotocol_logging = \"verbose\"\n"

// The log tells of each message what became of it: delivered at the second try,
// taken over by another connector, sent elsewhere by an order, removed, refused.
func TestTraceTellsTheStory(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"csv", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int32
			hop := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
				switch {
				case strings.HasPrefix(line, "RCPT TO:<later@") && tries.Add(1) == 1:
					return "451 4.7.1 Greylisted, \x1b[31mcome back later"
				case strings.HasPrefix(line, "RCPT TO:<never@"):
					return "550 5.1.1 no such user here"
				}
				return ""
			}})
			inside := newSink(t, sinkOptions{})
			e := tracedEdge(t, format, "")
			e.route("out", "*", hop.addr, verbose)
			e.route("inside", "contoso.example", inside.addr, verbose)
			e.route("Main", "falls.example", freeAddr(t), "fallback = \"Backup\"\nfallback_failures = 1\nfallback_after = \"1h\""+verbose)
			e.send += fmt.Sprintf("\n[[send_connector]]\nname = \"Backup\"\nsmart_hosts = [%q]\n%s", hop.addr, verbose)
			e.route("down", "down.example", freeAddr(t), verbose)
			g := e.serve(t)
			c := dial(t, e.addr)
			for _, to := range []string{"later@y.example", "bob@falls.example", "moved@down.example", "removed@down.example", "never@y.example"} {
				c.deliver(t, "kim@contoso.example", to, letter(strings.ReplaceAll(to, "@", ".")))
			}
			id := e.awaitMessage(t, "--recipient", "moved@down.example").ID
			e.wants(t, 0, "", "queue", "redirect", "--to", hop.addr, id, "--yes")
			removed := e.awaitMessage(t, "--recipient", "removed@down.example").ID
			e.wants(t, 0, "", "queue", "remove", "--with-ndr", removed, "--yes")

			s := e.ended(t, "later.y.example@client.example")
			until(t, "the sessions in the log", func() bool { // each log is written on its own
				s = e.story(t, "later.y.example@client.example")
				return len(s.Sessions) > 1
			})
			if s.kinds() != "received deferred delivered" || len(s.Routes) != 1 || s.Routes[0].Connector != "out" || s.Routes[0].Generation == "" || s.Sender != "kim@contoso.example" {
				t.Errorf("deferred: %s, %+v", s.kinds(), s)
			}
			if d := s.step("deferred"); d.Due == "" || d.Session == "" || len(d.Replies) != 1 || d.Replies[0] != `451 4.7.1 Greylisted, \x1B[31mcome back later` {
				t.Errorf("the deferral is %+v", d)
			}
			if a := s.Arrival; a == nil || a.Connector != "In" || a.Session == "" || a.Client != "127.0.0.1" || !strings.HasPrefix(a.Reply, "250 2.6.0") {
				t.Errorf("the arrival is %+v", a)
			}
			if n := len(s.Sessions); n < 2 || s.Sessions[0].Direction != "receive" || len(s.Sessions[0].Lines) != 0 {
				t.Errorf("%d sessions: %+v", n, s.Sessions)
			}

			if s = e.ended(t, "bob.falls.example@client.example"); !strings.HasPrefix(s.kinds(), "received ") || !strings.HasSuffix(s.kinds(), "fallback delivered") || s.step("fallback").Related != "Backup" || s.step("delivered").Connector != "Backup" {
				t.Errorf("fallen back: %s %+v", s.kinds(), s.Steps)
			}
			if s = e.ended(t, id); !strings.HasSuffix(s.kinds(), "redirected delivered") || s.step("redirected").By == "" || !strings.Contains(s.step("redirected").Related, port(t, hop.addr)) {
				t.Errorf("redirected: %s %+v", s.kinds(), s.Steps)
			}
			s = e.ended(t, removed)
			if !strings.Contains(s.kinds(), "removed") || s.step("removed").By == "" || len(s.Notifications) != 1 || s.Notifications[0].ReportOf != removed ||
				len(s.Recipients) != 1 || s.Recipients[0].End != "removed" || s.Notifications[0].Recipients[0].End != "delivered" || s.step("notified").Notification != s.Notifications[0].ID {
				t.Errorf("removed: %s %+v", s.kinds(), s)
			}
			s = e.ended(t, "<never.y.example@client.example>")
			if s.kinds() != "received failed notified" || s.Recipients[0].Reply != "550 5.1.1 no such user here" || len(s.Notifications) != 1 {
				t.Errorf("refused: %s %+v", s.kinds(), s)
			}

			// As people read it: nothing of a peer's reaches the terminal, and no
			// colours go where none is.
			_, stdout, _ := e.postern(t, "logs", "trace", "later.y.example@client.example", "--sessions")
			for _, want := range []string{"Message ", "deferred <later@y.example>", `\x1B[31mcome back later`, "delivered ", "<later@y.example>", "Session ", "RCPT TO:<later@y.example>"} {
				if !strings.Contains(stdout, want) {
					t.Errorf("no %q in\n%s", want, stdout)
				}
			}
			if strings.ContainsAny(stdout, "\x1b\x07") {
				t.Errorf("control characters in %q", stdout)
			}
			e.wants(t, 1, "no message with the id", "logs", "trace", "nobody@client.example")
			e.wants(t, 2, "--limit", "logs", "trace", "x", "--limit", "0")
			e.wants(t, 2, "is missing", "logs", "trace")
			e.statsAgree(t)
			g.stop(t)
		})
	}
}

// statsAgree holds that the statistics know what the five messages and two
// notifications were.
func (e *edge) statsAgree(t *testing.T) {
	t.Helper()
	code, stdout, stderr := e.postern(t, "logs", "stats", "--output", "json")
	var s struct {
		Receive struct{ Sessions, Messages int }
		Mail    struct {
			Received, Notifications int
			Delivered               int `json:"delivered_recipients"`
			Failed                  int `json:"failed_recipients"`
			Removed                 int `json:"removed_recipients"`
			Latency                 struct {
				Recipients int
				P99        float64
			}
		}
		Refusals struct{ Items []struct{ Reason string } } `json:"refusals_by_next_hops"`
		Senders  struct {
			Exact bool
			Items []struct {
				Address  string
				Messages int
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &s); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if s.Receive.Messages != 5 || s.Mail.Received != 7 || s.Mail.Notifications != 2 || s.Mail.Delivered != 5 || s.Mail.Failed != 1 || s.Mail.Removed != 1 || s.Mail.Latency.Recipients != 5 || s.Mail.Latency.P99 <= 0 {
		t.Errorf("the statistics are %+v of\n%s", s, stdout)
	}
	if !s.Senders.Exact || len(s.Senders.Items) != 2 || s.Senders.Items[0].Address != "kim@contoso.example" || s.Senders.Items[0].Messages != 5 || s.Senders.Items[1].Address != "<>" {
		t.Errorf("senders: %+v", s.Senders)
	}
	if !strings.Contains(stdout, "550 5.1.1 no such user here") {
		t.Errorf("no reason in %s", stdout)
	}
	for _, by := range []string{"connector", "hour", "domain", "peer"} {
		e.wants(t, 0, strings.ToUpper(by), "logs", "stats", "--by", by)
	}
	e.wants(t, 0, "kim@contoso.example", "logs", "stats", "--since", "1h")
	e.wants(t, 0, "Nothing was found.", "logs", "stats", "--until", "2020-01-01")
	e.wants(t, 2, "want connector, hour, domain or peer", "logs", "stats", "--by", "moon")
}

// A message that is too old ends, and its sender is told: one story.
func TestTraceOfExpiry(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"csv", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			inside := newSink(t, sinkOptions{})
			e := tracedEdge(t, format, "message_expiration = \"5s\"\ndelay_notification = \"1s\"")
			e.route("down", "*", freeAddr(t), verbose)
			e.route("inside", "contoso.example", inside.addr, verbose)
			g := e.serve(t)
			dial(t, e.addr).deliver(t, "kim@contoso.example", "bob@y.example", letter("old"))
			inside.await(t, 2)
			s := e.ended(t, "old@client.example")
			if len(s.Notifications) != 2 || !strings.HasPrefix(s.kinds(), "received ") || !strings.Contains(s.kinds(), "expired notified") || s.Recipients[0].End != "expired" {
				t.Errorf("%s: %+v", s.kinds(), s)
			}
			if n := s.Notifications[len(s.Notifications)-1]; n.ReportOf != s.ID || n.Recipients[0].Address != "kim@contoso.example" || n.Recipients[0].End != "delivered" {
				t.Errorf("the notification: %+v", n)
			}
			_, stdout, _ := e.postern(t, "logs", "trace", s.ID)
			for _, want := range []string{"delay notification", "failure notification", "expired", "QUEUE.Expired", "Notification " + s.Notifications[0].ID + ", about " + s.ID} {
				if !strings.Contains(stdout, want) {
					t.Errorf("no %q in\n%s", want, stdout)
				}
			}
			g.stop(t)
		})
	}
}

// A message in the queue is said to be there.
func TestTraceOfWhatWaits(t *testing.T) {
	t.Parallel()
	e := tracedEdge(t, "csv", "")
	e.route("down", "*", freeAddr(t), verbose)
	e.serve(t)
	dial(t, e.addr).deliver(t, "kim@contoso.example", "bob@y.example", letter("waits"))
	until(t, "the deferral", func() bool {
		_, stdout, _ := e.postern(t, "logs", "trace", "waits@client.example")
		return strings.Contains(stdout, "deferred")
	})
	s := e.story(t, "waits@client.example")
	e.wants(t, 0, "postern queue show "+s.ID, "logs", "trace", s.ID)
	// A text leads to both ids, and the event log knows when it all began.
	e.wants(t, 0, s.ID, "logs", "search", "WAITS@client", "--output", "json")
	e.wants(t, 0, s.Arrival.Session, "logs", "search", "bob@y.example", "--direction", "receive")
	e.wants(t, 1, "no line has that text", "logs", "search", "nothing like it")
	e.wants(t, 2, "TEXT is empty", "logs", "search", "")
	e.wants(t, 0, "gateway is running", "logs", "changes")
	e.wants(t, 0, `"kind": "routing"`, "logs", "changes", "--kind", "routing", "--output", "json")
	e.wants(t, 0, "Nothing was changed.", "logs", "changes", "--until", "2020-01-01")
	e.wants(t, 2, "want start, config", "logs", "changes", "--kind", "moon")
	if !s.Pending {
		t.Errorf("%+v", s)
	}
}
