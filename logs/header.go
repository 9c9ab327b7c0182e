package logs

import (
	"fmt"
	"strings"
)

// Header is what the lines at the head of a file say of those below: who wrote
// them and in which columns. Files of other versions, and of Exchange servers,
// have other columns than ours; they are found by name. NewHeader returns what
// holds before the first line. One Header serves one file; once it has read the
// file's head it may be used concurrently.
type Header struct {
	kind    Kind
	foreign bool
	// order has, for each column of the file, that of the record; -1 for one
	// that nobody knows.
	order []int
}

// NewHeader returns the header of a file of ours.
func NewHeader(k Kind) *Header {
	h := &Header{kind: k}
	for i := range k.Layout().Columns {
		h.order = append(h.order, i)
	}
	return h
}

// Kind returns the kind of log.
func (h *Header) Kind() Kind { return h.kind }

// Read takes in a line that begins with "#", with or without its line end and
// a byte order mark before it. It reports whether the line was one.
func (h *Header) Read(line string) bool {
	line = strings.TrimPrefix(strings.TrimRight(line, "\r\n"), byteOrderMark)
	if !strings.HasPrefix(line, "#") {
		return false
	}
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch strings.ToLower(name) {
	case "#software":
		h.foreign = "#Software: "+value+"\n" != software
	case "#fields":
		h.order = h.order[:0]
		ours := h.kind.Layout().Columns
		for field := range strings.SplitSeq(value, ",") {
			at := -1
			for i, c := range ours {
				if strings.EqualFold(c, strings.TrimSpace(field)) {
					at = i
				}
			}
			h.order = append(h.order, at)
		}
	}
	return true
}

const byteOrderMark = "\ufeff"

// Columns returns how many columns a line of the file has.
func (h *Header) Columns() int { return len(h.order) }

// Line reads one line of a protocol log, CSV or JSON, with or without its line
// end. It gives ErrComment for notes of the log itself.
func (h *Header) Line(s string) (Line, error) { return parse(h, s, "protocol", lineColumns) }

// Connectivity reads one line of a connectivity log, as Line does.
func (h *Header) Connectivity(s string) (ConnectivityLine, error) {
	return parse(h, s, "connectivity", connectivityColumns)
}

// Tracking reads one line of a message tracking log, as Line does.
func (h *Header) Tracking(s string) (Tracking, error) {
	return parse(h, s, "message tracking", trackingColumns)
}

// Agent reads one line of an agent log, as Line does.
func (h *Header) Agent(s string) (AgentLine, error) { return parse(h, s, "agent", agentColumns) }

// Event reads one line of an event log, as Line does.
func (h *Header) Event(s string) (EventLine, error) { return parse(h, s, "event", eventColumns) }

// parse reads one line.
func parse[R any](h *Header, s, log string, columns []column[R]) (r R, err error) {
	s = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r"), byteOrderMark)
	switch {
	case strings.HasPrefix(s, "#"):
		return r, ErrComment
	case strings.HasPrefix(s, "{"):
		err = parseJSON(s, columns, &r)
	default:
		err = parseCSV(h, s, columns, &r)
	}
	if err != nil && err != ErrComment {
		var zero R
		return zero, fmt.Errorf("%s log line: %w", log, err)
	}
	return r, err
}

func parseCSV[R any](h *Header, s string, columns []column[R], r *R) error {
	last := len(h.order) - 1
	for n, at := range h.order {
		field, rest, err := cutField(s)
		switch {
		case err != nil:
			return fmt.Errorf("field %d: %w", n+1, err)
		case n == last && rest != "":
			return fmt.Errorf("more than %d fields, or text behind a closing quote", last+1)
		case n < last && !strings.HasPrefix(rest, ","):
			return fmt.Errorf("field %d: want a comma behind it, %d fields in all", n+1, last+1)
		case n < last:
			rest = rest[1:]
		}
		s = rest
		if at < 0 || at >= len(columns) {
			continue
		}
		if err := columns[at].set(r, field, !h.foreign); err != nil {
			return fmt.Errorf("%s: %w", columns[at].name, err)
		}
	}
	return nil
}
