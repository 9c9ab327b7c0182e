package send

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/internal/resolver"
	"postern/routing"
)

// finder finds the hosts of one next hop and their addresses.
type finder struct {
	s         *Sender
	snap      *snapshot
	connector *config.SendConnector
	own       *exits
	hop       routing.NextHop
	// noted hears what stands in the way of a host's addresses.
	noted func(*failure)
	// place is left while the DNS is waited for; nil where nobody counts.
	place message.Place

	// lookingUp is the time spent on look-ups.
	lookingUp time.Duration
	// loop says in what way the gateway was about to send to itself.
	loop string
}

// found is an address of a host.
type found struct {
	endpoint
	// skipped says why the address is not used; empty when it is.
	skipped string
	// destination is what a sticky source address sticks to.
	destination string
}

// maxLookingUp is how long the names of a next hop's hosts are looked up in one
// attempt. Whoever keeps a zone may name hundreds of exchangers in it whose own
// zones never answer; an attempt must not be held up by each of them.
const maxLookingUp = 2 * time.Minute

// endpoints looks up the addresses of the hosts of a group. Last says that the
// gateway itself is among the mail exchangers: neither those of the same
// preference nor any after them are to be tried (RFC 5321 5.1).
func (f *finder) endpoints(ctx context.Context, group []host) (list []found, last bool) {
	for _, h := range group {
		of, _ := f.lookUp(ctx, h)
		for _, e := range of {
			if !f.snap.isOurs(e.addr, &f.s.own) {
				continue
			}
			f.loop = loopText(e.endpoint)
			if f.hop.Kind == routing.MX {
				return nil, true
			}
			of = nil
			break
		}
		list = append(list, of...)
	}
	return list, false
}

func loopText(e endpoint) string {
	return fmt.Sprintf("Mail loop: %s at port %d is this gateway", e, e.addr.Port())
}

// mx is Resolver.MX. While the DNS is asked the delivery has left its place.
func (f *finder) mx(ctx context.Context, domain string) (got resolver.MXResult, err error) {
	if debugs(f.s.dnsLogger) && !f.own.resolver.KnowsMX(domain) {
		began := time.Now()
		defer func() { f.s.tellLookup("MX", domain, began, mxText(got), err) }()
	}
	if f.place != nil && !f.own.resolver.KnowsMX(domain) && f.place.Leave() {
		defer f.place.Return(ctx)
	}
	defer f.spend(time.Now())
	return f.own.resolver.MX(ctx, domain)
}

// addresses is Resolver.Host with the families of the connector. While the DNS
// is asked the delivery has left its place.
func (f *finder) addresses(ctx context.Context, host string) (got resolver.HostAddresses, err error) {
	want := families(f.connector)
	if debugs(f.s.dnsLogger) && !f.own.resolver.KnowsHost(host, want) {
		began := time.Now()
		defer func() { f.s.tellLookup("addresses", host, began, addressText(got), err) }()
	}
	if f.place != nil && !f.own.resolver.KnowsHost(host, want) && f.place.Leave() {
		defer f.place.Return(ctx)
	}
	defer f.spend(time.Now())
	return f.own.resolver.Host(ctx, host, want)
}

// spend counts the time since a look-up began.
func (f *finder) spend(since time.Time) { f.lookingUp += time.Since(since) }

// lookUp looks up one host. Missing says why there are no addresses of a family.
func (f *finder) lookUp(ctx context.Context, h host) (list []found, missing resolver.HostAddresses) {
	if h.addr.IsValid() {
		return f.arrange(h, h.addr.String(), false, []netip.Addr{h.addr}), missing
	}
	if f.lookingUp >= maxLookingUp {
		f.noted(&failure{phase: phaseConnect, unreachable: true,
			reply: ours(451, codeNetwork, "The look-up of the next hop's hosts takes too long; %s was not looked up", h.name)})
		return nil, missing
	}
	got, err := f.addresses(ctx, h.name)
	if err == nil {
		return f.arrange(h, h.name, true, got.Addrs), got
	}
	e, ok := errors.AsType[*resolver.Error](err)
	if absent := ok && e.Kind != resolver.Temporary; absent && f.hop.Kind == routing.SmartHost {
		// A smart host's name may be one that has only mail exchangers
		// (reference 2.1).
		if list := f.smartHostExchangers(ctx, h); len(list) > 0 {
			return list, missing
		}
	}
	v := f.lookupVerdict(ctx, h.name, err)
	if f.hop.Kind == routing.SmartHost {
		// Its name is our configuration, and no fault of the message.
		v.status, v.reply.Code, v.reply.Enhanced[0] = message.Deferred, 451, 4
	}
	f.noted(&failure{phase: phaseConnect, reply: v.reply, unreachable: true, canceled: ctx.Err() != nil})
	return nil, missing
}

