package send

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postern/config"
	"postern/internal/message"
)

// situation is a connector and the hosts around it.
type situation struct {
	preference, selection string
	sources               []netip.Addr
	missing               map[netip.Addr]bool
	// hosts are the addresses of each exchanger, with what they do to a
	// connection.
	hosts []map[netip.Addr]string
}

func genSituation(t *rapid.T) situation {
	four := func(net, n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(net), byte(n)}) }
	six := func(net, n int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(net), 15: byte(n)})
	}
	s := situation{
		preference: rapid.SampledFrom([]string{"", config.PreferIPv4, config.PreferIPv6, config.IPv4Only, config.IPv6Only}).Draw(t, "preference"),
		selection:  rapid.SampledFrom([]string{"", config.SourceRoundRobin, config.SourceSticky}).Draw(t, "selection"),
		missing:    map[netip.Addr]bool{},
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "sources") {
		a := four(0, i+1)
		if rapid.Bool().Draw(t, "source is IPv6") {
			a = six(0, i+1)
		}
		s.sources = append(s.sources, a)
		s.missing[a] = rapid.IntRange(0, 3).Draw(t, "missing") == 0
	}
	for h := range rapid.IntRange(1, 3).Draw(t, "hosts") {
		addrs := map[netip.Addr]string{}
		for i := range rapid.IntRange(1, 4).Draw(t, "addresses") {
			a := four(h+1, i+1)
			if rapid.Bool().Draw(t, "address is IPv6") {
				a = six(h+1, i+1)
			}
			addrs[a] = rapid.SampledFrom([]string{"takes", "takes", "down", "silent", "slow", "busy"}).Draw(t, "does")
		}
		s.hosts = append(s.hosts, addrs)
	}
	return s
}

// allows reports whether a connection to an address may be tried at all.
func (s situation) allows(a netip.Addr) bool {
	if a.Is4() && s.preference == config.IPv6Only || !a.Is4() && s.preference == config.IPv4Only {
		return false
	}
	for _, source := range s.sources {
		if source.Is4() == a.Is4() {
			return true
		}
	}
	return len(s.sources) == 0
}

// reaches reports whether a delivery can succeed at an address.
func (s situation) reaches(a netip.Addr, does string) bool {
	if !s.allows(a) || does != "takes" && does != "slow" {
		return false
	}
	for _, source := range s.sources {
		if source.Is4() == a.Is4() && !s.missing[source] {
			return true
		}
	}
	return len(s.sources) == 0
}

// TestAnySituation: whatever is configured and whatever is broken, mail leaves
// when there is a way that it may take, and by no other way.
func TestAnySituation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := genSituation(rt)
		var problems []string
		synctest.Test(t, func(t *testing.T) { problems = s.play(t) })
		for _, p := range problems {
			rt.Errorf("%s", p)
		}
	})
}

func (s situation) play(t *testing.T) (problems []string) {
	b := newBench(t, nil)
	b.connector.IPPreference, b.connector.SourceIPSelection = s.preference, s.selection
	b.connector.SourceIPAddress, b.connector.MessagesPerConnection = s.sources, 1
	b.net.missing = s.missing
	mx, possible, all := "", false, 0
	for h, addrs := range s.hosts {
		name, list := fmt.Sprintf("mx%d.test", h), ""
		for a, does := range addrs {
			at := netip.AddrPortFrom(a, 25)
			list += " " + a.String()
			possible = possible || s.reaches(a, does)
			all++
			switch does {
			case "takes":
				b.host(at.String(), &fakeMX{})
			case "busy":
				b.host(at.String(), &fakeMX{greeting: "421 4.3.2 busy"})
			case "silent":
				b.net.silent[at] = true
			case "slow":
				b.net.slow[at] = 10 * time.Second
				b.host(at.String(), &fakeMX{})
			}
		}
		b.names.addrs[name] = list
		mx += []string{"", ","}[min(h, 1)] + name
	}
	b.names.mx["example.test"] = mx
	for range 3 {
		r := b.send()
		if got := r.Outcomes[0]; (got.Status == message.Delivered) != possible && all <= maxTries/2 {
			problems = append(problems, fmt.Sprintf("possible: %v, outcome %s", possible, sum(r)))
		}
	}
	b.stop()
	for _, d := range b.net.dials {
		switch {
		case !s.allows(d.remote.Addr()):
			problems = append(problems, fmt.Sprintf("connected to %s", d.remote))
		case d.source.IsValid() != (len(s.sources) > 0) || d.source.IsValid() && d.source.Is4() != d.remote.Addr().Is4():
			problems = append(problems, fmt.Sprintf("connected to %s from %s", d.remote, d.source))
		}
	}
	if most := 3 * maxTries * max(1, len(s.sources)); len(b.net.dials) > most {
		problems = append(problems, fmt.Sprintf("%d connections, want %d at most", len(b.net.dials), most))
	}
	return problems
}
