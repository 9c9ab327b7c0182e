package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue"
	"postern/routing"
)

// Queues is what the administration needs of the delivery queues.
type Queues interface {
	Snapshot() []queue.QueueInfo
	Ages() []queue.AgeInfo
	Stats() queue.Stats
	SuspendQueue(name string) error
	ResumeQueue(name string) error
	RetryQueue(name string, resubmit bool) (int, error)
	Messages(ctx context.Context, f queue.Filter, after message.ID, limit int) (queue.Page, error)
	Show(id message.ID) (queue.MessageInfo, error)
	Content(id message.ID) (message.Content, error)
	Carry(ctx context.Context, o queue.Order) (queue.Tally, error)
}

// Queue is a delivery queue, or one of those that every gateway has, as the
// commands show it. The words are those of Exchange's Get-Queue. Times are UTC,
// rates messages a second over the last minute; Velocity is what left less what
// came, so that a queue that grows has a negative one.
type Queue struct {
	Identity      string  `json:"identity"`
	DeliveryType  string  `json:"delivery_type,omitempty"`
	Connector     string  `json:"connector,omitempty"`
	NextHopDomain string  `json:"next_hop_domain,omitempty"`
	Status        string  `json:"status"`
	Suspended     bool    `json:"suspended"`
	MessageCount  int     `json:"message_count"`
	DeferredCount int     `json:"deferred_message_count"`
	InFlight      int     `json:"in_flight"`
	Window        int     `json:"window"`
	IncomingRate  float64 `json:"incoming_rate"`
	OutgoingRate  float64 `json:"outgoing_rate"`
	Velocity      float64 `json:"velocity"`
	// WaitsFor names the limit of the Send connector that the queue waits for.
	WaitsFor string `json:"waits_for,omitempty"`
	// OldestMessage is when the oldest message arrived, NextDue when one is
	// tried next as far as its own clock decides.
	OldestMessage time.Time `json:"oldest_message,omitzero"`
	NextDue       time.Time `json:"next_due,omitzero"`
	// LastError is why nothing leaves, or by what a message was last put off, and
	// LastErrorTime when that was. The rest is of a queue in retry.
	LastError      string    `json:"last_error,omitempty"`
	LastErrorTime  time.Time `json:"last_error_time,omitzero"`
	RetryCount     int       `json:"retry_count"`
	FirstRetryTime time.Time `json:"first_retry_time,omitzero"`
	LastRetryTime  time.Time `json:"last_retry_time,omitzero"`
	NextRetryTime  time.Time `json:"next_retry_time,omitzero"`
}

// The delivery types of a Queue beside those of routing.Kind.
const (
	typeSubmission  = "submission"
	typeUnreachable = "unreachable"
	typePoison      = "poison"
)

// QueueList is the answer to a look at the queues.
type QueueList struct {
	Queues []Queue `json:"queues"`
	// Distinct counts the messages of all of them, those that stand in several
	// once.
	Distinct int `json:"distinct_messages"`
}

// Age tells how old the messages of one queue are. Counts has one number for
// each of AgeTable.Bounds, and a last one for what is older.
type Age struct {
	Identity string `json:"identity"`
	Total    int    `json:"total"`
	Counts   []int  `json:"counts"`
}

// AgeTable has the ages in all queues. Bounds are the upper bounds of the ages
// that are counted together, in seconds.
type AgeTable struct {
	Bounds []int64 `json:"bounds"`
	Queues []Age   `json:"queues"`
}

// QueueOrdered is the answer to an order on a whole queue. Messages counts
// those that a retry made due or that were resubmitted.
type QueueOrdered struct {
	Identity string `json:"identity"`
	Verb     string `json:"verb"`
	Messages int    `json:"messages"`
}

// Queues lists the queues.
func (c *Client) Queues(ctx context.Context) (*QueueList, error) {
	return ask[QueueList](ctx, c, http.MethodGet, "/v1/queues", nil, nil)
}

