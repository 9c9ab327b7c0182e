package ptls

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"time"
)

// SelfSign makes a certificate that signs itself, for the names and with the
// subject of the options, and valid from an hour ago, since clocks differ, until
// life from now.
func SelfSign(o RequestOptions, life time.Duration) (*x509.Certificate, error) {
	subject, err := o.subject()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280 4.1.2.2
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		RawSubject:            subject,
		DNSNames:              o.Names,
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if _, rsa := o.Key.Public().(interface{ Size() int }); rsa {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment // TLS 1.2 without forward secrecy
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, crypto.PublicKey(o.Key.Public()), o.Key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
