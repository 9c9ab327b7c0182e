package ptls

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
)

// By says what decided on a certificate.
type By string

// What decides, in this order.
const (
	// ByConfiguration: tls_certificate of the Receive connector.
	ByConfiguration By = "tls_certificate"
	// ByAssignment: "postern cert enable --connector".
	ByAssignment By = "assignment"
	// BySNI: the name that the client asked for (RFC 6066 3), where another
	// enabled certificate is for it.
	BySNI By = "server_name"
	// ByFQDN: the connector's FQDN.
	ByFQDN By = "fqdn"
	// ByNothing: no certificate is for the connector, and the gateway's own
	// self-signed one stands in.
	ByNothing By = "self_signed"
)

// Choice is which certificate a client sees, and why.
type Choice struct {
	By By
	// Name is what the certificate was looked up by: the value of
	// tls_certificate, a thumbprint, the FQDN, or the name that the client asked
	// for.
	Name string
	// Entry is nil where the self-signed certificate stands in and was not made
	// yet, or is not in the store.
	Entry *Entry
	// Others are as good for the same name and have keys of other kinds, for
	// clients that can't use that of Entry.
	Others []*Entry
	// Reason says in words why it is this one.
	Reason string
	// Problem is why a certificate that was named before is passed over, or
	// that none is for the connector; nil when all is as it should be. That the
	// certificate has expired or is about to is not among them.
	Problem error
	// Remedy is what to do about Problem.
	Remedy string
}

// Chooser decides which certificate clients of Receive connectors see: the only
// place that does. It is never changed.
type Chooser struct {
	listing     *Listing
	directory   string
	assignments Assignments
	// files are the certificates that tls_certificate names by their paths, and
	// why others can't be read.
	files map[string]*Entry
	fails map[string]error
	// exact and below are the enabled entries by their DNS names, below those
	// with "*.", by what stands behind. The self-signed certificate of the
	// gateway's own is in neither.
	exact, below map[string][]*Entry
	own          *Entry // that one, if it is in the store
	// requested are the requests that wait, by the DNS names in them.
	requested map[string]*Waiting
}

// ReadChooser reads the certificate store, its assignments, and the files that
// Receive connectors name. What can't be read is an error among those returned
// beside a Chooser that knows the rest.
func ReadChooser(cfg *config.Config) (*Chooser, []error) {
	directory := StoreDirectory(cfg)
	listing, err := ReadDirectory(directory)
	errs := slices.Clone(listing.Problems)
	if err != nil {
		errs = append(errs, fmt.Errorf("the certificate directory can't be read: %w", err))
	}
	assignments, err := ReadAssignments(directory)
	if err != nil {
		errs = append(errs, fmt.Errorf("the assignments of certificates can't be read: %w", err))
	}
	files, fails := namedFiles(cfg)
	return newChooser(directory, listing, assignments, files, fails), errs
}

// namedFiles reads the files that Receive connectors name by their paths, and
// says why others can't be read.
func namedFiles(cfg *config.Config) (files map[string]*Entry, fails map[string]error) {
	files, fails = make(map[string]*Entry), make(map[string]error)
	for i := range cfg.ReceiveConnectors {
		path := cfg.ReceiveConnectors[i].TLSCertificate
		if !isPath(path) {
			continue
		}
		if e, err := ReadEntry(path); err != nil {
			fails[path] = err
		} else {
			files[path] = e
		}
	}
	return files, fails
}

