package message

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLocalReceived(t *testing.T) {
	for _, tt := range []struct {
		field string
		want  int
	}{
		{"Received: from a.example ([192.0.2.1]) by edge.contoso.example\r\n\t([127.0.0.1]) with ESMTP id 1; date\r\n", 1},
		{"received : BY Edge.Contoso.Example; date\r\n", 1},
		{"Received: by edge.contoso.example (Postfix, from userid 1000)\r\n", 1},
		{"Received: from by ([192.0.2.1])\r\n by edge.contoso.example;\r\n", 1},
		{"Received: (by other.example) by(a (nested \\) one) comment)edge.contoso.example(x);\r\n", 1},
		{"Received: by edge.contoso.example by edge.contoso.example;\r\n", 1},
		{"Received: from by by other.example; by edge.contoso.example\r\n", 0},
		{"Received: from edge.contoso.example by other.example; date\r\n", 0},
		{"Received: from x (by edge.contoso.example) by other.example; date\r\n", 0},
		{"Received: by edge.contoso.example.evil.example; date\r\n", 0},
		{"Received: by " + strings.Repeat("x", 5000) + "\r\n", 0},
		{"X-Received: by edge.contoso.example;\r\n", 0},
		{"Received: " + strings.Repeat("(", 5000) + "by edge.contoso.example;\r\n", 0},
		{"Received: from 'by edge.contoso.example'\r\n", 0},
	} {
		for piece := 1; piece < 12; piece++ {
			s := HeaderScanner{Local: func(d string) bool { return strings.EqualFold(d, "edge.contoso.example") }}
			for rest := tt.field + "Subject: by edge.contoso.example\r\n\r\n"; rest != ""; rest = rest[min(piece, len(rest)):] {
				s.Scan([]byte(rest[:min(piece, len(rest))]))
			}
			if got := s.LocalReceived(); got != tt.want {
				t.Errorf("%q in pieces of %d: %d, want %d", tt.field, piece, got, tt.want)
			}
		}
	}
}

// TestOwnFieldIsLocal: whatever a client calls itself, the field that we write
// counts as ours.
func TestOwnFieldIsLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := Received{
			Helo: rapid.String().Draw(t, "helo"), By: "edge.contoso.example", With: "ESMTPS", TLS: rapid.String().Draw(t, "tls"),
			Client: netip.MustParseAddrPort("192.0.2.1:25"), Local: netip.MustParseAddrPort("[2001:db8::1]:25"), At: time.Unix(0, 0),
		}.Append(nil)
		s := HeaderScanner{Local: func(d string) bool { return d == "edge.contoso.example" }}
		s.Scan(append(field, "\r\n"...))
		if s.LocalReceived() != 1 {
			t.Fatalf("%q is not ours", field)
		}
	})
}

// FuzzReceivedScan: wherever the octets are cut, the same fields are ours, and
// never more than there are.
func FuzzReceivedScan(f *testing.F) {
	f.Add([]byte("Received: from a (b) by edge.contoso.example; x\r\n\tby y\r\n\r\n"), uint8(3))
	f.Add([]byte("Received: (\\) by edge.contoso.example\r\nReceived:by edge.contoso.example\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, content []byte, piece uint8) {
		count := func(n int) (local, all int) {
			s := HeaderScanner{Local: func(d string) bool {
				if len(d) > MaxDomain || strings.ContainsAny(d, " \t\r\n;(") {
					t.Fatalf("a name of %q", d)
				}
				return d == "edge.contoso.example"
			}}
			for rest := content; len(rest) > 0; rest = rest[min(n, len(rest)):] {
				s.Scan(rest[:min(n, len(rest))])
			}
			s.Close()
			return s.LocalReceived(), s.Received()
		}
		whole, all := count(len(content) + 1)
		if cut, _ := count(int(piece) + 1); cut != whole || whole > all {
			t.Fatalf("%d in pieces of %d, %d at once, of %d", cut, int(piece)+1, whole, all)
		}
	})
}
