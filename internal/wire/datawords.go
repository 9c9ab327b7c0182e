package wire

import "encoding/binary"

// Content is looked at eight octets at a time. The octets of a word, as
// binary.LittleEndian reads them, are its lanes, the first the lowest. A mask
// has the highest bit of every lane that it means, and nothing else.

const (
	wordLen = 8
	lows    = 0x0101010101010101 // the lowest bit of every lane
	highs   = lows << 7          // the highest bit of every lane
)

// lanes returns the mask of the lanes of x that hold c.
func lanes(x uint64, c byte) uint64 {
	x ^= lows * uint64(c)
	// No lane carries into the next: 0x7f + 0x7f fits one.
	return highs &^ ((x&^highs + ^uint64(highs)) | x)
}

const blockLen = 4 * wordLen

// plain reports whether no octet of the first 32 of p is below 0x10, which
// line ends are. It is quicker than lanes for the inside of lines.
func plain(p []byte) bool {
	p = p[:blockLen]
	a := binary.LittleEndian.Uint64(p) & (lows * 0xf0)
	b := binary.LittleEndian.Uint64(p[wordLen:]) & (lows * 0xf0)
	c := binary.LittleEndian.Uint64(p[2*wordLen:]) & (lows * 0xf0)
	d := binary.LittleEndian.Uint64(p[3*wordLen:]) & (lows * 0xf0)
	return ((a-lows)&^a|(b-lows)&^b|(c-lows)&^c|(d-lows)&^d)&highs == 0
}

// copyBlock copies 32 octets, upwards: dst may overlap src from before it.
func copyBlock(dst, src []byte) {
	dst, src = dst[:blockLen], src[:blockLen]
	binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
	binary.LittleEndian.PutUint64(dst[wordLen:], binary.LittleEndian.Uint64(src[wordLen:]))
	binary.LittleEndian.PutUint64(dst[2*wordLen:], binary.LittleEndian.Uint64(src[2*wordLen:]))
	binary.LittleEndian.PutUint64(dst[3*wordLen:], binary.LittleEndian.Uint64(src[3*wordLen:]))
}

// behind moves a mask to the lanes behind; carried is what the word before
// moves into the first. What leaves the last lane is m>>carry.
func behind(m, carried uint64) uint64 { return m<<wordLen | carried }

const carry = 64 - wordLen

// below returns all bits of the lanes before the first of a mask, which is not
// empty.
func below(m uint64) uint64 { return (m ^ (m - 1)) >> wordLen }

// lineKind is what stands where a scan for bare line ends stops.
type lineKind uint8

const (
	cleanLines lineKind = iota // nothing: all line ends are CRLF
	openCR                     // a CR, the last octet there is
	bareCR
	bareLF
)

// scanBare looks for the first CR or LF in p that stands alone, and returns
// how many octets precede it.
func scanBare(p []byte) (int, lineKind) {
	i, block := 0, 0 // the next octet; where to look for a plain block again
	var cr uint64    // a CR was the octet before
	for ; i+wordLen <= len(p); i += wordLen {
		if i >= block && cr == 0 {
			for i+blockLen+wordLen <= len(p) && plain(p[i:]) {
				i += blockLen
			}
			block = i + blockLen
		}
		x := binary.LittleEndian.Uint64(p[i:])
		crs := lanes(x, '\r')
		if behind(crs, cr) != lanes(x, '\n') {
			break
		}
		cr = crs >> carry
	}
	if cr != 0 {
		i--
	}
	for i < len(p) {
		switch kind := lineEnd(p[i:]); {
		case kind != cleanLines:
			return i, kind
		case p[i] == '\r':
			i += 2
		default:
			i++
		}
	}
	return i, cleanLines
}

// lineEnd tells what the first octet of p, which is not empty, is. For a CRLF,
// as for an octet that ends no line, it is cleanLines.
func lineEnd(p []byte) lineKind {
	switch {
	case p[0] == '\n':
		return bareLF
	case p[0] != '\r':
		return cleanLines
	case len(p) == 1:
		return openCR
	case p[1] != '\n':
		return bareCR
	}
	return cleanLines
}

// appendMended appends p with a CRLF for every bare CR and LF. It reports
// whether p ends in a CR, which is left out: it may be half a CRLF.
func appendMended(b, p []byte) (mended []byte, cr bool) {
	for len(p) > 0 {
		n, kind := scanBare(p)
		b = append(b, p[:n]...)
		p = p[n:]
		// Where one bare line end is, there are more.
		for octets := 2 * wordLen; octets > 0 && len(p) > 0 && kind != openCR; octets-- {
			kind = lineEnd(p)
			switch {
			case kind == openCR:
			case kind != cleanLines:
				b = append(b, '\r', '\n')
				p = p[1:]
			case p[0] == '\r':
				b = append(b, '\r', '\n')
				p = p[2:]
			default:
				b = append(b, p[0])
				p = p[1:]
			}
		}
		if kind == openCR {
			return b, true
		}
	}
	return b, false
}
