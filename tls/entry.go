package ptls

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"postern/internal/message"
	"postern/internal/secret"
)

// Entry is a certificate that the gateway may present, with its chain and,
// unless it waits for one, its private key. It is never changed.
type Entry struct {
	// Chain begins with the certificate itself; an authority's own certificate
	// at its end is left out.
	Chain []*x509.Certificate
	// Key is nil where none was found.
	Key crypto.Signer
	// File and KeyFile are where they stand.
	File, KeyFile string
	// FriendlyName is what the bag attributes before its PEM blocks say, else
	// the file's name without its ending. Whoever wrote the file chose it.
	FriendlyName string
	// Exportable is false where the attributes say that the key is not to leave
	// the store, Enabled where they say that no connector may choose the
	// certificate by a name. Files without attributes are both.
	Exportable, Enabled bool
	// Incomplete says that the certificate of the issuer was missing when it was
	// imported, and nobody has brought it since.
	Incomplete bool

	thumbprint string // empty: not worked out yet
	selfSigned bool   // holds when thumbprint is there
	tls        *tls.Certificate
}

// Leaf is the certificate itself.
func (e *Entry) Leaf() *x509.Certificate { return e.Chain[0] }

// Thumbprint is that of the certificate.
func (e *Entry) Thumbprint() string {
	if e.thumbprint != "" {
		return e.thumbprint
	}
	return Thumbprint(e.Leaf())
}

// SelfSigned reports whether no authority issued the certificate.
func (e *Entry) SelfSigned() bool {
	if e.thumbprint != "" {
		return e.selfSigned
	}
	return IsSelfSigned(e.Leaf())
}

// TLS is the entry as crypto/tls presents it. Nobody may change it.
func (e *Entry) TLS() *tls.Certificate {
	if e.tls != nil {
		return e.tls
	}
	c := &tls.Certificate{PrivateKey: e.Key, Leaf: e.Leaf()}
	for _, x := range e.Chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c
}

// minNamed is how many digits of a thumbprint name a certificate at least where
// nobody is there who would see that it is another.
const minNamed = 16

// Has reports whether the entry goes by a name: its thumbprint or the first 16
// digits of it or more, its SHA-1 thumbprint as Windows shows it, one of its DNS
// names, exactly or under a wildcard, or its friendly name.
func (e *Entry) Has(name string) bool {
	return e.hasThumbprint(name) || strings.EqualFold(name, e.FriendlyName) || e.Leaf().VerifyHostname(message.DomainKey(name)) == nil
}

// goesBy is Has for who presents it: an entry that is not enabled goes by its
// thumbprint alone.
func (e *Entry) goesBy(name string) bool {
	return e.Enabled && e.Has(name) || e.hasThumbprint(name)
}

// hasThumbprint reports whether a text is the thumbprint of an entry.
func (e *Entry) hasThumbprint(text string) bool {
	t, ok := hexDigits(text)
	return ok && len(t) >= minNamed && (strings.HasPrefix(e.Thumbprint(), t) || len(t) == 40 && t == SHA1Thumbprint(e.Leaf()))
}

// Usable says why an entry can't be presented at a time; nil when it can.
func (e *Entry) Usable(now time.Time) error {
	switch leaf := e.Leaf(); {
	case e.Key == nil:
		return fmt.Errorf("%s has no private key beside it", e.File)
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate in %s is not valid before %s", e.File, day(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate in %s expired on %s", e.File, day(leaf.NotAfter))
	}
	return nil
}

// ForClients reports whether a certificate may prove who a client is.
func ForClients(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// early reports whether the time of a certificate has not begun.
func (e *Entry) early(now time.Time) bool { return now.Before(e.Leaf().NotBefore) }

// better orders entries that go by the same name: those that can be used, those
// whose time has begun, those that an authority issued, those with the exact name, the newest.
func better(a, b *Entry, name string, now time.Time) bool {
	exact := func(e *Entry) bool {
		return slices.ContainsFunc(e.Leaf().DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
	}
	for _, better := range []func(*Entry) bool{
		func(e *Entry) bool { return e.Usable(now) == nil },
		// Who has pinned the expired one, or looks at no dates, goes on as before.
		func(e *Entry) bool { return e.Key != nil && !e.early(now) },
		func(e *Entry) bool { return !e.SelfSigned() },
		exact,
	} {
		if x, y := better(a), better(b); x != y {
			return x
		}
	}
	// Some authorities write the beginning of the day.
	if n := cmp.Or(a.Leaf().NotBefore.Compare(b.Leaf().NotBefore), a.Leaf().NotAfter.Compare(b.Leaf().NotAfter)); n != 0 {
		return n > 0
	}
	// Of two that were issued together, that with the cheaper key.
	return a.Leaf().PublicKeyAlgorithm == x509.ECDSA && b.Leaf().PublicKeyAlgorithm != x509.ECDSA
}

// Ahead says why connectors choose this entry before another for a name that
// both are for, in the words of better.
func (e *Entry) Ahead(of *Entry, name string, now time.Time) string {
	exact := func(e *Entry) bool { return slices.Contains(e.Leaf().DNSNames, strings.ToLower(name)) }
	switch err := of.Usable(now); {
	case err != nil && (e.Usable(now) == nil || of.early(now) && !e.early(now)):
		return err.Error()
	case of.SelfSigned() && !e.SelfSigned():
		return "an authority issued it"
	case exact(e) && !exact(of):
		return "it is for the name exactly"
	}
	return "it is newer"
}

// parseThumbprint reads 64 hexadecimal digits as hexDigits does.
func parseThumbprint(s string) (string, bool) {
	s, ok := hexDigits(s)
	return s, ok && len(s) == 64
}

// hexDigits reads hexadecimal digits, also with colons or spaces between, and
// with the marks of writing direction that the dialogue of Windows puts before
// them (U+200E).
func hexDigits(s string) (string, bool) {
	s = strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ':' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s))
	return s, strings.Trim(s, "0123456789ABCDEF") == ""
}

