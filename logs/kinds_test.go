package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postern/config"
)

// subject is a log under test, of any kind; its lines carry a number.
type subject struct {
	kind   Kind
	format string
}

// subjects are all logs of lines in both formats.
func subjects() []subject {
	var all []subject
	for _, k := range []Kind{ReceiveProtocol, SendProtocol, Connectivity, MessageTracking, Agent} {
		all = append(all, subject{k, "csv"}, subject{k, "json"})
	}
	return all
}

func eachKind(t *testing.T, test func(t *testing.T, s subject)) {
	for _, s := range subjects() {
		t.Run(s.kind.String()+" "+s.format, func(t *testing.T) { test(t, s) })
	}
}

// numbered is an open log.
type numbered struct {
	write     func(n int)
	configure func(config.Log) error
	close     func(context.Context) error
}

func (s subject) settings(directory string) config.Log {
	return config.Log{Enabled: true, Directory: directory, Format: s.format}
}

func (s subject) open(t testing.TB, o Options, fs fileSystem) numbered {
	t.Helper()
	if o.OnError == nil {
		o.OnError = func(err error) { t.Errorf("trouble: %v", err) }
	}
	switch s.kind {
	case Connectivity:
		return opened(t, s.kind, o, connectivityColumns, fs, func(n int) ConnectivityLine {
			return ConnectivityLine{Session: "S", Source: "SMTP", Destination: "example.net", Direction: '>', Description: strconv.Itoa(n)}
		})
	case MessageTracking:
		return opened(t, s.kind, o, trackingColumns, fs, func(n int) Tracking { r := fullTracking(); r.Octets = int64(n); return r })
	case Agent:
		return opened(t, s.kind, o, agentColumns, fs, func(n int) AgentLine { return AgentLine{Session: "S", Recipients: n} })
	}
	o.Kind = s.kind
	p, err := openProtocol(o, fs)
	if err != nil {
		t.Fatal(err)
	}
	session := p.Session("A", "B", local, remote)
	return numbered{func(int) { session.Received("RCPT TO:<somebody@example.net>") }, p.Configure, p.Close}
}

func opened[R any](t testing.TB, k Kind, o Options, columns []column[R], fs fileSystem, record func(n int) R) numbered {
	l, err := openLog(k, o, columns, fs)
	if err != nil {
		t.Fatal(err)
	}
	return numbered{func(n int) { r := record(n); l.Write(&r) }, l.Configure, l.Close}
}

