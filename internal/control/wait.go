package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/dsn"
	"postern/internal/message"
	"postern/queue"
	"postern/routing"
)

// The reasons for which a message waits.
const (
	waitsPoison         = "poison"          // parked after a panic
	waitsSuspended      = "suspended"       // an administrator suspended the message
	waitsQueueSuspended = "queue_suspended" // an administrator suspended its queue
	waitsInFlight       = "in_flight"       // it is being delivered just now
	waitsUnreachable    = "unreachable"     // no Send connector matches
	waitsRouting        = "routing"         // it has not been routed yet
	waitsRetry          = "queue_retry"     // no host of the next hop took a connection
	waitsDeferred       = "deferred"        // the next hop asked to try again later
	waitsFailed         = "attempt_failed"  // the last try failed, and no host had asked for that
	waitsTurn           = "turn"            // it is due, and others are before it
	waitsLimit          = "limit"           // it is due, and a limit of its Send connector keeps its queue waiting
)

// Wait is the answer to why a message has not left one of its queues yet.
type Wait struct {
	Queue      string   `json:"queue"`
	Recipients []string `json:"recipients"`
	// Reason is a word for programs, Text the same in a sentence.
	Reason string `json:"reason"`
	Text   string `json:"text"`
	// Since is when it began to wait for this; zero where that is not kept, as
	// for a suspension.
	Since time.Time `json:"since,omitzero"`
	// LastError is what the next hop said last, and RemoteMTA the host that said
	// it; without RemoteMTA the words are our own.
	LastError string    `json:"last_error,omitempty"`
	RemoteMTA string    `json:"remote_mta,omitempty"`
	Tries     int       `json:"tries"`
	NextTry   time.Time `json:"next_try,omitzero"`
	// Remedies are what an administrator can do about it.
	Remedies []Remedy `json:"remedies"`
}

// Remedy is a command with what it brings about.
type Remedy struct {
	Command string `json:"command"`
	Effect  string `json:"effect"`
}

// waiting is what the answer for one queue is made from.
type waiting struct {
	summary *queue.MessageSummary
	info    *queue.MessageInfo
	route   *Route
	queue   queue.QueueInfo
	now     time.Time
	// recipients are the places of those who stand in the queue, latest is the
	// state of the one that was tried last.
	recipients []int
	latest     message.RecipientState
}

// waits answers for each of the queues that a message stands in.
func waits(summary *queue.MessageSummary, info *queue.MessageInfo, routes []Route, queues []queue.QueueInfo, now time.Time) []Wait {
	list := []Wait{}
	for i := range routes {
		w := waiting{summary: summary, info: info, route: &routes[i], now: now}
		if n := slices.IndexFunc(queues, func(q queue.QueueInfo) bool { return q.Name == routes[i].Queue }); n >= 0 {
			w.queue = queues[n]
		}
		for n, name := range info.Queues {
			st := info.State.Recipients[n]
			if name != routes[i].Queue || st.Status.Final() {
				continue
			}
			w.recipients = append(w.recipients, n)
			if !st.At.Before(w.latest.At) {
				w.latest = st
			}
		}
		list = append(list, w.answer())
	}
	return list
}

