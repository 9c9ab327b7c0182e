package queue

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"postern/internal/dsn"
	"postern/internal/eventid"
	"postern/internal/message"
)

// errReporting says that another clerk makes a notification about the same
// message just now.
var errReporting = errors.New("another notification about the message is being made")

// report runs fn while no other notification about the message is made: what
// is owed is told once.
func (f *flight) report(fn func() error) error {
	f.mu.Lock()
	busy := f.reporting
	f.reporting = true
	f.mu.Unlock()
	if busy {
		return errReporting
	}
	err := fn()
	f.mu.Lock()
	f.reporting = false
	f.mu.Unlock()
	return err
}

// notifyEnds tells the sender of all failures that are owed by now, in one
// notification, and in another of the recipients that went to a next hop
// without DSN, and ends the message when nothing else is left. Called within
// f.report.
func (q *Queue) notifyEnds(f *flight) error {
	if f.standing().Poison {
		return nil // when it is resumed
	}
	for _, kind := range finalKinds {
		f.mu.Lock()
		list := owed(f.envelope, f.state, kind)
		recipients := reported(f.state, list)
		f.mu.Unlock()
		if len(list) == 0 {
			continue
		}
		if err := q.tellSender(f, &dsn.Report{Kind: kind, Recipients: recipients}, &message.Update{Notified: list}); err != nil {
			return err
		}
	}
	f.mu.Lock()
	finish := !f.state.Done && len(f.state.Pending()) == 0 && !owes(f.envelope, f.state)
	f.mu.Unlock()
	if finish { // nothing was owed, and yet it was not done
		q.recordNotified(f, &message.Update{}, Event{})
	}
	return nil
}

// notifyDelay tells the sender that a message is late for all recipients who
// are still pending, whatever queue they stand in, in one notification. Called
// within f.report.
func (q *Queue) notifyDelay(f *flight, d *destination, arrived int64) error {
	if s := f.standing(); s.Suspended || s.Poison || s.Removal != message.RemovalNone {
		return nil // an administrator has it in hand
	}
	q.mu.Lock()
	until := q.wallTime(arrived + int64(q.schedule.expiration))
	q.mu.Unlock()
	f.mu.Lock()
	var list []int
	for _, i := range f.state.Pending() {
		if !f.state.Recipients[i].DelayNotified && dsn.Wanted(f.envelope, i, dsn.Delay) {
			list = append(list, i)
		}
	}
	recipients := reported(f.state, list)
	q.mu.Lock()
	split := q.splits[f.id]
	for n := range recipients {
		if st := &recipients[n].State; st.Reply.Code == 0 { // never tried itself: its queue is in Retry
			if split != nil {
				d = split[recipients[n].Index]
			}
			st.Reply = q.troubleOf(d)
		}
	}
	q.mu.Unlock()
	f.mu.Unlock()
	if len(list) == 0 || !q.wall().Before(until) {
		return nil
	}
	q.mu.Lock()
	policy := q.remote.of(f.envelope.From.Domain)
	q.mu.Unlock()
	told := refuses(&policy, dsn.Failure) == ""
	for _, i := range list {
		told = told && dsn.Wanted(f.envelope, i, dsn.Failure)
	}
	return q.tellSender(f, &dsn.Report{Kind: dsn.Delay, Recipients: recipients, RetryUntil: until, FailureTold: told}, &message.Update{DelayNotified: list})
}

// tellSender sends a notification, unless the rules keep it from being sent, and
// records that nothing of it is owed any more. Called within f.report.
func (q *Queue) tellSender(f *flight, r *dsn.Report, u *message.Update) error {
	event := Event{Kind: Suppressed, Delay: r.Kind == dsn.Delay, Relayed: r.Kind == dsn.Relayed}
	policy, reason := q.unsent(f.envelope, r.Kind)
	if reason != "" {
		event.Reason = reason
		q.recordNotified(f, u, event)
		return nil
	}
	r.NoDiagnostics = !policy.NDRDiagnosticInfo
	id, err := q.notify(f, r)
	if err != nil {
		q.quota.back(f.envelope.From.Key())
		return err
	}
	if q.copied(r) { // now, since the message may be done with what is recorded next
		q.copyToPostmaster(f, r)
	}
	event.Kind, event.Notification = Notified, id
	q.recordNotified(f, u, event)
	return nil
}

