package receive

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"postern/config"
	"postern/internal/message"
)

// ready is a transaction that waits for content.
const ready = greet + `
	C: MAIL FROM:<a@stranger.example>
	S: 250 2\.1\.0 Sender OK
	C: RCPT TO:<b@contoso.example>
	S: 250 2\.1\.5 Recipient OK`

func TestChunks(t *testing.T) {
	const queued = `250 2\.6\.0 \[InternalId=.*`
	for _, tt := range []struct {
		name   string
		change func(*config.ReceiveConnector)
		script string
		taken  string // the content; "-" for none
	}{
		{
			name: "in two",
			script: ready + `
				C> "BDAT 14\r\nSubject: x\r\n\r\n"
				S: 250 2\.6\.0 CHUNK received OK, 14 octets
				C> "BDAT 8 LAST\r\n.\r\nEnd\r\n"
				S: ` + queued + quit,
			taken: "Subject: x\r\n\r\n.\r\nEnd\r\n",
		},
		{
			name: "in one, any case, leading zeros",
			script: ready + `
				C> "bdat 00014 lAsT\r\nSubject: x\r\n\r\n"
				S: ` + queued + quit,
			taken: "Subject: x\r\n\r\n",
		},
		{
			name: "an empty last one",
			script: ready + `
				C> "BDAT 14\r\nSubject: x\r\n\r\nBDAT 0\r\nBDAT 0 LAST\r\n"
				S: 250 2\.6\.0 CHUNK received OK, 14 octets
				S: 250 2\.6\.0 CHUNK received OK, 0 octets
				S: ` + queued + quit,
			taken: "Subject: x\r\n\r\n",
		},
		{
			name: "nothing at all",
			script: ready + `
				C: BDAT 0 LAST
				S: ` + queued + quit,
			taken: "",
		},
		{
			name: "a last line without its end stays so",
			script: ready + `
				C> "BDAT 13 LAST\r\n\r\nno line en"
				C> "dQUIT\r\n"
				S: 250 .*
				S: 221 .*
				END`,
			taken: "\r\nno line end",
		},
		{
			name: "everything pipelined, with commands for content",
			script: greet + `
				C> "MAIL FROM:<>\r\nRCPT TO:<b@contoso.example>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nRSET\r\nQUIT\r\n"
				S: 250 .*
				S: 250 .*
				S: 250 2\.6\.0 CHUNK received OK, 6 octets
				S: ` + queued + `
				S: 221 .*
				END`,
			taken: "QUIT\r\nRSET\r\n",
		},
		{
			name: "only BDAT or RSET may follow BDAT",
			script: ready + `
				C> "BDAT 3\r\nx\r\n"
				S: 250 .*
				C: DATA
				S: 503 5\.5\.1 Only BDAT or RSET may follow BDAT
				C: RCPT TO:<c@contoso.example>
				S: 503 5\.5\.1 Only BDAT or RSET may follow BDAT
				C: MAIL FROM:<>
				S: 503 5\.5\.2 Sender already specified
				C: NOOP
				S: 250 .*
				C> "BDAT 3 LAST\r\ny\r\n"
				S: ` + queued + quit,
			taken: "x\r\ny\r\n",
		},
		{
			name: "RSET forgets the chunks",
			script: ready + `
				C> "BDAT 3\r\nx\r\n"
				S: 250 .*
				C: RSET
				S: 250 .*
				C> "BDAT 6 LAST\r\nQUIT\r\n"
				S: 503 5\.5\.2 Need mail command
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C> "BDAT 3 LAST\r\ny\r\n"
				S: ` + queued + quit,
			taken: "y\r\n",
		},
		{
			name: "EHLO and STARTTLS forget them too",
			script: ready + `
				C> "BDAT 3\r\nx\r\n"
				S: 250 .*
				C: EHLO client.example
				S~ 250-.*
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C> "BDAT 3\r\nx\r\n"
				S: 250 .*
				C: STARTTLS
				S: 220 .*
				TLS
				C> "BDAT 6 LAST\r\nQUIT\r\n"
				S: 503 5\.5\.2 Send hello first
				C: QUIT
				S: 221 .*`,
			taken: "-",
		},
		{
			name: "behind the last chunk there is no transaction",
			script: ready + `
				C> "BDAT 3 LAST\r\nx\r\nBDAT 6 LAST\r\nQUIT\r\n"
				S: ` + queued + `
				S: 503 5\.5\.2 Need mail command` + quit,
			taken: "x\r\n",
		},
		{
			name: "nobody to send it to",
			script: greet + `
				C> "MAIL FROM:<>\r\nRCPT TO:<b@elsewhere.example>\r\nBDAT 6\r\nQUIT\r\nBDAT 6\r\nQUIT\r\nRCPT TO:<b@contoso.example>\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n"
				S: 250 .*
				S: 550 5\.7\.54 .*
				S: 554 5\.5\.1 No valid recipients
				S: 554 5\.5\.1 No valid recipients
				S: 503 5\.5\.1 Only BDAT or RSET may follow BDAT
				S: 554 5\.5\.1 No valid recipients
				S: 250 2\.0\.0 OK
				C: MAIL FROM:<>
				S: 250 .*` + quit,
			taken: "-",
		},
		{
			name: "before EHLO",
			script: `
				S: 220 .*
				C> "BDAT 6 LAST\r\nQUIT\r\n"
				S: 503 5\.5\.2 Send hello first` + quit,
			taken: "-",
		},
		{
			name:   "before STARTTLS where that is required",
			change: func(c *config.ReceiveConnector) { c.RequireTLS = true },
			script: greet + `
				C> "BDAT 6 LAST\r\nQUIT\r\n"
				S: 530 5\.7\.0 Must issue a STARTTLS command first` + quit,
			taken: "-",
		},
		{
			name:   "switched off: the chunk is no command all the same",
			change: func(c *config.ReceiveConnector) { c.ChunkingEnabled, c.BinaryMIMEEnabled = false, false },
			script: `
				S: 220 .*
				C: EHLO client.example
				S~ 250-.*\n250-8BITMIME\n250-SMTPUTF8\n250 LIMITS .*
				C: MAIL FROM:<> BODY=BINARYMIME
				S: 501 5\.5\.4 Invalid arguments
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C> "BDAT 6 LAST\r\nQUIT\r\n"
				S: 502 5\.5\.1 Command not implemented
				C: DATA
				S: 354 .*
				C: x
				C: .
				S: ` + queued + quit,
			taken: "x\r\n",
		},
		{
			name: "DATA does not carry BINARYMIME",
			script: greet + `
				C: MAIL FROM:<> BODY=BINARYMIME
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: DATA
				S: 503 5\.5\.1 BINARYMIME content is sent with BDAT
				C> "BDAT 4 LAST\r\n\r\n\r\x00"
				S: ` + queued + quit,
			taken: "\r\n\r\x00",
		},
		{
			name: "a bare LF",
			script: ready + `
				C> "BDAT 3\r\nx\ny"
				S: 550 5\.6\.11 SMTPRECEIVE\.BareLinefeedsAreIllegal; .*
				C> "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nRSET\r\n"
				S: 550 5\.6\.11 .*
				S: 550 5\.6\.11 .*
				C: MAIL FROM:<>
				S: 250 .*` + quit,
			taken: "-",
		},
		{
			name: "a bare CR at the border of chunks",
			script: ready + `
				C> "BDAT 2\r\nx\r"
				S: 250 .*
				C> "BDAT 0\r\nBDAT 3 LAST\r\ny\r\n"
				S: 250 .*
				S: 550 5\.6\.11 SMTPRECEIVE\.BareCarriageReturnsAreIllegal; .*` + quit,
			taken: "-",
		},
		{
			name: "a CRLF across the border",
			script: ready + `
				C> "BDAT 2\r\nx\rBDAT 0\r\nBDAT 4 LAST\r\n\ny\r\n"
				S: 250 .*
				S: 250 .*
				S: ` + queued + quit,
			taken: "x\r\ny\r\n",
		},
		{
			name: "a bare CR at the very end",
			script: ready + `
				C> "BDAT 2 LAST\r\nx\r"
				S: 550 5\.6\.11 SMTPRECEIVE\.BareCarriageReturnsAreIllegal; .*` + quit,
			taken: "-",
		},
		{
			name:   "bare line ends are normalised",
			change: func(c *config.ReceiveConnector) { c.BareLineEnds = "normalise" },
			script: ready + `
				C> "BDAT 4\r\nx\ny\rBDAT 2\r\n\n\rBDAT 2 LAST\r\nz\r"
				S: 250 .*
				S: 250 .*
				S: ` + queued + quit,
			taken: "x\r\ny\r\n\r\nz\r\n",
		},
		{
			name:   "a CR alone in the first chunk waits for what follows it",
			change: func(c *config.ReceiveConnector) { c.BareLineEnds = "normalise" },
			script: ready + `
				C> "BDAT 1\r\n\rBDAT 2 LAST\r\n\nx"
				S: 250 2\.6\.0 CHUNK received OK, 1 octets
				S: ` + queued + quit,
			taken: "\r\nx",
		},
		{
			name:   "too large altogether: read to its end, and what follows too",
			change: func(c *config.ReceiveConnector) { c.MaxMessageSize = 10 },
			script: ready + `
				C> "BDAT 6\r\nQUIT\r\nBDAT 5\r\n12345BDAT 6\r\nQUIT\r\nDATA\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"
				S: 250 .*
				S: 552 5\.3\.4 Message size exceeds fixed maximum message size
				S: 552 5\.3\.4 Message size exceeds fixed maximum message size
				S: 503 .*
				S: 552 5\.3\.4 Message size exceeds fixed maximum message size
				S: 250 2\.0\.0 OK` + quit,
			taken: "-",
		},
		{
			name:   "too large beyond all measure: nothing is read",
			change: func(c *config.ReceiveConnector) { c.MaxMessageSize = 10 },
			script: ready + `
				C> "BDAT 18446744073709551615 LAST\r\nQUIT\r\n"
				S: 552 5\.3\.4 .*
				END`,
			taken: "-",
		},
		{
			name:   "too large without a limit",
			change: func(c *config.ReceiveConnector) { c.Grant = []string{"bypass_message_size_limit"} },
			script: ready + `
				C> "BDAT 3\r\nx\r\nBDAT 9223372036854775807 LAST\r\nQUIT\r\n"
				S: 250 .*
				S: 552 5\.3\.4 .*
				END`,
			taken: "-",
		},
		{
			name: "too many hops",
			change: func(c *config.ReceiveConnector) {
				c.MaxHopCount = 1
			},
			script: ready + `
				C> "BDAT 31\r\nReceived: x\r\nReceived: y\r\n\r\nx\r\nBDAT 0 LAST\r\n"
				S: 554 5\.4\.6 .*
				S: 554 5\.4\.6 .*` + quit,
			taken: "-",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConnector()
			if tt.change != nil {
				tt.change(&c)
			}
			b := newBench(t, c)
			b.dialog(tt.script)
			if tt.taken == "-" {
				if n := len(b.queue.all()); n != 0 {
					t.Fatalf("%d messages were taken", n)
				}
				return
			}
			m := b.only()
			if got := bodyOf(m.content); got != tt.taken || m.envelope.Size != int64(len(tt.taken)) {
				t.Errorf("stored %q as %d octets, want %q", got, m.envelope.Size, tt.taken)
			}
		})
	}
}

