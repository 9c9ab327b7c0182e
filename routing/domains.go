package routing

import (
	"strings"

	"postern/config"
	"postern/internal/message"
)

// domains finds the accepted domain that a domain falls under.
type domains struct {
	exact map[string]*config.AcceptedDomain // by DomainKey
	below map[string]*config.AcceptedDomain // by DomainKey of what follows "*."
	// standard is the default domain.
	standard string
}

// splitAccepted returns the DomainKey of an accepted domain, or of what follows
// its "*.".
func splitAccepted(d *config.AcceptedDomain) (key string, wildcard bool) {
	base, wildcard := strings.CutPrefix(d.Domain, "*.")
	return message.DomainKey(base), wildcard
}

func newDomains(cfg *config.Config) *domains {
	d := &domains{exact: make(map[string]*config.AcceptedDomain), below: make(map[string]*config.AcceptedDomain)}
	for i := range cfg.AcceptedDomains {
		a := &cfg.AcceptedDomains[i]
		key, wildcard := splitAccepted(a)
		m := d.exact
		if wildcard {
			m = d.below
		}
		if _, ok := m[key]; !ok { // of duplicates, which Lint refuses, the first
			m[key] = a
		}
	}
	d.standard = defaultDomain(cfg)
	return d
}

// defaultDomain is the accepted domain marked so, else the first, else the
// server's name. A wildcard is no domain to write from and is passed over.
func defaultDomain(cfg *config.Config) string {
	first := ""
	for _, a := range cfg.AcceptedDomains {
		if strings.HasPrefix(a.Domain, "*.") {
			continue
		}
		if a.Default {
			return strings.TrimSuffix(a.Domain, ".")
		}
		if first == "" {
			first = strings.TrimSuffix(a.Domain, ".")
		}
	}
	if first == "" {
		first = strings.TrimSuffix(cfg.Server.FQDN, ".")
	}
	return first
}

// find returns the accepted domain for a DomainKey: the exact one before the
// wildcards, among those the longest. The base is what follows the "*." of a
// wildcard, and empty for an exact match. A wildcard accepts what is below its
// domain, not the domain itself.
func (d *domains) find(key string) (a *config.AcceptedDomain, base string) {
	if a := d.exact[key]; a != nil {
		return a, ""
	}
	for base := parent(key); base != "" && len(d.below) > 0; base = parent(base) {
		if a := d.below[base]; a != nil {
			return a, base
		}
	}
	return nil, ""
}
