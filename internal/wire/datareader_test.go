package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// chunks hands out each of its pieces in one Read, as packets arrive.
type chunks struct {
	pieces [][]byte
	err    error // after the last; io.EOF if nil
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.pieces) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	return n, nil
}

// cut cuts b at random places, more often into small pieces.
func cut(b []byte, r *rand.Rand) [][]byte {
	var pieces [][]byte
	for len(b) > 0 {
		n := 1 + r.IntN(len(b))
		if r.IntN(3) > 0 {
			n = 1 + r.IntN(min(len(b), 5))
		}
		pieces = append(pieces, b[:n])
		b = b[n:]
	}
	return pieces
}

// decoded is what came of reading content: the text, the first bare line end,
// what was left behind the end, and the error if the end never came.
type decoded struct {
	text  string
	bare  error
	rest  string
	size  int64
	ended bool
}

// reference decodes content octet by octet, by the words of RFC 5321: lines
// end in CRLF and in nothing else; the line "." is the end; a dot at the
// beginning of any other line is taken away.
func reference(in []byte, mode BareLineEnds) decoded {
	var d decoded
	var text []byte
	first := func(err error) {
		if d.bare == nil && mode == RejectBareLineEnds {
			d.bare = err
		}
	}
	for {
		line, rest, ok := bytes.Cut(in, []byte("\r\n"))
		if ok && string(line) == "." {
			d.text, d.rest, d.ended, d.size = string(text), string(rest), true, int64(len(text))
			return d
		}
		if len(line) > 0 && line[0] == '.' && (ok || len(line) > 1) {
			line = line[1:]
		}
		for i, c := range line {
			switch {
			case c == '\r' && (ok || i+1 < len(line)):
				first(ErrBareCR)
			case c == '\n':
				first(ErrBareLF)
			}
			if mode == NormaliseBareLineEnds && (c == '\r' || c == '\n') {
				text = append(text, "\r\n"...)
			} else {
				text = append(text, c)
			}
		}
		if !ok {
			d.text, d.size = string(text), int64(len(text))
			return d
		}
		text = append(text, "\r\n"...)
		in = rest
	}
}

// decodeRead decodes through Read with a destination of the given size, and
// decodeWriteTo through WriteTo.
func decodeRead(t testing.TB, r *Reader, mode BareLineEnds, size int) decoded {
	t.Helper()
	d := NewDataReader(r, mode)
	var got decoded
	var text []byte
	p := make([]byte, size)
	for {
		n, err := d.Read(p)
		text = append(text, p[:n]...)
		if done := settle(t, &got, err); done {
			break
		}
	}
	return finish(t, got, text, d, r)
}

func decodeWriteTo(t testing.TB, r *Reader, mode BareLineEnds) decoded {
	t.Helper()
	d := NewDataReader(r, mode)
	var got decoded
	var text bytes.Buffer
	for {
		_, err := d.WriteTo(struct{ io.Writer }{&text})
		if err == nil {
			err = io.EOF
		}
		if done := settle(t, &got, err); done {
			break
		}
	}
	return finish(t, got, text.Bytes(), d, r)
}

func settle(t testing.TB, got *decoded, err error) (done bool) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrBareCR), errors.Is(err, ErrBareLF):
		if got.bare != nil {
			t.Fatalf("a second bare line end was reported")
		}
		got.bare = err
	case err == io.EOF:
		got.ended = true
		return true
	case err == io.ErrUnexpectedEOF:
		return true
	default:
		t.Fatal(err)
	}
	return false
}

func finish(t testing.TB, got decoded, text []byte, d *DataReader, r *Reader) decoded {
	t.Helper()
	got.text, got.size = string(text), d.Size()
	if d.Done() != got.ended {
		t.Fatalf("Done is %v", d.Done())
	}
	if n, err := d.Read(make([]byte, 10)); n != 0 || (err == io.EOF) != got.ended {
		t.Fatalf("after the end Read gives %d, %v", n, err)
	}
	if got.ended {
		rest := append([]byte(nil), r.buf[r.start:r.end]...)
		if r.err == nil {
			more, _ := io.ReadAll(r.r)
			rest = append(rest, more...)
		}
		got.rest = string(rest)
	}
	return got
}

