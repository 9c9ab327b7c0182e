package review

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/logs"
)

// newTrace makes a story of the lines of one message, newest first.
func newTrace(lines []*logs.Tracking) *Trace {
	t := &Trace{Recipients: []RecipientTrace{}, Steps: []Step{}, SessionIDs: []string{}}
	for i := len(lines) - 1; i >= 0; i-- {
		l := lines[i]
		t.take(l)
		if about, own := reportOf(l); about != "" {
			t.ReportOf = about
			if !own { // Exchange has one line for both
				continue
			}
		}
		t.addRoute(l)
		t.Steps = append(t.Steps, stepOf(l))
	}
	t.finish()
	return t
}

// reportOf returns the message that a line's message, a notification, is about,
// and whether the line is one of its own. We write that a notification was
// received from ourselves, with the queue id of the message that it is about;
// Exchange writes DSN for the notification, with that Message-ID.
func reportOf(l *logs.Tracking) (about string, own bool) {
	switch {
	case l.Event == logs.TrackReceive && l.Source == logs.SourceDSN:
		return l.Reference, true
	case l.Event == logs.TrackDSN && strings.Contains(l.Reference, "@"):
		return l.Reference, false
	}
	return "", false
}

// addRoute adds what was decided about the way of a new message.
func (t *Trace) addRoute(l *logs.Tracking) {
	if l.Event != logs.TrackReceive {
		return
	}
	for _, p := range l.Custom {
		n := len(t.Routes) - 1
		switch p.Key {
		case "connector":
			t.Routes = append(t.Routes, Route{Connector: p.Value, Generation: l.Custom.Get("generation")})
		case "problem":
			if n < 0 || t.Routes[n].Reason != "" {
				t.Routes = append(t.Routes, Route{Generation: l.Custom.Get("generation")})
				n++
			}
			t.Routes[n].Problem = p.Value
		case "reason":
			if n < 0 || t.Routes[n].Reason != "" {
				t.Routes = append(t.Routes, Route{Generation: l.Custom.Get("generation")})
				n++
			}
			t.Routes[n].Reason = p.Value
		}
	}
}

// take takes over what a line says of the message as a whole.
func (t *Trace) take(l *logs.Tracking) {
	set := func(to *string, v string) {
		if *to == "" {
			*to = v
		}
	}
	set(&t.ID, l.InternalID)
	set(&t.MessageID, l.MessageID)
	set(&t.Subject, l.Subject)
	set(&t.Sender, strings.TrimSuffix(strings.TrimPrefix(l.ReturnPath, "<"), ">"))
	set(&t.Directionality, l.Directionality)
	if t.Octets == 0 {
		t.Octets = l.Octets
	}
	if l.Event == logs.TrackReceive && t.Arrival == nil {
		t.Arrival = &Arrival{
			At: l.Time, Source: l.Source, Connector: withoutServer(l.Connector), Session: sessionOf(l),
			Client: l.ClientIP, HELO: l.ClientHostname, Server: l.ServerIP, User: l.Custom.Get("user"),
			TLS: l.Custom.Get("tls"), Protocol: l.Custom.Get("protocol"),
		}
		t.Arrival.TLSKnown = t.Arrival.TLS != "" || t.Arrival.Protocol != ""
		if t.Arrival.TLS == "" && withTLS(t.Arrival.Protocol) {
			t.Arrival.TLS = "TLS"
		}
		if len(l.Statuses) > 0 {
			t.Arrival.Reply = l.Statuses[0]
		}
	}
}

// withTLS tells whether a "with" keyword says that there was TLS (RFC 3848,
// RFC 6531 4.3).
func withTLS(protocol string) bool {
	return strings.HasSuffix(protocol, "SMTPS") || strings.HasSuffix(protocol, "SMTPSA")
}

func withoutServer(connector string) string {
	return connector[strings.LastIndexByte(connector, '\\')+1:]
}

// sessionOf returns the id of the session that a line of message tracking is
// about: it is in custom-data, or begins source-context.
func sessionOf(l *logs.Tracking) string {
	if id := l.Custom.Get("session"); id != "" {
		return id
	}
	id, _, _ := strings.Cut(l.SourceContext, ";")
	if isSessionID(id) {
		return id
	}
	return ""
}

