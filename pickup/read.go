package pickup

import (
	"fmt"
	"net/mail"
	"time"

	"postern/config"
	"postern/internal/message"
)

// refusal says why a file is no message.
type refusal struct {
	reply message.Reply
	// about is what is known of the envelope, for the notification; nil when
	// nothing is.
	about *message.Envelope
}

func (r *refusal) Error() string { return r.reply.Text }

// refuse makes a refusal for content that is wrong (RFC 3463 3.7).
func refuse(format string, args ...any) *refusal {
	return &refusal{reply: message.Reply{Code: 554, Enhanced: [3]int{5, 6, 0}, Text: fmt.Sprintf(format, args...)}}
}

// tooLarge makes a refusal for what is beyond a limit.
func tooLarge(format string, args ...any) *refusal {
	return &refusal{reply: message.Reply{Code: 552, Enhanced: [3]int{5, 3, 4}, Text: fmt.Sprintf(format, args...)}}
}

// rules are what holds for the files of one directory.
type rules struct {
	replay        bool
	fqdn          string
	domain        string // of addresses and Message-IDs without one
	maxHeader     int64
	maxSize       int64
	maxRecipients int64 // zero: no limit
}

// letter is a file's header made into what is sent: the envelope, and the header
// that goes on top of the body.
type letter struct {
	envelope *message.Envelope
	header   []byte           // with the empty line that ends it; without Received
	received message.Received // without By and With
}

// read makes a letter of the header of a file.
func (r *rules) read(block []byte, id message.ID, now time.Time) (*letter, *refusal) {
	h, err := parseHeader(block)
	var l letter
	var ref *refusal
	if r.replay {
		h, ref = l.readReplay(h, r)
	} else {
		h, ref = l.readPickup(h, r)
	}
	switch {
	case err != nil:
		ref = refuse("it has no proper header: %v", err)
	case ref == nil && len(l.envelope.Recipients) == 0:
		ref = refuse("it names no recipient")
	case ref == nil && r.maxRecipients > 0 && int64(len(l.envelope.Recipients)) > r.maxRecipients:
		ref = refuse("it has %d recipients, more than the %d that pickup.pickup_directory_max_recipients_per_message allows",
			len(l.envelope.Recipients), r.maxRecipients)
		ref.reply.Enhanced = [3]int{5, 5, 3}
	}
	if ref != nil {
		ref.about = l.envelope
		return nil, ref
	}
	l.finish(h, r, id, now)
	return &l, nil
}

// finish writes the header, with the fields that it lacks.
func (l *letter) finish(h header, r *rules, id message.ID, now time.Time) {
	var b []byte
	if !r.replay && !h.has("to") && !h.has("cc") {
		// RFC 5322 3.6.3: Bcc alone would leave the message without destination.
		h = h.without(func(f field) bool { return f.name == "to" || f.name == "cc" })
		b = append(b, "To: Undisclosed recipients:;\r\n"...)
	}
	if !h.has("message-id") {
		h = h.without(func(f field) bool { return f.name == "message-id" })
		b = append(b, "Message-ID: <"+id.String()+"@"+message.DomainKey(r.domain)+">\r\n"...)
	}
	if !dated(h) {
		h = h.without(func(f field) bool { return f.name == "date" })
		b = append(message.AppendDate(append(b, "Date: "...), now), "\r\n"...)
	}
	for _, f := range h {
		b = append(b, f.raw...)
	}
	l.header = append(b, "\r\n"...)
	l.envelope.SMTPUTF8 = l.envelope.SMTPUTF8 || needsUTF8(l.envelope)
	l.received.ID, l.received.At = id, now
	if len(l.envelope.Recipients) == 1 { // RFC 5321 7.2
		l.received.For = l.envelope.Recipients[0].Address.Path()
	}
}

// dated reports whether there is a date that can be read (RFC 5322 3.6.1).
func dated(h header) bool {
	dates := h.all("date")
	if len(dates) != 1 {
		return false
	}
	_, err := mail.ParseDate(dates[0].value())
	return err == nil
}

// readPickup takes the envelope from the fields that name people, and those
// fields away that a new message has no use for (reference 11).
func (l *letter) readPickup(h header, r *rules) (header, *refusal) {
	e := &message.Envelope{Origin: message.Origin{Protocol: config.SourcePickup, MayRelay: true}}
	l.envelope = e
	l.received.Helo = "localhost"
	var ref *refusal
	if e.From, ref = author(h); ref != nil {
		return nil, ref
	}
	known := make(map[string]bool)
	for _, name := range []string{"to", "cc", "bcc"} {
		list, err := h.mailboxes(name)
		for _, a := range list {
			addRecipient(e, known, message.Recipient{Address: a})
		}
		if err != nil && ref == nil {
			ref = refuse("%v", err)
		}
	}
	return h.without(func(f field) bool {
		return f.name == "bcc" || firewalled(f, message.RoutingHeaders|message.InternalHeaders)
	}), ref
}

// author is who sends: the mailbox in From when there is one, and else the one in
// Sender (reference 11, RFC 5322 3.6.2).
func author(h header) (message.Address, *refusal) {
	if len(h.all("from")) > 1 || len(h.all("sender")) > 1 {
		return message.Address{}, refuse("it has more than one field From, or Sender")
	}
	from, err := h.mailboxes("from")
	if err != nil {
		return message.Address{}, refuse("%v", err)
	}
	if len(from) == 1 {
		return from[0], nil
	}
	sender, err := h.mailboxes("sender")
	switch {
	case err != nil:
		return message.Address{}, refuse("%v", err)
	case len(sender) == 1:
		return sender[0], nil
	case len(from) > 1:
		return message.Address{}, refuse("its field From has %d addresses, so that it needs a field Sender with one", len(from))
	}
	return message.Address{}, refuse("it names no sender: it needs a field From with one address")
}
