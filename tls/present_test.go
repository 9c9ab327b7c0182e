//go:build unix

package ptls

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

// journal is an event log that may be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

// take returns what was written since it was asked last, without times.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.b.Reset()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// edge is a configuration with one Receive connector.
func edge(dir string, change func(*config.ReceiveConnector)) *config.Config {
	r := config.ReceiveConnector{Name: "From Internet", Enabled: true, FQDN: "edge.contoso.example", AuthMechanism: []string{"tls"},
		Bindings: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25")}}
	if change != nil {
		change(&r)
	}
	return &config.Config{Server: config.Server{FQDN: "edge.contoso.example", CertificateDirectory: dir}, ReceiveConnectors: []config.ReceiveConnector{r}}
}

// seen is the certificate that a client sees, who may ask for a name.
func seen(t testing.TB, server *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan error, 1)
	go func() {
		defer b.Close()
		done <- tls.Server(b, server).Handshake()
	}()
	client = client.Clone()
	client.InsecureSkipVerify = true
	c := tls.Client(a, client)
	err := c.Handshake()
	a.Close()
	return c.ConnectionState(), errors.Join(err, <-done)
}

// TestPresenter: what clients see while files come, go, break and recover, and
// what the event log says of it.
func TestPresenter(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var log journal
		cfg := edge(dir, nil)
		p, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		server := p.ServerConfig(&cfg.ReceiveConnectors[0])
		step := func(what, want, told string) {
			t.Helper()
			for range 2 { // who writes may be under way
				time.Sleep(watchInterval)
				p.Look()
			}
			cs, err := seen(t, server, &tls.Config{ServerName: "edge.contoso.example"})
			if err != nil {
				t.Fatal(what, err)
			}
			got := Thumbprint(cs.PeerCertificates[0])
			if want == "" && !IsSelfSigned(cs.PeerCertificates[0]) || want != "" && got != want {
				t.Errorf("%s: a client sees %s, %s", what, got, cs.PeerCertificates[0].Subject)
			}
			text := log.take()
			if told == "" && strings.Contains(text, "level=WARN") || told == "" && strings.Contains(text, "level=ERROR") || strings.Count(text, told) != 1 && told != "" {
				t.Errorf("%s: the event log says\n%s\nwant %q once", what, text, told)
			}
		}
		step("first start", "", `level=WARN msg="no certificate is for the name of a connector" event_id=12014 connector="From Internet" fqdn=edge.contoso.example thumbprint=`)
		step("nothing new", "", "")

		lasting := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) }
		one := ca.issue(t, nil, lasting, "edge.contoso.example")
		path := writePEM(t, dir, "edge.pem", one)
		step("issued", Thumbprint(one.Leaf), `level=INFO msg="a connector presents a certificate" event_id=26007 connector="From Internet" fqdn=edge.contoso.example thumbprint=`+Thumbprint(one.Leaf))
		if err := os.WriteFile(path, []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
		step("broken", Thumbprint(one.Leaf), `level=ERROR msg="a file in the certificate directory can't be used" event_id=26004 error="`+path+`: there is no certificate in it, in PEM"`)
		time.Sleep(time.Hour)
		step("still broken", Thumbprint(one.Leaf), "")
		two := ca.issue(t, nil, lasting, "edge.contoso.example")
		writePEM(t, dir, "edge.pem", two.Leaf)
		step("the new one without its key", Thumbprint(one.Leaf), `level=ERROR msg="a file in the certificate directory can't be used" event_id=26004 error="`+path+` has no private key beside it; what was read before stays in force until a restart"`)
		writePEM(t, dir, "edge.key", two.PrivateKey)
		step("with its key", Thumbprint(two.Leaf), `level=INFO msg="a connector presents a certificate"`)
		if err := os.Chmod(filepath.Join(dir, "edge.key"), 0o644); err != nil {
			t.Fatal(err)
		}
		step("open to all", Thumbprint(two.Leaf), `is open to everybody on this host`)
		if err := errors.Join(os.Remove(path), os.Remove(filepath.Join(dir, "edge.key"))); err != nil {
			t.Fatal(err)
		}
		step("gone", "", `event_id=12014`)

		// By path, and back to the names of the store.
		elsewhere := writePEM(t, t.TempDir(), "x.pem", one)
		named := edge(dir, func(r *config.ReceiveConnector) { r.TLSCertificate = elsewhere })
		if err := p.Configure(named); err != nil {
			t.Fatal(err)
		}
		server = p.ServerConfig(&named.ReceiveConnectors[0])
		step("by path", Thumbprint(one.Leaf), `reason="tls_certificate names it"`)
		writePEM(t, filepath.Dir(elsewhere), "x.pem", two)
		step("by path, replaced", Thumbprint(two.Leaf), `reason="tls_certificate names it"`)
		if err := os.Remove(elsewhere); err != nil {
			t.Fatal(err)
		}
		step("by path, removed", Thumbprint(two.Leaf), `level=ERROR msg="a changed certificate file can't be used; what was read before stays in force"`)
		later := edge(dir, func(r *config.ReceiveConnector) { r.TLSCertificate = "/nowhere/x.pem" })
		if err := p.Configure(later); err != nil {
			t.Fatal(err)
		}
		// Sessions that are older than the reload go by theirs.
		step("an old session", Thumbprint(two.Leaf), `event_id=12014`)
		server = p.ServerConfig(&later.ReceiveConnectors[0])
		step("a path to nothing", "", "")

		writePEM(t, dir, "edge.pem", two)
		if err := os.WriteFile(filepath.Join(dir, AssignmentsFile), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.Configure(edge(dir, nil)); err != nil {
			t.Fatal(err)
		}
		step("rubbish in the assignments", Thumbprint(two.Leaf), "a changed certificate file can't be used; what was read before stays in force\" event_id=26003 file="+AssignmentsFile)
		// The directory itself goes, and others take its place.
		if err := os.Remove(filepath.Join(dir, AssignmentsFile)); err != nil {
			t.Fatal(err)
		}
		step("no assignments", Thumbprint(two.Leaf), "")
		aside := dir + ".aside"
		for what, put := range map[string]func() error{
			"nothing":      func() error { return nil },
			"a named pipe": func() error { return syscall.Mkfifo(dir, 0o600) },
			"a file":       func() error { return os.WriteFile(dir, nil, 0o600) },
			"a link":       func() error { return os.Symlink("/nowhere", dir) },
		} {
			if err := errors.Join(os.Rename(dir, aside), put()); err != nil {
				t.Fatal(err)
			}
			step(what+" in the place of the directory", Thumbprint(two.Leaf), "a changed certificate file can't be used; what was read before stays in force\" event_id=26003 file="+dir)
			os.Remove(dir)
			if err := os.Rename(aside, dir); err != nil {
				t.Fatal(err)
			}
			step("the directory again", Thumbprint(two.Leaf), "")
		}
	})
}

