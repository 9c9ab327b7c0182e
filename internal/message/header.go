package message

import (
	"bytes"
	"strings"
)

// maxMessageID is the longest Message-ID that is noted, in octets. A longer
// one does not fit a line (RFC 5322 2.1.1).
const maxMessageID = 998

// maxRawSubject is how much of a Subject field is noted, in octets: enough for
// MaxSubject once it is decoded.
const maxRawSubject = 1000

// HeaderScanner reads a header block as it streams by and notes what a gateway
// must know of it. It is fed with the content's octets in pieces cut anywhere,
// keeps at most two kilobytes whatever it is fed, and takes any rubbish: the
// block ends with the empty line, or before the first line that is neither a
// field nor the continuation of one. The zero value is ready. It is not for
// concurrent use.
type HeaderScanner struct {
	// Local, if set before the first octet, says which names behind "by" in a
	// Received field are ours. Octets of a name beyond MaxDomain are left out.
	Local func(domain string) bool

	size     int64 // octets before the current line, or of the whole block
	line     int64 // octets of the current line so far
	state    scanState
	name     [16]byte // the current line's field name so far, in lower case
	nameLen  int
	field    fieldKind // the current field, for its continuation lines
	anyField bool

	id       []byte // the value of Message-ID so far; nil before it was seen
	idTooBig bool
	subject  []byte // the value of Subject so far; nil while it is empty
	subjCut  bool

	hasDate, hasFrom, hasID, hasSubject bool
	eightBit                            bool
	received, local                     int
	by                                  receivedScan
}

type scanState uint8

const (
	atLineStart scanState = iota
	inName
	afterName // white space between the name and its colon
	inValue
	afterCR // CR at the start of a line
	inMbox  // the "From " line of an mbox file, which is no field
	ended
)

type fieldKind uint8

const (
	otherField fieldKind = iota
	idField
	subjectField
	receivedField // only where Local is asked
)

// Scan takes the next octets of the content. It reports whether the header
// block has ended, after which further octets are not looked at.
func (s *HeaderScanner) Scan(p []byte) (done bool) {
	for i := 0; i < len(p) && s.state != ended; {
		if s.state == inValue || s.state == inMbox {
			i += s.scanValue(p[i:])
			continue
		}
		s.scanOctet(p[i])
		i++
	}
	return s.state == ended
}

// Close says that the content has ended: a block that is not done by now
// consists of all of it.
func (s *HeaderScanner) Close() {
	switch s.state {
	case ended:
		return
	case inName, afterName, afterCR: // a line that is no field
	default:
		s.size += s.line
	}
	s.state = ended
}

// Done reports whether the header block has ended.
func (s *HeaderScanner) Done() bool { return s.state == ended }

// Size returns the octets of the header block so far, with the empty line that
// ends it.
func (s *HeaderScanner) Size() int64 {
	if s.state == ended {
		return s.size
	}
	return s.size + s.line
}

// Received returns the number of Received fields.
func (s *HeaderScanner) Received() int { return s.received }

// LocalReceived returns the number of Received fields that Local says are ours.
func (s *HeaderScanner) LocalReceived() int { return s.local }

// EightBit reports whether a field holds anything that is not US-ASCII, as
// fields in UTF-8 do (RFC 6532 3.2).
func (s *HeaderScanner) EightBit() bool { return s.eightBit }

// HasDate reports whether there is a Date field.
func (s *HeaderScanner) HasDate() bool { return s.hasDate }

// HasFrom reports whether there is a From field.
func (s *HeaderScanner) HasFrom() bool { return s.hasFrom }

// HasMessageID reports whether there is a Message-ID field, be it empty.
func (s *HeaderScanner) HasMessageID() bool { return s.hasID }

// MessageID returns the first Message-ID with its angle brackets, unfolded and
// without control characters; the white space of a fold goes too. It is empty when there is none, or none that
// fits 998 octets; one without brackets is returned as it stands.
func (s *HeaderScanner) MessageID() string {
	if s.idTooBig {
		return ""
	}
	v := bytes.TrimSpace(s.id)
	if from := bytes.IndexByte(v, '<'); from >= 0 {
		if n := bytes.IndexByte(v[from:], '>'); n > 0 {
			v = v[from : from+n+1]
		}
	}
	return string(v)
}

