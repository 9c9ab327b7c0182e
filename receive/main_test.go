package receive

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

var scratch struct {
	mu   sync.Mutex
	dirs []string
}

// tempDir makes a directory that lives as long as the tests.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "receive-test-")
	scratch.mu.Lock()
	defer scratch.mu.Unlock()
	scratch.dirs = append(scratch.dirs, dir)
	return dir, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range scratch.dirs {
		os.RemoveAll(dir)
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		if code == 0 {
			code = 1
		}
	}
	os.Exit(code)
}
