package ptls

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/config"
)

// TestPolicyFor: who decides what the TLS of a next hop must be, and how the
// decision explains itself.
func TestPolicyFor(t *testing.T) {
	const pin = "ABCD"
	plain := config.SendConnector{Name: "Internet", TLS: config.TLSOpportunistic}
	strict := config.SendConnector{Name: "Partners", TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation, TLSCAFile: "ca.pem"}
	hubs := config.SendConnector{Name: "Hubs", TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation, TLSDomain: []string{"hub.example", "*.corp.example"}, ImplicitTLS: true}
	over := config.SendConnector{Name: "Mixed", TLS: config.TLSOpportunistic, NoTLSFallback: true, TLSOverrides: []config.TLSOverride{
		{Domain: "*.fabrikam.example", TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation},
		{Domain: "broken.fabrikam.example", TLS: config.TLSIgnoreSTARTTLS},
		{Domain: "*.deep.fabrikam.example", TLS: config.TLSOpportunistic},
		{Domain: "Bücher.example", TLS: config.TLSRequired, TLSFingerprints: []string{pin}},
		{Domain: "192.0.2.1", TLS: config.TLSRequired},
	}}
	secure := config.SendConnector{Name: "Secure", TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation, DomainSecureEnabled: true}
	for _, tt := range []struct {
		name string
		c    *config.SendConnector
		hop  Hop
		want string
	}{
		{"opportunistic", &plain, Hop{Domain: "a.example", Host: "mx.a.example"}, `TLS where it can be had (send connector "Internet")`},
		{"no fallback", &over, Hop{Domain: "a.example", Host: "mx.a.example"}, `TLS where it is offered (send connector "Mixed")`},
		{"own roots", &strict, Hop{Domain: "a.example", Host: "mx.a.example"}, `TLS with a valid certificate by an authority in ca.pem (send connector "Partners")`},
		{"names", &hubs, Hop{Host: "hub1.corp.example"}, `TLS with a valid certificate for hub.example or *.corp.example (send connector "Hubs")`},
		{"mutual, the recipient's domain", &secure, Hop{Domain: "a.example", Host: "mx.a.example"}, `TLS with a valid certificate for a.example, and ours in return (send connector "Secure")`},

		{"an override takes in the domain itself", &over, Hop{Domain: "Fabrikam.example", Host: "mx"}, `TLS with a valid certificate for Fabrikam.example (the override for *.fabrikam.example in send connector "Mixed")`},
		{"and those below", &over, Hop{Domain: "a.b.fabrikam.example", Host: "mx"}, `TLS with a valid certificate for a.b.fabrikam.example (the override for *.fabrikam.example in send connector "Mixed")`},
		{"the exact one counts", &over, Hop{Domain: "broken.fabrikam.example", Host: "mx"}, `clear text (the override for broken.fabrikam.example in send connector "Mixed")`},
		{"for itself alone", &over, Hop{Domain: "x.broken.fabrikam.example", Host: "mx"}, `TLS with a valid certificate for x.broken.fabrikam.example (the override for *.fabrikam.example in send connector "Mixed")`},
		{"the nearest one counts, and inherits nothing", &over, Hop{Domain: "x.deep.fabrikam.example", Host: "mx"}, `TLS where it can be had (the override for *.deep.fabrikam.example in send connector "Mixed")`},
		{"no override above", &over, Hop{Domain: "example", Host: "mx"}, `TLS where it is offered (send connector "Mixed")`},
		{"a name that only ends like it", &over, Hop{Domain: "xfabrikam.example", Host: "mx"}, `TLS where it is offered (send connector "Mixed")`},
		{"U-labels and A-labels", &over, Hop{Domain: "xn--bcher-kva.example", Host: "mx"}, `TLS with a pinned certificate (the override for Bücher.example in send connector "Mixed")`},
		{"an address literal", &over, Hop{Domain: "[192.0.2.1]", Host: "192.0.2.1"}, `TLS (the override for 192.0.2.1 in send connector "Mixed")`},
		{"the host of a domain is no domain", &over, Hop{Domain: "a.example", Host: "mx.fabrikam.example"}, `TLS where it is offered (send connector "Mixed")`},
		{"a smart host by name", &over, Hop{Host: "hub.fabrikam.example"}, `TLS with a valid certificate for hub.fabrikam.example (the override for *.fabrikam.example in send connector "Mixed")`},

		{"REQUIRETLS", &plain, Hop{Domain: "a.example", Host: "mx.a.example", RequireTLS: true}, `TLS with a valid certificate for mx.a.example (REQUIRETLS of the message)`},
		{"REQUIRETLS with roots", &strict, Hop{Domain: "a.example", Host: "mx.a.example", RequireTLS: true}, `TLS with a valid certificate for mx.a.example by an authority in ca.pem (REQUIRETLS of the message)`},
		{"REQUIRETLS where as much is asked", &hubs, Hop{Host: "hub1.corp.example", RequireTLS: true}, `TLS with a valid certificate for hub.example or *.corp.example (send connector "Hubs")`},
		{"REQUIRETLS and pins", &over, Hop{Domain: "bücher.example", Host: "mx", RequireTLS: true}, `TLS with a pinned certificate (the override for Bücher.example in send connector "Mixed")`},
		{"REQUIRETLS against clear text", &over, Hop{Domain: "broken.fabrikam.example", Host: "mx.b", RequireTLS: true}, `TLS with a valid certificate for mx.b (REQUIRETLS of the message)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := PolicyFor(tt.c, tt.hop)
			if got := p.String(); got != tt.want {
				t.Errorf("policy %s\nwant   %s", got, tt.want)
			}
			if p.Required() != strings.HasPrefix(tt.want, "TLS with") && !strings.HasPrefix(tt.want, "TLS (") {
				t.Errorf("required: %v", p.Required())
			}
		})
	}
}

// TestPolicyMode: what the words of the configuration mean.
func TestPolicyMode(t *testing.T) {
	for _, tt := range []struct {
		c                                 config.SendConnector
		uses, required, falls, implicitly bool
	}{
		{config.SendConnector{}, true, false, true, false},
		{config.SendConnector{TLS: config.TLSOpportunistic}, true, false, true, false},
		{config.SendConnector{TLS: config.TLSOpportunistic, NoTLSFallback: true}, true, false, false, false},
		{config.SendConnector{TLS: config.TLSIgnoreSTARTTLS}, false, false, false, false},
		{config.SendConnector{TLS: config.TLSRequired}, true, true, false, false},
		{config.SendConnector{TLS: config.TLSRequired, ImplicitTLS: true}, true, true, false, true},
	} {
		p := PolicyFor(&tt.c, Hop{Domain: "a.example", Host: "mx"})
		if p.Uses() != tt.uses || p.Required() != tt.required || p.FallsBack() != tt.falls || p.Implicit() != tt.implicitly {
			t.Errorf("%+v: uses %v, required %v, falls back %v, implicit %v", tt.c, p.Uses(), p.Required(), p.FallsBack(), p.Implicit())
		}
	}
	if p := (Policy{}); p.Required() || p.Names() != nil || p.Source() == "" {
		t.Errorf("the zero policy: %s", p)
	}
	// Without validation a level is no business of a mode that asks for none.
	p := PolicyFor(&config.SendConnector{TLS: config.TLSOpportunistic, TLSAuthLevel: config.DomainValidation, TLSDomain: []string{"x"}, TLSFingerprints: []string{"y"}}, Hop{})
	if p.Level() != "" || p.Names() != nil || p.Asks() != "TLS where it can be had" {
		t.Errorf("%s", p)
	}
}

// TestPoliciesCompare: a connection made under one policy serves another only
// when both ask for the same.
func TestPoliciesCompare(t *testing.T) {
	c := config.SendConnector{Name: "x", TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation, TLSOverrides: []config.TLSOverride{
		{Domain: "pinned.example", TLS: config.TLSRequired, TLSFingerprints: []string{"A"}},
		{Domain: "other.example", TLS: config.TLSRequired, TLSFingerprints: []string{"B"}},
		{Domain: "roots.example", TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation, TLSCAFile: "a.pem"},
		{Domain: "plain.example", TLS: config.TLSOpportunistic},
	}}
	r := RulesOf(&c)
	hops := []Hop{{Domain: "a.example", Host: "mx"}, {Domain: "b.example", Host: "mx"}, {Domain: "pinned.example", Host: "mx"}, {Domain: "other.example", Host: "mx"},
		{Domain: "roots.example", Host: "mx"}, {Domain: "plain.example", Host: "mx"}, {Domain: "plain.example", Host: "mx", RequireTLS: true}, {Domain: "plain.example", Host: "mx2", RequireTLS: true}}
	for i, a := range hops {
		for j, b := range hops {
			if same := r.For(a) == r.For(b); same != (i == j) {
				t.Errorf("%+v and %+v have the same policy: %v", a, b, same)
			}
		}
	}
	if r.For(Hop{Domain: "plain.example", Host: "mx"}) != r.For(Hop{Domain: "plain.example", Host: "mx2"}) {
		t.Error("where nothing is asked of a name, the host makes no difference")
	}
	if n := testing.AllocsPerRun(100, func() { _ = r.For(hops[0]) }); n > 1 {
		t.Errorf("%v allocations with overrides", n)
	}
	simple := RulesOf(&config.SendConnector{TLS: config.TLSOpportunistic})
	if n := testing.AllocsPerRun(100, func() { _ = simple.For(hops[0]) }); n != 0 {
		t.Errorf("%v allocations without overrides, want none", n)
	}
	if !reflect.DeepEqual(r.For(hops[0]).Names(), []string{"a.example"}) {
		t.Errorf("names %v", r.For(hops[0]).Names())
	}
}

// TestOverridesAgree: what routing compares connectors by (TLSStrength) is the
// policy that a delivery gets.
func TestOverridesAgree(t *testing.T) {
	domains := []string{"example", "a.example", "b.a.example", "c.b.a.example", "bücher.example", "xn--bcher-kva.example", "A.Example", "other.test"}
	row := func(t *rapid.T, i int) config.TLSOverride {
		o := config.TLSOverride{
			Domain: rapid.SampledFrom([]string{"", "*."}).Draw(t, "star") + domains[i],
			TLS:    rapid.SampledFrom([]string{config.TLSRequired, config.TLSOpportunistic, config.TLSIgnoreSTARTTLS}).Draw(t, "tls"),
		}
		switch o.TLS {
		case config.TLSRequired:
			o.TLSAuthLevel = rapid.SampledFrom([]string{"", config.EncryptionOnly, config.CertificateValidation, config.DomainValidation}).Draw(t, "level")
			if rapid.Bool().Draw(t, "pinned") {
				o.TLSFingerprints = []string{"A"}
			}
		case config.TLSOpportunistic:
			o.NoTLSFallback = rapid.Bool().Draw(t, "no fallback")
		}
		return o
	}
	strength := func(p Policy) int {
		switch {
		case !p.Uses():
			return 0
		case p.FallsBack():
			return 1
		case !p.Required():
			return 2
		case p.Level() == config.DomainValidation || strings.Contains(p.Asks(), "pinned"):
			return 5
		case p.Level() == config.CertificateValidation:
			return 4
		}
		return config.TLSGuarded
	}
	rapid.Check(t, func(t *rapid.T) {
		base := row(t, 0)
		c := config.SendConnector{TLS: base.TLS, TLSAuthLevel: base.TLSAuthLevel, TLSFingerprints: base.TLSFingerprints, NoTLSFallback: base.NoTLSFallback}
		seen := make(map[string]bool)
		for range rapid.IntRange(0, 5).Draw(t, "overrides") {
			o := row(t, rapid.IntRange(0, 4).Draw(t, "domain"))
			if !seen[o.Domain] {
				c.TLSOverrides = append(c.TLSOverrides, o)
			}
			seen[o.Domain] = true
		}
		for _, d := range domains {
			if got, want := strength(PolicyFor(&c, Hop{Domain: d, Host: "mx"})), c.TLSStrength(d); got != want {
				t.Errorf("%s: strength %d, want %d, of %+v", d, got, want, c)
			}
		}
	})
}
