package message

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// MaxLine is the longest line that a message should have, in octets, without
// its CRLF (RFC 5322 2.1.1, RFC 5321 4.5.3.1.6).
const MaxLine = 998

// LineMeter finds lines longer than MaxLine in content that streams by, cut
// anywhere. The zero value is ready.
type LineMeter struct {
	n  int  // octets of the current line so far
	cr bool // the last of them is CR
}

// Long takes the next octets and reports whether there is such a line in them.
func (m *LineMeter) Long(p []byte) bool {
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		line, ended := p, n >= 0
		if ended {
			line = p[:n]
		}
		m.n += len(line)
		if len(line) > 0 {
			m.cr = line[len(line)-1] == '\r'
		}
		length := m.n
		if m.cr { // which may belong to the line end
			length--
		}
		if length > MaxLine {
			return true
		}
		if !ended {
			return false
		}
		m.n, m.cr = 0, false
		p = p[n+1:]
	}
	return false
}

// LineFolder writes content to Out, and breaks lines longer than MaxLine: before
// the last white space that leaves the line short enough, as header fields are
// folded (RFC 5322 2.2.3), and where there is none with a CRLF and a space
// between two characters. It keeps less than a line. The zero value with Out set
// is ready. It is not for concurrent use.
type LineFolder struct {
	// Out gets the content.
	Out io.Writer

	held   []byte // the beginning of a line, not written yet
	folded int
}

// maxPiece bounds what is held of a line for a moment.
const maxPiece = 4 << 10

// Folded returns how often a line has been broken so far.
func (f *LineFolder) Folded() int { return f.folded }

// Write takes the next octets. Its errors are those of Out, after which nothing
// more may be written.
func (f *LineFolder) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := 0
		if len(f.held) == 0 {
			n = shortLines(p)
		}
		if n == 0 {
			n = f.hold(p)
		} else if err := write(f.Out, p[:n]); err != nil {
			return 0, err
		}
		p = p[n:]
		if err := f.breakLine(); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// shortLines returns the length of the whole lines in front of p that are short
// enough.
func shortLines(p []byte) (n int) {
	for {
		i := bytes.IndexByte(p[n:], '\n')
		if i < 0 || i > MaxLine+1 || i == MaxLine+1 && p[n+i-1] != '\r' {
			return n
		}
		n += i + 1
	}
}

// hold takes octets of one line and returns how many.
func (f *LineFolder) hold(p []byte) int {
	n := bytes.IndexByte(p, '\n') + 1
	if n == 0 {
		n = len(p)
	}
	n = min(n, maxPiece)
	f.held = append(f.held, p[:n]...)
	return n
}

// breakLine writes what is held of a line as far as it is too long, and all of
// it when its end is there.
func (f *LineFolder) breakLine() error {
	for {
		line := bytes.TrimSuffix(f.held, []byte("\n"))
		ended := len(line) < len(f.held)
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) <= MaxLine {
			if !ended {
				return nil
			}
			return f.Close()
		}
		cut, white := foldPoint(line)
		err := write(f.Out, f.held[:cut])
		if err == nil {
			err = write(f.Out, []byte("\r\n"))
		}
		if err != nil {
			return err
		}
		if !white {
			cut--
			f.held[cut] = ' '
		}
		f.held = append(f.held[:0], f.held[cut:]...)
		f.folded++
	}
}

// foldPoint returns where a line that is too long is broken, and whether white
// space stands there.
func foldPoint(line []byte) (cut int, white bool) {
	isWhite := func(c byte) bool { return c == ' ' || c == '\t' }
	for cut = MaxLine; cut > 0; cut-- {
		if isWhite(line[cut]) && !isWhite(line[cut-1]) {
			return cut, true
		}
	}
	if cut = MaxLine; isWhite(line[cut]) {
		return cut, true
	}
	for cut > MaxLine-utf8.UTFMax && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return cut, false
}

// Close says that the content has ended, and writes what is held. It does not
// close Out, and may be called more than once.
func (f *LineFolder) Close() error {
	held := f.held
	f.held = f.held[:0]
	return write(f.Out, held)
}
