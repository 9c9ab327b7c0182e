package review

import (
	"net/netip"
	"strings"
	"time"

	"postern/logs"
)

// Session is one SMTP session, put together from the lines of a protocol log.
// Text of the peer stands as it was said, control characters and all: Escape it
// (logs.Escape) before it meets a terminal.
type Session struct {
	// ID is the session's id as in the log: 16 upper-case hexadecimal digits,
	// or whatever an older Exchange wrote.
	ID        string
	Direction logs.Direction
	// Connector is "SERVER\Connector" for a Receive connector, as in the log.
	Connector string
	// Start and End are the times of the first and the last line, UTC.
	Start, End    time.Time
	Local, Remote netip.AddrPort
	// HELO is the name that the client gave last with HELO or EHLO: the peer
	// in a receive session, this gateway in a send session.
	HELO string
	// TLS is version and cipher, such as "TLS1.3 TLS_AES_128_GCM_SHA256"; empty
	// in clear, "TLS" where the log does not say which.
	TLS string
	// User is who authenticated, empty for nobody.
	User string
	// Messages are the mail transactions, in order: one for each MAIL command.
	// At most MaxTransactions are kept, with at most MaxRecipients recipients
	// altogether; Omitted says whether there were more.
	Messages []Transaction
	Outcome  Outcome
	// Reply is the reply that decided the outcome: the last that refused
	// something, or else the last that accepted a message. It may be what this
	// side noted where the peer said nothing ("failed to connect").
	Reply string
	// Failed says that the session is one for --failed: somebody got a 4yz or
	// 5yz reply, or the connection, TLS or the dialog broke.
	Failed bool
	// Open says that no line ends the session: it goes on, or its end is not
	// in the log.
	Open bool
	// Headless says that the first lines are not in the log.
	Headless bool
	// Missing is how many lines are known to be missing, by the gaps between
	// the sequence numbers.
	Missing int
	// LineCount is how many lines of the session were found.
	LineCount int
	// Omitted says that the session was too long to be kept whole: of its
	// middle, only what filters ask for was looked at.
	Omitted bool
	// Lines are the lines, in the order in which they were written, when the
	// Query asks for them.
	Lines []logs.Line
}

// What a Session keeps at most.
const (
	MaxTransactions = 2000
	MaxRecipients   = 5000
)

// Transaction is one mail transaction of a session: from MAIL to the reply that
// decided what became of it.
type Transaction struct {
	// Time is that of the MAIL command, End that of the last line that belongs
	// to the transaction.
	Time, End time.Time
	// From is the reverse path without its brackets; empty is the null path.
	From string
	// To are the recipients, refused ones included.
	To []Recipient
	// QueueID is the queue id, or Exchange's internal message id; MessageID
	// the Message-ID, with its brackets, where the log has it.
	QueueID, MessageID string
	// Reply is the reply to the content, or to MAIL where that was refused.
	Reply string
	// Octets is the size that MAIL declared (RFC 1870); 0 where it did not.
	Octets int64
	// Accepted says that the content was accepted.
	Accepted bool
}

// Recipient is one RCPT command and the reply to it, empty where there is none.
type Recipient struct {
	Address string
	Reply   string
}

// Outcome says how a session went.
type Outcome string

// The outcomes of a session.
const (
	Accepted Outcome = "accepted" // every message that was tried was accepted, and nothing else refused
	Partly   Outcome = "partly"   // something was accepted and something refused
	Refused  Outcome = "refused"  // something was refused, and nothing accepted
	Broken   Outcome = "broken"   // the connection, TLS or the dialog broke and nothing was accepted
	NoMail   Outcome = "no mail"  // nothing was tried and nothing refused
)

// Duration returns the time between the first line and the last.
func (s *Session) Duration() time.Duration { return max(s.End.Sub(s.Start), 0) }

// ConnectorName returns the connector's name without "SERVER\".
func (s *Session) ConnectorName() string {
	return s.Connector[strings.LastIndexByte(s.Connector, '\\')+1:]
}

// Senders returns the different reverse paths of the session, in order; "" is
// the null path.
func (s *Session) Senders() []string {
	var list distinct
	for i := range s.Messages {
		list.add(s.Messages[i].From)
	}
	return list.items
}

// Recipients returns the different recipients of the session, in order.
func (s *Session) Recipients() []string {
	var list distinct
	for i := range s.Messages {
		for _, r := range s.Messages[i].To {
			list.add(r.Address)
		}
	}
	return list.items
}

// QueueIDs returns the queue ids that the session names.
func (s *Session) QueueIDs() []string {
	var list distinct
	for i := range s.Messages {
		if id := s.Messages[i].QueueID; id != "" {
			list.add(id)
		}
	}
	return list.items
}

// MessageIDs returns the Message-IDs that the session names.
func (s *Session) MessageIDs() []string {
	var list distinct
	for i := range s.Messages {
		if id := s.Messages[i].MessageID; id != "" {
			list.add(id)
		}
	}
	return list.items
}

// distinct is a list without repetitions, in the order of the first.
type distinct struct {
	items []string
	seen  map[string]bool
}

func (d *distinct) add(s string) {
	if d.seen[s] {
		return
	}
	if d.seen == nil {
		d.seen = make(map[string]bool)
	}
	d.seen[s] = true
	d.items = append(d.items, s)
}
