package logs

import "time"

// ConnectivityLine is one line of the connectivity log (reference 7.2): how a
// next hop was found and reached.
type ConnectivityLine struct {
	// Time is in UTC and holds whole milliseconds.
	Time time.Time
	// Session is the id of the session in the protocol log.
	Session string
	// Source is "SMTP".
	Source string
	// Destination is the next hop: a domain, or a set of smart hosts.
	Destination string
	// Direction is '+' for the begin of a connection, '>' for what was found
	// and tried, '-' for its end.
	Direction byte
	// Description is as it was given, control characters and all: Escape it
	// before it meets a terminal.
	Description string
}

var connectivityColumns = []column[ConnectivityLine]{
	{name: "date-time", key: "time", time: func(l *ConnectivityLine) *time.Time { return &l.Time }},
	{name: "session", key: "session", text: func(l *ConnectivityLine) *string { return &l.Session }},
	{name: "source", key: "source", text: func(l *ConnectivityLine) *string { return &l.Source }},
	{name: "Destination", key: "destination", text: func(l *ConnectivityLine) *string { return &l.Destination }},
	{name: "direction", key: "direction", mark: func(l *ConnectivityLine) *byte { return &l.Direction }, marks: "+>-"},
	{name: "description", key: "description", text: func(l *ConnectivityLine) *string { return &l.Description }},
}

// Append appends the line as it stands in a file of CSV, LF included.
// ParseConnectivity reads it back.
func (l ConnectivityLine) Append(b []byte) []byte {
	return appendCSV(appendTime(b, l.Time), connectivityColumns, &l)
}

// AppendJSON appends the line as it stands in a file of JSON, LF included.
func (l ConnectivityLine) AppendJSON(b []byte) []byte {
	return appendJSON(appendHead(b, Connectivity, l.Time), connectivityColumns, &l)
}

// ParseConnectivity reads one line of the connectivity log as the gateway
// writes it, in CSV or JSON; Header.Connectivity reads those in other columns.
// It gives ErrComment for notes of the log itself.
func ParseConnectivity(s string) (ConnectivityLine, error) { return ownConnectivity.Connectivity(s) }

var ownConnectivity = NewHeader(Connectivity)
