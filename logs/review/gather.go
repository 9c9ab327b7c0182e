package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/logs"
)

// GatherOptions say what a Bundle is to hold.
type GatherOptions struct {
	// Names are ids: of sessions, queue ids or Message-IDs, all of them whole.
	// With none, what the Query chooses is taken.
	Names []string
	// Logs are the logs that are wanted; none means those that the names or the
	// Query are about.
	Logs []logs.Kind
}

// Gather puts together what is to be handed to others: of a message its story,
// that is message tracking of it and of its notifications and the sessions that
// it went through; of a session the session; of a Query what it chooses, which is
// sessions unless other logs are asked for.
func Gather(ctx context.Context, src Source, q *Query, o GatherOptions, p *Progress) (*Bundle, error) {
	g := &gatherer{ctx: ctx, src: src, progress: p, bundle: new(Bundle), wanted: o.Logs, sessions: make(map[string]bool)}
	if len(o.Names) == 0 {
		if len(g.wanted) == 0 {
			g.wanted = []logs.Kind{logs.ReceiveProtocol, logs.SendProtocol}
		}
		return g.bundle, g.chosen(q)
	}
	for _, name := range o.Names {
		if err := g.named(name, q); err != nil {
			return g.bundle, err
		}
	}
	return g.bundle, nil
}

type gatherer struct {
	ctx      context.Context
	src      Source
	progress *Progress
	bundle   *Bundle
	wanted   []logs.Kind
	sessions map[string]bool // that the bundle has
}

func (g *gatherer) wants(k logs.Kind) bool { return len(g.wanted) == 0 || slices.Contains(g.wanted, k) }

// named adds what belongs to an id.
func (g *gatherer) named(name string, q *Query) error {
	before := g.bundle.octets
	if isSessionID(strings.ToUpper(name)) {
		if err := g.addSessions(&Query{Sessions: []string{strings.ToUpper(name)}, Lines: true}); err != nil {
			return err
		}
	}
	if g.bundle.octets == before {
		if err := g.message(name, q); err != nil {
			return err
		}
	}
	if g.bundle.octets == before {
		return fmt.Errorf("no session and no message with the id %q in these logs; ids are found whole", name)
	}
	return nil
}

// message adds the story of a message.
func (g *gatherer) message(name string, q *Query) error {
	found, err := FindTraces(g.ctx, g.src, name, TraceOptions{Since: q.Since, Until: q.Until, Lines: true}, g.progress)
	if err != nil {
		return err
	}
	var ids, sessions []string
	for _, t := range found.Messages {
		for _, one := range append([]*Trace{t}, t.Notifications...) {
			ids = append(ids, one.ID)
			sessions = append(sessions, one.SessionIDs...)
			for _, s := range one.Sessions {
				if err := g.addSession(s); err != nil {
					return err
				}
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	byID := &Query{Names: ids}
	if err := gatherAll(g, logs.MessageTracking, g.src.Tracking(g.ctx, byID, g.progress), func(t *logs.Tracking) error {
		if !slices.Contains(ids, t.InternalID) {
			return nil
		}
		return g.bundle.AddTracking(t)
	}); err != nil || len(sessions) == 0 {
		return err
	}
	return g.records(&Query{Sessions: sessions})
}

// chosen adds what a Query chooses.
func (g *gatherer) chosen(q *Query) error {
	if g.wants(logs.ReceiveProtocol) || g.wants(logs.SendProtocol) {
		withLines := *q
		withLines.Lines = true
		if err := g.addSessions(&withLines); err != nil {
			return err
		}
	}
	if err := gatherAll(g, logs.MessageTracking, g.src.Tracking(g.ctx, q, g.progress), g.bundle.AddTracking); err != nil {
		return err
	}
	return g.records(q)
}

// records adds lines of the connectivity and the agent log.
func (g *gatherer) records(q *Query) error {
	if err := gatherAll(g, logs.Connectivity, g.src.Connectivity(g.ctx, q, g.progress), g.bundle.AddConnectivity); err != nil {
		return err
	}
	return gatherAll(g, logs.Agent, g.src.Agent(g.ctx, q, g.progress), g.bundle.AddAgent)
}

func (g *gatherer) addSessions(q *Query) error {
	for s, err := range g.src.Sessions(g.ctx, q, g.progress) {
		if errors.Is(err, ErrNoLogs) && len(g.wanted) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if err := g.addSession(s); err != nil {
			return err
		}
	}
	return nil
}

func (g *gatherer) addSession(s *Session) error {
	kind := logs.ReceiveProtocol
	if s.Direction == logs.Send {
		kind = logs.SendProtocol
	}
	if !g.wants(kind) || g.sessions[s.ID] {
		return nil
	}
	g.sessions[s.ID] = true
	return g.bundle.AddSession(s)
}

// gatherAll adds the lines of one log, if it is wanted. That there is no such
// log matters only where it was asked for by name.
func gatherAll[R any](g *gatherer, k logs.Kind, list func(func(*R, error) bool), add func(*R) error) (err error) {
	if !g.wants(k) {
		return nil
	}
	list(func(r *R, failed error) bool {
		switch {
		case errors.Is(failed, ErrNoLogs) && len(g.wanted) == 0:
		case failed != nil:
			err = failed
		default:
			err = add(r)
			return err == nil
		}
		return false
	})
	return err
}
