package send

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// memNet is a network in memory, with buffered connections as TCP has them,
// so that time can be synthetic.
type memNet struct {
	mu    sync.Mutex
	hosts map[netip.AddrPort]func(net.Conn)
	// silent hosts never answer a connection.
	silent map[netip.AddrPort]bool
	// slow hosts answer after a while.
	slow map[netip.AddrPort]time.Duration
	// missing are source addresses that can't be bound.
	missing map[netip.Addr]bool
	dials   []dialed
	wg      sync.WaitGroup
}

type dialed struct {
	source netip.Addr
	remote netip.AddrPort
}

func (d dialed) String() string { return "{" + d.source.String() + " " + d.remote.String() + "}" }

func newMemNet() *memNet {
	return &memNet{hosts: map[netip.AddrPort]func(net.Conn){}, silent: map[netip.AddrPort]bool{}, slow: map[netip.AddrPort]time.Duration{}, missing: map[netip.Addr]bool{}}
}

func (n *memNet) dial(ctx context.Context, source netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, dialed{source, remote})
	serve, silent, slow, missing := n.hosts[remote], n.silent[remote], n.slow[remote], n.missing[source]
	port := 40000 + len(n.dials)
	n.mu.Unlock()
	if missing {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}
	}
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	if !source.IsValid() {
		source = netip.MustParseAddr("192.0.2.200")
	}
	local := netip.AddrPortFrom(source, uint16(port))
	a, b := newHalf(), newHalf()
	client := &memConn{in: a, out: b, local: local, remote: remote}
	server := &memConn{in: b, out: a, local: remote, remote: local}
	n.wg.Go(func() {
		defer server.Close()
		serve(server)
	})
	return client, nil
}

// half is one direction of a connection.
type half struct {
	mu     sync.Mutex
	buf    []byte
	closed bool
	err    error // what the end of the connection is, io.EOF when nil
	wake   chan struct{}
}

// halfCapacity is what a peer's system takes though the peer reads nothing.
const halfCapacity = 256 << 10

func newHalf() *half { return &half{wake: make(chan struct{})} }

// changed wakes all who wait; the caller holds the lock.
func (h *half) changed() {
	close(h.wake)
	h.wake = make(chan struct{})
}

type memConn struct {
	in, out       *half
	local, remote netip.AddrPort
	mu            sync.Mutex
	rd, wd        time.Time
}

func (c *memConn) deadlines() (rd, wd time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rd, c.wd
}

// wait waits for a change of a half, or the deadline.
func wait(wake chan struct{}, deadline time.Time) {
	var timer <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-wake:
	case <-timer:
	}
}

func expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (c *memConn) Read(p []byte) (int, error) {
	for {
		c.in.mu.Lock()
		rd, _ := c.deadlines()
		switch {
		case expired(rd):
			c.in.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(c.in.buf) > 0:
			n := copy(p, c.in.buf)
			c.in.buf = c.in.buf[n:]
			c.in.changed()
			c.in.mu.Unlock()
			return n, nil
		case c.in.closed:
			err := c.in.err
			c.in.mu.Unlock()
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
		wake := c.in.wake
		c.in.mu.Unlock()
		wait(wake, rd)
	}
}

func (c *memConn) Write(p []byte) (int, error) {
	total := 0
	for {
		c.out.mu.Lock()
		_, wd := c.deadlines()
		switch {
		case c.out.closed:
			c.out.mu.Unlock()
			return total, syscall.EPIPE
		case expired(wd):
			c.out.mu.Unlock()
			return total, os.ErrDeadlineExceeded
		}
		if room := halfCapacity - len(c.out.buf); room > 0 {
			n := min(room, len(p)-total)
			c.out.buf = append(c.out.buf, p[total:total+n]...)
			total += n
			c.out.changed()
		}
		if total == len(p) {
			c.out.mu.Unlock()
			return total, nil
		}
		wake := c.out.wake
		c.out.mu.Unlock()
		wait(wake, wd)
	}
}

func (c *memConn) Close() error {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		if !h.closed {
			h.closed = true
			h.changed()
		}
		h.mu.Unlock()
	}
	return nil
}

// Readable reports whether a read would not wait.
func (c *memConn) Readable() bool {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return len(c.in.buf) > 0 || c.in.closed
}

// reset closes the connection as an RST does: what was on its way is lost.
func (c *memConn) reset() {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		h.buf, h.closed, h.err = nil, true, syscall.ECONNRESET
		h.changed()
		h.mu.Unlock()
	}
}

func (c *memConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *memConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.rd = t
	c.mu.Unlock()
	c.in.mu.Lock()
	c.in.changed()
	c.in.mu.Unlock()
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.wd = t
	c.mu.Unlock()
	c.out.mu.Lock()
	c.out.changed()
	c.out.mu.Unlock()
	return nil
}

var _ net.Conn = (*memConn)(nil)
