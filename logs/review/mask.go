package review

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Masking says how a Masker hides addresses.
type Masking struct {
	// Key decides which mask an address gets; with the same key it is the same
	// in every export. At least MinMaskKey octets; when it is nil a random one
	// is drawn, which nobody learns.
	Key []byte
	// Domains also hides the domains of addresses, IPs also IP addresses.
	Domains, IPs bool
}

// MinMaskKey is how many octets a key for masks has at least: fewer could be
// guessed, and with the key each mask can be tried against a list of addresses.
const MinMaskKey = 16

// Masker hides who wrote to whom in what is handed to somebody else: the local
// part of every address becomes "masked-" and ten characters, the same for the
// same address (letters of either case, with or without quotes), and can't be
// turned back without the key. What an address looks like, where the log is
// sound, stays: reverse paths, parameters and replies read as before, and our
// own readers read them.
//
// Once an address was seen, its local part is hidden also where it stands alone
// as a word, as in "User kim unknown". Local parts of one or two characters, and
// of fewer than six digits, are no words to look for. At most maxKnown of them are remembered; the first ones
// stay.
//
// A Masker is for one goroutine.
type Masker struct {
	domains, ips bool
	mac          hash.Hash
	known        map[string]string
	// starts holds, by the first word of a known local part, how long those
	// are that begin with it, the longest first.
	starts map[string][]int
}

// maxKnown is how many local parts and domains a Masker remembers.
const maxKnown = 20000

// NewMasker returns a Masker.
func NewMasker(m Masking) (*Masker, error) {
	key := m.Key
	switch {
	case key == nil:
		key = make([]byte, sha256.Size)
		rand.Read(key) // never fails
	case len(key) < MinMaskKey:
		return nil, fmt.Errorf("the key for masks has %d octets, want at least %d: with a key that can be guessed the addresses can be, too", len(key), MinMaskKey)
	}
	return &Masker{domains: m.Domains, ips: m.IPs, mac: hmac.New(sha256.New, key), known: make(map[string]string), starts: make(map[string][]int)}, nil
}

// maskPrefix begins every mask, so that nobody takes one for an address.
const maskPrefix = "masked-"

// maskLetters has no letters beyond v, in lower case.
var maskLetters = base32.HexEncoding.WithPadding(base32.NoPadding)

// mark returns what stands for a text: ten characters, 50 bits. The kind keeps
// a local part and a domain of one spelling apart.
func (m *Masker) mark(kind, text string) string {
	return maskPrefix + strings.ToLower(maskLetters.EncodeToString(m.digest(kind, text))[:10])
}

func (m *Masker) digest(kind, text string) []byte {
	m.mac.Reset()
	m.mac.Write([]byte(kind))
	m.mac.Write([]byte{0})
	m.mac.Write([]byte(text))
	return m.mac.Sum(nil)
}

// isMask tells whether text is a mask already.
func isMask(s string) bool {
	rest, ok := strings.CutPrefix(s, maskPrefix)
	if !ok || len(rest) != 10 {
		return false
	}
	for i := range rest {
		if c := rest[i]; (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return false
		}
	}
	return true
}

// Address masks an address as it stands in a column of its own, with or without
// angle brackets. The null path stays, and what has no "@" is hidden whole.
func (m *Masker) Address(s string) string {
	inner, open, shut := s, "", ""
	if strings.HasPrefix(inner, "<") {
		inner, open = inner[1:], "<"
	}
	if strings.HasSuffix(inner, ">") {
		inner, shut = inner[:len(inner)-1], ">"
	}
	if inner == "" {
		return s
	}
	return open + m.mailbox(inner) + shut
}

// mailbox masks what stands between the angle brackets of a path: everything
// before the last "@", a source route (RFC 5321 4.1.2) included.
func (m *Masker) mailbox(s string) string {
	if strings.HasPrefix(s, "@") {
		if i := strings.LastIndexByte(s, ':'); i >= 0 {
			s = s[i+1:]
		}
	}
	if s == "" {
		return s
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 || s[0] == '"' && closingMark(s, 0) == len(s)-1 { // no domain
		return m.local(s, "")
	}
	return m.local(s[:at], s[at+1:]) + "@" + m.domain(s[at+1:])
}

// local masks a local part and remembers it.
func (m *Masker) local(local, domain string) string {
	plain := plainLocal(local)
	if plain == "" || isMask(plain) {
		return plain
	}
	mask := m.mark("address", plain+"@"+lowerASCII(domain))
	m.learn(plain, mask)
	// kim+news@ is found as kim, too.
	if base, _, ok := strings.Cut(plain, "+"); ok {
		m.learn(base, mask)
	}
	return mask
}

// plainLocal returns a local part in lower case and without its quotes.
func plainLocal(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		var b strings.Builder
		s = s[1 : len(s)-1]
		for i := 0; i < len(s); i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			b.WriteByte(s[i])
		}
		s = b.String()
	}
	return lowerASCII(s)
}

// domain masks the domain of an address where that is wanted.
func (m *Masker) domain(d string) string {
	if literal, ok := strings.CutPrefix(d, "["); ok {
		if !m.domains || m.ips {
			return "[" + m.addresses(literal)
		}
	}
	name := strings.TrimSuffix(lowerASCII(d), ".")
	if !m.domains || name == "" || isMask(strings.TrimSuffix(name, ".invalid")) {
		return d
	}
	mask := m.mark("domain", name) + ".invalid" // RFC 2606 2
	if strings.Contains(name, ".") {
		m.learn(name, mask)
	}
	return mask
}

// ip masks an IP address: IPv4 into 240.0.0.0/4, which nobody has, and IPv6
// into 2001:db8::/32, which is for documentation (RFC 3849).
func (m *Masker) ip(a netip.Addr) netip.Addr {
	if !m.ips || !a.IsValid() {
		return a
	}
	a = a.Unmap().WithZone("")
	d := m.digest("ip", a.String())
	if a.Is4() {
		return netip.AddrFrom4([4]byte{0xf0 | d[0]&0x0f, d[1], d[2], d[3]})
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	copy(b[4:], d)
	return netip.AddrFrom16(b)
}

// endpoint masks one end of a connection and keeps its port.
func (m *Masker) endpoint(a netip.AddrPort) netip.AddrPort {
	if !a.IsValid() {
		return a
	}
	return netip.AddrPortFrom(m.ip(a.Addr()), a.Port())
}

// learn remembers what to look for in running text, from its first letter or
// digit to its last.
func (m *Masker) learn(plain, mask string) {
	plain = strings.TrimFunc(plain, func(r rune) bool { return r < utf8.RuneSelf && !isWordByte(byte(r)) })
	if len(plain) < 3 || len(plain) < 6 && isDigits(plain) || len(m.known) >= maxKnown || isIP(plain) {
		return
	}
	first := wordAt(plain, 0)
	if _, ok := m.known[plain]; ok {
		return
	}
	m.known[plain] = mask
	lengths := m.starts[first]
	at := 0
	for at < len(lengths) && lengths[at] > len(plain) {
		at++
	}
	if at == len(lengths) || lengths[at] != len(plain) {
		m.starts[first] = append(lengths[:at], append([]int{len(plain)}, lengths[at:]...)...)
	}
}

// wordAt returns the run of letters and digits that begins at i. What is not
// ASCII counts as a letter.
func wordAt(s string, i int) string {
	end := i
	for end < len(s) && isWordByte(s[end]) {
		end++
	}
	return s[i:end]
}

func isWordByte(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' }
