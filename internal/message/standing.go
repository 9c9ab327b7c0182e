package message

import "fmt"

// Standing is what has been ordered about a message as a whole, by an
// administrator or by the gateway itself. The zero value is that of nearly all
// messages.
type Standing struct {
	// Suspended: it is not delivered before it is resumed. Neither does it
	// expire, nor is its sender told of the delay.
	Suspended bool
	// Redirect is the set of hosts that takes the place of the MX or smart hosts
	// of its Send connector, in the canonical form of routing.NextHop.Domain:
	// "[10.0.0.11]:25,hub2.example:25". Empty: as routed.
	Redirect string
	// Panics counts how often a panic happened with the message in hand.
	Panics int
	// Poison: it is parked in the poison queue until somebody resumes it.
	Poison bool
	// Removal is set while a message is being removed of which something is in
	// flight: what is left when that ends is removed.
	Removal Removal
}

// Removal says that a message is to be removed, and whether its sender is told.
type Removal uint8

// The kinds of removal.
const (
	RemovalNone Removal = iota
	RemovalTold
	RemovalQuiet
)

// String returns "none", "told" or "quiet".
func (r Removal) String() string {
	switch r {
	case RemovalNone:
		return "none"
	case RemovalTold:
		return "told"
	case RemovalQuiet:
		return "quiet"
	}
	return fmt.Sprintf("removal(%d)", uint8(r))
}

// The tags of a Standing.
const (
	standSuspended = iota + 1
	standRedirect
	standPanics
	standPoison
	standRemoval
)

// appendStanding appends a Standing as a field. In an Update a zero Standing
// differs from none, so that it is written there too.
func appendStanding(b []byte, tag uint64, s *Standing) []byte {
	if s == nil {
		return b
	}
	return appendNested(b, tag, func(b []byte) []byte {
		b = appendBool(b, standSuspended, s.Suspended)
		b = appendString(b, standRedirect, s.Redirect)
		b = appendInt(b, standPanics, int64(s.Panics))
		b = appendBool(b, standPoison, s.Poison)
		return appendUint(b, standRemoval, uint64(s.Removal))
	})
}

func (f *fields) standing() (s Standing) {
	g := fields{s: f.v}
	for g.next() {
		switch g.tag {
		case standSuspended:
			s.Suspended = g.bool()
		case standRedirect:
			s.Redirect = g.v
		case standPanics:
			s.Panics = int(g.int())
		case standPoison:
			s.Poison = g.bool()
		case standRemoval:
			s.Removal = Removal(g.uint8())
		}
	}
	f.fail(g.err)
	return s
}
