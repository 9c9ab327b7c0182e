package routing

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"postern/config"
	"postern/internal/message"
)

// A message slips where a connector that guards something, its TLS or who may
// send, does not take it, and another one that does not guard that takes it in
// its place. Restrictions divide all messages into a few classes: by the limits
// of size, by the patterns of senders and by what scopes name. So one message of
// each class is enough to find every slip, and is the example to show.

// maxSlipSteps bounds the look-out for slips: about a second.
const maxSlipSteps = 5_000_000

// slips looks for them.
type slips struct {
	table *Table
	cfg   *config.Config
	// seen has the slips that were found, one for each pair of connectors and
	// reason, and lists the lists of candidates that were looked at.
	seen  map[slip]bool
	lists map[string]bool
	sums  map[*entry]guards // of the lists that many domains share, by their first entry
	reps  map[*senders][]message.Address
	marks []int // by connector: the round in which it was met last
	round int
	steps int
	found []config.Finding
}

type slip struct {
	from, to   int // connectors by index
	eliminated string
	tls        bool
}

// adviseSlips finds the pairs of connectors between which messages slip.
func adviseSlips(cfg *config.Config, t *Table) []config.Finding {
	if !t.restricted {
		return nil
	}
	s := slips{table: t, cfg: cfg, seen: make(map[slip]bool), lists: make(map[string]bool), sums: make(map[*entry]guards),
		reps: make(map[*senders][]message.Address), marks: make([]int, len(t.connectors))}
	for _, domain := range t.exampleDomains() {
		if !s.worthwhile(domain) {
			continue
		}
		list := s.candidates(domain)
		key := s.key(list, domain)
		if s.lists[key] {
			continue
		}
		s.lists[key] = true
		if s.steps > maxSlipSteps {
			return append(s.found, config.Finding{Severity: config.Warning, Path: "routing.restrictions",
				Message: "there are too many restrictions to find every message that slips past one; mail to " + domain + " was not looked at",
				Remedy:  `write restrictions = "enforce", with which there are fewer`})
		}
		s.look(list, domain)
	}
	return s.found
}

// guards is what a list of connectors has to lose, and where it can be lost.
type guards struct {
	guarded int  // the most TLS that one with restrictions asks for, if it lets nothing go in clear
	weakest int  // the least TLS that any asks for
	senders bool // one restricts senders
	free    bool // one does not
}

// sum is about the connectors of one list.
func (s *slips) sum(list []entry, domain string) guards {
	if g, ok := s.sums[&list[0]]; ok {
		return g
	}
	g := guards{weakest: 1000}
	shared := &list[0] == first(s.table.all) || &list[0] == first(s.table.accepted)
	for _, e := range list {
		c := &s.cfg.SendConnectors[e.connector.index]
		shared = shared && len(c.TLSOverrides) == 0
		tls := c.TLSStrength(domain)
		if tls >= config.TLSGuarded && !e.connector.takesAll() {
			g.guarded = max(g.guarded, tls)
		}
		g.weakest = min(g.weakest, tls)
		restricts := e.connector.blocked.restricts() || e.connector.allowed.restricts()
		g.senders, g.free = g.senders || restricts, g.free || !restricts
	}
	if shared {
		s.sums[&list[0]] = g
	}
	return g
}

func first(list []entry) *entry {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// worthwhile reports whether some connector for a domain has anything to lose to
// one that may come after it. It is quick, and says yes rather too often.
func (s *slips) worthwhile(domain string) bool {
	var before guards
	way := s.table.search(domain)
	for {
		r, more := way.next()
		if !more {
			return false
		}
		for _, list := range [][]entry{r.own, r.accepted} {
			if len(list) == 0 {
				continue
			}
			g := s.sum(list, domain)
			before.guarded, before.senders = max(before.guarded, g.guarded), before.senders || g.senders
			if before.guarded > g.weakest || before.senders && g.free && !s.table.enforce {
				return true
			}
		}
		// Of the two lists of a rank either may come first.
		if len(r.own) > 0 && len(r.accepted) > 0 {
			return true
		}
		if s.table.enforce {
			return false
		}
	}
}

// exampleDomains are a domain for every list of candidates that there may be:
// each one that a space or accepted domain names, one below each tree, and one
// that nothing names.
func (t *Table) exampleDomains() []string {
	named, unnamed := make(map[string]bool), make(map[string]bool)
	for _, m := range []map[string]bool{keys(t.exact), keys(t.domains.exact), keys(t.below), keys(t.domains.below)} {
		maps.Copy(named, m)
	}
	for _, trees := range []map[string]bool{keys(t.below), keys(t.domains.below)} {
		for d := range trees {
			unnamed[t.unnamed(d)] = true
		}
	}
	list := append(slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(unnamed))...)
	return append(list, t.unnamed(""))
}

