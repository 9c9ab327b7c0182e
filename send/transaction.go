package send

import (
	"context"
	"errors"
	"time"

	"postern/config"
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
	// ends are where the commands in c.buf end; sent of them have been sent,
	// next is the one whose reply is to come.
	ends       []int
	sent, next int
	// piped says that all commands leave at once (RFC 2920), chunked that the
	// content goes by BDAT.
	piped, chunked bool

	accepted []int
	// verdicts are what the host said of each recipient so far. They count
	// once the replies to the whole group are known to be in step.
	verdicts []answered
	// left are the recipients of the batch that have no outcome yet.
	left []int
	last message.Reply
}

// deliver runs transactions until no recipient is pending or the connection is
// spent. The reply is the last one that counted.
func (c *conn) deliver(ctx context.Context, r *run) (message.Reply, *failure) {
	var last message.Reply
	for len(r.pending) > 0 && !c.spent() {
		chunked := c.ext.Chunking && (r.d.Envelope.Body == message.BodyBinaryMIME || r.d.Size >= chunkingFrom)
		if f := r.openContent(chunked); f != nil {
			return f.reply, f
		}
		if f := c.check(r); f != nil {
			return f.reply, f
		}
		if f := c.checkEightBit(r); f != nil {
			return f.reply, f
		}
		n := c.batchSize(r)
		t := &transaction{c: c, r: r, piped: c.ext.Pipelining, chunked: chunked}
		batch, rest := r.pending[:n:n], r.pending[n:]
		f := t.run(ctx, batch)
		if r.pending = rest; len(t.left) > 0 {
			r.pending = append(t.left, rest...)
		}
		c.until = time.Time{}
		last = t.last
		if f == nil && last.Code/100 == 2 {
			c.delivered++
			c.octets += r.size()
		}
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

// batchSize is how many of the pending recipients the next transaction has.
func (c *conn) batchSize(r *run) int {
	n := defaultRecipients
	if m := c.ext.Limits.RcptMax; m > 0 { // RFC 9422 4.2
		n = m
	}
	if c.rcptMax > 0 {
		n = min(n, c.rcptMax)
	}
	n = min(n, len(r.pending))
	if m := c.ext.Limits.RcptDomainMax; m > 0 { // RFC 9422 4.3
		domains := make(map[string]bool)
		for k, i := range r.pending[:n] {
			if domains[message.DomainKey(r.d.Envelope.Recipients[i].Address.Domain)] = true; len(domains) > m {
				return k
			}
		}
	}
	return n
}

// check fails for a message that this host can't be given.
func (c *conn) check(r *run) *failure {
	if size := r.size(); c.ext.Size > 0 && size > c.ext.Size { // RFC 1870 6.1
		return &failure{phase: phaseMAIL, intact: true, reply: ours(552, [3]int{5, 3, 4},
			"The message has %d octets, but the host takes %d at most", size, c.ext.Size)}
	}
	return nil
}

// openContent opens the stored content before MAIL is said, and signs it if it
// is to be signed. That either can't be done is no host's fault: the recipients
// wait. With exact the size is known to the octet.
func (r *run) openContent(exact bool) *failure {
	if r.out == nil {
		content, err := r.d.Open()
		if err != nil {
			return r.unreadable(&errContent{err})
		}
		o := newOutgoing(content, stripFor(r.connector))
		if err := r.sign(o); err != nil {
			_ = content.Close()
			return r.unreadable(err)
		}
		r.out = o
	}
	if exact {
		if err := r.out.measure(); err != nil {
			return r.unreadable(err)
		}
	}
	return nil
}

// size is how many octets are sent, for SIZE=.
func (r *run) size() int64 { return r.d.Size + r.out.size - r.out.content.Size() }

// unreadable settles the recipients of a message that can't be sent for a reason
// on this side.
func (r *run) unreadable(err error) *failure {
	f := &failure{phase: phaseMAIL, intact: true, local: true, reply: ours(451, codeSystem, "%v", err)}
	r.settle(r.pending, message.Deferred, f.reply, "")
	r.pending = nil
	return f
}

// stripFor are the classes of header fields that a connector may not send
// (reference 2.4).
func stripFor(c *config.SendConnector) (strip message.HeaderClass) {
	if !c.SendHeadersRouting {
		strip |= message.RoutingHeaders
	}
	if !c.SendHeadersOrganization {
		strip |= message.InternalHeaders
	}
	return strip
}

// sendingMessage is the label of the line with a message's queue id, as Exchange
// writes it.
func sendingMessage(messageID string) string {
	if messageID == "" {
		return "sending message"
	}
	return "sending message with InternetMessageId " + messageID
}

func (t *transaction) run(ctx context.Context, batch []int) *failure {
	c := t.c
	if c.log != nil {
		c.log.Info(t.r.d.ID.String(), sendingMessage(t.r.d.Envelope.MessageID))
	}
	for _, m := range t.r.out.remarks {
		c.log.Info(m.data, m.context)
	}
	if f := t.compose(batch); f != nil {
		t.left, t.last = batch, f.reply
		return f
	}
	if len(t.batch) == 0 {
		return nil
	}
	c.until = time.Now().Add(c.s.timeouts.Envelope)
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
	b, err := wire.AppendMail(b, r.d.Envelope, c.ext, r.size())
	if err != nil {
		return &failure{phase: phaseMAIL, intact: true, reply: composeReply(err, [3]int{5, 1, 7})}
	}
	b = t.add(b)
	peer := c.ext
	peer.SMTPUTF8 = peer.SMTPUTF8 && wire.NeedsSMTPUTF8(r.d.Envelope)
	for _, i := range batch {
		grown, err := wire.AppendRcpt(b, &r.d.Envelope.Recipients[i], peer)
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

// The bounds of a group of commands sent together. Both the group and the
// replies to it must fit into what the two systems buffer, or each end would
// wait for the other to read (RFC 2920 3.1).
const (
	groupOctets   = 16 << 10
	groupCommands = 128
)

// ask gets the reply to the next command, which it sends unless that has been
// done: alone, or with as many of those behind it as make a group.
func (t *transaction) ask(ctx context.Context, p phase, d time.Duration) (message.Reply, *failure) {
	if t.next == t.sent {
		from, end := 0, t.sent+1
		if t.sent > 0 {
			from = t.ends[t.sent-1]
		}
		for t.piped && end < len(t.ends) && end < t.sent+groupCommands && t.ends[end]-from <= groupOctets {
			end++
		}
		if f := t.c.unsolicited(ctx, p); f != nil {
			return message.Reply{}, f
		}
		t.sent = end
		if f := t.c.write(ctx, p, t.c.buf[from:t.ends[end-1]], d); f != nil {
			return message.Reply{}, f
		}
	}
	t.next++
	reply, _, f := t.c.read(ctx, p, d)
	return reply, f
}
