package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
)

// maxAuthors bounds what is kept of the fields that say who wrote a message, in
// octets.
const maxAuthors = 16 << 10

// Author is who a message says that it comes from.
type Author struct {
	// Field is the name of the field that says so, as it stands.
	Field   string
	Address Address
}

// AuthorScanner finds in a message that streams by who it says that it comes
// from: the mailboxes in From and Sender (RFC 5322 3.6.2). It finds the fields
// as HeaderFirewall does, also where other readers would stop. The zero value
// is ready. It is not for concurrent use.
type AuthorScanner struct {
	split HeaderFirewall
	taken bytes.Buffer
	long  bool
}

// Scan takes the next octets of the content, cut anywhere. It reports whether
// the header has ended, after which further octets are not looked at.
func (s *AuthorScanner) Scan(p []byte) (done bool) {
	if s.split.Taken == nil {
		s.split = HeaderFirewall{Strip: AuthorHeaders, Out: io.Discard, Taken: (*authorBuffer)(s)}
	}
	if !s.split.Done() {
		s.split.Write(p) // nothing there fails
	}
	return s.split.Done()
}

// authorBuffer keeps as much as it may.
type authorBuffer AuthorScanner

func (b *authorBuffer) Write(p []byte) (int, error) {
	if b.taken.Len()+len(p) > maxAuthors {
		b.long = true
		return len(p), nil
	}
	return b.taken.Write(p)
}

// Authors returns whom the message names so far. A field that can't be read or
// names nobody is an error: there is no telling what others read in it.
func (s *AuthorScanner) Authors() ([]Author, error) {
	if s.long {
		return nil, fmt.Errorf("the fields From and Sender are longer than %d octets together", maxAuthors)
	}
	var list []Author
	for rest := s.taken.String(); rest != ""; {
		var field string
		field, rest = cutField(rest)
		name, value, ok := strings.Cut(field, ":")
		if !ok { // a line that is no field, whoever reads it
			continue
		}
		name = strings.TrimRight(name, " \t\r\n")
		found, err := ParseMailboxes(value)
		if err != nil {
			if loose := looseMailboxes(value); len(loose) > 0 {
				found, err = loose, nil
			}
		}
		if err == nil && len(found) == 0 {
			err = errors.New("it names nobody")
		}
		if err != nil {
			return list, fmt.Errorf("the field %s: %w", Shorten(name, maxFieldName), err)
		}
		for _, a := range found {
			list = append(list, Author{name, a})
		}
	}
	return list, nil
}

// looseMailboxes reads what is no proper list, such as a name with a comma in it
// and without quotes, provided that there is only one way to find addresses in
// it: each "@" stands within an address by itself. Else it returns nothing.
func looseMailboxes(v string) []Address {
	var list []Address
	for _, word := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(" \t\r\n<>(),;\"", r) }) {
		if !strings.Contains(word, "@") {
			continue
		}
		a, err := ParseAddress(word, true)
		if err != nil {
			return nil
		}
		list = append(list, a)
	}
	return list
}

// maxFieldName is how much of a field's name is said in an error.
const maxFieldName = 20

// cutField cuts the first field off, with its continuation lines.
func cutField(s string) (field, rest string) {
	for i := 0; i < len(s); {
		n := strings.IndexAny(s[i:], "\r\n")
		if n < 0 {
			break
		}
		for i += n; i < len(s) && (s[i] == '\r' || s[i] == '\n'); i++ {
		}
		if i < len(s) && s[i] != ' ' && s[i] != '\t' {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// unfold takes the line ends of a folded value out (RFC 5322 2.2.3).
var unfold = strings.NewReplacer("\r", "", "\n", "")

// ParseMailboxes reads an address list as header fields hold it, groups among
// them (RFC 5322 3.4, RFC 6854), unfolded or not. What is read before an error
// is returned with it.
func ParseMailboxes(v string) ([]Address, error) {
	// Of the names beside the addresses nothing is wanted, so that any character
	// set will do.
	p := mail.AddressParser{WordDecoder: &mime.WordDecoder{
		CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil },
	}}
	parsed, err := p.ParseList(unfold.Replace(v))
	if err != nil {
		return nil, fmt.Errorf("not a list of addresses: %s", strings.TrimPrefix(err.Error(), "mail: "))
	}
	list := make([]Address, 0, len(parsed))
	for _, a := range parsed {
		m, err := mailbox(a.Address)
		if err != nil {
			return list, fmt.Errorf("%q is no address: %w", a.Address, err)
		}
		list = append(list, m)
	}
	return list, nil
}

// mailbox makes an address of local part and domain, as package mail has them:
// without the quotes that the local part may need (RFC 5321 4.1.2).
func mailbox(s string) (Address, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return Address{}, fmt.Errorf("it has no domain")
	}
	a, err := ParseAddress(s, true)
	if err == nil {
		return a, nil
	}
	quoted := make([]byte, 0, len(s)+2)
	quoted = append(quoted, '"')
	for _, c := range []byte(s[:i]) {
		if c == '"' || c == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, c)
	}
	if q, qerr := ParseAddress(string(append(quoted, '"'))+s[i:], true); qerr == nil {
		return q, nil
	}
	return Address{}, err
}