func (w *waiting) answer() Wait {
	a := Wait{
		Queue: w.route.Queue, Recipients: w.route.Recipients, LastError: replyText(w.latest.Reply), RemoteMTA: w.latest.RemoteMTA,
		Tries: w.latest.Tries, Since: w.latest.At.UTC(), NextTry: w.latest.Due.UTC(),
	}
	id := w.summary.ID.String()
	standing := w.info.State.Standing
	switch {
	case standing.Poison || w.route.Queue == queue.PoisonName:
		a.Reason, a.Since, a.NextTry = waitsPoison, time.Time{}, time.Time{}
		a.Text = fmt.Sprintf("it is parked as poison: the gateway failed %s with it in hand", times(standing.Panics))
		a.remedy("postern queue export --to DIR --id "+id, "look at it first")
		a.remedy("postern queue resume "+id, "route it anew and try once more")
	case standing.Suspended || w.summary.Status == queue.StatusPendingSuspend:
		a.Reason, a.Since, a.NextTry = waitsSuspended, time.Time{}, time.Time{}
		a.Text = "an administrator suspended it, as the event log says, and it is not delivered before it is resumed; nor does it expire"
		if w.summary.Status == queue.StatusPendingSuspend {
			w.flying(&a)
			a.Text += " and is suspended when the attempt ends"
		}
		a.remedy("postern queue resume "+id, "let it go")
	case w.summary.Status == queue.StatusPendingRemove:
		a.Reason = waitsInFlight
		w.flying(&a)
		a.Text += " and is removed when the attempt ends"
		return a
	case w.route.Queue == queue.SubmissionName && !w.queue.Suspended:
		a.Reason, a.Since = waitsRouting, w.summary.Arrived.UTC()
		a.Text = "it waits to be routed, which takes moments"
	case w.queue.Suspended:
		a.Reason, a.Since, a.NextTry = waitsQueueSuspended, time.Time{}, time.Time{}
		a.Text = "an administrator suspended its queue " + w.route.Queue + "; the event log says who and when"
		a.remedy("postern queue resume "+quoteArgument(w.route.Queue), "let the whole queue go")
	case w.inFlight():
		a.Reason = waitsInFlight
		w.flying(&a)
	case w.route.Queue == queue.UnreachableName:
		w.unreachable(&a)
	case w.queue.Status == queue.Retry:
		w.queueRetry(&a)
	case w.latest.Status == message.Deferred && w.latest.Due.After(w.now):
		a.Reason = waitsDeferred
		if w.latest.RemoteMTA == "" {
			a.Reason = waitsFailed
		}
		a.Text = fmt.Sprintf("%s; tried %s so far", cause(&w.latest), times(w.latest.Tries))
		a.remedy("postern queue retry "+id, "try it now")
	default:
		a.Reason, a.NextTry = waitsTurn, time.Time{}
		if a.Since.IsZero() {
			a.Since = w.summary.Arrived.UTC()
		}
		if limit := w.queue.WaitsFor; limit != "" {
			a.Reason, a.Text = waitsLimit, "it is due, and its queue waits for "+limit
			if w.queue.NextDue.After(w.now) {
				a.NextTry = w.queue.NextDue.UTC()
			}
			break
		}
		a.Text = fmt.Sprintf("it is due, and waits its turn: %d are being delivered of its queue's %d", w.queue.InFlight, w.queue.Messages)
	}
	w.always(&a)
	return a
}

// inFlight reports whether the queue's part of the message is being delivered.
func (w *waiting) inFlight() bool {
	if _, ok := w.info.Begun[w.route.Queue]; ok {
		return true
	}
	// The list was made a moment after the rest.
	return len(w.info.Begun) == 0 && w.summary.Status == queue.StatusActive && w.queue.InFlight > 0
}

// flying says since when and where to a message is being delivered. Without a
// note of when that began, what is known is when it was last tried before.
func (w *waiting) flying(a *Wait) {
	a.NextTry = time.Time{}
	if at, ok := w.info.Begun[w.route.Queue]; ok {
		a.Since = at.UTC()
	}
	a.Text = "it is being delivered just now"
	switch to := w.info.State.Standing.Redirect; {
	case to != "":
		a.Text += " to " + to
	case w.queue.Hop.Kind == routing.SmartHost && w.queue.Hop.Domain != "":
		a.Text += " to " + w.queue.Hop.Domain
	case w.queue.Hop.Domain != "":
		a.Text += " to a mail exchanger of " + w.queue.Hop.Domain
	}
}