// TestClientsKey: a client gets a key that it can use.
func TestClientsKey(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecdsa := ca.issue(t, nil, nil, "edge.contoso.example")
	rsa := ca.issue(t, key, nil, "edge.contoso.example")
	writePEM(t, dir, "rsa.pem", rsa)
	writePEM(t, dir, "ecdsa.pem", ecdsa)
	cfg := edge(dir, nil)
	p, err := OpenPresenter(PresenterOptions{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	server := p.ServerConfig(&cfg.ReceiveConnectors[0])
	for suite, want := range map[uint16]*tls.Certificate{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: rsa, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: ecdsa,
	} {
		for _, name := range []string{"", "edge.contoso.example", "other.example"} {
			cs, err := seen(t, server, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, ServerName: name})
			if err != nil || !cs.PeerCertificates[0].Equal(want.Leaf) {
				t.Errorf("%s, asking for %q: %v", tls.CipherSuiteName(suite), name, err)
			}
		}
	}
}

// TestNoDisk: STARTTLS works where nothing can be written, or nothing read, and
// what was made is written when that is possible again.
func TestNoDisk(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("as root: a file stands in the way of the directory")
	}
	synctest.Test(t, func(t *testing.T) {
		var log journal
		parent := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(parent, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := edge(filepath.Join(parent, "certificates"), nil)
		p, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		server := p.ServerConfig(&cfg.ReceiveConnectors[0])
		cs, err := seen(t, server, &tls.Config{})
		if err != nil || cs.PeerCertificates[0].VerifyHostname("edge.contoso.example") != nil {
			t.Fatal(err)
		}
		if text := log.take(); strings.Count(text, "event_id=12024") != 1 {
			t.Errorf("the event log says %s", text)
		}
		for range 10 {
			time.Sleep(time.Minute)
			p.Look()
		}
		if err := p.Configure(cfg); err != nil {
			t.Fatal(err)
		}
		if text := log.take(); strings.Contains(text, "12024") {
			t.Errorf("told again: %s", text)
		}
		if err := os.Remove(parent); err != nil {
			t.Fatal(err)
		}
		p.Look()
		e, err := ReadEntry(filepath.Join(parent, "certificates", selfSignedFile))
		if err != nil || !e.Leaf().Equal(cs.PeerCertificates[0]) {
			t.Errorf("not stored when there was room again: %v", err)
		}
		if text := log.take(); !strings.Contains(text, "is stored now") {
			t.Errorf("the event log says %s", text)
		}
		info, err := os.Stat(filepath.Join(parent, "certificates"))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
		// One whose key lies open is not presented.
		if err := os.Chmod(e.File, 0o644); err != nil {
			t.Fatal(err)
		}
		again, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		if now := again.Choose(&cfg.ReceiveConnectors[0], ""); now.Entry.Thumbprint() == e.Thumbprint() {
			t.Error("a key that everybody may read is used")
		}
		if info, err := os.Stat(e.File); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// TestLocalConnector: where nobody but this host looks, a self-signed
// certificate is no trouble.
func TestLocalConnector(t *testing.T) {
	var log journal
	cfg := edge(t.TempDir(), func(r *config.ReceiveConnector) {
		r.Bindings = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2525"), netip.MustParseAddrPort("[::1]:2525")}
	})
	if _, err := OpenPresenter(PresenterOptions{Config: cfg, Logger: log.logger()}); err != nil {
		t.Fatal(err)
	}
	if text := log.take(); !strings.Contains(text, "level=INFO msg=\"no certificate is for the name of a connector\" event_id=12014") || strings.Contains(text, "WARN") {
		t.Errorf("the event log says %s", text)
	}
}

// TestVersionsAndCiphers: what the default refuses, and what a connector may
// allow.
func TestVersionsAndCiphers(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, dir, "rsa.pem", ca.issue(t, key, nil, "edge.contoso.example"))
	cfg := edge(dir, nil)
	p, err := OpenPresenter(PresenterOptions{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		client             *tls.Config
		modern, compatible bool
	}{
		{&tls.Config{MinVersion: tls.VersionTLS13}, true, true},
		{&tls.Config{MaxVersion: tls.VersionTLS12}, true, true},
		{&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false, false},
		{&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}}, true, true},
		{&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}}, true, true},
		{&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}}, false, true},
		{&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA}}, false, false},
		{&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false, false},
		{&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}}, false, false},
	} {
		for ciphers, want := range map[string]bool{config.ModernCiphers: tt.modern, config.CompatibleCiphers: tt.compatible} {
			r := cfg.ReceiveConnectors[0]
			r.TLSCiphers = ciphers
			if cs, err := seen(t, p.ServerConfig(&r), tt.client); (err == nil) != want {
				t.Errorf("%s: %s to %s %v: %v", ciphers, Describe(cs), tls.VersionName(tt.client.MaxVersion), tt.client.CipherSuites, err)
			}
		}
	}
}
