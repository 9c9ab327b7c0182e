package wire

import (
	"encoding/binary"
	"io"
)

// BareLineEnds says what becomes of a bare CR or LF in message content.
type BareLineEnds uint8

// The ways to treat bare line ends. The zero value refuses them.
const (
	// RejectBareLineEnds reports the first as ErrBareCR or ErrBareLF.
	RejectBareLineEnds BareLineEnds = iota
	// NormaliseBareLineEnds makes a CRLF of each.
	NormaliseBareLineEnds
)

// mendPiece is how many octets are normalised at a time. It bounds what is held
// besides the Reader's buffer.
const mendPiece = 8 << 10

// DataReader decodes the content that follows DATA (RFC 5321 4.1.1.4, 4.5.2).
// Only the octets CR LF "." CR LF end it, or "." CR LF at its very beginning;
// no bare CR or LF takes part in that, whatever the mode. NUL, 8-bit octets
// and lines of any length pass.
//
// In the mode RejectBareLineEnds the first bare CR or LF makes Read or WriteTo
// return ErrBareCR or ErrBareLF, once. The content can then be read on to its
// real end, as it came, so that the reply is given where the client expects it.
//
// An I/O error, the end of the connection among them as io.ErrUnexpectedEOF,
// is final and never looks like the end of the content, which is io.EOF.
type DataReader struct {
	r    *Reader
	mode BareLineEnds
	// atLine says that the next octet is the first behind a CRLF.
	atLine   bool
	reported bool
	err      error
	size     int64
	rest     []byte // of what next returned, for Read
	mended   []byte // what next returned, if it had to be normalised
}

// NewDataReader returns a DataReader of the content that r is about to read.
func NewDataReader(r *Reader, mode BareLineEnds) *DataReader {
	return &DataReader{r: r, mode: mode, atLine: true}
}

// Size returns how many octets of content have been decoded so far: line ends
// count two octets, dots added for transparency are not counted (RFC 1870 5).
func (d *DataReader) Size() int64 { return d.size }

// Done reports whether the end of the content has been read.
func (d *DataReader) Done() bool { return d.err == io.EOF }

