package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"postern/internal/message"
)

// AppendEHLO appends an EHLO command with its CRLF. The name must be a domain
// or an address literal (RFC 5321 4.1.1.1).
func AppendEHLO(b []byte, name string) ([]byte, error) { return appendHello(b, "EHLO ", name) }

// AppendHELO appends a HELO command with its CRLF, as AppendEHLO does.
func AppendHELO(b []byte, name string) ([]byte, error) { return appendHello(b, "HELO ", name) }

func appendHello(b []byte, verb, name string) ([]byte, error) {
	if err := message.CheckDomain(name, false); err != nil {
		return b, fmt.Errorf("the name %q can't be sent with %s: %w", name, strings.TrimSpace(verb), err)
	}
	return append(append(append(b, verb...), name...), "\r\n"...), nil
}

// AppendMail appends the MAIL command for an envelope, with its CRLF. Size is
// the content's size in octets. Parameters go only to a peer that offers their
// extension. What the peer can't be asked to do at all is refused with a
// *Reply, which is the outcome of the recipients at this peer: SMTPUTF8,
// BINARYMIME and REQUIRETLS that it does not offer. An address that is none
// is refused too, so that nothing can be injected. b is returned unchanged
// with an error. A message declared 8BITMIME goes to a peer without 8BITMIME
// too, undeclared: converting it would break its signatures (RFC 6152 3 leaves
// only that or refusing it).
func AppendMail(b []byte, e *message.Envelope, peer Extensions, size int64) ([]byte, error) {
	utf8 := NeedsSMTPUTF8(e)
	if err := refuse(e, utf8, peer); err != nil {
		return b, err
	}
	c := append(b, "MAIL FROM:<"...)
	if !e.From.IsNull() {
		var err error
		if c, err = appendAddress(c, e.From, utf8); err != nil {
			return b, err
		}
	}
	c = append(c, '>')
	if peer.HasSize && size >= 0 {
		c = strconv.AppendInt(append(c, " SIZE="...), size, 10)
	}
	c = appendBody(c, e.Body, peer)
	if utf8 {
		c = append(c, " SMTPUTF8"...)
	}
	if e.RequireTLS {
		c = append(c, " REQUIRETLS"...)
	}
	if peer.Authenticated {
		c = appendAuth(c, e.Auth)
	}
	if peer.DSN {
		switch e.Return {
		case message.ReturnFull:
			c = append(c, " RET=FULL"...)
		case message.ReturnHeaders:
			c = append(c, " RET=HDRS"...)
		}
		if e.EnvID != "" {
			if !isPrintable(e.EnvID) {
				return b, errors.New("the envelope id holds characters that are not printable US-ASCII")
			}
			c = appendXtext(append(c, " ENVID="...), e.EnvID)
		}
	}
	return append(c, "\r\n"...), nil
}

// maxAuth bounds the value of AUTH=, in octets of xtext (RFC 4954 5).
const maxAuth = 500

// appendAuth appends the originator as it was given to us by a client that we
// trust, to a server to which we have authenticated; <> where it is not known
// (RFC 4954 5).
func appendAuth(b []byte, mailbox string) []byte {
	b = append(b, " AUTH="...)
	if mailbox == "" || !isPrintable(mailbox) {
		return append(b, "<>"...)
	}
	if c := appendXtext(b, mailbox); len(c)-len(b) <= maxAuth {
		return c
	}
	return append(b, "<>"...)
}

// NeedsSMTPUTF8 reports whether the MAIL command of an envelope has SMTPUTF8.
// Without it no command of the transaction may hold UTF-8 (RFC 6531 3.4).
func NeedsSMTPUTF8(e *message.Envelope) bool { return e.SMTPUTF8 || !isASCII(e.From.Local) }

// refuse tells what the peer can't do for the message.
func refuse(e *message.Envelope, utf8 bool, peer Extensions) error {
	switch {
	case utf8 && !peer.SMTPUTF8:
		return replyNoSMTPUTF8()
	case e.RequireTLS && !peer.RequireTLS: // RFC 8689 4.2.1
		return NewReply(550, smtp.EnhancedCode{5, 7, 30}, "REQUIRETLS is needed, but the next hop does not offer it")
	case e.Body == message.BodyBinaryMIME && !peer.BinaryMIME: // RFC 3030 3
		return NewReply(550, smtp.EnhancedCode{5, 6, 11}, "The message is BINARYMIME, which the next hop does not take")
	}
	return nil
}

