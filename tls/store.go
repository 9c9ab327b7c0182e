package ptls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/eventid"
)

// selfSignedFile holds the gateway's own certificate and its key.
const selfSignedFile = "self-signed.pem"

// selfSignedLife is how long a self-signed certificate is valid, and
// selfSignedRenew how long before its end a new one is made: before the first
// warning of its end.
const (
	selfSignedLife  = 365 * 24 * time.Hour
	selfSignedRenew = 31 * 24 * time.Hour
)

// StoreDirectory is where a gateway keeps its certificates.
func StoreDirectory(cfg *config.Config) string {
	if cfg.Server.CertificateDirectory != "" {
		return cfg.Server.CertificateDirectory
	}
	return filepath.Join(cfg.Server.DataDir, "certificates")
}

// StoreOptions say where certificates are kept and for which names the
// gateway needs one.
type StoreOptions struct {
	// Directory is made with mode 0700 when it is missing.
	Directory string
	// Names are the FQDNs of the server and its connectors; the first is the
	// certificate's subject.
	Names  []string
	Logger *slog.Logger
}

// Store keeps the self-signed certificate of the gateway's own, so that STARTTLS
// works from the first minute. Where it can't be written it is kept in memory
// until it can. It is safe for concurrent use.
type Store struct {
	dir     string
	logger  *slog.Logger
	current atomic.Pointer[Entry]

	mu      sync.Mutex // one certificate is made at a time
	names   []string   // those of the last Cover
	unsaved []byte     // what could not be written; nil: nothing
}

// OpenStore reads the store's certificate, or makes one when there is none,
// when it is about to expire, or when a name is missing from it.
func OpenStore(o StoreOptions) (*Store, error) {
	s := &Store{dir: o.Directory, logger: o.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	return s, s.Cover(o.Names)
}

// Cover makes sure that the self-signed certificate is valid for all of
// names, and replaces it when it is not. New handshakes use the new one at
// once; open sessions keep theirs.
func (s *Store) Cover(names []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = names
	return s.cover()
}

// cover is Cover for the names there are. Called with mu held.
func (s *Store) cover() error {
	names := s.names
	path := filepath.Join(s.dir, selfSignedFile)
	e, err := ReadEntry(path)
	now := s.current.Load()
	switch {
	case err == nil && covers(e.Leaf(), names):
		s.unsaved = nil
		s.current.Store(e)
		return nil
	case now != nil && covers(now.Leaf(), names):
		if s.unsaved != nil {
			s.write(path, s.unsaved)
		}
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		// It is ours, and of no use: a new one takes its place.
		s.logger.Warn("self-signed certificate can't be used; making a new one", eventid.OwnCertificateUnusable.Attr(), "file", path, "error", err)
	}
	e, text, err := create(path, names)
	if err != nil {
		return fmt.Errorf("certificate store: %w", err)
	}
	s.logger.Info("made a self-signed certificate", eventid.CertificateMade.Attr(), "file", path,
		"names", strings.Join(names, ","), "thumbprint", e.Thumbprint(), "expires", e.Leaf().NotAfter)
	s.unsaved = nil
	s.current.Store(e)
	s.write(path, text)
	return nil
}

// write stores a certificate that was made, or keeps it for another try. The
// event log is told once. Called with mu held.
func (s *Store) write(path string, text []byte) {
	again := s.unsaved != nil
	s.unsaved = nil
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		err = writeWhole(path, text)
	}
	switch {
	case err != nil:
		s.unsaved = text
		if !again {
			s.logger.Error("the self-signed certificate can't be stored; a temporary one is presented", eventid.CertificateUnusable.Attr(), "file", path, "error", err)
		}
	case again:
		s.logger.Info("the self-signed certificate is stored now", eventid.CertificateStored.Attr(), "file", path)
	}
}

// save tries again to write what could not be written.
func (s *Store) save() {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.unsaved != nil {
		s.cover()
	}
}

// covers reports whether a certificate is for all of the names for a while yet.
func covers(leaf *x509.Certificate, names []string) bool {
	now := time.Now()
	if now.Before(leaf.NotBefore) || !now.Add(selfSignedRenew).Before(leaf.NotAfter) {
		return false
	}
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(leaf.DNSNames, n) })
}

// ServerConfig returns the configuration of the server side of a handshake on
// a connector. Session tickets are off: some senders fail to resume and lose
// mail (golang/go#70232).
func (s *Store) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.Current(), nil
		},
	}
}

// Current returns the certificate that new handshakes present. One that is
// about to expire while the gateway runs is replaced first; if that fails it
// serves on, and the next handshake tries again.
func (s *Store) Current() *tls.Certificate { return s.entry().TLS() }

func (s *Store) entry() *Entry {
	e := s.current.Load()
	if e == nil || time.Now().Add(selfSignedRenew).Before(e.Leaf().NotAfter) || !s.mu.TryLock() {
		return e
	}
	defer s.mu.Unlock()
	if err := s.cover(); err != nil {
		s.logger.Error("the self-signed certificate expires and can't be replaced", eventid.OwnCertificateOverdue.Attr(), "expires", e.Leaf().NotAfter, "error", err)
	}
	return s.current.Load()
}

// create makes a certificate for names that signs itself, and its text with the
// key for the file at path.
func create(path string, names []string) (*Entry, []byte, error) {
	if len(names) == 0 {
		return nil, nil, errors.New("no name to make a self-signed certificate for; set server.fqdn")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName(names[0])},
		DNSNames:              names,
		NotBefore:             now.Add(-time.Hour), // clocks differ
		NotAfter:              now.Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	p, err := parsePEM(text)
	if err != nil {
		return nil, nil, err
	}
	p.path = path
	return p.entry(p.keysAt()), text, nil
}

// commonName cuts a name to the 64 characters that X.520 allows.
func commonName(name string) string {
	if len(name) > 64 {
		return name[:64]
	}
	return name
}

// writeWhole replaces the file at path so that a crash leaves the old file or
// the new one.
func writeWhole(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
