package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func fold(t interface {
	Helper()
	Fatal(...any)
}, in string, n int) string {
	t.Helper()
	var out bytes.Buffer
	f := LineFolder{Out: &out}
	for rest := in; rest != ""; {
		m := min(max(n, 1), len(rest))
		if k, err := f.Write([]byte(rest[:m])); err != nil || k != m {
			t.Fatal(k, err)
		}
		if len(f.held) > MaxLine+2 {
			t.Fatal("it holds", len(f.held), "octets")
		}
		rest = rest[m:]
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if (f.Folded() > 0) != (out.String() != in) {
		t.Fatal("folded", f.Folded(), "times")
	}
	return out.String()
}

func TestLineFolder(t *testing.T) {
	x := strings.Repeat("x", 998)
	words := strings.Repeat("word ", 250) // 1250 octets
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"short", "a\r\n\r\nb", "a\r\n\r\nb"},
		{"as long as it may be", x + "\r\n" + x + "\n" + x, x + "\r\n" + x + "\n" + x},
		{"one octet more", x + "y\r\n", x + "\r\n y\r\n"},
		{"one octet more, bare LF", x + "y\n", x + "\r\n y\n"},
		{"one octet more, no end", x + "y", x + "\r\n y"},
		{"CR that is no end", x + "\ry", x + "\r\n \ry"},
		{"two more lines", x + x + x + "\r\nz\r\n", x + "\r\n " + x[:997] + "\r\n " + x[:997] + "\r\n xx\r\nz\r\n"},
		{"at white space", words + "\r\n", words[:994] + "\r\n" + words[994:] + "\r\n"},
		{"a field", "Subject: " + x + "\r\n", "Subject:\r\n " + x[:997] + "\r\n x\r\n"},
		{"tabs", "a\tb\t\t" + x, "a\tb\r\n\t\t" + x[:996] + "\r\n xx"},
		{"a character", x[:997] + "ü€", x[:997] + "\r\n ü€"},
		{"no character", x[:990] + strings.Repeat("\x80", 20), x[:990] + strings.Repeat("\x80", 4) + "\r\n " + strings.Repeat("\x80", 16)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 7, 998, 1000, 1 << 20} {
				if got := fold(t, tt.in, n); got != tt.want {
					t.Fatalf("in pieces of %d: %q, want %q", n, got, tt.want)
				}
			}
			var m LineMeter
			long := false
			for i := range tt.in {
				long = long || m.Long([]byte{tt.in[i]})
			}
			var whole LineMeter
			if want := tt.in != tt.want; long != want || whole.Long([]byte(tt.in)) != want {
				t.Errorf("it is long: %v, want %v", long, want)
			}
		})
	}
	full := errors.New("full")
	f := LineFolder{Out: failing{full}}
	if _, err := f.Write([]byte("a\r\n")); !errors.Is(err, full) {
		t.Error(err)
	}
	f = LineFolder{Out: failing{full}}
	if _, err := f.Write([]byte(x + "y")); !errors.Is(err, full) {
		t.Error(err)
	}
}

// TestLineFolderProperties: no line is too long any more, what was short is as
// it was, nothing is lost but where a line was broken, and that begins with
// white space.
func TestLineFolderProperties(t *testing.T) {
	piece := rapid.SampledFrom([]string{"x", " ", "\t", "\r\n", "\n", "\r", "ü", "\xff", strings.Repeat("y", 500), strings.Repeat(" ", 600), strings.Repeat("word ", 300), "Subject: "})
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "content"), "")
		got := fold(t, in, rapid.IntRange(1, 2000).Draw(t, "octets"))
		var m LineMeter
		if m.Long([]byte(got)) {
			t.Fatalf("%q became %q", in, got)
		}
		i := 0
		for j := 0; j < len(got); {
			switch {
			case i < len(in) && in[i] == got[j]:
				i++
				j++
			case strings.HasPrefix(got[j:], "\r\n") && j+2 < len(got) && (got[j+2] == ' ' || got[j+2] == '\t'):
				if j += 2; i >= len(in) || in[i] != got[j] { // a space of ours
					j++
				}
			default:
				t.Fatalf("%q became %q: it differs at %d", in, got, j)
			}
		}
		if i != len(in) {
			t.Fatalf("%q became %q: the end is lost", in, got)
		}
	})
}
