package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The sizes of a Reader's buffer in octets: while commands are read, so that
// idle sessions are cheap, and while content arrives that fills the small one.
const (
	DefaultBuffer = 4 << 10
	dataBuffer    = 32 << 10
)

// The lengths of lines in octets, with their CRLF.
const (
	// MaxCommandLine is the length of a command line without extensions
	// (RFC 5321 4.5.3.1.4); Features.MaxCommandLine adds what they allow.
	MaxCommandLine = 512
	// MaxAuthLine is the length of a line in an AUTH exchange (RFC 4954 4).
	MaxAuthLine = 12288
)

// What can be wrong with a line or with content. The reader goes on behind the
// line all the same.
var (
	// ErrLineTooLong says that a line was longer than allowed. The whole line
	// has been consumed.
	ErrLineTooLong = errors.New("the line is too long")
	// ErrBareLF and ErrBareCR say that an LF or a CR stood alone, which no
	// part of SMTP allows (RFC 5321 2.3.8).
	ErrBareLF = errors.New("a line feed stands without a carriage return before it")
	ErrBareCR = errors.New("a carriage return stands without a line feed behind it")
)

// Reader reads command lines, reply lines and message content from one
// connection. The first I/O error is final: what was buffered before it can
// still be read, as far as it is whole, and after that every call returns the
// error. Nothing is ever taken for the end of a line or of content that was
// not read as such. It is not for concurrent use.
type Reader struct {
	r          io.Reader
	size       int    // of the small buffer
	buf        []byte // buf[start:end] is what is buffered
	start, end int
	err        error
	skipping   bool // the rest of a line that a bare LF broke is to come
	buffers    *Buffers
	small      []byte  // the small buffer while the large one is in use
	large      *[]byte // what buffers lent, nil when buf is our own
	known      phrases
}

// Buffers lends Readers the large buffer that each takes while content
// arrives. The zero value is ready for use by any number of Readers at once.
type Buffers struct{ pool sync.Pool }

func (b *Buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, dataBuffer)
	return &p
}

// Borrow makes the Reader take its large buffers from b. It gives them back
// when it reads commands again, and on Reset.
func (r *Reader) Borrow(b *Buffers) { r.buffers = b }

// NewReader returns a Reader with a buffer of size octets, at least 512;
// DefaultBuffer is used if size is 0.
func NewReader(r io.Reader, size int) *Reader {
	if size == 0 {
		size = DefaultBuffer
	}
	return &Reader{r: r, size: max(size, MaxCommandLine)}
}

// Reset drops what is buffered and any error, and goes on with r: the
// connection under TLS.
func (r *Reader) Reset(src io.Reader) {
	r.r, r.start, r.end, r.err, r.skipping = src, 0, 0, nil, false
	r.shrink()
}

// Buffered returns how many octets are buffered.
func (r *Reader) Buffered() int { return r.end - r.start }

// HasLine reports whether a whole line is buffered, so that replies may wait
// until it is answered too (RFC 2920 3.2).
func (r *Reader) HasLine() bool {
	return bytes.IndexByte(r.buf[r.start:r.end], '\n') >= 0
}

// Discard drops what is buffered and returns how many octets that was. What a
// client sent in clear text behind STARTTLS must not be read as if it had come
// under TLS (RFC 3207 4.2).
func (r *Reader) Discard() int {
	n := r.Buffered()
	r.start, r.end = 0, 0
	return n
}

// Poll reads once from the connection, if there is room in the buffer, and
// returns how many octets are buffered. Unlike other calls it does not make an
// error final, so that with a short deadline it tells whether an idle
// connection is still as it should be: silent and open.
func (r *Reader) Poll() (int, error) {
	if r.err != nil {
		return r.Buffered(), r.err
	}
	err := r.fill(r.size)
	if err == errBufferFull {
		err = nil
	}
	if r.err != nil {
		err, r.err = r.err, nil
	}
	return r.Buffered(), err
}

// errBufferFull is what fill returns when limit octets are buffered.
var errBufferFull = errors.New("the buffer is full")

// fill reads once and appends to the buffer, which may grow to limit octets.
func (r *Reader) fill(limit int) error {
	if r.err != nil {
		return r.err
	}
	if r.start == r.end && len(r.buf) > r.size {
		r.start, r.end = 0, 0
		r.shrink() // the large buffer has served
	}
	r.compact()
	if r.end == len(r.buf) {
		if r.end >= limit && r.end > 0 {
			return errBufferFull
		}
		r.grow(min(max(r.size, 2*len(r.buf)), max(limit, r.size)))
	}
	return r.read()
}

// fillContent is fill while content is read. When the small buffer was filled
// to its end, much is coming, and the large one takes its place. The end of
// the connection is io.ErrUnexpectedEOF here.
func (r *Reader) fillContent() error {
	if r.err == nil {
		full := r.end == len(r.buf)
		r.compact()
		if full && len(r.buf) < dataBuffer {
			if len(r.buf) == 0 {
				r.grow(r.size)
			} else {
				r.grow(dataBuffer)
			}
		}
		if r.read() == nil {
			return nil
		}
	}
	if r.err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return r.err
}

// compact moves what is buffered to the buffer's beginning.
func (r *Reader) compact() {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
}

