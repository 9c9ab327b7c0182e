package ptls

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/config"
)

// ImportOptions say how a certificate comes into the store. The zero value
// works.
type ImportOptions struct {
	// FriendlyName goes before that of the request and of the file.
	FriendlyName string
	// NotExportable keeps the key in the store from now on.
	NotExportable bool
	// Enabled lets connectors choose it by its names at once.
	Enabled bool
	// Roots stand in the place of the system's authorities; nil: the system's.
	Roots *x509.CertPool
	// Connectors are those whose names the certificate is compared with.
	Connectors []config.ReceiveConnector
}

// Imported is what an import comes to.
type Imported struct {
	// Entry is the certificate as it will stand in the store.
	Entry *Entry
	// Known says that the store has the certificate with its key already.
	Known bool
	// Joined is the key that waited for it; nil where the key came with it or
	// was in use.
	Joined *Waiting
	// Shares is another certificate of the store that has the same key, where
	// none came with it and none waited: both answer one request; nil for none.
	Shares *Entry
	// Replaces is the certificate that Joined was requested in the place of, if
	// the store has it still.
	Replaces *Entry
	// Findings are warnings.
	Findings []config.Finding
}

// Import plans what a file brings: it finds the certificate in it, joins it with
// its key, which comes in the file or is in the store, and completes its chain
// from the file and the store. A certificate that can't be presented is refused,
// and so is one that has expired where a key waits, which goes on waiting.
func (p *Plan) Import(b *Bundle, o ImportOptions) (*Imported, error) {
	now := time.Now()
	leaf, key, err := p.leafOf(b)
	if err != nil {
		return nil, err
	}
	if err := checkKey(leaf.PublicKey); err != nil {
		return nil, fmt.Errorf("the certificate for %s is refused: %w", namesOf(leaf), err)
	}
	out := &Imported{}
	chain := completeChain(leaf, append(slices.Clone(b.Certs), p.authorities()...), o.Roots, now)
	if p.accepted(chain.missing) {
		chain.missing = nil
	}
	out.Findings = chain.review(o.Connectors, now)
	e := Entry{Chain: chain.certs, Key: key, Incomplete: chain.missing == leaf, FriendlyName: o.FriendlyName, Exportable: !o.NotExportable, Enabled: o.Enabled}
	old := p.listing.withKey(Thumbprint(leaf))
	if out.Joined = p.listing.waitingFor(leaf); out.Joined != nil {
		if now.After(leaf.NotAfter) {
			return nil, fmt.Errorf("the certificate for %s expired on %s, before it came; ask the authority for another answer to request %s, which goes on waiting", namesOf(leaf), day(leaf.NotAfter), out.Joined.ID()[:16])
		}
		out.Findings = append(out.Findings, fewer(leaf, out.Joined)...)
		e.FriendlyName = firstOf(e.FriendlyName, out.Joined.FriendlyName)
		e.Exportable = e.Exportable && out.Joined.Exportable
		if out.Joined.Renews != "" {
			out.Replaces = p.listing.withKey(out.Joined.Renews)
		}
		p.RemoveWaiting(out.Joined)
	} else if old == nil && len(b.Keys) == 0 {
		if out.Shares = p.listing.owner(leaf); out.Shares != nil {
			e.FriendlyName = firstOf(e.FriendlyName, out.Shares.FriendlyName)
			e.Exportable = e.Exportable && out.Shares.Exportable
		}
	}
	if old != nil {
		e.FriendlyName = firstOf(e.FriendlyName, old.FriendlyName)
		e.Enabled = e.Enabled || old.Enabled
		e.Exportable = e.Exportable && (old.Exportable || old.Key == nil)
		if !reaches(e.Chain, old.Chain) {
			e.Chain = old.Chain
		}
		e.Incomplete = e.Incomplete && old.Incomplete && len(e.Chain) == 1
		out.Known = old.Key != nil
	}
	e.FriendlyName = firstOf(e.FriendlyName, b.FriendlyName, label(leaf))
	e.Exportable = e.Exportable && !p.listing.keeps(leaf)
	if out.Known && same(&e, old) {
		out.Entry = old
		return out, nil
	}
	out.Entry, err = p.Add(e)
	return out, err
}

func firstOf(names ...string) string {
	for _, n := range names {
		if n = friendly(n); n != "" {
			return n
		}
	}
	return ""
}

// reaches reports whether a chain goes at least as far up as another of the same
// certificate.
func reaches(a, b []*x509.Certificate) bool { return len(a) >= len(b) }

// same reports whether an entry of the store needs no writing.
func same(e, old *Entry) bool {
	return e.FriendlyName == old.FriendlyName && e.Exportable == old.Exportable && e.Enabled == old.Enabled && e.Incomplete == old.Incomplete &&
		slices.EqualFunc(e.Chain, old.Chain, (*x509.Certificate).Equal)
}

// waitingFor is the waiting key that fits a certificate.
func (l *Listing) waitingFor(c *x509.Certificate) *Waiting {
	for _, w := range l.Waiting {
		if fits(c, w.Key) {
			return w
		}
	}
	return nil
}

// keeps reports whether the key of a certificate is marked as not exportable
// with another certificate: authorities issue again for the same request.
func (l *Listing) keeps(c *x509.Certificate) bool {
	return slices.ContainsFunc(l.Entries, func(e *Entry) bool { return e.Key != nil && !e.Exportable && fits(c, e.Key) })
}

// keyFor is a key of the store that fits a certificate, waiting or in use.
func (l *Listing) keyFor(c *x509.Certificate) crypto.Signer {
	if w := l.waitingFor(c); w != nil {
		return w.Key
	}
	if e := l.owner(c); e != nil {
		return e.Key
	}
	return nil
}

