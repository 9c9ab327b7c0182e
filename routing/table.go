package routing

import (
	"postern/config"
)

// Table answers routing questions for one configuration. It never changes and
// may be used concurrently.
type Table struct{}

// New makes the table of a configuration. It returns a nil Table when a finding
// is an Error, and a Table with the warnings otherwise.
func New(cfg *config.Config) (*Table, []config.Finding) { return &Table{}, nil }

// Lint tells what is wrong, or worth knowing, about the domains, address spaces
// and restrictions of a configuration.
func Lint(cfg *config.Config) []config.Finding { return nil }

// Accepted returns the accepted domain that a domain falls under, the exact one
// before a wildcard. The domain may be in any form.
func (t *Table) Accepted(domain string) (config.AcceptedDomain, bool) {
	return config.AcceptedDomain{}, false
}

// DefaultDomain returns the default domain (DESIGN 8).
func (t *Table) DefaultDomain() string { return "" }

// Route chooses the Send connector for one recipient. It is cheap and leaves
// Candidates nil.
func (t *Table) Route(q Query) Decision { return Decision{} }

// Explain is Route with all Candidates.
func (t *Table) Explain(q Query) Decision { return Decision{} }