// TestChunksThatCannotBeSkipped: where the size of a chunk can't be told, its
// octets can't be told from commands, and the session ends.
func TestChunksThatCannotBeSkipped(t *testing.T) {
	const octets = "MAIL FROM:<evil@stranger.example>\r\nRCPT TO:<victim@contoso.example>\r\nDATA\r\nevil\r\n.\r\n"
	for _, command := range []string{
		"BDAT\r\n", "BDAT \r\n", "BDAT -1 LAST\r\n", "BDAT +86 LAST\r\n", "BDAT 0x56 LAST\r\n", "BDAT 86LAST\r\n", "BDAT LAST\r\n",
		"BDAT 86 FIRST\r\n", "BDAT 86 LAST x\r\n", "BDAT 18446744073709551616\r\n", "BDAT 184467440737095516150\r\n",
		"BDAT 8\x006\r\n", "BDAT\t86 LAST\r\n", " BDAT 86 LAST\r\n", "BDAT:86\r\n", "BDAT 86 LAST\n", "BDAT 86\r LAST\r\n",
		"bdat 86 \xff\r\n", "BDAT 86 " + strings.Repeat(" ", 3000) + "LAST\r\n", "BDAT 86 " + strings.Repeat(" ", 2039) + "\r\n",
	} {
		for _, state := range []string{ready, greet, "\nS: 220 .*"} {
			t.Run(strconv.Quote(command), func(t *testing.T) {
				b := newBench(t)
				c := b.dialog(state)
				c.send(command + octets + "QUIT\r\n")
				c.play(`
					S: 50[01] 5\.\d\.\d .*
					END`)
				if n := len(b.queue.all()); n != 0 {
					t.Errorf("%d messages were taken", n)
				}
			})
		}
	}
}

