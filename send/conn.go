package send

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/internal/wire"
	"postern/logs"
	ptls "postern/tls"
)

// conn is a connection to a next hop that has said EHLO. One goroutine uses it
// at a time.
type conn struct {
	s          *Sender
	key        key
	generation int
	connector  *config.SendConnector
	logsOn     bool // with the connector's name and password

	raw *line    // the TCP connection
	nc  net.Conn // raw, or TLS over it
	r   *wire.Reader
	buf []byte // commands being put together

	counted *connections // whose open connections it is one of; nil: nobody's
	log     *logs.Session
	link    *link // to the connectivity log
	// delivered and octets are what the host took, why is what ended the
	// connection early.
	delivered int
	octets    int64
	why       string

	session string
	local   netip.AddrPort
	tls     string        // what was negotiated; empty for clear text
	peer    *ptls.Session // nil where TLS was neither wanted nor had
	ext     wire.Extensions

	// messages counts the transactions, dirty says that one is open and must
	// be ended with RSET before the next.
	messages int
	dirty    bool
	// rcptMax is the number of recipients the host takes in a transaction, as
	// learnt from its refusals; 0 when none was seen.
	rcptMax int
	// until bounds the commands of a transaction together.
	until time.Time
	// heard, when set, is shown the replies to which there is more than what is
	// kept of them: the greeting and those to EHLO.
	heard func(p phase, lines []string)
}

// spent reports whether the connection has carried as many messages as it may.
func (c *conn) spent() bool {
	limit := c.connector.MessagesPerConnection
	if limit <= 0 {
		limit = defaultPerSession
	}
	if m := c.ext.Limits.MailMax; m > 0 { // RFC 9422 4.1
		limit = min(limit, int64(m))
	}
	return int64(c.messages) >= limit
}

// write sends commands, whole lines with their CRLF, and logs them. The end of
// the context ends whatever the connection waits for (span); here as elsewhere
// a deadline is set before the context is looked at, so that none undoes that.
func (c *conn) write(ctx context.Context, p phase, commands []byte, d time.Duration) *failure {
	if c.log != nil {
		c.log.SentLines(strings.Split(strings.TrimSuffix(string(commands), "\r\n"), "\r\n"))
	}
	return c.writeQuietly(ctx, p, commands, d)
}

func (c *conn) writeQuietly(ctx context.Context, p phase, b []byte, d time.Duration) *failure {
	_ = c.raw.SetWriteDeadline(c.deadline(d))
	if ctx.Err() != nil {
		return lost(ctx, p, ctx.Err())
	}
	if _, err := c.nc.Write(b); err != nil {
		// What the host said before it closed explains more than the error.
		if ctx.Err() == nil {
			if f := c.lastWords(p); f != nil {
				return f
			}
		}
		return lost(ctx, p, err)
	}
	return nil
}

// deadline is d from now, or the end of the time for the whole envelope.
func (c *conn) deadline(d time.Duration) time.Time {
	t := time.Now().Add(d)
	if !c.until.IsZero() && c.until.Before(t) {
		return c.until
	}
	return t
}

// lastWords reads the reply of a host that takes no more, if it gave one.
func (c *conn) lastWords(p phase) *failure {
	_ = c.raw.SetReadDeadline(time.Now().Add(c.s.timeouts.Quit))
	reply, lines, err := c.r.ReadReply()
	c.logReceived(lines)
	if err != nil || reply.Code < 400 {
		return nil
	}
	reply.Text = clip(reply.Text)
	return refused(p, reply)
}

// read reads one reply. A 421 ends the connection whenever it comes
// (RFC 5321 3.8).
func (c *conn) read(ctx context.Context, p phase, d time.Duration) (message.Reply, []string, *failure) {
	_ = c.raw.SetReadDeadline(c.deadline(d))
	if ctx.Err() != nil {
		return message.Reply{}, nil, lost(ctx, p, ctx.Err())
	}
	reply, lines, err := c.r.ReadReply()
	c.logReceived(lines)
	if err != nil {
		return reply, lines, lost(ctx, p, err)
	}
	reply.Text = clip(reply.Text)
	if reply.Code == 421 {
		return reply, lines, refused(p, reply)
	}
	return reply, lines, nil
}

// maxReplyText is how much of a reply's text is kept with the recipient, in
// octets: room for the longest explanations in use. The log has all of it.
const maxReplyText = 4096

func clip(text string) string {
	if len(text) <= maxReplyText {
		return text
	}
	return strings.ToValidUTF8(text[:maxReplyText], "") + " [...]"
}

func (c *conn) logReceived(lines []string) {
	c.log.ReceivedLines(lines)
}

// command sends one command and reads its reply. Before, nothing may be
// waiting to be read: a reply that nobody asked for would be taken for the
// answer to this command, and each after it for the answer to the next.
func (c *conn) command(ctx context.Context, p phase, line []byte, d time.Duration) (message.Reply, []string, *failure) {
	if f := c.unsolicited(ctx, p); f != nil {
		return message.Reply{}, nil, f
	}
	if f := c.write(ctx, p, line, d); f != nil {
		return message.Reply{}, nil, f
	}
	return c.read(ctx, p, d)
}

// silent reports whether the host has said nothing that was not read yet. It
// does not wait. That the host has closed is an error.
func (c *conn) silent() (bool, error) {
	if c.r.Buffered() > 0 {
		return false, nil
	}
	if c.raw.readable == nil {
		return true, nil
	}
	c.raw.looking = true
	n, err := c.r.Poll()
	c.raw.looking = false
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n == 0, err
}

