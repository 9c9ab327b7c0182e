package wire

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

// Mail is the argument of a MAIL command (RFC 5321 4.1.1.2).
type Mail struct {
	// Path is the reverse path; null for "<>".
	Path message.Address
	// Size is the declared size in octets (RFC 1870 4). A number beyond 63
	// bits is taken as the largest there is. HasSize tells 0 from none.
	Size    int64
	HasSize bool

	Body       message.BodyType
	SMTPUTF8   bool
	RequireTLS bool
	Ret        message.Return
	// EnvID is decoded from xtext and printable.
	EnvID string
	// Auth is the decoded AUTH= (RFC 4954 5): a mailbox, "<>", or "" when
	// there was none.
	Auth string
}

// ParseMail reads the argument of MAIL. An error is a *Reply.
func ParseMail(arg string, o Features) (Mail, error) {
	var m Mail
	path, rest, err := cutPath(arg, "FROM:")
	if err != nil {
		return Mail{}, pathReply(err, 7)
	}
	if path != "" {
		if m.Path, err = o.parseMailbox(path); err != nil {
			return Mail{}, pathReply(err, 7)
		}
	}
	p := params{rest: rest}
	for p.next() {
		offered, err := m.set(p.keyword, p.value, p.hasValue, o)
		if err := p.judge(offered, err); err != nil {
			return Mail{}, err
		}
	}
	if p.err != nil {
		return Mail{}, p.err
	}
	if !m.SMTPUTF8 && !(m.Path.ASCII() && isASCII(m.Auth)) {
		return Mail{}, replyNonASCII()
	}
	return m, nil
}

// pathReply makes a reply of what is wrong with a path: 5.1.7 for MAIL, 5.1.3
// for RCPT.
func pathReply(err error, detail int) error {
	if r, ok := errors.AsType[*Reply](err); ok {
		return r
	}
	return NewReply(501, smtp.EnhancedCode{5, 1, detail}, "Invalid address").WithLog(err.Error())
}

// set takes one parameter. It reports whether the parameter is one that is
// offered, and what is wrong with its value.
func (m *Mail) set(keyword, value string, hasValue bool, o Features) (offered bool, err error) {
	switch keyword {
	case "SIZE":
		m.HasSize = true
		m.Size, err = parseSize(value)
		return o.Size, err
	case "BODY":
		m.Body, err = parseBody(value, o)
		return o.EightBitMIME || o.BinaryMIME, err
	case "SMTPUTF8":
		m.SMTPUTF8 = true
		return o.SMTPUTF8, noValue(hasValue)
	case "REQUIRETLS":
		m.RequireTLS = true
		return o.RequireTLS, noValue(hasValue)
	case "RET":
		m.Ret, err = parseRet(value)
		return o.DSN, err
	case "ENVID":
		m.EnvID, err = parseEnvID(value)
		return o.DSN, err
	case "AUTH":
		m.Auth, err = parseAuth(value)
		return o.Auth, err
	}
	return false, nil
}

// Rcpt is the argument of a RCPT command (RFC 5321 4.1.1.3).
type Rcpt struct {
	// Path is the forward path. For the bare "<postmaster>", in any case, its
	// domain is empty.
	Path   message.Address
	Notify message.Notify
	// ORcpt is "type;address", decoded (RFC 3461 4.2, RFC 6533 3).
	ORcpt string
}

// ParseRcpt reads the argument of RCPT. An error is a *Reply.
func ParseRcpt(arg string, o Features) (Rcpt, error) {
	var r Rcpt
	path, rest, err := cutPath(arg, "TO:")
	if err != nil {
		return Rcpt{}, pathReply(err, 3)
	}
	if strings.EqualFold(path, "postmaster") { // RFC 5321 4.5.1
		r.Path.Local = path
	} else if r.Path, err = o.parseMailbox(path); err != nil {
		return Rcpt{}, pathReply(err, 3)
	}
	p := params{rest: rest}
	for p.next() {
		var err error
		offered := false
		switch p.keyword {
		case "NOTIFY":
			offered = o.DSN
			r.Notify, err = parseNotify(p.value)
		case "ORCPT":
			offered = o.DSN
			r.ORcpt, err = parseORcpt(p.value, o.SMTPUTF8)
		}
		if err := p.judge(offered, err); err != nil {
			return Rcpt{}, err
		}
	}
	if p.err != nil {
		return Rcpt{}, p.err
	}
	if !o.SMTPUTF8 && !r.Path.ASCII() {
		return Rcpt{}, replyNonASCII()
	}
	return r, nil
}

