//go:build unix

package ptls

import (
	"crypto"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestExportImport(t *testing.T) {
	root := newAuthority(t, "Root", nil)
	middle := newAuthority(t, "Middle", root)
	rsaKey, err := GenerateKey(RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	longKey, err := GenerateKey(ECDSA384)
	if err != nil {
		t.Fatal(err)
	}
	keys := []crypto.Signer{rsaKey, longKey, newKey(t)}
	rapid.Check(t, func(rt *rapid.T) {
		key := keys[rapid.IntRange(0, 2).Draw(rt, "key")]
		own := middle.issue(t, key, nil, rapid.StringMatching(`[a-z]{1,10}(\.[a-z]{1,10}){1,3}`).Draw(rt, "name"), "edge.contoso.example")
		from := Entry{Chain: []*x509.Certificate{own.Leaf, middle.cert}, Key: key, FriendlyName: rapid.String().Draw(rt, "friendly name"), Exportable: true, Enabled: rapid.Bool().Draw(rt, "enabled")}
		from.FriendlyName = friendly(from.FriendlyName)
		p12, password := rapid.IntRange(0, 30).Draw(rt, "format") == 17, rapid.String().Draw(rt, "password")
		var text []byte
		var err error
		if p12 {
			if text, err = from.PKCS12(password); err != nil { // not everything fits a BMPString
				return
			}
		} else if text, err = from.PEM(true); err != nil {
			rt.Fatal(err)
		}
		b, err := ParseBundle(text, say(password))
		if err != nil {
			rt.Fatal(err)
		}
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		d, err := OpenDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		p := planOf(t, d)
		im, err := p.Import(b, ImportOptions{Roots: root.pool()})
		if err != nil {
			rt.Fatal(err)
		}
		commit(t, p)
		to := planOf(t, d).Listing().Entries[0]
		want := from.FriendlyName
		if p12 || want == "" {
			want = own.Leaf.DNSNames[0]
		}
		if len(im.Findings) > 0 || to.FriendlyName != want || !fits(own.Leaf, to.Key) || !to.Exportable || to.Enabled ||
			!slices.EqualFunc(to.Chain, from.Chain, (*x509.Certificate).Equal) {
			rt.Errorf("%+v became %+v; %v", from, to, im.Findings)
		}
	})
}

func TestExportRefused(t *testing.T) {
	own := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
	e := Entry{Chain: []*x509.Certificate{own.Leaf}, Key: own.PrivateKey.(crypto.Signer)}
	if _, err := e.PEM(true); !errors.Is(err, ErrNotExportable) {
		t.Error(err)
	}
	if _, err := e.PKCS12("x"); !errors.Is(err, ErrNotExportable) {
		t.Error(err)
	}
	text, err := e.PEM(false)
	if err != nil || strings.Contains(string(text), "PRIVATE KEY") || strings.Contains(string(text), "postern") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestSelfSign(t *testing.T) {
	for _, kind := range KeyKinds() {
		key, err := GenerateKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		c, err := SelfSign(RequestOptions{Names: []string{"edge.contoso.example", "*.contoso.example"}, Key: key}, 90*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if !IsSelfSigned(c) || c.IsCA || KindOf(c.PublicKey) != kind || c.Subject.CommonName != "edge.contoso.example" || len(c.DNSNames) != 2 ||
			checkKey(c.PublicKey) != nil || (c.KeyUsage&x509.KeyUsageKeyEncipherment != 0) != strings.HasPrefix(string(kind), "rsa") {
			t.Errorf("%s: %+v", kind, c)
		}
		if _, err := ParseKeyKind(strings.ToUpper(string(kind))); err != nil {
			t.Error(err)
		}
	}
}

func TestCertificateNames(t *testing.T) {
	for in, want := range map[string]string{
		"Edge.Contoso.Example.": "edge.contoso.example", "*.Contoso.example": "*.contoso.example", "bücher.example": "xn--bcher-kva.example",
		"*.bücher.example": "*.xn--bcher-kva.example", " a.example ": "a.example", "vm": "vm",
		"192.0.2.1": "", "2001:db8::1": "", "[192.0.2.1]": "", "a b.example": "", "": "", "*": "", "*.com": "", "a.*.example": "", "a*.example": "", "-a.example": "", "a_b.example": "",
	} {
		got, err := CertificateName(in)
		if (err == nil) != (want != "") || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := CertificateNames(nil); err == nil {
		t.Error("a certificate without names")
	}
	if got, err := CertificateNames([]string{"b.example", "a.example", "B.example."}); err != nil || strings.Join(got, " ") != "b.example a.example" {
		t.Error(got, err)
	}
}

func TestLookup(t *testing.T) {
	d := openStore(t)
	own := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
	writePEM(t, d.Path(), "a.crt", own.Leaf)
	writePEM(t, d.Path(), "b.pem", own)
	w := ask(t, d, "edge.contoso.example")
	l := planOf(t, d).Listing()
	thumbprint := Thumbprint(own.Leaf)
	for _, name := range []string{thumbprint, strings.ToLower(thumbprint[:8]), colons(thumbprint)[:20], SHA1Thumbprint(own.Leaf)} {
		if e, _, err := l.Lookup(name); err != nil || e == nil || e.Key == nil {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if e, found, err := l.Lookup(w.ID()[:10]); err != nil || e != nil || found.ID() != w.ID() {
		t.Error(e, found, err)
	}
	for name, want := range map[string]string{"": "too short", thumbprint[:7]: "too short", "edge.contoso.example": "is no thumbprint", "00000000": "no certificate has a thumbprint that begins with 00000000"} {
		if _, _, err := l.Lookup(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
