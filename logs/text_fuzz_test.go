package logs

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzEscape: what is escaped comes back octet for octet, and harms neither a
// line nor a terminal.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "plain", `\x41`, `\x4`, `\\x41`, "\x1b[2J", "a\r\nb", "\u202e", "\xff\\x00", "\u00fc\u0085", `\x5Cx41`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := Escape(s)
		if back := Unescape(e); back != s {
			t.Fatalf("%q is escaped as %q and comes back as %q", s, e, back)
		}
		if !utf8.ValidString(e) || strings.ContainsFunc(e, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q is escaped as %q", s, e)
		}
		if e == s && Escape(e) != e {
			t.Fatalf("%q is not escaped, and then it is: %q", s, Escape(e))
		}
	})
}

// FuzzLogName: only a name that the gateway gives is one of its files, so that
// nothing else in the directory is deleted for its age.
func FuzzLogName(f *testing.F) {
	for _, s := range []string{"RECV20261122-1.log", "RECV20261122-01.log", "RECV20261322-1.log", "RECV20261122-0.log", "RECV20261122-+1.log", "SEND20261122-1.log", "RECV20261122-1.log.gz", "RECV-1.log"} {
		f.Add(s)
	}
	set := &fileSet{target: &target{layout: ReceiveProtocol.Layout()}}
	f.Fuzz(func(t *testing.T, name string) {
		got, ok := set.parseName(name)
		if !ok {
			if got != (logFile{}) {
				t.Fatalf("%q: %+v", name, got)
			}
			return
		}
		if got.name != name || got.n < 1 || len(name) < len("RECV20261122-1.log") || strings.ContainsAny(name, "/\\\x00 ") {
			t.Fatalf("%q: %+v", name, got)
		}
		date, number, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(name, "RECV"), ".log"), "-")
		if strings.Trim(date+number, "0123456789") != "" || len(date) != 8 || number[0] == '0' {
			t.Fatalf("%q is taken for a log file", name)
		}
	})
}
