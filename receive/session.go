package receive

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/internal/wire"
	"postern/logs"
)

// readBuffer is the size of a session's only lasting buffer.
const readBuffer = 4 << 10

// session is one SMTP session. All of it belongs to one goroutine, but for what
// deadlines says of itself.
type session struct {
	server    *Server
	snapshot  *snapshot
	connector *connector
	// conn is what is read and written: the connection, or TLS over it.
	conn          net.Conn
	local, remote netip.AddrPort
	proxy         *proxied // nil: the client came by itself
	id            string
	log           *logs.Session // nil: not logged
	counted       *connector    // whose sessions this is one of
	crowded       crowdKey      // and of which source
	reader        *wire.Reader
	out           *[]byte // replies to come; nil when there are none
	readErr       error   // why nothing more is read
	writeErr      error   // why nothing more is written
	closing       bool
	hangsUp       bool // we close although the client may have more to say
	remoteClosed  bool
	deadlines     deadlines

	proven        Principals
	rights        Rights
	capabilities  Rights  // what its certificate's domain has
	permitted     bool    // rights were set
	user          string  // who authenticated; empty: nobody
	senders       Senders // the client's own; nil: none
	anySender     bool    // all senders are
	partner       Senders // what its certificate proves to be its own; nil: nothing
	distrust      error   // why its certificate proves nothing, if it names a partner
	certificate   []byte  // what we presented, in DER; nil in clear text
	tls           string  // what was negotiated; empty: clear text
	greeted       bool    // HELO or EHLO was taken
	extended      bool    // it was EHLO
	helo          string
	errors        int64
	logonFailures int64 // AUTH that failed
	idleCommands  int64 // since the last message
	verb          verb  // the command that is being answered
	idles         bool  // the command brings no mail forward, even if it succeeds
	messages      int   // in this session
	relayTold     bool  // the event log knows of an attempt to relay
	secrets       bool  // AUTH came last: what is no command may be a secret
	tx            *transaction
	// path is that of the MAIL or RCPT in hand, once it is read, which named
	// says; judged is the envelope of a message whose transaction is over.
	path   message.Address
	named  bool
	judged *message.Envelope
	// pressed is the reply to what is pipelined behind a MAIL that was refused
	// because a resource is short; nil: none was.
	pressed *wire.Reply
}

// run carries the session from its first octet to its last. With a refusal it
// says no more than that.
func (s *session) run(refusal *wire.Reply) {
	c := s.connector
	if c.ProtocolLogging != "none" {
		s.log = s.server.log.Session(c.Name, s.id, s.local, s.remote)
	}
	s.log.Connect()
	s.logProxy()
	s.reader = s.server.readers.Get().(*wire.Reader)
	s.reader.Reset(s)
	defer s.end()
	s.permit(0)
	if refusal != nil {
		s.server.countRefused(c.Name, refusal.Limit)
		s.tellLimited(refusal)
		s.refuse(refusal)
		return
	}
	if c.ImplicitTLS {
		if s.handshake() != nil {
			return
		}
		s.recognise()
	}
	if s.pause() {
		s.reply(s.banner())
	}
	for !s.closing {
		s.verb = verbNone
		line, err := s.reader.ReadLine(maxCommandLine)
		switch {
		case err == nil:
			s.command(line)
		case errors.Is(err, wire.ErrLineTooLong):
			s.replyLine(line, replyLineTooLong)
		case errors.Is(err, wire.ErrBareLF), errors.Is(err, wire.ErrBareCR):
			s.replyLine(line, replyBareLine)
		default:
			s.readFailed(err)
		}
	}
}

// pause waits before the greeting, which a client must not talk before
// (RFC 5321 3.1). It reports false when the session is over.
func (s *session) pause() bool {
	if s.connector.GreetingDelay <= 0 || s.known() {
		return true
	}
	until := time.Now().Add(s.connector.GreetingDelay)
	err := s.deadlines.hold(until, true)
	if errors.Is(err, errSpoke) {
		s.connector.earlyTalkers.Inc()
		if s.connector.EarlyTalker == "reject" {
			s.reply(replyEarlyTalker)
			return false
		}
		s.log.Info("the client spoke before the greeting", "early talker")
		err = s.deadlines.hold(until, false)
	}
	if err != nil {
		s.readErr = err
		s.readFailed(err)
	}
	return err == nil
}

// refuse ends a session before it has begun, at little cost: without a
// handshake, where nothing can be said, and without waiting for the client.
func (s *session) refuse(r *wire.Reply) {
	if s.connector.ImplicitTLS {
		s.note(r)
		return
	}
	s.reply(r)
	s.hangsUp = false
}

