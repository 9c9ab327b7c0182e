//go:build linux

package main_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/logs"
)

// events reads the files of the event log.
func (e *edge) events(t testing.TB) (lines []logs.EventLine) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(e.dataDir, "logs", "Events", "EVENT*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			l, err := logs.ParseEvent(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			lines = append(lines, l)
		}
	}
	return lines
}

// TestLogLevelCommand: an order holds at once, shows each routing decision, and
// ends by itself; the event log has who gave it, in its files, too.
func TestLogLevelCommand(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.route("Partners", "partner.example", s.addr, `max_message_size = "64KB"`)
	e.route("Out", "*", s.addr, "")
	g := e.serve(t)
	n := 0
	post := func(to string) {
		c := dial(t, e.addr)
		defer c.close()
		c.want(t, 250, "EHLO client.example")
		c.want(t, 250, "MAIL FROM:<kim@contoso.example>")
		c.want(t, 250, "RCPT TO:<"+to+">")
		c.want(t, 354, "DATA")
		c.want(t, 250, "Subject: x\r\n\r\nx\r\n.")
		n++
		s.await(t, n)
	}
	post("a@other.example")
	if out := e.must(t, "log-level", "routing=debug", "receive=debug", "send=debug", "queue=debug", "--for", "3s"); !strings.Contains(out, "routing       debug  info        ") {
		t.Errorf("it prints\n%s", out)
	}
	post("b@partner.example")
	until(t, "the order ends", func() bool { return strings.Contains(g.output.String(), "event_id=20210") })
	post("c@partner.example")
	g.stop(t)
	log := g.output.String()
	for _, want := range []string{
		`msg="levels of the event log are changed" event_id=20209 area=control by="uid `, `levels="receive=debug queue=debug send=debug routing=debug"`,
		`level=DEBUG msg="a routing decision" event_id=25010 area=routing from=kim@contoso.example to=b@partner.example size=`, `source=In connector=Partners address_space=partner.example`,
		`eliminated="Out: less_specific"`, `msg="a session begins" event_id=21010`, `msg="a session ends" event_id=21011`, `msg="a message is queued" event_id=22011`,
		`msg="a message is delivered" event_id=22010`, `msg="a connection to a next hop" event_id=24010`, `outcome=ready`, `msg="levels of the event log are as configured again"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the event log lacks %s", want)
		}
	}
	if strings.Contains(log, "a@other.example") || strings.Contains(log, "c@partner.example") {
		t.Error("there are events for debugging before the order or after it")
	}
	if n := strings.Count(log, "event_id=25010"); n != 1 {
		t.Errorf("%d events for one routing decision", n)
	}
	seen := map[int]int{}
	for _, l := range e.events(t) {
		seen[l.ID]++
	}
	for _, id := range []int{20000, 20001, 20002, 20209, 20210, 21000, 25010} {
		if seen[id] == 0 {
			t.Errorf("the files lack event %d", id)
		}
	}
	if n := len(e.events(t)); n != strings.Count(log, "\n") {
		t.Errorf("the files have %d events, standard error %d", n, strings.Count(log, "\n"))
	}
}

// TestSecretsInEvents: with everything at the level of debugging, no password
// of either direction is in the event log, nor in any file of logs.
func TestSecretsInEvents(t *testing.T) {
	t.Parallel()
	const ours, theirs, wrong = "correct-horse-7391", "pencil-box-2846", "guessed-wrong-5512"
	s := newSink(t, sinkOptions{Keywords: []string{"PIPELINING", "AUTH PLAIN LOGIN"}})
	e := newEdge(t)
	password := writeFile(t, filepath.Join(e.dir, "hub.pass"), theirs+"\n")
	code, hash, stderr := runCommand(t, ours+"\n", binary(t), "user", "hash")
	if code != 0 {
		t.Fatal(stderr)
	}
	e.receive = "permission_groups = [\"users\"]\nauth_mechanism = [\"basic\"]\n"
	e.more = fmt.Sprintf("\n[logs.event]\nlevel = \"debug\"\n[[user]]\nname = \"kim\"\nallowed_senders = [\"*\"]\npassword_hash = %q\n", strings.TrimSpace(hash))
	e.route("Out", "*", s.addr, fmt.Sprintf("protocol_logging = \"verbose\"\nsmart_host_auth = { mechanism = \"basic\", username = \"edge\", password_file = %q }", password))
	g := e.serve(t)
	c := dial(t, e.addr)
	c.want(t, 250, "EHLO client.example")
	if r, err := c.command(plain("kim", wrong)); err != nil || r.code != 535 {
		t.Fatal(r, err)
	}
	c.want(t, 334, "AUTH LOGIN")
	c.want(t, 334, base64.StdEncoding.EncodeToString([]byte("kim")))
	c.want(t, 235, base64.StdEncoding.EncodeToString([]byte(ours)))
	c.want(t, 250, "MAIL FROM:<kim@contoso.example>")
	c.want(t, 250, "RCPT TO:<a@y.example>")
	c.want(t, 354, "DATA")
	c.want(t, 250, "Subject: x\r\n\r\nx\r\n.")
	c.close()
	until(t, "a try to deliver", func() bool { return strings.Contains(g.output.String(), "event_id=24010") })
	e.must(t, "reload")
	g.stop(t)
	texts := map[string]string{"standard error": g.output.String()}
	err := filepath.WalkDir(filepath.Join(e.dataDir, "logs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		texts[path] = string(b)
		return err
	})
	if err != nil || len(texts) < 4 {
		t.Fatalf("%d texts, %v", len(texts), err)
	}
	if !strings.Contains(texts["standard error"], "level=DEBUG") {
		t.Error("nothing is at the level of debugging: the test proves nothing")
	}
	for name, text := range texts {
		for _, secret := range []string{ours, theirs, wrong, strings.TrimSpace(hash)} {
			forms := []string{secret}
			for _, raw := range []string{secret, "\x00kim\x00" + secret, "\x00edge\x00" + secret} {
				forms = append(forms, base64.StdEncoding.EncodeToString([]byte(raw)))
			}
			for _, form := range forms {
				if strings.Contains(text, form) {
					t.Errorf("%s has the secret %s", name, form)
				}
			}
		}
	}
}

// TestStandardErrorGoes: a gateway whose standard error nobody reads any more
// goes on.
func TestStandardErrorGoes(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.route("Out", "*", "127.0.0.1:9", "")
	e.write(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary(t), "serve", "--config", e.path())
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	b := make([]byte, 1)
	if _, err := io.ReadFull(read, b); err != nil {
		t.Fatal(err)
	}
	read.Close()
	until(t, "the gateway answers", func() bool { return greets(home(), e.addr) })
	e.must(t, "log-level", "queue=warn") // which tells the event log
	until(t, "the trouble is in the files", func() bool {
		for _, l := range e.events(t) {
			if l.ID == 20302 && strings.Contains(l.Attributes.Get("error"), "broken pipe") {
				return true
			}
		}
		return false
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the gateway does not end")
	}
}