// Read reads decoded content.
func (d *DataReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(d.rest) == 0 {
		var err error
		if d.rest, err = d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// WriteTo writes content to w until it ends, which is no error, or until an
// error. After ErrBareCR or ErrBareLF it can be called again for the rest. An
// error of w leaves the reader where a further WriteTo, to io.Discard, goes on.
func (d *DataReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		b := d.rest
		if len(b) == 0 {
			var err error
			if b, err = d.next(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		d.rest = nil
		n, err := w.Write(b)
		total += int64(n)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

var crlf = []byte("\r\n")

// next returns the next run of decoded content. It is valid until the next
// call.
func (d *DataReader) next() ([]byte, error) {
	for d.err == nil {
		buf := d.r.buf[d.r.start:d.r.end]
		if d.mode == NormaliseBareLineEnds {
			buf = buf[:min(len(buf), mendPiece)]
		}
		in, out, stop := d.decode(buf)
		d.r.start += in
		if out > 0 {
			run := d.normalise(buf[:out])
			d.size += int64(len(run))
			return run, nil
		}
		switch stop {
		case stopEnd:
			d.r.start += len(".\r\n")
			d.err = io.EOF
		case stopBareCR:
			d.reported = true
			return nil, ErrBareCR
		case stopBareLF:
			d.reported = true
			return nil, ErrBareLF
		default:
			d.err = d.r.fillContent()
		}
	}
	return nil, d.err
}

// normalise returns a run of decoded content in the form in which it is handed
// on. Since a dot is only ever taken from behind an LF, the octets that are
// neighbours now make no CRLF that was none before. A CR at a run's end is a bare
// one: decode takes none before it is known what follows.
func (d *DataReader) normalise(run []byte) []byte {
	if d.mode == RejectBareLineEnds {
		return run
	}
	if _, kind := scanBare(run); kind == cleanLines {
		return run
	}
	var cr bool
	if d.mended, cr = appendMended(d.mended[:0], run); cr {
		d.mended = append(d.mended, crlf...)
	}
	return d.mended
}

// contentStop is where decode stops.
type contentStop uint8

const (
	stopOpen contentStop = iota // the octets there are don't tell what comes next
	stopEnd                     // ".", CR, LF
	stopBareCR
	stopBareLF
)

// decode decodes content in its place. It returns how many octets of buf it
// took, how many octets of content now stand at its beginning, and before what
// it stopped.
func (d *DataReader) decode(buf []byte) (in, out int, stop contentStop) {
	strict := d.mode == RejectBareLineEnds && !d.reported
	i, o := 0, 0
	for i < len(buf) {
		i, o = d.decodeWords(buf, i, o, strict)
		for octets := wordLen; octets > 0 && i < len(buf); octets-- {
			c, rest := buf[i], buf[i:]
			if d.atLine && c == '.' { // RFC 5321 4.5.2
				switch {
				case len(rest) == 1, len(rest) == 2 && rest[1] == '\r':
					return i, o, stopOpen
				case rest[1] == '\r' && rest[2] == '\n':
					return i, o, stopEnd
				}
				d.atLine = false
				i++
				continue
			}
			kind := lineEnd(rest)
			switch {
			case kind == openCR:
				return i, o, stopOpen
			case kind == bareCR && strict:
				return i, o, stopBareCR
			case kind == bareLF && strict:
				return i, o, stopBareLF
			}
			buf[o] = c
			i, o = i+1, o+1
			d.atLine = false
			if c == '\r' && kind == cleanLines {
				buf[o] = '\n'
				i, o = i+1, o+1
				d.atLine = true
			}
		}
	}
	return i, o, stopOpen
}

// decodeWords is decode for whole words, as far as they need no second look: a
// word in which the end of the content may begin, and a bare line end if strict
// is set, it leaves alone. buf[i] is the next octet to decode, buf[o] where it
// goes.
func (d *DataReader) decodeWords(buf []byte, i, o int, strict bool) (int, int) {
	var cr, line uint64 // the octet before was a CR; was the LF of a CRLF
	if d.atLine {
		line = 1 << (wordLen - 1)
	}
	block := i                 // where to look for a plain block again
	for i+wordLen < len(buf) { // one octet more than a word
		if i >= block && cr|line == 0 {
			for i+blockLen+wordLen < len(buf) && plain(buf[i:]) {
				if o < i {
					copyBlock(buf[o:], buf[i:])
				}
				i, o = i+blockLen, o+blockLen
			}
			block = i + blockLen
		}
		x := binary.LittleEndian.Uint64(buf[i:])
		crs, lfs := lanes(x, '\r'), lanes(x, '\n')
		due := behind(crs, cr) // where an LF must be
		if strict && due != lfs {
			break
		}
		ends := due & lfs
		dots := behind(ends, line) & lanes(x, '.')
		kept := wordLen
		if dots != 0 {
			// Where a CR stands behind the dot, the end may be.
			if dots&(crs>>wordLen) != 0 || dots>>carry != 0 && buf[i+wordLen] == '\r' {
				break
			}
			for ; dots != 0; kept-- { // close the gap of each dot
				moved := x >> wordLen
				x = moved ^ (x^moved)&below(dots)
				dots = dots & (dots - 1) >> wordLen
			}
		}
		// o <= i, so that all this overwrites is in x already.
		binary.LittleEndian.PutUint64(buf[o:], x)
		i, o = i+wordLen, o+kept
		cr, line = crs>>carry, ends>>carry
	}
	d.atLine = line != 0
	if cr != 0 { // to be judged together with what follows
		i, o = i-1, o-1
		buf[i] = '\r'
	}
	return i, o
}
