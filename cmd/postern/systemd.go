package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"postern/internal/eventid"
	"postern/internal/server"
)

// notifyTimeout bounds the wait for the service manager.
const notifyTimeout = time.Second

// systemd tells the service manager how the gateway is: sd_notify(3), a datagram
// on the socket that NOTIFY_SOCKET names. Without one it tells nobody.
type systemd struct {
	socket   string
	watchdog time.Duration // zero: nobody watches
}

// newSystemd reads the environment. WATCHDOG_USEC is how long the manager waits
// for a sign of life of WATCHDOG_PID (sd_watchdog_enabled(3)).
func newSystemd(getenv func(string) string) systemd {
	s := systemd{socket: getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	pid := getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && usec < 1<<50 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(usec) * time.Microsecond
	}
	return s
}

// tell sends assignments, one a line, such as "READY=1". A name that begins with
// "@" is one of the abstract name space.
func (s systemd) tell(state string) error {
	if s.socket == "" {
		return nil
	}
	conn, err := net.DialTimeout("unixgram", s.socket, notifyTimeout)
	if err == nil {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(notifyTimeout))
		_, err = conn.Write([]byte(state))
	}
	if err != nil {
		return fmt.Errorf("tell the service manager %q: %w", state, err)
	}
	return nil
}

// ready says that the gateway has started. A manager that does not hear it ends
// the gateway, so the event log tells of a failure.
func (s systemd) ready(logger *slog.Logger) {
	if err := s.tell("READY=1"); err != nil {
		logger.Error("the service manager can't be told that the gateway runs", eventid.ManagerUntold.Attr(), "error", err)
	}
}

// keepWatch gives signs of life until what it returns is called, as long as
// queue and spool answer.
func (s systemd) keepWatch(g *server.Server) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watch(ctx, func() {
			g.Queue().Stats()
			g.SpoolStats()
		})
	}()
	return func() {
		cancel()
		<-done
	}
}

// watch gives a sign of life twice in each watchdog interval until ctx ends, as
// long as alive returns: a gateway that hangs gives none, and is started anew.
func (s systemd) watch(ctx context.Context, alive func()) {
	if s.socket == "" || s.watchdog == 0 {
		return
	}
	ticker := time.NewTicker(s.watchdog / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		alive()
		_ = s.tell("WATCHDOG=1") // one that is lost is followed by another
	}
}
