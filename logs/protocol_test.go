package logs

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postern/config"
	"postern/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	local  = netip.MustParseAddrPort("192.0.2.10:25")
	remote = netip.MustParseAddrPort("198.51.100.7:40122")
)

// open starts a log below dir; trouble is the test's unless the options listen
// for it.
func open(t testing.TB, dir string, o Options, fs fileSystem) *Protocol {
	t.Helper()
	o.Log.Enabled, o.Log.Directory = true, filepath.Join(dir, filepath.FromSlash(o.Kind.Layout().Directory))
	if o.OnError == nil {
		o.OnError = func(err error) { t.Errorf("trouble: %v", err) }
	}
	p, err := openProtocol(o, fs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closeLog(t testing.TB, p *Protocol) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// files returns the files of the receive log and what is in them, in the order
// of their names as numbers.
func files(t testing.TB, dir string) (names, contents []string) {
	t.Helper()
	set := &fileSet{fs: osFS{}, target: &target{directory: filepath.Join(dir, "ProtocolLog", "SmtpReceive"), layout: ReceiveProtocol.Layout()}}
	list, err := set.list()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(set.directory, f.name))
		if err != nil {
			t.Fatal(err)
		}
		names, contents = append(names, f.name), append(contents, string(b))
	}
	return names, contents
}

// lines reads all lines of all files; anything that is neither a line nor a
// comment fails the test.
func lines(t testing.TB, dir string) []Line {
	t.Helper()
	var out []Line
	names, contents := files(t, dir)
	for i, c := range contents {
		if !strings.HasPrefix(c, software) || !strings.HasSuffix(c, "\n") {
			t.Errorf("%s begins or ends badly: %.100q", names[i], c)
		}
		for _, text := range strings.Split(strings.TrimSuffix(c, "\n"), "\n") {
			l, err := ParseLine(text)
			if errors.Is(err, ErrComment) {
				continue
			}
			if err != nil {
				t.Errorf("%s: %q: %v", names[i], text, err)
			}
			out = append(out, l)
		}
	}
	return out
}

// expectSequence holds that a session's lines are there from 0 to n-1.
func expectSequence(t testing.TB, got []Line, n int) {
	t.Helper()
	for i, l := range got {
		if l.Sequence != i {
			t.Fatalf("line %d has sequence number %d", i, l.Sequence)
		}
	}
	if len(got) != n {
		t.Fatalf("%d lines, want %d", len(got), n)
	}
}

// TestFormat holds the file against the reference, octet for octet. The bubble's
// clock starts at midnight of 1 January 2000, UTC.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := open(t, dir, Options{Server: "EDGE01"}, osFS{})
		time.Sleep(8*time.Hour + 101*time.Millisecond)
		s := p.Session("From Internet", "08DD5A0B1C2D3E4F", local, remote)
		s.Connect()
		s.Info("SMTPSubmit SMTPAcceptAnySender", "Set Session Permissions")
		s.Sent("220 edge01.example.org ESMTP ready at Tue, 4 Mar 2025 08:00:00 +0000")
		time.Sleep(time.Second)
		s.Received("EHLO mx.example.net")
		s.Received(`MAIL FROM:<"a,b"@example.net>`)
		s.Received("AUTH " + Redacted)
		s.Received("NOOP \r\n2000-01-01T00:00:00.000Z,forged\x1b[2J\x00\xff\u202e")
		s.Info("", "Tarpit for '0.00:00:05'")
		s.Received("=cmd|' /C calc'!A0")
		s.Disconnect("Remote")
		v6 := p.Session(`A,"B"`, "08DD5A0B1C2D3E50", netip.AddrPort{}, netip.MustParseAddrPort("[::ffff:192.0.2.1]:1"))
		v6.Info("", "attempting to connect")
		v6.SetEndpoints(netip.MustParseAddrPort("[2001:db8::1]:25"), netip.MustParseAddrPort("[2001:db8::2]:1"))
		v6.Connect()
		closeLog(t, p)
	})
	const head = "EDGE01\\From Internet,08DD5A0B1C2D3E4F,"
	const ends = ",192.0.2.10:25,198.51.100.7:40122,"
	want := strings.Join([]string{
		"#Software: Postern",
		"#Version: 15.0.0.0",
		"#Log-type: SMTP Receive Protocol Log",
		"#Date: 2000-01-01T08:00:01.101Z",
		"#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context",
		"2000-01-01T08:00:00.101Z," + head + "0" + ends + "+,,",
		"2000-01-01T08:00:00.101Z," + head + "1" + ends + "*,SMTPSubmit SMTPAcceptAnySender,Set Session Permissions",
		"2000-01-01T08:00:00.101Z," + head + "2" + ends + `>,"220 edge01.example.org ESMTP ready at Tue, 4 Mar 2025 08:00:00 +0000",`,
		"2000-01-01T08:00:01.101Z," + head + "3" + ends + "<,EHLO mx.example.net,",
		"2000-01-01T08:00:01.101Z," + head + "4" + ends + `<,"MAIL FROM:<""a,b""@example.net>",`,
		"2000-01-01T08:00:01.101Z," + head + "5" + ends + "<,AUTH <redacted>,",
		"2000-01-01T08:00:01.101Z," + head + "6" + ends + `<,"NOOP \x0D\x0A2000-01-01T00:00:00.000Z,forged\x1B[2J\x00\xFF\xE2\x80\xAE",`,
		"2000-01-01T08:00:01.101Z," + head + "7" + ends + "*,,Tarpit for '0.00:00:05'",
		"2000-01-01T08:00:01.101Z," + head + "8" + ends + `<,\x3Dcmd|' /C calc'!A0,`,
		"2000-01-01T08:00:01.101Z," + head + "9" + ends + "-,,Remote",
		`2000-01-01T08:00:01.101Z,"EDGE01\A,""B""",08DD5A0B1C2D3E50,0,,192.0.2.1:1,*,,attempting to connect`,
		`2000-01-01T08:00:01.101Z,"EDGE01\A,""B""",08DD5A0B1C2D3E50,1,[2001:db8::1]:25,[2001:db8::2]:1,+,,`,
	}, "\n") + "\n"
	names, contents := files(t, dir)
	if len(names) != 1 || names[0] != "RECV20000101-1.log" {
		t.Fatalf("files: %v", names)
	}
	// The flush after 250 ms wrote the first three lines and with them the date.
	if got := strings.Replace(contents[0], "#Date: 2000-01-01T08:00:00.351Z", "#Date: 2000-01-01T08:00:01.101Z", 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for path, mode := range map[string]fs.FileMode{"ProtocolLog/SmtpReceive/RECV20000101-1.log": 0o640, "ProtocolLog/SmtpReceive": 0o750, "ProtocolLog": 0o750} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode().Perm()&^mode != 0 {
			t.Errorf("%s: %v, %v; want at most %v", path, info.Mode(), err, mode)
		}
	}
}