func (r *Reader) grow(size int) {
	if size == dataBuffer && r.buffers != nil && r.large == nil {
		r.large = r.buffers.get()
		copy(*r.large, r.buf[:r.end])
		if len(r.buf) == r.size {
			r.small = r.buf
		}
		r.buf = *r.large
		return
	}
	grown := make([]byte, size)
	copy(grown, r.buf[:r.end])
	r.buf = grown
	r.giveBack()
}

// shrink goes back to the small buffer. Nothing may be buffered.
func (r *Reader) shrink() {
	if len(r.buf) > r.size {
		r.buf, r.small = r.small, nil
	}
	r.giveBack()
}

// giveBack returns a large buffer that is no longer in use.
func (r *Reader) giveBack() {
	if r.large != nil {
		r.buffers.pool.Put(r.large)
		r.large = nil
	}
}

// read reads once into the buffer, in which there must be room.
func (r *Reader) read() error {
	for range 100 {
		n, err := r.r.Read(r.buf[r.end:])
		if n < 0 || n > len(r.buf)-r.end {
			n, err = 0, fmt.Errorf("the connection returned an impossible count of %d octets", n)
		}
		r.end += n
		r.err = err
		if n > 0 {
			return nil // the error, if any, comes after what was read
		}
		if err != nil {
			return err
		}
	}
	r.err = io.ErrNoProgress
	return r.err
}

// lineHead is how many octets of a line that is too long are kept.
const lineHead = 64

// ReadLine returns the next line, without its CRLF. It is valid until the next
// call. A line of more than limit octets, CRLF included, is read to its end
// and gives ErrLineTooLong once, however long it is. A line that holds a bare LF
// or a bare CR gives ErrBareLF or ErrBareCR. Only CRLF ends a line (RFC 5321
// 2.3.8): a bare LF is told of at once, so that a client that knows no CRLF gets
// an answer, but what stands between it and the next CRLF is dropped by the next
// call, for it may be what somebody smuggled into an address. With these errors
// the line, or its beginning, is returned too, so that the caller can tell what
// may follow it; "BDAT", with an error once more, when that stands within what
// was dropped. NUL and other octets are let pass. A connection that ends
// within a line gives io.ErrUnexpectedEOF.
func (r *Reader) ReadLine(limit int) ([]byte, error) {
	if r.skipping {
		switch chunk, err := r.skipLine(); {
		case err != nil:
			return nil, err
		case chunk:
			return []byte("BDAT"), ErrBareLF
		}
	}
	line, err := r.readLine(limit)
	if err != nil {
		return line, err
	}
	if r.skipping {
		return line, ErrBareLF
	}
	line = line[:len(line)-1]
	if bytes.IndexByte(line, '\r') >= 0 {
		return line, ErrBareCR
	}
	return line, nil
}

// readLine returns the next line without its LF.
func (r *Reader) readLine(limit int) ([]byte, error) {
	limit = max(limit, 2)
	scanned := 0
	for {
		if n := bytes.IndexByte(r.buf[r.start+scanned:r.end], '\n'); n >= 0 {
			if scanned += n; scanned+1 > limit {
				return r.longLine()
			}
			line := r.buf[r.start : r.start+scanned]
			r.start += scanned + 1
			r.skipping = scanned == 0 || line[scanned-1] != '\r'
			return line, nil
		}
		scanned = r.Buffered()
		if scanned >= limit {
			return r.longLine()
		}
		if err := r.fill(limit); err != nil {
			return nil, r.endOfInput(err)
		}
	}
}

// longLine drops a line that is too long and returns its beginning.
func (r *Reader) longLine() ([]byte, error) {
	head := bytes.Clone(r.buf[r.start:min(r.end, r.start+lineHead)])
	switch chunk, err := r.skipLine(); {
	case err != nil:
		return head, err
	case chunk:
		head = []byte("BDAT")
	}
	return head, ErrLineTooLong
}

// skipLine drops everything up to and including the next CRLF. It reports
// whether somebody who takes an LF for the end of a line may have meant a part
// of it as BDAT: a chunk would follow.
func (r *Reader) skipLine() (chunk bool, err error) {
	matched := 0 // octets of the verb; -1 behind a beginning that is another
	for {
		b := r.buf[r.start:r.end]
		n, rest := bytes.Index(b, crlf), 0
		whole := n >= 0
		if whole {
			rest = len(crlf)
		} else if n = len(b); bytes.HasSuffix(b, crlf[:1]) {
			n-- // half of what is looked for
		}
		for _, c := range b[:n] {
			const verb = "bdat"
			switch {
			case c == '\n':
				matched = 0
			case matched == 0 && (c == ' ' || c == '\t'):
			case matched >= 0 && c|0x20 == verb[matched]:
				if matched++; matched == len(verb) {
					chunk, matched = true, -1
				}
			default:
				matched = -1
			}
		}
		r.start += n + rest
		if whole {
			r.skipping = false
			return chunk, nil
		}
		if err := r.fill(r.size); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return chunk, err
		}
	}
}

// endOfInput tells an end within something from an end between two things.
func (r *Reader) endOfInput(err error) error {
	if err == io.EOF && r.Buffered() > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
