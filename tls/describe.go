package ptls

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"
)

// Describe says what was negotiated, as "TLS1.3 TLS_AES_128_GCM_SHA256": the
// words of the Received field, the logs and the attempts of a delivery.
func Describe(cs tls.ConnectionState) string {
	return Version(cs.Version) + " " + tls.CipherSuiteName(cs.CipherSuite)
}

// Version names a protocol version without a space, as "TLS1.3".
func Version(v uint16) string {
	return strings.ReplaceAll(tls.VersionName(v), " ", "")
}

// Thumbprint is a certificate's SHA-256 digest in upper-case hexadecimal: the
// name by which the store, the logs and the commands know it.
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// SHA1Thumbprint is a certificate's SHA-1 digest in upper-case hexadecimal, as
// Windows shows it. It names a certificate to people and proves nothing.
func SHA1Thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
