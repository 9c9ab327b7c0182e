package send

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"
	"time"
)

// authority issues the certificates of the tests. They are valid at the
// beginning of the synthetic time, the year 2000, and long after.
var authority = sync.OnceValue(func() *tls.Certificate {
	c, err := issue(nil, "Test CA")
	if err != nil {
		panic(err)
	}
	return c
})

func issue(ca *tls.Certificate, names ...string) (*tls.Certificate, error) {
	return issueWith(ca, func(*x509.Certificate) {}, names...)
}

// issueWith changes the certificate before it is signed.
func issueWith(ca *tls.Certificate, change func(*x509.Certificate), names ...string) (*tls.Certificate, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	parent, signer := template, any(k)
	if ca == nil {
		template.IsCA = true
	} else {
		template.DNSNames = names
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, k.Public(), signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k, Leaf: leaf}, err
}

func testServerTLS(t *testing.T, names ...string) *tls.Config {
	t.Helper()
	c, err := issue(authority(), names...)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{*c}}
}

func testRoots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(authority().Leaf)
	return p
}
