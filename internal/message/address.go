package message

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The sizes of an address in octets (RFC 5321 4.5.3.1). MaxMailbox is a path's
// 256 octets without the angle brackets.
const (
	MaxLocal   = 64
	MaxDomain  = 255
	MaxMailbox = 254
	maxLabel   = 63 // RFC 1035 2.3.4
)

// Address is a mailbox as it stands in a path (RFC 5321 4.1.2). The zero
// Address is the null reverse path. Addresses that ParseAddress returned hold
// no control character and can stand in a command or a header field as they
// are; one that was put together by hand must be parsed first.
type Address struct {
	// Local is a dot-string, or a quoted-string with its quotes, as received.
	Local string
	// Domain is as received; an address literal keeps its brackets. It is
	// empty only for the bare "postmaster" (RFC 5321 4.1.1.3).
	Domain string
}

// ErrNoDomain is what is wrong with a local part alone. It is common enough not to
// be made anew each time.
var ErrNoDomain = errors.New(`the address has no "@domain"`)

// ParseAddress reads "local@domain" by the grammar of Mailbox (RFC 5321
// 4.1.2): no comments, no white space outside quotes, no final dot, no source
// route. With utf8 it also takes well-formed UTF-8 local parts and U-labels
// (RFC 6531 3.3). The parts are kept as they were received. An error says what
// is wrong in one clause.
func ParseAddress(s string, utf8 bool) (Address, error) {
	if len(s) > MaxMailbox {
		return Address{}, fmt.Errorf("the address is longer than %d octets", MaxMailbox) // RFC 5321 4.5.3.1.3
	}
	n, err := localLength(s, utf8)
	if err != nil {
		return Address{}, err
	}
	if n == len(s) {
		return Address{}, ErrNoDomain
	}
	if s[n] != '@' {
		return Address{}, fmt.Errorf("%q is not allowed in the local part at position %d", s[n], n+1)
	}
	if n > MaxLocal {
		return Address{}, fmt.Errorf("the local part is longer than %d octets", MaxLocal) // RFC 5321 4.5.3.1.1
	}
	a := Address{Local: s[:n], Domain: s[n+1:]}
	if err := checkDomain(a.Domain, n+1, utf8); err != nil {
		return Address{}, err
	}
	return a, nil
}

// localLength returns the length of the local part that s begins with. It
// stops at the first octet that can't belong to it.
func localLength(s string, utf8 bool) (int, error) {
	if s == "" {
		return 0, errors.New("the address is empty")
	}
	if s[0] == '"' {
		return quotedLength(s, utf8)
	}
	return dotStringLength(s, utf8)
}

// dotStringLength measures a Dot-string (RFC 5321 4.1.2).
func dotStringLength(s string, utf8 bool) (int, error) {
	atom := 0 // where the current atom began
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case isAtext(c):
			i++
		case c == '.':
			if i == atom {
				return 0, fmt.Errorf("the local part has a misplaced dot at position %d", i+1)
			}
			i++
			atom = i
		case c >= 0x80 && utf8:
			n, err := nonASCIILength(s[i:])
			if err != nil {
				return 0, err
			}
			i += n
		default:
			return endOfDotString(i, atom)
		}
	}
	return endOfDotString(len(s), atom)
}

func endOfDotString(end, atom int) (int, error) {
	switch {
	case end == 0:
		return 0, errors.New("the local part is empty or begins with a character that is not allowed")
	case end == atom:
		return 0, fmt.Errorf("the local part has a misplaced dot at position %d", end)
	}
	return end, nil
}

// quotedLength measures a Quoted-string (RFC 5321 4.1.2), quotes included.
func quotedLength(s string, utf8 bool) (int, error) {
	for i := 1; i < len(s); {
		c := s[i]
		switch {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			// quoted-pairSMTP: US-ASCII graphics and space, not UTF-8
			if i+1 == len(s) || s[i+1] < ' ' || s[i+1] > '~' {
				return 0, errors.New("a backslash in the quoted local part escapes nothing that may be escaped")
			}
			i += 2
		case c >= 0x80 && utf8:
			n, err := nonASCIILength(s[i:])
			if err != nil {
				return 0, err
			}
			i += n
		case c < ' ' || c > '~':
			return 0, fmt.Errorf("%q is not allowed in the quoted local part", c)
		default:
			i++
		}
	}
	return 0, errors.New("the quoted local part does not end")
}

