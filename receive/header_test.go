package receive

import (
	"fmt"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/metrics"
)

// count is a counter of the connector of most tests.
func (b *bench) count(name string) int64 {
	return b.metrics.Counter(name, metrics.Label{Name: "connector", Value: "From Internet"}).Value()
}

// deliver sends content by DATA, or in chunks of a few octets, on a session that
// has greeted, and returns the reply.
func (c *client) deliver(content string, parameters string, chunk int) string {
	c.t.Helper()
	c.play("C: MAIL FROM:<>" + parameters + "\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 250 .*")
	if chunk == 0 {
		c.play("C: DATA\nS: 354 .*")
		go c.send(strings.ReplaceAll("\r\n"+content, "\r\n.", "\r\n..")[2:] + ".\r\n")
		return c.reply()
	}
	for len(content) > chunk {
		c.send(fmt.Sprintf("BDAT %d\r\n%s", chunk, content[:chunk]))
		content = content[chunk:]
		if got := c.reply(); !strings.HasPrefix(got, "250 ") {
			return got
		}
	}
	c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(content), content))
	return c.reply()
}

const firewallTrial = "Received: from a by b;\r\n\tMon, 2 Mar 2026 00:00:00 +0000\r\n" +
	"From: <a@stranger.example>\r\n" +
	"X-MS-Exchange-Organization-AuthAs: Internal\r\n" +
	"Resent-From: <c@stranger.example>\r\n" +
	"x-ms-exchange-FOREST-Rules: x\r\n y\r\n" +
	"Date: Mon, 2 Mar 2026 00:00:00 +0000\r\nMessage-ID: <x@y>\r\n" +
	"X-Postern-Organization-SCL: -1\r\n\r\nReceived: in the body\r\n"

func TestHeaderFirewall(t *testing.T) {
	for _, tt := range []struct {
		name        string
		grant, deny []string
		gone        []string
	}{
		{"a stranger", nil, nil, []string{"X-MS-E", "x-ms-e", "X-Postern"}},
		{"without routing", nil, []string{"accept_headers_routing"}, []string{"Received", "Resent", "X-MS-E", "x-ms-e", "X-Postern"}},
		{"with all", []string{"accept_headers_organization"}, nil, nil},
		{"with the organisation's alone", []string{"accept_headers_organization"}, []string{"accept_headers_routing"}, []string{"Received", "Resent"}},
	} {
		want := firewallTrial
		octets, fields := 0, 0
		for _, name := range tt.gone {
			for i := strings.Index(want, name); i >= 0 && i < strings.Index(want, "\r\n\r\n"); i = strings.Index(want, name) {
				end := i + strings.Index(want[i:], "\r\n") + 2
				for want[end] == ' ' || want[end] == '\t' {
					end += strings.Index(want[end:], "\r\n") + 2
				}
				octets += end - i
				fields++
				want = want[:i] + want[end:]
			}
		}
		for _, by := range []struct {
			name, parameters string
			chunk            int
		}{{"DATA", "", 0}, {"BDAT", "", 7}, {"BINARYMIME", " BODY=BINARYMIME", 50}} {
			t.Run(tt.name+" "+by.name, func(t *testing.T) {
				b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.Grant, c.Deny = tt.grant, tt.deny }))
				logged := protocolLog(t, b)
				c := b.dialog(greet)
				if got := c.deliver(firewallTrial, by.parameters, by.chunk); !strings.HasPrefix(got, "250 2.6.0 <x@y>") {
					t.Fatal(got)
				}
				c.play("C: NOOP\nS: 250 .*")
				c.close()
				m := b.only()
				if got := bodyOf(m.content); got != want {
					t.Errorf("stored:\n%s", got)
				}
				if m.envelope.Size != int64(len(firewallTrial)) {
					t.Errorf("size %d, want that of what came, %d", m.envelope.Size, len(firewallTrial))
				}
				if n := b.count("receive_header_fields_removed"); n != int64(fields) {
					t.Errorf("%d fields are counted", n)
				}
				line := fmt.Sprintf("* %d fields, %d octets | removed by the header firewall\n", fields, octets)
				if strings.Contains(logged(), line) != (fields > 0) {
					t.Errorf("no %q in\n%s", line, logged())
				}
			})
		}
	}
}

// TestFirewallAndHops: what counts is how the message arrived.
func TestFirewallAndHops(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.Deny, c.MaxHopCount = []string{"accept_headers_routing"}, 2
	}))
	c := b.dialog(greet)
	if got := c.deliver(strings.Repeat("Received: x\r\n", 3)+"\r\n", "", 0); !strings.HasPrefix(got, "554 5.4.6 ") {
		t.Error(got)
	}
	if got := c.deliver(strings.Repeat("Received: x\r\n", 2)+"\r\n", "", 0); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if got := bodyOf(b.only().content); got != "\r\n" {
		t.Errorf("stored %q", got)
	}
}

// TestFirewallWithoutHeader: where no header is, nothing is taken.
func TestFirewallWithoutHeader(t *testing.T) {
	for _, content := range []string{
		" text\r\nX-MS-Exchange-Organization-A: x\r\n", "\r\nX-MS-Exchange-Organization-A: x\r\n", "X-MS-Exchange-Organization-A\r\n",
	} {
		t.Run(content, func(t *testing.T) {
			b := newBench(t)
			c := b.dialog(greet)
			if got := c.deliver(content, "", 0); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			if got := b.only().content; !strings.HasSuffix(got, content) {
				t.Errorf("%q became %q", content, got)
			}
		})
	}
}

// TestFirewallOfSubmissions: what we add ourselves passes, also where it stands
// in front of what goes.
func TestFirewallOfSubmissions(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.Deny = []string{"accept_headers_routing"} }))
	c := b.dial(loopbackAddr)
	c.play("S: 220 .*\nC: EHLO x\nS~ 250-.*")
	if got := c.deliver("Received: x\r\nSubject: y\r\nReceived: z", "", 5); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	got := b.only().content
	if !strings.HasPrefix(got, "Received: from x (") || strings.Count(got, "Received:") != 1 || !strings.HasSuffix(got, "\r\nSubject: y\r\n") ||
		!strings.Contains(got, "\r\nMessage-ID: <") || !strings.Contains(got, "\r\nDate: ") {
		t.Errorf("stored:\n%s", got)
	}
}
