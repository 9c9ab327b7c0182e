package config

import (
	"fmt"
	"net/netip"
)

func metricsTable() *table {
	return single(table{
		name: "metrics",
		doc:  "Where a monitoring system reads the gateway's figures over the network. The control socket always has them.",
		keys: []key{{
			Name: "address", Type: listenAddress(), Default: "",
			Doc:   "The address and port at which `GET /metrics` is answered, such as `127.0.0.1:9187`; empty for none. Whoever reaches it reads the names of connectors and how much mail passes: it should be of the loopback or of a private network.",
			Field: in(func(m *Metrics) any { return &m.Address }),
		}},
	}, func(c *Config) *Metrics { return &c.Metrics })
}

// listenAddress is an address and port, or nothing.
func listenAddress() typed[netip.AddrPort] {
	t := binding()
	t.name = "address and port"
	t.permits = `an address and a port, or ""`
	parse, format := t.parse, t.toml
	t.parse = func(value any) (netip.AddrPort, []fault) {
		if value == "" {
			return netip.AddrPort{}, nil
		}
		return parse(value)
	}
	t.toml = func(a netip.AddrPort) string {
		if !a.IsValid() {
			return `""`
		}
		return format(a)
	}
	shown := t.json
	t.json = func(a netip.AddrPort) any {
		if !a.IsValid() {
			return ""
		}
		return shown(a)
	}
	return t
}

// checkMetrics refuses an address that is a connector's, and warns of figures
// that everybody can read.
func (d *decoder) checkMetrics(m *Metrics, connectors []ReceiveConnector) {
	a := m.Address.Addr()
	if !d.read("metrics", "address") || !a.IsValid() {
		return
	}
	for i := range connectors {
		for _, b := range connectors[i].Bindings {
			if b.Port() == m.Address.Port() && (b.Addr() == a || b.Addr().IsUnspecified() || a.IsUnspecified()) {
				d.fail("metrics.address", fmt.Sprintf("address: %s is in use by binding %s of Receive connector %q", m.Address, b, connectors[i].Name), "write another port")
				return
			}
		}
	}
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return
	}
	what := "is a public one"
	if a.IsUnspecified() {
		what = "stands for all of this host's"
	}
	d.warn("metrics.address", fmt.Sprintf("address: %s %s, so that whoever reaches it reads the gateway's figures", a, what),
		`write one of the loopback or of a private network, such as "127.0.0.1:9187"`)
}
