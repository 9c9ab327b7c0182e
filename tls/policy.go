package ptls

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"postern/config"
	"postern/internal/message"
)

// Hop is a next hop as the choice of its TLS policy sees it.
type Hop struct {
	// Domain is the recipient domain, as "fabrikam.example" or "[192.0.2.1]";
	// empty where smart hosts take the mail of every domain. Where the DNS names
	// mail exchangers for a smart host, it is the smart host.
	Domain string
	// Host is the name of the host, or its address where it has none.
	Host string
	// RequireTLS says that the message was submitted with REQUIRETLS
	// (RFC 8689).
	RequireTLS bool
}

// PolicyFor decides what the TLS of a next hop must be. It is the only place
// that does: whatever else comes to have a say in it says it here. A Sender,
// which asks for every delivery, keeps the Rules.
func PolicyFor(c *config.SendConnector, h Hop) Policy { return RulesOf(c).For(h) }

// Rules are the TLS policies of one Send connector. They are never changed.
type Rules struct {
	own *terms
	// exact are overrides by domain or address; below are those with "*.", by
	// what stands behind.
	exact, below map[string]*terms
}

// terms are what one source asks of TLS.
type terms struct {
	source string
	mode   string
	level  string
	// domains are the names asked for; empty with domain validation: the
	// recipient's domain.
	domains  []string
	pins     []string
	caFile   string
	fallback bool
	implicit bool
	mutual   bool
	// certificate is which of ours is shown, as config.SendConnector has it,
	// fqdn the name that it goes by where that is empty.
	certificate, fqdn string
	// raised are the terms for messages with REQUIRETLS.
	raised *terms
}

// RulesOf compiles the policies of a connector.
func RulesOf(c *config.SendConnector) *Rules {
	r := &Rules{own: newTerms(c, fmt.Sprintf("send connector %q", c.Name), &config.TLSOverride{
		TLS: c.TLS, TLSAuthLevel: c.TLSAuthLevel, TLSDomain: c.TLSDomain, TLSCAFile: c.TLSCAFile,
		TLSFingerprints: c.TLSFingerprints, NoTLSFallback: c.NoTLSFallback})}
	for i := range c.TLSOverrides {
		o := &c.TLSOverrides[i]
		t := newTerms(c, fmt.Sprintf("the override for %s in send connector %q", o.Domain, c.Name), o)
		base, star := strings.CutPrefix(o.Domain, "*.")
		if star {
			r.below = with(r.below, overrideKey(base), t)
		} else {
			r.exact = with(r.exact, overrideKey(base), t)
		}
	}
	return r
}

func with(m map[string]*terms, key string, t *terms) map[string]*terms {
	if m == nil {
		m = make(map[string]*terms)
	}
	m[key] = t
	return m
}

func newTerms(c *config.SendConnector, source string, o *config.TLSOverride) *terms {
	t := &terms{source: source, mode: o.TLS, caFile: o.TLSCAFile, certificate: c.TLSCertificate, fqdn: c.FQDN,
		implicit: c.ImplicitTLS}
	switch t.mode {
	case config.TLSRequired:
		t.level, t.pins, t.mutual = o.TLSAuthLevel, o.TLSFingerprints, c.DomainSecureEnabled
		if t.level == "" {
			t.level = config.EncryptionOnly
		}
		if t.level == config.DomainValidation {
			t.domains = o.TLSDomain
		}
	case config.TLSIgnoreSTARTTLS:
	default:
		t.mode, t.fallback = config.TLSOpportunistic, !o.NoTLSFallback
	}
	// RFC 8689 4.2.1: the certificate must prove the host's name. A
	// certificate for another name, or one that an administrator has pinned,
	// proves as much.
	t.raised = t
	if t.mode != config.TLSRequired || t.level != config.DomainValidation && len(t.pins) == 0 {
		up := *t
		up.source, up.mode, up.level, up.fallback = "REQUIRETLS of the message", config.TLSRequired, config.DomainValidation, false
		t.raised = &up
	}
	return t
}

// overrideKey is a domain, or an address, as overrides are found by it.
func overrideKey(s string) string {
	if a, ok := address(s); ok {
		return a.String()
	}
	return message.DomainKey(s)
}

// address reads an address, also as a literal (RFC 5321 4.1.3).
func address(s string) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") {
		a, err := message.ParseLiteral(s)
		return a.Unmap(), err == nil && a.IsValid()
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil
}

