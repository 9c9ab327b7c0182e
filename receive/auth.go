package receive

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/message"
	"postern/internal/wire"
	"postern/logs"
)

// Authenticator is where AUTH takes its mechanisms from. All its methods may be
// called concurrently.
type Authenticator interface {
	// Mechanisms lists the SASL mechanisms in the order in which they are
	// offered. It is asked often; the list changes when the accounts do.
	Mechanisms() []Mechanism
	// Start begins an exchange with one of them. Its errors are those of
	// Exchange.Next.
	Start(mechanism string, peer Peer) (Exchange, error)
}

// Mechanism is a SASL mechanism (RFC 4422).
type Mechanism struct {
	// Name is in upper case.
	Name string
	// Value is the value of auth_mechanism that allows it: "basic", "scram" or
	// "client_certificate". Those of basic are kept for TLS where
	// "basic_require_tls" stands beside it; those of client_certificate need
	// TLS with a certificate.
	Value string
	// Binds says that it binds to TLS and is not offered without.
	Binds bool
}

// Peer is what is known of a client before it authenticates.
type Peer struct {
	Connector     string
	Client, Local netip.AddrPort
	Helo          string
	// TLS is nil in clear text. It has the client's certificate and the means
	// for channel bindings.
	TLS *tls.ConnectionState
	// Certificate is what we presented within TLS, in DER.
	Certificate []byte
}

// Exchange is the server's side of one SASL exchange. It belongs to one
// session. Whatever it learns, it must take as long, and say as much, about a
// user who does not exist as about one who does.
type Exchange interface {
	// Next takes a response of the client's and says how it goes on. The first
	// response is nil when the client sent none with the command; the challenge
	// is then the server's first, empty where the client speaks first. An
	// ErrTemporary or the end of the context is trouble of ours (454), with a
	// method Limit() string that of the limit it names, an
	// ErrMalformed a response that does not fit the mechanism (501), and every
	// other error a failure (535), told in the same words whatever it is. The
	// text of an error goes to the protocol log and must hold no secret.
	Next(ctx context.Context, response []byte) (Step, error)
}

// Step is how an exchange goes on: with a challenge, or with its end.
type Step struct {
	Challenge []byte
	// Done says that the client has proven to be Identity. A challenge that is
	// not nil is sent all the same, and the client answers it with an empty
	// response (RFC 4954 4).
	Done     bool
	Identity Identity
}

// Identity is who a client has proven to be.
type Identity struct {
	// Name stands in the logs and the envelope. It may not be empty.
	Name string
	// Principals are what it proved; the zero value stands for Users.
	Principals Principals
	// Senders are the client's own; nil: it has none. AnySender says that every
	// sender is, so that nobody need read From.
	Senders   Senders
	AnySender bool
}

// Senders are the senders that somebody may use who has not the right to use
// any. It may be asked concurrently.
type Senders interface {
	MaySendAs(from message.Address) bool
}

// What an exchange may fail of besides the client's being nobody we know.
var (
	ErrTemporary = errors.New("temporary authentication failure")
	ErrMalformed = errors.New("malformed response")
)

// The values of auth_mechanism that mean something here.
const (
	mechanismBasic       = "basic"
	mechanismBasicTLS    = "basic_require_tls"
	mechanismCertificate = "client_certificate"
)

// availability is what stands between a session and a mechanism.
type availability uint8

const (
	mechanismNone availability = iota // the connector does not allow it
	mechanismWantsTLS
	mechanismOffered
)

// availability judges one mechanism.
func (s *session) availability(m Mechanism) availability {
	if !hasMechanism(s.connector.ReceiveConnector, m.Value) {
		return mechanismNone
	}
	wantsTLS := s.connector.RequireTLS || m.Binds || m.Value == mechanismCertificate ||
		m.Value == mechanismBasic && hasMechanism(s.connector.ReceiveConnector, mechanismBasicTLS)
	switch {
	case s.tls == "" && wantsTLS:
		return mechanismWantsTLS
	case m.Value == mechanismCertificate && len(s.clientCertificates()) == 0:
		return mechanismNone
	}
	return mechanismOffered
}

// mechanisms are those that exist, if any.
func (s *session) mechanisms() []Mechanism {
	if s.snapshot.auth == nil {
		return nil
	}
	return s.snapshot.auth.Mechanisms()
}

