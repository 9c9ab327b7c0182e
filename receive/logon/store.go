package logon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/metrics"
)

// MaxPasswordChecks is how many passwords are hashed at a time: each may take
// 64 MB. LimitPasswordChecks is the limit's name.
const (
	MaxPasswordChecks   = 4
	LimitPasswordChecks = "max_password_checks"
)

// busyError is ErrTemporary for somebody whose turn did not come.
type busyError struct{}

func (busyError) Error() string {
	return fmt.Sprintf("%d passwords are being checked and %v went by", MaxPasswordChecks, checkWait)
}

func (busyError) Unwrap() error { return ErrTemporary }

// Limit names the limit that was reached.
func (busyError) Limit() string { return LimitPasswordChecks }

// ErrTemporary says that trouble of ours keeps somebody from logging on.
var ErrTemporary = errors.New("temporary authentication failure")

const (
	// checkWait is how long one waits for its turn.
	checkWait = 10 * time.Second
	// fileInterval is how often users_file is looked at, at most.
	fileInterval = time.Second
	// fileSettles is how old a change of users_file must be before its time of
	// modification tells it from another.
	fileSettles = 2 * time.Second
	maxFile     = 16 << 20
)

// Options are what a Store is made of. All have working zero values.
type Options struct {
	Users []config.User
	// File holds further [[user]] tables; empty for none.
	File string
	// DefaultDomain is the domain of senders whose account's name has none.
	DefaultDomain string
	// Ours reports whether name@domain may stand for the account name.
	Ours func(domain string) bool
	// Before is the Store of the configuration before this one: its turns are
	// shared, and its accounts of the same File are kept while that can't be
	// read.
	Before  *Store
	Metrics *metrics.Registry
	Logger  *slog.Logger
}

// Store holds the accounts. All its methods may be called concurrently.
type Store struct {
	options  Options
	turns    chan struct{}
	computed *metrics.Counter // hashes of passwords
	busy     *metrics.Counter
	current  atomic.Pointer[table]

	mu     sync.Mutex // for the file
	looked time.Time
	seen   os.FileInfo // what was read last; nil: nothing
	failed string      // why the file is not in force; said once
	open   bool        // to everybody on this host; said once
	extra  []config.User
}

// NewStore makes the accounts ready. The users must have passed Lint. A File
// that can't be read is logged; the other accounts work.
func NewStore(o Options) (*Store, error) {
	s := &Store{
		options: o, turns: make(chan struct{}, MaxPasswordChecks),
		computed: o.Metrics.Counter("logon_password_checks"),
		busy:     o.Metrics.Counter("logon_password_checks_refused"),
	}
	if s.options.Logger == nil {
		s.options.Logger = slog.New(slog.DiscardHandler)
	}
	if b := o.Before; b != nil {
		s.turns = b.turns
		if b.options.File == o.File {
			b.mu.Lock()
			s.extra = b.extra
			b.mu.Unlock()
		}
		s.options.Before = nil
	}
	t, err := s.build(s.extra)
	if err != nil {
		s.extra = nil
		if t, err = s.build(nil); err != nil {
			return nil, err
		}
	}
	s.current.Store(t)
	s.accounts()
	return s, nil
}

func (s *Store) build(extra []config.User) (*table, error) {
	users := append(append([]config.User(nil), s.options.Users...), extra...)
	return build(users, s.options.DefaultDomain)
}

// accounts are those in force, after a look at the file.
func (s *Store) accounts() *table {
	if s.options.File != "" && s.mu.TryLock() {
		if now := time.Now(); now.Sub(s.looked) >= fileInterval || now.Before(s.looked) {
			s.looked = now
			s.look()
		}
		s.mu.Unlock()
	}
	return s.current.Load()
}

// look reads the file if it has changed. What can't be read leaves the accounts
// as they were. Called with mu held.
func (s *Store) look() {
	info, err := os.Stat(s.options.File)
	if err != nil {
		s.seen = nil
		s.refuse(err)
		return
	}
	if s.seen != nil && os.SameFile(info, s.seen) && info.Size() == s.seen.Size() && info.ModTime().Equal(s.seen.ModTime()) {
		return
	}
	s.seen = info
	if age := s.looked.Sub(info.ModTime()); age < fileSettles && age > -fileSettles {
		s.seen = nil // it may be under way: look again
	}
	users, findings, err := readUsers(s.options.File)
	if err == nil && users == nil && config.HasErrors(findings) {
		for _, f := range findings {
			if f.Severity == config.Error {
				err = errors.New(f.Format(f.Position))
				break
			}
		}
	}
	var t *table
	if err == nil {
		t, err = s.build(users)
	}
	if err != nil {
		s.refuse(err)
		return
	}
	s.failed = ""
	open := info.Mode().Perm()&0o007 != 0
	if open && !s.open {
		s.options.Logger.Warn("users_file can be read by everybody on this host; chmod it to 0600", eventid.UsersFileOpen.Attr(), "file", s.options.File, "mode", info.Mode().Perm().String())
	}
	s.open = open
	s.current.Store(t)
	if !reflect.DeepEqual(s.extra, users) {
		s.options.Logger.Info("users_file was read", eventid.UsersFileRead.Attr(), "file", s.options.File, "users", len(users))
	}
	s.extra = users
}

