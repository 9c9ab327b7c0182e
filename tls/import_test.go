//go:build unix

package ptls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// noPassword fails a test when a password is asked for.
// pemOf writes certificates and keys as PEM.
// p7b is PKCS #7 with certificates alone (RFC 2315 9.1).
// indefinitely writes every constructed element outside certificates with an
// indefinite length, as NSS and Java do.
// TestParseBundle: the same chain in every form that it comes in.
// TestPKCS12Rounds: a file whose password would be hashed for hours is refused
// before that begins.
// openStore opens a store in a new directory.
func openStore(t testing.TB) *Directory {
	t.Helper()
	d, err := OpenDirectory(filepath.Join(t.TempDir(), "certificates"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func planOf(t testing.TB, d *Directory) *Plan {
	t.Helper()
	p, err := d.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func commit(t testing.TB, p *Plan) {
	t.Helper()
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
}

// ask plans and makes a request for names.
func ask(t testing.TB, d *Directory, names ...string) *Waiting {
	t.Helper()
	p := planOf(t, d)
	w, err := p.Request(RequestOptions{Names: names, Key: newKey(t), FriendlyName: "Mail edge", Exportable: true})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, p)
	return w
}

// sign makes the certificate that a request asks for.
func (a *authority) sign(t testing.TB, r *x509.CertificateRequest, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	return a.issue(t, publicOnly{r.PublicKey}, change, r.DNSNames...).Leaf
}

// publicOnly is a key that is known by its public half.
type publicOnly struct{ public crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.public }
func (publicOnly) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("there is no private half")
}

func bundle(certs ...*x509.Certificate) *Bundle { return &Bundle{Format: "PEM", Certs: certs} }

// TestImport: what is joined with what, and what is refused.
func TestImport(t *testing.T) {
	root := newAuthority(t, "Root", nil)
	middle := newAuthority(t, "Middle", root)
	own := middle.issue(t, nil, nil, "edge.contoso.example")
	other := middle.issue(t, nil, nil, "edge.contoso.example")
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short := shortKey(t)
	with := func(keys []crypto.Signer, certs ...*x509.Certificate) *Bundle {
		return &Bundle{Format: "PKCS #12", Certs: certs, Keys: keys, FriendlyName: "from the file"}
	}
	key := func(c *tls.Certificate) []crypto.Signer { return []crypto.Signer{c.PrivateKey.(crypto.Signer)} }
	cn := func(name string) func(c *x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = name }
	}
	for name, tt := range map[string]struct {
		bundle *Bundle
		want   string // chain, friendly name, warnings
		err    string
	}{
		"with its key":   {with(key(own), own.Leaf, middle.cert, root.cert), "edge.contoso.example < Middle; from the file; ", ""},
		"any order":      {with(key(own), root.cert, middle.cert, own.Leaf), "edge.contoso.example < Middle; from the file; ", ""},
		"no root":        {with(key(own), own.Leaf, middle.cert), `edge.contoso.example < Middle; from the file; the chain ends at "CN=Middle", whose issuer, "CN=Root", this system does not know; hosts that check`, ""},
		"no middle":      {with(key(own), own.Leaf), `edge.contoso.example; from the file; the chain ends at "CN=edge.contoso.example"`, ""},
		"other middle":   {with(key(own), own.Leaf, newAuthority(t, "Middle", root).cert), "edge.contoso.example; from the file; the chain ends at", ""},
		"wrong key":      {with(key(other), own.Leaf), "", "the private key in the file does not belong to the certificate for edge.contoso.example"},
		"no key":         {bundle(own.Leaf, middle.cert), "", "there is no private key for the certificate for edge.contoso.example"},
		"no keys":        {bundle(own.Leaf, other.Leaf), "", "there are 2 certificates in the file, and the key of none"},
		"an authority":   {bundle(middle.cert, root.cert), "", `"CN=Middle" is an authority's certificate`},
		"authority+key":  {with([]crypto.Signer{root.key}, root.cert), "", `make one for servers: postern cert new`},
		"two":            {with(append(key(own), key(other)...), own.Leaf, other.Leaf), "", "several certificates with their keys"},
		"RSA 1024":       {with([]crypto.Signer{short}, (*authority)(nil).issue(t, short, nil, "w.example").Leaf), "", "1024 bits, which is too short"},
		"P-224":          {with([]crypto.Signer{weak}, middle.issue(t, weak, nil, "w.example").Leaf), "", "224 bits, which is too short"},
		"expired":        {with(key(own), expiredOf(t, root, own).Leaf, root.cert), "edge.contoso.example; from the file; the certificate expired on ", ""},
		"for clients":    {with(key(own), root.issue(t, own.PrivateKey.(crypto.Signer), clientsOnly, "edge.contoso.example").Leaf, root.cert), "edge.contoso.example; from the file; the certificate may not be used by servers", ""},
		"no names":       {with(key(own), root.issue(t, own.PrivateKey.(crypto.Signer), func(c *x509.Certificate) { c.DNSNames = nil }, "edge").Leaf, root.cert), "edge; from the file; the certificate has no DNS name", ""},
		"for no FQDN":    {with(key(own), root.issue(t, own.PrivateKey.(crypto.Signer), nil, "www.contoso.example").Leaf, root.cert), "www.contoso.example; from the file; the certificate is for www.contoso.example, and for the FQDN of no Receive connector: edge.contoso.example", ""},
		"hostile names":  {with(key(own), root.issue(t, own.PrivateKey.(crypto.Signer), cn("a\x1b[31m\nb"), "edge.contoso.example").Leaf, root.cert), "a\x1b[31m\nb; from the file; ", ""},
		"nothing at all": {bundle(), "", "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openStore(t)
			p := planOf(t, d)
			im, err := p.Import(tt.bundle, ImportOptions{Roots: x509.NewCertPool(), Connectors: edgeConnectors()})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("%+v, %v; want %q", im, err, tt.err)
				}
				if !p.Empty() {
					t.Error("something is planned all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			commit(t, p)
			l, err := d.Read()
			if err != nil || len(l.Problems) > 0 || len(l.Entries) != 1 {
				t.Fatalf("%+v, %v", l, err)
			}
			e := l.Entries[0]
			var names, warnings []string
			for _, c := range e.Chain {
				names = append(names, c.Subject.CommonName)
			}
			for _, f := range im.Findings {
				warnings = append(warnings, f.Message)
				if f.Remedy == "" {
					t.Errorf("no remedy for %s", f.Message)
				}
			}
			got := strings.Join(names, " < ") + "; " + e.FriendlyName + "; " + strings.Join(warnings, " | ")
			if !strings.HasPrefix(got, tt.want) || strings.HasSuffix(tt.want, "; ") && len(warnings) > 0 {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if e.Key == nil || e.Enabled || !e.Exportable {
				t.Errorf("%+v", e)
			}
		})
	}
}

func edgeConnectors() []config.ReceiveConnector {
	return []config.ReceiveConnector{{Name: "From Internet", Enabled: true, FQDN: "edge.contoso.example", AuthMechanism: []string{"tls"}}}
}

func clientsOnly(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

func expiredOf(t testing.TB, a *authority, own *tls.Certificate) *tls.Certificate {
	return a.issue(t, own.PrivateKey.(crypto.Signer), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-50*time.Minute), time.Now().Add(-time.Minute)
	}, "edge.contoso.example")
}

// shortKey is an RSA key of 1024 bits, which crypto/rsa makes no more.
func shortKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestImportJoins: the round from a request to its certificate and the next
// one.
func TestImportJoins(t *testing.T) {
	root := newAuthority(t, "Root", nil)
	middle := newAuthority(t, "Middle", root)
	d := openStore(t)
	w := ask(t, d, "edge.contoso.example", "mail.contoso.example")
	l, err := d.Read()
	if err != nil || len(l.Waiting) != 1 || len(l.Entries)+len(l.Problems) != 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	if got := l.Waiting[0]; got.ID() != w.ID() || got.FriendlyName != "Mail edge" || strings.Join(got.Names(), " ") != "edge.contoso.example mail.contoso.example" ||
		got.Request.Subject.CommonName != "edge.contoso.example" || got.Request.CheckSignature() != nil || !got.Requested.Equal(w.Requested) {
		t.Errorf("waiting is %+v", got)
	}
	if info, err := os.Stat(w.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	// A certificate for the same names and another key says what is wrong.
	p := planOf(t, d)
	if _, err := p.Import(bundle(middle.issue(t, nil, nil, w.Names()...).Leaf), ImportOptions{}); err == nil || !strings.Contains(err.Error(), "was issued for another key than the one that waits for these names, "+w.ID()[:16]) {
		t.Error(err)
	}

	first := middle.sign(t, w.Request, nil)
	in := func(certs ...*x509.Certificate) *Imported {
		t.Helper()
		p := planOf(t, d)
		im, err := p.Import(bundle(certs...), ImportOptions{Roots: root.pool()})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, p)
		return im
	}
	if im := in(first); im.Joined == nil || im.Known || len(im.Findings) != 1 || im.Entry.FriendlyName != "Mail edge" {
		t.Errorf("%+v", im)
	}
	// The chain came later; then the same again changes nothing.
	if im := in(middle.cert, first); im.Joined != nil || !im.Known || len(im.Findings) != 0 || len(im.Entry.Chain) != 2 {
		t.Errorf("%+v", im)
	}
	before := names(t, d.path)
	p = planOf(t, d)
	if im, err := p.Import(bundle(first), ImportOptions{Roots: root.pool()}); err != nil || !im.Known || !p.Empty() || len(im.Entry.Chain) != 2 {
		t.Errorf("%+v, %v", im, err)
	}
	if l, err = d.Read(); err != nil || len(l.Waiting) != 0 || len(l.Entries) != 1 || len(before) != 1 {
		t.Fatalf("%+v, %v, %q", l, err, before)
	}

	// The next one finds the chain in the store.
	old := l.Entries[0]
	p = planOf(t, d)
	next, err := p.Request(RequestOptions{Names: w.Names(), RawSubject: old.Leaf().RawSubject, Key: newKey(t), FriendlyName: old.FriendlyName, Exportable: true, Renews: old.Thumbprint()})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, p)
	im := in(middle.sign(t, next.Request, nil))
	if im.Replaces == nil || im.Replaces.Thumbprint() != old.Thumbprint() || len(im.Entry.Chain) != 2 || len(im.Findings) != 0 {
		t.Errorf("%+v", im)
	}
	if l, _ = d.Read(); len(l.Entries) != 2 || len(l.Waiting) != 0 {
		t.Errorf("%+v", l)
	}
}

