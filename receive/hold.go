package receive

import (
	"errors"
	"io"
	"os"
	"time"

	"postern/internal/wire"
	"postern/tarpit"
)

// maxTarpitted bounds the sessions whose replies are held back at one time. A
// further one lets the one go that has waited longest.
const maxTarpitted = 2000

// blindInterval is how often a session that is held back looks up, where the
// connection can't say by itself that the client is gone.
const blindInterval = 100 * time.Millisecond

// errHangup is why a session reads no more whose client hung up while a reply
// was held back.
var errHangup = errors.New("receive: the client hung up while it was held back")

// refusedRecipient notes a recipient that was refused for good, which shows
// whoever tries out addresses.
func (s *session) refusedRecipient() {
	if !s.known() {
		s.server.harvest.Add(sourceOf(s.remote.Addr()), time.Now())
	}
}

// known reports whether the client is nobody's stranger: it has authenticated,
// or may send to any recipient as our own hosts may.
func (s *session) known() bool { return s.proven != 0 || s.rights.Has(AcceptAnyRecipient) }

// delay is how long a reply is held back, and why longer than others.
func (s *session) delay(r *wire.Reply) (d time.Duration, why string) {
	kind := tarpit.Other
	switch {
	case r.Hold > 0:
		return r.Hold, " due to 'Back Pressure'"
	case r.Prompt:
		return 0, ""
	case r.Code == replyAuthFailed.Code, r.Limit == limitLogons, r.Limit == limitSourceLogons:
		kind = tarpit.FailedLogon
	case r.Code >= 500:
		kind = tarpit.Refusal
	default:
		return 0, ""
	}
	c := tarpit.Client{Authenticated: s.proven != 0, Trusted: s.rights.Has(AcceptAnyRecipient)}
	p := tarpit.Policy{Interval: s.connector.TarpitInterval, AuthInterval: s.connector.AuthTarpitInterval}
	usual := p.Delay(kind, c)
	if usual == 0 {
		return 0, ""
	}
	c.Refused = s.server.harvest.Refused(sourceOf(s.remote.Addr()), time.Now())
	if d = p.Delay(kind, c); d > usual {
		return d, " due to 'DirectoryHarvest'"
	}
	return usual, ""
}

// hold holds a reply back. What was answered before is sent first; nothing is
// read meanwhile, and the time is not the client's idle time. The error is why
// nothing more will be read: the client is gone, a deadline has passed, the
// server stops.
func (s *session) hold(r *wire.Reply) error {
	d, why := s.delay(r)
	if d == 0 || s.readErr != nil {
		return nil
	}
	if err := s.flush(); err != nil {
		s.readErr = err
		return err
	}
	if s.log != nil {
		s.log.Info("Tarpit for '"+tarpit.Text(d)+"'"+why, r.WithLog("").Error())
	}
	s.connector.tarpits.Inc()
	s.connector.tarpitted.Add(1)
	began := time.Now()
	place := s.server.tarpitted.Enter(s.deadlines.letGo)
	err := s.deadlines.hold(time.Now().Add(d), false)
	s.connector.tarpitted.Add(-1)
	s.connector.tarpitTime.Add(int64(time.Since(began)))
	if !s.server.tarpitted.Leave(place) {
		s.note(limited(&wire.Reply{Log: itoa(maxTarpitted+1) + " of " + itoa(maxTarpitted)}, limitTarpitted))
	}
	s.readErr = err
	return err
}

// letGo ends a wait in hold early. It may be called from any goroutine, and
// before the wait has begun.
func (d *deadlines) letGo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released = true
	if d.holding {
		d.setRead(time.Unix(1, 0))
	}
}

// hold waits until then, unless the session ends or is let go; with words also
// until the client says something, which is errSpoke. It reads nothing.
func (d *deadlines) hold(until time.Time, words bool) error {
	due := ""
	if d.phase != phaseData && !d.end.IsZero() && d.end.Before(until) {
		until, due = d.end, limitTimeout
	}
	d.mu.Lock()
	err := d.interrupted()
	if err == nil && !d.released {
		d.holding = true
		err = d.setRead(until)
	}
	holding := d.holding
	d.mu.Unlock()
	if err == nil && holding {
		err = d.await(until, words)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	released := d.released
	d.holding, d.released = false, false
	if e := d.interrupted(); e != nil {
		return e
	}
	switch {
	case errors.Is(err, io.EOF):
		return errHangup
	case errors.Is(err, os.ErrDeadlineExceeded) && due != "" && !released:
		return &timeoutError{limit: due}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// errSpoke is what a wait for words ends with when there are some.
var errSpoke = errors.New("receive: the client has said something")

// waiter is a connection that can wait without reading: until its read deadline
// has passed (os.ErrDeadlineExceeded), the other side has closed it (io.EOF)
// or, with words, said something (errSpoke).
type waiter interface{ Await(words bool) error }

// await waits until then, which is the read deadline, as a waiter does. Its
// error is nil only when it was interrupted.
func (d *deadlines) await(until time.Time, words bool) error {
	if w, ok := d.conn.(waiter); ok { // a network in memory knows by itself
		return w.Await(words)
	}
	if err, ok := awaitSocket(d.conn, words); ok {
		return err
	}
	for time.Now().Before(until) {
		d.mu.Lock()
		over := d.released || d.interrupted() != nil
		d.mu.Unlock()
		if over {
			return nil
		}
		time.Sleep(min(blindInterval, time.Until(until)))
	}
	return os.ErrDeadlineExceeded
}