func TestSendLog(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, Options{Kind: SendProtocol, Server: "EDGE01"}, osFS{})
	p.Session("Internet", "08DD5A0B1C2D3E4F", local, remote).Connect()
	closeLog(t, p)
	name := filepath.Join(dir, "ProtocolLog", "SmtpSend", "SEND"+time.Now().UTC().Format("20060102")+"-1.log")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); !strings.Contains(s, "\n#Log-type: SMTP Send Protocol Log\n") || !strings.Contains(s, "Z,Internet,08DD5A0B1C2D3E4F,0,") {
		t.Errorf("the send log is %s", s)
	}
}

func TestNothingLoggedMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	closeLog(t, open(t, dir, Options{}, osFS{}))
	if e, err := os.ReadDir(dir); err != nil || len(e) > 0 {
		t.Errorf("%v, %v", e, err)
	}
}

func TestNil(t *testing.T) {
	var p *Protocol
	s := p.Session("A", "B", local, remote)
	if s != nil {
		t.Fatal("a nil Protocol gave a Session")
	}
	s.Connect()
	s.Sent("250 OK")
	s.Received("NOOP")
	s.Info("a", "b")
	s.SetEndpoints(local, remote)
	s.Disconnect("Local")
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Log: config.Log{Enabled: true}}, {Kind: Agent, Log: config.Log{Directory: "x"}}, {Log: config.Log{Directory: "x", Format: "xml"}}, {Log: config.Log{Directory: "x", MaxFileSize: -1}}, {Log: config.Log{Directory: "x", MaxAge: -1}}, {Log: config.Log{Directory: "x", MaxDirectorySize: -1}}} {
		if p, err := OpenProtocol(o); err == nil {
			t.Errorf("%+v: no error", o)
			closeLog(t, p)
		}
	}
}

// TestFlush: a line is in the file within a second, without Close.
func TestFlush(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := open(t, dir, Options{}, osFS{})
		s := p.Session("A", "B", local, remote)
		for n := range 3 {
			s.Connect()
			time.Sleep(time.Second)
			synctest.Wait()
			expectSequence(t, lines(t, dir), n+1)
		}
		closeLog(t, p)
	})
}

// TestManySessions: lines of one session are in order, and the file is in order
// of time.
func TestManySessions(t *testing.T) {
	dir := t.TempDir()
	registry := new(metrics.Registry)
	var mu sync.Mutex
	var seen []Line
	p := open(t, dir, Options{Metrics: registry, Tee: func(l Line) { mu.Lock(); seen = append(seen, l); mu.Unlock() }}, osFS{})
	var wg sync.WaitGroup
	var ids SessionIDs
	for range 50 {
		wg.Go(func() {
			s := p.Session("A", ids.Next(), local, remote)
			for range 200 {
				s.Sent("250 2.1.5 Recipient OK")
			}
		})
	}
	wg.Wait()
	closeLog(t, p)
	next := make(map[string]int)
	var last time.Time
	got := lines(t, dir)
	for _, l := range got {
		if l.Sequence != next[l.Session] {
			t.Fatalf("session %s: line %d follows %d", l.Session, l.Sequence, next[l.Session])
		}
		next[l.Session]++
		if l.Time.Before(last) {
			t.Fatalf("%v comes after %v", l.Time, last)
		}
		last = l.Time
	}
	if len(next) != 50 || len(got) != 10_000 || len(seen) != 10_000 {
		t.Errorf("%d sessions, %d lines, %d seen live", len(next), len(got), len(seen))
	}
	teed := make(map[Line]bool)
	for _, l := range seen {
		teed[l] = true
	}
	for _, l := range got {
		if !teed[l] {
			t.Fatalf("not seen live: %+v", l)
		}
	}
	for _, s := range registry.Snapshot() {
		if want := map[string]int64{"log_lines": 10_000}[s.Name]; s.Value != want {
			t.Errorf("%s is %d, want %d", s.Name, s.Value, want)
		}
	}
}

// TestUseAfterClose: sessions may outlive the log.
func TestUseAfterClose(t *testing.T) {
	dir := t.TempDir()
	registry := new(metrics.Registry)
	p := open(t, dir, Options{Metrics: registry}, osFS{})
	s := p.Session("A", "1", local, remote)
	s.Connect()
	closeLog(t, p)
	s.Disconnect("Local")
	closeLog(t, p)
	expectSequence(t, lines(t, dir), 1)
	if n := registry.Counter("log_dropped_lines", metrics.Label{Name: "log", Value: "receive"}).Value(); n != 1 {
		t.Errorf("%d lines are counted as dropped", n)
	}
}
