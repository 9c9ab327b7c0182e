package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/logs"
)

// logSample writes a day of logs and returns their directory: a message that was
// received and sent on, a session that was refused, and one with tricks in it.
func logSample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	files := map[logs.Kind][]byte{}
	write := func(k logs.Kind, connector, id string, peer string, text ...string) {
		for i, s := range text {
			at = at.Add(10 * time.Millisecond)
			l := logs.Line{Time: at, Connector: connector, Session: id, Sequence: i, Local: netip.MustParseAddrPort("192.0.2.10:25"),
				Remote: netip.MustParseAddrPort(peer), Event: logs.Event(s[0]), Data: s[1:]}
			if l.Event == logs.EventInfo {
				l.Data, l.Context, _ = strings.Cut(l.Data, "|")
			}
			files[k] = l.Append(files[k])
		}
	}
	const queue = "0AM0CJ0G40000"
	write(logs.ReceiveProtocol, `EDGE\From Internet`, "08DF000000000AAA", "198.51.100.7:4711",
		"+", ">220 edge ESMTP", "<EHLO mx.fabrikam.example", ">250-edge Hello", ">250-SIZE 1000", ">250 PIPELINING",
		"*|Sending certificate", "*CN=edge|Certificate subject", "*00AB|Certificate serial number", "*TLS1.3 TLS_AES_128_GCM_SHA256|TLS negotiation succeeded",
		"<MAIL FROM:<bob@fabrikam.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<kim@contoso.example>", ">250 2.1.5 Recipient OK", "<DATA",
		"*"+queue+";x;1|receiving message", ">354 go", ">250 2.6.0 <a@b> [InternalId="+queue+", Hostname=edge] Queued", "-")
	write(logs.SendProtocol, "To organization", "08DF000000000BBB", "10.0.0.5:25",
		"*|attempting to connect", "+", "<220 hub", ">EHLO edge", "<250 hub", "*"+queue+"|sending message", ">MAIL FROM:<bob@fabrikam.example>",
		">RCPT TO:<kim@contoso.example>", ">DATA", "<250 first", "<250 second", "<354 third", "<250 2.0.0 queued", ">QUIT", "<221 bye", "-")
	at = at.Add(time.Minute)
	write(logs.ReceiveProtocol, `EDGE\From Internet`, "08DF000000001AAA", "203.0.113.9:99",
		"+", ">220 edge ESMTP", "<EHLO \x1b[31mred\u202e", ">250 edge", "<MAIL FROM:<eve@nowhere.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<x@elsewhere.example>",
		"*Tarpit for '0.00:00:05'|550 5.7.54 no relay", ">550 5.7.54 no relay", "-")
	files[logs.MessageTracking] = logs.Tracking{Time: at, SourceContext: "08DF000000000BBB;x", Connector: "To organization", Source: "SMTP", Event: "SEND", InternalID: queue,
		ServerIP: "10.0.0.5", Recipients: []string{"kim@contoso.example"}, Statuses: []string{"250 2.0.0 queued"}, ReturnPath: "bob@fabrikam.example"}.Append(nil)
	files[logs.ReceiveProtocol] = append(files[logs.ReceiveProtocol], "garbage\n"...)
	for k, text := range files {
		writeLog(t, dir, k, text)
	}
	return dir
}