// copyToPostmaster sends the postmaster a copy of a notification. It is a help
// and not owed: what goes wrong is only reported.
func (q *Queue) copyToPostmaster(f *flight, r *dsn.Report) {
	q.mu.Lock()
	to, limit := q.settings.Postmaster, q.settings.Notifications.MaxPerHour
	q.mu.Unlock()
	if !q.quota.take(to.Key(), limit, time.Unix(0, q.now())) {
		return
	}
	r.To, r.NoDiagnostics = to, false
	if _, err := q.notify(f, r); err != nil {
		q.quota.back(to.Key())
		q.log.Warn("the postmaster's copy of a notification could not be stored and is left out", eventid.PostmasterCopyLost.Attr(), "id", f.id, "error", err)
	}
}

func reported(st *message.State, list []int) []dsn.Recipient {
	r := make([]dsn.Recipient, len(list))
	for n, i := range list {
		r[n] = dsn.Recipient{Index: i, State: st.Recipients[i]}
	}
	return r
}

// recordNotified records that a notification was stored, or is not to be sent,
// and tells the event, unless its kind is zero.
func (q *Queue) recordNotified(f *flight, u *message.Update, event Event) {
	u.At = q.wall()
	f.mu.Lock()
	if f.state.Done {
		f.mu.Unlock()
		return
	}
	q.record(f, u)
	f.mu.Unlock()
	var events []Event
	event.At, event.ID, event.Envelope = u.At, f.id, f.envelope
	event.Outcome.Recipients = append(u.Notified, u.DelayNotified...)
	switch event.Kind {
	case Notified:
		q.counters.notifications.Add(1)
		events = append(events, event)
	case Suppressed:
		q.counters.suppressed.Add(uint64(len(event.Outcome.Recipients)))
		events = append(events, event)
	}
	if u.Done {
		events = append(events, Event{Kind: Finished, At: u.At, ID: f.id, Envelope: f.envelope})
	}
	q.tell(events)
}

// notify composes a notification, stores it and puts it on its way. Called
// within f.report.
func (q *Queue) notify(f *flight, r *dsn.Report) (message.ID, error) {
	q.mu.Lock()
	r.ReportingMTA, r.From, r.MaxOriginal = q.settings.ReportingMTA, q.settings.Postmaster, q.settings.Notifications.MaxReturned
	q.mu.Unlock()
	f.mu.Lock()
	r.Attempts = slices.Clone(f.state.Attempts)
	f.mu.Unlock()
	r.ID, r.Envelope, r.Now = f.id, f.envelope, q.wall()

	id, err := q.compose(r, true)
	var unreadable *readError
	if errors.As(err, &unreadable) {
		q.log.Error("a message can't be read to be returned to its sender; the notification goes without it", eventid.OriginalUnreadable.Attr(), "id", f.id, "error", err)
		id, err = q.compose(r, false)
	}
	return id, err
}

// readError marks trouble with reading the original from trouble with writing
// the notification.
type readError struct{ err error }

func (e *readError) Error() string { return "read the message: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func (q *Queue) compose(r *dsn.Report, whole bool) (message.ID, error) {
	r.Original = nil
	if whole {
		c, err := q.store.Content(r.ID)
		if err != nil {
			return 0, &readError{err}
		}
		defer c.Close()
		r.Original = &marked{c}
	}
	d, err := q.newDraft()
	if err != nil {
		return 0, fmt.Errorf("make a notification: %w", err)
	}
	r.NotificationID = d.ID()
	e, err := composeDSN(d, r)
	if err != nil {
		d.Abort()
		return 0, fmt.Errorf("make a notification: %w", err)
	}
	if err := q.submit(q.ctx, d, e); err != nil {
		return 0, fmt.Errorf("make a notification: %w", err)
	}
	q.mu.Lock()
	q.storageFailures = 0
	q.mu.Unlock()
	return r.NotificationID, nil
}

// composeDSN is dsn.Compose, whose panics are errors.
func composeDSN(d draft, r *dsn.Report) (e *message.Envelope, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newCaught("making a notification", p)
		}
	}()
	return dsn.Compose(d, r)
}

// marked is content whose errors are readErrors.
type marked struct{ message.Content }

func (m *marked) Read(p []byte) (int, error) {
	n, err := m.Content.Read(p)
	return n, mark(err)
}

func (m *marked) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.Content.ReadAt(p, off)
	return n, mark(err)
}

func (m *marked) Seek(off int64, whence int) (int64, error) {
	n, err := m.Content.Seek(off, whence)
	return n, mark(err)
}

func mark(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &readError{err}
}
