//go:build unix

package ptls

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/metrics"
)

// TestExpiry: what the event log says in the last weeks of certificates, and
// what the gauges show.
func TestExpiry(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		began := time.Now()
		until := func(d time.Duration) func(*x509.Certificate) {
			return func(c *x509.Certificate) { c.NotAfter = began.Add(d) }
		}
		const day = 24 * time.Hour
		edgeCert := ca.issue(t, nil, until(40*day), "edge.contoso.example")
		writePEM(t, dir, "edge.pem", edgeCert)
		writePEM(t, dir, "client.pem", ca.issue(t, nil, until(35*day), "out.contoso.example"))
		writePEM(t, dir, "other.pem", ca.issue(t, nil, until(400*day), "mail.fabrikam.example"))
		writePEM(t, dir, "superseded.pem", ca.issue(t, nil, until(day), "mail.fabrikam.example"))
		writePEM(t, dir, "nobody.pem", ca.issue(t, nil, until(300*day), "nobody.example").Leaf)
		cfg := edge(dir, nil)
		inside := cfg.ReceiveConnectors[0]
		inside.Name, inside.Bindings = "From organization", []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:25")}
		off := inside
		off.Name, off.Enabled = "Off", false
		clear := inside
		clear.Name, clear.AuthMechanism = "In clear", []string{"none"}
		cfg.ReceiveConnectors = append(cfg.ReceiveConnectors, inside, off, clear)
		cfg.SendConnectors = []config.SendConnector{{Name: "Partners", Enabled: true, FQDN: "out.contoso.example"}, {Name: "None", Enabled: true, TLSCertificate: NoCertificate, FQDN: "out.contoso.example"}}
		var log journal
		registry := new(metrics.Registry)
		p, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger(), Metrics: registry})
		if err != nil {
			t.Fatal(err)
		}
		log.take()
		p.Start()
		var got []string
		event := regexp.MustCompile(`event_id=(1201[678]) thumbprint=[0-9A-F]{64} subject="?CN=([a-z.]+)"? friendly_name=\S+ expires=\S+ hours_left=([0-9]+) connectors="?([^"\n]*?)"? fqdn=`)
		for now := began; now.Before(began.Add(43 * day)); now = time.Now() {
			time.Sleep(time.Hour)
			synctest.Wait()
			for _, m := range event.FindAllStringSubmatch(log.take(), -1) {
				got = append(got, fmt.Sprintf("day %d: %s %s %s h (%s)", time.Since(began)/day, m[1], m[2], m[3], m[4]))
			}
		}
		if err := p.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		var want []string
		for _, line := range got {
			count[line[strings.Index(line, ": ")+2:][:5+1+len("edge")]]++
		}
		for _, line := range got {
			if !strings.Contains(line, "12018 edge") || !strings.HasSuffix(strings.Split(line, ":")[0], "39") {
				want = append(want, line)
			}
		}
		if n := count["12018 edge"]; n != 4+25 {
			t.Errorf("%d warnings of the connectors' certificate, want 4 and one an hour at the last day\n%s", n, strings.Join(got, "\n"))
		}
		for _, line := range []string{
			"day 5: 12018 out.contoso.example 720 h (Partners)", "day 10: 12018 edge.contoso.example 720 h (From Internet, From organization)",
			"day 26: 12018 edge.contoso.example 336 h (From Internet, From organization)", "day 33: 12018 edge.contoso.example 168 h (From Internet, From organization)",
			"day 38: 12018 edge.contoso.example 48 h (From Internet, From organization)", "day 39: 12018 edge.contoso.example 23 h (From Internet, From organization)",
			"day 40: 12018 edge.contoso.example 0 h (From Internet, From organization)", "day 35: 12016 out.contoso.example 0 h (Partners)", "day 36: 12016 out.contoso.example 0 h (Partners)", "day 40: 12016 edge.contoso.example 0 h (From Internet, From organization)",
			"day 41: 12016 edge.contoso.example 0 h (From Internet, From organization)", "day 42: 12016 edge.contoso.example 0 h (From Internet, From organization)",
		} {
			if n := strings.Count(strings.Join(got, "\n")+"\n", line+"\n"); n != 1 {
				t.Errorf("%q %d times in\n%s", line, n, strings.Join(want, "\n"))
			}
		}
		if strings.Contains(strings.Join(got, "\n"), "fabrikam") {
			t.Errorf("a certificate that another supersedes is told of:\n%s", strings.Join(got, "\n"))
		}

		// The expired one is presented all the same; the client certificate is
		// not shown any more.
		gauges := func() map[string]int64 {
			out := map[string]int64{}
			for _, s := range registry.Snapshot() {
				if s.Name == "certificate_expiry_seconds" {
					out[s.Labels[0].Value+" "+s.Labels[1].Value] = (s.Value - began.Unix()) / int64(day/time.Second)
				}
			}
			return out
		}
		if got, want := gauges(), map[string]int64{"receive From Internet": 40, "receive From organization": 40, "send Partners": 35, "server_name ": 400}; !reflect.DeepEqual(got, want) {
			t.Errorf("gauges %v, want %v", got, want)
		}
		var shown []string
		for _, s := range p.Shown() {
			shown = append(shown, fmt.Sprintf("%s for %s, %d days, own %v", s.FriendlyName, s.For(), s.SecondsLeft/86400, s.Own))
		}
		if got, want := strings.Join(shown, "\n"), "client for to next hops of Partners, -8 days, own false\nedge for From Internet, From organization, -3 days, own false\nother for clients that ask for mail.fabrikam.example, 357 days, own false"; got != want {
			t.Errorf("shown:\n%s\nwant\n%s", got, want)
		}

		// Renewed: all is well again.
		writePEM(t, dir, "edge.pem", ca.issue(t, nil, until(143*day), "edge.contoso.example"))
		time.Sleep(2 * time.Second)
		p.Look()
		p.Look()
		time.Sleep(2 * time.Second)
		p.Look()
		if got, want := gauges(), map[string]int64{"receive From Internet": 143, "receive From organization": 143, "send Partners": 35, "server_name ": 400}; !reflect.DeepEqual(got, want) {
			t.Errorf("gauges after the renewal %v, want %v", got, want)
		}
		// A connector that is gone leaves no gauge.
		fewer := *cfg
		fewer.ReceiveConnectors = cfg.ReceiveConnectors[:1]
		if err := p.Configure(&fewer); err != nil {
			t.Fatal(err)
		}
		if got, want := gauges(), map[string]int64{"receive From Internet": 143, "send Partners": 35, "server_name ": 400}; !reflect.DeepEqual(got, want) {
			t.Errorf("gauges after the reload %v, want %v", got, want)
		}
	})
}

