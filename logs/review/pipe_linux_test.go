package review

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Opening a pipe that nobody writes to would never end.
func TestPipesAndDevicesAreNoLogs(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "RECV20261122-1.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero"} {
		if _, err := At(path); err == nil || !strings.Contains(err.Error(), "neither a file nor a directory") {
			t.Errorf("At(%q): %v", path, err)
		}
	}
}
