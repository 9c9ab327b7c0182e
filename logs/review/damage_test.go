package review

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"postern/logs"
)

const ownHeader = "#Software: Postern\n#Version: 15.0.0.0\n#Log-type: SMTP Receive Protocol Log\n#Date: 2026-11-20T00:00:00.000Z\n" +
	"#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n"

// put writes a file below a directory.
func put(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// all reads all sessions that a query chooses.
func all(t testing.TB, files *Files, q *Query, p *Progress) []*Session {
	t.Helper()
	var list []*Session
	for s, err := range files.Sessions(context.Background(), q, p) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func filesAt(t testing.TB, paths ...string) *Files {
	t.Helper()
	files, err := At(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// session is the lines of a small session that was refused.
func session(id string, second int) []string {
	var out []string
	for i, l := range []string{"+,,", ">,220 edge ESMTP,", "<,EHLO mx.example,", ">,250 edge,", "<,MAIL FROM:<a@x.example>,", ">,250 2.1.0 Sender OK,",
		"<,RCPT TO:<b@contoso.example>,", ">,550 5.1.1 User unknown,", "-,,Remote"} {
		out = append(out, fmt.Sprintf("2026-11-20T10:00:%02d.%03dZ,EDGE\\In,%s,%d,192.0.2.1:25,198.51.100.7:1000,%s\n", second, i, id, i, l))
	}
	return out
}

// TestDamage reads files with what bad days leave in them.
func TestDamage(t *testing.T) {
	one, two, three := session("AAAAAAAAAAAAAAA1", 1), session("AAAAAAAAAAAAAAA2", 2), session("AAAAAAAAAAAAAAA3", 3)
	join := func(parts ...any) string {
		var b strings.Builder
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				b.WriteString(p)
			case []string:
				b.WriteString(strings.Join(p, ""))
			}
		}
		return b.String()
	}
	long := strings.Repeat("x", blockSize+blockSize/2) + "\n"
	for _, c := range []struct {
		name     string
		files    map[string]string
		want     string // sessions with their lines, missing ones, and O(pen) or H(eadless)
		bad      int64
		troubles int
	}{
		{"whole", map[string]string{"RECV20261120-1.log": join(ownHeader, one, two, three)}, "3:9 2:9 1:9", 0, 0},
		{"byte order mark and CRLF", map[string]string{"RECV20261120-1.LOG": "\xef\xbb\xbf" + strings.ReplaceAll(join(ownHeader, one, two), "\n", "\r\n")}, "2:9 1:9", 0, 0},
		{"no header", map[string]string{"RECV20261120-1.log": join(one, two)}, "2:9 1:9", 0, 0},
		{"byte order mark without a header", map[string]string{"RECV20261120-1.log": "\xef\xbb\xbf" + join(one)}, "1:9", 0, 0},
		{"empty files", map[string]string{"RECV20261120-1.log": "", "RECV20261120-2.log": ownHeader, "RECV20261120-3.log": join(ownHeader, one), "RECV20261121-1.log": ""}, "1:9", 0, 0},
		{"torn first line", map[string]string{"RECV20261120-1.log": join(one[3][40:], one[4:], two)}, "2:9 1:5-4H", 1, 0},
		{"last line of a live file", map[string]string{"RECV20261120-1.log": join(ownHeader, one, two[:5], two[5][:60])}, "2:5O 1:9", 0, 0},
		{"last line of a rotated file", map[string]string{"RECV20261120-1.log": join(ownHeader, one, two[:5], two[5][:60]), "RECV20261120-2.log": join(ownHeader, two[6:])}, "2:8-1 1:9", 1, 0},
		{"garbage in the midst", map[string]string{"RECV20261120-1.log": join(ownHeader, one, "\x01\xff\x00 garbage, all of it\n,,,,,,,,\n\n\n", two, "{\"log\":\"receive\"}\n{broken\n")}, "2:9 1:9", 4, 0},
		{"NULs", map[string]string{"RECV20261120-1.log": join(ownHeader, one, strings.Repeat("\x00", 5000), "\n", two)}, "2:9 1:9", 1, 0},
		{"a line longer than a block", map[string]string{"RECV20261120-1.log": join(ownHeader, one, long, two)}, "2:9 1:9", 1, 0},
		{"a line longer than lines are", map[string]string{"RECV20261120-1.log": join(ownHeader, one, strings.Repeat("y", maxLine+1)+"\n", two)}, "2:9 1:9", 1, 0},
		{"nothing but a long line", map[string]string{"RECV20261120-1.log": strings.Repeat("x", 3*blockSize)}, "", 0, 0},
		{"lines that are missing", map[string]string{"RECV20261120-1.log": join(ownHeader, one[:3], one[6:], "#Dropped: 3 lines from 2026-11-20T10:00:01.000Z to 2026-11-20T10:00:01.000Z\n")}, "1:6-3", 0, 0},
		{"over files", map[string]string{"RECV20261120-1.log": join(ownHeader, one[:4], two[:1]), "RECV20261120-2.log": join(ownHeader, one[4:6]), "RECV20261121-1.log": join(ownHeader, two[1:], one[6:])}, "2:9 1:9", 0, 0},
		{"by number, not by name", map[string]string{"RECV20261120-9.log": join(ownHeader, one[:4]), "RECV20261120-10.log": join(ownHeader, one[4:])}, "1:9", 0, 0},
		{"by hours, as newer servers have them", map[string]string{"RECV2026112009-1.LOG": join(ownHeader, one[:4]), "RECV2026112010-1.LOG": join(ownHeader, one[4:])}, "1:9", 0, 0},
		{"no end, no beginning", map[string]string{"RECV20261120-1.log": join(ownHeader, one[:4], two[4:])}, "1:4O 2:5-4H", 0, 0},
		{"an id that comes twice", map[string]string{"RECV20261120-1.log": join(ownHeader, one, strings.Join(session("AAAAAAAAAAAAAAA1", 30), ""))}, "1:9 1:9", 0, 0},
		{"a clock set back", map[string]string{"RECV20261120-1.log": join(ownHeader, three, session("AAAAAAAAAAAAAAA2", 2))}, "2:9 3:9", 0, 0},
		{"a clock set back in the midst of a session", map[string]string{"RECV20261120-1.log": join(ownHeader, strings.Replace(one[0], "T10:", "T23:", 1), one[1:])}, "1:9", 0, 0},
		{"other columns", map[string]string{"RECV20261120-1.log": "#Software: Microsoft Exchange Server\n#Fields: session-id,sequence-number,date-time,event,data,context,new\n" +
			"AAAAAAAAAAAAAAA7,0,2026-11-20T10:00:00.000Z,+,,,x\nAAAAAAAAAAAAAAA7,1,2026-11-20T10:00:00.000Z,-,,Local,y\n"}, "7:2", 0, 0},
		{"not compressed at all", map[string]string{"RECV20261120-1.log.gz": "no gzip", "RECV20261120-2.log": join(ownHeader, one)}, "1:9", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				put(t, dir, name, text)
			}
			var p Progress
			var got []string
			for _, s := range all(t, filesAt(t, dir), &Query{}, &p) {
				text := fmt.Sprintf("%s:%d", s.ID[15:], s.LineCount)
				if s.Missing > 0 {
					text += fmt.Sprintf("-%d", s.Missing)
				}
				if s.Open {
					text += "O"
				}
				if s.Headless {
					text += "H"
				}
				got = append(got, text)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("sessions %s, want %s", text, c.want)
			}
			bad, places := p.Unreadable()
			if bad != c.bad || len(p.Troubles()) != c.troubles {
				t.Errorf("%d unreadable lines (%q), troubles %q; want %d and %d", bad, places, p.Troubles(), c.bad, c.troubles)
			}
		})
	}
}

