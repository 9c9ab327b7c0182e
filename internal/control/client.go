package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
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

// call sends a request and reads the answer into v. An error wraps ErrNoServer
// when nobody listens.
func (c *Client) call(ctx context.Context, method, path string, v any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://postern"+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		switch {
		case errors.Is(err, fs.ErrPermission):
			return 0, fmt.Errorf("control socket %s: permission denied; call as root or as the user the gateway runs as", c.path)
		case errors.As(err, &op) && op.Op == "dial":
			return 0, fmt.Errorf("%w on %s: %w; start it with \"postern serve\", or name its file with --config", ErrNoServer, absolute(c.path), op.Err)
		}
		return 0, fmt.Errorf("control socket %s: %w", c.path, err)
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode == http.StatusForbidden {
		var f failure
		_ = json.NewDecoder(body).Decode(&f)
		return resp.StatusCode, fmt.Errorf("control socket %s: %s", c.path, f.Error)
	}
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return resp.StatusCode, fmt.Errorf("control socket %s: can't read the answer: %w", c.path, err)
	}
	return resp.StatusCode, nil
}

// absolute is the path from the root, where it can be told.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
