package send

import (
	"testing"
	"testing/synctest"

	"postern/config"
	"postern/internal/resolver"
	ptls "postern/tls"
)

// TestOverrideHoldsForExchangers: what an override asks of a smart host holds for
// the mail exchangers that the DNS names for it, whoever they are.
func TestOverrideHoldsForExchangers(t *testing.T) {
	const waits = `0 deferred 451 4.7.4 TLS is required, but the host does not offer STARTTLS. The override for hubs.test in send connector "Internet" asks for TLS`
	for _, tt := range []struct {
		name     string
		override config.TLSOverride
		want     string
	}{
		{"of the smart host", config.TLSOverride{Domain: "hubs.test", TLS: config.TLSRequired}, waits},
		{"of the exchanger", config.TLSOverride{Domain: "evil.test", TLS: config.TLSRequired}, "0 delivered 250 2.6.0 Queued"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				defer b.stop()
				b.names.mx = map[string]any{"hubs.test": "evil.test"}
				b.names.addrs = map[string]any{"evil.test": "192.0.2.66", "hubs.test": dnsTrouble(resolver.NoData)}
				b.host("192.0.2.66:25", &fakeMX{})
				b.connector.SmartHosts = []config.SmartHost{{Host: "hubs.test"}}
				b.connector.TLSOverrides = []config.TLSOverride{tt.override}
				if got := sum(b.deliver(t.Context(), smartHop("hubs.test:25"), mail("x\r\n"))); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
	o := config.SendConnector{Name: "Internet", TLSOverrides: []config.TLSOverride{{Domain: "hubs.test", TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation}}}
	if got := ptls.PolicyFor(&o, ptls.Hop{Domain: "hubs.test", Host: "evil.test"}).Names(); len(got) != 1 || got[0] != "hubs.test" {
		t.Errorf("the certificate must be for %q", got)
	}
}
