package wire

import (
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// MaxReplyLine is the length of a reply line in octets, with its CRLF
// (RFC 5321 4.5.3.1.5).
const MaxReplyLine = 512

// maxReplyLines is how many lines of a reply's text are sent; the rest is cut.
const maxReplyLines = 100

// Reply is a reply we send, or an error that will become one. It wraps the
// reply of go-smtp with what the engine needs to know besides. A Reply is not
// changed once it is made and may then be shared between sessions; to change
// one, change a copy.
type Reply struct {
	// SMTPError holds the code, the enhanced code and the text, whose lines
	// are separated by "\n". An enhanced code left zero stands for the plain
	// one of the code's class, such as 2.0.0; smtp.NoEnhancedCode is for the
	// replies that carry none: greeting, EHLO and HELO (RFC 2034 4).
	smtp.SMTPError
	// Limit is the name of the limit or rule that was reached, for logs and
	// metrics.
	Limit string
	// Rule is the name of the rule by which something is refused that is no
	// limit, for the agent log.
	Rule string
	// Log is text for our log only.
	Log string
	// Prompt says that the reply is never held back by a tarpit.
	Prompt bool
	// Hold is how long it is held back by back pressure, whatever it says.
	Hold time.Duration
	// Close says that the connection ends after the reply.
	Close bool
}

// NewReply returns a reply with the given text.
func NewReply(code int, enhanced smtp.EnhancedCode, text string) *Reply {
	return &Reply{SMTPError: smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}}
}

// Error returns the reply on one line, with the text that is for our log.
func (r *Reply) Error() string {
	s := strconv.Itoa(r.Code)
	if e, ok := r.enhanced(); ok {
		s += " " + string(appendEnhanced(nil, e))
	}
	if r.Message != "" {
		s += " " + strings.ReplaceAll(r.Message, "\n", " ")
	}
	if r.Log != "" {
		s += " (" + r.Log + ")"
	}
	return s
}

// Unwrap gives errors.As the reply in the form of go-smtp.
func (r *Reply) Unwrap() error { return &r.SMTPError }

// WithLog returns a copy of the reply with text for our log.
func (r *Reply) WithLog(text string) *Reply {
	c := *r
	c.Log = text
	return &c
}

// enhanced returns the enhanced code to send. Only replies of the classes 2, 4
// and 5 have one (RFC 2034 4).
func (r *Reply) enhanced() (smtp.EnhancedCode, bool) {
	class := r.Code / 100
	if r.EnhancedCode[0] < 0 || class != 2 && class != 4 && class != 5 {
		return smtp.EnhancedCode{}, false
	}
	if r.EnhancedCode == smtp.EnhancedCodeNotSet {
		return smtp.EnhancedCode{class, 0, 0}, true
	}
	return r.EnhancedCode, true
}

// Append appends the reply as it goes over the wire: every line with the code
// and, if enhanced is set, the enhanced code (RFC 2034 4). Text is cleaned:
// what is neither a tab nor printable US-ASCII becomes a question mark, but
// that "\n" and "\r\n" part lines. A line too long for RFC 5321 4.5.3.1.5 is
// parted at a space. It allocates nothing if b has room.
func (r *Reply) Append(b []byte, enhanced bool) []byte {
	var head [24]byte
	prefix := appendCode(head[:0], r.Code)
	prefix = append(prefix, ' ')
	if e, ok := r.enhanced(); ok && enhanced {
		prefix = append(appendEnhanced(prefix, e), ' ')
	}
	room := MaxReplyLine - len("\r\n") - len(prefix)
	last := len(b) // where the line written last begins
	text, more := r.Message, true
	for n := 0; more && n < maxReplyLines; n++ {
		var line string
		line, text, more = cutLine(text, room)
		if n > 0 {
			b[last+3] = '-' // RFC 5321 4.2.1
		}
		last = len(b)
		b = append(b, prefix...)
		b = appendText(b, line)
		if line == "" && len(prefix) > len("250 ") {
			b = b[:len(b)-1] // the second space is for the text
		}
		b = append(b, "\r\n"...)
	}
	return b
}

// cutLine parts the first line, of at most room octets, from the text.
func cutLine(text string, room int) (line, rest string, more bool) {
	line, rest, more = strings.Cut(text, "\n")
	if len(line) <= room {
		return strings.TrimSuffix(line, "\r"), rest, more
	}
	at := strings.LastIndexByte(line[:room+1], ' ')
	if at <= 0 {
		return text[:room], text[room:], true
	}
	return text[:at], text[at+1:], true
}

// appendText appends text as textstring (RFC 5321 4.2).
func appendText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < ' ' && c != '\t') || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// appendCode appends a reply code, which is always three digits.
func appendCode(b []byte, code int) []byte {
	if code < 200 || code > 599 {
		code = 451 // a reply nobody filled in must neither accept nor refuse
	}
	return strconv.AppendInt(b, int64(code), 10)
}

func appendEnhanced(b []byte, e smtp.EnhancedCode) []byte {
	b = strconv.AppendInt(b, int64(e[0]), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(e[1]), 10)
	b = append(b, '.')
	return strconv.AppendInt(b, int64(e[2]), 10)
}
