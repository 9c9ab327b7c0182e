package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/message"
	"postern/queue"
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
	waitsTurn           = "turn"            // it is due, and others are before it
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
	// LastError is what the next hop said last, or we on its behalf, and
	// RemoteMTA the host that said it.
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
	// latest is the state of the recipient that was tried last.
	latest message.RecipientState
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
			if st := info.State.Recipients[n]; name == routes[i].Queue && !st.Status.Final() && !st.At.Before(w.latest.At) {
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
		a.Text = "an administrator suspended it, and it is not delivered before it is resumed; nor does it expire"
		if w.summary.Status == queue.StatusPendingSuspend {
			a.Text = "it is being delivered and is suspended when the attempt ends"
		}
		a.remedy("postern queue resume "+id, "let it go")
	case w.summary.Status == queue.StatusPendingRemove:
		a.Reason = waitsInFlight
		a.Text = "it is being delivered and is removed when the attempt ends"
		return a
	case w.route.Queue == queue.SubmissionName && !w.queue.Suspended:
		a.Reason, a.Since = waitsRouting, w.summary.Arrived.UTC()
		a.Text = "it waits to be routed, which takes moments"
	case w.queue.Suspended:
		a.Reason, a.Since, a.NextTry = waitsQueueSuspended, time.Time{}, time.Time{}
		a.Text = "an administrator suspended its queue " + w.route.Queue
		a.remedy("postern queue resume "+quoteArgument(w.route.Queue), "let the whole queue go")
	case w.summary.Status == queue.StatusActive && w.queue.InFlight > 0:
		a.Reason, a.NextTry = waitsInFlight, time.Time{}
		a.Text = "it is being delivered just now"
	case w.route.Queue == queue.UnreachableName:
		w.unreachable(&a)
	case w.queue.Status == queue.Retry:
		w.queueRetry(&a)
	case w.latest.Status == message.Deferred && w.latest.Due.After(w.now):
		a.Reason = waitsDeferred
		a.Text = fmt.Sprintf("the next hop asked to try again later, %s so far", times(w.latest.Tries))
		a.remedy("postern queue retry "+id, "try it now")
	default:
		a.Reason, a.NextTry = waitsTurn, time.Time{}
		if a.Since.IsZero() {
			a.Since = w.summary.Arrived.UTC()
		}
		a.Text = fmt.Sprintf("it is due, and waits its turn: %d are being delivered of its queue's %d", w.queue.InFlight, w.queue.Messages)
	}
	w.always(&a)
	return a
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
	a.Text = fmt.Sprintf("no host of its next hop takes a connection, %s so far", times(w.queue.RetryCount))
	a.remedy("postern queue retry "+quoteArgument(w.route.Queue), "try the next hop now")
}

// always adds what can be done whatever the message waits for.
func (w *waiting) always(a *Wait) {
	id := w.summary.ID.String()
	if a.Reason != waitsPoison && a.Reason != waitsUnreachable {
		a.remedy("postern queue redirect --to HOST[:PORT] "+id, "send it another way")
	}
	a.remedy("postern queue remove "+id, "give it up; the sender is told, unless --without-ndr")
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
