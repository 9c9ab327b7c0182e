package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
	"postern/internal/wire"
)

// maxEnvelope bounds the envelope of an import, in octets: the first line of
// the request.
const maxEnvelope = 1 << 20

// Envelope is the envelope of a message to import. Its keys are among those
// that "postern queue export" writes.
type Envelope struct {
	// Sender is empty for the null reverse path.
	Sender     string      `json:"sender"`
	Recipients []Recipient `json:"recipients"`
	EnvID      string      `json:"envid,omitempty"`
	Return     string      `json:"ret,omitempty"`  // FULL or HDRS
	Body       string      `json:"body,omitempty"` // 7BIT, 8BITMIME or BINARYMIME
	SMTPUTF8   bool        `json:"smtputf8,omitempty"`
	RequireTLS bool        `json:"requiretls,omitempty"`
}

// Recipient is one recipient of an Envelope. Notify has the words of NOTIFY=.
type Recipient struct {
	Address string   `json:"address"`
	Notify  []string `json:"notify,omitempty"`
	ORcpt   string   `json:"orcpt,omitempty"`
}

// Imported is the answer to an import.
type Imported struct {
	ID string `json:"id"`
}

// Import hands a message to the gateway, whose size is limited by
// server.max_message_size unless noLimit is set.
func (c *Client) Import(ctx context.Context, e *Envelope, content io.Reader, noLimit bool) (*Imported, error) {
	line, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	q := url.Values{}
	if noLimit {
		q.Set("no_limit", "true")
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/messages", q, io.MultiReader(bytes.NewReader(append(line, '\n')), content))
	if err != nil {
		return nil, err
	}
	return answered[Imported](resp)
}

// importMessage takes a message: its envelope as JSON on the first line, then
// its content, for as long as it keeps coming. Whoever may use the socket may
// send as anyone.
func (h messageHandler) importMessage(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r)
	noLimit := q.boolean("no_limit")
	if err := q.close(); err != nil {
		respond(w, nil, err)
		return
	}
	c := http.NewResponseController(w)
	body := bufio.NewReader(idleReader{r.Body, c})
	e, err := readEnvelope(body)
	if err != nil {
		respond(w, nil, err)
		return
	}
	limit := h.gateway.MaxMessageSize()
	if noLimit {
		limit = 0
	}
	id, err := h.gateway.Import(r.Context(), e, body, limit)
	_ = c.SetWriteDeadline(time.Now().Add(transferIdle))
	var reply *wire.Reply
	if errors.As(err, &reply) {
		err = &requestError{http.StatusUnprocessableEntity, "the message is not imported: " + reply.Error()}
	}
	if err == nil {
		h.logger.Info("a message is imported", eventid.MessageImported.Attr(), "by", caller(r), "id", id.String(), "from", e.From.String(), "recipients", len(e.Recipients))
	}
	respond(w, Imported{id.String()}, err)
}

// idleReader reads for as long as each piece comes within transferIdle.
type idleReader struct {
	r io.Reader
	c *http.ResponseController
}

func (i idleReader) Read(p []byte) (int, error) {
	_ = i.c.SetReadDeadline(time.Now().Add(transferIdle))
	return i.r.Read(p)
}

// readEnvelope reads the first line of an import and leaves the content.
func readEnvelope(r *bufio.Reader) (*message.Envelope, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxEnvelope:
			return nil, badRequest("the envelope, the first line, is longer than %d octets", maxEnvelope)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil, badRequest("want the envelope as one line of JSON, and then the content")
		case err != nil:
			return nil, fmt.Errorf("the request can't be read: %w", err)
		}
		var e Envelope
		if err := decodeJSON(line, &e); err != nil {
			return nil, err
		}
		return e.Parse()
	}
}

// Parse checks the envelope as MAIL and RCPT would.
func (e *Envelope) Parse() (*message.Envelope, error) {
	m := &message.Envelope{SMTPUTF8: e.SMTPUTF8, RequireTLS: e.RequireTLS}
	var err error
	if e.Sender != "" {
		if m.From, err = message.ParseAddress(e.Sender, true); err != nil {
			return nil, badRequest("sender %q: %v", e.Sender, err)
		}
	}
	m.SMTPUTF8 = m.SMTPUTF8 || !m.From.ASCII()
	if m.Body, err = choice[message.BodyType]("body", e.Body, "", "7BIT", "8BITMIME", "BINARYMIME"); err != nil {
		return nil, err
	}
	if m.Return, err = choice[message.Return]("ret", e.Return, "", "FULL", "HDRS"); err != nil {
		return nil, err
	}
	if err := printable("envid", e.EnvID); err != nil {
		return nil, err
	}
	m.EnvID = e.EnvID
	if len(e.Recipients) == 0 {
		return nil, badRequest("the envelope has no recipient")
	}
	known := map[string]bool{}
	for i := range e.Recipients {
		r, err := e.Recipients[i].parse()
		if err != nil {
			return nil, err
		}
		m.SMTPUTF8 = m.SMTPUTF8 || !r.Address.ASCII()
		if key := r.Address.Key(); !known[key] { // one copy each
			known[key] = true
			m.Recipients = append(m.Recipients, r)
		}
	}
	return m, nil
}

func (r *Recipient) parse() (message.Recipient, error) {
	a, err := message.ParseAddress(r.Address, true)
	if err != nil {
		return message.Recipient{}, badRequest("recipient %q: %v", r.Address, err)
	}
	p := message.Recipient{Address: a, ORcpt: r.ORcpt}
	for _, word := range r.Notify {
		n, err := choice[uint8]("notify", word, "NEVER", "SUCCESS", "FAILURE", "DELAY")
		if err != nil {
			return p, err
		}
		p.Notify |= 1 << n
	}
	if p.Notify&message.NotifyNever != 0 && p.Notify != message.NotifyNever { // RFC 3461 4.1
		return p, badRequest("recipient %q: NEVER stands alone in notify", r.Address)
	}
	if kind, rest, ok := strings.Cut(r.ORcpt, ";"); r.ORcpt != "" && (!ok || kind == "" || rest == "") { // RFC 3461 4.2
		return p, badRequest("recipient %q: orcpt is not \"type;address\"", r.Address)
	}
	return p, printable("orcpt", r.ORcpt)
}

// choice is the place of a word in a list, in any case.
func choice[T ~uint8](key, word string, words ...string) (T, error) {
	n := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
	if n < 0 {
		return 0, badRequest("%s %q: want one of %s", key, word, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", "))
	}
	return T(n), nil
}

// printable refuses what could not be sent on: control characters, and more
// than any peer takes (RFC 3461 5.4).
func printable(key, s string) error {
	if len(s) > 500 {
		return badRequest("%s is longer than 500 octets", key)
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return badRequest("%s holds a control character", key)
		}
	}
	return nil
}
