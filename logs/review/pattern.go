package review

import (
	"bytes"
	"fmt"
	"strings"
)

// Pattern is text in which each "*" stands for any characters, compared without
// regard to the case of ASCII letters. The zero Pattern matches the empty text
// alone.
type Pattern struct {
	text  string   // as it was given
	parts []string // between the stars, lower case; one part: no star
}

// ParsePattern reads a pattern. It must not be empty.
func ParsePattern(s string) (Pattern, error) {
	if s == "" {
		return Pattern{}, fmt.Errorf("a pattern is empty")
	}
	return Pattern{text: s, parts: strings.Split(lower(s), "*")}, nil
}

// String returns the pattern as it was given.
func (p Pattern) String() string { return p.text }

// Match reports whether the whole of s fits.
func (p Pattern) Match(s string) bool { return p.match([]byte(s)) }

func (p Pattern) match(s []byte) bool {
	if len(p.parts) == 0 {
		return len(s) == 0
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(p.parts) == 1 {
		return equalFold(s, first)
	}
	if len(s) < len(first)+len(last) || !equalFold(s[:len(first)], first) || !equalFold(s[len(s)-len(last):], last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := indexFold(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// literal returns the longest text that whatever matches must hold, lower case.
func (p Pattern) literal() string {
	longest := ""
	for _, part := range p.parts {
		if run := plainRun(part); len(run) > len(longest) {
			longest = run
		}
	}
	return longest
}

// AddressPattern chooses addresses: "<>" the null path, "kim@contoso.example" one
// address, "contoso.example" or "@contoso.example" those of a domain,
// "*.contoso.example" those of a domain and all below it; a "*" elsewhere stands
// for any characters. Case does not matter, in local parts either.
type AddressPattern struct {
	text  string
	forms []Pattern // of the whole address; none for the null path
}

// ParseAddressPattern reads an address pattern. It must not be empty.
func ParseAddressPattern(s string) (AddressPattern, error) {
	if s == "" {
		return AddressPattern{}, fmt.Errorf(`an address is empty; the null path is "<>"`)
	}
	p := AddressPattern{text: s}
	if s == "<>" {
		return p, nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	forms := []string{bare}
	switch rest, below := strings.CutPrefix(bare, "*."); {
	case bare == "*":
	case strings.Contains(bare, "@"):
		if bare[0] == '@' {
			forms = []string{"*" + bare}
		}
	case below && !strings.Contains(rest, "*"):
		forms = []string{"*@" + rest, "*@*." + rest}
	case strings.HasPrefix(bare, "[") || !strings.EqualFold(bare, "postmaster"):
		forms = []string{"*@" + bare}
	default: // the postmaster without a domain (RFC 5321 4.1.1.3)
		forms = []string{bare, bare + "@*"}
	}
	for _, form := range forms {
		q, err := ParsePattern(form)
		if err != nil {
			return AddressPattern{}, fmt.Errorf("%q is no address, domain or pattern", s)
		}
		p.forms = append(p.forms, q)
	}
	return p, nil
}

// String returns the pattern as it was given.
func (p AddressPattern) String() string { return p.text }

// Match reports whether an address without its brackets fits; "" is the null
// path.
func (p AddressPattern) Match(address string) bool { return p.match([]byte(address)) }

func (p AddressPattern) match(address []byte) bool {
	if len(p.forms) == 0 {
		return len(address) == 0
	}
	for _, f := range p.forms {
		if f.match(address) {
			return true
		}
	}
	return false
}

// literal returns text that whatever matches must hold, lower case; empty when
// there is none.
func (p AddressPattern) literal() string {
	if len(p.forms) == 0 {
		return ""
	}
	// Of several forms the first is the shortest.
	return strings.TrimPrefix(p.forms[0].literal(), "@")
}

// ReplyPattern chooses replies: "550" or "55x" by code, "5.7.1", "5.7.*" or
// "4.*" by enhanced status code.
type ReplyPattern struct {
	text     string
	code     string    // three characters, '.' for any digit
	enhanced [3]string // "*" for any
}

// ParseReplyPattern reads a reply pattern.
func ParseReplyPattern(s string) (ReplyPattern, error) {
	p := ReplyPattern{text: s}
	wrong := fmt.Errorf("%q is no reply code: write 550, 5xx, 5.7.1 or 4.7.*", s)
	if s == "" || s[0] < '2' || s[0] > '5' {
		return p, wrong
	}
	if !strings.Contains(s, ".") {
		if len(s) != 3 {
			return p, wrong
		}
		for _, c := range strings.ToLower(s) {
			switch {
			case '0' <= c && c <= '9':
				p.code += string(c)
			case strings.ContainsRune("xyz*", c):
				p.code += "."
			default:
				return p, wrong
			}
		}
		return p, nil
	}
	parts := strings.Split(s, ".")
	if len(parts) > 3 || len(parts[0]) != 1 {
		return p, wrong
	}
	p.enhanced = [3]string{"*", "*", "*"}
	for i, part := range parts {
		switch {
		case part == "*" || strings.EqualFold(part, "x"):
		case part == "" || len(part) > 3 || strings.Trim(part, "0123456789") != "":
			return p, wrong
		default:
			p.enhanced[i] = part
		}
	}
	if len(parts) < 3 && parts[len(parts)-1] != "*" && !strings.EqualFold(parts[len(parts)-1], "x") {
		return p, wrong
	}
	return p, nil
}

// String returns the pattern as it was given.
func (p ReplyPattern) String() string { return p.text }

// Match reports whether a reply line fits.
func (p ReplyPattern) Match(reply string) bool { return p.match([]byte(reply)) }

func (p ReplyPattern) match(reply []byte) bool {
	if !isReply(reply) {
		return false
	}
	if p.code != "" {
		for i := range 3 {
			if p.code[i] != '.' && p.code[i] != reply[i] {
				return false
			}
		}
		return true
	}
	status, ok := enhancedStatus(reply)
	if !ok {
		return false
	}
	for _, want := range p.enhanced {
		part := status
		if dot := bytes.IndexByte(status, '.'); dot >= 0 {
			part, status = status[:dot], status[dot+1:]
		}
		if want != "*" && want != string(part) {
			return false
		}
	}
	return true
}

// isReply reports whether a line begins with a reply code (RFC 5321 4.2).
func isReply(b []byte) bool {
	return len(b) >= 3 && '2' <= b[0] && b[0] <= '5' && isDigit(b[1]) && isDigit(b[2]) && (len(b) == 3 || b[3] == ' ' || b[3] == '-')
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// enhancedStatus returns the enhanced status code of a reply line, "5.7.1"
// (RFC 3463 2).
func enhancedStatus(reply []byte) ([]byte, bool) {
	if len(reply) < 9 {
		return nil, false
	}
	s := reply[4:]
	if i := bytes.IndexByte(s, ' '); i >= 0 {
		s = s[:i]
	}
	if len(s) < 5 || len(s) > 9 || s[1] != '.' || s[0] != reply[0] {
		return nil, false
	}
	dots := 0
	for i, c := range s {
		switch {
		case c == '.' && i > 0 && s[i-1] != '.' && i < len(s)-1:
			dots++
		case !isDigit(c):
			return nil, false
		}
	}
	return s, dots == 2
}
