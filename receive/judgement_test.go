package receive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
	"postern/routing"
)

// agentLog gives the server an agent log, and returns what closes both and reads
// its lines.
func agentLog(t *testing.T, b *bench) func() []logs.AgentLine {
	t.Helper()
	dir := t.TempDir()
	log, err := logs.OpenAgent(logs.Options{Log: config.Log{Enabled: true, Directory: dir}, OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close(context.Background()) })
	b.server.agents = log
	return func() (out []logs.AgentLine) {
		b.server.Close()
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "AGENTLOG*.log"))
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				l, err := logs.ParseAgent(line)
				if err == logs.ErrComment {
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				out = append(out, l)
			}
		}
		return out
	}
}

// noRoute refuses one recipient.
type noRoute struct{}

func (noRoute) Restricted() bool { return true }
func (noRoute) Route(q routing.Query) routing.Decision {
	if q.Recipient.Local == "unrouted" {
		return routing.Decision{Problem: routing.ProblemSender, Reply: message.Reply{Code: 550, Text: "Not from you"}, Reason: "The sender is blocked."}
	}
	return routing.Decision{Connector: "Hub"}
}

// TestAgentLog: what is refused by a rule or a limit, when and for whom; errors
// of syntax and order are not in it, nor is trouble of ours.
func TestAgentLog(t *testing.T) {
	const begun = greet + "\nC: MAIL FROM:<a@b.example>\nS: 250 .*\n"
	const ready = begun + "C: RCPT TO:<b@contoso.example>\nS: 250 .*\nC: RCPT TO:<c@contoso.example>\nS: 250 .*\n"
	for _, c := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		script string
		want   []string // "agent|event|action|from|recipient|count|response|reason|data"
	}{
		{"not ours to relay", nil, begun + "C: RCPT TO:<x@y.example>\nS: 550 .*\nC: RCPT TO:<x%y@contoso.example>\nS: 550 .*", []string{
			"Permissions|OnRcptCommand|RejectCommand|a@b.example|x@y.example|0|550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain|accept_any_recipient|",
			"Recipient Rules|OnRcptCommand|RejectCommand|a@b.example|x%y@contoso.example|0|550 5.7.1 Unable to relay: the local part names another host|allow_untrusted_routing|",
		}},
		{"our own domain", func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} }, greet + "\nC: MAIL FROM:<a@contoso.example>\nS: 550 .*", []string{
			"Sender Guard|OnMailCommand|RejectCommand|a@contoso.example||0|550 5.7.1 Anonymous client does not have permissions to send as this sender|accept_authoritative_domain_sender|" +
				"accept_authoritative_domain_sender is missing for our domain contoso.example",
		}},
		{"nobody may submit", func(c *config.ReceiveConnector) { c.PermissionGroups = nil }, greet + "\nC: MAIL FROM:<a@b.example>\nS: 530 .*", []string{
			"Permissions|OnMailCommand|RejectCommand|||0|530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM|submit|",
		}},
		{"too large", nil, greet + "\nC: MAIL FROM:<a@b.example> SIZE=99999999\nS: 552 .*", []string{
			"Message Limits|OnMailCommand|RejectCommand|a@b.example||0|552 5.3.4 Message size exceeds fixed maximum message size|max_message_size|99999999 of 37748736",
		}},
		{"hops", func(c *config.ReceiveConnector) { c.MaxHopCount = 1 }, ready + "C: DATA\nS: 354 .*\nC: Message-ID: <1@b>\nC: Received: x\nC: Received: y\nC:\nC: .\nS: 554 .*", []string{
			"Message Limits|OnEndOfHeaders|RejectMessage|a@b.example|b@contoso.example|2|554 5.4.6 Hop count exceeded - possible mail loop|max_hop_count|2 of 1",
			"Message Limits|OnEndOfHeaders|RejectMessage|a@b.example|c@contoso.example|2|554 5.4.6 Hop count exceeded - possible mail loop|max_hop_count|2 of 1",
		}},
		{"bare line feed", nil, ready + "C: DATA\nS: 354 .*\nC> \"a\\nb\\r\\n.\\r\\n\"\nS: 550 .*", []string{
			"Content Rules|OnEndOfData|RejectMessage|a@b.example|b@contoso.example|2|550 5.6.11 SMTPRECEIVE.BareLinefeedsAreIllegal; message contains bare linefeeds|bare_line_ends|",
			"Content Rules|OnEndOfData|RejectMessage|a@b.example|c@contoso.example|2|550 5.6.11 SMTPRECEIVE.BareLinefeedsAreIllegal; message contains bare linefeeds|bare_line_ends|",
		}},
		{"too many recipients", func(c *config.ReceiveConnector) { c.MaxRecipientsPerMessage = 2 }, ready + "C: RCPT TO:<d@contoso.example>\nS: 452 .*", []string{
			"Message Limits|OnRcptCommand|RejectCommand|a@b.example|d@contoso.example|2|452 4.5.3 Too many recipients|max_recipients_per_message|3 of 2",
		}},
		{"no route", nil, begun + "C: RCPT TO:<unrouted@contoso.example>\nS: 550 .*", []string{
			"Routing|OnRcptCommand|RejectCommand|a@b.example|unrouted@contoso.example|0|550 5.0.0 Not from you|send_connector.sender|The sender is blocked.",
		}},
		{"errors of syntax", func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 2 }, greet + "\nC: WHAT\nS: 500 .*\nC: RCPT\nS: 503 .*\nC: MAIL FROM:a\nS: 421 .*\nEND", []string{
			"Session Limits|OnMailCommand|Disconnect|||0|421 4.7.0 Too many errors on this connection, closing transmission channel|max_protocol_errors|3 of 2",
		}},
		{"TLS wanted", func(c *config.ReceiveConnector) { c.RequireTLS = true }, greet + "\nC: MAIL FROM:<a@b.example>\nS: 530 .*", []string{
			"Permissions|OnMailCommand|RejectCommand|||0|530 5.7.0 Must issue a STARTTLS command first|require_tls|",
		}},
		{"too many connections", func(c *config.ReceiveConnector) { c.MaxInboundConnection = 0 }, "S: 421 .*\nEND", []string{
			"Connection Limits|OnConnect|RejectConnection|||0|421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel|max_inbound_connection|1 of 0",
		}},
		{"nothing refused", nil, ready + "C: DATA\nS: 354 .*\nC: Subject: x\nC:\nC: .\nS: 250 .*", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*config.ReceiveConnector) {}
			}
			connector := testConnector(change)
			b := newBench(t, connector)
			b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{connector}, Domains: testDomains, Routes: noRoute{}}))
			lines := agentLog(t, b)
			cl := b.dialog(c.script)
			cl.close()
			var got []string
			for _, l := range lines() {
				got = append(got, fmt.Sprintf("%s|%s|%s|%s|%s|%d|%s|%s|%s", l.Agent, l.Event, l.Action, l.P1From, l.Recipient, l.Recipients, l.Response, l.Reason, l.ReasonData))
				if l.Session == "" || l.Local != serverAddr || l.Remote != strangerAddr || l.EnteredOrgFromIP != strangerAddr.Addr().String() {
					t.Errorf("%+v", l)
				}
				if c.name == "hops" && l.MessageID != "<1@b>" {
					t.Errorf("%+v", l)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestAgentsOfThePage: the page on logs has every agent in its table, and every
// event and action.
func TestAgentsOfThePage(t *testing.T) {
	text, err := os.ReadFile("../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| agent | judges |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	agents := []string{AgentConnectionLimits, AgentSessionLimits, AgentAuthentication, AgentPermissions, AgentSenderGuard, AgentDomainSecurity, AgentRecipientRules, AgentRouting,
		AgentMessageLimits, AgentContentRules, AgentBackPressure}
	for _, a := range agents {
		if !strings.Contains(table, "| `"+a+"` |") {
			t.Errorf("the page has no agent %q", a)
		}
	}
	if n := strings.Count(table, "\n") + 1; n != len(agents) {
		t.Errorf("the page has %d agents, want %d", n, len(agents))
	}
	code, err := os.ReadFile("judgement.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"((?:On|Reject|Disconnect)[A-Za-z]*)"`).FindAllStringSubmatch(string(code), -1) {
		if !strings.Contains(string(text), "`"+m[1]+"`") {
			t.Errorf("the page has no %s", m[1])
		}
	}
}
