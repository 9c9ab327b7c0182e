package message

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func subjectOf(content string, piece int) string {
	var s HeaderScanner
	for len(content) > 0 && !s.Scan([]byte(content[:min(piece, len(content))])) {
		content = content[min(piece, len(content)):]
	}
	s.Close()
	return s.Subject()
}

func TestSubject(t *testing.T) {
	long := strings.Repeat("word ", 100)
	words := strings.Repeat("=?utf-8?b?w7zDvMO8?=\r\n ", 60)
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "Subject: Hello there\r\n\r\n", "Hello there"},
		{"any case, space before the colon", "SUBJECT : x\r\n\r\n", "x"},
		{"folded", "Subject: a\r\n\tb\r\n  c\r\n\r\n", "a b c"},
		{"folded at once", "Subject:\r\n x\r\n\r\n", "x"},
		{"first counts", "Subject: a\r\nSubject: b\r\n\r\n", "a"},
		{"first counts though empty", "Subject:\r\nSubject: b\r\n\r\n", ""},
		{"none", "To: x\r\n\r\nSubject: in the body\r\n", ""},
		{"another field", "Subject-Line: x\r\nX-Subject: y\r\n\r\n", ""},
		{"Q", "Subject: =?iso-8859-1?q?Gr=FC=DFe?= an alle\r\n\r\n", "Grüße an alle"},
		{"two words", "Subject: =?utf-8?q?a_?=\r\n =?utf-8?q?b?=\r\n\r\n", "a b"},
		{"windows-1252", "Subject: =?windows-1252?q?=80_100?=\r\n\r\n", "€ 100"},
		{"ISO-2022-JP", "Subject: =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=\r\n\r\n", "日本"},
		{"unknown character set", "Subject: =?x-none?q?abc?=\r\n\r\n", "=?x-none?q?abc?="},
		{"UTF-8", "Subject: Grüße\r\n\r\n", "Grüße"},
		{"not UTF-8", "Subject: Gr\xfc\xdfe\r\n\r\n", "Gr\uFFFD\uFFFDe"},
		{"encoded controls", "Subject: =?utf-8?q?a=0D=0ABcc:_v=1B[2J=00?=\r\n\r\n", "a Bcc: v[2J"},
		{"controls", "Subject: a\x00b\x1b[31m\x7f\r\n\r\n", "ab[31m"},
		{"override", "Subject: a\u202eb\u2028c\r\n\r\n", "ab c"},
		{"joiners", "Subject: می\u200cخواهم\r\n\r\n", "می\u200cخواهم"},
		{"long", "Subject: " + long + "\r\n\r\n", strings.TrimSpace(long[:200])},
		{"many words", "Subject: " + words + "\r\n\r\n", strings.Repeat("ü", 100)},
		{"cut in a character", "Subject: a" + strings.Repeat("ü", 200) + "\r\n\r\n", "a" + strings.Repeat("ü", 99)},
		{"cut in a word", "Subject: x" + strings.Repeat(" ", 970) + "=?utf-8?q?" + strings.Repeat("a", 60) + "?=\r\n\r\n", "x"},
	} {
		for _, piece := range []int{1, 3, 7, 4096} {
			if got := subjectOf(tt.in, piece); got != tt.want {
				t.Errorf("%s in pieces of %d: %q, want %q", tt.name, piece, got, tt.want)
			}
		}
	}
}

func TestSubjectMemory(t *testing.T) {
	var s HeaderScanner
	s.Scan([]byte("Subject: "))
	chunk := []byte(strings.Repeat("x", 1<<20))
	for range 4 {
		s.Scan(chunk)
	}
	if len(s.subject) > maxRawSubject {
		t.Errorf("%d octets are kept", len(s.subject))
	}
}

// TestNoSubjectNoAllocation: a message without a subject pays nothing for it.
func TestNoSubjectNoAllocation(t *testing.T) {
	header := []byte("From: a@b\r\nTo: c@d\r\nDate: now\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		var s HeaderScanner
		s.Scan(header)
		if s.Subject() != "" {
			t.Error("a subject was found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSubject(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?a=0A?=", "=?iso-2022-jp?b?GyRC?= =?x?", "a\r\n\tb\xff", "=?utf-7?q?+AGE-?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := subjectOf("Subject: "+raw, 5)
		if len(got) > MaxSubject || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q gave %q", raw, got)
		}
	})
}