// Ages tells how old the messages in each queue are.
func (c *Client) Ages(ctx context.Context) (*AgeTable, error) {
	return ask[AgeTable](ctx, c, http.MethodGet, "/v1/queues/ages", nil, nil)
}

// OrderQueue suspends, resumes or retries a whole queue. A retry may resubmit
// its messages.
func (c *Client) OrderQueue(ctx context.Context, verb, name string, resubmit bool) (*QueueOrdered, error) {
	q := url.Values{"name": {name}}
	if resubmit {
		q.Set("resubmit", "true")
	}
	return ask[QueueOrdered](ctx, c, http.MethodPost, "/v1/queues/"+url.PathEscape(verb), q, nil)
}

type queueHandler struct {
	queues Queues
	logger *slog.Logger
}

func (h queueHandler) list(r *http.Request) (any, error) {
	if err := newQuery(r).close(); err != nil {
		return nil, err
	}
	a := QueueList{Queues: []Queue{}, Distinct: h.queues.Stats().Messages}
	for _, i := range h.queues.Snapshot() {
		a.Queues = append(a.Queues, describeQueue(&i))
	}
	return a, nil
}

func describeQueue(i *queue.QueueInfo) Queue {
	q := Queue{
		Identity: i.Name, Status: string(i.Status), Suspended: i.Suspended,
		MessageCount: i.Messages, DeferredCount: i.Deferred, InFlight: i.InFlight, Window: i.Window, WaitsFor: i.WaitsFor,
		IncomingRate: i.IncomingRate, OutgoingRate: i.OutgoingRate, Velocity: i.Velocity,
		OldestMessage: i.Oldest.UTC(), NextDue: i.NextDue.UTC(), LastError: replyText(i.LastError), LastErrorTime: i.LastErrorAt.UTC(), RetryCount: i.RetryCount,
		FirstRetryTime: i.FirstRetry.UTC(), LastRetryTime: i.LastRetry.UTC(), NextRetryTime: i.NextRetry.UTC(),
	}
	if i.Suspended { // nothing of it is tried before it is resumed
		q.NextDue, q.NextRetryTime = time.Time{}, time.Time{}
	}
	switch i.Name {
	case queue.SubmissionName:
		q.DeliveryType = typeSubmission
	case queue.UnreachableName:
		q.DeliveryType = typeUnreachable
	case queue.PoisonName:
		q.DeliveryType = typePoison
	default:
		if i.Hop == (routing.NextHop{}) {
			break // suspended, and nothing has stood in it yet
		}
		q.DeliveryType, q.Connector, q.NextHopDomain = i.Hop.Kind.String(), i.Hop.Connector, i.Hop.Domain
	}
	return q
}

// replyText is a reply on one line, "" when there is none.
func replyText(r message.Reply) string {
	if r.Code == 0 {
		return r.Text
	}
	return r.String()
}

func (h queueHandler) ages(r *http.Request) (any, error) {
	if err := newQuery(r).close(); err != nil {
		return nil, err
	}
	a := AgeTable{Bounds: []int64{}, Queues: []Age{}}
	for _, b := range queue.AgeBuckets() {
		a.Bounds = append(a.Bounds, int64(b/time.Second))
	}
	for _, i := range h.queues.Ages() {
		a.Queues = append(a.Queues, Age{Identity: i.Name, Total: i.Total, Counts: slices.Clone(i.Counts)})
	}
	return a, nil
}

