package spool_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

func TestLock(t *testing.T) {
	for name, fsys := range map[string]spool.FS{"memory": faultfs.New(0), "os": spool.OS()} {
		dir := filepath.Join(t.TempDir(), "spool")
		s, err := spool.Open(dir, small(fsys))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := spool.Open(dir, small(fsys)); !errors.Is(err, spool.ErrLocked) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: second Open: %v, want ErrLocked that names the directory", name, err)
		}
		mustClose(t, s)
		if err := s.Close(); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("%s: second Close: %v", name, err)
		}
		s, err = spool.Open(dir, small(fsys))
		if err != nil {
			t.Fatalf("%s: Open after Close: %v", name, err)
		}
		mustClose(t, s)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "spool")
	s, err := spool.Open(dir, small(nil))
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, text(1, 20000), envelope(1)) // a body file
	mustClose(t, s)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: fs.ModeDir | 0o700, false: 0o600}[d.IsDir()]; fi.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, fi.Mode(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNewerVersion: a newer spool is refused and nothing in it is touched.
func TestNewerVersion(t *testing.T) {
	fsys := faultfs.New(0)
	s := open(t, fsys)
	mustCommit(t, s, text(1, 100), envelope(1))
	mustClose(t, s)
	var segment string
	for _, name := range fsys.Names() {
		if strings.HasSuffix(name, ".seg") {
			segment = name
		}
	}
	version, _ := fsys.ReadFile("/spool/VERSION")
	header, _ := fsys.ReadFile(segment)
	for name, change := range map[string]func(){
		"version file": func() { fsys.WriteFile("/spool/VERSION", []byte("postern-spool 2\n")) },
		"segment": func() {
			b := bytes.Clone(header)
			spool.MakeNewer(b)
			fsys.WriteFile(segment, b)
		},
	} {
		change()
		before := fsys.Ops()
		_, err := spool.Open("/spool", small(fsys))
		if !errors.Is(err, spool.ErrVersion) {
			t.Errorf("%s: Open: %v, want ErrVersion", name, err)
		}
		if fsys.Ops() != before {
			t.Errorf("%s: %d operations on a newer spool", name, fsys.Ops()-before)
		}
		if _, err := spool.OpenReader("/spool", spool.ReaderOptions{FS: fsys}); !errors.Is(err, spool.ErrVersion) {
			t.Errorf("%s: OpenReader: %v, want ErrVersion", name, err)
		}
		n := 0
		out := "/out-" + strings.ReplaceAll(name, " ", "-")
		if err := spool.Salvage("/spool", out, spool.ReaderOptions{FS: fsys}, func(spool.Salvaged) error { n++; return nil }); err != nil || n != 1 {
			t.Errorf("%s: Salvage: %d messages, %v", name, n, err)
		}
		fsys.WriteFile("/spool/VERSION", version)
		fsys.WriteFile(segment, header)
	}
	mustClose(t, open(t, fsys))
}

// TestNoRight: a directory that can't be written is a clear error, and nothing
// is touched.
func TestNoRight(t *testing.T) {
	fsys := faultfs.New(0)
	mustClose(t, open(t, fsys))
	for _, errno := range []syscall.Errno{syscall.EROFS, syscall.EACCES} {
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Kind != faultfs.Read {
				return faultfs.Fault{Err: errno}
			}
			return faultfs.Fault{}
		})
		_, err := spool.Open("/spool", small(fsys))
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), "/spool") {
			t.Errorf("Open: %v, want %v that names the directory", err, errno)
		}
	}
	fsys.SetHook(nil)
	mustClose(t, open(t, fsys))

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := spool.Open(file, spool.Options{}); err == nil {
		t.Error("Open of a file: no error")
	}
}

// TestFootprint: an empty spool takes at most 64 MB or 20 % of the volume, and
// works on a small one.
func TestFootprint(t *testing.T) {
	for _, volume := range []int64{2 << 20, 20 << 20, 100 << 20, 1 << 30} {
		fsys := faultfs.New(volume)
		s, err := spool.Open("/spool", spool.Options{FS: fsys})
		if err != nil {
			t.Fatalf("volume of %d: %v", volume, err)
		}
		s.Settle()
		if most := min(64<<20, volume/5); fsys.Used() > most {
			t.Errorf("volume of %d: an empty spool takes %d, at most %d", volume, fsys.Used(), most)
		}
		if st := s.Stats(); st.Segments != 4 || st.FreeSegments != 4 {
			t.Errorf("volume of %d: %+v", volume, st)
		}
		id := mustCommit(t, s, text(1, 8000), envelope(1))
		wantMessage(t, s, id, text(1, 8000), envelope(1), message.NewState(1))
		mustClose(t, s)
	}
	if _, err := spool.Open("/spool", spool.Options{FS: faultfs.New(100 << 10)}); !errors.Is(err, spool.ErrNoSpace) {
		t.Errorf("a volume of 100 KB: %v", err)
	}
}

