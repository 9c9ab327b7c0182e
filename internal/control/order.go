package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/queue"
	"postern/routing"
)

// Filter chooses messages; what is left zero does not restrict. From, To and
// Domain are an address, a domain, "*.domain", or "<>" for the null reverse
// path; Domain looks at recipients.
type Filter struct {
	IDs    []string `json:"ids,omitempty"`
	Queue  string   `json:"queue,omitempty"`
	From   string   `json:"from,omitempty"`
	To     string   `json:"to,omitempty"`
	Domain string   `json:"domain,omitempty"`
	// OlderThan is in seconds, LargerThan in octets.
	OlderThan  int64 `json:"older_than,omitempty"`
	LargerThan int64 `json:"larger_than,omitempty"`
	// Subject is a part of the subject, in any case.
	Subject string `json:"subject,omitempty"`
	Status  string `json:"status,omitempty"`
}

// Empty reports whether the filter chooses all messages.
func (f *Filter) Empty() bool {
	return len(f.IDs) == 0 && f.Queue == "" && f.From == "" && f.To == "" && f.Domain == "" &&
		f.OlderThan == 0 && f.LargerThan == 0 && f.Subject == "" && f.Status == ""
}

// Statuses are the words of Filter.Status.
func Statuses() []string {
	var words []string
	for _, s := range []queue.MessageStatus{
		queue.StatusReady, queue.StatusActive, queue.StatusRetry, queue.StatusSuspended,
		queue.StatusPendingSuspend, queue.StatusPendingRemove, queue.StatusUnreachable, queue.StatusPoison,
	} {
		words = append(words, string(s))
	}
	return words
}

// query writes the filter as the parameters of a request.
func (f *Filter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"queue": f.Queue, "from": f.From, "to": f.To, "domain": f.Domain, "subject": f.Subject, "status": f.Status,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.OlderThan != 0 {
		q.Set("older_than", strconv.FormatInt(f.OlderThan, 10))
	}
	if f.LargerThan != 0 {
		q.Set("larger_than", strconv.FormatInt(f.LargerThan, 10))
	}
	if len(f.IDs) > 0 {
		q["id"] = f.IDs
	}
	return q
}

// filterFrom reads a filter from a request's parameters, where times and sizes
// may have units as in the configuration.
func filterFrom(q *query) Filter {
	f := Filter{
		IDs: q.all("id"), Queue: q.text("queue"), From: q.text("from"), To: q.text("to"), Domain: q.text("domain"),
		Subject: q.text("subject"), Status: q.text("status"),
	}
	if v := q.text("older_than"); v != "" {
		d, err := config.ParseDuration(v)
		if err != nil {
			q.refuse("older_than: %v; write \"2h\", or a number of seconds", err)
		}
		f.OlderThan = int64(d / time.Second)
	}
	if v := q.text("larger_than"); v != "" {
		n, err := config.ParseSize(v)
		if err != nil {
			q.refuse("larger_than: %v", err)
		}
		f.LargerThan = n
	}
	return f
}

// choose checks the filter and brings it into the queue's form.
func (f *Filter) choose(queues Queues, now time.Time) (queue.Filter, error) {
	c := queue.Filter{
		Queue: f.Queue, From: f.From, To: f.To, Domain: f.Domain, LargerThan: f.LargerThan, Subject: f.Subject,
		Status: queue.MessageStatus(f.Status),
	}
	switch {
	case len(f.IDs) > maxIDs:
		return c, badRequest("%d ids are more than the %d that one request may name; send several", len(f.IDs), maxIDs)
	case f.LargerThan < 0:
		return c, badRequest("larger_than is negative; want a number of octets")
	case f.OlderThan < 0 || f.OlderThan > int64(maxAge/time.Second):
		return c, badRequest("older_than is not between 0 and %d seconds", int64(maxAge/time.Second))
	case f.Status != "" && !slices.Contains(Statuses(), f.Status):
		return c, badRequest("no message has the status %q; want one of %s", f.Status, strings.Join(Statuses(), ", "))
	case f.Queue != "" && !queueExists(queues, f.Queue):
		return c, noQueue(queues, f.Queue)
	}
	for _, p := range []struct{ name, text string }{{"from", f.From}, {"to", f.To}, {"domain", f.Domain}} {
		if p.text == "" {
			continue
		}
		if _, err := routing.ParsePattern(p.text); err != nil {
			return c, badRequest("%s: %v", p.name, err)
		}
	}
	if strings.ContainsAny(f.Domain, "@<>") {
		return c, badRequest("domain: %q is no domain; write a domain or \"*.domain\"", f.Domain)
	}
	for _, text := range f.IDs {
		id, err := message.ParseID(text)
		if err != nil {
			return c, badRequest("%v; ids are as \"postern queue messages\" prints them", err)
		}
		c.IDs = append(c.IDs, id)
	}
	if f.OlderThan > 0 {
		c.ArrivedBefore = now.Add(-time.Duration(f.OlderThan) * time.Second)
	}
	return c, nil
}