// params goes through the parameters of MAIL or RCPT (RFC 5321 4.1.2,
// Mail-parameters).
type params struct {
	rest     string
	keyword  string // in upper case
	value    string
	hasValue bool
	err      error
	// seen are the keywords so far. Since one that is not known ends it all,
	// they are no more than there are known ones.
	seen  [8]string
	count int
}

// next goes to the next parameter. It reports false at the end and when the
// parameters are malformed, which err then tells.
func (p *params) next() bool {
	p.rest = strings.TrimLeft(p.rest, " ")
	if p.rest == "" {
		return false
	}
	var param string
	param, p.rest, _ = strings.Cut(p.rest, " ")
	p.keyword, p.value, p.hasValue = strings.Cut(param, "=")
	if !isKeyword(p.keyword) {
		p.err = replyArguments("a parameter's keyword is malformed")
		return false
	}
	if p.hasValue && !isValue(p.value) {
		p.err = replyArguments("the value of " + p.keyword + " is malformed")
		return false
	}
	p.keyword = strings.ToUpper(p.keyword)
	if slices.Contains(p.seen[:p.count], p.keyword) {
		p.err = replyArguments(p.keyword + " is given twice")
		return false
	}
	p.seen[p.count] = p.keyword
	p.count++
	return true
}

// judge makes the reply to a parameter that is not offered or whose value is
// wrong.
func (p *params) judge(offered bool, err error) error {
	switch {
	case !offered:
		return replyParameter(p.keyword + " is not offered")
	case err != nil:
		return replyArguments(p.keyword + ": " + err.Error())
	}
	return nil
}

// isKeyword reports whether s is an esmtp-keyword (RFC 5321 4.1.2).
func isKeyword(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && (s[i] != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

// isValue reports whether s is an esmtp-value (RFC 5321 4.1.2), UTF-8 allowed
// (RFC 6531 3.3).
func isValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == '=' || c == 0x7f {
			return false
		}
	}
	return s != ""
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func noValue(hasValue bool) error {
	if hasValue {
		return errors.New("no value is allowed")
	}
	return nil
}

// parseSize reads size-value, 1*20DIGIT (RFC 1870 3). What does not fit 63
// bits is the largest number that does: too big, but well-formed.
func parseSize(s string) (int64, error) {
	if s == "" || len(s) > 20 || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("want a number of up to 20 digits")
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt64 {
		n = math.MaxInt64
	}
	return int64(n), nil
}

func parseBody(s string, o Features) (message.BodyType, error) {
	switch strings.ToUpper(s) {
	case "7BIT":
		return message.Body7Bit, nil
	case "8BITMIME":
		if o.EightBitMIME {
			return message.Body8BitMIME, nil
		}
	case "BINARYMIME": // RFC 3030 3
		if o.BinaryMIME {
			return message.BodyBinaryMIME, nil
		}
	}
	return 0, errors.New("the body type is not offered")
}

func parseRet(s string) (message.Return, error) {
	switch strings.ToUpper(s) {
	case "FULL":
		return message.ReturnFull, nil
	case "HDRS":
		return message.ReturnHeaders, nil
	}
	return 0, errors.New("want FULL or HDRS") // RFC 3461 4.3
}

func parseNotify(s string) (message.Notify, error) {
	var n message.Notify
	for word := range strings.SplitSeq(s, ",") {
		switch strings.ToUpper(word) {
		case "NEVER":
			n |= message.NotifyNever
		case "SUCCESS":
			n |= message.NotifySuccess
		case "FAILURE":
			n |= message.NotifyFailure
		case "DELAY":
			n |= message.NotifyDelay
		default:
			return 0, errors.New("want NEVER, or some of SUCCESS, FAILURE and DELAY")
		}
	}
	if n&message.NotifyNever != 0 && n != message.NotifyNever {
		return 0, errors.New("NEVER stands alone") // RFC 3461 4.1
	}
	return n, nil
}

func parseAuth(s string) (string, error) {
	d, err := decodeXtext(s)
	if err != nil || d == "<>" {
		return d, err
	}
	if _, err := message.ParseAddress(d, true); err != nil {
		return "", err
	}
	return d, nil
}
