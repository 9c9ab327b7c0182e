package event

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"postern/config"
	"postern/internal/eventid"
)

// TestIsJournal: the variable counts only when it names standard error as it is
// now.
func TestIsJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	right := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	for _, tt := range []struct {
		stream string
		w      io.Writer
		want   bool
	}{
		{right, f, true}, {"", f, false}, {right + "0", f, false}, {right, io.Discard, false}, {right, nil, false}, {fmt.Sprintf("%d:%d", stat.Dev+1, stat.Ino), f, false}, {right, os.Stdout, false},
	} {
		if got := isJournal(tt.stream, tt.w); got != tt.want {
			t.Errorf("%q, %T: %v", tt.stream, tt.w, got)
		}
	}
	path := filepath.Join(t.TempDir(), "socket")
	conn := journald(t, path)
	for format, native := range map[string]bool{"auto": true, "text": false, "json": false, "journald": true} {
		l := open(Options{Config: config.EventLog{Format: format}, Stderr: f, JournalStream: right}, path)
		if name := (*l.sinks.Load())[0].name; (name == "journald") != native {
			t.Errorf("%s: %s", format, name)
		}
		l.Logger(eventid.Server).Info("x")
		if native {
			datagram(t, conn)
		}
		closeLog(t, l)
	}
}
