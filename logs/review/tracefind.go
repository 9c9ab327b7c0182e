package review

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/logs"
)

// TraceOptions say which stories are wanted.
type TraceOptions struct {
	// Since and Until choose messages that something happened to in this time;
	// zero is no bound. Of those, the whole story is told.
	Since, Until time.Time
	// Limit is how many messages of one Message-ID are told at most; 0 means
	// DefaultTraces.
	Limit int
	// Lines asks for the lines of the sessions.
	Lines bool
}

const (
	// DefaultTraces is how many messages of one Message-ID are told.
	DefaultTraces = 10
	// maxTraceLines is how many lines of message tracking make one search, and
	// maxTraceSessions how many sessions: a message with thousands of attempts
	// is told by the latest.
	maxTraceLines    = 50000
	maxTraceSessions = 1000
	// maxNotifications is how many notifications of a message are told.
	maxNotifications = 20
)

// Traces is what FindTraces found.
type Traces struct {
	Messages []*Trace `json:"messages"`
	// More says that there are further messages, older ones, or further lines.
	More bool `json:"more"`
}

// FindTraces tells the stories of the messages that have a queue id or a
// Message-ID, the newest first: message tracking says what happened, and the
// protocol logs add the sessions. Where message tracking has nothing, the
// protocol logs alone are asked, and then the agent log, for what was refused. The
// name may lack its angle brackets.
func FindTraces(ctx context.Context, src Source, name string, o TraceOptions, p *Progress) (*Traces, error) {
	if o.Limit <= 0 {
		o.Limit = DefaultTraces
	}
	f := &finder{ctx: ctx, src: src, progress: p, options: o, name: name}
	f.names = []string{name}
	if strings.Contains(name, "@") && !strings.HasPrefix(name, "<") {
		f.names = []string{"<" + name + ">"}
	} else if id := strings.ToUpper(name); id != name && !strings.Contains(name, "@") { // queue ids are in capitals
		f.names = append(f.names, id)
	}
	untracked := f.tracking()
	if untracked != nil && !errors.Is(untracked, ErrNoLogs) {
		return nil, untracked
	}
	found, err := f.build()
	if err != nil {
		return nil, err
	}
	if len(found.Messages) == 0 {
		if found, err = f.unaccepted(untracked); err != nil {
			return nil, err
		}
	} else if err := f.addSessions(found.Messages); err != nil && !errors.Is(err, ErrNoLogs) {
		return nil, err // but that there are no protocol logs, and so no sessions to tell of
	}
	found.More = f.more
	escapeTexts(found)
	return found, nil
}

// finder is one search.
type finder struct {
	ctx      context.Context
	src      Source
	progress *Progress
	options  TraceOptions
	name     string
	names    []string
	// groups are the lines of message tracking by message, newest first; order
	// has the messages, the one with the latest line first.
	groups map[string][]*logs.Tracking
	order  []string
	more   bool
}

// groupOf is what the lines of one message have in common.
func groupOf(t *logs.Tracking) string { return cmp.Or(t.InternalID, t.MessageID) }

// tracking reads the lines of the messages and of the notifications about them.
func (f *finder) tracking() error {
	f.groups = make(map[string][]*logs.Tracking)
	q := &Query{Names: f.names}
	wanted := make(map[string]bool)
	lines := 0
	for t, err := range f.src.Tracking(f.ctx, q, f.progress) {
		if err != nil {
			return err
		}
		if !slices.Contains(f.names, t.InternalID) && !slices.Contains(f.names, t.MessageID) && !slices.Contains(f.names, t.Reference) {
			continue
		}
		if lines++; lines > maxTraceLines {
			f.more = true
			break
		}
		id := groupOf(t)
		if _, ok := f.groups[id]; !ok {
			f.order = append(f.order, id)
		}
		f.groups[id] = append(f.groups[id], t)
		if q := (&Query{Since: f.options.Since, Until: f.options.Until}); q.within(t.Time, t.Time) {
			wanted[id] = true
		}
	}
	// A notification that only refers to the message is told within its story.
	f.order = slices.DeleteFunc(f.order, func(id string) bool {
		t := f.groups[id][0]
		about := !slices.Contains(f.names, t.InternalID) && !slices.Contains(f.names, t.MessageID)
		return about || !wanted[id] && !f.refers(id, wanted)
	})
	if len(f.order) > f.options.Limit {
		f.order, f.more = f.order[:f.options.Limit], true
	}
	return nil
}

// refers tells whether a notification that is wanted is about a message.
func (f *finder) refers(id string, wanted map[string]bool) bool {
	for other, list := range f.groups {
		if wanted[other] && list[0].Reference == id {
			return true
		}
	}
	return false
}

// build makes the stories of what message tracking has.
func (f *finder) build() (*Traces, error) {
	found := &Traces{Messages: []*Trace{}, More: f.more}
	for _, id := range f.order {
		found.Messages = append(found.Messages, newTrace(f.groups[id]))
	}
	if len(found.Messages) == 0 {
		return found, nil
	}
	// By its Message-ID a message was found without the lines that only refer
	// to its queue id.
	if err := f.references(found.Messages); err != nil {
		return nil, err
	}
	return found, nil
}

