package ptls

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
)

// maxChain bounds how many certificates are sent with one.
const maxChain = 10

// chain is what is known of the authorities above a certificate.
type chain struct {
	// certs begin with the certificate and go up, without the root.
	certs []*x509.Certificate
	// missing is the last of certs where its issuer is neither here nor among
	// the roots; nil when nothing is missing.
	missing *x509.Certificate
}

// completeChain finds the authorities above a certificate among others, and asks
// whether it ends at one of them that signs itself, or at a root; nil are those
// of the system. Nothing is fetched.
func completeChain(leaf *x509.Certificate, among []*x509.Certificate, roots *x509.CertPool, now time.Time) chain {
	c := chain{certs: []*x509.Certificate{leaf}}
	if IsSelfSigned(leaf) {
		return c
	}
	last := leaf
	for len(c.certs) < maxChain {
		above := issuerOf(last, among, c.certs, now)
		if above == nil {
			if !endsAtRoot(c.certs, roots, now) {
				c.missing = last
			}
			return c
		}
		if IsSelfSigned(above) {
			return c // who checks the chain has the root
		}
		c.certs = append(c.certs, above)
		last = above
	}
	c.missing = last
	return c
}

// issuerOf is the certificate whose key signed another: of several one that is
// valid now, then one that signs itself, so that a chain gets no longer than it
// has to, then the one that is valid longest.
func issuerOf(of *x509.Certificate, among, but []*x509.Certificate, now time.Time) *x509.Certificate {
	var best *x509.Certificate
	valid := func(c *x509.Certificate) bool { return !now.Before(c.NotBefore) && !now.After(c.NotAfter) }
	for _, c := range among {
		if !bytes.Equal(c.RawSubject, of.RawIssuer) || slices.ContainsFunc(but, c.Equal) || of.CheckSignatureFrom(c) != nil {
			continue
		}
		if best == nil {
			best = c
			continue
		}
		a, b := 0, 0
		for i, has := range []func(*x509.Certificate) bool{IsSelfSigned, valid} {
			if has(c) {
				a |= 1 << i
			}
			if has(best) {
				b |= 1 << i
			}
		}
		if cmp.Or(cmp.Compare(a, b), c.NotAfter.Compare(best.NotAfter)) > 0 {
			best = c
		}
	}
	return best
}

// endsAtRoot asks whether one of the roots signed the last of a chain. Dates
// and names are looked at elsewhere.
func endsAtRoot(certs []*x509.Certificate, roots *x509.CertPool, now time.Time) bool {
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: now}
	for _, c := range certs[1:] {
		o.Intermediates.AddCert(c)
	}
	if leaf := certs[0]; now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		o.CurrentTime = leaf.NotAfter.Add(-time.Second)
	}
	_, err := certs[0].Verify(o)
	return err == nil
}

// findings are what an administrator is told of a certificate that is about to
// be presented: nothing that keeps it from being so.
type findings []config.Finding

func (f *findings) warn(remedy, format string, args ...any) {
	*f = append(*f, config.Finding{Severity: config.Warning, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// review looks at a chain: what is missing, dates, purposes, signatures, and
// which Receive connectors' names the certificate has.
func (c chain) review(connectors []config.ReceiveConnector, now time.Time) findings {
	var f findings
	leaf := c.certs[0]
	renew := "renew it: postern cert renew " + Thumbprint(leaf)[:16]
	switch {
	case c.missing == nil:
	case len(c.certs) > 1:
		// What is missing behind an intermediate certificate is a root, as a rule.
		f = append(f, config.Finding{Severity: config.Note, Remedy: "if it is no root, import its certificate in one file with this one",
			Message: fmt.Sprintf("the chain ends at %s, whose issuer, %s, this system does not know; hosts that check must have that among their roots", quoted(c.missing.Subject.String()), quoted(c.missing.Issuer.String()))})
	default:
		remedy := "get the authority's certificate, and import it in one file with this one; a root of your own that the hosts know needs none"
		if urls := c.missing.IssuingCertificateURL; len(urls) > 0 {
			remedy = fmt.Sprintf("the authority says that it is at %s; import it in one file with this one", friendly(urls[0]))
		}
		f.warn(remedy, "the chain ends at %s: the certificate of its issuer, %s, is neither in the file, nor in the store, nor among this system's authorities, so that hosts that check may not get further",
			quoted(c.missing.Subject.String()), quoted(c.missing.Issuer.String()))
	}
	switch {
	case now.After(leaf.NotAfter):
		f.warn(renew, "the certificate expired on %s", day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		f.warn("wait with enabling it, or set this host's clock", "the certificate is not valid before %s", day(leaf.NotBefore))
	case leaf.NotAfter.Sub(now) < expiresSoon && leaf.NotAfter.Sub(leaf.NotBefore) > 2*expiresSoon:
		f.warn(renew, "the certificate expires on %s", day(leaf.NotAfter))
	}
	for i, x := range c.certs {
		what := "the certificate"
		if i > 0 {
			what = "the intermediate certificate " + quoted(x.Subject.String())
			if now.After(x.NotAfter) {
				f.warn("get the one that has taken its place from the authority, and import it with the certificate", "%s expired on %s", what, day(x.NotAfter))
			}
		}
		if forgeable(x.SignatureAlgorithm) && !IsSelfSigned(x) {
			f.warn("ask the authority for one that is signed with SHA-256", "%s is signed with %s, which can be forged: hosts that check refuse it", what, x.SignatureAlgorithm)
		}
	}
	if !ForServers(leaf) {
		f.warn("ask for one with the extended key usage serverAuth", "the certificate may not be used by servers: clients of Receive connectors that check refuse it")
	}
	if len(leaf.DNSNames) == 0 {
		f.warn("ask for one with the names as subject alternative names", "the certificate has no DNS name; the common name of its subject counts for nothing (RFC 9525 2)")
	} else if names := uncovered(leaf, connectors); len(names) > 0 && len(names) == len(connectorNames(connectors)) {
		f.warn("enable it for a connector by its name, or ask for one with that FQDN", "the certificate is for %s, and for the FQDN of no Receive connector: %s", strings.Join(leaf.DNSNames, ", "), strings.Join(names, ", "))
	}
	return f
}

// ForServers reports whether a certificate may prove who a server is.
func ForServers(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// connectorNames are the FQDNs of the Receive connectors that offer TLS.
func connectorNames(connectors []config.ReceiveConnector) []string {
	var names []string
	for i := range connectors {
		n := message.DomainKey(connectors[i].FQDN)
		if connectors[i].Enabled && OffersTLS(&connectors[i]) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// uncovered are the FQDNs that a certificate is not for.
func uncovered(leaf *x509.Certificate, connectors []config.ReceiveConnector) []string {
	return slices.DeleteFunc(connectorNames(connectors), func(n string) bool { return leaf.VerifyHostname(n) == nil })
}

// quoted is a name of a certificate as it can stand in a sentence.
func quoted(s string) string { return `"` + friendly(s) + `"` }
