package wire

import (
	"bytes"
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

// scanWindow is how far ahead is looked for a line end, in octets. It bounds
// what content of nothing but bare line ends costs.
const scanWindow = 256

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
	if d.mode == NormaliseBareLineEnds {
		// Each normalised line end comes by itself: gather them.
		return io.Copy(struct{ io.Writer }{w}, gatherer{d})
	}
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

// gatherer reads as much as is buffered at once.
type gatherer struct{ d *DataReader }

func (g gatherer) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = g.d.Read(p[n:])
		n += m
		if len(g.d.rest) == 0 && g.d.r.Buffered() == 0 {
			break
		}
	}
	return n, err
}

var crlf = []byte("\r\n")

// next returns the next run of decoded content. It lies in the Reader's buffer
// and is valid until the next call.
func (d *DataReader) next() ([]byte, error) {
	for d.err == nil {
		buf := d.r.buf[d.r.start:d.r.end]
		if len(buf) == 0 {
			d.fill()
			continue
		}
		if d.atLine && buf[0] == '.' {
			d.dot(buf)
			continue
		}
		d.atLine = false
		run, err := d.run(buf)
		if err != nil {
			return nil, err
		}
		if len(run) > 0 {
			d.size += int64(len(run))
			return run, nil
		}
	}
	return nil, d.err
}

// fill reads more.
func (d *DataReader) fill() { d.err = d.r.fillContent() }

// dot handles a dot at the beginning of a line (RFC 5321 4.5.2).
func (d *DataReader) dot(buf []byte) {
	switch {
	case len(buf) < 2, len(buf) < 3 && buf[1] == '\r':
		d.fill()
	case buf[1] == '\r' && buf[2] == '\n':
		d.r.start += 3
		d.err = io.EOF
	default:
		d.r.start++
		d.atLine = false
	}
}

// run takes from buf, which is not empty, a run of content that can be handed
// on as it is: up to the end of what is buffered, a dot at the beginning of a
// line, or a bare line end. It is empty when more must be read to tell, or
// when a bare line end was let pass.
func (d *DataReader) run(buf []byte) ([]byte, error) {
	i := 0
	for i < len(buf) {
		n, kind := scanLine(buf[i:])
		i += n
		switch kind {
		case cleanLine:
			if i == len(buf) || buf[i] == '.' {
				d.atLine = true
				return d.take(buf[:i]), nil
			}
		case openCR:
			if i == 0 {
				d.fill()
			}
			return d.take(buf[:i]), nil
		case bareCR, bareLF:
			if d.mode == RejectBareLineEnds && d.reported {
				i++
				continue
			}
			if i > 0 {
				return d.take(buf[:i]), nil
			}
			return d.bare(kind)
		}
	}
	return d.take(buf), nil
}

// take consumes a run. An open CR stays buffered, and with it the beginning of
// a line is never taken for one.
func (d *DataReader) take(run []byte) []byte {
	d.r.start += len(run)
	return run
}

// bare handles the bare line end that comes next.
func (d *DataReader) bare(kind lineKind) ([]byte, error) {
	if d.mode == NormaliseBareLineEnds {
		d.r.start++
		return crlf, nil
	}
	d.reported = true
	if kind == bareCR {
		return nil, ErrBareCR
	}
	return nil, ErrBareLF
}

type lineKind uint8

const (
	openLine  lineKind = iota // no line end in sight
	cleanLine                 // up to and including a CRLF
	openCR                    // up to a CR, the last octet there is
	bareCR                    // up to a bare CR
	bareLF                    // up to a bare LF
)

// scanLine looks for the first line end in b, which is not empty, and returns
// how many octets precede it, or for a CRLF how many there are with it.
func scanLine(b []byte) (int, lineKind) {
	w := b[:min(len(b), scanWindow)]
	cr := bytes.IndexByte(w, '\r')
	before := w
	if cr >= 0 {
		before = w[:cr]
	}
	if lf := bytes.IndexByte(before, '\n'); lf >= 0 {
		return lf, bareLF
	}
	switch {
	case cr < 0:
		return len(w), openLine
	case cr+1 == len(b):
		return cr, openCR
	case b[cr+1] != '\n':
		return cr, bareCR
	}
	return cr + 2, cleanLine
}
