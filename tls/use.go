package ptls

import (
	"fmt"
	"slices"
	"time"

	"postern/config"
)

// Use is a certificate that a connector shows.
type Use struct {
	// Kind is "receive" or "send".
	Kind      string
	Connector string
	// FQDN is the connector's.
	FQDN string
	// Choice is what clients see who ask for no name, or next hops that ask for
	// a certificate. Its Entry is nil where it is none of the store's.
	Choice Choice
}

// Has reports whether the use is of an entry.
func (u *Use) Has(e *Entry) bool {
	return u.Choice.Entry == e || slices.Contains(u.Choice.Others, e)
}

// Uses lists what the enabled connectors of a configuration show: each Receive
// connector that offers TLS, and each Send connector that has a certificate to
// show. It reads the files that Send connectors name by their paths.
func (c *Chooser) Uses(cfg *config.Config, now time.Time) []Use {
	uses := c.receiveUses(cfg, now)
	for i := range cfg.SendConnectors {
		if s := &cfg.SendConnectors[i]; s.Enabled {
			if choice, ok := c.shown(s, now); ok {
				uses = append(uses, Use{Kind: "send", Connector: s.Name, FQDN: s.FQDN, Choice: choice})
			}
		}
	}
	return uses
}

func (c *Chooser) receiveUses(cfg *config.Config, now time.Time) []Use {
	var uses []Use
	for i := range cfg.ReceiveConnectors {
		if r := &cfg.ReceiveConnectors[i]; r.Enabled && OffersTLS(r) {
			uses = append(uses, Use{Kind: "receive", Connector: r.Name, FQDN: r.FQDN, Choice: c.Choose(r, "", now)})
		}
	}
	return uses
}

// OffersTLS reports whether sessions on a Receive connector may be encrypted.
func OffersTLS(r *config.ReceiveConnector) bool {
	return r.ImplicitTLS || slices.Contains(r.AuthMechanism, "tls")
}

// shown is what a Send connector shows to hosts that ask for a certificate.
func (c *Chooser) shown(s *config.SendConnector, now time.Time) (Choice, bool) {
	name := s.TLSCertificate
	out := Choice{By: ByConfiguration, Name: name, Reason: "tls_certificate names it"}
	switch {
	case name == NoCertificate:
		return out, false
	case isPath(name):
		if out.Entry, out.Problem = ReadEntry(name); out.Problem != nil {
			out.Entry, out.Remedy = nil, "write the path of a PEM file with certificate and key"
		}
	case name != "":
		if out.Entry = c.listing.Find(name, now); out.Entry == nil {
			return out, false
		}
	default:
		out.By, out.Name, out.Reason = ByFQDN, s.FQDN, "an authority issued it for the connector's FQDN, "+s.FQDN
		out.Entry = c.listing.FindClient(s.FQDN, now)
	}
	return out, out.Entry != nil
}

// lapsed lists the Send connectors that showed a certificate by their FQDN
// until it expired.
func (c *Chooser) lapsed(cfg *config.Config, now time.Time) []Use {
	var uses []Use
	for i := range cfg.SendConnectors {
		s := &cfg.SendConnectors[i]
		if !s.Enabled || s.TLSCertificate != "" || c.listing.FindClient(s.FQDN, now) != nil {
			continue
		}
		if e := c.listing.find(s.FQDN, now, func(e *Entry) bool {
			return e.Key != nil && now.After(e.Leaf().NotAfter) && !e.SelfSigned() && ForClients(e.Leaf())
		}); e != nil {
			uses = append(uses, Use{Kind: "send", Connector: s.Name, FQDN: s.FQDN, Choice: Choice{By: ByFQDN, Name: s.FQDN, Entry: e,
				Problem: fmt.Errorf("%w, and is not shown any more", e.Usable(now)), Remedy: "renew it: postern cert renew " + e.Thumbprint()[:16]}})
		}
	}
	return uses
}
