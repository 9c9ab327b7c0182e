package dsn

import (
	"bytes"
	"strings"
	"testing"

	"postern/internal/message"
)

// FuzzHeader: the header of a message that comes back is cut from it whole, and
// its fields are gone through to the end, each with at least an octet.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("Subject: a\r\n b\r\nFrom: x\r\n\r\nbody"), "Subject")
	f.Add([]byte("subject : a\n\nb"), "SUBJECT")
	f.Add([]byte("\r\n"), "x")
	f.Add([]byte(" folded\r\n\t\r\nx"), "")
	f.Fuzz(func(t *testing.T, in []byte, name string) {
		end := headerEnd(in)
		if end < 0 || end > len(in) || bytes.Contains(in[:end], []byte("\n\r\n")) || bytes.Contains(in[:end], []byte("\n\n")) {
			t.Fatalf("the header of %q ends at %d", in, end)
		}
		header := in[:end]
		v := fieldValue(header, name)
		if v != strings.TrimSpace(v) || strings.Contains(v, "\r\n") || len(v) > len(header) {
			t.Fatalf("%s of %q is %q", name, header, v)
		}
		for rest := header; len(rest) > 0; {
			n := nextField(rest)
			if n < 1 || n > len(rest) || n < len(rest) && rest[n-1] != '\n' {
				t.Fatalf("the first field of %q is %d octets long", rest, n)
			}
			rest = rest[n:]
		}
		subject := headerText(v)
		line := "Subject: " + subject
		if strings.ContainsAny(subject, "\r\n\x00") {
			t.Fatalf("%q is cleaned to %q", v, subject)
		}
		folded := fold(line)
		for l := range strings.SplitSeq(folded, "\r\n") {
			if len(l) > 998 || strings.ContainsAny(l, "\r\n") || strings.TrimSpace(l) == "" && strings.TrimSpace(subject) != "" {
				t.Fatalf("%q is folded to %q", line, folded)
			}
		}
		// Where no word is too long for a line, folding adds nothing else.
		if back := strings.ReplaceAll(folded, "\r\n", ""); len(line) <= 900 && back != line {
			t.Fatalf("%q is folded to %q", line, folded)
		}
	})
}

// FuzzOriginalRecipient: the field's value is one line of printable US-ASCII
// whatever a client gave.
func FuzzOriginalRecipient(f *testing.F) {
	for _, s := range []string{"rfc822;kim@example.org", "utf-8;j\u00f6rg@b\u00fccher.example", "x;\r\n", ";", "rfc822;", "a b;c", "unknown;\u00fc", "utf-8;\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, orcpt string) {
		c := composer{Report: &Report{Envelope: new(message.Envelope)}}
		v := c.originalRecipient(orcpt)
		if v == "" {
			return
		}
		kind, addr, ok := strings.Cut(v, "; ")
		if !ok || kind == "" || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q becomes %q", orcpt, v)
		}
		if printable(orcpt) && kind+";"+addr != orcpt {
			t.Fatalf("%q, which is printable, becomes %q", orcpt, v)
		}
	})
}
