package routing

import (
	"strings"
	"testing"
)

func TestParseAddressSpace(t *testing.T) {
	for _, c := range []struct {
		text string
		want AddressSpace
	}{
		{"*", AddressSpace{SpaceAll, "", 1}},
		{"--", AddressSpace{SpaceAccepted, "", 1}},
		{"SMTP:--;1", AddressSpace{SpaceAccepted, "", 1}},
		{"SMTP:*;100", AddressSpace{SpaceAll, "", 100}},
		{"contoso.com", AddressSpace{SpaceDomain, "contoso.com", 1}},
		{"contoso.com;1", AddressSpace{SpaceDomain, "contoso.com", 1}},
		{"SMTP:contoso.com", AddressSpace{SpaceDomain, "contoso.com", 1}},
		{"SMTP:contoso.com;1", AddressSpace{SpaceDomain, "contoso.com", 1}},
		{"smtp:contoso.com;007", AddressSpace{SpaceDomain, "contoso.com", 7}},
		{" sMtP : Contoso.COM. ; 50 ", AddressSpace{SpaceDomain, "contoso.com", 50}},
		{"*.contoso.com", AddressSpace{SpaceSubdomains, "contoso.com", 1}},
		{"*.com;3", AddressSpace{SpaceSubdomains, "com", 3}},
		{"localhost", AddressSpace{SpaceDomain, "localhost", 1}},
		{"*.bücher.example", AddressSpace{SpaceSubdomains, "xn--bcher-kva.example", 1}},
		{"XN--BCHER-KVA.example", AddressSpace{SpaceDomain, "xn--bcher-kva.example", 1}},
	} {
		got, err := ParseAddressSpace(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseAddressSpace(%q) = %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseAddressSpaceRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the space is empty"},
		{";5", "the space is empty"},
		{"smtp:", "the space is empty"},
		{"*contoso.com", `write "*.contoso.com"`},
		{"**", "an asterisk"},
		{"*.", "domain is empty"},
		{"*.*.com", "not allowed in a domain"},
		{"mail.*.com", "not allowed in a domain"},
		{".contoso.com", "empty label"},
		{"contoso..com", "empty label"},
		{"contoso.com..", "empty label"},
		{"con toso.com", "not allowed in a domain"},
		{"user@contoso.com", "not allowed in a domain"},
		{"---", "hyphen"},
		{"[192.0.2.1]", "address literal"},
		{"[IPv6:2001:db8::1]", "address literal"},
		{"*.[192.0.2.1]", "address literal"},
		{"X400:c=US", "only SMTP can be routed"},
		{":contoso.com", "only SMTP can be routed"},
		{"contoso.com;", "the cost is"},
		{"contoso.com;0", "the cost is"},
		{"contoso.com;101", "the cost is"},
		{"contoso.com;-1", "the cost is"},
		{"contoso.com;+1", "the cost is"},
		{"contoso.com;1.5", "the cost is"},
		{"contoso.com;1;2", "the cost is"},
		{"contoso.com;99999999999999999999999", "the cost is"},
		{"contoso.com;9x", "the cost is"},
		{strings.Repeat("a", 64) + ".com", "longer than 63"},
	} {
		got, err := ParseAddressSpace(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseAddressSpace(%q) = %+v, %v; want an error with %q", c.text, got, err, c.want)
		}
	}
}

func FuzzParseAddressSpace(f *testing.F) {
	for _, s := range []string{"*", "--", "smtp:contoso.com;5", "*.com", "*.bücher.example;100", "[192.0.2.1]", "a;b;c", "x:y:z", "*contoso.com", "faß.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseAddressSpace(text)
		if err != nil {
			return
		}
		if s.Cost < MinCost || s.Cost > MaxCost || (s.Domain == "") != (s.Kind >= SpaceAccepted) {
			t.Fatalf("ParseAddressSpace(%q) = %+v", text, s)
		}
		again, err := ParseAddressSpace(s.String())
		if err != nil || again != s {
			t.Fatalf("ParseAddressSpace(%q) = %+v, and %q gives %+v, %v", text, s, s.String(), again, err)
		}
	})
}
