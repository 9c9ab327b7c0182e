package ptls

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/config"
)

const testHost = "hub1.corp.contoso.example"

// shake runs both sides of a handshake over loopback. A pipe in memory will
// not do: both sides may have an alert to write at once. Seen is the server's
// view.
func shake(t testing.TB, p Policy, host string, m *Material, server *tls.Config) (s *Session, seen tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if server == nil {
			return // cuts the connection
		}
		tc := tls.Server(conn, server)
		if tc.Handshake() == nil {
			seen = tc.ConnectionState()
			_, _ = tc.Write([]byte("x"))
		}
	}()
	conn, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	tc, s, err := p.Handshake(context.Background(), conn, host, m)
	if err == nil {
		_, err = io.ReadFull(tc, make([]byte, 1))
	}
	conn.Close()
	<-done
	return s, seen, err
}

func serve(certs ...*tls.Certificate) *tls.Config {
	c := &tls.Config{}
	for _, x := range certs {
		c.Certificates = append(c.Certificates, *x)
	}
	return c
}

// TestCertificates runs every level against every kind of certificate
// (reference 2.1, TlsAuthLevel), and reads what is said of it: Trust, and the
// reason why the connection is refused, which is empty where it is not.
func TestCertificates(t *testing.T) {
	ca, stranger := newAuthority(t, "Test authority", nil), newAuthority(t, "Strange authority", nil)
	middle := newAuthority(t, "Intermediate authority", ca)
	shortKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	goodKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	chained := middle.issue(t, nil, nil, testHost)
	whole := *chained
	whole.Certificate = append([][]byte{chained.Certificate[0]}, middle.cert.Raw)
	yesterday, tomorrow := time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	servers := map[string]*tls.Config{
		"good":            serve(ca.issue(t, nil, nil, testHost, "hub.corp.contoso.example")),
		"RSA":             serve(ca.issue(t, goodKey, nil, testHost)),
		"wildcard":        serve(ca.issue(t, nil, nil, "*.corp.contoso.example")),
		"other":           serve(ca.issue(t, nil, nil, "mail.fabrikam.example")),
		"expired":         serve(ca.issue(t, nil, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = yesterday.Add(-time.Hour), yesterday }, testHost)),
		"not yet valid":   serve(ca.issue(t, nil, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = tomorrow, tomorrow.Add(time.Hour) }, testHost)),
		"unknown":         serve(stranger.issue(t, nil, nil, testHost)),
		"self-signed":     serve((*authority)(nil).issue(t, nil, nil, testHost)),
		"no intermediate": serve(chained),
		"intermediate":    serve(&whole),
		"short key":       serve(ca.issue(t, shortKey, nil, testHost)),
		"common name":     serve(ca.issue(t, nil, func(c *x509.Certificate) { c.DNSNames = nil }, testHost)),
		"client's":        serve(ca.issue(t, nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, testHost)),
		"address":         serve(ca.issue(t, nil, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, testHost)),
	}
	m := NewMaterial(MaterialOptions{Roots: ca.pool()})
	required := func(level string, names ...string) config.SendConnector {
		return config.SendConnector{Name: "x", TLS: config.TLSRequired, TLSAuthLevel: level, TLSDomain: names}
	}
	opportunistic := config.SendConnector{TLS: config.TLSOpportunistic}
	encryption, chain := required(config.EncryptionOnly), required(config.CertificateValidation)
	date := yesterday.UTC().Format(time.DateOnly)
	for _, tt := range []struct {
		server string
		c      config.SendConnector
		trust  string
		want   string // part of the error; empty where the connection is made
	}{
		{"good", encryption, "trusted", ""},
		{"self-signed", encryption, "self-signed", ""},
		{"expired", encryption, "expired", ""},
		{"not yet valid", encryption, "not yet valid", ""},
		{"unknown", encryption, "unknown issuer", ""},
		{"no intermediate", encryption, "unknown issuer", ""},
		{"short key", encryption, "weak key", ""},
		{"client's", encryption, "not for servers", ""},
		{"self-signed", opportunistic, "self-signed", ""},
		{"good", opportunistic, "trusted", ""},

		{"good", chain, "trusted", ""},
		{"RSA", chain, "trusted", ""},
		{"intermediate", chain, "trusted", ""},
		{"other", chain, "trusted", ""},
		{"common name", chain, "trusted", ""},
		{"expired", chain, "expired", "the host's certificate expired on " + date + ". It is for " + testHost},
		{"not yet valid", chain, "not yet valid", "the host's certificate is not valid before " + tomorrow.UTC().Format(time.DateOnly)},
		{"self-signed", chain, "self-signed", "the host's certificate is self-signed: no authority vouches for it"},
		{"unknown", chain, "unknown issuer", `the host's certificate was issued by "CN=Strange authority", which is not among the authorities that this host trusts, and the host sent no intermediate`},
		{"no intermediate", chain, "unknown issuer", `issued by "CN=Intermediate authority", which is not among`},
		{"short key", chain, "weak key", "the key of the host's certificate has 1024 bits only"},
		{"client's", chain, "not for servers", "may not be used by servers"},

		{"good", required(config.DomainValidation, "hub.corp.contoso.example"), "trusted for hub.corp.contoso.example", ""},
		{"good", required(config.DomainValidation, "x.example", "hub.corp.contoso.example"), "trusted for hub.corp.contoso.example", ""},
		{"wildcard", required(config.DomainValidation, "hub.corp.contoso.example"), "trusted for hub.corp.contoso.example", ""},
		{"wildcard", required(config.DomainValidation, "a.b.corp.contoso.example"), "wrong name", "the host's certificate is not for a.b.corp.contoso.example. It is for *.corp.contoso.example"},
		{"good", required(config.DomainValidation, "*.contoso.example"), "trusted for *.contoso.example", ""},
		{"wildcard", required(config.DomainValidation, "*.contoso.example"), "trusted for *.contoso.example", ""},
		{"other", required(config.DomainValidation, "*.contoso.example", "contoso.example"), "wrong name", "not for *.contoso.example or contoso.example. It is for mail.fabrikam.example"},
		{"other", required(config.DomainValidation), "trusted for mail.fabrikam.example", ""}, // the recipient's domain
		{"good", required(config.DomainValidation), "wrong name", "not for mail.fabrikam.example"},
		{"common name", required(config.DomainValidation, testHost), "wrong name", `It has no names at all but the common name "` + testHost + `", which does not count`},
		{"self-signed", required(config.DomainValidation, testHost), "self-signed", "self-signed"},
		{"expired", required(config.DomainValidation, testHost), "expired", "expired on " + date},
		{"address", required(config.DomainValidation, "192.0.2.1"), "trusted for 192.0.2.1", ""},
	} {
		t.Run(tt.server+"/"+tt.c.TLSAuthLevel+"/"+strings.Join(tt.c.TLSDomain, ","), func(t *testing.T) {
			p := PolicyFor(&tt.c, Hop{Domain: "mail.fabrikam.example", Host: testHost})
			s, _, err := shake(t, p, testHost, m, servers[tt.server])
			if s.Trust != tt.trust {
				t.Errorf("trust %q, want %q", s.Trust, tt.trust)
			}
			if tt.want == "" {
				if err != nil {
					t.Fatalf("refused under %s: %v", p, err)
				}
				if !strings.HasPrefix(s.Described, "TLS1.3 TLS_") || s.Peer == "" || s.Shown != "" || s.Asked {
					t.Errorf("session %+v", s)
				}
				return
			}
			ce := (*CertificateError)(nil)
			if !errors.As(err, &ce) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			if string(ce.Reason) != tt.trust {
				t.Errorf("reason %q, want %q", ce.Reason, tt.trust)
			}
		})
	}
}

