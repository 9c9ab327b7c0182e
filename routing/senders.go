package routing

import (
	"errors"
	"fmt"
	"strings"

	"postern/internal/message"
)

// senders is a list of reverse paths, from blocked_senders or allowed_senders.
// Each map leads from a comparable form to the pattern as written.
type senders struct {
	null       string            // "<>", when listed
	addresses  map[string]string // by folded
	domains    map[string]string // by DomainKey
	subdomains map[string]string // by DomainKey of what follows "*."
}

func (s *senders) empty() bool {
	return s.null == "" && len(s.addresses) == 0 && len(s.domains) == 0 && len(s.subdomains) == 0
}

// add takes one pattern: an address, a domain, "*.domain" for the domain and
// everything below it, or "<>" for the null reverse path.
func (s *senders) add(pattern string) error {
	text := strings.TrimSpace(pattern)
	switch {
	case text == "":
		return errors.New(`the pattern is empty; write an address, a domain, "*.domain" or "<>"`)
	case text == "<>":
		s.null = pattern
		return nil
	case strings.Contains(text, "@"):
		a, err := message.ParseAddress(text, true)
		if err != nil {
			return fmt.Errorf("%q: %w; write an address as \"user@contoso.example\"", pattern, err)
		}
		put(&s.addresses, folded(a), pattern)
		return nil
	}
	target, domain := &s.domains, text
	if rest, ok := strings.CutPrefix(text, "*."); ok {
		target, domain = &s.subdomains, rest
	}
	key, err := parseDomain(domain)
	if err != nil {
		return fmt.Errorf("%q: %w; write an address, a domain, \"*.domain\" or \"<>\"", pattern, err)
	}
	put(target, key, pattern)
	return nil
}

func put(m *map[string]string, key, pattern string) {
	if *m == nil {
		*m = make(map[string]string)
	}
	(*m)[key] = pattern
}

// folded is the form in which senders are compared with patterns. Other than
// mailboxes in general (RFC 5321 2.4), the case of the local part does not
// matter: who is blocked is not let through for writing in capitals.
func folded(a message.Address) string { return strings.ToLower(a.Key()) }

// sender is a reverse path that is asked about, with the forms in which it is
// compared, made when the first list wants them.
type sender struct {
	address message.Address
	ready   bool
	folded  string
	domain  string
}

// match returns the pattern that lists the sender. The null reverse path is
// listed by "<>" alone.
func (s *senders) match(from *sender) (string, bool) {
	if from.address.IsNull() {
		return s.null, s.null != ""
	}
	if !from.ready {
		from.ready, from.folded, from.domain = true, folded(from.address), message.DomainKey(from.address.Domain)
	}
	if p, ok := s.addresses[from.folded]; ok {
		return p, true
	}
	if p, ok := s.domains[from.domain]; ok {
		return p, true
	}
	for d := from.domain; d != "" && len(s.subdomains) > 0; d = parent(d) {
		if p, ok := s.subdomains[d]; ok {
			return p, true
		}
	}
	return "", false
}

// parent returns a domain without its first label; "" when there is no more.
func parent(domain string) string {
	_, rest, _ := strings.Cut(domain, ".")
	return rest
}

// Senders is a list of senders, written as in blocked_senders and
// allowed_senders. The zero value lists nobody. It is never changed and may be
// used concurrently.
type Senders struct{ list senders }

// ParseSenders reads the patterns of a list.
func ParseSenders(patterns []string) (Senders, error) {
	var s Senders
	for _, p := range patterns {
		if err := s.list.add(p); err != nil {
			return Senders{}, err
		}
	}
	return s, nil
}

// Match reports whether the sender is on the list.
func (s *Senders) Match(from message.Address) bool {
	_, ok := s.list.match(&sender{address: from})
	return ok
}
