package receive

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	ptls "postern/tls"
)

// errNoCertificate is why implicit TLS fails on a connector without a
// certificate.
var errNoCertificate = errors.New("no certificate for the connector")

// startTLS is STARTTLS (RFC 3207).
func (s *session) startTLS(string) {
	switch {
	case s.connector.tls == nil:
		s.reply(replyNotImplemented)
		return
	case s.tls != "":
		s.reply(replyTLSTwice)
		return
	}
	s.reply(replyStartTLS)
	if err := s.flush(); err != nil {
		s.closing = true
		return
	}
	// What stands behind STARTTLS in clear text may be anyone's (RFC 3207 4.2).
	if n := s.reader.Discard(); n > 0 && s.log != nil {
		s.log.Info(itoa(int64(n))+" octets", "discarded clear text behind STARTTLS")
	}
	if s.handshake() != nil {
		return
	}
	// Nothing that was learnt before counts any more.
	s.abandon()
	s.forget()
	s.recognise()
}

// recognise gives a partner that its certificate proves (mutual TLS) its
// rights.
func (s *session) recognise() {
	if s.snapshot.partner == nil || len(s.connector.TLSReceiveDomainSecureList) == 0 {
		return
	}
	who, err := s.snapshot.partner(s.peer(), s.connector.TLSReceiveDomainSecureList)
	switch {
	case err != nil:
		s.distrust = err
		s.log.Info(err.Error(), "client certificate")
	case who.Name != "":
		s.log.Info(who.Name, "partner recognised by its certificate")
		s.senders, s.partner = who.Senders, who.Senders
		s.permit(Partners)
	}
}

// handshake puts TLS over the connection. When it fails nothing more is said:
// neither side knows how the other would read it.
func (s *session) handshake() error {
	cfg := s.connector.tls
	err := errNoCertificate
	if cfg != nil {
		cfg = s.watchedConfig(cfg)
		if err = s.deadlines.handshake(); err == nil {
			conn := tls.Server(s.conn, cfg)
			if err = s.deadlines.afterHandshake(conn.Handshake()); err == nil {
				s.conn = conn
				s.tls = ptls.Describe(conn.ConnectionState())
				s.log.Info(s.tls, "TLS negotiation succeeded")
				return nil
			}
		}
	}
	s.closing = true
	s.readErr, s.writeErr = err, err
	var timeout *timeoutError
	if errors.As(err, &timeout) {
		s.note(s.timedOut(timeout))
	}
	s.log.Info("", "TLS negotiation failed with error "+errorText(err))
	return err
}

// watchedConfig notes which certificate is sent.
func (s *session) watchedConfig(base *tls.Config) *tls.Config {
	cfg := base.Clone()
	cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := (*tls.Certificate)(nil), errNoCertificate
		switch {
		case base.GetCertificate != nil:
			cert, err = base.GetCertificate(hello)
		case len(base.Certificates) > 0:
			cert, err = &base.Certificates[0], nil
		}
		if err == nil && cert != nil {
			if len(cert.Certificate) > 0 {
				s.certificate = cert.Certificate[0]
			}
			if s.log != nil {
				s.logCertificate(cert)
			}
		}
		return cert, err
	}
	return cfg
}

// logCertificate writes the lines that Exchange writes (reference 7.1).
func (s *session) logCertificate(c *tls.Certificate) {
	leaf := c.Leaf
	if leaf == nil && len(c.Certificate) > 0 {
		leaf, _ = x509.ParseCertificate(c.Certificate[0])
	}
	s.log.Info("", "Sending certificate")
	if leaf == nil {
		return
	}
	s.log.Info(leaf.Subject.String(), "Certificate subject")
	s.log.Info(leaf.Issuer.String(), "Certificate issuer name")
	s.log.Info(strings.ToUpper(leaf.SerialNumber.Text(16)), "Certificate serial number")
	s.log.Info(ptls.Thumbprint(leaf), "Certificate thumbprint")
	s.log.Info(strings.Join(ptls.Names(leaf), ";"), "Certificate alternate names")
}