func keys[V any](m map[string]V) map[string]bool {
	out := make(map[string]bool, len(m))
	for k := range m {
		out[k] = true
	}
	return out
}

// unnamed is a domain right below another, or anywhere, that is named nowhere.
func (t *Table) unnamed(below string) string {
	for n := 1; ; n++ {
		d := "elsewhere"
		if n > 1 {
			d += strconv.Itoa(n)
		}
		if below != "" {
			d += "." + below
		} else if d += ".example"; n > 1 || len(t.below["example"]) > 0 || t.domains.below["example"] != nil {
			d = strings.TrimSuffix(d, ".example") + ".invalid" + strconv.Itoa(n)
		}
		if t.exact[d] == nil && t.below[d] == nil && t.domains.exact[d] == nil && t.domains.below[d] == nil {
			return d
		}
	}
}

// candidates are the connectors for a domain in the order of preference: all
// that match, or where restrictions are enforced the most specific ones.
func (s *slips) candidates(domain string) []*connector {
	var list []*connector
	s.round++
	way := s.table.search(domain)
	for {
		r, more := way.next()
		if !more {
			return list
		}
		for e, ok := r.pop(); ok; e, ok = r.pop() {
			s.steps++
			if s.marks[e.connector.index] != s.round {
				s.marks[e.connector.index] = s.round
				list = append(list, e.connector)
			}
			if e.connector.takesAll() { // nothing goes further
				return list
			}
		}
		if s.table.enforce {
			return list
		}
	}
}

// key is the same for lists between which there is no difference: that of the
// domain counts where a connector has TLS policies for some domains.
func (s *slips) key(list []*connector, domain string) string {
	var b strings.Builder
	overrides := false
	for _, c := range list {
		b.WriteString(strconv.Itoa(c.index) + ",")
		overrides = overrides || len(s.cfg.SendConnectors[c.index].TLSOverrides) > 0
	}
	if overrides {
		b.WriteString(domain)
	}
	return b.String()
}

// losesTLS says in which way mail that goes to another connector has less TLS
// than it must have at this one.
func (s *slips) losesTLS(from, to *connector, domain string) string {
	a, b := &s.cfg.SendConnectors[from.index], &s.cfg.SendConnectors[to.index]
	if a.TLSStrength(domain) < config.TLSGuarded {
		return ""
	}
	return b.WeakerTLS(a, domain)
}

// losesSenders reports whether senders are free at another connector who are
// not at this one. Where restrictions are enforced, connectors with the same
// space share the senders between them on purpose.
func (s *slips) losesSenders(from, to *connector) bool {
	return !s.table.enforce && (from.blocked.restricts() || from.allowed.restricts()) && !to.blocked.restricts() && !to.allowed.restricts()
}

// look tries a message of each class.
func (s *slips) look(list []*connector, domain string) {
	from, sizes, sources := s.senders(list), []int64{0}, []string{""}
	for _, c := range list {
		if c.maxSize != config.Unlimited && !slices.Contains(sizes, c.maxSize+1) {
			sizes = append(sizes, c.maxSize+1)
		}
		if len(c.scope) > 0 && len(sources) == 1 {
			sources = s.sources()
		}
	}
	slices.Sort(sizes)
	if sources[0] != "" { // our notifications, which have no size, are in every scope
		s.try(list, &Query{Recipient: message.Address{Local: "user", Domain: domain}})
	}
	for _, size := range sizes {
		for _, source := range sources {
			for i := range from {
				s.try(list, &Query{Sender: from[i], Recipient: message.Address{Local: "user", Domain: domain}, Size: size, Source: source})
				if s.steps > maxSlipSteps {
					return
				}
			}
		}
	}
}

// try follows one message to who takes it, and notes past whom it slips.
func (s *slips) try(list []*connector, q *Query) {
	from := sender{address: q.Sender}
	var refusals []refusal
	for n, c := range list {
		s.steps++
		no := c.refuses(q, &from)
		if no.eliminated != "" {
			refusals = append(refusals, no)
			continue
		}
		for i, no := range refusals {
			s.note(list[i], c, no, q)
		}
		s.steps += n
		return
	}
}

func (s *slips) note(from, to *connector, no refusal, q *Query) {
	if less := s.losesTLS(from, to, q.Recipient.Domain); less != "" {
		s.add(slip{from.index, to.index, no.eliminated, true}, from, to, no, q, "with less TLS: "+less)
	}
	if no.eliminated != EliminatedSize && no.eliminated != EliminatedScope && s.losesSenders(from, to) {
		s.add(slip{from.index, to.index, no.eliminated, false}, from, to, no, q, "which takes every sender's")
	}
}

