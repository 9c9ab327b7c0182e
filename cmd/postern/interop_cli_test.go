//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestCommandExitCodes(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.route("out", "*", "127.0.0.1:9", "")
	e.write(t)
	broken := writeFile(t, filepath.Join(e.dir, "broken.toml"), strings.Replace(e.toml(), "fqdn =", "fdqn =", 1))
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"version", []string{"version"}, 0},
		{"help", []string{"--help"}, 0},
		{"help of every command", []string{"explain", "route", "--help"}, 0},
		{"check of a good file", []string{"check", "--config", e.path()}, 0},
		{"check of a broken file", []string{"check", "--config", broken}, 1},
		{"serve of a broken file", []string{"serve", "--config", broken}, 1},
		{"explain with a broken file", []string{"explain", "route", "a@x.example", "b@y.example", "--config", broken}, 1},
		{"unknown command", []string{"frobnicate"}, 2},
		{"unknown flag", []string{"check", "--frobnicate"}, 2},
		{"unknown output", []string{"version", "--output", "xml"}, 2},
		{"too few arguments", []string{"explain", "route", "a@x.example"}, 2},
		{"bad address", []string{"explain", "route", "a@x.example", "b@@y.example", "--config", e.path()}, 2},
		{"no server", []string{"reload", "--config", e.path()}, 3},
		{"no file", []string{"check", "--config", filepath.Join(e.dir, "absent.toml")}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, "", binary(t), c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, stdout, stderr)
			}
			if c.code > 1 && stderr == "" {
				t.Error("nothing on standard error says why")
			}
		})
	}
}

