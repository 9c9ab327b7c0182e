package dsn

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
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
		if c.FailureTold {
			line("You will be told if it fails.")
		}
	}
	if n := c.orig.note; n != "" {
		line("")
		line("%s", n)
	}
	if !c.NoDiagnostics {
		c.diagnostics(line, groups)
	}
	return b.String()
}

// diagnostics is the section for administrators.
func (c *composer) diagnostics(line func(string, ...any), groups [][]Recipient) {
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
}

// groups are the recipients with the same end, in order, so that five hundred
// recipients of one refusal do not repeat it five hundred times.
func (c *composer) groups() [][]Recipient {
	type end struct {
		status message.Status
		reply  message.Reply
		remote string
		hop    string
		tries  int
	}
	var groups [][]Recipient
	place := make(map[end]int)
	for _, r := range c.Recipients {
		k := end{r.State.Status, r.State.Reply, r.State.RemoteMTA, r.State.NextHop, r.State.Tries}
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

// explain says what happened to a group, what the remote server said, and what
// can be done.
func (c *composer) explain(line func(string, ...any), r *Recipient) {
	what, do := explainCode(c.Kind, &r.State)
	if what != "" {
		line("  %s", what)
	}
	if !c.NoDiagnostics {
		c.said(line, r)
	}
	if do != "" {
		line("  %s", do)
	}
}

// said quotes the reply and names who gave it.
func (c *composer) said(line func(string, ...any), r *Recipient) {
	reply, remote := r.State.Reply, truncate(cleanUTF8(r.State.RemoteMTA), maxName)
	switch {
	case reply.Code == 0:
	case remote == "":
		line("  This server reports:")
	case c.Kind == Failure:
		line("  The server %s refused it and said:", remote)
	default:
		line("  The server %s said:", remote)
	}
	quote(line, "    ", reply, maxReply)
}

// diagnose gives a group's facts to administrators.
func (c *composer) diagnose(line func(string, ...any), r *Recipient) {
	if remote := truncate(cleanUTF8(r.State.RemoteMTA), maxName); remote != "" {
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
		quote(line, "  ", r.State.Reply, maxReply)
	}
	c.tried(line, r)
}

// tried lists the connections that were made for a recipient, with each host's
// own error.
func (c *composer) tried(line func(string, ...any), r *Recipient) {
	list, own := c.attempts(&r.State)
	for i, a := range list {
		if i == 0 {
			line("Hosts tried:")
		}
		secured := "no TLS"
		if a.TLS != "" {
			secured = truncate(cleanUTF8(a.TLS), maxName)
		}
		line("  %s: %s, %s", date(a.At), endOf(a), secured)
		switch {
		case i == own:
			quote(line, "    ", r.State.Reply, maxAttemptReply)
		case a.Reply.Code >= 400 || c.Kind == Relayed: // else it took the message for others
			quote(line, "    ", a.Reply, maxAttemptReply)
		}
	}
}

// attempts are the connections of the deliveries in which a recipient took
// part: to its next hop, begun before it met its end, and none after the one
// over which a host refused it. Own is the index of the one over which its reply
// came; the reply of an attempt is the connection's last, which may have been
// about another recipient. It is -1 when no host gave the reply.
func (c *composer) attempts(st *message.RecipientState) (list []*message.Attempt, own int) {
	own = -1
	for i := range c.Attempts {
		a := &c.Attempts[i]
		if a.NextHop != st.NextHop && a.NextHop != "" || !st.At.IsZero() && a.At.After(st.At) {
			continue
		}
		if host := addressOf(a); host != "" && strings.HasSuffix(st.RemoteMTA, "["+host+"]") {
			own = len(list)
		}
		list = append(list, a)
	}
	if own >= 0 && st.Status.Final() {
		list = list[:own+1]
	}
	return list, own
}

// addressOf is the IP address of an attempt's host.
func addressOf(a *message.Attempt) string {
	if host, _, err := net.SplitHostPort(a.Address); err == nil {
		return host
	}
	return a.Address
}

// endOf names the host of an attempt, once where its name is its address.
func endOf(a *message.Attempt) string {
	host, address := truncate(cleanUTF8(a.Host), maxName), truncate(cleanUTF8(a.Address), maxName)
	if address == "" || a.Host != "" && strings.Trim(a.Host, "[]") != addressOf(a) {
		return strings.TrimSpace(host + " " + address)
	}
	return address
}

// quote writes a reply line by line, each line indented; of the text at most so
// many octets.
func quote(line func(string, ...any), indent string, r message.Reply, most int) {
	if r.Code == 0 {
		return
	}
	text := truncate(r.Text, most)
	r.Text = ""
	prefix := r.String()
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line("%s%s %s", indent, prefix, cleanUTF8(part))
	}
	if strings.Trim(text, "\r\n") == "" {
		line("%s%s", indent, prefix)
	}
}
