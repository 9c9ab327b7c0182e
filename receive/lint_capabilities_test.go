package receive

import (
	"strings"
	"testing"

	"postern/config"
)

// TestLintCapabilities: rights by certificate that open a relay, are anybody's,
// or nobody's.
func TestLintCapabilities(t *testing.T) {
	const relay = "open relay for some: on connector \"From Internet\" whoever shows a certificate for "
	for name, tt := range map[string]struct {
		capabilities map[string][]string
		change       func(*config.ReceiveConnector)
		want         []string
	}{
		"none":      {nil, nil, nil},
		"filters":   {map[string][]string{"mail.fabrikam.example": {"bypass_anti_spam"}}, nil, nil},
		"relay":     {map[string][]string{"mail.fabrikam.example": {"accept_any_recipient"}}, nil, []string{relay + "mail.fabrikam.example may relay, from 0.0.0.0"}},
		"known":     {map[string][]string{"mail.fabrikam.example": {"accept_any_recipient"}}, func(c *config.ReceiveConnector) { c.RemoteIPRanges = []config.Range{ipRange("203.0.113.7")} }, nil},
		"denied":    {map[string][]string{"mail.fabrikam.example": {"accept_any_recipient"}}, func(c *config.ReceiveConnector) { c.Deny = []string{"accept_any_recipient"} }, []string{"gives no right that strangers there don't have, or that deny leaves"}},
		"had":       {map[string][]string{"mail.fabrikam.example": {"submit", "accept_any_sender"}}, nil, []string{"gives no right that strangers there don't have"}},
		"no submit": {map[string][]string{"mail.fabrikam.example": {"bypass_anti_spam"}}, func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"partners"} }, []string{"nobody may send there without the right submit"}},
		"submit":    {map[string][]string{"mail.fabrikam.example": {"submit"}}, func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"partners"} }, nil},
		"a registry": {map[string][]string{"*.co.uk": {"bypass_anti_spam"}, "*.com": {"bypass_anti_spam"}, "*.example": {"bypass_anti_spam"}, "*.github.io": {"bypass_anti_spam"},
			"*.fabrikam.com": {"bypass_anti_spam"}, "*.fabrikam.example": {"bypass_anti_spam"}}, nil,
			[]string{"below co.uk", "below com", "below example", "below github.io"}},
	} {
		c := testConnector(func(c *config.ReceiveConnector) {
			c.AuthMechanism = []string{"tls", "client_certificate"}
			c.TLSDomainCapabilities = tt.capabilities
			if tt.change != nil {
				tt.change(c)
			}
		})
		var got []string
		for _, f := range Lint(&config.Config{ReceiveConnectors: []config.ReceiveConnector{c}}) {
			if strings.Contains(f.Path, "tls_domain_capabilities") {
				if f.Severity != config.Warning || f.Remedy == "" {
					t.Errorf("%s: %+v", name, f)
				}
				got = append(got, f.Message)
			}
		}
		ok := len(got) == len(tt.want)
		for i := range min(len(got), len(tt.want)) {
			ok = ok && strings.Contains(got[i], tt.want[i])
		}
		if !ok {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// TestExplainCapabilities: what a client may do by its certificate is told.
func TestExplainCapabilities(t *testing.T) {
	c := testConnector(func(c *config.ReceiveConnector) {
		c.AuthMechanism = []string{"tls", "client_certificate"}
		c.Deny = []string{"bypass_anti_spam"}
		c.TLSDomainCapabilities = map[string][]string{"b.example": {"accept_any_recipient", "bypass_anti_spam"}, "*.a.example": {"accept_headers_organization"}}
	})
	e := Explain(&config.Config{ReceiveConnectors: []config.ReceiveConnector{c}}, serverAddr, strangerAddr)
	if len(e.Certified) != 2 || e.Certified[0].Domain != "*.a.example" || e.Certified[1].Domain != "b.example" {
		t.Fatalf("%+v", e.Certified)
	}
	if a := e.Certified[0]; a.Relays || a.Rights != e.Stranger.Rights|AcceptHeadersOrganization {
		t.Errorf("%+v", a)
	}
	if b := e.Certified[1]; !b.Relays || b.Rights != e.Stranger.Rights|AcceptAnyRecipient {
		t.Errorf("%+v", b)
	}
}
