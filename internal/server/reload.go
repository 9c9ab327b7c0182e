package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/routing"
	"postern/send"
	ptls "postern/tls"
)

// ErrInvalid says that a configuration was not put in force because it has
// errors.
var ErrInvalid = errors.New("the configuration has errors")

// refusedReload is a reload that did not come to be, and why.
type refusedReload struct {
	at  time.Time
	err error
}

// ReloadRefused is why the latest reload was refused, and when; nil when it was
// not, and when there was none.
func (s *Server) ReloadRefused() (time.Time, error) {
	if r := s.refused.Load(); r != nil {
		return r.at, r.err
	}
	return time.Time{}, nil
}

// Reload reads the configuration again and puts it in force at once for new
// sessions and deliveries; open sessions keep the one they began with. When it
// has errors nothing changes, and the findings say why. Keys that hold only
// after a restart are named among the changes and keep their old value until
// then. by is who gave the order, for the event log.
func (s *Server) Reload(ctx context.Context, by string) ([]config.Change, []config.Finding, *config.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, findings, next, err := s.reload()
	findings = config.Urgent(findings)
	for _, f := range findings {
		s.log(eventid.Config).Warn("the configuration deserves a look", eventid.ConfigurationFinding.Attr(), "finding", f.Format(f.In(next)))
	}
	if err != nil {
		s.refused.Store(&refusedReload{time.Now(), err})
		s.log(eventid.Config).Error("not reloaded; the running configuration stays in force", eventid.NotReloaded.Attr(), "file", s.options.File, "by", by, "error", err)
		return nil, findings, next, err
	}
	s.refused.Store(nil)
	for _, c := range changes {
		s.log(eventid.Config).Info("configuration changed", eventid.ConfigurationChanged.Attr(), "key", c.Path, "old", c.Old, "new", c.New, "needs_restart", c.Restart, "by", by)
	}
	s.log(eventid.Config).Info("reloaded", eventid.Reloaded.Attr(), "file", s.options.File, "changes", len(changes), "by", by)
	return changes, findings, next, nil
}

func (s *Server) reload() ([]config.Change, []config.Finding, *config.Config, error) {
	if s.options.Load == nil {
		return nil, nil, nil, errors.New("this gateway was started without a configuration file; there is nothing to read again")
	}
	next, findings, err := s.options.Load()
	if err != nil {
		return nil, findings, nil, err
	}
	if next == nil || config.HasErrors(findings) {
		return nil, findings, next, ErrInvalid
	}
	read, faults := next.ReadLists() // whoever loads it may know nothing of files
	if read == nil {
		return nil, append(findings, faults...), next, ErrInvalid
	}
	next = read
	table, faults := routing.New(next)
	if table == nil {
		return nil, append(findings, faults...), next, ErrInvalid
	}
	if err := s.certs.Configure(next); err != nil {
		return nil, findings, next, fmt.Errorf("certificates: %w", err)
	}
	intake, err := s.receiveSnapshot(next, table)
	if err != nil {
		return nil, findings, next, err
	}
	if err := s.journals.configure(next); err != nil {
		return nil, findings, next, err
	}
	s.tracker.configure(next)
	changes := s.changes(next)
	s.names.configure(next.DNS)
	s.table.Store(table)
	s.sender.Configure(next)
	s.queue.Reconfigure(queueSettings(next, s.router(table)))
	s.pressure.Configure(next.BackPressure)
	if s.options.Events != nil {
		s.options.Events.Configure(next.Logs.Event)
	}
	s.receive.Configure(intake)
	s.pickup.Configure(pickupSettings(next, table))
	s.exporter.Configure(next.Metrics.Address)
	s.config = next
	s.logRoutes("reload", changes)
	return changes, slices.Concat(findings, send.CheckKeys(next), send.CheckSources(next), ptls.CheckFiles(next), ptls.CheckReceive(next)), next, nil
}

// changes tells what changes with a configuration: against the one before it,
// but for keys that hold only after a restart, against the one that the gateway
// was started with. So they are named until it is restarted.
func (s *Server) changes(next *config.Config) []config.Change {
	atOnce := slices.DeleteFunc(next.Diff(s.config), func(c config.Change) bool { return c.Restart })
	later := slices.DeleteFunc(next.Diff(s.options.Config), func(c config.Change) bool { return !c.Restart })
	return append(atOnce, later...)
}
