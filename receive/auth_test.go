package receive

import (
	"encoding/base64"
	"strings"
	"testing"

	"postern/config"
)

const authenticatedReply = `S: 235 2\.7\.0 Authentication successful`

func TestAuthDialogs(t *testing.T) {
	kim := b64("\x00kim\x00kim")
	for _, tt := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		script string
	}{
		{"an initial response", nil, greet + `
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + quit},
		{"in any case, with space behind it", nil, greet + `
			C> "auth plain ` + kim + ` \r\n"` + "\n" + authenticatedReply + quit},
		{"an empty challenge", nil, greet + `
			C: AUTH PLAIN
			S: 334 
			C: ` + kim + "\n" + authenticatedReply + quit},
		{"the server speaks first", nil, greet + `
			C: AUTH LOGIN
			S: 334 ` + b64("Username:") + `
			C: ` + b64("kim") + `
			S: 334 ` + b64("Password:") + `
			C: ` + b64("kim") + "\n" + authenticatedReply + quit},
		{"data with success", nil, greet + `
			C: AUTH SCRAM-SHA-256 ` + b64("kim") + `
			S: 334 ` + b64("salt of kim") + `
			C: ` + b64("kim kim") + `
			S: 334 ` + b64("v=proof") + `
			C:
			` + authenticatedReply + quit},
		{"data with success, and no empty response to it", nil, greet + `
			C: AUTH SCRAM-SHA-256 ` + b64("kim") + `
			S: 334 .*
			C: ` + b64("kim kim") + `
			S: 334 .*
			C: ` + b64("x") + `
			S: 501 5\.5\.2 .*
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + quit},
		{"data with success, cancelled", nil, greet + `
			C: AUTH SCRAM-SHA-256 ` + b64("kim") + `
			S: 334 .*
			C: ` + b64("kim kim") + `
			S: 334 .*
			C: *
			S: 501 5\.7\.0 Authentication cancelled
			C: MAIL FROM:<a@b.example>
			S: 250 .*
			C: RCPT TO:<x@elsewhere.example>
			S: 550 .*` + quit},
		{"an empty initial response", nil, greet + `
			C: AUTH PLAIN =
			S: 501 5\.5\.2 Malformed authentication response` + quit},
		{"all in one packet", nil, greet + `
			C| AUTH LOGIN
			C| ` + b64("kim") + `
			C| ` + b64("kim") + `
			C| MAIL FROM:<>
			C: RCPT TO:<x@elsewhere.example>
			S: 334 .*
			S: 334 .*
			` + authenticatedReply + `
			S: 250 2\.1\.0 .*
			S: 250 2\.1\.5 .*` + quit},
		{"a refusal in one packet: what follows are commands", nil, greet + `
			C| AUTH X-UNKNOWN
			C| ` + b64("kim") + `
			C| NOOP
			C: NOOP
			S: 504 5\.5\.4 Unrecognized authentication type
			S: 500 .*
			S: 250 .*
			S: 250 .*` + quit},
		{"a command is no command within an exchange", nil, greet + `
			C| AUTH LOGIN
			C: QUIT
			S: 334 .*
			S: 334 .*
			C: NOOP
			S: 535 5\.7\.8 Authentication unsuccessful` + quit},
		{"no base64", nil, greet + `
			C: AUTH PLAIN !
			S: 501 5\.5\.2 Cannot decode the response
			C: AUTH PLAIN AGtpbQBraW0
			S: 501 5\.5\.2 Cannot decode the response
			C: AUTH LOGIN
			S: 334 .*
			C: kim
			S: 501 5\.5\.2 Cannot decode the response
			C: AUTH LOGIN
			S: 334 .*
			C: =
			S: 501 5\.5\.2 Cannot decode the response` + quit},
		{"no arguments, or too many", nil, greet + `
			C: AUTH
			S: 501 5\.5\.4 Invalid arguments
			C: AUTH PLAIN ` + kim + ` x
			S: 501 5\.5\.4 Invalid arguments
			C: AUTH=PLAIN
			S: 500 .*` + quit},
		{"lines of the greatest length and beyond", nil, greet + `
			C: AUTH LOGIN
			S: 334 .*
			C: ` + strings.Repeat("AAAA", (12288-2)/4) + `
			S: 334 .*
			C: ` + strings.Repeat("AAAA", (12288-2)/4+1) + `
			S: 500 5\.5\.6 Authentication exchange line is too long
			C: AUTH LOGIN
			S: 334 .*
			C: ` + strings.Repeat("A", 200_000) + `
			S: 500 5\.5\.6 Authentication exchange line is too long
			C: NOOP
			S: 250 .*
			C: AUTH PLAIN ` + strings.Repeat("AAAA", 600) + `
			S: 500 5\.5\.2 Line too long` + quit},
		{"bare line ends", nil, greet + `
			C: AUTH LOGIN
			S: 334 .*
			C> "a2l\rt\r\n"
			S: 500 5\.5\.2 Commands end with CRLF
			C: AUTH LOGIN
			S: 334 .*
			C> "a2lt\nQUIT\r\n"
			S: 500 5\.5\.2 Commands end with CRLF
			C: NOOP
			S: 250 .*` + quit},
		{"challenges longer than a reply line", nil, greet + `
			C: AUTH X-BROKEN ` + b64("long") + `
			S: 334 ` + strings.Repeat("eHh4", maxChallenge/3) + `
			C: *
			S: 501 .*
			C: AUTH X-BROKEN ` + b64("too long") + `
			S: 454 4\.7\.0 Temporary authentication failure` + quit},
		{"no end", nil, greet + `
			C: AUTH X-ENDLESS
			` + strings.Repeat("S: 334 bW9yZQ==\nC:\n", maxAuthRounds) + `
			S: 535 5\.7\.8 .*` + quit},
		{"trouble of ours is no failure", nil, greet + `
			` + strings.Repeat("C: AUTH X-BROKEN "+b64("temporary")+"\nS: 454 4\\.7\\.0 Temporary authentication failure\n", 5) + `
			` + strings.Repeat("C: AUTH X-BROKEN "+b64("malformed")+"\nS: 501 5\\.5\\.2 Malformed .*\n", 5) + `
			C: AUTH X-BROKEN ` + b64("nameless") + `
			S: 454 .*
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + quit},
		{"too many failures", nil, greet + `
			C: AUTH PLAIN ` + b64("\x00kim\x00x") + `
			S: 535 5\.7\.8 Authentication unsuccessful
			C: AUTH PLAIN ` + b64("\x00nobody\x00x") + `
			S: 535 5\.7\.8 Authentication unsuccessful
			C: NOOP
			S: 250 .*
			C: AUTH LOGIN
			S: 334 .*
			C: ` + b64("kim") + `
			S: 334 .*
			C: ` + b64("mik") + `
			S: 421 4\.7\.0 Too many failed logons, closing transmission channel
			END`},
		{"failures without end", func(c *config.ReceiveConnector) { c.MaxLogonFailures = 0 }, greet + `
			` + strings.Repeat("C: AUTH PLAIN "+b64("\x00kim\x00x")+"\nS: 535 .*\n", 20) + quit},
		{"twice", nil, greet + `
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + `
			C: AUTH PLAIN ` + kim + `
			S: 503 5\.5\.1 Already authenticated
			C: EHLO client.example
			S~ 250-.*
			C: AUTH X-UNKNOWN
			S: 503 5\.5\.1 Already authenticated` + quit},
		{"within a transaction", nil, greet + `
			C: MAIL FROM:<>
			S: 250 .*
			C: AUTH PLAIN ` + kim + `
			S: 503 5\.5\.1 AUTH not permitted during a mail transaction
			C: RCPT TO:<x@elsewhere.example>
			S: 550 .*
			C: RSET
			S: 250 .*
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + quit},
		{"before EHLO", nil, `
			S: 220 .*
			C: AUTH PLAIN ` + kim + `
			S: 503 5\.5\.2 Send hello first
			C: HELO client.example
			S: 250 .*
			C: AUTH PLAIN ` + kim + `
			S: 503 5\.5\.2 Send hello first` + quit},
		{"only within TLS", func(c *config.ReceiveConnector) { c.AuthMechanism = append(c.AuthMechanism, "basic_require_tls") }, greet + `
			C: AUTH PLAIN ` + kim + `
			S: 538 5\.7\.11 Encryption required for requested authentication mechanism
			C: AUTH LOGIN
			S: 538 .*
			C: AUTH EXTERNAL =
			S: 538 .*
			C: STARTTLS
			S: 220 .*
			TLS
			C: EHLO client.example
			S~ .*\n250-AUTH PLAIN LOGIN SCRAM-SHA-256 X-ENDLESS X-BROKEN\n.*
			C: AUTH EXTERNAL =
			S: 504 .*
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + quit},
		{"TLS is required", func(c *config.ReceiveConnector) { c.RequireTLS = true }, `
			S: 220 .*
			C: EHLO client.example
			S~ 250-edge\.contoso\.example Hello \[198\.51\.100\.7\]\n250-SIZE 37748736\n250-PIPELINING\n250-DSN\n250-ENHANCEDSTATUSCODES\n250-STARTTLS\n250-8BITMIME\n.*
			C: AUTH SCRAM-SHA-256
			S: 530 5\.7\.0 .*
			C: STARTTLS
			S: 220 .*
			TLS
			C: AUTH PLAIN ` + kim + `
			S: 503 5\.5\.2 .*
			C: EHLO client.example
			S~ .*\n250-AUTH PLAIN .*
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + quit},
		{"not allowed", func(c *config.ReceiveConnector) { c.AuthMechanism = []string{"tls", "scram"} }, greet + `
			C: AUTH PLAIN ` + kim + `
			S: 504 5\.5\.4 .*
			C: AUTH SCRAM-SHA-256
			S: 334 .*
			C: *
			S: 501 .*` + quit},
		{"nothing allowed", func(c *config.ReceiveConnector) { c.AuthMechanism = []string{"tls"} }, `
			S: 220 .*
			C: AUTH PLAIN ` + kim + `
			S: 502 5\.5\.1 Command not implemented
			C: EHLO client.example
			S~ .*
			C: AUTH PLAIN ` + kim + `
			S: 502 5\.5\.1 Command not implemented` + quit},
		{"what TLS follows is forgotten", nil, greet + `
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + `
			C: STARTTLS
			S: 220 .*
			TLS
			C: EHLO client.example
			S~ .*
			C: MAIL FROM:<>
			S: 250 .*
			C: RCPT TO:<x@elsewhere.example>
			S: 550 5\.7\.54 .*
			C: RSET
			S: 250 .*
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + `
			C: MAIL FROM:<>
			S: 250 .*
			C: RCPT TO:<x@elsewhere.example>
			S: 250 .*` + quit},
		{"what users may", func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"users"} }, greet + `
			C: MAIL FROM:<a@b.example>
			S: 530 5\.7\.57 .*
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + `
			C: MAIL FROM:<a@b.example>
			S: 550 5\.7\.60 SMTP; Client does not have permissions to send as this sender` + quit},
		{"users may nothing", func(c *config.ReceiveConnector) { c.PermissionGroups = []string{"servers"} }, greet + `
			C: AUTH PLAIN ` + kim + "\n" + authenticatedReply + `
			C: MAIL FROM:<a@b.example>
			S: 550 5\.7\.1 Client does not have permissions to submit to this server` + quit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := []func(*config.ReceiveConnector){}
			if tt.change != nil {
				change = append(change, tt.change)
			}
			b := newAuthBench(t, change...)
			logged := protocolLog(t, b)
			c := b.dial(strangerAddr)
			c.play(tt.script)
			c.close()
			checkSecrets(t, logged())
		})
	}
}