// nonASCIILength measures the UTF-8 character that s begins with (RFC 6532
// 3.1, UTF8-non-ascii). The controls U+0080 to U+009F are refused.
func nonASCIILength(s string) (int, error) {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n <= 1 {
		return 0, errors.New("the address is not well-formed UTF-8")
	}
	if r < 0xa0 {
		return 0, fmt.Errorf("the control character %U is not allowed", r)
	}
	return n, nil
}

// isAtext reports whether c is atext (RFC 5322 3.2.3).
func isAtext(c byte) bool {
	return isLetDig(c) || c == '!' || '#' <= c && c <= '\'' || c == '*' || c == '+' || c == '-' || c == '/' ||
		c == '=' || c == '?' || '^' <= c && c <= '`' || '{' <= c && c <= '~'
}

func isLetDig(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// CheckDomain reports what is wrong with a domain or an address literal
// (RFC 5321 4.1.2). It takes no final dot; with utf8 it takes U-labels.
func CheckDomain(s string, utf8 bool) error { return checkDomain(s, 0, utf8) }

// checkDomain is CheckDomain for a domain that stands behind before octets of
// an address.
func checkDomain(s string, before int, utf8 bool) error {
	if s == "" {
		return errors.New("the domain is empty")
	}
	if len(s) > MaxDomain {
		return fmt.Errorf("the domain is longer than %d octets", MaxDomain) // RFC 5321 4.5.3.1.2
	}
	if s[0] == '[' {
		_, err := ParseLiteral(s)
		return err
	}
	if utf8 && !isASCII(s) {
		return checkInternationalDomain(s, before)
	}
	label := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isLetDig(c):
		case c == '-':
			if i == label {
				return errors.New("a label of the domain begins with a hyphen")
			}
		case c == '.':
			if err := checkLabel(s, label, i); err != nil {
				return err
			}
			label = i + 1
		default:
			return fmt.Errorf("%q is not allowed in a domain", c)
		}
	}
	return checkLabel(s, label, len(s))
}

// checkLabel looks at the label s[from:to], whose characters are known to be
// letters, digits and hyphens.
func checkLabel(s string, from, to int) error {
	switch {
	case from == to:
		return errors.New("the domain has an empty label")
	case to-from > maxLabel:
		return fmt.Errorf("a label of the domain is longer than %d octets", maxLabel)
	case s[to-1] == '-':
		return errors.New("a label of the domain ends in a hyphen")
	}
	return nil
}

// CheckALabels reports what is wrong with the A-labels of a domain that
// CheckDomain takes: each must decode to the U-label that it stands for
// (RFC 5890 2.3.2.1, RFC 5891 4.2).
func CheckALabels(domain string) error {
	for label := range strings.SplitSeq(domain, ".") {
		if !hasFoldedPrefix(label, "xn--") {
			continue
		}
		if _, err := idna.Registration.ToUnicode(strings.ToLower(label)); err != nil {
			return fmt.Errorf("%q is no A-label: %s", label, strings.TrimPrefix(err.Error(), "idna: "))
		}
	}
	return nil
}

// checkInternationalDomain takes U-labels as IDNA 2008 defines them (RFC 5890
// 2.3.2.1), but that upper case is let pass. Full-width forms and the like,
// which a mapping would turn into dots and letters, are not U-labels.
func checkInternationalDomain(s string, before int) error {
	if !utf8.ValidString(s) {
		return errors.New("the domain is not well-formed UTF-8")
	}
	a, err := idna.Registration.ToASCII(strings.ToLower(s))
	if err != nil {
		return fmt.Errorf("the domain is not a valid internationalised name: %q", s)
	}
	if len(a) > MaxDomain || before+len(a) > MaxMailbox {
		return errors.New("the address is too long when its domain is written in ASCII")
	}
	return checkDomain(a, before, false)
}

// ParseLiteral checks an address literal with its brackets (RFC 5321 4.1.3).
// The address is the zero Addr for a literal of a kind other than IPv4 and
// IPv6.
func ParseLiteral(s string) (netip.Addr, error) {
	bad := func() (netip.Addr, error) {
		return netip.Addr{}, fmt.Errorf("%q is not an address literal", s)
	}
	if len(s) < 3 || s[0] != '[' || s[len(s)-1] != ']' {
		return bad()
	}
	in := s[1 : len(s)-1]
	tag, content, tagged := strings.Cut(in, ":")
	if !tagged {
		if a, ok := parseIPv4(in); ok {
			return a, nil
		}
		return bad()
	}
	if strings.EqualFold(tag, "IPv6") {
		a, err := netip.ParseAddr(content)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return bad()
		}
		return a, nil
	}
	// General-address-literal. An IPv6 address whose tag was forgotten would
	// pass for one.
	if _, err := netip.ParseAddr(in); err == nil {
		return netip.Addr{}, fmt.Errorf("%q lacks its tag: write [IPv6:%s]", s, in)
	}
	if !isLdhString(tag) || content == "" {
		return bad()
	}
	for i := 0; i < len(content); i++ {
		if c := content[i]; c < '!' || c > '~' || '[' <= c && c <= ']' { // dcontent
			return bad()
		}
	}
	return netip.Addr{}, nil
}

