package review

import (
	"bytes"
	"net/netip"
	"time"

	"postern/logs"
)

// maxLine is the longest line that is read, in octets. The gateway's own have at
// most some 10 KB.
const maxLine = 64 << 10

// maxColumns is how many columns of a log are read.
const maxColumns = 48

// protocolColumns are the columns of a protocol log (reference 7.1).
const (
	colTime = iota
	colConnector
	colSession
	colSequence
	colLocal
	colRemote
	colEvent
	colData
	colContext
	protocolColumnCount
)

var protocolNames = [protocolColumnCount]string{
	"date-time", "connector-id", "session-id", "sequence-number", "local-endpoint", "remote-endpoint", "event", "data", "context",
}

// format says how the lines of a file, or of a part of it, are written. It is
// not changed once made.
type format struct {
	json bool
	// foreign says that another program wrote the file: octets are not escaped
	// as \xHH there.
	foreign bool
	// at holds the place of each protocol column in a line of CSV, -1 for one
	// that is missing; straight says that they are all there in their order.
	at       [protocolColumnCount]int
	straight bool
	// names are the columns as "#Fields:" has them.
	names []string
}

// formatOf reads a "#Fields:" line's list of columns.
func formatOf(fields string, foreign bool) *format {
	f := &format{foreign: foreign, names: splitNames(fields)}
	f.straight = len(f.names) == len(protocolNames)
	for i, name := range protocolNames {
		f.at[i] = -1
		for j, have := range f.names {
			if lower(have) == name && j < maxColumns {
				f.at[i] = j
				break
			}
		}
		f.straight = f.straight && f.at[i] == i
	}
	return f
}

func splitNames(fields string) []string {
	var names []string
	for _, name := range bytes.FieldsFunc([]byte(fields), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' }) {
		names = append(names, string(name))
	}
	return names
}

// view is one line of a protocol log, as it stands in the file: the fields are
// parts of the line, not unescaped.
type view struct {
	time      int64 // milliseconds since 1970, UTC
	sequence  int
	event     logs.Event
	connector []byte
	session   []byte
	local     []byte
	remote    []byte
	data      []byte
	context   []byte
}

// lineReader reads lines of one format. It is not safe for concurrent use.
type lineReader struct {
	clock clock
	cells [maxColumns][]byte
}

// parse reads one line without its line end. On false the line is none of a
// session. The result holds parts of b.
func (r *lineReader) parse(f *format, b []byte, v *view) bool {
	if f.json {
		return r.parseJSON(b, v)
	}
	var time, sequence, event []byte
	if f.straight {
		var ok bool
		if time, b, ok = cell(b); !ok {
			return false
		}
		if v.connector, b, ok = cell(b); !ok {
			return false
		}
		if v.session, b, ok = cell(b); !ok {
			return false
		}
		if sequence, b, ok = cell(b); !ok {
			return false
		}
		if v.local, b, ok = cell(b); !ok {
			return false
		}
		if v.remote, b, ok = cell(b); !ok {
			return false
		}
		if event, b, ok = cell(b); !ok {
			return false
		}
		if v.data, b, ok = cell(b); !ok {
			return false
		}
		if v.context, _, ok = lastCell(b); !ok {
			return false
		}
	} else {
		n := splitCells(b, r.cells[:])
		if n < 0 {
			return false
		}
		get := func(column int) []byte {
			if i := f.at[column]; i >= 0 && i < n {
				return r.cells[i]
			}
			return nil
		}
		time, sequence, event = get(colTime), get(colSequence), get(colEvent)
		v.connector, v.session, v.local, v.remote = get(colConnector), get(colSession), get(colLocal), get(colRemote)
		v.data, v.context = get(colData), get(colContext)
	}
	return r.complete(v, time, sequence, event)
}

// complete reads what is no text, and tells whether the line makes sense.
func (r *lineReader) complete(v *view, time, sequence, event []byte) bool {
	var ok bool
	if v.time, ok = r.clock.parse(time); !ok || len(v.session) == 0 || len(event) != 1 {
		return false
	}
	if v.sequence, ok = number(sequence); !ok {
		return false
	}
	switch v.event = logs.Event(event[0]); v.event {
	case logs.EventConnect, logs.EventDisconnect, logs.EventSent, logs.EventReceived, logs.EventInfo:
		return true
	}
	return false
}

