package send

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/internal/message"
	"postern/internal/wire"
)

// defaultRecipients is how many recipients a transaction has where the host
// does not say: as many as every host must take (RFC 5321 4.5.3.1.8).
const defaultRecipients = 100

// chunkingFrom is the size in octets from which content goes by BDAT where
// that is offered: it needs no dots doubled, but costs a round trip.
const chunkingFrom = 1 << 20

// transaction is one MAIL with its RCPTs and the content.
type transaction struct {
	c *conn
	r *run
	// batch are the recipients asked for, in the order of their commands.
	batch []int
	// ends are where the commands in c.buf end; next is the one to come.
	ends []int
	next int
	// piped says that all commands leave at once (RFC 2920), chunked that the
	// content goes by BDAT.
	piped, chunked bool

	accepted []int
	// left are the recipients of the batch that have no outcome yet.
	left []int
	last message.Reply
}

// deliver runs transactions until no recipient is pending or the connection is
// spent. The reply is the last one that counted.
func (c *conn) deliver(ctx context.Context, r *run) (message.Reply, *failure) {
	var last message.Reply
	for len(r.pending) > 0 && !c.spent() {
		if f := c.check(r); f != nil {
			return f.reply, f
		}
		if f := r.openContent(); f != nil {
			return f.reply, f
		}
		n := min(len(r.pending), c.batchSize())
		t := &transaction{c: c, r: r, piped: c.ext.Pipelining,
			chunked: c.ext.Chunking && (r.d.Envelope.Body == message.BodyBinaryMIME || r.d.Size >= chunkingFrom)}
		batch, rest := r.pending[:n:n], r.pending[n:]
		f := t.run(ctx, batch)
		if r.pending = rest; len(t.left) > 0 {
			r.pending = append(t.left, rest...)
		}
		c.until = time.Time{}
		last = t.last
		if f != nil {
			if f.phase >= phaseContent {
				// The content was under way: whoever was to follow waits for
				// the next attempt.
				r.deferRest(f)
			}
			return f.reply, f
		}
	}
	return last, nil
}

// deferRest defers the recipients whose turn had not come when the connection
// failed.
func (r *run) deferRest(f *failure) {
	reply := f.reply
	if f.said {
		reply = ours(421, codeDropped, "The connection ended before this recipient's turn: %s", oneLine(f.reply.String()))
	}
	r.settle(r.pending, message.Deferred, reply, "")
	r.pending = nil
}

func (c *conn) remoteOf(f *failure) string {
	if f.said {
		return c.remoteMTA()
	}
	return ""
}

func (c *conn) batchSize() int {
	n := defaultRecipients
	if m := c.ext.Limits.RcptMax; m > 0 { // RFC 9422 4.2
		n = m
	}
	if c.rcptMax > 0 {
		n = min(n, c.rcptMax)
	}
	return n
}

// check fails for a message that this host can't be given.
func (c *conn) check(r *run) *failure {
	if c.ext.Size > 0 && r.d.Size > c.ext.Size { // RFC 1870 6.1
		return &failure{phase: phaseMAIL, intact: true, reply: ours(552, [3]int{5, 3, 4},
			"The message has %d octets, but the host takes %d at most", r.d.Size, c.ext.Size)}
	}
	return nil
}

// openContent opens the stored content before MAIL is said. That it can't be
// read is no host's fault: the recipients wait.
func (r *run) openContent() *failure {
	if r.content != nil {
		return nil
	}
	content, err := r.d.Open()
	if err != nil {
		f := &failure{phase: phaseMAIL, intact: true, local: true, reply: ours(451, codeSystem, "%v", &errContent{err})}
		r.settle(r.pending, message.Deferred, f.reply, "")
		r.pending = nil
		return f
	}
	r.content = content
	return nil
}

func (t *transaction) run(ctx context.Context, batch []int) *failure {
	c := t.c
	c.log.Info(t.r.d.ID.String(), "sending message")
	if f := t.compose(batch); f != nil {
		t.left, t.last = batch, f.reply
		return f
	}
	if len(t.batch) == 0 {
		return nil
	}
	if f := c.unsolicited(ctx, phaseMAIL); f != nil {
		t.left = t.batch
		return f
	}
	c.until = time.Now().Add(c.s.timeouts.Envelope)
	if t.piped {
		if f := c.write(ctx, phaseMAIL, c.buf, c.s.timeouts.Mail); f != nil {
			t.left = t.batch
			return f
		}
	}
	if done, f := t.mail(ctx); done || f != nil {
		return f
	}
	if f := t.recipients(ctx); f != nil {
		return f
	}
	return t.data(ctx)
}

