package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	ptls "postern/tls"
)

// certHost is a host with a configuration and no gateway that runs.
type certHost struct {
	t      *testing.T
	dir    string
	config string
	root   *x509.Certificate
	key    crypto.Signer
	signed int // each certificate is a second newer than the one before
}

const certConfig = `[server]
fqdn = "edge.contoso.example"
data_dir = "DIR/data"
[[accepted_domain]]
domain = "contoso.example"
[[receive_connector]]
name = "From Internet"
bindings = ["0.0.0.0:25"]
permission_groups = ["anonymous"]
[[receive_connector]]
name = "Submission"
bindings = ["[::]:465"]
fqdn = "mail.contoso.example"
implicit_tls = true
permission_groups = ["users"]
[[receive_connector]]
name = "Old"
enabled = false
bindings = ["127.0.0.1:26"]
permission_groups = ["anonymous"]
[[send_connector]]
name = "Internet"
address_spaces = ["*"]
`

func newCertHost(t *testing.T) *certHost {
	t.Helper()
	h := &certHost{t: t, dir: t.TempDir()}
	h.configure(certConfig)
	if err := os.Mkdir(filepath.Join(h.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.key = h.newKey()
	h.root = h.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "Contoso Root CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, h.key.Public())
	return h
}

func (h *certHost) configure(text string) {
	h.t.Helper()
	h.config = h.write("postern.toml", []byte(strings.ReplaceAll(text, "DIR", h.dir)))
}

func (h *certHost) write(name string, text []byte) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *certHost) newKey() *ecdsa.PrivateKey {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	return key
}

// sign makes a certificate of the root's, valid for 90 days.
func (h *certHost) sign(template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	h.t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		h.signed++
		now := time.Now().Add(time.Duration(h.signed) * time.Second)
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(90*24*time.Hour)
	}
	parent := h.root
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// issue answers a request for names.
func (h *certHost) issue(public crypto.PublicKey, names ...string) *x509.Certificate {
	h.t.Helper()
	return h.sign(&x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, public)
}

// pem writes a file of certificates and keys.
func (h *certHost) pem(name string, things ...any) string {
	h.t.Helper()
	var text []byte
	for _, x := range things {
		switch x := x.(type) {
		case *x509.Certificate:
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw})...)
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalPKCS8PrivateKey(x)
			if err != nil {
				h.t.Fatal(err)
			}
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
		}
	}
	return h.write(name, text)
}

// saying is somebody who says these lines when asked.
func saying(lines string) io.Reader { return answers{strings.NewReader(lines)} }

// run runs "postern cert" and returns what it printed.
func (h *certHost) run(in io.Reader, args ...string) (code int, out, errs string) {
	h.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), append([]string{"cert", "--config", h.config}, args...), streams{in, &stdout, &stderr})
	for _, secret := range []string{"pencil", "-----BEGIN PRIVATE KEY"} {
		if strings.Contains(stdout.String()+stderr.String(), secret) {
			h.t.Errorf("cert %q prints a secret:\n%s%s", args, &stdout, &stderr)
		}
	}
	return code, stdout.String(), stderr.String()
}

