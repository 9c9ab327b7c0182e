package pickup

import (
	"bytes"
	"errors"
	"io"
	"time"

	"postern/internal/message"
	"postern/internal/wire"
)

const (
	// maxReplayHeader bounds the header of a file in the Replay directory, the
	// block on top with its recipients included, in octets.
	maxReplayHeader = 8 << 20
	// chunk is how much of a file is read at a time, in octets.
	chunk = 64 << 10
)

// draft is what an intake needs of a spool.Draft.
type draft interface {
	io.Writer
	ID() message.ID
	Abort()
}

// intake takes one file's content into a draft.
type intake struct {
	rules *rules
	draft draft
	now   time.Time

	head   []byte // the header so far, as it stands in the file
	line   int    // where its last line begins
	letter *letter
	body   io.Writer // once the header is written; what it does is in ends
	ends   *wire.LineEnds
	read   int64 // octets of the file
	size   int64 // octets written below Received
	eight  bool  // there was an octet above 127 in the body
}

// errStorage marks errors of the draft: the file is as good as it was.
type errStorage struct{ error }

func (e errStorage) Unwrap() error { return e.error }

// copy takes all of r. Its error is a *refusal, an errStorage, or what reading
// said.
func (i *intake) copy(r io.Reader) (*message.Envelope, error) {
	buf := make([]byte, chunk)
	for {
		n, err := r.Read(buf)
		i.read += int64(n)
		if err := i.take(buf[:n]); err != nil {
			return nil, err
		}
		if errors.Is(err, io.EOF) {
			return i.close()
		}
		if err != nil {
			return nil, err
		}
	}
}

func (i *intake) take(p []byte) error {
	switch {
	case len(p) == 0:
		return nil
	case i.read > i.rules.maxSize:
		return i.about(tooLarge("it is larger than server.max_message_size, %d octets", i.rules.maxSize))
	}
	if i.letter != nil {
		return i.takeBody(p)
	}
	limit := i.rules.maxHeader
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n') + 1
		if n == 0 {
			n = len(p)
		}
		i.head = append(i.head, p[:n]...)
		p = p[n:]
		if int64(len(i.head)) > limit {
			return i.about(tooLarge("its header is larger than %d octets", limit))
		}
		if i.head[len(i.head)-1] != '\n' {
			return nil
		}
		if l := i.head[i.line:]; string(l) == "\n" || string(l) == "\r\n" {
			i.head = i.head[:i.line]
			if err := i.open(); err != nil {
				return err
			}
			return i.takeBody(p)
		}
		i.line = len(i.head)
	}
	return nil
}

// noNUL refuses what neither header nor text may hold (RFC 5322 2.2, RFC 2045
// 2.7).
func (i *intake) noNUL(p []byte) error {
	if bytes.IndexByte(p, 0) >= 0 {
		return i.about(refuse("it holds a NUL octet"))
	}
	return nil
}

// about adds to a refusal what the header tells so far of whom it concerns.
func (i *intake) about(ref *refusal) *refusal {
	if i.letter != nil {
		ref.about = i.letter.envelope
		return ref
	}
	free := *i.rules
	free.maxRecipients = 0
	if l, other := free.read(mended(i.head[:i.line]), i.draft.ID(), i.now); other != nil {
		ref.about = other.about
	} else {
		ref.about = l.envelope
	}
	return ref
}

// binary reports whether the envelope says that line ends mean nothing.
func (i *intake) binary() bool {
	return i.letter != nil && i.letter.envelope.Body == message.BodyBinaryMIME
}

// open reads the header and writes it.
func (i *intake) open() error {
	if err := i.noNUL(i.head); err != nil {
		return err
	}
	l, ref := i.rules.read(mended(i.head), i.draft.ID(), i.now)
	if ref != nil {
		return ref
	}
	i.letter, i.head = l, nil
	l.received.By = i.rules.fqdn
	l.received.With = l.envelope.Origin.Protocol
	if _, err := i.draft.Write(l.received.Append(nil)); err != nil {
		return errStorage{err}
	}
	i.body = writer(i.write)
	if !i.binary() {
		i.ends = wire.NewLineEnds(i.body, wire.NormaliseBareLineEnds)
		i.body = i.ends
	}
	_, err := i.write(l.header)
	i.eight = false // fields in UTF-8 are the affair of SMTPUTF8
	return err
}

// mended gives all lines their CRLF, the last one too.
func mended(head []byte) []byte {
	var b bytes.Buffer
	l := wire.NewLineEnds(&b, wire.NormaliseBareLineEnds)
	_, _ = l.Write(head) // a Buffer takes everything
	_ = l.Close()
	if n := b.Len(); n > 0 && b.Bytes()[n-1] != '\n' {
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func (i *intake) takeBody(p []byte) error {
	if !i.binary() {
		if err := i.noNUL(p); err != nil {
			return err
		}
	}
	_, err := i.body.Write(p)
	return err
}

func (i *intake) write(p []byte) (int, error) {
	i.size += int64(len(p))
	i.eight = i.eight || !isASCII(p)
	n, err := i.draft.Write(p)
	if err != nil {
		return n, errStorage{err}
	}
	return n, nil
}

// close says that the file has come to its end, and returns the envelope.
func (i *intake) close() (*message.Envelope, error) {
	if i.read == 0 {
		return nil, refuse("it is empty")
	}
	if i.letter == nil {
		if err := i.open(); err != nil {
			return nil, err
		}
	}
	if i.ends != nil {
		if err := i.ends.Close(); err != nil {
			return nil, err
		}
	}
	l, e := i.letter, i.letter.envelope
	var scan message.HeaderScanner
	scan.Scan(l.header)
	scan.Close()
	e.Size, e.Arrived, e.MessageID, e.Subject = i.size, i.now, scan.MessageID(), scan.Subject()
	if i.eight && e.Body != message.BodyBinaryMIME { // whatever it was said to be
		e.Body = message.Body8BitMIME
	}
	return e, nil
}

// contain makes an error of a panic: one file that nobody has thought of must not
// end the gateway at every start.
func contain(fn func() (*message.Envelope, error)) (e *message.Envelope, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, refuse("reading it ended in a panic: %v", p)
		}
	}()
	return fn()
}