// parseIPv4 reads an IPv4-address-literal without its brackets (RFC 5321
// 4.1.3): four numbers of one to three digits, which are decimal whatever they
// begin with.
func parseIPv4(s string) (netip.Addr, bool) {
	var a [4]byte
	for i := range a {
		number, rest, more := strings.Cut(s, ".")
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil || len(number) > 3 || more != (i < len(a)-1) {
			return netip.Addr{}, false
		}
		a[i], s = byte(n), rest
	}
	return netip.AddrFrom4(a), true
}

// isLdhString reports whether s is an Ldh-str (RFC 5321 4.1.2).
func isLdhString(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isLetDig(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != "" && s[len(s)-1] != '-'
}

// Literal returns the address literal of an IP address, as "[192.0.2.1]" or
// "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). An IPv4-mapped address is unmapped
// and a zone left out.
func Literal(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	b := append(make([]byte, 0, len("[IPv6:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]")), '[')
	if !a.Is4() {
		b = append(b, "IPv6:"...)
	}
	return string(append(a.AppendTo(b), ']'))
}

// IsNull reports whether a is the null reverse path.
func (a Address) IsNull() bool { return a == Address{} }

// String returns "local@domain", "" for the null path, and the local part
// alone for the bare postmaster.
func (a Address) String() string {
	if a.Domain == "" {
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

// Path returns "<local@domain>", or "<>" for the null path.
func (a Address) Path() string {
	if a.Domain == "" {
		return "<" + a.Local + ">"
	}
	return "<" + a.Local + "@" + a.Domain + ">"
}

// ASCII reports whether the address can be used without SMTPUTF8.
func (a Address) ASCII() bool { return isASCII(a.Local) && isASCII(a.Domain) }

func isASCII[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Equal reports whether both name the same mailbox as far as anyone but its
// host can tell: local parts are compared octet by octet, but that their
// quoting does not matter (RFC 5321 4.1.2), and domains by DomainKey.
func (a Address) Equal(b Address) bool {
	if a == b {
		return true
	}
	return canonicalLocal(a.Local) == canonicalLocal(b.Local) && DomainKey(a.Domain) == DomainKey(b.Domain)
}

// Key returns a form that is the same for addresses that are Equal, and for no
// others.
func (a Address) Key() string {
	return Address{Local: canonicalLocal(a.Local), Domain: DomainKey(a.Domain)}.String()
}

// canonicalLocal takes the quotes off where they are not needed and escapes
// nothing that need not be.
func canonicalLocal(s string) string {
	if len(s) < 2 || s[0] != '"' {
		return s
	}
	if n, err := quotedLength(s, true); err != nil || n != len(s) {
		return s
	}
	content := make([]byte, 0, len(s))
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' {
			i++
		}
		content = append(content, s[i])
	}
	if n, err := dotStringLength(string(content), true); err == nil && n == len(content) {
		return string(content)
	}
	quoted := make([]byte, 0, len(s))
	quoted = append(quoted, '"')
	for _, c := range content {
		if c == '"' || c == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, c)
	}
	return string(append(quoted, '"'))
}

// DomainKey returns the form in which domains are compared: lower case,
// A-labels, no final dot; address literals with their address in canonical
// form. It never fails: what is no domain is only lower-cased. It allocates
// nothing for a lower-case ASCII domain.
func DomainKey(domain string) string {
	domain = strings.TrimRight(domain, ".")
	if len(domain) > 0 && domain[0] == '[' {
		if a, err := ParseLiteral(domain); err == nil && a.IsValid() {
			domain = Literal(a)
		}
		return strings.ToLower(domain)
	}
	key := strings.ToLower(domain)
	if isASCII(key) {
		return key
	}
	if a, err := idna.Lookup.ToASCII(key); err == nil {
		return strings.TrimRight(a, ".")
	}
	return key
}
