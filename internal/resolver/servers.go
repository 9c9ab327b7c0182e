package resolver

import (
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// recheck is how often the system's file is looked at for a change.
const recheck = 5 * time.Second

// serverList is the list of servers to ask: fixed, or the system's. The
// search list and ndots of the system's file don't concern mail: the domain
// of an address is always complete.
type serverList struct {
	fixed []netip.AddrPort
	path  string

	mu       sync.Mutex
	checked  time.Time
	modified time.Time
	system   []netip.AddrPort
}

// list returns the servers; it is never empty and nobody changes it.
func (l *serverList) list(now time.Time) []netip.AddrPort {
	if len(l.fixed) > 0 {
		return l.fixed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.system != nil && now.Sub(l.checked) < recheck {
		return l.system
	}
	l.checked = now
	path := l.path
	if path == "" {
		path = "/etc/resolv.conf"
	}
	info, err := os.Stat(path)
	if err == nil && l.system != nil && info.ModTime().Equal(l.modified) {
		return l.system
	}
	if err == nil {
		l.modified = info.ModTime()
	}
	if read := readSystem(path); len(read) > 0 {
		l.system = read
	} else if l.system == nil {
		// resolv.conf(5): without servers, the one on this host is asked.
		l.system = []netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53),
			netip.AddrPortFrom(netip.IPv6Loopback(), 53),
		}
	}
	return l.system
}

func readSystem(path string) []netip.AddrPort {
	c, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil
	}
	port := uint16(53)
	if n, err := strconv.ParseUint(c.Port, 10, 16); err == nil && n != 0 {
		port = uint16(n)
	}
	var list []netip.AddrPort
	for _, s := range c.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, netip.AddrPortFrom(a, port))
		}
	}
	return list
}