// TestVanishing: files go, shrink and grow while they are read.
func TestVanishing(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	var paths []string
	for day := range 9 {
		var b strings.Builder
		b.WriteString(ownHeader)
		for n := range 3000 {
			for _, l := range session(fmt.Sprintf("AAAAAAAAAAA%01d%04d", day, n), 1) {
				b.WriteString(strings.Replace(l, "2026-11-20", fmt.Sprintf("2026-11-2%d", day), 1))
			}
		}
		paths = append(paths, put(t, dir, fmt.Sprintf("RECV2026112%d-1.log", day), b.String()))
	}
	var p Progress
	n := 0
	for _, err := range filesAt(t, dir).Sessions(context.Background(), &Query{}, &p) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 1 {
			continue
		}
		if err := os.Remove(paths[1]); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(paths[2], 1000); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(paths[8], os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(strings.Repeat("more\n", 1000))
		f.Close()
		text, err := os.ReadFile(paths[3])
		if err != nil {
			t.Fatal(err)
		}
		writeZipped(t, paths[3]+".gz", text) // gzip(1) at work
		if err := os.Remove(paths[3]); err != nil {
			t.Fatal(err)
		}
	}
	if n < 7*3000 || n > 7*3000+10 {
		t.Errorf("%d sessions, want those of seven whole files", n)
	}
	if len(p.Troubles()) != 1 || !strings.Contains(p.Troubles()[0], "removed") {
		t.Errorf("troubles %q, want the removed file alone", p.Troubles())
	}
}