// maxAge bounds Filter.OlderThan.
const maxAge = 100 * 365 * 24 * time.Hour

// Order is what is to be done to messages. It must have a filter or say All.
type Order struct {
	Filter Filter `json:"filter"`
	All    bool   `json:"all,omitempty"`
	// After is where to go on: the Next of the Tally before.
	After string `json:"after,omitempty"`
	// To is the next hop of a redirect, as HOST or HOST:PORT, several with
	// commas between.
	To string `json:"to,omitempty"`
	// WithoutNDR keeps a removal from being told to the sender.
	WithoutNDR bool `json:"without_ndr,omitempty"`
	// DryRun only counts.
	DryRun bool `json:"dry_run,omitempty"`
}

// Tally is what has come of an order so far. A client goes on from Next until
// it is empty.
type Tally struct {
	// Matched messages are those that the filter chooses; of them Changed were
	// changed at once, and Pending are being delivered and follow when the
	// attempt ends. Recipients counts those of both that the order is about.
	Matched    int `json:"matched"`
	Changed    int `json:"changed"`
	Pending    int `json:"pending"`
	Recipients int `json:"recipients"`
	// Skipped counts those that were left alone, by the reason.
	Skipped map[string]int `json:"skipped"`
	Next    string         `json:"next,omitempty"`
}

// add puts another part of the same order on top.
func (t *Tally) add(o *Tally) {
	t.Matched, t.Changed, t.Pending = t.Matched+o.Matched, t.Changed+o.Changed, t.Pending+o.Pending
	t.Recipients += o.Recipients
	for reason, n := range o.Skipped {
		t.Skipped[reason] += n
	}
	t.Next = o.Next
}

// OrderMessages does what the verb says to all messages that the order chooses:
// suspend, resume, retry, resubmit, redirect or remove. It goes on until the
// last one; after each part it tells progress, which may be nil, how far it is.
// What is told together with an error was done.
func (c *Client) OrderMessages(ctx context.Context, verb string, o Order, progress func(Tally)) (Tally, error) {
	total := Tally{Skipped: map[string]int{}}
	for {
		t, err := ask[Tally](ctx, c, http.MethodPost, "/v1/messages/"+url.PathEscape(verb), nil, o)
		if err != nil {
			return total, err
		}
		total.add(t)
		if t.Next == "" {
			return total, nil
		}
		if t.Next <= o.After {
			return total, errors.New("the gateway does not come to an end with the order; part of it is done")
		}
		o.After = t.Next
		if progress != nil {
			progress(total)
		}
	}
}

func (h messageHandler) order(r *http.Request) (any, error) {
	var o Order
	if err := readJSON(r, &o); err != nil {
		return nil, err
	}
	if err := newQuery(r).close(); err != nil {
		return nil, err
	}
	order, err := o.carry(r.PathValue("verb"), h.queues, time.Now())
	if err != nil {
		return nil, err
	}
	order.By = caller(r)
	t, err := h.queues.Carry(r.Context(), order)
	if err != nil {
		return nil, err
	}
	a := Tally{Matched: t.Matched, Changed: t.Changed, Pending: t.Pending, Recipients: t.Recipients, Skipped: t.Skipped, Next: idText(t.Next)}
	if a.Skipped == nil {
		a.Skipped = map[string]int{}
	}
	return a, nil
}

// carry checks an order and brings it into the queue's form.
func (o *Order) carry(verb string, queues Queues, now time.Time) (queue.Order, error) {
	c := queue.Order{Verb: queue.Verb(verb), WithNDR: !o.WithoutNDR, To: o.To, DryRun: o.DryRun}
	if !slices.Contains([]queue.Verb{queue.Suspend, queue.Resume, queue.RetryNow, queue.Resubmit, queue.Redirect, queue.Remove}, c.Verb) {
		return c, badRequest("%q is nothing that can be done to messages; suspend, resume, retry, resubmit, redirect and remove are", verb)
	}
	if o.Filter.Empty() != o.All {
		return c, badRequest("say which messages with a filter, or all of them with \"all\": true, and not both")
	}
	if (c.Verb == queue.Redirect) != (o.To != "") {
		return c, badRequest("\"to\" names the next hop of a redirect, and of nothing else")
	}
	if o.WithoutNDR && c.Verb != queue.Remove {
		return c, badRequest("\"without_ndr\" is for remove alone")
	}
	var err error
	if c.Filter, err = o.Filter.choose(queues, now); err != nil {
		return c, err
	}
	c.After, err = position(o.After)
	return c, err
}