// TestImportKeepsKey: a key that may not leave the store may not leave it with
// another certificate for the same request either.
func TestImportKeepsKey(t *testing.T) {
	root := newAuthority(t, "Root", nil)
	d := openStore(t)
	p := planOf(t, d)
	w, err := p.Request(RequestOptions{Names: []string{"edge.contoso.example"}, Key: newKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, p)
	for i, b := range []*Bundle{
		bundle(root.sign(t, w.Request, nil), root.cert),
		bundle(root.sign(t, w.Request, nil), root.cert),
		{Format: "PKCS #12", Certs: []*x509.Certificate{root.sign(t, w.Request, nil), root.cert}, Keys: []crypto.Signer{w.Key}},
	} {
		p := planOf(t, d)
		im, err := p.Import(b, ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, p)
		e := planOf(t, d).listing.withKey(im.Entry.Thumbprint())
		if e == nil || e.Exportable || im.Entry.Exportable {
			t.Fatalf("%d: the key may leave the store: %+v", i, e)
		}
		if _, err := e.PEM(true); !errors.Is(err, ErrNotExportable) {
			t.Errorf("%d: export: %v", i, err)
		}
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		if e.Name() != lockName {
			out = append(out, e.Name())
		}
	}
	return out
}

// FuzzParseBundle: files of strangers.
// TestFileNames: whatever a certificate is for, its file stands in the store.
func TestFileNames(t *testing.T) {
	digest := strings.Repeat("0123456789ABCDEF", 4)
	for label, want := range map[string]string{
		"edge.contoso.example": "edge.contoso.example-01234567", "*.contoso.example": "wildcard.contoso.example-01234567", "": "certificate-01234567",
		"../../etc/x": "etc-x-01234567", "a/b\x00c\nd": "a-b-c-d-01234567", ".hidden": "hidden-01234567", "KÄSE": "k-se-01234567",
		strings.Repeat("a", 200): strings.Repeat("a", 100) + "-01234567",
	} {
		if got := fileName(label, digest); got != want {
			t.Errorf("%q: %q, want %q", label, got, want)
		}
	}
}
