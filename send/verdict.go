package send

import (
	"context"
	"slices"
	"time"

	"postern/internal/message"
)

// answered is a recipient with the reply to its RCPT.
type answered struct {
	recipient int
	reply     message.Reply
}

// amiss reports whether a reply can't be the one to a command of a
// transaction, so that the replies and the commands are out of step: 3yz asks
// for more, 220 greets and 221 takes leave (RFC 5321 4.2.3).
func amiss(reply message.Reply) bool {
	return reply.Code/100 == 3 || reply.Code == 220 || reply.Code == 221
}

// isAmiss reports whether a failure says that replies and commands were out of
// step. What was read before is then in doubt too.
func isAmiss(f *failure) bool { return !f.said && f.reply.Enhanced == codeNetwork }

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
		if reply.Code/100 != 2 || amiss(reply) {
			return true, unexpected(phaseRSET, reply)
		}
	}
	c.messages++
	c.dirty = true
	reply, f := t.ask(ctx, phaseMAIL, c.s.timeouts.Mail)
	switch {
	case f != nil:
		return true, f
	case amiss(reply):
		return true, unexpected(phaseMAIL, reply)
	}
	t.last = reply
	if congested(reply) {
		t.r.congested = true
	} else {
		t.r.served = true
	}
	if reply.Code/100 == 2 {
		return false, nil
	}
	broken, inStep := t.drain(ctx)
	if !inStep {
		return true, broken
	}
	// A host that has no room, or is not up to it, says so of itself rather
	// than of the message (RFC 3463 3.4): another may take it.
	if reply.Code < 500 && reply.Enhanced[0] == 4 && reply.Enhanced[1] == 3 {
		f = refused(phaseMAIL, reply)
		f.intact = broken == nil
		return true, f
	}
	t.r.settleBy(t.batch, reply, c)
	t.left = nil
	return true, broken
}

// drain reads the replies to the commands that were sent along with a MAIL
// that was refused. InStep says that nothing speaks against the replies being
// those to the commands, though the connection may be broken.
func (t *transaction) drain(ctx context.Context) (f *failure, inStep bool) {
	if !t.piped {
		return nil, true
	}
	accepted := 0
	for range t.batch {
		if t.next == t.sent {
			return nil, true
		}
		reply, f := t.ask(ctx, phaseRCPT, t.c.s.timeouts.Rcpt)
		switch {
		case f != nil:
			return f, !isAmiss(f)
		case amiss(reply):
			return unexpected(phaseRCPT, reply), false
		case reply.Code/100 == 2:
			accepted++
		}
	}
	if t.chunked || t.next == t.sent {
		return t.noMore(ctx, phaseRCPT)
	}
	reply, f := t.ask(ctx, phaseDATA, t.c.s.timeouts.DataInit)
	switch {
	case f != nil:
		return f, !isAmiss(f)
	case reply.Code == 354 && accepted > 0:
		// To end the content now would send an empty message to those whom
		// the host took in spite of MAIL.
		return unexpected(phaseDATA, reply), true
	case reply.Code == 354:
		return t.empty(ctx), true
	case reply.Code < 400:
		return unexpected(phaseDATA, reply), false
	}
	return t.noMore(ctx, phaseDATA)
}

// noMore fails when the host has said more than it was asked.
func (t *transaction) noMore(ctx context.Context, p phase) (f *failure, inStep bool) {
	f = t.c.unsolicited(ctx, p)
	return f, f == nil || !isAmiss(f)
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

// recipients reads the replies to RCPT.
func (t *transaction) recipients(ctx context.Context) *failure {
	for _, i := range t.batch {
		reply, f := t.ask(ctx, phaseRCPT, t.c.s.timeouts.Rcpt)
		if f == nil && amiss(reply) {
			f = unexpected(phaseRCPT, reply)
		}
		if f != nil {
			return t.broken(f)
		}
		t.verdicts = append(t.verdicts, answered{i, reply})
		if reply.Code/100 == 2 {
			t.accepted = append(t.accepted, i)
		}
	}
	return nil
}

// broken keeps what the host said of recipients before the connection failed,
// unless it is in doubt.
func (t *transaction) broken(f *failure) *failure {
	if isAmiss(f) {
		t.left = t.batch
		return f
	}
	t.left = nil
	for n, i := range t.batch {
		if n < len(t.verdicts) && t.verdicts[n].reply.Code/100 != 2 && !isTooMany(t.verdicts[n].reply) {
			t.r.settleBy([]int{i}, t.verdicts[n].reply, t.c)
		} else {
			t.left = append(t.left, i)
		}
	}
	return f
}

// judge settles the recipients that were refused.
func (t *transaction) judge() {
	var excess []int
	for _, v := range t.verdicts {
		switch {
		case v.reply.Code/100 == 2:
			continue
		case isTooMany(v.reply) && len(t.accepted) > 0:
			excess = append(excess, v.recipient)
			continue
		case v.reply.Code == 552 && isTooMany(v.reply) && v.reply.Enhanced != [3]int{}:
			// RFC 5321 4.5.3.1.10: it is to be taken for 452.
			v.reply.Code, v.reply.Enhanced = 452, [3]int{4, 5, 3}
		}
		t.last = v.reply
		t.r.settleBy([]int{v.recipient}, v.reply, t.c)
	}
	t.left = slices.Concat(t.accepted, excess)
	if len(excess) > 0 {
		// The rest follow in a transaction of their own.
		t.c.rcptMax = len(t.accepted)
	}
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
	if t.chunked || len(t.accepted) == 0 && !t.piped {
		if f, inStep := t.noMore(ctx, phaseRCPT); !inStep {
			return t.broken(f)
		}
		if t.judge(); len(t.accepted) == 0 {
			return nil
		}
		return t.content(ctx)
	}
	reply, f := t.ask(ctx, phaseDATA, c.s.timeouts.DataInit)
	switch {
	case f != nil:
		return t.broken(f)
	case reply.Code == 354 && len(t.accepted) == 0:
		t.judge()
		return t.empty(ctx)
	case reply.Code == 354:
		t.judge()
		return t.content(ctx)
	case reply.Code < 400:
		return t.broken(unexpected(phaseDATA, reply))
	}
	f, inStep := t.noMore(ctx, phaseDATA)
	if !inStep {
		return t.broken(f)
	}
	if t.judge(); len(t.accepted) > 0 {
		t.last = reply
		r.settleBy(t.accepted, reply, c)
		t.left = t.left[len(t.accepted):]
	}
	return f
}

// content sends the content and settles the accepted recipients by the reply
// to its end. A connection that is lost before that reply leaves open whether
// the host has the message: it is sent again, and may arrive twice
// (RFC 5321 4.5.3.2.6).
func (t *transaction) content(ctx context.Context) *failure {
	c, r := t.c, t.r
	c.until = time.Time{}
	f := c.sendContent(ctx, r.out, t.chunked)
	var reply message.Reply
	if f == nil {
		reply, _, f = c.read(ctx, phaseEnd, c.s.timeouts.DataEnd)
	}
	if f == nil && amiss(reply) {
		f = unexpected(phaseEnd, reply)
	}
	if f != nil {
		return t.failed(f)
	}
	// After a chunk was refused only RSET makes sure that nothing is left of
	// the transaction (RFC 3030 2).
	c.dirty = t.chunked && reply.Code/100 != 2
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
