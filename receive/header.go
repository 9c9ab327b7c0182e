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

// noteFirewall tells the log and the metric what the firewall took.
func (b *body) noteFirewall() {
	fields, octets := b.firewall.Removed()
	if fields == 0 {
		return
	}
	b.s.connector.firewalled.Add(int64(fields))
	b.s.log.Info(itoa(int64(fields))+" fields, "+itoa(octets)+" octets", "removed by the header firewall")
}

// ownAuthors reports whether From and Sender of a message must be the client's
// own, as its reverse path must: it has authenticated and not the right to use
// any sender (reference 1.6). A stranger without that right sends notifications
// alone, which come from whoever makes them.
func (s *session) ownAuthors() bool { return s.proven != 0 && !s.rights.Has(AcceptAnySender) }

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

func (b *body) refusedAuthor(why string) *wire.Reply {
	return replySendAsUser.WithLog("accept_any_sender is missing, and " + why)
}
