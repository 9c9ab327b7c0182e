package tcp

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Conn is a TCP connection whose reads and writes do not tell Go's scheduler
// that they enter the kernel. They never wait there, for the socket does not
// block; but when a reply wakes its reader on the same processor and that one
// goes first, a call takes long enough for the scheduler to hand what the thread
// was working on to another one, and back again.
type Conn struct {
	*net.TCPConn
	raw         syscall.RawConn
	read, write operation
}

// msgMore says that more follows (MSG_MORE of send(2)), which syscall lacks.
const msgMore = 0x8000

// operation is a read or write that is going on.
type operation struct {
	call  func(fd uintptr, p []byte) (int, syscall.Errno)
	p     []byte
	n     int
	errno syscall.Errno
	try   func(fd uintptr) bool
}

// New returns a connection that does as c does; c itself unless it is TCP.
func New(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	s := &Conn{TCPConn: t, raw: raw}
	s.read.call, s.write.call = read, write
	s.read.try, s.write.try = s.read.enter, s.write.enter
	return s
}

// enter makes the call for what is left of p, and reports false when the socket
// is not ready.
func (o *operation) enter(fd uintptr) bool {
	for {
		o.n, o.errno = o.call(fd, o.p)
		switch o.errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			return true
		}
	}
}

// Read is as net.Conn has it. It is for one goroutine at a time.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	o := &c.read
	o.p, o.n = p, 0
	err := c.raw.Read(o.try)
	o.p = nil
	switch {
	case err != nil:
		return 0, err
	case o.errno != 0:
		return 0, c.opError("read", o.errno)
	case o.n == 0:
		return 0, io.EOF
	}
	return o.n, nil
}

// Write is as net.Conn has it. It is for one goroutine at a time.
func (c *Conn) Write(p []byte) (int, error) {
	o := &c.write
	written := 0
	for written < len(p) {
		o.p, o.n = p[written:], 0
		err := c.raw.Write(o.try)
		o.p = nil
		if err == nil && o.errno != 0 {
			err = c.opError("write", o.errno)
		}
		if err != nil {
			return written, err
		}
		written += o.n
	}
	return written, nil
}

// WriteLast writes p and ends what is sent, as Write and CloseWrite do, in one
// segment where p fits one: the peer is woken once and not twice. It is for one
// goroutine at a time.
func (c *Conn) WriteLast(p []byte) (int, error) {
	c.write.call = writeMore
	n, err := c.Write(p)
	c.write.call = write
	if err == nil {
		err = c.CloseWrite()
	}
	return n, err
}

func (c *Conn) opError(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}
