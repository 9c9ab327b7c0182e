package receive

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitSocket waits at a socket until its read deadline has passed, the client
// has closed its side, whatever stands unread before that, or, with words, sent
// something. The octets stay where they are. It reports false where that can't
// be had.
func awaitSocket(c net.Conn, words bool) (error, bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, false
	}
	events := int16(unix.POLLRDHUP)
	if words {
		events |= unix.POLLIN
	}
	var found error
	fds := make([]unix.PollFd, 1)
	// The network poller calls this once, and again each time that something
	// has happened to the socket.
	err = raw.Read(func(fd uintptr) bool {
		fds[0] = unix.PollFd{Fd: int32(fd), Events: events}
		switch n, err := unix.Poll(fds, 0); {
		case err != nil || n == 0:
			return false
		case fds[0].Revents == unix.POLLIN:
			found = errSpoke
		default:
			found = io.EOF
		}
		return true
	})
	if err == nil {
		err = found
	}
	return err, true
}
