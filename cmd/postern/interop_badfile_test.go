//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBadFileLeavesTheCommands: a mistake in the file on disk takes none of the
// commands away that ask the running gateway or read its logs, and a reload of
// it is refused by the gateway itself, by command as by signal.
func TestBadFileLeavesTheCommands(t *testing.T) {
	t.Parallel()
	s := newSink(t, sinkOptions{})
	e := newEdge(t)
	e.route("out", "*", s.addr, "")
	g := e.serve(t)
	good, err := os.ReadFile(e.path())
	if err != nil {
		t.Fatal(err)
	}
	e.wants(t, 0, "reloaded", "reload")
	changed := func(text string) func() bool {
		return func() bool {
			_, stdout, _ := e.postern(t, "logs", "changes", "--text", text)
			return strings.Contains(stdout, text) && strings.Contains(stdout, "by=uid ")
		}
	}
	until(t, "the reload among the changes", changed("reloaded"))
	write := func(text string) {
		if err := os.WriteFile(e.path(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"\n[[send_connector]]\nname = \"z\"\ntls = \"bogus\"\n", "\n[[send_connector]]\nname = \"no quote\n"} {
		write(string(good) + bad)
		const own = "the running gateway has a configuration of its own"
		for _, args := range [][]string{{"status"}, {"queue", "list"}, {"metrics"}, {"log-level"}, {"logs", "changes"}} {
			e.wants(t, 0, own, args...)
		}
		e.wants(t, 1, "POSTERN WARNING - ", "status", "--check")
	}
	e.wants(t, 0, "postern_configuration_refused 0", "metrics")
	if code, stdout, stderr := e.postern(t, "reload"); code != 1 || !strings.Contains(stdout, "not reloaded") || !strings.Contains(stderr, "no quote") && !strings.Contains(stderr, "string") {
		t.Errorf("reload: exit code %d\n%s%s", code, stdout, stderr)
	}
	e.wants(t, 0, "postern_configuration_refused 1", "metrics")
	e.wants(t, 0, "the latest reload was refused", "status")
	until(t, "the refused reload among the changes", changed("not reloaded"))

	// Nothing of the file can be read: the socket has to be named.
	write("[server\n")
	e.wants(t, 1, "--socket", "queue", "list")
	e.wants(t, 3, "--socket", "status", "--check")
	e.wants(t, 0, "", "queue", "list", "--socket", filepath.Join(e.dataDir, "control.sock"))
	write(string(good))

	// A gateway that hangs is told within the time that plugins have.
	g.signal(syscall.SIGSTOP)
	defer g.signal(syscall.SIGCONT)
	start := time.Now()
	e.wants(t, 3, "POSTERN UNKNOWN - no running gateway answers", "status", "--check", "--timeout", "300ms")
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("a hung gateway takes %s", took)
	}
	g.signal(syscall.SIGCONT)
	g.stop(t)
}