// Subject returns the first Subject as Envelope keeps it: decoded, clean, at
// most MaxSubject octets.
func (s *HeaderScanner) Subject() string {
	raw := s.subject
	if len(raw) == 0 {
		return ""
	}
	if s.subjCut { // an encoded word that was cut could not be read
		if i := bytes.LastIndex(raw, []byte("=?")); i >= 0 && bytes.Count(raw[i:], []byte("?")) < 4 {
			raw = raw[:i]
		}
	}
	return strings.TrimSpace(Shorten(DecodeSubject(string(raw)), MaxSubject))
}

// scanValue takes octets up to the end of the line and returns how many.
func (s *HeaderScanner) scanValue(p []byte) int {
	n := bytes.IndexByte(p, '\n') + 1
	end := n > 0
	if !end {
		n = len(p)
	}
	s.line += int64(n)
	s.eightBit = s.eightBit || !isASCII(p[:n])
	if s.state == inValue {
		switch s.field {
		case idField:
			s.collectID(p[:n])
		case subjectField:
			s.collectSubject(p[:n])
		case receivedField:
			if name, ok := s.by.scan(p[:n]); ok && s.Local(name) {
				s.local++
			}
		}
	}
	if end {
		s.endLine()
	}
	return n
}

func (s *HeaderScanner) endLine() {
	s.size += s.line
	s.line, s.nameLen, s.state = 0, 0, atLineStart
}

func (s *HeaderScanner) collectID(p []byte) {
	for _, c := range p {
		switch {
		case c < ' ' && c != '\t' || c == 0x7f:
			continue
		case len(s.id) == maxMessageID:
			s.idTooBig = true
			return
		}
		s.id = append(s.id, c)
	}
}

// collectSubject unfolds the value (RFC 5322 2.2.3).
func (s *HeaderScanner) collectSubject(p []byte) {
	p = bytes.TrimRight(p, "\r\n")
	if room := maxRawSubject - len(s.subject); len(p) > room {
		p, s.subjCut = p[:room], true
	}
	s.subject = append(s.subject, p...)
}

// scanOctet takes an octet of a line whose kind is not yet known.
func (s *HeaderScanner) scanOctet(c byte) {
	s.line++
	switch s.state {
	case atLineStart:
		s.startLine(c)
	case afterCR:
		if c == '\n' { // the empty line
			s.size += s.line
		}
		s.state = ended
	case inName:
		s.scanName(c)
	case afterName:
		switch c {
		case ' ', '\t':
		case ':':
			s.startField()
		default:
			if s.mboxLine() && c != '\n' {
				s.state = inMbox
				return
			}
			s.state = ended
		}
	}
}

func (s *HeaderScanner) startLine(c byte) {
	switch {
	case c == '\r':
		s.state = afterCR
	case c == '\n': // the empty line of a content with bare LF
		s.size += s.line
		s.state = ended
	case (c == ' ' || c == '\t') && s.anyField:
		s.state = inValue
		if s.field == subjectField {
			s.collectSubject([]byte{c})
		}
	default:
		s.state = inName
		s.scanName(c)
	}
}

// mboxLine reports whether the current line, up to its first white space, may
// be the "From " line that an mbox file leaves on top of a message.
func (s *HeaderScanner) mboxLine() bool {
	name := string(s.name[:min(s.nameLen, len(s.name))])
	return s.size == 0 && (name == "from" || name == ">from")
}

// scanName takes an octet of a field name (RFC 5322 3.6.8), or of white space
// behind it (RFC 5322 4.5).
func (s *HeaderScanner) scanName(c byte) {
	switch {
	case c == ':' && s.nameLen > 0:
		s.startField()
	case (c == ' ' || c == '\t') && s.nameLen > 0:
		s.state = afterName
	case c > ' ' && c < 0x7f && c != ':':
		if s.nameLen < len(s.name) {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			s.name[s.nameLen] = c
		}
		// One past the end marks a name that is longer than any we know.
		s.nameLen = min(s.nameLen+1, len(s.name)+1)
	default:
		s.state = ended
	}
}

func (s *HeaderScanner) startField() {
	s.state, s.anyField, s.field = inValue, true, otherField
	if s.nameLen > len(s.name) {
		return
	}
	switch string(s.name[:s.nameLen]) {
	case "date":
		s.hasDate = true
	case "from":
		s.hasFrom = true
	case "received":
		s.received++
		if s.Local != nil {
			s.field = receivedField
			s.by.reset()
		}
	case "subject":
		if !s.hasSubject {
			s.hasSubject, s.field = true, subjectField
		}
	case "message-id":
		if !s.hasID {
			s.hasID, s.field = true, idField
		}
	}
}
