package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	tests := []struct {
		rule, in string
		want     []string // lines, or what went wrong in brackets
	}{
		{"RFC 5321 2.3.8", "a\r\nb\r\n", []string{"a", "b", "[EOF]"}},
		{"RFC 5321 2.3.8", "\r\n", []string{"", "[EOF]"}},
		{"RFC 5321 2.3.8", "a\nb\r\nc\r\n", []string{"[bare LF]", "c", "[EOF]"}},
		{"RFC 5321 2.3.8", "\n\r\nb\r\n", []string{"[bare LF]", "b", "[EOF]"}},
		{"RFC 5321 2.3.8", "a\nb\nc\r\r\nd\r\n", []string{"[bare LF]", "d", "[EOF]"}},
		{"RFC 5321 2.3.8", "a\n", []string{"[bare LF]", "[unexpected EOF]"}},
		{"RFC 5321 2.3.8", "a\nb\r", []string{"[bare LF]", "[unexpected EOF]"}},
		{"RFC 5321 2.3.8", "a\rb\r\nc\r\n", []string{"[bare CR]", "c", "[EOF]"}},
		{"RFC 5321 2.3.8", "a\r\r\nc\r\n", []string{"[bare CR]", "c", "[EOF]"}},
		{"NUL passes", "a\x00b\r\n", []string{"a\x00b", "[EOF]"}},
		{"an end within a line", "a\r\nb", []string{"a", "[unexpected EOF]"}},
		{"an end within a line", "b\r", []string{"[unexpected EOF]"}},
		{"RFC 5321 4.5.3.1.4", strings.Repeat("x", 510) + "\r\nb\r\n", []string{strings.Repeat("x", 510), "b", "[EOF]"}},
		{"RFC 5321 4.5.3.1.4", strings.Repeat("x", 511) + "\r\nb\r\n", []string{"[too long]", "b", "[EOF]"}},
		{"a long line is one error", long + "\r\nb\r\n", []string{"[too long]", "b", "[EOF]"}},
		{"a long line is one error", long + "\r" + long + "\r\nb\r\n", []string{"[too long]", "b", "[EOF]"}},
		{"a long line ends at CRLF", long + "\nb\r\nc\r\n", []string{"[too long]", "c", "[EOF]"}},
		{"a long line ends at CRLF", strings.Repeat("x", 512) + "\nb\r\nc\r\n", []string{"[too long]", "c", "[EOF]"}},
		{"a long line without end", long, []string{"[unexpected EOF]"}},
	}
	errs := map[error]string{io.EOF: "[EOF]", io.ErrUnexpectedEOF: "[unexpected EOF]", ErrBareLF: "[bare LF]", ErrBareCR: "[bare CR]", ErrLineTooLong: "[too long]"}
	for _, tt := range tests {
		for seed := range uint64(6) {
			rnd := rand.New(rand.NewPCG(seed, 4))
			pieces := [][]byte{[]byte(tt.in)}
			if seed > 0 {
				pieces = cut([]byte(tt.in), rnd)
			}
			r := NewReader(&chunks{pieces: pieces}, 512+rnd.IntN(4096))
			var got []string
			for range 10 {
				line, err := r.ReadLine(512)
				if err == nil {
					got = append(got, string(line))
					continue
				}
				got = append(got, errs[err])
				if err == io.EOF || err == io.ErrUnexpectedEOF {
					break
				}
			}
			if len(r.buf) > r.size {
				t.Errorf("%s: the buffer grew to %d octets", tt.rule, len(r.buf))
			}
			if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("%s: %.40q gives %.200q, want %.200q", tt.rule, tt.in, got, tt.want)
			}
		}
	}
}

// A longer limit makes the buffer grow for the line, and only for it.
func TestReadLineGrows(t *testing.T) {
	auth := strings.Repeat("A", MaxAuthLine-2)
	r := NewReader(strings.NewReader(auth+"\r\n"+auth+"=\r\nNOOP\r\n"), 0)
	if line, err := r.ReadLine(MaxAuthLine); err != nil || string(line) != auth {
		t.Fatalf("%d octets, %v", len(line), err)
	}
	if _, err := r.ReadLine(MaxAuthLine); err != ErrLineTooLong {
		t.Fatal(err)
	}
	if line, err := r.ReadLine(512); err != nil || string(line) != "NOOP" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := r.ReadLine(512); err != io.EOF || len(r.buf) != DefaultBuffer {
		t.Errorf("%v; the buffer still has %d octets", err, len(r.buf))
	}
}

