package send

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// leavePort leaves the choice of the port to connect(2), which knows the other
// end (ip(7), IP_BIND_ADDRESS_NO_PORT). To bind(2) a port would be taken as soon
// as any connection of the source address has it, those that have ended a minute
// ago included: some 28,000 connections a minute to all next hops together. A
// kernel without the option is no worse off.
func leavePort(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
