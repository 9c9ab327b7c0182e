package queue

import (
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// MessageInfo describes one message.
type MessageInfo struct {
	spool.Entry
	// Queues names, for each recipient, the delivery queue that it stands in;
	// empty for those that are final.
	Queues []string
	// Begun has the names of the queues in which it is being delivered just now,
	// with when that began.
	Begun map[string]time.Time
	// Status is that of the message as a whole, NextTry when one of its
	// recipients is tried next as far as the clock decides that, Expires when
	// it is given up; zero when they do not apply.
	Status           MessageStatus
	NextTry, Expires time.Time
	// Routes has, for each recipient still to be delivered, what the router says
	// of it now; zero for the others. Generation is that of the router by which
	// the message was last routed: they are counted from the start, which is 1;
	// zero when that is not known. Table is the name by which that router calls
	// its configuration, Current that of the one in force; empty where it is not
	// known.
	Routes         []routing.Decision
	Generation     uint32
	Table, Current string
	// Fallbacks has, for each recipient for whom a fallback may take over, when
	// and after how many tries in all it does, as far as the recipient itself
	// decides.
	Fallbacks []Takeover
}

// Takeover is when a fallback takes over for a recipient. A zero At never comes
// about, nor does a Tries of zero.
type Takeover struct {
	At    time.Time
	Tries int64
}

// Show describes one message with all its recipients. The error is the
// spool's: ErrNotFound when there is no such message.
func (q *Queue) Show(id message.ID) (MessageInfo, error) {
	f, err := q.acquire(id)
	if err != nil {
		return MessageInfo{}, err
	}
	defer q.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	st := cloneState(f.state)
	info := MessageInfo{Entry: spool.Entry{ID: id, Envelope: f.envelope, State: st, Size: f.size}}
	info.Queues = make([]string, len(st.Recipients))
	info.Routes = make([]routing.Decision, len(st.Recipients))
	at := q.locate([]message.ID{id})[id]
	q.mu.Lock()
	router, s := q.settings.Router, q.schedule
	info.Current = q.generations[q.gen%kept].name
	split := q.splits[id]
	for _, i := range st.Pending() {
		switch {
		case split != nil && split[i] != nil:
			info.Queues[i] = split[i].title()
		case split == nil && at != nil && len(at.queues) > 0: // it stands in one queue alone
			info.Queues[i] = at.queues[0].title()
		}
	}
	info.Begun = make(map[string]time.Time, len(f.begun))
	for _, b := range f.begun {
		info.Begun[b.to.title()] = b.at
	}
	q.mu.Unlock()
	info.Fallbacks = make([]Takeover, len(st.Recipients))
	for _, i := range st.Pending() {
		info.Routes[i] = ask(router, f.envelope, st, i)
		info.Fallbacks[i] = q.takeover(info.Routes[i].Fallback, &st.Recipients[i], f.envelope)
	}
	if at != nil {
		info.Status, info.Generation = status(st, at), at.gen
		q.mu.Lock()
		if g := q.generations[at.gen%kept]; g.gen == at.gen {
			info.Table = g.name
		}
		q.mu.Unlock()
		info.NextTry, info.Expires = q.times(at, st, &s)
	}
	return info, nil
}

// ask asks the router about one recipient. A panic is no answer.
func ask(r Router, e *message.Envelope, st *message.State, i int) (d routing.Decision) {
	defer func() {
		if recover() != nil {
			d = routing.Decision{Reason: "the router panics about this recipient"}
		}
	}()
	return r.Route(routing.QueryFor(e, st, i))
}