func newChooser(directory string, l *Listing, a Assignments, files map[string]*Entry, fails map[string]error) *Chooser {
	c := &Chooser{listing: l, directory: directory, assignments: a, files: files, fails: fails,
		exact: make(map[string][]*Entry), below: make(map[string][]*Entry), requested: make(map[string]*Waiting)}
	for _, w := range l.Waiting {
		for _, name := range w.Names() {
			c.requested[strings.ToLower(name)] = w
		}
	}
	for _, e := range l.Entries {
		if filepath.Base(e.File) == selfSignedFile && e.SelfSigned() {
			c.own = e
			continue
		}
		if !e.Enabled || e.Key == nil {
			continue
		}
		for _, name := range e.Leaf().DNSNames {
			name = strings.ToLower(name)
			if base, star := strings.CutPrefix(name, "*."); star {
				c.below[base] = append(c.below[base], e)
			} else {
				c.exact[name] = append(c.exact[name], e)
			}
		}
	}
	return c
}

// Listing is what stands in the certificate store.
func (c *Chooser) Listing() *Listing { return c.listing }

// Choose decides for a connector and the name that a client asks for in its
// handshake, empty for none. It does no I/O.
func (c *Chooser) Choose(r *config.ReceiveConnector, serverName string, now time.Time) Choice {
	var problems []error
	remedy := ""
	for _, try := range []func(*config.ReceiveConnector, time.Time) (Choice, bool){c.configured, c.assigned} {
		choice, ok := try(r, now)
		if ok {
			choice.Problem, choice.Remedy = errors.Join(problems...), remedy
			return choice
		}
		if choice.Problem != nil {
			problems = append(problems, choice.Problem)
			remedy = choice.Remedy
		}
	}
	choice := c.byName(r, serverName, now)
	if choice.Problem != nil {
		problems = append(problems, choice.Problem)
	}
	if remedy != "" {
		choice.Remedy = remedy
	}
	choice.Problem = errors.Join(problems...)
	return choice
}

// configured is what tls_certificate says.
func (c *Chooser) configured(r *config.ReceiveConnector, now time.Time) (Choice, bool) {
	name := r.TLSCertificate
	if name == "" {
		return Choice{}, false
	}
	out := Choice{By: ByConfiguration, Name: name, Reason: "tls_certificate names it",
		Remedy: "write another name for tls_certificate, such as the thumbprint that postern cert list prints (16 digits at least), or put certificate and key where it says"}
	if strings.HasPrefix(name, "<") {
		out.Remedy = "write the thumbprint that postern cert list prints for tls_certificate; issuer and subject (<I>...<S>...) are not looked up"
	}
	if isPath(name) {
		if out.Entry = c.files[name]; out.Entry == nil {
			out.Problem = fmt.Errorf("tls_certificate can't be used: %w", cmp.Or(c.fails[name], errors.New(name+" was not read yet")))
			return out, false
		}
		return out, true
	}
	var found []*Entry
	for _, e := range c.listing.Entries {
		if e.goesBy(name) {
			found = append(found, e)
		}
	}
	out.pick(found, name, now)
	switch {
	case out.Entry == nil:
		out.Problem = fmt.Errorf("tls_certificate: there is no certificate %q in %s", name, c.directory)
		if e := c.listing.disabled(name, now); e != nil {
			out.Problem = fmt.Errorf("tls_certificate: the certificate %q in %s is not enabled", name, c.directory)
			out.Remedy = "enable it: postern cert enable " + e.Thumbprint()[:16] + " --smtp"
		}
	case out.Entry.Key == nil:
		out.Problem = fmt.Errorf("tls_certificate: %w", out.Entry.Usable(now))
	}
	return out, out.Problem == nil
}

// disabled is the best entry that would go by the name if it were enabled, and
// would be of use then.
func (l *Listing) disabled(name string, now time.Time) *Entry {
	var best *Entry
	for _, e := range l.Entries {
		if !e.Enabled && e.Has(name) && e.Usable(now) == nil && (best == nil || better(e, best, name, now)) {
			best = e
		}
	}
	return best
}

