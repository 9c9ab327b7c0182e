package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/queue"
	"postern/queue/spool"
	"postern/routing"
)

const (
	// MaxPage is the most messages that one answer lists.
	MaxPage = 1000
	// maxIDs is the most ids that a filter names.
	maxIDs = 10000
)

// Message is a queued message as lists show it. Times are UTC, the size is in
// octets, trace fields included.
type Message struct {
	ID string `json:"id"`
	// Queues are the delivery queues that it stands in.
	Queues []string `json:"queues"`
	Status string   `json:"status"`
	// Sender is empty for the null reverse path.
	Sender string `json:"sender"`
	// PendingRecipients counts those still to be delivered, of whom
	// FirstRecipient is one.
	PendingRecipients int       `json:"pending_recipients"`
	FirstRecipient    string    `json:"first_recipient,omitempty"`
	Size              int64     `json:"size"`
	Arrived           time.Time `json:"arrived"`
	// NextTry is the earliest of its next tries.
	NextTry   time.Time `json:"next_try,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	Subject   string    `json:"subject,omitempty"`
	MessageID string    `json:"message_id,omitempty"`
	Tries     int       `json:"tries"`
	LastError string    `json:"last_error,omitempty"`
	// Source is where it came from, as "SMTP:<connector>", "DSN" or "Import".
	Source    string `json:"source,omitempty"`
	Suspended bool   `json:"suspended"`
	// Redirect is where it was sent instead of the next hop of its route.
	Redirect string `json:"redirect,omitempty"`
	Poison   bool   `json:"poison"`
}

// MessagePage is a part of a list of messages. Next is the id after which the
// next part begins, empty at the end: a page may be short, or empty, and not be
// the last.
type MessagePage struct {
	Messages []Message `json:"messages"`
	Next     string    `json:"next,omitempty"`
}

// Route says where some recipients of a message go and why.
type Route struct {
	Queue      string   `json:"queue"`
	Recipients []string `json:"recipients"`
	// Connector and AddressSpace are empty where no Send connector matches.
	Connector    string `json:"connector,omitempty"`
	AddressSpace string `json:"address_space,omitempty"`
	Reason       string `json:"reason"`
	// FallbackOf is the connector that was chosen, where Connector is a fallback
	// that has taken over from it.
	FallbackOf string `json:"fallback_of,omitempty"`
	// Fallback takes over at FallbackAt, or when FallbackTries attempts have
	// failed, whichever comes first; the earliest of the recipients' is given.
	Fallback      string    `json:"fallback,omitempty"`
	FallbackAt    time.Time `json:"fallback_at,omitzero"`
	FallbackTries int64     `json:"fallback_tries,omitempty"`
}

// Attempt is one connection that was tried for a message.
type Attempt struct {
	At      time.Time `json:"at"`
	Host    string    `json:"host,omitempty"`
	Address string    `json:"address,omitempty"`
	Source  string    `json:"source,omitempty"`
	TLS     string    `json:"tls,omitempty"`
	// Peer, Trust, Client and Policy are as in message.Attempt.
	Peer    string `json:"tls_peer,omitempty"`
	Trust   string `json:"tls_trust,omitempty"`
	Client  string `json:"tls_client_certificate,omitempty"`
	Policy  string `json:"tls_policy,omitempty"`
	Session string `json:"session,omitempty"`
	Reply   string `json:"reply,omitempty"`
	// Sender is the reverse path that the host was given, where it is another
	// than the envelope's.
	Sender string `json:"sender,omitempty"`
}

// MessageDetail is all that is known of a queued message.
type MessageDetail struct {
	Message
	// Waits says why it has not left yet, once for each queue it stands in.
	Waits    []Wait            `json:"waits"`
	Envelope spool.Description `json:"envelope"`
	// Attempts are the latest connections, the oldest first.
	Attempts []Attempt `json:"attempts"`
	// Routes are what routing says now; a message keeps the route that it was
	// given until it is due.
	Routes []Route `json:"routes"`
	// Generation names the routing configuration by which the message stands
	// where it does, GenerationNow the one in force, by which Routes are made.
	Generation    string `json:"generation,omitempty"`
	GenerationNow string `json:"generation_now,omitempty"`
}

// Messages lists messages that a filter chooses, in the order of their ids,
// from the one behind after; empty begins at the first. A limit of zero leaves
// the size of the page to the gateway.
func (c *Client) Messages(ctx context.Context, f Filter, after string, limit int) (*MessagePage, error) {
	q := f.query()
	if after != "" {
		q.Set("after", after)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(min(limit, MaxPage)))
	}
	return ask[MessagePage](ctx, c, http.MethodGet, "/v1/messages", q, nil)
}

// Message shows one message.
func (c *Client) Message(ctx context.Context, id string) (*MessageDetail, error) {
	return ask[MessageDetail](ctx, c, http.MethodGet, "/v1/messages/"+url.PathEscape(id), nil, nil)
}

// Content opens the content of a message, as it is stored, for reading once.
// Its reader fails with io.ErrUnexpectedEOF when the gateway could not send all
// of it. The caller closes it.
func (c *Client) Content(ctx context.Context, id string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/messages/"+url.PathEscape(id)+"/content", nil, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refused(resp)
	}
	return resp.Body, nil
}

type messageHandler struct {
	queues  Queues
	gateway Gateway
	logger  *slog.Logger
}

// pathID reads the id in a request's path.
func pathID(r *http.Request) (message.ID, error) {
	id, err := message.ParseID(r.PathValue("id"))
	if err != nil {
		return 0, badRequest("%v; ids are as \"postern queue messages\" prints them", err)
	}
	return id, nil
}

// notQueued is the error for a message that there is not, or no longer.
func notQueued(id message.ID) error {
	return &requestError{http.StatusNotFound, fmt.Sprintf(
		"message %s is not in the queue: it was delivered, given up or removed, or never was here; look for its id in the logs", id)}
}

func (h messageHandler) list(r *http.Request) (any, error) {
	q := newQuery(r)
	f := filterFrom(q)
	after, limit := q.text("after"), q.number("limit", 1, MaxPage, MaxPage)
	if err := q.close(); err != nil {
		return nil, err
	}
	chosen, err := f.choose(h.queues, time.Now())
	if err != nil {
		return nil, err
	}
	from, err := position(after)
	if err != nil {
		return nil, err
	}
	page, err := h.queues.Messages(r.Context(), chosen, from, limit)
	if err != nil {
		return nil, err
	}
	a := MessagePage{Messages: []Message{}, Next: idText(page.Next)}
	for i := range page.Messages {
		a.Messages = append(a.Messages, describeMessage(&page.Messages[i]))
	}
	return a, nil
}

// position reads where a page begins.
func position(after string) (message.ID, error) {
	if after == "" {
		return 0, nil
	}
	id, err := message.ParseID(after)
	if err != nil {
		return 0, badRequest("after: %v; name the id that the page before gave as next", err)
	}
	return id, nil
}

// idText is an id, or "" for none.
func idText(id message.ID) string {
	if id == 0 {
		return ""
	}
	return id.String()
}

func describeMessage(m *queue.MessageSummary) Message {
	d := Message{
		ID: m.ID.String(), Queues: m.Queues, Status: string(m.Status), Sender: m.From.String(),
		PendingRecipients: m.Recipients, FirstRecipient: m.FirstRecipient.String(), Size: m.Size,
		Arrived: m.Arrived.UTC(), NextTry: m.NextTry.UTC(), Expires: m.Expires.UTC(),
		Subject: m.Subject, MessageID: m.MessageID, Tries: m.Tries, LastError: replyText(m.LastError), Source: m.Source,
		Suspended: m.Standing.Suspended, Redirect: m.Standing.Redirect, Poison: m.Standing.Poison,
	}
	if d.Queues == nil {
		d.Queues = []string{}
	}
	return d
}

func (h messageHandler) show(r *http.Request) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	if err := newQuery(r).close(); err != nil {
		return nil, err
	}
	info, err := h.queues.Show(id)
	if errors.Is(err, spool.ErrNotFound) {
		return nil, notQueued(id)
	}
	if err != nil {
		return nil, err
	}
	summary, err := h.summary(r.Context(), &info)
	if err != nil {
		return nil, err
	}
	d := MessageDetail{
		Message: describeMessage(summary), Envelope: spool.Describe(info.Entry),
		Attempts: []Attempt{}, Routes: h.routes(&info),
		Generation: info.Table, GenerationNow: info.Current,
	}
	for _, a := range info.State.Attempts {
		d.Attempts = append(d.Attempts, Attempt{
			At: a.At.UTC(), Host: a.Host, Address: a.Address, Source: a.Source, TLS: a.TLS, Peer: a.Peer, Trust: a.Trust, Client: a.Client, Policy: a.Policy,
			Session: a.Session, Reply: replyText(a.Reply), Sender: a.Sender,
		})
	}
	d.Waits = waits(summary, &info, d.Routes, h.queues.Snapshot(), time.Now())
	return d, nil
}

// summary is what lists show of one message. A list may leave out a message
// that moves between queues just then; it is there all the same.
func (h messageHandler) summary(ctx context.Context, info *queue.MessageInfo) (*queue.MessageSummary, error) {
	page, err := h.queues.Messages(ctx, queue.Filter{IDs: []message.ID{info.ID}}, 0, 1)
	if err != nil {
		return nil, err
	}
	if len(page.Messages) > 0 {
		return &page.Messages[0], nil
	}
	e, pending := info.Envelope, info.State.Pending()
	m := &queue.MessageSummary{
		ID: info.ID, Status: info.Status, From: e.From, Recipients: len(pending), Size: info.Size, Arrived: e.Arrived,
		NextTry: info.NextTry, Expires: info.Expires, Subject: e.Subject, MessageID: e.MessageID, Standing: info.State.Standing,
	}
	if len(pending) > 0 {
		m.FirstRecipient = e.Recipients[pending[0]].Address
	}
	return m, nil
}

// routes groups the pending recipients by queue, each group with what routing
// says of its first recipient.
func (h messageHandler) routes(info *queue.MessageInfo) []Route {
	list, place := []Route{}, map[string]int{}
	for _, i := range info.State.Pending() {
		to, name := info.Envelope.Recipients[i].Address, info.Queues[i]
		n, known := place[name]
		if !known {
			d := h.gateway.Route(routing.QueryFor(info.Envelope, info.State, i))
			n, place[name] = len(list), len(list)
			if to := info.State.Standing.Redirect; to != "" {
				d.Reason = "An administrator redirected it to " + to + ". " + d.Reason
			}
			list = append(list, Route{Queue: name, Connector: d.Connector, AddressSpace: d.AddressSpace, Reason: d.Reason,
				FallbackOf: d.FallbackOf, Fallback: d.Fallback.Connector})
		}
		list[n].fallsBack(info, i)
		list[n].Recipients = append(list[n].Recipients, to.String())
	}
	return list
}

// fallsBack notes when a fallback takes over for one recipient.
func (r *Route) fallsBack(info *queue.MessageInfo, i int) {
	if r.Fallback == "" || i >= len(info.Fallbacks) {
		return
	}
	t := info.Fallbacks[i]
	if at := t.At.UTC(); !t.At.IsZero() && (r.FallbackAt.IsZero() || at.Before(r.FallbackAt)) {
		r.FallbackAt = at
	}
	if t.Tries > 0 && (r.FallbackTries == 0 || t.Tries < r.FallbackTries) {
		r.FallbackTries = t.Tries
	}
}

// content streams what is stored of a message, for as long as the caller takes
// it.
func (h messageHandler) content(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err == nil {
		err = newQuery(r).close()
	}
	if err != nil {
		respond(w, nil, err)
		return
	}
	c, err := h.queues.Content(id)
	if errors.Is(err, spool.ErrNotFound) {
		err = notQueued(id)
	}
	if err != nil {
		respond(w, nil, err)
		return
	}
	defer c.Close()
	h.logger.Info("the content of a message is read over the control socket", eventid.ContentRead.Attr(), "by", caller(r), "id", id.String())
	// RFC 6532 3.7 covers what is in UTF-8; 8-bit content has no type of its own.
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Length", strconv.FormatInt(c.Size(), 10))
	if _, err := io.Copy(idleWriter{w, http.NewResponseController(w)}, c); err != nil && r.Context().Err() == nil {
		h.logger.Warn("the content of a message could not be sent whole", eventid.ContentCut.Attr(), "id", id.String(), "error", err)
		// The length says that something is missing; the connection must not go on.
		panic(http.ErrAbortHandler)
	}
}

// idleWriter writes for as long as each piece is taken within transferIdle.
type idleWriter struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (i idleWriter) Write(p []byte) (int, error) {
	end := time.Now().Add(transferIdle)
	// The deadline for reading must not end the transfer either: it ends the
	// request's context.
	_ = errors.Join(i.c.SetWriteDeadline(end), i.c.SetReadDeadline(end))
	return i.w.Write(p)
}
