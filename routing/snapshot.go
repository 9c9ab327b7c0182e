package routing

import (
	"cmp"
	"slices"
	"strings"

	"postern/config"
)

// maxSnapshot bounds the accepted domains, and the address spaces of each
// connector, that a snapshot lists; the others are counted.
const maxSnapshot = 10000

// Snapshot is the routing configuration as the routing table log has it: what
// decisions depend on, in an order that is not that of the file, so that two of
// them can be held against one another. It has no secrets.
type Snapshot struct {
	Generation      string              `json:"generation"`
	DefaultDomain   string              `json:"default_domain"`
	Restrictions    string              `json:"restrictions"`
	AcceptedDomains []SnapshotDomain    `json:"accepted_domains"`
	MoreDomains     int                 `json:"more_accepted_domains,omitempty"`
	SendConnectors  []SnapshotConnector `json:"send_connectors"`
	Hosts           map[string][]string `json:"static_hosts,omitempty"`
}

// SnapshotDomain is an accepted domain.
type SnapshotDomain struct {
	Domain  string `json:"domain"`
	Type    string `json:"type"`
	Default bool   `json:"default,omitempty"`
}

// SnapshotConnector is a Send connector.
type SnapshotConnector struct {
	Name          string          `json:"name"`
	Enabled       bool            `json:"enabled"`
	AddressSpaces []SnapshotSpace `json:"address_spaces"`
	MoreSpaces    int             `json:"more_address_spaces,omitempty"`
	// SmartHosts is empty for a connector that delivers by MX.
	SmartHosts []string `json:"smart_hosts,omitempty"`
	Port       uint16   `json:"port"`
	TLS        string   `json:"tls"`
	// MaxMessageSize is in octets; left out where there is no limit.
	MaxMessageSize int64 `json:"max_message_size,omitempty"`
	// BlockedSenders and AllowedSenders count patterns, those of files included.
	BlockedSenders int      `json:"blocked_senders,omitempty"`
	AllowedSenders int      `json:"allowed_senders,omitempty"`
	Scope          []string `json:"scope,omitempty"`
	Fallback       string   `json:"fallback,omitempty"`
}

// SnapshotSpace is an address space as it counts: "*.contoso.example", "--".
type SnapshotSpace struct {
	Space string `json:"space"`
	Cost  int    `json:"cost"`
}

// SnapshotOf describes the routing configuration of a table. The configuration
// is the one that the table was made of, with its files of entries read.
func SnapshotOf(cfg *config.Config, t *Table) Snapshot {
	s := Snapshot{
		Generation: t.generation, DefaultDomain: t.DefaultDomain(), Restrictions: cfg.Routing.Restrictions,
		AcceptedDomains: []SnapshotDomain{}, SendConnectors: []SnapshotConnector{},
	}
	for i := range cfg.AcceptedDomains {
		d := &cfg.AcceptedDomains[i]
		s.AcceptedDomains = append(s.AcceptedDomains, SnapshotDomain{Domain: strings.ToLower(d.Domain), Type: string(d.Type), Default: d.Default})
	}
	slices.SortFunc(s.AcceptedDomains, func(a, b SnapshotDomain) int { return strings.Compare(a.Domain, b.Domain) })
	s.AcceptedDomains, s.MoreDomains = firstOf(s.AcceptedDomains)
	for name, addresses := range cfg.DNS.Hosts {
		if s.Hosts == nil {
			s.Hosts = make(map[string][]string, len(cfg.DNS.Hosts))
		}
		for _, a := range addresses {
			s.Hosts[name] = append(s.Hosts[name], a.String())
		}
	}
	for _, c := range slices.SortedFunc(slices.Values(t.connectors), (*connector).compare) {
		s.SendConnectors = append(s.SendConnectors, c.snapshot(cfg))
	}
	return s
}

func (c *connector) snapshot(cfg *config.Config) SnapshotConnector {
	from := &cfg.SendConnectors[c.index]
	s := SnapshotConnector{
		Name: c.name, Enabled: c.enabled, AddressSpaces: []SnapshotSpace{}, Port: from.Port, TLS: from.TLS,
		BlockedSenders: entries(cfg, from.BlockedSenders, from.BlockedSendersFile), AllowedSenders: entries(cfg, from.AllowedSenders, from.AllowedSendersFile),
		Scope: slices.Sorted(slices.Values(c.scope)),
	}
	if c.smartHosts != "" {
		s.SmartHosts = strings.Split(c.smartHosts, ",")
	}
	if c.maxSize != config.Unlimited {
		s.MaxMessageSize = c.maxSize
	}
	if c.fallback != nil {
		s.Fallback = c.fallback.name
	}
	for _, text := range c.spaces {
		if a, err := ParseAddressSpace(text); err == nil {
			space, _, _ := strings.Cut(strings.TrimPrefix(a.String(), "smtp:"), ";")
			s.AddressSpaces = append(s.AddressSpaces, SnapshotSpace{Space: space, Cost: a.Cost})
		}
	}
	slices.SortFunc(s.AddressSpaces, func(a, b SnapshotSpace) int {
		return cmp.Or(strings.Compare(a.Space, b.Space), cmp.Compare(a.Cost, b.Cost))
	})
	s.AddressSpaces, s.MoreSpaces = firstOf(s.AddressSpaces)
	return s
}

// entries counts those of a key and of the file beside it.
func entries(cfg *config.Config, own []string, file string) int {
	n := len(own)
	if list := cfg.List(file); file != "" && list != nil {
		n += len(list.Entries)
	}
	return n
}

func firstOf[E any](list []E) (first []E, more int) {
	if len(list) > maxSnapshot {
		return list[:maxSnapshot], len(list) - maxSnapshot
	}
	return list, 0
}
