package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The lengths of DSN parameter values in octets as encoded (RFC 3461 5.4, 4.2).
const (
	maxEnvID = 100
	maxORcpt = 500
)

var (
	errXtext     = errors.New("want xtext")
	errUTF8Xtext = errors.New("want utf-8-addr-xtext")
	errPrintable = errors.New("it holds characters that are not printable US-ASCII")
)

// decodeXtext decodes xtext (RFC 3461 4). Hexadecimal digits are taken in both
// cases.
func decodeXtext(s string) (string, error) {
	if strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) {
				return "", errXtext
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", errXtext
			}
			c = byte(n)
			i += 2
		}
		b = append(b, c)
	}
	return string(b), nil
}

// appendXtext encodes printable US-ASCII as xtext (RFC 3461 4).
func appendXtext(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			b = append(b, '+', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// isPrintable reports whether s is made of graphic characters and space of
// US-ASCII, so that it can stand in a notification.
func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func parseEnvID(s string) (string, error) {
	if s == "" || len(s) > maxEnvID {
		return "", fmt.Errorf("want 1 to %d octets", maxEnvID)
	}
	d, err := decodeXtext(s)
	if err != nil {
		return "", err
	}
	if !isPrintable(d) {
		return "", errPrintable // RFC 3461 4.4
	}
	return d, nil
}

// parseORcpt reads addr-type ";" and the encoded address (RFC 3461 4.2).
func parseORcpt(s string, utf8 bool) (string, error) {
	if len(s) > maxORcpt {
		return "", fmt.Errorf("want at most %d octets", maxORcpt)
	}
	kind, addr, ok := strings.Cut(s, ";")
	if !ok || !isAtom(kind) || addr == "" {
		return "", errors.New("want an address type, a semicolon and an address")
	}
	var err error
	if strings.EqualFold(kind, "utf-8") {
		addr, err = decodeUTF8Xtext(addr, utf8)
	} else if addr, err = decodeXtext(addr); err == nil && !isPrintable(addr) {
		err = errPrintable
	}
	if err != nil {
		return "", err
	}
	return kind + ";" + addr, nil
}

// isAtom reports whether s is an atom of RFC 5322 3.2.3 in US-ASCII.
func isAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// decodeUTF8Xtext decodes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 3),
// the latter only if raw UTF-8 is allowed. The hexadecimal form of xtext is
// taken besides, since it comes from clients that know only RFC 3461.
func decodeUTF8Xtext(s string, raw bool) (string, error) {
	if !raw && !isASCII(s) {
		return "", errUTF8Xtext
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		hex, _, ok := strings.Cut(s[i:], "}")
		if !ok || !strings.HasPrefix(hex, `\x{`) || len(hex) < len(`\x{00`) || len(hex) > len(`\x{10FFFF`) {
			return "", errUTF8Xtext
		}
		n, err := strconv.ParseUint(hex[len(`\x{`):], 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return "", errUTF8Xtext
		}
		if n == '+' { // so that it does not begin an escape below
			b = append(b, "+2B"...)
		} else {
			b = utf8.AppendRune(b, rune(n))
		}
		i += len(hex)
	}
	d, err := decodeXtext(string(b))
	if err != nil || !utf8.ValidString(d) {
		return "", errUTF8Xtext
	}
	for _, r := range d {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return "", errUTF8Xtext
		}
	}
	return d, nil
}

// appendUTF8Xtext encodes as utf-8-addr-xtext (RFC 6533 3): pure US-ASCII,
// which every next hop with DSN takes. s is valid UTF-8.
func appendUTF8Xtext(b []byte, s string) []byte {
	for _, r := range s {
		if r > ' ' && r < 0x7f && r != '+' && r != '=' && r != '\\' {
			b = append(b, byte(r))
			continue
		}
		b = fmt.Appendf(b, `\x{%02X}`, r)
	}
	return b
}
