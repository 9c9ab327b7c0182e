package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/routing"
)

const (
	// listInterval is how often the files of entries are looked at. What has
	// changed is read once two looks in a row found it the same, since who
	// writes it may be under way.
	listInterval = time.Second
	// listShare bounds the time that looking takes: a fiftieth.
	listShare = 50
	// listAgain is how often a file that can't be used is read again although it
	// looks the same: what is wrong may be the right to read it.
	listAgain = 30 * time.Second
	// maxToldFaults is how many faults of a file the event log names.
	maxToldFaults = 5
)

// lists keeps an eye on the files of entries that the configuration names. One
// goroutine owns everything in it from start to stop.
type lists struct {
	files  func() []string
	apply  func() []config.Finding // reads them; the findings say why that was in vain
	logger *slog.Logger

	applied, seen marks
	failed        string    // what was told last
	failedAt      time.Time // when that was tried last; zero when the files are in force

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// marks tell the state of each file; nil where there is none.
type marks map[string]fs.FileInfo

func lookAt(files []string) marks {
	m := make(marks, len(files))
	for _, path := range files {
		m[path] = nil
		if info, err := os.Stat(path); err == nil {
			m[path] = info
		}
	}
	return m
}

func (m marks) equal(o marks) bool {
	return maps.EqualFunc(m, o, func(a, b fs.FileInfo) bool {
		if a == nil || b == nil {
			return a == nil && b == nil
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
	})
}

// start begins to look. What is applied already was so when the files looked
// like that.
func (l *lists) start(applied marks) {
	l.applied = applied
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.done.Go(func() { l.run(ctx) })
}

// stop ends it. It may be called without a start.
func (l *lists) stop() {
	if l.cancel != nil {
		l.cancel()
		l.done.Wait()
	}
}

func (l *lists) run(ctx context.Context) {
	timer := time.NewTimer(listInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		l.look()
		timer.Reset(max(listInterval, listShare*time.Since(began)))
	}
}

// look applies what has changed and is settled.
func (l *lists) look() {
	now := lookAt(l.files())
	settled := now.equal(l.seen)
	l.seen = now
	again := !l.failedAt.IsZero() && time.Since(l.failedAt) >= listAgain
	if !settled || now.equal(l.applied) && !again {
		return
	}
	l.applied = now
	findings := l.apply()
	if !config.HasErrors(findings) {
		if l.failed != "" {
			l.logger.Info("the files of address spaces and senders can be used again", eventid.ListsUsable.Attr())
		}
		l.failed, l.failedAt = "", time.Time{}
		return
	}
	l.failedAt = time.Now()
	if text := faults(findings); text != l.failed {
		l.failed = text
		l.logger.Error("a file of address spaces or senders can't be used; mail is routed as before until it is mended", eventid.ListsUnusable.Attr(), "error", text)
	}
}

// faults names the errors among findings, the first few.
func faults(findings []config.Finding) string {
	var lines []string
	n := 0
	for _, f := range findings {
		if f.Severity != config.Error {
			continue
		}
		if n++; n <= maxToldFaults {
			lines = append(lines, f.Format(f.Position))
		}
	}
	if n > maxToldFaults {
		lines = append(lines, "and more")
	}
	return strings.Join(lines, "; ")
}

// readLists reads the files that the configuration names, and prepares to watch
// them.
func (s *Server) readLists() error {
	s.lists = lists{files: s.listFiles, apply: s.applyLists, logger: s.log(eventid.Routing)}
	s.read = lookAt(s.config.ListFiles())
	next, findings := s.config.ReadLists()
	if next == nil {
		return errors.New(faults(findings))
	}
	s.config = next
	return nil
}

// listFiles names the files of the configuration in force.
func (s *Server) listFiles() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.ListFiles()
}

// applyLists reads the files of the configuration in force again and routes by
// them. When they can't be used nothing changes, and the findings say why.
func (s *Server) applyLists() []config.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, findings := s.config.ReadLists()
	if next == nil {
		return findings
	}
	table, findings := routing.New(next)
	if table == nil {
		return located(findings, next)
	}
	s.config = next
	if table.Generation() == s.table.Load().Generation() {
		return nil
	}
	s.table.Store(table)
	s.logRoutes("lists", nil)
	s.queue.Reconfigure(queueSettings(next, s.router(table)))
	s.log(eventid.Routing).Info("address spaces or senders were read again from their files; mail is routed by them", eventid.RoutedAnew.Attr(), "generation", table.Generation())
	return nil
}

// located gives each finding its place.
func located(findings []config.Finding, cfg *config.Config) []config.Finding {
	out := slices.Clone(findings)
	for i := range out {
		out[i].Position = out[i].In(cfg)
	}
	return out
}

// routesNow are the routes in force, for sessions that are older than they.
type routesNow struct{ server *Server }

func (r routesNow) Route(q routing.Query) routing.Decision { return r.server.table.Load().Route(q) }
func (r routesNow) Restricted() bool                       { return r.server.table.Load().Restricted() }
