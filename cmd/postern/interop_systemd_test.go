//go:build linux

package main_test

import (
	"net"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// TestNotify: the service manager hears when the gateway runs, that it lives, and
// when it stops, and not before it listens.
func TestNotify(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.write(t)
	name := filepath.Join(e.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	heard := func(want string) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 100)
		for { // signs of life come in between
			n, err := conn.Read(b)
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			if got := string(b[:n]); got == want {
				return
			} else if got != "WATCHDOG=1" {
				t.Fatalf("heard %q, want %q", got, want)
			}
		}
	}
	g := &gateway{process: launch(t, home(), &output{}, "/usr/bin/env", "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=200000", binary(t), "serve", "--config", e.path()), edge: e}
	heard("READY=1")
	if !greets(home(), e.addr) {
		t.Error("it says that it runs and does not listen")
	}
	heard("WATCHDOG=1")
	g.signal(syscall.SIGTERM)
	heard("STOPPING=1")
}

// TestUnit holds the unit against what the gateway does.
func TestUnit(t *testing.T) {
	unit := string(readFile(t, "../../deploy/postern.service"))
	for _, want := range []string{`(?m)^Type=notify$`, `(?m)^NotifyAccess=main$`, `(?m)^WatchdogSec=\d+s$`, `(?m)^RestrictAddressFamilies=.*\bAF_UNIX\b`} {
		if !regexp.MustCompile(want).MatchString(unit) {
			t.Errorf("the unit lacks %s", want)
		}
	}
}