// cause says in a few words why the last try for a recipient came to nothing.
// What a host said it said of its own accord; the rest goes by the codes that
// package send gives to what it finds itself (RFC 3463).
func cause(st *message.RecipientState) string {
	if st.RemoteMTA != "" {
		return "the next hop asked to try again later"
	}
	switch st.Reply.Enhanced {
	case [3]int{4, 7, 4}:
		return "TLS is required, and the host does not offer it"
	case [3]int{4, 7, 5}:
		return "TLS with the host failed, or its certificate is not the one that is required"
	case [3]int{4, 7, 0}:
		return "logging on to the next hop failed"
	case [3]int{4, 4, 2}:
		return "the connection broke"
	case [3]int{4, 4, 1}:
		return "the host did not answer"
	case [3]int{4, 4, 5}:
		return "no connection to the host was to be had"
	case [3]int{4, 3, 2}:
		return "the last try was cut short"
	}
	if text, ok := noAddress(st.Reply); ok {
		return text
	}
	return "the last try failed, and no host had asked for that"
}

// noAddress says that a reply is ours for a next hop of which no address could
// be found.
func noAddress(r message.Reply) (text string, ok bool) {
	switch {
	case r.Code == 451 && r.Enhanced == [3]int{4, 4, 0}, r.Code == 451 && r.Enhanced == [3]int{4, 4, 4}:
		return "the name of the next hop could not be resolved to an address to connect to", true
	case r.Enhanced == [3]int{4, 3, 5}:
		return "the configuration of its Send connector does not let it connect", true
	}
	return "", false
}

// unreachable is the answer for recipients whom no Send connector takes.
func (w *waiting) unreachable(a *Wait) {
	a.Reason, a.Since, a.NextTry = waitsUnreachable, w.summary.Arrived.UTC(), time.Time{}
	a.Text = "no Send connector takes it, so it waits for a change of the configuration"
	if w.route.Reason != "" {
		a.Text += ": " + w.route.Reason
	}
	from := "<>"
	if !w.summary.From.IsNull() {
		from = w.summary.From.String()
	}
	a.remedy("postern explain route "+quoteArgument(from)+" "+quoteArgument(w.route.Recipients[0]), "see why no connector matches")
	a.remedy("postern reload", "after a change of the file; it is then routed anew")
}

// queueRetry is the answer for a message whose next hop takes no connection.
func (w *waiting) queueRetry(a *Wait) {
	a.Reason, a.Since, a.NextTry = waitsRetry, w.queue.FirstRetry.UTC(), w.queue.NextRetry.UTC()
	a.Tries = w.queue.RetryCount
	if text := replyText(w.queue.LastError); text != "" {
		a.LastError, a.RemoteMTA = text, ""
	}
	text, ok := noAddress(w.queue.LastError)
	if !ok {
		text = "no host of its next hop takes a connection"
	}
	a.Text = fmt.Sprintf("%s; tried %s so far", text, times(w.queue.RetryCount))
	a.remedy("postern queue retry "+quoteArgument(w.route.Queue), "try the next hop now")
}

// always adds what can be done whatever the message waits for.
func (w *waiting) always(a *Wait) {
	id := w.summary.ID.String()
	if a.Reason != waitsPoison && a.Reason != waitsUnreachable {
		a.remedy("postern queue redirect --to HOST[:PORT] "+id, "send it another way")
	}
	if w.info.State.Standing.Redirect != "" && a.Reason != waitsPoison {
		a.remedy("postern queue resubmit "+id, "take the redirect back and route it anew")
	}
	a.remedy("postern queue remove "+id, "give it up; "+w.told())
}

// told says whether the sender is told when the message is given up.
func (w *waiting) told() string {
	e := w.info.Envelope
	switch {
	case e.From.IsNull():
		return "nobody is told, since its reverse path is null"
	case !slices.ContainsFunc(w.recipients, func(i int) bool { return dsn.Wanted(e, i, dsn.Failure) }):
		return "the sender is not told, as NOTIFY asked"
	}
	return "the sender is told, unless --without-ndr"
}

func (a *Wait) remedy(command, effect string) {
	a.Remedies = append(a.Remedies, Remedy{command, effect})
}

// times writes how often.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// quoteArgument writes an argument as a shell takes it.
func quoteArgument(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || slices.Contains([]rune("@%+=:,./-_"), r)
	}
	for _, r := range s {
		if !plain(r) {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}
