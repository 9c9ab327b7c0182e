//go:build unix

package ptls

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

func noPassword(t testing.TB) func() (string, error) {
	return func() (string, error) {
		t.Error("a password was asked for")
		return "", nil
	}
}

func say(password string) func() (string, error) {
	return func() (string, error) { return password, nil }
}

func pemOf(t testing.TB, things ...any) []byte {
	t.Helper()
	text, err := os.ReadFile(writePEM(t, t.TempDir(), "x.pem", things...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func p7b(t testing.TB, certs ...*x509.Certificate) []byte {
	t.Helper()
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	der, err := asn1.Marshal(struct {
		Type asn1.ObjectIdentifier
		Data struct {
			Version int
			Digests asn1.RawValue
			Content struct{ Type asn1.ObjectIdentifier }
			Certs   asn1.RawValue
			Signers asn1.RawValue
		} `asn1:"explicit,tag:0"`
	}{
		Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2},
		Data: struct {
			Version int
			Digests asn1.RawValue
			Content struct{ Type asn1.ObjectIdentifier }
			Certs   asn1.RawValue
			Signers asn1.RawValue
		}{
			Version: 1, Digests: asn1.RawValue{Tag: asn1.TagSet, IsCompound: true},
			Content: struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
			Certs:   asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: all},
			Signers: asn1.RawValue{Tag: asn1.TagSet, IsCompound: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func indefinitely(t testing.TB, der []byte, depth int) []byte {
	t.Helper()
	list, err := elements(der, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, e := range list {
		if !e.constructed || depth == 0 {
			out = append(out, e.raw...)
			continue
		}
		out = append(out, e.raw[0], 0x80)
		out = append(out, indefinitely(t, e.content, depth-1)...)
		out = append(out, 0, 0)
	}
	return out
}

func TestParseBundle(t *testing.T) {
	root := newAuthority(t, "Root", nil)
	middle := newAuthority(t, "Middle", root)
	own := middle.issue(t, nil, nil, "edge.contoso.example")
	chain := []*x509.Certificate{own.Leaf, middle.cert}
	pfx := func(enc *pkcs12.Encoder, password string) []byte {
		der, err := enc.Encode(own.PrivateKey, own.Leaf, []*x509.Certificate{middle.cert}, password)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	as := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	request := func() []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"x.example"}}, own.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}()
	other := p7b(t, chain...)
	other[len(other)-len(p7b(t, chain...))+14] ^= 1 // another content type
	for name, tt := range map[string]struct {
		data     []byte
		password func() (string, error)
		certs    int
		keys     int
		format   string
		err      string
	}{
		"PEM":                  {data: pemOf(t, own.Leaf, middle.cert), certs: 2, format: "PEM"},
		"PEM in any order":     {data: pemOf(t, root.cert, own.PrivateKey, middle.cert, own.Leaf), certs: 3, keys: 1, format: "PEM"},
		"PEM with a mark":      {data: append([]byte("\xef\xbb\xbfSome text\r\n"), pemOf(t, own.Leaf)...), certs: 1, format: "PEM"},
		"DER":                  {data: own.Leaf.Raw, certs: 1, format: "DER"},
		"base64 alone":         {data: []byte(base64.StdEncoding.EncodeToString(own.Leaf.Raw)), certs: 1, format: "DER"},
		"base64 in lines":      {data: []byte(strings.ReplaceAll(base64.StdEncoding.EncodeToString(own.Leaf.Raw), "M", "M\r\n")), certs: 1, format: "DER"},
		"PKCS #7":              {data: p7b(t, middle.cert, own.Leaf), certs: 2, format: "PKCS #7"},
		"PKCS #7 BER":          {data: indefinitely(t, p7b(t, middle.cert, own.Leaf), 4), certs: 2, format: "PKCS #7"},
		"PKCS #7 PEM":          {data: as("PKCS7", p7b(t, chain...)), certs: 2, format: "PKCS #7"},
		"PKCS #7 of Windows":   {data: as("CERTIFICATE", p7b(t, chain...)), certs: 2, format: "PKCS #7"},
		"PKCS #7 in base64":    {data: []byte(base64.StdEncoding.EncodeToString(p7b(t, chain...))), certs: 2, format: "PKCS #7"},
		"PKCS #12":             {data: pfx(pkcs12.Modern2023, "secret"), password: say("secret"), certs: 2, keys: 1, format: "PKCS #12"},
		"PKCS #12 3DES":        {data: pfx(pkcs12.LegacyDES, "secret"), password: say("secret"), certs: 2, keys: 1, format: "PKCS #12"},
		"PKCS #12 RC2":         {data: pfx(pkcs12.LegacyRC2, "sécret"), password: say("sécret"), certs: 2, keys: 1, format: "PKCS #12"},
		"PKCS #12 PBMAC1":      {data: pfx(pkcs12.Modern2026, "secret"), password: say("secret"), certs: 2, keys: 1, format: "PKCS #12"},
		"PKCS #12 empty":       {data: pfx(pkcs12.Modern2023, ""), certs: 2, keys: 1, format: "PKCS #12"},
		"PKCS #12 open":        {data: pfx(pkcs12.Passwordless, ""), certs: 2, keys: 1, format: "PKCS #12"},
		"wrong password":       {data: pfx(pkcs12.Modern2023, "secret"), password: say("other"), err: "the password is wrong"},
		"no password":          {data: pfx(pkcs12.Modern2023, "secret"), password: func() (string, error) { return "", errors.New("nobody there") }, err: "nobody there"},
		"nothing":              {data: nil, err: "neither PEM, nor DER"},
		"text":                 {data: []byte("hello"), err: "neither PEM, nor DER"},
		"PEM of nothing":       {data: []byte("-----BEGIN NOTHING-----\n-----END NOTHING-----\n"), err: "there is no certificate in it"},
		"key alone":            {data: pemOf(t, own.PrivateKey), err: "a key and no certificate"},
		"encrypted key":        {data: append(pemOf(t, own.Leaf), as("ENCRYPTED PRIVATE KEY", []byte{1})...), err: "import it as PKCS #12"},
		"broken key":           {data: append(pemOf(t, own.Leaf), as("PRIVATE KEY", []byte{1})...), err: "private key in it can't be read"},
		"broken certificate":   {data: as("CERTIFICATE", []byte{0x30, 3, 0x30, 1, 0}), err: "can't be read"},
		"request":              {data: as("CERTIFICATE REQUEST", request), err: "send that to the authority"},
		"request of Windows":   {data: as("NEW CERTIFICATE REQUEST", request), err: "send that to the authority"},
		"request DER":          {data: request, err: "send that to the authority"},
		"PKCS #7 cut short":    {data: p7b(t, chain...)[:200], err: "neither PEM"},
		"PKCS #7 of data":      {data: other, err: "of a kind that holds no certificates"},
		"PKCS #7 of nothing":   {data: p7b(t), err: "there is no certificate in it"},
		"PKCS #12 in PEM":      {data: as("CERTIFICATE", pfx(pkcs12.Passwordless, "")), err: "can't be read"},
		"certificate cut":      {data: own.Leaf.Raw[:100], err: "neither PEM"},
		"far too many":         {data: []byte(strings.Repeat(string(pemOf(t, own.Leaf)), maxBundle+1)), err: "more than 100"},
		"far too many PKCS #7": {data: p7b(t, slicesRepeat(own.Leaf, maxBundle+1)...), err: "more than 100"},
		"far too large":        {data: make([]byte, maxPEM+1), err: "larger than 4 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.password == nil {
				tt.password = noPassword(t)
			}
			b, err := ParseBundle(tt.data, tt.password)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%+v, %v; want %q", b, err, tt.err)
				}
				return
			}
			if err != nil || len(b.Certs) != tt.certs || len(b.Keys) != tt.keys || b.Format != tt.format {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
}

func slicesRepeat(c *x509.Certificate, n int) []*x509.Certificate {
	list := make([]*x509.Certificate, n)
	for i := range list {
		list[i] = c
	}
	return list
}

func TestPKCS12Rounds(t *testing.T) {
	own := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
	der, err := pkcs12.LegacyDES.Encode(own.PrivateKey, own.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	// The key's 2048 rounds, as a number of two octets.
	i := strings.LastIndex(string(der), "\x02\x02\x08\x00")
	if i < 0 {
		t.Fatal("no rounds to be found")
	}
	slow := []byte(strings.Replace(string(der), "\x02\x02\x08\x00", "\x02\x02\x7f\xff", 1))
	if _, err := ParseBundle(slow, say("secret")); !errors.Is(err, ErrPassword) {
		t.Errorf("32767 rounds: %v", err)
	}
	huge := struct {
		Salt   []byte
		Rounds int64
	}{[]byte("saltsalt"), 1 << 40}
	// encoding/asn1 passes over what stands at the end of a sequence.
	for _, behind := range []asn1.RawValue{{Tag: asn1.TagNull}, {FullBytes: []byte{0x1f, 0x20, 0}}} {
		bad, err := asn1.Marshal(struct {
			Version     int
			Mac, Behind any
		}{3, huge, behind})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseBundle(bad, say("secret")); err == nil || !strings.Contains(err.Error(), "would take hours") {
			t.Errorf("2^40 rounds before %x: %v", behind.FullBytes, err)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	root := newAuthority(f, "Root", nil)
	own := root.issue(f, nil, nil, "edge.contoso.example")
	f.Add(own.Leaf.Raw)
	f.Add(p7b(f, own.Leaf, root.cert))
	f.Add(indefinitely(f, p7b(f, own.Leaf), 4))
	f.Add(pemOf(f, own.Leaf, own.PrivateKey))
	f.Add([]byte(base64.StdEncoding.EncodeToString(own.Leaf.Raw)))
	for _, enc := range []*pkcs12.Encoder{pkcs12.Modern2023, pkcs12.LegacyRC2, pkcs12.Passwordless} {
		der, err := enc.Encode(own.PrivateKey, own.Leaf, nil, "")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBundle(data, say("secret"))
		if err == nil && (len(b.Certs) == 0 || len(b.Certs) > maxBundle+1) {
			t.Errorf("%d certificates and no error", len(b.Certs))
		}
	})
}

func FuzzTLV(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x02, 1, 1, 0, 0})
	f.Add([]byte{0x30, 0x82, 0, 3, 2, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, err := nextTLV(b, 0)
		if err == nil && (string(e.raw)+string(rest) != string(b) || len(e.content) > len(e.raw)-2) {
			t.Errorf("%x is %x and %x", b, e.raw, rest)
		}
	})
}