func (f *finder) smartHostExchangers(ctx context.Context, h host) []found {
	res, err := f.mx(ctx, h.name)
	if err != nil || res.Implicit || res.Null {
		return nil
	}
	var list []found
	for _, mx := range res.Records { // sorted by preference
		if f.lookingUp >= maxLookingUp {
			break
		}
		if f.snap.isOurName(mx.Host) { // RFC 5321 5.1
			f.loop = fmt.Sprintf("Mail loop: the mail exchanger %s is this gateway", mx.Host)
			break
		}
		if got, err := f.addresses(ctx, mx.Host); err == nil {
			list = append(list, f.arrange(host{name: mx.Host, port: h.port, of: h.name}, mx.Host, true, got.Addrs)...)
		}
	}
	return list
}

// lookupVerdict says what a failed look-up of the domain means for the mail.
func (f *finder) lookupVerdict(ctx context.Context, name string, err error) *verdict {
	e, ok := errors.AsType[*resolver.Error](err)
	switch {
	case ctx.Err() != nil:
		return &verdict{message.Deferred, interrupted(phaseConnect)}
	case ok && e.Kind == resolver.NXDomain: // reference 10.4
		return f.nowhere("Nonexistent domain %s", name)
	case ok && e.Kind == resolver.NoData && families(f.connector) != resolver.BothFamilies:
		return &verdict{message.Failed, ours(550, [3]int{5, 4, 4}, "The mail host %s has no address that may be used: send connector %q has ip_preference = %q",
			name, f.connector.Name, f.connector.IPPreference)}
	case ok && e.Kind == resolver.NoData:
		return f.nowhere("The domain %s has no mail host", name)
	}
	return &verdict{message.Deferred, ours(451, codeNetwork, "DNS query failed: %v", err)}
}

// nowhere says that DNS knows no host for a domain, for good or, with
// downgrade_dns_failures, for now (reference 2.3).
func (f *finder) nowhere(format, name string) *verdict {
	if f.connector.DowngradeDNSFailures {
		return &verdict{message.Deferred, ours(451, codeNoRoute, format+" (send connector %q has downgrade_dns_failures)", name, f.connector.Name)}
	}
	return &verdict{message.Failed, ours(550, [3]int{5, 4, 4}, format, name)}
}

// families are those whose addresses a connector uses.
func families(c *config.SendConnector) resolver.Families {
	switch c.IPPreference {
	case config.IPv4Only:
		return resolver.OnlyIPv4
	case config.IPv6Only:
		return resolver.OnlyIPv6
	}
	return resolver.BothFamilies
}

// arrange puts a host's addresses into the order in which they are tried:
// shuffled, and the families in turns, so that one that does not work costs one
// connection (RFC 8305 4). Those that can't be used say why.
func (f *finder) arrange(h host, name string, named bool, addrs []netip.Addr) []found {
	destination := f.hop.Domain
	if f.hop.Kind == routing.SmartHost {
		destination = name
	}
	var of [2][]found
	for _, a := range addrs {
		a = a.Unmap()
		e := found{endpoint: endpoint{host: name, named: named, of: h.of, addr: netip.AddrPortFrom(a, h.port)}, destination: destination}
		e.skipped = f.skip(a)
		i := 0
		if a.Is6() != (f.connector.IPPreference == config.PreferIPv6) {
			i = 1
		}
		of[i] = append(of[i], e)
	}
	list := make([]found, 0, len(addrs))
	for _, family := range of {
		f.s.shuffle(len(family), func(i, j int) { family[i], family[j] = family[j], family[i] })
	}
	for i := range max(len(of[0]), len(of[1])) {
		for _, family := range of {
			if i < len(family) {
				list = append(list, family[i])
			}
		}
	}
	return list
}

// skip says why an address is not used.
func (f *finder) skip(a netip.Addr) string {
	c := f.connector
	switch want := families(c); {
	case isNoHost(a):
		return "it is no address of a host"
	case want == resolver.OnlyIPv4 && !a.Is4(), want == resolver.OnlyIPv6 && a.Is4():
		return fmt.Sprintf("send connector %q has ip_preference = %q", c.Name, c.IPPreference)
	case !f.own.sources.serves(a):
		return fmt.Sprintf("send connector %q has no source address of its family", c.Name)
	}
	return ""
}

// isNoHost reports whether an address can't be a host's. To connect to the
// unspecified one would reach this host.
func isNoHost(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