func (n numbered) end(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// numbers reads the numbers of all lines in the files of the subject's format,
// file by file; what is neither a line nor a note fails the test.
func (s subject) numbers(t testing.TB, directory string) (numbers []int) {
	t.Helper()
	set := &fileSet{fs: osFS{}, target: &target{kind: s.kind, directory: directory, layout: s.kind.Layout()}}
	list, err := set.list()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(directory, f.name))
		if err != nil {
			t.Fatal(err)
		}
		begin := software
		if (f.suffix == suffixJSON) != (s.format == "json") {
			continue
		}
		if f.suffix == suffixJSON {
			begin = `{"log":"` + s.kind.String() + `","time":"`
		}
		if !strings.HasPrefix(string(b), begin) || !strings.HasSuffix(string(b), "\n") {
			t.Errorf("%s begins or ends badly: %.100q", f.name, b)
		}
		h := NewHeader(s.kind)
		for text := range strings.Lines(string(b)) {
			if h.Read(text) {
				continue
			}
			n, err := s.number(h, text)
			if errors.Is(err, ErrComment) {
				continue
			}
			if err != nil {
				t.Errorf("%s: %q: %v", f.name, text, err)
			}
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func (s subject) number(h *Header, text string) (n int, err error) {
	switch s.kind {
	case Connectivity:
		l, err := h.Connectivity(text)
		n, _ = strconv.Atoi(l.Description)
		return n, err
	case MessageTracking:
		l, err := h.Tracking(text)
		return int(l.Octets), err
	case Agent:
		l, err := h.Agent(text)
		return l.Recipients, err
	}
	l, err := h.Line(text)
	return l.Sequence, err
}

// expectNumbers holds that the numbers run from 0 to n-1.
func expectNumbers(t testing.TB, got []int, n int) {
	t.Helper()
	for i, g := range got {
		if g != i {
			t.Fatalf("line %d has number %d", i, g)
		}
	}
	if len(got) != n {
		t.Fatalf("%d lines, want %d", len(got), n)
	}
}

// TestEveryKind: lines come to the files that the layout names, and go on there
// after a restart and after a crash in the midst of a line.
func TestEveryKind(t *testing.T) {
	eachKind(t, func(t *testing.T, s subject) {
		dir := filepath.Join(t.TempDir(), "x", "y")
		synctest.Test(t, func(t *testing.T) {
			l := s.open(t, Options{Log: s.settings(dir)}, osFS{})
			for n := range 3 {
				l.write(n)
			}
			l.end(t)
			suffix := map[string]string{"csv": ".log", "json": ".jsonl"}[s.format]
			name := filepath.Join(dir, s.kind.Layout().Prefix+"20000101-1"+suffix)
			expectNumbers(t, s.numbers(t, dir), 3)
			appendTo(t, name, `{"log":"torn`)
			l = s.open(t, Options{Log: s.settings(dir)}, osFS{})
			l.write(0)
			l.end(t)
			got := s.numbers(t, dir)
			if s.kind == ReceiveProtocol || s.kind == SendProtocol || len(got) != 4 {
				expectNumbers(t, got[:3], 3)
			}
			if list, err := os.ReadDir(dir); err != nil || len(list) != 1 || list[0].Name() != filepath.Base(name) || len(got) != 4 {
				t.Errorf("%v, %v, %v", list, got, err)
			}
		})
	})
}

// TestDiskFull: nothing is lost that memory holds, and the trouble is reported
// once, however many writes fail.
func TestDiskFull(t *testing.T) {
	eachKind(t, func(t *testing.T, s subject) {
		for _, room := range []int64{0, 1, 100, 300, 1000} {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				disk, tr := healthy(), new(trouble)
				disk.room = room
				l := s.open(t, tr.watch(Options{Log: s.settings(dir)}), disk)
				for n := range 100 {
					l.write(n)
					time.Sleep(time.Second)
				}
				synctest.Wait()
				tr.expect(t, s.kind.String()+" log: ")
				tr.expect(t, "no space left on device")
				if disk.tries < 50 {
					t.Errorf("only %d writes in 100 s", disk.tries)
				}
				disk.set(func() { disk.room = 1 << 60 })
				time.Sleep(2 * time.Second)
				synctest.Wait()
				tr.expect(t, "no space left on device", "recovered, 0 dropped")
				l.write(100)
				l.end(t)
			})
			expectNumbers(t, s.numbers(t, dir), 101)
			if list, _ := os.ReadDir(dir); len(list) != 1 {
				t.Errorf("room %d: files %v", room, list)
			}
		}
	})
}

// TestDirectoryMissing: a log that can't be opened when the gateway starts is
// opened when it can be; so is one whose directory is a file.
func TestDirectoryMissing(t *testing.T) {
	eachKind(t, func(t *testing.T, s subject) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			disk, tr := healthy(), new(trouble)
			disk.openErr = syscall.EACCES
			l := s.open(t, tr.watch(Options{Log: s.settings(dir)}), disk)
			l.write(0)
			time.Sleep(time.Hour)
			tr.expect(t, "permission denied")
			disk.set(func() { disk.openErr = nil })
			time.Sleep(2 * time.Second)
			synctest.Wait()
			tr.expect(t, "permission denied", "recovered, 0 dropped")
			l.end(t)
		})
		expectNumbers(t, s.numbers(t, dir), 1)

		dir = filepath.Join(t.TempDir(), "logs")
		appendTo(t, dir, "a file")
		synctest.Test(t, func(t *testing.T) {
			tr := new(trouble)
			l := s.open(t, tr.watch(Options{Log: s.settings(dir)}), osFS{})
			l.write(0)
			time.Sleep(time.Minute)
			tr.expect(t, "not a directory")
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			tr.expect(t, "not a directory", "recovered, 0 dropped")
			l.end(t)
		})
		expectNumbers(t, s.numbers(t, dir), 1)
	})
}

