package review

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/logs"
)

// drawBundle draws a bundle whose people are seen in an address each.
func drawBundle(t *rapid.T, who []string) *Bundle {
	b := new(Bundle)
	address := func() string {
		return rapid.SampledFrom(who).Draw(t, "who") + "@" + rapid.SampledFrom([]string{"contoso.example", "fabrikam.example"}).Draw(t, "domain")
	}
	said := func() string { return spoken(t, who) }
	for n := range rapid.IntRange(0, 3).Draw(t, "sessions") {
		v := &Session{Direction: logs.Receive}
		if n == 1 {
			v.Direction = logs.Send
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "lines") {
			v.Lines = append(v.Lines, logs.Line{Time: at(float64(n*10 + i)), Connector: "In", Session: fmt.Sprintf("08DD5A0B1C2D3E%02X", n), Sequence: i,
				Event: rapid.SampledFrom([]logs.Event{logs.EventSent, logs.EventReceived, logs.EventInfo}).Draw(t, "event"), Data: said(),
				Local: netip.MustParseAddrPort("192.0.2.1:25"), Remote: netip.MustParseAddrPort("198.51.100.7:40122")})
		}
		if err := b.AddSession(v); err != nil {
			t.Fatal(err)
		}
	}
	for n := range rapid.IntRange(1, 4).Draw(t, "tracking") {
		line := logs.Tracking{Time: at(-float64(n)), ClientIP: "198.51.100.7", ClientHostname: "mx.fabrikam.example", SourceContext: "08DD5A0B1C2D3E00;" + said(),
			Connector: `EDGE\In`, Source: "SMTP", Event: "RECEIVE", InternalID: "0AKWKNNHG0000", MessageID: "<" + address() + ">",
			Recipients: []string{address(), address()}, Statuses: []string{"250 ok", said()}, Related: address(), Subject: said(), Sender: address(), ReturnPath: "<>",
			MessageInfo: said(), Reference: rapid.SampledFrom([]string{"0AKWKNNHG0001", "<" + address() + ">"}).Draw(t, "reference"),
			Custom: logs.Pairs{{Key: "user", Value: rapid.SampledFrom(who).Draw(t, "user")}, {Key: "reason", Value: said()}, {Key: "latency", Value: "0.100"}}, RecipientCount: 2}
		if err := b.AddTracking(&line); err != nil {
			t.Fatal(err)
		}
		agent := logs.AgentLine{Time: at(-float64(n)), Session: "08DD5A0B1C2D3E00", EnteredOrgFromIP: "198.51.100.7", MessageID: "<" + address() + ">", P1From: address(),
			P2From: []string{address()}, Recipient: address(), Agent: "Recipient Filter", Event: "OnRcptCommand", Action: "RejectCommand", Response: said(), Reason: "limit", ReasonData: said()}
		if err := b.AddAgent(&agent); err != nil {
			t.Fatal(err)
		}
		if err := b.AddConnectivity(&logs.ConnectivityLine{Time: at(-float64(n)), Session: "08DD5A0B1C2D3E00", Source: "SMTP", Destination: "contoso.example", Direction: '>', Description: said()}); err != nil {
			t.Fatal(err)
		}
	}
	var all logs.Tracking
	for _, name := range who {
		all.Recipients = append(all.Recipients, name+"@contoso.example")
	}
	all.Time, all.Event, all.Source = at(-100), "RECEIVE", "SMTP"
	if err := b.AddTracking(&all); err != nil {
		t.Fatal(err)
	}
	return b
}

// What is exported and masked has no local part anywhere, whatever the log and
// the form, and our own readers read each line of it.
func TestBundleIsMaskedAndReadsBack(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		who := people(t)
		b := drawBundle(t, who)
		b.Mask(newTestMasker(t, Masking{Domains: rapid.Bool().Draw(t, "domains"), IPs: rapid.Bool().Draw(t, "ips")}))
		for _, json := range []bool{false, true} {
			for _, k := range b.Kinds() {
				var out bytes.Buffer
				if err := b.Write(&out, k, json); err != nil {
					t.Fatal(err)
				}
				for _, name := range who {
					if i := strings.Index(strings.ToLower(out.String()), name); i >= 0 {
						t.Fatalf("%s stands in the %s log:\n%s", name, k, out.String()[max(i-200, 0):min(i+100, out.Len())])
					}
				}
				path := filepath.Join(dir, "handed.out") // a name that says nothing
				if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				if n := countBack(t, path, k); n != b.Lines(k) {
					t.Fatalf("%d of %d lines of the %s log read back:\n%s", n, b.Lines(k), k, &out)
				}
			}
		}
	})
}

