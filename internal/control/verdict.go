package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/backpressure"
	"postern/queue"
	"postern/routing"
	ptls "postern/tls"
)

// Condition says how a gateway is.
type Condition string

// The conditions, from the best to the worst.
const (
	Well    Condition = "well"
	Look    Condition = "look"    // something deserves a look
	Trouble Condition = "trouble" // mail is refused or does not leave
)

// worse reports whether c is worse than another.
func (c Condition) worse(other Condition) bool {
	order := []Condition{Well, Look, Trouble}
	return slices.Index(order, c) > slices.Index(order, other)
}

// Verdict is the answer to "is it well?".
type Verdict struct {
	Condition Condition `json:"condition"`
	// Reasons are why it is not well, the gravest first; none when it is.
	Reasons []Reason `json:"reasons"`
}

// Reason is one thing that is not as it should be. About names the section of
// the Status that has more of it.
type Reason struct {
	Condition Condition `json:"condition"`
	About     string    `json:"about"`
	Text      string    `json:"text"`
	Remedy    string    `json:"remedy"`
}

// Thresholds are from where on queues deserve a look. At three times as much
// there is trouble. Zero means the default.
type Thresholds struct {
	// MaxAge is how old the oldest message may be. By default that is four hours
	// for queues of smart hosts, when senders are told of the delay, and nothing
	// for those by MX: some host on the Internet is always down.
	MaxAge time.Duration
	// MaxQueue is how many messages may be queued, 10,000 by default.
	MaxQueue int
}

const (
	// DefaultMaxQueue is that of Thresholds; Graver is by how much more than a
	// threshold it takes to be trouble.
	DefaultMaxQueue = 10_000
	Graver          = 3

	defaultMaxAge = 4 * time.Hour
	// retryLook and retryTrouble are for how long a smart host may take no
	// connection.
	retryLook    = 2 * time.Minute
	retryTrouble = 15 * time.Minute
	// expiryLook and expiryTrouble are for how long a certificate must still be
	// valid.
	expiryLook    = 14 * 24 * time.Hour
	expiryTrouble = 2 * 24 * time.Hour
	// stuckAfter is how many recipients must have been deferred in trendKept,
	// and none delivered to, until it looks as if nothing left.
	stuckAfter = 20
)

// judge says how a gateway is that has this status and these queues.
func (s *Status) judge(list []queue.QueueInfo, lately Trend, t Thresholds, now time.Time) Verdict {
	j := judgement{Verdict: Verdict{Condition: Well, Reasons: []Reason{}}}
	j.listeners(s.Listeners)
	j.pressure(&s.BackPressure)
	j.spool(s)
	j.queues(list, s.Queues.Distinct, t, now)
	j.lately(lately)
	j.certificates(s.Certificates, now)
	if s.Server.ReloadError != "" {
		j.add(Look, "server", "the latest reload was refused, so that the file is not what is in force: "+s.Server.ReloadError,
			`"postern check" says what is wrong; mend it and "postern reload"`)
	}
	slices.SortStableFunc(j.Reasons, func(a, b Reason) int {
		switch {
		case a.Condition.worse(b.Condition):
			return -1
		case b.Condition.worse(a.Condition):
			return 1
		}
		return 0
	})
	return j.Verdict
}

type judgement struct{ Verdict }

func (j *judgement) add(c Condition, about, text, remedy string) {
	if c.worse(j.Condition) {
		j.Condition = c
	}
	j.Reasons = append(j.Reasons, Reason{c, about, text, remedy})
}

func (j *judgement) listeners(list []Listener) {
	var closed []string
	why := ""
	for _, l := range list {
		if !l.Listening {
			closed, why = append(closed, l.Address), l.Error
		}
	}
	switch {
	case len(closed) == 0:
	case len(closed) == len(list):
		j.add(Trouble, "listeners", "no mail comes in: none of the bindings listens: "+why, "see who holds the port, and what the event log says; it is tried again every 30 seconds")
	default:
		j.add(Look, "listeners", strings.Join(closed, ", ")+" does not listen: "+why, "see who holds the port, or take the binding out; it is tried again every 30 seconds")
	}
}

func (j *judgement) pressure(p *backpressure.Status) {
	const remedy = "docs/back-pressure.md has what helps, resource by resource"
	for i := range p.Resources {
		r := &p.Resources[i]
		if r.State != backpressure.StateWatched && r.State != "" {
			continue
		}
		text := fmt.Sprintf("%s is short (%s): %s", r.Name, r.Level, r.ValueText)
		switch r.Level {
		case backpressure.Normal:
		case backpressure.High:
			j.add(Trouble, "back_pressure", text+"; all mail is refused for now", remedy)
		default:
			j.add(Look, "back_pressure", text+"; outsiders are refused or delayed", remedy)
		}
	}
}

func (j *judgement) spool(s *Status) {
	p := &s.Spool
	if p.NoSpace {
		j.add(Trouble, "spool", "the spool has no room: all mail is refused for now", "make room on the volume of queue.directory")
	}
	if s.Queues.Unsaved > 0 {
		j.add(Trouble, "spool", plural(s.Queues.Unsaved, "message has an outcome", "messages have outcomes")+" that could not be stored yet; after a crash it would be sent again",
			"see what is wrong with the disk under queue.directory")
	}
	if p.Failures > 0 {
		j.add(Look, "spool", fmt.Sprintf("%d writes to the spool failed since the start, the last one: %s", p.Failures, p.LastError), "see what is wrong with the disk under queue.directory")
	}
	if p.Damaged > 0 {
		j.add(Look, "spool", plural(p.Damaged, "stretch", "stretches")+" of the spool could not be read back", "the event log names them; docs/operations.md says how mail is salvaged")
	}
}

