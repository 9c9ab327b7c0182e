package server

import (
	"bytes"
	"encoding/json"
	"time"

	"postern/config"
	"postern/routing"
)

// routesLogged is one file of the routing table log.
type routesLogged struct {
	Time time.Time `json:"time"`
	// Reason is "start", "reload", or "lists" for files of entries that were
	// read again. Changes are those of the reload.
	Reason  string          `json:"reason"`
	Changes []config.Change `json:"changes,omitempty"`
	routing.Snapshot
}

// logRoutes writes the routing configuration in force to the routing table log,
// at the start and where it is another than before.
func (s *Server) logRoutes(reason string, changes []config.Change) {
	l := routesLogged{Snapshot: routing.SnapshotOf(s.config, s.table.Load())}
	now, err := json.Marshal(l)
	if err != nil || reason != "start" && bytes.Equal(now, s.routed) {
		return
	}
	s.routed = now
	l.Time, l.Reason, l.Changes = time.Now().UTC().Truncate(time.Millisecond), reason, changes
	if b, err := json.MarshalIndent(l, "", "  "); err == nil {
		s.journals.routing.Write(append(b, '\n'))
	}
}
