package wire

import (
	"errors"
	"io"
	"strconv"
	"strings"
)

// ParseBDAT reads the argument of BDAT (RFC 3030 2): the chunk's size in
// octets, and whether it is the last. An error is a *Reply. Since the octets
// that follow a BDAT whose size can't be told can't be told either, the
// connection must then be closed.
func ParseBDAT(arg string) (size uint64, last bool, err error) {
	number, end, _ := strings.Cut(strings.TrimRight(arg, " \t"), " ")
	if number == "" || len(number) > 20 || number[0] < '0' || number[0] > '9' {
		return 0, false, replyArguments("BDAT wants the chunk's size in octets")
	}
	size, perr := strconv.ParseUint(number, 10, 64)
	if perr != nil {
		return 0, false, replyArguments("BDAT wants the chunk's size in octets")
	}
	switch end = strings.TrimLeft(end, " "); {
	case end == "":
	case strings.EqualFold(end, "LAST"):
		last = true
	default:
		return 0, false, replyArguments("only LAST may follow the chunk's size")
	}
	return size, last, nil
}

// AppendBDAT appends a BDAT command with its CRLF.
func AppendBDAT(b []byte, size uint64, last bool) []byte {
	b = append(b, "BDAT "...)
	b = strconv.AppendUint(b, size, 10)
	if last {
		b = append(b, " LAST"...)
	}
	return append(b, "\r\n"...)
}

// ChunkReader reads the octets of one BDAT chunk as they are. It ends with
// io.EOF once all have been read; a connection that ends before gives
// io.ErrUnexpectedEOF.
type ChunkReader struct {
	r    *Reader
	left uint64
	err  error
}

// NewChunkReader returns a ChunkReader of the size octets that r is about to
// read.
func NewChunkReader(r *Reader, size uint64) *ChunkReader {
	return &ChunkReader{r: r, left: size}
}

// Left returns how many octets of the chunk have not been read.
func (c *ChunkReader) Left() uint64 { return c.left }

// next returns what is buffered of the chunk, reading more if that is nothing.
// It is consumed with done.
func (c *ChunkReader) next() ([]byte, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case c.left == 0:
		return nil, io.EOF
	}
	if c.r.Buffered() == 0 {
		if c.err = c.r.fillContent(); c.err != nil {
			return nil, c.err
		}
	}
	b := c.r.buf[c.r.start:c.r.end]
	return b[:min(uint64(len(b)), c.left)], nil
}

func (c *ChunkReader) done(n int) {
	c.r.start += n
	c.left -= uint64(n)
}

// Read reads octets of the chunk.
func (c *ChunkReader) Read(p []byte) (int, error) {
	b, err := c.next()
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	c.done(n)
	return n, nil
}

// WriteTo writes the rest of the chunk to w.
func (c *ChunkReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		b, err := c.next()
		if errors.Is(err, io.EOF) && c.left == 0 {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(b)
		c.done(n)
		total += int64(n)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

// LineEnds holds content that comes in pieces to its line ends: RFC 3030 leaves
// RFC 5321 2.3.8 in force for chunks, unless the body is BINARYMIME. It knows
// nothing of the borders between the pieces.
//
// In the mode RejectBareLineEnds content passes as it is, and a piece with a
// bare CR or LF is not passed on: Write returns ErrBareCR or ErrBareLF and no
// more is to be written. In the mode NormaliseBareLineEnds each becomes a CRLF.
type LineEnds struct {
	w    io.Writer
	mode BareLineEnds
	// cr says that the last octet was a CR. A normalising writer still has it.
	cr  bool
	buf []byte
}

// NewLineEnds returns a LineEnds in front of w.
func NewLineEnds(w io.Writer, mode BareLineEnds) *LineEnds {
	return &LineEnds{w: w, mode: mode}
}

// Write takes a piece of the content.
func (l *LineEnds) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if l.mode == NormaliseBareLineEnds {
		if l.normalise(p); len(l.buf) == 0 { // a CR alone waits for what follows
			return len(p), nil
		}
		if _, err := l.w.Write(l.buf); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	if err := l.check(p); err != nil {
		return 0, err
	}
	return l.w.Write(p)
}

// Close says that the content has come to its end. A last line without its CRLF
// is fine, but a CR alone is a bare one. It does not close what is beneath.
func (l *LineEnds) Close() error {
	switch {
	case !l.cr:
		return nil
	case l.mode == NormaliseBareLineEnds:
		_, err := l.w.Write(crlf)
		return err
	}
	return ErrBareCR
}

func (l *LineEnds) check(p []byte) error {
	i := 0
	if l.cr {
		if p[0] != '\n' {
			return ErrBareCR
		}
		l.cr, i = false, 1
	}
	switch _, kind := scanBare(p[i:]); kind {
	case bareCR:
		return ErrBareCR
	case bareLF:
		return ErrBareLF
	case openCR:
		l.cr = true
	}
	return nil
}

// normalise puts a piece, with its line ends mended, into l.buf.
func (l *LineEnds) normalise(p []byte) {
	b := l.buf[:0]
	if l.cr {
		b = append(b, crlf...)
		if p[0] == '\n' {
			p = p[1:]
		}
	}
	l.buf, l.cr = appendMended(b, p)
}
