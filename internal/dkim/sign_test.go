package dkim

import (
	"bytes"
	"crypto"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	verifier "github.com/emersion/go-msgauth/dkim"
)

// testKeys are made once: an RSA key takes its time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	r, err := GenerateRSA(MinRSABits)
	if err != nil {
		panic(err)
	}
	e, err := GenerateEd25519()
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"rsa": r, "ed25519": e}
})

func testPolicy(header, body bool) *Policy {
	return &Policy{Domain: "contoso.example", RelaxedHeader: header, RelaxedBody: body,
		Oversigned: []string{"From", "Subject", "Date", "To", "Cc"}, Signed: []string{"References", "List-Id"}}
}

// sign puts signatures with all keys on top of a message.
func sign(t testing.TB, p *Policy, content []byte) []byte {
	t.Helper()
	end := HeaderEnd(content, 0)
	if end < 0 {
		end = len(content)
	}
	body := NewBodyHash(p.RelaxedBody)
	_, _ = body.Write(content[end:])
	sum := body.Sum()
	h := ParseHeader(content[:end])
	var signed []byte
	for _, selector := range []string{"rsa", "ed25519"} {
		f, err := Sign(h, sum, p, Key{selector, testKeys()[selector]}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(f), "\r\n"), "\r\n") {
			if len(line) > 78 {
				t.Errorf("a line of the signature has %d octets: %q", len(line), line)
			}
		}
		signed = append(signed, f...)
	}
	return append(signed, content...)
}

// verify has an independent implementation look at a message, and returns how
// many signatures hold.
func verify(t testing.TB, content []byte) (good int, problems []error) {
	t.Helper()
	all, err := verifier.VerifyWithOptions(bytes.NewReader(content), &verifier.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		for selector, key := range testKeys() {
			r, err := RecordFor("contoso.example", selector, key)
			if err != nil {
				t.Fatal(err)
			}
			if r.Name == name {
				return []string{r.Text}, nil
			}
		}
		return nil, fmt.Errorf("unexpected question for %s", name)
	}})
	if err != nil {
		return 0, []error{err}
	}
	for _, v := range all {
		if v.Err == nil {
			good++
		} else {
			problems = append(problems, v.Err)
		}
	}
	return good, problems
}

const letter = "From: Anna <anna@contoso.example>\r\nTo: bob@fabrikam.example\r\nSubject:  one\r\n\ttwo  three \r\n" +
	"Date: Tue, 4 Mar 2025 08:00:00 +0000\r\nreferences : <1@x>\r\n\t<2@x>\r\nReferences: <3@x>\r\n\r\n"

func TestSign(t *testing.T) {
	for _, body := range []string{"", "\r\n", "\r\n\r\n\r\n", "hello\r\n", "hello", " hello \t world\t \r\n\r\n  \r\n",
		"\t\r\n", "a\r\n\r\n\r\nb\r\n\r\n", strings.Repeat("line with some words\r\n", 5000), strings.Repeat("\r\n", 20000) + "end"} {
		for _, form := range [][2]bool{{true, true}, {true, false}, {false, true}, {false, false}} {
			signed := sign(t, testPolicy(form[0], form[1]), []byte(letter+body))
			if good, problems := verify(t, signed); good != 2 {
				t.Errorf("header relaxed: %v, body relaxed: %v, body %.40q: %v", form[0], form[1], body, problems)
			}
		}
	}
}

// TestTampering: whatever is signed can't be changed, and no field that is
// oversigned can be added.
func TestTampering(t *testing.T) {
	signed := string(sign(t, testPolicy(true, true), []byte(letter+"hello\r\nworld\r\n")))
	for _, tt := range []struct {
		name, from, to string
		good           int
	}{
		{"nothing", "", "", 2},
		{"white space that does not count", "Subject:  one\r\n\ttwo  three \r\n", "subject: one two\r\n three\r\n", 2},
		{"white space in the body", "hello\r\nworld\r\n", "hello  \r\nworld\r\n\r\n", 2},
		{"a trace field on top", "From:", "Received: from x\r\nFrom:", 2},
		{"a field that is not signed", "From:", "X-Spam: no\r\nFrom:", 2},
		{"a field that may be added", "From:", "List-Id: <x>\r\nFrom:", 2},
		{"the body", "world", "World", 0},
		{"a line of the body", "hello\r\n", "hello\r\n\r\n", 0},
		{"the subject", "one", "two", 0},
		{"a second From on top", "From:", "From: eve@evil.example\r\nFrom:", 0},
		{"a second From below", "\r\n\r\nhello", "\r\nFrom: eve@evil.example\r\n\r\nhello", 0},
		{"a field that was not there", "From:", "Cc: eve@evil.example\r\nFrom:", 0},
		{"a field gone", "To: bob@fabrikam.example\r\n", "", 0},
		{"one of two", "References: <3@x>\r\n", "", 0},
	} {
		changed := signed
		if tt.from != "" {
			// Not within the signatures, which stand on top.
			at := strings.Index(signed, "From: Anna")
			changed = signed[:at] + strings.Replace(signed[at:], tt.from, tt.to, 1)
			if changed == signed {
				t.Fatalf("%s: nothing was changed", tt.name)
			}
		}
		if good, problems := verify(t, []byte(changed)); good != tt.good {
			t.Errorf("%s: %d signatures hold, want %d: %v", tt.name, good, tt.good, problems)
		}
	}
}

