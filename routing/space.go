package routing

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postern/internal/message"
)

// SpaceKind says which domains an AddressSpace matches.
type SpaceKind uint8

// The kinds of address space (reference 2.2), the most specific first.
const (
	SpaceDomain     SpaceKind = iota // "contoso.example": that domain alone
	SpaceSubdomains                  // "*.contoso.example": the domain and everything below it
	SpaceAccepted                    // "--": the authoritative and internal-relay accepted domains
	SpaceAll                         // "*": every domain, and address literals
)

// The bounds of an address space's cost; a lower cost is preferred.
const (
	MinCost     = 1
	MaxCost     = 100
	DefaultCost = 1
)

// AddressSpace is one entry of a Send connector's address_spaces.
type AddressSpace struct {
	Kind SpaceKind
	// Domain is the DomainKey of "contoso.example" for SpaceDomain and
	// SpaceSubdomains; empty for the others.
	Domain string
	// Cost is from MinCost to MaxCost.
	Cost int
}

// String returns the space in full, as "smtp:*.contoso.example;1".
func (s AddressSpace) String() string {
	space := s.Domain
	switch s.Kind {
	case SpaceSubdomains:
		space = "*." + space
	case SpaceAccepted:
		space = "--"
	case SpaceAll:
		space = "*"
	}
	return "smtp:" + space + ";" + strconv.Itoa(s.Cost)
}

// ParseAddressSpace reads "type:space;cost" (reference 2.2). The type, SMTP in
// any case, and the cost may be left out. Spaces around the parts do not
// matter. An error says what is wrong and what to write.
func ParseAddressSpace(text string) (AddressSpace, error) {
	space, cost, hasCost := strings.Cut(text, ";")
	s := AddressSpace{Cost: DefaultCost}
	if hasCost {
		var err error
		if s.Cost, err = parseCost(strings.TrimSpace(cost)); err != nil {
			return AddressSpace{}, err
		}
	}
	space = strings.TrimSpace(space)
	// The colon of an IPv6 literal is no type's.
	if kind, rest, ok := strings.Cut(space, ":"); ok && !strings.HasPrefix(space, "[") {
		if !strings.EqualFold(strings.TrimSpace(kind), "smtp") {
			return AddressSpace{}, fmt.Errorf("the type is %q; only SMTP can be routed: write %q", kind, strings.TrimSpace(rest))
		}
		space = strings.TrimSpace(rest)
	}
	var err error
	s.Kind, s.Domain, err = parseSpace(space)
	if err != nil {
		return AddressSpace{}, err
	}
	return s, nil
}

func parseCost(s string) (int, error) {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' || n > MaxCost {
			n = 0
			break
		}
		n = n*10 + int(s[i]-'0')
	}
	if n < MinCost || n > MaxCost {
		return 0, fmt.Errorf("the cost is %q; write a number from %d to %d behind the semicolon, or leave both out", s, MinCost, MaxCost)
	}
	return n, nil
}

func parseSpace(s string) (SpaceKind, string, error) {
	switch {
	case s == "":
		return 0, "", errors.New(`the space is empty; write a domain, "*.domain", "*" or "--"`)
	case s == "*":
		return SpaceAll, "", nil
	case s == "--":
		return SpaceAccepted, "", nil
	case s[0] == '[':
		return 0, "", fmt.Errorf(`%q is an address literal; only "*" matches those`, s)
	}
	kind, domain := SpaceDomain, s
	if rest, ok := strings.CutPrefix(s, "*"); ok {
		if !strings.HasPrefix(rest, ".") {
			return 0, "", fmt.Errorf("%q: an asterisk stands alone or before a dot; write %q", s, "*."+rest)
		}
		kind, domain = SpaceSubdomains, rest[1:]
	}
	domain, err := parseDomain(domain)
	if err != nil {
		return 0, "", fmt.Errorf("%q: %w; write a domain, \"*.domain\", \"*\" or \"--\"", s, err)
	}
	return kind, domain, nil
}

// parseDomain checks a domain that stands in the configuration and returns its
// DomainKey. One final dot is let pass.
func parseDomain(s string) (string, error) {
	s = strings.TrimSuffix(s, ".")
	if strings.HasPrefix(s, "[") {
		return "", errors.New("an address literal is not a domain")
	}
	if err := message.CheckDomain(s, true); err != nil {
		return "", err
	}
	return message.DomainKey(s), nil
}
