package routing

import "postern/internal/message"

// Pattern matches addresses as blocked_senders and allowed_senders do: an
// address, whose local part is compared without regard to case; a domain;
// "*.domain" for the domain and everything below it; or "<>" for the null
// reverse path. The zero Pattern matches nothing.
type Pattern struct{ list senders }

// ParsePattern reads a pattern. The error says how to write one.
func ParsePattern(text string) (Pattern, error) {
	var p Pattern
	err := p.list.add(text)
	return p, err
}

// Match reports whether the pattern names an address.
func (p *Pattern) Match(a message.Address) bool {
	_, ok := p.list.match(&sender{address: a})
	return ok
}
