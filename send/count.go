package send

import (
	"sync"

	"postern/internal/metrics"
	ptls "postern/tls"
)

// counts is what is counted of connections to next hops.
type counts struct {
	registry   *metrics.Registry
	handshakes ptls.Handshakes

	mu         sync.Mutex
	connectors map[string]*connections
}

// connections are those of one Send connector.
type connections struct {
	connector string
	opened    *metrics.Counter
	open      *metrics.Gauge
}

func newCounts(r *metrics.Registry) *counts {
	return &counts{registry: r, handshakes: ptls.NewHandshakes(r, "send"), connectors: make(map[string]*connections)}
}

// of returns what is counted of a connector.
func (c *counts) of(connector string) *connections {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.connectors[connector]
	if n == nil {
		label := metrics.Label{Name: "connector", Value: connector}
		n = &connections{connector: connector, opened: c.registry.Counter("send_connections_opened", label), open: c.registry.Gauge("send_connections", label)}
		c.connectors[connector] = n
	}
	return n
}

// failed counts a connection that did not come to where MAIL could be said, by
// the phase in which it failed.
func (c *counts) failed(connector string, p phase) {
	name := "other"
	switch p {
	case phaseConnect:
		name = "connect"
	case phaseGreeting:
		name = "greeting"
	case phaseEHLO:
		name = "ehlo"
	case phaseSTARTTLS:
		name = "starttls"
	case phaseHandshake:
		name = "tls"
	case phaseAUTH:
		name = "auth"
	}
	c.registry.Counter("send_connections_failed", metrics.Label{Name: "connector", Value: connector}, metrics.Label{Name: "phase", Value: name}).Inc()
}
