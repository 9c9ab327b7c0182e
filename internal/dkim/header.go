package dkim

import (
	"bytes"
	"mime"
	"net/mail"
	"strings"

	"postern/internal/message"
)

// Header is the header of a message, parted into its fields.
type Header struct {
	fields []field
}

// field is a header field as it stands in the message, with its CRLF.
type field struct {
	name string // in lower case, without white space
	raw  []byte
}

// HeaderEnd returns where the header ends in a message, behind its empty line,
// or -1 when that has not come. It is not among the first seen octets. A message
// without an empty line is all header.
func HeaderEnd(p []byte, seen int) int {
	if bytes.HasPrefix(p, crlf) {
		return len(crlf)
	}
	from := max(0, seen-3)
	if i := bytes.Index(p[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	return -1
}

// ParseHeader parts a header into fields, up to its empty line or its end. Lines
// that are no field are passed over. The header must not change as long as it
// is in use.
func ParseHeader(p []byte) *Header {
	h := new(Header)
	for len(p) > 0 && !bytes.HasPrefix(p, crlf) {
		n := fieldLength(p)
		if name, _, ok := bytes.Cut(p[:n], []byte(":")); ok {
			if name = bytes.TrimRight(name, " \t"); len(name) > 0 {
				h.fields = append(h.fields, field{strings.ToLower(string(name)), p[:n]})
			}
		}
		p = p[n:]
	}
	return h
}

// fieldLength is the length of the first line and its continuation lines
// (RFC 5322 2.2.3).
func fieldLength(p []byte) int {
	for at := 0; ; {
		i := bytes.Index(p[at:], crlf)
		if i < 0 {
			return len(p)
		}
		at += i + len(crlf)
		if at == len(p) || p[at] != ' ' && p[at] != '\t' {
			return at
		}
	}
}

// all returns the fields of a name, the last one first: the order in which they
// are signed (RFC 6376 5.4.2).
func (h *Header) all(name string) [][]byte {
	var list [][]byte
	for i := len(h.fields) - 1; i >= 0; i-- {
		if h.fields[i].name == name {
			list = append(list, h.fields[i].raw)
		}
	}
	return list
}

// FromDomain returns the domain of the author, as a message.DomainKey. Without
// a From field, with several, or with authors in several domains there is none,
// and problem says why.
func (h *Header) FromDomain() (domain, problem string) {
	from := h.all("from")
	switch len(from) {
	case 0:
		return "", "it has no From field"
	case 1:
	default:
		return "", "it has several From fields"
	}
	_, value, _ := strings.Cut(string(from[0]), ":")
	value = strings.NewReplacer("\r\n", "").Replace(value)
	addresses, ok := authors(value)
	if !ok {
		return "", "its From field can't be read"
	}
	for _, a := range addresses {
		_, d, _ := cutLast(a, '@')
		d = message.DomainKey(d)
		if message.CheckDomain(d, false) != nil || domain != "" && d != domain {
			return "", "its From field names no one domain"
		}
		domain = d
	}
	if domain == "" {
		return "", "its From field names nobody"
	}
	return domain, ""
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// authors reads the addresses of a From field. Where the grammar is broken, as
// by a display name that ought to stand in quotes, one address in angle brackets
// at the end says enough.
func authors(value string) (list []string, ok bool) {
	parser := mail.AddressParser{WordDecoder: new(mime.WordDecoder)}
	if parsed, err := parser.ParseList(value); err == nil {
		for _, a := range parsed {
			list = append(list, a.Address)
		}
		return list, true
	}
	value = strings.TrimSpace(value)
	open := strings.IndexByte(value, '<')
	if open < 0 || strings.LastIndexByte(value, '<') != open || strings.IndexByte(value, '>') != len(value)-1 {
		return nil, false
	}
	return []string{value[open+1 : len(value)-1]}, true
}

// appendHeaderField appends a field in its canonical form (RFC 6376 3.4.1,
// 3.4.2), with its CRLF.
func appendHeaderField(b, raw []byte, relaxed bool) []byte {
	raw = bytes.TrimSuffix(raw, crlf)
	if !relaxed {
		return append(append(b, raw...), crlf...)
	}
	name, value, _ := bytes.Cut(raw, []byte(":"))
	b = append(b, bytes.ToLower(bytes.TrimRight(name, " \t"))...)
	b = append(b, ':')
	start, space := len(b), false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == ' ' || c == '\t':
			space = true
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n': // of a fold: white space follows
			i++
		default:
			if space && len(b) > start {
				b = append(b, ' ')
			}
			space = false
			b = append(b, c)
		}
	}
	return append(b, crlf...)
}
