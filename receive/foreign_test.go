package receive

import (
	"fmt"
	"strings"
	"testing"

	"postern/config"
)

// TestForeignProtocols: a program that was tricked into speaking to us, or means
// somebody else, is sent away with its first line, before its body speaks SMTP.
func TestForeignProtocols(t *testing.T) {
	const smtp = "EHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@contoso.example>\r\nDATA\r\n.\r\n"
	for _, request := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "get / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n", "GET /\r\n",
		"CONNECT mx.example:25 HTTP/1.1\r\n\r\n", "OPTIONS sip:x SIP/2.0\r\n\r\n", "REGISTER sip:x SIP/2.0\r\n\r\n",
		"DESCRIBE rtsp://x RTSP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PROPFIND / HTTP/1.1\r\n\r\n",
		"POST /" + strings.Repeat("x", 3000) + " HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\nHost: x\n\r\n", "GET /\x01 HTTP/1.1\r\n",
	} {
		t.Run(fmt.Sprintf("%.40q", request), func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxProtocolErrors = 100 }))
			logged := protocolLog(t, b)
			c := b.dialog("S: 220 .*")
			c.send(request + smtp)
			c.play(`
				S: 421 4\.7\.0 This is SMTP, closing transmission channel
				END`)
			c.close()
			b.limitSeen(logged, limitForeign, "a request of HTTP or its kin", 1)
			if n := len(b.queue.all()); n != 0 {
				t.Errorf("%d messages", n)
			}
			if n := strings.Count(logged(), "\n< "); n > 1 {
				t.Errorf("%d commands were taken:\n%s", n, logged())
			}
		})
	}
}

// TestForeignProtocolWithinTLS: a browser is no better there.
func TestForeignProtocolWithinTLS(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.ImplicitTLS = true }))
	c := b.dial(strangerAddr)
	cfg := clientTLS()
	cfg.NextProtos = []string{"h2", "http/1.1"}
	c.handshakeWith(cfg)
	c.play(`
		S: 220 .*
		C> "POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n"
		S: 421 4\.7\.0 This is SMTP, .*`)
}
