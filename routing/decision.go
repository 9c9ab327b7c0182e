package routing

import (
	"time"

	"postern/internal/message"
)

// Query asks where one recipient's copy of a message goes.
type Query struct {
	// Sender is the reverse path; null for a notification.
	Sender message.Address
	// Recipient is the forward path. A bare postmaster goes to the default
	// domain.
	Recipient message.Address
	// Size is the message's size in octets; zero when it is not known yet.
	Size int64
	// Source is how the message came: the name of a Receive connector, or
	// config.SourcePickup and the like. Empty, when it is not known or the
	// message is a notification, is in every scope.
	Source string
	// Fallback is the Send connector that has taken over from the one that the
	// recipient was first routed to; empty when none has. It counts as long as
	// it is still a fallback of the connector that is chosen now.
	Fallback string
}

// Kind says how a Send connector finds its next hop.
type Kind uint8

// The kinds of next hop.
const (
	MX        Kind = iota // the recipient domain's MX, or its address
	SmartHost             // the connector's smart hosts
)

// String returns "mx" or "smart_host".
func (k Kind) String() string {
	if k == SmartHost {
		return "smart_host"
	}
	return "mx"
}

// NextHop is where a recipient's copy goes. Recipients with equal NextHops
// share a delivery queue. It is comparable.
type NextHop struct {
	Connector string
	Kind      Kind
	// Domain is the recipient domain's DomainKey, or its address literal with
	// brackets; for smart hosts their set, written canonically as
	// "[10.0.0.11]:25,hub2.example:25".
	Domain string
}

// Problem says why a query has no next hop.
type Problem uint8

// The problems.
const (
	ProblemNone        Problem = iota
	ProblemNoConnector         // no Send connector matches: the message waits in the Unreachable queue
	ProblemSize                // larger than the connectors that match take: refused, 5.3.4
	ProblemSender              // a sender whom the connectors that match do not take: refused, 5.7.1
	ProblemScope               // out of the scope of the connectors that match, where restrictions are enforced: refused, 5.7.1
)

// String returns "none", "no_connector", "size", "sender" or "scope".
func (p Problem) String() string {
	switch p {
	case ProblemNoConnector:
		return "no_connector"
	case ProblemSize:
		return "size"
	case ProblemSender:
		return "sender"
	case ProblemScope:
		return "scope"
	}
	return "none"
}

// Refuses reports whether the message is refused rather than kept waiting.
func (p Problem) Refuses() bool { return p >= ProblemSize }

// The tests that a Candidate can fail, in the order in which they are made.
const (
	EliminatedDisabled       = "disabled"        // the connector is not enabled
	EliminatedAddressSpace   = "address_space"   // no address space matches the domain
	EliminatedScope          = "scope"           // its scope does not have what the message came through
	EliminatedSize           = "size"            // larger than max_message_size
	EliminatedBlockedSender  = "blocked_sender"  // listed in blocked_senders
	EliminatedAllowedSenders = "allowed_senders" // not listed in allowed_senders
	EliminatedLessSpecific   = "less_specific"   // another's space is more specific
	EliminatedHigherCost     = "higher_cost"     // another's space of the same rank costs less
	EliminatedName           = "name"            // another's name comes first
	EliminatedFallback       = "fallback"        // it would win, and its fallback has taken over
)

// Fallback is what takes over from a Send connector, and when.
type Fallback struct {
	// Connector is the name; empty when nothing takes over.
	Connector string
	// After is how long the next hop may fail, Failures how often; each
	// config.Unlimited for never.
	After    time.Duration
	Failures int64
}

// Candidate is a Send connector as one query saw it.
type Candidate struct {
	Name string
	// AddressSpace is the connector's best space for the domain, as written;
	// empty when none matches. Cost belongs to it.
	AddressSpace string
	Cost         int
	// EliminatedBy is the first test that the connector failed; empty for the
	// winner.
	EliminatedBy string
	// Detail is one sentence that says so with figures.
	Detail string
}

// Decision is the answer to a Query. Exactly one of Connector and Problem is
// set.
type Decision struct {
	// Connector is the winner's name; empty when there is none.
	Connector string
	// AddressSpace is the winning space as written.
	AddressSpace string
	// NextHop is where to send; valid when Connector is not empty.
	NextHop NextHop
	// FallbackOf is the connector that was chosen, where Connector is one that
	// has taken over from it.
	FallbackOf string
	// Fallback is what takes over when the next hop fails, and would take the
	// message.
	Fallback Fallback
	Problem  Problem
	// Reply is what the sender is told when the Problem refuses; for
	// ProblemNoConnector it is the queue's last error.
	Reply message.Reply
	// Reason is one sentence for people.
	Reason string
	// Candidates are all connectors in order of preference, the winner first.
	// Only Explain fills it in.
	Candidates []Candidate
}

// String returns the stable name of the hop's delivery queue, such as
// "Internet/fabrikam.example" or "To organization/[10.0.0.11]:25,hub2:25". No
// two different hops have the same name.
func (h NextHop) String() string { return h.Connector + "/" + h.Domain }
