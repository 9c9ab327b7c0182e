package dsn

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"mime/quotedprintable"

	"postern/internal/message"
)

// maxHeader bounds the header that is returned, in octets. What is beyond is
// cut at a line's end.
const maxHeader = 512 << 10

// form is how the original is returned.
type form uint8

const (
	nothing   form = iota // it can't be read
	whole                 // message/rfc822
	headers               // text/rfc822-headers
	headersQP             // the same in quoted-printable: it holds NUL, bare CR or bare LF
)

// original is what must be known of the original before the first octet of the
// notification is written.
type original struct {
	form     form
	eightBit bool   // what is returned holds octets above 127
	header   []byte // the header block, for the headers forms
	subject  string // the Subject field's raw value
	boundary string
	note     string // a sentence for the first part: why not all of it is returned
}

// examine reads the original once and decides how it is returned.
func examine(r *Report) (original, error) {
	var o original
	if r.Original == nil {
		o.note = "The message itself could not be read and is not attached."
		o.boundary = newBoundary()
		return o, nil
	}
	if err := o.readHeader(r.Original); err != nil {
		return o, err
	}
	limit := r.MaxOriginal
	if limit == 0 {
		limit = DefaultMaxOriginal
	}
	switch {
	case r.Kind != Failure, r.Envelope.Return == message.ReturnHeaders: // RFC 3461 4.3, 6.2
		o.form = headers
	case r.Envelope.RequireTLS: // RFC 8689 5: as if RET=HDRS had been given
		o.form = headers
	case limit < 0:
		o.form = headers
	case r.Original.Size() > limit:
		o.form = headers
		o.note = "The message is too large to be returned; only its header is attached."
	default:
		o.form = whole
	}
	if o.form == whole {
		fits, err := o.scan(r.Original)
		if err != nil {
			return o, err
		}
		if fits && r.Envelope.Body != message.BodyBinaryMIME {
			return o, nil
		}
		// Binary content can't travel inside a notification that has to pass
		// next hops without BINARYMIME, and message/rfc822 may not be encoded
		// (RFC 2046 5.2.1).
		o.form = headers
		o.note = "The message holds binary data and can't be returned; only its header is attached."
	}
	fits, err := o.scan(bytes.NewReader(o.header))
	if !fits {
		o.form, o.eightBit = headersQP, false
	}
	return o, err
}

// readHeader reads the header block, at most maxHeader octets of it, and finds
// the subject in it.
func (o *original) readHeader(c message.Content) error {
	buf := make([]byte, min(c.Size(), maxHeader))
	n, err := c.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return err
	}
	buf = buf[:n]
	end := headerEnd(buf)
	if o.header, err = firewalled(buf[:end]); err != nil {
		return err
	}
	o.subject = fieldValue(o.header, "Subject")
	return nil
}

// firewalled is a header block without the fields that are the organisation's
// own affair (reference 4.13).
func firewalled(header []byte) ([]byte, error) {
	var out bytes.Buffer
	f := firewall(&out)
	if _, err := f.Write(header); err != nil {
		return nil, err
	}
	return out.Bytes(), f.Close()
}

func firewall(out io.Writer) *message.HeaderFirewall {
	return &message.HeaderFirewall{Strip: message.RoutingHeaders | message.InternalHeaders, Out: out}
}

// headerEnd is where a header block ends, the empty line not included. A block
// without an empty line ends with its last whole line, or is cut if it has none.
func headerEnd(b []byte) int {
	for at := 0; at < len(b); {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			if at == 0 {
				return len(b)
			}
			return at
		}
		if n == 0 || n == 1 && b[at] == '\r' {
			return at
		}
		at += n + 1
	}
	return len(b)
}

