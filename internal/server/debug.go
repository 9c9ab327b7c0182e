package server

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/queue"
	"postern/routing"
)

// What the event log is told at the level of debugging: one event for each
// routing decision, and one for each message that comes and goes. When nobody
// wants it, it costs one question.

// router is the table that the queue asks, with an ear.
func (s *Server) router(t *routing.Table) queue.Router {
	return tracedRouter{t, s.log(eventid.Routing)}
}

// tracedRouter is a Table that tells the event log of its decisions.
type tracedRouter struct {
	*routing.Table
	logger *slog.Logger
}

// Route makes tracedRouter a queue.Router.
func (r tracedRouter) Route(q routing.Query) routing.Decision {
	d := r.Table.Route(q)
	if r.logger.Enabled(context.Background(), slog.LevelDebug) {
		r.tell(q)
	}
	return d
}

func (r tracedRouter) tell(q routing.Query) {
	d := r.Explain(q)
	attrs := []any{
		eventid.RoutingDecision.Attr(), "from", q.Sender.String(), "to", q.Recipient.String(), "size", q.Size, "source", q.Source,
		"connector", d.Connector, "address_space", d.AddressSpace, "next_hop", d.NextHop.Domain, "reason", d.Reason,
	}
	if d.Problem != routing.ProblemNone {
		attrs = append(attrs, "problem", d.Problem.String(), "reply", d.Reply.String())
	}
	if d.FallbackOf != "" {
		attrs = append(attrs, "fallback_of", d.FallbackOf)
	}
	var others []string
	for _, c := range d.Candidates {
		if c.EliminatedBy != "" {
			others = append(others, c.Name+": "+c.EliminatedBy)
		}
	}
	r.logger.Debug("a routing decision", append(attrs, "eliminated", strings.Join(others, "; "))...)
}

// debugSubmitted tells of a message that is in the queue.
func (s *Server) debugSubmitted(e *queue.Event) {
	if !s.queueLogger.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	v := e.Envelope // a notification has no session
	s.queueLogger.Debug("a message is queued", eventid.MessageQueued.Attr(), "id", e.ID.String(), "from", v.From.String(), "recipients", len(v.Recipients),
		"size", v.Size, "source", v.Origin.Connector, "session", v.Origin.Session)
}

// debugDelivered tells of recipients that a next hop has taken.
func (s *Server) debugDelivered(e *queue.Event) {
	if !s.queueLogger.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	s.queueLogger.Debug("a message is delivered", eventid.MessageDelivered.Attr(), "id", e.ID.String(), "to", recipients(*e), "connector", e.Hop.Connector,
		"next_hop", e.Hop.Domain, "host", e.Outcome.RemoteMTA, "reply", e.Outcome.Reply.String(), "tries", e.Outcome.Tries,
		"latency", e.At.Sub(e.Envelope.Arrived).Round(time.Millisecond))
}
