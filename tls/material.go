package ptls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/eventid"
)

const (
	// watchInterval is how often the files are looked at, when they are used.
	// What has changed is read once nobody has touched it for as long, or it was
	// found the same twice: who writes it may be under way.
	watchInterval = time.Second
	// watchLong is how long that is waited for.
	watchLong = 5 * time.Second
	// watchAgain is how often what can't be used is read again although it looks
	// the same: what was wrong may have been the number of open files.
	watchAgain = 30 * time.Second
)

// MaterialOptions say where a Material finds what policies name. The zero value
// works.
type MaterialOptions struct {
	// Directory holds the certificates that may be presented; empty for none.
	Directory string
	// Roots stand in the place of the system's authorities; nil: the system's.
	Roots  *x509.CertPool
	Logger *slog.Logger
}

// Material is what policies name and files hold: authorities and certificates
// of ours. Files are read when they are first used and again when they change.
// While a changed one can't be used, what was read before stays in force. It
// is safe for concurrent use.
type Material struct {
	o          MaterialOptions
	generation atomic.Uint64
	looked     atomic.Int64 // when the files were looked at, in nanoseconds

	mu      sync.Mutex
	roots   map[string]*watched[*x509.CertPool]
	entries map[string]*watched[*Entry]
	listing *watched[*Listing]
	// assignments are those of the directory; presented are the files that
	// Receive connectors name.
	assignments *watched[Assignments]
	presented   map[string]bool
}

// watched is something that was read from files.
type watched[T any] struct {
	value T
	ok    bool  // value is there
	err   error // of the latest attempt
	// stamp tells the state of the files that it was read from, seen how they
	// looked last.
	stamp, seen string
	restless    time.Time       // since when they are not at rest; zero: they are
	failed      time.Time       // when part of it could not be used; zero: all could
	told        map[string]bool // what can't be used, as the log knows already
	paths       func() []string
	read        func() (T, error)
}

// NewMaterial returns a Material that has read nothing yet.
func NewMaterial(o MaterialOptions) *Material {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Material{o: o, roots: make(map[string]*watched[*x509.CertPool]), entries: make(map[string]*watched[*Entry])}
	m.listing = &watched[*Listing]{
		paths: func() []string {
			paths := []string{o.Directory}
			names, _ := pemNames(o.Directory)
			for _, n := range names {
				paths = append(paths, filepath.Join(o.Directory, n))
			}
			return paths
		},
		read: func() (*Listing, error) {
			l, err := ReadDirectory(o.Directory)
			if err == nil && m.listing.ok {
				// Not mounted, or moved away for a while.
				if _, gone := os.Stat(o.Directory); gone != nil && len(m.listing.value.Entries) > 0 {
					return nil, gone
				}
				l.keep(m.listing.value)
			}
			return l, err
		},
	}
	m.assignments = &watched[Assignments]{
		paths: func() []string { return []string{filepath.Join(o.Directory, AssignmentsFile)} },
		read:  func() (Assignments, error) { return ReadAssignments(o.Directory) },
	}
	return m
}

// Generation counts the changes of the files: connections made under different
// generations may rest on different certificates. It looks at the files in use
// at most once a second, and does not wait for another that does.
func (m *Material) Generation() uint64 {
	now := time.Now().UnixNano()
	if last := m.looked.Load(); now-last >= int64(watchInterval) || now < last {
		if m.mu.TryLock() {
			m.looked.Store(now)
			m.look()
			m.mu.Unlock()
		}
	}
	return m.generation.Load()
}

// look reads again what has changed; the caller holds the lock.
func (m *Material) look() {
	changed := false
	for path, w := range m.roots {
		changed = refresh(m, w, path) || changed
	}
	for path, w := range m.entries {
		changed = refresh(m, w, path) || changed
	}
	pending := false
	if m.listing.stamp != "" {
		changed = refresh(m, m.listing, m.o.Directory) || changed
		pending = m.listing.seen != m.listing.stamp
	}
	switch {
	case m.assignments.stamp == "":
	case pending:
		// What is assigned may have come with a certificate that is not at rest
		// yet.
		m.assignments.seen, _ = stampOf(m.assignments.paths())
	default:
		changed = refresh(m, m.assignments, AssignmentsFile) || changed
	}
	if changed {
		m.generation.Add(1)
	}
}

// refresh reads something again if its files have changed and are at rest. The
// caller holds the lock.
func refresh[T any](m *Material, w *watched[T], what string) (changed bool) {
	stamp, touched := stampOf(w.paths())
	first := w.stamp == ""
	// A time that is far ahead comes from another clock and says nothing.
	settled := first || stamp == w.seen || time.Since(touched).Abs() >= watchInterval
	w.seen = stamp
	switch {
	case settled:
		w.restless = time.Time{}
	case w.restless.IsZero():
		w.restless = time.Now()
	case time.Since(w.restless) >= watchLong:
		settled = true
	}
	again := !w.failed.IsZero() && time.Since(w.failed) >= watchAgain
	if !settled || stamp == w.stamp && !again {
		return false
	}
	same := stamp == w.stamp
	w.stamp, w.failed = stamp, time.Time{}
	var value T
	if value, w.err = w.read(); w.err != nil {
		w.failed = time.Now()
		switch {
		case !w.tell(w.err):
		case w.ok:
			m.o.Logger.Error("a changed certificate file can't be used; what was read before stays in force", eventid.CertificateFileUnusable.Attr(), "file", what, "error", w.err)
		default:
			m.o.Logger.Error("a certificate file can't be used", eventid.CertificateFileBad.Attr(), "file", what, "error", w.err)
		}
		return false
	}
	var problems []error
	if l, ok := any(value).(*Listing); ok {
		problems = l.Problems
		before, _ := any(w.value).(*Listing)
		same = same && w.ok && l.equal(before)
	} else {
		same = false
	}
	w.value, w.ok = value, true
	for _, p := range problems {
		w.failed = time.Now()
		if w.tell(p) {
			m.o.Logger.Error("a file in the certificate directory can't be used", eventid.CertificateFileSkipped.Attr(), "error", p)
		}
	}
	w.forget(problems)
	if first || same {
		return false
	}
	m.o.Logger.Info("certificate files were read again", eventid.CertificateFilesRead.Attr(), "file", what)
	return true
}

