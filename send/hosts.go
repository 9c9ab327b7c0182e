package send

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/internal/resolver"
	"postern/routing"
)

// host is one that may take the mail, before its addresses are known.
type host struct {
	name string     // empty for an address
	addr netip.Addr // valid when it is given by address
	port uint16
}

// endpoint is an address of a host that can be connected to.
type endpoint struct {
	host string // the name that was looked up, or the address
	// named says that host is a name.
	named  bool
	addr   netip.AddrPort
	source netip.Addr // zero where the system chooses
}

// String is how an endpoint is called in reports: "mx1.example.net
// [198.51.100.25]".
func (e endpoint) String() string {
	if !e.named {
		return "[" + e.addr.Addr().String() + "]"
	}
	return e.host + " [" + e.addr.Addr().String() + "]"
}

// verdict is the end of a look-up that leaves nothing to connect to.
type verdict struct {
	status message.Status
	reply  message.Reply
}

// hostGroups lists the hosts of a next hop in the order in which they are
// tried, parted into groups of equal rank.
func (r *run) hostGroups(ctx context.Context) ([][]host, *verdict) {
	if r.hop.Kind == routing.SmartHost {
		return r.smartHosts()
	}
	port := r.connector.Port
	if port == 0 {
		port = 25
	}
	if strings.HasPrefix(r.hop.Domain, "[") {
		a, err := message.ParseLiteral(r.hop.Domain)
		if err != nil || !a.IsValid() {
			return nil, &verdict{message.Failed, ours(550, [3]int{5, 1, 2}, "%s is no address to which mail can be sent", r.hop.Domain)}
		}
		return [][]host{{{addr: a.Unmap(), port: port}}}, nil
	}
	res, err := r.s.o.Resolver.MX(ctx, r.hop.Domain)
	if err != nil {
		return nil, r.lookupVerdict(ctx, r.hop.Domain, err)
	}
	if res.Null { // RFC 7505 4.2
		return nil, &verdict{message.Failed, ours(556, [3]int{5, 1, 10}, "The domain %s does not accept mail (null MX)", r.hop.Domain)}
	}
	return r.rank(res.Records, port)
}

// rank puts mail exchangers of equal preference into groups, shuffled
// (RFC 5321 5.1). Where the gateway itself is among them by name, it and all
// that are not preferred to it are left out (RFC 5321 5.1).
func (r *run) rank(records []resolver.MX, port uint16) ([][]host, *verdict) {
	var groups [][]host
	for i := 0; i < len(records); {
		n := i
		for n < len(records) && records[n].Preference == records[i].Preference {
			n++
		}
		var group []host
		for _, mx := range records[i:n] {
			if r.snap.isOurName(mx.Host) {
				r.loop = fmt.Sprintf("Mail loop: the mail exchanger %s is this gateway", mx.Host)
				return groups, nil
			}
			group = append(group, host{name: mx.Host, port: port})
		}
		r.s.shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		groups = append(groups, group)
		i = n
	}
	return groups, nil
}

// smartHosts lists the smart hosts, each delivery beginning with the next.
func (r *run) smartHosts() ([][]host, *verdict) {
	hosts, err := parseSmartHosts(r.hop.Domain)
	if err != nil || len(hosts) == 0 {
		return nil, &verdict{message.Deferred, ours(451, codeConfig, "The smart hosts %q can't be used: %v", r.hop.Domain, err)}
	}
	turn := int(r.s.turn.Add(1)-1) % len(hosts)
	var groups [][]host
	for i := range hosts {
		groups = append(groups, []host{hosts[(turn+i)%len(hosts)]})
	}
	return groups, nil
}

