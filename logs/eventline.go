package logs

import "time"

// EventLine is one line of the event log in a file: what happened to the
// gateway itself. Package logs/event writes it.
type EventLine struct {
	// Time is in UTC and holds whole milliseconds.
	Time time.Time
	// Level is "debug", "info", "warn" or "error".
	Level string
	// ID is the number of the event, zero for one that has none; package
	// internal/eventid knows its meaning.
	ID int
	// Area is the part of the gateway.
	Area string
	// Text says what happened.
	Text string
	// Attributes say to what, where and why. "repeated" and "repeated_in" tell
	// that the line stands for so many events within that time, and the other
	// attributes are those of the latest.
	Attributes Pairs
}

var eventColumns = []column[EventLine]{
	{name: "date-time", key: "time", time: func(l *EventLine) *time.Time { return &l.Time }},
	{name: "level", key: "level", text: func(l *EventLine) *string { return &l.Level }},
	{name: "event-id", key: "event_id", count: func(l *EventLine) *int { return &l.ID }},
	{name: "area", key: "area", text: func(l *EventLine) *string { return &l.Area }},
	{name: "text", key: "text", text: func(l *EventLine) *string { return &l.Text }},
	{name: "attributes", key: "attributes", pairs: func(l *EventLine) *Pairs { return &l.Attributes }},
}

// Append appends the line as it stands in a file of CSV, LF included.
// ParseEvent reads it back.
func (l EventLine) Append(b []byte) []byte { return appendCSV(appendTime(b, l.Time), eventColumns, &l) }

// AppendJSON appends the line as it stands in a file of JSON, LF included.
func (l EventLine) AppendJSON(b []byte) []byte {
	return appendJSON(appendHead(b, EventLog, l.Time), eventColumns, &l)
}

// ParseEvent reads one line of the event log as the gateway writes it, in CSV or
// JSON; Header.Event reads those in other columns. It gives ErrComment for notes
// of the log itself.
func ParseEvent(s string) (EventLine, error) { return ownEvents.Event(s) }

var ownEvents = NewHeader(EventLog)
