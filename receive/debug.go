package receive

import (
	"context"
	"log/slog"
	"time"

	"postern/internal/eventid"
)

// debugs reports whether the event log wants what is for debugging.
func (s *Server) debugs() bool { return s.logger.Enabled(context.Background(), slog.LevelDebug) }

// tellBegun tells which connector was chosen for a connection.
func (s *Server) tellBegun(x *session) {
	s.logger.Debug("a session begins", eventid.SessionBegun.Attr(), "session", x.id, "connector", x.connector.Name, "local", x.local.String(), "remote", x.remote.String())
}

// tellEnded tells what came of a session.
func (s *Server) tellEnded(x *session, began time.Time) {
	s.logger.Debug("a session ends", eventid.SessionEnded.Attr(), "session", x.id, "connector", x.connector.Name, "remote", x.remote.String(),
		"helo", x.helo, "tls", x.tls, "user", x.user, "messages", x.messages, "took", time.Since(began).Round(time.Millisecond))
}
