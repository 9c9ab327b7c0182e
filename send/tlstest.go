package send

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
	ptls "postern/tls"
)

// How TLS begins.
const (
	BySTARTTLS = "starttls"
	ByImplicit = "implicit"
)

// TLSTest says whose TLS is looked at, and as mail of which Send connector.
type TLSTest struct {
	Connector string
	// Host is a name or an address; with MX it is a domain, whose mail
	// exchangers are looked at.
	Host string
	MX   bool
	// Port is zero where the connector says it.
	Port uint16
	// Domain is the recipients' domain, by which a connector without smart hosts
	// chooses what TLS must be. Empty stands for Host.
	Domain string
	// Begins is BySTARTTLS or ByImplicit; empty where the connector says it.
	Begins string
}

// TLSReport is what came of a TLSTest. Its JSON form is that of the command.
type TLSReport struct {
	Connector string `json:"connector"`
	// Domain is the one that an override would be for: the recipients', or the
	// smart host's name.
	Domain string `json:"domain"`
	// Problem says why there is no host to look at; empty when there is one.
	Problem string    `json:"problem,omitempty"`
	Hosts   []TLSHost `json:"hosts"`
	Notes   []string  `json:"notes,omitempty"`
	// Supposed says that TLS began otherwise than it does for the connector, so
	// that no override alone could bring about what is told.
	Supposed bool `json:"supposed,omitempty"`
}

// OK reports whether TLS works as the configuration asks at every host.
func (r *TLSReport) OK() bool {
	for i := range r.Hosts {
		if !r.Hosts[i].Configured.OK {
			return false
		}
	}
	return len(r.Hosts) > 0
}

// TLSHost is what a host said and proved. All of its texts are the host's own
// words or come from its certificate: they are to be escaped before a terminal
// sees them.
type TLSHost struct {
	Host       string         `json:"host"`
	Preference uint16         `json:"preference"`
	Address    netip.AddrPort `json:"address"`
	// Passed are the addresses that were tried before, or could not be, and why.
	Passed []string `json:"passed,omitempty"`
	// Problem says in which phase it broke off and why; empty when all went
	// well. A certificate that proves nothing is no problem here.
	Problem  string `json:"problem,omitempty"`
	Greeting string `json:"greeting,omitempty"`
	// EHLOBefore and EHLOAfter are the keywords that the host offers in clear and
	// over TLS.
	EHLOBefore []string `json:"ehlo_before"`
	EHLOAfter  []string `json:"ehlo_after"`
	Implicit   bool     `json:"implicit"`
	Offered    bool     `json:"starttls_offered"`
	// Version, Cipher and Curve are what was negotiated; empty without TLS.
	Version string `json:"version,omitempty"`
	Cipher  string `json:"cipher,omitempty"`
	Curve   string `json:"curve,omitempty"`
	// Trust is what the certificate proves, in a word or two, and Distrust why
	// it proves nothing, in a sentence.
	Trust        string           `json:"trust,omitempty"`
	Distrust     string           `json:"distrust,omitempty"`
	Certificates []TLSCertificate `json:"certificates"`
	// Asked reports whether the host asked for a certificate of ours. Shown is
	// the thumbprint of the one that it got, Withheld why one that the
	// configuration names was not shown.
	Asked    bool   `json:"client_certificate_asked"`
	Shown    string `json:"client_certificate_shown,omitempty"`
	Withheld string `json:"client_certificate_withheld,omitempty"`
	// Own says that the address is one of the gateway's own, to which it does not
	// connect.
	Own bool `json:"own,omitempty"`
	// Configured is what becomes of mail as things are, Levels what would become
	// of it under each level. There are none when the host could not be spoken to,
	// which is the same to all of them.
	Configured TLSVerdict `json:"configured"`
	Levels     []TLSLevel `json:"levels"`
}

