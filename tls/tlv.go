package ptls

import (
	"errors"
	"math"
)

// What Windows, Java and NSS write is not always DER: lengths may be
// indefinite (X.690 8.1.3.6), which encoding/asn1 does not read. The certificates
// inside are DER whatever stands around them, so that walking along is enough.

// tlv is an element of BER.
type tlv struct {
	class, tag  int
	constructed bool
	content     []byte
	raw         []byte
}

var errBER = errors.New("it is cut short or no BER")

// maxDepth bounds how deep elements of indefinite length may lie in one
// another.
const maxDepth = 20

// The universal tags that are asked for (X.680 8.4).
const (
	tagInteger     = 2
	tagOctetString = 4
	tagOID         = 6
	tagSequence    = 16
)

// nextTLV reads the first element of b and returns what stands behind it.
func nextTLV(b []byte, depth int) (t tlv, rest []byte, err error) {
	if len(b) < 2 || depth > maxDepth || b[0]&0x1f == 0x1f { // a long tag, which nothing here has
		return t, nil, errBER
	}
	t = tlv{class: int(b[0] >> 6), tag: int(b[0] & 0x1f), constructed: b[0]&0x20 != 0}
	n, head := int(b[1]), 2
	switch {
	case n == 0x80:
		return indefinite(t, b, depth)
	case n > 0x80:
		count := n & 0x7f
		if count > 4 || len(b) < 2+count {
			return t, nil, errBER
		}
		long := uint64(0)
		for _, x := range b[2 : 2+count] {
			long = long<<8 | uint64(x)
		}
		if long > math.MaxInt32 {
			return t, nil, errBER
		}
		n, head = int(long), 2+count
	}
	if len(b)-head < n {
		return t, nil, errBER
	}
	t.content, t.raw = b[head:head+n], b[:head+n]
	return t, b[head+n:], nil
}

// indefinite reads an element that ends with two zero octets.
func indefinite(t tlv, b []byte, depth int) (tlv, []byte, error) {
	if !t.constructed {
		return t, nil, errBER
	}
	rest := b[2:]
	for {
		if len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 {
			end := len(b) - len(rest)
			t.content, t.raw = b[2:end], b[:end+2]
			return t, rest[2:], nil
		}
		var err error
		if _, rest, err = nextTLV(rest, depth+1); err != nil {
			return t, nil, err
		}
	}
}

// elements lists what stands in b, one behind the other.
func elements(b []byte, depth int) ([]tlv, error) {
	var list []tlv
	for len(b) > 0 {
		t, rest, err := nextTLV(b, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
		b = rest
	}
	return list, nil
}

func (t tlv) is(tag int) bool { return t.class == 0 && t.tag == tag }

// context reports whether t has a context-specific tag.
func (t tlv) context(tag int) bool { return t.class == 2 && t.tag == tag }
