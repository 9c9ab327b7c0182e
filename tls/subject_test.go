package ptls

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
)

func TestParseSubject(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: "CN=edge.contoso.example", want: "CN=edge.contoso.example"},
		{in: `C=us,O="Contoso, Ltd.",CN=edge.contoso.example`, want: `C=US,O="Contoso, Ltd.",CN=edge.contoso.example`},
		{in: `cn=edge.contoso.example, o=Contoso\, Ltd. , c=US`, want: `C=US,O="Contoso, Ltd.",CN=edge.contoso.example`},
		{in: `O="He said \"so\"";OU=a;OU=b`, want: `O="He said \"so\"",OU=a,OU=b`},
		{in: `O=M\C3\BCller \\ Sons,S=Bavaria`, want: `ST=Bavaria,O="Müller \\ Sons"`},
		{in: `O=Müller`, want: `O=Müller`},
		{in: `O=\ Contoso\ `, want: `O=" Contoso "`},
		{in: `CN=edge,DC=contoso,DC=example`, want: `DC=contoso,DC=example,CN=edge`},
		{in: `2.5.4.3=edge,OID.2.5.4.10=Contoso`, want: "O=Contoso,CN=edge"},
		{in: "E=hostmaster@contoso.example", want: "emailAddress=hostmaster@contoso.example"},
		{in: "O=a=b", want: `O="a=b"`},
		{in: "", err: `"" is no part of a subject`},
		{in: "edge.contoso.example", err: "write TYPE=VALUE"},
		{in: "/C=US/CN=edge", err: "separate the parts of a subject with commas"},
		{in: "O=Contoso, Ltd.", err: `"Ltd." is no part of a subject`},
		{in: "O=Contoso,", err: "is no part of a subject"},
		{in: "O=,CN=x", err: "O: the value is missing"},
		{in: `O=""`, err: "the value is missing"},
		{in: `O="Contoso`, err: "closing quotation mark is missing"},
		{in: `O="Contoso" Ltd`, err: "stands behind the closing quotation mark"},
		{in: `O=a+OU=b`, err: `write + in a value as \+`},
		{in: `O=a\`, err: "a backslash stands before"},
		{in: `O=a\z`, err: "a backslash stands before"},
		{in: "O=#0403", err: "not in hexadecimal"},
		{in: "C=USA", err: "3 characters, and 2 are the most"},
		{in: "C=U1", err: "no country"},
		{in: "C=U", err: "no country"},
		{in: "CN=a,CN=b", err: "CN stands there 2 times"},
		{in: "UID=kim", err: `has no "UID" here; there are DC, C, ST`},
		{in: "O=a\x00b", err: "can't be printed"},
		{in: `O=a\0Ab`, err: "can't be printed"},
		{in: "O=a\xffb", err: "can't be printed"},
		{in: "E=käse@x.example", err: "outside ASCII"},
		{in: "serialNumber=a_b", err: "alone"},
		{in: "CN=" + strings.Repeat("x", 65), err: "65 characters, and 64 are the most"},
		{in: "O=" + strings.Repeat("x", maxSubject), err: "4096 octets at most"},
	} {
		s, err := ParseSubject(tt.in)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: %q, %v; want %q", tt.in, s, err, tt.err)
			}
		case err != nil || s.String() != tt.want:
			t.Errorf("%q: %q, %v; want %q", tt.in, s, err, tt.want)
		}
	}
}

// TestSubjectEncoding: what authorities read of it.
func TestSubjectEncoding(t *testing.T) {
	s, err := ParseSubject(`CN=edge,OU=Mail,OU=Edge,O=Käse AG,C=de,DC=contoso,DC=example,E=x@contoso.example`)
	if err != nil {
		t.Fatal(err)
	}
	der, err := s.WithCommonName("edge.contoso.example").DER()
	if err != nil {
		t.Fatal(err)
	}
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	var got []string
	for _, set := range seq {
		if len(set) != 1 {
			t.Errorf("%d values in one", len(set))
		}
		got = append(got, set[0].Type.String()+"="+set[0].Value.(string))
	}
	want := "0.9.2342.19200300.100.1.25=example 0.9.2342.19200300.100.1.25=contoso 2.5.4.6=DE 2.5.4.10=Käse AG 2.5.4.11=Mail 2.5.4.11=Edge 2.5.4.3=edge.contoso.example 1.2.840.113549.1.9.1=x@contoso.example"
	if strings.Join(got, " ") != want {
		t.Errorf("%s\nwant\n%s", strings.Join(got, " "), want)
	}
	if long := (Subject{}).WithCommonName(strings.Repeat("a", 70)); len(long.CommonName()) != 64 {
		t.Errorf("a common name of %d characters", len(long.CommonName()))
	}
}

func FuzzParseSubject(f *testing.F) {
	f.Add(`C=US,O="Org, Inc",CN=x`)
	f.Add(`O=a\,b;OU=\C3\A4,DC=x,DC=y`)
	f.Add(`E=a@b,serialNumber=1 , 2.5.4.3 = "\"" `)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSubject(text)
		if err != nil {
			return
		}
		again, err := ParseSubject(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q is %q, which is read as %q, %v", text, s, again, err)
		}
		der, err := s.DER()
		if err != nil {
			t.Fatal(err)
		}
		var seq pkix.RDNSequence
		if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 || len(seq) != len(s.parts) {
			t.Errorf("%q is encoded as %x, which is %v, %v", text, der, seq, err)
		}
	})
}
