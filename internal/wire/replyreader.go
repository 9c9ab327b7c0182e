package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"postern/internal/message"
)

// The bounds of a reply that a next hop gives. RFC 5321 4.5.3.1.5 allows lines
// of 512 octets; servers are known that send more.
const (
	maxReplyIn      = 2048     // octets of a line that are kept
	maxReplyInLines = 100      // lines
	maxReplyInTotal = 64 << 10 // octets in all
)

// ErrReply is wrapped by the errors of ReadReply that say that what the next
// hop sent is no reply. The connection is then of no more use.
var ErrReply = errors.New("the next hop's reply does not conform to RFC 5321")

// ReadReply reads a reply (RFC 5321 4.2) and returns it together with its
// lines as they came, without line ends, for the log. Text is foreign: it may
// hold anything but line ends, and logs must clean it. The enhanced code is
// taken from the text if its class fits the code's (RFC 2034 4), from each
// line that repeats it; otherwise it stays in the text.
//
// Lines that end in a bare LF are taken. Of a line longer than 2048 octets the
// rest is dropped. More than 100 lines or 64 KB, a malformed code, or lines
// that differ in their codes give an error that wraps ErrReply, with the lines
// so far.
func (r *Reader) ReadReply() (message.Reply, []string, error) {
	var (
		reply message.Reply
		lines []string
		first string // the text of the first line
		text  []byte // that of the others
		total int
	)
	for {
		line, n, err := r.readReplyLine(maxReplyInTotal - total)
		if err != nil {
			if err == io.EOF && len(lines) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return reply, lines, err
		}
		total += n
		lines = append(lines, line)
		if !isCode(line) || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return reply, lines, fmt.Errorf("%w: %.64q has no reply code", ErrReply, line)
		}
		code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
		if len(lines) == 1 {
			reply.Code = code
		} else if code != reply.Code {
			return reply, lines, fmt.Errorf("%w: its lines have the codes %d and %d", ErrReply, reply.Code, code)
		}
		rest := line[min(4, len(line)):]
		if enhanced, after, ok := cutEnhanced(rest, code); ok && (len(lines) == 1 || enhanced == reply.Enhanced) {
			reply.Enhanced, rest = enhanced, after
		}
		if len(lines) == 1 {
			first = rest
		} else {
			text = append(append(text, '\n'), rest...)
		}
		if len(line) == 3 || line[3] == ' ' {
			reply.Text = first + string(text) // no copy: most replies have one line
			return reply, lines, nil
		}
		if len(lines) == maxReplyInLines {
			return reply, lines, fmt.Errorf("%w: it has more than %d lines", ErrReply, maxReplyInLines)
		}
	}
}

// phrases are the latest lines of replies: a host says few other ones on a
// connection, time and again.
type phrases struct {
	lines [4]string
	next  int
}

// text returns line as a string, one that is there already if possible.
func (p *phrases) text(line []byte) string {
	for _, known := range p.lines {
		if string(line) == known {
			return known
		}
	}
	fresh := string(line)
	p.lines[p.next] = fresh
	p.next = (p.next + 1) % len(p.lines)
	return fresh
}

// readReplyLine returns a line without its line end, cut to what is kept of
// it, and how many octets it took, at most limit.
func (r *Reader) readReplyLine(limit int) (string, int, error) {
	n, end := 0, false // octets taken so far
	var kept []byte
	if at := bytes.IndexByte(r.buf[r.start:r.end], '\n'); at >= 0 && at < min(maxReplyIn, limit) {
		line := bytes.TrimSuffix(r.buf[r.start:r.start+at], []byte("\r"))
		r.start += at + 1
		return r.known.text(line), at + 1, nil
	}
	for !end {
		if r.Buffered() == 0 {
			if err := r.fill(r.size); err != nil {
				if err == io.EOF && n > 0 {
					err = io.ErrUnexpectedEOF
				}
				return "", n, err
			}
		}
		part := r.buf[r.start:r.end]
		if at := bytes.IndexByte(part, '\n'); at >= 0 {
			part, end = part[:at+1], true
		}
		r.start += len(part)
		n += len(part)
		if n > limit {
			return "", n, fmt.Errorf("%w: it is longer than %d octets", ErrReply, maxReplyInTotal)
		}
		kept = append(kept, part[:min(len(part), maxReplyIn-len(kept))]...)
	}
	if n <= maxReplyIn {
		kept = bytes.TrimSuffix(kept[:len(kept)-1], []byte("\r"))
	}
	return string(kept), n, nil
}

// isCode reports whether line begins with three digits that are a reply code
// (RFC 5321 4.2).
func isCode(line string) bool {
	return len(line) >= 3 && '2' <= line[0] && line[0] <= '5' &&
		'0' <= line[1] && line[1] <= '9' && '0' <= line[2] && line[2] <= '9'
}

// cutEnhanced takes an enhanced code off the text (RFC 2034 4, RFC 3463 2).
func cutEnhanced(text string, code int) (enhanced [3]int, rest string, ok bool) {
	word, rest, _ := strings.Cut(text, " ")
	class, numbers, _ := strings.Cut(word, ".")
	subject, detail, _ := strings.Cut(numbers, ".")
	if len(class) != 1 {
		return enhanced, text, false
	}
	for i, p := range [...]string{class, subject, detail} {
		if p == "" || len(p) > 3 {
			return [3]int{}, text, false
		}
		for _, c := range []byte(p) {
			if c < '0' || c > '9' {
				return [3]int{}, text, false
			}
			enhanced[i] = enhanced[i]*10 + int(c-'0')
		}
	}
	if class := enhanced[0]; class != code/100 || class != 2 && class != 4 && class != 5 {
		return [3]int{}, text, false
	}
	return enhanced, rest, true
}
