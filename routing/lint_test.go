package routing

import (
	"strings"
	"testing"

	"postern/config"
)

func TestLint(t *testing.T) {
	hub := func(name string, spaces ...string) config.SendConnector { return via(conn(name, spaces...), "hub") }
	own := accepted("contoso.example", config.Authoritative)
	for _, c := range []struct {
		name       string
		domains    []config.AcceptedDomain
		connectors []config.SendConnector
		enforce    bool
		want       []string // "severity path: part of the message"
	}{
		{name: "nothing to say", domains: []config.AcceptedDomain{own},
			connectors: []config.SendConnector{hub("Org", "--"), conn("Internet", "*")}},
		{name: "nothing there"},
		{name: "bad spaces, of disabled connectors too",
			connectors: []config.SendConnector{conn("A", "*", "*contoso.com"), disabled(conn("B", "x400:c=us"))},
			want:       []string{"error send_connector[0].address_spaces[1]: asterisk", "error send_connector[1].address_spaces[0]: only SMTP"}},
		{name: "bad senders",
			connectors: []config.SendConnector{blocking(conn("A", "*"), "a@b.example", "@", ""), allowing(conn("B", "b.example"), "*b.example", "a b")},
			want: []string{"error send_connector[0].blocked_senders[1]: sender", "error send_connector[0].blocked_senders[2]: empty",
				"error send_connector[1].allowed_senders[0]: not allowed", "error send_connector[1].allowed_senders[1]: not allowed"}},
		{name: "no way for an accepted domain", domains: []config.AcceptedDomain{own},
			connectors: []config.SendConnector{conn("A", "fabrikam.example"), disabled(conn("B", "--"))},
			want:       []string{"warning accepted_domain[0].domain: no Send connector takes"}},
		{name: "an accepted domain by MX", domains: []config.AcceptedDomain{own, accepted("*.contoso.example", config.InternalRelay)},
			connectors: []config.SendConnector{conn("A", "*")},
			want:       []string{"warning accepted_domain[0].domain: leaves by MX", "warning accepted_domain[1].domain: leaves by MX"}},
		{name: "by smart host through the asterisk", domains: []config.AcceptedDomain{own},
			connectors: []config.SendConnector{hub("A", "*")}},
		{name: "external relay needs its own connector",
			domains:    []config.AcceptedDomain{own, accepted("hosted.example", config.ExternalRelay)},
			connectors: []config.SendConnector{hub("A", "--"), conn("B", "*")},
			want:       []string{"warning accepted_domain[1].domain: leaves by MX"}},
		{name: "large mail falls through", domains: []config.AcceptedDomain{own},
			connectors: []config.SendConnector{limited(hub("A", "--"), 50), conn("B", "*")},
			want:       []string{"warning accepted_domain[0].domain: may not take (max_message_size is 50 octets) leaves by MX"}},
		{name: "large mail is refused", domains: []config.AcceptedDomain{own}, enforce: true,
			connectors: []config.SendConnector{limited(hub("A", "--"), 50), conn("B", "*")}},
		{name: "as large as any that comes", domains: []config.AcceptedDomain{own},
			connectors: []config.SendConnector{limited(hub("A", "--"), 100), conn("B", "*")}},
		{name: "some senders fall through", domains: []config.AcceptedDomain{own},
			connectors: []config.SendConnector{blocking(hub("A", "--"), "x@y.example"), conn("B", "*")},
			want: []string{"warning accepted_domain[0].domain: blocked_senders",
				`warning send_connector[0].blocked_senders: <x@y.example> to <user@contoso.example> of any size, which Send connector "A" does not take (blocked_senders), leaves through "B"`}},
		{name: "caught on the way", domains: []config.AcceptedDomain{own},
			connectors: []config.SendConnector{allowing(hub("A", "--"), "y.example"), hub("C", "*.example"), conn("B", "*")},
			want:       []string{`warning send_connector[0].allowed_senders: <someone@elsewhere.example> to <user@contoso.example>`}},
		{name: "-- without domains", domains: []config.AcceptedDomain{accepted("hosted.example", config.ExternalRelay)},
			connectors: []config.SendConnector{hub("A", "--", "*")},
			want:       []string{"warning send_connector[0].address_spaces[0]: matches nothing"}},
		{name: "a space twice",
			connectors: []config.SendConnector{conn("A", "b.example;1", "SMTP:B.example.;2")},
			want:       []string{"warning send_connector[0].address_spaces[1]: over again"}},
		{name: "never chosen for its name or cost",
			connectors: []config.SendConnector{conn("B", "*"), conn("A", "x.example", "*"), conn("C", "smtp:*;2")},
			want: []string{"warning send_connector[0].address_spaces[0]: its name comes first",
				"warning send_connector[2].address_spaces[0]: its cost is 1, this one's 2"}},
		{name: "chosen by sender or size",
			connectors: []config.SendConnector{allowing(conn("A", "*"), "vip.example"), conn("B", "*"), limited(conn("C", "c.example;1"), 5), conn("D", "c.example;2")},
			want:       []string{`warning send_connector[0].allowed_senders: leaves through "B", which takes every sender's`}},
		{name: "chosen by sender among equals where limits bind", enforce: true,
			connectors: []config.SendConnector{allowing(conn("A", "*"), "vip.example"), conn("B", "*")}},
		{name: "never chosen where limits bind either", enforce: true,
			connectors: []config.SendConnector{conn("A", "*"), conn("B", "*")},
			want:       []string{"warning send_connector[1].address_spaces[0]: never chosen"}},
		{name: "a fallback needs no space",
			connectors: []config.SendConnector{falling(conn("A", "*"), "b"), conn("B")}},
		{name: "files that nobody read",
			connectors: []config.SendConnector{{Name: "A", Enabled: true, AddressSpacesFile: "x", BlockedSendersFile: "y", AllowedSendersFile: "z"}},
			want: []string{"error send_connector[0].address_spaces_file: was not read", "error send_connector[0].blocked_senders_file: was not read",
				"error send_connector[0].allowed_senders_file: was not read", "warning send_connector[0]: never chosen", "warning send_connector[0].max_message_size"}[:4]},
		{name: "no space", connectors: []config.SendConnector{conn("A"), disabled(conn("B"))},
			want: []string{"warning send_connector[0]: never chosen"}},
		{name: "no size", connectors: []config.SendConnector{limited(conn("A", "*"), 0)},
			want: []string{"warning send_connector[0].max_message_size: no limit at all"}},
		{name: "one name twice", connectors: []config.SendConnector{conn("Out", "a.example"), conn("OUT", "b.example")},
			want: []string{"error send_connector[1].name: has the name of another"}},
		{name: "domains twice", domains: []config.AcceptedDomain{own, accepted("CONTOSO.example.", config.InternalRelay), accepted("*.bücher.example", config.Authoritative), accepted("bücher.example", config.Authoritative), accepted("*.xn--bcher-kva.example", config.Authoritative)},
			connectors: []config.SendConnector{hub("A", "--")},
			want:       []string{"error accepted_domain[1].domain: twice", "error accepted_domain[4].domain: twice"}},
		{name: "two defaults", domains: []config.AcceptedDomain{{Domain: "a.example", Default: true}, {Domain: "b.example", Default: true}},
			connectors: []config.SendConnector{hub("A", "--")},
			want:       []string{"error accepted_domain[1].default: both the default"}},
		{name: "a wildcard as default, and a wildcard alone", domains: []config.AcceptedDomain{{Domain: "*.a.example", Default: true}},
			connectors: []config.SendConnector{hub("A", "--")},
			want:       []string{"warning accepted_domain[0].default: can't be the default", "warning accepted_domain[0].domain: not a.example itself"}},
		{name: "a wildcard that covers the base of another", domains: []config.AcceptedDomain{accepted("*.a.example", ""), accepted("*.b.a.example", ""), accepted("a.example", "")},
			connectors: []config.SendConnector{hub("A", "--")}},
		{name: "a whole top-level domain", domains: []config.AcceptedDomain{accepted("*.example", config.InternalRelay), accepted("example", config.InternalRelay)},
			connectors: []config.SendConnector{hub("A", "--")},
			want:       []string{"warning accepted_domain[0].domain: every domain under example", "warning accepted_domain[1].domain: under which anyone has domains"}},
		{name: "public suffixes", domains: []config.AcceptedDomain{accepted("com", ""), accepted("co.uk", ""), accepted("*.co.uk", ""), accepted("github.io", ""), accepted("localhost", "")},
			connectors: []config.SendConnector{hub("A", "--")},
			want: []string{`warning accepted_domain[0].domain: "com" is a domain under which anyone`, `warning accepted_domain[1].domain: "co.uk" is a domain under`,
				"warning accepted_domain[2].domain: every domain under co.uk"}},
	} {
		cfg := &config.Config{Server: config.Server{MaxMessageSize: 100}, AcceptedDomains: c.domains, SendConnectors: c.connectors}
		if c.enforce {
			cfg.Routing.Restrictions = "enforce"
		}
		got := Lint(cfg)
		tab, findings := New(cfg)
		if (tab == nil) != config.HasErrors(got) || len(findings) != len(got) {
			t.Errorf("%s: New gives %v with %v", c.name, tab, findings)
		}
		for i := range max(len(got), len(c.want)) {
			var has, want string
			if i < len(got) {
				has = got[i].Severity.String() + " " + got[i].Path + ": " + got[i].Message
			}
			if i < len(c.want) {
				want = c.want[i]
			}
			place, part, _ := strings.Cut(want, ": ")
			if want == "" || !strings.HasPrefix(has, place+": ") || !strings.Contains(has, part) {
				t.Errorf("%s: finding %d is %q, want %q", c.name, i, has, want)
			}
		}
	}
}