// TLSCertificate is one of those that a host presented, its own first.
type TLSCertificate struct {
	Subject             string    `json:"subject"`
	Issuer              string    `json:"issuer"`
	Names               []string  `json:"names"`
	NotBefore           time.Time `json:"not_before"`
	NotAfter            time.Time `json:"not_after"`
	Key                 string    `json:"key"`
	Signature           string    `json:"signature"`
	Thumbprint          string    `json:"thumbprint"`
	PublicKeyThumbprint string    `json:"public_key_thumbprint"`
}

// NewTLSTest is Sender.TestTLS for a configuration that no Sender runs. The
// certificates of ours lie in a directory, which may be empty; each phase of a
// connection is bounded.
func NewTLSTest(ctx context.Context, cfg *config.Config, certificates string, patience time.Duration, t TLSTest) (*TLSReport, error) {
	s := New(Options{Config: cfg, Certificates: certificates, Timeouts: Timeouts{Connect: patience, Greeting: patience, EHLO: patience, TLS: patience}})
	r, err := s.TestTLS(ctx, t)
	return r, errors.Join(err, s.Close(ctx))
}

// TestTLS connects to hosts as a delivery does, up to the first EHLO over TLS,
// and tells what it met with. Of a host with several addresses it takes the first
// one that answers. No mail is sent, and nobody is logged on to. The error is
// that the configuration has no such connector.
func (s *Sender) TestTLS(ctx context.Context, t TLSTest) (*TLSReport, error) {
	if !s.begin() {
		return nil, errors.New("the gateway is shutting down")
	}
	defer s.busy.Done()
	sp, end := s.under(ctx)
	defer end()
	snap := s.snapshot.Load()
	c := snap.connectors[t.Connector]
	if c == nil {
		return nil, fmt.Errorf("there is no send connector %q in the configuration", t.Connector)
	}
	p := newTLSProbe(s, sp, snap, c, t)
	hosts, err := p.hosts(sp.ctx)
	report := &TLSReport{Connector: c.Name, Domain: p.over, Hosts: []TLSHost{}, Notes: p.notes, Supposed: p.implicit != c.ImplicitTLS}
	if err != nil {
		report.Problem = err.Error()
		return report, nil
	}
	for _, h := range hosts {
		report.Hosts = append(report.Hosts, p.look(sp.ctx, h))
	}
	return report, nil
}

// tlsProbe looks at the hosts of one test.
type tlsProbe struct {
	*run
	t        *TLSTest
	implicit bool
	problem  *failure // that the look-up of a host met with
	notes    []string
	over     string // what an override for the hosts would be written for
}

func newTLSProbe(s *Sender, sp *span, snap *snapshot, c *config.SendConnector, t TLSTest) *tlsProbe {
	p := &tlsProbe{t: &t, implicit: c.ImplicitTLS}
	for _, name := range []*string{&t.Host, &t.Domain} {
		if a, err := netip.ParseAddr(strings.TrimPrefix(strings.Trim(*name, "[]"), "IPv6:")); err == nil {
			*name = a.Unmap().String()
		} else {
			*name = message.DomainKey(*name)
		}
	}
	smart := len(c.SmartHosts) > 0 && !t.MX
	hop := routing.NextHop{Connector: c.Name, Kind: routing.MX, Domain: cmp.Or(t.Domain, t.Host)}
	p.over = hop.Domain
	if smart {
		hop, p.over = routing.NextHop{Connector: c.Name, Kind: routing.SmartHost, Domain: routing.HostSet(c)}, t.Host
	}
	if a, err := netip.ParseAddr(hop.Domain); err == nil {
		hop.Domain = message.Literal(a)
	}
	if t.Begins != "" {
		p.implicit = t.Begins == ByImplicit
	}
	p.notes = p.remarks(c, smart)
	p.run = &run{span: sp, generation: s.pool.current(), d: &message.Delivery{Envelope: &message.Envelope{}},
		finder: finder{s: s, snap: snap, connector: c, own: snap.exits[c.Name], hop: hop, noted: func(f *failure) { p.problem = f }}}
	return p
}

