package message

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const allHeaders = RoutingHeaders | InternalHeaders | AuthorHeaders

// filter sends content through a firewall in pieces of n octets, 0 for one
// piece.
func filter(t interface {
	Helper()
	Fatal(...any)
}, strip HeaderClass, content string, n int) (string, *HeaderFirewall) {
	t.Helper()
	var out, taken bytes.Buffer
	f := &HeaderFirewall{Strip: strip, Out: &out, Taken: &taken}
	for rest := []byte(content); len(rest) > 0; {
		piece := rest
		if n > 0 && n < len(rest) {
			piece = rest[:n]
		}
		if m, err := f.Write(piece); err != nil || m != len(piece) {
			t.Fatal("Write:", m, err)
		}
		rest = rest[len(piece):]
		if cap(f.held) > 2*maxHeldName {
			t.Fatal("it holds", cap(f.held), "octets")
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	fields, octets := f.Removed()
	if int(octets) != len(content)-out.Len() || (fields > 0) != (octets > 0) {
		t.Fatal("it counts", fields, "fields of", octets, "octets;", len(content), "became", out.Len())
	}
	if want := naive(strip, content, true); taken.String() != want {
		t.Fatal("it takes", strconv.Quote(taken.String()), "and not", strconv.Quote(want))
	}
	return out.String(), f
}

func TestHeaderClassOf(t *testing.T) {
	for name, want := range map[string]HeaderClass{
		"":                                       0,
		"Received":                               RoutingHeaders,
		"rEcEiVeD \t":                            RoutingHeaders,
		"Received-SPF":                           0,
		"X-Received":                             0,
		"Resent-From":                            RoutingHeaders,
		"resent-x":                               RoutingHeaders,
		"Resent":                                 0,
		"Return-Path":                            0,
		"X-MS-Exchange-Organization-SCL":         OrganizationHeaders,
		"x-ms-exchange-organization-":            OrganizationHeaders,
		"X-MS-Exchange-Organization":             0,
		"X-MS-Exchange-OrganizationX-SCL":        0,
		"X-MS-Exchange-Forest-RulesExecd":        ForestHeaders,
		"X-MS-Exchange-CrossTenant-AuthAs":       0,
		"X-Postern-Organization-Origin":          OrganizationHeaders,
		"X-Mailer":                               0,
		"From":                                   AuthorHeaders,
		"sENDER ":                                AuthorHeaders,
		"Subject":                                0,
		"\x00X-MS-Exchange-\x00Organization-SCL": OrganizationHeaders,
		"F\x7from\x0b ":                          AuthorHeaders,
		"\x00":                                   0,
		"From-":                                  0,
	} {
		if got := HeaderClassOf(name); got != want {
			t.Errorf("%q: %b, want %b", name, got, want)
		}
	}
}

func TestHeaderFirewall(t *testing.T) {
	long := strings.Repeat("x", 5000)
	spaces := strings.Repeat(" ", 5000)
	for _, tt := range []struct{ name, in, want string }{
		{"nothing to do", "From: a@b\r\nTo: c@d\r\n\r\nReceived: in the body\r\n", "From: a@b\r\nTo: c@d\r\n\r\nReceived: in the body\r\n"},
		{"folded", "A: 1\r\nReceived: from x\r\n\tby y\r\n ; z\r\nB: 2\r\n\r\nbody", "A: 1\r\nB: 2\r\n\r\nbody"},
		{"first and last", "Resent-To: x\r\nA: 1\r\n 2\r\nresent-cc : y\r\n\r\n", "A: 1\r\n 2\r\n\r\n"},
		{"all of it", "Received: x\r\nX-MS-Exchange-Forest-Y: z\r\n\r\nbody", "\r\nbody"},
		{"without an end", "A: 1\r\nReceived: x", "A: 1\r\n"},
		{"a name without a colon at the end", "A: 1\r\nReceived", "A: 1\r\nReceived"},
		{"no header", "\r\nReceived: x\r\n", "\r\nReceived: x\r\n"},
		{"empty", "", ""},
		{"huge value", "Received: " + long + "\r\n " + long + "\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"},
		{"huge other name", "R" + long + ": 1\r\nX" + long + "\r\n\r\n", "R" + long + ": 1\r\nX" + long + "\r\n\r\n"},
		{"huge name that goes", "X-MS-Exchange-Organization-" + long + ": 1\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"},
		{"white space before the colon", "Received" + spaces + ": 1\r\n x\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"},
		{"line of white space continues", "Received: 1\r\n \r\n\tmore\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"},
		{"malformed lines stay", "Received x: y\r\nReceived x\r\nX-MS-Exchange\r\n\r\n", "Received x: y\r\nReceived x\r\nX-MS-Exchange\r\n\r\n"},
		{"a colon behind a fold", "X-MS-Exchange-Organization-AuthAs\r\n : Internal\r\nA: 1\r\nReceived \r\n\t\r\n : x\r\nB: 2\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n"},
		{"a name alone", "Received\r\nA: 1\r\nX-MS-Exchange-Organization-\r\n\r\n", "A: 1\r\n\r\n"},
		{"controls in the name", "\x00Received: x\r\n y\r\nA: 1\r\nX-MS\x00-Exchange-Organization-AuthAs: Internal\r\nRe\x0bceived\x7f : z\r\n\x00Subject: t\r\n\r\n", "A: 1\r\n\x00Subject: t\r\n\r\n"},
		{"malformed lines end nothing", "no field\r\nX-MS-Exchange-Organization-AuthAs: Internal\r\n\r\n", "no field\r\n\r\n"},
		{"mbox", "From a@b Sat Nov 21\r\nReceived: x\r\n\r\n", "From a@b Sat Nov 21\r\n\r\n"},
		{"continues nothing", " x\r\nReceived: x\r\n\r\n", " x\r\n\r\n"},
		{"octets in the name", "X-MS-Exchange-Organization-A\x00\xff b: 1\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"},
		{"bare LF", "A: 1\nReceived: x\n y\nB: 2\r\n\r\n", "A: 1\nB: 2\r\n\r\n"},
		{"bare CR", "A: 1\rReceived: x\r y\rB: 2\r\n\r\n", "A: 1\rB: 2\r\n\r\n"},
		{"LF LF is no end", "A: 1\n\nReceived: x\r\n\r\nReceived: y", "A: 1\n\n\r\nReceived: y"},
		{"LF CRLF is no end", "A: 1\n\r\nReceived: x\r\n\r\nReceived: y", "A: 1\n\r\n\r\nReceived: y"},
		{"CR CRLF is no end", "A: 1\r\n\r\r\nReceived: x\r\n\r\nReceived: y", "A: 1\r\n\r\r\n\r\nReceived: y"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{0, 1, 2, 3, 7, 999, 1000, 1001} {
				if got, _ := filter(t, RoutingHeaders|InternalHeaders, tt.in, n); got != tt.want {
					t.Fatalf("in pieces of %d: %q, want %q", n, got, tt.want)
				}
			}
			if got, _ := filter(t, 0, tt.in, 0); got != tt.in {
				t.Errorf("a firewall that strips nothing: %q", got)
			}
		})
	}
}

func TestHeaderFirewallClasses(t *testing.T) {
	const in = "Received: 1\r\nX-MS-Exchange-Organization-A: 2\r\nX-MS-Exchange-Forest-B: 3\r\n\r\n"
	for strip, want := range map[HeaderClass]string{
		RoutingHeaders:      "X-MS-Exchange-Organization-A: 2\r\nX-MS-Exchange-Forest-B: 3\r\n\r\n",
		OrganizationHeaders: "Received: 1\r\nX-MS-Exchange-Forest-B: 3\r\n\r\n",
		InternalHeaders:     "Received: 1\r\n\r\n",
	} {
		got, f := filter(t, strip, in, 0)
		if n, _ := f.Removed(); got != want || n != strings.Count(in, "\n")-strings.Count(want, "\n") || !f.Done() {
			t.Errorf("%b: %q, %d removed", strip, got, n)
		}
	}
}

func TestHeaderFirewallError(t *testing.T) {
	full := errors.New("full")
	for _, in := range []string{"A: 1\r\nReceived: x\r\n\r\nbody", "Received: x\r\nB: 1\r\n\r\n", "A: 1"} {
		f := &HeaderFirewall{Strip: allHeaders, Out: failing{full}}
		if _, err := f.Write([]byte(in)); !errors.Is(err, full) {
			t.Errorf("%q: %v", in, err)
		}
	}
	f := &HeaderFirewall{Strip: allHeaders, Out: failing{full}}
	if _, err := f.Write([]byte("Rece")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, full) {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error("a second time:", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// naive is the firewall for those who have all of the content at hand. It
// returns what is kept, or what is taken.
func naive(strip HeaderClass, content string, takes bool) string {
	var out, taken strings.Builder
	removing, crlf := false, true
	for content != "" {
		n := strings.IndexAny(content, "\r\n") + 1
		switch {
		case n == 0:
			n = len(content)
		case content[n-1] == '\r' && strings.HasPrefix(content[n:], "\n"):
			n++
		}
		line := content[:n]
		if line == "\r\n" && crlf {
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := strings.Cut(line, ":")
			name = strings.TrimRight(name, "\r\n")
			ended := len(name) < len(line)
			if len(name) > maxHeldName {
				name, ended = name[:maxHeldName], true
			}
			removing = ended && HeaderClassOf(name)&strip != 0
		}
		if removing {
			taken.WriteString(line)
		} else {
			out.WriteString(line)
		}
		crlf = strings.HasSuffix(line, "\r\n")
		content = content[n:]
	}
	if takes {
		return taken.String()
	}
	return out.String() + content
}

// TestHeaderFirewallProperties: whatever the content and the pieces, the same
// goes, it is what the naive one takes, and nothing is left for a second time.
func TestHeaderFirewallProperties(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"Received", "Resent-To", "X-MS-Exchange-Organization-SCL", "X-MS-Exchange-Forest-", "x-postern-organization-a",
		"Subject", "From", "Sender", "X", "R", ":", ": ", " ", "\t", "\r\n", "\r\n", "\r\n", "\r", "\n", "\x00", "ü", "value", "\r\n\r\n",
		strings.Repeat("y", 600),
	})
	rapid.Check(t, func(t *rapid.T) {
		content := strings.Join(rapid.SliceOfN(piece, 0, 60).Draw(t, "content"), "")
		strip := HeaderClass(rapid.IntRange(0, 15).Draw(t, "strip"))
		n := rapid.IntRange(0, 40).Draw(t, "octets")
		got, _ := filter(t, strip, content, n)
		if want := naive(strip, content, false); got != want {
			t.Fatalf("%q became %q, want %q", content, got, want)
		}
		if again, _ := filter(t, strip, got, 0); again != got {
			t.Fatalf("%q became %q, and then %q", content, got, again)
		}
	})
}

func FuzzHeaderFirewall(f *testing.F) {
	f.Add([]byte("A: 1\r\nReceived: x\r\n\ty\r\n\r\nbody"), uint8(7), uint8(3))
	f.Add([]byte("X-MS-Exchange-Organization-A : 1\r\n \r\nB: 2\r\r\n\n\r\n"), uint8(2), uint8(1))
	f.Add([]byte("Received"+strings.Repeat(" ", 1100)+": x\r\n"), uint8(1), uint8(0))
	f.Fuzz(func(t *testing.T, content []byte, strip, n uint8) {
		class := HeaderClass(strip) & allHeaders
		got, _ := filter(t, class, string(content), int(n))
		if want := naive(class, string(content), false); got != want {
			t.Fatalf("%q became %q, want %q", content, got, want)
		}
		if again, _ := filter(t, class, got, 0); again != got {
			t.Fatalf("%q became %q, and then %q", content, got, again)
		}
	})
}

// TestHeaderFirewallAllocatesNothing for content of which each line might be a
// field.
func TestHeaderFirewallAllocatesNothing(t *testing.T) {
	content := []byte(strings.Repeat(strings.Repeat("x", 900)+"\r\n", 10) + strings.Repeat("X-"+strings.Repeat("y", 900)+":\r\n", 10))
	if n := testing.AllocsPerRun(10, func() {
		f := HeaderFirewall{Strip: RoutingHeaders | InternalHeaders, Out: io.Discard}
		f.Write(content)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHeaderFirewall(b *testing.B) {
	content := []byte(strings.Repeat("Received: from a by b; Sat, 21 Nov 2026 23:13:33 +0000\r\n", 5) +
		strings.Repeat("X-Header-Of-Somebody: something or other\r\n", 30) + "\r\n" + strings.Repeat("x", 4000))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		f := HeaderFirewall{Strip: InternalHeaders, Out: io.Discard}
		f.Write(content)
	}
}
