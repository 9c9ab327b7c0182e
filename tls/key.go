package ptls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
)

// KeyKind is a kind of private key: an algorithm and a size.
type KeyKind string

// The kinds of keys that certificates are asked for with. Mail hosts know RSA
// everywhere; ECDSA is faster and shorter, and a few old hosts lack it.
const (
	RSA2048  KeyKind = "rsa2048"
	RSA3072  KeyKind = "rsa3072"
	RSA4096  KeyKind = "rsa4096"
	ECDSA256 KeyKind = "ecdsa256"
	ECDSA384 KeyKind = "ecdsa384"
)

// KeyKinds lists the kinds of keys that can be made, the default first.
func KeyKinds() []KeyKind { return []KeyKind{RSA2048, RSA3072, RSA4096, ECDSA256, ECDSA384} }

// ParseKeyKind reads a kind of key.
func ParseKeyKind(text string) (KeyKind, error) {
	var names []string
	for _, k := range KeyKinds() {
		if strings.EqualFold(text, string(k)) {
			return k, nil
		}
		names = append(names, string(k))
	}
	return "", fmt.Errorf("there is no key %q; want %s", text, strings.Join(names, ", "))
}

// GenerateKey makes a private key.
func GenerateKey(kind KeyKind) (crypto.Signer, error) {
	switch kind {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case ECDSA256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSA384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return nil, fmt.Errorf("there is no key %q", kind)
}

// KindOf is the kind of which a new key is made in the place of an old one: the
// same, or the next that is strong enough.
func KindOf(pub crypto.PublicKey) KeyKind {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize > 256 {
			return ECDSA384
		}
		return ECDSA256
	case ed25519.PublicKey:
		return ECDSA256
	case *rsa.PublicKey:
		switch n := k.N.BitLen(); {
		case n > 3072:
			return RSA4096
		case n > 2048:
			return RSA3072
		}
	}
	return RSA2048
}

// DescribeKey names a public key's algorithm and size, as "RSA, 2048 bits".
func DescribeKey(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", k.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ECDSA, %d bits (%s)", k.Curve.Params().BitSize, k.Curve.Params().Name)
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", pub)
}

// checkKey says why a public key is not fit to be presented; nil when it is.
func checkKey(pub crypto.PublicKey) error {
	switch pub.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fmt.Errorf("its key is a %T, which TLS has no use for; ask for one with RSA or ECDSA", pub)
	}
	if bits := weakKey(&x509.Certificate{PublicKey: pub}); bits > 0 {
		return fmt.Errorf("its key has %d bits, which is too short: hosts that look refuse it; make a request with a longer one: postern cert request", bits)
	}
	return nil
}

// publicKeyID is the SHA-256 digest of a public key (RFC 5280 4.1.2.7), in
// upper-case hexadecimal: what joins a certificate and its key.
func publicKeyID(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return strings.ToUpper(hex.EncodeToString(sum[:])), nil
}

// keyPEM writes a private key as PKCS #8 (RFC 5958) in PEM.
func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
