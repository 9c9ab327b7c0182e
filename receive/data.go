package receive

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/internal/wire"
)

// data is DATA (RFC 5321 4.1.1.4).
func (s *session) data(string) {
	switch {
	case s.tx == nil:
		s.reply(s.noTransaction())
		return
	case s.tx.body != nil: // RFC 3030 2
		s.reply(replyWithinChunks)
		return
	case len(s.tx.envelope.Recipients) == 0: // RFC 5321 3.3
		s.reply(replyRcptFirst)
		return
	case s.tx.envelope.Body == message.BodyBinaryMIME: // RFC 3030 3
		s.reply(replyBinaryData)
		return
	}
	b, err := s.newBody()
	if err != nil {
		s.storageFailed("can't begin a message", err)
		return
	}
	defer b.close()
	s.reply(replyStartData)
	s.deadlines.content()
	s.deadlines.enter(phaseData, b.began)
	err = b.receive()
	s.deadlines.enter(phaseCommand, time.Now())
	switch {
	case errors.Is(err, errTooMuch):
		s.reply(closing(b.refusal))
	case err != nil:
		s.readFailed(err)
	default:
		s.finish(b)
	}
}

// finish answers content that was read to its end, and with it ends the
// transaction (RFC 5321 4.1.1.4).
func (s *session) finish(b *body) {
	b.complete()
	e, with := s.tx.envelope, s.protocol()
	s.tx, s.judged = nil, s.tx.envelope
	defer func() { s.judged = nil }()
	messageID := b.messageID()
	if b.refusal != nil {
		e.MessageID = messageID
		s.reply(b.refusal)
		return
	}
	e.Size, e.MessageID, e.Subject, e.Arrived = b.size, messageID, b.scan.Subject(), time.Now()
	e.SMTPUTF8 = e.SMTPUTF8 && needsUTF8(e, &b.scan)
	e.Origin = message.Origin{
		Connector: s.connector.Name, Session: s.id, Client: s.remote, Local: s.local,
		Helo: s.helo, Protocol: with, User: s.user, MayRelay: s.rights.Has(AcceptAnyRecipient),
	}
	if r := s.checkRoutes(e); r != nil {
		s.reply(r)
		return
	}
	if s.flush() != nil { // nothing waits while storage does
		s.closing = true
		return
	}
	ctx, cancel := context.WithTimeout(s.server.commit, commitTimeout)
	defer cancel()
	id := b.draft.ID()
	d := b.draft
	b.draft = nil // submitted, whatever comes of it
	if err := s.server.queue.submit(ctx, d, e); err != nil {
		s.storageFailed("can't store a message", err)
		return
	}
	s.connector.messages.Inc()
	s.connector.octets.Add(b.size)
	s.idleCommands = 0
	s.reply(replyQueued(messageID, id, s.connector.FQDN))
}

// needsUTF8 reports whether a message for which the client asked for SMTPUTF8
// has any use for it. Many clients ask whenever it is offered; what is all
// US-ASCII must not fail for that at a next hop that does not offer it.
func needsUTF8(e *message.Envelope, header *message.HeaderScanner) bool {
	if header.EightBit() || !e.From.ASCII() {
		return true
	}
	return slices.ContainsFunc(e.Recipients, func(r message.Recipient) bool { return !r.Address.ASCII() })
}

// storageFailed answers trouble of ours, which is never the client's fault.
func (s *session) storageFailed(what string, err error) {
	s.storageTrouble(what, err)
	s.reply(replyStorage.WithLog(err.Error()))
}

// storageTrouble tells the event log of it.
func (s *session) storageTrouble(what string, err error) {
	s.server.trouble.tell(s.server.logger.Error, "a message could not be stored; the client is asked to try again", err,
		eventid.ReceiveStorage.Attr(), "what", what, "connector", s.connector.Name, "session", s.id)
}

// errTooMuch ends the reading of refused content that is too long to read to
// its end.
var errTooMuch = errors.New("receive: refused content goes on for too long")

// body is the content of a message as it arrives. It streams into a draft,
// behind our trace fields; once there is a reason to refuse it, it is read to
// its end and forgotten.
type body struct {
	s     *session
	began time.Time
	draft draft // nil when it is submitted or of no more use
	scan  message.HeaderScanner
	// held is the beginning of the header while it is not known whether fields
	// are missing, for messages of ours; holding says so.
	held    []byte
	holding bool
	// madeID is the Message-ID that we gave.
	madeID  string
	size    int64
	drained int64
	refusal *wire.Reply
	// firewall is what the content passes on its way into the draft.
	firewall message.HeaderFirewall
	// meter finds lines that are too long, folder breaks them; both are nil where
	// they may pass.
	meter  *message.LineMeter
	folder *message.LineFolder
	// authors reads whom the message says it comes from, until that was checked;
	// nil where anybody will do.
	authors *message.AuthorScanner
	// lines are the line ends of content in chunks; nil where all are allowed.
	lines *wire.LineEnds
}