// checkDecode compares every way to read in with the reference. Of content
// that does not end only as much is compared as can be known: an octet held
// back to see what follows is lost.
func checkDecode(t testing.TB, in []byte, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	for _, mode := range []BareLineEnds{RejectBareLineEnds, NormaliseBareLineEnds} {
		want := reference(in, mode)
		if m := machine(in, mode); m.ended != want.ended || m.ended && m != want {
			t.Fatalf("mode %d: %q is %+v by the one yardstick and %+v by the other", mode, in, m, want)
		}
		for name, decode := range map[string]func(*Reader) decoded{
			"Read":    func(rd *Reader) decoded { return decodeRead(t, rd, mode, 1+r.IntN(2000)) },
			"Read 1":  func(rd *Reader) decoded { return decodeRead(t, rd, mode, 1) },
			"WriteTo": func(rd *Reader) decoded { return decodeWriteTo(t, rd, mode) },
		} {
			got := decode(NewReader(&chunks{pieces: cut(in, r)}, 512))
			if !want.ended {
				if got.ended {
					t.Fatalf("%s, mode %d: %q ends", name, mode, in)
				}
				if !strings.HasPrefix(want.text, got.text) || len(want.text)-len(got.text) > 2 {
					t.Fatalf("%s, mode %d: %q gives %q, want most of %q", name, mode, in, got.text, want.text)
				}
				continue
			}
			if got != want {
				t.Fatalf("%s, mode %d: %q gives\n%+v, want\n%+v", name, mode, in, got, want)
			}
		}
	}
}

// What follows DATA, and where it ends. Behind every end stands a command, so
// that a wrong end would smuggle it.
func TestDataReader(t *testing.T) {
	const next = "MAIL FROM:<evil@example.com>\r\n"
	tests := []struct {
		rule, in   string
		text, bare string // of the mode RejectBareLineEnds
		normal     string // of the mode NormaliseBareLineEnds, if different
		open       bool   // the content does not end
	}{
		{rule: "RFC 5321 4.1.1.4", in: ".\r\n"},
		{rule: "RFC 5321 4.1.1.4", in: "a\r\n.\r\n", text: "a\r\n"},
		{rule: "RFC 5321 4.1.1.4", in: "\r\n.\r\n", text: "\r\n"},
		{rule: "RFC 5321 4.1.1.4", in: "\r\n\r\n.\r\n", text: "\r\n\r\n"},
		{rule: "RFC 5321 4.5.2", in: "..\r\n.\r\n", text: ".\r\n"},
		{rule: "RFC 5321 4.5.2", in: "...a\r\n.b\r\n.\r\n", text: "..a\r\nb\r\n"},
		{rule: "RFC 5321 4.5.2", in: "a.b\r\n. \r\n.\r\n", text: "a.b\r\n \r\n"},
		{rule: "RFC 5321 2.3.8: LF.LF", in: "a\n.\nb\r\n.\r\n", text: "a\n.\nb\r\n", bare: "LF", normal: "a\r\n.\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: LF.CRLF", in: "a\n.\r\nb\r\n.\r\n", text: "a\n.\r\nb\r\n", bare: "LF", normal: "a\r\n.\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: CR.CR", in: "a\r.\rb\r\n.\r\n", text: "a\r.\rb\r\n", bare: "CR", normal: "a\r\n.\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: CR.CRLF", in: "a\r.\r\nb\r\n.\r\n", text: "a\r.\r\nb\r\n", bare: "CR", normal: "a\r\n.\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: CRLF.LF", in: "a\r\n.\nb\r\n.\r\n", text: "a\r\n\nb\r\n", bare: "LF", normal: "a\r\n\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: CRLF.CR", in: "a\r\n.\rb\r\n.\r\n", text: "a\r\n\rb\r\n", bare: "CR", normal: "a\r\n\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: CRLF.CRCRLF", in: "a\r\n.\r\r\nb\r\n.\r\n", text: "a\r\n\r\r\nb\r\n", bare: "CR", normal: "a\r\n\r\n\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: CRLF NUL.CRLF", in: "a\r\n\x00.\r\n.\r\n", text: "a\r\n\x00.\r\n"},
		{rule: "RFC 5321 2.3.8: CRLF.NUL CRLF", in: "a\r\n.\x00\r\n.\r\n", text: "a\r\n\x00\r\n"},
		{rule: "RFC 5321 2.3.8: CR NUL LF.CRLF", in: "a\r\x00\n.\r\n.\r\n", text: "a\r\x00\n.\r\n", bare: "CR", normal: "a\r\n\x00\r\n.\r\n"},
		{rule: "RFC 5321 2.3.8: at the start", in: ".\nb\r\n.\r\n", text: "\nb\r\n", bare: "LF", normal: "\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: at the start", in: ".\rb\r\n.\r\n", text: "\rb\r\n", bare: "CR", normal: "\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: at the start", in: "\n.\r\nb\r\n.\r\n", text: "\n.\r\nb\r\n", bare: "LF", normal: "\r\n.\r\nb\r\n"},
		{rule: "RFC 5321 2.3.8: at the start", in: "\r.\r\nb\r\n.\r\n", text: "\r.\r\nb\r\n", bare: "CR", normal: "\r\n.\r\nb\r\n"},
		// The octets CRLF.CRLF are there, with a bare CR before them. A sender
		// whose content ends in a CR sends just this and then waits.
		{rule: "RFC 5321 4.1.1.4: CRCRLF.CRLF", in: "a\r\r\n.\r\n", text: "a\r\r\n", bare: "CR", normal: "a\r\n\r\n"},
		{rule: "RFC 5321 4.1.1.4", in: "a\n\r\n.\r\n", text: "a\n\r\n", bare: "LF", normal: "a\r\n\r\n"},
		{rule: "open", in: "a\r\n.", open: true},
		{rule: "open", in: "a\r\n.\r", open: true},
		{rule: "open", in: "a\n.\n", open: true},
		{rule: "open", in: "a\n.\r\n", open: true},
		{rule: "open", in: "", open: true},
	}
	bare := map[string]error{"": nil, "CR": ErrBareCR, "LF": ErrBareLF}
	for _, tt := range tests {
		in := tt.in
		want := decoded{text: tt.text, bare: bare[tt.bare], size: int64(len(tt.text)), ended: true, rest: next}
		normal := decoded{text: tt.text, size: int64(len(tt.text)), ended: true, rest: next}
		if tt.normal != "" {
			normal.text, normal.size = tt.normal, int64(len(tt.normal))
		}
		if tt.open {
			checkDecode(t, []byte(in), 1)
			if reference([]byte(in), RejectBareLineEnds).ended {
				t.Errorf("%s: %q ends", tt.rule, in)
			}
			continue
		}
		in += next
		if got := reference([]byte(in), RejectBareLineEnds); got != want {
			t.Errorf("%s: %q is %+v, want %+v", tt.rule, tt.in, got, want)
		}
		if got := reference([]byte(in), NormaliseBareLineEnds); got != normal {
			t.Errorf("%s: %q normalised is %+v, want %+v", tt.rule, tt.in, got, normal)
		}
		for seed := range uint64(20) {
			checkDecode(t, []byte(in), seed)
		}
	}
}

