package message

import (
	"net/mail"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var at = time.Date(2026, 11, 21, 22, 20, 0, 0, time.UTC)

func TestReceived(t *testing.T) {
	client, local := netip.MustParseAddrPort("192.0.2.7:41234"), netip.MustParseAddrPort("[2001:db8::25]:25")
	tests := []struct {
		name string
		r    Received
		want string
	}{
		{"whole", Received{Helo: "client.example.net", Client: client, Local: local, By: "edge.contoso.example",
			With: "ESMTPS", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", ID: 1, For: "<joe@contoso.example>", At: at},
			"Received: from client.example.net ([192.0.2.7]) by edge.contoso.example\r\n" +
				"\t([IPv6:2001:db8::25]) with ESMTPS (TLS1.3 TLS_AES_128_GCM_SHA256)\r\n" +
				"\tid 0000000000001 for <joe@contoso.example>; Sat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"least", Received{At: at}, "Received:; Sat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"no HELO", Received{Client: client, By: "edge", With: "SMTP", At: at},
			"Received: from [192.0.2.7] ([192.0.2.7]) by edge with SMTP;\r\n\tSat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"literal", Received{Helo: "[192.0.2.7]", By: "edge", At: at},
			"Received: from [192.0.2.7] by edge; Sat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"U-label", Received{Helo: "bücher.example", By: "edge", At: at},
			"Received: from xn--bcher-kva.example by edge; Sat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"nothing left of a name", Received{Helo: "\u00ad", Client: client, By: "\u00ad", At: at},
			"Received: from [192.0.2.7] ([192.0.2.7]) by unknown;\r\n\tSat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"injection", Received{Helo: "x) by evil; Mon\r\nSubject: y", By: "edge", At: at},
			"Received: from x??by?evil??Mon??Subject??y by edge;\r\n\tSat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"hostile rest", Received{Helo: "a", By: "edge", With: "E\r\nX", TLS: "a)(\\b", For: "<a@b>\r\nX: y", At: at},
			"Received: from a by edge with E??X (a???b); Sat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"UTF-8 path", Received{Helo: "a", For: "<jörg@b>", At: at},
			"Received: from a for <jörg@b>; Sat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"postmaster", Received{Helo: "a", For: "<Postmaster>", At: at},
			"Received: from a for <Postmaster>; Sat, 21 Nov 2026 22:20:00 +0000\r\n"},
		{"zone", Received{Helo: "a", At: at.In(time.FixedZone("", -34200))},
			"Received: from a; Sat, 21 Nov 2026 12:50:00 -0930\r\n"},
	}
	for _, tt := range tests {
		if got := string(tt.r.Append(nil)); got != tt.want {
			t.Errorf("%s: got\n%q, want\n%q", tt.name, got, tt.want)
		}
	}
	if got := string(tests[0].r.Append([]byte("x"))); got != "x"+tests[0].want {
		t.Errorf("Append does not append: %q", got)
	}
}

var receivedForm = regexp.MustCompile(`^Received:( from \S+( \(\[[^][()]+\]\))?)?( by \S+( \(\[[^][()]+\]\))?)?( with \S+)?( \([^()]*\))?( id \w{13})?( for <.*>)?; [A-Z].*$`)

// Whatever is put in, one well-formed field of printable lines comes out.
func TestReceivedHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.OneOf(rapid.String(), rapid.StringMatching(`[\[\]()<>;:\\"\r\n\t a-zäß\.\-_@]{0,300}`))
		r := Received{
			Helo: hostile.Draw(t, "helo"), By: hostile.Draw(t, "by"), With: hostile.Draw(t, "with"), TLS: hostile.Draw(t, "tls"),
			For: rapid.SampledFrom([]string{"", "<a@b>", `<"a) ; b"@c>`, "<" + hostile.Draw(t, "for") + ">"}).Draw(t, "path"),
			ID:  ID(rapid.Uint64().Draw(t, "id")), At: at,
		}
		if rapid.Bool().Draw(t, "client") {
			r.Client = netip.MustParseAddrPort("[fe80::1%eth0]:25")
		}
		got := string(r.Append(nil))
		body, ok := strings.CutSuffix(got, "\r\n")
		if !ok {
			t.Fatalf("no CRLF at the end: %q", got)
		}
		for line := range strings.SplitSeq(body, "\r\n\t") {
			if strings.ContainsAny(line, "\r\n\t\x00") {
				t.Fatalf("control characters in %q", got)
			}
			if len(line) > 998 {
				t.Fatalf("a line of %d octets", len(line))
			}
		}
		one := strings.ReplaceAll(body, "\r\n\t", " ")
		if !receivedForm.MatchString(one) {
			t.Fatalf("malformed: %q", one)
		}
		if strings.Count(one, "(") != strings.Count(one, ")") && r.For == "" {
			t.Fatalf("parentheses do not balance: %q", one)
		}
		if _, err := mail.ParseDate(one[strings.LastIndex(one, "; ")+2:]); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkReceived(b *testing.B) {
	r := Received{Helo: "client.example.net", Client: netip.MustParseAddrPort("192.0.2.7:41234"), By: "edge.contoso.example",
		With: "ESMTPS", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", ID: 1, For: "<joe@contoso.example>", At: at}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Append(buf)
	}
}

func TestDates(t *testing.T) {
	var d Dates
	cet := time.FixedZone("CET", 3600)
	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC), "Mon, 2 Nov 2026 03:04:05 +0000"},
		{time.Date(2026, 11, 2, 3, 4, 5, 999, time.UTC), "Mon, 2 Nov 2026 03:04:05 +0000"},
		{time.Date(2026, 11, 2, 4, 4, 5, 0, cet), "Mon, 2 Nov 2026 04:04:05 +0100"}, // the same second elsewhere
		{time.Date(2026, 11, 2, 3, 4, 6, 0, time.UTC), "Mon, 2 Nov 2026 03:04:06 +0000"},
		{time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC), "Mon, 2 Nov 2026 03:04:05 +0000"},
	} {
		if got := d.Text(tt.at); got != tt.want {
			t.Errorf("%v is written as %q, want %q", tt.at, got, tt.want)
		}
	}
	at := time.Now()
	r := Received{By: "edge.contoso.example", At: at}
	plain := string(r.Append(nil))
	r.Date = d.Text(at)
	if got := string(r.Append(nil)); got != plain {
		t.Errorf("%q, want %q", got, plain)
	}
}
