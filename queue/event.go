package queue

import (
	"time"

	"postern/internal/message"
	"postern/routing"
)

// EventKind says what happened to a message.
type EventKind uint8

// The kinds of event.
const (
	// Submitted: the message is stored and on its way.
	Submitted EventKind = iota + 1
	// Delivered: a next hop took it for these recipients.
	Delivered
	// Deferred: it will be tried again for these recipients at Due.
	Deferred
	// Failed: it was refused for these recipients, or has no way to them.
	Failed
	// Expired: it was given up for these recipients.
	Expired
	// Notified: the sender has been sent a notification, whose id is
	// Notification; Delay and Relayed say which kind.
	Notified
	// Suppressed: the sender is not told what happened to these recipients, for
	// the Reason given; Delay and Relayed say what it was, else a failure.
	Suppressed
	// Finished: nothing is left to do, the message leaves the spool.
	Finished
	// MessageSuspended, Resumed, Redirected, Resubmitted: it was ordered about
	// the message, by By.
	MessageSuspended
	Resumed
	Redirected
	Resubmitted
	// Removed: the message was ended for these recipients by By.
	Removed
	// Poisoned: the message was parked in the poison queue.
	Poisoned
	// FallenBack: the Send connector Fallback has taken over for these
	// recipients, whom Hop did not take; Outcome has its last reply.
	FallenBack
)

// String returns the event's name in lower case.
func (k EventKind) String() string {
	switch k {
	case Submitted:
		return "submitted"
	case Delivered:
		return "delivered"
	case Deferred:
		return "deferred"
	case Failed:
		return "failed"
	case Expired:
		return "expired"
	case Notified:
		return "notified"
	case Suppressed:
		return "suppressed"
	case Finished:
		return "finished"
	case MessageSuspended:
		return "suspended"
	case Resumed:
		return "resumed"
	case Redirected:
		return "redirected"
	case Resubmitted:
		return "resubmitted"
	case Removed:
		return "removed"
	case Poisoned:
		return "poisoned"
	case FallenBack:
		return "fallback"
	}
	return "unknown"
}

// Event is something that happened to a message. What it points to must not be
// changed.
type Event struct {
	Kind     EventKind
	At       time.Time
	ID       message.ID
	Envelope *message.Envelope
	// Hop is the delivery queue; zero where there was none.
	Hop routing.NextHop
	// Outcome has the recipients that the event is about, the reply, the
	// remote MTA, the tries and when the next one is due.
	Outcome message.Outcome
	// Attempts are the connections of the delivery that the event tells of.
	Attempts []message.Attempt
	// Notification is the queue id of a notification, Delay whether it is about
	// a delay rather than a failure, Relayed whether it is about recipients that
	// went to a next hop without DSN.
	Notification message.ID
	Delay        bool
	Relayed      bool
	// Reason says why a notification was suppressed.
	Reason string
	// By says who gave the order, where there was one; Standing is what holds of
	// the message since.
	By       string
	Standing message.Standing
	Fallback string
}

// outcomeEvents are the events that an update brings. Called with f.mu held.
func (q *Queue) outcomeEvents(f *flight, u *message.Update, hop routing.NextHop) []Event {
	events := make([]Event, 0, len(u.Outcomes)+1)
	base := Event{At: u.At, ID: f.id, Envelope: f.envelope, Hop: hop, Attempts: u.Attempts}
	for _, o := range u.Outcomes {
		e := base
		e.Outcome = o
		switch n := uint64(len(o.Recipients)); o.Status {
		case message.Delivered:
			e.Kind = Delivered
			q.counters.delivered.Add(n)
		case message.Deferred:
			e.Kind = Deferred
			q.counters.deferrals.Add(n)
		case message.Failed:
			e.Kind = Failed
			q.counters.failed.Add(n)
		case message.Expired:
			e.Kind = Expired
			q.counters.expired.Add(n)
		case message.Removed:
			e.Kind, e.By = Removed, f.by
		default:
			continue
		}
		events = append(events, e)
		if e.Kind == Failed || e.Kind == Expired || e.Kind == Removed {
			quiet, reason := unwanted(f.envelope, o.Recipients), "NOTIFY= does not ask for it"
			switch {
			case f.envelope.From.IsNull():
				reason = "the reverse path is null"
			case len(u.Notified) > 0: // nobody is to be told
				quiet, reason = o.Recipients, "the order was to tell nobody"
			}
			if len(quiet) > 0 {
				e.Kind, e.Outcome.Recipients, e.Reason = Suppressed, quiet, reason
				q.counters.suppressed.Add(uint64(len(quiet)))
				events = append(events, e)
			}
		}
	}
	if u.Done {
		events = append(events, Event{Kind: Finished, At: u.At, ID: f.id, Envelope: f.envelope})
	}
	return events
}

func (q *Queue) tell(events []Event) {
	for _, e := range events {
		q.onEvent(e)
	}
}
