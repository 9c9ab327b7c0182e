package dsn

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"postern/internal/message"
)

// statusPart writes the second part, message/delivery-status (RFC 3464).
// With SMTPUTF8 it is message/global-delivery-status, which holds addresses as
// they are (RFC 6533 3, 4).
func (c *composer) statusPart() {
	c.part("message/" + c.reportType() + "\r\n")
	if c.status8Bit() {
		c.line("Content-Transfer-Encoding: 8bit")
	}
	c.line()
	c.field("Reporting-MTA", "dns; "+c.ReportingMTA)
	// An id that had to be altered would match nothing, so it is left out.
	if id := c.Envelope.EnvID; id != "" && printable(id) {
		c.field("Original-Envelope-Id", id) // RFC 3464 2.2.1: decoded from xtext
	}
	if !c.Envelope.Arrived.IsZero() {
		c.field("Arrival-Date", date(c.Envelope.Arrived))
	}
	for i := range c.Recipients {
		c.line()
		c.recipientFields(&c.Recipients[i])
	}
	c.line()
}

// recipientFields writes one group of per-recipient fields (RFC 3464 2.3).
func (c *composer) recipientFields(r *Recipient) {
	rcpt := &c.Envelope.Recipients[r.Index]
	if o := c.originalRecipient(rcpt.ORcpt); o != "" {
		c.addressField("Original-Recipient", o)
	}
	c.addressField("Final-Recipient", c.typedAddress(rcpt.Address.String()))
	c.field("Action", c.Kind.String())
	c.field("Status", c.statusCode(r))
	if name := mtaName(r.State.RemoteMTA); name != "" && !c.NoDiagnostics {
		c.field("Remote-MTA", "dns; "+name)
	}
	if r.State.Reply.Code != 0 && !c.NoDiagnostics {
		c.field("Diagnostic-Code", "smtp; "+oneLine(r.State.Reply))
	}
	if !r.State.At.IsZero() {
		c.field("Last-Attempt-Date", date(r.State.At))
	}
	if c.Kind == Delay && !c.RetryUntil.IsZero() {
		c.field("Will-Retry-Until", date(c.RetryUntil))
	}
}

// statusCode is the recipient's enhanced status code (RFC 3463). The next hop's
// own passes unchanged, even a 4.x.x in a failure, which is how expiry is told;
// only one of a class that contradicts the action is replaced.
func (c *composer) statusCode(r *Recipient) string { return StatusCode(c.Kind, r.State.Reply) }

// StatusCode is the Status field of a recipient with that reply in a
// notification of that kind, as "5.1.1".
func StatusCode(kind Kind, reply message.Reply) string {
	e := reply.Enhanced
	ok := false
	switch kind {
	case Failure:
		ok = e[0] == 5 || e[0] == 4
	case Delay:
		ok = e[0] == 4
	case Relayed:
		ok = e[0] == 2
	}
	if ok {
		return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
	}
	switch kind {
	case Delay:
		return "4.0.0"
	case Relayed:
		return "2.0.0"
	}
	return "5.0.0"
}

// global reports whether the notification may hold UTF-8 where US-ASCII is the
// rule: the message was sent with SMTPUTF8, or its sender has such an address.
func (c *composer) global() bool { return c.Envelope.SMTPUTF8 || !c.To.ASCII() }

// reportType is the subtype of the second part (RFC 6522 3, RFC 6533 4).
func (c *composer) reportType() string {
	if c.global() {
		return "global-delivery-status"
	}
	return "delivery-status"
}

// status8Bit reports whether the second part holds UTF-8.
func (c *composer) status8Bit() bool {
	for i := range c.Recipients {
		rcpt := &c.Envelope.Recipients[c.Recipients[i].Index]
		if !printable(c.typedAddress(rcpt.Address.String())) || !printable(c.originalRecipient(rcpt.ORcpt)) {
			return true
		}
	}
	return false
}

// addressField is field for an address of typedAddress, which may be UTF-8.
func (c *composer) addressField(name, value string) {
	io.WriteString(c.out, fold(name+": "+value))
	io.WriteString(c.out, "\r\n")
}

// originalRecipient is the value of Original-Recipient for an ORCPT, decoded
// from xtext (RFC 3461 4.2, 6.3); empty when it can't be given unaltered.
func (c *composer) originalRecipient(orcpt string) string {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok || kind == "" || !printable(kind) || strings.ContainsAny(kind, " ()<>@,:\\\"[]") {
		return ""
	}
	if printable(addr) {
		return kind + "; " + addr
	}
	if strings.EqualFold(kind, "utf-8") || strings.EqualFold(kind, "rfc822") {
		return c.typedAddress(addr)
	}
	return ""
}

// typedAddress renders a mailbox with its address type. One that is not ASCII
// stands as it is where UTF-8 is allowed, else in the form for 7-bit reports, in
// which each such character is \x{HEX} (RFC 6533 3).
func (c *composer) typedAddress(addr string) string {
	if printable(addr) {
		return "rfc822; " + addr
	}
	if c.global() && cleanUTF8(addr) == addr {
		return "utf-8; " + addr
	}
	var b strings.Builder
	for _, r := range addr {
		if r <= ' ' || r > '~' || r == '\\' || r == '+' || r == '=' {
			fmt.Fprintf(&b, "\\x{%X}", r)
		} else {
			b.WriteRune(r)
		}
	}
	return "utf-8; " + b.String()
}

// mtaName is the name of a remote MTA as a field value: of "mx1.example.net
// [198.51.100.25]" the name, of an address alone the address literal.
func mtaName(remote string) string {
	name, _, _ := strings.Cut(truncate(clean(remote), maxName), " ")
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Is4() {
			return "[" + name + "]"
		}
		return "[IPv6:" + name + "]" // RFC 5321 4.1.3
	}
	return name
}

// oneLine is a whole reply on one line, as it stands in Diagnostic-Code.
func oneLine(r message.Reply) string {
	r.Text = truncate(clean(r.Text), maxReply)
	return r.String()
}
