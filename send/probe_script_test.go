package send

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/config"
	"postern/internal/message"
)

// A probeCase is a dialog with one next hop, written down as it must go. The
// form of a table of them, one block a case, which a blank line ends:
//
//	case NAME (RFC ...)     what it is about
//	with WORD ...           of the message and the connector, see tweaks
//	to a b                  recipients at example.test; a alone by default
//	only clear|tls          where it is tried; both by default
//	connect                 the dialog of the next connection; the first needs none
//	open KEYWORD, ...       greeting and EHLO, in the TLS variant STARTTLS too
//	< LINE                  what the client must send next, exactly
//	ask a b                 < MAIL, RCPT for each, DATA
//	content                 the message and its end, as DATA carries them
//	chunk                   the message as one BDAT chunk with its command
//	> LINE                  what the next hop says, with \r \n \0 \xNN
//	>> OCTETS               the same without CRLF
//	drip D TEXT             TEXT an octet at a time, D apart, for ever at "..."
//	starttls                the handshake, as the server
//	pause D | hang | close | reset
//	kept                    the connection stays usable: QUIT ends it
//	closed                  the client closes it and says no more
//	= OUTCOME               of each recipient; the end of a text may be missing
//	within D                the longest the delivery may take; 0s by default
//
// What the client sends beyond the script is an error, and so is a connection
// beyond it.
type probeCase struct {
	name   string
	with   []string
	to     []string
	only   string
	conns  [][]string
	want   []string
	within time.Duration
}

// parseProbes reads a table.
func parseProbes(t *testing.T, table string) []probeCase {
	t.Helper()
	var cases []probeCase
	for block := range strings.SplitSeq(strings.TrimSpace(table), "\n\n") {
		c := probeCase{to: []string{"a"}, conns: [][]string{nil}}
		for line := range strings.SplitSeq(strings.TrimSpace(block), "\n") {
			line = strings.TrimSpace(line)
			verb, rest, _ := strings.Cut(line, " ")
			switch verb {
			case "case":
				c.name = rest
			case "with":
				c.with = strings.Fields(rest)
			case "to":
				c.to = strings.Fields(rest)
			case "only":
				c.only = rest
			case "connect":
				c.conns = append(c.conns, nil)
			case "=":
				c.want = append(c.want, rest)
			case "within":
				d, err := time.ParseDuration(rest)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				c.within = d
			default:
				last := &c.conns[len(c.conns)-1]
				*last = append(*last, line)
			}
		}
		if !strings.Contains(c.name, "(RFC ") && !strings.Contains(c.name, "(by ") || len(c.want) == 0 || len(c.conns[0]) == 0 {
			t.Fatalf("the case is not whole:\n%s", block)
		}
		cases = append(cases, c)
	}
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.name] {
			t.Errorf("two cases are called %q", c.name)
		}
		names[c.name] = true
	}
	return cases
}

// probeText is the message of the probes, with dots where they matter, and
// probeWire how DATA carries it.
const (
	probeText = "Subject: hello\r\n\r\n.hello\r\n.\r\nRSET\r\n"
	probeWire = "Subject: hello\r\n\r\n..hello\r\n..\r\nRSET\r\n.\r\n"
)

