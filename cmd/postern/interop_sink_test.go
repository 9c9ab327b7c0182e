//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sinkOptions say how a sink behaves. The zero value is a server that offers
// the usual extensions in clear text and takes everything.
type sinkOptions struct {
	Place *place // nil: home
	Addr  string // empty: a free port of 127.0.0.1
	// Keywords are the EHLO keywords; nil means the usual ones. STARTTLS is
	// added while TLS is set and not yet in use.
	Keywords []string
	TLS      *tls.Config
	// BreakTLS ends the connection after the 220 to STARTTLS.
	BreakTLS bool
	// Answer may answer a command, the greeting (line "") or the end of data
	// (line ".") instead of the sink; "" leaves it to the sink. A reply of 421
	// also ends the session.
	Answer func(session int, line string) string
	// Delay is how long the reply to the end of data is held back.
	Delay time.Duration
}

// delivery is a message that a sink has taken.
type delivery struct {
	Session int
	Peer    string // the address that the connection came from
	Helo    string
	Mail    string   // the argument of MAIL, as received
	Rcpt    []string // the arguments of the accepted RCPT commands
	Data    []byte   // the exact octets, dots unstuffed
	TLS     bool
	Chunked bool
	At      time.Time // when the 250 was about to be written
}

// sink is a raw SMTP server that keeps envelopes and exact octets. It is an
// independent judge: it shares no code with the gateway.
type sink struct {
	addr     string
	o        sinkOptions
	listener net.Listener
	open     sync.WaitGroup

	mu         sync.Mutex
	changed    chan struct{}
	deliveries []*delivery
	sessions   int
	commands   []string // "session line" of every command
	conns      map[net.Conn]bool
	closed     bool
}

func newSink(t testing.TB, o sinkOptions) *sink {
	t.Helper()
	if o.Place == nil {
		o.Place = home()
	}
	anywhere := o.Addr == ""
	if anywhere {
		o.Addr = freeAddr(t)
	}
	if o.Keywords == nil {
		o.Keywords = []string{"SIZE 0", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"}
	}
	s := &sink{addr: o.Addr, o: o, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	for range 10 { // what was free may be taken by now
		l, err := o.Place.listen(s.addr)
		if err == nil {
			l.Close()
			break
		}
		if !anywhere {
			break
		}
		s.addr = freeAddr(t)
	}
	s.listen(t)
	t.Cleanup(s.close)
	return s
}

// listen begins to listen, also again after close.
func (s *sink) listen(t testing.TB) {
	t.Helper()
	l, err := s.o.Place.listen(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.listener, s.closed = l, false
	s.mu.Unlock()
	s.open.Add(1)
	go func() {
		defer s.open.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			n := s.sessions
			s.sessions++
			s.conns[c] = true
			over := s.closed
			s.mu.Unlock()
			if over {
				c.Close()
				return
			}
			s.open.Add(1)
			go func() {
				defer s.open.Done()
				(&sinkSession{sink: s, n: n, conn: c, r: bufio.NewReaderSize(c, 64<<10)}).serve()
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
		}
	}()
}

func peerOf(c net.Conn) string {
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	return host
}

// close ends the sink and its sessions, as a host that goes down.
func (s *sink) close() {
	s.mu.Lock()
	s.closed = true
	s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.open.Wait()
}

func (s *sink) note(f func()) {
	s.mu.Lock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// all returns what was delivered so far.
func (s *sink) all() []*delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deliveries)
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.deliveries)
}

// log returns the commands so far, each with the number of its session.
func (s *sink) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// sessionCount is how many connections there were.
func (s *sink) sessionCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// await waits until there are n deliveries, and returns all.
func (s *sink) await(t testing.TB, n int) []*delivery {
	t.Helper()
	return s.awaitWithin(t, patience, n)
}

func (s *sink) awaitWithin(t testing.TB, limit time.Duration, n int) []*delivery {
	t.Helper()
	s.awaitThat(t, limit, fmt.Sprintf("%d deliveries", n), func() bool { return len(s.deliveries) >= n })
	return s.all()
}

// awaitThat waits for a condition on the sink's fields, which holds the lock.
func (s *sink) awaitThat(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	timeout := time.After(limit)
	for {
		s.mu.Lock()
		met, changed, n := condition(), s.changed, len(s.deliveries)
		s.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			log := s.log()
			t.Fatalf("after %v the sink still waits for %s; it has %d deliveries, its last commands are:\n%s", limit, what, n,
				strings.Join(log[max(0, len(log)-20):], "\n"))
		}
	}
}

// sinkSession is one connection to a sink.
type sinkSession struct {
	sink *sink
	n    int
	conn net.Conn
	r    *bufio.Reader
	tls  bool
	d    *delivery
	helo string
}

func (s *sinkSession) write(text string) bool {
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(s.conn, text)
	return err == nil
}

// answer writes the hook's reply, or else the given one, and tells whether it
// was a positive one and whether the session goes on.
func (s *sinkSession) answer(line, reply string) (ok, goesOn bool) {
	if s.sink.o.Answer != nil {
		if a := s.sink.o.Answer(s.n, line); a != "" {
			reply = a
		}
	}
	sent := s.write(reply + "\r\n")
	return reply[0] < '4', sent && !strings.HasPrefix(reply, "421")
}