// TestSignCorpus signs real and awkward messages.
func TestSignCorpus(t *testing.T) {
	root := filepath.Join("..", "..", "..", "shared", "corpus")
	signedOnes, total := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "README.md" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		total++
		b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
		end := HeaderEnd(b, 0)
		if end < 0 {
			return nil // the verifier wants an empty line
		}
		h := ParseHeader(b[:end])
		if _, problem := h.FromDomain(); problem != "" {
			return nil // it is not signed; the verifier wants a From field
		}
		if own := h.all("dkim-signature"); len(own) > 0 {
			return nil // of another domain
		}
		for _, line := range strings.Split(string(b[:end-4]), "\r\n") {
			if name, _, ok := strings.Cut(line, ":"); !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") && (!ok || name == "") {
				return nil // no field: whether the header ends there is anybody's guess
			}
		}
		for _, relaxed := range []bool{true, false} {
			if good, problems := verify(t, sign(t, testPolicy(relaxed, relaxed), b)); good != 2 {
				t.Errorf("%s, relaxed: %v: %v", path, relaxed, problems)
			}
		}
		signedOnes++
		return nil
	})
	if err != nil || total == 0 {
		message := fmt.Sprintf("the corpus can't be read: %v", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	if signedOnes < 100 {
		t.Errorf("of %d messages %d could be signed, want 100", total, signedOnes)
	}
}

func TestFromDomain(t *testing.T) {
	for _, tt := range []struct{ header, domain, problem string }{
		{"From: a@contoso.example\r\n", "contoso.example", ""},
		{"from : \"Doe, John\" <j.doe@Contoso.EXAMPLE>\r\n", "contoso.example", ""},
		{"From: Anna\r\n <a@contoso.example>\r\n", "contoso.example", ""},
		{"From: a@contoso.example, b@contoso.example\r\n", "contoso.example", ""},
		{"From: =?iso-8859-7?Q?=C1?= <a@contoso.example>\r\n", "contoso.example", ""},
		{"From: =?unheard-of?Q?=C1?= <a@contoso.example>\r\n", "contoso.example", ""},
		{"From: Contoso, Ltd. <a@contoso.example>\r\n", "contoso.example", ""},
		{"From: \xe4\xf6\xfc <a@contoso.example>\r\n", "contoso.example", ""},
		{"From: a@b\xc3\xbccher.example\r\n", "xn--bcher-kva.example", ""},
		{"From: \"a@evil.example\" <a@contoso.example>\r\n", "contoso.example", ""},
		{"From: <a@evil.example> <a@contoso.example>\r\n", "", "its From field can't be read"},
		{"From: a@contoso.example, b@evil.example\r\n", "", "its From field names no one domain"},
		{"From: Contoso <a@contoso.example> (x) y\r\n", "", "its From field can't be read"},
		{"From: <a@contoso.example(a host)>\r\n", "", "its From field names no one domain"},
		{"From: <a@b c>\r\n", "", "its From field names no one domain"},
		{"From: a\r\n", "", "its From field can't be read"},
		{"From: undisclosed:;\r\n", "", "its From field names nobody"},
		{"From:\r\n", "", "its From field can't be read"},
		{"From: a@contoso.example\r\nFROM: a@contoso.example\r\n", "", "it has several From fields"},
		{"Subject: x\r\n\r\nFrom: a@contoso.example\r\n", "", "it has no From field"},
		{"From a@contoso.example\r\nX: y\r\n", "", "it has no From field"},
	} {
		domain, problem := ParseHeader([]byte(tt.header)).FromDomain()
		if domain != tt.domain || problem != tt.problem {
			t.Errorf("%q: %q, %q; want %q, %q", tt.header, domain, problem, tt.domain, tt.problem)
		}
	}
}

// TestManyFields: what is signed of a header is bounded.
func TestManyFields(t *testing.T) {
	content := letter[:len(letter)-2] + strings.Repeat("References: <4@x>\r\n", 1000) + "\r\nbody\r\n"
	signed := sign(t, testPolicy(true, true), []byte(content))
	if n := len(signed) - len(content); n > 3000 {
		t.Errorf("two signatures of %d octets", n)
	}
	if good, problems := verify(t, signed); good != 2 {
		t.Error(problems)
	}
}

func TestExpiration(t *testing.T) {
	p := testPolicy(true, true)
	p.Expiration = 48 * time.Hour
	f, err := Sign(ParseHeader([]byte(letter)), NewBodyHash(true).Sum(), p, Key{"ed25519", testKeys()["ed25519"]}, time.Unix(1_700_000_000, 0))
	if err != nil || !strings.Contains(string(f), " t=1700000000; x=1700172800;") {
		t.Errorf("%q, %v", f, err)
	}
}

// TestHeaderEnd cuts a message at every place.
func TestHeaderEnd(t *testing.T) {
	for content, want := range map[string]int{"": -1, "\r\n": 2, "\r\nA: b\r\n\r\n": 2, "A: b\r\n\r\nc\r\n\r\n": 8, "A: b\r\n": -1, "A\r\n\n\r\n\r\n": 8, "\n\r\n": -1} {
		for cut := range len(content) + 1 {
			p := []byte(content)
			end := HeaderEnd(p[:cut], 0)
			if end < 0 {
				end = HeaderEnd(p, cut)
			}
			if end != want {
				t.Errorf("%q, cut at %d: %d, want %d", content, cut, end, want)
			}
		}
	}
}
