//go:build linux

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is handed out is what was in the logs, masked where that is wanted, in
// files that nobody else reads, and our own commands read it.
func TestExport(t *testing.T) {
	t.Parallel()
	hop := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if strings.HasPrefix(line, "RCPT TO:<wyzzyx@") {
			return "550 5.1.1 <wyzzyx@y.example>: wyzzyx is unknown to vwxyza"
		}
		return ""
	}})
	inside := newSink(t, sinkOptions{})
	e := tracedEdge(t, "csv", "")
	e.route("out", "*", hop.addr, verbose)
	e.route("inside", "contoso.example", inside.addr, verbose)
	e.serve(t)
	c := dial(t, e.addr)
	r, err := c.submit("<vwxyza@contoso.example>", []string{"wyzzyx@y.example", "zyxwvu@y.example"}, []byte(strings.ReplaceAll(letter("handed"), "hello", "vwxyza")))
	if err != nil || r.code != 250 {
		t.Fatal(r, err)
	}
	s := e.ended(t, "handed@client.example")
	until(t, "the sessions in the log", func() bool { // each log is written on its own
		s = e.story(t, "handed@client.example")
		return len(s.Sessions) == 2 && len(s.Notifications) == 1 && len(s.Notifications[0].Sessions) == 1
	})
	dir := filepath.Join(e.dir, "out")

	// A story, in the files of all logs.
	for _, format := range []string{"csv", "json"} {
		to := filepath.Join(dir, format)
		e.wants(t, 0, "masked", "logs", "export", s.ID, "--mask", "--out", to, "--format", format)
		files, err := os.ReadDir(to)
		if err != nil || len(files) < 3 {
			t.Fatalf("%d files: %v", len(files), err)
		}
		suffix := map[string]string{"csv": ".log", "json": ".jsonl"}[format]
		for _, f := range files {
			info, err := f.Info()
			if err != nil || info.Mode().Perm() != 0o600 || !regexp.MustCompile(`^(RECV|SEND|MSGTRK|CONNECTLOG|AGENTLOG)\d{8}-1\`+suffix+`$`).MatchString(f.Name()) {
				t.Errorf("%s has mode %v: %v", f.Name(), info.Mode(), err)
			}
			text, err := os.ReadFile(filepath.Join(to, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"wyzzyx", "vwxyza", "zyxwvu"} {
				if strings.Contains(strings.ToLower(string(text)), name) {
					t.Errorf("%s stands in %s:\n%s", name, f.Name(), text)
				}
			}
		}
		// The story that it tells is the same, of the same people.
		masked := e.story(t, s.ID, "--logs", to)
		if masked.kinds() != s.kinds() || len(masked.Notifications) != len(s.Notifications) || len(masked.Sessions) != len(s.Sessions) ||
			masked.Sender != masked.Notifications[0].Recipients[0].Address || !strings.HasSuffix(masked.Recipients[0].Address, "@y.example") {
			t.Errorf("%s: the masked story is %s of %+v, want %s of %+v", format, masked.kinds(), masked, s.kinds(), s)
		}
		e.wants(t, 1, "exists already", "logs", "export", s.ID, "--mask", "--out", to, "--format", format)
		e.wants(t, 0, "masked", "logs", "export", s.ID, "--mask", "--out", to, "--format", format, "--force")
		e.wants(t, 0, "RCPT TO:<masked-", "logs", "show", s.Arrival.Session, "--logs", to)
	}

	// A session, on standard output; it is the same with the same key alone.
	key := filepath.Join(e.dir, "key")
	writeFile(t, key, strings.Repeat("k", 40))
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	export := func(args ...string) string {
		code, stdout, stderr := e.postern(t, append([]string{"logs", "export"}, args...)...)
		if code != 0 {
			t.Fatalf("export %v: exit code %d\n%s", args, code, stderr)
		}
		return stdout
	}
	plain := export(s.Arrival.Session)
	if !strings.HasPrefix(plain, "#Software: Postern\n") || !strings.Contains(plain, "RCPT TO:<wyzzyx@y.example>") {
		t.Errorf("the session is\n%s", plain)
	}
	if one, same, other := export(s.Arrival.Session, "--mask-key", key), export(s.Arrival.Session, "--mask-key", key), export(s.Arrival.Session, "--mask"); one != same || one == other || one == plain {
		t.Errorf("with one key came\n%s\nand\n%s\nwithout\n%s", one, same, other)
	}
	if text := export("--from", "contoso.example", "--direction", "receive", "--format", "json", "--mask-ips", "--mask-domains"); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "y.example") || !json.Valid([]byte(strings.SplitN(text, "\n", 2)[0])) {
		t.Errorf("the result is\n%s", text)
	}
	if text := export("--log", "tracking", "--to", "zyxwvu@y.example"); !strings.Contains(text, ",RECEIVE,"+s.ID) || !strings.Contains(text, "#Log-type: Message Tracking Log") {
		t.Errorf("tracking is\n%s", text)
	}

	one := filepath.Join(dir, "one.log")
	e.wants(t, 0, "with addresses as they are", "logs", "export", s.Arrival.Session, "--out", one)
	e.wants(t, 0, s.Arrival.Session, "logs", "sessions", "--logs", one)
	for _, c := range []struct {
		code int
		want string
		args string
	}{
		{2, "several logs", s.ID},
		{1, "no session and no message", "0000000000000000"},
		{1, "nothing was found", "--from nobody@nowhere.example"},
		{2, "does not go together with ids", s.ID + " --from a@b.example"},
		{2, "the connectivity log does not know that", "--log connectivity --from a@b.example"},
		{2, "want receive, send", "--log moon"},
		{2, "want csv or json", "--format xml"},
		{1, "--mask-key", s.ID + " --mask-key " + filepath.Join(e.dir, "none")},
	} {
		e.wants(t, c.code, c.want, append([]string{"logs", "export"}, strings.Fields(c.args)...)...)
	}
}