// TestCloseGivesUp: a broken or hanging disk does not keep the gateway from
// stopping, and Close says what is lost.
func TestCloseGivesUp(t *testing.T) {
	eachKind(t, func(t *testing.T, s subject) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			disk, tr := healthy(), new(trouble)
			disk.openErr = syscall.EIO
			l := s.open(t, tr.watch(Options{Log: s.settings(dir)}), disk)
			for n := range 3 {
				l.write(n)
				time.Sleep(400 * time.Millisecond)
			}
			if err := l.close(t.Context()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "3 lines are lost") {
				t.Errorf("close: %v", err)
			}
			if err := l.configure(s.settings(dir + "/other")); err == nil {
				t.Error("a closed log takes settings")
			}

			disk, tr = healthy(), new(trouble)
			hang := make(chan struct{})
			disk.hang = hang
			l = s.open(t, tr.watch(Options{Log: s.settings(dir)}), disk)
			l.write(0)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := l.close(ctx); s.format == "csv" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("close: %v", err)
			}
			close(hang)
		})
	})
}

// TestNote: where lines are missing, the log says so in a way that readers pass
// over.
func TestNote(t *testing.T) {
	eachKind(t, func(t *testing.T, s subject) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			disk, tr := healthy(), new(trouble)
			hang := make(chan struct{})
			disk.hang = hang
			l := s.open(t, tr.watch(Options{Log: s.settings(dir)}), disk)
			for n := range 200_000 {
				l.write(n)
			}
			disk.set(func() { disk.hang = nil })
			close(hang)
			time.Sleep(time.Second)
			l.write(200_000)
			time.Sleep(time.Second)
			synctest.Wait()
			tr.expect(t, "more is logged than the disk takes", "recovered, ")
			l.end(t)
		})
		got := s.numbers(t, dir)
		if len(got) < 1000 || got[len(got)-1] != 200_000 {
			t.Errorf("%d lines, the last one %v", len(got), got[max(0, len(got)-1):])
		}
		text := ""
		list, _ := os.ReadDir(dir)
		for _, e := range list {
			b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
			text += string(b)
		}
		dropped := 200_001 - len(got)
		want := fmt.Sprintf("\n#Dropped: %d lines from 2000-01-01T", dropped)
		if s.format == "json" {
			want = fmt.Sprintf(`,"dropped":%d,"from":"2000-01-01T00:00:00.000Z","to":"2000-01-01T`, dropped)
		}
		if strings.Count(text, want) != 1 {
			t.Errorf("the log does not say %s", want)
		}
	})
}

// TestSwitch: other settings hold from one line to the next, for a session under
// way, too; no line is lost, doubled or out of order.
func TestSwitch(t *testing.T) {
	eachKind(t, func(t *testing.T, s subject) {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		other := subject{s.kind, map[string]string{"csv": "json", "json": "csv"}[s.format]}
		synctest.Test(t, func(t *testing.T) {
			l := s.open(t, Options{Log: s.settings(a)}, osFS{})
			n := 0
			write := func(count int) {
				for range count {
					l.write(n)
					n++
				}
			}
			configure := func(c config.Log) {
				if err := l.configure(c); err != nil {
					t.Fatal(err)
				}
			}
			write(10)
			configure(s.settings(b))
			write(10)
			time.Sleep(time.Second)
			configure(other.settings(b))
			write(10)
			off := other.settings(b)
			off.Enabled = false
			configure(off)
			l.write(-1)
			configure(s.settings(a))
			if s.kind == ReceiveProtocol || s.kind == SendProtocol {
				n++ // what is not logged takes a sequence number
			}
			write(10)
			l.end(t)
		})
		got := append(s.numbers(t, a)[:10:10], s.numbers(t, b)...)
		got = append(got, other.numbers(t, b)...)
		got = append(got, s.numbers(t, a)[10:]...)
		if s.kind == ReceiveProtocol || s.kind == SendProtocol {
			for i := 30; i < len(got); i++ {
				got[i]--
			}
		}
		expectNumbers(t, got, 40)
	})
}

