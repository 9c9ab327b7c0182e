//go:build linux

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/message"
)

// must runs a command that must succeed.
func (e *edge) must(t testing.TB, args ...string) string {
	t.Helper()
	code, stdout, stderr := e.postern(t, args...)
	if code != 0 {
		t.Fatalf("postern %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// wants checks the exit code of a command and a part of what it prints.
func (e *edge) wants(t testing.TB, code int, part string, args ...string) {
	t.Helper()
	got, stdout, stderr := e.postern(t, args...)
	if got != code || !strings.Contains(stdout+stderr, part) {
		t.Errorf("postern %s: exit code %d, want %d with %q in\n%s%s", strings.Join(args, " "), got, code, part, stdout, stderr)
	}
}

// listed is a message as "queue messages" lists it.
type listed struct {
	ID, Status, Sender, Subject, Source string
	Queues                              []string
	FirstRecipient                      string `json:"first_recipient"`
}

func (e *edge) messages(t testing.TB, args ...string) []listed {
	t.Helper()
	var list struct{ Messages []listed }
	out := e.must(t, append([]string{"queue", "messages", "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return list.Messages
}

// awaitMessage waits until one message meets a filter, and returns it.
func (e *edge) awaitMessage(t testing.TB, args ...string) listed {
	t.Helper()
	var list []listed
	until(t, "a message with "+strings.Join(args, " "), func() bool {
		list = e.messages(t, args...)
		return len(list) == 1
	})
	return list[0]
}

// administered is a gateway with next hops of which one is down, one defers
// every recipient, and one takes everything but only once it is let.
func administered(t *testing.T) (e *edge, hop, grey, held *sink, release func()) {
	t.Helper()
	hop = newSink(t, sinkOptions{})
	hop.close()
	grey = newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if strings.HasPrefix(line, "RCPT") {
			return "451 4.7.1 Greylisted, \x1b[31mcome back later"
		}
		return ""
	}})
	gate := make(chan struct{})
	held = newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if line == "." {
			<-gate
		}
		return ""
	}})
	open := false
	release = func() {
		if !open {
			open = true
			close(gate)
		}
	}
	t.Cleanup(release)
	e = newEdge(t)
	e.route("Down", "down.example", hop.addr, "")
	e.route("Grey", "grey.example", grey.addr, "")
	e.route("Held", "held.example", held.addr, "")
	return e, hop, grey, held, release
}

