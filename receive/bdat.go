package receive

import (
	"errors"
	"time"

	"postern/internal/message"
	"postern/internal/wire"
)

// bdat is BDAT (RFC 3030 2). Whether it is welcome or not, its chunk is read to
// the end before it is answered, so that no octet of it is taken for a command;
// where the end is unknown or too far away, the session ends.
func (s *session) bdat(arg string) {
	size, last, err := wire.ParseBDAT(arg)
	if err != nil {
		r, _ := errors.AsType[*wire.Reply](err)
		s.reply(closing(r))
		return
	}
	b := s.chunkedBody()
	if last {
		defer b.close()
	}
	err = b.receiveChunk(size, last)
	s.deadlines.enter(phaseCommand, time.Now())
	switch {
	case errors.Is(err, errTooMuch):
		s.reply(closing(b.refusal))
	case err != nil:
		s.readFailed(err)
	case s.tx != nil && s.tx.body == b && last:
		s.finish(b)
	case b.refusal != nil:
		s.reply(b.refusal)
		b.refusal = repeated(b.refusal)
	default:
		s.idles = size < minChunk
		s.reply(replyChunk(size))
	}
}

// chunkedBody returns the content that a chunk belongs to. The first chunk
// begins it. Content that nobody wants is refused from its first octet; within
// a transaction it stays refused for all chunks to come, which may be on their
// way (RFC 3030 2).
func (s *session) chunkedBody() *body {
	if r := s.strayChunk(); r != nil {
		s.deadlines.content()
		return &body{s: s, refusal: r}
	}
	if s.tx.body != nil {
		return s.tx.body
	}
	s.deadlines.content()
	if len(s.tx.envelope.Recipients) == 0 {
		s.tx.body = &body{s: s, refusal: replyNoRecipients}
		return s.tx.body
	}
	b, err := s.newBody()
	if err != nil {
		s.storageTrouble("can't begin a message", err)
		b = &body{s: s, refusal: replyStorage.WithLog(err.Error())}
	} else if s.tx.envelope.Body != message.BodyBinaryMIME {
		b.lines = wire.NewLineEnds(b, s.bareLineEnds())
	}
	s.tx.body = b
	return b
}

// strayChunk says why a chunk belongs to no content.
func (s *session) strayChunk() *wire.Reply {
	switch {
	case !s.connector.ChunkingEnabled:
		return replyNotImplemented
	case s.connector.RequireTLS && s.tls == "":
		return replyNeedTLS
	case !s.greeted:
		return replyHelloFirst
	case s.tx == nil: // behind the last chunk, too
		return s.noTransaction()
	}
	return nil
}

// receiveChunk reads one chunk to its end. Its error is as that of receive.
func (b *body) receiveChunk(size uint64, last bool) error {
	if limit := b.s.maxMessageSize(); b.refusal == nil && size > uint64(limit-b.size) {
		b.refuse(atLimit(replyMessageSize, b.size+int64(min(size, 1<<62)), limit))
	}
	if b.refusal != nil {
		b.s.deadlines.enter(phaseDrain, time.Now())
		if size > uint64(b.maxDrain()-b.drained) {
			return errTooMuch
		}
	} else {
		b.s.deadlines.enter(phaseData, time.Now())
	}
	r := wire.NewChunkReader(b.s.reader, size)
	if b.refusal == nil && b.lines != nil {
		if _, err := r.WriteTo(b.lines); !b.refuseBare(err) {
			if err == nil && last {
				b.refuseBare(b.lines.Close())
			}
			return err
		}
	}
	_, err := r.WriteTo(b)
	return err
}

// minChunk is how many octets a chunk has at least, the last one aside, that
// brings a message forward.
const minChunk = 1 << 10

// repeated is a reply whose reason was logged and counted before, and that was
// held back once: clients that send one chunk behind another would time out.
func repeated(r *wire.Reply) *wire.Reply {
	c := *r
	c.Limit, c.Log, c.Prompt = "", "", true
	return &c
}