// references adds the notifications about the messages, and their own stories.
func (f *finder) references(list []*Trace) error {
	// Exchange refers to a message by its Message-ID.
	var ids, names []string
	for _, t := range list {
		for _, name := range []string{t.ID, t.MessageID} {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		ids = append(ids, t.ID)
	}
	about, err := f.linesOf(names, func(t *logs.Tracking) bool {
		of, _ := reportOf(t)
		return of != "" && slices.Contains(names, of)
	})
	if err != nil {
		return err
	}
	var made []string
	add := func(id string) {
		if id != "" && !slices.Contains(made, id) && !slices.Contains(ids, id) && len(made) < maxNotifications*len(list) {
			made = append(made, id)
		}
	}
	for _, t := range slices.Backward(about) {
		add(groupOf(t))
	}
	for _, t := range list {
		for _, s := range t.Steps {
			add(s.Notification)
		}
	}
	own, err := f.linesOf(made, func(t *logs.Tracking) bool { return slices.Contains(made, t.InternalID) })
	if err != nil {
		return err
	}
	byID := make(map[string][]*logs.Tracking)
	for _, t := range own {
		byID[groupOf(t)] = append(byID[groupOf(t)], t)
	}
	for _, t := range list {
		for _, id := range made {
			t.addNotification(id, byID[id])
		}
		t.finish()
	}
	return nil
}

// linesOf reads the lines that name one of some ids, newest first.
func (f *finder) linesOf(ids []string, keep func(*logs.Tracking) bool) ([]*logs.Tracking, error) {
	var list []*logs.Tracking
	if len(ids) == 0 {
		return nil, nil
	}
	for t, err := range f.src.Tracking(f.ctx, &Query{Names: ids}, f.progress) {
		if err != nil {
			return nil, err
		}
		if !keep(t) {
			continue
		}
		if list = append(list, t); len(list) == maxTraceLines {
			f.more = true
			break
		}
	}
	return list, nil
}

// addSessions adds to each story the sessions that the message had a part in.
func (f *finder) addSessions(list []*Trace) error {
	var all []*Trace
	var names []string
	from, until := time.Time{}, time.Time{}
	for _, t := range list {
		all = append(all, t)
		all = append(all, t.Notifications...)
	}
	for _, t := range all {
		if t.ID != "" {
			names = append(names, t.ID)
		}
		for _, s := range t.Steps {
			if from.IsZero() || s.At.Before(from) {
				from = s.At
			}
			if s.At.After(until) {
				until = s.At
			}
		}
	}
	const slack = 10 * time.Minute // a session goes on when its message is done
	q := Query{Since: from.Add(-slack), Until: until.Add(slack), Lines: f.options.Lines}
	byName := q
	byName.Names = names
	found, err := f.sessions(&byName)
	if err != nil {
		return err
	}
	// Those that never came to the message, as without a connection, are
	// known by their ids.
	var missing []string
	for _, t := range all {
		for _, id := range t.SessionIDs {
			if !slices.ContainsFunc(found, func(s *Session) bool { return s.ID == id }) && !slices.Contains(missing, id) {
				missing = append(missing, id)
			}
		}
	}
	if len(missing) > 0 {
		byID := q
		byID.Sessions = missing
		rest, err := f.sessions(&byID)
		if err != nil {
			return err
		}
		found = append(found, rest...)
	}
	slices.SortStableFunc(found, func(a, b *Session) int { return a.Start.Compare(b.Start) })
	for _, t := range all {
		t.addSessions(found)
	}
	return nil
}

func (f *finder) sessions(q *Query) ([]*Session, error) {
	var list []*Session
	if len(q.Names) == 0 && len(q.Sessions) == 0 {
		return nil, nil
	}
	for s, err := range f.src.Sessions(f.ctx, q, f.progress) {
		if err != nil {
			return nil, err
		}
		if list = append(list, s); len(list) == maxTraceSessions {
			f.more = true
			break
		}
	}
	return list, nil
}

// unaccepted tells the stories of what message tracking has nothing of, by the
// protocol logs or, where a Message-ID is not in them, by the agent log.
func (f *finder) unaccepted(noTracking error) (*Traces, error) {
	found, err := f.untracked(noTracking)
	if err != nil && !errors.Is(err, ErrNoLogs) || err == nil && len(found.Messages) > 0 {
		return found, err
	}
	list, agentErr := f.refused()
	switch {
	case agentErr != nil:
		return nil, agentErr
	case len(list) > 0:
		return &Traces{Messages: list}, nil
	}
	return found, err
}

// untracked tells the stories by the protocol logs alone. Where there are none,
// either, that there was no message tracking is the error, if there was one.
func (f *finder) untracked(noTracking error) (*Traces, error) {
	q := &Query{Names: f.names, Since: f.options.Since, Until: f.options.Until, Lines: f.options.Lines}
	found, err := f.sessions(q)
	switch {
	case errors.Is(err, ErrNoLogs) && noTracking == nil: // it has been asked, and has nothing
		return &Traces{Messages: []*Trace{}}, nil
	case err != nil:
		return nil, errors.Join(noTracking, err)
	}
	ids := []string{}
	for _, s := range found { // newest first
		for i := range s.Messages {
			m := &s.Messages[i]
			if m.QueueID != "" && !slices.Contains(ids, m.QueueID) && (slices.Contains(f.names, m.QueueID) || slices.Contains(f.names, m.MessageID)) {
				ids = append(ids, m.QueueID)
			}
		}
	}
	if len(ids) > f.options.Limit {
		ids, f.more = ids[:f.options.Limit], true
	}
	if len(ids) > 0 && !slices.Contains(f.names, ids[0]) { // the other sessions have the queue id alone
		q := *q
		q.Names, q.Since, q.Until = ids, time.Time{}, time.Time{}
		if found, err = f.sessions(&q); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, func(a, b *Session) int { return a.Start.Compare(b.Start) })
	list := &Traces{Messages: []*Trace{}, More: f.more}
	for _, id := range ids {
		list.Messages = append(list.Messages, traceOfSessions(id, found))
	}
	return list, nil
}
