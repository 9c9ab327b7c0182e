package dsn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"postern/internal/message"
)

// Kind is what a notification is about. One notification reports recipients of
// one kind only.
type Kind uint8

// The kinds of notification. They set the Action field (RFC 3464 2.3.3).
const (
	// Failure says that delivery was given up: "failed".
	Failure Kind = iota
	// Delay says that delivery is late and is still tried: "delayed".
	Delay
	// Relayed says that the message went on to a next hop that sends no
	// notifications, so that no word of its delivery will come: "relayed".
	Relayed
)

// String returns the value of the Action field.
func (k Kind) String() string {
	switch k {
	case Failure:
		return "failed"
	case Delay:
		return "delayed"
	case Relayed:
		return "relayed"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// DefaultMaxOriginal is how large a message is returned whole, in octets, when
// Report.MaxOriginal is zero.
const DefaultMaxOriginal = 10 << 20

// Report is what a notification says.
type Report struct {
	Kind Kind
	// ReportingMTA is the gateway's own fully qualified name.
	ReportingMTA string
	// From is the mailbox in the From field, postmaster by convention. The
	// notification's reverse path is null whatever stands here.
	From message.Address
	// ID is the queue id of the message reported on, NotificationID that of
	// the notification itself, of which its Message-ID is made.
	ID             message.ID
	NotificationID message.ID
	// Envelope is that of the message reported on.
	Envelope *message.Envelope
	// Recipients are those reported on, in the order in which they are listed.
	Recipients []Recipient
	// Original is the content of the message reported on. Nil leaves it out,
	// and the notification says so.
	Original message.Content
	// To is whom the notification goes to; the null Address means the reverse
	// path of the message, as it should be but for copies.
	To message.Address
	// Attempts are those at the message's next hops, oldest first.
	Attempts []message.Attempt
	// NoDiagnostics leaves out what servers said and who they are, and with it
	// the section for administrators.
	NoDiagnostics bool
	// MaxOriginal is the size in octets up to which a failure returns the
	// whole message; above it, the header alone. Zero means
	// DefaultMaxOriginal, less than zero always the header alone.
	MaxOriginal int64
	// Now is the time that the notification bears.
	Now time.Time
	// RetryUntil is, for a delay, when the gateway will give up.
	RetryUntil time.Time
	// FailureTold says, for a delay, that the sender will be told should one of
	// the recipients fail.
	FailureTold bool
}

// Recipient is one recipient of a Report: its place in Envelope.Recipients and
// what became of it.
type Recipient struct {
	Index int
	State message.RecipientState
}

// ErrNullReversePath says that a message with the null reverse path can't be
// reported on: nothing is ever sent in answer to a notification (RFC 5321
// 4.5.5, RFC 3464 2).
var ErrNullReversePath = errors.New("a message with the null reverse path is not reported on")

// Wanted reports whether the sender of a message is to be told that something
// of the kind happened to one of its recipients. Without NOTIFY= failures and
// delays are reported (RFC 3461 4.1, 5.2); nothing is reported to the null
// reverse path.
func Wanted(e *message.Envelope, recipient int, kind Kind) bool {
	if e.From.IsNull() || recipient < 0 || recipient >= len(e.Recipients) {
		return false
	}
	n := e.Recipients[recipient].Notify
	if n&message.NotifyNever != 0 {
		return false
	}
	switch kind {
	case Failure:
		return n == 0 || n&message.NotifyFailure != 0
	case Delay:
		return n == 0 || n&message.NotifyDelay != 0
	case Relayed:
		return n&message.NotifySuccess != 0
	}
	return false
}

// Compose writes the notification's content to w and returns its envelope: from
// the null reverse path to the sender of the message reported on, with
// NOTIFY=NEVER and without RET= (RFC 3461 6.1). The content is read twice. The
// error is ErrNullReversePath, one about r itself, or one of reading or
// writing; whatever was written before an error is to be thrown away.
func Compose(w io.Writer, r *Report) (*message.Envelope, error) {
	if r.Envelope.From.IsNull() {
		return nil, ErrNullReversePath
	}
	if len(r.Recipients) == 0 {
		return nil, errors.New("compose a notification: it names no recipient")
	}
	for _, rcpt := range r.Recipients {
		if rcpt.Index < 0 || rcpt.Index >= len(r.Envelope.Recipients) {
			return nil, fmt.Errorf("compose a notification: the message has no recipient %d", rcpt.Index)
		}
	}
	orig, err := examine(r)
	if err != nil {
		return nil, fmt.Errorf("compose a notification: %w", err)
	}
	if r.To.IsNull() {
		c := *r
		c.To, r = r.Envelope.From, &c
	}
	out := &counter{w: bufio.NewWriterSize(w, 32<<10)}
	c := composer{Report: r, orig: orig, out: out}
	c.header()
	c.part("text/plain")
	c.humanPart()
	c.statusPart()
	if err := c.originalPart(); err != nil {
		return nil, fmt.Errorf("compose a notification: return the message: %w", err)
	}
	c.line("--", orig.boundary, "--")
	if err := out.w.Flush(); err != nil {
		return nil, fmt.Errorf("compose a notification: %w", err)
	}
	return c.envelope(), nil
}

// composer is one run of Compose. Write errors stay in out.w and come to light
// when it is flushed.
type composer struct {
	*Report
	orig original
	out  *counter
}

// counter counts what is written.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// line writes one line that needs no care.
func (c *composer) line(parts ...string) {
	for _, p := range parts {
		io.WriteString(c.out, p)
	}
	io.WriteString(c.out, "\r\n")
}

// field writes a header field of trusted name, folded. A value that is not
// printable ASCII is cleaned; one that is stays as it is, since the spaces in a
// quoted local part count.
func (c *composer) field(name, value string) {
	if !printable(value) {
		value = clean(value)
	}
	io.WriteString(c.out, fold(name+": "+value))
	io.WriteString(c.out, "\r\n")
}

// eightBit reports whether a part holds octets above 127.
func (c *composer) eightBit() bool { return c.orig.eightBit || c.status8Bit() }

// messageID is the notification's own Message-ID.
func (c *composer) messageID() string {
	return "<" + c.NotificationID.String() + "@" + token(c.ReportingMTA) + ">"
}

func (c *composer) header() {
	c.field("From", "Mail Delivery System <"+c.From.String()+">")
	// A sender with a non-ASCII mailbox sent with SMTPUTF8 and is answered with
	// it (RFC 6532 3.2); clean would spoil the address.
	to := c.To.String()
	if c.To.ASCII() {
		c.field("To", "<"+to+">")
	} else {
		c.line("To: <", cleanUTF8(to), ">")
	}
	c.line("Subject: ", c.subject())
	c.field("Date", date(c.Now))
	c.field("Message-ID", c.messageID())
	if id := c.Envelope.MessageID; cleanMessageID(id) {
		c.field("In-Reply-To", id)
		c.field("References", id)
	}
	c.line("Auto-Submitted: auto-replied") // RFC 3834 5
	c.line("MIME-Version: 1.0")
	c.line("Content-Type: multipart/report; report-type=", c.reportType(), ";") // RFC 6522 3
	c.line(" boundary=\"", c.orig.boundary, "\"")
	if c.eightBit() {
		c.line("Content-Transfer-Encoding: 8bit") // RFC 2045 6.4: of the parts' kind
	}
	c.line()
	c.line("This is a delivery status notification in MIME format.")
	c.line()
}

// part begins a body part whose further header fields the caller writes.
func (c *composer) part(contentType string) {
	c.line("--", c.orig.boundary)
	io.WriteString(c.out, "Content-Type: "+contentType)
}

// prefix is how the subject begins.
func (c *composer) prefix() string {
	switch c.Kind {
	case Delay:
		return "Delivery delayed: "
	case Relayed:
		return "Relayed: "
	}
	return "Undeliverable: "
}

// subject is the Subject field's value, folded.
func (c *composer) subject() string {
	s := headerText(c.orig.subject)
	if s == "" {
		s = "(no subject)"
	}
	return fold("Subject: " + c.prefix() + s)[len("Subject: "):]
}

// envelope is the notification's own, known once everything is written.
func (c *composer) envelope() *message.Envelope {
	e := &message.Envelope{
		SMTPUTF8:   !c.To.ASCII(),
		Recipients: []message.Recipient{{Address: c.To, Notify: message.NotifyNever}},
		Size:       c.out.n,
		Arrived:    c.Now,
		MessageID:  c.messageID(),
		Subject:    message.Shorten(c.prefix()+readable(c.orig.subject), message.MaxSubject),
		Origin:     message.Origin{Internal: true, ReportOf: c.ID},
	}
	if c.eightBit() || e.SMTPUTF8 {
		e.Body = message.Body8BitMIME
	}
	return e
}
