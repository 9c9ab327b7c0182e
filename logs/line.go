package logs

import (
	"errors"
	"fmt"
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

// protocolFields is the "#Fields:" line of a protocol log, column by column.
const protocolFields = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"

// Append appends the line as it stands in the file, LF included. Whatever the
// fields hold, it is one line of printable text, and ParseLine reads it back.
func (l Line) Append(b []byte) []byte {
	b = appendTime(b, l.Time)
	b = append(b, ',')
	b = appendField(b, l.Connector)
	b = append(b, ',')
	b = appendField(b, l.Session)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(l.Sequence), 10)
	b = append(b, ',')
	b = appendEndpoint(b, l.Local)
	b = append(b, ',')
	b = appendEndpoint(b, l.Remote)
	return appendTail(b, l.Event, l.Data, l.Context)
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
	if !a.Addr().IsValid() {
		return b
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if a.Addr().Zone() != "" { // a zone is free text
		return appendField(b, a.String())
	}
	return a.AppendTo(b)
}

// ErrComment says that a line is a header line or a note of the log itself:
// it begins with "#".
var ErrComment = errors.New("a comment, not a line of a session")

// ParseLine reads one line of a protocol log as Append writes it, with or
// without its line end. It gives ErrComment for the lines that begin with "#".
func ParseLine(s string) (Line, error) {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	if strings.HasPrefix(s, "#") {
		return Line{}, ErrComment
	}
	var fields [9]string
	if err := splitCSV(s, fields[:]); err != nil {
		return Line{}, fmt.Errorf("protocol log line: %w", err)
	}
	l := Line{Connector: fields[1], Session: fields[2], Data: fields[7], Context: fields[8]}
	var err error
	if l.Time, err = time.Parse(timeFormat, fields[0]); err != nil {
		return Line{}, fmt.Errorf("protocol log line: date-time: %w", err)
	}
	if l.Sequence, err = strconv.Atoi(fields[3]); err != nil {
		return Line{}, fmt.Errorf("protocol log line: sequence-number: %w", err)
	}
	if l.Local, err = parseEndpoint(fields[4]); err != nil {
		return Line{}, fmt.Errorf("protocol log line: local-endpoint: %w", err)
	}
	if l.Remote, err = parseEndpoint(fields[5]); err != nil {
		return Line{}, fmt.Errorf("protocol log line: remote-endpoint: %w", err)
	}
	if len(fields[6]) != 1 || !strings.Contains("+-><*", fields[6]) {
		return Line{}, fmt.Errorf("protocol log line: event %q: want one of + - > < *", fields[6])
	}
	l.Event = Event(fields[6][0])
	return l, nil
}

func parseEndpoint(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	return netip.ParseAddrPort(s)
}
