package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// probeLetter is a message as the next hop of a probe got it.
type probeLetter struct {
	commands []string // MAIL and RCPT, as they came
	content  string
}

var receivedID = regexp.MustCompile(`\sid ([0-9A-Z]{10,})`)

// split parts the content into our trace fields and what arrived from the
// client: the Received field and, behind it, those that a submission lacked.
func (l *probeLetter) split() (trace, rest string) {
	n, fields := 0, 0
	for n < len(l.content) {
		end := n
		for {
			i := strings.Index(l.content[end:], "\r\n")
			if i < 0 {
				return l.content[:n], l.content[n:]
			}
			end += i + 2
			if end >= len(l.content) || l.content[end] != ' ' && l.content[end] != '\t' {
				break
			}
		}
		field := l.content[n:end]
		ours := fields == 0 && strings.HasPrefix(field, "Received:") ||
			fields > 0 && strings.HasPrefix(field, "Message-ID: <"+l.id()+"@") ||
			fields > 0 && strings.HasPrefix(field, "Date: ") // no probe begins with one
		if !ours {
			break
		}
		n, fields = end, fields+1
	}
	return l.content[:n], l.content[n:]
}

// id is our queue id in the topmost field.
func (l *probeLetter) id() string {
	head, _, _ := strings.Cut(l.content, ";")
	if m := receivedID.FindStringSubmatch(head); m != nil {
		return m[1]
	}
	return ""
}

// notification reports whether it is one of ours.
func (l *probeLetter) notification() bool {
	return strings.HasPrefix(l.commands[0], "MAIL FROM:<>") && strings.Contains(l.content, "report-type=delivery-status")
}

// probeSink is a next hop that takes every message and keeps it under the queue
// id that stands in its trace field.
type probeSink struct {
	port     int
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	letters map[string][]*probeLetter
	changed chan struct{} // closed and made anew with every letter
	conns   map[net.Conn]struct{}
}

func newProbeSink(t *testing.T) *probeSink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &probeSink{
		port: l.Addr().(*net.TCPAddr).Port, listener: l, letters: map[string][]*probeLetter{},
		changed: make(chan struct{}), conns: map[net.Conn]struct{}{},
	}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *probeSink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// serve is as little of a server as a gateway needs, so that nothing that
// arrives is read in more than one way.
func (s *probeSink) serve(c net.Conn) {
	r := bufio.NewReader(c)
	var l probeLetter
	var chunks bytes.Buffer
	fmt.Fprintf(c, "220 sink.example ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			fmt.Fprintf(c, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n250 DSN\r\n")
		case "MAIL":
			l = probeLetter{commands: []string{line}}
			fmt.Fprintf(c, "250 ok\r\n")
		case "RCPT":
			l.commands = append(l.commands, line)
			fmt.Fprintf(c, "250 ok\r\n")
		case "DATA":
			fmt.Fprintf(c, "354 go\r\n")
			if l.content, err = readDots(r); err != nil {
				return
			}
			s.keep(l)
			fmt.Fprintf(c, "250 kept\r\n")
		case "BDAT":
			var n int64
			fmt.Sscan(arg, &n)
			if _, err := io.CopyN(&chunks, r, n); err != nil {
				return
			}
			if strings.HasSuffix(arg, " LAST") {
				l.content = chunks.String()
				chunks.Reset()
				s.keep(l)
			}
			fmt.Fprintf(c, "250 ok\r\n")
		case "QUIT":
			fmt.Fprintf(c, "221 bye\r\n")
			return
		default:
			fmt.Fprintf(c, "250 ok\r\n")
		}
	}
}

// readDots reads content up to CRLF.CRLF and takes the dots off (RFC 5321
// 4.5.2).
func readDots(r *bufio.Reader) (string, error) {
	var b strings.Builder
	whole := true // the last line ended in CRLF
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if whole {
			if line == ".\r\n" {
				return b.String(), nil
			}
			line = strings.TrimPrefix(line, ".")
		}
		whole = strings.HasSuffix(line, "\r\n")
		b.WriteString(line)
	}
}

func (s *probeSink) keep(l probeLetter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters[l.id()] = append(s.letters[l.id()], &l)
	close(s.changed)
	s.changed = make(chan struct{})
}

// take waits for the message with that queue id.
func (s *probeSink) take(id string) (*probeLetter, error) {
	l, err := s.takeAll(id, 1)
	if err != nil {
		return nil, err
	}
	return l[0], nil
}

// takeAll waits for n transactions of the message with that queue id.
func (s *probeSink) takeAll(id string, n int) ([]*probeLetter, error) {
	timeout := time.After(probeWait)
	for {
		s.mu.Lock()
		l, changed := s.letters[id], s.changed
		s.mu.Unlock()
		if len(l) >= n {
			return l, nil
		}
		select {
		case <-changed:
		case <-timeout:
			return nil, fmt.Errorf("message %s did not arrive at the next hop", id)
		}
	}
}

// check says what arrived although no client was told that it was taken, and
// what arrived more than once.
func (s *probeSink) check(t *testing.T, accepted map[string]bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, letters := range s.letters {
		switch {
		case accepted[id] && len(letters) == 1:
		case accepted[id]:
			t.Errorf("message %s arrived %d times", id, len(letters))
		default:
			for _, l := range letters {
				if !l.notification() {
					t.Errorf("message %q arrived that nobody was told was taken: %q\n%.500q", id, l.commands, l.content)
				}
			}
		}
	}
}
