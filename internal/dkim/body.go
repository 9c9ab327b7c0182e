package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// BodyHash computes the hash of a body that is written to it, in its canonical
// form (RFC 6376 3.4.3, 3.4.4). The octets may be cut anywhere; what is kept of
// them is a counter and a buffer of a fixed size. A lone CR or LF, which only
// BINARYMIME can bring, is an octet like any other. It is not for concurrent
// use.
type BodyHash struct {
	relaxed bool
	hash    hash.Hash
	out     []byte

	breaks int64 // line ends that are not written yet: they may be the last
	space  bool  // white space that is not written yet: it may end its line
	cr     bool  // a CR that may begin a line end
	any    bool  // something was written
}

// bodyBuffer is how much of the canonical form is collected before it is
// hashed, in octets.
const bodyBuffer = 8 << 10

// NewBodyHash returns the hash of an empty body.
func NewBodyHash(relaxed bool) *BodyHash {
	return &BodyHash{relaxed: relaxed, hash: sha256.New(), out: make([]byte, 0, bodyBuffer)}
}

var crlf = []byte("\r\n")

// Write takes the next octets of the body. It never fails.
func (b *BodyHash) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if b.cr {
			b.cr = false
			if p[0] == '\n' {
				b.breaks++
				b.space = false
				p = p[1:]
				continue
			}
			b.text(crlf[:1])
		}
		switch c := p[0]; {
		case c == '\r':
			b.cr = true
			p = p[1:]
		case b.relaxed && (c == ' ' || c == '\t'):
			b.space = true
			p = p[1:]
		default:
			k := b.run(p)
			b.text(p[:k])
			p = p[k:]
		}
	}
	return n, nil
}

// run is how many octets of p, at least one, stay as they are.
func (b *BodyHash) run(p []byte) int {
	if !b.relaxed {
		if i := bytes.IndexByte(p, '\r'); i >= 0 {
			return i
		}
		return len(p)
	}
	for i, c := range p {
		switch {
		case c > ' ' || c != ' ' && c != '\r' && c != '\t':
		case c == ' ' && i > 0 && i+1 < len(p) && p[i+1] > ' ': // one space between words
		default:
			return i
		}
	}
	return len(p)
}

// text adds octets that are part of a line, behind what was waiting for them.
func (b *BodyHash) text(p []byte) {
	for ; b.breaks > 0; b.breaks-- {
		b.add(crlf)
	}
	if b.space {
		b.space = false
		b.out = append(b.out, ' ')
	}
	b.any = true
	b.add(p)
}

func (b *BodyHash) add(p []byte) {
	if len(b.out)+len(p) >= bodyBuffer {
		b.hash.Write(b.out)
		b.out = b.out[:0]
	}
	if len(p) >= bodyBuffer {
		b.hash.Write(p)
		return
	}
	b.out = append(b.out, p...)
}

// Sum ends the body and returns its hash. Nothing may be written any more.
func (b *BodyHash) Sum() []byte {
	if b.cr {
		b.cr = false
		b.text(crlf[:1])
	}
	// Empty lines at the end don't count, and the last line ends. An empty
	// body is one line end (RFC 6376 3.4.3) or nothing at all (3.4.4).
	if b.any || !b.relaxed {
		b.add(crlf)
	}
	b.hash.Write(b.out)
	b.out = b.out[:0]
	return b.hash.Sum(nil)
}