// permit sets the rights that follow from what the session has proven, and logs
// them when they change.
func (s *session) permit(proven Principals) {
	before, first := s.rights, !s.permitted
	s.proven, s.permitted = proven, true
	s.rights = rightsWith(s.connector.ReceiveConnector, proven, s.capabilities)
	if s.log != nil && (first || s.rights != before) {
		s.log.Info(s.rights.String(), "Set Session Permissions")
	}
}

// Read is where all input of the session passes. It sends the replies that wait
// before it waits itself, holds the deadlines, and never reads again once it
// has failed.
func (s *session) Read(p []byte) (int, error) {
	if s.readErr != nil {
		return 0, s.readErr
	}
	if s.readErr = s.flush(); s.readErr != nil {
		return 0, s.readErr
	}
	if s.readErr = s.deadlines.beforeRead(); s.readErr != nil {
		return 0, s.readErr
	}
	n, err := s.conn.Read(p)
	for n == 0 && s.deadlines.again(err) {
		n, err = s.conn.Read(p)
	}
	s.readErr = s.deadlines.afterRead(n, err)
	return n, s.readErr
}

// readFailed says what can be said after a read that failed, and ends the
// session.
func (s *session) readFailed(err error) {
	s.closing, s.verb = true, verbNone
	var timeout *timeoutError
	switch {
	case errors.As(err, &timeout) && timeout.limit == limitWrite:
		s.note(s.timedOut(timeout))
	case errors.As(err, &timeout):
		s.lastWords(s.timedOut(timeout))
	case errors.Is(err, errStopped):
		s.lastWords(replyStopping)
	case errors.Is(err, errAborted):
	case errors.Is(err, errHangup):
		s.remoteClosed = true
	default:
		s.remoteClosed = true
		if !errors.Is(err, io.EOF) {
			s.log.Info(errorText(err), "connection lost")
		}
	}
}

// timedOut is the reply to a deadline that passed.
func (s *session) timedOut(e *timeoutError) *wire.Reply {
	value := ""
	switch e.limit {
	case limitInactivity:
		value = config.FormatDuration(s.connector.ConnectionInactivityTimeout)
	case limitTimeout:
		value = config.FormatDuration(s.connector.ConnectionTimeout)
	case limitHandshake:
		value = config.FormatDuration(handshakeTimeout)
	case limitWrite:
		value = config.FormatDuration(writeTimeout)
	case limitDataRate:
		value = itoa(s.deadlines.octets) + " octets in " + config.FormatDuration(s.deadlines.waited.Round(time.Second)) + ", less than " + itoa(minDataRate) + " a second"
	}
	return replyTimedOut(e.limit, value)
}

// lastWords sends a reply although nothing is read any more.
func (s *session) lastWords(r *wire.Reply) {
	s.deadlines.last(refuseTimeout)
	s.reply(r)
	s.flush()
	s.hangsUp = false
}

// end sends what waits and closes the connection.
func (s *session) end() {
	s.abandon()
	s.flush()
	s.linger()
	if errors.Is(s.readErr, errAborted) {
		s.deadlines.conn.Close() // without a last word of TLS
	}
	s.conn.Close()
	s.release()
	s.reader.Reset(nil)
	s.server.readers.Put(s.reader)
	if s.remoteClosed {
		s.log.Disconnect("Remote")
	} else {
		s.log.Disconnect("Local")
	}
}

// linger lets a client that we hang up on read our last words: closing while
// its octets are unread would make the kernel reset the connection, and the
// reset may overtake them.
func (s *session) linger() {
	half, ok := s.deadlines.conn.(interface{ CloseWrite() error })
	if !ok || s.remoteClosed || !s.hangsUp {
		return
	}
	s.deadlines.last(lingerTimeout)
	if c, ok := s.conn.(*tls.Conn); ok {
		c.CloseWrite()
	}
	if half.CloseWrite() != nil {
		return
	}
	io.CopyN(io.Discard, s.deadlines.conn, lingerOctets)
}

// errorText is an error of the connection without the addresses, which the log
// has already.
func errorText(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "receive: ")
}

// banner is the greeting (RFC 5321 4.2 and 4.3.1).
func (s *session) banner() *wire.Reply {
	text := s.connector.Banner
	if text == "" {
		text = "{fqdn} ESMTP Postern ready at {date}"
	}
	text = strings.Join(config.BannerLines(text), "\n")
	if strings.Contains(text, "{") {
		text = strings.ReplaceAll(text, "{session}", s.id)
		text = strings.ReplaceAll(text, "{date}", s.server.dates.Text(time.Now()))
		text = strings.ReplaceAll(text, "{fqdn}", s.connector.FQDN)
	}
	return wire.NewReply(220, noCode, text)
}
