package receive

import (
	"strings"
	"testing"
	"testing/synctest"

	"postern/config"
	"postern/routing"
)

// withRoutes lets a bench ask these Send connectors.
func withRoutes(b *bench, restrictions string, connectors ...config.SendConnector) {
	b.t.Helper()
	tab, findings := routing.New(&config.Config{Routing: config.Routing{Restrictions: restrictions}, SendConnectors: connectors})
	if tab == nil {
		b.t.Fatal(findings)
	}
	b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{testConnector()}, Domains: testDomains, Routes: tab}))
}

// TestRefusedByRoutes: what no Send connector takes is refused as soon as that is
// known; what some recipients may get is taken.
func TestRefusedByRoutes(t *testing.T) {
	space := func(name string, max int64, spaces ...string) config.SendConnector {
		return config.SendConnector{Name: name, Enabled: true, AddressSpaces: spaces, MaxMessageSize: max}
	}
	small := space("Small", 100, "contoso.example")
	small.BlockedSenders = []string{"intern@fabrikam.example"}
	scoped := space("Scoped", config.Unlimited, "scoped.example", "*.scoped.example")
	scoped.Scope = []string{"Elsewhere"}
	other := space("Other", config.Unlimited, "fabrikam.example")
	const size, sender, scope = "S: 550 5\\.3\\.4 ROUTING\\.SizeLimit; .*\n", "S: 550 5\\.7\\.1 ROUTING\\.SenderRestricted; .*\n", "S: 550 5\\.7\\.1 ROUTING\\.Scope; .*\n"
	body := `C> "Subject: x\r\n\r\n` + strings.Repeat("0123456789", 10) + `\r\n.\r\n"` + "\n"
	const ok = "S: 250 .*\n"
	data := "C: DATA\nS: 354 .*\n" + body
	for _, tt := range []struct {
		name, script   string
		taken, limited int
		mode           string // empty: both
	}{
		{name: "declared size", script: "C: MAIL FROM:<> SIZE=101\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + size, limited: 1},
		{name: "declared size, just small enough", script: "C: MAIL FROM:<> SIZE=100\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + ok},
		{name: "declared nothing", script: "C: MAIL FROM:<> SIZE=0\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + ok},
		{name: "sender", script: "C: MAIL FROM:<INTERN@fabrikam.example>\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + sender +
			"C: RCPT TO:<b@fabrikam.example>\n" + ok + data + ok, taken: 1},
		{name: "content", script: "C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + ok + "C: RCPT TO:<c@contoso.example>\n" + ok + data + size, limited: 1},
		{name: "content for another too", script: "C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + ok + "C: RCPT TO:<b@fabrikam.example>\n" + ok + data + ok, taken: 1},
		{name: "content for nobody's domain too", script: "C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + ok + "C: RCPT TO:<b@unrouted.example>\n" + ok + data + ok, taken: 1},
		{name: "chunks", script: "C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + ok + `C> "BDAT 101 LAST\r\n` + strings.Repeat("x", 101) + `"` + "\n" + size, limited: 1},
		{name: "the session goes on", script: "C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@contoso.example>\n" + ok + data + size + "C: DATA\nS: 503 .*\n" +
			"C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@fabrikam.example>\n" + ok + data + ok, taken: 1, limited: 1},
		{name: "scope", mode: "enforce", script: "C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@scoped.example>\n" + scope},
		{name: "out of scope is not there", mode: "filter", script: "C: MAIL FROM:<>\n" + ok + "C: RCPT TO:<b@scoped.example>\n" + ok},
	} {
		for _, mode := range []string{"filter", "enforce"} {
			if tt.mode != "" && tt.mode != mode {
				continue
			}
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := startBench(t, testConnector())
					withRoutes(b, mode, small, scoped, other)
					c := testConnector()
					c.Grant, c.TarpitInterval = []string{"accept_any_recipient"}, 0
					snap := b.server.snapshot.Load()
					b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{c}, Domains: testDomains, Routes: snap.routes}))
					b.dialog("S: 220 .*\nC: EHLO client.example\nS~ .*\n" + tt.script + "C: QUIT\nS: 221 .*\nEND")
					if n := len(b.queue.all()); n != tt.taken {
						t.Errorf("%d messages were taken, want %d", n, tt.taken)
					}
					if n := b.limitCount(limitRouteSize); n != int64(tt.limited) {
						t.Errorf("the limit was counted %d times, want %d", n, tt.limited)
					}
				})
			})
		}
	}
}

// TestRouteLimitNamesItself: the log has the figures and the connector.
func TestRouteLimitNamesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector())
		withRoutes(b, "enforce", config.SendConnector{Name: "Small", Enabled: true, AddressSpaces: []string{"contoso.example"}, MaxMessageSize: 100})
		logged := protocolLog(t, b)
		b.dialog("S: 220 .*\nC: EHLO client.example\nS~ .*\nC: MAIL FROM:<> SIZE=101\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 550 5\\.3\\.4 .*\nC: QUIT\nS: 221 .*\nEND")
		b.limitSeen(logged, limitRouteSize, `The Send connector "Small", the best match for contoso.example, does not take the message: the message has 101 octets, max_message_size is 100.`, 1)
	})
}
