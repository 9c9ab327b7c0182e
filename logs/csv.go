package logs

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How peers' text is written. An octet that does not belong on a line or on a
// terminal is written as \xHH, upper-case: control characters, octets that are
// not UTF-8, and characters that do not print, among them those that turn the
// direction of text. A backslash stands for itself, so that DOMAIN\user stays
// as it is, unless xHH follows: then it is written \x5C. So every text has one
// written form and comes back from it octet for octet.

const hexDigits = "0123456789ABCDEF"

// Escape returns s with everything that could harm a line or a terminal written
// as \xHH.
func Escape(s string) string {
	if isPlain(s) {
		return s
	}
	return string(appendEscaped(make([]byte, 0, len(s)+16), s))
}

// What is special about a character, as bits.
const (
	quoted  = 1 << iota // a comma or a quote: its CSV field stands in quotes
	escaped             // it may be written as \xHH
	divider             // a semicolon, which divides the items of a list
	equals              // an equals sign, which ends the key of a pair
	formula             // a spreadsheet begins a formula with it
	quote               // a quote
)

var classes = func() (t [256]byte) {
	for c := range t {
		switch {
		case c < ' ', c > '~', c == '\\':
			t[c] |= escaped
		case c == ',':
			t[c] |= quoted
		case c == '"':
			t[c] |= quoted | quote
		case c == ';':
			t[c] |= divider
		case c == '=':
			t[c] |= equals | formula
		case c == '+', c == '-', c == '@':
			t[c] |= formula
		}
	}
	return t
}()

// classOf gathers what is special about the characters of a text.
func classOf(s string) (c byte) {
	for i := 0; i < len(s); i++ {
		c |= classes[s[i]]
	}
	return c
}

func beginsFormula(s string) bool { return s != "" && classes[s[0]]&formula != 0 }

// isPlain tells whether s is printable ASCII without a backslash, which is
// written as it is.
func isPlain(s string) bool { return classOf(s)&escaped == 0 }

func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\' && isEscape(s[i:]), c < ' ', c == 0x7f:
			b = appendHex(b, c)
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if (r != utf8.RuneError || n > 1) && unicode.IsPrint(r) {
				b = append(b, s[i:i+n]...)
			} else {
				for _, c := range []byte(s[i : i+n]) {
					b = appendHex(b, c)
				}
			}
			i += n
		}
	}
	return b
}

func appendHex(b []byte, c byte) []byte {
	return append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

// isEscape tells whether s begins with \xHH.
func isEscape(s string) bool {
	return len(s) >= 4 && s[0] == '\\' && s[1] == 'x' && isHex(s[2]) && isHex(s[3])
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}

// Unescape turns what Escape wrote back.
func Unescape(s string) string {
	i := strings.Index(s, `\x`)
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for i < len(s) {
		if isEscape(s[i:]) {
			b = append(b, unhex(s[i+2])<<4|unhex(s[i+3]))
			i += 4
			continue
		}
		b = append(b, s[i])
		i++
	}
	return string(b)
}

// appendField appends one CSV field (RFC 4180), escaped, and in quotes when it
// holds a comma or a quote. A first character with which a spreadsheet would
// begin a formula is written as \xHH: the field comes from a stranger.
func appendField(b []byte, s string) []byte {
	c := classOf(s)
	if c&(quoted|escaped) == 0 && !beginsFormula(s) {
		return append(b, s...)
	}
	if c&quoted != 0 {
		b = append(b, '"')
	}
	if beginsFormula(s) {
		b = appendHex(b, s[0])
		s = s[1:]
	}
	if c&escaped != 0 {
		s = string(appendEscaped(make([]byte, 0, len(s)+32), s))
	}
	b = appendDoubled(b, s, c)
	if c&quoted != 0 {
		b = append(b, '"')
	}
	return b
}

// appendDoubled appends a text of class c with its quotes doubled.
func appendDoubled(b []byte, s string, c byte) []byte {
	if c&quote != 0 {
		for i := strings.IndexByte(s, '"'); i >= 0; i = strings.IndexByte(s, '"') {
			b = append(append(b, s[:i]...), `""`...)
			s = s[i+1:]
		}
	}
	return append(b, s...)
}

// cutField takes the first field off a line, without the quotes around it.
func cutField(s string) (field, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	end := closingQuote(s)
	if end < 0 {
		return "", "", errors.New("the closing quote is missing")
	}
	field = s[1:end]
	if strings.IndexByte(field, '"') >= 0 {
		field = strings.ReplaceAll(field, `""`, `"`)
	}
	return field, s[end+1:], nil
}

// closingQuote returns the place of the quote that ends the quoted field at the
// start of s, or -1.
func closingQuote(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			i++
			continue
		}
		return i
	}
	return -1
}
