package ptls

import (
	"bytes"
	"strings"
	"time"
	"unicode"
)

// maxFriendlyName bounds a friendly name, in characters.
const maxFriendlyName = 255

// bag is what stands as text before the PEM blocks of a file, as "openssl
// pkcs12" writes the attributes of a bag (RFC 7292 4.2), and readers of PEM
// pass over:
//
//	Bag Attributes
//	    friendlyName: Mail edge
//	    posternExportable: no
//	    posternEnabled: no
//
// The first friendly name counts; what is forbidden before one block is for all.
//
// The file of a waiting key says with posternConnector for which connector its
// request was made, and with posternRenews in the place of which certificate.
// That of a certificate has "posternChain: incomplete" where the certificate of
// its issuer was not to be had when it was imported.
type bag struct {
	name              string
	kept, disabled    bool
	incomplete        bool
	connector, renews string
	requested         time.Time // with the precision of a second
}

// read takes in one block with what stands before it.
func (b *bag) read(text []byte) {
	begin := bytes.LastIndex(text, []byte("-----BEGIN "))
	for line := range bytes.Lines(text[:max(begin, 0)]) {
		key, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		no := strings.EqualFold(strings.TrimSpace(value), "no")
		switch strings.TrimSpace(key) {
		case "friendlyName":
			if b.name == "" {
				b.name = friendly(value)
			}
		case "posternExportable":
			b.kept = b.kept || no
		case "posternEnabled":
			b.disabled = b.disabled || no
		case "posternChain":
			b.incomplete = strings.EqualFold(strings.TrimSpace(value), "incomplete")
		case "posternConnector":
			b.connector = friendly(value)
		case "posternRenews":
			b.renews, _ = parseThumbprint(strings.TrimSpace(value))
		case "posternRequested":
			b.requested, _ = time.Parse(time.RFC3339, strings.TrimSpace(value))
		}
	}
}

// friendly is a friendly name as it can stand in a line.
func friendly(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > maxFriendlyName {
		s = string(r[:maxFriendlyName])
	}
	return s
}

// with is the bag of a certificate and that of its key as one.
func (b bag) with(key bag) bag {
	if b.name == "" {
		b.name = key.name
	}
	b.kept, b.disabled = b.kept || key.kept, b.disabled || key.disabled
	return b
}
