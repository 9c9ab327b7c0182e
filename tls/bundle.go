package ptls

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// maxBundle bounds the certificates of a file.
const maxBundle = 100

var errTooMany = fmt.Errorf("it holds more than %d certificates; take those that belong to one chain", maxBundle)

// ErrPassword says that a file is encrypted and the password is not its own.
var ErrPassword = errors.New("the password is wrong")

// Bundle is what came in a file: certificates and keys in any order.
type Bundle struct {
	// Format names the form of the file.
	Format string
	Certs  []*x509.Certificate
	Keys   []crypto.Signer
	// FriendlyName is what the file calls it; empty for nothing.
	FriendlyName string
}

// ParseBundle reads what authorities and other programs give: certificates in
// PEM (RFC 7468) or DER, chains in PKCS #7 (.p7b), and PKCS #12 (.pfx, .p12, RFC
// 7292) with a key. Password is asked when the file needs one, at most once; its
// error is returned as it is. The error wraps ErrPassword when it is wrong.
func ParseBundle(data []byte, password func() (string, error)) (*Bundle, error) {
	if len(data) > maxPEM {
		return nil, fmt.Errorf("it is larger than %d MB", maxPEM>>20)
	}
	text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.Contains(text, []byte("-----BEGIN ")) {
		return parsePEMBundle(text)
	}
	if der, ok := plainBase64(text); ok {
		data = der
	}
	return parseDER(data, password)
}

// plainBase64 decodes base64 without the lines around it, as some authorities
// give it.
func plainBase64(text []byte) ([]byte, bool) {
	joined := bytes.Join(bytes.Fields(text), nil)
	if len(joined) == 0 || joined[0] != 'M' { // what a sequence begins with
		return nil, false
	}
	der, err := base64.StdEncoding.DecodeString(string(joined))
	return der, err == nil
}

func parsePEMBundle(text []byte) (*Bundle, error) {
	out := &Bundle{Format: "PEM"}
	var attributes bag
	request := false
	for {
		b, rest := pem.Decode(text)
		if b == nil {
			break
		}
		attributes.read(text[:len(text)-len(rest)])
		text = rest
		switch {
		case b.Type == "CERTIFICATE" || b.Type == "X509 CERTIFICATE" || b.Type == "PKCS7" || b.Type == "CMS":
			// Windows writes CERTIFICATE over PKCS #7 too.
			more, err := parseDER(b.Bytes, nil)
			if err != nil {
				return nil, err
			}
			out.Certs = append(out.Certs, more.Certs...)
			if more.Format == "PKCS #7" {
				out.Format = more.Format
			}
		case strings.Contains(b.Type, "ENCRYPTED") || b.Headers["DEK-Info"] != "":
			return nil, errors.New("the private key in it is encrypted; decrypt it with \"openssl pkey\", or import it as PKCS #12")
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			k, err := parseKey(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the private key in it can't be read: %w", err)
			}
			out.Keys = append(out.Keys, k)
		case strings.HasSuffix(b.Type, requestType):
			request = true
		}
		if len(out.Certs) > maxBundle || len(out.Keys) > maxBundle {
			return nil, errTooMany
		}
	}
	out.FriendlyName = attributes.name
	switch {
	case len(out.Certs) > 0:
		return out, nil
	case request:
		return nil, errors.New("it holds the request; send that to the authority, and import what comes back")
	case len(out.Keys) > 0:
		return nil, errors.New("it holds a key and no certificate; put both into one file and import that")
	}
	return nil, errors.New("there is no certificate in it")
}

// parseDER reads what is binary. Password is nil where no PKCS #12 may stand.
func parseDER(der []byte, password func() (string, error)) (*Bundle, error) {
	outer, _, err := nextTLV(der, 0)
	if err != nil || !outer.is(tagSequence) {
		return nil, errors.New("it is neither PEM, nor DER, nor PKCS #7, nor PKCS #12")
	}
	inner, _, err := nextTLV(outer.content, 1)
	switch {
	case err != nil:
		return nil, errors.New("it is cut short, or no certificate")
	case inner.is(tagOID):
		certs, err := parsePKCS7(der)
		return &Bundle{Format: "PKCS #7", Certs: certs}, err
	case inner.is(tagInteger) && password != nil:
		return parsePKCS12(der, password)
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return nil, errors.New("it is the request; send that to the authority, and import what comes back")
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("the certificate in it can't be read: %w", err)
	}
	return &Bundle{Format: "DER", Certs: []*x509.Certificate{c}}, nil
}

// parsePKCS12 reads a key with its certificates, encrypted as was usual once
// (RC2, 3DES) or as is now (AES, PBKDF2).
func parsePKCS12(der []byte, password func() (string, error)) (*Bundle, error) {
	if err := checkIterations(der, 0); err != nil {
		return nil, err
	}
	text := ""
	key, leaf, more, err := pkcs12.DecodeChain(der, text)
	if err != nil && needsPassword(err) {
		if text, err = password(); err != nil {
			return nil, err
		}
		key, leaf, more, err = pkcs12.DecodeChain(der, text)
	}
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, ErrPassword
	case err != nil:
		return nil, fmt.Errorf("the PKCS #12 can't be read: %s; turn it into PEM, and import that: openssl pkcs12 -in FILE -out FILE.pem -nodes", strings.TrimPrefix(err.Error(), "pkcs12: "))
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key in it is a %T, which can't sign", key)
	}
	out := &Bundle{Format: "PKCS #12", Certs: append([]*x509.Certificate{leaf}, more...), Keys: []crypto.Signer{signer}}
	if len(out.Certs) > maxBundle {
		return nil, errTooMany
	}
	out.FriendlyName = pkcs12Name(der, text)
	return out, nil
}

// needsPassword reports whether a file that was tried without a password may
// open with one.
func needsPassword(err error) bool {
	return errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) || strings.Contains(err.Error(), "no MAC in data")
}

// pkcs12Name is the friendly name of the key, or else of its certificate. Files
// with attributes that the library does not know have none.
func pkcs12Name(der []byte, password string) string {
	//lint:ignore SA1019 what is wrong with the blocks is that of the keys; the attributes are right
	blocks, err := pkcs12.ToPEM(der, password)
	if err != nil {
		return ""
	}
	name := ""
	for _, b := range blocks {
		n := friendly(b.Headers["friendlyName"])
		if n != "" && (name == "" || strings.HasSuffix(b.Type, "PRIVATE KEY")) {
			name = n
		}
	}
	return name
}

// maxIterations bounds the rounds by which a key is derived from a password: five
// times what programs that take care do, some seconds.
const maxIterations = 3_000_000

// checkIterations refuses files that would take hours to open: an integer right
// behind an octet string is a salt with its rounds (RFC 7292 4, RFC 8018
// A.2), wherever it stands.
//
// What follows an element that can't be read is of no account to the library
// either; what comes before it is.
func checkIterations(b []byte, depth int) error {
	var before tlv
	for len(b) > 0 {
		t, rest, err := nextTLV(b, depth)
		if err != nil {
			return nil // some octets that mean nothing to us
		}
		if t.is(tagInteger) && before.is(tagOctetString) {
			if n := new(big.Int).SetBytes(t.content); n.Cmp(big.NewInt(maxIterations)) > 0 {
				return errors.New("opening it would take hours: its password is hashed more than three million times; export it anew with usual settings")
			}
		}
		if (t.constructed || t.is(tagOctetString) || t.context(0)) && depth < maxDepth {
			if err := checkIterations(t.content, depth+1); err != nil {
				return err
			}
		}
		before, b = t, rest
	}
	return nil
}
