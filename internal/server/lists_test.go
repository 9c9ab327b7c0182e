package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

// lockedText is what a logger wrote so far.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// watched is a lists over one file, with what it did.
type watched struct {
	lists
	path    string
	log     lockedText
	applied atomic.Int64
	bad     atomic.Value // why the file can't be used
}

func watch(t *testing.T) *watched {
	w := &watched{path: filepath.Join(t.TempDir(), "spaces")}
	w.lists = lists{
		files:  func() []string { return []string{w.path} },
		logger: slog.New(slog.NewTextHandler(&w.log, nil)),
		apply: func() []config.Finding {
			w.applied.Add(1)
			if bad := w.bad.Load(); bad != "" {
				return []config.Finding{{Message: bad.(string), Position: config.Position{File: "spaces", Line: 3, Column: 1}}}
			}
			return []config.Finding{{Severity: config.Warning, Message: "never mind"}}
		},
	}
	w.bad.Store("")
	w.write(t, "one.example\n")
	w.start(lookAt([]string{w.path}))
	return w
}

func (w *watched) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// after lets so much time go by.
func (w *watched) after(d time.Duration) int {
	time.Sleep(d)
	synctest.Wait()
	return int(w.applied.Load())
}

// TestListsAreReadOnceTheyAreSettled: a file that is being written is left alone,
// one that stays the same is not read again.
func TestListsAreReadOnceTheyAreSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		defer w.stop()
		if n := w.after(time.Hour); n != 0 {
			t.Errorf("nothing changed, and it was read %d times", n)
		}
		for i := range 5 {
			w.write(t, strings.Repeat("x.example\n", i+2))
			if n := w.after(listInterval); n != 0 {
				t.Errorf("it was read while it was written")
			}
		}
		if n := w.after(3 * listInterval); n != 1 {
			t.Errorf("settled, and read %d times", n)
		}
		if n := w.after(time.Hour); n != 1 {
			t.Errorf("read %d times", n)
		}
		// Put in its place by rename, with the same size and time.
		info, _ := os.Stat(w.path)
		next := w.path + ".new"
		if err := os.WriteFile(next, []byte(strings.Repeat("y.example\n", 6)), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(next, info.ModTime(), info.ModTime())
		if err := os.Rename(next, w.path); err != nil {
			t.Fatal(err)
		}
		if n := w.after(3 * listInterval); n != 2 {
			t.Errorf("replaced, and read %d times", n)
		}
		if w.log.String() != "" {
			t.Error(w.log.String())
		}
	})
}

// TestBadListsAreToldOfOnce: a file that can't be used is told of once, and tried
// again from time to time and when it changes.
func TestBadListsAreToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		defer w.stop()
		told := func(what string) int { return strings.Count(w.log.String(), what) }
		w.bad.Store("the space is empty")
		w.write(t, "*\n;\n")
		if n := w.after(10 * listInterval); n != 1 || told("spaces:3:1: the space is empty") != 1 {
			t.Errorf("read %d times: %s", n, w.log.String())
		}
		if n := w.after(5 * listAgain); n < 5 || n > 6 || told("level=ERROR") != 1 {
			t.Errorf("read %d times: %s", n, w.log.String())
		}
		w.bad.Store("another fault")
		w.write(t, "*\n;x\n")
		if w.after(10 * listInterval); told("level=ERROR") != 2 || told("another fault") != 1 {
			t.Error(w.log.String())
		}
		w.bad.Store("")
		w.write(t, "*\n")
		before := int(w.applied.Load())
		if n := w.after(time.Hour); n != before+1 || told("can be used again") != 1 || told("level=ERROR") != 2 {
			t.Errorf("read %d times more: %s", n-before, w.log.String())
		}
		// A file that goes away is a change, too.
		os.Remove(w.path)
		if n := w.after(10 * listInterval); n != before+2 {
			t.Errorf("it is gone, and was looked for %d times", n-before-1)
		}
	})
}

func TestListsStopWithoutStart(t *testing.T) {
	new(lists).stop()
}
