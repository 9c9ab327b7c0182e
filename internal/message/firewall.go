package message

import (
	"bytes"
	"io"
)

// HeaderClass is a set of classes of header fields that the header firewall
// knows (reference 4.13). The zero value is every other field.
type HeaderClass uint8

// The classes.
const (
	// RoutingHeaders say which way a message came: Received and Resent-*.
	RoutingHeaders HeaderClass = 1 << iota
	// OrganizationHeaders are what the servers of an organisation tell each
	// other: X-MS-Exchange-Organization-*, and X-Postern-Organization-*, our own.
	OrganizationHeaders
	// ForestHeaders are the same for a forest: X-MS-Exchange-Forest-*.
	ForestHeaders
	// AuthorHeaders say who wrote a message: From and Sender (RFC 5322 3.6.2).
	// No firewall takes them out.
	AuthorHeaders

	// InternalHeaders are those that only the organisation's own servers may
	// write: whoever forges one passes for one of them.
	InternalHeaders = OrganizationHeaders | ForestHeaders
)

// HeaderClassOf returns the class of a header field by its name, in any case,
// with or without the white space that may stand before the colon (RFC 5322
// 4.5). Control characters in it count for nothing: some readers drop them.
func HeaderClassOf(name string) HeaderClass { return headerClassOf(name) }

// headerClassOf allocates nothing, whatever the name is kept in, unless it holds
// control characters.
func headerClassOf[T string | []byte](name T) HeaderClass {
	if name = withoutControls(name); len(name) == 0 {
		return 0
	}
	switch name[0] | 0x20 {
	case 'f':
		if isFieldName(name, "From") {
			return AuthorHeaders
		}
	case 's':
		if isFieldName(name, "Sender") {
			return AuthorHeaders
		}
	case 'r':
		if isFieldName(name, "Received") || hasFoldedPrefix(name, "Resent-") {
			return RoutingHeaders
		}
	case 'x':
		switch {
		case hasFoldedPrefix(name, "X-MS-Exchange-Organization-"), hasFoldedPrefix(name, "X-Postern-Organization-"):
			return OrganizationHeaders
		case hasFoldedPrefix(name, "X-MS-Exchange-Forest-"):
			return ForestHeaders
		}
	}
	return 0
}

// withoutControls is a name as somebody reads it who drops control characters,
// NUL above all.
func withoutControls[T string | []byte](name T) T {
	i := 0
	for i < len(name) && !isControl(name[i]) {
		i++
	}
	if i == len(name) {
		return name
	}
	plain := append([]byte(nil), name[:i]...)
	for ; i < len(name); i++ {
		if !isControl(name[i]) {
			plain = append(plain, name[i])
		}
	}
	return T(plain)
}

// isControl reports whether c is a control character other than white space.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// isFieldName compares a name that white space may follow (RFC 5322 4.5).
func isFieldName[T string | []byte](name T, want string) bool {
	if !hasFoldedPrefix(name, want) {
		return false
	}
	for i := len(want); i < len(name); i++ {
		if name[i] != ' ' && name[i] != '\t' {
			return false
		}
	}
	return true
}

// hasFoldedPrefix compares without case; the prefix is US-ASCII.
func hasFoldedPrefix[T string | []byte](s T, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		a, b := s[i], prefix[i]
		if 'A' <= a && a <= 'Z' {
			a += 'a' - 'A'
		}
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if a != b {
			return false
		}
	}
	return true
}

// maxHeldName bounds what is kept of the beginning of a line while it is not
// known which field it is: more than any line may have (RFC 5322 2.1.1). A name
// that is longer is judged by what has come.
const maxHeldName = 1000

// HeaderFirewall takes header fields of some classes out of a message that is
// written to it, and writes the rest to Out, octet for octet. A field goes
// whole, with its continuation lines. What is no field stays: malformed lines,
// and everything behind the empty line. The octets may be cut anywhere; at most
// a kilobyte of them is kept, whatever they are.
//
// It looks further than most readers do, since a field that it took for
// something else would get through: a line begins behind a bare CR or a bare LF,
// too, a malformed line does not end the header, and nothing but an empty line
// that ends and follows on CRLF does. A name that ends with its line is one as
// well, for readers that unfold first find its colon on the next; and control
// characters hide no name.
//
// Strip, Out and Taken are set before the first octet. A HeaderFirewall is not for
// concurrent use.
type HeaderFirewall struct {
	// Strip are the classes that go; the zero value keeps everything.
	Strip HeaderClass
	// Out gets what is kept.
	Out io.Writer
	// Taken gets the fields that go; nil: nobody wants them.
	Taken io.Writer

	state    firewallState
	bare     bool // the line before the current one ended in CR or LF alone
	removing bool // the current field goes
	held     []byte
	fields   int
	octets   int64
}

