package wire

import (
	"bufio"
	"bytes"
)

// DataWriter encodes content for DATA (RFC 5321 4.5.2): it puts a dot before
// each that begins a line, and ends the content with CRLF.CRLF. Content with
// proper line ends, CRLF, arrives byte for byte.
//
// A bare CR or LF goes out as it is, but a dot behind it is doubled too: a next
// hop that takes either for a line end then finds no line of a single dot, and
// one that does not finds one dot more. Such content is only ever what a
// client sent as BINARYMIME, which is to be sent with BDAT.
type DataWriter struct {
	w *bufio.Writer
	// last is the last octet written, prev the one before. They begin as CRLF:
	// the content begins at the beginning of a line.
	prev, last byte
	err        error
}

// NewDataWriter returns a DataWriter to w.
func NewDataWriter(w *bufio.Writer) *DataWriter {
	return &DataWriter{w: w, prev: '\r', last: '\n'}
}

// Write encodes p. The first error is final.
func (d *DataWriter) Write(p []byte) (int, error) {
	if d.err != nil || len(p) == 0 {
		return 0, d.err
	}
	from := 0 // what lies before has been written
	for at := 0; ; at++ {
		n := bytes.IndexByte(p[at:], '.')
		if n < 0 {
			break
		}
		at += n
		before := d.last
		if at > 0 {
			before = p[at-1]
		}
		if before != '\n' && before != '\r' {
			continue
		}
		if _, d.err = d.w.Write(p[from:at]); d.err != nil {
			return from, d.err
		}
		if d.err = d.w.WriteByte('.'); d.err != nil {
			return at, d.err
		}
		from = at
	}
	if _, d.err = d.w.Write(p[from:]); d.err != nil {
		return from, d.err
	}
	if len(p) > 1 {
		d.prev = p[len(p)-2]
	} else {
		d.prev = d.last
	}
	d.last = p[len(p)-1]
	return len(p), nil
}

// Close writes the end of the content and flushes; it does not close what is
// beneath. Content that does not end in CRLF gets one, of which a CR that it
// ends in is part. It must not be called after an error of who supplied the
// content: only closing the connection tells the next hop that it is not whole.
func (d *DataWriter) Close() error {
	if d.err != nil {
		return d.err
	}
	end := "\r\n.\r\n"
	switch {
	case d.prev == '\r' && d.last == '\n':
		end = ".\r\n"
	case d.last == '\r':
		end = "\n.\r\n"
	}
	if _, d.err = d.w.WriteString(end); d.err != nil {
		return d.err
	}
	d.err = d.w.Flush()
	return d.err
}