func (s *sinkSession) serve() {
	if _, ok := s.answer("", "220 sink.example ESMTP"); !ok {
		return
	}
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		line, crlf := strings.CutSuffix(line, "\r\n")
		s.sink.note(func() { s.sink.commands = append(s.sink.commands, strconv.Itoa(s.n)+" "+line) })
		if !crlf {
			s.write("500 5.5.2 commands end with CRLF\r\n")
			return
		}
		if !s.command(line) {
			return
		}
	}
}

// command carries out one command and tells whether the session goes on.
func (s *sinkSession) command(line string) bool {
	verb, arg, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO":
		s.helo, s.d = arg, nil
		return s.hello(line)
	case "STARTTLS":
		return s.startTLS(line)
	case "MAIL":
		ok, goesOn := s.answer(line, "250 2.1.0 ok")
		if ok {
			s.d = &delivery{Session: s.n, Peer: peerOf(s.conn), Helo: s.helo, Mail: arg, TLS: s.tls}
		}
		return goesOn
	case "RCPT":
		if s.d == nil {
			return s.write("503 5.5.1 MAIL first\r\n")
		}
		ok, goesOn := s.answer(line, "250 2.1.5 ok")
		if ok {
			s.d.Rcpt = append(s.d.Rcpt, arg)
		}
		return goesOn
	case "DATA":
		return s.data(line)
	case "BDAT":
		return s.bdat(arg)
	case "RSET":
		s.d = nil
		return s.write("250 2.0.0 ok\r\n")
	case "NOOP":
		return s.write("250 2.0.0 ok\r\n")
	case "QUIT":
		s.write("221 2.0.0 bye\r\n")
		return false
	}
	return s.write("502 5.5.1 unknown\r\n")
}

func (s *sinkSession) hello(line string) bool {
	if line[:4] == "HELO" {
		_, goesOn := s.answer(line, "250 sink.example")
		return goesOn
	}
	words := append([]string{"sink.example"}, s.sink.o.Keywords...)
	if s.sink.o.TLS != nil && !s.tls {
		words = append(words, "STARTTLS")
	}
	var b strings.Builder
	for i, w := range words {
		sep := "-"
		if i == len(words)-1 {
			sep = " "
		}
		b.WriteString("250" + sep + w + "\r\n")
	}
	_, goesOn := s.answer(line, strings.TrimSuffix(b.String(), "\r\n"))
	return goesOn
}

func (s *sinkSession) startTLS(line string) bool {
	if s.sink.o.TLS == nil || s.tls {
		return s.write("502 5.5.1 not offered\r\n")
	}
	if ok, goesOn := s.answer(line, "220 2.0.0 go ahead"); !ok || !goesOn {
		return goesOn
	}
	if s.sink.o.BreakTLS || s.r.Buffered() > 0 {
		return false
	}
	c := tls.Server(s.conn, s.sink.o.TLS)
	_ = c.SetDeadline(time.Now().Add(patience))
	if c.Handshake() != nil {
		return false
	}
	s.conn, s.r, s.tls, s.d = c, bufio.NewReaderSize(c, 64<<10), true, nil
	return true
}

func (s *sinkSession) data(line string) bool {
	if s.d == nil || len(s.d.Rcpt) == 0 {
		return s.write("503 5.5.1 RCPT first\r\n")
	}
	if ok, goesOn := s.answer(line, "354 go ahead"); !ok {
		return goesOn
	}
	content, err := readData(s.r)
	if err != nil {
		return false
	}
	s.d.Data = content
	return s.finish()
}

func (s *sinkSession) bdat(arg string) bool {
	size, last, _ := strings.Cut(arg, " ")
	n, err := strconv.Atoi(size)
	if err != nil || s.d == nil || len(s.d.Rcpt) == 0 {
		return false
	}
	chunk := make([]byte, n)
	if _, err := io.ReadFull(s.r, chunk); err != nil {
		return false
	}
	s.d.Data = append(s.d.Data, chunk...)
	s.d.Chunked = true
	if strings.EqualFold(last, "LAST") {
		return s.finish()
	}
	return s.write("250 2.0.0 chunk\r\n")
}

func (s *sinkSession) finish() bool {
	time.Sleep(s.sink.o.Delay)
	d := s.d
	s.d = nil
	if s.sink.o.Answer != nil {
		if a := s.sink.o.Answer(s.n, "."); a != "" {
			return s.write(a+"\r\n") && !strings.HasPrefix(a, "421")
		}
	}
	d.At = time.Now()
	s.sink.note(func() { s.sink.deliveries = append(s.sink.deliveries, d) })
	return s.write("250 2.6.0 taken\r\n")
}

// readData reads to the line with a single dot, where a line ends with CRLF
// and nothing else, and takes the stuffed dots away.
func readData(r *bufio.Reader) ([]byte, error) {
	var content, line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !bytes.HasSuffix(line, []byte("\r\n")) {
			continue // a bare LF is content
		}
		if string(line) == ".\r\n" {
			return content, nil
		}
		if line[0] == '.' {
			line = line[1:]
		}
		content = append(content, line...)
		line = line[:0]
	}
}
