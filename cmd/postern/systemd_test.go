//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

func environment(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

// manager is a service manager's socket.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// heard reads one datagram; empty when none comes in time.
func heard(t *testing.T, conn *net.UnixConn, patience time.Duration) string {
	t.Helper()
	b := make([]byte, 100)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	n, err := conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSystemdEnvironment(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"30000000", "", 30 * time.Second}, {"30000000", strconv.Itoa(os.Getpid()), 30 * time.Second}, {"30000000", "1", 0},
		{"0", "", 0}, {"-1", "", 0}, {"soon", "", 0}, {"9223372036854775807", "", 0},
	} {
		if s := newSystemd(environment(map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid})); s.watchdog != tt.want {
			t.Errorf("%q of %q: %v", tt.usec, tt.pid, s.watchdog)
		}
	}
}

func TestSystemdTell(t *testing.T) {
	if err := newSystemd(environment(nil)).tell("READY=1"); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@postern-test-%d", os.Getpid())} {
		conn := manager(t, name)
		s := newSystemd(environment(map[string]string{"NOTIFY_SOCKET": name}))
		if err := s.tell("READY=1"); err != nil || heard(t, conn, 10*time.Second) != "READY=1" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (systemd{socket: filepath.Join(t.TempDir(), "gone")}).tell("READY=1"); err == nil {
		t.Error("a socket that is not there took it")
	}
}

// TestSystemdWatchdog: signs of life as long as there is life.
func TestSystemdWatchdog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	conn := manager(t, name)
	s := systemd{socket: name, watchdog: 20 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	var asked atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watch(ctx, func() {
			if asked.Add(1) > 2 {
				<-hang
			}
		})
	}()
	for range 2 {
		if got := heard(t, conn, 10*time.Second); got != "WATCHDOG=1" {
			t.Errorf("heard %q", got)
		}
	}
	if got := heard(t, conn, 200*time.Millisecond); got != "" {
		t.Errorf("a gateway that hangs says %q", got)
	}
	cancel()
	close(hang)
	<-done
	systemd{socket: name}.watch(t.Context(), nil) // nobody watches: it returns
}
