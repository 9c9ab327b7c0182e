package receive

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/message"
	"postern/queue/spool"
)

func TestTraceOfAStranger(t *testing.T) {
	b := newBench(t)
	b.dialog(begin + `
		C: Subject: x
		C:
		C: ..
		C: .
		S: 250 .*` + quit)
	m := b.only()
	// RFC 5321 4.4
	want := `^Received: from client\.example \(\[198\.51\.100\.7\]\) by edge\.contoso\.example\r\n` +
		`\t\(\[192\.0\.2\.10\]\) with ESMTP id 0000000000001 for <b@contoso\.example>;\r\n` +
		`\t\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\nSubject: x\r\n\r\n\.\r\n$`
	if !regexp.MustCompile(want).MatchString(m.content) {
		t.Errorf("stored:\n%s", m.content)
	}
	e := m.envelope
	if e.Size != int64(len("Subject: x\r\n\r\n.\r\n")) {
		t.Errorf("size is %d", e.Size)
	}
	o := e.Origin
	if o.Connector != "From Internet" || o.Client != strangerAddr || o.Local != serverAddr || o.Helo != "client.example" || o.Protocol != "ESMTP" || o.Internal {
		t.Errorf("origin: %+v", o)
	}
	if e.MessageID != "" || e.Arrived.IsZero() {
		t.Errorf("envelope: %+v", e)
	}
}

// TestMayRelay: the envelope tells strangers from those who may send to
// anybody, by which mail is signed as ours or not.
func TestMayRelay(t *testing.T) {
	for _, relays := range []bool{false, true} {
		b := newBench(t)
		c := testConnector()
		if relays {
			c.Grant = append(c.Grant, "accept_any_recipient")
		}
		b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{c}, Domains: testDomains}))
		b.dialog(greet + `
		C: MAIL FROM:<a@client.example>
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: Subject: x
		C:
		C: .
		S: 250 .*` + quit)
		if got := b.only().envelope.Origin.MayRelay; got != relays {
			t.Errorf("may relay: %v, want %v", got, relays)
		}
	}
}

// TestExternalAddress: behind a translation of addresses the trace names the
// address that others know, and mail to it is ours.
func TestExternalAddress(t *testing.T) {
	b := newBench(t)
	b.server.snapshot.Store(b.server.compile(Snapshot{Connectors: []config.ReceiveConnector{testConnector()}, Domains: testDomains,
		External: []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}}))
	b.dialog(greet + `
		C: MAIL FROM:<a@client.example>
		S: 250 .*
		C: RCPT TO:<postmaster@[203.0.113.7]>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: Subject: x
		C:
		C: .
		S: 250 .*` + quit)
	m := b.only()
	if !strings.Contains(m.content, " by edge.contoso.example\r\n\t([203.0.113.7]) with ESMTP") {
		t.Errorf("stored:\n%s", m.content)
	}
	if m.envelope.Origin.Local != serverAddr {
		t.Errorf("origin: %+v", m.envelope.Origin)
	}
}

// TestContentDoesNotContinueTheTrace: a first line that begins with white space
// would be read as part of the field that we put on top.
func TestContentDoesNotContinueTheTrace(t *testing.T) {
	for _, from := range []netip.AddrPort{strangerAddr, loopbackAddr} {
		for _, content := range []string{
			" for <forged@contoso.example>; Mon, 1 Jan 2001 00:00:00 +0000\r\nSubject: x\r\n\r\nbody\r\n",
			"\tforged\r\n", " ", " \r\n",
		} {
			t.Run(from.Addr().String()+" "+strings.TrimSpace(content), func(t *testing.T) {
				b := newBench(t)
				c := b.dial(from)
				c.play(strings.Replace(begin, `198\.51\.100\.7`, strings.ReplaceAll(from.Addr().String(), ".", `\.`), 1))
				if !strings.HasSuffix(content, "\r\n") {
					content += "\r\n"
				}
				for _, octet := range content { // the first comes alone
					c.send(string(octet))
				}
				c.send(".\r\n")
				c.play("S: 250 .*")
				m := b.only()
				header, body, _ := strings.Cut(m.content, "\r\n\r\n")
				if body != content {
					t.Errorf("behind the header stands %q, want %q", body, content)
				}
				if strings.Contains(header, "forged") {
					t.Errorf("the content has become part of the trace:\n%s", header)
				}
				if m.envelope.Size != int64(len(content)) {
					t.Errorf("size is %d, want %d", m.envelope.Size, len(content))
				}
			})
		}
	}
}

