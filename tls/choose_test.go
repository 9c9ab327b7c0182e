package ptls

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// TestBagAttributes: what stands before the blocks of a file, as "openssl
// pkcs12" writes it and as we do.
func TestBagAttributes(t *testing.T) {
	cert := (*authority)(nil).issue(t, nil, nil, "edge.contoso.example")
	for name, tt := range map[string]struct {
		cert, key, want string
	}{
		"none":      {"", "", "cert exportable enabled"},
		"openssl":   {"Bag Attributes\n    friendlyName: Mail edge\n    localKeyID: 01 02 \nsubject=CN = x\n", "Bag Attributes\n    friendlyName: other\nKey Attributes: <No Attributes>\n", "Mail edge exportable enabled"},
		"of a key":  {"", "Bag Attributes\n    friendlyName: of the key\n    posternExportable: no\n", "of the key kept enabled"},
		"disabled":  {"Bag Attributes\n    posternEnabled: no\n", "", "cert exportable disabled"},
		"any case":  {"posternEnabled:NO\r\nposternExportable : No\r\n", "", "cert kept disabled"},
		"yes":       {"    posternEnabled: yes\n    posternExportable: yes\n", "", "cert exportable enabled"},
		"controls":  {"    friendlyName: a\x1b[31mb\xff\n", "", "a [31mb\uFFFD exportable enabled"},
		"long":      {"    friendlyName: " + strings.Repeat("ä", 300) + "\n", "", strings.Repeat("ä", 255) + " exportable enabled"},
		"a comment": {"# friendlyName\nposternEnabled\n", "", "cert exportable enabled"},
	} {
		dir := t.TempDir()
		path := writePEM(t, dir, "cert.pem", cert)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		i := strings.Index(string(text), "-----BEGIN PRIVATE")
		if err := os.WriteFile(path, []byte(tt.cert+string(text[:i])+tt.key+string(text[i:])+"    posternEnabled: no\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := ReadDirectory(dir)
		if err != nil || len(l.Entries) != 1 {
			t.Fatal(name, err, l.Problems)
		}
		e := l.Entries[0]
		got := e.FriendlyName + map[bool]string{true: " exportable", false: " kept"}[e.Exportable] + map[bool]string{true: " enabled", false: " disabled"}[e.Enabled]
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if found := l.Find("edge.contoso.example", time.Now()); (found != nil) != e.Enabled {
			t.Errorf("%s: found by its DNS name: %v", name, found != nil)
		}
		if l.Find(e.Thumbprint(), time.Now()) != e {
			t.Errorf("%s: not found by its thumbprint", name)
		}
	}
	// The attributes of a key that stands in a file of its own count too.
	dir := t.TempDir()
	writePEM(t, dir, "cert.crt", cert.Leaf)
	key := writePEM(t, dir, "cert.key", cert.PrivateKey)
	text, _ := os.ReadFile(key)
	if err := os.WriteFile(key, append([]byte("Bag Attributes\n    friendlyName: Mail edge\n    posternExportable: no\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func() (*Entry, error){
		func() (*Entry, error) { return ReadEntry(filepath.Join(dir, "cert.crt")) },
		func() (*Entry, error) {
			l, err := ReadDirectory(dir)
			return l.Entries[0], err
		},
	} {
		if e, err := read(); err != nil || e.Exportable || e.FriendlyName != "Mail edge" {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// TestAssignments: the file that says which certificate a connector presents.
func TestAssignments(t *testing.T) {
	thumb := strings.Repeat("AB", 32)
	for text, want := range map[string]string{
		"": "",
		"# ours\n[receive_connector]\n\"From Internet\" = \"" + thumb + "\"\n":          thumb,
		"[receive_connector]\n\"from INTERNET\" = \"" + strings.ToLower(thumb) + "\"\n": thumb,
		"[receive_connector]\n\"Other\" = \"" + thumb + "\"\n":                          "",
		"[receive_connector]\n\"From Internet\" = \"AB\"\n":                             "error",
		"[receive_connector\n":    "error",
		"receive_connector = 1\n": "error",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, AssignmentsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := ReadAssignments(dir)
		got := a.For("From Internet")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s (%v)", text, got, want, err)
		}
	}
	if a, err := ReadAssignments(t.TempDir()); a != nil || err != nil {
		t.Errorf("no file: %v, %v", a, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, AssignmentsFile), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, AssignmentsFile), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAssignments(dir); err == nil {
		t.Error("a file that everybody may write to decides what clients see")
	}
}

// TestChoose: which certificate a client sees, and why.
func TestChoose(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	now := time.Now()
	day := func(from, to int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(time.Duration(from)*24*time.Hour), now.Add(time.Duration(to)*24*time.Hour)
		}
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, by *authority, key crypto.Signer, change func(*x509.Certificate), names ...string) string {
		c := by.issue(t, key, change, names...)
		writePEM(t, dir, name, c)
		return Thumbprint(c.Leaf)
	}
	put(selfSignedFile, nil, nil, day(0, 365), "edge.contoso.example", "alone.contoso.example", "expired.contoso.example")
	put("old.pem", ca, nil, day(-20, 20), "edge.contoso.example")
	put("new.pem", ca, nil, day(-5, 20), "edge.contoso.example", "other.contoso.example")
	put("new-rsa.pem", ca, rsaKey, day(-6, 20), "edge.contoso.example")
	put("ours.pem", nil, nil, day(-1, 20), "edge.contoso.example", "selfmade.contoso.example")
	put("star.pem", ca, nil, day(-1, 20), "*.fabrikam.example")
	put("exact.pem", ca, nil, day(-9, 20), "mail.fabrikam.example")
	gone := put("gone.pem", ca, nil, day(-9, -1), "expired.contoso.example")
	off := put("off.pem", ca, nil, day(-1, 30), "edge.contoso.example", "off.contoso.example")
	text, _ := os.ReadFile(filepath.Join(dir, "off.pem"))
	if err := os.WriteFile(filepath.Join(dir, "off.pem"), append([]byte("Bag Attributes\n    posternEnabled: no\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	writePEM(t, dir, "keyless.pem", ca.issue(t, nil, day(-1, 20), "edge.contoso.example", "keyless.contoso.example").Leaf)
	elsewhere := writePEM(t, t.TempDir(), "elsewhere.pem", ca.issue(t, nil, nil, "elsewhere.example"))
	assign := func(connector, thumbprint string) {
		if err := os.WriteFile(filepath.Join(dir, AssignmentsFile), []byte("[receive_connector]\n\""+connector+"\" = \""+thumbprint+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		fqdn, certificate, assigned, sni string
		want                             string // by, file, others; what is wrong
	}{
		{fqdn: "edge.contoso.example", want: "fqdn new new-rsa"},
		{fqdn: "EDGE.contoso.example.", want: "fqdn new new-rsa"},
		{fqdn: "edge.contoso.example", sni: "mail.fabrikam.example", want: "server_name exact"},
		{fqdn: "edge.contoso.example", sni: "MX.fabrikam.example", want: "server_name star"},
		{fqdn: "edge.contoso.example", sni: "a.mx.fabrikam.example", want: "fqdn new new-rsa"},
		{fqdn: "edge.contoso.example", sni: "fabrikam.example", want: "fqdn new new-rsa"},
		{fqdn: "edge.contoso.example", sni: "nobody.example", want: "fqdn new new-rsa"},
		{fqdn: "edge.contoso.example", sni: "expired.contoso.example", want: "fqdn new new-rsa"},
		{fqdn: "edge.contoso.example", sni: "off.contoso.example", want: "fqdn new new-rsa"},
		{fqdn: "edge.contoso.example", sni: "\x00\xff.", want: "fqdn new new-rsa"},
		{fqdn: "selfmade.contoso.example", want: "fqdn ours"},
		{fqdn: "expired.contoso.example", want: "fqdn gone"},
		{fqdn: "alone.contoso.example", want: "self_signed self-signed; no certificate in DIR is for alone.contoso.example, the connector's FQDN"},
		{fqdn: "alone.contoso.example", sni: "edge.contoso.example", want: "server_name new new-rsa"},
		{fqdn: "off.contoso.example", want: "self_signed self-signed; the certificate for off.contoso.example, the connector's FQDN, is not enabled"},
		{fqdn: "keyless.contoso.example", want: "self_signed self-signed; no certificate in DIR is for keyless.contoso.example, the connector's FQDN"},
		{fqdn: "alone.contoso.example", certificate: "mail.fabrikam.example", want: "tls_certificate exact"},
		{fqdn: "alone.contoso.example", certificate: "mail.fabrikam.example", sni: "edge.contoso.example", want: "tls_certificate exact"},
		{fqdn: "alone.contoso.example", certificate: "edge.contoso.example", want: "tls_certificate new new-rsa"},
		{fqdn: "alone.contoso.example", certificate: "old", want: "tls_certificate old"},
		{fqdn: "edge.contoso.example", certificate: gone, want: "tls_certificate gone"},
		{fqdn: "edge.contoso.example", certificate: off, want: "tls_certificate off"},
		{fqdn: "edge.contoso.example", certificate: elsewhere, assigned: gone, want: "tls_certificate elsewhere"},
		{fqdn: "edge.contoso.example", certificate: "keyless", want: "fqdn new new-rsa; tls_certificate: DIR/keyless.pem has no private key beside it"},
		{fqdn: "edge.contoso.example", certificate: "off", want: `fqdn new new-rsa; tls_certificate: the certificate "off" in DIR is not enabled`},
		{fqdn: "edge.contoso.example", certificate: "/nowhere.pem", want: "fqdn new new-rsa; tls_certificate can't be used: stat /nowhere.pem: no such file or directory"},
		{fqdn: "edge.contoso.example", certificate: "nobody", assigned: gone, want: `assignment gone; tls_certificate: there is no certificate "nobody" in DIR`},
		{fqdn: "edge.contoso.example", assigned: off, sni: "mail.fabrikam.example", want: "assignment off"},
		{fqdn: "edge.contoso.example", assigned: strings.Repeat("AB", 32), want: "fqdn new new-rsa; the certificate that is assigned to the connector, " + strings.Repeat("AB", 32) + ", is not in DIR"},
		{fqdn: "alone.contoso.example", certificate: "nobody", want: "self_signed self-signed; tls_certificate: there is no certificate \"nobody\" in DIR\nno certificate in DIR is for alone.contoso.example, the connector's FQDN"},
	} {
		os.Remove(filepath.Join(dir, AssignmentsFile))
		if tt.assigned != "" {
			assign("from internet", tt.assigned)
		}
		cfg := &config.Config{Server: config.Server{CertificateDirectory: dir}, ReceiveConnectors: []config.ReceiveConnector{{Name: "From Internet", FQDN: tt.fqdn, TLSCertificate: tt.certificate}}}
		chooser, errs := ReadChooser(cfg)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		c := chooser.Choose(&cfg.ReceiveConnectors[0], tt.sni, now)
		got := string(c.By)
		for _, e := range append([]*Entry{c.Entry}, c.Others...) {
			got += " " + strings.TrimSuffix(filepath.Base(e.File), ".pem")
		}
		if c.Problem != nil {
			got += "; " + strings.ReplaceAll(c.Problem.Error(), dir, "DIR")
		}
		if got != tt.want {
			t.Errorf("%+v\ngot  %s\nwant %s", tt, got, tt.want)
		}
		if (c.Remedy == "") != (c.Problem == nil) || c.Reason == "" {
			t.Errorf("%+v: %q, remedy %q for %v", tt, c.Reason, c.Remedy, c.Problem)
		}
	}
}
