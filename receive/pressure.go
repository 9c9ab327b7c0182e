package receive

import (
	"postern/backpressure"
	"postern/internal/wire"
)

// Pressure says what becomes of a MAIL command while a resource is short, of an
// outsider or not; *backpressure.Monitor is one.
type Pressure interface {
	Mail(outsider bool) backpressure.Verdict
}

// checkPressure asks whether the gateway can do with another message. It returns
// the refusal, or the reply for a MAIL that is taken, which may be held back. An
// outsider is who may not send to any recipient, whatever it has proven.
func (s *session) checkPressure() (ok, refusal *wire.Reply) {
	if s.server.pressure == nil {
		return replySenderOK, nil
	}
	v := s.server.pressure.Mail(!s.rights.Has(AcceptAnyRecipient))
	if v.Resource == "" {
		return replySenderOK, nil
	}
	limit := limitPressure + "." + v.Resource
	if !v.Refuse {
		r := limited(replySenderOK, limit).WithLog(v.Figures)
		r.Hold = v.Delay
		return r, nil
	}
	text := replyStorage.Message
	if v.Named {
		text += " (" + v.Resource + ")"
	}
	return nil, limited(wire.NewReply(replyStorage.Code, replyStorage.EnhancedCode, text), limit).WithLog(v.Figures)
}

// noTransaction is the reply to what belongs to a transaction when there is
// none. Behind a MAIL that was refused because a resource is short, that is the
// same again: what a client has pipelined (RFC 2920 3.1) is no error of its own,
// and must not wait in the tarpit.
func (s *session) noTransaction() *wire.Reply {
	if s.pressed != nil {
		return s.pressed
	}
	return replyMailFirst
}
