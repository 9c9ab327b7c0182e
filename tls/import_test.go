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
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postern/config"
)

// noPassword fails a test when a password is asked for.
func noPassword(t testing.TB) func() (string, error) {
	return func() (string, error) {
		t.Error("a password was asked for")
		return "", nil
	}
}

func say(password string) func() (string, error) {
	return func() (string, error) { return password, nil }
}

// pemOf writes certificates and keys as PEM.
func pemOf(t testing.TB, things ...any) []byte {
	t.Helper()
	text, err := os.ReadFile(writePEM(t, t.TempDir(), "x.pem", things...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// p7b is PKCS #7 with certificates alone (RFC 2315 9.1).
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

// indefinitely writes every constructed element outside certificates with an
// indefinite length, as NSS and Java do.
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

// TestParseBundle: the same chain in every form that it comes in.
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

// TestPKCS12Rounds: a file whose password would be hashed for hours is refused
// before that begins.
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
	bad, err := asn1.Marshal(struct {
		Version int
		Mac     any
	}{3, huge})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseBundle(bad, say("secret")); err == nil || !strings.Contains(err.Error(), "would take hours") {
		t.Errorf("2^40 rounds: %v", err)
	}
}

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
		"no root":        {with(key(own), own.Leaf, middle.cert), `edge.contoso.example < Middle; from the file; the chain ends at "CN=Middle": the certificate of its issuer, "CN=Root", is neither`, ""},
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
