package review

import (
	"net/netip"
	"strings"
)

// Text masks running text: replies, remarks, names in certificates. Everything
// that has an "@" in it is taken for an address; then the local parts that are
// known are looked for.
func (m *Masker) Text(s string) string {
	if s == "" {
		return s
	}
	if strings.Contains(s, "@") {
		s = m.addressesIn(s)
	}
	if len(m.known) > 0 {
		s = m.words(s)
	}
	if m.ips {
		s = m.addresses(s)
	}
	return s
}

// textEdges end an address that stands in running text without quotes.
const textEdges = " \t\r\n\v\f\x00<>()[],;:\"|"

// addressesIn masks what looks like an address: text up to and around an "@"
// without a space or a bracket, and a quoted string before one.
func (m *Masker) addressesIn(s string) string {
	var b strings.Builder
	kept := 0
	for i := 0; i < len(s); {
		if s[i] == '"' {
			end := closingMark(s, i)
			if end > 0 && end+1 < len(s) && s[end+1] == '@' { // "kim lee"@contoso.example
				stop := domainEnd(s, end+2)
				b.WriteString(s[kept:i])
				b.WriteString(m.local(s[i:end+1], s[end+2:stop]) + "@" + m.domain(s[end+2:stop]))
				i, kept = stop, stop
				continue
			}
			i++
			continue
		}
		if strings.IndexByte(textEdges, s[i]) >= 0 {
			i++
			continue
		}
		end := i
		for end < len(s) && strings.IndexByte(textEdges, s[end]) < 0 {
			end++
		}
		if at := strings.LastIndexByte(s[i:end], '@'); at >= 0 {
			if end == i+at+1 {
				end = domainEnd(s, end)
			}
			b.WriteString(s[kept:i])
			b.WriteString(m.inWord(s[i:i+at], s[i+at+1:end]))
			kept = end
		}
		i = end
	}
	return b.String() + s[kept:]
}

// inWord masks a word with an "@" in it: "kim@contoso.example", and also
// "rcpt=kim@contoso.example" or "'kim@contoso.example'", where what stands in
// front is part of the local part for all that is known.
func (m *Masker) inWord(local, domain string) string {
	tail := hostOf(domain)
	if local == "" {
		return "@" + m.domain(tail) + domain[len(tail):]
	}
	// The word is hidden whole, and what looks like the address in it is known
	// from now on.
	if i := strings.LastIndexAny(local, "='`{*/"); i >= 0 && i+1 < len(local) {
		m.local(local[i+1:], tail)
	}
	return m.local(local, tail) + "@" + m.domain(tail) + domain[len(tail):]
}

// hostOf returns the domain at the start of s, without the stop of a sentence.
func hostOf(s string) string {
	if strings.HasPrefix(s, "[") {
		return s
	}
	end := 0
	for end < len(s) && (isWordByte(s[end]) || strings.IndexByte("-._", s[end]) >= 0) {
		end++
	}
	return strings.TrimRight(s[:end], ".")
}

// closingMark returns the place of the quote that ends the quoted string at i,
// or -1 (RFC 5321 4.1.2).
func closingMark(s string, i int) int {
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case '"':
			return j
		}
	}
	return -1
}

// domainEnd returns where a domain that begins at i ends: a literal at its
// bracket.
func domainEnd(s string, i int) int {
	if i < len(s) && s[i] == '[' {
		if end := strings.IndexByte(s[i:], ']'); end >= 0 {
			return i + end + 1
		}
	}
	for i < len(s) && strings.IndexByte(textEdges, s[i]) < 0 {
		i++
	}
	return i
}

// words masks the known local parts, and domains where they are hidden, that
// stand as words of their own.
func (m *Masker) words(s string) string {
	lower := lowerASCII(s)
	var b strings.Builder
	kept := 0
	for i := 0; i < len(s); {
		if !isWordByte(s[i]) {
			i++
			continue
		}
		first := wordAt(lower, i)
		end := i + len(first)
		if strings.HasPrefix(lower[i:], maskPrefix) && i+len(maskPrefix)+10 <= len(s) && isMask(lower[i:i+len(maskPrefix)+10]) {
			i += len(maskPrefix) + 10
			continue
		}
		for _, n := range m.starts[first] {
			stop := i + n
			if stop > len(s) || stop < len(s) && isWordByte(s[stop]) && isWordByte(s[stop-1]) {
				continue
			}
			if mask, ok := m.known[lower[i:stop]]; ok {
				b.WriteString(s[kept:i])
				b.WriteString(mask)
				kept, end = stop, stop
				break
			}
		}
		i = end
	}
	return b.String() + s[kept:]
}

// lowerASCII turns upper case into lower, octet for octet.
func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; c >= 'A' && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// addresses masks the IP addresses in running text where that is wanted.
func (m *Masker) addresses(s string) string {
	if !m.ips {
		return s
	}
	var b strings.Builder
	kept := 0
	for i := 0; i < len(s); {
		if !isAddrByte(s[i]) || i > 0 && isWordByte(s[i-1]) {
			i++
			continue
		}
		end := i
		for end < len(s) && isAddrByte(s[end]) {
			end++
		}
		if a, n := addressIn(s[i:end]); n > 0 && (i+n == len(s) || !isWordByte(s[i+n])) {
			b.WriteString(s[kept:i])
			b.WriteString(m.ip(a).String())
			kept, end = i+n, i+n
		}
		i = end
	}
	return b.String() + s[kept:]
}

func isAddrByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' || c == '.' || c == ':'
}

// addressIn returns the IP address at the start of s and its length: without a
// port behind an IPv4 address and without the stop of a sentence.
func addressIn(s string) (netip.Addr, int) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a, len(s)
	}
	if i := strings.IndexByte(s, ':'); i > 0 { // 192.0.2.1:25
		if a, err := netip.ParseAddr(s[:i]); err == nil {
			return a, i
		}
	}
	if t := strings.TrimRight(s, ".:"); t != s && t != "" {
		if a, err := netip.ParseAddr(t); err == nil {
			return a, len(t)
		}
	}
	return netip.Addr{}, 0
}
