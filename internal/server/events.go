package server

import (
	"context"
	"log/slog"
	"strings"

	"postern/internal/eventid"
	"postern/queue"
	"postern/routing"
)

// maxNamed is how many recipients an event names; the rest are counted.
const maxNamed = 3

// onEvent writes message tracking, and to the event log what an administrator
// must not have to look for: mail that is late, refused, or without a way to its
// recipient.
func (s *Server) onEvent(e queue.Event) {
	s.track(e)
	switch e.Kind {
	case queue.Delivered:
		s.outflow.count(&e)
		s.debugDelivered(&e)
	case queue.Submitted:
		s.debugSubmitted(&e)
	case queue.Deferred:
		s.report(slog.LevelWarn, "message deferred", eventid.MessageDeferred, e, "tries", e.Outcome.Tries, "next_try", e.Outcome.Due)
	case queue.Failed:
		s.report(slog.LevelWarn, "message refused", eventid.MessageRefused, e)
	case queue.Expired:
		s.report(slog.LevelWarn, "message expired", eventid.MessageExpired, e)
	case queue.Suppressed:
		s.report(slog.LevelWarn, "the sender is not told", eventid.SenderNotTold, e, "delay", e.Delay, "relayed", e.Relayed, "reason", e.Reason)
	case queue.Notified:
		s.log(eventid.Queue).Info("notification sent", eventid.NotificationSent.Attr(), "id", e.ID.String(), "to", e.Envelope.From.String(),
			"notification", e.Notification.String(), "delay", e.Delay, "relayed", e.Relayed)
	case queue.MessageSuspended, queue.Resumed, queue.Redirected, queue.Resubmitted:
		s.log(eventid.Queue).Info("message "+e.Kind.String(), eventid.MessageOrdered.Attr(), "id", e.ID.String(), "from", e.Envelope.From.String(), "by", e.By, "redirected_to", e.Standing.Redirect)
	case queue.Removed:
		s.report(slog.LevelWarn, "message removed", eventid.MessageRemoved, e, "by", e.By)
	case queue.FallenBack:
		s.report(slog.LevelWarn, "the fallback of a Send connector takes over", eventid.FallbackTakesOver, e, "fallback", e.Fallback, "tries", e.Outcome.Tries)
	case queue.Poisoned:
		s.log(eventid.Queue).Error("message parked in the poison queue; look into it, then resume or remove it", eventid.MessagePoisoned.Attr(), "id", e.ID.String(),
			"from", e.Envelope.From.String(), "panics", e.Standing.Panics)
	}
	if s.options.OnEvent != nil {
		s.options.OnEvent(e)
	}
}

func (s *Server) report(level slog.Level, text string, id eventid.ID, e queue.Event, more ...any) {
	attrs := []any{"id", e.ID.String(), "from", e.Envelope.From.String(), "to", recipients(e)}
	if e.Hop.Connector != "" {
		attrs = append(attrs, "connector", e.Hop.Connector, "next_hop", e.Hop.Domain)
	}
	if e.Outcome.RemoteMTA != "" {
		attrs = append(attrs, "host", e.Outcome.RemoteMTA)
	}
	if reply := e.Outcome.Reply; reply.Code != 0 {
		attrs = append(attrs, "reply", reply.String())
		reply.Text = "" // it is often another for each message, and the codes tell reasons apart
		attrs = append(attrs, "status", reply.String())
	}
	s.log(eventid.Queue).Log(context.Background(), level, text, append([]any{id.Attr()}, append(attrs, more...)...)...)
}

// recipients names the recipients of an event, the first few by address.
func recipients(e queue.Event) string {
	var names []string
	for n, i := range e.Outcome.Recipients {
		if n == maxNamed {
			names = append(names, "...")
			break
		}
		names = append(names, e.Envelope.Recipients[i].Address.String())
	}
	return strings.Join(names, " ")
}

// track writes message tracking. Of a new message it looks where it goes, and
// says for whom there is no Send connector: it waits until the configuration
// changes.
func (s *Server) track(e queue.Event) {
	table := s.table.Load()
	var routes routesOf
	if e.Kind == queue.Submitted {
		for i, r := range e.Envelope.Recipients {
			d := table.Route(routing.QueryFor(e.Envelope, nil, i))
			routes.add(d)
			if d.Problem == routing.ProblemNoConnector {
				s.log(eventid.Queue).Warn("message waits in the Unreachable queue", eventid.MessageUnreachable.Attr(), "id", e.ID.String(),
					"from", e.Envelope.From.String(), "to", r.Address.String(), "reply", d.Reply.String(), "reason", d.Reason)
			}
		}
	}
	s.tracker.event(e, &routes, table.Generation())
}
