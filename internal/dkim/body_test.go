package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// canonical is a body's canonical form, made the slow and plain way.
func canonical(body string, relaxed bool) string {
	lines := strings.Split(body, "\r\n")
	if relaxed {
		space := regexp.MustCompile(`[ \t]+`)
		for i, line := range lines {
			lines[i] = strings.TrimRight(space.ReplaceAllString(line, " "), " ")
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 && relaxed {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

func TestBodyHashIsThatOfTheCanonicalForm(t *testing.T) {
	pieces := []string{"\r\n", "\r\n", " ", "\t", "a", "words and words", "\r", "\n", strings.Repeat("long ", 3000), strings.Repeat("x", 2*bodyBuffer)}
	rapid.Check(t, func(t *rapid.T) {
		body := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 20).Draw(t, "pieces"), "")
		relaxed := rapid.Bool().Draw(t, "relaxed")
		h := NewBodyHash(relaxed)
		for rest := []byte(body); len(rest) > 0; {
			n := min(rapid.IntRange(1, 5000).Draw(t, "cut"), len(rest))
			_, _ = h.Write(rest[:n])
			rest = rest[n:]
		}
		want := sha256.Sum256([]byte(canonical(body, relaxed)))
		if got := h.Sum(); !bytes.Equal(got, want[:]) {
			t.Fatalf("relaxed: %v, body %.80q: the hash is not that of its canonical form", relaxed, body)
		}
	})
}

// TestEmptyBody: RFC 6376 3.4.3 and 3.4.4 give these hashes.
func TestEmptyBody(t *testing.T) {
	for relaxed, want := range map[bool]string{false: "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=", true: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="} {
		if got := base64.StdEncoding.EncodeToString(NewBodyHash(relaxed).Sum()); got != want {
			t.Errorf("relaxed: %v: %s, want %s", relaxed, got, want)
		}
	}
}

// TestCanonicalHeader has the examples of RFC 6376 3.4.5.
func TestCanonicalHeader(t *testing.T) {
	h := ParseHeader([]byte("A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n"))
	var relaxed, simple []byte
	for _, f := range h.fields {
		relaxed = appendHeaderField(relaxed, f.raw, true)
		simple = appendHeaderField(simple, f.raw, false)
	}
	if want := "a:X\r\nb:Y Z\r\n"; string(relaxed) != want {
		t.Errorf("relaxed %q, want %q", relaxed, want)
	}
	if want := "A: X\r\nB : Y\t\r\n\tZ  \r\n"; string(simple) != want {
		t.Errorf("simple %q, want %q", simple, want)
	}
	if got := canonical(" C \r\nD \t E\r\n\r\n\r\n", true); got != " C\r\nD E\r\n" {
		t.Errorf("relaxed body %q", got)
	}
}

// A body of nothing but line ends must not be kept.
func TestBodyHashKeepsNothing(t *testing.T) {
	h := NewBodyHash(true)
	block := bytes.Repeat([]byte("\r\n"), 16<<10)
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Write(block) }); n > 0 {
		t.Errorf("%v allocations for a block", n)
	}
	_, _ = h.Write([]byte("x"))
	if cap(h.out) > 2*bodyBuffer {
		t.Errorf("%d octets are kept", cap(h.out))
	}
}

func BenchmarkBodyHash(b *testing.B) {
	text := bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, again and again, to fill it.\r\n"), 400)
	coded := bytes.Repeat([]byte(strings.Repeat("QUJD", 19)+"\r\n"), 400)
	for _, bb := range []struct {
		name    string
		relaxed bool
		body    []byte
	}{{"relaxed/text", true, text}, {"relaxed/base64", true, coded}, {"simple/text", false, text}} {
		b.Run(bb.name, func(b *testing.B) {
			h := NewBodyHash(bb.relaxed)
			b.SetBytes(int64(len(bb.body)))
			for b.Loop() {
				_, _ = h.Write(bb.body)
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	h := ParseHeader([]byte(letter))
	sum := NewBodyHash(true).Sum()
	p := testPolicy(true, true)
	for _, selector := range []string{"rsa", "ed25519"} {
		key := Key{selector, testKeys()[selector]}
		b.Run(selector, func(b *testing.B) {
			for b.Loop() {
				if _, err := Sign(h, sum, p, key, testNow); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
