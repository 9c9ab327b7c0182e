package logs

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Redacted stands in the log where a secret went over the wire.
const Redacted = "<redacted>"

// MaxField is how many octets of Data and of Context a line keeps. What is
// longer is cut, and the cut says how much is missing.
const MaxField = 4096

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

var lineColumns = []column[Line]{
	{name: "date-time", key: "time", time: func(l *Line) *time.Time { return &l.Time }},
	{name: "connector-id", key: "connector", text: func(l *Line) *string { return &l.Connector }},
	{name: "session-id", key: "session", text: func(l *Line) *string { return &l.Session }},
	{name: "sequence-number", key: "sequence", count: func(l *Line) *int { return &l.Sequence }},
	{name: "local-endpoint", key: "local", endpoint: func(l *Line) *netip.AddrPort { return &l.Local }},
	{name: "remote-endpoint", key: "remote", endpoint: func(l *Line) *netip.AddrPort { return &l.Remote }},
	{name: "event", key: "event", mark: func(l *Line) *byte { return (*byte)(&l.Event) }, marks: "+-><*"},
	{name: "data", key: "data", text: func(l *Line) *string { return &l.Data }},
	{name: "context", key: "context", text: func(l *Line) *string { return &l.Context }},
}

// Append appends the line as it stands in the file, LF included. Whatever the
// fields hold, it is one line of printable text, and ParseLine reads it back.
func (l Line) Append(b []byte) []byte {
	return appendCSV(appendTime(b, l.Time), lineColumns, &l)
}

// AppendJSON appends the line as it stands in a file of JSON, LF included. The
// kind says whose protocol log it is.
func (l Line) AppendJSON(b []byte, k Kind) []byte {
	return appendJSON(appendHead(b, k, l.Time), lineColumns, &l)
}

// appendTail appends the columns that differ from line to line of a session,
// from the comma before the event on.
func appendTail(b []byte, e Event, data, context string) []byte {
	b = append(b, ',', byte(e), ',')
	b = appendField(b, cut(data))
	b = append(b, ',')
	b = appendField(b, cut(context))
	return append(b, '\n')
}

// String returns the line as it stands in the file, without its LF.
func (l Line) String() string {
	return strings.TrimSuffix(string(l.Append(nil)), "\n")
}

// cut bounds a field.
func cut(s string) string {
	if len(s) <= MaxField {
		return s
	}
	return s[:MaxField] + "[+" + strconv.Itoa(len(s)-MaxField) + " octets]"
}

// timeFormat is the time of a line, in UTC (reference 7).
const timeFormat = "2006-01-02T15:04:05.000Z"

func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, timeFormat)
}

// appendEndpoint appends "ip:port", or nothing for the zero value. An IPv4
// client on a socket of both families is written as what it is.
func appendEndpoint(b []byte, a netip.AddrPort) []byte {
	if a.Addr().IsValid() && a.Addr().Zone() != "" { // a zone is free text
		return appendField(b, unmap(a).String())
	}
	return appendAddress(b, a)
}

func appendAddress(b []byte, a netip.AddrPort) []byte {
	if !a.Addr().IsValid() {
		return b
	}
	return unmap(a).AppendTo(b)
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// ErrComment says that a line is a header line or a note of the log itself:
// it begins with "#".
var ErrComment = errors.New("a comment, not a line of a session")

// ParseLine reads one line of a protocol log as the gateway writes it, in CSV or
// JSON, with or without its line end; Header.Line reads those in other columns.
// It gives ErrComment for notes of the log itself.
func ParseLine(s string) (Line, error) { return ownLine.Line(s) }

var ownLine = NewHeader(ReceiveProtocol)

func parseEndpoint(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	return netip.ParseAddrPort(s)
}
