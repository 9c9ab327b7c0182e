package review

import (
	"errors"
	"slices"
	"strings"
	"time"

	"postern/logs"
)

// refused tells the stories of the messages that were refused at the end of their
// content, of which the agent log alone has the Message-ID, newest first; the
// protocol log adds their sessions. Without an agent log there are none.
func (f *finder) refused() ([]*Trace, error) {
	groups, err := f.refusals()
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	const slack = 10 * time.Minute // a reply may be held back in a tarpit
	q := &Query{Since: groups[len(groups)-1][0].Time.Add(-slack), Until: groups[0][0].Time.Add(slack), Lines: f.options.Lines}
	for _, g := range groups {
		if id := g[0].Session; id != "" && !slices.Contains(q.Sessions, id) {
			q.Sessions = append(q.Sessions, id)
		}
	}
	sessions, err := f.sessions(q)
	if err != nil && !errors.Is(err, ErrNoLogs) {
		return nil, err
	}
	var list []*Trace
	for _, g := range groups {
		list = append(list, traceOfRefusal(g, sessions))
	}
	return list, nil
}

// refusals reads the lines of the agent log that have the Message-ID, newest
// first: those of one message, one for each recipient, together.
func (f *finder) refusals() (groups [][]*logs.AgentLine, err error) {
	const together = time.Second
	lines := 0
	for l, err := range f.src.Agent(f.ctx, &Query{Names: f.names, Since: f.options.Since, Until: f.options.Until}, f.progress) {
		if errors.Is(err, ErrNoLogs) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if l.MessageID == "" || !slices.Contains(f.names, l.MessageID) || replyClass(l.Response) == "" {
			continue
		}
		if lines++; lines > maxTraceLines {
			f.more = true
			break
		}
		at := slices.IndexFunc(groups, func(g []*logs.AgentLine) bool {
			return g[0].Session == l.Session && g[0].Response == l.Response && g[0].Time.Sub(l.Time) < together
		})
		switch {
		case at >= 0:
			groups[at] = append(groups[at], l)
		case len(groups) == f.options.Limit:
			f.more = true
			return groups, nil
		default:
			groups = append(groups, []*logs.AgentLine{l})
		}
	}
	return groups, nil
}

// traceOfRefusal makes the story of a message that was refused from its lines in
// the agent log, newest first, and from its session where that is known.
func traceOfRefusal(lines []*logs.AgentLine, sessions []*Session) *Trace {
	l := lines[0]
	t := &Trace{MessageID: l.MessageID, Untracked: true, Recipients: []RecipientTrace{}, Steps: []Step{}, SessionIDs: []string{}}
	said := Transaction{Time: l.Time, End: l.Time, From: strings.TrimSuffix(strings.TrimPrefix(l.P1From, "<"), ">"), Reply: l.Response}
	for _, one := range slices.Backward(lines) {
		if one.Recipient != "" {
			said.To = append(said.To, Recipient{Address: one.Recipient})
		}
	}
	s, m := transactionOf(l, sessions)
	if s == nil {
		s = &Session{ID: l.Session, Direction: logs.Receive, Start: l.Time, End: l.Time, Remote: l.Remote}
		m = &said
	} else {
		t.ID, t.Sessions = m.QueueID, []*Session{s}
		whole := *m
		if m = &whole; replyClass(m.Reply) == "" { // the end of the session is not in the log
			m.Reply, m.End = said.Reply, said.End
		}
		if len(m.To) == 0 {
			m.To = said.To
		}
	}
	t.arrivedIn(s, m, false)
	if len(t.Sessions) == 0 {
		t.Arrival.Began, t.Arrival.TLSKnown = time.Time{}, false
		if t.Arrival.Client == "" {
			t.Arrival.Client = l.EnteredOrgFromIP
		}
	}
	t.Steps[0].Reason = strings.TrimSpace(strings.Join([]string{l.Agent + ":", l.Reason, l.ReasonData}, " "))
	t.finish()
	return t
}

// transactionOf finds the transaction that a line of the agent log is about: the
// last that had begun by then and was not accepted, with the same reply if one
// has it. Both are nil where it is not known.
func transactionOf(l *logs.AgentLine, sessions []*Session) (s *Session, m *Transaction) {
	for _, one := range sessions {
		if one.ID != l.Session || one.Direction != logs.Receive {
			continue
		}
		for i := range one.Messages {
			c := &one.Messages[i]
			if c.Accepted || c.Time.After(l.Time) || m != nil && m.Reply == l.Response && c.Reply != l.Response {
				continue
			}
			s, m = one, c
		}
	}
	return s, m
}
