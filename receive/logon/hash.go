package logon

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What a hash may ask of us. A hash beyond it is refused when it is read, so
// that no file makes the gateway compute for minutes or run out of memory.
const (
	maxArgonMemory     = 64 << 10 // KiB
	maxArgonPasses     = 10
	maxArgonThreads    = 16
	maxBcryptCost      = 14
	minScramIterations = 4096 // RFC 7677 4
	maxScramIterations = 1_000_000
	maxSalt            = 64
	minKey, maxKey     = 16, 64
)

// verifier tells whether a password is the right one. Its check may be called
// concurrently.
type verifier interface {
	check(password []byte) bool
}

// ParseHash reads a password hash of any kind and says what is wrong with it.
// The error does not repeat it.
func ParseHash(s string) error {
	_, err := parseHash(s)
	return err
}

func parseHash(s string) (verifier, error) {
	switch {
	case strings.HasPrefix(s, argonPrefix):
		return parseArgon(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, scramPrefix):
		return parseScram(s)
	}
	return nil, errors.New("this is no hash that is known here; make one with `postern user hash`")
}

const argonPrefix = "$argon2id$"

// argon is an Argon2id hash (RFC 9106).
type argon struct {
	memory, passes uint32
	threads        uint8
	salt, key      []byte
}

// parseArgon reads the PHC string format:
// $argon2id$v=19$m=65536,t=3,p=4$salt$key.
func parseArgon(s string) (*argon, error) {
	parts := strings.Split(s[len(argonPrefix):], "$")
	if len(parts) != 4 {
		return nil, errors.New("an Argon2id hash is written $argon2id$v=19$ and has parameters, salt and hash behind that, with $ between")
	}
	if parts[0] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("the version of the Argon2id hash is not v=%d", argon2.Version)
	}
	var a argon
	fields := strings.Split(parts[1], ",")
	if len(fields) != 3 {
		return nil, errors.New("the parameters of the Argon2id hash are not m, t and p, in this order")
	}
	var threads uint32
	for i, p := range []struct {
		name string
		most uint32
		to   *uint32
	}{{"m", maxArgonMemory, &a.memory}, {"t", maxArgonPasses, &a.passes}, {"p", maxArgonThreads, &threads}} {
		text, ok := strings.CutPrefix(fields[i], p.name+"=")
		n, err := decimal(text, 1, int(p.most))
		if !ok || err != nil {
			return nil, fmt.Errorf("parameter %s of the Argon2id hash is not a number from 1 to %d; make the hash anew with `postern user hash`", p.name, p.most)
		}
		*p.to = uint32(n)
	}
	if a.memory < 8*threads { // RFC 9106 3.1
		return nil, errors.New("parameter m of the Argon2id hash is less than eight times p")
	}
	a.threads = uint8(threads)
	var err error
	if a.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[2]); err != nil || len(a.salt) < 8 || len(a.salt) > maxSalt {
		return nil, fmt.Errorf("the salt of the Argon2id hash is not 8 to %d octets in base64", maxSalt)
	}
	if a.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[3]); err != nil || len(a.key) < minKey || len(a.key) > maxKey {
		return nil, fmt.Errorf("the last part of the Argon2id hash is not %d to %d octets in base64", minKey, maxKey)
	}
	return &a, nil
}

func (a *argon) check(password []byte) bool {
	key := argon2.IDKey(password, a.salt, a.passes, a.memory, a.threads, uint32(len(a.key)))
	return subtle.ConstantTimeCompare(key, a.key) == 1
}

// bcryptHash is a hash of bcrypt.
type bcryptHash []byte

func parseBcrypt(s string) (bcryptHash, error) {
	const length, alphabet = 60, "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if len(s) != length || s[6] != '$' || strings.Trim(s[7:], alphabet) != "" {
		return nil, fmt.Errorf("a bcrypt hash has %d characters, as $2b$12$ and what follows it", length)
	}
	if _, err := decimal(s[4:6], bcrypt.MinCost, maxBcryptCost); err != nil {
		return nil, fmt.Errorf("the cost of the bcrypt hash is not from %02d to %d; make the hash anew with `postern user hash`", bcrypt.MinCost, maxBcryptCost)
	}
	return bcryptHash(s), nil
}

func (b bcryptHash) check(password []byte) bool {
	return bcrypt.CompareHashAndPassword(b, password) == nil
}

// decimal reads a number from lo to hi without a sign.
func decimal(s string, lo, hi int) (int, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi {
		return 0, strconv.ErrRange
	}
	return n, nil
}
