package send

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/message"
	"postern/internal/wire"
	"postern/logs"
	ptls "postern/tls"
)

// startTLS asks for TLS, negotiates it and says EHLO again (RFC 3207).
func (c *conn) startTLS(ctx context.Context) *failure {
	reply, _, f := c.command(ctx, phaseSTARTTLS, []byte("STARTTLS\r\n"), c.s.timeouts.EHLO)
	switch {
	case f != nil:
		if f.tls = !f.canceled; f.tls && !f.said && !c.key.policy.FallsBack() {
			f.reply.Text += because(c.key.policy)
		}
		return f
	case reply.Code != 220:
		f = c.noTLS(ours(454, codeNoTLS, "The host refuses STARTTLS: %s", oneLine(reply.String())))
		f.phase = phaseSTARTTLS
		return f
	case c.r.Buffered() > 0: // what is not yet read is no TLS record and fails the handshake
		// Octets in clear behind the reply would be taken for the first of
		// the protected ones.
		return c.noTLS(ours(421, codeTLS, "The host sent data in clear behind its reply to STARTTLS"))
	}
	if f := c.handshake(ctx); f != nil {
		return f
	}
	// RFC 3207 4.2: what was learnt before is forgotten.
	c.ext = wire.Extensions{}
	f = c.hello(ctx)
	if f != nil && f.err != nil && !f.canceled {
		// With TLS 1.3 a host that does not accept the handshake says so
		// behind its end (RFC 8446 4.4).
		return c.noTLS(ours(454, codeTLS, "TLS broke off behind the handshake: %s", ptls.ExplainHandshake(f.err)))
	}
	return f
}

// noTLS is a failure of TLS. Where that ends the matter, the reply says what
// asks for TLS.
func (c *conn) noTLS(reply message.Reply) *failure {
	if !c.key.policy.FallsBack() {
		reply.Text += because(c.key.policy)
	}
	if c.peer == nil {
		c.peer = new(ptls.Session)
	}
	return &failure{phase: phaseHandshake, reply: reply, tls: true}
}

// because says why a message waits that found no TLS.
func because(p ptls.Policy) string {
	if p.Required() {
		source := p.Source()
		return fmt.Sprintf(". %s asks for %s", strings.ToUpper(source[:1])+source[1:], p.Asks())
	}
	return fmt.Sprintf(". With tls_fallback = false in %s, mail does not go in clear to a host that offers TLS", p.Source())
}

func (c *conn) handshake(ctx context.Context) *failure {
	p := c.key.policy
	_ = c.raw.SetDeadline(time.Now().Add(c.s.timeouts.TLS))
	if ctx.Err() != nil {
		return lost(ctx, phaseHandshake, ctx.Err())
	}
	tc, session, err := p.Handshake(ctx, c.raw, c.key.endpoint.host, c.s.material)
	if err != nil {
		if ctx.Err() != nil {
			return lost(ctx, phaseHandshake, err)
		}
		c.s.counts.handshakes.Failed()
		return c.handshakeFailure(err, session)
	}
	c.s.counts.handshakes.Done(session.State.Version)
	_ = c.raw.SetDeadline(time.Time{})
	c.nc, c.r = tc, wire.NewReader(tc, wire.DefaultBuffer)
	c.tls, c.peer = session.Described, session
	logTLS(c.log, p, session)
	return nil
}

func (c *conn) handshakeFailure(err error, session *ptls.Session) *failure {
	if errors.Is(err, ptls.ErrMaterial) {
		c.log.Info(err.Error(), "TLS negotiation failed")
		// Our own configuration is at fault, and clear text no remedy.
		return &failure{phase: phaseHandshake, local: true,
			reply: ours(454, codeTLS, "Send connector %q: %v", c.connector.Name, err)}
	}
	c.peer = session
	if ce, ok := errors.AsType[*ptls.CertificateError](err); ok {
		logCertificate(c.log, session)
		c.log.Info(ce.Error(), "Certificate validation failed")
		return c.noTLS(ours(454, codeTLS, "Certificate validation failure: %v", ce))
	}
	text := ptls.ExplainHandshake(err)
	c.log.Info(text, "TLS negotiation failed")
	return c.noTLS(ours(454, codeTLS, "TLS negotiation failed: %s", text))
}

// logTLS writes what was negotiated, with whom and why (reference 7.1).
func logTLS(log *logs.Session, p ptls.Policy, s *ptls.Session) {
	if log == nil {
		return
	}
	log.Info(s.Described, "TLS negotiation succeeded")
	logCertificate(log, s)
	log.Info(s.Trust, "Certificate validation")
	if s.Shown != "" {
		log.Info(s.Shown, "Sending certificate")
	}
	if s.Withheld != nil {
		log.Info(s.Withheld.Error(), "Certificate not sent")
	}
	log.Info(p.String(), "TLS policy")
}

func logCertificate(log *logs.Session, s *ptls.Session) {
	if log == nil || len(s.State.PeerCertificates) == 0 {
		return
	}
	leaf := s.State.PeerCertificates[0]
	log.Info("", "Received certificate")
	log.Info(leaf.Subject.String(), "Certificate subject")
	log.Info(leaf.Issuer.String(), "Certificate issuer name")
	log.Info(strings.ToUpper(hex.EncodeToString(leaf.SerialNumber.Bytes())), "Certificate serial number")
	log.Info(ptls.Thumbprint(leaf), "Certificate thumbprint")
	log.Info(strings.Join(ptls.Names(leaf), ";"), "Certificate alternate names")
}