// must runs a command that has to succeed.
func (h *certHost) must(args ...string) string {
	h.t.Helper()
	code, out, errs := h.run(strings.NewReader(""), args...)
	if code != exitDone {
		h.t.Fatalf("cert %q: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// listed is what "cert list" answers.
func (h *certHost) listed() certListJSON {
	h.t.Helper()
	var list certListJSON
	if err := json.Unmarshal([]byte(h.must("list", "--output", "json")), &list); err != nil {
		h.t.Fatal(err)
	}
	return list
}

// store is what stands in the store: names and contents.
func (h *certHost) store() string {
	h.t.Helper()
	var all strings.Builder
	files, _ := os.ReadDir(filepath.Join(h.dir, "data", "certificates"))
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(h.dir, "data", "certificates", f.Name()))
		if err != nil {
			h.t.Fatal(err)
		}
		all.WriteString(f.Name() + "\n" + string(text))
	}
	return all.String()
}

// requested is the request that waits, as an authority gets it.
func (h *certHost) requested() *x509.CertificateRequest {
	h.t.Helper()
	list := h.listed()
	if len(list.Waiting) != 1 {
		h.t.Fatalf("%d requests wait", len(list.Waiting))
	}
	b, _ := pem.Decode([]byte(list.Waiting[0].Request))
	r, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// TestCertWrong: what each command refuses, with which code, and what it says to
// do; nothing is left of it.
func TestCertWrong(t *testing.T) {
	h := newCertHost(t)
	own, other := h.newKey(), h.newKey()
	pinned := h.issue(own.Public(), "edge.contoso.example")
	h.must("import", h.pem("own.pem", own, pinned, h.root))
	used := ptls.Thumbprint(pinned)
	h.must("enable", used[:8], "--connector", "From Internet", "--yes")
	h.must("import", h.pem("kept.pem", other, h.issue(other.Public(), "kept.contoso.example"), h.root), "--not-exportable")
	kept := h.listed().Certificates[1].Thumbprint
	old := h.newKey()
	h.must("import", h.pem("old.pem", old, h.issue(old.Public(), "old.contoso.example"), h.root))
	h.must("request", "--domain", "waits.contoso.example", "--yes")
	waits := h.listed().Waiting[0].ID
	h.configure(strings.Replace(certConfig, "implicit_tls = true", "implicit_tls = true\ntls_certificate = \"kept.contoso.example\"", 1))
	pfx, err := pkcs12.Modern2023.Encode(own, pinned, nil, "pencil")
	if err != nil {
		t.Fatal(err)
	}
	h.write("own.pfx", pfx)
	h.write("wrong.pass", []byte("eraser\n"))
	h.write("there", nil)
	open := h.write("open.pass", []byte("pencil\n"))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(h.dir, name) }
	nobody := "0000000000000000"
	before := h.store()
	for _, tt := range []struct {
		in   io.Reader
		args []string
		code int
		want string
	}{
		{nil, nil, exitUsage, "name one of its commands"},
		{nil, []string{"frobnicate"}, exitUsage, "unknown command"},
		{nil, []string{"list", "x"}, exitUsage, "takes no argument"},
		{nil, []string{"list", "--domain", "a b"}, exitUsage, "is no DNS name"},
		{nil, []string{"show"}, exitUsage, "THUMBPRINT is missing"},
		{nil, []string{"show", "edge"}, exitFailed, `"edge" is no thumbprint; "postern cert list" shows them`},
		{nil, []string{"show", "ABCDEF"}, exitFailed, "too short for a thumbprint"},
		{nil, []string{"show", nobody}, exitFailed, "no certificate has a thumbprint that begins with"},

		{nil, []string{"request"}, exitUsage, "--connector or --domain"},
		{nil, []string{"request", "--connector", "Nobody"}, exitFailed, `no Receive connector "Nobody"; "postern connector list" names them`},
		{nil, []string{"request", "--connector", "Internet"}, exitFailed, "is a Send connector"},
		{nil, []string{"request", "--connector", "From Internet"}, exitUsage, "say so beforehand with --yes"},
		{saying("n\n"), []string{"request", "--connector", "From Internet", "--out", at("declined.csr")}, exitFailed, "nothing was done"},
		{nil, []string{"request", "--domain", "192.0.2.1", "--yes"}, exitUsage, "certificates of mail gateways are for names"},
		{nil, []string{"request", "--domain", "a.example", "--key", "rsa1024"}, exitUsage, "want rsa2048, rsa3072, rsa4096, ecdsa256, ecdsa384"},
		{nil, []string{"request", "--domain", "a.example", "--subject", "Contoso"}, exitUsage, "--subject: "},
		{nil, []string{"request", "--domain", "a.example", "--der"}, exitUsage, "--der is binary, and needs --out FILE"},
		{nil, []string{"request", "--domain", "a.example", "--out", at("there")}, exitFailed, "is there already; remove it, or name another file"},
		{nil, []string{"request", "--domain", "a.example", "--out", at("no/where")}, exitFailed, "no such file"},

		{nil, []string{"new", "--domain", "a.example", "--days", "0"}, exitUsage, "want 1 to 3650"},
		{nil, []string{"new", "--connector", "Submission"}, exitFailed, `the configuration says what Receive connector "Submission" shows, tls_certificate = "kept.contoso.example", and comes first`},
		{saying("no\n"), []string{"new", "--connector", "From Internet"}, exitFailed, "nothing was done"},

		{nil, []string{"import", at("nothing")}, exitFailed, "no such file"},
		{nil, []string{"import", at("there")}, exitFailed, "neither PEM, nor DER"},
		{nil, []string{"import", at("postern.toml")}, exitFailed, "neither PEM, nor DER"},
		{nil, []string{"import", h.pem("authority.pem", h.root)}, exitFailed, "is an authority's certificate"},
		{nil, []string{"import", h.pem("keyless.pem", h.issue(h.newKey().Public(), "new.contoso.example"))}, exitFailed, "there is no private key for the certificate for new.contoso.example"},
		{nil, []string{"import", h.pem("mixed.pem", h.newKey(), pinned)}, exitFailed, "does not belong to the certificate"},
		{nil, []string{"import", at("own.pfx")}, exitUsage, "nobody is there to ask; name a file with it: --password-file"},
		{strings.NewReader("eraser\n"), []string{"import", at("own.pfx")}, exitFailed, "the password is wrong; nothing was changed"},
		{nil, []string{"import", at("own.pfx"), "--password-file", at("wrong.pass")}, exitFailed, "the password is wrong"},
		{nil, []string{"import", at("own.pfx"), "--password-file", open}, exitFailed, "is open to everybody"},
		{nil, []string{"import", at("own.pem"), "--connector", "Submission"}, exitFailed, "and comes first"},
		{nil, []string{"import", at("own.pem"), "--connector", "Nobody"}, exitFailed, "no Receive connector"},
		{nil, []string{"import", at("own.pem"), "--smtp", "--install-only"}, exitUsage, "--install-only enables nothing"},

		{nil, []string{"enable", used}, exitUsage, "--connector NAME, or --smtp"},
		{nil, []string{"enable", nobody, "--smtp"}, exitFailed, "no certificate has a thumbprint"},
		{nil, []string{"enable", waits[:10], "--smtp"}, exitFailed, "is a request, which waits for its certificate; import that first"},
		{nil, []string{"enable", used, "--connector", "Submission"}, exitFailed, `write tls_certificate = "` + used + `" there, or take the line out, and postern reload`},
		{nil, []string{"enable", used, "--connector", "Internet"}, exitFailed, "is a Send connector"},
		{nil, []string{"enable", kept, "--connector", "From Internet"}, exitUsage, "say so beforehand with --yes"},
		{saying("\n"), []string{"enable", kept, "--connector", "From Internet"}, exitFailed, "From Internet  " + used[:16] + "  " + kept[:16]},
		{nil, []string{"disable", used}, exitUsage, "--connector NAME, or --smtp"},
		{nil, []string{"disable", kept, "--connector", "From Internet"}, exitFailed, "is not assigned to Receive connector"},

		{nil, []string{"renew", nobody}, exitFailed, "no certificate has a thumbprint"},
		{nil, []string{"renew", used, "--key", "dsa"}, exitUsage, "want rsa2048"},
		{nil, []string{"renew", waits}, exitFailed, "is a request"},

		{nil, []string{"export", used, "--out", at("x")}, exitUsage, "want pem or p12"},
		{nil, []string{"export", used, "--format", "pem"}, exitUsage, "--out is missing"},
		{nil, []string{"export", used, "--format", "p12", "--out", "-"}, exitUsage, "a p12 is binary"},
		{nil, []string{"export", used, "--format", "p12", "--no-key", "--out", at("x")}, exitUsage, "write --format pem"},
		{nil, []string{"export", used, "--format", "pem", "--password-file", open, "--out", at("x")}, exitUsage, "PEM has no password"},
		{nil, []string{"export", kept, "--format", "pem", "--out", at("x")}, exitFailed, "its key is marked as not exportable; its certificate alone: --format pem --no-key"},
		{nil, []string{"export", kept, "--format", "p12", "--out", at("x")}, exitFailed, "marked as not exportable"},
		{strings.NewReader("\n"), []string{"export", used, "--format", "p12", "--out", at("x")}, exitFailed, "one character at least"},
		{strings.NewReader("pencil\n"), []string{"export", used, "--format", "p12", "--out", at("there")}, exitFailed, "is there already"},

		{nil, []string{"remove", used, "--yes"}, exitFailed, `is in use by Receive connector "From Internet" (it was assigned to the connector (postern cert enable)); enable another one first, or disable this one: postern cert disable ` + used[:16] + ` --connector "From Internet"`},
		{nil, []string{"remove", nobody, "--yes"}, exitFailed, "no certificate has a thumbprint"},
		{nil, []string{"remove", waits}, exitUsage, "will be of no use"},
		{saying("n\n"), []string{"remove", waits}, exitFailed, "nothing was done"},
	} {
		if tt.in == nil {
			tt.in = strings.NewReader("")
		}
		code, out, errs := h.run(tt.in, tt.args...)
		if code != tt.code || !strings.Contains(errs, tt.want) || out != "" {
			t.Errorf("cert %q: exit code %d, want %d and %q\n%s%s", tt.args, code, tt.code, tt.want, out, errs)
		}
		if h.store() != before {
			t.Fatalf("cert %q changed the store", tt.args)
		}
	}
	for _, name := range []string{"declined.csr", "x"} {
		if _, err := os.Lstat(at(name)); err == nil {
			t.Errorf("%s was left behind", name)
		}
	}
	// One that tls_certificate names is in use, too.
	h.must("enable", kept, "--smtp", "--yes")
	if code, _, errs := h.run(strings.NewReader(""), "remove", kept, "--yes"); code != exitFailed || !strings.Contains(errs, `Receive connector "Submission" (tls_certificate names it); change tls_certificate`) {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	// While another command is at it.
	d, err := ptls.OpenDirectory(filepath.Join(h.dir, "data", "certificates"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if code, _, errs := h.run(strings.NewReader(""), "new", "--domain", "a.example"); code != exitFailed || !strings.Contains(errs, "another command is changing the certificates") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	h.must("list")
}

// TestCertHelp: every command says what it does and how, within 80 columns.
func TestCertHelp(t *testing.T) {
	h := newCertHost(t)
	for _, name := range []string{"list", "show", "new", "request", "import", "enable", "disable", "renew", "export", "remove"} {
		out := h.must(name, "--help")
		if !strings.Contains(out, "Examples:\n") || !strings.Contains(out, "postern cert "+name) {
			t.Errorf("the help of %s has no example:\n%s", name, out)
		}
		long, _, _ := strings.Cut(out, "Usage:")
		for l := range strings.Lines(long) {
			if n := len([]rune(strings.TrimSuffix(l, "\n"))); n > 80 {
				t.Errorf("a line of %d columns in the help of %s: %q", n, name, l)
			}
		}
	}
}
