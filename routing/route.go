package routing

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/message"
)

// The replies of a query without next hop (reference 3 and 10.5).
var (
	replyUnreachable = message.Reply{Code: 451, Enhanced: [3]int{4, 4, 4},
		Text: "A matching connector cannot be found to route the external recipient"}
	replySize = message.Reply{Code: 550, Enhanced: [3]int{5, 3, 4},
		Text: "ROUTING.SizeLimit; message size exceeds fixed maximum size for route"}
	replySender = message.Reply{Code: 550, Enhanced: [3]int{5, 7, 1},
		Text: "ROUTING.SenderRestricted; sender is not allowed to send to this domain"}
	replyScope = message.Reply{Code: 550, Enhanced: [3]int{5, 7, 1},
		Text: "ROUTING.Scope; mail received here is not allowed to go to this domain"}
)

// refusal is why a connector does not take a message.
type refusal struct {
	eliminated string // EliminatedSize, ...; empty when it does take it
	pattern    string // the entry of blocked_senders
}

// refuses asks a connector's restrictions.
func (c *connector) refuses(q *Query, from *sender) refusal {
	if !c.inScope(q.Source) {
		return refusal{eliminated: EliminatedScope}
	}
	if q.Size > c.maxSize {
		return refusal{eliminated: EliminatedSize}
	}
	if c.blocked.restricts() {
		if p, ok := c.blocked.match(from); ok {
			return refusal{eliminated: EliminatedBlockedSender, pattern: p}
		}
	}
	// RFC 5321 4.5.5: notifications must be able to travel, so the null
	// reverse path need not be listed to be allowed.
	if c.allowed.restricts() && !from.address.IsNull() {
		if _, ok := c.allowed.match(from); !ok {
			return refusal{eliminated: EliminatedAllowedSenders}
		}
	}
	return refusal{}
}

// inScope reports whether mail that came so may use the connector.
func (c *connector) inScope(source string) bool {
	if len(c.scope) == 0 || source == "" {
		return true
	}
	return slices.ContainsFunc(c.scope, func(name string) bool { return strings.EqualFold(name, source) })
}

// nextHop is where a connector sends mail for a domain, given by its
// DomainKey.
func (c *connector) nextHop(domain string) NextHop {
	if c.smartHosts != "" {
		return NextHop{Connector: c.name, Kind: SmartHost, Domain: c.smartHosts}
	}
	return NextHop{Connector: c.name, Kind: MX, Domain: domain}
}

// domainOf returns the DomainKey of the recipient's domain. A recipient without
// one, the bare postmaster, is in the default domain (RFC 5321 4.5.1).
func (t *Table) domainOf(a message.Address) string {
	if a.Domain == "" {
		return message.DomainKey(t.domains.standard)
	}
	return message.DomainKey(a.Domain)
}

// Route chooses the Send connector for one recipient. It looks up the domain
// and its parents, whatever the number of connectors, asks the restrictions of
// those that match until one takes the message, and leaves Candidates nil.
func (t *Table) Route(q Query) Decision {
	domain := t.domainOf(q.Recipient)
	from := sender{address: q.Sender}
	f := t.find(&q, &from, domain)
	return t.decision(&f, &q, &from, domain)
}

// finding is what the search for a connector came to.
type finding struct {
	// winner takes the message; its connector is nil when none does. Then first
	// is the one that says why, nil when none matches that is in scope, and why
	// is what it says.
	winner, first entry
	why           refusal
	// scoped says that some connector matches and is out of scope.
	scoped bool
}

// decider is the entry that the others lose to: the winner or, where
// restrictions are enforced, the most preferred of those that refused.
func (f *finding) decider(enforce bool) entry {
	if f.winner.connector == nil && enforce {
		return f.first
	}
	return f.winner
}

