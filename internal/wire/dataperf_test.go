package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// machine decodes content one octet at a time, a state machine as plain as can
// be: the yardstick of whatever looks at many octets at once.
func machine(in []byte, mode BareLineEnds) decoded {
	const (
		line   = iota // at the beginning of a line
		inside        // within a line
		cr            // behind a CR
		dot           // behind a dot that begins a line
		dotCR         // and behind the CR that followed it
	)
	var d decoded
	var text []byte
	bare := func(c byte) {
		switch {
		case mode == NormaliseBareLineEnds:
			text = append(text, "\r\n"...)
			return
		case d.bare == nil && c == '\r':
			d.bare = ErrBareCR
		case d.bare == nil:
			d.bare = ErrBareLF
		}
		text = append(text, c)
	}
	state := line
	for i := 0; i < len(in); i++ {
		c := in[i]
		switch {
		case state == dotCR && c == '\n':
			d.text, d.rest, d.ended, d.size = string(text), string(in[i+1:]), true, int64(len(text))
			return d
		case state == cr && c == '\n':
			text = append(text, "\r\n"...)
			state = line
			continue
		case state == cr || state == dotCR:
			bare('\r')
			state = inside
		}
		switch {
		case c == '\r' && state == dot:
			state = dotCR
		case c == '\r':
			state = cr
		case c == '\n':
			bare('\n')
			state = inside
		case c == '.' && state == line:
			state = dot
		default:
			text = append(text, c)
			state = inside
		}
	}
	d.text, d.size = string(text), int64(len(text))
	return d
}

// machineEncode is DataWriter, one octet at a time.
func machineEncode(content []byte) string {
	var b strings.Builder
	prev, last := byte('\r'), byte('\n')
	for _, c := range content {
		if c == '.' && (last == '\r' || last == '\n') {
			b.WriteByte('.')
		}
		b.WriteByte(c)
		prev, last = last, c
	}
	switch {
	case prev == '\r' && last == '\n':
	case last == '\r':
		b.WriteByte('\n')
	default:
		b.WriteString("\r\n")
	}
	return b.String() + ".\r\n"
}

// soup returns n octets among which line ends and dots are frequent, in
// stretches: all CRLF, plain text, dotted lines, anything.
func soup(r *rand.Rand, n int) []byte {
	var b []byte
	for len(b) < n {
		part := []string{"\r\n", "\r\n.", "\r\n..", "\r\n.\rx", "\n", "\r", ".", "x", "\x00", "\x8d\x8a\xae", "\r\r\n", "\n.\n", "\x0b\x0c\x0e\x2f", strings.Repeat("y", 1+r.IntN(80))}
		p := part[r.IntN(len(part))]
		for range 1 + r.IntN(4)*r.IntN(8) {
			b = append(b, p...)
		}
	}
	return b[:n]
}

// Content of any length, whose line ends lie anywhere in words, blocks and
// buffers.
func TestWords(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 100
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 11))
		content := soup(r, r.IntN(300))
		checkDecode(t, append(bytes.Clone(content), "\r\n.\r\nX"...), seed)
		checkRoundTrip(t, content, seed)
		checkEncode(t, content, r)
	}
	for seed := range uint64(4) { // several large buffers
		r := rand.New(rand.NewPCG(seed, 12))
		content := soup(r, 3*dataBuffer+r.IntN(100))
		checkEncode(t, content, r)
		in := []byte(machineEncode(content) + "QUIT\r\n")
		for _, mode := range []BareLineEnds{RejectBareLineEnds, NormaliseBareLineEnds} {
			if got, want := decodeWriteTo(t, NewReader(bytes.NewReader(in), 0), mode), machine(in, mode); got != want {
				t.Fatalf("seed %d, mode %d: %d octets with %q behind them and %v, want %d with %q and %v",
					seed, mode, got.size, got.rest, got.bare, want.size, want.rest, want.bare)
			}
		}
	}
}

// checkEncode compares a DataWriter with any buffer with machineEncode.
func checkEncode(t *testing.T, content []byte, r *rand.Rand) {
	t.Helper()
	var out bytes.Buffer
	d := NewDataWriter(bufio.NewWriterSize(&out, 1+r.IntN(100)))
	for _, p := range cut(content, r) {
		if n, err := d.Write(p); n != len(p) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if want := machineEncode(content); out.String() != want {
		t.Fatalf("%q is encoded as\n%q, want\n%q", content, out.String(), want)
	}
}

// What goes through costs memory once, however much it is.
func TestContentAllocates(t *testing.T) {
	src := bytes.NewReader(nil)
	r := NewReader(src, 0)
	out := bufio.NewWriterSize(io.Discard, dataBuffer)
	for _, c := range slices.Concat(contents, hostile) {
		text := []byte(c.text)[:4*dataBuffer]
		var encoded bytes.Buffer
		w := bufio.NewWriter(&encoded)
		d := NewDataWriter(w)
		if _, err := d.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		tests := []struct {
			what string
			most float64
			run  func() error
		}{
			{"DataReader", 4, func() error {
				src.Reset(encoded.Bytes())
				r.Reset(src)
				d := NewDataReader(r, RejectBareLineEnds)
				_, err := d.WriteTo(io.Discard)
				if errors.Is(err, ErrBareCR) || errors.Is(err, ErrBareLF) {
					_, err = d.WriteTo(io.Discard)
				}
				return err
			}},
			{"DataReader, normalising", 20, func() error {
				src.Reset(encoded.Bytes())
				r.Reset(src)
				_, err := NewDataReader(r, NormaliseBareLineEnds).WriteTo(io.Discard)
				return err
			}},
			{"ChunkReader", 4, func() error {
				src.Reset(text)
				r.Reset(src)
				_, err := NewChunkReader(r, uint64(len(text))).WriteTo(NewLineEnds(io.Discard, RejectBareLineEnds))
				if errors.Is(err, ErrBareCR) || errors.Is(err, ErrBareLF) {
					err = nil
				}
				return err
			}},
			{"DataWriter", 1, func() error {
				d := NewDataWriter(out)
				if _, err := d.Write(text); err != nil {
					return err
				}
				return d.Close()
			}},
		}
		for _, tt := range tests {
			var err error
			got := testing.AllocsPerRun(2, func() { err = tt.run() })
			if err != nil || got > tt.most {
				t.Errorf("%s, %s of %d octets: %v allocations, want at most %v; %v", tt.what, c.name, len(text), got, tt.most, err)
			}
		}
	}
}
