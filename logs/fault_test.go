package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postern/internal/metrics"
)

// faultyFS is a disk that fails when it is told to.
type faultyFS struct {
	osFS
	mu       sync.Mutex
	openErr  error         // of MkdirAll and OpenAppend
	room     int64         // octets that may still be written; then ENOSPC after a short write
	truncErr error         // of Truncate
	hang     chan struct{} // Write waits until it is closed
	rmErr    error         // of Remove
	delay    time.Duration // of Write
	tries    int           // writes
}

func healthy() *faultyFS { return &faultyFS{room: 1 << 60} }

func (f *faultyFS) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *faultyFS) MkdirAll(path string, mode fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.openErr != nil {
		return f.openErr
	}
	return f.osFS.MkdirAll(path, mode)
}

func (f *faultyFS) OpenAppend(path string, mode fs.FileMode) (file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.openErr != nil {
		return nil, f.openErr
	}
	real, err := f.osFS.OpenAppend(path, mode)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file: real, fs: f}, nil
}

func (f *faultyFS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rmErr != nil {
		return f.rmErr
	}
	return f.osFS.Remove(path)
}

type faultyFile struct {
	file
	fs *faultyFS
}

func (f *faultyFile) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	hang, delay := f.fs.hang, f.fs.delay
	f.fs.mu.Unlock()
	time.Sleep(delay)
	if hang != nil {
		<-hang
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.tries++
	if int64(len(b)) <= f.fs.room {
		f.fs.room -= int64(len(b))
		return f.file.Write(b)
	}
	n, err := f.file.Write(b[:f.fs.room])
	f.fs.room = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f *faultyFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.truncErr != nil {
		return f.fs.truncErr
	}
	return f.file.Truncate(size)
}

// trouble notes what the log reports.
type trouble struct {
	mu     sync.Mutex
	events []string
}

func (tr *trouble) watch(o ProtocolOptions) ProtocolOptions {
	o.OnError = func(err error) { tr.add("error: " + err.Error()) }
	o.OnRecover = func(n int64) { tr.add(fmt.Sprintf("recovered, %d dropped", n)) }
	return o
}

func (tr *trouble) add(s string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.events = append(tr.events, s)
}

// expect holds the reports against parts of them.
func (tr *trouble) expect(t testing.TB, want ...string) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	ok := len(tr.events) == len(want)
	for i := range min(len(tr.events), len(want)) {
		ok = ok && strings.Contains(tr.events[i], want[i])
	}
	if !ok {
		t.Errorf("reports: %q; want %q", tr.events, want)
	}
}

// TestDiskFull: nothing is lost that memory holds, and the trouble is reported
// once, however many writes fail.
func TestDiskFull(t *testing.T) {
	for _, room := range []int64{0, 1, 100, 200, 300, 1000} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			disk, tr := healthy(), new(trouble)
			disk.room = room
			p := open(t, dir, tr.watch(ProtocolOptions{}), disk)
			s := p.Session("A", "B", local, remote)
			for range 100 {
				s.Received("RCPT TO:<somebody@example.net>")
				time.Sleep(time.Second)
			}
			synctest.Wait()
			tr.expect(t, "no space left on device")
			if disk.tries < 50 {
				t.Errorf("only %d writes in 100 s", disk.tries)
			}
			disk.set(func() { disk.room = 1 << 60 })
			time.Sleep(2 * time.Second)
			synctest.Wait()
			tr.expect(t, "no space left on device", "recovered, 0 dropped")
			s.Disconnect("Local")
			closeLog(t, p)
		})
		expectSequence(t, lines(t, dir), 101)
		if names, _ := files(t, dir); len(names) != 1 {
			t.Errorf("room %d: files %v", room, names)
		}
	}
}

// TestSpells: each spell of trouble counts its own drops.
func TestSpells(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		p := open(t, dir, tr.watch(ProtocolOptions{MaxDirectorySize: 1 << 30}), disk)
		s := p.Session("A", "B", local, remote)
		long := strings.Repeat("x", MaxField)
		fits := maxPending / (MaxField + len("2000-01-01T00:00:00.000Z,A,B,1234,192.0.2.10:25,198.51.100.7:40122,<,,\n"))
		for _, drops := range []int{7, 3} {
			disk.set(func() { disk.room = 0 })
			for range fits + drops {
				s.Received(long)
			}
			time.Sleep(10 * time.Second)
			disk.set(func() { disk.room = 1 << 60 })
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		tr.expect(t, "no space left", "recovered, 7 dropped", "no space left", "recovered, 3 dropped")
		closeLog(t, p)
	})
}

// TestDirectoryMissing: a log that can't be opened when the gateway starts is
// opened when it can be.
func TestDirectoryMissing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		disk.openErr = syscall.EACCES
		p := open(t, dir, tr.watch(ProtocolOptions{}), disk)
		s := p.Session("A", "B", local, remote)
		s.Connect()
		time.Sleep(time.Hour)
		tr.expect(t, "permission denied")
		disk.set(func() { disk.openErr = nil })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		tr.expect(t, "permission denied", "recovered, 0 dropped")
		closeLog(t, p)
	})
	expectSequence(t, lines(t, dir), 1)
}

