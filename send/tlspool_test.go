package send

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	ptls "postern/tls"
)

// files is a directory of certificates for a test.
type files struct {
	t   *testing.T
	dir string
}

func newFiles(t *testing.T) files { return files{t, t.TempDir()} }

// write puts a certificate, with its key if it has one, into a file.
func (f files) write(name string, c *tls.Certificate) string {
	f.t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	if c.PrivateKey != nil {
		der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			f.t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func withoutKey(c *tls.Certificate) *tls.Certificate {
	return &tls.Certificate{Certificate: c.Certificate, Leaf: c.Leaf}
}

func must(t *testing.T) func(*tls.Certificate, error) *tls.Certificate {
	return func(c *tls.Certificate, err error) *tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// TestNoSharedConnections: two domains at the same host share a connection only
// where the same is asked of TLS.
func TestNoSharedConnections(t *testing.T) {
	server := testServerTLS(t, "one.test", "two.test", "mx.test")
	pin := ptls.Thumbprint(must(t)(x509Leaf(server)).Leaf)
	ca := newFiles(t).write("ca.pem", withoutKey(authority()))
	for name, tt := range map[string]struct {
		change     func(c *config.SendConnector)
		requireTLS bool // for the second message
		want       int  // connections
	}{
		"nothing asked": {func(*config.SendConnector) {}, false, 1},
		"encrypted":     {func(c *config.SendConnector) { c.TLS = config.TLSRequired }, false, 1},
		"a valid chain": {func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel = config.TLSRequired, config.CertificateValidation
		}, false, 1},
		"each its name": {func(c *config.SendConnector) { c.TLS, c.TLSAuthLevel = config.TLSRequired, config.DomainValidation }, false, 2},
		"the same name": {func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel, c.TLSDomain = config.TLSRequired, config.DomainValidation, []string{"mx.test"}
		}, false, 1},
		"REQUIRETLS": {func(c *config.SendConnector) {}, true, 2},
		"one overridden": {func(c *config.SendConnector) {
			c.TLSOverrides = []config.TLSOverride{{Domain: "two.test", TLS: config.TLSRequired}}
		}, false, 2},
		"one pinned": {func(c *config.SendConnector) {
			c.TLS = config.TLSRequired
			c.TLSOverrides = []config.TLSOverride{{Domain: "two.test", TLS: config.TLSRequired, TLSFingerprints: []string{pin}}}
		}, false, 2},
		"other roots": {func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel = config.TLSRequired, config.CertificateValidation
			c.TLSOverrides = []config.TLSOverride{{Domain: "two.test", TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation, TLSCAFile: ca}}
		}, false, 2},
		"one without fallback": {func(c *config.SendConnector) {
			c.TLSOverrides = []config.TLSOverride{{Domain: "two.test", TLS: config.TLSOpportunistic, NoTLSFallback: true}}
		}, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{tls: server, tlsExt: []string{"REQUIRETLS"}}
				b := newBench(t, mx)
				b.names.mx["one.test"], b.names.mx["two.test"] = "mx.test", "mx.test"
				b.options.Roots = testRoots()
				tt.change(b.connector)
				for i, domain := range []string{"one.test", "two.test", "one.test", "two.test"} {
					to := hop()
					to.Domain = domain
					d := mail("x\r\n")
					d.Envelope.RequireTLS = tt.requireTLS && i%2 == 1
					if got := sum(b.deliver(t.Context(), to, d)); got != took {
						t.Errorf("%s: outcome %q", domain, got)
					}
				}
				b.stop()
				if got := mx.count(); got != tt.want {
					t.Errorf("%d connections, want %d", got, tt.want)
				}
			})
		})
	}
}

func x509Leaf(c *tls.Config) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	return &tls.Certificate{Leaf: leaf}, err
}

// TestChangedFiles: roots and certificates of ours that change hold for the
// next connection, and none that was made before is used any more; what can't
// be read takes nothing away.
func TestChangedFiles(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	stranger := must(t)(issue(nil, "Another CA"))
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		ca := f.write("ca.pem", withoutKey(authority()))
		mx := &fakeMX{tls: server}
		b := newBench(t, mx)
		b.connector.TLS, b.connector.TLSAuthLevel, b.connector.TLSCAFile = config.TLSRequired, config.CertificateValidation, ca
		for _, step := range []struct {
			change      func()
			want        string
			connections int
		}{
			{func() {}, took, 1},
			{func() {}, took, 1},
			{func() { f.write("ca.pem", withoutKey(stranger)) }, "0 deferred 454 4.7.5 Certificate validation failure: the host's certificate was issued by \"CN=Test CA\", which is not among the authorities in ca.pem", 2},
			{func() { f.write("ca.pem", withoutKey(authority())) }, took, 3},
			{func() { _ = os.WriteFile(ca, []byte("rubbish"), 0o600) }, took, 3},
			{func() { _ = os.Remove(ca) }, took, 3},
		} {
			step.change()
			// Files have times of the real clock, which is ahead of this one: they
			// count as at rest once they are found the same twice.
			for range 2 {
				time.Sleep(2 * time.Second)
				b.start().material.Generation()
			}
			if got := sum(b.send()); !strings.HasPrefix(got, step.want) || mx.count() != step.connections {
				t.Errorf("outcome %q over %d connections, want %q over %d", got, mx.count(), step.want, step.connections)
			}
		}
		b.stop()
	})
}

