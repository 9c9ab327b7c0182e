package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

func TestRotationBySize(t *testing.T) {
	dir := t.TempDir()
	const n = 3000
	for run := range 3 {
		p := open(t, dir, Options{Log: config.Log{MaxFileSize: 20_000}}, osFS{})
		s := p.Session("A", fmt.Sprintf("%016X", run), local, remote)
		for range n {
			s.Received("RCPT TO:<somebody@example.net>")
		}
		closeLog(t, p)
	}
	names, contents := files(t, dir)
	for i, c := range contents {
		if want := fmt.Sprintf("-%d.log", i+1); !strings.HasSuffix(names[i], want) {
			t.Errorf("file %d is %s", i, names[i])
		}
		if len(c) > 20_000 || i < len(contents)-1 && len(c) < 19_000 {
			t.Errorf("%s has %d octets", names[i], len(c))
		}
	}
	got := lines(t, dir)
	for run := range 3 {
		expectSequence(t, got[run*n:(run+1)*n], n)
	}
	if len(got) != 3*n {
		t.Errorf("%d lines, want %d", len(got), 3*n)
	}
}

func TestLineLargerThanAFile(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, Options{Log: config.Log{MaxFileSize: 300}}, osFS{})
	s := p.Session("A", "B", local, remote)
	for range 3 {
		s.Received(strings.Repeat("x", 2*MaxField))
	}
	closeLog(t, p)
	got := lines(t, dir)
	expectSequence(t, got, 3)
	if want := strings.Repeat("x", MaxField) + "[+4096 octets]"; got[0].Data != want {
		t.Errorf("the data is %.50q, %d octets", got[0].Data, len(got[0].Data))
	}
	if names, _ := files(t, dir); len(names) != 3 {
		t.Errorf("files: %v", names)
	}
}

func TestRotationByDay(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := open(t, dir, Options{Log: config.Log{MaxFileSize: 400}}, osFS{})
		s := p.Session("A", "B", local, remote)
		time.Sleep(24*time.Hour - 2*time.Millisecond)
		for range 12 { // the queue is written after midnight, in two files
			s.Connect()
			time.Sleep(time.Millisecond)
		}
		closeLog(t, p)
	})
	names, contents := files(t, dir)
	if got := strings.Join(names, " "); !strings.HasPrefix(got, "RECV20000101-1.log RECV20000102-1.log RECV20000102-2.log") {
		t.Errorf("files: %v", got)
	}
	for i, c := range contents {
		for _, text := range strings.Split(c, "\n") {
			day := strings.ReplaceAll(strings.SplitN(text, "T", 2)[0], "-", "")
			if text != "" && text[0] != '#' && !strings.Contains(names[i], day) {
				t.Errorf("%s holds %s", names[i], text)
			}
		}
	}
	expectSequence(t, lines(t, dir), 12)
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	d := filepath.Join(dir, "ProtocolLog", "SmtpReceive")
	keep := []string{"RECV20000101-1.log.gz", "RECV2000-1.log", "notes.txt", "RECV19990101-01.log", "SEND19990101-1.log", "RECV19990101-0.log"}
	synctest.Test(t, func(t *testing.T) {
		if err := os.MkdirAll(filepath.Join(d, "RECV19990102-1.log"), 0o700); err != nil { // a directory
			t.Fatal(err)
		}
		for _, name := range append(keep, "RECV19991130-1.log", "RECV19991202-1.log", "RECV19991231-9.log", "RECV19991231-10.log") {
			if err := os.WriteFile(filepath.Join(d, name), make([]byte, 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := open(t, dir, Options{Log: config.Log{MaxFileSize: 10_000, MaxDirectorySize: 12_000, MaxAge: 30 * 24 * time.Hour}}, osFS{})
		synctest.Wait()
		expectFiles(t, d, "RECV19991202-1.log RECV19991231-9.log RECV19991231-10.log") // by age, without a line
		p.Session("A", "B", local, remote).Connect()
		time.Sleep(time.Second)
		synctest.Wait()
		expectFiles(t, d, "RECV19991231-9.log RECV19991231-10.log RECV20000101-1.log") // by size
		time.Sleep(31*24*time.Hour + time.Hour)
		synctest.Wait()
		expectFiles(t, d, "RECV20000101-1.log") // the open file stays
		s := p.Session("A", "C", local, remote)
		for range 1000 {
			s.Received("RCPT TO:<somebody@example.net>")
		}
		closeLog(t, p)
	})
	_, contents := files(t, dir)
	if total := len(strings.Join(contents, "")); total > 12_000 || total < 2_000 {
		t.Errorf("the directory holds %d octets", total)
	}
	for _, name := range keep {
		if _, err := os.Stat(filepath.Join(d, name)); err != nil {
			t.Errorf("%s is not ours to delete: %v", name, err)
		}
	}
}

func expectFiles(t *testing.T, directory, want string) {
	t.Helper()
	names, _ := files(t, filepath.Dir(filepath.Dir(directory)))
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files: %s; want %s", got, want)
	}
}

// TestRestart goes on in a file whose last line a crash cut short, and not in
// files that are someone else's.
func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name, tail string // what the crash left behind the first line
		files      int
	}{
		{"whole", "", 1},
		{"torn line", "2000-01-01T00:00:0", 1},
		{"torn line with a comma", "2000-01-01T00:00:00.000Z,A,B,", 1},
		{"no line end for long", strings.Repeat("x", tail+1), 2},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			p := open(t, dir, Options{}, osFS{})
			p.Session("A", "1", local, remote).Connect()
			closeLog(t, p)
			name := filepath.Join(dir, "ProtocolLog", "SmtpReceive", "RECV20000101-1.log")
			appendTo(t, name, c.tail)
			p = open(t, dir, Options{}, osFS{})
			p.Session("A", "2", local, remote).Connect()
			closeLog(t, p)
			if c.files == 2 {
				appendTo(t, name, "\n")
			}
		})
		names, contents := files(t, dir)
		if len(names) != c.files || strings.Count(strings.Join(contents, ""), ",+,,\n") != 2 || strings.Count(strings.Join(contents, ""), "#Fields") != c.files {
			t.Errorf("%s: %v\n%.2000s", c.name, names, contents)
		}
	}
}

