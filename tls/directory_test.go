//go:build unix

package ptls

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"crypto/rand"

	"postern/config"
)

// TestChainInARing: authorities that certify one another, over and over.
func TestChainInARing(t *testing.T) {
	root := newAuthority(t, "One", nil)
	other := newAuthority(t, "Two", root)
	back := newAuthority(t, "One", other)
	own := other.issue(t, nil, nil, "edge.contoso.example")
	things := []any{own.Leaf, own.PrivateKey}
	for range 50 {
		things = append(things, other.cert, back.cert)
	}
	dir := t.TempDir()
	e, err := ReadEntry(writePEM(t, dir, "ring.pem", things...))
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Chain) != maxChain {
		t.Errorf("a chain of %d certificates", len(e.Chain))
	}
}

// TestReadDirectory: files in every arrangement, and what is wrong with those
// that can't be used.
func TestReadDirectory(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	middle := newAuthority(t, "Intermediate authority", ca)
	dir := t.TempDir()
	together := ca.issue(t, nil, nil, "together.example")
	writePEM(t, dir, "together.pem", together)
	apart := ca.issue(t, nil, nil, "apart.example")
	writePEM(t, dir, "apart.crt", apart.Leaf)
	writePEM(t, dir, "zz-anything.key", apart.PrivateKey)
	chained := middle.issue(t, nil, nil, "chained.example")
	writePEM(t, dir, "chained.pem", chained.PrivateKey, ca.cert, middle.cert, chained.Leaf) // in any order, with the root
	writePEM(t, dir, "waiting.cer", ca.issue(t, nil, nil, "waiting.example").Leaf)
	open := writePEM(t, dir, "open.pem", ca.issue(t, nil, nil, "open.example"))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	group := writePEM(t, dir, "group.pem", ca.issue(t, nil, nil, "group.example"))
	if err := os.Chmod(group, 0o640); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"rubbish.pem":   "rubbish",
		"encrypted.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"broken.crt":    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"notes.txt":     "not looked at",
		".hidden.pem":   "neither",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.pem"), 0o700); err != nil {
		t.Fatal(err)
	}

	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.pem"), 0o600); err != nil {
		t.Fatal(err)
	}

	l, err := ReadDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range l.Entries {
		key := "no key"
		if e.Key != nil {
			key = filepath.Base(e.KeyFile)
		}
		var chain []string
		for _, c := range e.Chain {
			chain = append(chain, c.Subject.CommonName)
		}
		got = append(got, e.FriendlyName+": "+strings.Join(chain, " < ")+", "+key)
	}
	want := `apart: apart.example, zz-anything.key
chained: chained.example < Intermediate authority, chained.pem
group: group.example, group.pem
together: together.example, together.pem
waiting: waiting.example, no key`
	if strings.Join(got, "\n") != want {
		t.Errorf("entries\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	var problems []string
	for _, p := range l.Problems {
		problems = append(problems, strings.ReplaceAll(p.Error(), dir+"/", ""))
	}
	wantProblems := `broken.crt: a certificate in it can't be read: x509: malformed certificate
encrypted.key: the private key is encrypted; decrypt it: openssl pkey -in FILE -out FILE
folder.pem is no file
private key: open.pem is open to everybody on this host (-rw-r--r--); chmod it to 0600, or to 0640 with a group that may read it
pipe.pem is no file
rubbish.pem: there is no certificate in it, in PEM`
	if strings.Join(problems, "\n") != wantProblems {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(problems, "\n"), wantProblems)
	}
	// What is presented is what a server can verify with the root alone.
	server := serve(l.Find("chained.example", time.Now()).TLS())
	p := PolicyFor(&config.SendConnector{TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation}, Hop{Host: "chained.example"})
	if _, _, err := shake(t, p, "chained.example", NewMaterial(MaterialOptions{Roots: ca.pool()}), server); err != nil {
		t.Error(err)
	}

	if l, err := ReadDirectory(filepath.Join(dir, "nowhere")); err != nil || len(l.Entries) != 0 {
		t.Errorf("a directory that is not there: %v, %v", l, err)
	}
}

