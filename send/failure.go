package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"postern/internal/message"
	"postern/internal/wire"
)

// phase is where in a session something went wrong.
type phase uint8

const (
	phaseConnect phase = iota
	phaseGreeting
	phaseEHLO
	phaseSTARTTLS
	phaseHandshake
	phaseAUTH
	phaseRSET
	phaseMAIL
	phaseRCPT
	phaseDATA
	phaseContent
	phaseEnd
	phaseQUIT
)

func (p phase) String() string {
	return [...]string{
		phaseConnect:   "connecting",
		phaseGreeting:  "waiting for the greeting",
		phaseEHLO:      "waiting for the reply to EHLO",
		phaseSTARTTLS:  "waiting for the reply to STARTTLS",
		phaseHandshake: "negotiating TLS",
		phaseAUTH:      "authenticating",
		phaseRSET:      "waiting for the reply to RSET",
		phaseMAIL:      "waiting for the reply to MAIL",
		phaseRCPT:      "waiting for the reply to RCPT",
		phaseDATA:      "waiting for the reply to DATA",
		phaseContent:   "sending the content",
		phaseEnd:       "waiting for the reply to the content",
		phaseQUIT:      "waiting for the reply to QUIT",
	}[p]
}

// failure is why a host did not serve: the connection could not be made or was
// lost, or the host refused all service.
type failure struct {
	phase phase
	// reply is the host's own when it gave one, which said tells; else ours.
	reply message.Reply
	said  bool
	// unreachable says that the host did not take the connection: it failed
	// at connect, banner or EHLO.
	unreachable bool
	// local says that the reason is on this side, such as a source address
	// that this host does not have.
	local bool
	// source says that it is the source address that can't be used.
	source bool
	// late says that the connection was given less time than it may take.
	late bool
	// tls says that TLS is what failed: a fresh connection in clear may do.
	tls bool
	// loop says that the host is this gateway.
	loop bool
	// intact says that the connection still stands and can be used further.
	intact bool
	// canceled says that the attempt was given up by us.
	canceled bool
	// err is how the connection was lost; nil when it was not.
	err error
}

func (f *failure) Error() string { return f.reply.String() }

// ours is a reply that we give on a next hop's behalf.
func ours(code int, enhanced [3]int, format string, args ...any) message.Reply {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	return message.Reply{Code: code, Enhanced: enhanced, Text: text}
}

// The enhanced codes of our own replies (RFC 3463).
var (
	codeSystem     = [3]int{4, 3, 0} // other or undefined system status
	codeShutdown   = [3]int{4, 3, 2} // system not accepting network messages
	codeConfig     = [3]int{4, 3, 5} // system incorrectly configured
	codeNetwork    = [3]int{4, 4, 0} // other or undefined network status
	codeNoAnswer   = [3]int{4, 4, 1} // no answer from host
	codeDropped    = [3]int{4, 4, 2} // bad connection
	codeNoRoute    = [3]int{4, 4, 4} // unable to route
	codeCongestion = [3]int{4, 4, 5} // mail system congestion
	codeAuth       = [3]int{4, 7, 0} // other or undefined security status
	codeNoTLS      = [3]int{4, 7, 4} // security features not supported
	codeTLS        = [3]int{4, 7, 5} // cryptographic failure
)

// lost says that the connection failed in a phase, in our words.
func lost(ctx context.Context, p phase, err error) *failure {
	f := &failure{phase: p, unreachable: p <= phaseEHLO, local: isLocal(err), source: p == phaseConnect && isSource(err), err: err}
	switch {
	case ctx.Err() != nil:
		f.reply, f.canceled, f.unreachable = interrupted(p), true, false
	case errors.Is(err, wire.ErrReply):
		f.reply = ours(421, codeNetwork, "Remote server response was not RFC conformant, %s: %v", p, err)
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		f.reply = ours(421, codeNoAnswer, "Connection timed out %s", p)
	case p == phaseConnect:
		f.reply = ours(421, codeNoAnswer, "Unable to connect: %v", err)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		f.reply = ours(421, codeDropped, "Connection dropped by the remote server, %s", p)
	default:
		f.reply = ours(421, codeDropped, "Connection dropped, %s: %v", p, err)
	}
	return f
}

func interrupted(p phase) message.Reply {
	return ours(451, codeShutdown, "The delivery was interrupted, %s", p)
}

// refused says that the host itself refused service in a phase.
func refused(p phase, reply message.Reply) *failure {
	return &failure{phase: p, reply: reply, said: true, unreachable: p <= phaseEHLO}
}

// unexpected says that a reply's code means nothing in a phase.
func unexpected(p phase, reply message.Reply) *failure {
	return &failure{phase: p, unreachable: p <= phaseEHLO,
		reply: ours(421, codeNetwork, "Remote server response was not RFC conformant, %s: %.200s", p, oneLine(reply.String()))}
}

// congestion reports whether a failure says that the host does not stand another
// delivery just now, or seems to: it came before the first recipient, and is no
// matter of the message or of this side.
func (f *failure) congestion() bool {
	switch {
	case f.canceled, f.local, f.loop, f.phase > phaseMAIL, !f.reply.Temporary():
		return false
	case f.said && f.phase >= phaseAUTH:
		return congested(f.reply)
	}
	return true
}

// congested reports whether a host says in a reply that it has too much to do,
// rather than something of the message.
func congested(reply message.Reply) bool {
	switch e := reply.Enhanced; {
	case !reply.Temporary():
		return false
	case reply.Code == 421, // RFC 5321 3.8
		e[0] == 4 && e[1] == 3, // RFC 3463 3.4: mail system status
		e == codeCongestion,    // RFC 3463 3.5
		e == [3]int{4, 7, 28}:  // IANA's registry: mail flood
		return true
	}
	text := strings.ToLower(reply.Text)
	for _, word := range []string{"too many", "too busy", "server busy", "rate limit", "throttl", "concurren"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }

// fromWire turns a reply of package wire into one that is data.
func fromWire(r *wire.Reply) message.Reply {
	e := r.EnhancedCode
	return message.Reply{Code: r.Code, Enhanced: [3]int{e[0], e[1], e[2]}, Text: r.Message}
}

// isLocal reports whether a connection failed for a reason on this side, such
// as a source address that this host does not have.
func isLocal(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// isSource reports whether a connection failed because its source address could
// not be bound (bind(2)).
func isSource(err error) bool {
	e, ok := errors.AsType[*os.SyscallError](err)
	return ok && e.Syscall == "bind"
}
