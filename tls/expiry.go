package ptls

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/internal/metrics"
)

// Shown is a certificate that the gateway shows to peers, and how long it will
// be valid.
type Shown struct {
	Thumbprint   string `json:"thumbprint"`
	Subject      string `json:"subject"`
	FriendlyName string `json:"friendly_name"`
	Issuer       string `json:"issuer"`
	// Names are the DNS names, the first few of NameCount.
	Names     []string  `json:"names"`
	NameCount int       `json:"name_count"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// SecondsLeft is negative once it has expired.
	SecondsLeft int64 `json:"seconds_left"`
	SelfSigned  bool  `json:"self_signed"`
	// Own says that the gateway made it for itself, and replaces it in time.
	Own bool `json:"own"`
	// ReceiveConnectors present it to clients that ask for no name,
	// SendConnectors show it to next hops that ask for a certificate. With
	// neither it is for names that clients ask for.
	ReceiveConnectors []string `json:"receive_connectors"`
	SendConnectors    []string `json:"send_connectors"`
	// Problem is why it is presented although another was meant; empty for
	// none.
	Problem string `json:"problem,omitempty"`

	notAfter time.Time
}

// maxShownNames is how many names of a certificate are shown.
const maxShownNames = 10

// For says for whom it is shown, in words.
func (s *Shown) For() string {
	var parts []string
	if n := len(s.ReceiveConnectors); n > 0 {
		parts = append(parts, strings.Join(s.ReceiveConnectors, ", "))
	}
	if n := len(s.SendConnectors); n > 0 {
		parts = append(parts, "to next hops of "+strings.Join(s.SendConnectors, ", "))
	}
	if len(parts) == 0 {
		return "clients that ask for " + s.names()
	}
	return strings.Join(parts, "; ")
}

// ShownBy is For within a sentence.
func (s *Shown) ShownBy() string {
	var parts []string
	if len(s.ReceiveConnectors) > 0 {
		parts = append(parts, "shown by "+strings.Join(s.ReceiveConnectors, ", "))
	}
	if len(s.SendConnectors) > 0 {
		parts = append(parts, "for next hops of "+strings.Join(s.SendConnectors, ", "))
	}
	if len(parts) == 0 {
		return "for clients that ask for " + s.names()
	}
	return strings.Join(parts, " and ")
}

// Early reports whether its time has not begun.
func (s *Shown) Early(now time.Time) bool { return now.Before(s.NotBefore) }

// names lists a few of the names.
func (s *Shown) names() string {
	const most = 5
	if n := max(s.NameCount, len(s.Names)); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(s.Names[:min(most, len(s.Names))], ", "), n-most)
	}
	return strings.Join(s.Names, ", ")
}

// Shown lists the certificates that are shown to peers under the configuration
// in force, the first to expire first.
func (p *Presenter) Shown() []Shown {
	now := time.Now()
	c := p.Chooser()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown(c, now)
}

// shown is Shown; the caller holds the lock.
func (p *Presenter) shown(c *Chooser, now time.Time) []Shown {
	var all []*Shown
	of := func(e *Entry) *Shown {
		for _, s := range all {
			if s.Thumbprint == e.Thumbprint() {
				return s
			}
		}
		leaf := e.Leaf()
		s := &Shown{
			Thumbprint: e.Thumbprint(), Subject: leaf.Subject.String(), FriendlyName: e.FriendlyName, Issuer: leaf.Issuer.String(),
			Names: append([]string{}, leaf.DNSNames[:min(len(leaf.DNSNames), maxShownNames)]...), NameCount: len(leaf.DNSNames), NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
			SecondsLeft: int64(leaf.NotAfter.Sub(now) / time.Second), SelfSigned: e.SelfSigned(),
			ReceiveConnectors: []string{}, SendConnectors: []string{}, notAfter: leaf.NotAfter,
		}
		all = append(all, s)
		return s
	}
	for _, u := range append(c.Uses(p.cfg, now), c.lapsed(p.cfg, now)...) {
		if u.Kind == "receive" {
			p.standIn(&u.Choice)
		}
		for _, e := range append([]*Entry{u.Choice.Entry}, u.Choice.Others...) {
			s := of(e)
			s.Own = s.Own || u.Choice.By == ByNothing
			if u.Kind == "receive" {
				s.ReceiveConnectors = append(s.ReceiveConnectors, u.Connector)
			} else {
				s.SendConnectors = append(s.SendConnectors, u.Connector)
			}
			if u.Choice.Problem != nil {
				s.Problem = strings.ReplaceAll(u.Choice.Problem.Error(), "\n", "; ")
			}
		}
	}
	if p.choosesByName() {
		for _, e := range c.byServerName(now) {
			of(e)
		}
	}
	out := make([]Shown, len(all))
	for i, s := range all {
		out[i] = *s
	}
	slices.SortStableFunc(out, func(a, b Shown) int { return a.notAfter.Compare(b.notAfter) })
	return out
}

// choosesByName reports whether a Receive connector goes by the names that
// clients ask for.
func (p *Presenter) choosesByName() bool {
	for i := range p.cfg.ReceiveConnectors {
		if r := &p.cfg.ReceiveConnectors[i]; r.Enabled && OffersTLS(r) && r.TLSCertificate == "" {
			return true
		}
	}
	return false
}

// byServerName lists the entries that are the best for one of their names.
func (c *Chooser) byServerName(now time.Time) []*Entry {
	var best []*Entry
	for _, e := range c.listing.Entries {
		if !e.Enabled || e.Key == nil || e == c.own || e.early(now) { // which names alone bring up for nobody
			continue
		}
		if slices.ContainsFunc(e.Leaf().DNSNames, func(name string) bool {
			name = strings.Replace(strings.ToLower(name), "*.", "x.", 1)
			var choice Choice
			choice.pick(c.named(name), name, now)
			return choice.Entry == e || slices.Contains(choice.Others, e)
		}) {
			best = append(best, e)
		}
	}
	return best
}

// stage says where the life of a certificate has come to, so that each stage is
// told of once: 30, 14, 7 and 2 days before its end, each hour of the last day,
// and each day after it. It is empty while there is nothing to tell.
func stage(left time.Duration) string {
	const day = 24 * time.Hour
	if left < 0 {
		return fmt.Sprintf("expired %d", -left/day)
	}
	if left <= day {
		return fmt.Sprintf("hour %d", left/time.Hour)
	}
	for _, days := range []time.Duration{2, 7, 14, 30} {
		if left <= days*day {
			return fmt.Sprintf("day %d", days)
		}
	}
	return ""
}

// warn tells the event log of certificates that expire, and of those that are
// shown before their time. The caller holds the
// lock.
func (p *Presenter) warn(all []Shown, now time.Time) {
	stages := make(map[string]string, len(all))
	for i := range all {
		s := &all[i]
		left := s.notAfter.Sub(now)
		at := stage(left)
		if s.Early(now) { // told of each day
			at = fmt.Sprintf("early %d", s.NotBefore.Sub(now)/(24*time.Hour))
		}
		stages[s.Thumbprint] = at
		if at == "" || p.stages[s.Thumbprint] == at {
			continue
		}
		attrs := []any{"thumbprint", s.Thumbprint, "subject", s.Subject, "friendly_name", s.FriendlyName, "expires", s.NotAfter.Format(time.RFC3339),
			"hours_left", int64(max(left, 0) / time.Hour), "connectors", strings.Join(append(slices.Clone(s.ReceiveConnectors), s.SendConnectors...), ", "),
			"fqdn", s.names()}
		switch {
		case s.Early(now):
			p.logger.Error("a certificate that is shown is not valid yet", append([]any{eventid.CertificateEarly.Attr(), "begins", s.NotBefore.Format(time.RFC3339)}, attrs...)...)
		case left < 0:
			p.logger.Error("a certificate has expired", append([]any{eventid.CertificateExpired.Attr()}, attrs...)...)
		case s.Own:
			p.logger.Warn("the gateway's own certificate expires soon", append([]any{eventid.OwnCertificateExpiring.Attr()}, attrs...)...)
		default:
			p.logger.Warn("a certificate expires soon", append([]any{eventid.CertificateExpiring.Attr()}, attrs...)...)
		}
	}
	p.stages = stages
}

// The label values of the gauge certificate_expiry_seconds.
const (
	labelReceive    = "receive"
	labelSend       = "send"
	labelServerName = "server_name"
)

// gauge is one series of certificate_expiry_seconds.
type gauge struct{ direction, connector string }

func (g gauge) labels() []metrics.Label {
	return []metrics.Label{{Name: "direction", Value: g.direction}, {Name: "connector", Value: g.connector}}
}

// measure sets the gauges: for each connector, and for all that are shown for
// names alone, the earliest end of a certificate. The caller holds the lock.
func (p *Presenter) measure(all []Shown) {
	ends := make(map[gauge]int64)
	note := func(g gauge, s *Shown) {
		end := s.notAfter.Unix()
		ends[g] = min(cmp.Or(ends[g], end), end)
	}
	for i := range all {
		s := &all[i]
		for _, c := range s.ReceiveConnectors {
			note(gauge{labelReceive, c}, s)
		}
		for _, c := range s.SendConnectors {
			note(gauge{labelSend, c}, s)
		}
		if len(s.ReceiveConnectors)+len(s.SendConnectors) == 0 {
			note(gauge{labelServerName, ""}, s)
		}
	}
	for g := range p.gauges {
		if _, ok := ends[g]; !ok {
			p.metrics.Forget("certificate_expiry_seconds", g.labels()...)
		}
	}
	for g, end := range ends {
		p.metrics.Gauge("certificate_expiry_seconds", g.labels()...).Set(end)
	}
	p.gauges = ends
}
