package server

import (
	"strings"
	"time"

	"postern/queue"
	"postern/queue/spool"
	"postern/routing"
	ptls "postern/tls"
)

// What the control socket asks of a gateway, beside Reload, Import and what
// the queue answers itself.

// Queue is the delivery queues.
func (s *Server) Queue() *queue.Queue { return s.queue }

// FQDN is the gateway's name in the configuration in force.
func (s *Server) FQDN() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Server.FQDN
}

// MaxMessageSize is server.max_message_size of the configuration in force, in
// octets.
func (s *Server) MaxMessageSize() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Server.MaxMessageSize
}

// ShutdownTimeout is server.shutdown_timeout of the configuration in force.
func (s *Server) ShutdownTimeout() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Server.ShutdownTimeout
}

// Started is when the gateway was built.
func (s *Server) Started() time.Time { return s.started }

// LinesDropped counts the lines that the logs on disk had no room for.
func (s *Server) LinesDropped() int64 {
	n := int64(0)
	for _, m := range s.metrics.Snapshot() {
		if strings.HasSuffix(m.Name, "_dropped_lines") {
			n += m.Value
		}
	}
	return n
}

// SpoolStats are the figures of the store.
func (s *Server) SpoolStats() spool.Stats { return s.store.Stats() }

// Certificates are those that peers are shown, the first to expire first.
func (s *Server) Certificates() []ptls.Shown { return s.certs.Shown() }

// Route chooses the next hop of a recipient by the configuration in force, and
// explains itself.
func (s *Server) Route(q routing.Query) routing.Decision { return s.table.Load().Route(q) }
