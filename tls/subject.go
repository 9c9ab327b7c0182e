package ptls

import (
	"cmp"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSubject bounds a subject as it is written, in octets.
const maxSubject = 4096

// attribute is a type of name that subjects are made of (X.520, RFC 5280
// 4.1.2.4 and appendix A.1).
type attribute struct {
	names []string // the first is the usual one
	oid   asn1.ObjectIdentifier
	most  int // characters
	// tag is that of the string, zero for PrintableString or else UTF8String.
	tag int
}

// attributes are in the order in which authorities encode them: from the
// country down to the name itself.
func attributes() []attribute {
	x520 := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 4, n} }
	return []attribute{
		{[]string{"DC", "domainComponent"}, asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, 63, asn1.TagIA5String},
		{[]string{"C", "countryName"}, x520(6), 2, asn1.TagPrintableString},
		{[]string{"ST", "S", "stateOrProvinceName"}, x520(8), 128, 0},
		{[]string{"L", "localityName"}, x520(7), 128, 0},
		{[]string{"STREET", "streetAddress"}, x520(9), 128, 0},
		{[]string{"postalCode"}, x520(17), 40, 0},
		{[]string{"O", "organizationName"}, x520(10), 64, 0},
		{[]string{"OU", "organizationalUnitName"}, x520(11), 64, 0},
		{[]string{"CN", "commonName"}, x520(3), 64, 0},
		{[]string{"serialNumber"}, x520(5), 64, asn1.TagPrintableString},
		{[]string{"emailAddress", "E", "EMAIL"}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, 255, asn1.TagIA5String},
	}
}

// Subject is the distinguished name of a certificate's owner. The zero value
// has no parts.
type Subject struct{ parts []part }

type part struct {
	rank  int // among attributes
	value string
}

// ParseSubject reads a distinguished name as people write it, such as
//
//	C=US,O="Contoso, Ltd.",CN=edge.contoso.example
//
// (RFC 4514 2.4 and 3, with quotation marks as in RFC 1779 and X.500 order or
// its reverse alike). It is encoded from the country down to the common name,
// whatever the order in which it was written.
func ParseSubject(text string) (Subject, error) {
	var s Subject
	if len(text) > maxSubject {
		return s, fmt.Errorf("a subject has %d octets at most", maxSubject)
	}
	if strings.HasPrefix(text, "/") {
		return s, errors.New(`separate the parts of a subject with commas: C=US,O=Contoso,CN=edge.contoso.example`)
	}
	known := attributes()
	rest := text
	for {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return s, fmt.Errorf("%q is no part of a subject; write TYPE=VALUE, such as O=Contoso, and a comma in a value as \\, or the value in quotation marks", strings.TrimSpace(rest))
		}
		rank := slices.IndexFunc(known, func(a attribute) bool {
			return slices.ContainsFunc(a.names, func(n string) bool { return strings.EqualFold(n, name) }) || a.oid.String() == strings.TrimPrefix(strings.ToUpper(name), "OID.")
		})
		if rank < 0 {
			return s, fmt.Errorf("a subject has no %q here; there are %s", name, attributeNames(known))
		}
		value, next, more, err := subjectValue(after)
		if err == nil {
			err = known[rank].check(value)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", known[rank].names[0], err)
		}
		if known[rank].names[0] == "C" {
			value = strings.ToUpper(value)
		}
		s.parts = append(s.parts, part{rank, value})
		if !more {
			break
		}
		rest = next
	}
	for i, a := range known {
		n := 0
		for _, p := range s.parts {
			if p.rank == i {
				n++
			}
		}
		if once := a.names[0] == "C" || a.names[0] == "CN"; once && n > 1 {
			return s, fmt.Errorf("%s stands there %d times, and a subject has one", a.names[0], n)
		}
	}
	s.arrange()
	return s, nil
}

func attributeNames(known []attribute) string {
	var names []string
	for _, a := range known {
		names = append(names, a.names[0])
	}
	return strings.Join(names, ", ")
}

// arrange brings the parts into the order of attributes.
func (s *Subject) arrange() {
	// Domain components are encoded from the top down, and written from below.
	var dc []part
	for _, p := range s.parts {
		if p.rank == 0 {
			dc = append(dc, p)
		}
	}
	slices.Reverse(dc)
	slices.SortStableFunc(s.parts, func(a, b part) int { return cmp.Compare(a.rank, b.rank) })
	copy(s.parts, dc)
}