// TestDiskHangs: sessions go on while a write does not return, what finds no
// room is counted, and the log says where lines are missing.
func TestDiskHangs(t *testing.T) {
	dir := t.TempDir()
	registry := new(metrics.Registry)
	const total = 100_000
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		hang := make(chan struct{})
		disk.hang = hang
		p := open(t, dir, tr.watch(ProtocolOptions{Metrics: registry}), disk)
		s := p.Session("A", "B", local, remote)
		for range total {
			s.Received("RCPT TO:<somebody@example.net>")
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if pending := p.writer.pending; pending > maxPending || pending < maxPending-1000 {
			t.Errorf("%d octets are pending", pending)
		}
		disk.set(func() { disk.hang = nil })
		close(hang)
		synctest.Wait()
		tr.expect(t, "more is logged than the disk takes")
		s.Received("RCPT TO:<late@example.net>")
		time.Sleep(time.Second)
		synctest.Wait()
		dropped := registry.Counter("protocol_log_dropped_lines", metrics.Label{Name: "direction", Value: "receive"}).Value()
		tr.expect(t, "more is logged than the disk takes", fmt.Sprintf("recovered, %d dropped", dropped))
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		got := lines(t, dir)
		if int64(len(got)) != total+1-dropped || dropped < total/10 {
			t.Errorf("%d lines, %d dropped", len(got), dropped)
		}
		if l := got[len(got)-1]; l.Sequence != total || l.Data != "RCPT TO:<late@example.net>" {
			t.Errorf("the last line is %v", l)
		}
		_, contents := files(t, dir)
		if note := fmt.Sprintf("\n#Dropped: %d lines from 2000-01-01T", dropped); strings.Count(strings.Join(contents, ""), note) != 1 {
			t.Errorf("the log does not say that %d lines are missing", dropped)
		}
	})
}

// TestDiskTooSlow: that lines are dropped is reported while it goes on, once,
// though the queue is never drained.
func TestDiskTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		disk.delay = 20 * time.Millisecond // for 64 KB
		p := open(t, t.TempDir(), tr.watch(ProtocolOptions{}), disk)
		s := p.Session("A", "B", local, remote)
		long := strings.Repeat("x", MaxField)
		for range 3000 { // 8 MB a second
			s.Received(long)
			s.Received(long)
			time.Sleep(time.Millisecond)
		}
		tr.expect(t, "more is logged than the disk takes")
		time.Sleep(time.Minute)
		s.Disconnect("Local") // the next flush finds that no more is dropped
		time.Sleep(time.Second)
		synctest.Wait()
		tr.expect(t, "more is logged than the disk takes", "recovered, ")
		closeLog(t, p)
	})
}

// TestCloseGivesUp: a broken or hanging disk does not keep the gateway from
// stopping, and Close says what is lost.
func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		disk.openErr = syscall.EIO
		p := open(t, t.TempDir(), tr.watch(ProtocolOptions{}), disk)
		s := p.Session("A", "B", local, remote)
		for range 3 {
			s.Connect()
			time.Sleep(400 * time.Millisecond)
		}
		if err := p.Close(t.Context()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "3 lines are lost") {
			t.Errorf("close: %v", err)
		}

		disk, tr = healthy(), new(trouble)
		hang := make(chan struct{})
		disk.hang = hang
		p = open(t, t.TempDir(), tr.watch(ProtocolOptions{}), disk)
		p.Session("A", "B", local, remote).Connect()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		close(hang)
	})
}

// TestPruneFails: that old files stay is reported once and stops nothing.
func TestPruneFails(t *testing.T) {
	dir := t.TempDir()
	d := filepath.Join(dir, "ProtocolLog", "SmtpReceive")
	if err := os.MkdirAll(d, 0o700); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(d, "RECV19800101-1.log"), "old")
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		disk.rmErr = syscall.EROFS
		p := open(t, dir, tr.watch(ProtocolOptions{MaxAge: time.Hour}), disk)
		p.Session("A", "B", local, remote).Connect()
		time.Sleep(24*time.Hour + time.Minute)
		tr.expect(t, "delete old files")
		disk.set(func() { disk.rmErr = nil })
		time.Sleep(time.Hour)
		synctest.Wait()
		expectFiles(t, d, "RECV20000101-1.log")
		tr.expect(t, "delete old files")
		closeLog(t, p)
	})
}

// TestAnyTrouble: whatever the disk does meanwhile, in the end every line is
// there once, whole and in order.
func TestAnyTrouble(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		maxFile := rapid.SampledFrom([]int64{300, 700, 5000}).Draw(rt, "max file")
		steps := rapid.SliceOfN(rapid.IntRange(0, 7), 1, 30).Draw(rt, "steps")
		rooms := rapid.SliceOfN(rapid.Int64Range(0, 600), len(steps), len(steps)).Draw(rt, "rooms")
		n := 0
		synctest.Test(t, func(t *testing.T) {
			disk, tr := healthy(), new(trouble)
			o := tr.watch(ProtocolOptions{MaxFileSize: maxFile})
			p := open(t, dir, o, disk)
			s := p.Session("A", "B", local, remote)
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
				for range 1 + step {
					s.Received("NOOP")
					n++
				}
				if step != 6 {
					time.Sleep(time.Duration(step) * 300 * time.Millisecond)
				}
			}
			disk.set(func() { disk.room, disk.openErr, disk.truncErr = 1<<60, nil, nil })
			time.Sleep(3 * time.Second)
			closeLog(t, p)
		})
		expectSequence(t, lines(t, dir), n)
		_, contents := files(t, dir)
		for _, c := range contents {
			if int64(len(c)) > maxFile {
				t.Errorf("a file has %d octets, more than %d", len(c), maxFile)
			}
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
}
