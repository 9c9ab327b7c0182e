package receive

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/config"
)

// strangersEverywhere are clients that no administrator knows one by one, on
// public and on private networks. Known hosts are in other ranges.
var strangersEverywhere = []string{"8.8.8.8", "2600::1", "10.9.9.9", "fd00:0:0:9::9"}

var (
	wideRanges  = []string{"0.0.0.0/0", "::/0", "8.0.0.0/8", "10.0.0.0/8", "8.8.0.0-10.255.255.255", "2600::/16", "fd00::/8"}
	knownRanges = []string{"10.0.0.11", "203.0.113.0/24", "192.168.7.0/24", "127.0.0.0/8", "::1", "2001:db8::/64"}
)

func some(t *rapid.T, of []string, least, most int, label string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(of), least, most, rapid.ID[string]).Draw(t, label)
}

// anyConnector is a connector that may well be misconfigured.
func anyConnector(t *rapid.T, i int) config.ReceiveConnector {
	label := func(s string) string { return fmt.Sprint(s, i) }
	c := testConnector(bindings(some(t, []string{"0.0.0.0:25", "[::]:25", "192.0.2.10:25", "127.0.0.1:25", "[::1]:25"}, 1, 3, label("bindings"))...))
	c.Name = fmt.Sprint(i)
	c.Enabled = rapid.IntRange(0, 9).Draw(t, label("enabled")) > 0
	c.PermissionGroups = some(t, config.PermissionGroups(), 0, 4, label("groups"))
	c.AuthMechanism = rapid.SampledFrom([][]string{{"tls"}, {"external_authoritative"}, {"tls", "basic"}, {"none"}}).Draw(t, label("auth"))
	c.Grant = some(t, config.Rights()[:4], 0, 2, label("grant"))
	c.Deny = some(t, config.Rights()[:4], 0, 1, label("deny"))
	c.RemoteIPRanges = nil
	for _, r := range some(t, slices.Concat(wideRanges, knownRanges), 1, 3, label("ranges")) {
		c.RemoteIPRanges = append(c.RemoteIPRanges, ipRange(r))
	}
	if rapid.IntRange(0, 3).Draw(t, label("proxied")) == 0 {
		c.ProxyProtocolFrom = []config.Range{ipRange("10.0.0.5")}
	}
	return c
}

// TestLintNamesEveryRelay: wherever a stranger may relay, or send as us,
// without authentication, Lint says so of the connector that he gets. On private
// networks it is our own hosts that send as us.
func TestLintNamesEveryRelay(t *testing.T) {
	relays, spoofs := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var connectors []config.ReceiveConnector
		for i := range rapid.IntRange(1, 3).Draw(t, "connectors") {
			connectors = append(connectors, anyConnector(t, i))
		}
		findings := Lint(&config.Config{ReceiveConnectors: connectors, AcceptedDomains: []config.AcceptedDomain{{Domain: "contoso.example"}}})
		says := func(i int, words ...string) bool {
			return slices.ContainsFunc(findings, func(f config.Finding) bool {
				return strings.HasPrefix(f.Path, fmt.Sprintf("receive_connector[%d].", i)) &&
					slices.ContainsFunc(words, func(w string) bool { return strings.Contains(f.Message, w) })
			})
		}
		for _, local := range []string{"192.0.2.10:25", "[2001:db8::25]:25", "127.0.0.1:25", "[::1]:25"} {
			at := netip.MustParseAddrPort(local)
			for _, stranger := range strangersEverywhere {
				from := netip.AddrPortFrom(netip.MustParseAddr(stranger), 4000)
				// Nobody but a proxy brings a stranger to an address of loopback.
				proxied := slices.ContainsFunc(connectors, func(c config.ReceiveConnector) bool {
					_, bound := matchBinding(c.Bindings, at)
					return c.Enabled && bound && len(c.ProxyProtocolFrom) > 0
				})
				if at.Addr().IsLoopback() && !proxied {
					continue
				}
				i := choose(connectors, at, from)
				if i < 0 {
					continue
				}
				rights := RightsOf(&connectors[i], 0)
				if rights.Has(Submit | AcceptAnyRecipient) {
					relays++
					if !says(i, "open relay: ", " may relay ") {
						t.Fatalf("%s at %s may relay on connector %d, and Lint does not say so: %+v", stranger, local, i, findings)
					}
				}
				if rights.Has(Submit|AcceptAnySender|AcceptAuthoritativeDomainSender) && !private(config.Range{From: from.Addr(), To: from.Addr()}) {
					spoofs++
					if !says(i, "strangers may send as us: ", ", send as us, ") {
						t.Fatalf("%s at %s may send as us on connector %d, and Lint does not say so: %+v", stranger, local, i, findings)
					}
				}
			}
		}
	})
	if relays == 0 || spoofs == 0 {
		t.Errorf("%d relays, %d spoofs", relays, spoofs)
	}
}