// TestMissingFiles: a file or certificate that the configuration names and
// that can't be used holds the mail, whatever the mode, and says so.
func TestMissingFiles(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	for name, tt := range map[string]struct {
		change func(c *config.SendConnector)
		want   string
	}{
		"roots": {func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel, c.TLSCAFile = config.TLSRequired, config.CertificateValidation, "/nowhere/ca.pem"
		}, `0 deferred 454 4.7.5 Send connector "Internet": TLS can't begin: tls_ca_file: stat /nowhere/ca.pem: no such file or directory; unreachable`},
		"a certificate by path": {func(c *config.SendConnector) { c.TLSCertificate = "/nowhere/own.pem" },
			`0 deferred 454 4.7.5 Send connector "Internet": TLS can't begin: tls_certificate: stat /nowhere/own.pem: no such file or directory; unreachable`},
		"a certificate by name": {func(c *config.SendConnector) { c.TLSCertificate = "own.example" },
			`0 deferred 454 4.7.5 Send connector "Internet": TLS can't begin: tls_certificate: there is no certificate "own.example" in DIR; unreachable`},
		"none to show where one is needed": {func(c *config.SendConnector) {
			c.TLS, c.TLSAuthLevel, c.TLSDomain, c.DomainSecureEnabled = config.TLSRequired, config.DomainValidation, []string{"mx.test"}, true
		}, `0 deferred 454 4.7.5 Send connector "Internet": TLS can't begin: domain_secure_enabled needs a certificate of ours, and there is none for out.contoso.example; write tls_certificate; unreachable`},
	} {
		t.Run(name, func(t *testing.T) {
			mx := &fakeMX{tls: server}
			b := newBench(t, mx)
			b.options.Roots = testRoots()
			b.options.Certificates = t.TempDir()
			tt.change(b.connector)
			r := b.send()
			b.stop()
			if got := sum(r); got != strings.ReplaceAll(tt.want, "DIR", b.options.Certificates) || len(mx.got()) != 0 {
				t.Errorf("outcome %q\nwant    %q", got, tt.want)
			}
		})
	}
}