// Commands before, between and behind contents of every size: the large buffer
// comes and goes, and nothing is lost.
func TestReaderAlternates(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 5))
	var in bytes.Buffer
	var sizes []int
	for range 300 {
		size := rnd.IntN(9000)
		if rnd.IntN(10) == 0 {
			size = rnd.IntN(100000)
		}
		sizes = append(sizes, size)
		in.WriteString("DATA\r\n" + strings.Repeat("x", size) + "\r\n.\r\n")
	}
	for _, bytewise := range []bool{false, true} {
		src := &chunks{pieces: [][]byte{in.Bytes()}}
		if bytewise {
			src.pieces = cut(in.Bytes(), rnd)
		}
		r := NewReader(src, 0)
		for i, size := range sizes {
			if line, err := r.ReadLine(512); err != nil || string(line) != "DATA" {
				t.Fatalf("%d: %q, %v", i, line, err)
			}
			d := NewDataReader(r, RejectBareLineEnds)
			if n, err := io.Copy(io.Discard, d); err != nil || n != int64(size+2) {
				t.Fatalf("%d: %d octets of %d, %v", i, n, size+2, err)
			}
		}
	}
}

func TestReaderPipelining(t *testing.T) {
	r := NewReader(&chunks{pieces: [][]byte{[]byte("RSET\r\nNOOP\r\nQU"), []byte("IT\r\n")}}, 0)
	if r.HasLine() || r.Buffered() != 0 {
		t.Error("something is there before anything was read")
	}
	for i, want := range []struct {
		line string
		more bool
	}{{"RSET", true}, {"NOOP", false}, {"QUIT", false}} {
		line, err := r.ReadLine(512)
		if err != nil || string(line) != want.line || r.HasLine() != want.more {
			t.Errorf("%d: %q, %v, HasLine %v", i, line, err, r.HasLine())
		}
	}
}

func TestReaderDiscard(t *testing.T) {
	r := NewReader(strings.NewReader("STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n"), 0)
	if _, err := r.ReadLine(512); err != nil {
		t.Fatal(err)
	}
	if n := r.Discard(); n != len("MAIL FROM:<evil@example.com>\r\n") || r.HasLine() || r.Buffered() != 0 {
		t.Errorf("%d octets dropped", n)
	}
	r.Reset(strings.NewReader("EHLO a\r\n"))
	if line, err := r.ReadLine(512); err != nil || string(line) != "EHLO a" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestReaderPoll(t *testing.T) {
	src := &chunks{err: os.ErrDeadlineExceeded}
	r := NewReader(src, 512)
	for range 2 {
		if n, err := r.Poll(); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d, %v", n, err)
		}
	}
	src.pieces = [][]byte{[]byte("421 4.4.1 Connection timed out\r\n")}
	if n, err := r.Poll(); n != 32 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if reply, _, err := r.ReadReply(); err != nil || reply.Code != 421 {
		t.Fatalf("%v, %v", reply, err)
	}
	src.pieces = [][]byte{bytes.Repeat([]byte("x"), 5000)}
	if n, err := r.Poll(); n != 512 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := r.Poll(); n != 512 || err != nil {
		t.Fatalf("full: %d, %v", n, err)
	}
	// Elsewhere an error is final.
	src.pieces = nil
	r.Discard()
	for range 2 {
		if _, err := r.ReadLine(512); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		src.pieces = [][]byte{[]byte("QUIT\r\n")}
	}
	if _, err := r.Poll(); err == nil {
		t.Error("a final error is forgotten")
	}
}

// stuck returns neither octets nor an error.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// lying claims more than it could have read.
type lying struct{}

func (lying) Read(p []byte) (int, error) { return len(p) + 1, nil }

func TestReaderRudeSource(t *testing.T) {
	if _, err := NewReader(stuck{}, 0).ReadLine(512); err != io.ErrNoProgress {
		t.Error(err)
	}
	if _, err := NewReader(lying{}, 0).ReadLine(512); err == nil {
		t.Error("an impossible count is believed")
	}
}

