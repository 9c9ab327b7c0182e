package ptls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"postern/config"
)

// Policy is what the TLS of one next hop must be.
type Policy struct {
	// Mode is config.TLSRequired, TLSOpportunistic or TLSIgnoreSTARTTLS.
	Mode string
	// Level is what a required connection must prove: config.EncryptionOnly,
	// CertificateValidation or DomainValidation.
	Level string
	// Domain are the names, parted by spaces, of which DomainValidation looks
	// for one in the certificate; "*.contoso.example" stands for any below.
	Domain string
	// Reason says where the policy comes from, for logs and explanations.
	Reason string
}

// PolicyFor decides what the TLS of a next hop must be. It is the only place
// that does: whatever else comes to have a say in it says it here.
//
// recipientDomain is the domain that the mail is for; DomainValidation looks
// for it when the connector has no tls_domain (reference 2.1).
func PolicyFor(c *config.SendConnector, recipientDomain string) Policy {
	p := Policy{Mode: c.TLS, Reason: fmt.Sprintf("send connector %q has tls = %q", c.Name, c.TLS)}
	if p.Mode != config.TLSRequired {
		return p
	}
	p.Level = c.TLSAuthLevel
	if p.Level == "" {
		p.Level = config.EncryptionOnly
	}
	p.Reason += fmt.Sprintf(", tls_auth_level = %q", p.Level)
	if p.Level == config.DomainValidation {
		p.Domain = strings.Join(c.TLSDomain, " ")
		if p.Domain == "" {
			p.Domain = recipientDomain
		}
		p.Reason += fmt.Sprintf(", certificate name %q", p.Domain)
	}
	return p
}

// Uses reports whether TLS is to be tried at all.
func (p Policy) Uses() bool { return p.Mode != config.TLSIgnoreSTARTTLS }

// Required reports whether a message must wait rather than travel in clear.
func (p Policy) Required() bool { return p.Mode == config.TLSRequired }

// CertificateError says why a next hop's certificate does not satisfy the
// policy. Subject and Names describe the certificate that was presented.
type CertificateError struct {
	Level string
	Names []string
	Err   error
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("certificate validation failure (%s): %v; the certificate is for %s",
		e.Level, e.Err, strings.Join(e.Names, ", "))
}

func (e *CertificateError) Unwrap() error { return e.Err }

// ClientConfig returns the configuration for a handshake with host, a name or
// an address. Roots nil means the system's. A certificate that does not
// satisfy the policy ends the handshake with a *CertificateError.
//
// The standard verification is off because its one question, is this host's
// name in a trusted certificate, is none of the three levels: the first asks
// nothing, the second only for the chain, and the third for a domain that is
// not the host's name.
func (p Policy) ClientConfig(host string, roots *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return p.verify(cs, roots) },
	}
	// RFC 6066 3: literal addresses are not permitted in the server name.
	if _, err := netip.ParseAddr(host); err != nil {
		c.ServerName = strings.TrimSuffix(host, ".")
	}
	return c
}

func (p Policy) verify(cs tls.ConnectionState, roots *x509.CertPool) error {
	if p.Level != config.CertificateValidation && p.Level != config.DomainValidation {
		return nil
	}
	if len(cs.PeerCertificates) == 0 {
		return &CertificateError{Level: p.Level, Err: errors.New("the next hop presented none")}
	}
	leaf := cs.PeerCertificates[0]
	fail := func(err error) error {
		return &CertificateError{Level: p.Level, Names: Names(leaf), Err: err}
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return fail(err)
	}
	if p.Level == config.DomainValidation {
		var errs []error
		for domain := range strings.FieldsSeq(p.Domain) {
			err := matchDomain(leaf, domain)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return fail(errors.Join(errs...))
	}
	return nil
}

// matchDomain looks for domain among the certificate's names. A wildcard in
// the certificate stands for one label (RFC 6125 6.4.3); one in the domain
// that is looked for, which an administrator wrote, for one or more.
func matchDomain(leaf *x509.Certificate, domain string) error {
	suffix, any := strings.CutPrefix(domain, "*.")
	if !any {
		return leaf.VerifyHostname(domain)
	}
	for _, name := range leaf.DNSNames {
		if strings.HasSuffix(strings.ToLower(name), "."+strings.ToLower(suffix)) {
			return nil
		}
	}
	return fmt.Errorf("no name below %s in it", suffix)
}

// Names lists the names that a certificate is for: its DNS names and
// addresses, or else its subject.
func Names(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, c.Subject.String())
	}
	return names
}
