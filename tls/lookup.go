package ptls

import (
	"fmt"
	"path/filepath"
	"strings"
)

// minPrefix is how many digits of a thumbprint name a certificate at least.
const minPrefix = 8

// Lookup finds the certificate, or the waiting key, whose thumbprint begins with
// a prefix of at least 8 hexadecimal digits, in any case and with or without
// colons and spaces, or the certificate with a SHA-1 thumbprint. An error says what is wrong with the prefix.
func (l *Listing) Lookup(prefix string) (*Entry, *Waiting, error) {
	digits, ok := hexDigits(prefix)
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("%q is no thumbprint; \"postern cert list\" shows them", prefix)
	case len(digits) < minPrefix:
		return nil, nil, fmt.Errorf("%q is too short for a thumbprint; write at least %d of its digits", prefix, minPrefix)
	case len(digits) == 40 && l.sha1(digits) != nil:
		return l.sha1(digits), nil, nil
	}
	var found []string
	var entry *Entry
	var waits *Waiting
	for _, e := range l.Entries {
		// The same certificate may stand there twice; one with its key counts.
		if t := e.Thumbprint(); strings.HasPrefix(t, digits) && (entry == nil || entry.Thumbprint() != t) {
			entry = l.withKey(t)
			found = append(found, t)
		}
	}
	for _, w := range l.Waiting {
		if id := w.ID(); strings.HasPrefix(id, digits) {
			waits = w
			found = append(found, id)
		}
	}
	switch {
	case len(found) == 0:
		return nil, nil, fmt.Errorf("no certificate has a thumbprint that begins with %s; \"postern cert list\" shows them", digits)
	case len(found) > 1:
		return nil, nil, fmt.Errorf("%d thumbprints begin with %s; write more digits: %s", len(found), digits, strings.Join(found, ", "))
	}
	return entry, waits, nil
}

// sha1 is the entry with a thumbprint as Windows shows it.
func (l *Listing) sha1(digits string) *Entry {
	for _, e := range l.Entries {
		if SHA1Thumbprint(e.Leaf()) == digits {
			return e
		}
	}
	return nil
}

// Automatic reports whether an entry is the certificate that the gateway makes
// and renews by itself.
func (e *Entry) Automatic() bool {
	return filepath.Base(e.File) == selfSignedFile && e.SelfSigned()
}