// Why has this message not left? One command answers, in its first lines.
func TestQueueShow(t *testing.T) {
	t.Parallel()
	e, _, _, _, _ := administered(t)
	e.serve(t)
	c := dial(t, e.addr)
	for _, to := range []string{"b@down.example", "b@grey.example", "b@held.example", "b@nowhere.example"} {
		c.deliver(t, "kim@contoso.example", to, letter("waits"))
	}
	for _, tt := range []struct {
		domain, status string
		first          string // what the first line says
		answer         []string
	}{
		{"down.example", "retry", "no host of its next hop takes a connection", []string{"Unable to connect", "in queue      Down/", "postern queue retry 'Down/", "next try"}},
		{"grey.example", "retry", "the next hop asked to try again later", []string{"451 4.7.1 Greylisted, ?[31mcome back", "next try", "postern queue retry "}},
		{"held.example", "active", "it is being delivered just now to [127.0.0.1]:", []string{"in queue      Held/", "since "}},
		{"nowhere.example", "unreachable", "no Send connector takes it", []string{"matches nowhere.example", "postern explain route kim@contoso.example b@nowhere.example", "postern reload"}},
	} {
		m := e.awaitMessage(t, "--domain", tt.domain, "--status", tt.status)
		if m.Sender != "kim@contoso.example" || m.FirstRecipient != "b@"+tt.domain || m.Subject != "waits" || m.Source != "SMTP:In" {
			t.Errorf("%s: listed as %+v", tt.domain, m)
		}
		out := e.must(t, "queue", "show", strings.ToLower(m.ID))
		first, _, _ := strings.Cut(out, "\n")
		answer, _, _ := strings.Cut(out, "\nMessage ")
		if !strings.HasPrefix(first, m.ID+" waits: ") || !strings.Contains(strings.Join(strings.Fields(answer), " "), tt.first) || strings.Contains(out, "\x1b") {
			t.Errorf("%s: the answer is\n%q", tt.domain, out)
		}
		words := strings.Join(strings.Fields(answer), " ")
		for _, want := range tt.answer {
			if !strings.Contains(words, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: no %q in\n%s", tt.domain, want, out)
			}
		}
	}
	e.wants(t, 1, "not in the queue", "queue", "show", message.ID(12345).String())
	e.wants(t, 2, "13 characters", "queue", "show", "nonsense")
	for _, want := range []string{`Down/127\S+|Down/\[127\S+ +smart_host +retry +1 `, `Unreachable +unreachable +\w+ +1 `, `4 queues, 4 messages`, `connection refused`} {
		if out := e.must(t, "queue", "list"); !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("queue list lacks %s:\n%s", want, out)
		}
	}
	if out := e.must(t, "queue", "ages"); !regexp.MustCompile(`TOTAL +4 +4 +0`).MatchString(out) {
		t.Errorf("queue ages:\n%s", out)
	}
	e.wants(t, 0, "Listeners", "status", "--full")
	e.wants(t, 0, "edge.contoso.example: look at this", "status") // a message is unreachable
	e.wants(t, 1, "POSTERN WARNING - edge.contoso.example: 1 message has no Send connector", "status", "--check")
	until(t, "a message older than a second", func() bool {
		code, out, _ := e.postern(t, "status", "--check", "--max-age", "1s")
		return code > 0 && strings.Contains(out, "the oldest message in ")
	})
	var status struct {
		Server    struct{ FQDN, Version string }
		Listeners []struct{ Listening bool }
		Queues    struct{ Messages int }
		Spool     struct{ Messages int }
	}
	if err := json.Unmarshal([]byte(e.must(t, "status", "--output", "json")), &status); err != nil || status.Server.FQDN != "edge.contoso.example" ||
		len(status.Listeners) != 1 || !status.Listeners[0].Listening || status.Queues.Messages != 4 || status.Spool.Messages != 4 {
		t.Errorf("status %+v, %v", status, err)
	}
}