// TestNoAuthorities: that the host has none is no fault of the certificate.
func TestNoAuthorities(t *testing.T) {
	leaf := newAuthority(t, "Test authority", nil).issue(t, nil, nil, testHost).Leaf
	e := explainChain([]*x509.Certificate{leaf}, authorities{}, x509.SystemRootsError{Err: errors.New("no such file")})
	if e.Reason != UnknownIssuer || !strings.Contains(e.Text, "install them (ca-certificates)") {
		t.Errorf("%+v", e)
	}
}

// TestWeakSignature: an authority that still signs with SHA-1 vouches for
// nothing.
func TestWeakSignature(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	caKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := ca.issue(t, caKey, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
	}, "Old authority")
	old := &authority{root.Leaf, caKey}
	weak := old.issue(t, nil, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }, testHost)
	p := PolicyFor(&config.SendConnector{TLS: config.TLSRequired, TLSAuthLevel: config.CertificateValidation}, Hop{Host: testHost})
	s, _, err := shake(t, p, testHost, NewMaterial(MaterialOptions{Roots: old.pool()}), serve(weak))
	want := "the host's certificate is signed with SHA1-RSA, which can be forged. It is for " + testHost
	if s.Trust != "weak signature" || err == nil || err.Error() != want {
		t.Errorf("trust %q, error %v; want %q", s.Trust, err, want)
	}
}