func TestTraceNamesNoRecipientOfMany(t *testing.T) {
	b := newBench(t)
	b.dialog(greet + `
		C: MAIL FROM:<> BODY=8BITMIME
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: RCPT TO:<c@contoso.example>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: .
		S: 250 .*`)
	m := b.only()
	if strings.Contains(m.content, "for <") || strings.Contains(m.content, "@") {
		t.Errorf("a recipient is named:\n%s", m.content)
	}
	if m.envelope.Body != message.Body8BitMIME {
		t.Errorf("body type is %v", m.envelope.Body)
	}
}

// TestSubmission: a message of ours gets the Date and Message-ID that it lacks,
// on top, and nothing else changes.
func TestSubmission(t *testing.T) {
	const id, date = "Message-ID: <0000000000001@edge.contoso.example>\r\n", "Date: "
	for _, tt := range []struct {
		name, content string
		id, date      bool // expected to be added
	}{
		{"both missing", "Subject: x\r\n\r\nbody\r\n", true, true},
		{"no header", "\r\nbody\r\n", true, true},
		{"nothing", "", true, true},
		{"no empty line", "Subject: x\r\n", true, true},
		{"date there", "dAtE: yesterday\r\n\r\n", true, false},
		{"id there", "message-id:\r\n <x@y>\r\n\r\n", false, true},
		{"both there", "Date: x\r\nMessage-ID: <x@y>\r\n\r\nDate: x\r\n", false, false},
		{"only in the body", "Subject: x\r\n\r\nDate: x\r\nMessage-ID: <x@y>\r\n", true, true},
		{"a long header", strings.Repeat("X-Long: "+strings.Repeat("x", 100)+"\r\n", 1000) + "\r\nbody\r\n", true, true},
		{"a header too long to look at", strings.Repeat("X-Long: "+strings.Repeat("x", 1000)+"\r\n", 1000) + "\r\nbody\r\n", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxHeaderSize = 10 << 20 }))
			c := b.dial(loopbackAddr)
			c.play(strings.Replace(begin, `198\.51\.100\.7`, `127\.0\.0\.1`, 1))
			go c.send(tt.content + ".\r\n")
			c.play("S: 250 .*")
			m := b.only()
			rest := bodyOf(m.content)
			if strings.HasPrefix(rest, id) != tt.id {
				t.Errorf("Message-ID was added: %v, want %v", !tt.id, tt.id)
			}
			if tt.id {
				rest = strings.TrimPrefix(rest, id)
				if m.envelope.MessageID != "<0000000000001@edge.contoso.example>" {
					t.Errorf("the envelope says %q", m.envelope.MessageID)
				}
			}
			if tt.date {
				line, after, _ := strings.Cut(rest, "\r\n")
				if !regexp.MustCompile(`^Date: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$`).MatchString(line) {
					t.Errorf("Date: %q", line)
				}
				rest = after
			}
			if rest != tt.content {
				t.Errorf("the content has changed: %d octets, want %d", len(rest), len(tt.content))
			}
			if m.envelope.Size != int64(len(tt.content)) {
				t.Errorf("size is %d, want %d", m.envelope.Size, len(tt.content))
			}
		})
	}
}

func TestServersSubmitToo(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.PermissionGroups, c.AuthMechanism = []string{"servers"}, []string{"external_authoritative"}
	}))
	b.dialog(begin + `
		C: .
		S: 250 2\.6\.0 <0000000000001@edge\.contoso\.example> .*`)
}

// TestCorpus sends real messages from outside and compares them octet by octet.
func TestCorpus(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "corpus")
	var files []string
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "README.md" {
			files = append(files, path)
		}
		return nil
	})
	if len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no corpus in %s", dir)
		}
		t.Skipf("no corpus in %s", dir)
	}
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
		c.Grant = []string{"accept_headers_organization"} // some of them hold such fields
	}))
	c := b.dialog(greet)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\r", "")
		text = strings.ReplaceAll(text, "\n", "\r\n")
		if text != "" && !strings.HasSuffix(text, "\r\n") {
			text += "\r\n"
		}
		c.play("C: MAIL FROM:<>\nS: 250 .*\nC: RCPT TO:<b@contoso.example>\nS: 250 .*\nC: DATA\nS: 354 .*")
		stuffed := strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n..")[2:]
		before := len(b.queue.all())
		go c.send(stuffed + ".\r\n")
		if got := c.reply(); !strings.HasPrefix(got, "250 ") {
			t.Errorf("%s: %s", file, got)
			continue
		}
		all := b.queue.all()
		if len(all) != before+1 || bodyOf(all[before].content) != text {
			t.Errorf("%s: the content has changed", file)
		}
	}
	t.Logf("%d messages", len(files))
}

