package receive

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/wire"
)

// namedRefusals are the replies of replies.go that refuse something and name no
// limit.
func namedRefusals(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "replies.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		refuses, limits := false, false
		ast.Inspect(v.Values[0], func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				limits = limits || calledName(call.Fun) == "limited"
				if calledName(call.Fun) == "NewReply" {
					code, _ := strconv.Atoi(numbers(call.Args[0])[0])
					refuses = code >= 400
				}
			}
			return true
		})
		if refuses && !limits {
			names = append(names, v.Names[0].Name)
		}
		return true
	})
	return names
}

// TestRefusals reaches every refusal in a dialog. The client gets the reply and
// finds the session as it was, the protocol log has the reply, with the reason
// where there is one, and the metric counts it.
func TestRefusals(t *testing.T) {
	tested := map[string]string{ // where a dialog does not do
		"replyNotAvailable": "TestNoConnector", "replyStopping": "TestShutdown",
		"replyBadCertificate": "TestDomainSecure",
	}
	const begun = "C: MAIL FROM:<>\nS: 250 .*\n"
	const ready = begun + "C: RCPT TO:<b@contoso.example>\nS: 250 .*\n"
	const user = "C: AUTH PLAIN AGtpbQBraW0=\nS: 235 .*\n"
	const secure = "C: STARTTLS\nS: 220 .*\nTLS\nC: EHLO client.example\nS~ .*\n"
	denySender := func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} }
	partners := func(c *config.ReceiveConnector) {
		c.DomainSecureEnabled, c.TLSReceiveDomainSecureList = true, []string{"fabrikam.example"}
	}
	for _, tt := range []struct {
		name   string
		reply  *wire.Reply
		change func(*config.ReceiveConnector)
		before string // what leads to the command
		line   string // the command
		reason string // in the log
	}{
		{"replyUnrecognized", replyUnrecognized, nil, "", "FROBNICATE", ""},
		{"replyNotImplemented", replyNotImplemented, nil, "", "EXPN list", ""},
		{"replyArguments", replyArguments, nil, "", "RSET now", ""},
		{"replyBareLine", replyBareLine, nil, "", "NOOP\nNOOP", ""},
		{"replyHelloFirst", replyHelloFirst, nil, "NEW", "MAIL FROM:<>", ""},
		{"replyMailFirst", replyMailFirst, nil, "", "RCPT TO:<b@contoso.example>", ""},
		{"replyRcptFirst", replyRcptFirst, nil, begun, "DATA", ""},
		{"replyNoRecipients", replyNoRecipients, nil, begun, "BDAT 0 LAST", ""},
		{"replyWithinChunks", replyWithinChunks, nil, ready + "C> \"BDAT 2\\r\\nxx\"\nS: 250 .*\n", "DATA", ""},
		{"replyBinaryData", replyBinaryData, nil, "C: MAIL FROM:<> BODY=BINARYMIME\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 250 .*\n", "DATA", ""},
		{"replyMailTwice", replyMailTwice, nil, begun, "MAIL FROM:<>", ""},
		{"replyTLSTwice", replyTLSTwice, nil, secure, "STARTTLS", ""},
		{"replyNeedTLS", replyNeedTLS, func(c *config.ReceiveConnector) { c.RequireTLS = true }, "", "MAIL FROM:<>", ""},
		{"replyNoMechanism", replyNoMechanism, nil, "", "AUTH GSSAPI", ""},
		{"replyAuthNeedsTLS", replyAuthNeedsTLS, nil, "", "AUTH EXTERNAL =", ""},
		{"replyAuthTwice", replyAuthTwice, nil, user, "AUTH LOGIN", ""},
		{"replyAuthWithinMail", replyAuthWithinMail, nil, begun, "AUTH LOGIN", ""},
		{"replyAuthCancelled", replyAuthCancelled, nil, "C: AUTH LOGIN\nS: 334 .*\n", "*", ""},
		{"replyAuthMalformed", replyAuthMalformed, nil, "", "AUTH X-BROKEN " + b64("malformed"), "X-BROKEN: it is upside down: malformed response"},
		{"replyAuthFailed", replyAuthFailed, nil, "", "AUTH PLAIN " + b64("\x00kim\x00x"), "PLAIN: the password of kim is wrong"},
		{"replyAuthTemporary", replyAuthTemporary, nil, "", "AUTH X-BROKEN " + b64("temporary"), "X-BROKEN: the directory does not answer: temporary authentication failure"},
		{"replyNotAuthenticated", replyNotAuthenticated, func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"users"} }, "", "MAIL FROM:<>", ""},
		{"replySendAs", replySendAs, denySender, "", "MAIL FROM:<a@contoso.example>", "accept_authoritative_domain_sender is missing for our domain contoso.example"},
		{"replySendAsUser", replySendAsUser, nil, user, "MAIL FROM:<eve@elsewhere.example>", "accept_any_sender is missing, and the sender is not proven to be the client's own"},
		{"replyMaySubmitNothing", replyMaySubmitNothing, func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"anonymous"} }, user, "MAIL FROM:<>", ""},
		{"replyRelay", replyRelay, nil, begun, "RCPT TO:<b@elsewhere.example>", ""},
		{"replyRelayTrick", replyRelayTrick, nil, begun, "RCPT TO:<b%elsewhere.example@contoso.example>", ""},
		{"replyLiteral", replyLiteral, noLiterals, begun, "RCPT TO:<b@[192.0.2.10]>", "accept_address_literals is off"},
		{"replyReservedTop", replyReservedTop, func(c *config.ReceiveConnector) { c.RejectReservedTopLevelRecipientDomains = true }, begun, "RCPT TO:<b@elsewhere.test>", "reject_reserved_top_level_recipient_domains"},
		{"replyReservedSecond", replyReservedSecond, func(c *config.ReceiveConnector) { c.RejectReservedSecondLevelRecipientDomains = true }, begun, "RCPT TO:<b@example.org>", "reject_reserved_second_level_recipient_domains"},
		{"replySingleLabel", replySingleLabel, func(c *config.ReceiveConnector) {
			c.RejectSingleLabelRecipientDomains, c.Grant = true, []string{"accept_any_recipient"}
		}, begun, "RCPT TO:<b@hub>", "reject_single_label_recipient_domains"},
		{"replyAuthRequired", replyAuthRequired, nil, begun, "RCPT TO:<all@contoso.example>", "require_sender_authentication, and nobody has authenticated"},
		{"replyDomainSecure", replyDomainSecure, partners, secure, "MAIL FROM:<a@fabrikam.example>", "domain_secure_enabled, and the certificate for fabrikam.example is missing"},
		{"replyBareLF", replyBareLF, nil, ready + "C: DATA\nS: 354 .*\n", "a\nb\r\n.", ""},
		{"replyBareCR", replyBareCR, nil, ready + "C: DATA\nS: 354 .*\n", "a\rb\r\n.", ""},
	} {
		if tested[tt.name] != "" {
			t.Errorf("%s stands here twice", tt.name)
		}
		tested[tt.name] = t.Name()
		t.Run(tt.name, func(t *testing.T) {
			change := []func(*config.ReceiveConnector){authenticating, func(c *config.ReceiveConnector) { c.AcceptAddressLiterals = true }}
			if tt.change != nil {
				change = append(change, tt.change)
			}
			b := newAuthBench(t, change...)
			s := *b.server.snapshot.Load()
			s.domains = guarded{testDomains}
			b.server.snapshot.Store(&s)
			logged := protocolLog(t, b)
			c := b.dial(netip.AddrPort{})
			c.play("S: 220 .*")
			if tt.before != "NEW" {
				c.play("C: EHLO client.example\nS~ .*\n" + tt.before)
			}
			c.send(tt.line + "\r\n")
			want := strings.TrimSuffix(string(tt.reply.Append(nil, true)), "\r\n")
			if got := c.reply(); got != want {
				t.Fatalf("the server said %q, want %q", got, want)
			}
			c.play("C: NOOP\nS: 250 .*")
			status := tt.reply.EnhancedCode
			text := fmt.Sprintf("%d.%d.%d", status[0], status[1], status[2])
			if n := b.refusals(text); n != 1 {
				t.Errorf("%d refusals with %s are counted", n, text)
			}
			log := "> " + want + " | \n"
			if tt.reason != "" {
				log = "* " + tt.reason + " | reason\n" + log
			}
			if strings.Count(logged(), log) != 1 {
				t.Errorf("no %q in\n%s", log, logged())
			}
			if n := len(b.queue.all()); n != 0 {
				t.Errorf("%d messages were taken", n)
			}
		})
	}
	names := namedRefusals(t)
	if len(names) < 30 {
		t.Errorf("%d refusals were found in replies.go", len(names))
	}
	for _, name := range names {
		if tested[name] == "" {
			t.Errorf("nothing reaches %s", name)
		}
	}
}
