package receive

import (
	"slices"
	"strings"

	"postern/config"
	"postern/internal/message"
	"postern/internal/wire"
)

// recipient returns the recipient that a forward path names here: a path
// without a domain and one at an address of ours go to the default domain. It
// asks whether the session may send there.
func (s *session) recipient(p wire.Rcpt) (message.Recipient, *wire.Reply) {
	out := message.Recipient{Address: p.Path, Notify: p.Notify, ORcpt: p.ORcpt}
	if p.Path.Domain == "" { // RFC 5321 4.5.1: always taken
		out.Address.Domain = s.defaultDomain()
		return out, nil
	}
	if s.ours(p.Path.Domain) {
		out.Address.Domain = s.defaultDomain()
		if out.ORcpt == "" { // RFC 3461 5.2.1: the path as it was received
			kind := "rfc822;"
			if !p.Path.ASCII() { // RFC 6533 3
				kind = "utf-8;"
			}
			out.ORcpt = kind + p.Path.String()
		}
		if isPostmaster(p.Path.Local) {
			return out, nil
		}
	}
	if !s.connector.AcceptAddressLiterals && p.Path.Domain[0] == '[' {
		return out, replyLiteral.WithLog("accept_address_literals is off")
	}
	domain, accepted := s.accepted(out.Address.Domain)
	if !accepted {
		if r := s.checkReserved(p.Path.Domain); r != nil {
			return out, r
		}
	}
	if !s.rights.Has(AcceptAnyRecipient) {
		switch {
		case routed(p.Path.Local):
			return out, replyRelayTrick
		case !accepted:
			return out, replyRelay
		}
	}
	if accepted && !s.internal() && forAuthenticated(domain, out.Address) {
		return out, replyAuthRequired.WithLog("require_sender_authentication, and nobody has authenticated")
	}
	return out, nil
}

func isPostmaster(local string) bool {
	return strings.EqualFold(strings.Trim(local, `"`), "postmaster")
}

// routed reports whether a local part asks whoever delivers it to send the
// message on to another host: "user%host", "host!user", or an "@" in quotes.
func routed(local string) bool { return strings.ContainsAny(local, "%!@") }

// checkReserved refuses domains that nobody can have, where the connector wants
// it (RFC 2606 2 and 3).
func (s *session) checkReserved(domain string) *wire.Reply {
	c := s.connector
	if domain[0] == '[' || !c.RejectReservedTopLevelRecipientDomains && !c.RejectReservedSecondLevelRecipientDomains && !c.RejectSingleLabelRecipientDomains {
		return nil
	}
	labels := strings.Split(message.DomainKey(domain), ".")
	n := len(labels)
	switch top := labels[n-1]; {
	case c.RejectReservedTopLevelRecipientDomains && slices.Contains([]string{"test", "example", "invalid", "localhost"}, top):
		return replyReservedTop.WithLog("reject_reserved_top_level_recipient_domains")
	case c.RejectReservedSecondLevelRecipientDomains && n > 1 && labels[n-2] == "example" && slices.Contains([]string{"com", "net", "org"}, top):
		return replyReservedSecond.WithLog("reject_reserved_second_level_recipient_domains")
	case c.RejectSingleLabelRecipientDomains && n == 1:
		return replySingleLabel.WithLog("reject_single_label_recipient_domains")
	}
	return nil
}

// internal reports whether the client is one of us: a user who has
// authenticated, or one of our servers. No sender address makes a client one,
// and no right either; partners belong to somebody else.
func (s *session) internal() bool { return internal(s.connector.ReceiveConnector, s.proven) }

func internal(c *config.ReceiveConnector, proven Principals) bool {
	return PrincipalsOf(c, proven)&(Users|Servers) != 0
}

// forAuthenticated reports whether a recipient in an accepted domain takes mail
// from authenticated senders only. The postmaster does not (RFC 5321 4.5.1).
func forAuthenticated(d config.AcceptedDomain, a message.Address) bool {
	if isPostmaster(a.Local) {
		return false
	}
	if d.RequireSenderAuthentication || len(d.RequireSenderAuthenticationFor) == 0 {
		return d.RequireSenderAuthentication
	}
	key := a.Key() // quoted or not, it is the same mailbox (RFC 5321 4.1.2)
	return slices.ContainsFunc(d.RequireSenderAuthenticationFor, func(of string) bool {
		listed, err := message.ParseAddress(of, true)
		return err == nil && strings.EqualFold(listed.Key(), key)
	})
}

// checkDomainSecure refuses senders in a domain that is to be proven by a
// certificate to sessions that have not proven it (mutual TLS). Where the
// certificate could not be verified the trouble may pass.
func (s *session) checkDomainSecure(from message.Address) *wire.Reply {
	c := s.connector
	if !c.DomainSecureEnabled || from.IsNull() || s.partner != nil && s.partner.MaySendAs(from) {
		return nil
	}
	key := message.DomainKey(from.Domain)
	if !slices.ContainsFunc(c.TLSReceiveDomainSecureList, func(d string) bool { return message.DomainKey(d) == key }) {
		return nil
	}
	const why = "domain_secure_enabled, and the certificate for "
	switch {
	case s.tls == "":
		return ruled(replyNeedTLS, ruleDomainSecure).WithLog(why + key + " is missing: the session is in clear text")
	case s.distrust != nil:
		return replyBadCertificate.WithLog(why + key + " is missing: " + s.distrust.Error())
	}
	return replyDomainSecure.WithLog(why + key + " is missing")
}
