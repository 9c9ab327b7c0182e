package receive

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"

	"postern/config"
	ptls "postern/tls"
)

// maxServerName bounds what the log shows of the name that a client asks for in
// its handshake: that of a domain name (RFC 1035 2.3.4).
const maxServerName = 255

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

// recognise gives a client the rights that its certificate brings it.
func (s *session) recognise() {
	s.recognisePartner()
	s.recogniseDomain()
}

// recogniseDomain gives a client the rights of the domains that its certificate
// is for.
func (s *session) recogniseDomain() {
	capabilities := s.connector.TLSDomainCapabilities
	if s.snapshot.named == nil || len(capabilities) == 0 {
		return
	}
	domains, err := s.snapshot.named(s.peer(), slices.Sorted(maps.Keys(capabilities)))
	switch {
	case err != nil:
		s.log.Info(err.Error(), "client certificate")
	case len(domains) > 0:
		s.log.Info(strings.Join(domains, " "), "domain recognised by the certificate")
		for _, d := range domains {
			s.capabilities |= rightSet(capabilities[d])
		}
		s.permit(s.proven)
	}
}

// recognisePartner gives a partner that its certificate proves (mutual TLS) its
// rights.
func (s *session) recognisePartner() {
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
	var heard *ptls.Overhearing
	if cfg != nil {
		if err = s.deadlines.handshake(); err == nil {
			heard = ptls.Overhear(s.conn, cfg)
			conn := tls.Server(heard, cfg)
			if err = s.deadlines.afterHandshake(conn.HandshakeContext(context.WithValue(context.Background(), sessionKey{}, s))); err == nil {
				heard.Over()
				s.conn = conn
				s.server.tally.handshakes.Done(conn.ConnectionState().Version)
				s.tls = ptls.Describe(conn.ConnectionState())
				s.log.Info(s.tls, "TLS negotiation succeeded")
				return nil
			}
		}
	}
	s.server.tally.handshakes.Failed()
	s.closing = true
	s.readErr, s.writeErr = err, err
	var timeout *timeoutError
	if errors.As(err, &timeout) {
		s.note(s.timedOut(timeout))
	}
	s.log.Info(ptls.ExplainClient(err, heard), "TLS negotiation failed with error "+errorText(err))
	return err
}

// sessionKey is the key under which the context of a handshake has its session.
type sessionKey struct{}

// sessionConfig makes a configuration fit for the sessions of a connector, which
// share it. It notes which certificate each of them is sent, and asks clients
// for one where the connector has a use for it. Whether that is trusted is judged
// where it is used: many mail hosts present one that nobody could verify, and
// must not lose the connection for that.
func sessionConfig(c *config.ReceiveConnector, base *tls.Config) *tls.Config {
	if base == nil {
		return nil
	}
	cfg := base.Clone()
	if hasMechanism(c, mechanismCertificate) {
		cfg.ClientAuth = tls.RequestClientCert
	}
	cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := (*tls.Certificate)(nil), errNoCertificate
		switch {
		case base.GetCertificate != nil:
			cert, err = base.GetCertificate(hello)
		case len(base.Certificates) > 0:
			cert, err = &base.Certificates[0], nil
		}
		if s, ok := hello.Context().Value(sessionKey{}).(*session); ok && err == nil && cert != nil {
			s.presents(cert, hello.ServerName)
		}
		return cert, err
	}
	return cfg
}

// presents notes which certificate is sent to a client, who asked for a name or
// for none.
func (s *session) presents(cert *tls.Certificate, serverName string) {
	if len(cert.Certificate) > 0 {
		s.certificate = cert.Certificate[0]
	}
	if s.log == nil {
		return
	}
	if serverName != "" {
		s.log.Info(serverName[:min(len(serverName), maxServerName)], "server name asked for")
	}
	s.logCertificate(cert)
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
