package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Policy is what a signature says and covers. It is never changed once in use.
type Policy struct {
	// Domain is the signing domain (d=), in A-labels.
	Domain string
	// RelaxedHeader and RelaxedBody choose the canonical forms (c=).
	RelaxedHeader, RelaxedBody bool
	// Signed are the names of fields that are signed as often as they occur,
	// Oversigned those that are named once more than they occur, so that none
	// can be added (RFC 6376 8.15).
	Signed, Oversigned []string
	// Expiration is how long a signature holds (x=); zero for ever.
	Expiration time.Duration
}

// Key is a private key with the selector under which its public key is
// published (s=).
type Key struct {
	Selector string
	Signer   crypto.Signer // an *rsa.PrivateKey or an ed25519.PrivateKey
}

// maxOfName is how many fields of one name are signed, the last ones: no honest
// message has more.
const maxOfName = 20

// lineWidth is the length of the lines of a signature, in octets; a value that
// can't be folded may be longer.
const lineWidth = 76

// Sign makes the DKIM-Signature field for a message of which the header and the
// hash of the body are given, and returns it with its CRLF. It goes on top of
// the message.
func Sign(h *Header, bodyHash []byte, p *Policy, k Key, now time.Time) ([]byte, error) {
	algorithm, err := algorithmOf(k.Signer)
	if err != nil {
		return nil, err
	}
	names, data := p.collect(h)
	b := p.compose(algorithm, k.Selector, names, bodyHash, now)
	// The field itself is signed without its CRLF and with an empty b=
	// (RFC 6376 3.7).
	own := appendHeaderField(nil, b, p.RelaxedHeader)
	digest := sha256.Sum256(append(data, own[:len(own)-len(crlf)]...))
	hash := crypto.SHA256
	if algorithm == ed25519SHA256 {
		hash = 0 // RFC 8463 3: the digest is what is signed
	}
	signature, err := k.Signer.Sign(rand.Reader, digest[:], hash)
	if err != nil {
		return nil, fmt.Errorf("dkim: signing with the key of selector %q: %w", k.Selector, err)
	}
	return append(foldInto(b, base64.StdEncoding.EncodeToString(signature)), crlf...), nil
}

// The algorithms (a=).
const (
	rsaSHA256     = "rsa-sha256"
	ed25519SHA256 = "ed25519-sha256"
)

func algorithmOf(s crypto.Signer) (string, error) {
	switch s.(type) {
	case *rsa.PrivateKey:
		return rsaSHA256, nil
	case ed25519.PrivateKey:
		return ed25519SHA256, nil
	}
	return "", fmt.Errorf("dkim: keys of type %T are not known; make one of RSA or Ed25519", s)
}

// collect returns the names for h=, and the fields that they stand for in their
// canonical form.
func (p *Policy) collect(h *Header) (names []string, data []byte) {
	add := func(list []string, over int) {
		for _, name := range list {
			fields := h.all(strings.ToLower(name))
			for i := range min(len(fields), maxOfName) {
				names = append(names, name)
				data = appendHeaderField(data, fields[i], p.RelaxedHeader)
			}
			for range over {
				names = append(names, name)
			}
		}
	}
	add(p.Oversigned, 1)
	add(p.Signed, 0)
	return names, data
}

// compose writes the field up to its b=.
func (p *Policy) compose(algorithm, selector string, names []string, bodyHash []byte, now time.Time) []byte {
	form := map[bool]string{true: "relaxed", false: "simple"}
	w := folder{b: []byte("DKIM-Signature:")}
	w.tag("v", "1")
	w.tag("a", algorithm)
	w.tag("c", form[p.RelaxedHeader]+"/"+form[p.RelaxedBody])
	w.tag("d", p.Domain)
	w.tag("s", selector)
	w.tag("t", strconv.FormatInt(now.Unix(), 10))
	if p.Expiration > 0 {
		w.tag("x", strconv.FormatInt(now.Add(p.Expiration).Unix(), 10))
	}
	w.tag("bh", base64.StdEncoding.EncodeToString(bodyHash))
	w.word("h=" + names[0])
	for _, name := range names[1:] {
		w.part(":" + name)
	}
	w.part(";")
	w.word("b=")
	return w.b
}

// folder writes a field whose lines are folded where they would get too long.
type folder struct {
	b    []byte
	line int // where the current line begins
}

// tag adds "name=value;".
func (w *folder) tag(name, value string) { w.word(name + "=" + value + ";") }

// word adds text behind white space.
func (w *folder) word(s string) {
	if len(w.b)-w.line+1+len(s) > lineWidth {
		w.fold()
	} else {
		w.b = append(w.b, ' ')
	}
	w.b = append(w.b, s...)
}

// part adds text that may follow at once.
func (w *folder) part(s string) {
	if len(w.b)-w.line+len(s) > lineWidth {
		w.fold()
	}
	w.b = append(w.b, s...)
}

func (w *folder) fold() {
	w.b = append(w.b, "\r\n"...)
	w.line = len(w.b)
	w.b = append(w.b, '\t')
}

// foldInto appends base64, folded.
func foldInto(b []byte, s string) []byte {
	w := folder{b: b}
	w.line = strings.LastIndexByte(string(b), '\n') + 1
	for s != "" {
		room := lineWidth - (len(w.b) - w.line)
		if room < 1 {
			w.fold()
			continue
		}
		n := min(room, len(s))
		w.b, s = append(w.b, s[:n]...), s[n:]
	}
	return w.b
}
