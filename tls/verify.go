package ptls

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
)

// Reason is in a word or two why a certificate proves nothing.
type Reason string

// The reasons.
const (
	Missing       Reason = "no certificate"
	Expired       Reason = "expired"
	NotYetValid   Reason = "not yet valid"
	SelfSigned    Reason = "self-signed"
	UnknownIssuer Reason = "unknown issuer"
	WrongName     Reason = "wrong name"
	WeakKey       Reason = "weak key"
	WeakSignature Reason = "weak signature"
	WrongPurpose  Reason = "not for servers"
	NotPinned     Reason = "not pinned"
	NotAsked      Reason = "our certificate was not asked for"
	Malformed     Reason = "invalid"
)

// CertificateError says why a next hop's certificate does not satisfy the
// policy.
type CertificateError struct {
	Reason Reason
	// Text says it in a sentence about the certificate, as "it expired on
	// 2026-10-21".
	Text string
	// Names are those that the certificate is for.
	Names []string
	Err   error // may be nil
}

func (e *CertificateError) Error() string {
	if len(e.Names) == 0 {
		return e.Text
	}
	return fmt.Sprintf("%s. It is for %s", e.Text, abridged(e.Names))
}

func (e *CertificateError) Unwrap() error { return e.Err }

// abridged lists names, of which a certificate may have hundreds.
func abridged(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// authorities are those that a chain may end at.
type authorities struct {
	pool *x509.CertPool // nil: the system's
	file string         // where they stand; empty: the system's
}

func (a authorities) String() string {
	if a.file == "" {
		return "the authorities that this host trusts"
	}
	return "the authorities in " + filepath.Base(a.file)
}

// judge holds the certificate of a session against the policy. Result says
// what the certificate proves, also where nothing is asked of it.
func (p Policy) judge(cs tls.ConnectionState, roots authorities) (result string, err error) {
	t := p.get()
	if len(cs.PeerCertificates) == 0 {
		if t.mode != config.TLSRequired || t.level == config.EncryptionOnly && len(t.pins) == 0 {
			return string(Missing), nil
		}
		return string(Missing), &CertificateError{Reason: Missing, Text: "the host presented no certificate"}
	}
	leaf := cs.PeerCertificates[0]
	chain := verifyChain(cs.PeerCertificates, roots)
	result = "trusted"
	if chain != nil {
		result = string(chain.Reason)
	}
	if len(t.pins) > 0 {
		if e := matchPins(leaf, t.pins); e != nil {
			return string(NotPinned), e
		}
		result = "pinned, " + result
	}
	if t.level != config.CertificateValidation && t.level != config.DomainValidation {
		return result, nil
	}
	if chain != nil {
		return result, chain
	}
	if t.level == config.DomainValidation {
		name, e := matchNames(leaf, p.Names())
		if e != nil {
			return string(WrongName), e
		}
		result += " for " + name
	}
	return result, nil
}

// verifyChain builds a chain from the first certificate to an authority. It
// returns nil when there is a good one.
func verifyChain(certs []*x509.Certificate, roots authorities) *CertificateError {
	leaf := certs[0]
	opts := x509.VerifyOptions{Roots: roots.pool, Intermediates: x509.NewCertPool()}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(opts)
	if err != nil {
		return explainChain(certs, roots, err)
	}
	for _, c := range chains[0][:max(len(chains[0])-1, 1)] { // the authority's own is trusted as it is
		if bits := weakKey(c); bits > 0 {
			return &CertificateError{Reason: WeakKey, Names: Names(leaf),
				Text: fmt.Sprintf("the key of %s has %d bits only", whose(c, leaf), bits)}
		}
	}
	return nil
}

// whose names a certificate of a chain.
func whose(c, leaf *x509.Certificate) string {
	if c == nil || c.Equal(leaf) {
		return "the host's certificate"
	}
	return fmt.Sprintf("the intermediate certificate %q", c.Subject.String())
}

// explainChain puts into words why there is no good chain.
func explainChain(certs []*x509.Certificate, roots authorities, err error) *CertificateError {
	leaf := certs[0]
	e := &CertificateError{Reason: Malformed, Text: "the host's certificate is not valid: " + err.Error(), Names: Names(leaf), Err: err}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		c := invalid.Cert
		switch now := time.Now(); {
		case invalid.Reason == x509.Expired && c != nil && now.Before(c.NotBefore):
			e.Reason, e.Text = NotYetValid, fmt.Sprintf("%s is not valid before %s", whose(c, leaf), day(c.NotBefore))
		case invalid.Reason == x509.Expired && c != nil:
			e.Reason, e.Text = Expired, fmt.Sprintf("%s expired on %s", whose(c, leaf), day(c.NotAfter))
		case invalid.Reason == x509.IncompatibleUsage:
			e.Reason, e.Text = WrongPurpose, "the host's certificate may not be used by servers"
		}
		return e
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		e.Reason, e.Text = UnknownIssuer, "the authorities that this host trusts can't be read, so that no certificate proves anything; install them (ca-certificates), or write tls_ca_file"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		// An authority whose signature can be forged is passed over as unknown.
		weak := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return forgeable(c.SignatureAlgorithm) && !IsSelfSigned(c) })
		switch {
		case weak >= 0:
			e.Reason, e.Text = WeakSignature, fmt.Sprintf("%s is signed with %s, which can be forged", whose(certs[weak], leaf), certs[weak].SignatureAlgorithm)
		case IsSelfSigned(leaf):
			e.Reason, e.Text = SelfSigned, "the host's certificate is self-signed: no authority vouches for it"
		case len(certs) == 1:
			e.Reason, e.Text = UnknownIssuer, fmt.Sprintf("the host's certificate was issued by %q, which is not among %s, and the host sent no intermediate certificate", leaf.Issuer.String(), roots)
		default:
			e.Reason, e.Text = UnknownIssuer, fmt.Sprintf("the host's certificate was issued by %q, whose chain does not end at one of %s", leaf.Issuer.String(), roots)
		}
	}
	return e
}

