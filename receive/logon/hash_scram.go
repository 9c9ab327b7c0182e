package logon

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const scramPrefix = "SCRAM-SHA-256$"

// scramKeys are what a server keeps for SCRAM-SHA-256 (RFC 5802 3, RFC 7677).
type scramKeys struct {
	iterations           int
	salt                 []byte
	storedKey, serverKey []byte
}

// parseScram reads SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, after the
// model of RFC 5803 2.
func parseScram(s string) (*scramKeys, error) {
	shape := errors.New("a SCRAM verifier is written SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, with base64 for all but the number")
	factors, keys, ok := strings.Cut(s[len(scramPrefix):], "$")
	iterations, salt, ok2 := strings.Cut(factors, ":")
	stored, server, ok3 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 {
		return nil, shape
	}
	var k scramKeys
	var err error
	if k.iterations, err = decimal(iterations, minScramIterations, maxScramIterations); err != nil {
		return nil, fmt.Errorf("the iterations of the SCRAM verifier are not a number from %d to %d", minScramIterations, maxScramIterations)
	}
	for _, f := range []struct {
		text     string
		to       *[]byte
		min, max int
	}{{salt, &k.salt, 8, maxSalt}, {stored, &k.storedKey, sha256.Size, sha256.Size}, {server, &k.serverKey, sha256.Size, sha256.Size}} {
		if *f.to, err = base64.StdEncoding.Strict().DecodeString(f.text); err != nil || len(*f.to) < f.min || len(*f.to) > f.max || strings.ContainsAny(f.text, "\r\n") {
			return nil, shape
		}
	}
	return &k, nil
}

// deriveScram computes the keys of a password (RFC 5802 3).
func deriveScram(password, salt []byte, iterations int) (*scramKeys, error) {
	salted, err := pbkdf2.Key(sha256.New, string(password), salt, iterations, sha256.Size)
	if err != nil {
		return nil, err
	}
	client := sha256.Sum256(mac(salted, "Client Key")) // StoredKey := H(ClientKey)
	return &scramKeys{iterations, salt, client[:], mac(salted, "Server Key")}, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (k *scramKeys) check(password []byte) bool {
	d, err := deriveScram(password, k.salt, k.iterations)
	return err == nil && subtle.ConstantTimeCompare(d.storedKey, k.storedKey) == 1
}

func (k *scramKeys) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s%d:%s$%s:%s", scramPrefix, k.iterations, b64(k.salt), b64(k.storedKey), b64(k.serverKey))
}
