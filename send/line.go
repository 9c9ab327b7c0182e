package send

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// line is a TCP connection that can be looked at without waiting: whether the
// next hop has said something that nobody asked for. TLS goes over it too. One
// goroutine uses it at a time, but for cut.
//
// To set a connection's deadline costs about as much as a short read, and next
// to none ever passes: one that is set already and comes before the one that is
// meant is left alone, and put right in the case that it passes.
type line struct {
	net.Conn
	// readable reports whether a read would not wait; nil where that can't be
	// known, and nothing unasked is then seen before it is read.
	readable func() bool
	// looking makes a read that would wait fail with os.ErrDeadlineExceeded.
	looking     bool
	read, write deadline
	severed     atomic.Bool // cut was called
}

// deadline is one of a line.
type deadline struct {
	meant, set time.Time
}

// early reports whether a deadline that is set comes too early, now that it has
// passed.
func (d *deadline) early() bool { return d.meant.IsZero() || time.Now().Before(d.meant) }

// mean takes note of a deadline, and hands it to set unless the one that is set
// will do.
func (d *deadline) mean(t time.Time, set func(time.Time) error) error {
	d.meant = t
	if d.set.After(time.Now()) && (t.IsZero() || !d.set.After(t)) {
		return nil
	}
	d.set = t
	return set(t)
}

// passed reports whether what failed is to be tried again, for the deadline that
// has passed came too early. It sets the one that is meant.
func (l *line) passed(err error, d *deadline, set func(time.Time) error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || !d.early() {
		return false
	}
	d.set = d.meant
	if set(d.meant) != nil {
		return false
	}
	return !l.severed.Load() // looked at last: cut sets its deadline after that
}

func newLine(c net.Conn) *line {
	// A network in memory knows by itself.
	if r, ok := c.(interface{ Readable() bool }); ok {
		return &line{Conn: c, readable: r.Readable}
	}
	return &line{Conn: c, readable: readableSocket(c)}
}

func (l *line) SetReadDeadline(t time.Time) error { return l.read.mean(t, l.Conn.SetReadDeadline) }

func (l *line) SetWriteDeadline(t time.Time) error { return l.write.mean(t, l.Conn.SetWriteDeadline) }

func (l *line) SetDeadline(t time.Time) error {
	return errors.Join(l.SetReadDeadline(t), l.SetWriteDeadline(t))
}

// cut ends whatever the line waits for, now and from now on. It may be called
// from any goroutine.
func (l *line) cut() {
	l.severed.Store(true)
	_ = l.Conn.SetDeadline(past)
}

// mend undoes cut.
func (l *line) mend() {
	l.severed.Store(false)
	l.read, l.write = deadline{}, deadline{}
	_ = l.Conn.SetDeadline(time.Time{})
}

func (l *line) Read(p []byte) (int, error) {
	if l.looking {
		if l.readable == nil || !l.readable() {
			return 0, os.ErrDeadlineExceeded
		}
		// The deadline of an earlier read may be over by now.
		_ = l.SetReadDeadline(time.Now().Add(time.Second))
	}
	n, err := l.Conn.Read(p)
	for n == 0 && l.passed(err, &l.read, l.Conn.SetReadDeadline) {
		n, err = l.Conn.Read(p)
	}
	return n, err
}

func (l *line) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	for n < len(p) && l.passed(err, &l.write, l.Conn.SetWriteDeadline) {
		var more int
		more, err = l.Conn.Write(p[n:])
		n += more
	}
	return n, err
}
