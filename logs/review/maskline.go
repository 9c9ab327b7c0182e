package review

import (
	"strings"

	"postern/logs"
)

// Line masks one line of a protocol log. Commands keep their words and
// parameters, replies their codes, HELO and EHLO their names, and AUTH nothing
// but its mechanism.
func (m *Masker) Line(l logs.Line) logs.Line {
	l.Local, l.Remote = m.endpoint(l.Local), m.endpoint(l.Remote)
	switch {
	case l.Event == logs.EventSent || l.Event == logs.EventReceived:
		l.Data = m.Wire(l.Data)
	case isAccount(l.Context):
		l.Data = m.account(l.Data)
	default:
		l.Data = m.Reply(l.Data)
	}
	l.Context = m.Reply(l.Context)
	return l
}

// isAccount tells whether the data of an information line is the name of an
// account.
func isAccount(context string) bool {
	return strings.HasPrefix(context, "authenticated") || strings.HasPrefix(context, "partner recognised")
}

// account masks the name of an account: of CONTOSO\kim the name alone.
func (m *Masker) account(s string) string {
	if s == "" || strings.Contains(s, "@") {
		return m.Text(s)
	}
	domain := ""
	if i := strings.LastIndexByte(s, '\\'); i >= 0 {
		domain, s = s[:i+1], s[i+1:]
	}
	return domain + m.local(s, "")
}

// Reply masks a reply: its codes stay.
func (m *Masker) Reply(s string) string {
	_, rest := cutCode(s)
	code := s[:len(s)-len(rest)]
	// A Message-ID that is said back is hidden whole: it need not have an "@",
	// and may have a space.
	if id := quotedMessageID(rest); len(id) > len("<>") {
		before, after, _ := strings.Cut(rest, id)
		return code + m.Text(before) + m.messageID(id) + m.Text(after)
	}
	return code + m.Text(rest)
}

// Wire masks a line that went over the wire: a command or a reply.
func (m *Masker) Wire(s string) string {
	if codes, _ := cutCode(s); codes != "" {
		return m.Reply(s)
	}
	trimmed := strings.TrimLeft(s, " \t")
	lead := s[:len(s)-len(trimmed)]
	word := trimmed
	if i := strings.IndexAny(word, " \t:"); i >= 0 {
		word = word[:i]
	}
	rest := trimmed[len(word):]
	switch strings.ToUpper(word) {
	case "MAIL", "RCPT":
		return lead + word + m.path(rest)
	case "AUTH":
		return lead + word + maskAuth(rest)
	case "VRFY", "EXPN":
		arg := strings.TrimLeft(rest, " \t")
		return lead + word + rest[:len(rest)-len(arg)] + m.Address(arg)
	case "EHLO", "HELO", "LHLO":
		if strings.Contains(rest, "@") {
			return lead + word + m.addressesIn(rest)
		}
		return lead + word + m.addresses(rest)
	case "RSET", "NOOP", "QUIT", "DATA", "BDAT", "STARTTLS", "HELP":
		if rest == "" {
			return s
		}
		return lead + word + m.Text(rest)
	}
	return lead + m.Text(trimmed)
}

// maskAuth keeps the mechanism of an AUTH command. What stands behind it was
// credentials.
func maskAuth(rest string) string {
	words := strings.Fields(rest)
	switch {
	case len(words) == 0:
		return ""
	case words[0] == logs.Redacted:
		return " " + logs.Redacted
	case len(words) == 1:
		return " " + words[0]
	}
	return " " + words[0] + " " + logs.Redacted
}

// path masks what follows MAIL or RCPT: " FROM:<path> parameters".
func (m *Masker) path(s string) string {
	colon := strings.IndexByte(s, ':')
	if colon < 0 || !isOneOf(strings.TrimSpace(s[:colon]), "FROM", "TO") {
		return m.malformed(s)
	}
	rest := strings.TrimLeft(s[colon+1:], " \t")
	head := s[:len(s)-len(rest)]
	end := pathEnd(rest)
	return head + m.Address(rest[:end]) + m.parameters(rest[end:])
}

// pathEnd returns where the path at the start of s ends: behind its ">", or at
// a space.
func pathEnd(s string) int {
	bracket := strings.HasPrefix(s, "<")
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if end := closingMark(s, i); end > 0 {
				i = end
			}
		case bracket && c == '>':
			return i + 1
		case !bracket && (c == ' ' || c == '\t'):
			return i
		}
	}
	return len(s)
}

// parameters masks the parameters of MAIL and RCPT: those that hold addresses,
// and those that nobody knows. Spaces stay as they are.
func (m *Masker) parameters(s string) string {
	var b strings.Builder
	for s != "" {
		i := 0
		for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
			i++
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			end = len(s)
		}
		b.WriteString(m.parameter(s[:end]))
		s = s[end:]
	}
	return b.String()
}

func (m *Masker) parameter(s string) string {
	key, value, ok := strings.Cut(s, "=")
	switch {
	case !ok && isOneOf(key, "SMTPUTF8", "REQUIRETLS"):
		return s
	case !ok:
		return m.malformed(s)
	case isOneOf(key, "SIZE", "BODY", "RET", "NOTIFY", "MT-PRIORITY", "HOLDFOR", "HOLDUNTIL", "BY") && isParameterValue(value):
		return s
	case value == "" || isMask(value) || strings.EqualFold(key, "AUTH") && value == "<>": // RFC 4954 5
		return s
	case isOneOf(key, "ORCPT", "AUTH"): // RFC 3461 4.2, RFC 4954 5
		kind, address, typed := strings.Cut(value, ";")
		if !typed {
			return key + "=" + m.Address(value)
		}
		return key + "=" + kind + ";" + m.Address(address)
	}
	return key + "=" + m.mark("value", value)
}

// isParameterValue tells whether a value is of the kind that names nobody:
// numbers, and words that are put together by commas.
func isParameterValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isWordByte(c) && strings.IndexByte(",;-+:", c) < 0 {
			return false
		}
	}
	return true
}

// malformed masks what is no path: each word of it, but for FROM and TO and
// what parts words.
func (m *Masker) malformed(s string) string {
	var b strings.Builder
	for s != "" {
		end := strings.IndexAny(s, " \t:<>")
		switch {
		case end == 0:
			b.WriteByte(s[0])
			s = s[1:]
			continue
		case end < 0:
			end = len(s)
		}
		if word := s[:end]; isOneOf(word, "FROM", "TO") {
			b.WriteString(word)
		} else {
			b.WriteString(m.mailbox(word))
		}
		s = s[end:]
	}
	return b.String()
}

func isOneOf(s string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}

// Learn looks at a line for addresses, so that their local parts are found in
// lines before it, too.
func (m *Masker) Learn(l *logs.Line) {
	switch {
	case l.Event == logs.EventSent || l.Event == logs.EventReceived:
		if strings.Contains(l.Data, "@") || strings.Contains(l.Data, "<") {
			m.Wire(l.Data)
		}
	case isAccount(l.Context):
		m.account(l.Data)
	}
}
