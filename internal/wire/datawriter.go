package wire

import (
	"bufio"
	"encoding/binary"
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
	done := 0
	for d.err == nil && done < len(p) {
		if d.w.Available() < wordRoom && d.w.Buffered() > 0 {
			if d.err = d.w.Flush(); d.err != nil {
				break
			}
		}
		n, encoded := d.encodeWords(p[done:], d.w.AvailableBuffer())
		if n > 0 {
			if _, d.err = d.w.Write(encoded); d.err != nil {
				break
			}
			done += n
			d.prev, d.last = p[done-2], p[done-1]
		}
		for octets := wordLen; octets > 0 && done < len(p); octets-- {
			if d.err = d.encode(p[done]); d.err != nil {
				break
			}
			done++
		}
	}
	return done, d.err
}

// encode writes one octet.
func (d *DataWriter) encode(c byte) error {
	if c == '.' && (d.last == '\n' || d.last == '\r') { // RFC 5321 4.5.2
		if err := d.w.WriteByte('.'); err != nil {
			return err
		}
	}
	d.prev, d.last = d.last, c
	return d.w.WriteByte(c)
}

// wordRoom is how much room encodeWords wants for a word, in octets.
const wordRoom = 2 * wordLen

// encodeWords encodes the words of p for which out, which is empty, has room.
// It returns how many octets of p they are, and what they became.
func (d *DataWriter) encodeWords(p, out []byte) (int, []byte) {
	out = out[:cap(out)]
	i, o, block := 0, 0, 0 // block is where to look for a plain block again
	var line uint64        // the octet before was a CR or LF
	if d.last == '\n' || d.last == '\r' {
		line = 1 << (wordLen - 1)
	}
	for i+wordLen <= len(p) && o+wordRoom <= len(out) {
		if i >= block && line == 0 {
			for i+blockLen+wordLen <= len(p) && o+blockLen+wordRoom <= len(out) && plain(p[i:]) {
				copyBlock(out[o:], p[i:])
				i, o = i+blockLen, o+blockLen
			}
			block = i + blockLen
		}
		x := binary.LittleEndian.Uint64(p[i:])
		i += wordLen
		ends := lanes(x, '\r') | lanes(x, '\n')
		dots := behind(ends, line) & lanes(x, '.')
		line = ends >> carry
		if dots == 0 {
			binary.LittleEndian.PutUint64(out[o:], x)
			o += wordLen
			continue
		}
		// Half a word at a time, since it may grow by half.
		const half, halfBits = wordLen / 2, wordLen / 2 * 8
		for range 2 {
			y, todo, n := x&(1<<halfBits-1), dots&(1<<halfBits-1), half
			for ; todo != 0; n++ {
				low := below(todo)
				y = y&low | (low+1)*'.' | y&^low<<wordLen
				todo = todo & (todo - 1) << wordLen
			}
			binary.LittleEndian.PutUint64(out[o:], y)
			o += n
			x, dots = x>>halfBits, dots>>halfBits
		}
	}
	return i, out[:o]
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
