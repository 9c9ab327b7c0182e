package receive

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
)

// namedLimits are the limits that limits.go has a name for.
func namedLimits(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "limits.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "limit") {
			name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		return true
	})
	return names
}

// TestLimitsNameThemselves reaches every limit in a dialog. The client gets the
// reply and finds the session as it should be, the protocol log names the limit
// with its figures, and the metric counts it.
func TestLimitsNameThemselves(t *testing.T) {
	tested := map[string]string{ // where a dialog does not do
		limitWrite: "TestClientThatDoesNotRead", limitProxyHeader: "TestNoProxyHeader", limitProxyTimeout: "TestSilentProxy",
		limitStorage: "TestStorageTroubleIsTemporary", limitEarlyTalker: "TestEarlyTalker", limitTarpitted: "TestTooManyHeldBack",
		limitConnections: "TestPercentagePerSource", limitPercentage: "TestPercentagePerSource", limitPerSource: "TestConnectionsPerSource",
		limitSourceLogons: "TestThrottledSources", limitForeign: "TestForeignProtocols",
		limitRouteSize: "TestRouteLimitNamesItself", limitPressure: "TestPressureRefuses",
	}
	const on = "\nC: NOOP\nS: 250 .*" + quit
	wrong := "C: AUTH PLAIN " + b64("\x00kim\x00x") + "\n"
	received := "Received: by edge.contoso.example; date\\r\\n"
	for _, tt := range []struct {
		limit   string
		change  func(*config.ReceiveConnector)
		script  string // behind the greeting
		figures string
	}{
		{limitInactivity, func(c *config.ReceiveConnector) { c.ConnectionInactivityTimeout = 90 * time.Second }, "S: 421 4\\.4\\.1 Connection timed out\nEND", "1m30s"},
		{limitTimeout, func(c *config.ReceiveConnector) { c.ConnectionTimeout = 10 * time.Second }, "S: 421 4\\.4\\.1 Connection timed out\nEND", "10s"},
		{limitHandshake, nil, "C: STARTTLS\nS: 220 .*\nEND", "30s"},
		{limitDataRate, func(c *config.ReceiveConnector) { c.ConnectionInactivityTimeout = time.Hour },
			"C: MAIL FROM:<>\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 250 .*\nC: DATA\nS: 354 .*\nC> \"0123456789\"\nS: 421 4\\.4\\.1 Connection timed out\nEND",
			"10 octets in 1m, less than 512 a second"},
		{limitRate, func(c *config.ReceiveConnector) { c.MaxConnectionRatePerMinute = 1 }, "AGAIN\n" + tooManyRate, "more than 1 a minute"},
		{limitMessageRate, func(c *config.ReceiveConnector) { c.MessageRateLimit = 1 },
			"C: MAIL FROM:<>\nS: 250 .*\nC: RSET\nS: 250 .*\nC: MAIL FROM:<>\n" + tooFast, "more than 1 a minute of this address"},
		{limitErrors, func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 1 },
			"C: FOO\nS: 500 .*\nC: FOO\nS: 421 4\\.7\\.0 Too many errors on this connection, closing transmission channel\nEND", "2 of 1"},
		{limitIdleCommands, func(c *config.ReceiveConnector) { c.MaxIdleCommands = 2 },
			"C: NOOP\nS: 250 .*\nC: NOOP\nS: 421 4\\.7\\.0 Too many commands without a message .*\nEND", "3 of 2"},
		{limitLogons, func(c *config.ReceiveConnector) { c.MaxLogonFailures = 2 },
			wrong + "S: 535 5\\.7\\.8 .*\n" + wrong + "S: 421 4\\.7\\.0 Too many failed logons, closing transmission channel\nEND", "2 of 2"},
		{limitAuthRounds, nil, "C: AUTH X-ENDLESS\n" + strings.Repeat("S: 334 .*\nC:\n", maxAuthRounds) + "S: 535 5\\.7\\.8 .*" + on, "17 of 16"},
		{limitAuthLine, nil, "C: AUTH LOGIN\nS: 334 .*\nC: " + strings.Repeat("AAAA", 4000) + "\nS: 500 5\\.5\\.6 .*" + on, "more than 12288 octets"},
		{"max_password_checks", nil, "C: AUTH X-BROKEN " + b64("busy") + "\nS: 454 4\\.7\\.0 .*" + on, "X-BROKEN: too much to do\ntemporary authentication failure"},
		{limitLine, nil, "C: NOOP " + strings.Repeat("x", 3000) + "\nS: 500 5\\.5\\.2 Line too long" + on, "more than 2048 octets"},
		{limitRecipients, func(c *config.ReceiveConnector) { c.MaxRecipientsPerMessage = 1 },
			"C: MAIL FROM:<>\nS: 250 .*\nC: RCPT TO:<a@contoso.example>\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 452 4\\.5\\.3 Too many recipients\nC: DATA\nS: 354 .*\nC: .\nS: 250 .*" + on, "2 of 1"},
		{limitMessageSize, func(c *config.ReceiveConnector) { c.MaxMessageSize = 1000 }, "C: MAIL FROM:<> SIZE=1001\nS: 552 5\\.3\\.4 .*" + on, "1001 of 1000"},
		{limitHeaderSize, func(c *config.ReceiveConnector) { c.MaxHeaderSize = 10 }, content(`"Subject: long\r\n\r\n.\r\n"`) + "S: 552 5\\.3\\.4 Header size exceeds fixed maximum size" + on, "17 of 10"},
		{limitLongLines, func(c *config.ReceiveConnector) { c.LongLines = "reject" }, content(`"\r\n`+strings.Repeat("x", 999)+`\r\n.\r\n"`) + "S: 554 5\\.6\\.0 Message holds a line of more than 998 octets" + on, "more than 998 octets"},
		{limitHopCount, func(c *config.ReceiveConnector) { c.MaxHopCount = 1 }, content(`"Received: x\r\nReceived: y\r\n\r\n.\r\n"`) + "S: 554 5\\.4\\.6 .*" + on, "2 of 1"},
		{limitLocalHops, func(c *config.ReceiveConnector) { c.MaxLocalHopCount = 1 }, content(`"`+received+received+`\r\n.\r\n"`) + "S: 554 5\\.4\\.6 .*" + on, "2 of 1"},
	} {
		if tested[tt.limit] != "" {
			t.Errorf("%s stands here twice", tt.limit)
		}
		tested[tt.limit] = t.Name()
		t.Run(tt.limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				change := []func(*config.ReceiveConnector){authenticating}
				if tt.change != nil {
					change = append(change, tt.change)
				}
				b := startBench(t, testConnector(change...))
				withFakes(b, fakes{})
				logged := protocolLog(t, b)
				c := b.dialog("S: 220 .*\nC: EHLO client.example\nS~ .*")
				if before, rest, again := strings.Cut(tt.script, "AGAIN\n"); again {
					c.play(before)
					b.dialog(rest)
				} else {
					c.play(tt.script)
				}
				io.ReadAll(c.r)
				b.limitSeen(logged, tt.limit, tt.figures, 1)
			})
		})
	}
	for _, name := range namedLimits(t) {
		if tested[name] == "" {
			t.Errorf("nothing reaches the limit %s", name)
		}
	}
}

// content is a transaction up to its content.
func content(quoted string) string {
	return "C: MAIL FROM:<>\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 250 .*\nC: DATA\nS: 354 .*\nC> " + quoted + "\n"
}