// Verbs: suspend and resume, redirect, remove with and without a word to the
// sender, a message in flight, and what is refused.
func TestQueueVerbs(t *testing.T) {
	t.Parallel()
	e, hop, grey, held, release := administered(t)
	home := newSink(t, sinkOptions{})
	other := newSink(t, sinkOptions{})
	e.route("Inside", "contoso.example", home.addr, "")
	g := e.serve(t)
	c := dial(t, e.addr)
	c.deliver(t, "kim@contoso.example", "b@down.example", letter("redirected"))
	c.deliver(t, "kim@contoso.example", "b@held.example", letter("in-flight"))
	c.deliver(t, "lee@contoso.example", "b@grey.example", letter("told"))
	c.deliver(t, "max@contoso.example", "b@grey.example", letter("quiet"))

	m := e.awaitMessage(t, "--domain", "down.example", "--status", "retry")
	e.wants(t, 0, "1 message is suspended", "queue", "suspend", m.ID)
	if m := e.awaitMessage(t, "--status", "suspended"); m.FirstRecipient != "b@down.example" {
		t.Errorf("suspended: %+v", m)
	}
	e.wants(t, 1, "left alone", "queue", "suspend", m.ID)
	e.wants(t, 1, "left alone", "queue", "retry", m.ID)
	hop.listen(t)
	e.wants(t, 0, "tried now", "queue", "retry", m.Queues[0])
	e.wants(t, 2, "--yes", "queue", "redirect", "--to", other.addr, m.ID)
	e.wants(t, 0, "1 message is redirected to "+other.addr, "queue", "redirect", "--yes", "--to", other.addr, m.ID)
	e.wants(t, 0, "1 message is resumed", "queue", "resume", m.ID)
	if d := other.await(t, 1)[0]; !strings.Contains(string(d.Data), "redirected") || hop.count() != 0 {
		t.Errorf("the redirected message went astray: %d at its own next hop, %q", hop.count(), d.Data)
	}

	e.awaitMessage(t, "--from", "lee@contoso.example", "--status", "retry")
	e.awaitMessage(t, "--from", "max@contoso.example", "--status", "retry")
	e.wants(t, 2, "choose messages", "queue", "remove")
	e.wants(t, 2, "nobody is there to answer; say so beforehand with --yes", "queue", "remove", "--domain", "grey.example")
	e.wants(t, 0, "2 messages are to be removed", "queue", "remove", "--dry-run", "--domain", "grey.example")
	e.wants(t, 2, "no queue id", "queue", "remove", "Unreachable", "--yes")
	e.wants(t, 2, "status", "queue", "remove", "--status", "lost", "--yes")
	e.wants(t, 0, "no message matches", "queue", "remove", "--yes", "--from", "nobody@contoso.example")
	e.wants(t, 0, "removed without a word to its sender", "queue", "remove", "--yes", "--without-ndr", "--from", "max@contoso.example")
	e.wants(t, 0, "1 message is removed and its sender is told", "queue", "remove", "--yes", "--from", "lee@contoso.example")
	if d := home.await(t, 1)[0]; !strings.HasPrefix(d.Rcpt[0], "TO:<lee@") {
		t.Errorf("the notification went to %v", d.Rcpt)
	}

	flight := e.awaitMessage(t, "--status", "active")
	e.wants(t, 0, "1 message is being delivered and will be removed when the attempt ends", "queue", "remove", "--yes", flight.ID)
	e.awaitMessage(t, "--status", "pending_remove")
	release()
	held.await(t, 1)
	until(t, "an empty queue", func() bool { return len(e.messages(t)) == 0 })
	e.wants(t, 1, flight.ID+" is not in the queue", "queue", "remove", "--yes", flight.ID)
	e.wants(t, 1, flight.ID+" is not in the queue", "queue", "messages", flight.ID)
	e.wants(t, 1, flight.ID+" is not in the queue", "queue", "export", "--to", filepath.Join(e.dir, "none"), flight.ID)
	if n := home.count(); n != 1 {
		t.Errorf("%d notifications, want 1", n)
	}

	e.wants(t, 1, "did you mean \"Unreachable\"", "queue", "suspend", "unreachabel")
	e.wants(t, 1, "the Poison queue can't be suspended", "queue", "suspend", "Poison")
	e.wants(t, 1, "postern queue resume --queue Poison", "queue", "resume", "Poison")
	e.wants(t, 1, "resume its messages by id", "queue", "retry", "Poison")
	e.wants(t, 1, "can't be retried", "queue", "retry", "Submission")
	e.wants(t, 1, "postern queue resubmit Unreachable", "queue", "retry", "Unreachable")
	e.wants(t, 2, "from: ", "queue", "messages", "--from", "b@d@d")
	name := "Grey/[127.0.0.1]:" + port(t, grey.addr)
	e.wants(t, 0, "queue "+name+": suspended", "queue", "suspend", name)
	e.wants(t, 0, "suspended", "queue", "list")
	e.wants(t, 0, "queue "+name+": resumed", "queue", "resume", name)
	g.stop(t)
	e.wants(t, 3, "no running gateway", "queue", "list")
	e.wants(t, 3, "no running gateway", "status")
	e.wants(t, 3, "POSTERN UNKNOWN - no running gateway answers", "status", "--check")
}

