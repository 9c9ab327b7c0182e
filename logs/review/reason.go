package review

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/logs"
)

// maxReason is how many octets of a reason are kept, maxReply how many of a
// reply are looked at.
const (
	maxReason = 200
	maxReply  = 1000
)

// What stands in a reason for what differs from reply to reply.
const (
	anyAddress = "<address>"
	anyIP      = "<ip>"
	anyID      = "<id>"
	anyNumber  = "<n>"
	anyTime    = "<time>"
	anyPath    = "<path>"
	anyOwn     = "<name>"
)

// reasonOf reduces a reply to what it says of every message, so that refusals
// can be counted by it: addresses, IP addresses, ids, numbers and times are
// replaced by what they are, and the names of the message at hand (domains of
// its sender and recipients, say) by "<name>". The reply code and the enhanced
// status code in front stay. Other host names stay too: which list a client is
// on is the reason. The result is one line of printable text of at most
// maxReason octets; the reason of a reason is itself.
func reasonOf(reply string, names ...string) string {
	reason := replaceWords(reply[:min(len(reply), maxReply)], names)
	for range 8 { // what was replaced may uncover more beside it
		again := replaceWords(reason, nil)
		if again == reason {
			break
		}
		reason = again
	}
	return reason
}

func replaceWords(reply string, names []string) string {
	var b strings.Builder
	code, text := splitReply(reply)
	b.WriteString(code)
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == utf8.RuneError || !unicode.IsPrint(r) })
	for i, w := range words {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		previous := ""
		if i > 0 {
			previous = words[i-1]
		}
		b.WriteString(reasonWord(w, previous, names))
		if b.Len() > maxReason {
			break
		}
	}
	return cutReason(b.String())
}

// cutReason bounds a reason at the end of a word, so that no placeholder is cut
// in two.
func cutReason(s string) string {
	if len(s) <= maxReason {
		return s
	}
	s = s[:maxReason-len(" …")]
	if i := strings.LastIndexByte(s, ' '); i > 0 {
		return s[:i] + " …"
	}
	return strings.ToValidUTF8(s, "") + " …"
}

