package wire

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

// HeloCheck says how the argument of HELO and EHLO is validated.
type HeloCheck uint8

// The ways to validate. The zero value is the strictest.
const (
	// HeloStrict takes a domain, a single label too, or an address literal
	// (RFC 5321 4.1.1.1), and nothing before or behind it. Internationalised
	// names stand in valid A-labels (RFC 6531 3.7.1).
	HeloStrict HeloCheck = iota
	// HeloLenient takes a final dot and white space at the end besides.
	HeloLenient
	// HeloOff takes anything printable.
	HeloOff
)

// Validation is how a Receive connector takes HELO and EHLO. The zero value is
// the default: strict, and an argument is required.
type Validation struct {
	Check HeloCheck
	// Optional lets the argument be missing; Helo.Name is then empty.
	Optional bool
}

// Helo is the argument of HELO or EHLO.
type Helo struct {
	// Name is as received, but for what lenient validation took off its end.
	// It holds no control characters.
	Name string
	// Literal is the address, if Name is an IPv4 or IPv6 address literal.
	Literal netip.Addr
}

// ParseHelo reads the argument of HELO or EHLO. An error is a *Reply.
func ParseHelo(arg string, v Validation) (Helo, error) {
	if strings.Trim(arg, " \t") == "" {
		if v.Optional {
			return Helo{}, nil
		}
		return Helo{}, NewReply(501, smtp.EnhancedCode{5, 0, 0}, "HELO / EHLO requires domain address")
	}
	h := Helo{Name: arg}
	if v.Check == HeloOff {
		h.Name = strings.Trim(arg, " \t")
		for i := 0; i < len(h.Name); i++ {
			if isControl(h.Name[i]) {
				return Helo{}, replyDomainName("the name holds a control character")
			}
		}
		h.Literal, _ = message.ParseLiteral(h.Name)
		return h, nil
	}
	if v.Check == HeloLenient {
		h.Name = strings.TrimRight(arg, " \t")
		if n := len(h.Name); n > 1 && h.Name[0] != '[' && h.Name[n-1] == '.' {
			h.Name = h.Name[:n-1]
		}
	}
	if err := checkHeloName(h.Name); err != nil {
		return Helo{}, replyDomainName(err.Error())
	}
	h.Literal, _ = message.ParseLiteral(h.Name)
	return h, nil
}

// checkHeloName holds a name against RFC 5321 4.1.2 and, in US-ASCII alone,
// RFC 6531 3.7.1: before EHLO is answered nobody knows whether UTF-8 is taken.
func checkHeloName(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }) {
		return errors.New("the name is not US-ASCII: internationalised names are sent in A-labels")
	}
	if err := message.CheckDomain(name, false); err != nil {
		return err
	}
	return message.CheckALabels(name)
}
