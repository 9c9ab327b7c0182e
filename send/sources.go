package send

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
)

// sources are the addresses that a connector's connections come from.
type sources struct {
	// of are the addresses of each family, IPv4 first.
	of     [2][]netip.Addr
	sticky bool
	turn   [2]atomic.Uint32
}

// anySource leaves the choice to the system.
var anySource = []netip.Addr{{}}

func (s *sources) init(c *config.SendConnector) {
	for _, a := range c.SourceIPAddress {
		a = a.Unmap()
		i := familyOf(a)
		s.of[i] = append(s.of[i], a)
	}
	s.sticky = c.SourceIPSelection == config.SourceSticky
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// serves reports whether there is a source address for a remote one: one of its
// family, or none at all is asked for.
func (s *sources) serves(remote netip.Addr) bool {
	return len(s.of[0])+len(s.of[1]) == 0 || len(s.of[familyOf(remote)]) > 0
}

// inTurn reports whether the addresses of a family take turns, so that the next
// connection comes from another.
func (s *sources) inTurn() bool {
	return !s.sticky && max(len(s.of[0]), len(s.of[1])) > 1
}

// choose lists the source addresses for a connection in the order in which they
// are to be tried: the one whose turn it is, or the destination's own, then those
// that stand in for it; last those that this host was found not to have. The
// list is not to be changed.
func (s *sources) choose(remote netip.Addr, destination string, gone *goneSources) []netip.Addr {
	return s.ordered(remote, destination, gone, func(turn *atomic.Uint32) uint32 { return turn.Add(1) - 1 })
}

// peek is choose without taking the turn.
func (s *sources) peek(remote netip.Addr, destination string, gone *goneSources) []netip.Addr {
	return s.ordered(remote, destination, gone, (*atomic.Uint32).Load)
}

func (s *sources) ordered(remote netip.Addr, destination string, gone *goneSources, take func(*atomic.Uint32) uint32) []netip.Addr {
	i := familyOf(remote)
	pool := s.of[i]
	switch {
	case len(s.of[0])+len(s.of[1]) == 0:
		return anySource
	case len(pool) < 2:
		return pool
	}
	list := make([]netip.Addr, 0, len(pool))
	if s.sticky {
		list = byWeight(append(list, pool...), destination)
	} else {
		first := int(take(&s.turn[i]) % uint32(len(pool)))
		list = append(append(list, pool[first:]...), pool[:first]...)
	}
	return gone.last(list)
}

// byWeight sorts addresses by the weight that each has for a destination
// (rendezvous hashing): when one is added or goes, only the destinations that
// come to it, or were at it, move.
func byWeight(list []netip.Addr, destination string) []netip.Addr {
	weights := make([]uint64, len(list))
	for i, a := range list {
		weights[i] = weight(a, destination)
		for j := i; j > 0 && weights[j] > weights[j-1]; j-- {
			weights[j], weights[j-1] = weights[j-1], weights[j]
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

// weight is the same in every process. It is FNV-1a with the finish of
// SplitMix64, without which similar addresses would have similar weights.
func weight(a netip.Addr, destination string) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for _, b := range a.As16() {
		h = (h ^ uint64(b)) * prime
	}
	for i := range len(destination) {
		h = (h ^ uint64(destination[i])) * prime
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// goneSources remembers for a short while which source addresses this host was
// found not to have, so that the others of a pool take their place. It never
// keeps one from being tried when there is no other.
type goneSources struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time // as many as are configured
}

// mark notes that an address is gone, and reports whether that is news.
func (g *goneSources) mark(a netip.Addr, until time.Time) (news bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until == nil {
		g.until = make(map[netip.Addr]time.Time)
	}
	_, known := g.until[a]
	g.until[a] = until
	return !known
}

// clear notes that an address works, or with the zero value that all may, and
// reports whether that is news.
func (g *goneSources) clear(a netip.Addr) (news bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !a.IsValid() {
		clear(g.until)
		return false
	}
	_, known := g.until[a]
	delete(g.until, a)
	return known
}

// last puts the addresses that are gone behind the others, in place.
func (g *goneSources) last(list []netip.Addr) []netip.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.until) == 0 {
		return list
	}
	now := time.Now()
	var gone []netip.Addr
	kept := list[:0]
	for _, a := range list {
		if now.Before(g.until[a]) {
			gone = append(gone, a)
		} else {
			kept = append(kept, a)
		}
	}
	return append(kept, gone...)
}
