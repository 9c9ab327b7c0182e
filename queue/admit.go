package queue

import (
	"postern/internal/dsn"
	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// group is the recipients of a message that share a next hop.
type group struct {
	to          *destination // when it is one of those without next hop
	hop         routing.NextHop
	unreachable bool
	reply       message.Reply // why it is unreachable
	fallback    routing.Fallback
	recipients  []int
	due         int64
	deferred    bool
}

// routes asks the router for each of the recipients, nothing having happened to
// them when there is no state. Those that it refuses come back as outcomes. A
// redirect takes the place of the hosts that the router found, and nothing takes
// over from it. If the router panics, that is all that is returned.
func routes(r Router, e *message.Envelope, st *message.State, recipients []int) (groups []group, refused []message.Outcome, c *caught) {
	defer func() {
		if p := recover(); p != nil {
			groups, refused, c = nil, nil, newCaught("routing", p)
		}
	}()
	redirect := ""
	if st != nil {
		redirect = st.Standing.Redirect
	}
	for _, i := range recipients {
		d := r.Route(routing.QueryFor(e, st, i))
		if d.Problem.Refuses() {
			refused = addOutcome(refused, i, message.Outcome{Status: message.Failed, Reply: d.Reply})
			continue
		}
		unreachable := d.Problem != routing.ProblemNone
		if unreachable {
			d.NextHop = routing.NextHop{}
		} else if redirect != "" {
			d.NextHop.Kind, d.NextHop.Domain, d.Fallback = routing.SmartHost, redirect, routing.Fallback{}
		}
		g := 0
		groups, g = addToGroup(groups, i, d.NextHop, unreachable)
		if unreachable {
			groups[g].reply = d.Reply
		}
		if d.Fallback.Connector != "" {
			groups[g].fallback = d.Fallback
		}
	}
	return groups, refused, nil
}

// addToGroup adds a recipient to the group of its next hop and returns that
// group's index.
func addToGroup(groups []group, recipient int, hop routing.NextHop, unreachable bool) ([]group, int) {
	for g := len(groups) - 1; g >= 0; g-- { // from the end: neighbours tend to share a hop
		if groups[g].hop == hop && groups[g].unreachable == unreachable {
			groups[g].recipients = append(groups[g].recipients, recipient)
			return groups, g
		}
	}
	return append(groups, group{hop: hop, unreachable: unreachable, recipients: []int{recipient}}), len(groups)
}

// addOutcome adds a recipient to the outcome of the same end and tries, or
// begins a new one.
func addOutcome(list []message.Outcome, recipient int, o message.Outcome) []message.Outcome {
	for i := range list {
		l := &list[i]
		if l.Status == o.Status && l.Reply == o.Reply && l.RemoteMTA == o.RemoteMTA && l.NextHop == o.NextHop && l.Tries == o.Tries && l.Due.Equal(o.Due) {
			l.Recipients = append(l.Recipients, recipient)
			return list
		}
	}
	o.Recipients = []int{recipient}
	return append(list, o)
}

// admit queues a message that was just stored.
func (q *Queue) admit(id message.ID, e *message.Envelope) {
	q.counters.messages.Add(1)
	q.mu.Lock()
	router, gen, held := q.settings.Router, q.gen, q.submission.suspended
	q.mu.Unlock()
	all := make([]int, len(e.Recipients))
	for i := range all {
		all[i] = i
	}
	now := q.now()
	it := item{id: id, arrived: q.arrival(e), gen: gen, delayTold: !delayOwed(e, nil)}
	if held {
		q.mu.Lock()
		q.queueGroups(it, len(all), []group{{to: q.submission, recipients: all}}, now)
		q.mu.Unlock()
		return
	}
	groups, refused, panicked := routes(router, e, nil, all)
	if panicked != nil {
		// A clerk routes it again at once, and counts the panics.
		groups, it.gen = []group{{unreachable: true, recipients: all}}, 0
	}
	for g := range groups {
		groups[g].due = now
	}
	var f *flight
	if len(refused) > 0 {
		// It is locked before a worker can see it, so that nobody sees the
		// message without its refusals.
		f = &flight{id: id, refs: 1}
		f.fill(&spool.Entry{ID: id, Envelope: e, Size: e.Size})
		f.mu.Lock()
	}
	q.mu.Lock()
	if f != nil {
		q.flights[id] = f
	}
	q.queueGroups(it, len(e.Recipients), groups, now)
	q.mu.Unlock()
	if f != nil {
		events := q.conclude(f, &message.Update{At: q.wall(), Outcomes: refused}, routing.NextHop{})
		f.mu.Unlock()
		q.tell(events)
		q.release(f)
	}
}

// queueGroups makes an item for each group of a message that has none yet.
// Called with mu held.
func (q *Queue) queueGroups(it item, recipients int, groups []group, now int64) {
	var split []*destination
	if len(groups) > 1 {
		split = make([]*destination, recipients)
		q.splits[it.id] = split
	}
	for g := range groups {
		d := q.destination(&groups[g])
		if split != nil {
			for _, i := range groups[g].recipients {
				split[i] = d
			}
		}
		it.due, it.deferred = groups[g].due, groups[g].deferred
		q.items++
		if q.phase == running {
			d.rates.came(now)
		}
		q.enqueue(d, q.passOn(d, it, now), now)
	}
}

// destination returns the delivery queue of a group, making it if need be.
// Called with mu held.
func (q *Queue) destination(g *group) *destination {
	if g.to != nil {
		return g.to
	}
	if g.unreachable {
		if g.reply.Code != 0 {
			q.unreachable.trouble = &trouble{reply: g.reply}
		}
		return q.unreachable
	}
	d := q.destinations[g.hop]
	if d == nil {
		d = &destination{hop: g.hop, place: -1}
		d.suspended = len(q.holds) > 0 && q.holds[d.title()]
		q.bind(d)
		q.destinations[g.hop] = d
	}
	if g.fallback.Connector != "" {
		d.fallback = g.fallback
	}
	return d
}

// takeUp queues a message found in the store at the start. It makes no changes
// to the store: recipients that the router refuses now go by way of the
// Unreachable queue, from which they are routed again at once.
func (q *Queue) takeUp(e *spool.Entry) {
	q.counters.messages.Add(1)
	st := e.State
	if st == nil {
		st = message.NewState(len(e.Envelope.Recipients))
	}
	q.mu.Lock()
	router, gen := q.settings.Router, q.gen
	q.mu.Unlock()
	now := q.now()
	it := item{id: e.ID, arrived: q.arrival(e.Envelope), gen: gen, delayTold: !delayOwed(e.Envelope, st), suspended: st.Standing.Suspended}
	if q.takeUpApart(st, it) {
		return
	}
	if expiration := q.expiration(); it.arrived+int64(expiration) <= now && !it.suspended {
		// Its time ran out while nothing could be tried, or so says a wall
		// clock that was wrong once.
		it.arrived = now - int64(expiration) + int64(min(expiration, lastChance))
		it.delayTold = true
	}
	groups, refused, panicked := routes(router, e.Envelope, st, st.Pending())
	if panicked != nil {
		groups, it.gen = []group{{unreachable: true, recipients: st.Pending()}}, 0
	}
	for g := range groups {
		groups[g].due, groups[g].deferred = q.earliestDue(st, groups[g].recipients), anyDeferred(st, groups[g].recipients)
	}
	for _, o := range refused {
		for _, i := range o.Recipients {
			groups, _ = addToGroup(groups, i, routing.NextHop{}, true)
		}
		it.gen = 0
	}
	if st.Standing.Removal != message.RemovalNone { // who takes it next removes it
		for g := range groups {
			groups[g].due = now
		}
		it.gen, it.suspended = 0, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queueGroups(it, len(e.Envelope.Recipients), groups, now)
	if owes(e.Envelope, st) || len(groups) == 0 {
		q.addChore(chore{due: now, kind: choreNotify, id: e.ID})
	}
}

// earliestDue is when the first of the recipients is to be tried: those
// without outcome at once.
func (q *Queue) earliestDue(st *message.State, recipients []int) int64 {
	due := never
	for _, i := range recipients {
		due = min(due, q.dueOf(&st.Recipients[i]))
	}
	return due
}

func anyDeferred(st *message.State, recipients []int) bool {
	for _, i := range recipients {
		if st.Recipients[i].Status == message.Deferred {
			return true
		}
	}
	return false
}

// delayOwed reports whether some pending recipient is to be reported late when
// the time comes and has not been.
func delayOwed(e *message.Envelope, st *message.State) bool {
	for i := range e.Recipients {
		if st != nil && (st.Recipients[i].Status.Final() || st.Recipients[i].DelayNotified) {
			continue
		}
		if dsn.Wanted(e, i, dsn.Delay) {
			return true
		}
	}
	return false
}

// finalKinds are the kinds of notification that tell of a recipient's end.
var finalKinds = [...]dsn.Kind{dsn.Failure, dsn.Relayed}

// owed lists the recipients of whose end the sender is still to be told by a
// notification of that kind.
func owed(e *message.Envelope, st *message.State, kind dsn.Kind) []int {
	var list []int
	for i := range st.Recipients {
		if r := &st.Recipients[i]; !r.Notified && calls(r, kind) && dsn.Wanted(e, i, kind) {
			list = append(list, i)
		}
	}
	return list
}

// calls reports whether a recipient's end calls for a notification of that
// kind, if the sender wants it.
func calls(r *message.RecipientState, kind dsn.Kind) bool {
	if kind == dsn.Relayed {
		return r.Status == message.Delivered && r.NoDSN // RFC 3461 5.2.2
	}
	return r.Status == message.Failed || r.Status == message.Expired || r.Status == message.Removed
}

// owes reports whether the sender is still to be told of any recipient's end.
func owes(e *message.Envelope, st *message.State) bool {
	for _, kind := range finalKinds {
		if len(owed(e, st, kind)) > 0 {
			return true
		}
	}
	return false
}

// reroute routes the recipients of an item in d anew. It returns those that
// stay and moves the others to where they belong now. Called with f.mu held.
func (q *Queue) reroute(f *flight, d *destination, it *item, list []int) (stay []int, events []Event) {
	q.mu.Lock()
	router, gen := q.settings.Router, q.gen
	q.mu.Unlock()
	events = q.takeOver(f, d, it, list, router)
	groups, refused, panicked := routes(router, f.envelope, f.state, list)
	for panicked != nil && !f.state.Standing.Poison {
		// The router is pure: it will panic again, and the message be parked.
		events = append(events, q.countPanic(f, panicked)...)
		groups, refused, panicked = routes(router, f.envelope, f.state, list)
	}
	if panicked != nil {
		return list, events
	}
	if len(refused) > 0 {
		events = append(events, q.conclude(f, &message.Update{At: q.wall(), Outcomes: refused}, d.hop)...)
	}
	it.gen = gen
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for g := range groups {
		to := q.destination(&groups[g])
		if to == d {
			stay = groups[g].recipients
			continue
		}
		groups[g].due = now
		q.move(f, d, to, *it, &groups[g], now)
	}
	q.tidy(f)
	return stay, events
}

// move gives the recipients of a group to another delivery queue. Where the
// message has an item already they join it. Called with f.mu and mu held.
func (q *Queue) move(f *flight, from, to *destination, it item, g *group, now int64) {
	split := q.splits[f.id]
	if split == nil {
		split = make([]*destination, len(f.state.Recipients))
		for i := range f.state.Recipients {
			if !f.state.Recipients[i].Status.Final() {
				split[i] = from
			}
		}
		q.splits[f.id] = split
	}
	joins := false
	for i := range split {
		joins = joins || split[i] == to && !f.state.Recipients[i].Status.Final()
	}
	for _, i := range g.recipients {
		split[i] = to
	}
	if joins {
		return
	}
	it.due, it.deferred = g.due, anyDeferred(f.state, g.recipients)
	q.items++
	to.rates.came(now)
	q.enqueue(to, q.passOn(to, it, now), now)
}

// tidySplit forgets which recipient stands in which queue when all that are
// left stand in one. Called with f.mu and mu held.
func (q *Queue) tidySplit(f *flight) {
	split := q.splits[f.id]
	if split == nil {
		return
	}
	var one *destination
	for i := range f.state.Recipients {
		if f.state.Recipients[i].Status.Final() {
			continue
		}
		if one != nil && split[i] != one {
			return
		}
		one = split[i]
	}
	delete(q.splits, f.id)
}