// TestChunksAreStreamed: a message of many large chunks arrives octet by octet,
// whatever the pieces in which the connection carries it.
func TestChunksAreStreamed(t *testing.T) {
	b := newBench(t)
	c := b.dialog(ready)
	content := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 3000)
	go func() {
		rest, n := content, 1
		for len(rest) > n {
			c.conn.Write([]byte("BDAT " + strconv.Itoa(n) + "\r\n" + rest[:n]))
			rest, n = rest[n:], 3*n+1
		}
		c.conn.Write([]byte("BDAT " + strconv.Itoa(len(rest)) + " LAST\r\n" + rest))
	}()
	for got := c.reply(); ; got = c.reply() {
		if strings.HasPrefix(got, "250 2.6.0 CHUNK received OK, ") {
			continue
		}
		if !strings.Contains(got, "Queued mail") {
			t.Fatal(got)
		}
		break
	}
	if m := b.only(); bodyOf(m.content) != content {
		t.Error("the content has changed")
	}
}

func TestBinaryMIME(t *testing.T) {
	b := newBench(t)
	content := "Content-Type: application/octet-stream\r\n\r\n\r.\r\n.\n\x00\xff\n\r"
	b.dialog(greet + `
		C: MAIL FROM:<a@b.example> BODY=BINARYMIME
		S: 250 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C> ` + strconv.Quote("BDAT "+strconv.Itoa(len(content))+" LAST\r\n"+content) + `
		S: 250 .*` + quit)
	m := b.only()
	if bodyOf(m.content) != content || m.envelope.Body != message.BodyBinaryMIME {
		t.Errorf("stored %q, body type %v", m.content, m.envelope.Body)
	}
}

