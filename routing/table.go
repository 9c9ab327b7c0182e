package routing

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
)

// Table answers routing questions for one configuration. It never changes and
// may be used concurrently.
type Table struct {
	domains    *domains
	connectors []*connector // in the order of the file
	enforce    bool
	restricted bool // some connector does not take every message
	generation string

	// The address spaces of the enabled connectors, each list in order of
	// preference: by cost, then by name.
	exact    map[string][]entry // by DomainKey: "contoso.example"
	below    map[string][]entry // by DomainKey of what follows "*."
	accepted []entry            // "--"
	all      []entry            // "*"
}

// connector is a Send connector made ready for being asked.
type connector struct {
	name, folded string
	index        int // in the file
	enabled      bool
	spaces       []string // as written: the file's after the connector's own
	own          int      // how many of spaces are the connector's own
	list         *config.List
	maxSize      int64 // Unlimited when there is no limit
	blocked      listed
	allowed      listed
	scope        []string // as written; empty for all
	smartHosts   string   // NextHop.Domain when there are any
	fallback     *connector
	after        time.Duration
	failures     int64
}

// takesAll reports whether no message is ever refused.
func (c *connector) takesAll() bool {
	return c.maxSize == config.Unlimited && !c.blocked.restricts() && !c.allowed.restricts() && len(c.scope) == 0
}

// entry is one address space of one connector.
type entry struct {
	connector *connector
	space     int // index into connector.spaces
	cost      int
}

func (e entry) text() string { return e.connector.spaces[e.space] }

// compare orders the entries of one rank: the lower cost first, then the name
// with the lowest alphanumeric value, for which case matters only between names
// that differ in nothing else.
func (e entry) compare(o entry) int {
	return cmp.Or(cmp.Compare(e.cost, o.cost), e.connector.compare(o.connector))
}

func (c *connector) compare(o *connector) int {
	return cmp.Or(strings.Compare(c.folded, o.folded), strings.Compare(c.name, o.name), cmp.Compare(c.index, o.index))
}

// New makes the table of a configuration. It returns a nil Table when a finding
// is an Error, and a Table with the warnings otherwise.
func New(cfg *config.Config) (*Table, []config.Finding) {
	t, findings := build(cfg)
	findings = append(findings, advise(cfg, t)...)
	if config.HasErrors(findings) {
		return nil, findings
	}
	return t, findings
}

// build makes a table of all that can be read, with a finding for what can't.
func build(cfg *config.Config) (*Table, []config.Finding) {
	t := &Table{
		domains: newDomains(cfg),
		enforce: cfg.Routing.Restrictions == "enforce",
		exact:   make(map[string][]entry),
		below:   make(map[string][]entry),
	}
	var findings []config.Finding
	files := make(senderFiles)
	byName := make(map[string]*connector)
	for i := range cfg.SendConnectors {
		c, f := newConnector(cfg, i, files)
		findings = append(findings, f...)
		t.connectors = append(t.connectors, c)
		findings = append(findings, t.addSpaces(c)...)
		t.restricted = t.restricted || c.enabled && !c.takesAll()
		if _, twice := byName[c.folded]; !twice {
			byName[c.folded] = c
		}
	}
	for _, c := range t.connectors {
		if to := byName[strings.ToLower(cfg.SendConnectors[c.index].Fallback)]; to != nil && to.enabled {
			c.fallback = to
		}
	}
	for _, list := range t.exact {
		slices.SortFunc(list, entry.compare)
	}
	for _, list := range t.below {
		slices.SortFunc(list, entry.compare)
	}
	slices.SortFunc(t.accepted, entry.compare)
	slices.SortFunc(t.all, entry.compare)
	t.generation = t.fingerprint(cfg)
	return t, findings
}

func newConnector(cfg *config.Config, i int, files senderFiles) (*connector, []config.Finding) {
	s := &cfg.SendConnectors[i]
	c := &connector{
		name: s.Name, folded: strings.ToLower(s.Name), index: i, enabled: s.Enabled,
		spaces: s.AddressSpaces, own: len(s.AddressSpaces), maxSize: s.MaxMessageSize, scope: s.Scope, smartHosts: HostSet(s),
		after: s.FallbackAfter, failures: s.FallbackFailures,
	}
	if c.maxSize <= 0 {
		c.maxSize = config.Unlimited
	}
	findings := c.addFile(cfg, s.AddressSpacesFile)
	findings = append(findings, c.blocked.fill(cfg, i, "blocked_senders", s.BlockedSenders, s.BlockedSendersFile, files)...)
	findings = append(findings, c.allowed.fill(cfg, i, "allowed_senders", s.AllowedSenders, s.AllowedSendersFile, files)...)
	return c, findings
}