func TestChunkReader(t *testing.T) {
	const chunk = "a\r\n.\r\nb\x00\r"
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		r := NewReader(&chunks{pieces: cut([]byte(chunk+chunk+"NOOP\r\n"), rnd)}, 0)
		got, err := io.ReadAll(struct{ io.Reader }{NewChunkReader(r, uint64(len(chunk)))})
		if err != nil || string(got) != chunk {
			t.Fatalf("Read: %q, %v", got, err)
		}
		var to strings.Builder
		c := NewChunkReader(r, uint64(len(chunk)))
		if n, err := c.WriteTo(&to); err != nil || to.String() != chunk || n != int64(len(chunk)) || c.Left() != 0 {
			t.Fatalf("WriteTo: %q, %v", to.String(), err)
		}
		if n, err := NewChunkReader(r, 0).Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("an empty chunk: %d, %v", n, err)
		}
		if line, err := r.ReadLine(512); string(line) != "NOOP" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	c := NewChunkReader(NewReader(strings.NewReader("abc"), 0), 4)
	for range 2 {
		if _, err := io.Copy(io.Discard, c); err != io.ErrUnexpectedEOF || c.Left() != 1 {
			t.Errorf("a chunk cut short: %v, %d left", err, c.Left())
		}
	}
	boom := errors.New("boom")
	if _, err := NewChunkReader(NewReader(strings.NewReader("abc"), 0), 3).WriteTo(failing{boom}); err != boom {
		t.Errorf("a destination that fails: %v", err)
	}
}

// mayBeChunk is BDAT at the beginning of what an LF begins.
var mayBeChunk = regexp.MustCompile(`(?i)(^|\n)[ \t]*bdat`)

func FuzzReadLine(f *testing.F) {
	f.Add([]byte("EHLO a\r\nMAIL FROM:<>\r\n"), uint16(512), uint64(1))
	f.Add([]byte("a\nb\rc\r\r\n\n"), uint16(3), uint64(2))
	f.Add([]byte("a\nb\n BDAT 5\r\nNOOP\r\n"), uint16(512), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, limit16 uint16, seed uint64) {
		limit := max(int(limit16), 2)
		r := NewReader(&chunks{pieces: cut(in, rand.New(rand.NewPCG(seed, 7)))}, 512)
		for rest, broken := in, false; ; {
			got, err := r.ReadLine(limit)
			if broken { // by a bare LF: what is behind it is no line
				dropped, after, ok := bytes.Cut(rest, crlf)
				if !ok {
					if err != io.ErrUnexpectedEOF {
						t.Fatalf("%q, %v; want the end within a line", got, err)
					}
					return
				}
				rest, broken = after, false
				if mayBeChunk.Match(dropped) {
					if string(got) != "BDAT" || err != ErrBareLF {
						t.Fatalf("%q, %v; want to be told of BDAT", got, err)
					}
					continue
				}
			}
			line, after, ok := bytes.Cut(rest, []byte("\n"))
			text, proper := bytes.CutSuffix(line, []byte("\r"))
			var want error
			switch {
			case !ok && len(line) == 0:
				want = io.EOF
			case len(line)+1 > limit && (ok || len(line) >= limit):
				want = ErrLineTooLong
				if _, after, ok = bytes.Cut(rest, crlf); !ok {
					want = io.ErrUnexpectedEOF
				}
			case !ok:
				want = io.ErrUnexpectedEOF
			case !proper:
				want, broken = ErrBareLF, true
			case bytes.IndexByte(text, '\r') >= 0:
				want = ErrBareCR
			}
			rest = after
			if err != want || err == nil && !bytes.Equal(got, text) {
				t.Fatalf("%q, %v; want %q, %v", got, err, text, want)
			}
			if !ok {
				return
			}
		}
	})
}

// TestBorrow reads commands and large contents in turn through one large
// buffer that several Readers share.
func TestBorrow(t *testing.T) {
	var shared Buffers
	body := strings.Repeat("0123456789abcdef0123456789abcdef\r\n", 3000)
	var input string
	for i := range 20 {
		input += fmt.Sprintf("NOOP %d\r\n", i) + body + ".\r\n"
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			r := NewReader(nil, 0)
			r.Borrow(&shared)
			for range 3 {
				r.Reset(iotest.HalfReader(strings.NewReader(input)))
				for i := range 20 {
					line, err := r.ReadLine(MaxCommandLine)
					if want := fmt.Sprintf("NOOP %d", i); err != nil || string(line) != want {
						t.Errorf("got %q, %v, want %q", line, err, want)
						return
					}
					got, err := io.ReadAll(NewDataReader(r, RejectBareLineEnds))
					if err != nil || string(got) != body {
						t.Errorf("content of %d octets, %v, want %d", len(got), err, len(body))
						return
					}
				}
			}
		})
	}
	group.Wait()
}