// What is exported is what came, octet for octet, and can be imported again,
// from either form.
func TestQueueExportImport(t *testing.T) {
	t.Parallel()
	e, hop, _, _, _ := administered(t)
	g := e.serve(t)
	content := letter("kept") + "bl\xfcht\x00\r\n.\r\n" + strings.Repeat("0123456789\r\n", 10000)
	r, err := dial(t, e.addr).submit("<kim@contoso.example> BODY=8BITMIME ENVID=QQ+2B1", []string{"b@down.example", "c@down.example"}, []byte(content))
	if err != nil || r.code != 250 {
		t.Fatal(r, err)
	}
	m := e.awaitMessage(t, "--status", "retry")
	plain, replay := filepath.Join(e.dir, "plain"), filepath.Join(e.dir, "replay")
	e.wants(t, 0, "1 message written to "+plain, "queue", "export", "--to", plain, m.ID)
	e.wants(t, 0, "1 message written", "queue", "export", "--to", replay, "--replay", "--all")
	e.wants(t, 1, "exists already", "queue", "export", "--to", plain, m.ID)
	e.wants(t, 2, "choose messages", "queue", "export", "--to", plain)
	link := filepath.Join(e.dir, "link")
	if err := os.Symlink(plain, link); err != nil {
		t.Fatal(err)
	}
	e.wants(t, 1, "symbolic link", "queue", "export", "--to", link, "--all")

	stored := readFile(t, filepath.Join(plain, m.ID+".eml"))
	if _, rest, err := splitTrace(stored); err != nil || string(rest) != content {
		t.Errorf("the content was changed: %v, %d octets of %d", err, len(rest), len(content))
	}
	for _, name := range []string{m.ID + ".eml", m.ID + ".json", ""} {
		fi, err := os.Stat(filepath.Join(plain, name))
		if want := os.FileMode(0o600); err != nil || name != "" && fi.Mode().Perm() != want || name == "" && fi.Mode().Perm() != 0o700 {
			t.Errorf("%q: mode %v, %v", name, fi.Mode(), err)
		}
	}
	const top = "X-Sender: <kim@contoso.example> BODY=8BITMIME ENVID=QQ+2B1\r\nX-Receiver: <b@down.example>\r\nX-Receiver: <c@down.example>\r\n"
	if got := readFile(t, filepath.Join(replay, m.ID+".eml")); string(got) != top+string(stored) {
		t.Errorf("for Replay it is %.300q", got)
	}

	e.must(t, "queue", "remove", "--yes", "--all", "--without-ndr")
	e.wants(t, 0, "POSTERN OK - edge.contoso.example is well | queued=0;", "status", "--check")
	letterFile := writeFile(t, filepath.Join(e.dir, "letter.eml"), "Subject: unix\n\nline\n")
	out := e.must(t, "queue", "import", filepath.Join(plain, m.ID+".eml"), filepath.Join(replay, m.ID+".eml"))
	if strings.Count(out, "queued as ") != 2 {
		t.Errorf("import says\n%s", out)
	}
	e.must(t, "queue", "import", letterFile, "--from", "<>", "--to", "d@down.example")
	if list := e.messages(t); len(list) != 3 || list[0].Source != "Import" || list[2].Sender != "" || list[2].Subject != "unix" {
		t.Errorf("after the import: %+v", list)
	}
	mixed := writeFile(t, filepath.Join(e.dir, "mixed.eml"), "Subject: mixed\r\n\r\nline\n")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"bare CR or LF", []string{mixed, "--from", "<>", "--to", "d@down.example"}},
		{"no letter.json beside it", []string{letterFile}},
		{"@@", []string{letterFile, "--from", "x@@y.example", "--to", "d@down.example"}},
		{"no such file", []string{filepath.Join(e.dir, "absent.eml")}},
	} {
		e.wants(t, 1, tt.want, append([]string{"queue", "import"}, tt.args...)...)
	}
	e.wants(t, 2, "go together", "queue", "import", letterFile, "--to", "d@down.example")

	hop.listen(t)
	e.must(t, "queue", "retry", "--all")
	same := 0
	for _, d := range hop.await(t, 3) {
		if strings.Contains(string(d.Data), "Subject: unix\r\n\r\nline\r\n") {
			continue
		}
		_, rest, err := splitTrace(d.Data)
		if err == nil && string(rest) == string(stored) && len(d.Rcpt) == 2 && strings.Contains(d.Mail, "ENVID=QQ+2B1") {
			same++
		}
	}
	if same != 2 {
		t.Errorf("%d of 2 messages came through export and import unchanged", same)
	}
	g.stop(t)
	if log := g.output.String(); !strings.Contains(log, "a message is imported") || !strings.Contains(log, "uid 0") && os.Geteuid() == 0 {
		t.Error("the event log does not name who imported")
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
