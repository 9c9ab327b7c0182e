package receive

import "net/netip"

// sourceOf is what limits take for one client: an IPv4 address, or the /64
// network of an IPv6 address, all of which is usually one host's.
func sourceOf(a netip.Addr) netip.Prefix {
	a = plainAddr(a)
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
