package receive

import (
	"maps"
	"net/netip"
	"slices"

	"postern/config"
)

// Explanation says which Receive connector takes a connection and what the
// client may do there. Connector is nil when none takes it; the rest is then
// empty but for Selection and Reply.
type Explanation struct {
	Selection
	// Reply is what the client is told when no connector takes it; empty where
	// none has a binding there, so that nobody listens.
	Reply string
	// Stranger is a session that has proven nothing.
	Stranger Standing
	// Proven are sessions that have proven what a permission group of the
	// connector asks for, in the order of the groups: users, and partners by
	// certificate. Servers are known by their address alone.
	Proven []Standing
	// Certified are sessions whose certificate is for a domain of
	// tls_domain_capabilities, in the order of the domains.
	Certified []Standing
	// Auth are the mechanisms that the connector allows.
	Auth []AuthOffer
}

// Standing is what a session may do.
type Standing struct {
	// Group is the permission group that was proven, "" for a stranger.
	Group string
	// Domain is what the certificate is for, "" where that counts for nothing.
	Domain string
	Rights Rights
	// Groups are the permission groups whose rights it has.
	Groups []string
	// Relays: it may send to any recipient; else to Recipients, the accepted
	// domains.
	Relays     bool
	Recipients []string
	// AnySender: it may use senders that are not proven to be its own. SendsAs
	// are our domains that it may use as well.
	AnySender bool
	SendsAs   []string
	// NotTo are the accepted domains and addresses, out of Recipients or of all
	// that it may relay to, that take mail of authenticated senders alone.
	NotTo []string
	// NotAs are the domains that it may use as senders with their certificate
	// alone (domain_secure_enabled).
	NotAs []string
}

// AuthOffer is one value of auth_mechanism with its mechanisms.
type AuthOffer struct {
	Value      string
	Mechanisms []string
	// NeedsTLS: only within TLS; NeedsCertificate: and with a certificate of
	// the client's.
	NeedsTLS, NeedsCertificate bool
}

// Explain says what becomes of a connection from remote to local, as Select
// chooses.
func Explain(cfg *config.Config, local, remote netip.AddrPort) Explanation {
	e := Explanation{Selection: Select(cfg.ReceiveConnectors, local, remote)}
	c := e.Connector
	if c == nil {
		if slices.ContainsFunc(e.Candidates, func(c Candidate) bool { return c.Binding.IsValid() }) {
			e.Reply = replyNotAvailable.Error()
		}
		return e
	}
	e.Stranger = standing(cfg, c, "", 0)
	for _, o := range []AuthOffer{
		{Value: mechanismBasic, Mechanisms: []string{"PLAIN", "LOGIN"}, NeedsTLS: hasMechanism(c, mechanismBasicTLS)},
		{Value: "scram", Mechanisms: []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}},
		{Value: mechanismCertificate, Mechanisms: []string{"EXTERNAL"}, NeedsTLS: true, NeedsCertificate: true},
	} {
		if hasMechanism(c, o.Value) {
			o.NeedsTLS = o.NeedsTLS || c.RequireTLS || c.ImplicitTLS
			e.Auth = append(e.Auth, o)
		}
	}
	for _, g := range c.PermissionGroups {
		byCertificate := hasMechanism(c, mechanismCertificate) || len(c.TLSReceiveDomainSecureList) > 0
		if g == "users" && len(e.Auth) > 0 || g == "partners" && byCertificate {
			e.Proven = append(e.Proven, standing(cfg, c, g, provenGroups[g]))
		}
	}
	for _, d := range slices.Sorted(maps.Keys(c.TLSDomainCapabilities)) {
		s := standingWith(cfg, c, "", 0, rightSet(c.TLSDomainCapabilities[d]))
		s.Domain = d
		e.Certified = append(e.Certified, s)
	}
	return e
}

// provenGroups are the groups that a session belongs to by what it proves.
var provenGroups = map[string]Principals{"users": Users, "partners": Partners, "servers": Servers}

func standing(cfg *config.Config, c *config.ReceiveConnector, group string, proven Principals) Standing {
	return standingWith(cfg, c, group, proven, 0)
}

func standingWith(cfg *config.Config, c *config.ReceiveConnector, group string, proven Principals, more Rights) Standing {
	r := rightsWith(c, proven, more)
	s := Standing{Group: group, Rights: r, Relays: r.Has(Submit | AcceptAnyRecipient), AnySender: r.Has(Submit | AcceptAnySender)}
	who := PrincipalsOf(c, proven)
	for _, g := range c.PermissionGroups {
		if p := provenGroups[g]; g == "anonymous" && who&Anonymous != 0 || who&p != 0 {
			s.Groups = append(s.Groups, g)
		}
	}
	for _, d := range cfg.AcceptedDomains {
		if r.Has(Submit) && !s.Relays {
			s.Recipients = append(s.Recipients, d.Domain)
		}
		if s.AnySender && (r.Has(AcceptAuthoritativeDomainSender) || d.Type == config.ExternalRelay) {
			s.SendsAs = append(s.SendsAs, d.Domain)
		}
	}
	if r.Has(Submit) && !internal(c, proven) {
		for _, d := range cfg.AcceptedDomains {
			if d.RequireSenderAuthentication {
				s.NotTo = append(s.NotTo, d.Domain)
			}
			s.NotTo = append(s.NotTo, d.RequireSenderAuthenticationFor...)
		}
	}
	if c.DomainSecureEnabled && r.Has(Submit) && proven&Partners == 0 {
		s.NotAs = append(s.NotAs, c.TLSReceiveDomainSecureList...)
	}
	slices.Sort(s.NotTo)
	slices.Sort(s.Recipients)
	slices.Sort(s.SendsAs)
	return s
}
