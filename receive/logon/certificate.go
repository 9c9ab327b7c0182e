package logon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"postern/internal/message"
	"postern/routing"
	ptls "postern/tls"
)

// subject is one certificate_subject: "<I>issuer<S>subject", after the model of
// TlsCertificateName (reference 1.4), the issuer only where it matters.
type subject struct {
	issuer, subject string
	account         *Account
}

func parseSubject(text string) (subject, error) {
	before, name, ok := strings.Cut(text, "<S>")
	issuer, hasIssuer := strings.CutPrefix(before, "<I>")
	if !ok || name == "" || before != "" && (!hasIssuer || issuer == "") {
		return subject{}, fmt.Errorf("certificate_subject %q is not written <S>subject or <I>issuer<S>subject", text)
	}
	return subject{issuer: plainName(issuer), subject: plainName(name)}, nil
}

// plainName is a distinguished name without the spaces that people write
// behind commas.
func plainName(dn string) string {
	parts := strings.Split(dn, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, ",")
}

// external is EXTERNAL (RFC 4422 A): the certificate of the client's TLS.
type external struct {
	store *Store
	peer  Peer
}

func (x external) Next(_ context.Context, response []byte) (Step, error) {
	if response == nil {
		return Step{Challenge: []byte{}}, nil
	}
	if !utf8.Valid(response) || bytes.ContainsRune(response, 0) || len(response) > maxName { // RFC 4422 A.1
		return Step{}, malformed("the authorization identity is no UTF-8")
	}
	a, err := x.store.certified(x.peer)
	if err != nil {
		return Step{}, err
	}
	if !a.enabled {
		return Step{}, refused(a, errDisabled)
	}
	if err := x.store.actsAs(a, string(response)); err != nil {
		return Step{}, err
	}
	return Step{Done: true, Account: a}, nil
}

// certified finds the account of a client certificate: by its digest, whoever
// issued it, or by its subject when it comes from a trusted authority.
func (s *Store) certified(peer Peer) (*Account, error) {
	if peer.TLS == nil || len(peer.TLS.PeerCertificates) == 0 {
		return nil, errors.New("the client presented no certificate")
	}
	leaf := peer.TLS.PeerCertificates[0]
	t := s.accounts()
	if a := t.byThumbprint[ptls.Thumbprint(leaf)]; a != nil {
		if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return nil, refused(a, errors.New("the certificate is not valid at this time"))
		}
		return a, nil
	}
	var verified error
	subjectName, issuerName := leaf.Subject.String(), leaf.Issuer.String()
	for _, r := range t.subjects {
		if r.subject != plainName(subjectName) || r.issuer != "" && r.issuer != plainName(issuerName) {
			continue
		}
		if verified = verifyClient(peer.TLS, peer.Roots); verified == nil {
			return r.account, nil
		}
		return nil, refused(r.account, fmt.Errorf("the certificate is not trusted: %w", verified))
	}
	return nil, errors.New("the certificate belongs to no user")
}

// verifyClient asks whether the client's certificate comes from a trusted
// authority. Certificates for servers count too: public authorities issue no
// others to mail hosts any more.
func verifyClient(cs *tls.ConnectionState, roots *x509.CertPool) error {
	opts := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, c := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(opts)
	return err
}

// DomainsOf returns those of the domains that the client's certificate is for,
// itself or under a wildcard; "*.contoso.example" among the domains stands for
// any name below. It returns an error instead when the certificate is for one and
// is not trusted.
func DomainsOf(peer Peer, domains []string) ([]string, error) {
	if peer.TLS == nil || len(peer.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	leaf := peer.TLS.PeerCertificates[0]
	var found []string
	for _, d := range domains {
		if ptls.IsFor(leaf, d) {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	if err := verifyClient(peer.TLS, peer.Roots); err != nil {
		return nil, fmt.Errorf("the certificate for %s is not trusted: %w", found[0], err)
	}
	return found, nil
}

// Partner is a domain that a client certificate proves (mutual TLS).
type Partner struct {
	// Name is the certificate's name that proves it.
	Name    string
	senders routing.Senders
}

// MaySendAs reports whether from is in the proven domains.
func (p *Partner) MaySendAs(from message.Address) bool { return p.senders.Match(from) }

// PartnerOf looks for domains that the client's certificate names, themselves
// or as a host below them. It returns nil without an error when there is none,
// and an error when there is one in a certificate that is not trusted.
func PartnerOf(peer Peer, domains []string) (*Partner, error) {
	if peer.TLS == nil || len(peer.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	var proven []string
	name := ""
	for _, d := range domains {
		key := message.DomainKey(d)
		for _, n := range peer.TLS.PeerCertificates[0].DNSNames {
			if host := message.DomainKey(strings.TrimPrefix(n, "*.")); host == key || strings.HasSuffix(host, "."+key) {
				proven = append(proven, d)
				name = n
				break
			}
		}
	}
	if len(proven) == 0 {
		return nil, nil
	}
	if err := verifyClient(peer.TLS, peer.Roots); err != nil {
		return nil, fmt.Errorf("the certificate for %s is not trusted: %w", name, err)
	}
	senders, err := routing.ParseSenders(proven)
	if err != nil {
		return nil, err
	}
	return &Partner{Name: name, senders: senders}, nil
}
