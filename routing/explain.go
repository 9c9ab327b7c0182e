package routing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// match is how well a connector matches a domain.
type match struct {
	entry entry
	rank  int // 0 is the most specific rank that matches
	order int // place among all that match, in order of preference
}

// Explain is Route with all Candidates. It takes time in proportion to the
// number of Send connectors and is meant for people.
//
// Candidates are in order of preference: by specificity, cost and name those
// whose address space matches, then the others by name.
func (t *Table) Explain(q Query) Decision {
	domain := t.domainOf(q.Recipient)
	from := sender{address: q.Sender}
	f := t.find(&q, &from, domain)
	d := t.decision(&f, &q, &from, domain)
	matches := t.matches(domain)
	var decider *match
	if by := f.decider(t.enforce).connector; by != nil {
		decider = matches[by.index]
	}
	order := slices.Clone(t.connectors)
	slices.SortFunc(order, func(a, b *connector) int {
		ma, mb := matches[a.index], matches[b.index]
		switch {
		case ma != nil && mb != nil:
			return ma.order - mb.order
		case ma != nil:
			return -1
		case mb != nil:
			return 1
		}
		return a.compare(b)
	})
	d.Candidates = make([]Candidate, 0, len(order))
	for _, c := range order {
		k := c.candidate(matches[c.index])
		if c.enabled {
			t.judge(&k, c, matches[c.index], decider, &q, &from, domain)
			k.takeOver(&d)
		} else {
			k.EliminatedBy, k.Detail = EliminatedDisabled, "It is disabled."
		}
		d.Candidates = append(d.Candidates, k)
	}
	return d
}

// matches finds, for each connector by its index, how well it matches; nil
// where it does not.
func (t *Table) matches(domain string) []*match {
	found := make([]*match, len(t.connectors))
	n := 0
	s := t.search(domain)
	for level := 0; ; level++ {
		r, more := s.next()
		if !more {
			return found
		}
		for e, ok := r.pop(); ok; e, ok = r.pop() {
			if found[e.connector.index] == nil {
				found[e.connector.index] = &match{entry: e, rank: level, order: n}
				n++
			}
		}
	}
}

// takeOver adds to what was judged which fallback may take over, or has.
func (k *Candidate) takeOver(d *Decision) {
	if d.Fallback.Connector == k.Name {
		k.Detail += fmt.Sprintf(" It is the fallback of %q.", d.Connector)
	}
	switch {
	case d.FallbackOf == "":
	case k.Name == d.Connector:
		k.EliminatedBy, k.Detail = "", fmt.Sprintf("It has taken over from %q.", d.FallbackOf)
	case k.Name == d.FallbackOf:
		k.EliminatedBy, k.Detail = EliminatedFallback, fmt.Sprintf("It wins, and its fallback %q has taken over.", d.Connector)
	}
}

// candidate describes a connector before it is judged.
func (c *connector) candidate(m *match) Candidate {
	if m != nil {
		return Candidate{Name: c.name, AddressSpace: m.entry.text(), Cost: m.entry.cost}
	}
	k := Candidate{Name: c.name, AddressSpace: c.spaceList()}
	for _, text := range c.spaces {
		if s, err := ParseAddressSpace(text); err == nil && (k.Cost == 0 || s.Cost < k.Cost) {
			k.Cost = s.Cost
		}
	}
	return k
}

// maxListed is how many address spaces are named where none of them matches.
const maxListed = 5

func (c *connector) spaceList() string {
	if len(c.spaces) <= maxListed {
		return strings.Join(c.spaces, ", ")
	}
	return strings.Join(c.spaces[:maxListed], ", ") + " and " + strconv.Itoa(len(c.spaces)-maxListed) + " more"
}

// judge finds the first test that a connector failed.
func (t *Table) judge(k *Candidate, c *connector, m, decider *match, q *Query, from *sender, domain string) {
	switch {
	case m == nil:
		k.EliminatedBy, k.Detail = EliminatedAddressSpace, "None of its address spaces matches "+domain+"."
		return
	case t.enforce && decider != nil && m.rank > decider.rank: // its restrictions are not asked
		k.EliminatedBy, k.Detail = m.loses(decider)
		return
	}
	if no := c.refuses(q, from); no.eliminated != "" {
		k.EliminatedBy, k.Detail = no.eliminated, capital(c.sentence(no, q))
		return
	}
	if m != decider {
		k.EliminatedBy, k.Detail = m.loses(decider)
		return
	}
	k.Detail = fmt.Sprintf("%q%s is the best match for %s that takes the message.", m.entry.text(), m.entry.where(), domain)
	if len(c.scope) > 0 && q.Source == "" {
		k.Detail += " It may take what comes through " + strings.Join(c.scope, ", ") + " alone; through what this comes is not said."
	}
}

// where says in which file an address space stands; "" where it is one of the
// connector's own.
func (e entry) where() string {
	c := e.connector
	if e.space < c.own {
		return ""
	}
	return fmt.Sprintf(" (line %d of %s)", c.list.Entries[e.space-c.own].Line, c.list.Path)
}

// loses says by which test a match comes after the decider.
func (m *match) loses(decider *match) (eliminated, detail string) {
	w := decider.entry
	switch {
	case m.rank > decider.rank:
		return EliminatedLessSpecific, fmt.Sprintf("%q is less specific than %q of %q.", m.entry.text(), w.text(), w.connector.name)
	case m.entry.cost > w.cost:
		return EliminatedHigherCost, fmt.Sprintf("Its cost is %d, that of %q is %d.", m.entry.cost, w.connector.name, w.cost)
	default:
		return EliminatedName, fmt.Sprintf("Specificity and cost are those of %q, whose name comes first.", w.connector.name)
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