// countBack reads a file with the readers of this package and counts its lines.
func countBack(t *rapid.T, path string, k logs.Kind) (n int) {
	t.Helper()
	src, err := At(path)
	if err != nil {
		t.Fatal(err)
	}
	var p Progress
	ctx, last := t.Context(), time.Time{}
	inOrder := func(at time.Time) {
		if !last.IsZero() && at.After(last) {
			t.Fatalf("%s is out of order", at)
		}
		last = at
		n++
	}
	switch k {
	case logs.ReceiveProtocol, logs.SendProtocol:
		for s, err := range src.Sessions(ctx, &Query{}, &p) {
			if err != nil {
				t.Fatal(err)
			}
			n += s.LineCount
		}
	case logs.MessageTracking:
		for r, err := range src.Tracking(ctx, &Query{}, &p) {
			if err != nil {
				t.Fatal(err)
			}
			inOrder(r.Time)
		}
	case logs.Connectivity:
		for r, err := range src.Connectivity(ctx, &Query{}, &p) {
			if err != nil {
				t.Fatal(err)
			}
			inOrder(r.Time)
		}
	case logs.Agent:
		for r, err := range src.Agent(ctx, &Query{}, &p) {
			if err != nil {
				t.Fatal(err)
			}
			inOrder(r.Time)
		}
	}
	if bad, places := p.Unreadable(); bad != 0 || len(p.Troubles()) != 0 {
		t.Fatalf("%d lines can't be read: %v %v", bad, places, p.Troubles())
	}
	return n
}

// One address has one mask in all logs of a bundle.
func TestBundleMasksConsistently(t *testing.T) {
	b := new(Bundle)
	if err := b.AddSession(&Session{Lines: []logs.Line{{Time: noon, Session: "A", Event: logs.EventReceived, Data: "RCPT TO:<Kim@Contoso.example>"}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.AddTracking(&logs.Tracking{Time: noon, Event: "RECEIVE", Recipients: []string{`"kim"@contoso.example`}, Subject: "a secret", Custom: logs.Pairs{{Key: "generation", Value: "kim"}}}); err != nil {
		t.Fatal(err)
	}
	m := newTestMasker(t, Masking{})
	b.Mask(m)
	local, _, _ := strings.Cut(b.tracking[0].Recipients[0], "@")
	if got := b.lines[0][0].Data; got != "RCPT TO:<"+local+"@Contoso.example>" {
		t.Errorf("%s and %s", got, local)
	}
	if s := b.tracking[0].Subject; strings.Contains(s, "secret") || !isMask(s) {
		t.Errorf("subject %s", s)
	}
}

// Hosts and connectors of a redirection are nobody's address.
func TestMaskRedirection(t *testing.T) {
	m := newTestMasker(t, Masking{})
	for _, related := range []string{"[198.51.100.25]:25", "Backup"} {
		line := logs.Tracking{Event: logs.TrackRedirect, Related: related, Custom: logs.Pairs{{Key: "next_hop", Value: related}}}
		if got := m.Tracking(line); got.Related != related || got.Custom[0].Value != related {
			t.Errorf("%s became %+v", related, got)
		}
	}
	if got := m.Text(m.Address("192.0.2.1") + " at 192.0.2.1"); !strings.HasSuffix(got, " at 192.0.2.1") {
		t.Errorf("an IP address is taken for a name: %s", got)
	}
}

func TestBundleIsBounded(t *testing.T) {
	b := new(Bundle)
	v := &Session{Lines: []logs.Line{{Data: strings.Repeat("x", 4096)}}}
	var err error
	for n := 0; err == nil && n < 100_000; n++ {
		err = b.AddSession(v)
	}
	if !errors.Is(err, ErrBundleFull) || len(b.lines[0]) > maxBundle/4096 {
		t.Errorf("%d lines: %v", len(b.lines[0]), err)
	}
}
