package pickup

import (
	"net/netip"
	"strings"

	"postern/config"
	"postern/internal/message"
	"postern/internal/wire"
)

const (
	replaySource = config.SourceReplay
	// trustedCreator is the value of X-CreatedBy that keeps the organisation's
	// own header fields.
	trustedCreator = "MSExchange15"
)

// injected reports whether a field may stand in the block on top of a file for
// the Replay directory (reference 11).
func injected(name string) bool {
	switch name {
	case "x-sender", "x-receiver", "x-createdby", "x-helodomain", "x-source", "x-sourceipaddress",
		"x-extendedmessageprops", "x-endofinjectedxheaders":
		return true
	}
	return false
}

// readReplay takes the block on top of the header away, and the envelope from
// it. What stands below the first other field, or below X-EndOfInjectedXHeaders,
// belongs to the message, whatever its name.
func (l *letter) readReplay(h header, r *rules) (header, *refusal) {
	e := &message.Envelope{Origin: message.Origin{Protocol: replaySource}}
	l.envelope = e
	b := block{envelope: e, domain: r.domain, known: make(map[string]bool)}
	n := 0
	for n < len(h) && injected(h[n].name) {
		b.take(h[n])
		n++
		if h[n-1].name == "x-endofinjectedxheaders" {
			break
		}
	}
	switch {
	case b.refusal == nil && b.senders != 1:
		b.refusal = refuse("it has %d X-Sender fields on top, want one", b.senders)
	case b.refusal == nil && len(e.Recipients) == 0:
		b.refusal = refuse("it has no X-Receiver field on top")
	}
	l.received.Helo, l.received.Client = e.Origin.Helo, e.Origin.Client
	if l.received.Helo == "" && !l.received.Client.IsValid() {
		l.received.Helo = "localhost"
	}
	return h[n:].without(func(f field) bool {
		return f.name == "bcc" || !b.trusted && firewalled(f, message.InternalHeaders)
	}), b.refusal
}

// block is the block of X-headers as far as it has been read.
type block struct {
	envelope *message.Envelope
	domain   string
	known    map[string]bool
	senders  int
	trusted  bool
	refusal  *refusal // the first
}

func (b *block) refuse(format string, args ...any) {
	if b.refusal == nil {
		b.refusal = refuse(format, args...)
	}
}

func (b *block) take(f field) {
	v := f.value()
	o := &b.envelope.Origin
	switch f.name {
	case "x-sender":
		b.sender(v)
	case "x-receiver":
		b.receiver(v)
	case "x-createdby":
		if v == "" {
			b.refuse("its X-CreatedBy is empty; leave it out instead")
		}
		b.trusted = v == trustedCreator
	case "x-helodomain":
		o.Helo = message.Shorten(v, message.MaxDomain)
	case "x-sourceipaddress":
		a, err := netip.ParseAddr(strings.Trim(v, "[]"))
		switch {
		case err != nil:
			b.refuse("its X-SourceIPAddress %q is no IP address", v)
		case !a.IsUnspecified(): // which stands for not known
			o.Client = netip.AddrPortFrom(a.Unmap().WithZone(""), 0)
		}
	}
}

// everything is what X-Sender and X-Receiver may ask for.
func everything() wire.Features {
	return wire.Features{Size: true, EightBitMIME: true, BinaryMIME: true, SMTPUTF8: true, RequireTLS: true, DSN: true, Auth: true}
}

func (b *block) sender(v string) {
	b.senders++
	v = asPath(v)
	if !isASCII(v) && !strings.Contains(strings.ToUpper(v), " SMTPUTF8") {
		v += " SMTPUTF8" // Exchange's own files do not say so
	}
	m, err := wire.ParseMail("FROM:"+v, everything())
	if err != nil {
		b.refuse("its X-Sender %q can't be read: %s", v, reason(err))
		return
	}
	e := b.envelope
	e.From, e.Body, e.SMTPUTF8, e.RequireTLS, e.Return, e.EnvID = m.Path, m.Body, m.SMTPUTF8, m.RequireTLS, m.Ret, m.EnvID
	if m.Auth != "<>" {
		e.Auth = m.Auth
	}
}

func (b *block) receiver(v string) {
	v = asPath(v)
	p, err := wire.ParseRcpt("TO:"+withType(v), everything())
	if err != nil {
		b.refuse("its X-Receiver %q can't be read: %s", v, reason(err))
		return
	}
	if p.Path.Domain == "" { // RFC 5321 4.5.1
		p.Path.Domain = b.domain
	}
	addRecipient(b.envelope, b.known, message.Recipient{Address: p.Path, Notify: p.Notify, ORcpt: p.ORcpt})
}

// reason is what a reply says in the log, where it says more there.
func reason(err error) string {
	if r, ok := err.(*wire.Reply); ok && r.Log != "" {
		return r.Log
	}
	return err.Error()
}

// asPath puts the brackets around an address that stands without.
func asPath(v string) string {
	if strings.HasPrefix(v, "<") || v == "" {
		return v
	}
	address, rest, more := strings.Cut(v, " ")
	if !more {
		return "<" + address + ">"
	}
	return "<" + address + "> " + rest
}

// withType gives ORCPT= the type of its address that Exchange leaves out
// (RFC 3461 4.2).
func withType(v string) string {
	end := strings.LastIndexByte(v, '>')
	if end < 0 {
		return v
	}
	params := strings.Split(v[end:], " ")
	for i, p := range params {
		key, value, ok := strings.Cut(p, "=")
		if ok && strings.EqualFold(key, "ORCPT") && !strings.Contains(value, ";") {
			params[i] = key + "=rfc822;" + value
		}
	}
	return v[:end] + strings.Join(params, " ")
}

func isASCII[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
