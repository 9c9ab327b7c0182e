//go:build unix

package send

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// readableSocket looks at the socket; the octets stay where they are. An end
// or an error of the connection is readable too.
func readableSocket(c net.Conn) func() bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	fds := make([]unix.PollFd, 1)
	ready := false
	look := func(fd uintptr) {
		fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := unix.Poll(fds, 0)
		ready = n > 0 && err == nil
	}
	return func() bool {
		ready = false
		return raw.Control(look) == nil && ready
	}
}
