package receive

import (
	"errors"
	"fmt"
	"regexp"
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
		" text\r\nX-MS-Exchange-Organization-A: x\r\n", "\r\nX-MS-Exchange-Organization-A: x\r\n", "X-MS-Exchange-Organization\r\n",
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

// TestAuthors: who may not send as anybody may not put anybody into From either.
func TestAuthors(t *testing.T) {
	const (
		denied = `550 5\.7\.60 SMTP; Client does not have permissions to send as this sender`
		taken  = `250 2\.6\.0 .*`
	)
	for _, tt := range []struct{ name, content, want, log string }{
		{"one's own", "From: Ann <ann@contoso.example>\r\n\r\nbody\r\n", taken, ""},
		{"one's own, of several", "From: ann@contoso.example, x@team.example\r\nSender: ann@contoso.example\r\n\r\n", taken, ""},
		{"nobody", "Subject: x\r\n\r\nFrom: boss@contoso.example\r\n", taken, ""},
		{"no header", "test\r\n", taken, ""},
		{"no header, white space", " test\r\nFrom: boss@contoso.example\r\n", taken, ""},
		{"nothing", "", taken, ""},
		{"the boss", "Subject: x\r\nFrom: The Boss <boss@contoso.example>\r\n\r\nbody\r\n", denied,
			"boss@contoso.example in the field From is not proven to be the client's own"},
		{"the boss without an end", "From: boss@contoso.example\r\n", denied, "boss@contoso.example in the field From"},
		{"the boss among others", "From: ann@contoso.example, boss@contoso.example\r\n\r\n", denied, "boss@"},
		{"for the boss", "From: boss@contoso.example\r\nSender: ann@contoso.example\r\n\r\n", denied, "in the field From"},
		{"as Sender", "From: ann@contoso.example\r\nSender: boss@contoso.example\r\n\r\n", denied, "in the field Sender"},
		{"twice", "From: ann@contoso.example\r\nFrom: boss@contoso.example\r\n\r\n", denied, "boss@"},
		{"behind a malformed line", "rubbish\r\nFrom: boss@contoso.example\r\n\r\n", denied, "boss@"},
		{"unreadable and long", "From: <" + strings.Repeat("x", 3000) + "@contoso.example>\r\n\r\n", denied, "nobody knows whom others read in the field From"},
		{"unreadable", "From: boss @ contoso.example <ann@contoso.example>\r\n\r\n", denied, "nobody knows whom others read in the field From"},
	} {
		for _, chunk := range []int{0, 3} {
			t.Run(fmt.Sprintf("%s %d", tt.name, chunk), func(t *testing.T) {
				b := newAuthBench(t)
				withFakes(b, fakes{senders: own{"ann@contoso.example", "x@team.example"}})
				logged := protocolLog(t, b)
				c := b.dialog(greet + `
					C: AUTH PLAIN ` + b64("\x00ann\x00ann") + `
					S: 235 .*`)
				got := c.deliver(tt.content, "", chunk)
				if !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
					t.Error(got)
				}
				c.play("C: RSET\nS: 250 .*\nC: MAIL FROM:<ann@contoso.example>\nS: 250 .*" + quit)
				c.close()
				if !strings.Contains(logged(), tt.log) || strings.Contains(logged(), "accept_any_sender is missing") != (tt.log != "") {
					t.Error(logged())
				}
				if chunk == 0 && len(logged()) > 5000 {
					t.Errorf("the log has %d octets", len(logged()))
				}
				if n := len(b.queue.all()); (n == 1) != (tt.want == taken) {
					t.Errorf("%d messages", n)
				}
			})
		}
	}
}

// TestAuthorsOfOthers: nobody looks at From where any sender will do, nor at that
// of a stranger's notification.
func TestAuthorsOfOthers(t *testing.T) {
	for name, change := range map[string]func(*config.ReceiveConnector){
		"granted":                 func(c *config.ReceiveConnector) { c.Grant = []string{"accept_any_sender"} },
		"a list":                  func(c *config.ReceiveConnector) { c.Deny = []string{"accept_authoritative_domain_sender"} },
		"a stranger":              nil,
		"a stranger who may less": func(c *config.ReceiveConnector) { c.Deny = []string{"accept_any_sender"} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newAuthBench(t, func(c *config.ReceiveConnector) {
				if change != nil {
					change(c)
				}
			})
			c := b.dialog(greet)
			switch name {
			case "granted":
				c.play("C: AUTH PLAIN " + b64("\x00ann\x00ann") + "\nS: 235 .*")
			case "a list":
				c.play("C: AUTH PLAIN " + b64("\x00list\x00list") + "\nS: 235 .*\nC: MAIL FROM:<x@contoso.example>\nS: 250 .*\nC: RSET\nS: 250 .*")
			}
			if got := c.deliver("From: boss@contoso.example (\r\n\r\n", "", 0); !strings.HasPrefix(got, "250 ") {
				t.Error(got)
			}
		})
	}
}