// offeredMechanisms are the names that EHLO lists (RFC 4954 3), each behind a
// space.
func (s *session) offeredMechanisms() string {
	var b strings.Builder
	for _, m := range s.mechanisms() {
		if s.availability(m) == mechanismOffered {
			b.WriteByte(' ')
			b.WriteString(m.Name)
		}
	}
	return b.String()
}

// authOffered reports whether EHLO lists AUTH.
func (s *session) authOffered() bool {
	return slices.ContainsFunc(s.mechanisms(), func(m Mechanism) bool { return s.availability(m) == mechanismOffered })
}

// tlsState is nil in clear text.
func (s *session) tlsState() *tls.ConnectionState {
	conn, ok := s.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := conn.ConnectionState()
	return &state
}

func (s *session) clientCertificates() []*x509.Certificate {
	if state := s.tlsState(); state != nil {
		return state.PeerCertificates
	}
	return nil
}

// auth is AUTH (RFC 4954 4).
func (s *session) auth(arg string) {
	if r := s.strayAuth(); r != nil {
		s.reply(r)
		return
	}
	a, err := wire.ParseAuth(arg)
	if err != nil {
		s.replyError(err)
		return
	}
	switch s.availabilityOf(a.Mechanism) {
	case mechanismNone:
		s.reply(replyNoMechanism)
		return
	case mechanismWantsTLS:
		s.reply(replyAuthNeedsTLS)
		return
	}
	if r := s.throttled(); r != nil {
		s.reply(r)
		return
	}
	x, err := s.snapshot.auth.Start(a.Mechanism, s.peer())
	if err != nil {
		s.authFailed(a.Mechanism, err)
		return
	}
	s.authenticate(a.Mechanism, x, a.Initial)
}

func (s *session) peer() Peer {
	return Peer{
		Connector: s.connector.Name, Client: s.remote, Local: s.local, Helo: s.helo, TLS: s.tlsState(), Certificate: s.certificate,
	}
}

// authPossible reports whether AUTH could ever succeed on the connector.
func (s *session) authPossible() bool {
	return slices.ContainsFunc(s.mechanisms(), func(m Mechanism) bool {
		return hasMechanism(s.connector.ReceiveConnector, m.Value)
	})
}

// strayAuth says why AUTH has no place now. A connector on which nothing could
// ever make AUTH succeed does not have the command.
func (s *session) strayAuth() *wire.Reply {
	switch {
	case !s.authPossible():
		return replyNotImplemented
	case !s.extended: // HELO is not enough for an extension (RFC 5321 2.2.1)
		return replyHelloFirst
	case s.user != "": // RFC 4954 4
		return replyAuthTwice
	case s.tx != nil: // RFC 4954 4
		return replyAuthWithinMail
	}
	return nil
}

// availabilityOf judges the mechanism of that name.
func (s *session) availabilityOf(name string) availability {
	for _, m := range s.mechanisms() {
		if m.Name == name {
			return s.availability(m)
		}
	}
	return mechanismNone
}

// authenticate carries an exchange to its end. Everything that the client sends
// meanwhile is a response, also what came in one packet with the command.
func (s *session) authenticate(mechanism string, x Exchange, response []byte) {
	for range maxAuthRounds {
		if s.flush() != nil { // nothing waits while a password is checked
			s.closing = true
			return
		}
		step, err := s.next(x, response)
		if err == nil && step.Done && step.Identity.Name == "" {
			err = fmt.Errorf("%w: the mechanism names nobody", ErrTemporary)
		}
		if err == nil && len(step.Challenge) > maxChallenge {
			err = fmt.Errorf("%w: a challenge of %d octets", ErrTemporary, len(step.Challenge))
		}
		if err != nil {
			s.authFailed(mechanism, err)
			return
		}
		if step.Done && step.Challenge == nil {
			s.authenticated(mechanism, step.Identity)
			return
		}
		s.challenge(step.Challenge)
		var ok bool
		if response, ok = s.response(); !ok {
			return
		}
		if step.Done {
			if len(response) > 0 {
				s.authFailed(mechanism, ErrMalformed)
				return
			}
			s.authenticated(mechanism, step.Identity)
			return
		}
	}
	s.note(atLimit(limited(replyAuthFailed, limitAuthRounds), maxAuthRounds+1, maxAuthRounds))
	s.authFailed(mechanism, errors.New("no end after "+itoa(maxAuthRounds)+" responses"))
}

