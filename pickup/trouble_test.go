package pickup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/message"
)

// TestNotRemoved: a file that is queued and can't be removed is not queued
// again, and holds up the directory until it can.
func TestNotRemoved(t *testing.T) {
	b := newBench(t)
	b.put("a.eml", plainFile)
	fails := true
	b.files = stubborn{osFiles{}, &fails}
	b.start()
	b.poll()
	b.put("b.eml", plainFile)
	for range 3 {
		b.poll()
	}
	b.want("a.0000000000001.tmp b.eml", 1)
	fails = false
	b.poll()
	b.want("", 2)
}

type stubborn struct {
	osFiles
	fails *bool
}

func (s stubborn) remove(path string) error {
	if *s.fails {
		return fs.ErrPermission
	}
	return s.osFiles.remove(path)
}

// TestTrouble: the event log is told of so much trouble and no more, again when
// it lasts.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tr := trouble{log: slog.New(slog.NewTextHandler(&out, nil))}
		tell := func() int {
			out.Reset()
			for i := range maxTold + 100 {
				tr.tell(slog.LevelWarn, "trouble", eventid.PickupFileNotRead, fmt.Sprint(i))
			}
			return strings.Count(out.String(), "\n")
		}
		if n := tell(); n != maxTold {
			t.Errorf("%d lines", n)
		}
		time.Sleep(toldAgain / 2)
		if n := tell(); n != 0 {
			t.Errorf("%d lines again too soon", n)
		}
		time.Sleep(toldAgain)
		if n := tell(); n != maxTold {
			t.Errorf("%d lines later", n)
		}
	})
}

// TestCannotTake: a file that can't be opened or renamed stays, is told of once,
// and is in nobody's way.
func TestCannotTake(t *testing.T) {
	b := newBench(t)
	b.files = denying{osFiles{}}
	b.start()
	for _, name := range []string{"a-closed.eml", "b.eml", "c-fixed.eml"} {
		b.put(name, plainFile)
	}
	for range 3 {
		b.poll()
	}
	b.want("a-closed.eml c-fixed.eml", 1)
	if n := strings.Count(b.events.String(), "level=WARN"); n != 2 {
		t.Errorf("%d events:\n%s", n, b.events.String())
	}
}

type denying struct{ osFiles }

func (d denying) open(path string) (*os.File, error) {
	if strings.Contains(path, "closed") {
		return nil, fs.ErrPermission
	}
	return d.osFiles.open(path)
}

func (d denying) rename(from, to string) error {
	if strings.Contains(from, "fixed") {
		return fs.ErrPermission
	}
	return d.osFiles.rename(from, to)
}

// TestPanic: a file on which the reader stumbles is set aside.
func TestPanic(t *testing.T) {
	e, err := contain(func() (*message.Envelope, error) { panic("no such case") })
	var ref *refusal
	if e != nil || !errors.As(err, &ref) || ref.about != nil || !strings.Contains(ref.reply.Text, "no such case") {
		t.Errorf("%v %v", e, err)
	}
}

// TestStoredUnknown: while nobody knows whether a file left in hand is in the
// queue, it stays.
func TestStoredUnknown(t *testing.T) {
	b := newBench(t)
	b.put("a.0000000000009.tmp", plainFile)
	b.put("b.tmp", plainFile)
	b.fake.storedErr = io.ErrUnexpectedEOF
	b.poll()
	b.want("a.0000000000009.tmp b.tmp", 0)
	b.fake.storedErr = nil
	b.poll()
	b.want("b.tmp", 1)
}

func TestLint(t *testing.T) {
	dir := t.TempDir()
	cfg := &config.Config{Pickup: config.Pickup{PickupDirectoryPath: dir, ReplayDirectoryPath: filepath.Join(dir, "none")}}
	if f := Lint(cfg); len(f) != 0 {
		t.Errorf("%v", f)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if f := Lint(cfg); len(f) != 1 || f[0].Severity != config.Warning || f[0].Path != "pickup.pickup_directory_path" || !strings.Contains(f[0].Message, "send as anybody") {
		t.Errorf("%v", f)
	}
}
