package send

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"postern/config"
	"postern/routing"
	ptls "postern/tls"
)

// The outcomes of a TLSVerdict: mail goes over TLS, goes in clear, waits, or is
// returned to its sender at once.
const (
	OutcomeTLS      = "tls"
	OutcomeClear    = "clear"
	OutcomeWaits    = "waits"
	OutcomeReturned = "returned"
)

// TLSVerdict is what becomes of mail for a host under one policy.
type TLSVerdict struct {
	// Asks is what the policy asks for, and Source who asks.
	Asks    string `json:"asks"`
	Source  string `json:"source,omitempty"`
	Outcome string `json:"outcome"`
	// Reason is what the certificate proves, or why mail waits or goes in clear.
	Reason string `json:"reason,omitempty"`
	// OK says that mail gets what the policy asks for. TLS that is to be used
	// where it can be had, and can't, is not what it asks for.
	OK bool `json:"ok"`
}

// TLSLevel is a level that could be configured.
type TLSLevel struct {
	// Level is as the keys have it: "required, certificate_validation".
	Level string `json:"level"`
	TLSVerdict
	// InForce says that it is what the configuration asks for.
	InForce bool `json:"in_force"`
	// Configuration are the lines that ask for it, below the Send connector.
	Configuration string `json:"configuration"`
}

// tlsFacts are what decides about mail for a host.
type tlsFacts struct {
	broken  *failure // before TLS could be had
	waits   bool     // another address may take the mail later
	offered bool
	failed  *failure // in TLS
	session *ptls.Session
}

func (x *tlsFacts) last() *failure {
	if x.broken != nil {
		return x.broken
	}
	return x.failed
}

// verdict says what becomes of mail under a policy. It follows conn.establish
// and run.connect, and asks the policy about the certificate.
func (x *tlsFacts) verdict(p ptls.Policy, m *ptls.Material) TLSVerdict {
	v := TLSVerdict{Asks: p.Asks(), Source: p.Source(), Outcome: OutcomeWaits}
	switch {
	case x.broken != nil:
		if v.Reason = x.broken.reply.Text; x.broken.reply.Code >= 500 && !x.waits {
			v.Outcome = OutcomeReturned
		}
	case !p.Uses():
		v.Outcome, v.OK = OutcomeClear, true
	case !x.offered && !p.Required():
		v.Outcome, v.Reason = OutcomeClear, "the host does not offer STARTTLS"
	case !x.offered:
		v.Reason = "the host does not offer STARTTLS"
	case x.failed != nil:
		if s := x.session; s != nil && s.State.Version != 0 {
			if _, err := p.Verdict(s, m); err != nil { // which comes before EHLO
				v.Reason = err.Error()
				return v
			}
		}
		if v.Reason = x.failed.reply.Text; x.failed.tls && p.FallsBack() {
			v.Outcome = OutcomeClear
		} else if x.failed.reply.Code >= 500 && !x.waits {
			v.Outcome = OutcomeReturned
		}
	default:
		trust, err := p.Verdict(x.session, m)
		v.Outcome, v.Reason, v.OK = OutcomeTLS, trust, true
		if err != nil {
			v.Outcome, v.Reason, v.OK = OutcomeWaits, err.Error(), false
		}
	}
	return v
}

// probing is the level that a host is looked at with: it asks nothing, so that
// all there is to know comes to light.
func probing(o *config.TLSOverride) { *o = config.TLSOverride{TLS: config.TLSOpportunistic} }

// encrypting asks for TLS, with whatever certificate.
func encrypting(o *config.TLSOverride) {
	*o = config.TLSOverride{TLS: config.TLSRequired, TLSAuthLevel: config.EncryptionOnly}
}

// trusting asks for a valid certificate, for whatever name.
func trusting(o *config.TLSOverride) {
	*o = config.TLSOverride{TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation, TLSCAFile: o.TLSCAFile}
}

// at is what the policy for an endpoint would be if the connector, or the
// override that holds there, asked for something else, of the host alone.
func (p *tlsProbe) at(e endpoint, change func(*config.TLSOverride)) ptls.Policy {
	return p.with(e, change, false)
}

// with is at, with what mutual TLS asks besides.
func (p *tlsProbe) with(e endpoint, change func(*config.TLSOverride), mutual bool) ptls.Policy {
	c := *p.connector
	c.DomainSecureEnabled, c.ImplicitTLS = c.DomainSecureEnabled && mutual, p.implicit
	own := config.TLSOverride{TLS: c.TLS, TLSAuthLevel: c.TLSAuthLevel, TLSDomain: c.TLSDomain, TLSCAFile: c.TLSCAFile,
		TLSFingerprints: c.TLSFingerprints, NoTLSFallback: c.NoTLSFallback}
	change(&own)
	c.TLS, c.TLSAuthLevel, c.TLSDomain, c.TLSCAFile, c.TLSFingerprints, c.NoTLSFallback =
		own.TLS, own.TLSAuthLevel, own.TLSDomain, own.TLSCAFile, own.TLSFingerprints, own.NoTLSFallback
	c.TLSOverrides = slices.Clone(c.TLSOverrides)
	for i := range c.TLSOverrides {
		o := &c.TLSOverrides[i]
		domain := o.Domain
		change(o)
		o.Domain = domain
	}
	snap := &snapshot{policies: map[string]*ptls.Rules{c.Name: ptls.RulesOf(&c)}}
	return snap.policyFor(p.hop, e, false)
}

// level is one that can be configured.
type level struct {
	name   string
	change func(*config.TLSOverride)
}