// parseSmartHosts reads a NextHop's canonical set of smart hosts:
// "[10.0.0.11]:25,hub2.example:25".
func parseSmartHosts(s string) ([]host, error) {
	var hosts []host
	for item := range strings.SplitSeq(s, ",") {
		at := strings.LastIndexByte(item, ':')
		if at < 1 || strings.HasSuffix(item, "]") {
			return nil, fmt.Errorf("%q has no port", item)
		}
		port, err := strconv.ParseUint(item[at+1:], 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("%q has no port between 1 and 65535", item)
		}
		h := host{name: item[:at], port: uint16(port)}
		if text, ok := strings.CutPrefix(h.name, "["); ok {
			text, _ = strings.CutSuffix(text, "]")
			if rest, ok := strings.CutPrefix(text, "IPv6:"); ok {
				text = rest
			}
			a, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%q is no address", h.name)
			}
			h = host{addr: a.Unmap(), port: h.port}
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// lookupVerdict says what a failed look-up of the domain means for the mail.
func (r *run) lookupVerdict(ctx context.Context, name string, err error) *verdict {
	e, ok := errors.AsType[*resolver.Error](err)
	switch {
	case ctx.Err() != nil:
		return &verdict{message.Deferred, interrupted(phaseConnect)}
	case ok && e.Kind == resolver.NXDomain: // reference 10.4
		return &verdict{message.Failed, ours(550, [3]int{5, 4, 4}, "Nonexistent domain %s", name)}
	case ok && e.Kind == resolver.NoData:
		return &verdict{message.Failed, ours(550, [3]int{5, 4, 4}, "The domain %s has no mail host", name)}
	}
	return &verdict{message.Deferred, ours(451, codeNetwork, "DNS query failed: %v", err)}
}

// endpoints looks up the addresses of the hosts of a group. Last says that the
// gateway itself is among the mail exchangers: neither those of the same
// preference nor any after them are to be tried (RFC 5321 5.1).
func (r *run) endpoints(ctx context.Context, group []host) (list []endpoint, last bool) {
	for _, h := range group {
		found := r.hostEndpoints(ctx, h)
		for _, e := range found {
			if !r.snap.isOurs(e.addr, &r.s.own) {
				continue
			}
			r.loop = fmt.Sprintf("Mail loop: %s at port %d is this gateway", e, e.addr.Port())
			if r.hop.Kind == routing.MX {
				return nil, true
			}
			found = nil
			break
		}
		list = append(list, found...)
	}
	return list, false
}

// maxLookingUp is how long the names of a next hop's hosts are looked up in one
// attempt. Whoever keeps a zone may name hundreds of exchangers in it whose own
// zones never answer; an attempt must not be held up by each of them.
const maxLookingUp = 2 * time.Minute

// hostEndpoints looks up one host. What stands in the way of an address is
// noted as the run's problem.
func (r *run) hostEndpoints(ctx context.Context, h host) []endpoint {
	if h.addr.IsValid() {
		return r.withSources(h, h.addr.String(), false, []netip.Addr{h.addr})
	}
	if r.lookingUp >= maxLookingUp {
		r.note(&failure{phase: phaseConnect, unreachable: true,
			reply: ours(451, codeNetwork, "The look-up of the next hop's hosts takes too long; %s was not looked up", h.name)}, "")
		return nil
	}
	started := time.Now()
	defer func() { r.lookingUp += time.Since(started) }()
	addrs, err := r.s.o.Resolver.Addresses(ctx, h.name)
	e, ok := errors.AsType[*resolver.Error](err)
	if missing := ok && e.Kind != resolver.Temporary; missing && r.hop.Kind == routing.SmartHost {
		// A smart host's name may be one that has only mail exchangers
		// (reference 2.1).
		if list := r.smartHostExchangers(ctx, h); len(list) > 0 {
			return list
		}
	}
	if err != nil {
		v := r.lookupVerdict(ctx, h.name, err)
		if r.hop.Kind == routing.SmartHost {
			// Its name is our configuration, and no fault of the message.
			v.status, v.reply.Code, v.reply.Enhanced[0] = message.Deferred, 451, 4
		}
		r.note(&failure{phase: phaseConnect, reply: v.reply, unreachable: true, canceled: ctx.Err() != nil}, "")
		return nil
	}
	return r.withSources(h, h.name, true, addrs)
}

func (r *run) smartHostExchangers(ctx context.Context, h host) []endpoint {
	res, err := r.s.o.Resolver.MX(ctx, h.name)
	if err != nil || res.Implicit || res.Null {
		return nil
	}
	var list []endpoint
	started := time.Now()
	for _, mx := range res.Records {
		if time.Since(started) >= maxLookingUp {
			break
		}
		if addrs, err := r.s.o.Resolver.Addresses(ctx, mx.Host); err == nil {
			list = append(list, r.withSources(host{name: mx.Host, port: h.port}, mx.Host, true, addrs)...)
		}
	}
	return list
}

// withSources makes endpoints of addresses: shuffled, IPv4 and IPv6 in turns,
// each with the source address of its family. When the connector has source
// addresses, a family that has none is passed over.
func (r *run) withSources(h host, name string, named bool, addrs []netip.Addr) []endpoint {
	addrs = slices.Clone(addrs)
	r.s.shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	var families [2][]endpoint
	for _, a := range addrs {
		a = a.Unmap()
		source, ok := sourceFor(r.connector, a)
		e := endpoint{host: name, named: named, addr: netip.AddrPortFrom(a, h.port), source: source}
		if !ok {
			r.skipped = &noted{reply: ours(451, codeNoRoute,
				"%s was passed over: send connector %q has no source address of its family", e, r.connector.Name)}
			continue
		}
		f := 0
		if a.Is6() {
			f = 1
		}
		families[f] = append(families[f], e)
	}
	var list []endpoint
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				list = append(list, f[i])
			}
		}
	}
	return list
}

func sourceFor(c *config.SendConnector, remote netip.Addr) (netip.Addr, bool) {
	for _, a := range c.SourceIPAddress {
		if a.Unmap().Is4() == remote.Is4() {
			return a.Unmap(), true
		}
	}
	return netip.Addr{}, len(c.SourceIPAddress) == 0
}
