package ptls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"postern/internal/message"
)

// Session is what came of a handshake with a next hop.
type Session struct {
	// State is what crypto/tls says of it.
	State tls.ConnectionState
	// Described is version and cipher, as Describe has it.
	Described string
	// Peer is the name that the host's certificate is for, the host's own
	// where it has that.
	Peer string
	// Trust is what the certificate proves: "trusted", "trusted for NAME",
	// "pinned, ...", or the Reason why it proves nothing.
	Trust string
	// Shown is the thumbprint of the certificate of ours that the host asked
	// for and got; empty for none.
	Shown string
	// Asked reports whether the host asked for one.
	Asked bool
	// Withheld says why a certificate that the configuration names was not
	// shown; nil when it was, or there is none.
	Withheld error
}

// ErrMaterial says that the configuration names a file or certificate that
// can't be used: the fault is on this side.
var ErrMaterial = errors.New("TLS can't begin")

// Handshake negotiates TLS with a host, a name or an address, over conn. An
// error is a *CertificateError when the host's certificate does not satisfy the
// policy, wraps ErrMaterial when the fault is ours, and is explained by
// ExplainHandshake otherwise. The session is returned with a *CertificateError
// too, for what it tells.
//
// No session is resumed: every connection proves anew who the host is, and
// connections that are used again save more than tickets would.
func (p Policy) Handshake(ctx context.Context, conn net.Conn, host string, m *Material) (*tls.Conn, *Session, error) {
	roots, own, named, err := m.forPolicy(p)
	if err != nil {
		return nil, nil, err
	}
	s := new(Session)
	c := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		// The standard verification asks one question, is this host's name in
		// a trusted certificate, which is none of the levels: the first asks
		// nothing, the second only for the chain, and the third for a domain
		// that need not be the host's name.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			s.State, s.Peer = cs, peerName(cs, host)
			var err error
			s.Trust, err = p.judge(cs, roots)
			return err
		},
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			s.Asked = true
			return s.show(r, own, named), nil
		},
	}
	// RFC 6066 3: literal addresses are not permitted in the server name.
	if _, err := netip.ParseAddr(host); err != nil {
		c.ServerName = message.DomainKey(host)
	}
	tc := tls.Client(conn, c)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, s, err
	}
	if err := p.mutual(s); err != nil {
		return nil, s, err
	}
	s.State = tc.ConnectionState()
	s.Described = Describe(s.State)
	return tc, s, nil
}

// forPolicy are the authorities and the certificate of ours that a policy rests
// on. An error wraps ErrMaterial.
func (m *Material) forPolicy(p Policy) (roots authorities, own *Entry, named bool, err error) {
	if roots, err = m.authorities(p); err != nil {
		return roots, nil, false, fmt.Errorf("%w: tls_ca_file: %w", ErrMaterial, err)
	}
	if own, named, err = m.certificate(p); err != nil {
		return roots, nil, false, fmt.Errorf("%w: tls_certificate: %w", ErrMaterial, err)
	}
	if t := p.get(); t.mutual && own == nil {
		return roots, nil, false, fmt.Errorf("%w: domain_secure_enabled needs a certificate of ours, and there is none for %s; write tls_certificate", ErrMaterial, t.fqdn)
	}
	return roots, own, named, nil
}

// mutual holds a session against what the policy asks of both sides.
func (p Policy) mutual(s *Session) error {
	if p.get().mutual && !s.Asked {
		return &CertificateError{Reason: NotAsked, Text: "the host did not ask for a certificate of ours, which domain_secure_enabled wants"}
	}
	return nil
}

// Verdict says what Handshake would have made of a session that was negotiated
// under another policy, with the same error, and what the certificate proves.
func (p Policy) Verdict(s *Session, m *Material) (trust string, err error) {
	roots, _, _, err := m.forPolicy(p)
	if err != nil {
		return "", err
	}
	if trust, err = p.judge(s.State, roots); err != nil {
		return trust, err
	}
	return trust, p.mutual(s)
}

// show chooses what to answer to a host that asks for a certificate. One that
// the configuration names is shown also to hosts that list other authorities:
// many list some, and look at none. One that nobody has named is shown where
// its authority is listed and nowhere else: a host that does not know it might
// end the handshake over it, and opportunistic mail would go in clear.
func (s *Session) show(r *tls.CertificateRequestInfo, own *Entry, named bool) *tls.Certificate {
	if own == nil {
		return new(tls.Certificate)
	}
	asked := *r
	switch {
	case named:
		asked.AcceptableCAs = nil
	case len(r.AcceptableCAs) == 0:
		return new(tls.Certificate)
	}
	c := own.TLS()
	if err := asked.SupportsCertificate(c); err != nil {
		if named {
			s.Withheld = err
		}
		return new(tls.Certificate)
	}
	s.Shown = own.Thumbprint()
	return c
}

// peerName is the host's own name where its certificate has it, else the first
// in it.
func peerName(cs tls.ConnectionState, host string) string {
	if len(cs.PeerCertificates) == 0 {
		return ""
	}
	leaf := cs.PeerCertificates[0]
	if matchDomain(leaf, host) {
		return strings.TrimSuffix(host, ".")
	}
	return Names(leaf)[0]
}

// Client says in a few words what of ours the host was shown; empty when it did
// not ask.
func (s *Session) Client() string {
	switch {
	case s.Shown != "":
		return "shown"
	case s.Asked:
		return "asked for"
	}
	return ""
}

// ExplainHandshake puts into words why a handshake failed. Other errors than
// those of a handshake stay as they are.
func ExplainHandshake(err error) string {
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && header.Conn == nil {
		return "the host sent something that is not TLS"
	}
	text := err.Error()
	if _, alert, ok := strings.Cut(text, "remote error: tls: "); ok {
		return explainAlert(alert)
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "the host cut the connection in the handshake"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "the host did not finish the handshake in time"
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "the host sent something that is not TLS"
	}
	if _, v, ok := strings.Cut(text, "server selected unsupported protocol version "); ok {
		if n, e := strconv.ParseUint(v, 16, 16); e == nil {
			return fmt.Sprintf("the host speaks %s, and TLS 1.2 is the oldest that is safe", tls.VersionName(uint16(n)))
		}
	}
	return strings.TrimPrefix(text, "tls: ")
}

// explainAlert puts the alerts that mean something to an administrator into
// words (RFC 8446 6.2). They go by the texts of crypto/tls, which keeps their
// numbers to itself.
func explainAlert(alert string) string {
	text := map[string]string{
		"handshake failure":              "the host finds no cipher or kind of key in common with us, or wants a certificate of ours",
		"bad certificate":                "the host does not accept our certificate",
		"unsupported certificate":        "the host does not accept our kind of certificate",
		"revoked certificate":            "the host says that our certificate is revoked",
		"expired certificate":            "the host says that our certificate has expired",
		"unknown certificate":            "the host does not accept our certificate",
		"unknown certificate authority":  "the host does not know who issued our certificate",
		"access denied":                  "the host denies us access",
		"protocol version not supported": "the host speaks no version of TLS from 1.2 on, and older ones are not safe",
		"insufficient security level":    "the host wants stronger ciphers than there are in common",
		"internal error":                 "the host has trouble of its own",
		"unrecognized name":              "the host does not know the name by which it was called",
		"certificate required":           "the host wants a certificate of ours",
	}[alert]
	if text == "" {
		return "the host refuses the handshake: " + alert
	}
	return fmt.Sprintf("%s (alert: %s)", text, alert)
}
