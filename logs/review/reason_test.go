package review

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestReasonOf(t *testing.T) {
	for reply, want := range map[string]string{
		"550 5.7.1 x<kim@contoso.example>y<id>z <<[192.0.2.1]>>":            "550 5.7.1 <address><id>z <ip>",
		"550 5.1.1 User unknown":                                            "550 5.1.1 User unknown",
		"550 5.1.1 <kim@contoso.example>: Recipient address rejected":       "550 5.1.1 <address>: Recipient address rejected",
		"550 5.1.1 kim@contoso.example... User unknown":                     "550 5.1.1 <address>... User unknown",
		"550 5.1.1 mailto:kim@contoso.example,lee@contoso.example are gone": "550 5.1.1 <address> are gone",
		"554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.7": "554 5.7.1 Service unavailable; Client host <ip> blocked using zen.spamhaus.org; https://www.spamhaus.org/<path>",
		"450 4.7.1 Greylisted, try again in 299 seconds":                              "450 4.7.1 Greylisted, try again in <n> seconds",
		"450 4.7.1 Greylisted, try again in 00:04:59":                                 "450 4.7.1 Greylisted, try again in <time>",
		"450 4.7.1 try again in 299s":                                                 "450 4.7.1 try again in <n>s",
		"552 5.3.4 Message size 41231231 exceeds 36700160":                            "552 5.3.4 Message size <n> exceeds <n>",
		"550 5.1.4 Recipient address reserved by RFC 2606":                            "550 5.1.4 Recipient address reserved by RFC 2606",
		"451 4.3.0 4F1A23B9C1: queue file write error":                                "451 4.3.0 <id>: queue file write error",
		"550 5.7.509 Access denied [SN1PEPF0002636E.namprd02.prod.outlook.com]":       "550 5.7.509 Access denied <id>",
		"421 4.7.0 no d2e1a72fcca58-7b0c2a1234si123.45 - gsmtp":                       "421 4.7.0 no <id> - gsmtp",
		"550 5.7.1 Domain fabrikam.example has no mx.fabrikam.example":                "550 5.7.1 Domain <name> has no <name>",
		"550-5.7.1 First line\n550 5.7.1 of [2001:db8::1]":                            "550 5.7.1 First line of <ip>",
		"550 connections from 192.0.2.7:2525 in 192.0.2.0/24 since 2026-11-20T08:00Z": "550 connections from <ip> in <ip> since <time>",
		"454 4.7.5 TLSv1.2 with SHA256 needs more than 128 bits":                      "454 4.7.5 TLSv1.2 with SHA256 needs more than <n> bits",
		"not a reply of 12 words":                                                     "not a reply of <n> words",
		"550 a\x1b[31mred\x07":                                                        "550 a [<n>mred",
		"550":                                                                         "550",
		"":                                                                            "",
	} {
		if got := reasonOf(reply, "fabrikam.example"); got != want {
			t.Errorf("reasonOf(%q)\n got %q\nwant %q", reply, got, want)
		}
	}
}

func TestReplyClass(t *testing.T) {
	for reply, want := range map[string]string{
		"550 no": "5xx", "450-4.1.1 wait": "4xx", "250 fine": "", "": "", "55": "", "5501 no": "", "EHLO x": "", "421": "4xx",
	} {
		if got := replyClass(reply); got != want {
			t.Errorf("replyClass(%q) = %q, want %q", reply, got, want)
		}
	}
}

func FuzzReasonOf(f *testing.F) {
	f.Add("550 5.1.1 <kim@contoso.example>: gone since 2026-11-20T08:00Z", "contoso.example")
	f.Add("550-5.7.1 a\r\n550 5.7.1 b [192.0.2.1]", "")
	f.Add("451 x<a@b>y<id>z 12:34:56 \xff\x1b]0;", "x")
	f.Add(strings.Repeat("550 long 4711 ", 100), "long")
	f.Fuzz(func(t *testing.T, reply, name string) {
		got := reasonOf(reply, name)
		if len(got) > maxReason {
			t.Fatalf("%d octets", len(got))
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q does not print", got)
		}
		got = reasonOf(reply)
		if again := reasonOf(got); again != got {
			t.Fatalf("the reason of a reason differs: of %q came\n%q and of it\n%q", reply, got, again)
		}
	})
}
