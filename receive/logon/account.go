package logon

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/xdg-go/stringprep"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

// Account is somebody who may log on. It is never changed.
type Account struct {
	// Name is as it is configured.
	Name string

	enabled  bool
	verifier verifier // nil: no password
	senders  routing.Senders
	anySend  bool // anySender is among its allowed_senders
}

// anySender in allowed_senders stands for every sender: a program that sends
// for others, such as a mailing list's.
const anySender = "*"

// MaySendAs reports whether from is a sender of the account's own.
func (a *Account) MaySendAs(from message.Address) bool { return a.anySend || a.senders.Match(from) }

// AnySender reports whether every sender is.
func (a *Account) AnySender() bool { return a.anySend }

// newAccount makes an account ready. Whoever has no allowed_senders sends as
// the address that the name is, or that it is in the default domain.
func newAccount(u config.User, defaultDomain string) (*Account, error) {
	a := &Account{Name: u.Name, enabled: u.Enabled}
	var err error
	if u.PasswordHash != "" {
		if a.verifier, err = parseHash(u.PasswordHash); err != nil {
			return nil, err
		}
	}
	if len(u.AllowedSenders) > 0 {
		patterns := slices.DeleteFunc(slices.Clone(u.AllowedSenders), func(p string) bool { return p == anySender })
		a.anySend = len(patterns) < len(u.AllowedSenders)
		a.senders, err = routing.ParseSenders(patterns)
		return a, err
	}
	own := u.Name
	if !strings.Contains(own, "@") {
		own += "@" + defaultDomain
	}
	// A name that makes no address has no sender of its own.
	a.senders, _ = routing.ParseSenders([]string{own})
	return a, nil
}

// table is all accounts at one time. It is never changed.
type table struct {
	byName       map[string]*Account
	byThumbprint map[string]*Account
	subjects     []subject
	passwords    []*Account // those with a password, by name
	scrams       []*Account // those with a SCRAM verifier, by name
	// key makes what strangers are told of names that don't exist: always the
	// same, and nothing they could compute. It comes from the hashes, so that
	// it is still the same after a restart.
	key []byte
}

// build makes a table. What is wrong with one user is said of the first.
func build(users []config.User, defaultDomain string) (*table, error) {
	t := &table{byName: map[string]*Account{}, byThumbprint: map[string]*Account{}}
	users = slices.Clone(users)
	slices.SortStableFunc(users, func(a, b config.User) int { return strings.Compare(foldName(a.Name), foldName(b.Name)) })
	digest := sha256.New()
	for _, u := range users {
		key := foldName(u.Name)
		if other, twice := t.byName[key]; twice {
			return nil, fmt.Errorf("users %q and %q have the same name", other.Name, u.Name)
		}
		a, err := newAccount(u, defaultDomain)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", u.Name, err)
		}
		t.byName[key] = a
		for _, p := range u.CertificateThumbprint {
			if other := t.byThumbprint[p]; other != nil {
				return nil, fmt.Errorf("users %q and %q have the same certificate_thumbprint", other.Name, u.Name)
			}
			t.byThumbprint[p] = a
		}
		for _, text := range u.CertificateSubject {
			s, err := parseSubject(text)
			if err != nil {
				return nil, fmt.Errorf("user %q: %w", u.Name, err)
			}
			s.account = a
			t.subjects = append(t.subjects, s)
		}
		if a.verifier != nil {
			t.passwords = append(t.passwords, a)
			if _, ok := a.verifier.(*scramKeys); ok {
				t.scrams = append(t.scrams, a)
			}
		}
		digest.Write([]byte(u.PasswordHash + "\n"))
	}
	t.key = digest.Sum(nil)
	return t, nil
}

// find looks an account up by what a client calls itself: the account's name,
// DOMAIN\name, or name@domain where the domain is ours.
func (t *table) find(name string, ours func(domain string) bool) *Account {
	if a := t.byName[foldName(name)]; a != nil {
		return a
	}
	if _, user, ok := strings.Cut(name, `\`); ok {
		return t.byName[foldName(user)]
	}
	if i := strings.LastIndexByte(name, '@'); i > 0 && ours != nil && ours(name[i+1:]) {
		return t.byName[foldName(name[:i])]
	}
	return nil
}

// decoy is the account of a list in whose place a name that does not exist is
// treated: always the same for one name, so that strange names cost as
// differently as known ones.
func (t *table) decoy(of []*Account, name string) *Account {
	if len(of) == 0 {
		return nil
	}
	n := binary.BigEndian.Uint64(mac(t.key, "decoy "+foldName(name)))
	return of[n%uint64(len(of))]
}

// stranger is the name under which a name that does not exist is treated, so
// that all that find would take for one account are treated alike: whoever sees
// one salt for kim, X\kim and kim@contoso.example, and three for others, knows
// kim. Whether name@domain stands for the account name or for one of its own is
// as with the account in whose place it is treated.
func (t *table) stranger(of []*Account, name string, ours func(domain string) bool) string {
	like := t.decoy(of, name)
	if like == nil {
		return name
	}
	if _, user, ok := strings.Cut(name, `\`); ok {
		if strings.Contains(like.Name, `\`) {
			return name
		}
		return user
	}
	if i := strings.LastIndexByte(name, '@'); i > 0 && ours != nil && ours(name[i+1:]) && !strings.Contains(like.Name, "@") {
		return name[:i]
	}
	return name
}

// foldName is the form in which names are compared: prepared (RFC 4013),
// without case, domains as routing compares them.
func foldName(name string) string {
	if p, err := stringprep.SASLprep.Prepare(name); err == nil {
		name = p
	}
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		return strings.ToLower(name[:i]) + "@" + message.DomainKey(name[i+1:])
	}
	return strings.ToLower(name)
}