// check names file, line and column of what is wrong, and the nearest key.
func TestCheckPositions(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	file := writeFile(t, filepath.Join(dir, "postern.toml"), `[server]
fqdn = "edge.contoso.example"
data_dirr = "/nowhere"

[[receive_connector]]
name = "In"
bindings = ["127.0.0.1:notaport"]
max_message_size = "36XB"
permission_groups = ["anonymous", "friends"]

[[send_connector]]
name = "Out"
address_spaces = ["*"]
tls = "always"
`)
	code, stdout, stderr := runCommand(t, "", binary(t), "check", "--config", file)
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{":3:1:", "data_dir", ":7:", ":8:", ":9:", "friends", ":14:", "opportunistic"} {
		if !strings.Contains(stdout+stderr, want) {
			t.Errorf("check does not say %q:\n%s%s", want, stdout, stderr)
		}
	}
	code, stdout, _ = runCommand(t, "", binary(t), "check", "--config", file, "--output", "json")
	var checked struct {
		Valid    bool
		Findings []struct {
			Severity, File, Message string
			Line, Column            int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &checked); err != nil || code != 1 || checked.Valid || len(checked.Findings) < 5 {
		t.Fatalf("as JSON: exit code %d, %v\n%s", code, err, stdout)
	}
	for _, f := range checked.Findings {
		if f.Line == 0 || f.Column == 0 || f.File != file || f.Message == "" {
			t.Errorf("finding without place: %+v", f)
		}
	}
}

// check names a configuration that lets strangers relay.
func TestCheckOpenRelay(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.addr = strings.Replace(e.addr, "127.0.0.1", "0.0.0.0", 1)
	e.route("out", "*", "127.0.0.1:9", "")
	e.write(t)
	code, stdout, stderr := e.postern(t, "check")
	if code != 0 || !strings.Contains(strings.ToLower(stdout+stderr), "relay") {
		t.Errorf("exit code %d, and no word of relaying:\n%s%s", code, stdout, stderr)
	}
	if code, _, _ := e.postern(t, "check", "--strict"); code != 1 {
		t.Errorf("with --strict: exit code %d, want 1", code)
	}
}

func TestExplainRoute(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.route("Partners", "smtp:fabrikam.example;1", "127.0.0.1:9", "max_message_size = \"1MB\"")
	e.route("Expensive", "*.fabrikam.example;9", "127.0.0.1:9", "")
	e.route("Elsewhere", "y.example", "127.0.0.1:9", "")
	e.write(t)
	type decision struct {
		Connector  *string
		Candidates []struct {
			Name         string
			AddressSpace string  `json:"address_space"`
			Cost         *int    `json:"cost"`
			EliminatedBy *string `json:"eliminated_by"`
		}
	}
	explain := func(args ...string) (d decision) {
		t.Helper()
		code, stdout, stderr := e.postern(t, append([]string{"explain", "route", "--output", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &d); err != nil || code != 0 || !strings.Contains(stdout, `"candidates"`) || !strings.Contains(stdout, `"connector"`) {
			t.Fatalf("explain route %v: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
		}
		return d
	}
	eliminated := func(d decision) map[string]bool {
		m := map[string]bool{}
		for _, c := range d.Candidates {
			if c.Cost == nil || c.AddressSpace == "" || c.EliminatedBy != nil && *c.EliminatedBy == "" {
				t.Errorf("candidate without facts: %+v", c)
			}
			m[c.Name] = c.EliminatedBy != nil
		}
		return m
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"kim@contoso.example", "bob@fabrikam.example"}, "Partners"},
		{[]string{"<>", "bob@FABRIKAM.example"}, "Partners"},
		{[]string{"kim@contoso.example", "bob@fabrikam.example", "--size", "2MB"}, "Expensive"},
		{[]string{"kim@contoso.example", "bob@sub.fabrikam.example"}, "Expensive"},
	} {
		d := explain(c.args...)
		e := eliminated(d)
		if d.Connector == nil || *d.Connector != c.want || e[c.want] || len(d.Candidates) != 3 || !e["Elsewhere"] {
			t.Errorf("%v: %+v, want %s", c.args, d, c.want)
		}
	}
	if d := explain("kim@contoso.example", "bob@nowhere.example"); d.Connector != nil || len(d.Candidates) != 3 {
		t.Errorf("an unroutable recipient gives %+v, want a null connector", d)
	}
}

func TestConnectorList(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.route("To the hub", "*", "127.0.0.1:9", "")
	e.write(t)
	code, stdout, stderr := e.postern(t, "connector", "list")
	if code != 0 || !strings.Contains(stdout, "In") || !strings.Contains(stdout, e.addr) || !strings.Contains(stdout, "To the hub") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = e.postern(t, "connector", "list", "--output", "json")
	if code != 0 || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, `"To the hub"`) {
		t.Errorf("as JSON: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// A reload holds for new sessions, leaves open ones alone, and an invalid file
// changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	one, two := newSink(t, sinkOptions{}), newSink(t, sinkOptions{})
	e := newEdge(t)
	e.route("out", "*", one.addr, "")
	e.receive += "fqdn = \"first.contoso.example\"\n"
	g := e.serve(t)
	open := dial(t, e.addr)
	open.want(t, 250, "MAIL FROM:<a@contoso.example>")

	extra := freeAddr(t)
	e.receive = strings.Replace(e.receive, "first.", "second.", 1)
	e.send = strings.Replace(e.send, one.addr, two.addr, 1)
	e.more = fmt.Sprintf("\n[[receive_connector]]\nname = \"Extra\"\nbindings = [%q]\npermission_groups = [\"anonymous\"]\n", extra)
	code, stdout, stderr := g.reload(t)
	if code != 0 || !strings.Contains(stdout, "fqdn") {
		t.Fatalf("reload: exit code %d\n%s%s", code, stdout, stderr)
	}
	fresh := dial(t, e.addr)
	if !strings.Contains(fresh.banner.String(), "second.contoso.example") {
		t.Errorf("after the reload the greeting is %v", fresh.banner)
	}
	if !greets(home(), extra) {
		t.Error("the new binding does not answer")
	}
	open.want(t, 250, "RCPT TO:<open@y.example>")
	open.want(t, 354, "DATA")
	if err := open.send(stuffed([]byte(letter("open")))); err != nil {
		t.Fatal(err)
	}
	if r, err := open.read(); err != nil || r.code != 250 || !strings.Contains(r.String(), "first.contoso.example") {
		t.Errorf("the open session ends with %v %v", r, err)
	}
	fresh.deliver(t, "a@contoso.example", "fresh@y.example", letter("fresh"))
	two.await(t, 2)

	// An invalid file is refused, by command and by signal.
	good := e.receive
	e.receive = strings.Replace(e.receive, "second.", "third.", 1) + "no_such_key = 1\n"
	if code, stdout, stderr = g.reload(t); code != 1 || !strings.Contains(stdout+stderr, "no_such_key") {
		t.Errorf("reload of an invalid file: exit code %d\n%s%s", code, stdout, stderr)
	}
	g.hup(t)
	until(t, "the gateway naming the bad key", func() bool { return strings.Contains(g.output.String(), "no_such_key") })
	if c := dial(t, e.addr); !strings.Contains(c.banner.String(), "second.contoso.example") {
		t.Errorf("after an invalid reload the greeting is %v", c.banner)
	}

	// SIGHUP does what the command does; the binding that went is closed.
	e.receive, e.more = strings.Replace(good, "second.", "fourth.", 1), ""
	g.hup(t)
	until(t, "the greeting of the file after SIGHUP", func() bool {
		conn, err := home().dial("", e.addr)
		if err != nil {
			return false
		}
		defer conn.Close()
		c, err := newClient(conn)
		return err == nil && strings.Contains(c.banner.String(), "fourth.contoso.example")
	})
	until(t, "the removed binding closing", func() bool { return !greets(home(), extra) })
	open.want(t, 250, "NOOP")
	g.stop(t)
}

// The protocol logs have Exchange's format and tell the session in order.
func TestProtocolLog(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t, tempDir(t), "sink.example")
	s := newSink(t, sinkOptions{TLS: cert.server()})
	e := newEdge(t)
	e.receive += "protocol_logging = \"verbose\"\n"
	e.route("Out", "*", s.addr, "tls = \"required\"\nprotocol_logging = \"verbose\"")
	g := e.serve(t)
	c := dial(t, e.addr)
	c.startTLS(t)
	c.deliver(t, "a@contoso.example", "b@y.example", letter("logged"))
	c.want(t, 221, "QUIT")
	s.await(t, 1)
	g.stop(t)

	log := e.protocolLog(t)
	for _, want := range []string{
		"#Software: ", "#Log-type: SMTP Receive Protocol Log", "#Log-type: SMTP Send Protocol Log",
		"#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the logs lack %q", want)
		}
	}
	if strings.Contains(log, "hello") {
		t.Error("content reached the log")
	}
	line := func(connector, event, data string) *regexp.Regexp {
		return regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z,[^,]*` + connector + `,[0-9A-F]{16},\d+,127\.0\.0\.1:\d+,127\.0\.0\.1:\d+,` + event + `,"?` + data)
	}
	for _, want := range []*regexp.Regexp{
		line("In", `\+`, ""), line("In", ">", "220 "), line("In", "<", "EHLO client.example"), line("In", "<", "STARTTLS"),
		line("In", "<", "MAIL FROM:<a@contoso.example>"), line("In", "<", "RCPT TO:<b@y.example>"), line("In", "<", "DATA"), line("In", ">", "354 "),
		line("In", ">", "250 2.6.0 "), line("In", "<", "QUIT"), line("In", "-", ""),
		line("Out", `\+`, ""), line("Out", "<", "220 sink.example"), line("Out", ">", "EHLO edge.contoso.example"), line("Out", ">", "STARTTLS"),
		line("Out", ">", "MAIL FROM:<a@contoso.example>"), line("Out", "<", "250 2.6.0 taken"), line("Out", "-", ""),
	} {
		if !want.MatchString(log) {
			t.Errorf("the logs lack a line like %s", want)
		}
	}
	if t.Failed() {
		t.Logf("the logs:\n%s", log)
	}
	// Sequence numbers count within each session.
	next := map[string]int{}
	for l := range strings.Lines(log) {
		if f := strings.SplitN(l, ",", 5); len(f) == 5 && !strings.HasPrefix(l, "#") {
			if f[3] != fmt.Sprint(next[f[2]]) {
				t.Errorf("sequence number %s, want %d: %s", f[3], next[f[2]], l)
			}
			next[f[2]]++
		}
	}
}

