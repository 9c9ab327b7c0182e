package receive

import (
	"postern/internal/message"
	"postern/internal/wire"
)

// firewalled are the header fields that a message of the session loses on its
// way in (reference 4.13).
func (s *session) firewalled() message.HeaderClass {
	var strip message.HeaderClass
	if !s.rights.Has(AcceptHeadersRouting) {
		strip |= message.RoutingHeaders
	}
	if !s.rights.Has(AcceptHeadersOrganization) {
		strip |= message.InternalHeaders
	}
	return strip
}

// limitLines sets the content up for long_lines. Binary content has no lines
// (RFC 3030 3).
func (b *body) limitLines() {
	if b.s.tx.envelope.Body == message.BodyBinaryMIME {
		return
	}
	switch b.s.connector.LongLines {
	case "reject":
		b.meter = new(message.LineMeter)
	case "fold":
		b.folder = &message.LineFolder{Out: b.draft}
		b.firewall.Out = b.folder
	}
}

// closeFilters stores what firewall and folder hold at the end of the content,
// and tells the log and the metric what they did.
func (b *body) closeFilters() {
	err := b.firewall.Close()
	if b.folder != nil && err == nil {
		err = b.folder.Close()
	}
	if b.keepOrRefuse(err); err != nil {
		return
	}
	if fields, octets := b.firewall.Removed(); fields > 0 {
		b.s.connector.firewalled.Add(int64(fields))
		b.s.log.Info(itoa(int64(fields))+" fields, "+itoa(octets)+" octets", "removed by the header firewall")
	}
	if b.folder != nil && b.folder.Folded() > 0 {
		b.s.log.Info(itoa(int64(b.folder.Folded()))+" times", "broke lines of more than "+itoa(message.MaxLine)+" octets")
	}
}

// ownAuthors reports whether From and Sender of a message must be the client's
// own, as its reverse path must: it has authenticated and not the right to use
// any sender (reference 1.6). A stranger without that right sends notifications
// alone, which come from whoever makes them.
func (s *session) ownAuthors() bool {
	return s.proven != 0 && !s.anySender && !s.rights.Has(AcceptAnySender)
}

// scanAuthors looks at the next octets of content, which may have no header.
func (b *body) scanAuthors(p []byte, headless bool) {
	switch {
	case headless:
		b.authors = nil
	case b.authors != nil && b.authors.Scan(p):
		b.checkAuthors()
	}
}

// checkAuthors refuses a message that says it comes from somebody else. A Sender
// of the client's own excuses no From: what people see is From, and whom
// somebody may send for is what the list of his senders says.
func (b *body) checkAuthors() {
	authors, err := b.authors.Authors()
	b.authors = nil
	if err != nil {
		b.refuse(b.refusedAuthor("nobody knows whom others read in " + err.Error()))
		return
	}
	for _, a := range authors {
		if b.s.senders == nil || !b.s.senders.MaySendAs(a.Address) {
			b.refuse(b.refusedAuthor(a.Address.String() + " in the field " + a.Field + " is not proven to be the client's own"))
			return
		}
	}
}

// maxReason bounds what the log says of what a client wrote.
const maxReason = 300

func (b *body) refusedAuthor(why string) *wire.Reply {
	return ruled(replySendAsUser, ruleAnySender).WithLog(message.Shorten("accept_any_sender is missing, and "+why, maxReason))
}
