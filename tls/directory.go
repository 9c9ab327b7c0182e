package ptls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxFiles bounds a certificate directory.
const maxFiles = 1000

// Listing is what stands in a certificate directory at one moment. It is never
// changed.
type Listing struct {
	// Entries are in the order of their files' names.
	Entries []*Entry
	// Waiting are the private keys that no certificate belongs to yet, in the
	// order of their files' names.
	Waiting []*Waiting
	// Problems are the files that can't be used, each with its remedy.
	Problems []error
}

// ReadDirectory reads the certificates and keys in a directory: the files that
// end in .pem, .crt, .cer or .key, each with a certificate and its chain, a
// private key, or both. Which key belongs to which certificate is seen from the
// keys themselves. A directory that does not exist is empty.
func ReadDirectory(path string) (*Listing, error) {
	l := new(Listing)
	names, err := pemNames(path)
	if err != nil {
		return l, err
	}
	var files []*pemFile
	var keys []keyAt
	for _, name := range names {
		p, err := readPEM(filepath.Join(path, name))
		if err != nil {
			l.Problems = append(l.Problems, err)
			continue
		}
		files = append(files, p)
		keys = append(keys, p.keysAt()...)
	}
	for _, p := range files {
		if e := p.entry(keys); e != nil {
			l.Entries = append(l.Entries, e)
		}
	}
	l.Waiting = waiting(files)
	return l, nil
}

// keep puts those entries of an earlier reading in the place of their
// successors, or of nothing, that could be presented, where their files are
// still there and can't be presented any more: somebody may be about to replace
// them, or has damaged them.
func (l *Listing) keep(before *Listing) {
	for _, old := range before.Entries {
		if old.Key == nil {
			continue
		}
		i := slices.IndexFunc(l.Entries, func(e *Entry) bool { return e.File == old.File })
		switch {
		case i >= 0 && l.Entries[i].Key == nil:
			l.Problems = append(l.Problems, fmt.Errorf("%w; what was read before stays in force until a restart", l.Entries[i].Usable(time.Time{})))
			l.Entries[i] = old
		case i < 0:
			if _, err := os.Lstat(old.File); err == nil {
				l.Entries = append(l.Entries, old)
			}
		}
	}
	slices.SortStableFunc(l.Entries, func(a, b *Entry) int { return strings.Compare(a.File, b.File) })
}

// equal reports whether two readings found the same.
func (l *Listing) equal(o *Listing) bool {
	return slices.EqualFunc(l.Entries, o.Entries, func(a, b *Entry) bool {
		return a.File == b.File && a.KeyFile == b.KeyFile && a.Enabled == b.Enabled && a.FriendlyName == b.FriendlyName &&
			slices.EqualFunc(a.Chain, b.Chain, func(x, y *x509.Certificate) bool { return x.Equal(y) })
	})
}

// pemNames lists the files of a directory that hold certificates or keys.
func pemNames(path string) ([]string, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe in its place holds nobody up
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	all, err := dir.Readdirnames(2 * maxFiles)
	if err != nil && !errors.Is(err, io.EOF) { // that is an empty one
		return nil, err
	}
	names := slices.DeleteFunc(all, func(n string) bool {
		return strings.HasPrefix(n, ".") || !slices.Contains([]string{".pem", ".crt", ".cer", ".key"}, strings.ToLower(filepath.Ext(n)))
	})
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%s has more than %d certificates and keys; keep those here that the gateway presents", path, maxFiles)
	}
	slices.Sort(names)
	return names, nil
}

// Find returns the entry that goes by a name: a thumbprint, a DNS name or a
// friendly name. Of several it is one that can be used at the time, before one
// that can't; issued by an authority before self-signed; for the exact name
// before a wildcard; the newest.
func (l *Listing) Find(name string, now time.Time) *Entry {
	return l.find(name, now, func(*Entry) bool { return true })
}

// FindClient returns the entry that a client with a name presents of itself:
// one that an authority issued, that may be used by clients, and can be used at
// the time. Any other might make a host refuse the connection.
func (l *Listing) FindClient(name string, now time.Time) *Entry {
	return l.find(name, now, func(e *Entry) bool {
		return e.Usable(now) == nil && !e.SelfSigned() && ForClients(e.Leaf())
	})
}

func (l *Listing) find(name string, now time.Time, may func(*Entry) bool) *Entry {
	var best *Entry
	for _, e := range l.Entries {
		if e.goesBy(name) && may(e) && (best == nil || better(e, best, name, now)) {
			best = e
		}
	}
	return best
}