// TestOwnCertificateOverYears: with nobody there, and without a client, the
// self-signed certificate never expires and is never warned of.
func TestOwnCertificateOverYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log journal
		cfg := edge(t.TempDir(), nil)
		p, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		log.take()
		seenOnes := map[string]bool{}
		for range 3 * 366 {
			time.Sleep(24 * time.Hour)
			p.Look()
			e := p.Choose(&cfg.ReceiveConnectors[0], "").Entry
			seenOnes[e.Thumbprint()] = true
			if left := time.Until(e.Leaf().NotAfter); left < selfSignedRenew-25*time.Hour {
				t.Fatalf("%v is left", left)
			}
		}
		if n := len(seenOnes); n != 4 {
			t.Errorf("%d certificates in three years, want 4", n)
		}
		for line := range strings.Lines(log.take()) {
			// That there is no better one is told again with each new one.
			if strings.Contains(line, "WARN") && !strings.Contains(line, "12014") || strings.Contains(line, "ERROR") {
				t.Error(line)
			}
		}
	})
}

// TestEarly: an expired certificate is shown before one whose time has not
// begun, which takes over when it has; one that is shown all the same is told of
// each day.
func TestEarly(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		dir, began := t.TempDir(), time.Now()
		from := func(begin, end time.Duration) func(*x509.Certificate) {
			return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = began.Add(begin), began.Add(end) }
		}
		writePEM(t, dir, "old.pem", ca.issue(t, nil, from(-90*day, 2*day), "edge.contoso.example"))
		writePEM(t, dir, "next.pem", ca.issue(t, nil, from(5*day, 98*day), "edge.contoso.example"))
		writePEM(t, dir, "named.pem", ca.issue(t, nil, from(5*day, 98*day), "named.contoso.example"))
		writePEM(t, dir, "later.pem", ca.issue(t, nil, from(5*day, 98*day), "later.contoso.example"))
		cfg := edge(dir, nil)
		named := cfg.ReceiveConnectors[0]
		named.Name, named.Bindings, named.TLSCertificate = "Named", []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:25")}, "named.contoso.example"
		cfg.ReceiveConnectors = append(cfg.ReceiveConnectors, named)
		var log journal
		p, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger(), Metrics: new(metrics.Registry)})
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		var got, told []string
		event := regexp.MustCompile(`event_id=(12016|26009) (?:begins=\S+ )?thumbprint=\S+ subject=\S+ friendly_name=(\S+)`)
		for d := range 7 {
			var shown []string
			for _, s := range p.Shown() {
				shown = append(shown, fmt.Sprintf("%s by %s", s.FriendlyName, strings.Join(s.ReceiveConnectors, ", ")))
				if early := d < 5 && s.FriendlyName == "named"; s.Early(time.Now()) != early {
					t.Errorf("day %d: %s is early: %v", d, s.FriendlyName, !early)
				}
			}
			time.Sleep(day)
			synctest.Wait()
			for _, m := range event.FindAllStringSubmatch(log.take(), -1) {
				told = append(told, m[1]+" "+m[2])
			}
			got = append(got, fmt.Sprintf("%d: %s", d, strings.Join(shown, "; ")))
		}
		if err := p.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		const before, after = ": old by From Internet; named by Named", ": next by From Internet; named by Named; later by "
		if got, want := strings.Join(got, "\n"), "0"+before+"\n1"+before+"\n2"+before+"\n3"+before+"\n4"+before+"\n5"+after+"\n6"+after; got != want {
			t.Errorf("shown\n%s\nwant\n%s", got, want)
		}
		// At the start and each of the days until it begins.
		if n := strings.Count(strings.Join(told, "\n"), "26009 named"); n != 6 || strings.Contains(strings.Join(told, "\n"), "26009 next") || strings.Contains(strings.Join(told, "\n"), "26009 later") ||
			!strings.Contains(strings.Join(told, "\n"), "12016 old") {
			t.Errorf("told %d times:\n%s", n, strings.Join(told, "\n"))
		}
	})
}