// compose writes the commands into c.buf. Recipients that can't be written are
// settled.
func (t *transaction) compose(batch []int) *failure {
	c, r := t.c, t.r
	b := c.buf[:0]
	if c.dirty {
		b = t.add(append(b, "RSET\r\n"...))
	}
	b, err := wire.AppendMail(b, r.d.Envelope, c.ext, r.d.Size)
	if err != nil {
		return &failure{phase: phaseMAIL, intact: true, reply: composeReply(err, [3]int{5, 1, 7})}
	}
	b = t.add(b)
	for _, i := range batch {
		grown, err := wire.AppendRcpt(b, &r.d.Envelope.Recipients[i], c.ext)
		if err != nil {
			t.last = composeReply(err, [3]int{5, 1, 3})
			r.settle([]int{i}, message.Failed, t.last, "")
			continue
		}
		b = t.add(grown)
		t.batch = append(t.batch, i)
	}
	if !t.chunked {
		b = t.add(append(b, "DATA\r\n"...))
	}
	c.buf = b
	return nil
}

func (t *transaction) add(b []byte) []byte {
	t.ends = append(t.ends, len(b))
	return b
}

// composeReply says why a command can't be written.
func composeReply(err error, enhanced [3]int) message.Reply {
	if w, ok := errors.AsType[*wire.Reply](err); ok {
		return fromWire(w)
	}
	return ours(553, enhanced, "%v", err)
}

// ask gets the reply to the next command, which it sends unless all have been
// sent together.
func (t *transaction) ask(ctx context.Context, p phase, d time.Duration) (message.Reply, *failure) {
	var reply message.Reply
	var f *failure
	if t.piped {
		reply, _, f = t.c.read(ctx, p, d)
	} else {
		from := 0
		if t.next > 0 {
			from = t.ends[t.next-1]
		}
		reply, _, f = t.c.command(ctx, p, t.c.buf[from:t.ends[t.next]], d)
	}
	t.next++
	return reply, f
}

// mail handles the replies to RSET and MAIL. Done says that the transaction is
// over.
func (t *transaction) mail(ctx context.Context) (done bool, f *failure) {
	c := t.c
	t.left = t.batch
	if c.dirty {
		reply, f := t.ask(ctx, phaseRSET, c.s.timeouts.EHLO)
		if f != nil {
			return true, f
		}
		if reply.Code/100 != 2 {
			return true, unexpected(phaseRSET, reply)
		}
	}
	c.messages++
	c.dirty = true
	reply, f := t.ask(ctx, phaseMAIL, c.s.timeouts.Mail)
	if f != nil {
		return true, f
	}
	t.last = reply
	switch reply.Code / 100 {
	case 2:
		return false, nil
	case 3:
		return true, unexpected(phaseMAIL, reply)
	}
	// A host that has no room, or is not up to it, says so of itself rather
	// than of the message (RFC 3463 3.4): another may take it.
	if reply.Code < 500 && reply.Enhanced[0] == 4 && reply.Enhanced[1] == 3 {
		f = refused(phaseMAIL, reply)
		f.intact = true
	} else {
		t.r.settleBy(t.batch, reply, c)
		t.left = nil
	}
	if broken := t.drain(ctx); broken != nil {
		if f == nil {
			return true, broken
		}
		f.intact = false
	}
	return true, f
}

// drain reads the replies to the commands that were sent along with a MAIL
// that was refused.
func (t *transaction) drain(ctx context.Context) *failure {
	if !t.piped {
		return nil
	}
	accepted := 0
	for range t.batch {
		reply, f := t.ask(ctx, phaseRCPT, t.c.s.timeouts.Rcpt)
		if f != nil {
			return f
		}
		if reply.Code/100 == 2 {
			accepted++
		}
	}
	if t.chunked {
		return nil
	}
	reply, f := t.ask(ctx, phaseDATA, t.c.s.timeouts.DataInit)
	switch {
	case f != nil:
		return f
	case reply.Code != 354:
		return nil
	case accepted > 0:
		// To end the content now would send an empty message to those whom
		// the host took in spite of MAIL.
		return unexpected(phaseDATA, reply)
	}
	return t.empty(ctx)
}

