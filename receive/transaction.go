package receive

import (
	"postern/config"
	"postern/internal/message"
	"postern/internal/wire"
)

const unlimited = config.Unlimited

// manyRecipients is from how many recipients on duplicates are looked up in a
// map.
const manyRecipients = 16

// transaction is a mail transaction (RFC 5321 3.3): MAIL was taken.
type transaction struct {
	envelope *message.Envelope
	body     *body               // from the first BDAT on
	keys     map[string]struct{} // of the recipients, when they are many
	declared int64               // the size that SIZE= gave; zero: none
}

// abandon ends the transaction, if there is one, without a message.
func (s *session) abandon() {
	if s.tx != nil && s.tx.body != nil {
		s.tx.body.close()
	}
	s.tx, s.pressed = nil, nil
}

// mail is MAIL (RFC 5321 4.1.1.2).
func (s *session) mail(arg string) {
	if s.tx != nil {
		s.reply(replyMailTwice)
		return
	}
	if !s.rights.Has(Submit) {
		s.reply(s.unlessUser(replyNotAuthenticated, replyMaySubmitNothing))
		return
	}
	s.pressed = nil
	m, err := wire.ParseMail(arg, s.features())
	if err != nil {
		s.replyError(err)
		return
	}
	s.path, s.named = m.Path, true
	if r := s.checkDeclaredSize(m); r != nil {
		s.reply(r)
		return
	}
	if r := s.checkDomainSecure(m.Path); r != nil {
		s.reply(r)
		return
	}
	if r := s.checkSender(m.Path); r != nil {
		s.reply(r)
		return
	}
	ok, r := s.checkPressure()
	if r != nil {
		s.pressed = repeated(r)
	} else {
		r = s.checkMessageRate()
	}
	if r != nil {
		s.reply(r)
		return
	}
	s.tx = &transaction{declared: m.Size, envelope: &message.Envelope{
		From: m.Path, Body: m.Body, SMTPUTF8: m.SMTPUTF8, RequireTLS: m.RequireTLS,
		Return: m.Ret, EnvID: m.EnvID, Auth: s.originator(m.Auth),
	}}
	s.reply(ok)
}

// unlessUser is the reply for a client that has not authenticated, or the one
// for a client that has.
func (s *session) unlessUser(anonymous, user *wire.Reply) *wire.Reply {
	if s.proven != 0 {
		return user
	}
	return anonymous
}

// maxMessageSize is the limit for messages in this session, in octets.
func (s *session) maxMessageSize() int64 {
	if s.rights.Has(BypassMessageSizeLimit) {
		return unlimited
	}
	return s.connector.MaxMessageSize
}

// checkDeclaredSize holds the size that the client declares against the limit
// (RFC 1870 6.1).
func (s *session) checkDeclaredSize(m wire.Mail) *wire.Reply {
	if limit := s.maxMessageSize(); m.HasSize && (m.Size > limit || m.Size < 0) {
		return atLimit(replyMessageSize, m.Size, limit)
	}
	return nil
}

// checkSender asks whether the session may send as from. The null reverse path
// is everyone's (RFC 5321 4.5.5).
func (s *session) checkSender(from message.Address) *wire.Reply {
	if from.IsNull() || s.anySender || s.senders != nil && s.senders.MaySendAs(from) {
		return nil
	}
	if !s.rights.Has(AcceptAnySender) {
		return ruled(s.unlessUser(replySendAs, replySendAsUser), ruleAnySender).WithLog("accept_any_sender is missing, and the sender is not proven to be the client's own")
	}
	if !s.rights.Has(AcceptAuthoritativeDomainSender) {
		domain := from.Domain
		if s.ours(domain) { // mail to it is mail to the default domain
			domain = s.defaultDomain()
		}
		if d, ok := s.accepted(domain); ok && d.Type != config.ExternalRelay {
			return ruled(s.unlessUser(replySendAs, replySendAsUser), ruleOurDomain).WithLog("accept_authoritative_domain_sender is missing for our domain " + d.Domain)
		}
	}
	return nil
}

// rcpt is RCPT (RFC 5321 4.1.1.3).
func (s *session) rcpt(arg string) {
	if s.tx == nil {
		s.reply(s.noTransaction())
		return
	}
	if s.tx.body != nil {
		s.reply(replyWithinChunks)
		return
	}
	p, err := wire.ParseRcpt(arg, s.features())
	if err != nil {
		s.replyError(err)
		return
	}
	s.path, s.named = p.Path, true
	rcpt, r := s.recipient(p)
	if r != nil {
		if r.Code >= 500 {
			s.refusedRecipient()
		}
		s.reply(r)
		return
	}
	if s.idles = s.tx.has(rcpt.Address); !s.idles {
		e := s.tx.envelope
		if n := int64(len(e.Recipients)); n >= s.connector.MaxRecipientsPerMessage {
			s.reply(atLimit(replyTooManyRecipients, n+1, s.connector.MaxRecipientsPerMessage))
			return
		}
		if r := s.checkRoute(rcpt.Address, s.tx.declared); r != nil {
			s.idles = false
			s.reply(r)
			return
		}
		s.tx.add(rcpt)
	}
	s.reply(replyRecipientOK)
}

// has reports whether the recipient is there already: a second RCPT gives no
// second copy.
func (t *transaction) has(a message.Address) bool {
	if t.keys != nil {
		_, ok := t.keys[a.Key()]
		return ok
	}
	for i := range t.envelope.Recipients {
		if t.envelope.Recipients[i].Address.Equal(a) {
			return true
		}
	}
	return false
}

func (t *transaction) add(r message.Recipient) {
	e := t.envelope
	e.Recipients = append(e.Recipients, r)
	switch {
	case t.keys != nil:
		t.keys[r.Address.Key()] = struct{}{}
	case len(e.Recipients) == manyRecipients:
		t.keys = make(map[string]struct{}, 2*manyRecipients)
		for i := range e.Recipients {
			t.keys[e.Recipients[i].Address.Key()] = struct{}{}
		}
	}
}