// unsolicited fails when the host has sent something that it was not asked
// for, or has closed. A 421 among that is its reason to close.
func (c *conn) unsolicited(ctx context.Context, p phase) *failure {
	silent, err := c.silent()
	switch {
	case err != nil:
		return lost(ctx, p, err)
	case silent:
		return nil
	}
	reply, _, f := c.read(ctx, p, c.s.timeouts.Quit)
	if f != nil {
		return f
	}
	f = unexpected(p, reply)
	f.reply.Text += " (it was sent unasked)"
	return f
}

// greet reads the banner and looks whether it is our own.
func (c *conn) greet(ctx context.Context) *failure {
	reply, lines, f := c.read(ctx, phaseGreeting, c.s.timeouts.Greeting)
	if f != nil {
		return f
	}
	if c.heard != nil {
		c.heard(phaseGreeting, lines)
	}
	if reply.Code != 220 {
		if reply.Code < 400 {
			return unexpected(phaseGreeting, reply)
		}
		return refused(phaseGreeting, reply) // RFC 5321 3.1
	}
	// RFC 5321 4.2: the host's name is the first word.
	if name, _, _ := strings.Cut(oneLine(reply.Text), " "); c.s.snapshot.Load().isOurName(name) {
		return &failure{phase: phaseGreeting, loop: true, intact: true,
			reply: ours(554, [3]int{5, 4, 6}, "Mail loop: %s greets with our own name %s", c.key.endpoint, name)}
	}
	return nil
}

// hello says EHLO, or HELO to a host that does not know it, which can't be
// where TLS is still to come and required, or when the connector is to.
func (c *conn) hello(ctx context.Context) *failure {
	name := c.heloName()
	if c.connector.ForceHELO {
		return c.helo(ctx, name)
	}
	line, err := wire.AppendEHLO(c.buf[:0], name)
	if err != nil {
		return c.unspeakable(err)
	}
	reply, lines, f := c.command(ctx, phaseEHLO, line, c.s.timeouts.EHLO)
	if f != nil {
		return f
	}
	switch {
	case amiss(reply):
		return unexpected(phaseEHLO, reply)
	case reply.Code/100 == 2:
		if c.heard != nil {
			c.heard(phaseEHLO, lines)
		}
		c.ext = wire.ParseEHLO(lines)
		return nil
	case reply.Code/100 == 4:
		return refused(phaseEHLO, reply)
	}
	if c.tls == "" && c.key.policy.Required() {
		f := refused(phaseEHLO, reply)
		f.unreachable, f.said = false, false
		f.reply = ours(451, codeNoTLS, "TLS is required, but the host refuses EHLO: %s%s", oneLine(reply.String()), because(c.key.policy))
		return f
	}
	// RFC 5321 3.2: an older server may know HELO alone.
	return c.helo(ctx, name)
}

// helo says HELO. Nothing is offered in reply to it (RFC 5321 4.1.1.1).
func (c *conn) helo(ctx context.Context, name string) *failure {
	line, err := wire.AppendHELO(c.buf[:0], name)
	if err != nil {
		return c.unspeakable(err)
	}
	reply, lines, f := c.command(ctx, phaseEHLO, line, c.s.timeouts.EHLO)
	switch {
	case f != nil:
		return f
	case amiss(reply):
		return unexpected(phaseEHLO, reply)
	case reply.Code >= 400:
		return refused(phaseEHLO, reply)
	}
	c.ext = wire.Extensions{Name: wire.ParseEHLO(lines[:1]).Name}
	return nil
}

// unspeakable says that the connector's name can't be said in a command.
func (c *conn) unspeakable(err error) *failure {
	return &failure{phase: phaseEHLO, intact: true, reply: ours(451, codeConfig, "Send connector %q: %v", c.connector.Name, err)}
}

// heloName is the connector's name, or the address literal of our end when it
// is no fully-qualified domain name (RFC 5321 4.1.4).
func (c *conn) heloName() string {
	name := strings.TrimSuffix(c.connector.FQDN, ".")
	if strings.Contains(name, ".") {
		if ascii := message.DomainKey(name); message.CheckDomain(name, false) != nil && message.CheckDomain(ascii, false) == nil {
			return ascii
		}
		return name
	}
	if a := c.local.Addr(); a.IsValid() {
		return message.Literal(a)
	}
	return message.Literal(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// quit ends the session politely and closes the connection.
func (c *conn) quit(ctx context.Context) {
	c.raw.mend()
	defer context.AfterFunc(ctx, c.raw.cut)()
	c.until = time.Time{}
	by := "Local"
	if c.r.Buffered() == 0 && c.write(ctx, phaseQUIT, []byte("QUIT\r\n"), c.s.timeouts.Quit) == nil {
		if _, _, f := c.read(ctx, phaseQUIT, c.s.timeouts.Quit); f == nil {
			by = "Remote" // RFC 5321 4.1.1.10: the server closes
		}
	}
	c.close(by)
}

// close closes the connection at once. A TLS connection is not asked to say
// farewell, for which it might wait.
func (c *conn) close(by string) {
	if c.counted != nil {
		c.counted.open.Add(-1)
		c.counted = nil
	}
	_ = c.raw.Close()
	c.log.Disconnect(by)
	c.link.ended(c.delivered, c.octets, c.why)
}

// remoteMTA is the host in an outcome.
func (c *conn) remoteMTA() string { return c.key.endpoint.String() }
