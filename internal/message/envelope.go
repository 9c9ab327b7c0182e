package message

import (
	"net/netip"
	"time"
)

// BodyType is the BODY= parameter of MAIL (RFC 6152, RFC 3030).
// The zero value means that the client gave none.
type BodyType uint8

// The body types a client may declare.
const (
	BodyUnspecified BodyType = iota
	Body7Bit
	Body8BitMIME
	BodyBinaryMIME
)

// Return is the RET= parameter of MAIL (RFC 3461 4.3): how much of the message
// a failure notification returns. The zero value leaves it to the reporter.
type Return uint8

// The values of RET=.
const (
	ReturnUnspecified Return = iota
	ReturnFull
	ReturnHeaders
)

// Notify is the NOTIFY= parameter of RCPT (RFC 3461 4.1), a set of conditions.
// The zero value means that the client gave none, which asks for failure and
// delay notifications. NotifyNever stands alone.
type Notify uint8

// The conditions of NOTIFY=.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Envelope is everything about a message that is not its content: the reverse
// path, the recipients, the parameters of MAIL and RCPT, and where it came
// from. It is written once, when the message is accepted, and never changes;
// what becomes of the recipients is kept as Updates beside it.
type Envelope struct {
	// From is the reverse path; the zero Address is the null path "<>".
	From Address
	// Body, SMTPUTF8, RequireTLS, Return and EnvID are the parameters of
	// MAIL. EnvID is decoded from xtext.
	Body       BodyType
	SMTPUTF8   bool
	RequireTLS bool
	Return     Return
	EnvID      string
	// Auth is the mailbox that AUTH= of MAIL gives as the originator
	// (RFC 4954 5), when the client was trusted to say so; empty when it is not
	// known, which stands for AUTH=<>.
	Auth string
	// Recipients are the forward paths, without duplicates, in the order of
	// their RCPT commands. Outcomes refer to them by index.
	Recipients []Recipient
	// Size counts the octets of the content as received, before our own
	// trace fields were put on top.
	Size int64
	// Arrived is when the end of the content was read.
	Arrived time.Time
	// MessageID is the Message-ID field with its angle brackets; empty when
	// the message has none.
	MessageID string
	// Subject is the Subject field as text for people: decoded (RFC 2047), on
	// one line, without control characters, at most MaxSubject octets of UTF-8;
	// empty when the message has none. Records of earlier versions have none.
	Subject string
	// Origin says how the message came to us.
	Origin Origin
}

// Recipient is one forward path with its DSN parameters.
type Recipient struct {
	Address Address
	Notify  Notify
	// ORcpt is the ORCPT= parameter (RFC 3461 4.2) as "type;address", decoded
	// from xtext; empty when the client gave none.
	ORcpt string
}

// Origin says how a message came to us: through which Receive connector, in
// which session, from whom. A message that the gateway made itself, a
// notification, has Internal set and no session.
type Origin struct {
	// Connector is the Receive connector's name.
	Connector string
	// Session is the id of the session in the protocol log.
	Session string
	// Client and Local are the two ends of the connection.
	Client netip.AddrPort
	Local  netip.AddrPort
	// Helo is the argument of HELO or EHLO.
	Helo string
	// Protocol is the "with" keyword of the Received field: SMTP, ESMTP,
	// ESMTPS, ESMTPA, ... (RFC 3848); for a message that came in no session the
	// way it came, such as Import.
	Protocol string
	// User is the name that the client authenticated as; empty when it did not.
	User string
	// MayRelay says that whoever brought the message may send to anybody
	// through the gateway (accept_any_recipient), so that it is not a
	// stranger's: it may be signed as ours. Records of earlier versions do not
	// have it.
	MayRelay bool
	// Internal marks a message made by this gateway.
	Internal bool
	// ReportOf is, for a delivery status notification, the message it
	// reports on.
	ReportOf ID
}