// The demo shows whole paths in seconds and leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	bin, here, temporary := binary(t), tempDir(t), tempDir(t)
	began := time.Now()
	code, stdout, stderr := runCommand(t, "", need(t, "env"), "-C", here, "TMPDIR="+temporary, bin, "demo")
	took := time.Since(began)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if took > 5*time.Second {
		t.Errorf("the demo took %v, want under 5 s", took)
	}
	for _, want := range []string{
		`Receive connector: \S`, `Send connector: \S`, `because: .*address space`, `not .*less specific`, `TLS1\.3 TLS_`, `protocol log`,
		`> 220 \S`, `< EHLO \S`, `> STARTTLS`, `550 5\.7\.\d+ .*relay`, `250 2\.6\.0`, `Notification`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("the demo does not show %s:\n%s", want, stdout)
		}
	}
	for _, dir := range []string{here, temporary} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("the demo left %v behind (%v)", left, err)
		}
	}
}

// A second gateway on the same data is refused, and one that was killed
// leaves nothing in the way of the next.
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	other := *e
	other.dir, other.addr = tempDir(t), freeAddr(t)
	other.write(t)
	code, stdout, stderr := other.postern(t, "serve")
	if code != 1 || stdout+stderr == "" {
		t.Errorf("a second instance: exit code %d\n%s%s", code, stdout, stderr)
	}
	g.kill()
	if _, err := os.Stat(filepath.Join(e.dataDir, "control.sock")); err != nil {
		t.Logf("the socket went with the gateway: %v", err)
	}
	g = e.serve(t)
	if code, stdout, stderr := g.reload(t); code != 0 {
		t.Errorf("reload after a kill: exit code %d\n%s%s", code, stdout, stderr)
	}
	dial(t, e.addr).deliver(t, "a@contoso.example", "b@y.example", letter("again"))
	s.await(t, 1)
	g.stop(t)
}
