//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// laxity is a way in which servers were seen to find the end of content where
// there is none (RFC 5321 4.1.1.4 knows CRLF.CRLF alone).
type laxity struct {
	name string
	// ends are what else ends the content; "^" at the front stands for the
	// beginning of the content.
	ends []string
	// drop are octets that are taken away before an end is looked for.
	drop string
	// chunks says that CHUNKING and BINARYMIME are offered.
	chunks bool
}

var laxities = []laxity{
	{name: "strict"},
	{name: "lf-lf", ends: []string{"\n.\n"}},
	{name: "lf-crlf", ends: []string{"\n.\r\n"}},
	{name: "cr-cr", ends: []string{"\r.\r"}},
	{name: "crlf-lf", ends: []string{"\r\n.\n"}},
	{name: "crlf-cr", ends: []string{"\r\n.\r"}},
	{name: "cr-crlf", ends: []string{"\r.\r\n"}},
	{name: "any", ends: []string{"\n.\n", "\n.\r", "\r.\n", "\r.\r"}},
	{name: "unix", ends: []string{"\n.\n"}, drop: "\r"},
	{name: "chunks", ends: []string{"\n.\n", "\n.\r", "\r.\n", "\r.\r"}, chunks: true},
}

// laxSink is a next hop that ends content by its laxity and carries out what
// follows as commands.
type laxSink struct {
	laxity
	addr string
	open sync.WaitGroup

	mu       sync.Mutex
	taken    map[string]int // messages by recipient
	messages int
	odd      []string // commands that no client of good faith sends
}

func newLaxSink(t *testing.T, l laxity) *laxSink {
	t.Helper()
	s := &laxSink{laxity: l, addr: freeAddr(t), taken: map[string]int{}}
	listener, err := home().listen(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.open.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.open.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
				s.serve(c)
			})
		}
	})
	t.Cleanup(func() { listener.Close() })
	return s
}

func (s *laxSink) serve(c net.Conn) {
	r := bufio.NewReader(c)
	say := func(text string) bool {
		_, err := io.WriteString(c, text+"\r\n")
		return err == nil
	}
	say("220 " + s.name + ".example")
	var rcpts []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			say("250-x\r\n250-8BITMIME")
			if s.chunks {
				say("250-CHUNKING\r\n250-BINARYMIME")
			}
			say("250 PIPELINING")
		case "MAIL", "RSET":
			rcpts = nil
			say("250 ok")
		case "RCPT":
			rcpts = append(rcpts, strings.Trim(strings.TrimPrefix(arg, "TO:"), "<>"))
			say("250 ok")
		case "DATA":
			say("354 go")
			if s.content(r) != nil {
				return
			}
			s.take(rcpts)
			say("250 taken")
		case "BDAT":
			size, _, _ := strings.Cut(arg, " ")
			n, _ := strconv.Atoi(size)
			if _, err := r.Discard(n); err != nil {
				return
			}
			s.take(rcpts)
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			s.mu.Lock()
			s.odd = append(s.odd, line)
			s.mu.Unlock()
			say("500 what")
		}
	}
}

func (s *laxSink) take(rcpts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages++
	for _, r := range rcpts {
		s.taken[r]++
	}
}

// content reads to whatever this sink takes for the end.
func (s *laxSink) content(r *bufio.Reader) error {
	seen := []byte("\r\n") // the content begins at the beginning of a line
	raw := []byte("\r\n")
	for {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		raw = append(raw, b)
		if bytes.HasSuffix(raw, []byte("\r\n.\r\n")) {
			return nil
		}
		if strings.IndexByte(s.drop, b) >= 0 {
			continue
		}
		seen = append(seen, b)
		for _, end := range s.ends {
			if !bytes.HasSuffix(seen, []byte(end)) {
				continue
			}
			// The true end may be about to be complete.
			if next, err := r.Peek(1); strings.HasSuffix(end, "\r") && err == nil && next[0] == '\n' {
				_, _ = r.Discard(1)
			}
			return nil
		}
		if len(raw) > 1<<16 {
			raw, seen = raw[len(raw)-8:], seen[max(0, len(seen)-8):]
		}
	}
}
