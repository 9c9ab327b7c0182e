package send

import (
	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

// ourDomains tells which domains are ours: of an external relay's mail we are
// only the forwarder (reference 4.1).
func ourDomains(cfg *config.Config) func(domain string) bool {
	accepted := routing.Accepted(cfg)
	return func(domain string) bool {
		a, ok := accepted(domain)
		return ok && a.Type != config.ExternalRelay
	}
}

// masquerade gives the reverse path the connector's masquerade_domain, when the
// sender is in a domain of ours. Nothing else changes: not the local part, and
// no header field or recipient. The null reverse path stays null (RFC 5321
// 4.5.5), and an envelope that asks for SMTPUTF8 goes on asking for it, for its
// header or a local part may need it though the new domain does not
// (RFC 6531 3.4).
func (r *run) masquerade() {
	from := r.d.Envelope.From
	to := r.connector.MasqueradeDomain
	if to == "" || from.Domain == "" || !r.snap.isOurDomain(from.Domain) ||
		message.DomainKey(from.Domain) == message.DomainKey(to) {
		return
	}
	from.Domain = to
	envelope, delivery := *r.d.Envelope, *r.d
	envelope.From, delivery.Envelope = from, &envelope
	r.d, r.sender = &delivery, from.String()
}
