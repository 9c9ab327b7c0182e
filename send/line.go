package send

import (
	"net"
	"os"
	"time"
)

// line is a TCP connection that can be looked at without waiting: whether the
// next hop has said something that nobody asked for. TLS goes over it too. One
// goroutine reads at a time.
type line struct {
	net.Conn
	// readable reports whether a read would not wait; nil where that can't be
	// known, and nothing unasked is then seen before it is read.
	readable func() bool
	// looking makes a read that would wait fail with os.ErrDeadlineExceeded.
	looking bool
}

func newLine(c net.Conn) *line {
	// A network in memory knows by itself.
	if r, ok := c.(interface{ Readable() bool }); ok {
		return &line{Conn: c, readable: r.Readable}
	}
	return &line{Conn: c, readable: readableSocket(c)}
}

func (l *line) Read(p []byte) (int, error) {
	if l.looking {
		if l.readable == nil || !l.readable() {
			return 0, os.ErrDeadlineExceeded
		}
		// The deadline of an earlier read may be over by now.
		_ = l.SetReadDeadline(time.Now().Add(time.Second))
	}
	return l.Conn.Read(p)
}
