package receive

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"postern/internal/message"
	"postern/internal/wire"
)

// command is what the engine must know of a verb before it runs.
type command struct {
	// verb is what it is counted as.
	verb verb
	run  func(s *session, arg string)
	// bare: an argument is an error (RFC 5321 4.1.1).
	bare bool
	// hello: only after HELO or EHLO (RFC 5321 4.1.4).
	hello bool
	// tls: only under TLS where the connector requires it: all but EHLO,
	// STARTTLS, NOOP and QUIT (RFC 3207 4).
	tls bool
	// idle: it brings no mail forward, even if it succeeds.
	idle bool
	// unknown: a verb of no command.
	unknown bool
}

// commandOf finds a verb.
func commandOf(verb string) command {
	switch verb {
	case "EHLO":
		return command{verb: verbEHLO, run: (*session).ehlo, idle: true}
	case "HELO":
		return command{verb: verbHELO, run: (*session).hello, tls: true, idle: true}
	case "STARTTLS":
		return command{verb: verbSTARTTLS, run: (*session).startTLS, bare: true, hello: true}
	case "AUTH": // what else stands against it is its own affair
		return command{verb: verbAUTH, run: (*session).auth, tls: true}
	case "MAIL":
		return command{verb: verbMAIL, run: (*session).mail, hello: true, tls: true}
	case "RCPT":
		return command{verb: verbRCPT, run: (*session).rcpt, hello: true, tls: true}
	case "DATA":
		return command{verb: verbDATA, run: (*session).data, bare: true, hello: true, tls: true}
	case "BDAT": // whatever stands against it, its chunk must be read
		return command{verb: verbBDAT, run: (*session).bdat}
	case "RSET":
		return command{verb: verbRSET, run: (*session).rset, bare: true, tls: true, idle: true}
	case "NOOP":
		return command{verb: verbNOOP, run: (*session).noop, idle: true}
	case "VRFY":
		return command{verb: verbVRFY, run: (*session).vrfy, tls: true, idle: true}
	case "HELP":
		return command{verb: verbHELP, run: (*session).help, tls: true, idle: true}
	case "QUIT":
		return command{verb: verbQUIT, run: (*session).quit, bare: true}
	case "EXPN", "SEND", "SOML", "SAML", "TURN": // known and not there (RFC 5321 4.2.4)
		return command{verb: verbOther, run: (*session).notImplemented, tls: true}
	}
	if slices.Contains(httpMethods[:], verb) {
		return command{verb: verbOther, run: (*session).foreign, unknown: true}
	}
	return command{verb: verbOther, run: (*session).unrecognized, unknown: true}
}

// httpMethods are the first words of requests (RFC 9110 9, RFC 5789, RFC 9113
// 3.4).
var httpMethods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"}

// command answers one command line.
func (s *session) command(line []byte) {
	cmd, err := wire.ParseCommand(line)
	c := commandOf(cmd.Verb)
	if c.unknown && requestLine(cmd.Arg) {
		c.run = (*session).foreign
	}
	s.logReceived(line, c)
	s.idles, s.verb, s.named = c.idle, c.verb, false
	if err != nil {
		s.replyLine(line, err)
		return
	}
	switch {
	case c.bare && !cmd.Bare():
		s.reply(replyArguments)
	case c.tls && s.connector.RequireTLS && s.tls == "":
		s.reply(replyNeedTLS)
	case c.hello && !s.greeted:
		s.reply(replyHelloFirst)
	default:
		c.run(s, cmd.Arg)
	}
}

// replyLine answers a line that is no command. If it may have been meant as
// BDAT, the session ends: nobody knows how much of what follows is content. So
// it does after a request of HTTP, which may be too long or end in a bare LF.
func (s *session) replyLine(line []byte, err error) {
	s.secrets = s.secrets || hasVerb(line, "AUTH")
	if s.verb == verbNone {
		s.verb = verbOther
	}
	r, ok := errors.AsType[*wire.Reply](err)
	if !ok {
		r = replyStorage.WithLog(err.Error())
	}
	switch method, _, _ := bytes.Cut(line, []byte(" ")); {
	case hasVerb(line, "BDAT"):
		r = closing(r)
	case slices.Contains(httpMethods[:], string(bytes.ToUpper(method))):
		r = replyNotHTTP
	}
	s.reply(r)
}

// replyError sends the reply that an error is. Any other error is trouble of
// ours, which is temporary.
func (s *session) replyError(err error) {
	if r, ok := errors.AsType[*wire.Reply](err); ok {
		s.reply(r)
		return
	}
	s.reply(replyStorage.WithLog(err.Error()))
}

// hello is HELO (RFC 5321 4.1.1.1).
func (s *session) hello(arg string) {
	if s.greet(arg, false) {
		s.reply(wire.NewReply(250, noCode, s.salute()))
	}
}

// ehlo is EHLO (RFC 5321 4.1.1.1).
func (s *session) ehlo(arg string) {
	if s.greet(arg, true) {
		s.reply(wire.NewReply(250, noCode, s.salute()+s.extensions()))
	}
}