// newBody begins a message in the queue and puts the Received field on top.
func (s *session) newBody() (*body, error) {
	d, err := s.server.queue.create()
	if err != nil {
		return nil, err
	}
	s.messages++
	b := &body{s: s, began: time.Now(), draft: d, holding: s.submission()}
	b.firewall.Strip, b.firewall.Out = s.firewalled(), d
	b.limitLines()
	if s.ownAuthors() {
		b.authors = new(message.AuthorScanner)
	}
	if s.connector.MaxLocalHopCount > 0 {
		b.scan.Local = s.ownName
	}
	if s.log != nil {
		s.log.Info(d.ID().String()+";"+b.began.UTC().Format("2006-01-02T15:04:05.000Z")+";"+itoa(int64(s.messages)), "receiving message")
	}
	if err := b.store(s.received(d.ID(), b.began)); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// close gives the draft up if it is still ours.
func (b *body) close() {
	if b.draft != nil {
		b.draft.Abort()
		b.draft = nil
	}
}

// receive reads the content to its end. Its error is one of reading, after
// which nothing can be read any more, or errTooMuch.
func (b *body) receive() error {
	r := wire.NewDataReader(b.s.reader, b.s.bareLineEnds())
	for {
		if _, err := r.WriteTo(b); !b.refuseBare(err) {
			return err
		}
	}
}

// refuseBare refuses the content if err says that it has bare line ends.
func (b *body) refuseBare(err error) bool {
	switch {
	case errors.Is(err, wire.ErrBareLF):
		b.refuse(replyBareLF)
	case errors.Is(err, wire.ErrBareCR):
		b.refuse(replyBareCR)
	default:
		return false
	}
	return true
}

func (s *session) bareLineEnds() wire.BareLineEnds {
	if s.connector.BareLineEnds == "normalise" {
		return wire.NormaliseBareLineEnds
	}
	return wire.RejectBareLineEnds
}

// Write takes decoded content. It fails only with errTooMuch.
func (b *body) Write(p []byte) (int, error) {
	b.size += int64(len(p))
	if b.refusal == nil {
		b.take(p)
	}
	if b.refusal != nil {
		b.drained += int64(len(p))
		if b.drained > b.maxDrain() {
			return len(p), errTooMuch
		}
	}
	return len(p), nil
}

// maxDrain is how many octets are read once the content is refused.
func (b *body) maxDrain() int64 {
	return min(max(b.s.maxMessageSize(), minDrain), maxDrain)
}

// take holds content against the limits and stores it.
func (b *body) take(p []byte) {
	if limit := b.s.maxMessageSize(); b.size > limit {
		b.refuse(atLimit(replyMessageSize, b.size, limit))
		return
	}
	if b.meter != nil && b.meter.Long(p) {
		b.refuse(replyLongLine)
		return
	}
	// Content that begins with white space has no header; without an empty line
	// it would continue the field on top (RFC 5322 2.2.3).
	headless := b.size == int64(len(p)) && (p[0] == ' ' || p[0] == '\t')
	if b.scanAuthors(p, headless); b.refusal != nil {
		return
	}
	if !b.scan.Done() {
		b.scan.Scan(p)
		if r := b.checkHeader(); r != nil {
			b.refuse(r)
			return
		}
		if b.holding && !b.decided(len(p)) {
			b.held = append(b.held, p...)
			return
		}
		if b.holding {
			b.letGo()
		}
	}
	if headless {
		b.firewall.Strip = 0 // there is no field in it
		b.storeOrRefuse([]byte("\r\n"))
	}
	b.storeOrRefuse(p)
}

// decided reports whether it is known, with n octets more, what the header
// lacks.
func (b *body) decided(n int) bool {
	return b.scan.Done() || b.scan.HasDate() && b.scan.HasMessageID() || len(b.held)+n > maxHeldHeader
}

// checkHeader holds the header, as far as it has come, against the limits. Our
// own Received field is not in it.
func (b *body) checkHeader() *wire.Reply {
	c := b.s.connector
	if n := b.scan.Size(); n > c.MaxHeaderSize {
		return atLimit(replyHeaderSize, n, c.MaxHeaderSize)
	}
	if n := int64(b.scan.Received()); n > c.MaxHopCount { // RFC 5321 6.3
		return atLimit(replyHopCount, n, c.MaxHopCount)
	}
	if n := int64(b.scan.LocalReceived()); c.MaxLocalHopCount > 0 && n > c.MaxLocalHopCount {
		return atLimit(replyLocalHops, n, c.MaxLocalHopCount)
	}
	return nil
}

// letGo stores what was held back, with the missing fields on top.
func (b *body) letGo() {
	b.holding = false
	if fields := b.missing(); len(fields) > 0 {
		b.keepOrRefuse(b.store(fields))
	}
	if len(b.held) > 0 {
		b.storeOrRefuse(b.held)
	}
	b.held = nil
}

// complete says that the content has come to its end.
func (b *body) complete() {
	if b.authors != nil && b.refusal == nil {
		b.checkAuthors()
	}
	if b.refusal != nil {
		return
	}
	b.scan.Close()
	if b.holding {
		b.letGo()
	}
	if b.refusal == nil {
		b.closeFilters()
	}
}

// refuse keeps the first reason against the content, and frees its room at
// once. From here on the session clock runs.
func (b *body) refuse(r *wire.Reply) {
	if b.refusal != nil {
		return
	}
	b.refusal = r
	b.held = nil
	b.close()
	b.s.deadlines.enter(phaseDrain, time.Now())
}

// storeOrRefuse stores content that the firewall lets through, unless it is
// refused by now.
func (b *body) storeOrRefuse(p []byte) {
	if b.refusal != nil {
		return
	}
	_, err := b.firewall.Write(p)
	b.keepOrRefuse(err)
}

// keepOrRefuse refuses the content if it could not be stored.
func (b *body) keepOrRefuse(err error) {
	if err != nil {
		b.s.storageTrouble("can't store a message", err)
		b.refuse(replyStorage.WithLog(err.Error()))
	}
}

// store stores what is ours, and passes no firewall.
func (b *body) store(p []byte) error {
	_, err := b.draft.Write(p)
	return err
}

// messageID is the message's, or the one that we gave it.
func (b *body) messageID() string {
	if b.madeID != "" {
		return b.madeID
	}
	return b.scan.MessageID()
}
