package queue

import (
	"errors"
	"time"

	"postern/internal/message"
	"postern/routing"
)

// The names of the queues that have no next hop.
const (
	// SubmissionName is the queue of messages that are not routed yet; they
	// stay in it only while it is suspended.
	SubmissionName = "Submission"
	// UnreachableName is the queue of messages without next hop.
	UnreachableName = "Unreachable"
	// PoisonName is the queue of messages that are parked because they are
	// suspected to bring the gateway down. It never resumes by itself and its
	// messages do not expire.
	PoisonName = "Poison"
)

// The errors of orders, for errors.Is.
var (
	// ErrNoQueue: there is no queue of that name.
	ErrNoQueue = errors.New("queue: there is no queue of that name")
	// ErrBadOrder: the order or its filter can't be understood; the text says
	// what is wrong.
	ErrBadOrder = errors.New("queue: bad order")
	// ErrNotKept: the order holds, but is not on stable storage.
	ErrNotKept = errors.New("queue: done, but not on the disk yet: if the gateway ends before it can be written, it is lost")
)

// MessageStatus is what is happening with a message (Exchange's message status).
type MessageStatus string

// The statuses of a message.
const (
	StatusReady          MessageStatus = "ready"           // waits for its first try, or for a suspended queue
	StatusActive         MessageStatus = "active"          // being delivered
	StatusRetry          MessageStatus = "retry"           // was tried, and waits for the next try
	StatusSuspended      MessageStatus = "suspended"       // not delivered before it is resumed
	StatusPendingSuspend MessageStatus = "pending_suspend" // being delivered; suspended when that ends
	StatusPendingRemove  MessageStatus = "pending_remove"  // being delivered; what is left is removed when that ends
	StatusUnreachable    MessageStatus = "unreachable"     // has no next hop
	StatusPoison         MessageStatus = "poison"          // parked
)

// Filter chooses messages. Zero fields do not restrict; a message must meet all
// others.
type Filter struct {
	// IDs names messages.
	IDs []message.ID
	// Queue is the name of a queue that the message must stand in. Remove,
	// RetryNow and Resubmit then act on the recipients who stand in it alone;
	// the other verbs are about a message as a whole.
	Queue string
	// From matches the reverse path, To one of the recipients that are still to
	// be delivered, as the sender patterns of Send connectors do: an address, a
	// domain, "*.domain" for a domain and all below it; From also "<>".
	From, To string
	// Domain matches the domain of one of the recipients still to be delivered:
	// a domain or "*.domain".
	Domain string
	// ArrivedBefore leaves only older messages, LargerThan only those with more
	// octets of content.
	ArrivedBefore time.Time
	LargerThan    int64
	// Subject is part of the subject, in any case.
	Subject string
	Status  MessageStatus
}

// MessageSummary is a message as a list shows it.
type MessageSummary struct {
	ID message.ID
	// Queues are the names of the queues it stands in.
	Queues []string
	Status MessageStatus
	From   message.Address
	// Recipients counts those still to be delivered; FirstRecipient is one of
	// them.
	Recipients     int
	FirstRecipient message.Address
	Size           int64 // octets of content
	// Arrived, and when it is tried next and when it is given up, as far as the
	// clock decides that; zero when it does not.
	Arrived, NextTry, Expires time.Time
	Subject                   string
	MessageID                 string
	// Tries is the most that any of its recipients has had.
	Tries int
	// LastError is the reply that the latest of its failures met.
	LastError message.Reply
	// Source is how it came: "SMTP:" and the Receive connector, "DSN", or the
	// way that Origin.Protocol names, such as "Import".
	Source   string
	Standing message.Standing
}

// Page is a part of a list of messages.
type Page struct {
	Messages []MessageSummary
	// Next is the id after which the list goes on; zero at its end.
	Next message.ID
	// Examined counts the messages that were looked at.
	Examined int
}

// Verb is what an Order does to messages.
type Verb string

// The verbs.
const (
	// Suspend keeps a message from being delivered until it is resumed. What is
	// in flight ends first. A suspended message does not expire and its sender
	// is not told of the delay.
	Suspend Verb = "suspend"
	// Resume ends that: the message is tried now, and at least once before it
	// expires. A poison message is routed anew, with a clean slate.
	Resume Verb = "resume"
	// RetryNow makes a message due now; a queue in Retry gets one try.
	RetryNow Verb = "retry"
	// Resubmit routes a message anew, as if it had just come; a redirection is
	// forgotten.
	Resubmit Verb = "resubmit"
	// Redirect sends a message to other hosts: the Send connector stays, with
	// its TLS policy, and Order.To takes the place of its MX or smart hosts.
	Redirect Verb = "redirect"
	// Remove ends a message for all recipients that it was not delivered to,
	// with Filter.Queue for those in that queue. What is in flight ends first.
	// When that is a part of a message that stands in other queues too, and the
	// process ends before, the part is not removed.
	Remove Verb = "remove"
)

// Order is something to be done to all messages that a Filter chooses.
type Order struct {
	Verb   Verb
	Filter Filter
	// After is the id of a message after which to begin: Tally.Next of the call
	// before.
	After message.ID
	// WithNDR, of Remove: the sender is sent a failure notification.
	WithNDR bool
	// To, of Redirect, is a list of hosts, each a name or address with or
	// without port (25 by default), separated by commas.
	To string
	// By says who ordered it, for the logs.
	By string
	// DryRun counts and changes nothing.
	DryRun bool
}

// Tally is what an Order came to. Every message that matched is counted in
// exactly one of Changed, Pending and Skipped.
type Tally struct {
	Matched int
	Changed int
	// Recipients counts, of the messages changed and pending, the recipients
	// still to be delivered that the order is about.
	Recipients int
	// Pending counts messages in flight: the order takes effect when the attempt
	// ends.
	Pending int
	// Skipped counts messages that the order does not apply to, by reason.
	Skipped map[string]int
	// Next is the id after which the caller goes on; zero when all is done.
	Next message.ID
	// Examined counts the messages that were looked at.
	Examined int
}

// AgeInfo counts the messages of one queue by age.
type AgeInfo struct {
	Name  string
	Hop   routing.NextHop
	Total int
	// Counts has the messages younger than each of AgeBuckets and not than the
	// one before, and at the end the rest.
	Counts []int
}

// AgeBuckets are the upper bounds of the columns of Ages, as of Postfix's
// qshape.
func AgeBuckets() []time.Duration {
	list := make([]time.Duration, 9)
	for i := range list {
		list[i] = 5 * time.Minute << i
	}
	return list
}