// TestLogsStatsOfSessions: what only message tracking knows is no zero where it is
// left out.
func TestLogsStatsOfSessions(t *testing.T) {
	t.Setenv("COLUMNS", "200")
	exit, out, _ := logsCommand(t, logSample(t), "stats", "--direction", "receive")
	words := strings.Join(strings.Fields(out), " ")
	if exit != exitDone || !strings.Contains(words, "bob@fabrikam.example 1 -") || !strings.Contains(words, "contoso.example 1 - - -") || !strings.Contains(words, "Message tracking is left out") {
		t.Errorf("exit %d, printed\n%s", exit, out)
	}
	var sums struct {
		Senders struct {
			Items []map[string]any `json:"items"`
		} `json:"senders"`
	}
	_, out, _ = logsCommand(t, logSample(t), "stats", "--direction", "receive", "--output", "json")
	if err := json.Unmarshal([]byte(out), &sums); err != nil || len(sums.Senders.Items) != 1 || sums.Senders.Items[0]["octets"] != nil {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
	if got := onOneLine(`550 4.4.7 message expired\x0ALast error: 451`); got != "550 4.4.7 message expired; Last error: 451" {
		t.Errorf("an expiry: %q", got)
	}
}

// TestLogsTraceRefused: what was refused at the end of its content, or cut off in
// it, is not said to be received or in the queue.
func TestLogsTraceRefused(t *testing.T) {
	t.Setenv("COLUMNS", "110")
	dir, at := t.TempDir(), time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	var protocol []byte
	session := func(id, queue string, end ...string) {
		for i, s := range append([]string{"+", ">220 edge", "<EHLO mx", ">250 edge", "<MAIL FROM:<bob@fabrikam.example>", ">250 2.1.0 ok",
			"<RCPT TO:<kim@contoso.example>", ">250 2.1.5 ok", "<DATA", "*" + queue + ";x;1|receiving message", ">354 go"}, end...) {
			at = at.Add(10 * time.Millisecond)
			l := logs.Line{Time: at, Connector: `EDGE\From Internet`, Session: id, Sequence: i, Remote: netip.MustParseAddrPort("198.51.100.7:1"), Event: logs.Event(s[0]), Data: s[1:]}
			l.Data, l.Context, _ = strings.Cut(l.Data, "|")
			protocol = l.Append(protocol)
		}
	}
	session("08DF000000000AAA", "0AM0CJ0G40000", ">552 5.3.4 too large", "<QUIT", ">221 bye", "-")
	session("08DF000000000BBB", "0AM0CJ0G40001", "-")
	writeLog(t, dir, logs.ReceiveProtocol, protocol)
	for id, want := range map[string][]string{
		"0AM0CJ0G40000": {"refused for <kim@contoso.example>\n", "552 5.3.4 too large\n", "  refused       2026-", "<kim@contoso.example>  refused  ", "It is not in the queue"},
		"0AM0CJ0G40001": {"aborted for <kim@contoso.example>\n", "The connection was lost, or", "never accepted", "  aborted       2026-", "<kim@contoso.example>  aborted  "},
	} {
		exit, out, _ := logsCommand(t, dir, "trace", id)
		for _, text := range want {
			if exit != exitDone || !strings.Contains(out, text) {
				t.Errorf("%s: %q is missing in\n%s", id, text, out)
			}
		}
		if strings.Contains(out, "received") || strings.Contains(out, "queue show") || strings.Contains(out, "pending") {
			t.Errorf("%s: it seems accepted:\n%s", id, out)
		}
	}
	writeLog(t, dir, logs.Agent, logs.AgentLine{Time: at.Add(-60 * time.Millisecond), Session: "08DF000000000AAA", MessageID: "<big@fabrikam.example>", Recipient: "kim@contoso.example",
		Agent: "Message Limits Agent", Response: "552 5.3.4 too large"}.Append(nil))
	if exit, out, errs := logsCommand(t, dir, "trace", "big@fabrikam.example"); exit != exitDone || !strings.HasPrefix(out, "Message 0AM0CJ0G40000\n") || !strings.Contains(out, "<kim@contoso.example>  refused  ") {
		t.Errorf("by its Message-ID: exit %d, printed\n%s%s", exit, out, errs)
	}
	if exit, _, errs := logsCommand(t, dir, "trace", "never@fabrikam.example"); exit != exitFailed || !strings.Contains(errs, "logs search") || !strings.Contains(errs, "logs sessions --from") {
		t.Errorf("what never came: exit %d, %s", exit, errs)
	}
	if _, out, _ := logsCommand(t, dir, "trace", "0AM0CJ0G40000", "--output", "json"); !strings.Contains(out, `"end": "refused"`) || !strings.Contains(out, `"pending": false`) {
		t.Errorf("as JSON:\n%s", out)
	}
}

// writeLog writes the only file of a log.
func writeLog(t *testing.T, dir string, k logs.Kind, text []byte) {
	t.Helper()
	l := k.Layout()
	path := filepath.Join(dir, filepath.FromSlash(l.Directory))
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, l.Prefix+"20261120-1.log"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// logsCommand runs a command on logs.
func logsCommand(t *testing.T, dir string, args ...string) (exit int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	exit = run(context.Background(), append(append([]string{"logs"}, args...), "--logs", dir), streams{strings.NewReader(""), &o, &e})
	if strings.ContainsAny(o.String()+e.String(), "\x1b\u202e") {
		t.Errorf("%q: the peer's text reaches the terminal: %q %q", args, o.String(), e.String())
	}
	return exit, o.String(), e.String()
}

func TestLogsSessions(t *testing.T) {
	dir := logSample(t)
	t.Setenv("COLUMNS", "110")
	exit, out, errs := logsCommand(t, dir, "sessions")
	var rows []string
	for _, line := range strings.Split(out, "\n") {
		if _, rest, ok := strings.Cut(line, "08DF"); ok {
			rows = append(rows, strings.Join(strings.Fields(rest), " "))
		}
	}
	want := []string{"000000001AAA From Internet < 203.0.113.9 no refused 90ms", "000000000BBB To organization > 10.0.0.5 no accepted 150ms",
		"000000000AAA From Internet < 198.51.100.7 1.3 accepted 180ms"}
	if exit != exitDone || fmt.Sprint(rows) != fmt.Sprint(want) || !strings.Contains(out, "550 5.7.54 no relay\n") || !strings.HasSuffix(out, "3 sessions\n") {
		t.Errorf("exit %d, printed\n%s", exit, out)
	}
	if !strings.Contains(out, `\x1B[31mred\xE2\x80\xAE: <eve@nowhere.example> to <x@elsewhere.example>`) {
		t.Errorf("the tricks are not shown as they are:\n%s", out)
	}
	if errs != "1 line could not be read; --verbose says where\n" {
		t.Errorf("said %q", errs)
	}
	if _, _, errs := logsCommand(t, dir, "sessions", "--verbose"); !strings.Contains(errs, "RECV20261120-1.log: octet ") || !strings.Contains(errs, "garbage") {
		t.Errorf("--verbose said %q", errs)
	}
	for _, c := range []struct {
		args, want string
	}{
		{"--failed", "1AAA"}, {"--tls yes", "0AAA"}, {"--direction send", "0BBB"}, {"--peer 198.51.100.0/24 --peer 10.0.0.5", "0BBB 0AAA"}, {"--limit 1", "1AAA"},
		{"--limit 2 --reverse", "0BBB 1AAA"}, {"--reply 5.7.*", "1AAA"}, {"--on 1999-01-01", ""}, {"--to *.contoso.example --from fabrikam.example", "0BBB 0AAA"},
	} {
		exit, out, errs := logsCommand(t, dir, append([]string{"sessions", "--output", "json"}, strings.Fields(c.args)...)...)
		var ids []string
		for line := range strings.Lines(out) {
			var s struct {
				ID       string           `json:"id"`
				Start    time.Time        `json:"start"`
				Duration float64          `json:"duration"`
				Messages []map[string]any `json:"messages"`
			}
			if err := json.Unmarshal([]byte(line), &s); err != nil || s.Start.IsZero() || s.Duration == 0 || len(s.Messages) != 1 {
				t.Fatalf("%s: %q is no session: %v", c.args, line, err)
			}
			ids = append(ids, s.ID[12:])
		}
		if got := strings.Join(ids, " "); exit != exitDone || got != c.want {
			t.Errorf("%s: exit %d, sessions %q, want %q; %s", c.args, exit, got, c.want, errs)
		}
	}
	for args, want := range map[string]string{
		"--reply 55": "no reply code: write 550", "--since soon": "is no time", "--limit -1": "want a number of sessions", "--limit 0 --reverse": "at most 10000",
		"--from=": "--from is empty", "--on today --since 2h": "does not go together", "extra": "takes no argument",
	} {
		if exit, _, errs := logsCommand(t, dir, append([]string{"sessions"}, strings.Fields(args)...)...); exit != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, said %q, want %q", args, exit, errs, want)
		}
	}
	if exit, _, errs := logsCommand(t, t.TempDir(), "sessions"); exit != exitFailed || !strings.Contains(errs, "no log files found (receive, send)") {
		t.Errorf("an empty directory: exit %d, %q", exit, errs)
	}
	if exit, _, errs := logsCommand(t, filepath.Join(dir, "nowhere"), "sessions"); exit != exitFailed || !strings.Contains(errs, "no logs there") {
		t.Errorf("no directory: exit %d, %q", exit, errs)
	}
}

func TestLogsShow(t *testing.T) {
	dir := logSample(t)
	t.Setenv("COLUMNS", "110")
	// marks are what the lines of a dialog begin with, behind the times.
	dialog := func(out string) (list []string) {
		for line := range strings.Lines(out) {
			if len(line) > 24 && line[2] == ':' && line[12] == ' ' {
				list = append(list, strings.TrimSpace(line[23:]))
			}
		}
		return list
	}
	exit, out, _ := logsCommand(t, dir, "show", "08df000000000bbb")
	want := []string{"* attempting to connect", "+ connected", "< 220 hub", "> EHLO edge", "< 250 hub", "* sending message: 0AM0CJ0G40000", "> MAIL FROM:<bob@fabrikam.example>",
		"< 250 first", "> RCPT TO:<kim@contoso.example>", "< 250 second", "> DATA", "< 354 third", "< 250 2.0.0 queued", "> QUIT", "< 221 bye", "- closed"}
	if got := dialog(out); exit != exitDone || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("exit %d, the dialog is\n%q\nwant\n%q", exit, got, want)
	}
	for _, text := range []string{"Session 08DF000000000BBB  To organization", "accepted, took 150ms, 16 lines, TLS: no", "0AM0CJ0G40000  SEND to 10.0.0.5 by To organization",
		"<kim@contoso.example>: 250 2.0.0 queued", "Other sessions of its messages", "08DF000000000AAA  From Internet < 198.51.100.7  accepted"} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is missing in\n%s", text, out)
		}
	}
	_, out, _ = logsCommand(t, dir, "show", "000AAA")
	for _, text := range []string{"> 250-edge Hello | SIZE 1000 | PIPELINING\n", "* Sending certificate: CN=edge\n", "* TLS negotiation succeeded: TLS1.3"} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is missing in\n%s", text, out)
		}
	}
	if _, out, _ = logsCommand(t, dir, "show", "000AAA", "--full"); len(dialog(out)) != 19 || !strings.Contains(out, "* Certificate serial number: 00AB\n") {
		t.Errorf("--full folds:\n%s", out)
	}
	if _, out, _ = logsCommand(t, dir, "show", "0am0cj0g40000"); strings.Count(out, "Session 08DF") != 2 || strings.Index(out, "0AAA") > strings.Index(out, "0BBB") {
		t.Errorf("the sessions of a message:\n%s", out)
	}
	exit, out, errs := logsCommand(t, dir, "show", "0AAA")
	if exit != exitDone || !strings.Contains(out, "08DF000000000AAA") {
		t.Errorf("an end that one session has: exit %d, %q", exit, errs)
	}
	exit, out, errs = logsCommand(t, dir, "show", "08DF")
	if exit != exitFailed || out != "" || strings.Count(errs, "08DF0000") != 3 {
		t.Errorf("an ambiguous beginning: exit %d, %q", exit, errs)
	}
	if exit, _, errs = logsCommand(t, dir, "show", "FFFFFFFF"); exit != exitFailed || !strings.Contains(errs, "no session and no message") {
		t.Errorf("an unknown id: exit %d, %q", exit, errs)
	}
	if exit, _, _ = logsCommand(t, dir, "show", "8DF"); exit != exitUsage {
		t.Errorf("an id of three characters: exit %d", exit)
	}
	var shown struct {
		Sessions []struct {
			ID    string           `json:"id"`
			Lines []map[string]any `json:"lines"`
		} `json:"sessions"`
		Tracking []map[string]any `json:"tracking"`
	}
	_, out, _ = logsCommand(t, dir, "show", "000BBB", "--output", "json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Sessions) != 1 || len(shown.Sessions[0].Lines) != 16 || len(shown.Tracking) != 1 {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}

func TestLogsFollow(t *testing.T) {
	dir := logSample(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	path := filepath.Join(dir, "ProtocolLog", "SmtpReceive", "RECV20261120-1.log")
	var out, errs bytes.Buffer
	w := &stopper{after: "new.example", stop: cancel, Buffer: &out}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"logs", "follow", "--helo", "new.*", "--logs", dir}, streams{strings.NewReader(""), w, &errs})
	}()
	// The log goes on until the session is seen.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case exit := <-done:
			if text := out.String(); exit != exitDone || !strings.Contains(text, " From Internet < 198.51.100.9 no mail new.example, 0ms, TLS no\n") {
				t.Errorf("exit %d, saw %q %q", exit, text, errs.String())
			}
			return
		case <-tick.C:
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range []string{"+", "<EHLO new.example", "-"} {
			l := logs.Line{Time: time.Now(), Connector: `EDGE\From Internet`, Session: fmt.Sprintf("08DF00000001%04d", n), Sequence: i, Remote: netip.MustParseAddrPort("198.51.100.9:1"),
				Event: logs.Event(e[0]), Data: e[1:]}
			l.Time = l.Time.Truncate(time.Hour)
			if _, err := f.Write(l.Append(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// stopper is an output that calls stop once some text was written.
type stopper struct {
	*bytes.Buffer
	after string
	stop  func()
}

func (s *stopper) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if strings.Contains(s.String(), s.after) {
		s.stop()
	}
	return n, err
}

// TestLogsExportOutput: --output json, which all commands have, is --format json.
func TestLogsExportOutput(t *testing.T) {
	dir := logSample(t)
	for _, c := range []struct {
		args string
		exit int
		want string // at the beginning of what is printed, or within the error
	}{
		{"-o json", exitDone, "{"}, {"--format json", exitDone, "{"}, {"-o json --format json", exitDone, "{"}, {"-o table --format json", exitDone, "{"},
		{"", exitDone, "#Software"}, {"--format csv", exitDone, "#Software"}, {"-o json --format csv", exitUsage, "leave out one"},
	} {
		exit, out, errs := logsCommand(t, dir, append([]string{"export", "08DF000000000AAA", "--log", "receive"}, strings.Fields(c.args)...)...)
		if exit != c.exit || exit == exitDone && !strings.HasPrefix(strings.TrimPrefix(out, "\ufeff"), c.want) || exit != exitDone && !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, %.80q, %q", c.args, exit, out, errs)
		}
	}
	if exit, _, errs := logsCommand(t, dir, "search", "", "--until", "now"); exit != exitUsage || !strings.Contains(errs, "TEXT is empty") || strings.Contains(errs, "--TEXT") {
		t.Errorf("search '': exit %d, %q", exit, errs)
	}
	if exit, out, errs := logsCommand(t, dir, "sessions", "--until", "now"); exit != exitDone {
		t.Errorf("--until now: exit %d, %q, %q", exit, out, errs)
	}
}

// TestLogsSessionsNarrow: an id is never broken, however narrow the terminal is.
func TestLogsSessionsNarrow(t *testing.T) {
	dir := logSample(t)
	for _, columns := range []string{"80", "60", "40"} {
		t.Setenv("COLUMNS", columns)
		_, out, _ := logsCommand(t, dir, "sessions")
		for _, id := range []string{"08DF000000000AAA", "08DF000000000BBB", "08DF000000001AAA"} {
			if !strings.Contains(out, id) {
				t.Errorf("%s columns: %s is not whole in\n%s", columns, id, out)
			}
		}
	}
}