// checkSecrets holds that no response of a client's stands in the log, nor a
// challenge.
func checkSecrets(t *testing.T, got string) {
	t.Helper()
	for line := range strings.SplitSeq(got, "\n") {
		if !strings.HasPrefix(line, "< ") && !strings.HasPrefix(line, "> 334") {
			continue
		}
		for _, word := range strings.Fields(line)[1:] {
			switch word {
			case "AUTH", "NOOP", "QUIT", "334", "MAIL", "RCPT", "EHLO":
				continue
			}
			if b, err := base64.StdEncoding.DecodeString(word); err == nil && len(b) > 0 && len(word) > 4 && word != "STARTTLS" {
				t.Errorf("%q is logged:\n%s", word, got)
			}
		}
	}
}

// TestHelpListsAuth where it could succeed.
func TestHelpListsAuth(t *testing.T) {
	b := newAuthBench(t)
	b.dialog(greet + `
		C: HELP
		S~ 214-.*\n214 2\.0\.0 HELO EHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT` + quit)
}

// TestRightsAreLoggedOnce for each time that they change.
func TestRightsAreLoggedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*config.ReceiveConnector)
		times  int
	}{
		"a user has other rights": {nil, 2},
		"a user has the same": {func(c *config.ReceiveConnector) {
			c.PermissionGroups, c.Grant = nil, []string{"submit"}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newAuthBench(t, func(c *config.ReceiveConnector) {
				if tt.change != nil {
					tt.change(c)
				}
			})
			logged := protocolLog(t, b)
			c := b.dialog(greet + `
				C: AUTH PLAIN ` + b64("\x00kim\x00kim") + "\n" + authenticatedReply + quit)
			c.close()
			if n := strings.Count(logged(), "| Set Session Permissions\n"); n != tt.times {
				t.Errorf("%d times, want %d:\n%s", n, tt.times, logged())
			}
		})
	}
}
