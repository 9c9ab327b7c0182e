package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
)

// maxAnswer bounds what the client reads of an answer, in octets.
const maxAnswer = 64 << 20

// ErrNoServer says that no gateway answers on the socket.
var ErrNoServer = errors.New("no running gateway answers")

// Client speaks to a running gateway. It is safe for concurrent use.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the socket at path. It connects when it is
// first used.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// RequestError says that the gateway did not do what it was asked, and why.
type RequestError struct {
	// Status is the status of the answer, of HTTP (RFC 9110 15).
	Status int
	// Text says what is wrong and what to do about it.
	Text string
}

// Error is the text.
func (e *RequestError) Error() string { return e.Text }

// BadRequest reports whether what was asked for makes no sense, as opposed to
// what can't be done.
func (e *RequestError) BadRequest() bool { return e.Status == http.StatusBadRequest }

// send sends a request. An error wraps ErrNoServer when nobody listens. The
// caller closes the body of the answer.
func (c *Client) send(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://postern"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err == nil {
		return resp, nil
	}
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("control socket %s: permission denied; call as root or as the user the gateway runs as", c.path)
	case errors.As(err, &op) && op.Op == "dial":
		return nil, fmt.Errorf("%w on %s: %w; start it with \"postern serve\", or name its file with --config", ErrNoServer, absolute(c.path), op.Err)
	}
	return nil, fmt.Errorf("control socket %s: %w", c.path, err)
}

// call sends a request and reads the answer into v, whatever its status but
// that of a caller who is turned away.
func (c *Client) call(ctx context.Context, method, path string, v any) (status int, err error) {
	resp, err := c.send(ctx, method, path, nil, nil)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode == http.StatusForbidden {
		defer resp.Body.Close()
		return resp.StatusCode, refused(resp)
	}
	return resp.StatusCode, readAnswer(resp, v)
}

// ask sends a request, with body as JSON unless it is nil, and returns the
// answer. Any answer but a success is a *RequestError.
func ask[T any](ctx context.Context, c *Client, method, path string, q url.Values, body any) (*T, error) {
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(text)
	}
	resp, err := c.send(ctx, method, path, q, r)
	if err != nil {
		return nil, err
	}
	return answered[T](resp)
}

// answered reads an answer.
func answered[T any](resp *http.Response) (*T, error) {
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refused(resp)
	}
	v := new(T)
	return v, readAnswer(resp, v)
}

func readAnswer(resp *http.Response, v any) error {
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("the gateway's answer can't be read: %w", err)
	}
	return nil
}

// refused is the error that an answer tells.
func refused(resp *http.Response) error {
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&f); err != nil || f.Error == "" {
		f.Error = "the gateway answers " + resp.Status
	}
	return &RequestError{resp.StatusCode, f.Error}
}

// absolute is the path from the root, where it can be told.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
