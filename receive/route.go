package receive

import (
	"postern/internal/message"
	"postern/internal/wire"
	"postern/routing"
)

// Routes says who sends a message on; *routing.Table is one.
type Routes interface {
	Route(routing.Query) routing.Decision
	// Restricted reports whether Route may refuse anything at all.
	Restricted() bool
}

// checkRoute asks, for one recipient, whether any Send connector would take the
// message, as far as it is known by now: better the client is told than that a
// notification goes to a sender who may be forged. A size of zero is not known.
func (s *session) checkRoute(to message.Address, size int64) *wire.Reply {
	r := s.snapshot.routes
	if r == nil || !r.Restricted() {
		return nil
	}
	return routeReply(r.Route(routing.Query{Sender: s.tx.envelope.From, Recipient: to, Size: size, Source: s.connector.Name}))
}

// checkRoutes asks the same of the whole message for all its recipients. It is
// refused when nobody would get it; those whom others get it beside are told of
// in a notification.
func (s *session) checkRoutes(e *message.Envelope) *wire.Reply {
	r := s.snapshot.routes
	if r == nil || !r.Restricted() {
		return nil
	}
	var first *wire.Reply
	for i := range e.Recipients {
		refusal := routeReply(r.Route(routing.QueryFor(e, nil, i)))
		if refusal == nil {
			return nil
		}
		if first == nil {
			first = refusal
		}
	}
	return first
}

// routeReply is what a client is told of a decision; nil when the message goes
// on, or waits.
func routeReply(d routing.Decision) *wire.Reply {
	if !d.Problem.Refuses() {
		return nil
	}
	r := wire.NewReply(d.Reply.Code, d.Reply.Enhanced, d.Reply.Text).WithLog(d.Reason)
	r.Rule = ruleRoute + "." + d.Problem.String()
	if d.Problem == routing.ProblemSize {
		r = limited(r, limitRouteSize)
	}
	return r
}