// addSpaces reads a connector's spaces. Those of a disabled one are read for
// their faults, and lead nowhere.
func (t *Table) addSpaces(c *connector) []config.Finding {
	var findings []config.Finding
	for j, text := range c.spaces {
		s, err := ParseAddressSpace(text)
		if err != nil {
			findings = append(findings, c.finding(j, config.Error, "address space "+strconv.Quote(text)+": "+err.Error(), ""))
			continue
		}
		if !c.enabled {
			continue
		}
		e := entry{connector: c, space: j, cost: s.Cost}
		switch s.Kind {
		case SpaceDomain:
			t.exact[s.Domain] = append(t.exact[s.Domain], e)
		case SpaceSubdomains:
			t.below[s.Domain] = append(t.below[s.Domain], e)
		case SpaceAccepted:
			t.accepted = append(t.accepted, e)
		case SpaceAll:
			t.all = append(t.all, e)
		}
	}
	return findings
}

// HostSet writes a connector's smart hosts as in NextHop.Domain, so that the
// same hosts give the same text in whatever order they are listed; "" when there
// are none.
func HostSet(s *config.SendConnector) string {
	hosts := make([]string, 0, len(s.SmartHosts))
	for _, h := range s.SmartHosts {
		name := message.DomainKey(h.Host)
		if a, err := netip.ParseAddr(h.Host); err == nil {
			name = "[" + a.Unmap().String() + "]"
		}
		port := h.Port
		if port == 0 {
			port = s.Port
		}
		hosts = append(hosts, name+":"+strconv.Itoa(int(cmp.Or(port, 25))))
	}
	slices.Sort(hosts)
	return strings.Join(slices.Compact(hosts), ",")
}

// Accepted returns the accepted domain that a domain falls under: the exact one
// before the wildcards, among those the longest. "*.contoso.example" accepts
// what is below contoso.example, not contoso.example itself. The domain may be
// in any form.
func (t *Table) Accepted(domain string) (config.AcceptedDomain, bool) {
	if a, _ := t.domains.find(message.DomainKey(domain)); a != nil {
		return *a, true
	}
	return config.AcceptedDomain{}, false
}

// Accepted returns Table.Accepted for those who need no routes.
func Accepted(cfg *config.Config) func(domain string) (config.AcceptedDomain, bool) {
	t := Table{domains: newDomains(cfg)}
	return t.Accepted
}

// DefaultDomain returns the domain of a recipient without one: the accepted
// domain marked as default, else the first that is not a wildcard, else the
// server's name.
func (t *Table) DefaultDomain() string { return t.domains.standard }

// Generation names the configuration of routing: tables of the same one have the
// same name, in whatever order its rows are written, and others another.
func (t *Table) Generation() string { return t.generation }

// Restricted reports whether there is any message that some enabled connector
// does not take. Where it is false, Route refuses nothing.
func (t *Table) Restricted() bool { return t.restricted }

// rank is the entries that match a domain equally well: two lists, each in
// order of preference.
type rank struct{ own, accepted []entry }

// pop takes the most preferred entry off the rank.
func (r *rank) pop() (entry, bool) {
	from := &r.own
	if len(r.own) == 0 || len(r.accepted) > 0 && r.accepted[0].compare(r.own[0]) < 0 {
		from = &r.accepted
	}
	if len(*from) == 0 {
		return entry{}, false
	}
	e := (*from)[0]
	*from = (*from)[1:]
	return e, true
}

// search walks the ranks that match a domain, the most specific first.
type search struct {
	table *Table
	key   string
	// below is the domain whose "*." entries come next; "" when "*" does.
	below     string
	exactDone bool
	allDone   bool
	// "--" stands where the accepted domain stands that it expands to: at the
	// exact rank, or at that of a wildcard's base.
	acceptedExact bool
	acceptedBase  string
}

func (t *Table) search(key string) search {
	// Address literals need no case of their own: no space but "*" can name
	// one, nor a part of one.
	s := search{table: t, key: key, below: key}
	if len(t.accepted) > 0 {
		if a, base := t.domains.find(key); a != nil && a.Type != config.ExternalRelay {
			s.acceptedExact, s.acceptedBase = base == "", base
		}
	}
	return s
}

// next returns the next rank that has entries.
func (s *search) next() (rank, bool) {
	for {
		var r rank
		switch {
		case !s.exactDone:
			s.exactDone = true
			r.own = s.table.exact[s.key]
			if s.acceptedExact {
				r.accepted = s.table.accepted
			}
		case s.below != "":
			r.own = s.table.below[s.below]
			if s.below == s.acceptedBase {
				r.accepted = s.table.accepted
			}
			s.below = parent(s.below)
		case !s.allDone:
			s.allDone = true
			r.own = s.table.all
		default:
			return rank{}, false
		}
		if len(r.own)+len(r.accepted) > 0 {
			return r, true
		}
	}
}
