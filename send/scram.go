package send

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"regexp"
	"strconv"

	"github.com/xdg-go/scram"

	"postern/internal/message"
)

// maxIterations is how much work a host may ask of us for one logon.
const maxIterations = 1_000_000

// The mechanisms, the second one bound to the TLS connection (RFC 7677).
const (
	scramSHA256     = "SCRAM-SHA-256"
	scramSHA256Plus = "SCRAM-SHA-256-PLUS"
)

// authenticateSCRAM proves to a host that we know the password, and has it
// prove the same (RFC 5802). Over TLS that is bound to the connection where the
// host can do it, so that nobody stands between.
func (c *conn) authenticateSCRAM(ctx context.Context, user, password string) (mechanism string, reply message.Reply, f *failure) {
	client, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		return "", reply, refusesAuth("The name and password of send connector %q can't be used with SCRAM: %v", c.connector.Name, err)
	}
	state := c.tlsState()
	var conversation *scram.ClientConversation
	switch {
	case state != nil && c.ext.HasAuth(scramSHA256Plus):
		binding, err := bindingOf(state)
		if err != nil {
			return "", reply, refusesAuth("This TLS connection offers nothing to bind %s to: %v", scramSHA256Plus, err)
		}
		mechanism, conversation = scramSHA256Plus, client.NewConversationWithChannelBinding(binding)
	case !c.ext.HasAuth(scramSHA256):
		return "", reply, refusesAuth("The host does not offer AUTH %s", scramSHA256)
	case state != nil: // a host that did offer PLUS hears that it was hidden from us
		mechanism, conversation = scramSHA256, client.NewConversationAdvertisingChannelBinding()
	default:
		mechanism, conversation = scramSHA256, client.NewConversation()
	}
	reply, f = c.converse(ctx, mechanism, conversation)
	return mechanism, reply, f
}

// converse carries the messages of a conversation.
func (c *conn) converse(ctx context.Context, mechanism string, conversation *scram.ClientConversation) (reply message.Reply, f *failure) {
	challenge := ""
	line := "AUTH " + mechanism + " "
	for !conversation.Done() {
		response, err := conversation.Step(challenge)
		if err != nil {
			return reply, c.giveUp(ctx, err)
		}
		if reply, f = c.step(ctx, line+encode(response)); f != nil || reply.Code != 334 {
			break
		}
		line = ""
		b, err := base64.StdEncoding.DecodeString(oneLine(reply.Text))
		if err != nil {
			return reply, c.giveUp(ctx, errors.New("its message is not base64"))
		}
		if challenge = string(b); asks(challenge) > maxIterations {
			return reply, c.giveUp(ctx, errors.New("it asks for too much work"))
		}
	}
	switch {
	case f != nil:
		return reply, f
	case reply.Code == 235 && !conversation.Valid():
		// Whoever does not prove that he knows the password may be anybody.
		f = refusesAuth("The host accepted AUTH %s without proving who it is", mechanism)
		f.intact = false
		return reply, f
	}
	return reply, nil
}

// giveUp ends an exchange that the host has spoilt (RFC 4954 4).
func (c *conn) giveUp(ctx context.Context, err error) *failure {
	_, _ = c.step(ctx, "*")
	f := refusesAuth("Authentication with the smart host failed (SCRAM): %v", err)
	f.intact = false
	return f
}

var iterations = regexp.MustCompile(`(?:^|,)i=([0-9]+)`)

// asks is how many iterations a host's first message asks for.
func asks(challenge string) int {
	m := iterations.FindStringSubmatch(challenge)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return maxIterations + 1
	}
	return n
}

// tlsState is that of the connection, nil in clear text.
func (c *conn) tlsState() *tls.ConnectionState {
	if t, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		s := t.ConnectionState()
		return &s
	}
	return nil
}

// bindingOf is what of a TLS connection both ends know and nobody else: what is
// derived from its keys (RFC 9266), else the host's certificate (RFC 5929 4).
func bindingOf(s *tls.ConnectionState) (scram.ChannelBinding, error) {
	if b, err := scram.NewTLSExporterBinding(s); err == nil {
		return b, nil
	}
	return scram.NewTLSServerEndpointBinding(s)
}
