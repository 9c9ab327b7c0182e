package send

import (
	"bufio"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fakeMX is a next hop that takes everything, unless it is told to misbehave.
type fakeMX struct {
	greeting string   // default "220 mx.test ESMTP"
	ext      []string // lines of EHLO behind the first; nil: PIPELINING alone
	tls      *tls.Config
	// tlsExt is what EHLO offers over TLS; nil: as before, without STARTTLS.
	tlsExt []string
	// implicit makes TLS begin with the first octet.
	implicit bool
	// faults are how it behaves at a place: "greeting", a verb, "body" (before
	// the content is read), "end" (in place of the reply to it).
	faults map[string]fault
	// answer, when set, gives the reply to a command; "" means the usual one.
	answer func(s *fakeSession, line string) string

	mu       sync.Mutex
	lines    []string // every command of every session
	sessions int
	messages []received
}

type received struct {
	from    string
	rcpts   []string
	content string
	session int
	tls     bool
	bdat    bool
}

// fault is a way to misbehave; it reports whether the session goes on.
type fault func(s *fakeSession) bool

type fakeSession struct {
	m     *fakeMX
	n     int
	c     net.Conn
	r     *bufio.Reader
	tls   bool
	from  string
	rcpts []string
	mail  bool
}

// The faults. Where a session ends the connection is closed.
func reply(lines ...string) fault {
	return func(s *fakeSession) bool { s.send(lines...); return true }
}

func replyAndClose(lines ...string) fault {
	return func(s *fakeSession) bool { s.send(lines...); return false }
}

func hangs(s *fakeSession) bool {
	// Reads what comes and says nothing, until the client gives up.
	for {
		if _, err := s.r.ReadByte(); err != nil {
			return false
		}
	}
}

func deaf(s *fakeSession) bool {
	time.Sleep(24 * time.Hour) // takes nothing off the connection either
	return false
}

func closes(*fakeSession) bool { return false }

// drips sends an endless line, an octet every ten seconds.
func drips(s *fakeSession) bool {
	for {
		if _, err := s.c.Write([]byte("2")); err != nil {
			return false
		}
		time.Sleep(10 * time.Second)
	}
}

func overlong(s *fakeSession) bool {
	s.send("250-" + strings.Repeat("x", 100<<10))
	return true
}

func (s *fakeSession) send(lines ...string) {
	_, _ = s.c.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
}

func (m *fakeMX) serve(c net.Conn) {
	m.mu.Lock()
	m.sessions++
	s := &fakeSession{m: m, n: m.sessions, c: c, r: bufio.NewReader(c)}
	m.mu.Unlock()
	if m.implicit && !s.negotiate() {
		return
	}
	greeting := m.greeting
	if greeting == "" {
		greeting = "220 mx.test ESMTP"
	}
	if !s.do("greeting", greeting) {
		return
	}
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		m.mu.Lock()
		m.lines = append(m.lines, line)
		m.mu.Unlock()
		if !s.command(line) {
			return
		}
	}
}

// do answers at a place, or misbehaves there.
func (s *fakeSession) do(place string, usual ...string) bool {
	s.m.mu.Lock()
	f := s.m.faults[place]
	s.m.mu.Unlock()
	if f != nil {
		return f(s)
	}
	s.send(usual...)
	return true
}

func (s *fakeSession) command(line string) bool {
	verb, _, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if s.m.answer != nil {
		if r := s.m.answer(s, line); r != "" {
			s.send(r)
			return !strings.HasPrefix(r, "421")
		}
	}
	switch verb {
	case "EHLO":
		return s.do(verb, s.ehlo()...)
	case "STARTTLS":
		return s.startTLS()
	case "MAIL":
		s.mail, s.from, s.rcpts = true, line, nil
		return s.do(verb, "250 2.1.0 Sender OK")
	case "RCPT":
		if !s.mail {
			s.send("503 5.5.1 no MAIL")
			return true
		}
		s.rcpts = append(s.rcpts, line)
		return s.do(verb, "250 2.1.5 Recipient OK")
	case "DATA":
		if s.m.faults["DATA"] == nil && len(s.rcpts) == 0 {
			s.send("503 5.5.1 no RCPT")
			return true
		}
		if !s.do(verb, "354 go ahead") {
			return false
		}
		if s.m.faults["DATA"] != nil {
			return true
		}
		return s.body()
	case "BDAT":
		return s.bdat(line)
	case "QUIT":
		s.do(verb, "221 2.0.0 bye")
		return false
	case "RSET":
		s.mail, s.rcpts = false, nil
		return s.do(verb, "250 2.0.0 reset")
	case "HELO":
		return s.do(verb, "250 mx.test")
	}
	s.send("500 5.5.1 what?")
	return true
}

func (s *fakeSession) ehlo() []string {
	ext := s.m.ext
	if ext == nil {
		ext = []string{"PIPELINING"}
	}
	if s.m.tls != nil && !s.tls {
		ext = append([]string{"STARTTLS"}, ext...)
	}
	if s.tls && s.m.tlsExt != nil {
		ext = s.m.tlsExt
	}
	lines := []string{"250-mx.test Hello"}
	for _, e := range ext {
		lines = append(lines, "250-"+e)
	}
	last := len(lines) - 1
	lines[last] = "250 " + lines[last][4:]
	return lines
}

func (s *fakeSession) startTLS() bool {
	if f := s.m.faults["STARTTLS"]; f != nil {
		return f(s)
	}
	s.send("220 ready")
	return s.negotiate()
}

func (s *fakeSession) negotiate() bool {
	tc := tls.Server(s.c, s.m.tls)
	if tc.Handshake() != nil {
		return false
	}
	s.c, s.r, s.tls = tc, bufio.NewReader(tc), true
	return true
}

func (s *fakeSession) body() bool {
	if f := s.m.faults["body"]; f != nil && !f(s) {
		return false
	}
	var content strings.Builder
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		content.WriteString(strings.TrimPrefix(line, "."))
	}
	return s.end(content.String(), false)
}

func (s *fakeSession) bdat(line string) bool {
	words := strings.Fields(line)
	n, _ := strconv.Atoi(words[1])
	b := make([]byte, n)
	for at := 0; at < n; {
		k, err := s.r.Read(b[at:])
		if err != nil {
			return false
		}
		at += k
	}
	return s.end(string(b), true)
}

func (s *fakeSession) end(content string, bdat bool) bool {
	s.m.mu.Lock()
	s.m.messages = append(s.m.messages, received{s.from, s.rcpts, content, s.n, s.tls, bdat})
	s.m.mu.Unlock()
	s.mail, s.rcpts = false, nil
	return s.do("end", "250 2.6.0 Queued")
}
