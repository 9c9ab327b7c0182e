package send

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"postern/internal/message"
	"postern/internal/wire"
)

// block is the size of the blocks in which content is read and written.
const block = 32 << 10

// buffers are shared by all sessions: only those that send content right now
// hold one.
var buffers = sync.Pool{New: func() any {
	return &contentBuffer{in: make([]byte, block), out: bufio.NewWriterSize(nil, block)}
}}

type contentBuffer struct {
	in  []byte
	out *bufio.Writer
}

// sendContent sends the content with its end, by DATA or as one BDAT chunk.
// Short content leaves in a single write.
func (c *conn) sendContent(ctx context.Context, o *outgoing, chunked bool) *failure {
	t := c.s.timeouts
	w := &contentWriter{c: c, ctx: ctx,
		end: time.Now().Add(t.DataBlock + time.Duration(o.size/t.MinRate)*time.Second)}
	b := buffers.Get().(*contentBuffer)
	b.out.Reset(w)
	err := c.copyContent(b, o, chunked)
	b.out.Reset(nil)
	buffers.Put(b)
	if err == nil {
		return nil
	}
	if ce, ok := errors.AsType[*errContent](err); ok {
		// Without its end the host must not take what it has for the whole
		// message: the connection is closed.
		return &failure{phase: phaseContent, reply: ours(451, codeSystem, "%v", ce)}
	}
	if ctx.Err() != nil {
		return lost(ctx, phaseContent, err)
	}
	f := c.lastWords(phaseContent)
	switch {
	case f != nil:
		return f
	case err == errTooEarly:
		return &failure{phase: phaseContent, reply: ours(421, codeNetwork,
			"Remote server response was not RFC conformant, %s: it came before the end of the content", phaseContent)}
	}
	return lost(ctx, phaseContent, err)
}

// errTooEarly says that the host answered content that it did not have yet.
// Were the rest sent, that reply would be taken for the one to its end.
var errTooEarly = errors.New("the host answered before the end of the content")

func (c *conn) copyContent(b *contentBuffer, o *outgoing, chunked bool) error {
	if chunked {
		command := wire.AppendBDAT(nil, uint64(o.size), true)
		c.log.Sent(string(command[:len(command)-2]))
		if _, err := b.out.Write(command); err != nil {
			return err
		}
		if err := o.stream(b.in, b.out.Write); err != nil {
			return err
		}
		return b.out.Flush()
	}
	dw := wire.NewDataWriter(b.out)
	if err := o.stream(b.in, dw.Write); err != nil {
		return err
	}
	return dw.Close()
}

// readBlocks hands the content over block by block.
func readBlocks(in []byte, content message.Content, size int64, write func([]byte) (int, error)) error {
	for at := int64(0); at < size; {
		n, err := content.ReadAt(in[:min(int64(len(in)), size-at)], at)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return &errContent{err}
		}
		if _, err := write(in[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// contentWriter writes blocks to the connection, each with its deadline and
// all with one: a host that takes octet by octet does not hold the message for
// ever.
type contentWriter struct {
	c   *conn
	ctx context.Context
	end time.Time
}

func (w *contentWriter) Write(p []byte) (int, error) {
	deadline := time.Now().Add(w.c.s.timeouts.DataBlock)
	if w.end.Before(deadline) {
		deadline = w.end
	}
	_ = w.c.raw.SetWriteDeadline(deadline)
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if silent, err := w.c.silent(); err != nil {
		return 0, err
	} else if !silent {
		return 0, errTooEarly
	}
	return w.c.nc.Write(p)
}