// tell reports whether the log does not know an error yet.
func (w *watched[T]) tell(err error) bool {
	known := w.told[err.Error()]
	if w.told == nil {
		w.told = make(map[string]bool)
	}
	w.told[err.Error()] = true
	return !known
}

// forget lets errors be told again that are no more.
func (w *watched[T]) forget(but []error) {
	left := make(map[string]bool, len(but))
	for _, err := range but {
		left[err.Error()] = true
	}
	maps.DeleteFunc(w.told, func(text string, _ bool) bool { return !left[text] })
}

// stampOf tells whether files have changed: replaced, written or opened up to
// others; and when that was done to one of them last, as far as they are there.
func stampOf(paths []string) (stamp string, touched time.Time) {
	var b strings.Builder
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			fmt.Fprintf(&b, "%s %v\n", p, errors.Is(err, fs.ErrNotExist))
			continue
		}
		inode, changed := identity(info)
		fmt.Fprintf(&b, "%s %d %d %o %v %d\n", p, info.Size(), info.ModTime().UnixNano(), info.Mode(), inode, changed.UnixNano())
		for _, t := range []time.Time{info.ModTime(), changed} {
			if t.After(touched) {
				touched = t
			}
		}
	}
	return b.String(), touched
}

// use returns something that was read, having read it if need be. The caller
// holds the lock.
func use[T any](m *Material, w *watched[T], what string) (T, error) {
	if !w.ok {
		w.stamp = ""
		refresh(m, w, what)
	}
	if !w.ok {
		return w.value, w.err
	}
	return w.value, nil
}

// authorities are those that a policy's chains may end at.
func (m *Material) authorities(p Policy) (authorities, error) {
	path := p.get().caFile
	if path == "" {
		return authorities{pool: m.o.Roots}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.roots[path]
	if w == nil {
		w = &watched[*x509.CertPool]{paths: func() []string { return []string{path} }, read: func() (*x509.CertPool, error) { return readRoots(path) }}
		m.roots[path] = w
	}
	pool, err := use(m, w, path)
	return authorities{pool, path}, err
}

func readRoots(path string) (*x509.CertPool, error) {
	p, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	if len(p.certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate of an authority", path)
	}
	pool := x509.NewCertPool()
	for _, c := range p.certs {
		pool.AddCert(c)
	}
	return pool, nil
}

// certificate is the one of ours that a policy shows, nil for none. Named says
// that the configuration names it.
func (m *Material) certificate(p Policy) (e *Entry, named bool, err error) {
	t := p.get()
	now := time.Now()
	switch name := t.certificate; {
	case name == NoCertificate:
		return nil, false, nil
	case isPath(name):
		e, err = m.file(name)
	case name != "":
		e, err = m.lookUp(name, now)
	case m.o.Directory == "" || t.fqdn == "":
		return nil, false, nil
	default:
		l, err := m.list()
		if err != nil {
			return nil, false, nil // nobody has asked for it by name
		}
		return l.FindClient(t.fqdn, now), false, nil
	}
	if err == nil && e.Key == nil {
		err = e.Usable(now)
	}
	// One that has expired is shown all the same: what to make of it is for
	// the host to say, and most that ask for a certificate don't look at it.
	return e, true, err
}

// NoCertificate, as the name of a client certificate, stands for none.
const NoCertificate = "none"

// isPath tells the path of a certificate from its name.
func isPath(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".pem", ".crt", ".cer":
		return true
	}
	return strings.ContainsRune(name, '/')
}

func (m *Material) file(path string) (*Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.entries[path]
	if w == nil {
		w = &watched[*Entry]{
			paths: func() []string {
				return []string{path, strings.TrimSuffix(path, filepath.Ext(path)) + ".key", filepath.Join(filepath.Dir(path), "privkey.pem")}
			},
			read: func() (*Entry, error) { return ReadEntry(path) },
		}
		m.entries[path] = w
	}
	return use(m, w, path)
}

func (m *Material) list() (*Listing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return use(m, m.listing, m.o.Directory)
}

func (m *Material) lookUp(name string, now time.Time) (*Entry, error) {
	if m.o.Directory == "" {
		return nil, fmt.Errorf("there is no certificate %q: the gateway has no certificate directory", name)
	}
	l, err := m.list()
	if err != nil {
		return nil, err
	}
	if e := l.Find(name, now); e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("there is no certificate %q in %s", name, m.o.Directory)
}

// Retain forgets files that no policy of the connectors in force names, so that
// reloads don't pile them up.
func (m *Material) Retain(rules []*Rules) {
	used := make(map[string]bool)
	for _, r := range rules {
		for _, t := range r.all() {
			used[t.caFile], used[t.certificate] = true, true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := range m.roots {
		if !used[path] {
			delete(m.roots, path)
		}
	}
	for path := range m.entries {
		if !used[path] && !m.presented[path] {
			delete(m.entries, path)
		}
	}
}

// all are the terms of a connector and its overrides.
func (r *Rules) all() []*terms {
	all := []*terms{r.own}
	for _, t := range r.exact {
		all = append(all, t)
	}
	for _, t := range r.below {
		all = append(all, t)
	}
	return all
}