// TestSmuggling: no sequence but CRLF.CRLF ends a message, and what looks like
// an end never makes two of it.
func TestSmuggling(t *testing.T) {
	const inner = "MAIL FROM:<evil@stranger.example>\r\nRCPT TO:<victim@contoso.example>\r\nDATA\r\nevil\r\n.\r\n"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\r\n.\r\r\n", "\r\n.\r\r\n", "\r\r\n.\r\n"[:3] + "\n.\r\n",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\n\n.\r\n", "\r\n.\n\n", "\x0b.\x0b", "\r\n .\r\n", "\r\n. \r\n", "\r\n..\r\n", "\xc2\x85.\xc2\x85",
	} {
		for _, mode := range []string{"reject", "normalise"} {
			t.Run(mode+" "+regexp.QuoteMeta(end), func(t *testing.T) {
				b := newBench(t, testConnector(func(c *config.ReceiveConnector) {
					c.BareLineEnds = mode
					c.MaxProtocolErrors = 100
				}))
				c := b.dialog(begin)
				c.send("Subject: x\r\n\r\nbody" + end + inner)
				got := c.reply()
				c.send("QUIT\r\n")
				// Whatever else was in there is no command: after the one reply
				// comes the one to QUIT.
				if next := c.reply(); !strings.HasPrefix(next, "221 ") {
					t.Fatalf("after %q the server said %q", got, next)
				}
				all := b.queue.all()
				switch {
				case len(all) > 1:
					t.Fatalf("%d messages", len(all))
				case len(all) == 1 && (all[0].envelope.From.Local != "a" || !strings.HasPrefix(got, "250 ")):
					t.Fatalf("after %q: %+v", got, all[0].envelope)
				case len(all) == 1 && !strings.Contains(all[0].content, "RCPT TO:<victim"):
					t.Fatalf("the message was cut: %q", all[0].content)
				case len(all) == 0 && !regexp.MustCompile(`^550 5\.6\.11 SMTPRECEIVE\.Bare(Linefeeds|CarriageReturns)AreIllegal; `).MatchString(got):
					t.Fatalf("refused with %q", got)
				}
				if bare := strings.Contains(strings.ReplaceAll(end, "\r\n", ""), "\r") || strings.Contains(strings.ReplaceAll(end, "\r\n", ""), "\n"); mode == "reject" && bare != (len(all) == 0) {
					t.Fatalf("bare line ends: %v, taken: %v", bare, len(all))
				}
			})
		}
	}
}