// maxPEM bounds what is read of a file, in octets: room for all authorities of
// a system.
const maxPEM = 4 << 20

// pemFile is what stands in a file.
type pemFile struct {
	path  string
	certs []*x509.Certificate
	keys  []crypto.Signer
	bag   bag
	// requests are those for certificates that keys wait for.
	requests []*x509.CertificateRequest
}

// readPEM reads the certificates and private keys of a file. A file with a
// private key must be as closed as one with any secret.
func readPEM(path string) (*pemFile, error) {
	// Before it is opened: a named pipe would hold up who does.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // nor one that has just taken its place
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxPEM:
		return nil, fmt.Errorf("%s is larger than %d MB", path, maxPEM>>20)
	}
	p, err := parsePEM(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.path = path
	if len(p.keys) > 0 {
		if err := secret.Check(path, info); err != nil {
			return nil, fmt.Errorf("private key: %w", err)
		}
	} else if runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("everybody may write to %s; take that away: chmod o-w %s", path, path)
	}
	return p, nil
}

func parsePEM(text []byte) (*pemFile, error) {
	p := new(pemFile)
	for {
		b, rest := pem.Decode(text)
		if b == nil {
			break
		}
		p.bag.read(text[:len(text)-len(rest)])
		text = rest
		switch {
		case b.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("a certificate in it can't be read: %w", err)
			}
			p.certs = append(p.certs, c)
		case strings.Contains(b.Type, "ENCRYPTED") || b.Headers["DEK-Info"] != "":
			return nil, errors.New("the private key is encrypted; decrypt it: openssl pkey -in FILE -out FILE")
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			k, err := parseKey(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the private key can't be read: %w", err)
			}
			p.keys = append(p.keys, k)
		case b.Type == requestType:
			r, err := x509.ParseCertificateRequest(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the request in it can't be read: %w", err)
			}
			p.requests = append(p.requests, r)
		}
	}
	if len(p.certs)+len(p.keys) == 0 {
		return nil, errors.New("there is no certificate in it, in PEM")
	}
	return p, nil
}

// parseKey reads a private key in any of the three forms that are in use.
func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T can't sign", k)
	}
	return signer, nil
}

// entry makes an entry of a file, with the first of the keys that fits. A file
// of keys alone has none.
func (p *pemFile) entry(keys []keyAt) *Entry {
	if len(p.certs) == 0 {
		return nil
	}
	e := &Entry{File: p.path}
	leaf, attributes := p.certs[0], p.bag
	for _, c := range p.certs {
		if i := slices.IndexFunc(keys, func(k keyAt) bool { return fits(c, k.key) }); i >= 0 {
			leaf, e.Key, e.KeyFile = c, keys[i].key, keys[i].path
			attributes = attributes.with(keys[i].bag)
			break
		}
	}
	e.Chain = chainOf(leaf, p.certs)
	e.thumbprint, e.selfSigned = Thumbprint(leaf), IsSelfSigned(leaf)
	if e.Key != nil {
		e.tls = e.TLS()
	}
	e.Exportable, e.Enabled = !attributes.kept, !attributes.disabled
	e.Incomplete = attributes.incomplete && len(e.Chain) == 1
	if e.FriendlyName = attributes.name; e.FriendlyName == "" {
		e.FriendlyName = strings.TrimSuffix(filepath.Base(p.path), filepath.Ext(p.path))
	}
	return e
}

// keyAt is a private key and where it stands.
type keyAt struct {
	key  crypto.Signer
	path string
	bag  bag // of the file
}

func (p *pemFile) keysAt() []keyAt {
	var all []keyAt
	for _, k := range p.keys {
		all = append(all, keyAt{k, p.path, p.bag})
	}
	return all
}

func fits(c *x509.Certificate, k crypto.Signer) bool {
	pub, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(c.PublicKey)
}

// chainOf puts the certificates above a leaf in order, as far as they are
// there; what signs itself at the end is left out. Authorities that certify one
// another in a ring make it no longer than chains are.
func chainOf(leaf *x509.Certificate, all []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{leaf}
	for last := leaf; len(chain) < maxChain; {
		i := slices.IndexFunc(all, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && !slices.Contains(chain, c) && !bytes.Equal(c.RawSubject, c.RawIssuer)
		})
		if i < 0 {
			break
		}
		last = all[i]
		chain = append(chain, last)
	}
	return chain
}

// ReadEntry reads the certificate in a file. Its key stands in the same file,
// in one that differs in its ending, ".key", or, as ACME clients have it, in
// privkey.pem beside.
func ReadEntry(path string) (*Entry, error) {
	p, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	keys := p.keysAt()
	for _, beside := range []string{strings.TrimSuffix(path, filepath.Ext(path)) + ".key", filepath.Join(filepath.Dir(path), "privkey.pem")} {
		if len(keys) > 0 {
			break
		}
		other, err := readPEM(beside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		keys = other.keysAt()
	}
	e := p.entry(keys)
	switch {
	case e == nil:
		return nil, fmt.Errorf("%s holds a key and no certificate", path)
	case len(keys) == 0:
		return nil, fmt.Errorf("%s has no private key: it stands neither in it nor in a .key file or privkey.pem beside", path)
	case e.Key == nil:
		return nil, fmt.Errorf("the private key in %s does not belong to the certificate in %s", keys[0].path, path)
	}
	return e, nil
}
