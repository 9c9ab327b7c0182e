//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// logTrouble are the ways in which no log can be written, and how they end.
func logTrouble() map[string]func(t *testing.T) (directory string, begin, end func()) {
	return map[string]func(t *testing.T) (string, func(), func()){
		"full": func(t *testing.T) (string, func(), func()) {
			volume := newVolume(t, "1m")
			hog := filepath.Join(volume, "hog")
			return filepath.Join(volume, "logs"), func() { hogVolume(t, hog) }, func() {
				if err := os.Remove(hog); err != nil {
					t.Fatal(err)
				}
			}
		},
		"read-only": func(t *testing.T) (string, func(), func()) {
			volume := newVolume(t, "8m")
			remount := func(flags uintptr) func() {
				return func() {
					until(t, "another mode of the volume", func() bool { return syscall.Mount("", volume, "", syscall.MS_REMOUNT|flags, "") == nil })
				}
			}
			return filepath.Join(volume, "logs"), remount(syscall.MS_RDONLY), remount(0)
		},
		"a file": func(t *testing.T) (string, func(), func()) {
			dir := filepath.Join(tempDir(t), "logs")
			return dir, func() { writeFile(t, dir, "no directory\n") }, func() {
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
}

// TestLogTrouble: with logs that can't be written mail goes on, at the start and
// later; the trouble is told once for each log, and the lines follow when it is
// over.
func TestLogTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range logTrouble() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs, begin, end := trouble(t)
			s := newSink(t, sinkOptions{})
			e := newEdge(t)
			e.top = impatient + fmt.Sprintf("[back_pressure]\nenabled = false\n[logs]\ndirectory = %q\n", logs)
			e.receive += "protocol_logging = \"verbose\"\n"
			e.route("out", "*", s.addr, "protocol_logging = \"verbose\"\n")
			begin()
			g := e.serve(t)
			c := dial(t, e.addr)
			for i := range 30 {
				r, err := c.submit("<load@contoso.example>", []string{fmt.Sprintf("m%d@y.example", i)}, numbered(int64(i)))
				if err != nil || r.code != 250 {
					t.Fatalf("message %d: %v, %v", i, r, err)
				}
			}
			s.await(t, 30)
			for _, log := range []string{"receive", "send", "connectivity", "tracking", "routing", "event"} {
				until(t, "the report of trouble with the log "+log, func() bool { return strings.Contains(g.output.String(), "log_name="+log) })
			}
			end()
			files := func(pattern string) (text string) {
				names, _ := filepath.Glob(filepath.Join(logs, pattern))
				for _, name := range names {
					b, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					text += string(b)
				}
				return text
			}
			until(t, "the lines of all messages", func() bool {
				return strings.Count(files("MessageTracking/MSGTRK*.log"), ",SMTP,SEND,") == 30 && strings.Count(files("ProtocolLog/SmtpReceive/RECV*.log"), ",RCPT TO:<m") == 30 &&
					strings.Contains(files("Connectivity/CONNECTLOG*.log"), "Established connection to ") && strings.Contains(files("Routing/RoutingConfig#1@*.json"), `"generation"`)
			})
			reports := func(log, text string) (n int) {
				for line := range strings.Lines(g.output.String()) {
					if strings.Contains(line, text) && strings.Contains(line, "log_name="+log) {
						n++
					}
				}
				return n
			}
			for _, log := range []string{"receive", "send", "connectivity", "tracking", "routing", "event"} {
				until(t, "the report that the log "+log+" is written again", func() bool { return reports(log, "a log is written again") == 1 })
				if n := reports(log, "mail goes on without it"); n != 1 {
					t.Errorf("%d reports of trouble with the log %s:\n%s", n, log, g.output.String())
				}
			}
		})
	}
}
