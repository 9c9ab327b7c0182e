package ptls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"postern/config"
)

// CheckReceive reads the certificates that clients of Receive connectors would
// see on this host, and reports what is wrong with them and with the choice.
// Where there is no certificate directory, as on the desk of an administrator,
// names are not looked up.
func CheckReceive(cfg *config.Config) []config.Finding {
	c := &receiveCheck{cfg: cfg, now: time.Now(), directory: StoreDirectory(cfg)}
	_, err := os.Stat(c.directory)
	c.store = !errors.Is(err, fs.ErrNotExist)
	chooser, problems := ReadChooser(cfg)
	for _, p := range problems {
		if c.store {
			c.add(config.Warning, "server.certificate_directory", "mend it, or take it out of the directory", "%v", p)
		}
	}
	for i := range cfg.ReceiveConnectors {
		if r := &cfg.ReceiveConnectors[i]; r.Enabled && OffersTLS(r) {
			c.connector(chooser, r, fmt.Sprintf("receive_connector[%d]", i))
		}
	}
	return c.findings
}

type receiveCheck struct {
	cfg       *config.Config
	now       time.Time
	directory string
	store     bool // the directory is there
	findings  []config.Finding
}

func (c *receiveCheck) add(s config.Severity, path, remedy, format string, args ...any) {
	c.findings = append(c.findings, config.Finding{Severity: s, Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (c *receiveCheck) connector(chooser *Chooser, r *config.ReceiveConnector, row string) {
	if !c.store && !isPath(r.TLSCertificate) {
		return
	}
	choice := chooser.Choose(r, "", c.now)
	who := fmt.Sprintf("receive connector %q: ", r.Name)
	at := row + ".fqdn"
	if r.TLSCertificate != "" {
		at = row + ".tls_certificate"
	}
	if choice.Problem != nil {
		severity := config.Warning
		if r.TLSCertificate == "" && localOnly(r) {
			severity = config.Note // nobody there looks at it
		}
		next := "the self-signed certificate is presented"
		if choice.By != ByNothing {
			next = fmt.Sprintf("%s is presented", choice.Entry.called())
		}
		c.add(severity, at, choice.Remedy, "%s%s; %s", who, strings.ReplaceAll(choice.Problem.Error(), "\n", "; "), next)
	}
	c.shown(chooser, r, choice, who, at)
}

// Warnings tell what is wrong with the certificates that clients of a Receive
// connector see, beyond the Problem of the choice.
func (c *Chooser) Warnings(r *config.ReceiveConnector, now time.Time) []config.Finding {
	check := &receiveCheck{now: now, directory: c.directory, store: true}
	check.shown(c, r, c.Choose(r, "", now), "", "")
	return slices.DeleteFunc(check.findings, func(f config.Finding) bool { return f.Severity != config.Warning })
}

// shown looks at the certificates of a choice.
func (c *receiveCheck) shown(chooser *Chooser, r *config.ReceiveConnector, choice Choice, who, at string) {
	if choice.By == ByNothing {
		return
	}
	if choice.By == ByConfiguration {
		c.ambiguous(chooser, r, who, at)
	}
	if choice.By != ByFQDN && !localOnly(r) && !slices.ContainsFunc(choice.all(), func(e *Entry) bool { return matchDomain(e.Leaf(), r.FQDN) }) {
		c.add(config.Warning, at, fmt.Sprintf("postern cert request --connector %q, or write the fqdn that the certificate is for", r.Name),
			"%sthe certificate that clients see, %s, is not for the connector's FQDN, %s", who, choice.Entry.called(), r.FQDN)
	}
	for _, e := range choice.all() {
		c.entry(e, who, at)
	}
}

// all are the certificates of a choice.
func (c *Choice) all() []*Entry {
	if c.Entry == nil {
		return nil
	}
	return append([]*Entry{c.Entry}, c.Others...)
}

// called names a certificate to an administrator.
func (e *Entry) called() string {
	return fmt.Sprintf("%q (%s)", e.FriendlyName, e.Thumbprint()[:16])
}

// localOnly reports whether a connector is reached from this host alone.
func localOnly(r *config.ReceiveConnector) bool {
	for _, b := range r.Bindings {
		if !b.Addr().Unmap().IsLoopback() {
			return false
		}
	}
	return true
}

// ambiguous tells of a name that stands for certificates with different names
// in them, of which one is taken that may not be meant.
func (c *receiveCheck) ambiguous(chooser *Chooser, r *config.ReceiveConnector, who, at string) {
	if isPath(r.TLSCertificate) {
		return
	}
	var named []*Entry
	var texts []string
	for _, e := range chooser.Listing().Entries {
		if e.goesBy(r.TLSCertificate) && e.Usable(c.now) == nil && e != chooser.own {
			named = append(named, e)
			texts = append(texts, e.called())
		}
	}
	for _, e := range named {
		if nameSet(e) != nameSet(named[0]) {
			c.add(config.Warning, at, "write the thumbprint of the one that is meant", "%stls_certificate: %q stands for certificates that are for different names: %s",
				who, r.TLSCertificate, abridged(texts))
			return
		}
	}
}

// nameSet are the names of a certificate, in one order.
func nameSet(e *Entry) string {
	names := slices.Clone(Names(e.Leaf()))
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// entry tells what is wrong with a certificate that is presented.
func (c *receiveCheck) entry(e *Entry, who, at string) {
	leaf := e.Leaf()
	name := e.called()
	renew := "renew it: postern cert renew " + e.Thumbprint()[:16]
	switch {
	case c.now.Before(leaf.NotBefore):
		c.add(config.Warning, at, "wait, or set the clock right", "%sthe certificate %s is not valid before %s", who, name, leaf.NotBefore.UTC().Format(time.RFC3339))
	case c.now.After(leaf.NotAfter):
		c.add(config.Warning, at, renew, "%sthe certificate %s expired on %s; it is presented all the same", who, name, day(leaf.NotAfter))
	case leaf.NotAfter.Sub(c.now) < expiresSoon:
		c.add(config.Warning, at, renew, "%sthe certificate %s expires on %s", who, name, day(leaf.NotAfter))
	}
	for _, x := range e.Chain {
		if forgeable(x.SignatureAlgorithm) && !IsSelfSigned(x) {
			c.add(config.Warning, at, "have it issued anew", "%s%s is signed with %s, which can be forged", who, link(x, e, name), x.SignatureAlgorithm)
		}
		if bits := weakKey(x); bits > 0 {
			c.add(config.Warning, at, "have it issued anew, for a key of at least 2048 bits (RSA) or 256 bits (ECDSA)", "%sthe key of %s has %d bits only", who, link(x, e, name), bits)
		}
	}
	if !forServers(leaf) {
		c.add(config.Warning, at, "ask for one with the extended key usage serverAuth", "%sthe certificate %s may not be used by servers", who, name)
	}
	c.chain(e, who, at, name)
}

// link names a certificate of a chain.
func link(x *x509.Certificate, e *Entry, name string) string {
	if x == e.Leaf() {
		return "the certificate " + name
	}
	return fmt.Sprintf("the intermediate certificate %q of %s", x.Subject.String(), name)
}

func forServers(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// chain tells of a chain in which a link is missing. An authority that is not
// among the system's may well be meant.
func (c *receiveCheck) chain(e *Entry, who, at, name string) {
	if e.SelfSigned() {
		return
	}
	opts := x509.VerifyOptions{Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, x := range e.Chain[1:] {
		opts.Intermediates.AddCert(x)
	}
	_, err := e.Leaf().Verify(opts)
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		return
	}
	last := e.Chain[len(e.Chain)-1]
	if len(last.IssuingCertificateURL) > 0 {
		c.add(config.Warning, at, fmt.Sprintf("put the certificate of the issuer, which is at %s, into %s behind the others", last.IssuingCertificateURL[0], e.File),
			"%sthe chain of %s ends at %q, which no authority of this host has issued: an intermediate certificate is missing, or hosts elsewhere don't know the authority either", who, name, last.Subject.String())
		return
	}
	if e.Incomplete {
		c.add(config.Warning, at, "get it, and import it in one file with the certificate: postern cert import FILE; that of a root, too, which is not sent along",
			"%sthe chain of %s lacks the certificate of its issuer, %q, which was missing when it was imported: hosts that verify may get no further", who, name, last.Issuer.String())
		return
	}
	remedy := "where strangers verify, have a public authority issue it"
	if len(e.Chain) == 1 {
		remedy = "where that is an intermediate authority, import its certificate in one file with this one: postern cert import FILE; " + remedy
	}
	c.add(config.Note, at, remedy, "%sthe certificate %s comes from an authority that this host does not know, %q; hosts that verify it must know it", who, name, last.Issuer.String())
}
