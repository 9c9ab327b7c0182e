package message

import (
	"fmt"
	"strings"
)

// ID identifies a message for as long as the gateway and its logs exist: the
// queue id. It is a number that grows with time and is written in 13
// characters of base 32, so that ids sort as text as they do as numbers. The
// spool gives ids out; see its documentation for why none comes twice.
// The zero ID is no message.
type ID uint64

// idAlphabet is Crockford's base 32: in ASCII order, without I, L, O and U.
const idAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// idLength is the number of characters of an ID: 13 times 5 bits hold 64.
const idLength = 13

// String returns the id's 13 characters.
func (id ID) String() string {
	var b [idLength]byte
	for i := idLength - 1; i >= 0; i-- {
		b[i] = idAlphabet[id&31]
		id >>= 5
	}
	return string(b[:])
}

// ParseID reads an id as String writes it. Lower case is taken too.
func ParseID(s string) (ID, error) {
	if len(s) != idLength {
		return 0, fmt.Errorf("queue id %q: want %d characters", s, idLength)
	}
	var id ID
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		n := strings.IndexByte(idAlphabet, c)
		if n < 0 || (i == 0 && n > 15) {
			return 0, fmt.Errorf("queue id %q: %q is not allowed at position %d", s, s[i], i+1)
		}
		id = id<<5 | ID(n)
	}
	return id, nil
}
