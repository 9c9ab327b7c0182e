package receive

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/message"
)

// replyLine is a well-formed line of a reply (RFC 5321 4.2).
var replyLine = regexp.MustCompile(`^[2-5][0-5][0-9]([ -][\t -~]*)?$`)

// FuzzSession plays anything that a client may say. Whatever it is, the server
// does not panic, its replies are well-formed, every message that it took has a
// recipient it may have, and its content ends as content does.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@contoso.example>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n",
		"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n\n.\nMAIL FROM:<x@y.example>\r\n.\r\n",
		"HELO c\r\nMAIL FROM:<a@b> SIZE=1 BODY=8BITMIME\r\nRCPT TO:<@x:b@[192.0.2.10]>\r\nRSET\r\nNOOP\r\nHELP\r\nVRFY x\r\n",
		"EHLO [IPv6:::1]\r\nSTARTTLS\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
		"EHLO c\r\nMAIL FROM:<\"a b\"@b.example>\r\nRCPT TO:<x%y@contoso.example>\r\nRCPT TO:<b@contoso.example>\r\nDATA\r\nReceived: x\r\nReceived: y\r\nReceived: z\r\n\r\n.\r\n",
		"EHLO c\r\nMAIL FROM:<> BODY=7BIT\r\nRCPT TO:<b@contoso.example>\r\nBDAT 13\r\nSubject: x\r\n\rBDAT 5 LAST\r\n\nx\r\nBDAT 6\r\nQUIT\r\nBDAT x\r\n",
		"EHLO c\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<b@contoso.example>\r\nBDAT 4\r\n\n\r\x00\nRSET\r\nBDAT 99999 LAST\r\n",
		"EHLO c\r\nMAIL FROM:<\u00fc@b\u00fc.example> SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<\u00fc@contoso.example> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\\x{FC}@x.example\r\nBDAT 0 LAST\r\nBDAT\t9\r\n",
		"EHLO c\r\nAUTH PLAIN AGtpbQBraW0=\r\nMAIL FROM:<> AUTH=<>\r\nRCPT TO:<x@elsewhere.example>\r\nDATA\r\n\r\n.\r\n",
		"EHLO c\r\nAUTH LOGIN\r\na2lt\r\na2lt\r\nAUTH LOGIN\r\nEHLO d\r\nMAIL FROM:<>\r\n",
		"EHLO c\r\nAUTH X-BROKEN bG9uZw==\r\n!\r\nAUTH LOGIN\r\na2lt\r\n*\r\nauth scram-sha-256 a2lt\r\na2ltIGtpbQ==\r\n\r\nAUTH X-ENDLESS\r\n\r\n\r\n",
		"EHLO c\r\nMAIL FROM:<root>\r\nRCPT TO:<b@contoso.example>\r\nBDAT 40\r\nX-MS-Exchange-Organization-A: x\r\nReceiveBDAT 9 LAST\r\nd: y\r\n z\r\nPOST / HTTP/1.1\r\n",
		"EHLO xn--99\r\nHELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@contoso.example>\r\nDATA\r\nA: " + strings.Repeat("y ", 700) + "\r\n\r\nReceived: x\r\n.\r\n",
		"\x00\xff\r\n\r\nFOO\rBAR\n" + strings.Repeat("x", 3000) + "\r\nQUIT\r\n",
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(255))
	}
	f.Fuzz(func(t *testing.T, input []byte, options uint8) {
		b := startBench(t, testConnector(func(c *config.ReceiveConnector) {
			c.MaxHopCount, c.MaxRecipientsPerMessage = 2, 3
			c.MaxMessageSize, c.MaxHeaderSize = 2000, 1000
			c.MaxProtocolErrors = 20
			c.AuthMechanism, c.MaxLogonFailures = []string{"tls", "basic", "scram"}, 3
			c.PermissionGroups = []string{"anonymous", "users"}
			if options&1 != 0 {
				c.BareLineEnds, c.LongLines, c.Deny = "normalise", "fold", []string{"accept_headers_routing"}
			}
			if options&2 != 0 {
				c.EHLODomainValidation, c.RequireEHLODomain, c.AcceptAddressLiterals = "off", false, false
			}
			if options&4 != 0 {
				c.EnhancedStatusCodesEnabled, c.DefaultDomain, c.RejectReservedTopLevelRecipientDomains = false, "contoso.example", true
			}
			if options&8 != 0 {
				c.Grant = []string{"accept_any_recipient"}
			}
		}))
		withFakes(b, fakes{})
		b.server.logger = slog.New(slog.NewTextHandler(b.logged, nil))
		from := strangerAddr
		if options&16 != 0 {
			from = loopbackAddr
		}
		c, whole := b.dial(from), input
		go func() {
			// Cut as the options say, so that lines and dots come in pieces.
			for n := int(options>>5)*3 + 1; len(input) > 0; input = input[min(n, len(input)):] {
				if _, err := c.conn.Write(input[:min(n, len(input))]); err != nil {
					return
				}
			}
			c.pipe.in.close(io.EOF)
		}()
		c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		said, err := io.ReadAll(c.r)
		if err != nil {
			t.Fatalf("after %q: %v", said, err)
		}
		checkReplies(t, string(said))
		for _, m := range b.queue.all() {
			if len(m.envelope.Recipients) == 0 || len(m.envelope.Recipients) > 3 || m.envelope.Size > 2000 {
				t.Errorf("taken: %+v", m.envelope)
			}
			user := m.envelope.Origin.User
			if (user != "") != strings.HasSuffix(m.envelope.Origin.Protocol, "A") || user == "nobody" || m.envelope.Auth != "" {
				t.Errorf("taken: %+v", m.envelope)
			}
			for _, r := range m.envelope.Recipients {
				if _, ok := testDomains[strings.ToLower(r.Address.Domain)]; !ok && options&8 == 0 && user == "" {
					t.Errorf("relayed to %s", r.Address)
				}
			}
			if rest := strings.ReplaceAll(bodyOf(m.content), "\r\n", ""); strings.ContainsAny(rest, "\r\n") && m.envelope.Body != message.BodyBinaryMIME {
				t.Errorf("a bare line end was stored: %q", m.content)
			}
			chunked := strings.Contains(strings.ToUpper(string(whole)), "BDAT") // its last line may lack the end
			checkHeader(t, m, options&1 != 0)
			if !strings.HasPrefix(m.content, "Received: from ") || !strings.HasSuffix(m.content, "\r\n") && !chunked {
				t.Errorf("stored: %q", m.content)
			}
		}
	})
}

