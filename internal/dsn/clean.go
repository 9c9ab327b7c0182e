package dsn

import (
	"mime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/internal/message"
)

const (
	// foldAt is where header lines are folded (RFC 5322 2.1.1: 78 characters
	// without CRLF).
	foldAt = 78
	// maxSubject bounds the original's subject, in octets before encoding.
	maxSubject = 240
	// maxReply bounds a reply's text, in octets.
	maxReply = 4096
	// maxAttemptReply bounds the text of each earlier reply that is listed.
	maxAttemptReply = 1024
	// maxName bounds the name of a host and what else stands beside it.
	maxName = 320
	// maxMessageID bounds a Message-ID that is repeated, in octets.
	maxMessageID = 250
)

// date renders a time as RFC 5322 3.3 wants it.
func date(t time.Time) string { return t.Format("Mon, 2 Jan 2006 15:04:05 -0700") }

// clean returns s as printable ASCII on one line: white space and controls
// become one space, every other character "?".
func clean(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		switch {
		case r <= ' ' || r == 0x7f || unicode.IsSpace(r):
			space = true
			continue
		case r > '~':
			r = '?'
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

// cleanUTF8 returns s as printable text on one line: white space becomes one
// space, controls, format characters and what is not UTF-8 the replacement
// character. Format characters are dropped because they can make a line read
// as another one (bidirectional overrides).
func cleanUTF8(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			space = true
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

// token returns s as it may stand in a msg-id (RFC 5322 3.6.4): what is not an
// atom's character or a dot becomes a hyphen.
func token(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' && !strings.ContainsRune("()<>[]:;@\\,\"", r) {
			return r
		}
		return '-'
	}, s)
}

// printable reports whether s is printable ASCII, space included.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cleanMessageID reports whether a Message-ID can be repeated as it is.
func cleanMessageID(id string) bool {
	if len(id) < 5 || len(id) > maxMessageID || id[0] != '<' || id[len(id)-1] != '>' {
		return false
	}
	inner := id[1 : len(id)-1]
	return printable(inner) && !strings.ContainsAny(inner, " <>") && strings.Contains(inner, "@")
}

// truncate cuts s to at most n octets, at a space where one is near and never
// inside a character, and marks the cut.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	if i := strings.LastIndexByte(s[:cut], ' '); i > cut*3/4 {
		cut = i
	}
	return s[:cut] + " ..."
}

// headerText turns a subject as it stood in a header into one that may stand in
// ours. ASCII passes, encoded words and all; anything else is taken as UTF-8 and
// encoded (RFC 2047).
func headerText(raw string) string {
	if s := cleanUTF8(raw); !printable(s) {
		return mime.QEncoding.Encode("utf-8", truncate(s, maxSubject))
	}
	return truncate(clean(raw), maxSubject)
}

// readable turns a subject as it stood in a header into text for people.
func readable(raw string) string {
	return truncate(message.DecodeSubject(raw), maxSubject)
}

// fold breaks a header line at spaces so that no line is longer than foldAt if
// that can be, nor than 900 octets in any case (RFC 5322 2.1.1: 998). It breaks
// at single spaces only, so that no line is white space alone. The line holds no
// controls.
func fold(s string) string {
	const hard = 900
	if len(s) <= foldAt {
		return s
	}
	var b strings.Builder
	first := strings.Index(s, ": ") + 2 // not between the name and the value
	for len(s) > foldAt {
		cut := foldPoint(s, max(first, 1))
		if cut < 0 && len(s) <= hard {
			break
		}
		if cut < 0 || cut > hard {
			b.WriteString(s[:hard])
			s = " " + s[hard:]
		} else {
			b.WriteString(s[:cut])
			s = s[cut:]
		}
		b.WriteString("\r\n")
		first = 1
	}
	b.WriteString(s)
	return b.String()
}

// foldPoint is the last place at or before foldAt where s may be broken, else
// the first one behind it, else -1. It is not before from.
func foldPoint(s string, from int) int {
	cut := -1
	for i := from; i < len(s)-1; i++ {
		if i > foldAt && cut >= 0 {
			break
		}
		if s[i] == ' ' && s[i-1] != ' ' && s[i+1] != ' ' {
			cut = i
		}
		if i > foldAt && cut >= 0 {
			break
		}
	}
	return cut
}