// next asks an exchange how it goes on.
func (s *session) next(x Exchange, response []byte) (Step, error) {
	ctx, cancel := context.WithTimeout(s.server.commit, authTimeout)
	defer cancel()
	return x.Next(ctx, response)
}

// challenge sends a challenge. It holds nothing that others should read: with
// that of SCRAM they could try passwords on what they have heard.
func (s *session) challenge(text []byte) {
	out := s.pending()
	*out = wire.AppendAuthChallenge(*out, text)
	s.log.Sent("334 " + logs.Redacted)
}

// response reads one response. It reports false when the exchange is over: the
// client has given up or sent what is none, or nothing can be read any more.
func (s *session) response() ([]byte, bool) {
	line, err := s.reader.ReadLine(wire.MaxAuthLine)
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrLineTooLong):
		s.log.Received(logs.Redacted)
		s.reply(replyAuthLineTooLong)
		return nil, false
	case errors.Is(err, wire.ErrBareLF), errors.Is(err, wire.ErrBareCR):
		s.log.Received(logs.Redacted)
		s.reply(replyBareLine)
		return nil, false
	default:
		s.readFailed(err)
		return nil, false
	}
	response, cancelled, err := wire.ParseAuthResponse(line)
	if cancelled {
		s.log.Received("*")
		s.reply(replyAuthCancelled)
		return nil, false
	}
	s.log.Received(logs.Redacted)
	if err != nil {
		s.replyError(err)
		return nil, false
	}
	return response, true
}

// authenticated gives the session the rights of who it is.
func (s *session) authenticated(mechanism string, who Identity) {
	s.user, s.senders, s.anySender = who.Name, who.Senders, who.AnySender
	if s.log != nil {
		s.log.Info(who.Name, "authenticated by "+mechanism)
	}
	proven := who.Principals
	if proven == 0 {
		proven = Users
	}
	s.permit(s.proven | proven)
	s.connector.logons.Inc()
	s.reply(replyAuthenticated)
}

// authFailed answers an exchange that did not succeed. Whatever the reason is,
// the client learns no more than that (RFC 4954 6 and 9).
func (s *session) authFailed(mechanism string, err error) {
	reason := mechanism + ": " + err.Error()
	switch {
	case errors.Is(err, ErrTemporary), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		r := replyAuthTemporary
		if l, ok := errors.AsType[interface {
			error
			Limit() string
		}](err); ok {
			r = limited(r, l.Limit())
		}
		s.reply(r.WithLog(reason))
		return
	case errors.Is(err, ErrMalformed):
		s.reply(replyAuthMalformed.WithLog(reason))
		return
	}
	s.logonFailures++
	s.connector.logonFailures.Inc()
	s.countFailure()
	limit := s.connector.MaxLogonFailures
	if limit > 0 && s.logonFailures >= limit {
		s.note(replyAuthFailed.WithLog(reason))
		s.reply(atLimit(replyTooManyLogons, s.logonFailures, limit))
		return
	}
	s.reply(replyAuthFailed.WithLog(reason))
}

// forget drops what was proven before TLS (RFC 3207 4.2).
func (s *session) forget() {
	s.greeted, s.extended, s.helo, s.user, s.senders, s.anySender = false, false, "", "", nil, false
	if s.proven != 0 {
		s.permit(0)
	}
}

// originator is what AUTH= of MAIL is worth (RFC 4954 5): from a client that is
// not trusted with it, and where it is "<>", nobody is known.
func (s *session) originator(auth string) string {
	if auth == "" || auth == "<>" {
		return ""
	}
	if !s.rights.Has(AcceptAuthenticationFlag) {
		s.log.Info("AUTH= is not believed: accept_authentication_flag is missing", "originator")
		return ""
	}
	return auth
}

const (
	// authTimeout bounds one step of an exchange on our side.
	authTimeout = 30 * time.Second
	// maxAuthRounds bounds the responses of an exchange. Mechanisms need three.
	maxAuthRounds = 16
	// maxChallenge is the longest challenge whose line is within MaxAuthLine.
	maxChallenge = (wire.MaxAuthLine - len("334 \r\n")) / 4 * 3
)
