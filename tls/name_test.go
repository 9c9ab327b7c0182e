//go:build unix

package ptls

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// TestThumbprintForms: the forms in which a thumbprint is pasted, where it is
// looked up and where tls_certificate has it.
func TestThumbprintForms(t *testing.T) {
	d := openStore(t)
	own := newAuthority(t, "Root", nil).issue(t, nil, nil, "edge.contoso.example")
	p := planOf(t, d)
	if _, err := p.Add(Entry{Chain: []*x509.Certificate{own.Leaf}, Key: newKey(t), FriendlyName: "Mail edge", Exportable: true}); err != nil {
		t.Fatal(err)
	}
	commit(t, p)
	writePEM(t, d.Path(), "edge.pem", own)
	sha256, sha1 := Thumbprint(own.Leaf), SHA1Thumbprint(own.Leaf)
	pairs := func(s string) string {
		var list []string
		for i := 0; i < len(s); i += 2 {
			list = append(list, s[i:i+2])
		}
		return strings.ToLower(strings.Join(list, " "))
	}
	for text, want := range map[string]struct{ looked, named bool }{
		sha256:                   {true, true},
		strings.ToLower(sha256):  {true, true},
		pairs(sha256):            {true, true},
		"\u200e" + pairs(sha1):   {true, true},
		sha1:                     {true, true},
		sha256[:16]:              {true, true},
		sha256[:40]:              {true, true},
		sha256[:15]:              {true, false},
		sha256[:7]:               {false, false},
		sha256[:20] + "x":        {false, false},
		strings.Repeat("00", 32): {false, false},
	} {
		l, err := d.Read()
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := l.Lookup(text)
		if (e != nil) != want.looked || (err == nil) != want.looked {
			t.Errorf("%q: looked up %v, %v", text, e != nil, err)
		}
		if found := l.Find(text, time.Now()); (found != nil) != want.named {
			t.Errorf("%q names it: %v", text, found != nil)
		}
	}
}

// TestChooseRemedies: what to do where tls_certificate names nothing, and where
// the request for a name waits already.
func TestChooseRemedies(t *testing.T) {
	d := openStore(t)
	w := ask(t, d, "edge.contoso.example")
	for certificate, want := range map[string]string{
		"":                      "request " + w.ID()[:16] + " waits for it: postern cert import what the authority returns",
		"nobody":                "16 digits at least",
		"<I>CN=Root<S>CN=edge.": "issuer and subject (<I>...<S>...) are not looked up",
	} {
		cfg := &config.Config{Server: config.Server{CertificateDirectory: d.Path()}, ReceiveConnectors: []config.ReceiveConnector{{Name: "In", FQDN: "edge.contoso.example", TLSCertificate: certificate}}}
		chooser, _ := ReadChooser(cfg)
		if c := chooser.Choose(&cfg.ReceiveConnectors[0], "", time.Now()); !strings.Contains(c.Remedy, want) {
			t.Errorf("%q: %s", certificate, c.Remedy)
		}
	}
}

// TestMissingIssuer: an import that lacked the certificate of the issuer is
// warned of as long as nobody has brought that.
func TestMissingIssuer(t *testing.T) {
	root := newAuthority(t, "Root", nil)
	middle := newAuthority(t, "Middle", root)
	d := openStore(t)
	w := ask(t, d, "edge.contoso.example")
	leaf := middle.sign(t, w.Request, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) })
	cfg := edge(d.Path(), func(r *config.ReceiveConnector) { r.FQDN = "edge.contoso.example" })
	for i, step := range []struct {
		certs []*x509.Certificate
		want  string
	}{
		{[]*x509.Certificate{leaf}, "warning: the chain of "},
		{[]*x509.Certificate{leaf}, "warning: the chain of "},
		{[]*x509.Certificate{leaf, middle.cert}, `note: the certificate "Mail edge"`},
		{[]*x509.Certificate{leaf}, `note: the certificate "Mail edge"`},
	} {
		p := planOf(t, d)
		if _, err := p.Import(bundle(step.certs...), ImportOptions{Roots: x509.NewCertPool(), Enabled: true}); err != nil {
			t.Fatal(err)
		}
		commit(t, p)
		f := CheckReceive(cfg)
		if len(f) != 1 || !strings.HasPrefix(f[0].Severity.String()+": "+strings.TrimPrefix(f[0].Message, `receive connector "From Internet": `), step.want) {
			t.Errorf("%d: %+v", i, f)
		}
		chooser, _ := ReadChooser(cfg)
		if n := len(chooser.Warnings(&cfg.ReceiveConnectors[0], time.Now())); (n > 0) != strings.HasPrefix(step.want, "warning") {
			t.Errorf("%d: %d warnings", i, n)
		}
	}
}