// greet takes the client's name and resets the session (RFC 5321 4.1.4).
func (s *session) greet(arg string, extended bool) bool {
	v := wire.Validation{Optional: !s.connector.RequireEHLODomain}
	switch s.connector.EHLODomainValidation {
	case "lenient":
		v.Check = wire.HeloLenient
	case "off":
		v.Check = wire.HeloOff
	}
	h, err := wire.ParseHelo(arg, v)
	if err != nil {
		s.replyError(err)
		return false
	}
	s.abandon()
	s.helo, s.greeted, s.extended = h.Name, true, extended
	return true
}

// salute is the first line of the reply to HELO and EHLO: our name first
// (RFC 5321 4.1.1.1), and where we see the client.
func (s *session) salute() string {
	return s.connector.FQDN + " Hello " + message.Literal(s.remote.Addr())
}

// features are the extensions that the session may use now.
func (s *session) features() wire.Features {
	domain := ""
	if s.connector.DefaultDomain != "" && s.submission() {
		domain = s.connector.DefaultDomain
	}
	return wire.Features{
		Domain:       domain,
		Size:         s.connector.SizeEnabled != "disabled",
		EightBitMIME: s.connector.EightBitMIMEEnabled,
		BinaryMIME:   s.connector.BinaryMIMEEnabled,
		RequireTLS:   s.connector.RequireTLSExtensionEnabled && s.tls != "", // RFC 8689 2
		DSN:          s.connector.DeliveryStatusNotificationEnabled,
		Auth:         s.authOffered(),
		// RFC 6531 3.4: a recipient's address may be UTF-8 only where MAIL said so.
		SMTPUTF8: s.connector.SMTPUTF8Enabled && (s.tx == nil || s.tx.envelope.SMTPUTF8),
	}
}

// extensions are the EHLO keywords, each on a line of its own.
func (s *session) extensions() string {
	c := s.connector
	var b strings.Builder
	add := func(offered bool, keyword string) {
		if offered {
			b.WriteByte('\n')
			b.WriteString(keyword)
		}
	}
	switch limit := s.maxMessageSize(); {
	case c.SizeEnabled == "disabled":
	case c.SizeEnabled == "enabled_without_value", limit == unlimited:
		add(true, "SIZE") // RFC 1870 4: nothing is said of a limit
	default:
		add(true, "SIZE "+itoa(limit))
	}
	add(c.PipeliningEnabled, "PIPELINING")
	add(c.DeliveryStatusNotificationEnabled, "DSN")
	add(c.EnhancedStatusCodesEnabled, "ENHANCEDSTATUSCODES")
	add(c.tls != nil && s.tls == "", "STARTTLS")
	if names := s.offeredMechanisms(); names != "" {
		add(true, "AUTH"+names) // RFC 4954 3
	}
	add(c.EightBitMIMEEnabled, "8BITMIME")
	add(c.BinaryMIMEEnabled, "BINARYMIME")
	add(c.ChunkingEnabled, "CHUNKING")
	add(c.SMTPUTF8Enabled, "SMTPUTF8")
	add(s.features().RequireTLS, "REQUIRETLS")
	// RFC 9422 4: a number of up to six digits. A session has no limit of
	// transactions.
	if n := c.MaxRecipientsPerMessage; n <= 999999 {
		add(c.LimitsEnabled, "LIMITS RCPTMAX="+itoa(n))
	}
	return b.String()
}

func (s *session) rset(string) {
	s.abandon()
	s.reply(replyReset)
}

func (s *session) noop(string) { s.reply(replyOK) }

// vrfy tells nothing about mailboxes (RFC 5321 3.5.3 and 7.3).
func (s *session) vrfy(arg string) {
	if strings.TrimSpace(arg) == "" {
		s.reply(replyArguments)
		return
	}
	s.reply(replyVerify)
}

// help lists the commands that are there.
func (s *session) help(string) {
	c := s.connector
	verbs := "HELO EHLO"
	for _, v := range []struct {
		there bool
		verb  string
	}{
		{c.tls != nil, "STARTTLS"}, {s.authPossible(), "AUTH"}, {true, "MAIL RCPT DATA"}, {c.ChunkingEnabled, "BDAT"},
		{true, "RSET NOOP VRFY HELP QUIT"},
	} {
		if v.there {
			verbs += " " + v.verb
		}
	}
	s.reply(wire.NewReply(214, code(2, 0, 0), "This server supports the following commands:\n"+verbs))
}

func (s *session) quit(string) { s.reply(replyBye) }

func (s *session) notImplemented(string) { s.reply(replyNotImplemented) }

// unrecognized is any other verb.
func (s *session) unrecognized(string) { s.reply(replyUnrecognized) }

// foreign is a request of HTTP. It ends the session: it comes from a browser or
// another program that was tricked into speaking to us, and what the trickster
// wants to say as a client of ours follows in its header or body.
func (s *session) foreign(string) { s.reply(replyNotHTTP) }

// requestLine reports whether a line whose verb is none of ours is a request:
// its last word is a protocol with its version, as those of HTTP, SIP and RTSP
// have it (RFC 9112 3, RFC 3261 7.1, RFC 7826 20.1).
func requestLine(arg string) bool {
	version := arg[strings.LastIndexByte(arg, ' ')+1:]
	name, number, ok := strings.Cut(version, "/")
	return ok && number != "" && '0' <= number[0] && number[0] <= '9' && (name == "HTTP" || name == "SIP" || name == "RTSP")
}