// empty ends the content of a transaction without recipients, which a host may
// ask for (RFC 2920 3.1).
func (t *transaction) empty(ctx context.Context) *failure {
	c := t.c
	if f := c.writeQuietly(ctx, phaseContent, []byte(".\r\n"), c.s.timeouts.DataBlock); f != nil {
		return f
	}
	if _, _, f := c.read(ctx, phaseEnd, c.s.timeouts.DataEnd); f != nil {
		return f
	}
	c.dirty = false
	return nil
}

// recipients handles the replies to RCPT.
func (t *transaction) recipients(ctx context.Context) *failure {
	c, r := t.c, t.r
	var excess []int
	var tooMany message.Reply
	for n, i := range t.batch {
		reply, f := t.ask(ctx, phaseRCPT, c.s.timeouts.Rcpt)
		if f == nil && reply.Code/100 == 3 {
			f = unexpected(phaseRCPT, reply)
		}
		if f != nil {
			t.left = slices.Concat(t.accepted, excess, t.batch[n:])
			return f
		}
		switch {
		case reply.Code/100 == 2:
			t.accepted = append(t.accepted, i)
		case isTooMany(reply):
			excess, tooMany = append(excess, i), reply
		default:
			t.last = reply
			r.settleBy([]int{i}, reply, c)
		}
	}
	t.left = slices.Concat(t.accepted, excess)
	if len(excess) > 0 && len(t.accepted) == 0 {
		t.last = tooMany
		r.settle(excess, message.Deferred, tooMany, c.remoteMTA())
		t.left = nil
	} else if len(excess) > 0 {
		// The rest follow in a transaction of their own.
		c.rcptMax = len(t.accepted)
	}
	return nil
}

// isTooMany reports whether a recipient was refused for being one too many:
// 452 (RFC 5321 4.5.3.1.10), or 552 as older servers say, but no full mailbox
// or disk.
func isTooMany(reply message.Reply) bool {
	if reply.Code != 452 && reply.Code != 552 {
		return false
	}
	e := reply.Enhanced
	return e == [3]int{} || e[1] == 5 && e[2] == 3
}

// data handles the reply to DATA and sends the content.
func (t *transaction) data(ctx context.Context) *failure {
	c, r := t.c, t.r
	if len(t.accepted) == 0 && (!t.piped || t.chunked) {
		return nil
	}
	if !t.chunked {
		reply, f := t.ask(ctx, phaseDATA, c.s.timeouts.DataInit)
		switch {
		case f != nil:
			return f
		case len(t.accepted) == 0:
			if reply.Code == 354 {
				return t.empty(ctx)
			}
			return nil
		case reply.Code/100 == 4 || reply.Code/100 == 5:
			t.last = reply
			r.settleBy(t.accepted, reply, c)
			t.left = t.left[len(t.accepted):]
			return nil
		case reply.Code != 354:
			return unexpected(phaseDATA, reply)
		}
	}
	c.until = time.Time{}
	if c.r.Buffered() > 0 {
		// A host that changed its mind says so before it has the content.
		if f := c.lastWords(phaseContent); f != nil {
			return t.failed(f)
		}
		return unexpected(phaseDATA, t.last)
	}
	return t.content(ctx)
}

// content sends the content and settles the accepted recipients by the reply
// to its end. A connection that is lost before that reply leaves open whether
// the host has the message: it is sent again, and may arrive twice
// (RFC 5321 4.5.3.2.6).
func (t *transaction) content(ctx context.Context) *failure {
	c, r := t.c, t.r
	f := c.sendContent(ctx, r.content, t.chunked)
	var reply message.Reply
	if f == nil {
		reply, _, f = c.read(ctx, phaseEnd, c.s.timeouts.DataEnd)
	}
	if f == nil && reply.Code/100 == 3 {
		f = unexpected(phaseEnd, reply)
	}
	if f != nil {
		return t.failed(f)
	}
	c.dirty = false
	t.last = reply
	r.settleBy(t.accepted, reply, c)
	t.left = t.left[len(t.accepted):]
	return nil
}

// failed settles the accepted recipients when the connection failed with the
// content under way.
func (t *transaction) failed(f *failure) *failure {
	if f.said {
		t.r.settleBy(t.accepted, f.reply, t.c)
	} else {
		t.r.settle(t.accepted, message.Deferred, f.reply, "")
	}
	t.left, t.last = t.left[len(t.accepted):], f.reply
	return f
}