// forgeable reports whether signatures rest on a broken digest.
func forgeable(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// minRSA and minECDSA are the least sizes of keys, in bits, that validated
// certificates may have (the CA/Browser Forum's baseline requirements, 6.1.5).
const (
	minRSA   = 2048
	minECDSA = 256
)

// weakKey is the size of a certificate's key when it is too short, else zero.
func weakKey(c *x509.Certificate) int {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA {
			return n
		}
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n < minECDSA {
			return n
		}
	}
	return 0
}

// IsSelfSigned reports whether a certificate is signed with its own key.
func IsSelfSigned(c *x509.Certificate) bool {
	return string(c.RawIssuer) == string(c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// PublicKeyThumbprint is the SHA-256 digest of a certificate's
// SubjectPublicKeyInfo in upper-case hexadecimal, which outlives the
// certificate (RFC 7469 2.4, RFC 6698 2.1.2).
func PublicKeyThumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func matchPins(leaf *x509.Certificate, pins []string) *CertificateError {
	own, key := Thumbprint(leaf), config.PublicKeyPin+PublicKeyThumbprint(leaf)
	if slices.Contains(pins, own) || slices.Contains(pins, key) {
		return nil
	}
	return &CertificateError{Reason: NotPinned, Names: Names(leaf),
		Text: fmt.Sprintf("the host's certificate is none of those that are pinned. Its fingerprint is %s, that of its public key %s", own, key)}
}

// matchNames looks for one of the wanted names in a certificate. The common
// name of its subject counts for nothing (RFC 9525 2).
func matchNames(leaf *x509.Certificate, wanted []string) (string, *CertificateError) {
	for _, name := range wanted {
		if matchDomain(leaf, name) {
			return name, nil
		}
	}
	e := &CertificateError{Reason: WrongName, Names: Names(leaf), Text: "the host's certificate is not for " + strings.Join(wanted, " or ")}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		e.Names, e.Text = nil, fmt.Sprintf("%s. It has no names at all but the common name %q, which does not count", e.Text, leaf.Subject.CommonName)
	}
	return "", e
}

// matchDomain looks for a domain or address among the certificate's names. A
// wildcard in the certificate stands for one label (RFC 9525 6.3); one in the
// domain that is looked for, which an administrator wrote, for one or more.
func matchDomain(leaf *x509.Certificate, domain string) bool {
	if a, ok := address(domain); ok {
		return leaf.VerifyHostname(a.WithZone("").String()) == nil
	}
	base, any := strings.CutPrefix(domain, "*.")
	base = message.DomainKey(base)
	if !any {
		return leaf.VerifyHostname(base) == nil
	}
	return slices.ContainsFunc(leaf.DNSNames, func(name string) bool {
		return strings.HasSuffix(strings.ToLower(name), "."+base)
	})
}

// IsFor reports whether a certificate is for a domain or an address:
// "*.contoso.example" stands for any name below. It says nothing of whether the
// certificate is to be trusted.
func IsFor(c *x509.Certificate, domain string) bool { return matchDomain(c, domain) }

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