// tweaks are what "with" can change.
var tweaks = map[string]func(b *bench, d *message.Delivery){
	"8bitmime":   func(_ *bench, d *message.Delivery) { d.Envelope.Body = message.Body8BitMIME },
	"7bit":       func(_ *bench, d *message.Delivery) { d.Envelope.Body = message.Body7Bit },
	"binarymime": func(_ *bench, d *message.Delivery) { d.Envelope.Body = message.BodyBinaryMIME },
	"utf8":       func(_ *bench, d *message.Delivery) { d.Envelope.SMTPUTF8 = true },
	"requiretls": func(b *bench, d *message.Delivery) { d.Envelope.RequireTLS = true },
	"null":       func(_ *bench, d *message.Delivery) { d.Envelope.From = message.Address{} },
	"dsn": func(_ *bench, d *message.Delivery) {
		d.Envelope.Return, d.Envelope.EnvID = message.ReturnHeaders, "q=1+2 x"
		d.Envelope.Recipients[0].Notify = message.NotifySuccess | message.NotifyFailure | message.NotifyDelay
		d.Envelope.Recipients[0].ORcpt = "rfc822;Ann+x@other.test"
	},
	"never": func(_ *bench, d *message.Delivery) { d.Envelope.Recipients[0].Notify = message.NotifyNever },
	"required": func(b *bench, _ *message.Delivery) {
		b.connector.TLS, b.connector.TLSAuthLevel = config.TLSRequired, config.EncryptionOnly
	},
	"auth": func(b *bench, _ *message.Delivery) {
		file := filepath.Join(b.t.TempDir(), "pass")
		if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
			b.t.Fatal(err)
		}
		b.connector.SmartHosts = []config.SmartHost{{Host: "mx.test"}}
		b.connector.SmartHostAuth.Mechanism, b.connector.SmartHostAuth.Username, b.connector.SmartHostAuth.PasswordFile = authBasic, "edge", file
	},
	"ignore":  func(b *bench, _ *message.Delivery) { b.connector.TLS = config.TLSIgnoreSTARTTLS },
	"huge":    func(_ *bench, d *message.Delivery) { d.Size = 50_000_000 },
	"idn":     func(_ *bench, d *message.Delivery) { d.Envelope.Recipients[0].Address.Domain = "bücher.test" },
	"umlaut":  func(_ *bench, d *message.Delivery) { d.Envelope.Recipients[0].Address.Local = "jürgen" },
	"quoted":  func(_ *bench, d *message.Delivery) { d.Envelope.Recipients[0].Address.Local = `"x> NOTIFY=NEVER"` },
	"inject":  func(_ *bench, d *message.Delivery) { d.Envelope.Recipients[0].Address.Local = "x> NOTIFY=NEVER <y" },
	"newline": func(_ *bench, d *message.Delivery) { d.Envelope.From.Local = "x\r\nRSET" },
	"postmaster": func(_ *bench, d *message.Delivery) {
		d.Envelope.Recipients[0].Address = message.Address{Local: "Postmaster"}
	},
	"domains": func(_ *bench, d *message.Delivery) {
		for i := range d.Envelope.Recipients {
			a := &d.Envelope.Recipients[i].Address
			a.Domain = a.Local + ".test"
		}
	},
}

// probeHop is a next hop that follows a script and complains of a client that
// does not.
type probeHop struct {
	n     int // of the connection, from 0
	c     *memConn
	cork  *cork
	wire  net.Conn
	tls   func(*probeHop) error
	trace []string
	err   error
	ended bool
}

// cork holds back what is written until it is pulled, so that the client finds
// several replies at once, each in a TLS record of its own.
type cork struct {
	net.Conn
	in   bool
	held []byte
}

func (c *cork) Write(p []byte) (int, error) {
	if c.in {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *cork) pull() {
	c.in = false
	if len(c.held) > 0 {
		_, _ = c.Conn.Write(c.held)
		c.held = nil
	}
}

// expand writes the short forms of a script out.
func expand(script []string, secure bool) []string {
	var out []string
	for _, line := range script {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "open":
			hello := func(keywords ...string) {
				out = append(out, "< EHLO out.contoso.example")
				lines := append([]string{"mx.test"}, keywords...)
				for i, k := range lines {
					sep := "-"
					if i == len(lines)-1 {
						sep = " "
					}
					out = append(out, "> 250"+sep+k)
				}
			}
			var keywords []string
			if rest != "" {
				keywords = strings.Split(rest, ", ")
			}
			out = append(out, "> 220 mx.test ESMTP")
			if secure {
				hello(append([]string{"STARTTLS"}, keywords...)...)
				out = append(out, "< STARTTLS", "> 220 ready", "starttls")
			}
			hello(keywords...)
		case "ask":
			out = append(out, "< MAIL FROM:<sender@contoso.example>")
			for _, r := range strings.Fields(rest) {
				out = append(out, "< RCPT TO:<"+r+"@example.test>")
			}
			out = append(out, "< DATA")
		case "kept":
			out = append(out, "< QUIT", "> 221 2.0.0 bye", "closed")
		case "chunk":
			out = append(out, fmt.Sprintf("< BDAT %d LAST", len(probeText)), "octets "+strconv.Quote(probeText))
		case "content":
			out = append(out, "octets "+strconv.Quote(probeWire))
		default:
			out = append(out, line)
		}
	}
	return out
}

