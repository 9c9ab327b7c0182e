package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"postern/config"
)

// Change is one key whose value a reload changed.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
	// Restart says that the new value holds only after a restart.
	Restart bool `json:"needs_restart"`
}

// Reloaded is the answer to a reload.
type Reloaded struct {
	// File is the file that was read; empty when nothing was.
	File string `json:"file"`
	// Applied is false when the file has errors: the running configuration
	// stays as it was.
	Applied bool     `json:"applied"`
	Changes []Change `json:"changes"`
	// Findings are the errors and warnings of the file, each with its place.
	Findings []string `json:"findings"`
	Error    string   `json:"error,omitempty"`
}

// Reload asks the gateway to read its configuration file again. file is the one
// the caller means, empty for whatever the gateway runs with: a gateway that
// runs with another reads nothing, and the answer says so.
func (c *Client) Reload(ctx context.Context, file string) (*Reloaded, error) {
	var r Reloaded
	q := url.Values{}
	if file != "" {
		q.Set("file", file)
	}
	if _, err := c.call(ctx, http.MethodPost, "/v1/configuration/reload?"+q.Encode(), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

type reloadHandler struct{ gateway Gateway }

func (h reloadHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := Reloaded{Changes: []Change{}, Findings: []string{}}
	own := h.gateway.File()
	if asked := r.URL.Query().Get("file"); asked != "" && !sameFile(asked, own) {
		if own == "" {
			own = "the embedded default"
		}
		a.Error = fmt.Sprintf("the gateway runs with %s, not with %s; name its own file, or restart it with the other", own, asked)
		answer(w, http.StatusConflict, a)
		return
	}
	changes, findings, cfg, err := h.gateway.Reload(r.Context(), caller(r))
	a.Applied, a.File = err == nil, own
	for _, c := range changes {
		a.Changes = append(a.Changes, Change{Key: c.Path, Old: c.Old, New: c.New, Restart: c.Restart})
	}
	for _, f := range findings {
		a.Findings = append(a.Findings, format(f, cfg))
	}
	status := http.StatusOK
	if err != nil {
		a.Error = err.Error()
		status = http.StatusUnprocessableEntity
	}
	answer(w, status, a)
}

func format(f config.Finding, cfg *config.Config) string {
	return f.Format(cfg.Position(f.Path))
}

// sameFile reports whether two names are of one file.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}