// TestSwitchAwayFromTrouble: lines that could not be written where they were
// meant to go are written where those of today go.
func TestSwitchAwayFromTrouble(t *testing.T) {
	eachKind(t, func(t *testing.T, s subject) {
		dir := t.TempDir()
		broken := filepath.Join(dir, "file")
		appendTo(t, broken, "a file")
		other := subject{s.kind, map[string]string{"csv": "json", "json": "csv"}[s.format]}
		for i, next := range []subject{s, other} {
			good := filepath.Join(dir, strconv.Itoa(i))
			synctest.Test(t, func(t *testing.T) {
				tr := new(trouble)
				l := s.open(t, tr.watch(Options{Log: s.settings(broken)}), osFS{})
				for n := range 10 {
					l.write(n)
					time.Sleep(time.Second)
				}
				if err := l.configure(next.settings(good)); err != nil {
					t.Fatal(err)
				}
				for n := range 5 {
					l.write(10 + n)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				tr.expect(t, "not a directory", "recovered, 0 dropped")
				l.end(t)
			})
			got := s.numbers(t, good)
			if next != s {
				got = append(got, next.numbers(t, good)...)
			}
			expectNumbers(t, got, 15)
		}
	})
}

// TestAnyTrouble: whatever the disk does meanwhile, and wherever the log is sent,
// in the end every line is there once, whole and in order.
func TestAnyTrouble(t *testing.T) {
	all := subjects()
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.SampledFrom(all).Draw(rt, "log")
		dir := t.TempDir()
		maxFile := rapid.SampledFrom([]int64{1000, 1700, 5000}).Draw(rt, "max file")
		steps := rapid.SliceOfN(rapid.IntRange(0, 8), 1, 30).Draw(rt, "steps")
		rooms := rapid.SliceOfN(rapid.Int64Range(0, 900), len(steps), len(steps)).Draw(rt, "rooms")
		n, moves := 0, 0
		directory := func() string { return filepath.Join(dir, fmt.Sprintf("%03d", moves)) }
		settings := func() config.Log {
			c := s.settings(directory())
			c.MaxFileSize = maxFile
			return c
		}
		synctest.Test(t, func(t *testing.T) {
			disk, tr := healthy(), new(trouble)
			l := s.open(t, tr.watch(Options{Log: settings()}), disk)
			for i, step := range steps {
				disk.set(func() {
					disk.room, disk.openErr, disk.truncErr = 1<<60, nil, nil
					switch step {
					case 1:
						disk.openErr = syscall.EMFILE
					case 2:
						disk.truncErr, disk.room = syscall.EIO, rooms[i]
					case 3, 4:
						disk.room = rooms[i]
					}
				})
				if step == 8 {
					moves++
					if err := l.configure(settings()); err != nil {
						t.Fatal(err)
					}
				}
				for range 1 + step {
					l.write(n)
					n++
				}
				if step != 6 {
					time.Sleep(time.Duration(step) * 300 * time.Millisecond)
				}
			}
			disk.set(func() { disk.room, disk.openErr, disk.truncErr = 1<<60, nil, nil })
			time.Sleep(3 * time.Second)
			l.end(t)
		})
		var got []int
		moved, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, d := range moved {
			got = append(got, s.numbers(t, d)...)
			list, _ := os.ReadDir(d)
			for _, e := range list {
				if info, err := e.Info(); err != nil || info.Size() > maxFile {
					t.Errorf("a file has %v octets, more than %d", info, maxFile)
				}
			}
		}
		expectNumbers(t, got, n)
		if t.Failed() {
			rt.FailNow()
		}
	})
}