// find is steps 1 to 5 of the choice (reference 3). Where restrictions are
// enforced, what none of the most specific connectors takes goes no further.
func (t *Table) find(q *Query, from *sender, domain string) (f finding) {
	for s := t.search(domain); ; {
		r, more := s.next()
		if !more {
			return f
		}
		for e, ok := r.pop(); ok; e, ok = r.pop() {
			no := e.connector.refuses(q, from)
			switch {
			case no.eliminated == "":
				f.winner = e
				return f
			case no.eliminated == EliminatedScope && !t.enforce: // as if it was not there
				f.scoped = true
			case f.first.connector == nil:
				f.first, f.why = e, no
			}
		}
		if t.enforce {
			return f
		}
	}
}

// decision puts into words what the search came to, and lets a fallback take
// over.
func (t *Table) decision(f *finding, q *Query, from *sender, domain string) Decision {
	switch {
	case f.winner.connector == nil && f.first.connector == nil:
		d := Decision{Problem: ProblemNoConnector, Reply: replyUnreachable,
			Reason: "No enabled Send connector has an address space that matches " + domain + "."}
		if f.scoped {
			d.Reason = "No enabled Send connector that may take mail from " + q.Source + " has an address space that matches " + domain + "."
		}
		return d
	case f.winner.connector == nil:
		return refused(f.first.connector, f.why, q, domain)
	}
	d := chosen(f.winner, domain)
	by := f.winner.connector
	if q.Fallback != "" {
		if to := t.takenOver(by, q, from); to != by {
			d.FallbackOf, d.Connector, d.NextHop = by.name, to.name, to.nextHop(domain)
			d.Reason = `Send connector "` + to.name + `" has taken over from "` + by.name + `", the best match for ` + domain + "."
			by = to
		}
	}
	if by.fallback != nil {
		if to := t.fallbackOf(by, q, from); to != nil {
			d.Fallback = Fallback{Connector: to.name, After: by.after, Failures: by.failures}
		}
	}
	return d
}

// takenOver is the connector that has taken over from c: the one that the query
// names, if it is still a fallback of c and takes the message, else c.
func (t *Table) takenOver(c *connector, q *Query, from *sender) *connector {
	to := c.fallback
	for range t.connectors { // lint lets no circle pass
		switch {
		case to == nil:
			return c
		case !strings.EqualFold(to.name, q.Fallback):
			to = to.fallback
		case to.refuses(q, from).eliminated == "":
			return to
		default:
			return c
		}
	}
	return c
}

// fallbackOf is the first behind c that takes the message; nil when there is
// none.
func (t *Table) fallbackOf(c *connector, q *Query, from *sender) *connector {
	to := c.fallback
	for range t.connectors {
		if to == nil || to == c {
			return nil
		}
		if to.refuses(q, from).eliminated == "" {
			return to
		}
		to = to.fallback
	}
	return nil
}

func chosen(e entry, domain string) Decision {
	return Decision{
		Connector:    e.connector.name,
		AddressSpace: e.text(),
		NextHop:      e.connector.nextHop(domain),
		Reason: `The address space "` + e.text() + `" of Send connector "` + e.connector.name +
			`" is the best match for ` + domain + " that takes the message.",
	}
}

func refused(c *connector, no refusal, q *Query, domain string) Decision {
	d := Decision{Problem: ProblemSender, Reply: replySender}
	switch no.eliminated {
	case EliminatedSize:
		d.Problem, d.Reply = ProblemSize, replySize
	case EliminatedScope:
		d.Problem, d.Reply = ProblemScope, replyScope
	}
	d.Reason = fmt.Sprintf("The Send connector %q, the best match for %s, does not take the message: %s",
		c.name, domain, c.sentence(no, q))
	return d
}

// sentence says in words and figures why a connector does not take a message.
func (c *connector) sentence(no refusal, q *Query) string {
	switch no.eliminated {
	case EliminatedScope:
		return fmt.Sprintf("it came through %q, which is not in scope: %s.", q.Source, strings.Join(c.scope, ", "))
	case EliminatedSize:
		return fmt.Sprintf("the message has %d octets, max_message_size is %d.", q.Size, c.maxSize)
	case EliminatedBlockedSender:
		return fmt.Sprintf("the sender %s is listed in blocked_senders as %q.", q.Sender.Path(), no.pattern)
	default:
		return fmt.Sprintf("the sender %s is not listed in allowed_senders.", q.Sender.Path())
	}
}
