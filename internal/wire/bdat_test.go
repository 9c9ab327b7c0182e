package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestLineEnds(t *testing.T) {
	for _, tt := range []struct {
		in, normal string
		err        error
	}{
		{"", "", nil},
		{"x", "x", nil},
		{"x\r\n", "x\r\n", nil},
		{"\r\n.\r\n\r\n", "\r\n.\r\n\r\n", nil},
		{"\r\r\n", "\r\n\r\n", ErrBareCR},
		{"x\r", "x\r\n", ErrBareCR},
		{"x\ry", "x\r\ny", ErrBareCR},
		{"x\n", "x\r\n", ErrBareLF},
		{"\n\r\n", "\r\n\r\n", ErrBareLF},
		{"\r\n\n", "\r\n\r\n", ErrBareLF},
		{"\n\r", "\r\n\r\n", ErrBareLF},
		{strings.Repeat("x", 300) + "\r\n" + strings.Repeat("y", 300) + "\n", strings.Repeat("x", 300) + "\r\n" + strings.Repeat("y", 300) + "\r\n", ErrBareLF},
	} {
		for seed := range uint64(8) {
			pieces := [][]byte{[]byte(tt.in)}
			if seed > 0 {
				pieces = cut([]byte(tt.in), rand.New(rand.NewPCG(seed, 5)))
			}
			checkLineEnds(t, pieces, tt.normal, tt.err)
		}
	}
}

// checkLineEnds writes the pieces in both modes.
func checkLineEnds(t *testing.T, pieces [][]byte, normal string, want error) {
	t.Helper()
	whole := bytes.Join(pieces, nil)
	for _, mode := range []BareLineEnds{RejectBareLineEnds, NormaliseBareLineEnds} {
		var out bytes.Buffer
		l := NewLineEnds(neverEmpty{t, &out}, mode)
		var err error
		for _, p := range pieces {
			var n int
			if n, err = l.Write(p); err != nil {
				break
			}
			if n != len(p) {
				t.Fatalf("%d octets of %d were taken", n, len(p))
			}
		}
		if err == nil {
			err = l.Close()
		}
		switch {
		case mode == NormaliseBareLineEnds && (err != nil || out.String() != normal):
			t.Errorf("%q becomes %q, %v, want %q", pieces, out.String(), err, normal)
		case mode == RejectBareLineEnds && !errors.Is(err, want):
			t.Errorf("%q gives %v, want %v", pieces, err, want)
		case mode == RejectBareLineEnds && !bytes.HasPrefix(whole, out.Bytes()), mode == RejectBareLineEnds && err == nil && out.Len() != len(whole):
			t.Errorf("%q becomes %q", pieces, out.String())
		}
	}
}

// neverEmpty fails the test when nothing is written.
type neverEmpty struct {
	t *testing.T
	w io.Writer
}

func (n neverEmpty) Write(p []byte) (int, error) {
	if len(p) == 0 {
		n.t.Error("a write of no octets")
	}
	return n.w.Write(p)
}

// FuzzLineEnds compares with what can be said of the whole content at once.
func FuzzLineEnds(f *testing.F) {
	for _, s := range []string{"", "x\r\ny\r\n", "\r", "\n", "a\rb\nc\r\n\r\r\n\n"} {
		f.Add([]byte(s), uint64(0))
		f.Add([]byte(s), uint64(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		marked := strings.ReplaceAll(string(in), "\r\n", "\x00\x01")
		first := strings.IndexAny(marked, "\r\n")
		var want error
		switch {
		case bytes.ContainsAny(in, "\x00\x01"):
			return // the mark
		case first >= 0 && marked[first] == '\r':
			want = ErrBareCR
		case first >= 0:
			want = ErrBareLF
		}
		normal := strings.NewReplacer("\x00\x01", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(marked)
		checkLineEnds(t, cut(in, rand.New(rand.NewPCG(seed, 6))), normal, want)
	})
}

// TestChunkBehindBareLF: BDAT in what a bare LF broke is told of.
func TestChunkBehindBareLF(t *testing.T) {
	for in, chunk := range map[string]bool{
		"BDAT 5": true, " \tbDaT": true, "y\nBDAT": true, "y\n\nBDATy\ny": true,
		"": false, "y BDAT": false, "BDA": false, "BDA T": false, "BBDAT": false, "\rBDAT": false,
	} {
		for seed := range uint64(6) {
			r := NewReader(&chunks{pieces: cut([]byte("x\n"+in+"\r\nz\r\n"), rand.New(rand.NewPCG(seed, 7)))}, 512)
			if line, err := r.ReadLine(512); err != ErrBareLF {
				t.Errorf("%q: %q, %v", in, line, err)
			}
			line, err := r.ReadLine(512)
			if got := string(line) == "BDAT" && err == ErrBareLF; got != chunk {
				t.Errorf("%q: then %q, %v", in, line, err)
			} else if chunk {
				line, err = r.ReadLine(512)
			}
			if err != nil || string(line) != "z" {
				t.Errorf("%q: at the end %q, %v", in, line, err)
			}
		}
	}
}

// TestLineHead: what is wrong with a line does not hide which command it was
// meant to be.
func TestLineHead(t *testing.T) {
	long := "BDAT 5" + strings.Repeat(" ", 9000)
	for _, in := range []string{"BDAT 5\ny\r\n", long + "\n bdat\r\n", "x" + long + "\nbdat 5\r\n", "BDAT\r5\r\n", long + "\r\n", long[:600] + "\r\n", long[:511] + "\r\n"} {
		for seed := range uint64(4) {
			r := NewReader(&chunks{pieces: cut([]byte(in+"x\r\n"), rand.New(rand.NewPCG(seed, 7)))}, 512)
			line, err := r.ReadLine(512)
			if err == nil || !bytes.HasPrefix(line, []byte("BDAT")) {
				t.Errorf("%.20q gives %q, %v", in, line, err)
			}
			if line, err := r.ReadLine(512); err != nil || string(line) != "x" {
				t.Errorf("then %q, %v", line, err)
			}
		}
	}
}
