package routing

import (
	"fmt"

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
)

// refusal is why a connector does not take a message.
type refusal struct {
	eliminated string // EliminatedSize, ...; empty when it does take it
	pattern    string // the entry of blocked_senders
}

// refuses asks a connector's restrictions.
func (c *connector) refuses(q *Query, from *sender) refusal {
	if q.Size > c.maxSize {
		return refusal{eliminated: EliminatedSize}
	}
	if !c.blocked.empty() {
		if p, ok := c.blocked.match(from); ok {
			return refusal{eliminated: EliminatedBlockedSender, pattern: p}
		}
	}
	// RFC 5321 4.5.5: notifications must be able to travel, so the null
	// reverse path need not be listed to be allowed.
	if !c.allowed.empty() && !from.address.IsNull() {
		if _, ok := c.allowed.match(from); !ok {
			return refusal{eliminated: EliminatedAllowedSenders}
		}
	}
	return refusal{}
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
	d, _ := t.decide(&q, t.domainOf(q.Recipient))
	return d
}

// decide is Route. It also returns the connector that the others lose to: the
// winner or, where restrictions are enforced, the one that refused.
func (t *Table) decide(q *Query, domain string) (Decision, *connector) {
	from := sender{address: q.Sender}
	var first entry
	var why refusal
	for s := t.search(domain); ; {
		r, more := s.next()
		if !more {
			break
		}
		for e, ok := r.pop(); ok; e, ok = r.pop() {
			no := e.connector.refuses(q, &from)
			if no.eliminated == "" {
				return chosen(e, domain), e.connector
			}
			if t.enforce {
				return refused(e.connector, no, q, domain), e.connector
			}
			if first.connector == nil {
				first, why = e, no
			}
		}
	}
	if first.connector == nil {
		return Decision{Problem: ProblemNoConnector, Reply: replyUnreachable,
			Reason: "No enabled Send connector has an address space that matches " + domain + "."}, nil
	}
	return refused(first.connector, why, q, domain), nil
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
	if no.eliminated == EliminatedSize {
		d.Problem, d.Reply = ProblemSize, replySize
	}
	d.Reason = fmt.Sprintf("The Send connector %q, the best match for %s, does not take the message: %s",
		c.name, domain, c.sentence(no, q))
	return d
}

// sentence says in words and figures why a connector does not take a message.
func (c *connector) sentence(no refusal, q *Query) string {
	switch no.eliminated {
	case EliminatedSize:
		return fmt.Sprintf("the message has %d octets, max_message_size is %d.", q.Size, c.maxSize)
	case EliminatedBlockedSender:
		return fmt.Sprintf("the sender %s is listed in blocked_senders as %q.", q.Sender.Path(), no.pattern)
	default:
		return fmt.Sprintf("the sender %s is not listed in allowed_senders.", q.Sender.Path())
	}
}