func TestAccepted(t *testing.T) {
	tab := table(t, &config.Config{AcceptedDomains: []config.AcceptedDomain{
		accepted("*.contoso.example", config.InternalRelay),
		accepted("Sales.Contoso.example", config.Authoritative),
		accepted("*.hr.contoso.example", config.ExternalRelay),
		accepted("bücher.example", config.Authoritative),
	}})
	for domain, want := range map[string]string{
		"contoso.example":         "",
		"a.contoso.example":       "*.contoso.example",
		"a.b.CONTOSO.example.":    "*.contoso.example",
		"sales.contoso.example":   "Sales.Contoso.example",
		"x.sales.contoso.example": "*.contoso.example",
		"hr.contoso.example":      "*.contoso.example",
		"x.hr.contoso.example":    "*.hr.contoso.example",
		"XN--BCHER-KVA.example":   "bücher.example",
		"BÜCHER.example":          "bücher.example",
		"evilcontoso.example":     "",
		"example":                 "",
		"":                        "",
		".":                       "",
		"[192.0.2.1]":             "",
		"*.contoso.example":       "*.contoso.example",
	} {
		a, ok := tab.Accepted(domain)
		if a.Domain != want || ok != (want != "") {
			t.Errorf("Accepted(%q) = %q, %v; want %q", domain, a.Domain, ok, want)
		}
	}
}

func TestDefaultDomain(t *testing.T) {
	for _, c := range []struct {
		domains []config.AcceptedDomain
		want    string
	}{
		{nil, "edge.contoso.example"},
		{[]config.AcceptedDomain{{Domain: "*.a.example"}}, "edge.contoso.example"},
		{[]config.AcceptedDomain{{Domain: "*.a.example"}, {Domain: "b.example"}, {Domain: "c.example"}}, "b.example"},
		{[]config.AcceptedDomain{{Domain: "b.example"}, {Domain: "C.example.", Default: true}}, "C.example"},
		{[]config.AcceptedDomain{{Domain: "*.a.example", Default: true}, {Domain: "b.example"}}, "b.example"},
	} {
		tab := table(t, &config.Config{Server: config.Server{FQDN: "edge.contoso.example"}, AcceptedDomains: c.domains})
		if got := tab.DefaultDomain(); got != c.want {
			t.Errorf("%v: the default domain is %q, want %q", c.domains, got, c.want)
		}
	}
}