// TestClientCertificate: what of ours a host is shown that asks for it, or does
// not.
func TestClientCertificate(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	asking := server.Clone()
	asking.ClientAuth = tls.RequestClientCert
	knowing := asking.Clone() // lists our authority
	knowing.ClientCAs = testRoots()
	choosy := server.Clone() // lists authorities, and ours is not among them
	choosy.ClientAuth, choosy.ClientCAs = tls.RequestClientCert, x509.NewCertPool()
	choosy.ClientCAs.AddCert(must(t)(issue(nil, "Another CA")).Leaf)
	checking := server.Clone()
	checking.ClientAuth, checking.ClientCAs = tls.RequireAndVerifyClientCert, testRoots()
	client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	forClients := must(t)(issueWith(authority(), client, "out.contoso.example"))
	forServers := must(t)(issueWith(authority(), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "out.contoso.example"))
	other := must(t)(issueWith(authority(), client, "partner.contoso.example"))
	alone := must(t)(issueWith(nil, func(c *x509.Certificate) { c.DNSNames = []string{"out.contoso.example"} }, "out.contoso.example"))
	for name, tt := range map[string]struct {
		server *tls.Config
		store  *tls.Certificate // by the name of own.pem
		key    string           // tls_certificate
		mutual bool
		shown  *tls.Certificate
		client string // of the attempt
		want   string // empty: delivered
	}{
		"nobody asks":                       {server, forClients, "", false, nil, "", ""},
		"none to show":                      {asking, other, "", false, nil, "asked for", ""},
		"by fqdn":                           {knowing, forClients, "", false, forClients, "shown", ""},
		"by fqdn, to who says nothing":      {asking, forClients, "", false, nil, "asked for", ""},
		"by fqdn, to who wants another":     {choosy, forClients, "", false, nil, "asked for", ""},
		"by fqdn, but for servers":          {knowing, forServers, "", false, nil, "asked for", ""},
		"by fqdn, but self-signed":          {knowing, alone, "", false, nil, "asked for", ""},
		"by name":                           {asking, other, "partner.contoso.example", false, other, "shown", ""},
		"by friendly name":                  {asking, alone, "own", false, alone, "shown", ""},
		"by thumbprint":                     {asking, forServers, ptls.Thumbprint(forServers.Leaf), false, forServers, "shown", ""},
		"by path":                           {asking, other, "PATH", false, other, "shown", ""},
		"by name, to who wants another":     {choosy, other, "partner.contoso.example", false, other, "shown", ""},
		"none, though there is one":         {knowing, forClients, "none", false, nil, "asked for", ""},
		"judged and good":                   {checking, forClients, "", false, forClients, "shown", ""},
		"mutual":                            {checking, forClients, "", true, forClients, "shown", ""},
		"mutual with one that does not ask": {server, forClients, "", true, nil, "", "0 deferred 454 4.7.5 Certificate validation failure: the host did not ask for a certificate of ours, which domain_secure_enabled wants. "},
	} {
		t.Run(name, func(t *testing.T) {
			var seen *x509.Certificate
			s := tt.server.Clone()
			s.VerifyConnection = func(cs tls.ConnectionState) error {
				if len(cs.PeerCertificates) > 0 {
					seen = cs.PeerCertificates[0]
				}
				return nil
			}
			f := newFiles(t)
			path := f.write("own.pem", tt.store)
			mx := &fakeMX{tls: s}
			b := newBench(t, mx)
			b.options.Roots, b.options.Certificates = testRoots(), f.dir
			b.connector.TLS, b.connector.TLSCertificate = config.TLSRequired, strings.ReplaceAll(tt.key, "PATH", path)
			if tt.mutual {
				b.connector.TLSAuthLevel, b.connector.TLSDomain, b.connector.DomainSecureEnabled = config.DomainValidation, []string{"mx.test"}, true
			}
			protocol := b.logged()
			r := b.send()
			b.stop()
			log := protocol()
			if tt.want != "" {
				if got := sum(r); !strings.HasPrefix(got, tt.want) {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				return
			}
			if got := sum(r); got != took || r.Attempts[0].Client != tt.client {
				t.Fatalf("outcome %q, attempt %+v, want it delivered and our certificate %q", got, r.Attempts[0], tt.client)
			}
			switch {
			case tt.shown == nil && (seen != nil || strings.Contains(log, "Sending certificate")):
				t.Errorf("the host saw %v", seen.Subject)
			case tt.shown != nil && (seen == nil || !seen.Equal(tt.shown.Leaf)):
				t.Errorf("the host saw %v, want %v", seen, tt.shown.Leaf.Subject)
			case tt.shown != nil && !strings.Contains(log, "* "+ptls.Thumbprint(tt.shown.Leaf)+" Sending certificate\n"):
				t.Errorf("the log says\n%s", log)
			}
		})
	}
}

// TestWaitingForTLSTellsTheSender: the reason stands in what a delay
// notification will say, the outcome's reply, whichever recipient it is.
func TestWaitingForTLSTellsTheSender(t *testing.T) {
	b := newBench(t, &fakeMX{})
	b.connector.TLS = config.TLSOpportunistic
	b.connector.TLSOverrides = []config.TLSOverride{{Domain: "*.test", TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation}}
	r := b.send("a", "b")
	b.stop()
	want := message.Reply{Code: 451, Enhanced: [3]int{4, 7, 4}, Text: `TLS is required, but the host does not offer STARTTLS. The override for *.test in send connector "Internet" asks for TLS with a valid certificate`}
	if len(r.Outcomes) != 1 || r.Outcomes[0].Reply != want || len(r.Outcomes[0].Recipients) != 2 {
		t.Errorf("outcomes %+v", r.Outcomes)
	}
}

// TestHandshakeThatHangs: a host that says nothing more costs a minute, and
// then counts as one whose TLS fails.
func TestHandshakeThatHangs(t *testing.T) {
	server := testServerTLS(t, "mx.test")
	for mode, want := range map[string]string{
		config.TLSOpportunistic: took,
		config.TLSRequired:      `0 deferred 454 4.7.5 TLS negotiation failed: the host did not finish the handshake in time. Send connector "Internet" asks for TLS`,
	} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{tls: server, faults: map[string]fault{"STARTTLS": func(s *fakeSession) bool {
					s.send("220 ready")
					return hangs(s)
				}}}
				b := newBench(t, mx)
				b.connector.TLS = mode
				started := time.Now()
				if got := sum(b.send()); got != want || time.Since(started) != time.Minute {
					t.Errorf("after %v: outcome %q, want %q after a minute", time.Since(started), got, want)
				}
				b.stop()
			})
		})
	}
}
