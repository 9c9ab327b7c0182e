package ptls

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
)

// oidSignedData is 1.2.840.113549.1.7.2, encoded.
var oidSignedData = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}

// parsePKCS7 reads the certificates of PKCS #7 SignedData (RFC 2315 9.1, RFC
// 5652 5.1), as authorities return chains in it: without content, and with no
// signature of its own.
func parsePKCS7(b []byte) ([]*x509.Certificate, error) {
	data, err := signedData(b)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, part := range data {
		if !part.context(0) { // certificates [0] IMPLICIT SET OF
			continue
		}
		list, err := elements(part.content, 3)
		if err != nil {
			return nil, fmt.Errorf("PKCS #7: %w", err)
		}
		for _, t := range list {
			if !t.is(tagSequence) { // attribute certificates and other forms
				continue
			}
			c, err := x509.ParseCertificate(t.raw)
			if err != nil {
				return nil, fmt.Errorf("a certificate in it can't be read: %w", err)
			}
			if certs = append(certs, c); len(certs) > maxBundle {
				return nil, errTooMany
			}
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no certificate in it; ask the authority for the chain as PKCS #7 or PEM")
	}
	return certs, nil
}

// signedData opens the two wrappings.
func signedData(b []byte) ([]tlv, error) {
	outer, rest, err := nextTLV(b, 0)
	if err != nil || len(bytes.TrimRight(rest, "\r\n\x00")) > 0 {
		return nil, errors.New("it is no PKCS #7, or is cut short")
	}
	parts, err := elements(outer.content, 1)
	if err != nil || len(parts) < 2 {
		return nil, errors.New("it is no PKCS #7, or is cut short")
	}
	if !bytes.Equal(parts[0].content, oidSignedData) {
		return nil, errors.New("it is PKCS #7 of a kind that holds no certificates; ask the authority for the chain")
	}
	inner, _, err := nextTLV(parts[1].content, 2)
	if err != nil {
		return nil, fmt.Errorf("PKCS #7: %w", err)
	}
	return elements(inner.content, 3)
}
