package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"postern/internal/metrics"
)

// Metrics asks for all figures in the text format of Prometheus and copies them
// to w.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, "/metrics", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	if _, err := io.Copy(w, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return fmt.Errorf("the gateway's answer can't be read: %w", err)
	}
	return nil
}

// Families asks for all figures as JSON: a list of metrics.Family.
func (c *Client) Families(ctx context.Context) (*json.RawMessage, error) {
	return ask[json.RawMessage](ctx, c, http.MethodGet, "/v1/metrics", nil, nil)
}

type metricsHandler struct{ gateway Gateway }

// text answers in the text format, whatever the query: scrapers add their own.
func (h metricsHandler) text(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestTime))
	w.Header().Set("Content-Type", metrics.ContentType)
	_ = metrics.Write(w, h.gateway.Metrics()) // nobody else is left to tell
}

func (h metricsHandler) list(r *http.Request) (any, error) {
	if err := newQuery(r).close(); err != nil {
		return nil, err
	}
	return h.gateway.Metrics(), nil
}