func TestContentLimits(t *testing.T) {
	line := strings.Repeat("x", 98) + "\r\n" // 100 octets
	for _, tt := range []struct {
		name    string
		change  func(*config.ReceiveConnector)
		content string
		want    string
		limit   string
	}{
		{"just small enough", func(c *config.ReceiveConnector) { c.MaxMessageSize = 1000 },
			strings.Repeat(line, 10), `250 2\.6\.0 .*`, ""},
		{"too large", func(c *config.ReceiveConnector) { c.MaxMessageSize = 1000 },
			strings.Repeat(line, 10) + "\r\n", `552 5\.3\.4 Message size exceeds fixed maximum message size`, limitMessageSize},
		{"dots do not count", func(c *config.ReceiveConnector) { c.MaxMessageSize = 1000 },
			strings.Repeat(".."+line[1:], 10), `250 2\.6\.0 .*`, ""},
		{"header just small enough", func(c *config.ReceiveConnector) { c.MaxHeaderSize = 1005 },
			strings.Repeat("X: "+line[3:], 10) + "\r\n" + strings.Repeat(line, 10), `250 2\.6\.0 .*`, ""},
		{"header too large", func(c *config.ReceiveConnector) { c.MaxHeaderSize = 1000 },
			strings.Repeat("X: "+line[3:], 10) + "\r\n" + strings.Repeat(line, 10), `552 5\.3\.4 Header size exceeds fixed maximum size`, limitHeaderSize},
		{"as many hops as may be", func(c *config.ReceiveConnector) { c.MaxHopCount = 3 },
			strings.Repeat("Received: x\r\n", 3) + "\r\nReceived: x\r\n", `250 2\.6\.0 .*`, ""},
		{"too many hops", func(c *config.ReceiveConnector) { c.MaxHopCount = 3 },
			strings.Repeat("ReCeIvEd : x\r\n y\r\n", 4) + "\r\n", `554 5\.4\.6 Hop count exceeded - possible mail loop`, limitHopCount},
		{"the first reason counts", func(c *config.ReceiveConnector) { c.MaxHopCount, c.MaxMessageSize = 0, 1000 },
			"Received: x\r\n\r\nbare\nLF" + strings.Repeat(line, 20), `554 5\.4\.6 .*`, limitHopCount},
		{"long lines, NUL and 8-bit octets pass", nil,
			"\x00\xff\x80" + strings.Repeat("x", 100_000) + "\r\n", `250 2\.6\.0 .*`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConnector()
			if tt.change != nil {
				tt.change(&c)
			}
			b := newBench(t, c)
			x := b.dialog(begin)
			go x.send(tt.content + ".\r\n")
			x.play("S: " + tt.want + `
				C: MAIL FROM:<>
				S: 250 .*` + quit)
			taken := strings.HasPrefix(tt.want, "250")
			if got := len(b.queue.all()) == 1; got != taken {
				t.Errorf("taken: %v, want %v", got, taken)
			}
			if taken {
				want := strings.ReplaceAll("\r\n"+tt.content, "\r\n..", "\r\n.")[2:]
				if got := bodyOf(b.only().content); got != want {
					t.Errorf("the content has changed: %q, want %q", got, want)
				}
			}
			if tt.limit != "" && b.limitCount(tt.limit) != 1 {
				t.Errorf("limit %s was counted %d times", tt.limit, b.limitCount(tt.limit))
			}
		})
	}
}

// TestRefusedContentIsNotReadForEver: content beyond all measure ends the
// connection, and none of it is a command.
func TestRefusedContentIsNotReadForEver(t *testing.T) {
	b := newBench(t, testConnector(func(c *config.ReceiveConnector) { c.MaxMessageSize = 1000 }))
	c := b.dialog(begin)
	go func() {
		block := strings.Repeat("NOOP\r\n", 10_000)
		for {
			if _, err := c.conn.Write([]byte(block)); err != nil {
				return
			}
		}
	}()
	c.play(`
		S: 552 5\.3\.4 .*
		END`)
}

func TestStorageTroubleIsTemporary(t *testing.T) {
	const want = `452 4\.3\.1 Insufficient system resources`
	broken := errors.New("no space left on device")
	for _, tt := range []struct {
		name                  string
		create, write, submit error
	}{
		{"create", broken, nil, nil},
		{"create, disk full", spool.ErrNoSpace, nil, nil},
		{"write", nil, broken, nil},
		{"submit", nil, nil, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			c := b.dialog(greet + `
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*`)
			b.queue.fail(tt.create, tt.write, tt.submit)
			if tt.create != nil || tt.write != nil {
				c.play("C: DATA\nS: " + want)
			} else {
				c.play("C: DATA\nS: 354 .*\nC: x\nC: .\nS: " + want)
			}
			b.queue.fail(nil, nil, nil)
			c.play(`
				C: RSET
				S: 250 .*
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: x
				C: .
				S: 250 .*` + quit)
			if n := len(b.queue.all()); n != 1 {
				t.Errorf("%d messages", n)
			}
			if b.limitCount(limitStorage) != 1 {
				t.Error("the trouble was not counted")
			}
		})
	}
}

// TestStorageFailsWithinContent: the rest of the content is read to its end.
func TestStorageFailsWithinContent(t *testing.T) {
	b := newBench(t)
	c := b.dialog(begin)
	b.queue.fail(nil, errors.New("disk full"), nil)
	go c.send(strings.Repeat("NOOP\r\n", 50_000) + ".\r\n")
	c.play(`
		S: 452 4\.3\.1 Insufficient system resources` + quit)
}

func TestConnectionLostInData(t *testing.T) {
	b := newBench(t)
	c := b.dial(netip.AddrPort{})
	c.play(begin)
	c.send("Subject: x\r\n\r\nhalf a mess")
	c.close()
	if n := len(b.queue.all()); n != 0 {
		t.Errorf("%d messages", n)
	}
}