// For decides the policy of a next hop. It allocates nothing where the
// connector has no overrides.
func (r *Rules) For(h Hop) Policy {
	asked := h.Domain
	if asked == "" {
		asked = h.Host
	}
	t := r.own
	if len(r.exact)+len(r.below) > 0 {
		t = r.overridden(overrideKey(asked))
	}
	if h.RequireTLS && t.raised != t {
		return Policy{terms: t.raised, domain: h.Host}
	}
	if t.level == config.DomainValidation && len(t.domains) == 0 {
		return Policy{terms: t, domain: asked}
	}
	return Policy{terms: t}
}

// overridden are the terms for a domain: those of its own override before
// those of the nearest domain above, before the connector's.
func (r *Rules) overridden(domain string) *terms {
	if t := r.exact[domain]; t != nil {
		return t
	}
	for d, ok := domain, true; ok; _, d, ok = strings.Cut(d, ".") {
		if t := r.below[d]; t != nil {
			return t
		}
	}
	return r.own
}

// Policy is what the TLS of a next hop must be. Policies can be compared: equal
// ones ask for the same, so that a connection made under one serves the other.
// Those of different Rules are never equal. The zero Policy is that of no
// connector, and asks for nothing.
type Policy struct {
	terms *terms
	// domain is the name asked for where the terms name none.
	domain string
}

var noTerms = &terms{mode: config.TLSOpportunistic, fallback: true, source: "nobody"}

func (p Policy) get() *terms {
	if p.terms == nil {
		return noTerms
	}
	return p.terms
}

// Mode is config.TLSRequired, TLSOpportunistic or TLSIgnoreSTARTTLS.
func (p Policy) Mode() string { return p.get().mode }

// Level is what a required connection must prove: config.EncryptionOnly,
// CertificateValidation or DomainValidation. It is empty when TLS is not
// required.
func (p Policy) Level() string { return p.get().level }

// Names are those of which DomainValidation wants one in the certificate;
// "*.contoso.example" stands for any name below.
func (p Policy) Names() []string {
	t := p.get()
	switch {
	case t.level != config.DomainValidation:
		return nil
	case len(t.domains) > 0 && p.domain == "":
		return t.domains
	}
	return []string{p.domain}
}

// Uses reports whether TLS is to be tried at all.
func (p Policy) Uses() bool { return p.get().mode != config.TLSIgnoreSTARTTLS }

// Required reports whether a message must wait rather than travel in clear.
func (p Policy) Required() bool { return p.get().mode == config.TLSRequired }

// Implicit reports whether TLS begins with the first octet (RFC 8314 3.3).
func (p Policy) Implicit() bool { return p.get().implicit && p.Uses() }

// FallsBack reports whether a message may go in clear, over a new connection,
// to a host that offers STARTTLS and fails to keep its promise.
func (p Policy) FallsBack() bool { return p.get().mode == config.TLSOpportunistic && p.get().fallback }

// Source says where the policy comes from: `send connector "Partners"`, "the
// override for fabrikam.example in ...", "REQUIRETLS of the message".
func (p Policy) Source() string { return p.get().source }

// String is the policy in words: what it asks for and who asks.
func (p Policy) String() string { return p.Asks() + " (" + p.Source() + ")" }

// Override is the policy as an override of the configuration has it, without a
// domain.
func (p Policy) Override() config.TLSOverride {
	t := p.get()
	return config.TLSOverride{TLS: t.mode, TLSAuthLevel: t.level, TLSDomain: t.domains, TLSCAFile: t.caFile, TLSFingerprints: t.pins,
		NoTLSFallback: t.mode == config.TLSOpportunistic && !t.fallback}
}

// Asks is what the policy asks for, in words: "TLS with a valid certificate for
// fabrikam.example".
func (p Policy) Asks() string {
	t := p.get()
	switch t.mode {
	case config.TLSIgnoreSTARTTLS:
		return "clear text"
	case config.TLSOpportunistic:
		if !t.fallback {
			return "TLS where it is offered"
		}
		return "TLS where it can be had"
	}
	s := "TLS"
	switch {
	case len(t.pins) > 0 && t.level == config.EncryptionOnly:
		s += " with a pinned certificate"
	case len(t.pins) > 0:
		s += " with a pinned and valid certificate"
	case t.level != config.EncryptionOnly:
		s += " with a valid certificate"
	}
	if names := p.Names(); len(names) > 0 {
		s += " for " + strings.Join(names, " or ")
	}
	if t.caFile != "" && t.level != config.EncryptionOnly {
		s += " by an authority in " + filepath.Base(t.caFile)
	}
	if t.mutual {
		s += ", and ours in return"
	}
	return s
}
