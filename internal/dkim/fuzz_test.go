package dkim

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// FuzzHeader: whatever a header is, its fields are parts of it in order, and a
// signature of it is a field of its own with lines of bounded length.
func FuzzHeader(f *testing.F) {
	f.Add([]byte(letter))
	f.Add([]byte("From: a\r\n b@x\r\n\r\nbody"))
	f.Add([]byte(":\r\n : x\r\nFrom\t: <a@x>\r\n\t\r\n"))
	p := testPolicy(true, true)
	f.Fuzz(func(t *testing.T, b []byte) {
		h := ParseHeader(b)
		at := 0
		for _, field := range h.fields {
			i := bytes.Index(b[at:], field.raw)
			if i < 0 {
				t.Fatalf("a field is not part of the header: %q", field.raw)
			}
			at += i + len(field.raw)
			if field.name == "" || strings.Contains(field.name, ":") {
				t.Fatalf("a field named %q", field.name)
			}
		}
		domain, problem := h.FromDomain()
		if (domain == "") == (problem == "") {
			t.Fatalf("domain %q, problem %q", domain, problem)
		}
		for _, relaxed := range []bool{true, false} {
			q := *p
			q.RelaxedHeader = relaxed
			s, err := Sign(h, NewBodyHash(true).Sum(), &q, Key{"ed25519", testKeys()["ed25519"]}, time.Unix(1, 0))
			if err != nil {
				t.Fatal(err)
			}
			if own := ParseHeader(s); len(own.fields) != 1 || own.fields[0].name != "dkim-signature" || len(own.fields[0].raw) != len(s) {
				t.Fatalf("not one field: %q", s)
			}
		}
	})
}
