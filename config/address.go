package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseRange reads "10.0.0.0/8", "10.0.0.1-10.0.0.9" or "10.0.0.1", of either
// family. A prefix with host bits stands for its network, as in Exchange.
// IPv4-mapped IPv6 addresses become IPv4.
func ParseRange(s string) (Range, error) {
	if strings.Contains(s, "%") {
		return Range{}, fmt.Errorf("%s has a scope, which ranges can't tell apart", quote(s))
	}
	if strings.Contains(s, "/") {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return Range{}, fmt.Errorf("%s is not an address range", quote(s))
		}
		return prefixRange(prefix), nil
	}
	from, to, isPair := strings.Cut(s, "-")
	if !isPair {
		to = from
	}
	var r Range
	var err error
	if r.From, err = netip.ParseAddr(strings.TrimSpace(from)); err == nil {
		r.To, err = netip.ParseAddr(strings.TrimSpace(to))
	}
	if err != nil {
		return Range{}, fmt.Errorf("%s is not an address range", quote(s))
	}
	r.From, r.To = r.From.Unmap(), r.To.Unmap()
	if r.From.BitLen() != r.To.BitLen() {
		return Range{}, fmt.Errorf("the ends of %s are of different families", quote(s))
	}
	if r.To.Less(r.From) {
		return Range{}, fmt.Errorf("%s ends before it begins", quote(s))
	}
	return r, nil
}

// hostBits names the prefixes of a list that are written as the address of a
// host in its network: they stand for the network, and whoever meant the host
// would trust all its neighbours.
func hostBits(value any) []fault {
	list, _ := value.([]any)
	var out []fault
	for i, v := range list {
		s, _ := v.(string)
		p, err := netip.ParsePrefix(s)
		if err != nil || p == p.Masked() {
			continue
		}
		out = append(out, fault{sub: fmt.Sprintf("[%d]", i), message: fmt.Sprintf("%s is a host, and stands for its whole network %s", quote(s), prefixRange(p)),
			remedy: fmt.Sprintf("write %q for the host alone, or %q for the network", p.Addr(), p.Masked())})
	}
	return out
}

