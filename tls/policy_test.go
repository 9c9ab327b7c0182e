package ptls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// authority is a certification authority for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) issue(t *testing.T, notAfter time.Time, names ...string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestPolicyLevels runs every level against every kind of certificate
// (reference 2.1, TlsAuthLevel).
func TestPolicyLevels(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	const host = "hub1.corp.contoso.example"
	servers := map[string]*tls.Config{
		"good":    ca.issue(t, soon, host, "hub.corp.contoso.example"),
		"star":    ca.issue(t, soon, "*.corp.contoso.example"),
		"other":   ca.issue(t, soon, "mail.fabrikam.example"),
		"expired": ca.issue(t, time.Now().Add(-time.Hour), "hub.corp.contoso.example"),
		"unknown": stranger.issue(t, soon, "hub.corp.contoso.example"),
		"tls10":   {MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10, Certificates: ca.issue(t, soon, host).Certificates},
	}
	tests := []struct {
		name   string
		c      config.SendConnector
		domain string
		server string
		want   string // part of the error; empty for success
	}{
		{"encryption only takes any certificate", config.SendConnector{TLS: "required"}, "contoso.example", "unknown", ""},
		{"encryption only takes an expired one", config.SendConnector{TLS: "required", TLSAuthLevel: "encryption_only"}, "contoso.example", "expired", ""},
		{"opportunistic takes any", config.SendConnector{TLS: "opportunistic"}, "contoso.example", "unknown", ""},
		{"chain good", config.SendConnector{TLS: "required", TLSAuthLevel: "certificate_validation"}, "contoso.example", "good", ""},
		{"chain does not ask for the name", config.SendConnector{TLS: "required", TLSAuthLevel: "certificate_validation"}, "contoso.example", "other", ""},
		{"chain unknown", config.SendConnector{TLS: "required", TLSAuthLevel: "certificate_validation"}, "contoso.example", "unknown", "unknown authority"},
		{"chain expired", config.SendConnector{TLS: "required", TLSAuthLevel: "certificate_validation"}, "contoso.example", "expired", "expired"},
		{"domain good", config.SendConnector{TLS: "required", TLSAuthLevel: "domain_validation", TLSDomain: []string{"hub.corp.contoso.example"}}, "contoso.example", "good", ""},
		{"domain under a wildcard", config.SendConnector{TLS: "required", TLSAuthLevel: "domain_validation", TLSDomain: []string{"hub.corp.contoso.example"}}, "contoso.example", "star", ""},
		{"any name below", config.SendConnector{TLS: "required", TLSAuthLevel: "domain_validation", TLSDomain: []string{"*.contoso.example"}}, "contoso.example", "good", ""},
		{"no name below", config.SendConnector{TLS: "required", TLSAuthLevel: "domain_validation", TLSDomain: []string{"*.contoso.example"}}, "contoso.example", "other", "no name below contoso.example"},
		{"domain wrong", config.SendConnector{TLS: "required", TLSAuthLevel: "domain_validation", TLSDomain: []string{"hub.corp.contoso.example"}}, "contoso.example", "other", "mail.fabrikam.example"},
		{"domain of the recipient", config.SendConnector{TLS: "required", TLSAuthLevel: "domain_validation"}, "mail.fabrikam.example", "other", ""},
		{"domain unknown authority", config.SendConnector{TLS: "required", TLSAuthLevel: "domain_validation", TLSDomain: []string{"hub.corp.contoso.example"}}, "contoso.example", "unknown", "unknown authority"},
		{"TLS 1.0 is too old", config.SendConnector{TLS: "required"}, "contoso.example", "tls10", "protocol version"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := PolicyFor(&tt.c, tt.domain)
			cs, err := handshake(t, p.ClientConfig(host, ca.pool()), servers[tt.server])
			if tt.want == "" {
				if err != nil {
					t.Fatalf("refused under %+v: %v", p, err)
				}
				if d := Describe(cs); !strings.HasPrefix(d, "TLS1.3 TLS_") {
					t.Errorf("described as %q", d)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			if ce := (*CertificateError)(nil); tt.server != "tls10" && !errors.As(err, &ce) {
				t.Errorf("error %T is no CertificateError", err)
			}
		})
	}
}

func TestPolicyMode(t *testing.T) {
	for mode, want := range map[string][2]bool{ // uses, required
		config.TLSRequired: {true, true}, config.TLSOpportunistic: {true, false}, config.TLSIgnoreSTARTTLS: {false, false},
	} {
		p := PolicyFor(&config.SendConnector{Name: "x", TLS: mode}, "")
		if got := [2]bool{p.Uses(), p.Required()}; got != want {
			t.Errorf("%s: uses, required = %v, want %v", mode, got, want)
		}
	}
}

func TestServerNameIsNeverAnAddress(t *testing.T) {
	for host, want := range map[string]string{"mx.contoso.example.": "mx.contoso.example", "192.0.2.1": "", "2001:db8::1": ""} {
		if got := (Policy{}).ClientConfig(host, nil).ServerName; got != want {
			t.Errorf("%s: server name %q, want %q", host, got, want)
		}
	}
}