// TestFind: names, and which of several certificates is taken.
func TestFind(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	now := time.Now()
	day := func(from, to int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(time.Duration(from)*24*time.Hour), now.Add(time.Duration(to)*24*time.Hour)
		}
	}
	servers := func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.NotAfter = now.Add(1000 * time.Hour)
	}
	writePEM(t, dir, "old.pem", ca.issue(t, nil, day(-20, 20), "mail.example"))
	writePEM(t, dir, "new.pem", ca.issue(t, nil, day(-5, 20), "mail.example", "x.mail.example"))
	writePEM(t, dir, "expired.pem", ca.issue(t, nil, day(-4, -1), "mail.example", "expired.example"))
	writePEM(t, dir, "future.pem", ca.issue(t, nil, day(1, 5), "mail.example"))
	writePEM(t, dir, "keyless.pem", ca.issue(t, nil, day(-1, 20), "mail.example").Leaf)
	alone := (*authority)(nil).issue(t, nil, day(-1, 20), "mail.example", "alone.example")
	writePEM(t, dir, "alone.pem", alone)
	writePEM(t, dir, "star.pem", ca.issue(t, nil, day(-1, 20), "*.example", "star.test"))
	writePEM(t, dir, "servers.pem", ca.issue(t, nil, servers, "servers.example"))
	l, err := ReadDirectory(dir)
	if err != nil || len(l.Problems) > 0 {
		t.Fatal(err, l.Problems)
	}
	for name, want := range map[string][2]string{ // of the file; as a client
		"mail.example": {"new", "new"}, "MAIL.example": {"new", "new"}, "x.mail.example": {"new", "new"},
		"other.example": {"star", "star"}, "a.b.example": {"", ""}, "expired.example": {"star", "star"},
		"alone.example": {"star", "star"}, "servers.example": {"servers", "star"},
		"alone": {"alone", ""}, "expired": {"expired", ""}, "KEYLESS": {"keyless", ""}, "nobody": {"", ""},
		Thumbprint(alone.Leaf): {"alone", ""}, strings.ToLower(Thumbprint(alone.Leaf)): {"alone", ""},
		colons(Thumbprint(alone.Leaf)): {"alone", ""}, strings.Repeat("AB", 32): {"", ""},
	} {
		got := [2]string{}
		if e := l.Find(name, now); e != nil {
			got[0] = e.FriendlyName
		}
		if e := l.FindClient(name, now); e != nil {
			got[1] = e.FriendlyName
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func colons(s string) string {
	var parts []string
	for i := 0; i < len(s); i += 2 {
		parts = append(parts, s[i:i+2])
	}
	return strings.Join(parts, ":")
}

// TestReadEntry: where the key of a certificate named by path is found.
func TestReadEntry(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	a, b := ca.issue(t, nil, nil, "a.example"), ca.issue(t, nil, nil, "b.example")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r := ca.issue(t, key, nil, "r.example")
	for name, tt := range map[string]struct {
		write func(dir string) string
		want  string // part of the error
	}{
		"in the file": {func(d string) string { return writePEM(t, d, "a.pem", a) }, ""},
		"beside it":   {func(d string) string { writePEM(t, d, "a.key", a.PrivateKey); return writePEM(t, d, "a.crt", a.Leaf) }, ""},
		"as certbot does": {func(d string) string {
			writePEM(t, d, "privkey.pem", a.PrivateKey)
			return writePEM(t, d, "fullchain.pem", a.Leaf, ca.cert)
		}, ""},
		"PKCS#1": {func(d string) string {
			path := writePEM(t, d, "r.pem", r.Leaf)
			text, _ := os.ReadFile(path)
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})...)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, ""},
		"nowhere":  {func(d string) string { return writePEM(t, d, "a.crt", a.Leaf) }, "has no private key: it stands neither in it nor in a .key file or privkey.pem beside"},
		"another":  {func(d string) string { writePEM(t, d, "a.key", b.PrivateKey); return writePEM(t, d, "a.crt", a.Leaf) }, "does not belong to the certificate"},
		"only":     {func(d string) string { return writePEM(t, d, "a.pem", a.PrivateKey) }, "holds a key and no certificate"},
		"no file":  {func(d string) string { return filepath.Join(d, "a.pem") }, "no such file"},
		"too open": {func(d string) string { p := writePEM(t, d, "a.pem", a); _ = os.Chmod(p, 0o604); return p }, "is open to everybody"},
		"key too open": {func(d string) string {
			_ = os.Chmod(writePEM(t, d, "a.key", a.PrivateKey), 0o666)
			return writePEM(t, d, "a.crt", a.Leaf)
		}, "a.key is open to everybody"},
		"everybody's": {func(d string) string {
			p := writePEM(t, d, "a.crt", a.Leaf)
			_ = os.Chmod(p, 0o646)
			return p
		}, "everybody may write to"},
		"too large": {func(d string) string {
			p := filepath.Join(d, "a.pem")
			_ = os.WriteFile(p, bytes.Repeat([]byte("x"), maxPEM+1), 0o600)
			return p
		}, "larger than 4 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ReadEntry(tt.write(t.TempDir()))
			if tt.want == "" {
				if err != nil || e.Key == nil || e.Leaf().Subject.CommonName == "" {
					t.Errorf("%+v, %v", e, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestMaterialChanges: files are read again when they change, not otherwise,
// and a change counts once.
func TestMaterialChanges(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := writePEM(t, dir, "ca.pem", ca.cert)
		var log bytes.Buffer
		m := NewMaterial(MaterialOptions{Directory: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		p := PolicyFor(&config.SendConnector{TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation, TLSCAFile: path}, Hop{})
		named := PolicyFor(&config.SendConnector{TLS: config.TLSRequired, TLSCertificate: "own"}, Hop{})
		if m.Generation() != 0 {
			t.Error("a change before anything was read")
		}
		if _, err := m.authorities(p); err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.certificate(named); err == nil || !strings.Contains(err.Error(), `there is no certificate "own"`) {
			t.Errorf("a certificate that is not there: %v", err)
		}
		step := func(what string, want uint64) {
			t.Helper()
			time.Sleep(watchInterval)
			m.Generation() // who writes may be under way
			time.Sleep(watchInterval)
			if got := m.Generation(); got != want {
				t.Errorf("%s: generation %d, want %d", what, got, want)
			}
		}
		step("nothing", 0)
		writePEM(t, dir, "own.pem", ca.issue(t, nil, nil, "own.example"))
		if m.Generation() != 0 {
			t.Error("looked at twice within a second")
		}
		step("a new certificate", 1)
		if e, named, err := m.certificate(named); err != nil || !named || e.FriendlyName != "own" {
			t.Errorf("%+v, %v", e, err)
		}
		step("nothing", 1)
		writePEM(t, dir, "ca.pem", newAuthority(t, "Another", nil).cert)
		step("other roots", 2)
		if err := os.WriteFile(path, []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := m.authorities(p)
		step("broken roots, which the directory holds too", 3)
		after, err := m.authorities(p)
		if err != nil || before.pool != after.pool || !strings.Contains(log.String(), "what was read before stays in force") {
			t.Errorf("broken roots: %v, log %s", err, &log)
		}
		m.Retain([]*Rules{RulesOf(&config.SendConnector{})})
		if len(m.roots) != 0 {
			t.Error("files of connectors that are gone are kept")
		}
	})
}

// TestExpiredOwnCertificate: one that is named is shown all the same.
func TestExpiredOwnCertificate(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	old := ca.issue(t, nil, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Second) }, "old.example")
	path := writePEM(t, dir, "old.pem", old)
	server := serve(ca.issue(t, nil, nil, testHost))
	server.ClientAuth = tls.RequestClientCert
	for _, tt := range []struct{ name, fqdn, shown string }{{path, "", Thumbprint(old.Leaf)}, {"old.example", "", Thumbprint(old.Leaf)}, {"", "old.example", ""}} {
		p := PolicyFor(&config.SendConnector{TLSCertificate: tt.name, FQDN: tt.fqdn}, Hop{})
		s, seen, err := shake(t, p, testHost, NewMaterial(MaterialOptions{Directory: dir}), server)
		if err != nil || s.Shown != tt.shown || (len(seen.PeerCertificates) == 1) != (tt.shown != "") || !s.Asked {
			t.Errorf("%+v: session %+v, %v", tt, s, err)
		}
	}
}

func FuzzParsePEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePEM(text)
		if err == nil && len(p.certs)+len(p.keys) == 0 {
			t.Error("nothing, and no error")
		}
		if err == nil {
			p.entry(p.keysAt())
		}
	})
}
