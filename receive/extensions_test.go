package receive

import (
	"testing"

	"postern/config"
)

// TestExtensions: what EHLO offers is what can be used.
func TestExtensions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		script string
	}{
		{
			name:   "EHLO names the extensions in Exchange's order",
			change: func(c *config.ReceiveConnector) { c.Banner = "220 edge.contoso.example ESMTP. No unsolicited mail." },
			script: `
				S: 220 edge\.contoso\.example ESMTP\. No unsolicited mail\.
				C: EHLO client.example
				S: 250-edge\.contoso\.example Hello \[198\.51\.100\.7\]
				S: 250-SIZE 37748736
				S: 250-PIPELINING
				S: 250-DSN
				S: 250-ENHANCEDSTATUSCODES
				S: 250-STARTTLS
				S: 250-8BITMIME
				S: 250-BINARYMIME
				S: 250-CHUNKING
				S: 250-SMTPUTF8
				S: 250 LIMITS RCPTMAX=200` + quit,
		},
		{
			name: "extensions can be switched off",
			change: func(c *config.ReceiveConnector) {
				c.SizeEnabled, c.PipeliningEnabled, c.EightBitMIMEEnabled = "disabled", false, false
				c.EnhancedStatusCodesEnabled, c.AuthMechanism = false, []string{"none"}
				c.ChunkingEnabled, c.BinaryMIMEEnabled, c.SMTPUTF8Enabled = false, false, false
				c.DeliveryStatusNotificationEnabled, c.LimitsEnabled = false, false
			},
			script: `
				S: 220 .*
				C: EHLO client.example
				S: 250 edge\.contoso\.example Hello \[198\.51\.100\.7\]
				C: MAIL FROM:<a@b.example> SIZE=1
				S: 555 Unrecognized parameter
				C: MAIL FROM:<a@b.example> BODY=8BITMIME
				S: 555 Unrecognized parameter
				C: MAIL FROM:<a@b.example>
				S: 250 Sender OK
				C: STARTTLS
				S: 502 Command not implemented
				C: QUIT
				S: 221 Service closing transmission channel
				END`,
		},
		{
			name:   "LIMITS says how many recipients",
			change: func(c *config.ReceiveConnector) { c.MaxRecipientsPerMessage = 2 },
			script: `
				S: 220 .*
				C: EHLO client.example
				S~ .*\n250 LIMITS RCPTMAX=2
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<a@contoso.example>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: RCPT TO:<c@contoso.example>
				S: 452 4\.5\.3 .*` + quit,
		},
		{
			name:   "LIMITS says nothing of a number that it can't",
			change: func(c *config.ReceiveConnector) { c.MaxRecipientsPerMessage = 1_000_000 },
			script: `
				S: 220 .*
				C: EHLO client.example
				S~ .*\n250 SMTPUTF8` + quit,
		},
		{
			name:   "SIZE without a value",
			change: func(c *config.ReceiveConnector) { c.SizeEnabled = "enabled_without_value" },
			script: `
				S: 220 .*
				C: EHLO client.example
				S~ .*\n250-SIZE\n.*` + quit,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testConnector(tt.change))
			b.dialog(tt.script)
		})
	}
}
