package send

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"postern/internal/message"
	"postern/internal/resolver"
	"postern/routing"
)

// host is one that may take the mail, before its addresses are known.
type host struct {
	name string     // empty for an address
	addr netip.Addr // valid when it is given by address
	port uint16
	// preference is that of the mail exchanger (RFC 5321 5.1).
	preference uint16
	// of is the smart host whose mail exchanger this is; empty for none.
	of string
}

// endpoint is an address of a host that can be connected to.
type endpoint struct {
	host string // the name that was looked up, or the address
	// named says that host is a name.
	named bool
	// of is the smart host whose mail exchanger this is; empty for none.
	of     string
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
func (f *finder) hostGroups(ctx context.Context) ([][]host, *verdict) {
	if f.hop.Kind == routing.SmartHost {
		return f.smartHosts()
	}
	port := f.connector.Port
	if port == 0 {
		port = 25
	}
	if strings.HasPrefix(f.hop.Domain, "[") {
		a, err := message.ParseLiteral(f.hop.Domain)
		if err != nil || !a.IsValid() || isNoHost(a.Unmap()) {
			return nil, &verdict{message.Failed, ours(550, [3]int{5, 1, 2}, "%s is no address to which mail can be sent", f.hop.Domain)}
		}
		return [][]host{{{addr: a.Unmap(), port: port}}}, nil
	}
	res, err := f.mx(ctx, f.hop.Domain)
	if err != nil {
		return nil, f.lookupVerdict(ctx, f.hop.Domain, err)
	}
	if res.Null { // RFC 7505 4.2
		return nil, &verdict{message.Failed, ours(556, [3]int{5, 1, 10}, "The domain %s does not accept mail (null MX)", f.hop.Domain)}
	}
	return f.rank(res.Records, port)
}

// rank puts mail exchangers of equal preference into groups, shuffled
// (RFC 5321 5.1). Where the gateway itself is among them by name, it and all
// that are not preferred to it are left out (RFC 5321 5.1).
func (f *finder) rank(records []resolver.MX, port uint16) ([][]host, *verdict) {
	var groups [][]host
	for i := 0; i < len(records); {
		n := i
		for n < len(records) && records[n].Preference == records[i].Preference {
			n++
		}
		var group []host
		for _, mx := range records[i:n] {
			if f.snap.isOurName(mx.Host) {
				f.loop = fmt.Sprintf("Mail loop: the mail exchanger %s is this gateway", mx.Host)
				return groups, nil
			}
			group = append(group, host{name: mx.Host, port: port, preference: mx.Preference})
		}
		f.s.shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		groups = append(groups, group)
		i = n
	}
	return groups, nil
}

// smartHosts lists the smart hosts, each delivery beginning with the next.
func (f *finder) smartHosts() ([][]host, *verdict) {
	hosts, err := f.own.hosts, error(nil)
	if f.hop.Domain != f.own.set { // an administrator's order sends the mail elsewhere
		hosts, err = parseSmartHosts(f.hop.Domain)
	}
	if err != nil || len(hosts) == 0 {
		return nil, &verdict{message.Deferred, ours(451, codeConfig, "The smart hosts %q can't be used: %v", f.hop.Domain, err)}
	}
	turn := int((f.own.turn.Add(1) - 1) % uint32(len(hosts)))
	groups := make([][]host, len(hosts))
	for i := range hosts {
		at := (turn + i) % len(hosts)
		groups[i] = hosts[at : at+1 : at+1]
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