func number(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// cell cuts the first field, and the comma behind it, off a line of CSV. Of a
// field in quotes the quotes go, and quotes within stay doubled.
func cell(b []byte) (field, rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '"' {
		field, rest, ok = quotedCell(b)
		if !ok || len(rest) == 0 || rest[0] != ',' {
			return nil, nil, false
		}
		return field, rest[1:], true
	}
	i := bytes.IndexByte(b, ',')
	if i < 0 {
		return nil, nil, false
	}
	return b[:i], b[i+1:], true
}

// lastCell is cell for a field that may end the line.
func lastCell(b []byte) (field, rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '"' {
		field, rest, ok = quotedCell(b)
		if !ok || len(rest) > 0 && rest[0] != ',' {
			return nil, nil, false
		}
		return field, rest, true
	}
	if i := bytes.IndexByte(b, ','); i >= 0 {
		return b[:i], b[i:], true
	}
	return b, nil, true
}

func quotedCell(b []byte) (field, rest []byte, ok bool) {
	for i := 1; ; i++ {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return nil, nil, false
		}
		if i += j; i+1 >= len(b) || b[i+1] != '"' {
			return b[1:i], b[i+1:], true
		}
		i++
	}
}

// splitCells splits a line of CSV into at most len(cells) fields, and returns
// how many there are, or -1 where a quote is not closed.
func splitCells(b []byte, cells [][]byte) int {
	for n := 0; n < len(cells); n++ {
		field, rest, ok := lastCell(b)
		if !ok {
			return -1
		}
		cells[n] = field
		if len(rest) == 0 {
			return n + 1
		}
		b = rest[1:]
	}
	return len(cells)
}

// text gives a field of a line back as it was before it was written.
func (f *format) text(field []byte) string {
	if f.json {
		return logs.Unescape(jsonText(field))
	}
	if bytes.IndexByte(field, '"') >= 0 {
		field = bytes.ReplaceAll(field, []byte(`""`), []byte(`"`))
	}
	if f.foreign {
		return string(field)
	}
	return logs.Unescape(string(field))
}

// raw reports whether a field stands for itself, octet by octet.
func (f *format) raw(field []byte) bool {
	return bytes.IndexByte(field, '\\') < 0 && (f.json || bytes.IndexByte(field, '"') < 0)
}

// octets is text without a copy where there is nothing to be unescaped.
func (f *format) octets(field []byte) []byte {
	if f.raw(field) {
		return field
	}
	return []byte(f.text(field))
}

// endpoint reads "ip:port"; what is none gives the zero value.
func (f *format) endpoint(field []byte) netip.AddrPort {
	if len(field) == 0 {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(f.text(field))
	if err != nil {
		return netip.AddrPort{}
	}
	return a
}

// line makes a whole Line of a view.
func (f *format) line(v *view) logs.Line {
	return logs.Line{
		Time: time.UnixMilli(v.time).UTC(), Connector: f.text(v.connector), Session: f.text(v.session), Sequence: v.sequence,
		Local: f.endpoint(v.local), Remote: f.endpoint(v.remote), Event: v.event,
		Data: f.text(v.data), Context: f.text(v.context),
	}
}

// clock reads times. It keeps the day of the last one.
type clock struct {
	day   [10]byte
	start int64 // of that day, milliseconds
	known bool
}

// parse reads "2006-01-02T15:04:05.000Z" into milliseconds since 1970, and other
// forms of RFC 3339 as well.
func (c *clock) parse(b []byte) (int64, bool) {
	if len(b) != 24 || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[19] != '.' || b[23] != 'Z' {
		return parseTime(b)
	}
	if !c.known || string(b[:10]) != string(c.day[:]) {
		t, err := time.Parse("2006-01-02", string(b[:10]))
		if err != nil {
			return 0, false
		}
		copy(c.day[:], b)
		c.start, c.known = t.UnixMilli(), true
	}
	for _, i := range [...]int{11, 12, 14, 15, 17, 18, 20, 21, 22} {
		if !isDigit(b[i]) {
			return 0, false
		}
	}
	two := func(i int) int64 { return int64(b[i]-'0')*10 + int64(b[i+1]-'0') }
	h, m, s := two(11), two(14), two(17)
	if h > 23 || m > 59 || s > 60 {
		return 0, false
	}
	return c.start + ((h*60+m)*60+s)*1000 + int64(b[20]-'0')*100 + two(21), true
}

func parseTime(b []byte) (int64, bool) {
	if len(b) < 19 || len(b) > 40 {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return 0, false
	}
	return t.UnixMilli(), true
}

// header takes a header line in the midst of a file into account.
func (f *format) header(line []byte) *format {
	if hasPrefixFold(line, "#fields:") {
		return formatOf(string(line[len("#fields:"):]), f.foreign)
	}
	return f
}
