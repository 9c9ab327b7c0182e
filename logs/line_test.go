package logs

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestParseLine(t *testing.T) {
	want := Line{
		Time: time.Date(2025, 3, 4, 8, 0, 1, 102e6, time.UTC), Connector: `EDGE01\From Internet`, Session: "08DD5A0B1C2D3E4F", Sequence: 2,
		Local: netip.MustParseAddrPort("192.0.2.10:25"), Remote: netip.MustParseAddrPort("198.51.100.7:40122"), Event: EventSent,
		Data: "220 edge01.example.org Microsoft ESMTP MAIL Service ready at Tue, 4 Mar 2025 08:00:00 +0000",
	}
	// As Exchange writes it (reference 7.1), CRLF and all.
	const text = `2025-03-04T08:00:01.102Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,2,192.0.2.10:25,198.51.100.7:40122,>,"220 edge01.example.org Microsoft ESMTP MAIL Service ready at Tue, 4 Mar 2025 08:00:00 +0000",` + "\r\n"
	if got, err := ParseLine(text); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if got := want.String() + "\r\n"; got != text {
		t.Errorf("got %s, want %s", got, text)
	}
}

func TestParseLineRefuses(t *testing.T) {
	good := Line{Event: EventConnect, Connector: "A", Session: "B", Local: local, Remote: remote}.String()
	if _, err := ParseLine(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"", "want a comma"},
		{good + ",", "more than 9 fields"},
		{good + `"`, ""},
		{strings.TrimSuffix(good, ",+,,") + ",+,", "want a comma"},
		{strings.TrimSuffix(good, ",+,,") + `,+,"a`, "closing quote"},
		{strings.TrimSuffix(good, ",+,,") + `,+,"a"b,`, "want a comma"},
		{strings.TrimSuffix(good, ",+,,") + `,+,,"a"b`, "behind a closing quote"},
		{strings.TrimSuffix(good, ",+,,") + ",?,,", "event"},
		{strings.TrimSuffix(good, ",+,,") + ",,,", "event"},
		{"x" + good, "date-time"},
		{strings.Replace(good, ",0,", ",zero,", 1), "sequence-number"},
		{strings.Replace(good, ",0,", ",99999999999999999999,", 1), "sequence-number"},
		{strings.Replace(good, local.String(), "here", 1), "local-endpoint"},
		{strings.Replace(good, remote.String(), "there", 1), "remote-endpoint"},
	} {
		if _, err := ParseLine(c.text); c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want an error with %q", c.text, err, c.want)
		}
	}
	if _, err := ParseLine("#Fields: date-time"); !errors.Is(err, ErrComment) {
		t.Errorf("a comment: %v", err)
	}
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"250 OK":                "250 OK",
		"\r\n\t\x00\x7f":        `\x0D\x0A\x09\x00\x7F`,
		`CONTOSO\user`:          `CONTOSO\user`,
		`C:\xFD`:                `C:\x5CxFD`,
		`C:\xfd`:                `C:\xfd`,
		`\`:                     `\`,
		`\\x0D`:                 `\\x5Cx0D`,
		"\\\r":                  `\\x0D`,
		"Grüße 日本 🙂":            "Grüße 日本 🙂",
		"\xff\xfe":              `\xFF\xFE`,
		"\u0085\u009b":          `\xC2\x85\xC2\x9B`,
		"\u202egnp.exe\u2028":   `\xE2\x80\xAEgnp.exe\xE2\x80\xA8`,
		"a\ufeffb\u200bc\u00ad": `a\xEF\xBB\xBFb\xE2\x80\x8Bc\xC2\xAD`,
		"\ufffd":                "\ufffd",
	} {
		if got := Escape(text); got != want {
			t.Errorf("Escape(%q) = %s, want %s", text, got, want)
		}
		if got := Unescape(Escape(text)); got != text {
			t.Errorf("Unescape(Escape(%q)) = %q", text, got)
		}
	}
}

// safe holds what is true of every line in a file.
func safe(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("%q is not printable text", text)
	}
}

// FuzzLine: whatever peers say, the line is one line of printable text and
// comes back as it was.
func FuzzLine(f *testing.F) {
	f.Add("EHLO mx.example.net", "", `EDGE\From Internet`, int64(1), "192.0.2.1:25")
	f.Add("=1+1,\"a\"\r\n", "Remote", `A,"B"`, int64(1e12), "[2001:db8::1%eth,0]:25")
	f.Add("\xff\u202e\\x0D", `\x5C\\`, "", int64(-1), "")
	f.Add("+", "-", "@", int64(253402300799999), "[::ffff:192.0.2.1]:1")
	f.Fuzz(func(t *testing.T, data, context, connector string, ms int64, endpoint string) {
		if len(data) > MaxField || len(context) > MaxField || ms < -62135596800000 || ms > 253402300799999 {
			return // cut, or a year of more than four digits
		}
		l := Line{Time: time.UnixMilli(ms).UTC(), Connector: connector, Session: context, Sequence: int(ms), Event: EventReceived, Data: data, Context: context}
		if a, err := netip.ParseAddrPort(endpoint); err == nil {
			l.Local = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		}
		text := string(l.Append(nil))
		if !strings.HasSuffix(text, "\n") {
			t.Fatalf("%q has no line end", text)
		}
		safe(t, text[:len(text)-1])
		got, err := ParseLine(text)
		if err != nil || got != l {
			t.Fatalf("%q gives\n%+v, %v, want\n%+v", text, got, err, l)
		}
	})
}

// FuzzParseLine: what was read is written so that it reads the same.
func FuzzParseLine(f *testing.F) {
	f.Add(`2025-03-04T08:00:01.102Z,EDGE01\From Internet,08DD5A0B1C2D3E4F,2,192.0.2.10:25,198.51.100.7:40122,>,"220 a, ""b""",` + "\r\n")
	f.Add(`2025-03-04T08:00:01.102Z,"a""",\x0D,-2,,[fe80::1%\x0D]:25,*,\x3D,"Remote"`)
	f.Add("#Software: Postern")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLine(text)
		if err != nil || len(l.Data) > MaxField || len(l.Context) > MaxField {
			return
		}
		safe(t, l.String())
		again, err := ParseLine(l.String())
		l.Local = netip.AddrPortFrom(l.Local.Addr().Unmap(), l.Local.Port())
		l.Remote = netip.AddrPortFrom(l.Remote.Addr().Unmap(), l.Remote.Port())
		if err != nil || again != l {
			t.Fatalf("%q gives %+v, and that %+v, %v", text, l, again, err)
		}
	})
}