// splitReply parts a reply into its codes, "550 5.7.1", and its text. A reply
// of several lines, joined by "\n", gives the codes once.
func splitReply(reply string) (codes, text string) {
	var b strings.Builder
	for line := range strings.SplitSeq(reply, "\n") {
		line = strings.TrimSuffix(line, "\r")
		code, rest := cutCode(line)
		if codes == "" {
			codes = code
		} else if code != codes {
			rest = line
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(rest)
	}
	return codes, strings.TrimSpace(b.String())
}

// cutCode parts one line of a reply into its codes, "550 5.7.1" or "550", and
// the rest. What does not begin with three digits has none.
func cutCode(line string) (codes, rest string) {
	if len(line) < 3 || !isDigits(line[:3]) || line[0] < '1' || line[0] > '5' {
		return "", line
	}
	codes, rest = line[:3], line[3:]
	if rest == "" {
		return codes, ""
	}
	if rest[0] != ' ' && rest[0] != '-' {
		return "", line
	}
	rest = rest[1:]
	word, after, _ := strings.Cut(rest, " ")
	if isEnhanced(word) {
		return codes + " " + word, after
	}
	return codes, rest
}

// isEnhanced tells whether a word is an enhanced status code (RFC 3463 2).
func isEnhanced(s string) bool {
	class, rest, _ := strings.Cut(s, ".")
	subject, detail, ok := strings.Cut(rest, ".")
	return ok && len(class) == 1 && strings.Contains("245", class) &&
		isDigits(subject) && len(subject) <= 3 && isDigits(detail) && len(detail) <= 3
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// placeholders are the words that a reason may have in place of others.
var placeholders = [...]string{anyAddress, anyIP, anyID, anyNumber, anyTime, anyPath, anyOwn}

// edges are the characters that stand around a word and do not belong to it.
const edges = "<>()[]{}\"'`,;:.!?"

// reasonWord treats what stands between the placeholders in a word, if it has
// any.
func reasonWord(word, previous string, names []string) string {
	var b strings.Builder
	for rest := word; rest != ""; {
		at, p := nextPlaceholder(rest)
		b.WriteString(reasonPiece(rest[:at], previous, names))
		b.WriteString(p)
		rest = rest[at+len(p):]
	}
	// <kim@contoso.example> and kim@contoso.example are the same reason, and so
	// are [192.0.2.1] and 192.0.2.1.
	word = b.String()
	for i := 0; i < len(placeholders); i++ {
		p := placeholders[i]
		if strings.Contains(word, "<"+p+">") || strings.Contains(word, "["+p+"]") {
			word = strings.ReplaceAll(strings.ReplaceAll(word, "<"+p+">", p), "["+p+"]", p)
			i = -1
		}
	}
	return word
}

// nextPlaceholder finds the first placeholder in s; there is none when p is
// empty, and at is the end of s.
func nextPlaceholder(s string) (at int, p string) {
	at = len(s)
	for _, q := range placeholders {
		if i := strings.Index(s, q); i >= 0 && i < at {
			at, p = i, q
		}
	}
	return at, p
}

// reasonPiece replaces a piece of a word that holds no placeholder.
func reasonPiece(piece, previous string, names []string) string {
	core := strings.Trim(piece, edges)
	if core == "" {
		return piece
	}
	at := strings.Index(piece, core)
	return piece[:at] + replaced(core, previous, names) + piece[at+len(core):]
}

// replaced returns what stands in a reason for a word.
func replaced(core, previous string, names []string) string {
	switch {
	case strings.Contains(core, "://"):
		return urlHost(core)
	case strings.Contains(core, "@"):
		return anyAddress
	case isEnhanced(core):
		return core
	case isIP(core):
		return anyIP
	case isOwn(core, names):
		return anyOwn
	case isTime(core):
		return anyTime
	case isID(core):
		return anyID
	case strings.EqualFold(strings.Trim(previous, edges), "RFC"):
		return core
	}
	return numbers(core)
}

// urlHost keeps a URL's scheme and host: what follows often names the case.
func urlHost(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 && i+1 < len(rest) {
		return scheme + "://" + rest[:i] + "/" + anyPath
	}
	return s
}

func isIP(s string) bool {
	if len(s) >= 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	if !strings.ContainsAny(s, ".:") {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if _, err := netip.ParseAddrPort(s); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(s)
	return err == nil
}

// isOwn tells whether a word is one of the names of the message at hand, or a
// host below one.
func isOwn(s string, names []string) bool {
	for _, n := range names {
		if n != "" && (strings.EqualFold(s, n) ||
			len(s) > len(n)+1 && strings.Contains(n, ".") && s[len(s)-len(n)-1] == '.' && strings.EqualFold(s[len(s)-len(n):], n)) {
			return true
		}
	}
	return false
}

// isTime tells whether a word is a date or a time of day: digits parted by "-",
// ":" or "/", with T and Z.
func isTime(s string) bool {
	digits, marks := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '-' || c == ':' || c == '/':
			marks++
		case c == 'T' || c == 'Z' || c == '.' || c == '+':
		default:
			return false
		}
	}
	return marks >= 2 && digits >= 5
}

// isID tells whether a word looks like an id that somebody's server made up:
// letters and digits mixed, and long.
func isID(s string) bool {
	if len(s) < 8 {
		return false
	}
	digits, letters, turns, hex := 0, 0, 0, true
	var last byte // 'd' or 'l'
	for i := 0; i < len(s); i++ {
		c := s[i]
		kind := byte(0)
		switch {
		case c >= '0' && c <= '9':
			digits++
			kind = 'd'
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letters++
			kind = 'l'
			hex = hex && (c <= 'F' || c >= 'a' && c <= 'f')
		case strings.IndexByte("-_.=+/:~$", c) >= 0:
		default:
			return false
		}
		if kind != 0 {
			if last != 0 && kind != last {
				turns++
			}
			last = kind
		}
	}
	switch {
	case digits == 0 || letters == 0:
		return false
	case hex && digits >= 2:
		return true
	}
	return digits >= 3 && turns >= 2 || digits >= 6
}

// numbers replaces the numbers of two digits and more in a word, but for those
// of a name such as SHA256.
func numbers(s string) string {
	var b strings.Builder
	kept := 0
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		switch {
		case end == i:
			i++
			continue
		case end-i > 1 && (i == 0 || !isLetter(s[i-1])):
			b.WriteString(s[kept:i] + anyNumber)
			kept = end
		}
		i = end
	}
	return b.String() + s[kept:]
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf }

// replyClass is "4xx" or "5xx", and "" for what refuses nothing.
func replyClass(reply string) string {
	if codes, _ := cutCode(reply); codes != "" && (codes[0] == '4' || codes[0] == '5') {
		return codes[:1] + "xx"
	}
	return ""
}

// printable makes text of a peer one line that a terminal does not obey.
func printable(s string) string { return logs.Escape(s) }
