package receive

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"postern/config"
)

// Times that no key of the configuration sets.
const (
	// handshakeTimeout bounds a TLS handshake from its first octet to its last.
	handshakeTimeout = 30 * time.Second
	// proxyTimeout bounds a PROXY header from its first octet to its last.
	proxyTimeout = 5 * time.Second
	// writeTimeout bounds one batch of replies to a client that does not read.
	// Deadlines are set again only when half of it is gone.
	writeTimeout = 2 * time.Minute
	// refuseTimeout bounds the only reply to a connection that is not taken.
	refuseTimeout = 5 * time.Second
	// lingerTimeout and lingerOctets bound the wait for a client to read our
	// last words when we hang up on it.
	lingerTimeout = time.Second
	lingerOctets  = 64 << 10
	// commitTimeout bounds the wait for stable storage. It is below the ten
	// minutes that a client waits (RFC 5321 4.5.3.2.6).
	commitTimeout = 5 * time.Minute
	// minDataRate is how many octets of content a second a client must send on
	// average, once dataGrace is over. Only the time spent waiting for the
	// client counts.
	minDataRate = 512
	dataGrace   = time.Minute
)

// errStopped is why a session that the server asked to end reads no more.
var errStopped = errors.New("receive: the server is stopping")

// errAborted is why a session whose server did not wait for it reads no more.
var errAborted = errors.New("receive: the session was cut off")

// timeoutError is a deadline that passed. It names the limit.
type timeoutError struct{ limit string }

func (e *timeoutError) Error() string { return "receive: " + e.limit + " reached" }

// phase is what a session waits for.
type phase uint8

const (
	phaseCommand phase = iota
	phaseData          // content that is wanted: the session clock stands still
	phaseDrain         // content that was refused: the session clock runs
)

// deadlines holds the clocks of one session and the read deadline of its
// connection. All of it belongs to the session's goroutine, but for stop and
// abort.
//
// To set a connection's deadline costs about as much as a short read, and next
// to none ever passes: one that is set already and comes before the one that is
// meant is left alone, and put right in the case that it passes (again).
type deadlines struct {
	conn net.Conn
	idle time.Duration // 0: none
	end  time.Time     // of the session; zero: none

	phase   phase
	held    time.Duration // what is left of the session while its clock stands
	waited  time.Duration // for the content of this message
	octets  int64         // of it
	started time.Time     // of the read that is going on
	by      time.Time     // until when it may take; zero: for ever
	due     string        // the limit that is
	write   time.Time     // the write deadline that is set

	mu      sync.Mutex // guards what follows, and the order of deadlines
	armed   time.Time  // the read deadline that is set
	stopped bool
	aborted bool
	busy    bool // in DATA: stop does not interrupt
	// holding: a reply is held back; released: it shall be no longer.
	holding, released bool
}

func (d *deadlines) start(conn net.Conn) { d.conn = conn }

// limit sets the limits of the connector, once it is known.
func (d *deadlines) limit(c *config.ReceiveConnector, now time.Time) {
	d.idle = c.ConnectionInactivityTimeout
	if c.ConnectionTimeout > 0 && c.ConnectionTimeout != config.Unlimited {
		d.end = now.Add(c.ConnectionTimeout)
	}
	if d.idle == config.Unlimited {
		d.idle = 0
	}
}

// content begins the count of a message's content, which may come in more than
// one piece.
func (d *deadlines) content() { d.waited, d.octets = 0, 0 }

// enter begins a phase.
func (d *deadlines) enter(p phase, now time.Time) {
	if d.phase == phaseData && !d.end.IsZero() {
		d.end = now.Add(d.held)
	}
	if p == phaseData && !d.end.IsZero() {
		d.held = d.end.Sub(now)
	}
	d.phase = p
	d.mu.Lock()
	d.busy = p != phaseCommand
	d.mu.Unlock()
}

// setRead sets the read deadline. It is called with the lock held.
func (d *deadlines) setRead(t time.Time) error {
	d.armed = t
	return d.conn.SetReadDeadline(t)
}

// beforeRead sets the deadline of the next read.
func (d *deadlines) beforeRead() error {
	d.started = time.Now()
	d.by, d.due = time.Time{}, ""
	earlier := func(t time.Time, limit string) {
		if d.by.IsZero() || t.Before(d.by) {
			d.by, d.due = t, limit
		}
	}
	if d.idle > 0 {
		earlier(d.started.Add(d.idle), limitInactivity)
	}
	if d.phase != phaseCommand {
		left := dataGrace + time.Duration(d.octets/minDataRate)*time.Second - d.waited
		earlier(d.started.Add(left), limitDataRate)
	}
	if d.phase != phaseData && !d.end.IsZero() {
		earlier(d.end, limitTimeout)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.interrupted(); err != nil {
		return err
	}
	if d.armed.After(d.started) && (d.by.IsZero() || !d.armed.After(d.by)) {
		return nil
	}
	return d.setRead(d.by)
}

// again reports whether a read that failed is to be made again: the deadline
// that passed was that of an earlier one. It sets the right one.
func (d *deadlines) again(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || !d.by.IsZero() && !time.Now().Before(d.by) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.interrupted() == nil && d.setRead(d.by) == nil
}

// afterRead accounts for a read and says what its error means.
func (d *deadlines) afterRead(n int, err error) error {
	if d.phase != phaseCommand {
		d.octets += int64(n)
		d.waited += time.Since(d.started)
	}
	if err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.interrupted(); e != nil {
		return e
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &timeoutError{limit: d.due}
	}
	return err
}

// beforeWrite sets the deadline of the next write.
func (d *deadlines) beforeWrite() error {
	now := time.Now()
	if d.write.Sub(now) > writeTimeout/2 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.aborted {
		return errAborted
	}
	d.write = now.Add(writeTimeout)
	return d.conn.SetWriteDeadline(d.write)
}

// proxyHeader sets the deadline of a whole PROXY header.
func (d *deadlines) proxyHeader() error {
	d.started, d.due = time.Now(), limitProxyTimeout
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.interrupted(); err != nil {
		return err
	}
	return d.setRead(d.started.Add(proxyTimeout))
}

// handshake sets the deadline of a whole TLS handshake.
func (d *deadlines) handshake() error {
	now := time.Now()
	by := now.Add(handshakeTimeout)
	d.due = limitHandshake
	if !d.end.IsZero() && d.end.Before(by) {
		by, d.due = d.end, limitTimeout
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.interrupted(); err != nil {
		return err
	}
	d.started, d.write, d.armed = now, by, by
	return d.conn.SetDeadline(by)
}

// afterHandshake says what the error of a handshake means.
func (d *deadlines) afterHandshake(err error) error {
	if err == nil {
		return nil
	}
	return d.afterRead(0, err)
}

// last sets a short deadline for our last words.
func (d *deadlines) last(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.aborted {
		d.armed = time.Now().Add(t)
		d.conn.SetDeadline(d.armed)
	}
}

// interrupted is called with the lock held.
func (d *deadlines) interrupted() error {
	switch {
	case d.aborted:
		return errAborted
	case d.stopped && !d.busy:
		return errStopped
	}
	return nil
}

// stop asks the session to end as soon as it waits for a command. It may be
// called from any goroutine.
func (d *deadlines) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if !d.busy {
		d.setRead(time.Unix(1, 0))
	}
}

// abort ends the session now. It may be called from any goroutine.
func (d *deadlines) abort() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.aborted = true
	d.armed = time.Unix(1, 0)
	d.conn.SetDeadline(d.armed)
}
