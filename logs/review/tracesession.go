package review

import (
	"slices"

	"postern/logs"
)

// traceOfSessions makes the story of a message that message tracking has not,
// from the sessions that name it, oldest first.
func traceOfSessions(id string, all []*Session) *Trace {
	t := &Trace{ID: id, Untracked: true, Recipients: []RecipientTrace{}, Steps: []Step{}, SessionIDs: []string{}}
	for _, s := range all {
		for i := range s.Messages {
			m := &s.Messages[i]
			if m.QueueID != id {
				continue
			}
			if t.MessageID == "" {
				t.MessageID = m.MessageID
			}
			if !slices.Contains(t.SessionIDs, s.ID) {
				t.SessionIDs, t.Sessions = append(t.SessionIDs, s.ID), append(t.Sessions, s)
			}
			if s.Direction == logs.Receive {
				t.arrivedIn(s, m, wasSent(id, all))
			} else {
				t.sentIn(s, m)
			}
		}
	}
	t.finish()
	return t
}

// wasSent tells whether a session towards a next hop names a message: then it was
// accepted, whatever the log has of its arrival.
func wasSent(id string, all []*Session) bool {
	return slices.ContainsFunc(all, func(s *Session) bool { return s.Direction == logs.Send && slices.Contains(s.QueueIDs(), id) })
}

// arrivedIn adds the transaction in which the message came, or was to come.
func (t *Trace) arrivedIn(s *Session, m *Transaction, sent bool) {
	t.Sender, t.Octets = m.From, m.Octets
	step := Step{At: m.End, Kind: StepReceived, Connector: s.ConnectorName(), Session: s.ID, Host: s.HELO, TLS: s.TLS}
	switch {
	case m.Accepted || sent:
	case replyClass(m.Reply) != "":
		step.Kind = StepRefused
	case s.Open: // it is on its way, or its end is not in the log
		step.Kind = StepReceiving
		step.Reason = "The reply to its content is not in the log: the session goes on, or the end of its log is missing."
	default:
		step.Kind = StepAborted
		step.Reason = "The connection was lost, or the client broke off, before the end of the message; it was never accepted."
		if s.Outcome == Broken {
			step.At, step.Context = s.End, s.Reply
		}
	}
	if m.Reply != "" {
		step.Replies = []string{m.Reply}
	}
	t.Arrival = &Arrival{
		At: step.At, Connector: s.ConnectorName(), Session: s.ID, Began: s.Start, HELO: s.HELO, User: s.User, TLS: s.TLS, TLSKnown: true, Reply: m.Reply,
	}
	if s.Remote.IsValid() {
		t.Arrival.Client = s.Remote.Addr().String()
		step.Address = t.Arrival.Client
	}
	for _, r := range m.To {
		if replyClass(r.Reply) == "" {
			step.Recipients = append(step.Recipients, r.Address)
		}
	}
	t.Steps = append(t.Steps, step)
}

// sentIn adds a transaction with a next hop: one step for each end that its
// recipients met in it.
func (t *Trace) sentIn(s *Session, m *Transaction) {
	if t.Sender == "" {
		t.Sender = m.From
	}
	whole := attemptOf(&Session{ID: s.ID, Connector: s.Connector, TLS: s.TLS, Start: s.Start, Remote: s.Remote, Local: s.Local, Messages: []Transaction{*m}}, m.QueueID)
	whole.At = m.End
	steps := map[StepKind]*Step{}
	for i, address := range whole.Recipients {
		kind := StepFailed
		switch reply := whole.Replies[i]; {
		case reply == "" || replyClass(reply) == "4xx":
			kind = StepDeferred
		case reply[0] == '2':
			kind = StepDelivered
		}
		step := steps[kind]
		if step == nil {
			one := whole
			one.Kind, one.Recipients, one.Replies = kind, nil, nil
			step = &one
			steps[kind] = step
		}
		step.Recipients, step.Replies = append(step.Recipients, address), append(step.Replies, whole.Replies[i])
	}
	for _, kind := range []StepKind{StepDelivered, StepDeferred, StepFailed} {
		if step := steps[kind]; step != nil {
			t.Steps = append(t.Steps, *step)
		}
	}
	if len(steps) == 0 {
		t.Steps = append(t.Steps, whole)
	}
}