func writeZipped(t testing.TB, path string, text []byte) {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestStopping: nothing goes on once a loop is left, by any way.
func TestStopping(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	writeOut(t, dir, 6<<20, false)
	files := filesAt(t, dir)
	for range files.Sessions(context.Background(), &Query{}, nil) {
		break
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	var last error
	for _, err := range files.Sessions(ctx, &Query{}, nil) {
		last = err
		if n++; n == 10 {
			cancel()
		}
	}
	if last != context.Canceled || n > 12 {
		t.Errorf("%d values, the last with %v; want the context's error shortly behind ten", n, last)
	}
	cancel()
	for _, err := range filesAt(t, t.TempDir()).Sessions(context.Background(), &Query{}, nil) {
		if err == nil || !strings.Contains(err.Error(), "no log files found (receive, send)") {
			t.Errorf("an empty directory: %v", err)
		}
	}
	if _, err := At(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

// TestLargeZip: what is too large for memory goes through a temporary file, and
// nothing is left of it.
func TestLargeZip(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dir := t.TempDir()
	for file, sessions := range []int{16_000, 1_000} {
		var b strings.Builder
		b.WriteString(ownHeader)
		for n := range sessions {
			for _, l := range session(fmt.Sprintf("AAAAAAAAA%d%06d", file, n), 1) {
				b.WriteString(l)
			}
		}
		put(t, dir, fmt.Sprintf("RECV20261120-%d.log", file+1), b.String())
	}
	want := len(all(t, filesAt(t, dir), &Query{}, nil))
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	big := false
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		big = big || len(text) > zippedInMemory
		writeZipped(t, path+".gz", text)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	var p Progress
	if got := len(all(t, filesAt(t, dir), &Query{}, &p)); got != want || !big {
		t.Errorf("%d sessions from compressed files, want %d (large enough: %v); %q", got, want, big, p.Troubles())
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 && runtime.GOOS != "windows" {
		t.Errorf("left behind: %v", left)
	}
	// Cut in the midst, what is before the cut is read.
	zipped, err := os.ReadFile(paths[0] + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	cut := put(t, t.TempDir(), "RECV20261101-1.log.gz", string(zipped[:len(zipped)*9/10]))
	p = Progress{}
	if got := len(all(t, filesAt(t, cut), &Query{}, &p)); got == 0 || len(p.Troubles()) != 1 {
		t.Errorf("%d sessions of a file that is cut off, troubles %q", got, p.Troubles())
	}
}

// TestBackward: blocks of any size give each line once, from the last to the
// first.
func TestBackward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(0, 60), 0, 40).Draw(t, "lengths")
		var b bytes.Buffer
		var want []string
		for i, n := range lengths {
			line := strings.Repeat(string(rune('a'+i%26)), n) + "\n"
			want = append(want, line)
			b.WriteString(line)
		}
		torn := rapid.IntRange(0, 30).Draw(t, "torn")
		b.WriteString(strings.Repeat("#", torn))
		size := rapid.IntRange(62, 200).Draw(t, "block")
		w := &backward{c: &content{ReaderAt: bytes.NewReader(b.Bytes()), size: int64(b.Len())}, file: &openFile{}, p: new(Progress), end: int64(b.Len()), partial: true, expected: true}
		var got []string
		for {
			block := w.next(make([]byte, size))
			if block == nil {
				break
			}
			lines := strings.SplitAfter(strings.TrimSuffix(string(block.lines), "\n"), "\n")
			lines[len(lines)-1] += "\n"
			got = append(lines, got...)
			if string(b.Bytes()[block.offset:block.offset+int64(len(block.lines))]) != string(block.lines) {
				t.Fatalf("the block at %d is not there", block.offset)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("lines %q, want %q", got, want)
		}
		if bad, _ := w.p.Unreadable(); bad != 0 {
			t.Fatalf("%d unreadable", bad)
		}
	})
}

// TestOpenSessions: however many and however long the sessions are that are open
// at once, memory is bounded, and every session comes.
func TestOpenSessions(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	b.WriteString(ownHeader)
	start := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	const sessions, rounds = 400, 150
	write := func(id, sequence int, e logs.Event, data string) {
		l := logs.Line{Time: start.Add(time.Duration(b.Len()/1000) * time.Millisecond), Connector: `EDGE\In`, Session: fmt.Sprintf("AAAAAAAAAAAA%04d", id), Sequence: sequence, Event: e, Data: data}
		b.Write(l.Append(nil))
	}
	for id := range sessions {
		write(id, 0, logs.EventConnect, "")
	}
	for round := range rounds {
		for id := range sessions {
			text := "NOOP " + strings.Repeat("z", 700)
			if round == rounds/2 && id == 123 {
				text = "NOOP needle"
			}
			write(id, round+1, logs.EventReceived, text)
		}
	}
	for id := range sessions {
		write(id, rounds+1, logs.EventDisconnect, "")
	}
	put(t, dir, "RECV20261120-1.log", b.String())
	found := all(t, filesAt(t, dir), &Query{Lines: true}, nil)
	held := 0
	for _, s := range found {
		if s.LineCount != rounds+2 || s.Missing != 0 || s.Headless || s.Open {
			t.Fatalf("session %s has %d lines, %d missing", s.ID, s.LineCount, s.Missing)
		}
		for _, l := range s.Lines {
			held += len(l.Data)
		}
	}
	if len(found) != sessions || held > 2*maxPendingOctets {
		t.Errorf("%d sessions with %d octets, want %d with no more than %d", len(found), held, sessions, 2*maxPendingOctets)
	}
	if !found[0].Omitted {
		t.Error("a session whose lines were left out does not say so")
	}
	// What was left out was looked at all the same.
	if got := all(t, filesAt(t, dir), &Query{Text: "needle"}, nil); len(got) != 1 || got[0].ID != "AAAAAAAAAAAA0123" {
		t.Errorf("the text in the middle of a long session was not found: %d sessions", len(got))
	}
}

// TestEndlessBeginnings: sessions whose beginnings never come, more than may be
// open at once, come all the same, once each.
func TestEndlessBeginnings(t *testing.T) {
	a := assembler{m: newMatcher(&Query{}, logs.Receive)}
	form := formatIn([]byte(ownHeader))
	seen := make(map[string]int)
	const blocks, each = 9, 5000
	for n := range blocks {
		b := &parsed{known: true, newest: int64(1e12 - n), oldest: int64(1e12 - n)}
		for i := range each {
			b.items = append(b.items, item{offset: each - i, part: &part{id: fmt.Sprintf("%d-%d", n, i), first: b.newest, last: b.newest, count: 1, high: 3, ends: true, format: form,
				lines: []byte("2026-11-20T10:00:01.000Z,In,X,3,,,-,,Remote\n")}})
		}
		for _, s := range a.add(b) {
			seen[s.ID]++
		}
		if len(a.open) > maxPending {
			t.Fatalf("%d sessions are open", len(a.open))
		}
	}
	if len(seen) == 0 || len(seen) == blocks*each {
		t.Fatalf("%d of %d sessions came early, want some", len(seen), blocks*each)
	}
	for _, s := range a.rest() {
		seen[s.ID]++
		if !s.Headless || s.Missing != 3 {
			t.Fatalf("session %+v", s)
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("session %s came %d times", id, n)
		}
	}
	if len(seen) != blocks*each || a.octets != 0 {
		t.Errorf("%d sessions, want %d; %d octets are left", len(seen), blocks*each, a.octets)
	}
}