// run follows the script.
func (h *probeHop) run(script []string) {
	for i, line := range script {
		// Replies that follow one another arrive together.
		h.cork.in = strings.HasPrefix(line, ">")
		if h.err = h.step(line); i+1 == len(script) || !strings.HasPrefix(script[i+1], ">") {
			h.cork.pull()
		}
		if h.err != nil {
			h.trace = append(h.trace, fmt.Sprintf("connection %d, at %q: %v", h.n+1, line, h.err))
			return
		}
		if h.ended {
			return
		}
	}
	h.trace = append(h.trace, fmt.Sprintf("connection %d: the script does not say how it ends", h.n+1))
}

func (h *probeHop) step(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "<":
		return h.expect(rest + "\r\n")
	case "octets":
		want, err := strconv.Unquote(rest)
		if err != nil {
			return err
		}
		return h.expect(want)
	case ">":
		return h.say(rest, "\r\n")
	case ">>":
		return h.say(rest, "")
	case "drip":
		every, text, _ := strings.Cut(rest, " ")
		return h.drip(every, text)
	case "starttls":
		return h.tls(h)
	case "pause":
		d, err := time.ParseDuration(rest)
		time.Sleep(d)
		return err
	case "hang", "closed":
		h.ended = true
		return h.silence()
	case "close":
		h.ended = true
		return h.c.Close()
	case "reset":
		h.ended = true
		h.c.reset()
		return nil
	}
	return fmt.Errorf("the script is not understood")
}

// expect reads what the client must send now.
func (h *probeHop) expect(want string) error {
	got := make([]byte, 0, len(want))
	one := make([]byte, 1)
	for len(got) < len(want) {
		n, err := h.wire.Read(one)
		got = append(got, one[:n]...)
		if err != nil {
			return fmt.Errorf("the client sent %q and then %v", got, err)
		}
		if !strings.HasPrefix(want, string(got)) {
			rest := make([]byte, 200)
			_ = h.c.SetReadDeadline(time.Now())
			n, _ = h.wire.Read(rest)
			return fmt.Errorf("the client sent %q", append(got, rest[:n]...))
		}
	}
	return nil
}

func unescape(text string) string {
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(text, `"`, `\"`), `\0`, `\x00`) + `"`)
	if err != nil {
		return text
	}
	return s
}

// say writes; that the client has closed is no fault of the script.
func (h *probeHop) say(text, end string) error {
	_, _ = h.wire.Write([]byte(unescape(text) + end))
	return nil
}

// drip writes an octet at a time until the client closes.
func (h *probeHop) drip(every, text string) error {
	d, err := time.ParseDuration(every)
	if err != nil {
		return err
	}
	text, endless := strings.CutSuffix(text, "...")
	h.ended = endless
	for text = unescape(text); ; {
		for i := range len(text) {
			if _, err := h.wire.Write([]byte{text[i]}); err != nil {
				return nil
			}
			time.Sleep(d)
		}
		if !endless {
			return nil
		}
	}
}

// silence waits for the client to close, and says nothing may come before.
func (h *probeHop) silence() error {
	var got bytes.Buffer
	b := make([]byte, 4096)
	for {
		n, err := h.wire.Read(b)
		got.Write(b[:n])
		if err != nil {
			break
		}
	}
	_ = h.c.Close()
	if got.Len() > 0 {
		return fmt.Errorf("the client sent %.300q where it had to be silent", got.Bytes())
	}
	return nil
}

// outcomes compares the lines of sum with what a case wants.
func (c *probeCase) judge(r message.Report) error {
	got := strings.Split(sum(r), "; ")
	want := slices.Clone(c.want)
	for i, w := range want {
		want[i] = unescape(w)
	}
	if len(got) != len(want) {
		return fmt.Errorf("outcome %q, want %q", got, want)
	}
	for i := range got {
		if !strings.HasPrefix(got[i], want[i]) {
			return fmt.Errorf("outcome %q, want %q", got, want)
		}
	}
	return nil
}
