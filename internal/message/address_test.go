package message

import (
	"encoding/csv"
	"encoding/xml"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// shared opens a file of the shared folder beside the repository.
func shared(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("../../../shared", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared folder is missing: %v", err)
		}
		t.Skipf("the shared folder is missing: %v", err)
	}
	return path
}

var long = strings.Repeat("abcdefghi.", 30)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		rule, in string
		utf8, ok bool
	}{
		{"RFC 5321 4.1.2 Dot-string", "a@b", false, true},
		{"RFC 5321 4.1.2 Dot-string", "!#$%&'*+-/=?^_`{|}~@b.example", false, true},
		{"RFC 5321 4.1.2 Dot-string", "a.b.c@d", false, true},
		{"RFC 5321 4.1.2 Dot-string", "a..b@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", ".a@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a.@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a b@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a<b@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a>@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a(x)@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a,b@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a:b@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a@b@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a\r@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a\n@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a\x00@c", false, false},
		{"RFC 5321 4.1.2 Dot-string", "a\x7f@c", false, false},
		{"RFC 5321 4.1.2 Quoted-string", `"a b"@c`, false, true},
		{"RFC 5321 4.1.2 Quoted-string", `""@c`, false, true},
		{"RFC 5321 4.1.2 Quoted-string", `"x> NOTIFY=NEVER "@c`, false, true},
		{"RFC 5321 4.1.2 Quoted-string", `"a@b"@c`, false, true},
		{"RFC 5321 4.1.2 Quoted-string", `"\"\\\a"@c`, false, true},
		{"RFC 5321 4.1.2 Quoted-string", `"a\` + "\n" + `"@c`, false, false},
		{"RFC 5321 4.1.2 Quoted-string", "\"a\tb\"@c", false, false},
		{"RFC 5321 4.1.2 Quoted-string", "\"a\rb\"@c", false, false},
		{"RFC 5321 4.1.2 Quoted-string", `"a"b@c`, false, false},
		{"RFC 5321 4.1.2 Quoted-string", `"a"."b"@c`, false, false},
		{"RFC 5321 4.1.2 Quoted-string", `a."b"@c`, false, false},
		{"RFC 5321 4.1.2 Quoted-string", `"a@c`, false, false},
		{"RFC 5321 4.1.2 Quoted-string", `"a\"@c`, false, false},
		{"RFC 5321 4.1.2 Domain", "a@b.c.", false, false},
		{"RFC 5321 4.1.2 Domain", "a@", false, false},
		{"RFC 5321 4.1.2 Domain", "a", false, false},
		{"RFC 5321 4.1.2 Domain", "a@-b.c", false, false},
		{"RFC 5321 4.1.2 Domain", "a@b-.c", false, false},
		{"RFC 5321 4.1.2 Domain", "a@b..c", false, false},
		{"RFC 5321 4.1.2 Domain", "a@.b", false, false},
		{"RFC 5321 4.1.2 Domain", "a@b_c.example", false, false},
		{"RFC 5321 4.1.2 Domain", "a@b c", false, false},
		{"RFC 5321 4.1.2 Domain", "a@b>", false, false},
		{"RFC 5321 4.1.2 Domain", "a@b\r\nRSET", false, false},
		{"RFC 5321 4.1.2 Domain", "a@b\x00", false, false},
		{"RFC 5321 4.1.2 Domain", "a@192.0.2.1", false, true}, // labels may be all digits
		{"RFC 5321 4.1.3 IPv4", "a@[192.0.2.1]", false, true},
		{"RFC 5321 4.1.3 IPv4", "a@[192.0.2.256]", false, false},
		{"RFC 5321 4.1.3 IPv4", "a@[192.0.2]", false, false},
		{"RFC 5321 4.1.3 IPv4", "a@[192.0.2.1", false, false},
		{"RFC 5321 4.1.3 IPv4", "a@[192.0.2.1]x", false, false},
		{"RFC 5321 4.1.3 IPv4", "a@[]", false, false},
		{"RFC 5321 4.1.3 IPv6", "a@[IPv6:2001:db8::1]", false, true},
		{"RFC 5321 4.1.3 IPv6", "a@[ipv6:2001:DB8::1]", false, true},
		{"RFC 5321 4.1.3 IPv6", "a@[IPv6:::ffff:192.0.2.1]", false, true},
		{"RFC 5321 4.1.3 IPv6", "a@[IPv6:192.0.2.1]", false, false},
		{"RFC 5321 4.1.3 IPv6", "a@[IPv6:fe80::1%eth0]", false, false},
		{"RFC 5321 4.1.3 IPv6", "a@[IPv6:]", false, false},
		{"RFC 5321 4.1.3 IPv6", "a@[2001:db8::1]", false, false}, // the tag was forgotten
		{"RFC 5321 4.1.3 General", "a@[x400:c=us]", false, true},
		{"RFC 5321 4.1.3 General", "a@[x-:y]", false, false},
		{"RFC 5321 4.1.3 General", "a@[x:]", false, false},
		{"RFC 5321 4.1.3 General", "a@[x:y[z]", false, false},
		{"RFC 5321 4.1.3 General", "a@[x:y z]", false, false},
		{"RFC 5321 4.5.3.1.1", long[:64][:63] + "x@b", false, true},
		{"RFC 5321 4.5.3.1.1", long[:64] + "x@b", false, false},
		{"RFC 1035 2.3.4", "a@" + strings.Repeat("b", 63), false, true},
		{"RFC 1035 2.3.4", "a@" + strings.Repeat("b", 64), false, false},
		{"RFC 5321 4.5.3.1.3", "a@" + long[:251] + "x", false, true},
		{"RFC 5321 4.5.3.1.3", "a@" + long[:252] + "x", false, false},
		{"RFC 6531 3.3", "jörg@example.com", false, false},
		{"RFC 6531 3.3", "jörg@example.com", true, true},
		{"RFC 6531 3.3", "Pe\u0301@example.com", true, true}, // not normalised
		{"RFC 6531 3.3", "j\xf6rg@example.com", true, false},
		{"RFC 6531 3.3", "a@b\xfc.example", true, false},
		{"RFC 6531 3.3", "j\xed\xa0\x80@example.com", true, false}, // a surrogate
		{"RFC 6531 3.3", "j\u0085@example.com", true, false},       // a C1 control
		{"RFC 6531 3.3", "\"j \u00f6\"@example.com", true, true},
		{"RFC 6531 3.3", "\"j\\\u00f6\"@example.com", true, false},
		{"RFC 6531 3.3", "a@bücher.example", false, false},
		{"RFC 6531 3.3", "a@bücher.example", true, true},
		{"RFC 6531 3.3", "a@Bücher.Example", true, true},
		{"RFC 6531 3.3", "a@xn--bcher-kva.example", false, true},
		{"RFC 5890 2.3.2.1", "a@exam\uff0eple.com", true, false}, // full-width dot
		{"RFC 5890 2.3.2.1", "a@例子。测试", true, false},             // ideographic dot
		{"RFC 5890 2.3.2.1", "a@b\u200d.example", true, false},
		{"RFC 5890 2.3.2.1", "a@b\u00fc\u0085.example", true, false},
	}
	for _, tt := range tests {
		a, err := ParseAddress(tt.in, tt.utf8)
		if (err == nil) != tt.ok {
			t.Errorf("%s: ParseAddress(%q, %v): %v", tt.rule, tt.in, tt.utf8, err)
		}
		if err == nil && a.String() != tt.in {
			t.Errorf("ParseAddress(%q) became %q", tt.in, a)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n\x00") {
			t.Errorf("ParseAddress(%q): the error carries control characters: %q", tt.in, err)
		}
	}
}

