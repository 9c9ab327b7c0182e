package wire

import (
	"strings"

	"github.com/emersion/go-smtp"
)

// Command is a command line.
type Command struct {
	// Verb is in upper case.
	Verb string
	// Arg is what stands behind the one space after the verb, as received:
	// trailing white space included, which only HELO and EHLO mind.
	Arg string
}

// Bare reports whether the command has no argument. White space at the end of
// a line is none (RFC 5321 4.1.1).
func (c Command) Bare() bool { return strings.Trim(c.Arg, " \t") == "" }

// maxVerb is the longest verb that is looked at, in octets.
const maxVerb = 32

// verbs are the commands known by name, so that reading one allocates nothing.
var verbs = [...]string{
	"AUTH", "BDAT", "DATA", "EHLO", "EXPN", "HELO", "HELP", "MAIL", "NOOP",
	"QUIT", "RCPT", "RSET", "STARTTLS", "VRFY",
}

// ParseCommand reads a command line without its CRLF (RFC 5321 4.1.1). Verbs
// are taken in any case. An error is a *Reply: 500 for what is no command, 501
// for an argument with control characters. UTF-8 is left to who reads the
// argument.
func ParseCommand(line []byte) (Command, error) {
	n := 0
	for n < len(line) && isVerbChar(line[n]) {
		n++
	}
	if n == 0 || n > maxVerb {
		return Command{}, replyUnrecognized()
	}
	c := Command{Verb: verb(line[:n])}
	switch arg := line[n:]; {
	case len(arg) == 0:
	case arg[0] == ' ':
		c.Arg = string(arg[1:])
	default:
		c.Arg = string(arg)
		if !c.Bare() {
			return Command{}, replyUnrecognized()
		}
	}
	for i := 0; i < len(c.Arg); i++ {
		if isControl(c.Arg[i]) && c.Arg[i] != '\t' {
			return c, replyArguments("the argument holds a control character")
		}
	}
	return c, nil
}

// verb returns the verb in upper case.
func verb(b []byte) string {
	var upper [maxVerb]byte
	u := upper[:len(b)]
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		u[i] = c
	}
	for _, v := range verbs {
		if v == string(u) {
			return v
		}
	}
	return string(u)
}

func isVerbChar(c byte) bool { return isAlnum(c) || c == '-' }

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// The replies that the grammar calls for. Each comes with what our log should
// say.

func replyUnrecognized() *Reply {
	return NewReply(500, smtp.EnhancedCode{5, 3, 3}, "Unrecognized command")
}

func replyArguments(log string) *Reply {
	return NewReply(501, smtp.EnhancedCode{5, 5, 4}, "Invalid arguments").WithLog(log)
}

func replyParameter(log string) *Reply {
	return NewReply(555, smtp.EnhancedCode{5, 5, 4}, "Unrecognized parameter").WithLog(log) // RFC 5321 4.1.1.11
}

func replyDomainName(log string) *Reply {
	return NewReply(501, smtp.EnhancedCode{5, 5, 4}, "Invalid domain name").WithLog(log)
}
