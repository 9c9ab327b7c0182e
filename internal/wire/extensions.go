package wire

import (
	"strconv"
	"strings"
)

// Extensions is what a next hop offers in its answer to EHLO. The zero value
// is a server without extensions, as after HELO.
type Extensions struct {
	// Name is the name that the server gave itself; foreign text.
	Name string
	// Size is the largest message the server takes, in octets; 0 sets no
	// limit (RFC 1870 4). HasSize says that SIZE is offered.
	Size    int64
	HasSize bool

	Pipelining          bool // RFC 2920
	StartTLS            bool // RFC 3207
	EightBitMIME        bool // RFC 6152
	Chunking            bool // RFC 3030
	BinaryMIME          bool // RFC 3030; only together with Chunking
	SMTPUTF8            bool // RFC 6531
	DSN                 bool // RFC 3461
	EnhancedStatusCodes bool // RFC 2034
	RequireTLS          bool // RFC 8689

	// Auth lists the authentication mechanisms in upper case, as offered.
	Auth []string
	// Limits is what LIMITS declares (RFC 9422).
	Limits Limits

	// Authenticated says that we have logged on to the server, so that it is
	// told the originator of messages (RFC 4954 5). The reply to EHLO does not
	// tell it.
	Authenticated bool
}

// Limits are the limits that a server declares (RFC 9422 4); 0 is none
// declared.
type Limits struct {
	MailMax       int // transactions in a session
	RcptMax       int // recipients of a transaction
	RcptDomainMax int // domains of the recipients of a transaction
}

// HasAuth reports whether a mechanism is offered, in any case.
func (e *Extensions) HasAuth(mechanism string) bool {
	for _, m := range e.Auth {
		if strings.EqualFold(m, mechanism) {
			return true
		}
	}
	return false
}

// maxMechanisms bounds how many authentication mechanisms are kept.
const maxMechanisms = 32

// ParseEHLO reads the lines of a reply to EHLO (RFC 5321 4.1.1.1), as ReadReply
// returns them or without their codes. Keywords are taken in any case; what
// makes no sense is passed over.
func ParseEHLO(lines []string) Extensions {
	var e Extensions
	for i, line := range lines {
		words := strings.Fields(withoutCode(line))
		if len(words) == 0 {
			continue
		}
		if i == 0 {
			e.Name = words[0]
			continue
		}
		e.add(strings.ToUpper(words[0]), words[1:])
	}
	e.BinaryMIME = e.BinaryMIME && e.Chunking // RFC 3030 3
	return e
}

// withoutCode takes the code off a reply line. No keyword has its form.
func withoutCode(line string) string {
	if len(line) >= 3 && isCode(line) && (len(line) == 3 || line[3] == ' ' || line[3] == '-') {
		return line[min(4, len(line)):]
	}
	return line
}

func (e *Extensions) add(keyword string, args []string) {
	switch keyword {
	case "SIZE":
		e.HasSize = true
		if len(args) > 0 {
			if n, err := parseSize(args[0]); err == nil {
				e.Size = n
			}
		}
	case "PIPELINING":
		e.Pipelining = true
	case "STARTTLS":
		e.StartTLS = true
	case "8BITMIME":
		e.EightBitMIME = true
	case "CHUNKING":
		e.Chunking = true
	case "BINARYMIME":
		e.BinaryMIME = true
	case "SMTPUTF8":
		e.SMTPUTF8 = true
	case "DSN":
		e.DSN = true
	case "ENHANCEDSTATUSCODES":
		e.EnhancedStatusCodes = true
	case "REQUIRETLS":
		e.RequireTLS = true
	case "AUTH":
		e.addAuth(args)
	case "LIMITS":
		e.Limits.add(args)
	default:
		// The form of servers from before RFC 2554.
		if first, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			e.addAuth(append([]string{first}, args...))
		}
	}
}

func (e *Extensions) addAuth(mechanisms []string) {
	for _, m := range mechanisms {
		if m != "" && len(e.Auth) < maxMechanisms && !e.HasAuth(m) {
			e.Auth = append(e.Auth, strings.ToUpper(m))
		}
	}
}

func (l *Limits) add(args []string) {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 || len(value) > 6 { // RFC 9422 4: 1*6DIGIT
			continue
		}
		switch strings.ToUpper(name) {
		case "MAILMAX":
			l.MailMax = n
		case "RCPTMAX":
			l.RcptMax = n
		case "RCPTDOMAINMAX":
			l.RcptDomainMax = n
		}
	}
}