type firewallState uint8

const (
	lineBegins firewallState = iota
	lineName                 // what may be the name of a field that goes
	lineRest
	lineCR  // behind a CR within a line
	emptyCR // behind a CR at the beginning of a line
	headerOver
)

// Done reports whether the header has ended: what comes now passes unchanged.
func (f *HeaderFirewall) Done() bool { return f.Strip == 0 || f.state == headerOver }

// Removed returns how many fields have been taken out so far, and of how many
// octets in all.
func (f *HeaderFirewall) Removed() (fields int, octets int64) { return f.fields, f.octets }

// Write takes the next octets. Its errors are those of Out, after which nothing
// more may be written.
func (f *HeaderFirewall) Write(p []byte) (int, error) {
	from := 0 // p[from:i] is kept and not written yet
	for i := 0; i < len(p) && !f.Done(); {
		n, keep, err := f.step(p[i:])
		if err != nil {
			return 0, err
		}
		if !keep {
			if err := write(f.Out, p[from:i]); err != nil {
				return 0, err
			}
			from = i + n
		}
		i += n
	}
	if err := write(f.Out, p[from:]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close says that the content has ended: what is held is no field. It does not
// close Out, and may be called more than once.
func (f *HeaderFirewall) Close() error {
	f.state = headerOver
	f.removing = false
	return f.release()
}

func write(to io.Writer, p []byte) error {
	if to == nil || len(p) == 0 {
		return nil
	}
	_, err := to.Write(p)
	return err
}

// release writes what was held.
func (f *HeaderFirewall) release() error {
	to := f.Out
	if f.removing {
		to = f.Taken
	}
	held := f.held
	f.held = f.held[:0]
	return write(to, held)
}

// step takes octets from the front of p, which is not empty, and says how many
// and whether they are kept.
func (f *HeaderFirewall) step(p []byte) (n int, keep bool, err error) {
	switch f.state {
	case lineBegins:
		n = f.begin(p[0])
	case lineName:
		return f.name(p)
	case lineRest:
		n = f.rest(p)
	case lineCR, emptyCR:
		n = f.behindCR(p[0])
	}
	if f.removing {
		f.octets += int64(n)
		err = write(f.Taken, p[:n])
	}
	return n, !f.removing, err
}

// begin takes the first octet of a line, unless it belongs to a name.
func (f *HeaderFirewall) begin(c byte) (n int) {
	if c == ' ' || c == '\t' { // it continues the field before (RFC 5322 2.2.3)
		f.state = lineRest
		return 1
	}
	f.removing = false
	switch c {
	case '\r':
		f.state = emptyCR
		return 1
	case '\n':
		f.bare = true
		return 1
	case 'r', 'R', 'x', 'X', 'f', 'F', 's', 'S': // the first of all names that are looked for
		f.state = lineName
	default:
		f.state = lineRest
		if isControl(c) {
			f.state = lineName
		}
	}
	return 0
}

// name takes octets up to the colon, or to the end of the line, and decides
// whether the field goes. Where they end before that has come, they are held.
func (f *HeaderFirewall) name(p []byte) (n int, keep bool, err error) {
	n = bytes.IndexAny(p, ":\r\n")
	ended := n >= 0
	if n < 0 {
		n = len(p)
	}
	if room := maxHeldName - len(f.held); n > room { // judged by its beginning
		n, ended = room, true
	}
	if !ended {
		f.held = append(f.held, p[:n]...)
		return n, false, nil
	}
	f.state = lineRest
	if len(f.held) == 0 {
		if f.decide(p[:n]); f.removing {
			err = write(f.Taken, p[:n])
		}
		return n, !f.removing, err
	}
	f.held = append(f.held, p[:n]...)
	f.decide(f.held)
	return n, false, f.release()
}

// decide judges the beginning of a line.
func (f *HeaderFirewall) decide(name []byte) {
	f.removing = headerClassOf(name)&f.Strip != 0
	if f.removing {
		f.fields++
		f.octets += int64(len(name))
	}
}

// rest takes octets up to the end of the line.
func (f *HeaderFirewall) rest(p []byte) int {
	n := bytes.IndexAny(p, "\r\n")
	switch {
	case n < 0:
		return len(p)
	case p[n] == '\r':
		f.state = lineCR
	default:
		f.state, f.bare = lineBegins, true
	}
	return n + 1
}

// behindCR takes the LF behind a CR. An empty line behind CRLF ends the header
// (RFC 5322 2.1).
func (f *HeaderFirewall) behindCR(c byte) (n int) {
	empty := f.state == emptyCR
	f.state = lineBegins
	if c != '\n' {
		f.bare = true
		return 0
	}
	if empty && !f.bare {
		f.state = headerOver
	}
	f.bare = false
	return 1
}
