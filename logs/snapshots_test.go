package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

func openTable(t *testing.T, o Options, fs fileSystem) *Snapshots {
	t.Helper()
	s, err := openSnapshots(o, fs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func snapshotNames(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestSnapshots: one file each, counted on over restarts, written in the
// directory of today's settings, and not at all when the log is off.
func TestSnapshots(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	synctest.Test(t, func(t *testing.T) {
		s := openTable(t, Options{Log: config.Log{Enabled: true, Directory: a}}, osFS{})
		s.Write([]byte("{1}\n"))
		s.Write([]byte("{2}\n"))
		synctest.Wait()
		if err := s.Configure(config.Log{Enabled: true, Directory: b}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		s.Write([]byte("{3}\n"))
		synctest.Wait()
		if err := s.Configure(config.Log{Directory: b}); err != nil {
			t.Fatal(err)
		}
		s.Write([]byte("{4}\n"))
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Write([]byte("{5}\n"))
		if s.Configure(config.Log{Directory: b}) == nil {
			t.Error("a closed log takes settings")
		}
		s = openTable(t, Options{Log: config.Log{Enabled: true, Directory: a}}, osFS{})
		s.Write([]byte("{6}\n"))
		if err := s.Close(t.Context()); err != nil { // what waits is written
			t.Fatal(err)
		}
	})
	if got, want := snapshotNames(t, a), "RoutingConfig#1@20000101T000000Z.json RoutingConfig#2@20000101T000000Z.json RoutingConfig#3@20000101T010000Z.json"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := snapshotNames(t, b), "RoutingConfig#1@20000101T010000Z.json"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if text, err := os.ReadFile(filepath.Join(a, "RoutingConfig#2@20000101T000000Z.json")); err != nil || string(text) != "{2}\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestSnapshotLimits: the oldest go, by size and age; the newest stays, and so
// does what is not ours.
func TestSnapshotLimits(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"RoutingConfig#01@20000101T000000Z.json", "RoutingConfig#1@x.json", "notes.txt", "RoutingConfig#0@20000101T000000Z.json"} {
		appendTo(t, filepath.Join(dir, name), strings.Repeat("x", 1000))
	}
	s := openTable(t, Options{Log: config.Log{Enabled: true, Directory: dir, MaxDirectorySize: 2500}, OnError: func(err error) { t.Error(err) }}, osFS{})
	for range 5 {
		s.Write([]byte(strings.Repeat("y", 1000)))
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	numbers := func() (out []int) {
		list, _ := s.list(s.target)
		for _, f := range list {
			out = append(out, f.n)
			os.Chtimes(filepath.Join(dir, f.name), time.Time{}, time.Now().Add(-48*time.Hour))
		}
		return out
	}
	if got := fmt.Sprint(numbers()); got != "[4 5]" {
		t.Errorf("left: %s", got)
	}
	s = openTable(t, Options{Log: config.Log{Enabled: true, Directory: dir, MaxAge: 24 * time.Hour}}, osFS{})
	s.Write([]byte("z"))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(numbers()); got != "[6]" {
		t.Errorf("left: %s", got)
	}
	if names := snapshotNames(t, dir); strings.Count(names, " ") != 4 {
		t.Errorf("%s", names)
	}
}

// TestSnapshotTrouble: it is told once, tried again, and nothing is left of what
// could not be written whole.
func TestSnapshotTrouble(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk, tr := healthy(), new(trouble)
		disk.room = 3
		s := openTable(t, tr.watch(Options{Log: config.Log{Enabled: true, Directory: dir}}), disk)
		for range maxSnapshots + 2 {
			s.Write([]byte("a snapshot\n"))
		}
		time.Sleep(time.Minute)
		tr.expect(t, "routing log: write ")
		if names := snapshotNames(t, dir); names != "" {
			t.Errorf("left: %s", names)
		}
		disk.set(func() { disk.room = 1 << 60 })
		time.Sleep(time.Minute)
		tr.expect(t, "no space left on device", "recovered, 2 dropped")
		if n := strings.Count(snapshotNames(t, dir), "RoutingConfig#"); n != maxSnapshots {
			t.Errorf("%d snapshots", n)
		}
		disk.set(func() { disk.openErr = syscall.EROFS })
		s.Write([]byte("lost"))
		if err := s.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "a snapshot is lost") {
			t.Errorf("close: %v", err)
		}
	})
	var none *Snapshots
	none.Write(nil)
	if none.Configure(config.Log{}) != nil || none.Close(t.Context()) != nil {
		t.Error("a nil log does something")
	}
}
