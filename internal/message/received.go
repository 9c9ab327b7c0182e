package message

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Received is a trace field (RFC 5321 4.4). Any of its parts may be left zero
// but At.
type Received struct {
	// Helo is what the client called itself. It is hostile text and is cleaned.
	Helo string
	// Client and Local are the two ends of the connection; ports are not shown.
	Client, Local netip.AddrPort
	// By is our name, With the protocol (RFC 3848, RFC 6531 3.7.3), TLS the
	// version and cipher suite, shown as a comment.
	By, With, TLS string
	ID            ID
	// For is the path of the only recipient, as Address.Path gives it. With
	// more than one recipient it is left empty (RFC 5321 7.2).
	For string
	At  time.Time
	// Date is At as Dates.Text writes it; Append formats At when it is empty.
	Date string
}

// foldAt is the length that a line should not exceed, without its CRLF (RFC
// 5322 2.1.1).
const foldAt = 78

// Append appends the field to b, folded so that lines stay within 78 octets
// where their parts do, and ending in CRLF.
func (r Received) Append(b []byte) []byte {
	f := folder{b: append(b, "Received:"...), column: len("Received:")}
	if r.Helo != "" || r.Client.IsValid() {
		f.add("from ", hostName(r.Helo, r.Client))
		f.addLiteral(r.Client)
	}
	if r.By != "" {
		f.add("by ", hostName(r.By, r.Local))
		f.addLiteral(r.Local)
	}
	if r.With != "" {
		f.add("with ", cleanAtom(r.With))
	}
	if r.TLS != "" {
		f.add("(", cleanComment(r.TLS), ")")
	}
	if r.ID != 0 {
		f.add("id ", r.ID.String())
	}
	if path := cleanPath(r.For); path != "" {
		f.add("for ", path)
	}
	f.b = append(f.b, ';')
	f.column++
	if r.Date == "" {
		r.Date = r.At.Format(dateFormat)
	}
	f.add(r.Date)
	return append(f.b, "\r\n"...)
}

// dateFormat is date-time (RFC 5322 3.3), with a numeric offset.
const dateFormat = "Mon, 2 Jan 2006 15:04:05 -0700"

// Dates writes date-times as header fields carry them (RFC 5322 3.3), each
// second's once: formatting one costs more than all the rest of a trace field.
// The zero value is ready for concurrent use.
type Dates struct{ last atomic.Pointer[date] }

type date struct {
	second int64
	zone   *time.Location
	text   string
}

// Text returns a date-time with a numeric offset.
func (d *Dates) Text(t time.Time) string {
	if l := d.last.Load(); l != nil && l.second == t.Unix() && l.zone == t.Location() {
		return l.text
	}
	l := &date{t.Unix(), t.Location(), t.Format(dateFormat)}
	d.last.Store(l)
	return l.text
}

// AppendDate appends a date-time as header fields carry it (RFC 5322 3.3).
func AppendDate(b []byte, t time.Time) []byte { return t.AppendFormat(b, dateFormat) }

// folder appends the parts of a header field and folds between them.
type folder struct {
	b      []byte
	column int
}

// add appends one part, which is not folded within, behind a space or a fold.
func (f *folder) add(part ...string) {
	n := 1
	for _, p := range part {
		n += len(p)
	}
	if f.column+n > foldAt {
		f.b = append(f.b, "\r\n\t"...)
		f.column = n
	} else {
		f.b = append(f.b, ' ')
		f.column += n
	}
	for _, p := range part {
		f.b = append(f.b, p...)
	}
}

// addLiteral appends TCP-info (RFC 5321 4.4).
func (f *folder) addLiteral(a netip.AddrPort) {
	if a.IsValid() {
		f.add("(", Literal(a.Addr()), ")")
	}
}

// hostName is a host's name made safe or, when nothing is left of it, its
// address: neither clause can do without (RFC 5321 4.4).
func hostName(name string, a netip.AddrPort) string {
	if name = cleanHelo(name); name != "" {
		return name
	}
	if a.IsValid() {
		return Literal(a.Addr())
	}
	return "unknown"
}

// cleanHelo makes what a client called itself safe to stand in a trace field:
// a domain in A-labels or an address literal passes, of anything else all but
// letters, digits, dots, hyphens and underscores become question marks.
func cleanHelo(s string) string {
	if len(s) > MaxDomain {
		s = s[:MaxDomain]
	}
	if !isASCII(s) {
		s = DomainKey(s)
	}
	if strings.HasPrefix(s, "[") {
		if _, err := ParseLiteral(s); err == nil {
			return cleanLiteral(s)
		}
	}
	return replace(s, func(c byte) bool { return isLetDig(c) || c == '.' || c == '-' || c == '_' })
}

// cleanLiteral keeps the brackets, colons and dots of a valid address literal;
// a general one may hold parentheses, quotes and commas besides.
func cleanLiteral(s string) string {
	return replace(s, func(c byte) bool { return isLetDig(c) || strings.IndexByte("[]:.-", c) >= 0 })
}

func cleanAtom(s string) string { return replace(s, isAtext) }

func cleanComment(s string) string {
	return replace(s, func(c byte) bool { return ' ' <= c && c <= '~' && c != '(' && c != ')' && c != '\\' })
}

// cleanPath returns the path, or "" if it is none.
func cleanPath(s string) string {
	if len(s) < 3 || s[0] != '<' || s[len(s)-1] != '>' {
		return ""
	}
	if in := s[1 : len(s)-1]; !strings.EqualFold(in, "postmaster") {
		if _, err := ParseAddress(in, true); err != nil {
			return ""
		}
	}
	return s
}

// replace puts a question mark for every octet that is not allowed.
func replace(s string, allowed func(byte) bool) string {
	for i := 0; i < len(s); i++ {
		if allowed(s[i]) {
			continue
		}
		b := []byte(s)
		for ; i < len(b); i++ {
			if !allowed(b[i]) {
				b[i] = '?'
			}
		}
		return string(b)
	}
	return s
}