// checkScope holds the scope of an address to what can be the name of an
// interface: netip takes anything behind the "%".
func checkScope(a netip.Addr) error {
	for _, c := range []byte(a.Zone()) {
		if c <= ' ' || c > '~' || strings.IndexByte(`%/[]"'\`, c) >= 0 {
			return fmt.Errorf("%s is no interface, so that the scope can't be told", quote(a.Zone()))
		}
	}
	return nil
}

// prefixRange gives the first and the last address of a prefix.
func prefixRange(p netip.Prefix) Range {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return Range{From: p.Addr(), To: to}
}

// Contains tells whether an address lies in the range. An IPv4-mapped address
// counts as IPv4, and scopes are no difference.
func (r Range) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.BitLen() == r.From.BitLen() && !a.Less(r.From) && !r.To.Less(a)
}

// String writes the range as ParseRange reads it: an address, a prefix where
// it is one, else both ends.
func (r Range) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	for bits := range r.From.BitLen() {
		if p := netip.PrefixFrom(r.From, bits); prefixRange(p) == r {
			return p.String()
		}
	}
	return r.From.String() + "-" + r.To.String()
}

// overlaps tells whether two ranges share an address; nested whether one of
// them then holds all of the other.
func (r Range) overlaps(o Range) (overlap, nested bool) {
	if r.From.BitLen() != o.From.BitLen() || r.To.Less(o.From) || o.To.Less(r.From) {
		return false, false
	}
	return true, r.Contains(o.From) && r.Contains(o.To) || o.Contains(r.From) && o.Contains(r.To)
}

// String writes the smart host as the file does: IPv6 addresses in brackets
// where a port follows.
func (h SmartHost) String() string {
	if h.Port == 0 {
		return h.Host
	}
	if strings.Contains(h.Host, ":") {
		return "[" + h.Host + "]:" + strconv.Itoa(int(h.Port))
	}
	return h.Host + ":" + strconv.Itoa(int(h.Port))
}

// ParseSmartHost reads a name, an address or an address in brackets, each with
// or without ":port".
func ParseSmartHost(s string) (SmartHost, error) {
	host, rest := s, ""
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return SmartHost{}, fmt.Errorf("%s is a URL, not a smart host: leave %q out", quote(s), scheme+"://")
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		if err := checkScope(addr); err != nil {
			return SmartHost{}, fmt.Errorf("%s is not a smart host: %w", quote(s), err)
		}
		return SmartHost{Host: addr.Unmap().String()}, nil
	}
	if inside, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok = strings.Cut(inside, "]")
		addr, err := netip.ParseAddr(strings.TrimPrefix(host, "IPv6:"))
		if !ok || err != nil || checkScope(addr) != nil {
			return SmartHost{}, fmt.Errorf("%s is not a smart host", quote(s))
		}
		host = addr.Unmap().String()
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, rest = s[:i], s[i:]
	}
	h := SmartHost{Host: host}
	if rest != "" {
		p, err := strconv.ParseUint(strings.TrimPrefix(rest, ":"), 10, 16)
		if err != nil || p == 0 || rest[0] != ':' {
			return SmartHost{}, fmt.Errorf("%s is not a smart host: its port is not a number from 1 to 65535", quote(s))
		}
		h.Port = uint16(p)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return h, nil
	}
	if err := checkHostName(host); err != nil {
		return SmartHost{}, fmt.Errorf("%s is not a smart host: %w", quote(s), err)
	}
	h.Host = strings.ToLower(host)
	return h, nil
}

// parsed is a string type whose values a function reads; write says what to
// write where it can't.
func parsed[V any](name, write string, parse func(string) (V, error), format func(V) string) typed[V] {
	return typed[V]{
		name: name,
		parse: func(value any) (V, []fault) {
			var none V
			s, ok := value.(string)
			if !ok {
				return none, wrongType(value, write)
			}
			v, err := parse(s)
			if err != nil {
				return none, []fault{{message: err.Error(), remedy: "write " + write}}
			}
			return v, nil
		},
		json: func(v V) any { return format(v) },
		toml: func(v V) string { return strconv.Quote(format(v)) },
	}
}

func addressRange() typed[Range] {
	return parsed("address range",
		`a prefix, an address or two addresses of one family, the lower first: "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9"`,
		ParseRange, Range.String)
}

// binding is an address and a port to listen on.
func binding() typed[netip.AddrPort] {
	return parsed("binding",
		`"address:port", such as "0.0.0.0:25" or "[::]:25", with a port from 1 to 65535`,
		func(s string) (netip.AddrPort, error) {
			b, err := netip.ParseAddrPort(s)
			if err != nil || b.Port() == 0 || checkScope(b.Addr()) != nil {
				return b, fmt.Errorf("%s is not a binding", quote(s))
			}
			return netip.AddrPortFrom(b.Addr().Unmap(), b.Port()), nil
		}, netip.AddrPort.String)
}

// nameServer is a binding whose port may be left out: 53.
func nameServer() typed[netip.AddrPort] {
	return parsed("name server", `"address" or "address:port", such as "127.0.0.1:53" or "[::1]:53"`,
		func(s string) (netip.AddrPort, error) {
			if a, err := netip.ParseAddr(s); err == nil && checkScope(a) == nil {
				return netip.AddrPortFrom(a.Unmap(), 53), nil
			}
			b, err := netip.ParseAddrPort(s)
			if err != nil || b.Port() == 0 || checkScope(b.Addr()) != nil {
				return b, fmt.Errorf("%s is not the address of a name server", quote(s))
			}
			return netip.AddrPortFrom(b.Addr().Unmap(), b.Port()), nil
		}, netip.AddrPort.String)
}

// address is a single address without a port.
func address() typed[netip.Addr] {
	return parsed("address", `an address, such as "192.0.2.12" or "2001:db8::12"`,
		func(s string) (netip.Addr, error) {
			a, err := netip.ParseAddr(s)
			if err != nil || checkScope(a) != nil {
				return a, fmt.Errorf("%s is not an address", quote(s))
			}
			return a.Unmap(), nil
		}, netip.Addr.String)
}

func smartHost() typed[SmartHost] {
	return parsed("smart host",
		`a name, an address or an address in brackets, with ":port" if need be: "hub1.contoso.example", "10.0.0.11", "[2001:db8::11]:2525"`,
		ParseSmartHost, SmartHost.String)
}