// checkHeader holds that the firewall has left nothing for a second one, nor,
// where lines are folded, the folder a line that is too long.
func checkHeader(t *testing.T, m stored, strict bool) {
	t.Helper()
	var once strings.Builder
	f := message.HeaderFirewall{Strip: message.InternalHeaders, Out: &once}
	if strict {
		f.Strip |= message.RoutingHeaders
	}
	rest := bodyOf(m.content)
	f.Write([]byte(rest))
	f.Close()
	if once.String() != rest {
		t.Errorf("stored: %q", m.content)
	}
	var lines message.LineMeter
	if strict && m.envelope.Body != message.BodyBinaryMIME && lines.Long([]byte(rest)) {
		t.Errorf("a long line was stored: %q", m.content)
	}
}

// checkReplies checks the grammar of everything that a server said. What stands
// behind the reply to STARTTLS may be TLS.
func checkReplies(t *testing.T, said string) {
	t.Helper()
	for n, line := range strings.Split(strings.TrimSuffix(said, "\r\n"), "\r\n") {
		if strings.HasPrefix(line, "\x15\x03") { // a TLS alert
			return
		}
		limit := 510
		if strings.HasPrefix(line, "334 ") { // RFC 4954 4
			limit = 12286
		}
		if !replyLine.MatchString(line) || len(line) > limit {
			t.Fatalf("line %d of the replies is %q", n, line)
		}
	}
	if !strings.HasSuffix(said, "\r\n") {
		t.Fatalf("the server said %q", said)
	}
}