// TestStorageFailsWithinChunks: every chunk is answered 452 from then on, the
// trouble is counted once, and the session goes on.
func TestStorageFailsWithinChunks(t *testing.T) {
	broken := errors.New("disk full")
	const want = `452 4\.3\.1 Insufficient system resources`
	for _, tt := range []struct {
		name                  string
		create, write, submit error
		first, last           string
	}{
		{"create", broken, nil, nil, want, want},
		{"write", nil, broken, nil, want, want},
		{"submit", nil, nil, broken, "250 .*", want},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			c := b.dialog(ready)
			b.queue.fail(tt.create, tt.write, tt.submit)
			c.play(`
				C> "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n"
				S: ` + tt.first + `
				S: ` + tt.last)
			b.queue.fail(nil, nil, nil)
			c.play(`
				C: MAIL FROM:<>
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C> "BDAT 3 LAST\r\nx\r\n"
				S: 250 .*` + quit)
			if n := len(b.queue.all()); n != 1 {
				t.Errorf("%d messages", n)
			}
			if n := b.limitCount(limitStorage); n != 1 {
				t.Errorf("the trouble was counted %d times", n)
			}
		})
	}
}

// TestConnectionLostInChunks: within a chunk and between two, nothing is stored
// and nothing is left.
func TestConnectionLostInChunks(t *testing.T) {
	for _, sent := range []string{"BDAT 20 LAST\r\nQUIT\r\nRSET\r\n", "BDAT 6\r\nQUIT\r\n", "BDAT 6\r\nQUIT\r\nBDAT 6 LA"} {
		b := newBench(t)
		c := b.dial(netip.AddrPort{})
		c.play(ready)
		c.send(sent)
		c.close()
		if n := len(b.queue.all()); n != 0 {
			t.Errorf("%d messages", n)
		}
	}
}
