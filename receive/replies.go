package receive

import (
	"strconv"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
	"postern/internal/wire"
)

// The replies of the server, in one place. Where RFC 5321 names a code, it
// wins; else code and text are Exchange's (reference 10.1 to 10.3). A Reply is
// never changed, so these are shared by all sessions.

// noCode is for replies without an enhanced status code (RFC 2034 4).
var noCode = smtp.NoEnhancedCode

var (
	replySenderOK    = wire.NewReply(250, code(2, 1, 0), "Sender OK")
	replyRecipientOK = wire.NewReply(250, code(2, 1, 5), "Recipient OK")
	replyStartData   = wire.NewReply(354, noCode, "Start mail input; end with <CRLF>.<CRLF>")
	replyReset       = wire.NewReply(250, code(2, 0, 0), "Resetting")
	replyOK          = wire.NewReply(250, code(2, 0, 0), "OK")
	replyVerify      = wire.NewReply(252, code(2, 1, 5), "Cannot VRFY user, but will accept message and attempt delivery") // RFC 5321 3.5.3
	replyStartTLS    = wire.NewReply(220, code(2, 0, 0), "SMTP server ready")
	replyBye         = closing(wire.NewReply(221, code(2, 0, 0), "Service closing transmission channel"))
)

var (
	replyUnrecognized   = wire.NewReply(500, code(5, 3, 3), "Unrecognized command")
	replyNotImplemented = wire.NewReply(502, code(5, 5, 1), "Command not implemented")
	replyArguments      = wire.NewReply(501, code(5, 5, 4), "Invalid arguments")
	replyLineTooLong    = limited(wire.NewReply(500, code(5, 5, 2), "Line too long"), limitLine).WithLog("more than " + itoa(maxCommandLine) + " octets") // RFC 5321 4.5.3.1.9
	replyBareLine       = wire.NewReply(500, code(5, 5, 2), "Commands end with CRLF")                                                                     // RFC 5321 2.3.8
	replyHelloFirst     = wire.NewReply(503, code(5, 5, 2), "Send hello first")
	replyMailFirst      = wire.NewReply(503, code(5, 5, 2), "Need mail command")
	replyRcptFirst      = wire.NewReply(503, code(5, 5, 2), "Need rcpt command")
	replyNoRecipients   = wire.NewReply(554, code(5, 5, 1), "No valid recipients") // RFC 5321 3.3
	replyWithinChunks   = wire.NewReply(503, code(5, 5, 1), "Only BDAT or RSET may follow BDAT")
	replyBinaryData     = wire.NewReply(503, code(5, 5, 1), "BINARYMIME content is sent with BDAT") // RFC 3030 3
	replyMailTwice      = wire.NewReply(503, code(5, 5, 2), "Sender already specified")
	replyTLSTwice       = wire.NewReply(503, code(5, 5, 1), "TLS is already active")
	replyNeedTLS        = ruled(wire.NewReply(530, code(5, 7, 0), "Must issue a STARTTLS command first"), ruleRequireTLS) // RFC 3207 4
)

// AUTH (RFC 4954 4 and 6).
var (
	replyAuthenticated   = wire.NewReply(235, code(2, 7, 0), "Authentication successful")
	replyNoMechanism     = wire.NewReply(504, code(5, 5, 4), "Unrecognized authentication type")
	replyAuthNeedsTLS    = wire.NewReply(538, code(5, 7, 11), "Encryption required for requested authentication mechanism")
	replyAuthTwice       = wire.NewReply(503, code(5, 5, 1), "Already authenticated")
	replyAuthWithinMail  = wire.NewReply(503, code(5, 5, 1), "AUTH not permitted during a mail transaction")
	replyAuthCancelled   = wire.NewReply(501, code(5, 7, 0), "Authentication cancelled")
	replyAuthMalformed   = wire.NewReply(501, code(5, 5, 2), "Malformed authentication response")
	replyAuthLineTooLong = limited(wire.NewReply(500, code(5, 5, 6), "Authentication exchange line is too long"), limitAuthLine).WithLog("more than " + itoa(wire.MaxAuthLine) + " octets")
	replyAuthFailed      = ruled(wire.NewReply(535, code(5, 7, 8), "Authentication unsuccessful"), ruleLogon)
	replyAuthTemporary   = wire.NewReply(454, code(4, 7, 0), "Temporary authentication failure")
	replySourceLogons    = closing(limited(wire.NewReply(421, code(4, 7, 0), "Too many failed logons from your address, closing transmission channel"), limitSourceLogons))
	replyTooManyLogons   = closing(limited(wire.NewReply(421, code(4, 7, 0), "Too many failed logons, closing transmission channel"), limitLogons))
)

