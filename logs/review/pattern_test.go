package review

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAddressPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, matches, others string
	}{
		{"kim@contoso.example", "kim@contoso.example KIM@Contoso.Example", "akim@contoso.example kim@contoso.example.net kim"},
		{"<kim@contoso.example>", "kim@contoso.example", "ann@contoso.example"},
		{"contoso.example", "kim@contoso.example a.b@CONTOSO.example", "kim@sales.contoso.example kim@xcontoso.example contoso.example"},
		{"@contoso.example", "kim@contoso.example", "kim@sales.contoso.example"},
		{"*.contoso.example", "kim@contoso.example kim@sales.contoso.example kim@a.b.contoso.example", "kim@xcontoso.example"},
		{"kim@*", "kim@contoso.example kim@x", "akim@x kim"},
		{"*bill*@*.example", "billing@contoso.example abill@a.example", "bob@contoso.example"},
		{"*", "kim@contoso.example postmaster", ""},
		{"postmaster", "postmaster postmaster@contoso.example POSTMASTER", "postmaster2"},
		{"[192.0.2.1]", "kim@[192.0.2.1]", "kim@[192.0.2.11]"},
	} {
		p, err := ParseAddressPattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range strings.Fields(c.matches) {
			if !p.Match(a) {
				t.Errorf("%s does not match %s", c.pattern, a)
			}
			if l := p.literal(); !strings.Contains(strings.ToLower(a), l) {
				t.Errorf("%s: the literal %q is not in %s", c.pattern, l, a)
			}
		}
		for _, a := range append(strings.Fields(c.others), "") {
			if p.Match(a) && a+c.pattern != "*" {
				t.Errorf("%s matches %q", c.pattern, a)
			}
		}
	}
	if p, err := ParseAddressPattern("<>"); err != nil || !p.Match("") || p.Match("a@b") {
		t.Error("<> is the null path alone")
	}
}

func TestReplyPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, matches, others string
	}{
		{"550", "550 no|550-no|550|550 5.7.1 no", "551 no|5500|55|x550 a|250 550"},
		{"5xx", "550 no|599 no", "450 no|5x0"},
		{"55z", "550 no|559 no", "540 no"},
		{"4.7.*", "450 4.7.1 no|451-4.7.0 no", "450 no|550 5.7.1 no|450 4.70.1 no|450 14.7.1 no"},
		{"5.7.1", "550 5.7.1 no", "550 5.7.10 no|550 5.7 no|550 5.7.1"},
		{"5.*", "550 5.0.0 x|554 5.6.0 x", "550 no|450 4.0.0 x"},
		{"4.x.x", "450 4.2.1 a", "450 a"},
		{"5.7.54", "550 5.7.54 SMTP; Unable to relay", "550 5.7.5 x|550 5.7.541 x"},
	} {
		p, err := ParseReplyPattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range strings.Split(c.matches, "|") {
			if !p.Match(r) {
				t.Errorf("%s does not match %q", c.pattern, r)
			}
		}
		for _, r := range append(strings.Split(c.others, "|"), "") {
			if p.Match(r) && r != "550 5.7.1" {
				t.Errorf("%s matches %q", c.pattern, r)
			}
		}
	}
	for _, s := range []string{"", "5", "55", "5500", "650", "150", "abc", "5.7", "5.", "5..1", "5.7.1.1", "55.7.1", "5.7.1234", "5.a.1", "5xxx"} {
		if _, err := ParseReplyPattern(s); err == nil {
			t.Errorf("%q is taken for a reply code", s)
		}
	}
}

// TestPatternModel compares matching with a slow way to do it.
func TestPatternModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("abA*.")), 1, 8, -1).Draw(t, "pattern")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abAB.")), 0, 10, -1).Draw(t, "text")
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		var slow func(p, s string) bool
		slow = func(p, s string) bool {
			switch {
			case p == "":
				return s == ""
			case p[0] == '*':
				return slow(p[1:], s) || s != "" && slow(p, s[1:])
			}
			return s != "" && p[0] == s[0] && slow(p[1:], s[1:])
		}
		want := slow(strings.ToLower(pattern), strings.ToLower(text))
		if got := p.Match(text); got != want {
			t.Fatalf("%q against %q: %v, want %v", pattern, text, got, want)
		}
		if l := p.literal(); want && !strings.Contains(strings.ToLower(text), l) {
			t.Fatalf("%q matches %q, which has no %q", pattern, text, l)
		}
	})
}

func TestFoldModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "text")
		want := make([]byte, len(b))
		for i, c := range b {
			want[i] = lowerByte(c)
		}
		if got := appendLower([]byte("X"), b); string(got) != "X"+string(want) {
			t.Fatalf("%q in lower case is %q, want %q", b, got[1:], want)
		}
		needle := lower(rapid.StringOfN(rapid.SampledFrom([]rune("aB")), 0, 4, -1).Draw(t, "needle"))
		hay := rapid.StringOfN(rapid.SampledFrom([]rune("abAB")), 0, 12, -1).Draw(t, "hay")
		if got, want := indexFold([]byte(hay), needle), bytes.Index([]byte(strings.ToLower(hay)), []byte(needle)); got != want {
			t.Fatalf("%q in %q: %d, want %d", needle, hay, got, want)
		}
	})
}

func TestMoments(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 11, 22, 8, 30, 15, 0, zone)
	for text, want := range map[string]time.Time{
		"2h": now.Add(-2 * time.Hour), "1d12h": now.Add(-36 * time.Hour), "90s": now.Add(-90 * time.Second), "0s": now,
		"2026-11-20": time.Date(2026, 11, 20, 0, 0, 0, 0, zone), "today": time.Date(2026, 11, 22, 0, 0, 0, 0, zone),
		"yesterday": time.Date(2026, 11, 21, 0, 0, 0, 0, zone), "2026-11-20 14:05": time.Date(2026, 11, 20, 14, 5, 0, 0, zone),
		"2026-11-20T14:05:06": time.Date(2026, 11, 20, 14, 5, 6, 0, zone), "2026-11-20T14:05:06Z": time.Date(2026, 11, 20, 14, 5, 6, 0, time.UTC),
		"2026-11-20 14:05+02:00": time.Date(2026, 11, 20, 12, 5, 0, 0, time.UTC), "07:05": time.Date(2026, 11, 22, 7, 5, 0, 0, zone),
	} {
		if got, err := ParseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2026", "25:00", "2026-13-01", "2026-02-30", "-2h", "soon", "2h ago"} {
		if got, err := ParseMoment(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// TestFilterErrors: each says which filter is wrong and what would be right.
func TestFilterErrors(t *testing.T) {
	for _, c := range []struct {
		f    Filters
		want string
	}{
		{Filters{Since: "soon"}, `--since: "soon" is no time: write 2h or 3d (ago)`},
		{Filters{On: "2h"}, `--on: "2h" is no day: write 2026-11-20`},
		{Filters{On: "today", Since: "2h"}, "--on: does not go together with --since"},
		{Filters{Since: "1h", Until: "2h"}, `--until: "2h" is not after --since "1h"`},
		{Filters{Direction: "out"}, `--direction: "out": want receive or send`},
		{Filters{Peer: []string{"mx.example"}}, "--peer: "},
		{Filters{Reply: []string{"55"}}, `--reply: "55" is no reply code: write 550, 5xx, 5.7.1 or 4.7.*`},
		{Filters{TLS: "2"}, `--tls: "2": want yes, no, or a version`},
		{Filters{MinDuration: "fast"}, "--min-duration: "},
		{Filters{From: []string{""}}, "--from: an address is empty"},
		{Filters{HELO: []string{""}}, "--helo: a pattern is empty"},
	} {
		_, err := c.f.Query(time.Now())
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.f, err, c.want)
		}
	}
	// The day on which clocks are set forward has 23 hours.
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones on this host")
	}
	q, err := Filters{On: "2026-03-29"}.Query(time.Date(2026, 11, 22, 0, 0, 0, 0, berlin))
	if err != nil || q.Until.Sub(q.Since) != 23*time.Hour {
		t.Errorf("2026-03-29 in Berlin lasts %v, %v", q.Until.Sub(q.Since), err)
	}
}