func (s *Store) refuse(err error) {
	if text := err.Error(); s.failed != text {
		s.failed = text
		s.options.Logger.Error("users_file can't be used; its accounts stay as they were", eventid.UsersFileUnusable.Attr(), "file", s.options.File, "error", err, "users", len(s.extra))
	}
}

func readUsers(path string) ([]config.User, []config.Finding, error) {
	text, err := config.ReadFile(path, maxFile)
	if err != nil {
		return nil, nil, err
	}
	return config.ParseUsers(path, text)
}

// Why a logon fails, for our log. They name no account that does not exist:
// what is typed into the field of the name may be the password.
var (
	errUnknown  = errors.New("there is no such user")
	errPassword = errors.New("the password is wrong")
	errDisabled = errors.New("the account is disabled")
	errNoHash   = errors.New("the account has no password")
	errNoScram  = errors.New("the hash of the password is no SCRAM verifier, which `postern user hash --scheme scram-sha-256` makes")
)

func refused(a *Account, err error) error {
	if a == nil {
		return errUnknown
	}
	return fmt.Errorf("user %q: %w", a.Name, err)
}

// CheckPassword returns the account of that name if the password is its own. An
// ErrTemporary is trouble of ours. It computes one hash whether the account
// exists or not.
func (s *Store) CheckPassword(ctx context.Context, name, password string) (*Account, error) {
	t := s.accounts()
	a := t.find(name, s.options.Ours)
	v := verifier(nothing)
	if a != nil && a.verifier != nil {
		v = a.verifier
	} else if d := t.decoy(t.passwords, t.stranger(t.passwords, name, s.options.Ours)); d != nil {
		v = d.verifier
	}
	prepared, err := preparePassword(password)
	if err != nil {
		prepared = []byte("?") // which costs as much, and counts for nothing
	}
	right, tErr := s.compute(ctx, v, prepared)
	switch {
	case tErr != nil:
		return nil, tErr
	case a == nil:
		return nil, errUnknown
	case a.verifier == nil:
		return nil, refused(a, errNoHash)
	case !right || err != nil:
		return nil, refused(a, errPassword)
	case !a.enabled:
		return nil, refused(a, errDisabled)
	}
	return a, nil
}

// compute checks a password when it is its turn.
func (s *Store) compute(ctx context.Context, v verifier, password []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	select {
	case s.turns <- struct{}{}:
	case <-ctx.Done():
		s.busy.Inc()
		return false, busyError{}
	}
	defer func() { <-s.turns }()
	s.computed.Inc()
	return v.check(password), nil
}

// nothing is what passwords are held against when no account has one.
var nothing = &argon{memory: newArgonMemory, passes: newArgonPasses, threads: newArgonThreads, salt: make([]byte, newSalt), key: make([]byte, newKey)}

// HasPasswords and HasScram report whether any account has a password, or a
// SCRAM verifier.
func (s *Store) HasPasswords() bool { return len(s.accounts().passwords) > 0 }
func (s *Store) HasScram() bool     { return len(s.accounts().scrams) > 0 }

// scramOf returns an account with its keys, or, with the reason for our log,
// those of nobody for a name that does not exist or has none: always the same
// for one name.
func (s *Store) scramOf(name string) (*Account, *scramKeys, error) {
	t := s.accounts()
	missing := errUnknown
	if a := t.find(name, s.options.Ours); a != nil {
		if k, ok := a.verifier.(*scramKeys); ok {
			return a, k, nil
		}
		missing = refused(a, errNoScram)
		if a.verifier == nil {
			missing = refused(a, errNoHash)
		}
	}
	name = t.stranger(t.scrams, name, s.options.Ours)
	k := &scramKeys{iterations: newScramIterations, storedKey: mac(t.key, "stored"), serverKey: mac(t.key, "server")}
	length := newSalt
	if d := t.decoy(t.scrams, name); d != nil {
		like := d.verifier.(*scramKeys)
		k.iterations, length = like.iterations, len(like.salt)
	}
	folded := foldName(name)
	k.salt = append(mac(t.key, "salt "+folded), mac(t.key, "more salt "+folded)...)[:length]
	return nil, k, missing
}