// fieldValue is the raw value of the first field of that name, unfolded; empty
// when there is none.
func fieldValue(header []byte, name string) string {
	for len(header) > 0 {
		end := nextField(header)
		field := header[:end]
		header = header[end:]
		n, v, ok := bytes.Cut(field, []byte(":"))
		if ok && bytes.EqualFold(bytes.TrimRight(n, " \t"), []byte(name)) {
			v = bytes.ReplaceAll(v, []byte("\r\n"), nil) // RFC 5322 2.2.3
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

// nextField is the length of the first field of a header, its folded lines
// included.
func nextField(b []byte) int {
	at := 0
	for {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return len(b)
		}
		at += n + 1
		if at >= len(b) || b[at] != ' ' && b[at] != '\t' {
			return at
		}
	}
}

// scan reads what is to be returned. It notes octets above 127, picks a
// boundary that does not occur, and reports whether the content can stand in a
// part without encoding: no NUL, and CR and LF only together.
func (o *original) scan(c io.ReadSeeker) (fits bool, err error) {
	for range 8 {
		o.boundary = newBoundary()
		var found bool
		if found, fits, err = o.scanOnce(c); err != nil || !found {
			return fits, err
		}
	}
	return false, fmt.Errorf("no boundary could be found that the message does not hold")
}

func (o *original) scanOnce(c io.ReadSeeker) (found, fits bool, err error) {
	if _, err := c.Seek(0, io.SeekStart); err != nil {
		return false, false, err
	}
	fits, o.eightBit = true, false
	boundary := []byte(o.boundary)
	const chunk = 64 << 10
	buf := make([]byte, 0, chunk+len(boundary))
	var last byte
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		fresh := buf[len(buf) : len(buf)+n]
		for _, b := range fresh {
			switch {
			case b == '\n' && last != '\r', last == '\r' && b != '\n', b == 0:
				fits = false
			case b > 127:
				o.eightBit = true
			}
			last = b
		}
		buf = buf[:len(buf)+n]
		if bytes.Contains(buf, boundary) {
			return true, fits, nil
		}
		if keep := len(boundary) - 1; len(buf) > keep {
			buf = append(buf[:0], buf[len(buf)-keep:]...)
		}
		if err == io.EOF {
			return false, fits && last != '\r', nil
		}
		if err != nil {
			return false, false, err
		}
	}
}

// newBoundary returns a boundary that nobody can foresee. The text of the first
// two parts, which is not scanned, can't hold it: it is drawn after everything
// in them was known.
func newBoundary() string {
	return "=_" + rand.Text() // RFC 2045 6.7: "=_" never occurs in quoted-printable
}

// originalPart writes the third part.
func (c *composer) originalPart() error {
	defer c.line()
	encoding := "7bit"
	if c.orig.eightBit {
		encoding = "8bit"
	}
	switch c.orig.form {
	case whole:
		// RFC 6532 3.7: a message with UTF-8 in its header has a type of its own.
		kind := "message/rfc822"
		if c.Envelope.SMTPUTF8 && !ascii(c.orig.header) {
			kind = "message/global"
		}
		c.part(kind + "\r\n")
		c.line("Content-Transfer-Encoding: ", encoding)
		c.line()
		if _, err := c.Original.Seek(0, io.SeekStart); err != nil {
			return err
		}
		f := firewall(c.out)
		n, err := io.Copy(f, io.LimitReader(c.Original, c.Original.Size()))
		switch {
		case err != nil:
			return err
		case n < c.Original.Size():
			return io.ErrUnexpectedEOF
		}
		return f.Close()
	case headers:
		kind := "text/rfc822-headers" // RFC 6522 4
		if c.Envelope.SMTPUTF8 && !ascii(c.orig.header) {
			kind = "message/global-headers" // RFC 6533 5
		}
		c.part(kind + "\r\n")
		c.line("Content-Transfer-Encoding: ", encoding)
		c.line()
		_, err := c.out.Write(c.orig.header)
		return err
	case headersQP:
		c.part("text/rfc822-headers\r\n")
		c.line("Content-Transfer-Encoding: quoted-printable")
		c.line()
		qp := quotedprintable.NewWriter(c.out)
		qp.Binary = true
		if _, err := qp.Write(c.orig.header); err != nil {
			return err
		}
		return qp.Close()
	}
	return nil
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c > 127 {
			return false
		}
	}
	return true
}
