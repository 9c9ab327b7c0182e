package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/backpressure"
	"postern/internal/control"
	ptls "postern/tls"
)

// busy is a gateway that is well, with figures as long as they get.
func busy() *control.Status {
	st := &control.Status{
		Verdict: control.Verdict{Condition: control.Well},
		Trend:   control.Trend{Seconds: 69.5, Submitted: 120_000, Delivered: 240_000, Deferrals: 10_000, Failed: 9_000},
		Server: control.ServerStatus{FQDN: "edge.contoso.example", Version: control.Version{Version: "0.1.0-dev", Revision: strings.Repeat("a", 40), Go: "go1.26.0", Platform: "linux/amd64"},
			Started: noon().Add(-5000 * time.Hour), Uptime: 5000 * 3600},
		Queues: control.QueueStatus{Messages: 1_200_000, Distinct: 1_000_000, InFlight: 5000, Deferred: 900_000, Unreachable: 100, Oldest: noon().Add(-50 * time.Hour),
			Submitted: 1 << 40, Delivered: 1 << 40, Failed: 1 << 30, Expired: 1 << 20},
		Spool: control.SpoolStatus{Bytes: 1 << 40, LastSync: 0.0021, MaxSync: 1.25},
		BackPressure: backpressure.Status{Enabled: true, Resources: []backpressure.ResourceStatus{
			{Name: backpressure.Disk, State: backpressure.StateWatched, Used: 50, Medium: 60, ValueText: "59.1GB free of 91.1GB", MediumText: "1GB free"},
			{Name: backpressure.Memory, State: backpressure.StateWatched, Used: 1, Medium: 60, ValueText: "17MB", MediumText: "17GB"},
			{Name: backpressure.Inodes, State: backpressure.StateUnknown, Used: 100, Medium: 1},
		}},
	}
	st.Certificates = []ptls.Shown{{FriendlyName: "edge.contoso.example, from an authority with a long name", NotAfter: noon().Add(80 * 24 * time.Hour)}, {FriendlyName: "b"}}
	for i := range 12 {
		st.Events = append(st.Events, control.Event{Time: noon().Add(-time.Duration(i) * time.Hour), Level: "warn", ID: 22000, Area: "queue", Text: "message deferred", Repeated: 12,
			Attributes: map[string]string{"connector": "To organization\x1b[31m", "reply": strings.Repeat("x", 500)}})
	}
	for _, a := range []string{"0.0.0.0:25", "[::]:25", "0.0.0.0:587", "[::]:587"} {
		st.Listeners = append(st.Listeners, control.Listener{Address: a, Listening: true})
	}
	return st
}

// TestStatusFits: when all is well the answer fits a screen of 24 lines and 80
// columns.
func TestStatusFits(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	var out bytes.Buffer
	a := &app{streams: streams{out: &out}}
	a.printStatus(busy(), noon(), false)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if lines[0] != "edge.contoso.example: well" || len(lines) > 23 || !strings.Contains(out.String(), "    1h00m ago  message deferred (22000), 12 times: To organization?[31m\n") {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("a line of %d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
	if words := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(words, "normal; nearest to its limit is disk: 59.1GB free of 91.1GB, medium from 1GB free") {
		t.Errorf("no pressure:\n%s", out.String())
	}
}

func TestStatusPlurals(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 messages", 1: "1 message", 2: "2 messages"} {
		if got := counted(n, "message"); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// plugin is what the guidelines for Nagios plugins ask of the line: text without
// "|", and figures as name=value[unit];warning;critical;least;most.
var plugin = regexp.MustCompile(`^POSTERN (OK|WARNING|CRITICAL) - [^|]+ \| (\w+=-?[0-9.]+(s|B|c)?(;[0-9.]*){0,4})( \w+=-?[0-9.]+(s|B|c)?(;[0-9.]*){0,4})*\n$`)

func TestStatusCheck(t *testing.T) {
	reason := func(c control.Condition, text string) *control.Status {
		st := busy()
		st.Verdict = control.Verdict{Condition: c, Reasons: []control.Reason{{Condition: c, About: "queues", Text: text, Remedy: "r"}}}
		return st
	}
	for _, tt := range []struct {
		st   *control.Status
		err  error
		t    control.Thresholds
		code int
		want string
	}{
		{st: busy(), code: 0, want: "POSTERN OK - edge.contoso.example is well | queued=1000000;10000;30000;0 oldest="},
		{st: busy(), t: control.Thresholds{MaxAge: time.Hour, MaxQueue: 7}, code: 0, want: "queued=1000000;7;21;0 "},
		{st: busy(), t: control.Thresholds{MaxAge: time.Hour}, code: 0, want: "s;3600;10800;0 deferred=900000;;;0 in=1726.62;;;0 out=3453.24;;;0 pressure=0;1;2;0;2 uptime=18000000s;;;0"},
		{st: reason(control.Look, "the oldest waits"), code: 1, want: "POSTERN WARNING - edge.contoso.example: the oldest waits | queued="},
		{st: reason(control.Trouble, "a|b\r\nPOSTERN OK - \x1b[2J"), code: 2, want: "POSTERN CRITICAL - edge.contoso.example: a/b  POSTERN OK - ?[2J | queued="},
		{err: errors.New("no running gateway answers on /x|y\n: refused"), code: 3, want: "POSTERN UNKNOWN - no running gateway answers on /x/y : refused\n"},
	} {
		var out bytes.Buffer
		a := &app{streams: streams{out: &out}, output: "table"}
		err := a.checkStatus(tt.st, tt.err, tt.t)
		code := 0
		if e, ok := errors.AsType[exitCode](err); ok {
			code = int(e)
		}
		if code != tt.code || !strings.Contains(out.String(), tt.want) || tt.err == nil && !plugin.MatchString(out.String()) {
			t.Errorf("exit code %d, want %d with %q:\n%s", code, tt.code, tt.want, out.String())
		}
	}
	var out bytes.Buffer
	a := &app{streams: streams{out: &out}, output: "json"}
	var v control.Verdict
	if err := a.checkStatus(reason(control.Look, "x"), nil, control.Thresholds{}); err != exitCode(1) {
		t.Errorf("as JSON: %v", err)
	}
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || v.Condition != control.Look || len(v.Reasons) != 1 {
		t.Errorf("%v in %s", err, out.String())
	}
}

// TestStatusExitCodes: those of the program.
func TestStatusExitCodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "postern.toml")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--check"}, 3, "POSTERN UNKNOWN - "},
		{nil, exitFailed, ""}, // the file is not there
		{[]string{"--check", "--max-age", "soon"}, 2, "--max-age soon"},
		{[]string{"--max-age", "0s"}, 2, "--max-age 0s"},
		{[]string{"--max-queue", "-1"}, 2, "--max-queue -1"},
		{[]string{"--max-queue", "0"}, 2, "--max-queue 0"},
		{[]string{"--check", "--timeout", "0s"}, 2, "--timeout 0s"},
		{[]string{"--check", "now"}, 2, ""},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), append([]string{"status", "--config", file}, tt.args...), streams{strings.NewReader(""), &out, &errs})
		if code != tt.code || !strings.Contains(out.String()+errs.String(), tt.want) {
			t.Errorf("%v: exit code %d, want %d with %q:\n%s%s", tt.args, code, tt.code, tt.want, out.String(), errs.String())
		}
	}
}