func (s *slips) add(what slip, from, to *connector, no refusal, q *Query, how string) {
	if s.seen[what] {
		return
	}
	s.seen[what] = true
	example := fmt.Sprintf("from %s to %s", q.Sender.Path(), q.Recipient.Path())
	if q.Size > 0 {
		example += fmt.Sprintf(" of %d octets", q.Size)
	} else {
		example += " of any size"
	}
	if q.Source != "" {
		example += fmt.Sprintf(" received through %q", q.Source)
	}
	key := map[string]string{EliminatedSize: "max_message_size", EliminatedScope: "scope", EliminatedBlockedSender: "blocked_senders",
		EliminatedAllowedSenders: "allowed_senders"}[no.eliminated]
	remedy := fmt.Sprintf(`write [routing] restrictions = "enforce" to refuse it instead, or restrict %q as well`, to.name)
	if s.table.enforce {
		remedy = fmt.Sprintf("restrict %q as well, or let it ask for as much TLS", to.name)
	}
	s.found = append(s.found, config.Finding{Severity: config.Warning, Path: fmt.Sprintf("send_connector[%d].%s", from.index, s.written(from, key)),
		Message: fmt.Sprintf("a message %s, which Send connector %q does not take (%s), leaves through %q, %s", example, from.name, key, to.name, how),
		Remedy:  remedy})
}

// written is the key, or the one of the file, where that is what is written.
func (s *slips) written(c *connector, key string) string {
	if key == "blocked_senders" && c.blocked.own.empty() || key == "allowed_senders" && c.allowed.own.empty() {
		return key + "_file"
	}
	return key
}

// sources are the ways in that scopes tell apart.
func (s *slips) sources() []string {
	var names []string
	for i := range s.cfg.ReceiveConnectors {
		if c := &s.cfg.ReceiveConnectors[i]; c.Enabled {
			names = append(names, c.Name)
		}
	}
	if s.cfg.Pickup.PickupDirectoryPath != "" {
		names = append(names, config.SourcePickup)
	}
	if s.cfg.Pickup.ReplayDirectoryPath != "" {
		names = append(names, config.SourceReplay)
	}
	return append(names, config.SourceImport)
}

// senders are a sender for each pattern of the connectors' lists, and one whom
// none lists.
func (s *slips) senders(list []*connector) []message.Address {
	var out []message.Address
	asked := make(map[*senders]int) // by how many of the connectors
	for _, c := range list {
		for _, l := range []*senders{&c.blocked.own, c.blocked.file, &c.allowed.own, c.allowed.file} {
			if l != nil {
				asked[l]++
			}
		}
	}
	stranger := message.Address{Local: "someone", Domain: "elsewhere.example"}
	for n := 2; s.knows(list, stranger); n++ {
		stranger.Domain = "elsewhere" + strconv.Itoa(n) + ".invalid"
	}
	out = append(out, stranger)
	for _, c := range list {
		for _, l := range []*senders{&c.blocked.own, c.blocked.file, &c.allowed.own, c.allowed.file} {
			// Whom all connectors ask the same file about, none takes unasked.
			if l != nil && asked[l] > 0 && asked[l] < len(list) {
				asked[l] = 0
				out = append(out, s.examples(l)...)
			}
		}
	}
	return out
}

// knows reports whether any list has the sender.
func (s *slips) knows(list []*connector, a message.Address) bool {
	return slices.ContainsFunc(list, func(c *connector) bool {
		from := sender{address: a}
		_, blocked := c.blocked.match(&from)
		_, allowed := c.allowed.match(&from)
		return blocked || allowed
	})
}

// examples are senders for the patterns of one list.
func (s *slips) examples(l *senders) []message.Address {
	if known, ok := s.reps[l]; ok {
		return known
	}
	var out []message.Address
	for _, pattern := range slices.Sorted(slices.Values(l.all())) {
		base := strings.TrimPrefix(pattern, "*.")
		switch {
		case pattern == "<>":
			out = append(out, message.Address{})
		case strings.Contains(pattern, "@"):
			if a, err := message.ParseAddress(pattern, true); err == nil {
				out = append(out, a)
			}
		default:
			out = append(out, message.Address{Local: "someone", Domain: base})
			if base != pattern {
				out = append(out, message.Address{Local: "someone", Domain: "elsewhere." + base})
			}
		}
	}
	s.reps[l] = out
	return out
}