func appendTo(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestForeignFile(t *testing.T) {
	whole := string((&fileSet{target: &target{layout: ReceiveProtocol.Layout()}}).header(time.Now()))
	for _, c := range []struct {
		name, content string
		untouched     bool
	}{
		{"empty", "", false},
		{"header cut short", whole[:len(whole)-5], false},
		{"header cut very short", whole[:5], false},
		{"other columns", strings.Replace(whole, ",context", ",context,more", 1), true},
		{"not a log", "my notes\n", true},
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "ProtocolLog", "SmtpReceive", "RECV20000101-7.log")
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		appendTo(t, name, c.content)
		synctest.Test(t, func(t *testing.T) {
			p := open(t, dir, Options{}, osFS{})
			p.Session("A", "1", local, remote).Connect()
			closeLog(t, p)
		})
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.untouched != (string(b) == c.content) || !c.untouched && !strings.HasPrefix(string(b), software) {
			t.Errorf("%s: the file is now %s", c.name, b)
		}
		if c.untouched {
			expectFiles(t, filepath.Dir(name), "RECV20000101-7.log RECV20000101-8.log")
		} else {
			expectSequence(t, lines(t, dir), 1)
		}
	}
}

// TestFileDeleted: someone cleans up, and the log goes on in a new file.
func TestFileDeleted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := open(t, dir, Options{}, osFS{})
		s := p.Session("A", "1", local, remote)
		s.Connect()
		time.Sleep(time.Second)
		if err := os.RemoveAll(filepath.Join(dir, "ProtocolLog")); err != nil {
			t.Fatal(err)
		}
		s.Disconnect("Local")
		closeLog(t, p)
	})
	if got := lines(t, dir); len(got) != 1 || got[0].Event != EventDisconnect {
		t.Errorf("lines: %v", got)
	}
}
