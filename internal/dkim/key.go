package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"postern/internal/secret"
)

// The sizes of RSA keys, in bits. Signers use 2048 at least (RFC 8301 3.2); a
// longer key makes each signature slower, and verifiers need take none beyond
// 2048.
const (
	MinRSABits     = 2048
	DefaultRSABits = 2048
	MaxRSABits     = 4096
)

// maxKeyFile bounds a file with a key, in octets.
const maxKeyFile = 64 << 10

// ParseKey reads a private key in PEM, PKCS #8 or PKCS #1.
func ParseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no key in PEM; make one with `postern cert dkim`")
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("it holds %q, not a private key without a password; make one with `postern cert dkim`", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("its key can't be read: %w", err)
	}
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
			return nil, fmt.Errorf("its RSA key has %d bits; use one of %d to %d", bits, MinRSABits, MaxRSABits)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("its key is a %T; DKIM knows RSA and Ed25519", parsed)
}

// ReadKey reads the key of a file that nobody but its owner and its group may
// read.
func ReadKey(path string) (crypto.Signer, error) {
	k, _, err := readKey(path)
	return k, err
}

func readKey(path string) (crypto.Signer, fs.FileInfo, error) {
	text, info, err := secret.ReadInfo(path, maxKeyFile)
	if err != nil {
		return nil, nil, err
	}
	k, err := ParseKey(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, info, nil
}

// Keys are the keys of files, which are read again when a file has changed.
// The zero value is ready. It is safe for concurrent use.
type Keys struct {
	mu    sync.Mutex
	files map[string]heldKey
}

type heldKey struct {
	key  crypto.Signer
	info fs.FileInfo
}

// Get returns the key of a file as it is now.
func (k *Keys) Get(path string) (crypto.Signer, error) {
	k.mu.Lock()
	held, ok := k.files[path]
	k.mu.Unlock()
	if ok {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if os.SameFile(info, held.info) && info.Size() == held.info.Size() && info.ModTime().Equal(held.info.ModTime()) && info.Mode() == held.info.Mode() {
			return held.key, nil
		}
	}
	key, info, err := readKey(path)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.files == nil {
		k.files = make(map[string]heldKey)
	}
	k.files[path] = heldKey{key, info}
	return key, nil
}

// Retain forgets the keys of all files but those named.
func (k *Keys) Retain(paths map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for path := range k.files {
		if !paths[path] {
			delete(k.files, path)
		}
	}
}

// GenerateRSA makes an RSA key of so many bits.
func GenerateRSA(bits int) (crypto.Signer, error) {
	if bits < MinRSABits || bits > MaxRSABits {
		return nil, fmt.Errorf("an RSA key of %d bits can't be made; choose %d to %d", bits, MinRSABits, MaxRSABits)
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

// GenerateEd25519 makes an Ed25519 key.
func GenerateEd25519() (crypto.Signer, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	return k, err
}

// WriteKey writes a key in PEM (PKCS #8) into a file of mode 0600 that does not
// exist yet, and its directories with mode 0700. The file is whole or not there.
func WriteKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".dkim-*.tmp") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = errors.Join(pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	// Unlike a rename, a link replaces nothing.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return nil
}

// FileName is what `postern cert dkim` calls the file of a key.
func FileName(selector, domain string) string {
	return strings.ToLower(selector + "._domainkey." + domain + ".pem")
}