// owner is an entry whose key fits a certificate.
func (l *Listing) owner(c *x509.Certificate) *Entry {
	for _, e := range l.Entries {
		if e.Key != nil && fits(c, e.Key) {
			return e
		}
	}
	return nil
}

// KeyElsewhere is another certificate of the store with the same key; nil for
// none.
func (l *Listing) KeyElsewhere(e *Entry) *Entry {
	for _, other := range l.Entries {
		if other.Key != nil && other.Thumbprint() != e.Thumbprint() && fits(e.Leaf(), other.Key) {
			return other
		}
	}
	return nil
}

// fewer tells of names that were asked for and that the answer is not for.
func fewer(leaf *x509.Certificate, w *Waiting) (f findings) {
	var missing []string
	for _, n := range w.Names() {
		// A wildcard proves itself as a name below it.
		if leaf.VerifyHostname(strings.Replace(n, "*.", "x.", 1)) != nil {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		f.warn("where these are needed ask the authority for another answer to the same request; it can be imported as long as this one, which has the key, is not removed",
			"the request asked for %s, and the certificate is not for %s", strings.Join(w.Names(), ", "), strings.Join(missing, ", "))
	}
	return f
}

// authorities are the certificates above others in the store.
func (p *Plan) authorities() []*x509.Certificate {
	var list []*x509.Certificate
	for _, e := range p.listing.Entries {
		list = append(list, e.Chain[1:]...)
	}
	return list
}

// Renewed is the certificate that one in a file was requested in the place of;
// nil for none.
func (p *Plan) Renewed(b *Bundle) *Entry {
	for _, c := range b.Certs {
		if w := p.listing.waitingFor(c); w != nil && w.Renews != "" {
			return p.listing.withKey(w.Renews)
		}
	}
	return nil
}

// accepted reports whether another chain of the store ends in the same way: then
// an administrator has been told, or the root was there to see.
func (p *Plan) accepted(last *x509.Certificate) bool {
	return last != nil && slices.ContainsFunc(p.listing.Entries, func(e *Entry) bool {
		return len(e.Chain) > 1 && e.Chain[len(e.Chain)-1].Equal(last)
	})
}

// leafOf finds the certificate that a file is about, and its key.
func (p *Plan) leafOf(b *Bundle) (*x509.Certificate, crypto.Signer, error) {
	if len(b.Certs) == 0 {
		return nil, nil, errors.New("there is no certificate in it")
	}
	keyOf := func(c *x509.Certificate) crypto.Signer {
		if i := slices.IndexFunc(b.Keys, func(k crypto.Signer) bool { return fits(c, k) }); i >= 0 {
			return b.Keys[i]
		}
		return nil
	}
	if len(b.Keys) > 0 && !slices.ContainsFunc(b.Certs, func(c *x509.Certificate) bool { return keyOf(c) != nil }) {
		return nil, nil, fmt.Errorf("the private key in the file does not belong to the certificate for %s; put the right key with it, or take it out if the store has the key", namesOf(b.Certs[0]))
	}
	var leaves []*x509.Certificate
	for _, c := range b.Certs {
		if !c.IsCA && !slices.ContainsFunc(leaves, c.Equal) {
			leaves = append(leaves, c)
		}
	}
	if len(leaves) == 0 {
		c := b.Certs[0]
		if keyOf(c) != nil && IsSelfSigned(c) {
			return nil, nil, fmt.Errorf("%s signs itself as an authority (CA:TRUE), which no gateway presents as its own; make one for servers: postern cert new", quoted(c.Subject.String()))
		}
		return nil, nil, fmt.Errorf("%s is an authority's certificate, which no gateway presents as its own; import it in one file with the certificate that it issued", quoted(c.Subject.String()))
	}
	var leaf *x509.Certificate
	var key crypto.Signer
	for _, c := range leaves {
		k := keyOf(c)
		if k == nil && len(b.Keys) == 0 {
			k = p.listing.keyFor(c)
		}
		switch {
		case k == nil:
		case leaf == nil:
			leaf, key = c, k
		default:
			return nil, nil, fmt.Errorf("there are several certificates with their keys in the file, for %s and for %s; import one at a time", namesOf(leaf), namesOf(c))
		}
	}
	if leaf == nil {
		return nil, nil, p.keyless(leaves)
	}
	return leaf, key, nil
}

// keyless says that there is no key for a certificate.
func (p *Plan) keyless(leaves []*x509.Certificate) error {
	if len(leaves) > 1 {
		var names []string
		for _, c := range leaves {
			names = append(names, namesOf(c))
		}
		return fmt.Errorf("there are %d certificates in the file, and the key of none is in the file or in the store; they are for %s", len(leaves), strings.Join(names, "; "))
	}
	leaf := leaves[0]
	for _, w := range p.listing.Waiting {
		if w.Request != nil && (bytes.Equal(w.Request.RawSubject, leaf.RawSubject) || slices.Equal(w.Names(), leaf.DNSNames)) {
			return fmt.Errorf("the certificate for %s was issued for another key than the one that waits for these names, %s...; send the request that \"postern cert show %s\" prints, and import the answer to it", namesOf(leaf), w.ID()[:16], w.ID()[:16])
		}
	}
	return fmt.Errorf("there is no private key for the certificate for %s, neither in the file nor in the store; import it on the host where the request was made, or with its key as PKCS #12", namesOf(leaf))
}

// namesOf are the names of a certificate in a sentence.
func namesOf(c *x509.Certificate) string { return friendly(strings.Join(Names(c), ", ")) }
