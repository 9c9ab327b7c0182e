package send

import (
	"fmt"

	"postern/internal/message"
)

// outgoing is a message's content in the form in which it is sent: without the
// header fields that the connector may not send, and with our signatures on
// top. It is made anew from the stored content each time it is read; what is
// kept of it are the signatures.
type outgoing struct {
	content message.Content
	// strip are the classes of header fields that are left out.
	strip message.HeaderClass
	// front goes before everything else: whole header fields.
	front []byte
	// size is how many octets are sent, or, unless it is exact, at most.
	size  int64
	exact bool
	// remarks are for the protocol log.
	remarks []remark
}

// remark is a line of the protocol log: what was done, and to what.
type remark struct{ data, context string }

// newOutgoing is the content as a connector sends it before it is signed.
func newOutgoing(content message.Content, strip message.HeaderClass) *outgoing {
	return &outgoing{content: content, strip: strip, size: content.Size(), exact: strip == 0}
}

// writeFunc lets a function serve as an io.Writer.
type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// stream hands everything over in blocks of at most the size of in, until write
// fails.
func (o *outgoing) stream(in []byte, write func([]byte) (int, error)) error {
	if len(o.front) > 0 {
		if _, err := write(o.front); err != nil {
			return err
		}
	}
	return o.streamStored(in, write, nil)
}

// streamStored is stream without what goes before the stored content. It ends
// early once enough, unless it is nil, says so; it is asked while nothing is
// left that could be stripped.
func (o *outgoing) streamStored(in []byte, write func([]byte) (int, error), enough func() bool) error {
	if o.strip == 0 && enough == nil {
		return readBlocks(in, o.content, o.content.Size(), write)
	}
	fw := message.HeaderFirewall{Strip: o.strip, Out: writeFunc(write)}
	err := readBlocks(in, o.content, o.content.Size(), func(p []byte) (int, error) {
		if n, err := fw.Write(p); err != nil {
			return n, err
		}
		if enough != nil && fw.Done() && enough() {
			return len(p), errEnough
		}
		return len(p), nil
	})
	if err != nil && err != errEnough {
		return err
	}
	if err == nil {
		if err := fw.Close(); err != nil {
			return err
		}
	}
	if !o.exact {
		fields, octets := fw.Removed()
		o.found(fields, octets)
	}
	return nil
}

// errEnough ends the reading of content of which no more is needed.
var errEnough = fmt.Errorf("no more of the content is needed")

// found notes how much of the content is not sent.
func (o *outgoing) found(fields int, octets int64) {
	o.exact = true
	o.size -= octets
	if fields == 0 {
		o.strip = 0
		return
	}
	o.remarks = append(o.remarks, remark{fmt.Sprintf("%d header fields of %d octets", fields, octets), "removed by the header firewall"})
}

// measure makes size exact. As a rule that takes no more than a look at the
// header.
func (o *outgoing) measure() error {
	if o.exact {
		return nil
	}
	b := buffers.Get().(*contentBuffer)
	defer buffers.Put(b)
	return o.streamStored(b.in, discard, func() bool { return true })
}

func discard(p []byte) (int, error) { return len(p), nil }