// queues judges the delivery queues: of each kind of trouble the worst one
// speaks for all.
func (j *judgement) queues(list []queue.QueueInfo, messages int, t Thresholds, now time.Time) {
	maxQueue := t.MaxQueue
	if maxQueue <= 0 {
		maxQueue = DefaultMaxQueue
	}
	var retrying, oldest worst
	for n := range list {
		i := &list[n]
		j.special(i)
		smart := i.Hop.Kind == routing.SmartHost
		if smart && i.RetryCount > 0 && i.Messages > 0 && !i.Suspended {
			retrying.take(i, now.Sub(i.FirstRetry))
		}
		if !i.Oldest.IsZero() && i.Name != queue.PoisonName && (smart || t.MaxAge > 0) {
			oldest.take(i, now.Sub(i.Oldest))
		}
	}
	if r := retrying; r.queue != nil && r.time >= retryLook {
		c := Look
		if r.time >= retryTrouble {
			c = Trouble
		}
		j.add(c, "queues", fmt.Sprintf("%s has taken no connection for %s, %s: %s", r.queue.Name, text(r.time), plural(r.queue.Messages, "message waits", "messages wait"), r.queue.LastError.String())+r.others("queue of a smart host"),
			fmt.Sprintf("see whether it is up; postern queue retry '%s' tries now", r.queue.Name))
	}
	maxAge := t.MaxAge
	if maxAge <= 0 {
		maxAge = defaultMaxAge
	}
	if o := oldest; o.queue != nil && o.time > maxAge {
		j.add(grade(o.time > Graver*maxAge), "queues", fmt.Sprintf("the oldest message in %s waits for %s, more than %s", o.queue.Name, text(o.time), text(maxAge)),
			fmt.Sprintf("postern queue messages --queue '%s', and postern queue show of one says why", o.queue.Name))
	}
	if messages > maxQueue {
		j.add(grade(messages > Graver*maxQueue), "queues", fmt.Sprintf("%d messages are queued, more than %d", messages, maxQueue), "postern queue list says where they wait and why")
	}
}

// grade is trouble, or a look.
func grade(grave bool) Condition {
	if grave {
		return Trouble
	}
	return Look
}

// worst is the queue that something has lasted longest for.
type worst struct {
	queue *queue.QueueInfo
	time  time.Duration
	n     int
}

func (w *worst) take(i *queue.QueueInfo, d time.Duration) {
	w.n++
	if w.queue == nil || d > w.time {
		w.queue, w.time = i, d
	}
}

func (w *worst) others(what string) string {
	switch w.n {
	case 1:
		return ""
	case 2:
		return "; and 1 more " + what
	}
	return fmt.Sprintf("; and %d more: %s", w.n-1, what)
}

// special judges what one queue says by itself.
func (j *judgement) special(i *queue.QueueInfo) {
	switch {
	case i.Messages == 0:
	case i.Name == queue.PoisonName:
		j.add(Look, "queues", plural(i.Messages, "message is parked, because the gateway panicked over it", "messages are parked, because the gateway panicked over them"), "postern queue messages --queue Poison; resume or remove them")
	case i.Suspended:
		j.add(Look, "queues", i.Name+" is suspended, "+plural(i.Messages, "message waits", "messages wait"), fmt.Sprintf("postern queue resume '%s'", i.Name))
	case i.Name == queue.UnreachableName:
		j.add(Look, "queues", plural(i.Messages, "message has", "messages have")+" no Send connector: "+i.LastError.Text, "add one for their domains and reload, or postern queue remove them")
	}
}

// certificates judges those that peers are shown, but for one that the gateway
// replaces by itself, unless it has not.
func (j *judgement) certificates(list []ptls.Shown, now time.Time) {
	for i := range list {
		c := &list[i]
		left := c.NotAfter.Sub(now)
		what := fmt.Sprintf("the certificate %s, %s,", c.FriendlyName, c.ShownBy())
		remedy := fmt.Sprintf("postern cert renew %s, or import its successor", c.Thumbprint[:min(16, len(c.Thumbprint))])
		switch {
		case c.Early(now):
			j.add(Trouble, "certificates", what+" is not valid before "+c.NotBefore.UTC().Format("2006-01-02 15:04 MST"), "enable one that is valid now (postern cert list), until then; see whether the clock is right")
		case left <= 0:
			j.add(Trouble, "certificates", what+" has expired", remedy)
		case c.Own:
		case left < expiryTrouble:
			j.add(Trouble, "certificates", what+" expires in "+text(left), remedy)
		case left < expiryLook:
			j.add(Look, "certificates", what+" expires in "+text(left), remedy)
		}
	}
}

func (j *judgement) lately(t Trend) {
	if t.Deferrals >= stuckAfter && t.Delivered == 0 {
		j.add(Look, "queues", fmt.Sprintf("nothing leaves: %d recipients were deferred in the last %s, none was delivered to", t.Deferrals, text(time.Duration(t.Seconds)*time.Second)),
			"postern queue list has the errors; see whether port 25 is open to the outside, and whether names can be looked up")
	}
	if t.DroppedLines > 0 {
		j.add(Look, "logs", fmt.Sprintf("%d lines of logs found no room in the last %s", t.DroppedLines, text(time.Duration(t.Seconds)*time.Second)), "see what is wrong with the disk under logs.directory")
	}
}

// plural writes a number with the words for so many.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// text writes a stretch of time in its two largest units.
func text(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