// TestIdentity: ids grow over clean restarts, crashes, and a clock that jumps
// back by decades; ids of drafts that were never committed don't come again.
func TestIdentity(t *testing.T) {
	fsys := faultfs.New(0)
	var last message.ID
	life := func(ahead time.Duration, crash bool) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(ahead) // of the bubble's clock, which starts in 2000
			s := open(t, fsys)
			for i := range 20 {
				d, err := s.Create()
				if err != nil {
					t.Fatal(err)
				}
				if d.ID() <= last {
					t.Fatalf("id %s after %s", d.ID(), last)
				}
				last = d.ID()
				if i%7 == 0 {
					if err := d.Commit(context.Background(), envelope(1)); err != nil {
						t.Fatal(err)
					}
				} else {
					d.Abort()
				}
				time.Sleep(time.Duration(i) * time.Minute)
			}
			if crash {
				fsys.CutPower()
			}
			if err := s.Close(); (err != nil) != crash {
				t.Fatalf("Close: %v", err)
			}
			if crash {
				fsys = fsys.Crash(faultfs.Nothing, 1)
			}
		})
	}
	year := 365 * 24 * time.Hour
	for _, ahead := range []time.Duration{0, 30 * year, 27 * year, 0} {
		life(ahead, false)
		life(ahead, true)
		life(ahead, true)
	}
	id, err := message.ParseID(last.String())
	if err != nil || id != last {
		t.Errorf("id %s reads back as %s: %v", last, id, err)
	}
}

func TestIDTellsTime(t *testing.T) {
	s := open(t, faultfs.New(0))
	defer mustClose(t, s)
	before := time.Now()
	d, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	d.Abort()
	at := idTime(d.ID())
	if at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) {
		t.Errorf("id %s says %v, it was made after %v", d.ID(), at, before)
	}
}

// TestIDAfterIdleTime: the first message after hours without any waits for its
// own sync alone, not for one of the ceiling of ids, and ids tell the time
// again soon after.
func TestIDAfterIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		s := open(t, fsys)
		defer mustClose(t, s)
		mustCommit(t, s, text(1, 100), envelope(1))
		time.Sleep(5 * time.Hour)
		before := fsys.Ops()
		d, err := s.Create()
		if err != nil {
			t.Fatal(err)
		}
		if n := fsys.Ops() - before; n != 0 {
			t.Errorf("an id cost %d operations", n)
		}
		d.Abort()
		synctest.Wait()
		if d, err = s.Create(); err != nil {
			t.Fatal(err)
		}
		defer d.Abort()
		if at := idTime(d.ID()); at.Before(time.Now().Add(-time.Millisecond)) {
			t.Errorf("an id after the ceiling was raised says %v, it is %v", at, time.Now())
		}
	})
}

// idTime is the moment that an id tells.
func idTime(id message.ID) time.Time {
	return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(id>>22) * time.Millisecond)
}

// TestFirstStartInterrupted: a first start that was cut off is finished by the
// next.
func TestFirstStartInterrupted(t *testing.T) {
	for n := 1; ; n++ {
		fsys := faultfs.New(0)
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault { return faultfs.Fault{Cut: op.N == n && op.Kind != faultfs.Read} })
		s, err := spool.Open("/spool", small(fsys))
		if err == nil {
			_ = s.Close()
			if n > fsys.Ops() {
				return
			}
		}
		for _, how := range faultfs.Survivals {
			after := fsys.Crash(how, uint64(n))
			s, err := spool.Open("/spool", small(after))
			if err != nil {
				t.Fatalf("cut after %d, survival %d: %v", n, how, err)
			}
			if r := s.Recovery(); len(r.Damage) > 0 {
				t.Errorf("cut after %d, survival %d: damage %v", n, how, r.Damage)
			}
			mustCommit(t, s, text(1, 100), envelope(1))
			mustClose(t, s)
		}
	}
}

// TestFirstIDAfterIdleTime: a new spool whose first message comes late does not
// begin with the first id there is, which another new spool had given out.
func TestFirstIDAfterIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(25 * 365 * 24 * time.Hour) // synctest begins before the clock of ids
		var last message.ID
		for range 3 {
			fsys := faultfs.New(64 << 20)
			s := open(t, fsys)
			time.Sleep(time.Hour)
			id := mustCommit(t, s, text(1, 10), envelope(1))
			if id <= last {
				t.Errorf("a new spool gave out %v after %v", id, last)
			}
			last = id
			mustClose(t, s)
		}
	})
}
