package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// tlsAsk is what TLS a Send connector asks for of some next hop.
type tlsAsk struct {
	mode, level string
	noFallback  bool
	pins        int
}

// TLSGuarded is the TLSStrength from which on no mail travels in clear.
const TLSGuarded = 3

// TLSNamed is the TLSStrength from which on the host has proved who it is.
const TLSNamed = 5

// strength orders what is asked for (reference 2.1): 0 never to use TLS, 1
// opportunistic, 2 no clear text once TLS is offered, 3 required, 4 with a valid
// certificate, 5 that has the right name or is a pinned one.
func (a tlsAsk) strength() int {
	switch {
	case a.mode == TLSIgnoreSTARTTLS:
		return 0
	case a.mode != TLSRequired && !a.noFallback:
		return 1
	case a.mode != TLSRequired:
		return 2
	case a.level == DomainValidation, a.pins > 0:
		return 5
	case a.level == CertificateValidation:
		return 4
	}
	return TLSGuarded
}

// String is what the file says.
func (a tlsAsk) String() string {
	s := fmt.Sprintf("tls = %q", a.mode)
	if a.level != "" {
		s += fmt.Sprintf(" with tls_auth_level = %q", a.level)
	}
	if a.pins > 0 {
		s += " and pinned certificates"
	}
	if a.noFallback {
		s += " without tls_fallback"
	}
	return s
}

// WeakerTLS says how c asks for less TLS than another Send connector does for
// mail to a domain; empty when it asks for as much. An empty domain stands for
// those that no tls_override names.
func (c *SendConnector) WeakerTLS(than *SendConnector, domain string) string {
	have, want := c.asks(domain), than.asks(domain)
	if have.strength() < want.strength() {
		return fmt.Sprintf("%s rather than %s", have, want)
	}
	return ""
}

// TLSStrength orders Send connectors by the TLS that they ask for at least, for
// mail to a domain as in WeakerTLS: 0 for none; TLSGuarded and more where no mail
// travels in clear.
func (c *SendConnector) TLSStrength(domain string) int { return c.asks(domain).strength() }

// asks is the least that the connector asks for of any next hop for a domain.
func (c *SendConnector) asks(domain string) tlsAsk {
	if len(c.SmartHosts) == 0 {
		return c.asksOf(domain)
	}
	least := c.asksOf(c.SmartHosts[0].Host)
	for _, h := range c.SmartHosts[1:] {
		if a := c.asksOf(h.Host); a.strength() < least.strength() {
			least = a
		}
	}
	return least
}

// asksOf goes by the override with the most specific domain.
func (c *SendConnector) asksOf(host string) tlsAsk {
	best := -1
	ask := tlsAsk{c.TLS, c.TLSAuthLevel, c.NoTLSFallback, len(c.TLSFingerprints)}
	for i := range c.TLSOverrides {
		o := &c.TLSOverrides[i]
		if n := overrideMatch(o.Domain, host); n > best {
			best = n
			ask = tlsAsk{o.TLS, o.TLSAuthLevel, o.NoTLSFallback, len(o.TLSFingerprints)}
		}
	}
	return ask
}

// overrideMatch is how well the domain of an override matches: -1 not at all,
// else more is more specific.
func overrideMatch(pattern, host string) int {
	if a, err := netip.ParseAddr(host); err == nil {
		if b, err := netip.ParseAddr(strings.Trim(pattern, "[]")); err == nil && a.Unmap() == b.Unmap() {
			return 1000
		}
		return -1
	}
	host = foldedDomain(host)
	base, tree := strings.CutPrefix(pattern, "*.")
	base = foldedDomain(base)
	switch {
	case host == "":
	case host == base && !tree:
		return 1000
	case tree && (host == base || strings.HasSuffix(host, "."+base)):
		return 1 + strings.Count(base, ".")
	}
	return -1
}

// weakerSomewhere is WeakerTLS for all domains: those of overrides, which it
// names, and all others.
func (c *SendConnector) weakerSomewhere(than *SendConnector) string {
	if w := c.WeakerTLS(than, ""); w != "" {
		return w
	}
	for _, list := range [][]TLSOverride{than.TLSOverrides, c.TLSOverrides} {
		for i := range list {
			domain := list[i].Domain
			if rest, tree := strings.CutPrefix(domain, "*."); tree {
				domain = rest
			}
			if w := c.WeakerTLS(than, domain); w != "" {
				return w + " for " + domain
			}
		}
	}
	return ""
}
