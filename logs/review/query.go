package review

import (
	"net/netip"
	"time"

	"postern/config"
	"postern/logs"
)

// Query says which sessions are wanted, or which lines of another log. Each
// field that is set must be met; where a field is a list, one of its items is
// enough. A session meets a field when one of its lines does, so two fields may
// be met by two messages of one session. The zero Query chooses everything.
// Filters makes one from what an administrator writes. A Query must not be
// changed while it is in use; it may serve many calls.
type Query struct {
	// Since and Until choose what has a part in the time from Since up to, but
	// not including, Until; zero is no bound. A session that went on more than
	// two hours beyond Until may seem to be open.
	Since, Until time.Time
	// Directions are the directions of protocol logs; none means both.
	Directions []logs.Direction
	// Connectors match the connector's name with or without "SERVER\".
	Connectors []Pattern
	// Peers hold the peer's address.
	Peers []config.Range
	// HELO matches the name in a HELO or EHLO, of either side.
	HELO []Pattern
	// From and To match the address in a MAIL or RCPT command, whatever the
	// reply was.
	From, To []AddressPattern
	// Replies match a reply of the server in the session.
	Replies []ReplyPattern
	// Text stands, in any case, in data or context of a line.
	Text string
	TLS  TLSFilter
	// Users match who authenticated.
	Users []Pattern
	// MinDuration is the least time between the first line and the last.
	MinDuration time.Duration
	// Failed wants sessions in which something was refused or broke.
	Failed bool

	// Sessions are ids of sessions. An id that begins or ends with one of these
	// is chosen too when they have at least four characters.
	Sessions []string
	// Names are words of which one stands in data or context of a line, in just
	// this case: queue ids and Message-IDs.
	Names []string

	// Lines asks for Session.Lines.
	Lines bool
}

// TLSFilter chooses by what TLS a session had.
type TLSFilter struct {
	// With and Without TLS; neither means both.
	With, Without bool
	// Version is the version it must have had, such as "TLS1.2"; empty means
	// any.
	Version string
}

// wants reports whether a direction is asked for.
func (q *Query) wants(d logs.Direction) bool {
	for _, w := range q.Directions {
		if w == d {
			return true
		}
	}
	return len(q.Directions) == 0
}

// wantsPeer reports whether a peer is asked for.
func (q *Query) wantsPeer(a netip.Addr) bool {
	if len(q.Peers) == 0 {
		return true
	}
	a = a.Unmap().WithZone("")
	for _, r := range q.Peers {
		if r.Contains(a) {
			return true
		}
	}
	return false
}

// within reports whether something from one moment to another has a part in the
// time asked for.
func (q *Query) within(start, end time.Time) bool {
	return (q.Since.IsZero() || !end.Before(q.Since)) && (q.Until.IsZero() || start.Before(q.Until))
}