// remarks say what is to be known beside the answer.
func (p *tlsProbe) remarks(c *config.SendConnector, smart bool) (notes []string) {
	add := func(is bool, format string, args ...any) {
		if is {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	add(!smart && !p.t.MX && p.t.Domain == "",
		"Overrides and domain validation go by the recipients' domain, for which the host is taken here; --domain names it, and --mx tests the hosts of a domain.")
	add(smart && !slices.ContainsFunc(c.SmartHosts, func(h config.SmartHost) bool { return message.DomainKey(h.Host) == p.t.Host }),
		"The connector sends to its smart hosts alone, which this is not one of.")
	add(p.implicit != c.ImplicitTLS, "The connector has implicit_tls = %v; this is what it would find otherwise.", c.ImplicitTLS)
	add(p.implicit && !c.ImplicitTLS && c.TLS != config.TLSRequired, "With implicit_tls = true tls must be \"required\", for there is no clear text to go back to; the connector has tls = %q.", c.TLS)
	add(c.ForceHELO, "The connector has force_helo = true: it asks no host what it offers, so that there is no STARTTLS for it.")
	add(slices.ContainsFunc(c.TLSOverrides, func(o config.TLSOverride) bool { return message.DomainKey(o.Domain) == p.over }),
		"The connector has an override for %s already, whose place other lines take.", p.over)
	return notes
}

// hosts lists those to look at.
func (p *tlsProbe) hosts(ctx context.Context) ([]host, error) {
	port := p.port()
	if !p.t.MX {
		h := host{name: p.t.Host, port: port}
		if a, err := netip.ParseAddr(p.t.Host); err == nil {
			h = host{addr: a.Unmap(), port: port}
		}
		return []host{h}, nil
	}
	groups, v := p.hostGroups(ctx)
	if v != nil {
		return nil, errors.New(v.reply.String())
	}
	var list []host
	for _, g := range groups {
		for _, h := range g {
			h.port = port
			list = append(list, h)
		}
	}
	if len(list) == 0 {
		return nil, errors.New(p.loop)
	}
	return list[:min(len(list), maxTries)], nil
}

func (p *tlsProbe) port() uint16 {
	switch {
	case p.t.Port != 0:
		return p.t.Port
	case p.hop.Kind == routing.SmartHost:
		for _, h := range p.connector.SmartHosts {
			if strings.EqualFold(h.Host, p.t.Host) && h.Port != 0 {
				return h.Port
			}
		}
	}
	switch {
	case p.implicit && !p.connector.ImplicitTLS:
		return 465 // RFC 8314 3.3
	case p.connector.Port != 0:
		return p.connector.Port
	}
	return 25
}

// look looks at a host.
func (p *tlsProbe) look(ctx context.Context, h host) TLSHost {
	out := TLSHost{Host: h.name, Preference: h.preference, Implicit: p.implicit, EHLOBefore: []string{}, EHLOAfter: []string{}, Certificates: []TLSCertificate{}, Levels: []TLSLevel{}}
	if h.addr.IsValid() {
		out.Host = h.addr.String()
	}
	p.problem = nil
	list, _ := p.lookUp(ctx, h)
	facts := &tlsFacts{broken: p.problem}
	waits := false
	var last endpoint
	// One address of the gateway's own keeps it from the host, as a delivery.
	if i := slices.IndexFunc(list, func(e found) bool { return p.snap.isOurs(e.addr, &p.s.own) }); i >= 0 {
		last, out.Address, out.Own = list[i].endpoint, list[i].addr, true
		facts.broken = &failure{reply: ours(554, [3]int{5, 4, 6}, "%s", loopText(last)), loop: true}
		list = nil
	}
	for _, e := range list {
		if e.skipped != "" {
			out.Passed = append(out.Passed, fmt.Sprintf("%s: %s", e.endpoint, e.skipped))
			continue
		}
		if out.Address.IsValid() {
			out.Passed = append(out.Passed, fmt.Sprintf("%s: %s", last, facts.broken.reply.Text))
		}
		waits = waits || facts.broken != nil && facts.broken.reply.Temporary()
		last = e.endpoint
		out.Address = e.addr
		e.source = p.own.sources.choose(e.addr.Addr(), e.destination, &p.s.gone)[0]
		if facts = p.connect(ctx, e.endpoint, &out); facts.broken == nil || ctx.Err() != nil {
			break
		}
	}
	if facts.broken == nil && !out.Address.IsValid() {
		facts.broken = &failure{reply: ours(451, codeNoRoute, "There is no address to connect to")}
	}
	if !out.Address.IsValid() {
		last = endpoint{host: out.Host, named: !h.addr.IsValid()}
	}
	facts.waits = waits
	out.tell(facts)
	p.judge(&out, facts, last)
	return out
}

// connect speaks to a host up to EHLO over TLS.
func (p *tlsProbe) connect(ctx context.Context, e endpoint, out *TLSHost) *tlsFacts {
	k := key{connector: p.connector.Name, endpoint: e, policy: p.at(e, probing)}
	c, f := p.dial(ctx, k)
	if f != nil {
		return &tlsFacts{broken: f}
	}
	p.span.watch(c.raw)
	defer p.span.leave(c.raw)
	c.heard = func(what phase, lines []string) {
		switch {
		case what == phaseGreeting:
			out.Greeting = clip(strings.Join(lines, "\n"))
		case c.tls != "":
			out.EHLOAfter = keywords(lines)
		default:
			out.EHLOBefore = keywords(lines)
		}
	}
	facts := p.speak(ctx, c)
	out.Offered = facts.offered && !p.implicit
	if f := facts.last(); f == nil || f.intact {
		c.quit(ctx)
	} else {
		c.close(closedBy(f))
	}
	return facts
}

// speak goes through the phases of a session, whatever the policy is.
func (p *tlsProbe) speak(ctx context.Context, c *conn) *tlsFacts {
	facts := &tlsFacts{offered: p.implicit}
	if p.implicit {
		facts.failed = c.handshake(ctx)
		if facts.session = c.peer; facts.failed != nil {
			return facts
		}
	}
	if facts.broken = c.greet(ctx); facts.broken == nil {
		facts.broken = c.hello(ctx)
	}
	if facts.broken != nil || p.implicit {
		return facts
	}
	if facts.offered = c.ext.StartTLS; facts.offered {
		facts.failed = c.startTLS(ctx)
		facts.session = c.peer
	}
	return facts
}

// keywords are those of a reply to EHLO, as the host wrote them.
func keywords(lines []string) []string {
	list := []string{}
	for i, l := range lines {
		if i > 0 && len(l) > 4 {
			list = append(list, clip(l[4:]))
		}
	}
	return list
}

// tell notes what came to light.
func (h *TLSHost) tell(facts *tlsFacts) {
	if f := facts.last(); f != nil {
		h.Problem = f.reply.Text
		if f.said {
			h.Problem = fmt.Sprintf("%s, the host said: %s", f.phase, oneLine(f.reply.String()))
		}
	}
	s := facts.session
	if s == nil {
		return
	}
	h.Asked, h.Shown = s.Asked, s.Shown
	if s.Withheld != nil {
		h.Withheld = s.Withheld.Error()
	}
	if s.State.Version != 0 {
		h.Version, h.Cipher = ptls.Version(s.State.Version), tls.CipherSuiteName(s.State.CipherSuite)
		if s.State.CurveID != 0 {
			h.Curve = s.State.CurveID.String()
		}
	}
	for _, c := range s.State.PeerCertificates {
		h.Certificates = append(h.Certificates, describeCertificate(c))
	}
}

func describeCertificate(c *x509.Certificate) TLSCertificate {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return TLSCertificate{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: names, NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		Key: ptls.DescribeKey(c.PublicKey), Signature: c.SignatureAlgorithm.String(), Thumbprint: ptls.Thumbprint(c), PublicKeyThumbprint: config.PublicKeyPin + ptls.PublicKeyThumbprint(c)}
}