func (h queueHandler) order(r *http.Request) (any, error) {
	verb, q := r.PathValue("verb"), newQuery(r)
	name, resubmit := q.text("name"), q.boolean("resubmit")
	if err := q.close(); err != nil {
		return nil, err
	}
	if name == "" {
		return nil, badRequest("name a queue with ?name=; GET /v1/queues lists them")
	}
	if resubmit && verb != string(queue.RetryNow) {
		return nil, badRequest("only a retry can resubmit")
	}
	a := QueueOrdered{Identity: name, Verb: verb}
	err := senseless(queue.Verb(verb), name, resubmit)
	if err != nil {
		return nil, err
	}
	switch queue.Verb(verb) {
	case queue.Suspend:
		err = h.queues.SuspendQueue(name)
	case queue.Resume:
		err = h.queues.ResumeQueue(name)
	case queue.RetryNow:
		a.Messages, err = h.queues.RetryQueue(name, resubmit)
	default:
		return nil, badRequest("%q is nothing that can be done to a queue; suspend, resume and retry are", verb)
	}
	switch {
	case errors.Is(err, queue.ErrNoQueue):
		return nil, noQueue(h.queues, name)
	case errors.Is(err, queue.ErrBadOrder): // it makes sense, but not as the queue is now
		return nil, conflict("%s", plain(err))
	case err != nil:
		return nil, err
	}
	done := map[string]string{"suspend": "suspended", "resume": "resumed", "retry": "retried"}[verb]
	if resubmit {
		done = "resubmitted"
	}
	h.logger.Info("queue "+done, eventid.QueueOrdered.Attr(), "queue", name, "by", caller(r))
	return a, nil
}

// senseless refuses what can't be done to a queue without next hop, and says
// what can.
func senseless(verb queue.Verb, name string, resubmit bool) error {
	switch {
	case name == queue.PoisonName && verb == queue.Suspend:
		return conflict("the Poison queue can't be suspended: nothing leaves it by itself")
	case name == queue.PoisonName && (verb == queue.Resume || verb == queue.RetryNow):
		return conflict("the Poison queue can't be resumed or retried as a whole; resume its messages by id with \"postern queue resume ID\", or all of them with \"postern queue resume --queue Poison\"")
	case name == queue.SubmissionName && verb == queue.RetryNow:
		return conflict("the Submission queue can't be retried: its messages are routed as they come, unless it is suspended; then resume it")
	case name == queue.UnreachableName && verb == queue.RetryNow && !resubmit:
		return conflict("the messages in Unreachable have no next hop to try; route them anew with \"postern queue resubmit Unreachable\"")
	}
	return nil
}

// noQueue is the error for the name of a queue that there is not: it names
// those that come nearest.
func noQueue(queues Queues, name string) error {
	names := []string{queue.SubmissionName, queue.UnreachableName, queue.PoisonName}
	for _, i := range queues.Snapshot() {
		if !slices.Contains(names, i.Name) {
			names = append(names, i.Name)
		}
	}
	text := fmt.Sprintf("there is no queue %q", name)
	if near := nearQueues(name, names); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	} else {
		text += "; a queue goes three minutes after its last message; \"postern queue list --all\" names those there are"
	}
	return &requestError{http.StatusNotFound, text}
}

// maxNear is how many queues are offered for a name that is none.
const maxNear = 3

// nearQueues finds the queues that were probably meant: those that hold the
// name as a part, as a domain or a connector alone is, else the one whose
// spelling is nearest.
func nearQueues(name string, names []string) []string {
	var near []string
	// Nobody types the brackets of an address.
	fold := func(s string) string { return strings.NewReplacer("[", "", "]", "").Replace(strings.ToLower(s)) }
	folded := fold(name)
	for _, n := range names {
		if folded != "" && strings.Contains(fold(n), folded) && len(near) < maxNear {
			near = append(near, fmt.Sprintf("%q", n))
		}
	}
	if best := config.Nearest(name, names); len(near) == 0 && best != "" {
		near = append(near, fmt.Sprintf("%q", best))
	}
	return near
}

// queueExists reports whether a filter may name a queue.
func queueExists(queues Queues, name string) bool {
	switch name {
	case queue.SubmissionName, queue.UnreachableName, queue.PoisonName:
		return true
	}
	return slices.ContainsFunc(queues.Snapshot(), func(i queue.QueueInfo) bool { return i.Name == name })
}
