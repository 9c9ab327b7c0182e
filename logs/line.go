package logs

import (
	"net/netip"
	"time"
)

// Redacted stands in the log where a secret went over the wire.
const Redacted = "<redacted>"

// Event is what a line of a protocol log tells (reference 7.1).
type Event byte

// The events of a protocol log.
const (
	EventConnect    Event = '+'
	EventDisconnect Event = '-'
	EventSent       Event = '>'
	EventReceived   Event = '<'
	EventInfo       Event = '*'
)

// Line is one line of a protocol log.
type Line struct {
	// Time is in UTC and holds whole milliseconds.
	Time time.Time
	// Connector is "SERVER\Connector" for a Receive connector, the name alone
	// for a Send connector.
	Connector string
	// Session is the session's id, 16 upper-case hexadecimal digits.
	Session string
	// Sequence counts the lines of a session from 0.
	Sequence int
	// Local and Remote are the ends of the connection; the zero value where
	// there is none yet.
	Local, Remote netip.AddrPort
	Event         Event
	// Data and Context are as they were given, control characters and all:
	// Escape them before they meet a terminal.
	Data, Context string
}