// Every text of up to six octets of those that matter.
func TestDataReaderExhaustive(t *testing.T) {
	const octets = "\r\n.a"
	most := 6
	if testing.Short() {
		most = 4
	}
	for n := 1; n <= most; n++ {
		in := make([]byte, n)
		for code := range 1 << (2 * n) {
			for i := range in {
				in[i] = octets[code>>(2*i)&3]
			}
			checkDecode(t, append(in, "\r\n.\r\nX"...), uint64(code))
		}
	}
}

// After an I/O error nothing is ever the end, whatever stood before it.
func TestDataReaderError(t *testing.T) {
	boom := errors.New("boom")
	for _, in := range []string{"a\r\n.\r", "a\r\n.", "a\r\n", ".", "", "a\r"} {
		r := NewReader(&chunks{pieces: [][]byte{[]byte(in)}, err: boom}, 0)
		d := NewDataReader(r, RejectBareLineEnds)
		if _, err := io.Copy(io.Discard, d); err != boom {
			t.Errorf("%q: %v", in, err)
		}
		for range 3 {
			if n, err := d.Read(make([]byte, 9)); n != 0 || err != boom {
				t.Errorf("%q: Read again gives %d, %v", in, n, err)
			}
		}
		r.r = strings.NewReader("\n.\r\n.\r\nQUIT\r\n") // the connection comes to life again
		if _, err := d.WriteTo(io.Discard); err != boom || d.Done() {
			t.Errorf("%q: the end was found after an error", in)
		}
		if _, err := r.ReadLine(512); err != boom {
			t.Errorf("%q: a command was read after an error: %v", in, err)
		}
	}
}

// A destination that fails must not lose the place: the rest is drained.
func TestDataReaderWriteError(t *testing.T) {
	for _, mode := range []BareLineEnds{RejectBareLineEnds, NormaliseBareLineEnds} {
		in := strings.Repeat("0123456789\r\n..\r\n", 10000) + ".\r\nQUIT\r\n"
		r := NewReader(strings.NewReader(in), 0)
		d := NewDataReader(r, mode)
		boom := errors.New("boom")
		if _, err := d.WriteTo(failing{boom}); err != boom {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, d); err != nil {
			t.Fatal(err)
		}
		if line, err := r.ReadLine(512); string(line) != "QUIT" || err != nil {
			t.Fatalf("%q, %v", line, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzData(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\n", ".\r\n", "a\n.\n\r\n.\r\n", "a\r\r\n.\r\nQUIT\r\n", "\r\n..\r\n\x00.\r\n.\r\n"} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) { checkDecode(t, in, seed) })
}
