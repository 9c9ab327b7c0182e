package server

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// probe is a case: a dialog, and the rule that it is derived from.
type probe struct {
	name, rule string
	on         string   // the connector
	in         []string // the modes; empty for all
	after      string   // what is sent before: nothing, "hello", "mail", "rcpt" or "data"
	steps      []probeStep
	letters    []*wantLetter
	heeds      bool // the dialog says what arrives
}

// wantLetter is what must arrive at the next hop.
type wantLetter struct {
	commands []string
	content  string   // not looked at when empty
	trace    []string // patterns
}

// probeStep is what the client sends at once, and the reply that it then waits
// for.
type probeStep struct {
	send  []byte
	reply []string // patterns, one a line; "..." for any lines
	not   []string // what none of its lines says
	eof   bool     // rather than a reply
}

// parseProbes reads a table of cases.
//
//	== name | rule | options
//	C: a line that the client sends, with CRLF; commands in a row are pipelined
//	C> the same without CRLF
//	B: a line of the chunk whose size stands as {n} in the BDAT before it
//	B> the same without CRLF
//	S: the reply, as far as it matters: code, enhanced code, text; * is anything.
//	   A reply of several lines is written so (250-A, 250 B), ... is any lines;
//	   a pattern of one line stands for the last line
//	S! what no line of this reply is
//	S: EOF says that the server closes the connection
//	H: MAIL or RCPT, as the next hop gets it, for each message that is taken
//	H> a line of its content, below our trace fields
//	H= what stands in our trace fields
//
// {sp}, {tab}, {cr}, {lf}, {x00} are octets, {a*300} is 300 times a. Options
// are the name of a connector (on=), modes (in=), and how far the session is
// when the case begins: fresh (after the greeting), hello (the default), mail,
// rcpt, data.
func parseProbes(t *testing.T, table string) []probe {
	t.Helper()
	var all []probe
	for n, line := range strings.Split(strings.TrimSpace(table), "\n") {
		line = strings.TrimLeft(line, "\t ")
		if line == "" {
			continue
		}
		if head, ok := strings.CutPrefix(line, "== "); ok {
			all = append(all, newProbe(t, head))
			continue
		}
		if err := all[len(all)-1].add(line); err != nil {
			t.Fatalf("line %d, %q: %v", n+1, line, err)
		}
	}
	names := map[string]bool{}
	for i := range all {
		if names[all[i].name] {
			t.Fatalf("two cases are called %q", all[i].name)
		}
		names[all[i].name] = true
	}
	return all
}

func newProbe(t *testing.T, head string) probe {
	part := strings.Split(head, " | ")
	if len(part) < 2 || len(part) > 3 {
		t.Fatalf("want a name, a rule and options: %q", head)
	}
	p := probe{name: part[0], rule: part[1], after: "hello"}
	for _, o := range strings.Fields(strings.Join(part[2:], "")) {
		switch key, value, _ := strings.Cut(o, "="); key {
		case "on":
			p.on = value
		case "in":
			p.in = strings.Split(value, ",")
		case "fresh", "hello", "mail", "rcpt", "data":
			p.after = key
		default:
			t.Fatalf("%s: no option is called %q", p.name, o)
		}
	}
	return p
}

var probeEscape = regexp.MustCompile(`\{(sp|tab|cr|lf|x[0-9a-f]{2}|[^{}]+\*[0-9]+)\}`)

// unescape puts octets for what stands in braces.
func unescape(s string) string {
	return probeEscape.ReplaceAllStringFunc(s, func(m string) string {
		m = m[1 : len(m)-1]
		switch m {
		case "sp":
			return " "
		case "tab":
			return "\t"
		case "cr":
			return "\r"
		case "lf":
			return "\n"
		}
		if text, count, ok := strings.Cut(m, "*"); ok {
			n, _ := strconv.Atoi(count)
			return strings.Repeat(text, n)
		}
		n, _ := strconv.ParseUint(m[1:], 16, 8)
		return string([]byte{byte(n)})
	})
}

// add takes one line of a case.
func (p *probe) add(line string) error {
	mark, text := line[:min(2, len(line))], strings.TrimPrefix(line[min(2, len(line)):], " ")
	switch mark {
	case "C:":
		p.step().send = append(p.step().send, unescape(text)+"\r\n"...)
	case "C>":
		p.step().send = append(p.step().send, unescape(text)...)
	case "B:", "B>":
		p.addChunk(mark, text)
	case "S:":
		return p.addReply(text)
	case "S!":
		p.last().not = append(p.last().not, text)
	case "H:":
		p.heeds = true
		if strings.HasPrefix(text, "MAIL ") {
			p.letters = append(p.letters, &wantLetter{})
		}
		l := p.letters[len(p.letters)-1]
		l.commands = append(l.commands, unescape(text))
	case "H>":
		l := p.letters[len(p.letters)-1]
		l.content += unescape(text) + "\r\n"
	case "H=":
		l := p.letters[len(p.letters)-1]
		l.trace = append(l.trace, text)
	default:
		return fmt.Errorf("no line begins with %q", mark)
	}
	return nil
}

func (p *probe) last() *probeStep { return &p.steps[len(p.steps)-1] }

// step is the step that the client is about to send.
func (p *probe) step() *probeStep {
	if len(p.steps) == 0 || p.last().eof || len(p.last().reply) > 0 {
		p.steps = append(p.steps, probeStep{})
	}
	return p.last()
}

