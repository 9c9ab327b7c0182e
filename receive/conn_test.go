package receive

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// pipe is a connection in memory that, unlike net.Pipe, has a buffer, so that a
// client may write before the server reads, as over TCP. It works within
// synctest. Each end counts its writes.
type pipe struct {
	in, out       *stream
	local, remote netip.AddrPort
	mu            sync.Mutex
	writes        [][]byte
}

func newPipe(client, server netip.AddrPort) (*pipe, *pipe) {
	a, b := newStream(), newStream()
	return &pipe{in: a, out: b, local: client, remote: server}, &pipe{in: b, out: a, local: server, remote: client}
}

func (p *pipe) Read(b []byte) (int, error) { return p.in.read(b) }

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.writes = append(p.writes, append([]byte(nil), b...))
	p.mu.Unlock()
	return p.out.write(b)
}

// written returns what each write held.
func (p *pipe) written() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes
}

func (p *pipe) Close() error {
	p.in.close(net.ErrClosed)
	p.out.close(io.EOF)
	return nil
}

func (p *pipe) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(p.local) }
func (p *pipe) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.remote) }

func (p *pipe) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}
func (p *pipe) SetReadDeadline(t time.Time) error  { p.in.readBy.set(p.in, t); return nil }
func (p *pipe) SetWriteDeadline(t time.Time) error { p.out.writeBy.set(p.out, t); return nil }

// streamSize is how much a stream holds before its writer waits.
const streamSize = 64 << 10

// stream is one direction of a pipe.
type stream struct {
	mu              sync.Mutex
	changed         *sync.Cond
	data            []byte
	end             error // once the data is read
	readBy, writeBy deadline
}

func newStream() *stream {
	s := new(stream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

type deadline struct {
	timer  *time.Timer
	passed bool
}

func (d *deadline) set(s *stream, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = !t.IsZero() && !t.After(time.Now())
	s.changed.Broadcast()
	if t.IsZero() || d.passed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(t), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.timer == timer {
			d.passed = true
			s.changed.Broadcast()
		}
	})
	d.timer = timer
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.end == net.ErrClosed:
			return 0, net.ErrClosed
		case s.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(b, s.data)
			s.data = s.data[n:]
			s.changed.Broadcast()
			return n, nil
		case s.end != nil:
			return 0, s.end
		}
		s.changed.Wait()
	}
}

// Await is as waiter has it.
func (p *pipe) Await(words bool) error {
	s := p.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.end != nil:
			return s.end
		case s.readBy.passed:
			return os.ErrDeadlineExceeded
		case words && len(s.data) > 0:
			return errSpoke
		}
		s.changed.Wait()
	}
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(b) {
		switch {
		case s.end != nil:
			return n, io.ErrClosedPipe
		case s.writeBy.passed:
			return n, os.ErrDeadlineExceeded
		case len(s.data) == streamSize:
			s.changed.Wait()
			continue
		}
		m := min(len(b)-n, streamSize-len(s.data))
		s.data = append(s.data, b[n:n+m]...)
		n += m
		s.changed.Broadcast()
	}
	return n, nil
}

func (s *stream) close(end error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = end
	}
	s.readBy.stop()
	s.writeBy.stop()
	s.changed.Broadcast()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