// TestLongLines: they pass, are broken, or refused, however they come; binary
// content has none.
func TestLongLines(t *testing.T) {
	x := strings.Repeat("x", 998)
	const refused = `554 5\.6\.0 Message holds a line of more than 998 octets`
	for _, tt := range []struct{ mode, in, parameters, want, reply string }{
		{"pass", "Subject: " + x + "\r\n\r\n" + x + "y\r\n", "", "Subject: " + x + "\r\n\r\n" + x + "y\r\n", "250 .*"},
		{"reject", "A: b\r\n\r\n" + x + "\r\n", "", "A: b\r\n\r\n" + x + "\r\n", "250 .*"},
		{"reject", "A: b\r\n\r\n" + x + "y\r\n", "", "", refused},
		{"reject", "A: " + x + "\r\n\r\n", "", "", refused},
		{"reject", "A: b\r\n\r\n" + x + "y\r\n", " BODY=BINARYMIME", "A: b\r\n\r\n" + x + "y\r\n", "250 .*"},
		{"fold", "A: b\r\n\r\n" + x + "y\r\n" + x + "\r\n", "", "A: b\r\n\r\n" + x + "\r\n y\r\n" + x + "\r\n", "250 .*"},
		{"fold", "X-MS-Exchange-Organization-A: " + x + "\r\nB: " + x + "\r\n\r\n", "", "B:\r\n " + x[1:] + "\r\n x\r\n\r\n", "250 .*"},
		{"fold", "A: b\r\n\r\n" + x + "y\r\n", " BODY=BINARYMIME", "A: b\r\n\r\n" + x + "y\r\n", "250 .*"},
	} {
		for _, chunk := range []int{0, 1000} {
			if tt.parameters != "" && chunk == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s %.10q%s %d", tt.mode, tt.in, tt.parameters, chunk), func(t *testing.T) {
				b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.LongLines = tt.mode }))
				logged := protocolLog(t, b)
				c := b.dialog(greet)
				if got := c.deliver(tt.in, tt.parameters, chunk); !regexp.MustCompile("^" + tt.reply + "$").MatchString(got) {
					t.Fatal(got)
				}
				c.play("C: RSET\nS: 250 .*" + quit)
				c.close()
				if tt.reply == refused {
					b.limitSeen(logged, limitLongLines, "more than 998 octets", 1)
					return
				}
				if got := bodyOf(b.only().content); got != tt.want {
					t.Errorf("stored %q", got)
				}
				if n := b.only().envelope.Size; n != int64(len(tt.in)) {
					t.Errorf("size %d, want %d", n, len(tt.in))
				}
				if folded := strings.Contains(logged(), " times | broke lines of more than 998 octets\n"); folded != (tt.in != tt.want) {
					t.Errorf("logged: %v\n%s", folded, logged())
				}
			})
		}
	}
}

// TestFirewallOnAFullDisk: what the firewall holds is stored before 250, or the
// client learns that it was not.
func TestFirewallOnAFullDisk(t *testing.T) {
	for _, mode := range []string{"pass", "fold"} {
		t.Run(mode, func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.LongLines = mode }))
			c := b.dialog(greet + `
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C> "BDAT 2\r\nX-"
				S: 250 .*`)
			b.queue.fail(nil, errors.New("no space left on device"), nil)
			c.play(`
				C> "BDAT 2 LAST\r\nMS"
				S: 452 4\.3\.1 Insufficient system resources
				C: NOOP
				S: 250 .*`)
			b.queue.fail(nil, nil, nil)
			if got := c.deliver("X-MS", "", 2); !strings.HasPrefix(got, "250 2.6.0 ") {
				t.Fatal(got)
			}
			if got := bodyOf(b.only().content); got != "X-MS" {
				t.Errorf("stored %q", got)
			}
		})
	}
}