// isSessionID tells whether text is a session's id, ours or Exchange's.
func isSessionID(s string) bool {
	if len(s) != 16 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// stepOf makes a step of a line.
func stepOf(l *logs.Tracking) Step {
	get := l.Custom.Get
	s := Step{
		At: l.Time, Event: l.Event, Source: l.Source, Connector: withoutServer(l.Connector), Recipients: l.Recipients, Replies: l.Statuses,
		Session: sessionOf(l), Generation: get("generation"), NextHop: get("next_hop"),
		TLS: get("tls"), Peer: get("peer"), Trust: get("trust"), Policy: get("policy"), By: get("by"), Related: l.Related,
	}
	if s.Event != logs.TrackReceive { // where it says why a connector was chosen
		s.Reason = get("reason")
	}
	s.Attempts, _ = strconv.Atoi(get("attempts"))
	s.Tries, _ = strconv.Atoi(get("tries"))
	s.Due, _ = time.Parse(time.RFC3339Nano, get("due"))
	if d, ok := latencyOf(l); ok {
		s.Latency = d.Seconds()
	}
	if _, rest, found := strings.Cut(l.SourceContext, ";"); !isSessionID(strings.TrimSuffix(l.SourceContext, ";"+rest)) {
		s.Context = l.SourceContext
	} else if found {
		s.Context = rest
	}
	switch s.Kind = kindOf(l); s.Kind {
	case StepReceived:
		s.Host, s.Address = l.ClientHostname, l.ClientIP
	case StepDelivered, StepDeferred, StepFailed:
		s.Host, s.Address, s.SourceIP = l.ServerHostname, l.ServerIP, l.ClientIP
	case StepNotified:
		s.Notification, s.About = l.Reference, get("notification")
	case StepSuppressed:
		s.About = get("notification")
	}
	return s
}

func kindOf(l *logs.Tracking) StepKind {
	switch l.Event {
	case logs.TrackReceive:
		return StepReceived
	case logs.TrackSend, "DELIVER": // the latter on a mailbox server
		return StepDelivered
	case logs.TrackDefer:
		return StepDeferred
	case logs.TrackFail:
		switch endOf(l) {
		case EndExpired:
			return StepExpired
		case EndRemoved:
			return StepRemoved
		}
		return StepFailed
	case logs.TrackDSN:
		return StepNotified
	case logs.TrackSuppressed:
		return StepSuppressed
	case logs.TrackRedirect:
		if l.Source == logs.SourceAdmin {
			return StepRedirected
		}
		return StepFallback
	case logs.TrackResubmit:
		return StepResubmit
	case logs.TrackPoison:
		return StepPoison
	case logs.TrackSuspend:
		return StepSuspended
	case logs.TrackResume:
		return StepResumed
	}
	return StepOther
}

// addNotification adds the story of a notification, if it is about this
// message, and the step of its making where only its own lines tell of it.
func (t *Trace) addNotification(id string, lines []*logs.Tracking) {
	told := slices.ContainsFunc(t.Steps, func(s Step) bool { return s.Notification == id })
	at := slices.IndexFunc(lines, func(l *logs.Tracking) bool {
		of, _ := reportOf(l)
		return of != "" && (of == t.ID || of == t.MessageID)
	})
	if at >= 0 && !told {
		s := stepOf(lines[at])
		// Its recipients are those of the notification: the sender.
		s.Kind, s.Notification, s.Related, s.Recipients, s.Replies = StepNotified, id, strings.Join(lines[at].Recipients, ";"), nil, nil
		t.Steps = append(t.Steps, s)
	}
	if len(lines) > 0 && (told || at >= 0) && len(t.Notifications) < maxNotifications {
		t.Notifications = append(t.Notifications, newTrace(lines))
	}
}

// finish puts the steps in order and works out what follows from them.
func (t *Trace) finish() {
	slices.SortStableFunc(t.Steps, func(a, b Step) int { return a.At.Compare(b.At) })
	at := make(map[string]int)
	t.Recipients = t.Recipients[:0]
	for i := range t.Steps {
		s := &t.Steps[i]
		s.After = 0
		if i > 0 {
			s.After = max(s.At.Sub(t.Steps[i-1].At), 0).Seconds()
		}
		if s.Session != "" && !slices.Contains(t.SessionIDs, s.Session) {
			t.SessionIDs = append(t.SessionIDs, s.Session)
		}
		for n, address := range s.Recipients {
			key := lower(address)
			if _, ok := at[key]; !ok {
				at[key] = len(t.Recipients)
				t.Recipients = append(t.Recipients, RecipientTrace{Address: address, End: EndPending})
			}
			s.tell(&t.Recipients[at[key]], n)
		}
	}
	t.Pending = false
	for i := range t.Recipients {
		r := &t.Recipients[i]
		t.Pending = t.Pending || !r.End.Final()
		if r.End.Final() && t.Arrival != nil {
			r.Seconds = max(r.At.Sub(t.Arrival.At), 0).Seconds()
		}
	}
}

// tell says what a step means for its nth recipient.
func (s *Step) tell(r *RecipientTrace, n int) {
	ends := map[StepKind]End{
		StepDelivered: EndDelivered, StepDeferred: EndDeferred, StepFailed: EndFailed, StepExpired: EndExpired, StepRemoved: EndRemoved,
		StepRefused: EndRefused, StepAborted: EndAborted,
	}
	end, ok := ends[s.Kind]
	if !ok {
		return
	}
	r.End, r.At, r.Due, r.Host = end, s.At, time.Time{}, hostText(s.Host, s.Address)
	r.Reply = ""
	if s.Kind == StepRefused || s.Kind == StepAborted { // the host is the client
		r.Host = ""
	}
	switch {
	case n < len(s.Replies):
		r.Reply = s.Replies[n]
	case len(s.Replies) == 1: // said once for all
		r.Reply = s.Replies[0]
	}
	if s.Kind == StepDeferred {
		r.Due = s.Due
	}
	if s.Kind == StepDelivered || s.Kind == StepDeferred || s.Kind == StepFailed {
		r.Tries = max(s.Tries, r.Tries+1)
	}
}

// hostText writes a host with its address.
func hostText(host, address string) string {
	switch {
	case host == "" || host == address:
		return address
	case address == "":
		return host
	}
	return host + " [" + address + "]"
}

// addSessions adds the sessions of the message, oldest first, and what only
// they know.
func (t *Trace) addSessions(all []*Session) {
	added := false
	for _, s := range all {
		named := slices.Contains(t.SessionIDs, s.ID)
		if !named && (t.ID == "" || !slices.Contains(s.QueueIDs(), t.ID)) {
			continue
		}
		t.Sessions = append(t.Sessions, s)
		if !named {
			t.SessionIDs = append(t.SessionIDs, s.ID)
		}
		switch {
		case s.Direction == logs.Receive:
			t.addArrival(s)
		case !named:
			t.Steps = append(t.Steps, attemptOf(s, t.ID))
			added = true
		default:
			t.addFacts(s)
		}
	}
	if added {
		t.finish()
	}
}

// addArrival adds what the session of its arrival knows.
func (t *Trace) addArrival(s *Session) {
	a := t.Arrival
	if a == nil || a.Session != "" && a.Session != s.ID {
		return
	}
	a.Session, a.TLSKnown = s.ID, true
	a.Began = s.Start
	if s.TLS != "" {
		a.TLS = s.TLS
	}
	if a.HELO == "" {
		a.HELO = s.HELO
	}
	if a.User == "" {
		a.User = s.User
	}
	if a.Client == "" && s.Remote.IsValid() {
		a.Client = s.Remote.Addr().String()
	}
	for i := range s.Messages {
		if m := &s.Messages[i]; m.QueueID == t.ID && m.Reply != "" {
			a.Reply = m.Reply
		}
	}
}

// addFacts adds what a session knows to the steps that it made.
func (t *Trace) addFacts(s *Session) {
	for i := range t.Steps {
		step := &t.Steps[i]
		if step.Session != s.ID {
			continue
		}
		if step.TLS == "" {
			step.TLS = s.TLS
		}
		if step.SourceIP == "" && s.Local.IsValid() {
			step.SourceIP = s.Local.Addr().String()
		}
		if step.Address == "" && s.Remote.IsValid() {
			step.Address = s.Remote.Addr().String()
		}
	}
}

// attemptOf makes a step of a session towards a next hop that message tracking
// does not name: one of several hosts that were tried.
func attemptOf(s *Session, id string) Step {
	step := Step{At: s.Start, Kind: StepAttempt, Connector: s.ConnectorName(), Session: s.ID, TLS: s.TLS}
	if s.Remote.IsValid() {
		step.Address = s.Remote.Addr().String()
	}
	if s.Local.IsValid() {
		step.SourceIP = s.Local.Addr().String()
	}
	for i := range s.Messages {
		m := &s.Messages[i]
		if m.QueueID != id {
			continue
		}
		step.At = m.Time
		for _, r := range m.To {
			reply := m.Reply
			if replyClass(r.Reply) != "" || reply == "" {
				reply = r.Reply
			}
			step.Recipients, step.Replies = append(step.Recipients, r.Address), append(step.Replies, reply)
		}
		if len(m.To) == 0 && m.Reply != "" {
			step.Replies = []string{m.Reply}
		}
	}
	if len(step.Replies) == 0 && s.Reply != "" {
		step.Replies = []string{s.Reply}
	}
	return step
}
