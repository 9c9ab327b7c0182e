//go:build unix

package pickup

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNotRegular: nothing else than a file is opened, and nobody waits for a FIFO.
func TestNotRegular(t *testing.T) {
	b := newBench(t)
	outside := filepath.Join(t.TempDir(), "secret.eml")
	if err := os.WriteFile(outside, []byte(plainFile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink(outside, filepath.Join(b.path, "link.eml")), os.Mkdir(filepath.Join(b.path, "dir.eml"), 0o700),
		syscall.Mkfifo(filepath.Join(b.path, "pipe.eml"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b.poll()
	b.poll()
	b.want("dir.eml link.eml pipe.eml", 0)
	if n := strings.Count(b.events.String(), "not a regular file"); n != 3 {
		t.Errorf("%d events, want one for each:\n%s", n, b.events.String())
	}
}
