package logon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrMalformed says that a response does not fit its mechanism.
var ErrMalformed = errors.New("malformed response")

// Mechanism is a SASL mechanism that the accounts there are can use.
type Mechanism struct {
	// Name is its name (RFC 4422 3.1).
	Name string
	// Value is the value of auth_mechanism that allows it.
	Value string
	// Binds says that it binds to TLS and can't be without.
	Binds bool
}

// The values of auth_mechanism that allow mechanisms.
const (
	valueBasic       = "basic"
	valueScram       = "scram"
	valueCertificate = "client_certificate"
)

// Peer is what is known of a client before it logs on.
type Peer struct {
	// TLS is nil in clear text.
	TLS *tls.ConnectionState
	// Certificate is what we presented within TLS, in DER; nil when it is not
	// known.
	Certificate []byte
	// Roots are the authorities of client certificates; nil means the system's.
	Roots *x509.CertPool
}

// Step is how an exchange goes on: with a challenge, or done, with the account,
// and perhaps a last challenge.
type Step struct {
	Challenge []byte
	Done      bool
	Account   *Account
}

// Exchange is the server's side of one SASL exchange. It belongs to one
// session. The first response is nil when the client sent none with the
// command. An error is an ErrTemporary, an ErrMalformed, or a failure; it tells
// our log why, holds no secret, and must not be told the client.
type Exchange interface {
	Next(ctx context.Context, response []byte) (Step, error)
}

// Mechanisms lists those that the accounts there are now can use, the strongest
// first; EXTERNAL last, so that no client stumbles into it that has a password.
func (s *Store) Mechanisms() []Mechanism {
	t := s.accounts()
	var out []Mechanism
	if len(t.scrams) > 0 {
		out = append(out, Mechanism{"SCRAM-SHA-256-PLUS", valueScram, true}, Mechanism{"SCRAM-SHA-256", valueScram, false})
	}
	if len(t.passwords) > 0 {
		out = append(out, Mechanism{"PLAIN", valueBasic, false}, Mechanism{"LOGIN", valueBasic, false})
	}
	if len(t.byThumbprint)+len(t.subjects) > 0 {
		out = append(out, Mechanism{"EXTERNAL", valueCertificate, false})
	}
	return out
}

// Start begins an exchange.
func (s *Store) Start(mechanism string, peer Peer) (Exchange, error) {
	switch mechanism {
	case "PLAIN":
		return plain{s}, nil
	case "LOGIN":
		return &login{store: s}, nil
	case "SCRAM-SHA-256":
		return newScram(s, peer, false), nil
	case "SCRAM-SHA-256-PLUS":
		return newScram(s, peer, true), nil
	case "EXTERNAL":
		return external{s, peer}, nil
	}
	return nil, fmt.Errorf("there is no mechanism %s", mechanism)
}

// maxName is how long a name may be, in octets.
const maxName = 512

// malformed says what does not fit, without repeating it.
func malformed(what string) error { return fmt.Errorf("%s: %w", what, ErrMalformed) }

// validName wants what may be somebody's name.
func validName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return malformed(fmt.Sprintf("the name is not 1 to %d octets of UTF-8", maxName))
	}
	return nil
}

func validPassword(password string) error {
	if password == "" || len(password) > maxPassword || !utf8.ValidString(password) || strings.ContainsRune(password, 0) {
		return malformed(fmt.Sprintf("the password is not 1 to %d octets of UTF-8", maxPassword))
	}
	return nil
}

// plain is PLAIN (RFC 4616).
type plain struct{ store *Store }

func (x plain) Next(ctx context.Context, response []byte) (Step, error) {
	if response == nil {
		return Step{Challenge: []byte{}}, nil
	}
	parts := bytes.Split(response, []byte{0}) // RFC 4616 2
	if len(parts) != 3 {
		return Step{}, malformed("the response has not the three parts of PLAIN")
	}
	return x.store.logOn(ctx, string(parts[0]), string(parts[1]), string(parts[2]))
}

// logOn checks a password. Nobody acts for another: an authorization identity
// other than the account's own is refused (RFC 4422 3.4.1), after the password.
func (s *Store) logOn(ctx context.Context, authorize, name, password string) (Step, error) {
	if err := validName(name); err != nil {
		return Step{}, err
	}
	if err := validPassword(password); err != nil {
		return Step{}, err
	}
	a, err := s.CheckPassword(ctx, name, password)
	if err != nil {
		return Step{}, err
	}
	if err := s.actsAs(a, authorize); err != nil {
		return Step{}, err
	}
	return Step{Done: true, Account: a}, nil
}

// actsAs reports whether an authorization identity is the account's own.
func (s *Store) actsAs(a *Account, authorize string) error {
	if authorize == "" || s.accounts().find(authorize, s.options.Ours) == a {
		return nil
	}
	return refused(a, errors.New("it asks to act for somebody else"))
}

// login is LOGIN (draft-murchison-sasl-login): the server asks for the name and
// for the password.
type login struct {
	store *Store
	name  string
	named bool
}

func (x *login) Next(ctx context.Context, response []byte) (Step, error) {
	switch {
	case response == nil:
		return Step{Challenge: []byte("Username:")}, nil
	case !x.named:
		x.name, x.named = string(response), true
		if err := validName(x.name); err != nil {
			return Step{}, err
		}
		return Step{Challenge: []byte("Password:")}, nil
	}
	return x.store.logOn(ctx, "", x.name, string(response))
}
