package pickup

import (
	"bytes"
	"fmt"
	"strings"

	"postern/internal/message"
)

// field is a header field (RFC 5322 2.2).
type field struct {
	name string // in lower case
	raw  []byte // as it stands, with all its line ends
}

// value is what stands behind the colon, unfolded (RFC 5322 2.2.3), without white
// space around.
func (f field) value() string {
	_, v, _ := bytes.Cut(f.raw, []byte(":"))
	v = bytes.ReplaceAll(v, []byte("\r\n"), nil)
	return strings.TrimSpace(string(v))
}

// header is a header block.
type header []field

// parseHeader reads a header block whose lines end in CRLF. A line that is
// neither a field nor the continuation of one is an error; what stands before it
// is returned with it.
func parseHeader(b []byte) (header, error) {
	var h header
	line := 0
	for rest := b; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			n = len(rest)
		}
		one := rest[:n]
		rest = rest[n:]
		line++
		if one[0] == ' ' || one[0] == '\t' {
			if len(h) == 0 {
				return h, fmt.Errorf("line %d continues no header field", line)
			}
			f := &h[len(h)-1]
			f.raw = f.raw[:len(f.raw)+n] // they stand side by side in b
			continue
		}
		name, ok := fieldName(one)
		if !ok {
			return h, fmt.Errorf("line %d is no header field; the header ends with an empty line", line)
		}
		h = append(h, field{name, one})
	}
	return h, nil
}

// fieldName reads ftext (RFC 5322 3.6.8) before a colon, with the white space
// that RFC 5322 4.5 allows.
func fieldName(line []byte) (string, bool) {
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return "", false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return "", false
		}
	}
	return strings.ToLower(string(name)), true
}

// all returns the fields of a name.
func (h header) all(name string) []field {
	var found []field
	for _, f := range h {
		if f.name == name {
			found = append(found, f)
		}
	}
	return found
}

// has reports whether a field of that name says anything.
func (h header) has(name string) bool {
	for _, f := range h {
		if f.name == name && f.value() != "" {
			return true
		}
	}
	return false
}

// without returns the fields that are not to go.
func (h header) without(goes func(f field) bool) header {
	kept := make(header, 0, len(h))
	for _, f := range h {
		if !goes(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// firewalled reports whether a field is of a class that does not get in
// (reference 4.13).
func firewalled(f field, classes message.HeaderClass) bool {
	return message.HeaderClassOf(f.name)&classes != 0
}

// mailboxes reads the address lists of all fields of a name, groups among them
// (RFC 5322 3.4). What is read before an error is returned with it.
func (h header) mailboxes(name string) ([]message.Address, error) {
	var list []message.Address
	for _, f := range h.all(name) {
		v := f.value()
		if v == "" {
			continue
		}
		some, err := message.ParseMailboxes(v)
		list = append(list, some...)
		if err != nil {
			return list, fmt.Errorf("the field %s: %w", strings.TrimSpace(string(f.raw[:bytes.IndexByte(f.raw, ':')])), err)
		}
	}
	return list, nil
}

// addRecipient adds a recipient unless it is there: one copy each.
func addRecipient(e *message.Envelope, known map[string]bool, r message.Recipient) {
	if key := r.Address.Key(); !known[key] {
		known[key] = true
		e.Recipients = append(e.Recipients, r)
	}
}

// needsUTF8 reports whether an address can't be sent without SMTPUTF8.
func needsUTF8(e *message.Envelope) bool {
	if !e.From.ASCII() {
		return true
	}
	for i := range e.Recipients {
		if !e.Recipients[i].Address.ASCII() {
			return true
		}
	}
	return false
}