// TestPins: a pinned certificate or key must be the one, besides what the
// level asks; alone it needs no authority, no name and no date.
func TestPins(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	m := NewMaterial(MaterialOptions{Roots: ca.pool()})
	key := newKey(t)
	first, renewed := ca.issue(t, key, nil, testHost), ca.issue(t, key, nil, testHost)
	another := ca.issue(t, nil, nil, testHost)
	old := (*authority)(nil).issue(t, nil, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Second) }, "x.example")
	byCertificate, byKey := Thumbprint(first.Leaf), config.PublicKeyPin+PublicKeyThumbprint(first.Leaf)
	for name, tt := range map[string]struct {
		pins   []string
		level  string
		server *tls.Certificate
		trust  string
		want   string
	}{
		"the certificate":                   {[]string{byCertificate}, "", first, "pinned, trusted", ""},
		"its key":                           {[]string{byKey}, "", first, "pinned, trusted", ""},
		"one of several":                    {[]string{Thumbprint(another.Leaf), byKey}, "", first, "pinned, trusted", ""},
		"renewed, by certificate":           {[]string{byCertificate}, "", renewed, "not pinned", "none of those that are pinned. Its fingerprint is " + Thumbprint(renewed.Leaf) + ", that of its public key " + byKey},
		"renewed, by key":                   {[]string{byKey}, "", renewed, "pinned, trusted", ""},
		"another":                           {[]string{byCertificate, byKey}, "", another, "not pinned", "none of those that are pinned"},
		"self-signed and expired":           {[]string{Thumbprint(old.Leaf)}, "", old, "pinned, expired", ""},
		"self-signed and expired, not good": {[]string{Thumbprint(old.Leaf)}, config.CertificateValidation, old, "pinned, expired", "expired on"},
		"good for another name":             {[]string{byCertificate}, config.DomainValidation, first, "wrong name", "not for example.test"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config.SendConnector{TLS: config.TLSRequired, TLSAuthLevel: tt.level, TLSFingerprints: tt.pins}
			s, _, err := shake(t, PolicyFor(&c, Hop{Domain: "example.test", Host: testHost}), testHost, m, serve(tt.server))
			if s.Trust != tt.trust || tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("trust %q, error %v; want %q and %q", s.Trust, err, tt.trust, tt.want)
			}
		})
	}
}

// TestHandshakeFailures: each way to fail is put into words.
func TestHandshakeFailures(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	cert := ca.issue(t, nil, nil, testHost)
	good := func(change func(*tls.Config)) *tls.Config {
		c := serve(cert)
		change(c)
		return c
	}
	m := NewMaterial(MaterialOptions{Roots: ca.pool()})
	for name, tt := range map[string]struct {
		server *tls.Config
		want   string
	}{
		"cut":                          {nil, "the host cut the connection in the handshake"},
		"TLS 1.0":                      {good(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }), "the host speaks no version of TLS from 1.2 on, and older ones are not safe (alert: protocol version not supported)"},
		"wants a certificate":          {good(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }), "the host wants a certificate of ours (alert: certificate required)"},
		"wants a certificate, TLS 1.2": {good(func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }), "the host finds no cipher or kind of key in common with us, or wants a certificate of ours (alert: handshake failure)"},
		"trouble": {good(func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }
		}), "the host has trouble of its own (alert: internal error)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := shake(t, Policy{}, testHost, m, tt.server)
			if err == nil || ExplainHandshake(err) != tt.want {
				t.Errorf("error %v, explained as %q; want %q", err, ExplainHandshake(err), tt.want)
			}
		})
	}
	for text, want := range map[string]string{
		"tls: server selected unsupported protocol version 301":  "the host speaks TLS 1.0, and TLS 1.2 is the oldest that is safe",
		"tls: first record does not look like a TLS handshake":   "the host sent something that is not TLS",
		"tls: server's certificate contains an unsupported type": "server's certificate contains an unsupported type",
		"remote error: tls: no such thing":                       "the host refuses the handshake: no such thing",
	} {
		if got := ExplainHandshake(errors.New(text)); got != want {
			t.Errorf("%s: explained as %q, want %q", text, got, want)
		}
	}
}

// TestServerName: the host's name goes into the handshake, an address never
// (RFC 6066 3).
func TestServerName(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	cert := ca.issue(t, nil, nil, testHost)
	for host, want := range map[string]string{"mx.contoso.example.": "mx.contoso.example", "MX.contoso.example": "mx.contoso.example", "bücher.example": "xn--bcher-kva.example", "192.0.2.1": "", "2001:db8::1": ""} {
		var got string
		server := serve(cert)
		server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			got = h.ServerName
			return nil, nil
		}
		if _, _, err := shake(t, Policy{}, host, NewMaterial(MaterialOptions{}), server); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: server name %q, want %q", host, got, want)
		}
	}
}

func FuzzMatchDomain(f *testing.F) {
	for _, s := range []string{"hub.example", "*.example", "*.", "[192.0.2.1]", "[IPv6:2001:db8::1]", "bücher.example", "", "*", "::1", "a b"} {
		f.Add(s, "hub.example")
		f.Add("*.example", s)
	}
	f.Fuzz(func(t *testing.T, domain, name string) {
		leaf := &x509.Certificate{DNSNames: []string{name}}
		if matchDomain(leaf, domain) && !strings.HasPrefix(domain, "*.") && !strings.Contains(name, "*") {
			if _, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
				t.Errorf("the address %q is found among the names, as %q", domain, name)
			}
			if strings.Count(domain, ".") != strings.Count(name, ".") && domain == strings.ToLower(domain) && strings.Trim(domain, ".") == domain && strings.Trim(name, ".") == name && !strings.ContainsAny(domain, "。．｡") {
				t.Errorf("%q matches %q", name, domain)
			}
		}
	})
}