func replyNoSMTPUTF8() *Reply { // RFC 6531 3.5
	return NewReply(550, smtp.EnhancedCode{5, 6, 7}, "The message needs SMTPUTF8, which the next hop does not offer")
}

func appendBody(b []byte, body message.BodyType, peer Extensions) []byte {
	switch {
	case body == message.BodyBinaryMIME:
		return append(b, " BODY=BINARYMIME"...)
	case body == message.Body8BitMIME && peer.EightBitMIME:
		return append(b, " BODY=8BITMIME"...)
	case body == message.Body7Bit && peer.EightBitMIME:
		return append(b, " BODY=7BIT"...)
	}
	return b
}

// AppendRcpt appends the RCPT command for a recipient, with its CRLF; see
// AppendMail. UTF-8 in an address goes out as it is only if the transaction's
// MAIL had SMTPUTF8: for one that had not, peer.SMTPUTF8 must be false.
func AppendRcpt(b []byte, rcpt *message.Recipient, peer Extensions) ([]byte, error) {
	c := append(b, "RCPT TO:<"...)
	c, err := appendAddress(c, rcpt.Address, peer.SMTPUTF8)
	if err != nil {
		return b, err
	}
	c = append(c, '>')
	if !peer.DSN {
		return append(c, "\r\n"...), nil
	}
	c = appendNotify(c, rcpt.Notify)
	if rcpt.ORcpt != "" {
		if c, err = appendORcpt(c, rcpt.ORcpt); err != nil {
			return b, err
		}
	}
	return append(c, "\r\n"...), nil
}

func appendNotify(b []byte, n message.Notify) []byte {
	if n&message.NotifyNever != 0 {
		return append(b, " NOTIFY=NEVER"...)
	}
	before := " NOTIFY="
	for _, c := range [...]struct {
		bit  message.Notify
		word string
	}{{message.NotifySuccess, "SUCCESS"}, {message.NotifyFailure, "FAILURE"}, {message.NotifyDelay, "DELAY"}} {
		if n&c.bit != 0 {
			b = append(append(b, before...), c.word...)
			before = ","
		}
	}
	return b
}

func appendORcpt(b []byte, orcpt string) ([]byte, error) {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok || !isAtom(kind) || addr == "" {
		return b, errors.New("the original recipient has no address type")
	}
	b = append(append(append(b, " ORCPT="...), kind...), ';')
	if strings.EqualFold(kind, "utf-8") {
		if !utf8.ValidString(addr) {
			return b, errors.New("the original recipient is not valid UTF-8")
		}
		return appendUTF8Xtext(b, addr), nil
	}
	if !isPrintable(addr) {
		return b, errors.New("the original recipient holds characters that are not printable US-ASCII")
	}
	return appendXtext(b, addr), nil
}

// appendAddress appends a mailbox, or the bare postmaster, after checking that
// it is one: an address that was put together elsewhere must not bring
// parameters or commands of its own (RFC 5321 4.1.2). Without utf8 a domain
// goes out in A-labels, which says the same (RFC 6531 3.2), and a local part
// that is not US-ASCII can't go out.
func appendAddress(b []byte, a message.Address, utf8 bool) ([]byte, error) {
	if a.Domain == "" {
		if strings.EqualFold(a.Local, "postmaster") {
			return append(b, a.Local...), nil
		}
		return b, fmt.Errorf("the address %q has no domain", a.Local)
	}
	if !utf8 && !isASCII(a.Domain) {
		a.Domain = message.DomainKey(a.Domain)
	}
	from := len(b)
	b = append(append(append(b, a.Local...), '@'), a.Domain...)
	parsed, err := message.ParseAddress(string(b[from:]), true)
	if err == nil && parsed != a {
		err = errors.New("its parts do not make one mailbox")
	}
	if err != nil {
		return b, fmt.Errorf("the address %q can't be sent: %w", a.String(), err)
	}
	if !utf8 && !isASCII(a.Local) {
		return b, replyNoSMTPUTF8()
	}
	return b, nil
}
