package server

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// probeBodies are contents that a gateway may be tempted to change. All but
// those of which it is said end in CRLF and hold no bare CR or LF.
func probeBodies() map[string]string {
	bodies := map[string]string{
		"empty":               "",
		"an empty line":       "\r\n",
		"empty lines":         "\r\n\r\n\r\n",
		"a header only":       "Subject: x\r\nX-Probe: y\r\n",
		"a header and no end": "Subject: x\r\n\r\n",
		"no header":           "this is no header field\r\nnor is this: one\r\n",
		"a header's middle":   " continued\r\nSubject: x\r\n\r\nbody\r\n",
		"an ordinary message": "From: Bob <bob@fabrikam.example>\r\nSubject: x\r\n\r\nHello.\r\n",
		"8-bit":               "Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\n\xff\xfe\x80\x00\xa0\r\n",
		"NUL":                 "Subject: x\r\n\r\na\x00b\r\n\x00\r\n.\x00\r\n",
		"controls":            "Subject: x\r\n\r\n\x01\x02\x04\x1a\x1b[2J\x7f\b\r\n",
		"dots":                ".\r\n..\r\n...\r\n\r\n.\r\n.x\r\n. \r\nx.\r\n.\r\n",
		"dots in the header":  ".\r\nSubject: x\r\n.y: z\r\n\r\n",
		"a line of 998":       "Subject: x\r\n\r\n" + strings.Repeat("x", 998) + "\r\n",
		"a line of 999":       "Subject: x\r\n\r\n" + strings.Repeat("x", 999) + "\r\n",
		"a line of 100000":    "Subject: x\r\n\r\n" + strings.Repeat("x", 100_000) + "\r\n.\r\n",
		"spaces at line ends": "Subject: x  \r\n\r\nx \t\r\n \r\n",
		"folded fields":       "Subject: a\r\n b\r\n\tc\r\n\r\n",
		"fields of trace":     "Received: from a by b; Sat, 21 Nov 2026 22:00:00 +0000\r\nReturn-Path: <a@b.example>\r\nBcc: x@y.example\r\n\r\n",
		"commands":            "QUIT\r\nRSET\r\nBDAT 5 LAST\r\nMAIL FROM:<>\r\n",
		"2 MB":                "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("y", 76)+"\r\n.z\r\n", 2<<20/82),
		"no last line end":    "Subject: x\r\n\r\nlast",
		"a last dot":          "Subject: x\r\n\r\n.",
	}
	rnd := rand.New(rand.NewPCG(5321, 3030))
	for i := range 20 {
		var b strings.Builder
		for range rnd.IntN(5000) {
			b.WriteString([]string{"\r\n", ".", "x", "\x00", "\xff", " ", ":"}[rnd.IntN(7)])
		}
		bodies[fmt.Sprintf("at random %d", i)] = b.String() + "\r\n"
	}
	return bodies
}

// probeTrace is what stands above what a client sent: our Received field and,
// for a submission, what it lacked; an empty line where what follows would
// continue it.
var probeTrace = regexp.MustCompile(`^Received: [^\r\n]+(\r\n[ \t][^\r\n]+)*\r\n(Message-ID: <[^\r\n]+>\r\n)?(Date: [^\r\n]+\r\n)?(\r\n)?$`)

// TestProbeContent: what a client sends arrives octet for octet below our trace
// fields, in whatever way the client is connected and sends it.
func TestProbeContent(t *testing.T) {
	g := newProbeGateway(t)
	bodies := probeBodies()
	for _, mode := range probeModes {
		for _, way := range []string{"DATA", "BDAT", "BDAT in pieces"} {
			t.Run(mode.name+"/"+way, func(t *testing.T) {
				var wg sync.WaitGroup
				slots := make(chan struct{}, probeSessions)
				for name, body := range bodies {
					if way == "DATA" && body != "" && !strings.HasSuffix(body, "\r\n") {
						continue // can't be said
					}
					wg.Go(func() {
						slots <- struct{}{}
						defer func() { <-slots }()
						if err := g.carry(mode, way, body); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
				wg.Wait()
			})
		}
	}
	g.sink.check(t, g.accepted)
}

// carry sends content and compares it with what arrives.
func (g *probeGateway) carry(mode probeMode, way, body string) error {
	c, err := g.dial(mode, "")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := (&probe{after: "rcpt"}).begin(c); err != nil {
		return err
	}
	if way == "DATA" {
		if err := c.expect("DATA\r\n", "354"); err != nil {
			return err
		}
		_, err = io.WriteString(c, stuff(body)+".\r\n")
	} else {
		err = c.chunks(body, way == "BDAT in pieces")
	}
	if err != nil {
		return err
	}
	reply, err := c.reply()
	if err != nil {
		return err
	}
	id := queued(reply)
	if id == "" {
		return fmt.Errorf("refused: %q", reply)
	}
	g.accept(id)
	got, err := g.sink.take(id)
	if err != nil {
		return err
	}
	return below(got.content, body, mode.proxy != "")
}

// below compares what arrived with what was sent.
func below(got, sent string, stranger bool) error {
	head, ok := strings.CutSuffix(got, sent)
	if !ok && !strings.HasSuffix(sent, "\r\n") { // DATA can't say it otherwise
		head, ok = strings.CutSuffix(got, sent+"\r\n")
	}
	switch {
	case !ok:
		return fmt.Errorf("the content was changed: sent %.300q, got %.800q", sent, got)
	case !probeTrace.MatchString(head):
		return fmt.Errorf("above it stands %q", head)
	case stranger && (strings.Contains(head, "\r\nDate: ") || strings.Contains(head, "\r\nMessage-ID: ")):
		return fmt.Errorf("a stranger's message was completed: %q", head)
	}
	return nil
}

// stuff doubles the dots at the beginning of lines (RFC 5321 4.5.2).
func stuff(body string) string {
	if strings.HasPrefix(body, ".") {
		body = "." + body
	}
	return strings.ReplaceAll(body, "\r\n.", "\r\n..")
}

// chunks sends content by BDAT, all at once or in pieces of odd sizes that part
// line ends, with an empty last one. It leaves the last reply to be read.
func (c *probeConn) chunks(body string, pieces bool) error {
	if !pieces {
		_, err := fmt.Fprintf(c, "BDAT %d LAST\r\n%s", len(body), body)
		return err
	}
	for n, rest := 1, body; rest != ""; n = n*3 + 1 {
		piece := rest[:min(n, len(rest))]
		rest = rest[len(piece):]
		var b bytes.Buffer
		fmt.Fprintf(&b, "BDAT %d\r\n%s", len(piece), piece)
		if err := c.expect(b.String(), fmt.Sprintf("250 2.6.0 CHUNK received OK, %d octets", len(piece))); err != nil {
			return err
		}
	}
	_, err := io.WriteString(c, "BDAT 0 LAST\r\n")
	return err
}
