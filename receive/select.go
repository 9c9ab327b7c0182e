package receive

import (
	"bytes"
	"fmt"
	"net/netip"

	"postern/config"
)

// Candidate is a Receive connector as it fared in the selection for one
// connection. The winner and those that lost to it have a Binding and a Range;
// of the others what did not match is the zero value.
type Candidate struct {
	Connector *config.ReceiveConnector
	// Binding and Range are the most specific of the connector's that match.
	Binding netip.AddrPort
	Range   config.Range
	// EliminatedBy is why the connector was not chosen, "" for the winner:
	// "disabled", "binding", "remote_ip_ranges", "less specific binding",
	// "wider range" or "order".
	EliminatedBy string
	// Detail says the same to people, in one sentence.
	Detail string
}

// Selection is the answer to which connector takes a connection.
type Selection struct {
	// Connector is the winner, nil when there is none.
	Connector *config.ReceiveConnector
	// Candidates are all connectors in the order of the configuration.
	Candidates []Candidate
	// Proxy is a connector because of which a connection from remote must begin
	// with a PROXY header, nil when there is none. The selection is then for
	// what the proxy does for itself, its health checks; what it passes on is
	// selected by the client's address in the place of remote.
	Proxy *config.ReceiveConnector
}

// Select chooses the Receive connector for a connection from remote to local
// (reference 1.1): the enabled ones with a matching binding and range are
// candidates, a specific local address beats the any-address, then the smallest
// remote range wins, then the one that stands first in the file. IPv4-mapped
// addresses count as IPv4 and zones do not count.
func Select(connectors []config.ReceiveConnector, local, remote netip.AddrPort) Selection {
	winner := choose(connectors, local, remote)
	local, remote = plain(local), plain(remote)
	s := Selection{Candidates: make([]Candidate, len(connectors))}
	for i := range connectors {
		s.Candidates[i].match(&connectors[i], local, remote)
		if s.Proxy == nil && takesProxy(&connectors[i], local, remote) {
			s.Proxy = &connectors[i]
		}
	}
	if winner < 0 {
		return s
	}
	w := &s.Candidates[winner]
	s.Connector = w.Connector
	w.Detail = fmt.Sprintf("Binding %s and range %s are the most specific that match.", w.Binding, w.Range)
	for i := range s.Candidates {
		if c := &s.Candidates[i]; i != winner && c.EliminatedBy == "" {
			c.lose(w)
		}
	}
	return s
}

// choose returns the index of the connector that takes the connection, or -1.
// It is asked for every connection and allocates nothing.
func choose(connectors []config.ReceiveConnector, local, remote netip.AddrPort) int {
	local, remote = plain(local), plain(remote)
	winner := -1
	var best Candidate
	for i := range connectors {
		var c Candidate
		if c.find(&connectors[i], local, remote) && (winner < 0 || c.compare(&best) < 0) {
			winner, best = i, c
		}
	}
	return winner
}

// compare is negative when c is more specific than w, positive when it is less
// so, and zero when both are equal, so that their order decides.
func (c *Candidate) compare(w *Candidate) int {
	cs, ws := specific(c.Binding), specific(w.Binding)
	switch {
	case cs && !ws:
		return -1
	case ws && !cs:
		return 1
	}
	return compareRanges(c.Range, w.Range)
}

// lose notes why w was chosen before c.
func (c *Candidate) lose(w *Candidate) {
	switch {
	case specific(c.Binding) != specific(w.Binding):
		c.EliminatedBy = "less specific binding"
		c.Detail = fmt.Sprintf("Connector %q is bound to %s itself, this one to the any-address.", w.Connector.Name, w.Binding)
	case compareRanges(c.Range, w.Range) != 0:
		c.EliminatedBy = "wider range"
		c.Detail = fmt.Sprintf("Range %s of connector %q is smaller than %s.", w.Range, w.Connector.Name, c.Range)
	default:
		c.EliminatedBy = "order"
		c.Detail = fmt.Sprintf("Connector %q has an equal binding and range and stands first; give one of them a smaller range.", w.Connector.Name)
	}
}

// find fills in binding and range, and reports whether the connector matches.
func (c *Candidate) find(conn *config.ReceiveConnector, local, remote netip.AddrPort) bool {
	c.Connector = conn
	if !conn.Enabled {
		return false
	}
	var ok bool
	if c.Binding, ok = matchBinding(conn.Bindings, local); !ok {
		return false
	}
	c.Range, ok = matchRange(conn.RemoteIPRanges, remote.Addr())
	return ok
}

// match is find with a reason.
func (c *Candidate) match(conn *config.ReceiveConnector, local, remote netip.AddrPort) {
	switch {
	case c.find(conn, local, remote):
	case !conn.Enabled:
		c.EliminatedBy, c.Detail = "disabled", "The connector is disabled."
	case !c.Binding.IsValid():
		c.EliminatedBy = "binding"
		c.Detail = fmt.Sprintf("No binding of the connector is %s or the any-address on port %d.", local, local.Port())
	default:
		c.EliminatedBy = "remote_ip_ranges"
		c.Detail = fmt.Sprintf("No remote range of the connector holds %s.", remote.Addr())
	}
}

func specific(b netip.AddrPort) bool { return !b.Addr().IsUnspecified() }

// matchBinding returns the most specific binding that local fits.
func matchBinding(bindings []netip.AddrPort, local netip.AddrPort) (netip.AddrPort, bool) {
	var found netip.AddrPort
	for _, b := range bindings {
		p := plain(b)
		if p.Port() != local.Port() || p.Addr().Is4() != local.Addr().Is4() {
			continue
		}
		if p.Addr() == local.Addr() {
			return p, true
		}
		if p.Addr().IsUnspecified() {
			found = p
		}
	}
	return found, found.IsValid()
}

// matchRange returns the smallest range that holds the address.
func matchRange(ranges []config.Range, a netip.Addr) (config.Range, bool) {
	var found config.Range
	for _, r := range ranges {
		r = config.Range{From: plainAddr(r.From), To: plainAddr(r.To)}
		if r.From.Is4() != a.Is4() || a.Less(r.From) || r.To.Less(a) {
			continue
		}
		if !found.From.IsValid() || compareRanges(r, found) < 0 {
			found = r
		}
	}
	return found, found.From.IsValid()
}

// compareRanges compares the sizes of two ranges of one family: -1 when a is
// smaller.
func compareRanges(a, b config.Range) int {
	x, y := span(a), span(b)
	return bytes.Compare(x[:], y[:])
}

// span is the size of a range less one, as a big-endian number.
func span(r config.Range) [16]byte {
	from, to := r.From.As16(), r.To.As16()
	var borrow int
	for i := 15; i >= 0; i-- {
		d := int(to[i]) - int(from[i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		to[i] = byte(d)
	}
	return to
}

// plain returns the address as it is compared: IPv4 unmapped, no zone.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(plainAddr(a.Addr()), a.Port())
}

func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
