package logon

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/xdg-go/stringprep"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The kinds of hashes that MakeHash makes.
const (
	Argon2id    = "argon2id"
	Bcrypt      = "bcrypt"
	ScramSHA256 = "scram-sha-256"
)

// Schemes lists the kinds of hashes, the default first.
func Schemes() []string { return []string{Argon2id, Bcrypt, ScramSHA256} }

// What new hashes cost. Argon2id: 19 MiB and two passes, which a gateway can
// afford for several clients at a time.
const (
	newArgonMemory     = 19 << 10 // KiB
	newArgonPasses     = 2
	newArgonThreads    = 1
	newBcryptCost      = 11
	newScramIterations = 15_000
	newSalt            = 16
	newKey             = 32
)

// maxPassword is how long a password may be, in octets.
const maxPassword = 512

// MakeHash makes the hash of a password for password_hash.
func MakeHash(scheme, password string) (string, error) {
	prepared, err := preparePassword(password)
	if err != nil {
		return "", err
	}
	salt := make([]byte, newSalt)
	rand.Read(salt)
	switch scheme {
	case Argon2id:
		key := argon2.IDKey(prepared, salt, newArgonPasses, newArgonMemory, newArgonThreads, newKey)
		b64 := base64.RawStdEncoding.EncodeToString
		return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", argonPrefix, argon2.Version, newArgonMemory, newArgonPasses, newArgonThreads, b64(salt), b64(key)), nil
	case Bcrypt:
		if len(prepared) > 72 {
			return "", errors.New("bcrypt looks at the first 72 octets of a password only, and this one is longer; use argon2id")
		}
		hash, err := bcrypt.GenerateFromPassword(prepared, newBcryptCost)
		return string(hash), err
	case ScramSHA256:
		k, err := deriveScram(prepared, salt, newScramIterations)
		if err != nil {
			return "", err
		}
		return k.String(), nil
	}
	return "", fmt.Errorf("scheme %q is not known; use argon2id, bcrypt or scram-sha-256", scheme)
}

// preparePassword puts a password into the form that is hashed (RFC 4013).
func preparePassword(password string) ([]byte, error) {
	if password == "" || len(password) > maxPassword {
		return nil, fmt.Errorf("a password has 1 to %d octets", maxPassword)
	}
	prepared, err := stringprep.SASLprep.Prepare(password)
	if err != nil || prepared == "" {
		return nil, errors.New("the password has characters that can't stand in one (RFC 4013), such as control characters")
	}
	return []byte(prepared), nil
}
