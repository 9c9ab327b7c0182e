package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/queue"
	"postern/queue/spool"
)

const (
	// maxRequest bounds the body of a request, in octets.
	maxRequest = 1 << 20
	// requestTime bounds the work on a request that is not a transfer of
	// content, and the writing of its answer.
	requestTime = time.Minute
	// transferIdle is how long a transfer of content may make no headway.
	transferIdle = 30 * time.Second
)

// failure is the body of every answer that is not a success.
type failure struct {
	Error string `json:"error"`
}

// requestError is a request that can't be done, with the status that says so.
type requestError struct {
	status int
	text   string
}

func (e *requestError) Error() string { return e.text }

// badRequest says what is wrong with a request and what to write instead.
func badRequest(format string, args ...any) error {
	return &requestError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// conflict says why something can't be done as things are.
func conflict(format string, args ...any) error {
	return &requestError{http.StatusConflict, fmt.Sprintf(format, args...)}
}

// plain is the text of an error of the queue without the words by which programs
// tell it.
func plain(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), queue.ErrBadOrder.Error()+": "), "queue: ")
}

// statusOf is the status by which an error is told.
func statusOf(err error) int {
	var r *requestError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &r):
		return r.status
	case errors.Is(err, queue.ErrBadOrder):
		return http.StatusBadRequest
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, queue.ErrNoQueue), errors.Is(err, spool.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, queue.ErrNotRunning), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, spool.ErrClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, spool.ErrNoSpace):
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// respond answers a request with v, or with what went wrong.
func respond(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, statusOf(err), plain(err))
		return
	}
	answer(w, http.StatusOK, v)
}

func fail(w http.ResponseWriter, status int, text string) { answer(w, status, failure{text}) }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}

// bounded makes a handler of work that ends within requestTime, on a request
// whose body is small. The work is told when the caller goes away.
func bounded(work func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		// Deadlines are the connection's; one that can't be set is no longer there.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestTime + transferIdle))
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		v, err := work(r)
		respond(w, v, err)
	}
}

// readJSON reads the body of a request into v, which must know every key. The
// body is read to its end: only then does the connection tell when the caller
// goes away.
func readJSON(r *http.Request, v any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("the request can't be read: %w", err)
	}
	return decodeJSON(text, v)
}

// decodeJSON reads one JSON object, all of whose keys v must know.
func decodeJSON(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badRequest("the request is not the JSON object that is wanted: %v; see docs/queue.md", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the request has something behind its JSON object; send one object alone")
	}
	return nil
}

// query reads the parameters of a request one by one, and knows which it has
// not been asked for.
type query struct {
	values url.Values
	err    error
}

func newQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		err = badRequest("the query can't be read: %v", err)
	}
	return &query{values, err}
}

// all takes every value of a parameter.
func (q *query) all(name string) []string {
	v := q.values[name]
	delete(q.values, name)
	return v
}

// text takes a parameter that may be given once.
func (q *query) text(name string) string {
	v := q.all(name)
	switch {
	case len(v) == 0:
		return ""
	case len(v) > 1:
		q.refuse("%s is given more than once", name)
	}
	return v[0]
}

func (q *query) boolean(name string) bool {
	v := q.text(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		q.refuse("%s=%q: want true or false", name, v)
	}
	return b
}

func (q *query) number(name string, least, most, otherwise int) int {
	v := q.text(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		q.refuse("%s=%q: want a number from %d to %d", name, v, least, most)
	}
	return n
}

func (q *query) refuse(format string, args ...any) {
	if q.err == nil {
		q.err = badRequest(format, args...)
	}
}

// close returns the first thing that was wrong, an unknown parameter included.
func (q *query) close() error {
	for name := range q.values {
		q.refuse("unknown parameter %q", name)
	}
	return q.err
}
