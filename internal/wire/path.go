package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

// Features are the extensions that are offered in a session at the moment: a
// parameter of any other is unknown (RFC 5321 4.1.1.11).
type Features struct {
	Size         bool // RFC 1870
	EightBitMIME bool // RFC 6152
	BinaryMIME   bool // RFC 3030
	// SMTPUTF8 is, for MAIL, that the extension is offered; for RCPT, that
	// this transaction's MAIL has asked for it (RFC 6531 3.4).
	SMTPUTF8   bool
	RequireTLS bool // RFC 8689; only ever under TLS
	DSN        bool // RFC 3461
	Auth       bool // RFC 4954
	// Domain completes addresses that have none (RFC 6409 4.2); when empty they
	// are malformed.
	Domain string
}

// MaxCommandLine returns the length in octets, CRLF included, that command
// lines may have with these extensions.
func (f Features) MaxCommandLine() int {
	mail, rcpt := MaxCommandLine, MaxCommandLine
	add := func(offered bool, m, r int) {
		if offered {
			mail += m
			rcpt += r
		}
	}
	add(f.Size, 26, 0)                         // RFC 1870 3
	add(f.EightBitMIME || f.BinaryMIME, 17, 0) // RFC 6152 2
	add(f.SMTPUTF8, 10, 0)                     // RFC 6531 3.1
	add(f.RequireTLS, len(" REQUIRETLS"), 0)
	add(f.DSN, len(" RET=HDRS ENVID=")+maxEnvID, len(" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=")+maxORcpt)
	add(f.Auth, 500, 0) // RFC 4954 3
	return max(mail, rcpt)
}

// cutPath parts what stands behind "FROM:" or "TO:" (keyword) into the path,
// without its angle brackets, and the parameters. White space before the path
// is no part of the grammar, but real clients send it. All a path may quote is
// passed over, so that ">" within quotes does not end it.
func cutPath(arg, keyword string) (path, params string, err error) {
	n := len(keyword)
	if len(arg) < n || !strings.EqualFold(arg[:n], keyword) {
		return "", "", replyArguments("the argument does not begin with " + keyword)
	}
	arg = strings.TrimLeft(arg[n:], " ")
	if arg == "" || arg[0] != '<' {
		return "", "", errPath("the path is not in angle brackets")
	}
	quoted := false
	for i := 1; i < len(arg); i++ {
		switch c := arg[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			if i+1 < len(arg) && arg[i+1] != ' ' && arg[i+1] != '\t' {
				return "", "", errPath("something follows the path without a space")
			}
			return arg[1:i], strings.Trim(arg[i+1:], " \t"), nil
		}
	}
	return "", "", errPath("the path does not end")
}

// errPath is what is wrong with a path; MAIL and RCPT make their own replies
// of it.
type errPath string

func (e errPath) Error() string { return string(e) }

// parseMailbox reads a path that is not empty. A source route is dropped
// (RFC 5321 4.1.2, appendix C). UTF-8 is always taken; who asks must see
// whether it was allowed.
func (f Features) parseMailbox(path string) (message.Address, error) {
	if strings.HasPrefix(path, "@") {
		route, mailbox, ok := cutRoute(path)
		if !ok {
			return message.Address{}, errPath("the source route has no end")
		}
		for domain := range strings.SplitSeq(route, ",") {
			if !strings.HasPrefix(domain, "@") {
				return message.Address{}, errPath("the source route is malformed")
			}
			if err := message.CheckDomain(domain[1:], true); err != nil {
				return message.Address{}, fmt.Errorf("in the source route: %w", err)
			}
		}
		path = mailbox
	}
	a, err := message.ParseAddress(path, true)
	if f.Domain != "" && errors.Is(err, message.ErrNoDomain) {
		return message.ParseAddress(path+"@"+f.Domain, true)
	}
	return a, err
}

// cutRoute parts a source route from the mailbox at the colon, which address
// literals may hold too.
func cutRoute(path string) (route, mailbox string, ok bool) {
	literal := false
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '[':
			literal = true
		case ']':
			literal = false
		case ':':
			if !literal {
				return path[:i], path[i+1:], true
			}
		}
	}
	return "", "", false
}

// replyNonASCII refuses an address that needs SMTPUTF8 in a transaction
// without it (RFC 6531 3.5).
func replyNonASCII() *Reply {
	return NewReply(553, smtp.EnhancedCode{5, 6, 7}, "Non-ASCII addresses need the SMTPUTF8 parameter")
}
