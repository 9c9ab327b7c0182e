package event

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/logs"
)

// appendText appends an event as one line of text, LF included: key=value, as
// slog's text handler has it. What is not printable is escaped in quotes.
func appendText(b []byte, e *Event) []byte {
	b = append(b, "time="...)
	b = e.Time.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, " level="...)
	b = append(b, strings.ToUpper(LevelName(e.Level))...)
	b = append(b, " msg="...)
	b = appendValue(b, e.Text)
	b = appendAttributes(b, e, true)
	return append(b, '\n')
}

// appendAttributes appends number, area where it is wanted, and attributes,
// each behind a space.
func appendAttributes(b []byte, e *Event, area bool) []byte {
	if e.ID != 0 {
		b = append(b, " event_id="...)
		b = strconv.AppendInt(b, int64(e.ID), 10)
	}
	if area && e.Area != "" {
		b = append(b, " area="...)
		b = appendValue(b, string(e.Area))
	}
	for _, a := range e.attributes() {
		b = append(b, ' ')
		b = appendValue(b, a.Key)
		b = append(b, '=')
		b = appendValue(b, a.Value)
	}
	return b
}

// appendValue appends a value, in quotes unless it can be told without.
func appendValue(b []byte, s string) []byte {
	if needsQuotes(s) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

func needsQuotes(s string) bool {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c <= ' ' || c == '"' || c == '=' || c == 0x7f || c == '\\' {
				return true
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return true
		}
		i += n
	}
	return s == ""
}

// appendMessage appends an event as the one text that a reader of journald or
// syslog sees, without time and level, which stand beside it there.
func appendMessage(b []byte, e *Event) []byte {
	return appendAttributes(append(b, logs.Escape(e.Text)...), e, false)
}

// appendJSON appends an event as one line of JSON, LF included, as it stands in
// the files, too.
func appendJSON(b []byte, e *Event) []byte { return e.line().AppendJSON(b) }

// priority is the severity of RFC 5424 6.2.1, which journald and the kernel's
// prefix share.
func (e *Event) priority() int {
	switch LevelName(e.Level) {
	case "error":
		return 3
	case "warn":
		return 4
	case "info":
		return 6
	}
	return 7
}
