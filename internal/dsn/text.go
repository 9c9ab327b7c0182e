package dsn

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"

	"postern/internal/message"
)

// humanPart writes the first part. Plain ASCII in short lines goes as it is, so
// that it reads well in a raw view too.
func (c *composer) humanPart() {
	text := c.text()
	if plain(text) {
		c.line("; charset=us-ascii")
		c.line()
		io.WriteString(c.out, text)
		c.line()
		return
	}
	c.line("; charset=utf-8")
	c.line("Content-Transfer-Encoding: quoted-printable")
	c.line()
	qp := quotedprintable.NewWriter(c.out)
	io.WriteString(qp, text)
	qp.Close()
	c.line()
}

// plain reports whether a text of CRLF lines can go without an encoding.
func plain(text string) bool {
	for line := range strings.SplitSeq(text, "\r\n") {
		if !printable(line) || len(line) > 900 {
			return false
		}
	}
	return true
}

// text is the first part's text, each line ending in CRLF.
func (c *composer) text() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format, args...)
		b.WriteString("\r\n")
	}
	switch c.Kind {
	case Failure:
		line("Your message could not be delivered to the recipients below.")
		line("It will not be tried again.")
	case Delay:
		line("Your message has not been delivered to the recipients below yet.")
		line("You need not send it again: delivery is still being tried.")
	case Relayed:
		line("Your message went on to the next mail system for the recipients below.")
		line("That system sends no notifications, so you may hear nothing further.")
	}
	line("")
	if s := readable(c.orig.subject); s != "" {
		line("  Subject: %s", s)
	}
	if !c.Envelope.Arrived.IsZero() {
		line("  Received here: %s", date(c.Envelope.Arrived))
	}
	groups := c.groups()
	for _, g := range groups {
		line("")
		for _, r := range g {
			line("%s", c.address(r.Index))
		}
		c.explain(line, &g[0])
	}
	if c.Kind == Delay && !c.RetryUntil.IsZero() {
		line("")
		line("Delivery will be tried until %s.", date(c.RetryUntil))
		line("You will be told if it fails.")
	}
	if n := c.orig.note; n != "" {
		line("")
		line("%s", n)
	}
	line("")
	line("")
	line("Diagnostic information for administrators:")
	line("")
	line("Generating server: %s", cleanUTF8(c.ReportingMTA))
	line("Queue id: %s", c.ID)
	if id := c.Envelope.MessageID; cleanMessageID(id) {
		line("Message-ID: %s", id)
	}
	for _, g := range groups {
		line("")
		for _, r := range g {
			line("%s", c.address(r.Index))
		}
		c.diagnose(line, &g[0])
	}
	return b.String()
}

// groups are the recipients with the same end, in order, so that five hundred
// recipients of one refusal do not repeat it five hundred times.
func (c *composer) groups() [][]Recipient {
	type end struct {
		reply  message.Reply
		remote string
		tries  int
	}
	var groups [][]Recipient
	place := make(map[end]int)
	for _, r := range c.Recipients {
		k := end{r.State.Reply, r.State.RemoteMTA, r.State.Tries}
		i, ok := place[k]
		if !ok {
			i = len(groups)
			place[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// address is a recipient for people; an ORCPT that names another address stands
// beside it, since that is the one the sender knows.
func (c *composer) address(index int) string {
	rcpt := &c.Envelope.Recipients[index]
	s := cleanUTF8(rcpt.Address.String())
	if _, o, ok := strings.Cut(rcpt.ORcpt, ";"); ok && o != "" && o != rcpt.Address.String() {
		s += " (originally " + truncate(cleanUTF8(o), maxSubject) + ")"
	}
	return s
}

// explain says what happened to a group and what can be done.
func (c *composer) explain(line func(string, ...any), r *Recipient) {
	reply, remote := r.State.Reply, cleanUTF8(r.State.RemoteMTA)
	switch {
	case reply.Code == 0:
	case remote == "":
		line("  This server reports:")
	case c.Kind == Failure:
		line("  The server %s refused it and said:", remote)
	default:
		line("  The server %s said:", remote)
	}
	quote(line, "    ", reply)
	if advice := c.advice(r); advice != "" {
		line("  %s", advice)
	}
}

// diagnose gives a group's facts to administrators.
func (c *composer) diagnose(line func(string, ...any), r *Recipient) {
	if remote := cleanUTF8(r.State.RemoteMTA); remote != "" {
		line("Remote server: %s", remote)
	}
	line("Status: %s", c.statusCode(r))
	if r.State.Tries > 0 {
		line("Attempts: %d", r.State.Tries)
	}
	if !r.State.At.IsZero() {
		line("Last attempt: %s", date(r.State.At))
	}
	if r.State.Reply.Code != 0 {
		line("Reply:")
		quote(line, "  ", r.State.Reply)
	}
}

// quote writes a reply line by line, each line indented.
func quote(line func(string, ...any), indent string, r message.Reply) {
	if r.Code == 0 {
		return
	}
	text := truncate(r.Text, maxReply)
	r.Text = ""
	prefix := r.String()
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line("%s%s %s", indent, prefix, cleanUTF8(part))
	}
	if strings.Trim(text, "\r\n") == "" {
		line("%s%s", indent, prefix)
	}
}

// advice is one sentence for the sender, chosen by the enhanced status code
// (RFC 3463, with Exchange's uses of it).
func (c *composer) advice(r *Recipient) string {
	if c.Kind != Failure {
		return ""
	}
	e := r.State.Reply.Enhanced
	switch {
	case e == [3]int{5, 1, 8} || e == [3]int{5, 1, 7}:
		return "Your own address was not accepted; ask your administrator."
	case e[1] == 1:
		return "Check the address for mistakes, and send the message again."
	case e == [3]int{5, 2, 2} || e == [3]int{4, 2, 2}:
		return "The mailbox is full; reach the recipient some other way, or try later."
	case e == [3]int{5, 2, 3} || e == [3]int{5, 3, 4}:
		return "The message is too large; send it with smaller or fewer attachments."
	case e == [3]int{4, 4, 7}:
		return "The recipient's server could not be reached or did not take the message in time; send it again later."
	case e == [3]int{5, 4, 4}:
		return "The recipient's domain can't receive mail; check the part behind the @."
	case e == [3]int{5, 4, 6} || e == [3]int{5, 4, 8} || e == [3]int{5, 3, 5} || e == [3]int{5, 4, 14}:
		return "The recipient's mail system sends mail in a circle; its administrator needs to know."
	case e[1] == 6:
		return "Something in the message itself was not accepted; its format or an attachment may be the reason."
	case e[1] == 7:
		return "The message was refused for reasons of policy; the reply above may say which. Ask the recipient, or your administrator."
	}
	return "Send this report to your administrator if the reply above does not help."
}
