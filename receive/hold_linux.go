package receive

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitSocketHangup waits at a socket until its read deadline has passed or the
// client has closed its side, whatever stands unread before that. The octets
// stay where they are. It reports false where that can't be had.
func awaitSocketHangup(c net.Conn) (error, bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, false
	}
	hungUp := false
	fds := make([]unix.PollFd, 1)
	// The network poller calls this once, and again each time that something
	// has happened to the socket.
	err = raw.Read(func(fd uintptr) bool {
		fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP}
		n, err := unix.Poll(fds, 0)
		hungUp = err == nil && n > 0
		return hungUp
	})
	if err == nil && hungUp {
		err = io.EOF
	}
	return err, true
}