var (
	replyNotAuthenticated = ruled(wire.NewReply(530, code(5, 7, 57), "SMTP; Client was not authenticated to send anonymous mail during MAIL FROM"), ruleSubmit)
	replySendAs           = wire.NewReply(550, code(5, 7, 1), "Anonymous client does not have permissions to send as this sender")
	replySendAsUser       = wire.NewReply(550, code(5, 7, 60), "SMTP; Client does not have permissions to send as this sender")
	replyMaySubmitNothing = ruled(wire.NewReply(550, code(5, 7, 1), "Client does not have permissions to submit to this server"), ruleSubmit)
	replyRelay            = ruled(wire.NewReply(550, code(5, 7, 54), "SMTP; Unable to relay recipient in non-accepted domain"), ruleAnyRecipient)
	replyLiteral          = ruled(wire.NewReply(550, code(5, 1, 2), "Recipient addresses in address literals not accepted"), ruleLiterals)
	replyReservedTop      = ruled(wire.NewReply(550, code(5, 1, 4), "Recipient address reserved by RFC 2606"), ruleReservedTop)
	replyReservedSecond   = ruled(wire.NewReply(550, code(5, 1, 5), "Recipient address reserved by RFC 2606"), ruleReservedSecond)
	replySingleLabel      = ruled(wire.NewReply(550, code(5, 1, 6), "Recipient addresses in single label domains not accepted"), ruleSingleLabel)
	replyAuthRequired     = ruled(wire.NewReply(550, code(5, 7, 1), "RESOLVER.RST.AuthRequired; authentication required"), ruleAuthenticated)
	replyDomainSecure     = ruled(wire.NewReply(550, code(5, 7, 1), "Senders in this domain need its certificate"), ruleDomainSecure)
	replyBadCertificate   = ruled(wire.NewReply(454, code(4, 7, 5), "Certificate validation failure"), ruleDomainSecure)
	replyRelayTrick       = ruled(wire.NewReply(550, code(5, 7, 1), "Unable to relay: the local part names another host"), ruleRouted)
)