func TestAtext(t *testing.T) {
	const want = "!#$%&'*+-/=?^_`{|}~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // RFC 5322 3.2.3
	for c := range 256 {
		if got := isAtext(byte(c)); got != (c < 0x80 && strings.Contains(want, string(rune(c)))) {
			t.Errorf("isAtext(%q) is %v", byte(c), got)
		}
	}
}

// The suite judges what may stand in a message. In a command there are neither
// comments nor folding nor obsolete forms (RFC 5321 4.1.2), and its warnings
// about DNS are none of grammar.
func TestISEmail(t *testing.T) {
	f, err := os.Open(shared(t, "vectors/address/isemail.xml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var suite struct {
		Tests []struct {
			ID        string `xml:"id,attr"`
			Address   string `xml:"address"`
			Category  string `xml:"category"`
			Diagnosis string `xml:"diagnosis"`
		} `xml:"test"`
	}
	if err := xml.NewDecoder(f).Decode(&suite); err != nil {
		t.Fatal(err)
	}
	if len(suite.Tests) != 164 {
		t.Fatalf("the suite has %d tests, want 164", len(suite.Tests))
	}
	ok := map[string]bool{"ISEMAIL_VALID_CATEGORY": true, "ISEMAIL_DNSWARN": true, "ISEMAIL_RFC5321": true}
	// "::" for a single group is deprecated, but an address all the same
	// (RFC 4291 2.2).
	ours := map[string]bool{"71": true}
	for _, tt := range suite.Tests {
		in := strings.Map(func(r rune) rune {
			if 0x2400 <= r && r <= 0x2421 {
				return r - 0x2400
			}
			return r
		}, tt.Address)
		want := ok[tt.Category] || ours[tt.ID]
		for _, utf8 := range []bool{false, true} {
			if _, err := ParseAddress(in, utf8); (err == nil) != want {
				t.Errorf("test %s (%s): ParseAddress(%q, %v): %v", tt.ID, tt.Diagnosis, in, utf8, err)
			}
		}
	}
}

const eaiDomain = "1111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000." +
	"1111111111222222222233333333334444444444555555555.6666666666777777777788888888889999999999000000000.11111111112222222222333333333344.info"

func TestEAI(t *testing.T) {
	f, err := os.Open(shared(t, "vectors/address/eai.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord = '\t', -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	// ours holds what SMTP judges otherwise than the suite, and why.
	ours := map[string]bool{
		"\"s\u0323\u0307\" <s\u0323\u0307@nfc.tld>": false, // a header's name-addr, not a Mailbox
		// Local parts are not normalised on their way (RFC 6530 10.1).
		"me.\u037e@example.com":          true,
		"my.\ufb2c.address@" + eaiDomain: true,
	}
	for _, row := range rows[1:] {
		in := row[1]
		if s, err := strconv.Unquote(`"` + strings.ReplaceAll(in, `"`, `\"`) + `"`); err == nil {
			in = s
		}
		want, special := ours[in]
		if !special {
			want = row[0] != "invalid"
		}
		a, err := ParseAddress(in, true)
		if (err == nil) != want {
			t.Errorf("%s: ParseAddress(%+q): %v (%s)", row[0], in, err, row[4])
			continue
		}
		if err != nil {
			continue
		}
		if !a.ASCII() {
			if _, err := ParseAddress(in, false); err == nil {
				t.Errorf("ParseAddress(%q) without UTF-8 succeeds", in)
			}
		}
		if row[3] != "" && DomainKey(a.Domain) != row[3] {
			t.Errorf("DomainKey(%q) = %q, want %q", a.Domain, DomainKey(a.Domain), row[3])
		}
	}
}

func TestAddressForms(t *testing.T) {
	tests := []struct {
		a           Address
		str, path   string
		null, ascii bool
		key         string
	}{
		{Address{}, "", "<>", true, true, ""},
		{Address{Local: "Postmaster"}, "Postmaster", "<Postmaster>", false, true, "Postmaster"},
		{Address{"A", "B.Example"}, "A@B.Example", "<A@B.Example>", false, true, "A@b.example"},
		{Address{`"a b"`, "c"}, `"a b"@c`, `<"a b"@c>`, false, true, `"a b"@c`},
		{Address{`"a"`, "c"}, `"a"@c`, `<"a"@c>`, false, true, `a@c`},
		{Address{`"a\b\@"`, "c"}, `"a\b\@"@c`, `<"a\b\@"@c>`, false, true, `"ab@"@c`},
		{Address{`"\"\\"`, "c"}, `"\"\\"@c`, `<"\"\\"@c>`, false, true, `"\"\\"@c`},
		{Address{`""`, "c"}, `""@c`, `<""@c>`, false, true, `""@c`},
		{Address{"a", "bücher.Example"}, "a@bücher.Example", "<a@bücher.Example>", false, false, "a@xn--bcher-kva.example"},
		{Address{"ö", "b"}, "ö@b", "<ö@b>", false, false, "ö@b"},
	}
	for _, tt := range tests {
		a := tt.a
		if a.String() != tt.str || a.Path() != tt.path || a.IsNull() != tt.null || a.ASCII() != tt.ascii || a.Key() != tt.key {
			t.Errorf("%#v: String %q, Path %q, IsNull %v, ASCII %v, Key %q", a, a.String(), a.Path(), a.IsNull(), a.ASCII(), a.Key())
		}
	}
}

func TestEqual(t *testing.T) {
	tests := []struct {
		a, b  string
		equal bool
	}{
		{"a@b.example", "a@B.EXAMPLE", true},
		{"A@b.example", "a@b.example", false}, // RFC 5321 2.4
		{`"a"@b`, "a@b", true},
		{`"a\b"@c`, "ab@c", true},
		{`"a b"@c`, `"a\ b"@c`, true},
		{`"a b"@c`, `"ab"@c`, false},
		{"a@bücher.example", "a@XN--bcher-KVA.example", true},
		{"a@[IPv6:2001:db8:0:0:0:0:0:1]", "a@[ipv6:2001:DB8::1]", true},
		{"a@[192.0.2.1]", "a@192.0.2.1", false},
		{`"a@b"@c`, "a@c", false},
		{"Pé@c", "Pe\u0301@c", false}, // RFC 6530 7.1: local parts belong to their host
	}
	for _, tt := range tests {
		a, err := ParseAddress(tt.a, true)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseAddress(tt.b, true)
		if err != nil {
			t.Fatal(err)
		}
		if a.Equal(b) != tt.equal || b.Equal(a) != tt.equal || (a.Key() == b.Key()) != tt.equal {
			t.Errorf("%s and %s: Equal %v, keys %q and %q", a, b, a.Equal(b), a.Key(), b.Key())
		}
	}
}

func TestDomainKey(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{".", ""},
		{"Example.COM", "example.com"},
		{"example.com.", "example.com"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"xn--BCHER-kva.example", "xn--bcher-kva.example"},
		{"*.Contoso.example", "*.contoso.example"},
		{"--", "--"},
		{"foo_Bar.example", "foo_bar.example"},
		{"foo_Ü.example", "foo_ü.example"}, // no domain: only lower-cased
		{"\xffA", "\ufffda"},
		{"例子。测试。", "xn--fsqu00a.xn--0zwm56d"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:2001:DB8:0::1]", "[ipv6:2001:db8::1]"},
		{"[X400:C=US]", "[x400:c=us]"},
		{"[", "["},
	}
	for _, tt := range tests {
		if got := DomainKey(tt.in); got != tt.want {
			t.Errorf("DomainKey(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParseLiteral(t *testing.T) {
	for in, want := range map[string]string{
		"[192.0.2.1]":              "192.0.2.1",
		"[192.000.002.010]":        "192.0.2.10", // decimal (RFC 5321 4.1.3, Snum)
		"[IPv6:2001:db8::1]":       "2001:db8::1",
		"[IPv6:::ffff:192.0.2.1]":  "::ffff:192.0.2.1",
		"[tag:content]":            "invalid IP",
		"[IPv4:192.0.2.1]":         "invalid IP", // a general literal by its form
		"[Postern-9:!#$%&'()*,.;]": "invalid IP",
	} {
		if a, err := ParseLiteral(in); err != nil || a.String() != want {
			t.Errorf("ParseLiteral(%q) = %v, %v", in, a, err)
		}
	}
	for in, want := range map[string]string{
		"192.0.2.1":        "[192.0.2.1]",
		"::ffff:192.0.2.1": "[192.0.2.1]",
		"2001:db8::1":      "[IPv6:2001:db8::1]",
		"fe80::1%eth0":     "[IPv6:fe80::1]",
	} {
		if got := Literal(netip.MustParseAddr(in)); got != want {
			t.Errorf("Literal(%s) = %q, want %q", in, got, want)
		}
	}
}

func TestDomainKeyIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-zA-ZäöüßÄÖÜİςΣ例子。\.\-_\[\]:]{0,20}`)).Draw(t, "domain")
		key := DomainKey(s)
		if again := DomainKey(key); again != key {
			t.Fatalf("DomainKey(%q) = %q, and of that %q", s, key, again)
		}
	})
}

// Whatever the parser takes must be harmless in a command, a header and a log.
func checkParsed(t interface{ Fatalf(string, ...any) }, s string, a Address, allowed bool) {
	if a.String() != s {
		t.Fatalf("ParseAddress(%q) became %q", s, a)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		t.Fatalf("ParseAddress(%q) took what can do harm", s)
	}
	if !allowed && !a.ASCII() {
		t.Fatalf("ParseAddress(%q) took UTF-8 without leave", s)
	}
	if a.Local[0] != '"' && strings.ContainsAny(a.Local, " <>@()\",;:\\[]") {
		t.Fatalf("the local part %q should be quoted", a.Local)
	}
	if strings.ContainsAny(a.Domain, " <>\\\"") && a.Domain[0] != '[' {
		t.Fatalf("the domain of %q can do harm", s)
	}
	key, err := ParseAddress(a.Key(), true)
	if err == nil && (!key.Equal(a) || key.Key() != a.Key()) {
		t.Fatalf("%q and its key %q are not equal", s, a.Key())
	}
	if err != nil && len(a.Key()) <= MaxMailbox {
		t.Fatalf("the key %q of %q is no address: %v", a.Key(), s, err)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@b", `"a b\""@c.example`, "a@[IPv6:::1]", "jörg@bücher.example", "a@[x:y]", `""@x`, "a@b\r\n"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, allowed bool) {
		if a, err := ParseAddress(s, allowed); err == nil {
			checkParsed(t, s, a, allowed)
		}
	})
}

func TestAllocations(t *testing.T) {
	a := Address{"user.name", "mail.example.com"}
	for name, f := range map[string]func(){
		"ParseAddress": func() { _, _ = ParseAddress("user.name@mail.example.com", true) },
		"DomainKey":    func() { _ = DomainKey("mail.example.com") },
		"Equal":        func() { _ = a.Equal(Address{"user.name", "mail.example.org"}) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkParseAddress(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseAddress("user.name+tag@mail.contoso.example", false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	a := Address{"user.name+tag", "mail.contoso.example"}
	b.ReportAllocs()
	for b.Loop() {
		_ = a.Key()
	}
}
