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

// isPlain tells whether s is printable ASCII without a backslash, which is
// written as it is.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

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
	plain, quote := true, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ',' || c == '"':
			quote = true
		case c < ' ' || c > '~' || c == '\\':
			plain = false
		}
	}
	if quote {
		b = append(b, '"')
	}
	if s != "" && strings.IndexByte("=+-@", s[0]) >= 0 {
		b = appendHex(b, s[0])
		s = s[1:]
	}
	if !plain {
		s = string(appendEscaped(make([]byte, 0, len(s)+32), s))
	}
	if quote {
		for i := strings.IndexByte(s, '"'); i >= 0; i = strings.IndexByte(s, '"') {
			b = append(append(b, s[:i]...), `""`...)
			s = s[i+1:]
		}
	}
	b = append(b, s...)
	if quote {
		b = append(b, '"')
	}
	return b
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
