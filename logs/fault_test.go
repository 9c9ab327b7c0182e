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

	"postern/config"
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

func (tr *trouble) watch(o Options) Options {
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

// TestSpells: each spell of trouble counts its own drops.
func TestSpells(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		p := open(t, dir, tr.watch(Options{Log: config.Log{MaxDirectorySize: 1 << 30}}), disk)
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
		p := open(t, dir, tr.watch(Options{Metrics: registry}), disk)
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
		dropped := registry.Counter("log_dropped_lines", metrics.Label{Name: "log", Value: "receive"}).Value()
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
		p := open(t, t.TempDir(), tr.watch(Options{}), disk)
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
		p := open(t, dir, tr.watch(Options{Log: config.Log{MaxAge: time.Hour}}), disk)
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
