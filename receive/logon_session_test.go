package receive

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
)

// again is EHLO within TLS, or from anywhere.
const again = `
	C: EHLO client.example
	S~ 250-edge\.contoso\.example Hello .*\n.*`

// own are senders of somebody's own.
type own []string

func (o own) MaySendAs(from message.Address) bool { return slices.Contains(o, from.String()) }

// TestOwnSenders holds those who have logged on to their own senders
// (reference 1.6).
func TestOwnSenders(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*config.ReceiveConnector)
		script string
	}{
		"users send as themselves": {nil, `
			C: MAIL FROM:<kim@contoso.example>
			S: 250 .*
			C: RSET
			S: 250 .*
			C: MAIL FROM:<boss@contoso.example>
			S: 550 5\.7\.60 SMTP; Client does not have permissions to send as this sender
			C: MAIL FROM:<kim@elsewhere.example>
			S: 550 5\.7\.60 .*
			C: MAIL FROM:<>
			S: 250 .*`},
		"with any sender but ours": {func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_sender"} }, `
			C: MAIL FROM:<kim@contoso.example>
			S: 250 .*
			C: RSET
			S: 250 .*
			C: MAIL FROM:<boss@contoso.example>
			S: 550 5\.7\.60 .*
			C: MAIL FROM:<x@elsewhere.example>
			S: 250 .*`},
		"without submit": {func(c *config.ReceiveConnector) { c.Deny = []string{"submit"} }, `
			C: MAIL FROM:<kim@contoso.example>
			S: 550 5\.7\.1 Client does not have permissions to submit to this server`},
	} {
		t.Run(name, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*config.ReceiveConnector) {}
			}
			b := newAuthBench(t, change)
			withFakes(b, fakes{senders: own{"kim@contoso.example"}})
			b.dialog(greet + `
				C: AUTH PLAIN ` + b64("\x00kim\x00kim") + "\n" + authenticatedReply + tt.script + quit)
		})
	}
}

// TestOwnSendersEndWithTLS forgets them with all else (RFC 3207 4.2).
func TestOwnSendersEndWithTLS(t *testing.T) {
	b := newAuthBench(t, func(c *config.ReceiveConnector) {
		c.PermissionGroups = []string{"users"}
		c.Grant = []string{"submit"}
	})
	withFakes(b, fakes{senders: own{"kim@contoso.example"}})
	c := b.dialog(greet + `
		C: AUTH PLAIN ` + b64("\x00kim\x00kim") + "\n" + authenticatedReply + `
		C: STARTTLS
		S: 220 .*`)
	c.handshake()
	c.play(again + `
		C: MAIL FROM:<kim@contoso.example>
		S: 550 5\.7\.1 Anonymous client .*` + quit)
}

// TestPartner takes a client for a partner whose certificate says so.
func TestPartner(t *testing.T) {
	b := newAuthBench(t, func(c *config.ReceiveConnector) {
		c.TLSReceiveDomainSecureList = []string{"fabrikam.example"}
		c.Deny = []string{"accept_authoritative_domain_sender"}
	})
	s := *b.server.snapshot.Load()
	s.partner = func(p Peer, domains []string) (Identity, error) {
		if p.TLS == nil || len(p.Certificate) == 0 || len(domains) != 1 {
			return Identity{}, fmt.Errorf("asked of %+v", p)
		}
		if len(p.TLS.PeerCertificates) == 0 {
			return Identity{}, nil
		}
		return Identity{Name: "mail.fabrikam.example", Principals: Partners, Senders: own{"bob@fabrikam.example"}}, nil
	}
	b.server.snapshot.Store(&s)
	for name, tt := range map[string]struct {
		certificate bool
		script      string
	}{
		"with it": {true, `
			C: MAIL FROM:<bob@fabrikam.example>
			S: 250 .*
			C: RCPT TO:<x@elsewhere.example>
			S: 550 5\.7\.54 .*
			C: RSET
			S: 250 .*
			C: MAIL FROM:<x@elsewhere.example>
			S: 550 5\.7\.60 .*`},
		"without": {false, `
			C: MAIL FROM:<x@elsewhere.example>
			S: 250 .*`},
	} {
		t.Run(name, func(t *testing.T) {
			c := b.dialog(greet + `
				C: STARTTLS
				S: 220 .*`)
			cfg := clientTLS()
			if tt.certificate {
				cfg.Certificates = append(cfg.Certificates, clientCertificate(t, "mail.fabrikam.example"))
			}
			c.handshakeWith(cfg)
			c.play(again + tt.script + quit)
		})
	}
}

// TestThrottledSources counts failures over connections, by source.
func TestThrottledSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConnector(authenticating, func(c *config.ReceiveConnector) { c.MaxLogonFailuresPerSource, c.AuthTarpitInterval = 5, 0 })
		b := startBench(t, c)
		withFakes(b, fakes{})
		from := func(address string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(address), 40000) }
		try := func(address, name, reply string) {
			t.Helper()
			x := b.dial(from(address))
			x.play(`S: 220 .*` + again + `
				C: AUTH PLAIN ` + b64("\x00"+name+"\x00kim") + `
				S: ` + reply)
			x.close()
		}
		for i := range 5 {
			try("203.0.113.9", "nobody", `535 .*`)
			try(fmt.Sprintf("2001:db8:1:2::%d", i+1), "nobody", `535 .*`)
			if i < 3 {
				try("203.0.113.9", "kim", `235 .*`) // which resets nothing
			}
		}
		const refused = `421 4\.7\.0 Too many failed logons from your address, closing transmission channel`
		try("203.0.113.9", "kim", refused)
		try("203.0.113.9", "kim", refused)
		try("2001:db8:1:2:ffff::", "kim", refused) // the same /64
		try("2001:db8:1:3::", "kim", `235 .*`)
		try("203.0.113.10", "kim", `235 .*`)
		if n := b.limitCount(limitSourceLogons); n != 3 {
			t.Errorf("the limit is counted %d times", n)
		}
		if n := strings.Count(b.logged.String(), "somebody tries passwords"); n != 1 {
			t.Errorf("the event log says it %d times", n)
		}
		time.Sleep(failureWindow/5 - time.Second)
		try("203.0.113.9", "nobody", refused)
		time.Sleep(2 * time.Second)
		try("203.0.113.9", "nobody", `535 .*`)
		try("203.0.113.9", "kim", refused)
		time.Sleep(failureWindow)
		try("203.0.113.9", "kim", `235 .*`)
		if n := b.server.failures.Len(); n > maxFailed {
			t.Errorf("%d sources", n)
		}
	})
}