// levels lists them, the weakest first. What belongs to the domain already, its
// names and authorities, is kept.
func (p *tlsProbe) levels(e endpoint, facts *tlsFacts) []level {
	smart := p.hop.Kind == routing.SmartHost
	byName := func(o *config.TLSOverride) { // domain validation
		names := o.TLSDomain
		if len(names) == 0 && smart { // whose name the recipients' domain does not tell
			names = []string{e.host}
		}
		trusting(o)
		o.TLSAuthLevel, o.TLSDomain = config.DomainValidation, names
	}
	list := []level{
		{"ignore_starttls", func(o *config.TLSOverride) { *o = config.TLSOverride{TLS: config.TLSIgnoreSTARTTLS} }},
		{"opportunistic", probing},
		{"opportunistic, tls_fallback = false", func(o *config.TLSOverride) { probing(o); o.NoTLSFallback = true }},
	}
	if p.implicit { // which wants required
		list = nil
	}
	list = append(list, level{"required, encryption_only", encrypting}, level{"required, certificate_validation", trusting})
	names := p.at(e, byName).Names()
	if !smart || e.named || !slices.Equal(names, []string{e.host}) {
		list = append(list, level{"required, domain_validation", byName})
	}
	if e.named && !slices.Contains(names, e.host) {
		list = append(list, level{"required, domain_validation, the host's name", func(o *config.TLSOverride) {
			o.TLSDomain = []string{e.host}
			byName(o)
		}})
	}
	if s := facts.session; s != nil && len(s.State.PeerCertificates) > 0 {
		pin := config.PublicKeyPin + ptls.PublicKeyThumbprint(s.State.PeerCertificates[0])
		list = append(list, level{"required, the key pinned", func(o *config.TLSOverride) {
			encrypting(o)
			o.TLSFingerprints = []string{pin}
		}})
	}
	return list
}

// judge says what each level makes of a host.
func (p *tlsProbe) judge(h *TLSHost, facts *tlsFacts, e endpoint) {
	m := p.s.material
	configured, supposed := p.configured(e)
	h.Configured = facts.verdict(configured, m)
	if s := facts.session; s != nil && s.State.Version != 0 {
		trust, err := p.at(e, trusting).Verdict(s, m)
		if h.Trust = trust; err != nil {
			h.Distrust = err.Error()
		}
	}
	if facts.broken != nil { // which no level changes
		return
	}
	starred := false
	add := func(name string, policy ptls.Policy, inForce bool) {
		v := TLSLevel{Level: name, TLSVerdict: facts.verdict(policy, m), InForce: inForce, Configuration: overrideLines(p.over, policy)}
		v.Source = ""
		h.Levels, starred = append(h.Levels, v), starred || inForce
	}
	for _, l := range p.levels(e, facts) {
		policy := p.with(e, l.change, true)
		add(l.name, policy, !supposed && sameTerms(policy.Override(), configured.Override()))
	}
	if !starred && !supposed {
		add(levelName(configured.Override()), configured, true)
	}
}

// configured is the policy of the configuration. Supposed says that it can't be
// that for a connection that begins with TLS, which leaves no clear text to go
// back to; it then has what implicit_tls wants.
func (p *tlsProbe) configured(e endpoint) (policy ptls.Policy, supposed bool) {
	policy = p.snap.policyFor(p.hop, e, false)
	if !p.implicit || policy.Required() {
		return policy, false
	}
	return p.with(e, encrypting, true), true
}

// sameTerms reports whether two overrides ask for the same, for whichever
// domain.
func sameTerms(a, b config.TLSOverride) bool {
	return a.TLS == b.TLS && a.TLSAuthLevel == b.TLSAuthLevel && a.TLSCAFile == b.TLSCAFile && a.NoTLSFallback == b.NoTLSFallback &&
		slices.Equal(a.TLSDomain, b.TLSDomain) && slices.Equal(a.TLSFingerprints, b.TLSFingerprints)
}

// levelName names what is in force and none of the levels, by its keys.
func levelName(o config.TLSOverride) string {
	parts := []string{o.TLS}
	for _, k := range []struct {
		is   bool
		name string
	}{{o.TLSAuthLevel != "", o.TLSAuthLevel}, {len(o.TLSFingerprints) > 0, "tls_fingerprints"}, {o.TLSCAFile != "", "tls_ca_file"}} {
		if k.is {
			parts = append(parts, k.name)
		}
	}
	return strings.Join(parts, ", ")
}

// overrideLines are a policy in the form of the configuration, as an override
// for a domain.
func overrideLines(domain string, p ptls.Policy) string {
	var b strings.Builder
	b.WriteString("[[send_connector.tls_override]]\n")
	add := func(key string, value any, is bool) {
		if !is {
			return
		}
		fmt.Fprintf(&b, "%s = ", key)
		enc := json.NewEncoder(&b) // its strings and lists are those of TOML
		enc.SetEscapeHTML(false)
		_ = enc.Encode(value)
	}
	o := p.Override()
	add("domain", domain, true)
	add("tls", o.TLS, true)
	add("tls_auth_level", o.TLSAuthLevel, o.TLSAuthLevel != "")
	add("tls_domain", o.TLSDomain, len(o.TLSDomain) > 0)
	add("tls_ca_file", o.TLSCAFile, o.TLSCAFile != "")
	add("tls_fingerprints", o.TLSFingerprints, len(o.TLSFingerprints) > 0)
	add("tls_fallback", false, o.NoTLSFallback)
	return b.String()
}