var (
	replyTooManyRecipients = limited(wire.NewReply(452, code(4, 5, 3), "Too many recipients"), limitRecipients) // RFC 5321 4.5.3.1.10
	replyMessageSize       = limited(wire.NewReply(552, code(5, 3, 4), "Message size exceeds fixed maximum message size"), limitMessageSize)
	replyHeaderSize        = limited(wire.NewReply(552, code(5, 3, 4), "Header size exceeds fixed maximum size"), limitHeaderSize)
	replyHopCount          = limited(wire.NewReply(554, code(5, 4, 6), "Hop count exceeded - possible mail loop"), limitHopCount)
	replyLocalHops         = limited(replyHopCount, limitLocalHops)
	replyBareLF            = ruled(wire.NewReply(550, code(5, 6, 11), "SMTPRECEIVE.BareLinefeedsAreIllegal; message contains bare linefeeds"), ruleBareLines)
	replyLongLine          = limited(wire.NewReply(554, code(5, 6, 0), "Message holds a line of more than 998 octets").WithLog("more than 998 octets"), limitLongLines) // RFC 5321 4.5.3.1.6
	replyBareCR            = ruled(wire.NewReply(550, code(5, 6, 11), "SMTPRECEIVE.BareCarriageReturnsAreIllegal; message contains bare carriage returns"), ruleBareLines)
	replyStorage           = limited(wire.NewReply(452, code(4, 3, 1), "Insufficient system resources"), limitStorage)

	replyNotAvailable       = closing(wire.NewReply(421, code(4, 3, 2), "Service not available"))
	replyNotHTTP            = closing(limited(wire.NewReply(421, code(4, 7, 0), "This is SMTP, closing transmission channel").WithLog("a request of HTTP or its kin"), limitForeign))
	replyStopping           = closing(wire.NewReply(421, code(4, 3, 2), "Service not available, closing transmission channel"))
	replyTooManyConnections = closing(limited(wire.NewReply(421, code(4, 3, 2), "The maximum number of concurrent connections has exceeded a limit, closing transmission channel"), limitConnections))
	replyTooManyFromSource  = closing(limited(replyTooManyConnections, limitPerSource))
	replyTooLargeAShare     = closing(limited(replyTooManyConnections, limitPercentage))
	replyConnectionRate     = closing(limited(wire.NewReply(421, code(4, 3, 2), "The rate of connections has exceeded a limit, closing transmission channel"), limitRate))
	replyMessageRate        = closing(limited(wire.NewReply(421, code(4, 4, 2), "Message submission rate for this client has exceeded the configured limit"), limitMessageRate))
	replyEarlyTalker        = closing(prompt(limited(wire.NewReply(554, code(5, 5, 1), "Protocol error: the client spoke before the greeting").WithLog("the client spoke before the greeting"), limitEarlyTalker)))
	replyTooManyIdle        = closing(limited(wire.NewReply(421, code(4, 7, 0), "Too many commands without a message on this connection, closing transmission channel"), limitIdleCommands))
	replyTooManyErrors      = closing(limited(wire.NewReply(421, code(4, 7, 0), "Too many errors on this connection, closing transmission channel"), limitErrors))
)

// replyTimedOut is for a deadline that passed, with how long it was for the log.
func replyTimedOut(limit, value string) *wire.Reply {
	return closing(limited(wire.NewReply(421, code(4, 4, 1), "Connection timed out"), limit)).WithLog(value)
}

// replyQueued accepts a message. What the client called it is said back only
// when it can neither break the line nor anyone's log.
func replyQueued(messageID string, id message.ID, fqdn string) *wire.Reply {
	b := make([]byte, 0, 160)
	if len(messageID) < 250 && clean(messageID) {
		b = append(append(b, messageID...), ' ')
	}
	b = append(append(b, "[InternalId="...), id.String()...)
	b = append(append(b, ", Hostname="...), fqdn...)
	b = append(b, "] Queued mail for delivery"...)
	return wire.NewReply(250, code(2, 6, 0), string(b))
}

// replyChunk accepts a chunk that is not the last (RFC 3030 2).
func replyChunk(size uint64) *wire.Reply {
	return wire.NewReply(250, code(2, 6, 0), "CHUNK received OK, "+strconv.FormatUint(size, 10)+" octets")
}

// clean reports whether s is printable US-ASCII without spaces, and not empty.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

func code(class, subject, detail int) smtp.EnhancedCode {
	return smtp.EnhancedCode{class, subject, detail}
}

func limited(r *wire.Reply, limit string) *wire.Reply {
	c := *r
	c.Limit = limit
	return &c
}

// prompt is a reply that no tarpit holds back.
func prompt(r *wire.Reply) *wire.Reply {
	c := *r
	c.Prompt = true
	return &c
}

func closing(r *wire.Reply) *wire.Reply {
	c := *r
	c.Close = true
	return &c
}

// atLimit is a reply with the figures of the limit for the log.
func atLimit(r *wire.Reply, value, limit int64) *wire.Reply {
	return r.WithLog(itoa(value) + " of " + itoa(limit))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
