package ptls

import (
	"crypto"
	"errors"
	"fmt"
	"unicode/utf8"

	"software.sslmate.com/src/go-pkcs12"
)

// ErrNotExportable says that a key is not to leave the store.
var ErrNotExportable = errors.New("its key is marked as not exportable")

// exportIterations is how often the password of a PKCS #12 is hashed, three
// times over: Windows refuses files with more than 600,000 in all.
const exportIterations = 100_000

// PEM is the certificate with its chain and, if it is wanted, its key, which is
// not encrypted, as ParseBundle and most programs read them. What the store
// marks it with stays behind. The error is ErrNotExportable for a key that may
// not leave.
func (e *Entry) PEM(withKey bool) ([]byte, error) {
	var key crypto.Signer
	if withKey {
		if err := e.mayExport(); err != nil {
			return nil, err
		}
		key = e.Key
	}
	return e.text(key, false)
}

// PKCS12 is the certificate with its chain and key, encrypted with a password
// (RFC 7292, AES-256 and HMAC-SHA-256), as OpenSSL 1.1.1 and Windows Server 2019
// read it. It carries no friendly name. The error is ErrNotExportable for a key
// that may not leave.
func (e *Entry) PKCS12(password string) ([]byte, error) {
	if err := e.mayExport(); err != nil {
		return nil, err
	}
	if !utf8.ValidString(password) {
		return nil, errors.New("the password is no UTF-8")
	}
	der, err := pkcs12.Modern2023.WithIterations(exportIterations).Encode(e.Key, e.Leaf(), e.Chain[1:], password)
	if err != nil {
		return nil, fmt.Errorf("PKCS #12: %w", err)
	}
	return der, nil
}

func (e *Entry) mayExport() error {
	switch {
	case e.Key == nil:
		return errors.New("there is no private key with it")
	case !e.Exportable:
		return ErrNotExportable
	}
	return nil
}
