package control

import (
	"context"
	"net/http"

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
	// Applied is false when the file has errors: the running configuration
	// stays as it was.
	Applied bool     `json:"applied"`
	Changes []Change `json:"changes"`
	// Findings are the errors and warnings of the file, each with its place.
	Findings []string `json:"findings"`
	Error    string   `json:"error,omitempty"`
}

// Reload asks the gateway to read its configuration file again.
func (c *Client) Reload(ctx context.Context) (*Reloaded, error) {
	var r Reloaded
	if _, err := c.call(ctx, http.MethodPost, "/v1/configuration/reload", &r); err != nil {
		return nil, err
	}
	return &r, nil
}

type reloadHandler struct{ gateway Gateway }

func (h reloadHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	changes, findings, cfg, err := h.gateway.Reload(r.Context())
	a := Reloaded{Applied: err == nil, Changes: []Change{}, Findings: []string{}}
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
