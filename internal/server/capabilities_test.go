package server

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/config"
)

// TestDomainCapabilities: a certificate that is trusted and for a domain brings
// the rights of that domain, and no other does.
func TestDomainCapabilities(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	ca := newClientCertificate(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	issue := func(names ...string) *tls.Certificate {
		c := newClientCertificate(t, &ca, x509.Certificate{Subject: pkix.Name{CommonName: "mail.fabrikam.example"}, DNSNames: names})
		return &c
	}
	forged := newClientCertificate(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "mail.fabrikam.example"}, DNSNames: []string{"mail.fabrikam.example"}})
	expired := newClientCertificate(t, &ca, x509.Certificate{DNSNames: []string{"mail.fabrikam.example"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Minute)})
	early := newClientCertificate(t, &ca, x509.Certificate{DNSNames: []string{"mail.fabrikam.example"}, NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)})
	signing := newClientCertificate(t, &ca, x509.Certificate{DNSNames: []string{"mail.fabrikam.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	const capabilities = `tls_domain_capabilities = { "Mail.fabrikam.example" = ["accept_any_recipient", "accept_authoritative_domain_sender"], "*.partner.example" = ["accept_any_recipient"], "size.example" = ["bypass_message_size_limit"] }`
	file := fmt.Sprintf(edge, filepath.Join(dir, "data"), port, `protocol_logging = "verbose"
max_message_size = "64KB"
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = 100
auth_mechanism = ["tls", "client_certificate"]
client_ca_file = "`+caFile+`"
`+capabilities, 25)
	s := start(t, Options{
		Config: parse(t, file),
		Load:   func() (*config.Config, []config.Finding, error) { return config.Parse("test.toml", []byte(file)) },
	})
	defer stop(t, s)

	dial := func(cert *tls.Certificate) *smtp.Client {
		t.Helper()
		cfg := &tls.Config{InsecureSkipVerify: true}
		if cert != nil {
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		c, err := smtp.DialStartTLS(fmt.Sprintf("127.0.0.1:%d", port), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.Hello("client.example"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	relays := func(c *smtp.Client) bool {
		t.Helper()
		if err := errors.Join(c.Reset(), c.Mail("bob@fabrikam.example", nil)); err != nil {
			t.Fatal(err)
		}
		err := c.Rcpt("x@elsewhere.example", nil)
		var reply *smtp.SMTPError
		if err != nil && (!errors.As(err, &reply) || reply.Code != 550 && reply.Code != 451) {
			t.Fatal(err)
		}
		return err == nil || reply.EnhancedCode != smtp.EnhancedCode{5, 7, 54}
	}
	mutual := issue("mail.fabrikam.example")
	for _, tt := range []struct {
		name string
		cert *tls.Certificate
		want bool
	}{
		{"none", nil, false},
		{"its own", mutual, true},
		{"a wildcard", issue("*.fabrikam.example"), true},
		{"one of many names", issue("a.example", "MAIL.fabrikam.EXAMPLE"), true},
		{"the common name alone", issue(), false},
		{"another name", issue("other.fabrikam.example"), false},
		{"a name below", issue("x.mail.fabrikam.example"), false},
		{"a name that ends so", issue("evilmail.fabrikam.example"), false},
		{"any name below a domain", issue("mx1.eu.partner.example"), true},
		{"the domain itself", issue("partner.example"), false},
		{"one that ends so", issue("evilpartner.example"), false},
		{"rights of another", issue("size.example"), false},
		{"self-signed", &forged, false},
		{"expired", &expired, false},
		{"not valid yet", &early, false},
		{"for another purpose", &signing, false},
	} {
		if got := relays(dial(tt.cert)); got != tt.want {
			t.Errorf("%s: relays %v", tt.name, got)
		}
	}
	// EHLO shows what the size right means: no limit of the connector's.
	if ok, size := dial(issue("size.example")).Extension("SIZE"); !ok || size == "65536" {
		t.Errorf("SIZE %s for who may bypass it", size)
	}

	// A reload takes rights away from those who come then, not from a session in
	// the midst of its work.
	open := dial(mutual)
	file = strings.Replace(file, capabilities, "", 1)
	if _, _, _, err := s.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if !relays(open) {
		t.Error("an open session lost its rights")
	}
	if relays(dial(mutual)) {
		t.Error("rights that are gone from the file are still given")
	}
	file = strings.Replace(file, "auth_mechanism = [\"tls\", \"client_certificate\"]", `deny = ["accept_any_recipient"]
auth_mechanism = ["tls", "client_certificate"]
`+capabilities, 1)
	if _, findings, _, err := s.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err, findings)
	}
	if relays(dial(mutual)) {
		t.Error("deny does not win")
	}
}
