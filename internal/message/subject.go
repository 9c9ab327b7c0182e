package message

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// MaxSubject bounds Envelope.Subject, in octets of UTF-8.
const MaxSubject = 200

// DecodeSubject turns the value of a Subject field as it stood in a header into
// text for people: encoded words are decoded (RFC 2047), white space becomes
// one space, and what is neither printable nor UTF-8 is left out or replaced by
// U+FFFD. A word in an unknown character set stays encoded. The result is valid
// UTF-8 on one line, as long as raw makes it; see Shorten.
func DecodeSubject(raw string) string {
	if strings.Contains(raw, "=?") {
		d := mime.WordDecoder{CharsetReader: charset.Reader}
		if s, err := d.DecodeHeader(raw); err == nil {
			raw = s
		}
	}
	var b strings.Builder
	b.Grow(len(raw))
	space := false
	for _, r := range raw {
		if unicode.IsSpace(r) {
			space = true
			continue
		}
		// Format characters can make a line read as another one, but for the
		// two joiners, which some scripts are not written without.
		if !unicode.IsPrint(r) && r != '\u200c' && r != '\u200d' {
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

// Shorten cuts s to at most n octets, never inside a character.
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