// addChunk counts a chunk's octets into the BDAT before it.
func (p *probe) addChunk(mark, text string) {
	s := p.step()
	text = unescape(text)
	if mark == "B:" {
		text += "\r\n"
	}
	const placeholder = "{n}"
	i := strings.LastIndex(string(s.send), placeholder)
	if i < 0 { // a later line of the chunk
		i = strings.LastIndex(string(s.send), "BDAT ")
		head := string(s.send[:i])
		command, chunk, _ := strings.Cut(string(s.send[i:]), "\r\n")
		fields := strings.Fields(command)
		fields[1] = strconv.Itoa(len(chunk) + len(text))
		s.send = []byte(head + strings.Join(fields, " ") + "\r\n" + chunk + text)
		return
	}
	s.send = []byte(string(s.send[:i]) + strconv.Itoa(len(text)) + string(s.send[i+len(placeholder):]) + text)
}

// addReply takes a line of a reply.
func (p *probe) addReply(text string) error {
	if len(p.steps) == 0 {
		p.steps = append(p.steps, probeStep{})
	}
	s := p.last()
	if done := len(s.reply) > 0 && (len(s.reply[len(s.reply)-1]) < 4 || s.reply[len(s.reply)-1][3] != '-') || s.eof; done {
		p.steps = append(p.steps, probeStep{})
		s = p.last()
	}
	if text == "EOF" {
		s.eof = true
		return nil
	}
	if len(text) < 3 {
		return fmt.Errorf("%q is no reply", text)
	}
	s.reply = append(s.reply, text)
	return nil
}

// begin sends what the case takes for granted.
func (p *probe) begin(c *probeConn) error {
	for _, s := range []struct{ stage, command, reply string }{
		{"hello", "EHLO client.example", "250"},
		{"mail", "MAIL FROM:<bob@fabrikam.example>", "250"},
		{"rcpt", "RCPT TO:<kim@contoso.example>", "250"},
		{"data", "DATA", "354"},
	} {
		if p.after == "fresh" {
			return nil
		}
		if _, err := io.WriteString(c, s.command+"\r\n"); err != nil {
			return err
		}
		reply, err := c.reply()
		if err != nil || !slices.ContainsFunc(reply[len(reply)-1:], func(l string) bool { return matches(s.reply, l) }) {
			return fmt.Errorf("%s: %q, %v", s.command, reply, err)
		}
		if s.stage == p.after {
			return nil
		}
	}
	return fmt.Errorf("no stage is called %q", p.after)
}

// run carries the dialog and returns the ids of the messages that were taken.
// At the end it says QUIT, so that a reply too many does not pass.
func (p *probe) run(c *probeConn) (ids []string, err error) {
	if err := p.begin(c); err != nil {
		return nil, err
	}
	for _, s := range p.steps {
		if _, err := c.Write(s.send); err != nil && !s.eof {
			return ids, err
		}
		if s.eof {
			return ids, c.ended()
		}
		reply, err := c.reply()
		if err != nil {
			return ids, fmt.Errorf("after %.300q: want %q: %w", s.send, s.reply, err)
		}
		if id := queued(reply); id != "" {
			ids = append(ids, id)
		}
		if err := s.check(reply); err != nil {
			return ids, fmt.Errorf("after %.300q: %w", s.send, err)
		}
	}
	io.WriteString(c, "QUIT\r\n")
	if reply, err := c.reply(); err != nil || !matches("221 2.0.0", reply[0]) && !matches("221 Service", reply[0]) {
		return ids, fmt.Errorf("at the end: QUIT is answered by %q, %v", reply, err)
	}
	return ids, c.ended()
}

var internalID = regexp.MustCompile(`^250 .*\[InternalId=([0-9A-Z]+), `)

func queued(reply []string) string {
	if m := internalID.FindStringSubmatch(reply[0]); m != nil {
		return m[1]
	}
	return ""
}

// check holds a reply against the patterns.
func (s *probeStep) check(reply []string) error {
	for _, not := range s.not {
		if i := slices.IndexFunc(reply, func(l string) bool { return matches(not, l) }); i >= 0 {
			return fmt.Errorf("the reply says %q", reply[i])
		}
	}
	got := reply
	if len(s.reply) == 1 {
		got = reply[len(reply)-1:]
	}
	if !matchLines(s.reply, got) {
		return fmt.Errorf("want %q, got %q", s.reply, reply)
	}
	return nil
}

func matchLines(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case strings.HasSuffix(want[0], "-..."):
		for i := range len(got) + 1 {
			if matchLines(want[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && matches(want[0], got[0]) && matchLines(want[1:], got[1:])
}

// matches reports whether a line is the pattern, or goes on behind it with a
// new word.
func matches(pattern, line string) bool {
	return globs(pattern, line) || globs(pattern+" *", line)
}

func globs(pattern, line string) bool {
	before, rest, more := strings.Cut(pattern, "*")
	line, ok := strings.CutPrefix(line, before)
	if !ok || !more {
		return ok && line == ""
	}
	for i := range len(line) + 1 {
		if globs(rest, line[i:]) {
			return true
		}
	}
	return false
}

// arrived holds the messages that were taken against those at the next hop.
func (p *probe) arrived(sink *probeSink, ids []string) error {
	if p.heeds && len(ids) != len(p.letters) {
		return fmt.Errorf("%d messages were taken, want %d", len(ids), len(p.letters))
	}
	for i, want := range p.letters {
		got, err := sink.take(ids[i])
		if err != nil {
			return err
		}
		if !slices.Equal(got.commands, want.commands) {
			return fmt.Errorf("the next hop got %q, want %q", got.commands, want.commands)
		}
		trace, rest := got.split()
		for _, w := range want.trace {
			if !matches("*"+w+"*", strings.NewReplacer("\r\n\t", " ", "\r\n", " ").Replace(trace)) {
				return fmt.Errorf("the trace fields lack %q: %q", w, trace)
			}
		}
		if want.content != "" && rest != want.content {
			return fmt.Errorf("the next hop got the content %q, want %q; all of it: %q", rest, want.content, got.content)
		}
	}
	return nil
}
