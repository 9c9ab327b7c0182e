package logon

import (
	"context"
	"crypto"
	_ "crypto/sha256" // for the digests of certificates
	_ "crypto/sha512"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/xdg-go/scram"
)

// scramExchange is SCRAM-SHA-256 and, with plus, SCRAM-SHA-256-PLUS (RFC 5802,
// RFC 7677).
type scramExchange struct {
	store        *Store
	peer         Peer
	plus         bool
	nonce        func() string // nil: a random one
	conversation *scram.ServerConversation
	account      *Account
	missing      error // why there is no account
	done         bool
}

func newScram(s *Store, peer Peer, plus bool) *scramExchange {
	return &scramExchange{store: s, peer: peer, plus: plus}
}

func (x *scramExchange) Next(_ context.Context, response []byte) (Step, error) {
	switch {
	case response == nil && x.conversation == nil: // the client speaks first
		return Step{Challenge: []byte{}}, nil
	case x.done:
		return Step{}, malformed("a response after the end")
	case x.conversation == nil:
		return x.first(string(response))
	}
	return x.final(string(response))
}

// first is the client's first message: who it is, and what it binds to.
func (x *scramExchange) first(message string) (Step, error) {
	flag, _, ok := strings.Cut(message, ",")
	if !ok {
		return Step{}, malformed("the message has no header of SCRAM")
	}
	kind, binds := strings.CutPrefix(flag, "p=")
	if binds != x.plus { // RFC 5802 6
		return Step{}, malformed("the channel binding does not fit the name of the mechanism")
	}
	binding, err := x.binding(kind, binds)
	if err != nil {
		return Step{}, err
	}
	server, err := scram.SHA256.NewServer(func(name string) (scram.StoredCredentials, error) {
		if err := validName(name); err != nil {
			return scram.StoredCredentials{}, err
		}
		var k *scramKeys
		x.account, k, x.missing = x.store.scramOf(name)
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(k.salt), Iters: k.iterations},
			StoredKey:  k.storedKey, ServerKey: k.serverKey,
		}, nil
	})
	if err != nil {
		return Step{}, err
	}
	if x.nonce != nil {
		server.WithNonceGenerator(x.nonce)
	}
	x.conversation = server.NewConversationWithChannelBinding(binding)
	challenge, err := x.conversation.Step(message)
	if err != nil {
		x.done = true
		if flag == "y" && binding.IsSupported() {
			return Step{}, errors.New("the client saw no channel binding offered, although it was: somebody stands between")
		}
		return Step{}, malformed("the first message is not one of SCRAM")
	}
	return Step{Challenge: []byte(challenge)}, nil
}

// binding is what a client must have bound to. For one that did not, it only
// says whether it could have: a client that can and believes that we can't has
// been lied to (RFC 5802 6).
func (x *scramExchange) binding(kind string, asked bool) (scram.ChannelBinding, error) {
	if x.peer.TLS == nil {
		if asked {
			return scram.ChannelBinding{}, malformed("channel binding without TLS")
		}
		return scram.ChannelBinding{}, nil
	}
	if !asked {
		kind = string(scram.ChannelBindingTLSExporter)
	}
	switch scram.ChannelBindingType(kind) {
	case scram.ChannelBindingTLSExporter: // RFC 9266
		b, err := scram.NewTLSExporterBinding(x.peer.TLS)
		if err != nil && asked {
			return b, errors.New("tls-exporter can't be had of this connection")
		}
		if err != nil { // another kind would have been offered
			b = scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: []byte{0}}
		}
		return b, nil
	case scram.ChannelBindingTLSServerEndpoint:
		if data := endPoint(x.peer.Certificate); data != nil {
			return scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: data}, nil
		}
	}
	return scram.ChannelBinding{}, errors.New("the kind of channel binding is not known here")
}

// endPoint is the tls-server-end-point binding of a certificate (RFC 5929 4.1);
// nil where it is not defined.
func endPoint(der []byte) []byte {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	var h crypto.Hash
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1,
		x509.SHA256WithRSA, x509.ECDSAWithSHA256, x509.SHA256WithRSAPSS, x509.DSAWithSHA256:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = crypto.SHA512
	default:
		return nil
	}
	d := h.New()
	d.Write(der)
	return d.Sum(nil)
}

// final is the client's proof.
func (x *scramExchange) final(message string) (Step, error) {
	x.done = true
	challenge, err := x.conversation.Step(message)
	a := x.account
	switch {
	case err != nil && !strings.HasPrefix(challenge, "e="):
		return Step{}, malformed("the last message is not one of SCRAM")
	case a == nil:
		return Step{}, x.missing
	case challenge == scram.ErrChannelBindingsDontMatch:
		return Step{}, refused(a, errors.New("the channel binding is another one: somebody stands between"))
	case err != nil || !x.conversation.Valid():
		return Step{}, refused(a, errPassword)
	case !a.enabled:
		return Step{}, refused(a, errDisabled)
	}
	if err := x.store.actsAs(a, x.conversation.AuthzID()); err != nil {
		return Step{}, err
	}
	return Step{Challenge: []byte(challenge), Done: true, Account: a}, nil
}
