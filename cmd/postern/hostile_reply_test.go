//go:build linux

package main_test

import (
	"bytes"
	"strings"
	"testing"
)

// What a next hop says in its refusals is foreign text: it reaches the sender
// in a notification that conforms to RFC 5322, and no terminal or log is led
// astray by it.
func TestHostileReplies(t *testing.T) {
	t.Parallel()
	hostile := []string{
		"550 5.1.1 bare\rcr and caf\xe9 and \x00 and \x1b[2J\x1b]0;owned\x07",
		"550-5.1.1 \r\n550-5.1.1 .\r\n550-5.1.1 \r\n550 5.1.1 Content-Type: text/html",
		"550 5.1.1 " + strings.Repeat("x", 1900),
		"550 5.1.1 " + strings.Repeat("\xc3\xa9", 500) + "\xff",
		"550-5.1.1 a\n550-5.1.1 --boundary--\n550 5.1.1 Action: delivered",
		"550 5.1.1\r\n\t",
		"550",
		"550 5.1.1 \"quoted\", =?utf-8?q?encoded?= (comment \\",
	}
	back := newSink(t, sinkOptions{Keywords: []string{"PIPELINING"}})
	refuses := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if i := strings.Index(line, "RCPT TO:<"); i == 0 {
			return hostile[line[len("RCPT TO:<")]-'a']
		}
		return ""
	}})
	e := newEdge(t)
	e.route("back", "sender.example", back.addr, "protocol_logging = \"verbose\"\n")
	e.route("refuses", "y.example", refuses.addr, "protocol_logging = \"verbose\"\n")
	g := e.serve(t)
	c := dial(t, e.addr)
	for i := range hostile {
		// One at a time: some of it is more than one reply to the sink's client.
		c.deliver(t, "s@sender.example", string(rune('a'+i))+"@y.example", letter("refused"))
	}
	// What was sent unasked leaves the message waiting; the rest comes back.
	const waiting = 1
	for _, d := range back.await(t, len(hostile)-waiting) {
		head, _, _ := bytes.Cut(d.Data, []byte("\r\n\r\n"))
		if d.Mail != "FROM:<>" || !bytes.Contains(d.Data, []byte("\r\nAction: failed\r\n")) || bytes.Count(d.Data, []byte("\r\nAction: ")) != 1 {
			t.Errorf("MAIL %s, want one failure:\n%s", d.Mail, d.Data)
		}
		declared := bytes.Contains(bytes.ToLower(head), []byte("8bit"))
		for line := range bytes.SplitAfterSeq(d.Data, []byte("\n")) {
			text, whole := bytes.CutSuffix(line, []byte("\r\n"))
			switch {
			case len(line) > 0 && !whole, bytes.ContainsAny(text, "\r\n\x00\x1b\x07"):
				t.Errorf("a line with octets that no message may have: %q", line)
			case len(text) > 998:
				t.Errorf("a line of %d octets", len(text))
			case !declared && bytes.ContainsFunc(text, func(r rune) bool { return r > 126 }):
				t.Errorf("8-bit text that is not declared: %q", text)
			}
		}
	}
	g.stop(t)
	protocol := e.protocolLog(t)
	if strings.Count(protocol, "y.example") < len(hostile) {
		t.Errorf("the protocol log lacks sessions:\n%s", tail(protocol))
	}
	for name, text := range map[string]string{"the event log": g.output.String(), "the protocol log": protocol} {
		if strings.ContainsAny(text, "\x00\x1b\x07") {
			t.Errorf("%s holds control characters", name)
		}
	}
}
