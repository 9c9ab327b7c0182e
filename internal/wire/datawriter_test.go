package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func encode(t testing.TB, content []byte, pieces [][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := bufio.NewWriterSize(&out, 16)
	d := NewDataWriter(w)
	total := 0
	for _, p := range pieces {
		n, err := d.Write(p)
		if n != len(p) || err != nil {
			t.Fatalf("Write gives %d, %v", n, err)
		}
		total += n
	}
	if total != len(content) {
		t.Fatalf("%d octets written of %d", total, len(content))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDataWriter(t *testing.T) {
	tests := []struct{ rule, in, want string }{
		{"RFC 5321 4.1.1.4", "", ".\r\n"},
		{"RFC 5321 4.1.1.4", "a\r\n", "a\r\n.\r\n"},
		{"RFC 5321 4.1.1.4", "a", "a\r\n.\r\n"},
		{"RFC 5321 4.5.2", ".", "..\r\n.\r\n"},
		{"RFC 5321 4.5.2", ".\r\n", "..\r\n.\r\n"},
		{"RFC 5321 4.5.2", "a.\r\n.b\r\n..\r\n", "a.\r\n..b\r\n...\r\n.\r\n"},
		{"bare LF", "a\n.\n", "a\n..\n\r\n.\r\n"},
		{"bare CR", "a\r.\rb", "a\r..\rb\r\n.\r\n"},
		{"bare LF", "a\n.\r\nb\r\n", "a\n..\r\nb\r\n.\r\n"},
		{"CR at the end", "a\r", "a\r\n.\r\n"},
		{"LF at the end", "a\n", "a\n\r\n.\r\n"},
		{"CR CR LF", "a\r\r\n.\r\n", "a\r\r\n..\r\n.\r\n"},
	}
	for _, tt := range tests {
		for seed := range uint64(10) {
			pieces := cut([]byte(tt.in), rand.New(rand.NewPCG(seed, 2)))
			if got := encode(t, []byte(tt.in), pieces); string(got) != tt.want {
				t.Errorf("%s: %q becomes %q, want %q", tt.rule, tt.in, got, tt.want)
			}
		}
	}
}

func TestDataWriterError(t *testing.T) {
	boom := errors.New("boom")
	d := NewDataWriter(bufio.NewWriterSize(failing{boom}, 16))
	if _, err := d.Write([]byte(strings.Repeat(".\r\n", 20))); err != boom {
		t.Errorf("Write: %v", err)
	}
	if n, err := d.Write([]byte("a")); n != 0 || err != boom {
		t.Errorf("Write again: %d, %v", n, err)
	}
	if err := d.Close(); err != boom {
		t.Errorf("Close: %v", err)
	}
}

// lenientEnd reports whether a decoder that takes any of CR, LF and CRLF for a
// line end finds the end before the real one.
func lenientEnd(encoded []byte) bool {
	body := bytes.TrimSuffix(encoded, []byte(".\r\n"))
	lines := bytes.FieldsFunc(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), func(r rune) bool { return r == '\r' || r == '\n' })
	for _, line := range lines {
		if string(line) == "." {
			return true
		}
	}
	return false
}

// checkRoundTrip encodes any content and sees it decoded: byte for byte if its
// line ends are proper, and in any case without an end in the middle for
// strict and lenient next hops alike.
func checkRoundTrip(t testing.TB, content []byte, seed uint64) {
	t.Helper()
	encoded := encode(t, content, cut(content, rand.New(rand.NewPCG(seed, 3))))
	if lenientEnd(encoded) {
		t.Fatalf("%q encoded as %q ends early", content, encoded)
	}
	got := reference(append(bytes.Clone(encoded), "QUIT"...), RejectBareLineEnds)
	if !got.ended || got.rest != "QUIT" {
		t.Fatalf("%q encoded as %q leaves %q", content, encoded, got.rest)
	}
	checkDecode(t, encoded, seed)
	proper := bytes.ReplaceAll(content, []byte("\r\n"), nil)
	if bytes.ContainsAny(proper, "\r\n") {
		return
	}
	want := string(content)
	if want != "" && !strings.HasSuffix(want, "\r\n") {
		want += "\r\n"
	}
	if got.text != want || got.bare != nil {
		t.Fatalf("%q arrives as %q", content, got.text)
	}
}

func TestRoundTrip(t *testing.T) {
	text := rapid.OneOf(
		rapid.StringMatching(`([a.]{0,3}\r\n){0,8}[a.]{0,3}`),
		rapid.StringMatching(`[\r\n.a\x00]{0,12}`),
		rapid.StringMatching(`\.{0,2}(abcdefgh){120,130}\r\n\.{0,2}(abcdefgh){60}\.{0,2}`),
	)
	rapid.Check(t, func(rt *rapid.T) {
		checkRoundTrip(t, []byte(text.Draw(rt, "content")), rapid.Uint64().Draw(rt, "seed"))
	})
}

// Real messages, with CRLF, arrive byte for byte.
func TestRoundTripCorpus(t *testing.T) {
	root := "../../../shared/corpus"
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared folder is missing: %v", err)
		}
		t.Skipf("the shared folder is missing: %v", err)
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		lf := bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\r"), nil)
		content := bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\r\n")) {
			content = append(content, "\r\n"...)
		}
		encoded := encode(t, content, [][]byte{content})
		var got bytes.Buffer
		dr := NewDataReader(NewReader(iotest.HalfReader(bytes.NewReader(encoded)), 0), RejectBareLineEnds)
		if _, err := io.Copy(&got, dr); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("%s does not arrive byte for byte: %v", path, err)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d messages: %v", files, err)
	}
}

// An independent codec, net/textproto's, reads what we write and writes what
// we read, as far as it keeps line ends: it has LF where SMTP has CRLF.
func TestTextproto(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		content := rapid.StringMatching(`([.a\x00ÿ]{0,4}\r\n){0,8}`).Draw(rt, "content")
		lf := strings.ReplaceAll(content, "\r\n", "\n")
		encoded := encode(t, []byte(content), [][]byte{[]byte(content)})
		got, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(encoded))).ReadDotBytes()
		if err != nil || string(got) != lf {
			rt.Fatalf("%q sent as %q is read as %q, %v", content, encoded, got, err)
		}
		if content == "" {
			return // which they send as an empty line
		}
		var theirs bytes.Buffer
		w := textproto.NewWriter(bufio.NewWriter(&theirs)).DotWriter()
		_, _ = io.WriteString(w, lf)
		_ = w.Close()
		d := reference(theirs.Bytes(), RejectBareLineEnds)
		if d.text != content || !d.ended {
			rt.Fatalf("%q sent as %q is read as %+v", content, theirs.Bytes(), d)
		}
		checkDecode(t, theirs.Bytes(), 1)
	})
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"a\r\n", ".", "a\n.\n", "a\r.\r", "..\r\n.a"} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, content []byte, seed uint64) { checkRoundTrip(t, content, seed) })
}
