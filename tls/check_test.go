//go:build unix

package ptls

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// TestCheckReceive: what check says of the certificates that clients see.
func TestCheckReceive(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	lasting := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) }
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, by *authority, change func(*x509.Certificate), names ...string) {
		writePEM(t, dir, name+".pem", by.issue(t, nil, func(c *x509.Certificate) {
			lasting(c)
			if change != nil {
				change(c)
			}
		}, names...))
	}
	put("good", ca, nil, "edge.contoso.example")
	put("self", nil, nil, "self.contoso.example")
	put("soon", ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(100 * time.Hour) }, "soon.contoso.example")
	put("old", ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, "old.contoso.example")
	put("early", ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "early.contoso.example")
	put("client", ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "client.contoso.example")
	put("partial", ca, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/i.crt"} }, "partial.contoso.example")
	put("star", ca, nil, "*.contoso.example", "contoso.example")
	writePEM(t, dir, "weak.pem", ca.issue(t, small, lasting, "weak.contoso.example"))
	open := writePEM(t, dir, "open.pem", ca.issue(t, nil, lasting, "open.contoso.example"))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	elsewhere := writePEM(t, t.TempDir(), "x.pem", ca.issue(t, nil, lasting, "x.contoso.example"))
	mismatch := writePEM(t, t.TempDir(), "y.crt", ca.issue(t, nil, lasting, "y.contoso.example").Leaf)
	writePEM(t, filepath.Dir(mismatch), "y.key", newKey(t))
	entry := func(name string) string {
		e, err := ReadEntry(filepath.Join(dir, name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		return e.called()
	}
	private := func(name string) string {
		return "note fqdn: the certificate " + entry(name) + ` comes from an authority that this host does not know, "CN=Test authority"; hosts that verify it must know it`
	}
	const starInstead = `, is not for the connector's FQDN, `
	for name, tt := range map[string]struct {
		fqdn, certificate string
		want              []string
	}{
		"good":        {"edge.contoso.example", "", []string{private("good")}},
		"self-signed": {"self.contoso.example", "", []string{private("star")}}, // issued before self-signed
		"none": {"edge.fabrikam.example", "", []string{
			"warning fqdn: no certificate in DIR is for edge.fabrikam.example, the connector's FQDN; the self-signed certificate is presented"}},
		"soon": {"soon.contoso.example", "soon", []string{
			"warning tls_certificate: the certificate " + entry("soon") + " expires on " + day(time.Now().Add(100*time.Hour)), strings.Replace(private("soon"), "fqdn", "tls_certificate", 1)}},
		"expired": {"old.contoso.example", "old", []string{
			"warning tls_certificate: the certificate " + entry("old") + " expired on " + day(time.Now().Add(-time.Hour)) + "; it is presented all the same"}},
		"too early": {"early.contoso.example", "early", []string{"warning tls_certificate: the certificate " + entry("early") + " is not valid before DATE"}},
		"for clients": {"client.contoso.example", "client", []string{
			"warning tls_certificate: the certificate " + entry("client") + " may not be used by servers", strings.Replace(private("client"), "fqdn", "tls_certificate", 1)}},
		"a weak key": {"weak.contoso.example", "weak", []string{
			"warning tls_certificate: the key of the certificate " + entry("weak") + " has 1024 bits only", strings.Replace(private("weak"), "fqdn", "tls_certificate", 1)}},
		"a chain that ends": {"partial.contoso.example", "partial", []string{
			`warning tls_certificate: the chain of ` + entry("partial") + ` ends at "CN=partial.contoso.example", which no authority of this host has issued: an intermediate certificate is missing, or hosts elsewhere don't know the authority either`}},
		"no such": {"edge.contoso.example", "nobody", []string{
			`warning tls_certificate: tls_certificate: there is no certificate "nobody" in DIR; ` + entry("good") + ` is presented`, strings.Replace(private("good"), "fqdn", "tls_certificate", 1)}},
		"a wrong key": {"edge.contoso.example", mismatch, []string{
			"warning tls_certificate: tls_certificate can't be used: the private key in " + strings.TrimSuffix(mismatch, ".crt") + ".key does not belong to the certificate in " + mismatch + "; " + entry("good") + ` is presented`,
			strings.Replace(private("good"), "fqdn", "tls_certificate", 1)}},
		"another name": {"edge.contoso.example", "contoso.example", []string{strings.Replace(private("star"), "fqdn", "tls_certificate", 1)}},
		"not for the fqdn": {"edge.fabrikam.example", "contoso.example", []string{
			"warning tls_certificate: the certificate that clients see, " + entry("star") + starInstead + "edge.fabrikam.example", strings.Replace(private("star"), "fqdn", "tls_certificate", 1)}},
		"ambiguous": {"edge.contoso.example", "edge.contoso.example", []string{
			`warning tls_certificate: tls_certificate: "edge.contoso.example" stands for certificates that are for different names: ` + entry("good") + ", " + entry("star"), strings.Replace(private("good"), "fqdn", "tls_certificate", 1)}},
		"a path": {"x.contoso.example", elsewhere, nil},
	} {
		cfg := edge(dir, func(r *config.ReceiveConnector) { r.FQDN, r.TLSCertificate = tt.fqdn, tt.certificate })
		want := append([]string{"warning server.certificate_directory: private key: DIR/open.pem is open to everybody on this host (-rw-r--r--); chmod it to 0600, or to 0640 with a group that may read it"}, tt.want...)
		if name == "a path" {
			e, err := ReadEntry(elsewhere)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, "note tls_certificate: the certificate "+e.called()+` comes from an authority that this host does not know, "CN=Test authority"; hosts that verify it must know it`)
		}
		var got []string
		for _, f := range CheckReceive(cfg) {
			text := fmt.Sprintf("%s %s: %s", f.Severity, strings.TrimPrefix(f.Path, "receive_connector[0]."), strings.TrimPrefix(f.Message, `receive connector "From Internet": `))
			if before, _, ok := strings.Cut(text, "is not valid before "); ok {
				text = before + "is not valid before DATE"
			}
			got = append(got, strings.ReplaceAll(text, dir, "DIR"))
			if f.Remedy == "" {
				t.Errorf("%s: no remedy for %s", name, f.Message)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}

	// Where nobody but this host comes, nobody looks.
	local := edge(t.TempDir(), func(r *config.ReceiveConnector) {
		r.Bindings = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:25")}
	})
	if f := CheckReceive(local); len(f) != 1 || f[0].Severity != config.Note {
		t.Errorf("on loopback: %v", f)
	}
	// Where there is no store, names are nobody's business.
	away := edge(filepath.Join(dir, "nowhere"), nil)
	if f := CheckReceive(away); f != nil {
		t.Errorf("without a store: %v", f)
	}
	if _, err := os.Stat(filepath.Join(dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Error("check makes a directory")
	}
}
