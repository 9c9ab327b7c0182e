package message

import (
	"cmp"
	"net/netip"
	"strings"
	"testing"
)

// FuzzParseID: ids are read again as they are written, and sort as text as they
// do as numbers.
func FuzzParseID(f *testing.F) {
	f.Add("0000000000000", uint64(0))
	f.Add("FZZZZZZZZZZZZ", uint64(1)<<63)
	f.Add("g000000000000", uint64(31))
	f.Add("01h455vb4pex5", ^uint64(0))
	f.Add("01h455vb4pexl", uint64(7))
	f.Fuzz(func(t *testing.T, s string, n uint64) {
		if id, err := ParseID(ID(n).String()); err != nil || id != ID(n) {
			t.Fatalf("%d is written %s and read as %d, %v", n, ID(n), id, err)
		}
		id, err := ParseID(s)
		if err != nil {
			if id != 0 {
				t.Fatalf("%q is %d together with %v", s, id, err)
			}
			return
		}
		if id.String() != strings.ToUpper(s) {
			t.Fatalf("%q is written %s", s, id)
		}
		if cmp.Compare(id, ID(n)) != cmp.Compare(id.String(), ID(n).String()) {
			t.Fatalf("%s and %s sort otherwise than %d and %d", id, ID(n), id, n)
		}
	})
}

// FuzzParseLiteral: an address literal that is read is a domain that is taken,
// and what Literal writes is read as the same address.
func FuzzParseLiteral(f *testing.F) {
	for _, s := range []string{"[192.0.2.1]", "[IPv6:2001:db8::1]", "[ipv6:::ffff:192.0.2.1]", "[192.0.02.1]", "[x:y]", "[IPv6:fe80::1%eth0]", "[]", "[1.2.3]", "192.0.2.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// An address without an error, or none: a literal of another kind.
		a, err := ParseLiteral(s)
		if err != nil {
			if a != (netip.Addr{}) {
				t.Fatalf("%q is %s together with %v", s, a, err)
			}
			return
		}
		if !a.IsValid() {
			return
		}
		if a.Zone() != "" || CheckDomain(s, false) != nil {
			t.Fatalf("%q is %s, and %v", s, a, CheckDomain(s, false))
		}
		again, err := ParseLiteral(Literal(a))
		if err != nil || again.Unmap() != a.Unmap() {
			t.Fatalf("%q is %s, written %s, read as %s, %v", s, a, Literal(a), again, err)
		}
	})
}
