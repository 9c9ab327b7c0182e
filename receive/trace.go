package receive

import (
	"time"

	"postern/internal/message"
)

// received is the Received field that goes on top of a message (RFC 5321 4.4).
func (s *session) received(id message.ID, at time.Time) []byte {
	r := message.Received{
		Helo: s.helo, Client: s.remote, Local: s.snapshot.public(s.local), By: s.connector.FQDN,
		With: s.protocol(), TLS: s.tls, ID: id, At: at, Date: s.server.dates.Text(at),
	}
	// One recipient alone may be named: others must not learn of it
	// (RFC 5321 7.2).
	if rcpts := s.tx.envelope.Recipients; len(rcpts) == 1 {
		r.For = rcpts[0].Address.Path()
	}
	return r.Append(make([]byte, 0, 384))
}

// protocol is the "with" keyword (RFC 3848), of a transaction.
func (s *session) protocol() string {
	name := "ESMTP"
	switch {
	case s.tx.envelope.SMTPUTF8: // RFC 6531 4.3
		name = "UTF8SMTP"
	case !s.extended:
		return "SMTP"
	}
	switch {
	case s.tls != "" && s.user != "":
		name += "SA"
	case s.tls != "":
		name += "S"
	case s.user != "":
		name += "A"
	}
	return name
}

// submission reports whether messages of the session are ours to complete: it
// has the rights of users or servers, or comes from this host. Such a message
// is a submission (RFC 6409 8).
func (s *session) submission() bool {
	who := PrincipalsOf(s.connector.ReceiveConnector, s.proven)
	return who&(Users|Servers) != 0 || s.remote.Addr().IsLoopback()
}

// missing returns the fields that a submission lacks: Date and Message-ID
// (RFC 6409 8.1 and 8.3). A header too long to be looked at whole lacks
// nothing.
func (b *body) missing() []byte {
	if !b.scan.Done() && !(b.scan.HasDate() && b.scan.HasMessageID()) {
		return nil
	}
	var f []byte
	if !b.scan.HasMessageID() {
		b.madeID = "<" + b.draft.ID().String() + "@" + message.DomainKey(b.s.connector.FQDN) + ">"
		f = append(append(append(f, "Message-ID: "...), b.madeID...), "\r\n"...)
	}
	if !b.scan.HasDate() {
		f = message.AppendDate(append(f, "Date: "...), b.began)
		f = append(f, "\r\n"...)
	}
	return f
}