// assigned is what "postern cert enable" has written down.
func (c *Chooser) assigned(r *config.ReceiveConnector, now time.Time) (Choice, bool) {
	t := c.assignments.For(r.Name)
	if t == "" {
		return Choice{}, false
	}
	out := Choice{By: ByAssignment, Name: t, Reason: "it was assigned to the connector (postern cert enable)",
		Remedy: fmt.Sprintf("assign another: postern cert enable THUMBPRINT --connector %q", r.Name)}
	for _, e := range c.listing.Entries {
		if e.Thumbprint() == t && (out.Entry == nil || e.Key != nil) {
			out.Entry = e
		}
	}
	switch {
	case out.Entry == nil:
		out.Problem = fmt.Errorf("the certificate that is assigned to the connector, %s, is not in %s", t, c.directory)
	case out.Entry.Key == nil:
		out.Problem = fmt.Errorf("the certificate that is assigned to the connector can't be used: %w", out.Entry.Usable(now))
	}
	return out, out.Problem == nil
}

// byName is the choice by the name that the client asks for, then by the
// connector's own.
func (c *Chooser) byName(r *config.ReceiveConnector, serverName string, now time.Time) Choice {
	if serverName != "" {
		out := Choice{By: BySNI, Name: serverName, Reason: "it is for the name that the client asked for (SNI)"}
		// One that can't verify does no better than the connector's.
		if out.pick(c.named(serverName), serverName, now); out.Entry != nil && out.Entry.Usable(now) == nil {
			return out
		}
	}
	fqdn := message.DomainKey(r.FQDN)
	out := Choice{By: ByFQDN, Name: fqdn, Reason: "it is for the connector's FQDN, " + fqdn}
	if out.pick(c.named(fqdn), fqdn, now); out.Entry != nil {
		return out
	}
	out = Choice{By: ByNothing, Name: fqdn, Entry: c.own, Reason: "no certificate is for " + fqdn + ": the self-signed one stands in",
		Problem: fmt.Errorf("no certificate in %s is for %s, the connector's FQDN", c.directory, fqdn),
		Remedy:  fmt.Sprintf("postern cert request --connector %q, and postern cert import what the authority returns", r.Name)}
	if w := c.requested[fqdn]; w != nil {
		out.Remedy = fmt.Sprintf("request %s waits for it: postern cert import what the authority returns", w.ID()[:16])
	}
	if e := c.listing.disabled(fqdn, now); e != nil {
		out.Problem = fmt.Errorf("the certificate for %s, the connector's FQDN, is not enabled", fqdn)
		out.Remedy = "enable it: postern cert enable " + e.Thumbprint()[:16] + " --smtp"
	}
	return out
}

// named lists the enabled entries for a DNS name, exactly or under a wildcard,
// which stands for one label (RFC 9525 6.3).
func (c *Chooser) named(name string) []*Entry {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	found := c.exact[name]
	if _, base, ok := strings.Cut(name, "."); ok && len(c.below[base]) > 0 {
		found = append(slices.Clip(found), c.below[base]...)
	}
	return found
}

// pick takes the best of some entries, and those beside it that have a key of
// another kind.
func (c *Choice) pick(of []*Entry, name string, now time.Time) {
	for _, e := range of {
		if c.Entry == nil || better(e, c.Entry, name, now) {
			c.Entry = e
		}
	}
	if c.Entry == nil || c.Entry.Usable(now) != nil {
		return
	}
	kinds := []x509.PublicKeyAlgorithm{c.Entry.Leaf().PublicKeyAlgorithm}
	for {
		var next *Entry
		for _, e := range of {
			// Not every client says what it can use in terms that we would see,
			// so none gets less for that.
			if e.Usable(now) == nil && e.SelfSigned() == c.Entry.SelfSigned() && !slices.Contains(kinds, e.Leaf().PublicKeyAlgorithm) &&
				(next == nil || better(e, next, name, now)) {
				next = e
			}
		}
		if next == nil {
			return
		}
		kinds = append(kinds, next.Leaf().PublicKeyAlgorithm)
		c.Others = append(c.Others, next)
	}
}