// subjectValue reads a value up to the comma behind it.
func subjectValue(s string) (value, rest string, more bool, err error) {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "#") {
		return "", "", false, errors.New("write the value as text, not in hexadecimal")
	}
	quoted := strings.HasPrefix(s, `"`)
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	kept := 0 // octets of b that are no white space at the end
	closed := false
	i := 0
	for ; i < len(s) && !closed; i++ {
		switch c := s[i]; {
		case c == '\\':
			octet, n, err := unescape(s[i+1:])
			if err != nil {
				return "", "", false, err
			}
			b.WriteByte(octet)
			i += n
			kept = b.Len()
		case quoted && c == '"':
			closed = true
		case !quoted && (c == ',' || c == ';'):
			return strings.ToValidUTF8(b.String()[:kept], "\uFFFD"), s[i+1:], true, nil
		case !quoted && (c == '+' || c == '"' || c == '<' || c == '>'):
			return "", "", false, fmt.Errorf("write %c in a value as \\%c, or the value in quotation marks", c, c)
		default:
			b.WriteByte(c)
			if c != ' ' || quoted {
				kept = b.Len()
			}
		}
	}
	value = strings.ToValidUTF8(b.String()[:kept], "\uFFFD")
	if !quoted {
		return value, "", false, nil
	}
	if !closed {
		return "", "", false, errors.New("the closing quotation mark is missing")
	}
	rest = strings.TrimLeft(s[i:], " ")
	switch {
	case rest == "":
		return value, "", false, nil
	case rest[0] == ',' || rest[0] == ';':
		return value, rest[1:], true, nil
	}
	return "", "", false, fmt.Errorf("%q stands behind the closing quotation mark, where a comma is wanted", rest)
}

// unescape reads what stands behind a backslash: a special character or two
// hexadecimal digits (RFC 4514 2.4).
func unescape(s string) (octet byte, n int, err error) {
	if len(s) >= 2 {
		if b, err := hex.DecodeString(s[:2]); err == nil {
			return b[0], 2, nil
		}
	}
	if s != "" && strings.IndexByte(`,;+"\<>=# /`, s[0]) >= 0 {
		return s[0], 1, nil
	}
	return 0, 0, errors.New(`a backslash stands before one of , ; + " \ < > = # or two hexadecimal digits`)
}

func (a attribute) check(value string) error {
	switch n := utf8.RuneCountInString(value); {
	case strings.TrimSpace(value) == "":
		return errors.New("the value is missing")
	case n > a.most:
		return fmt.Errorf("%q has %d characters, and %d are the most (RFC 5280 appendix A.1)", value, n, a.most)
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return fmt.Errorf("%q has characters that can't be printed", value)
	}
	ascii := !strings.ContainsFunc(value, func(r rune) bool { return r > '~' })
	switch {
	case a.names[0] == "C" && strings.Trim(strings.ToUpper(value), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || a.names[0] == "C" && len(value) != 2:
		return fmt.Errorf("%q is no country; write the two letters of ISO 3166, such as US", value)
	case a.tag == asn1.TagIA5String && !ascii:
		return fmt.Errorf("%q has characters outside ASCII", value)
	case a.tag == asn1.TagPrintableString && strings.ContainsFunc(value, func(r rune) bool { return !printable(r) }):
		return fmt.Errorf("%q may have letters, digits, spaces and ' ( ) + , - . / : = ? alone", value)
	}
	return nil
}

// printable reports whether PrintableString has a character (X.680 41.4).
func printable(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" '()+,-./:=?", r)
}

// CommonName is the CN; empty for none.
func (s Subject) CommonName() string {
	known := attributes()
	for _, p := range s.parts {
		if known[p.rank].names[0] == "CN" {
			return p.value
		}
	}
	return ""
}

// WithCommonName is the subject with a CN, cut to the 64 characters that it may
// have, in the place of what there was.
func (s Subject) WithCommonName(name string) Subject {
	rank := slices.IndexFunc(attributes(), func(a attribute) bool { return a.names[0] == "CN" })
	parts := slices.DeleteFunc(slices.Clone(s.parts), func(p part) bool { return p.rank == rank })
	s = Subject{append(parts, part{rank, commonName(name)})}
	slices.SortStableFunc(s.parts, func(a, b part) int { return cmp.Compare(a.rank, b.rank) })
	return s
}

// String writes the subject in the order in which it is encoded, so that
// ParseSubject reads it.
func (s Subject) String() string {
	known := attributes()
	parts := slices.Clone(s.parts)
	n := 0
	for n < len(parts) && parts[n].rank == 0 {
		n++
	}
	slices.Reverse(parts[:n])
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(known[p.rank].names[0] + "=")
		if strings.ContainsAny(p.value, `,;+"\<>=#`) || strings.TrimSpace(p.value) != p.value {
			b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.value) + `"`)
		} else {
			b.WriteString(p.value)
		}
	}
	return b.String()
}

// DER is the subject encoded (RFC 5280 4.1.2.4).
func (s Subject) DER() ([]byte, error) {
	known := attributes()
	seq := pkix.RDNSequence{}
	for _, p := range s.parts {
		a := known[p.rank]
		var value any = p.value
		if a.tag == asn1.TagIA5String {
			value = asn1.RawValue{Tag: a.tag, Bytes: []byte(p.value)}
		}
		seq = append(seq, pkix.RelativeDistinguishedNameSET{{Type: a.oid, Value: value}})
	}
	der, err := asn1.Marshal(seq)
	if err != nil {
		return nil, fmt.Errorf("subject %s: %w", strconv.Quote(s.String()), err)
	}
	return der, nil
}
