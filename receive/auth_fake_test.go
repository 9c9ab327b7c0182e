package receive

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"postern/config"
)

// fakes are mechanisms for tests. Users are their own password, but for
// "nobody", who does not exist.
type fakes struct {
	// begun notes what Start was told.
	begun func(Peer)
	// senders are everybody's own.
	senders Senders
}

var fakeMechanisms = []Mechanism{
	{Name: "PLAIN", Value: "basic"}, {Name: "LOGIN", Value: "basic"}, {Name: "SCRAM-SHA-256", Value: "scram"}, {Name: "X-ENDLESS", Value: "scram"},
	{Name: "X-BROKEN", Value: "scram"}, {Name: "EXTERNAL", Value: "client_certificate"},
}

func (f fakes) Mechanisms() []Mechanism { return fakeMechanisms }

func (f fakes) Start(name string, peer Peer) (Exchange, error) {
	if f.begun != nil {
		f.begun(peer)
	}
	switch name {
	case "PLAIN":
		return exchange(func(ctx context.Context, response []byte) (Step, error) {
			step, err := (&fakePlain{}).Next(ctx, response)
			step.Identity.Senders, step.Identity.AnySender = f.senders, step.Identity.Name == "list"
			return step, err
		}), nil
	case "LOGIN":
		return &fakeLogin{}, nil
	case "SCRAM-SHA-256":
		return &fakeScram{}, nil
	case "X-ENDLESS":
		return exchange(func(context.Context, []byte) (Step, error) { return Step{Challenge: []byte("more")}, nil }), nil
	case "X-BROKEN":
		return exchange(broken), nil
	case "EXTERNAL":
		return exchange(func(context.Context, []byte) (Step, error) {
			return Step{Done: true, Identity: Identity{Name: peer.TLS.PeerCertificates[0].Subject.CommonName, Principals: Partners}}, nil
		}), nil
	}
	return nil, errors.New("started a mechanism that is not there")
}

type exchange func(context.Context, []byte) (Step, error)

func (x exchange) Next(ctx context.Context, response []byte) (Step, error) { return x(ctx, response) }

// busy is trouble of ours that names a limit.
type busy struct{}

func (busy) Error() string { return "too much to do" }
func (busy) Limit() string { return "max_password_checks" }

// broken does what the response says.
func broken(ctx context.Context, response []byte) (Step, error) {
	switch string(response) {
	case "temporary":
		return Step{}, fmt.Errorf("the directory does not answer: %w", ErrTemporary)
	case "busy":
		return Step{}, errors.Join(busy{}, ErrTemporary)
	case "slow":
		<-ctx.Done()
		return Step{}, ctx.Err()
	case "malformed":
		return Step{}, fmt.Errorf("it is upside down: %w", ErrMalformed)
	case "nameless":
		return Step{Done: true}, nil
	case "long":
		return Step{Challenge: bytes.Repeat([]byte("x"), maxChallenge)}, nil
	case "too long":
		return Step{Challenge: bytes.Repeat([]byte("x"), maxChallenge+1)}, nil
	}
	return Step{Challenge: []byte{}}, nil
}

func judge(user, password string) (Step, error) {
	switch {
	case user == "nobody":
		return Step{}, errors.New("there is no such user")
	case user != password:
		return Step{}, errors.New("the password of " + user + " is wrong")
	case user == "hub":
		return Step{Done: true, Identity: Identity{Name: user, Principals: Servers}}, nil
	}
	return Step{Done: true, Identity: Identity{Name: user}}, nil
}

// fakePlain is like PLAIN (RFC 4616).
type fakePlain struct{}

func (*fakePlain) Next(_ context.Context, response []byte) (Step, error) {
	if response == nil {
		return Step{Challenge: []byte{}}, nil
	}
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 {
		return Step{}, ErrMalformed
	}
	return judge(parts[1], parts[2])
}

// fakeLogin is like LOGIN: the server speaks first.
type fakeLogin struct {
	user  string
	round int
}

func (x *fakeLogin) Next(_ context.Context, response []byte) (Step, error) {
	if response == nil {
		return Step{Challenge: []byte("Username:")}, nil
	}
	if x.round++; x.round == 1 {
		x.user = string(response)
		return Step{Challenge: []byte("Password:")}, nil
	}
	return judge(x.user, string(response))
}

// fakeScram is like SCRAM: the last word is the server's.
type fakeScram struct{ round int }

func (x *fakeScram) Next(_ context.Context, response []byte) (Step, error) {
	if response == nil {
		return Step{Challenge: []byte{}}, nil
	}
	if x.round++; x.round == 1 {
		return Step{Challenge: []byte("salt of " + string(response))}, nil
	}
	user, password, _ := strings.Cut(string(response), " ")
	step, err := judge(user, password)
	if step.Done {
		step.Challenge = []byte("v=proof")
	}
	return step, err
}

// newAuthBench starts a server with the fakes on a connector for users and
// strangers, with all mechanisms.
func newAuthBench(t testing.TB, change ...func(*config.ReceiveConnector)) *bench {
	t.Helper()
	b := newBench(t, testConnector(append([]func(*config.ReceiveConnector){authenticating}, change...)...))
	withFakes(b, fakes{})
	return b
}

func authenticating(c *config.ReceiveConnector) {
	c.PermissionGroups = []string{"anonymous", "users", "partners", "servers"}
	c.AuthMechanism = []string{"tls", "basic", "scram", "client_certificate"}
	c.MaxLogonFailures, c.MaxProtocolErrors = 3, config.Unlimited
}

func withFakes(b *bench, f fakes) {
	s := *b.server.snapshot.Load()
	s.auth = f
	b.server.snapshot.Store(&s)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
