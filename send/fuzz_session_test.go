package send

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
)

// spoken is a next hop that says what it was told to, whatever it hears. In
// the script a NUL octet is an instruction; what follows it says which:
//
//	\0w   wait until the client has said something that was not heard yet
//	\0p   pause for a second
//	\0P   pause for three minutes
//	\0c   close
//	\0r   reset
//	\0n   the script of the next connection begins
//
// It keeps what each connection heard.
type spoken struct {
	mu      sync.Mutex
	scripts [][]byte
	heard   []*bytes.Buffer
	said    bytes.Buffer // by all connections, without the marks
}

func newSpoken(script []byte) *spoken {
	return &spoken{scripts: bytes.Split(script, []byte("\x00n"))}
}

func (s *spoken) serve(c net.Conn) {
	s.mu.Lock()
	n := len(s.heard)
	heard := &bytes.Buffer{}
	s.heard = append(s.heard, heard)
	s.mu.Unlock()
	if n >= len(s.scripts) {
		return
	}
	wake := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			k, err := c.Read(b)
			s.mu.Lock()
			heard.Write(b[:k])
			s.mu.Unlock()
			select {
			case wake <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	s.speak(c, s.scripts[n], wake)
	// Whoever has nothing more to say listens until the client goes.
	<-done
	_ = c.Close()
}

func (s *spoken) speak(c net.Conn, script []byte, wake chan struct{}) {
	for len(script) > 0 {
		text, rest, found := bytes.Cut(script, []byte{0})
		s.mu.Lock()
		s.said.Write(text)
		s.mu.Unlock()
		if _, err := c.Write(text); err != nil || !found {
			return
		}
		if script = rest; len(script) == 0 {
			return
		}
		switch script[0] {
		case 'w':
			select {
			case <-wake:
			case <-time.After(time.Hour):
			}
		case 'p':
			time.Sleep(time.Second)
		case 'P':
			time.Sleep(3 * time.Minute)
		case 'c':
			_ = c.Close()
			return
		case 'r':
			c.(*memConn).reset()
			return
		}
		script = script[1:]
	}
}

// fuzzText is a message whose lines would be commands if they ever came to
// where commands are read.
const fuzzText = "Subject: x\r\n\r\nQUIT\r\n.\r\nRSET\r\n.\r\nMAIL FROM:<smuggled@x.test>\r\n"

// FuzzSession lets a next hop say anything at any time. The delivery ends in
// time, each recipient has one outcome which a reply that was said bears out,
// what the client sends is whole commands and whole content in their order,
// and no message goes out again once it was accepted.
func FuzzSession(f *testing.F) {
	const open = "220 mx.test\r\n\x00w250-mx.test\r\n250 PIPELINING\r\n\x00w"
	const step = "220 mx.test\r\n\x00w250-mx.test\r\n250-CHUNKING\r\n250 BINARYMIME\r\n\x00w"
	for _, seed := range []string{
		open + "250 a\r\n250 b\r\n550 5.1.1 c\r\n354 d\r\n\x00w250 e\r\n\x00w221 f\r\n\x00c",
		open + "250 a\r\n550 b\r\n550 c\r\n354 d\r\n\x00w250 e\r\n",
		open + "250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n",
		open + "250 a\r\n250 b\r\n250 c\r\n250 stray\r\n354 d\r\n250 e\r\n",
		open + "250 a\r\n250 b\r\n452 4.5.3 c\r\n354 d\r\n\x00w250 e\r\n\x00w250 a\r\n250 b\r\n354 c\r\n\x00w250 d\r\n",
		open + "451 4.3.0 a\r\n503 b\r\n503 c\r\n503 d\r\n\x00n" + open + "421 bye\r\n\x00c",
		open + "250 a\r\n\x00c\x00n" + step + "250 a\r\n",
		step + "250 a\r\n\x00w250 b\r\n\x00w250 c\r\n\x00w250 d\r\n\x00w221 e\r\n",
		step + "250 a\r\n\x00w250 b\r\n250 b\r\n\x00w250 c\r\n\x00w250 d\r\n",
		step + "\x00w250-a\r\n\x00P250 a\r\n\x00w250 b\x00P\x00P",
		"220-x\r\n\x00p220 y\r\n\x00w500 what\r\n\x00w250 helo\r\n\x00w250 a\r\n\x00r",
		"421 no\r\n\x00c\x00n554 no\r\n\x00n\xff\xfe\r\n",
		open + "250 a\n250 b\n250 c\n354 \n\x00w250 0\x0011\n", // a mark within a reply
	} {
		f.Add([]byte(seed), false, false)
		f.Add([]byte(seed), true, true)
	}
	f.Fuzz(func(t *testing.T, script []byte, binary, twice bool) {
		if len(script) > 8<<10 {
			t.Skip()
		}
		synctest.Test(t, func(t *testing.T) { fuzzSession(t, script, binary, twice) })
	})
}

func fuzzSession(t *testing.T, script []byte, binary, twice bool) {
	mx := newSpoken(script)
	b := newBench(t, nil)
	b.net.hosts[netip.MustParseAddrPort("192.0.2.25:25")] = mx.serve
	d := mail(fuzzText, "a", "b")
	if binary {
		d.Envelope.Body = message.BodyBinaryMIME
	}
	reports := []message.Report{b.fuzzDeliver(d)}
	if twice { // perhaps over the connection of the first
		time.Sleep(time.Second)
		reports = append(reports, b.fuzzDeliver(mail(fuzzText, "c")))
	}
	b.stop()
	accepted := 0
	for _, h := range mx.heard {
		n, err := follow(h.Bytes())
		if err != nil {
			t.Errorf("%v; the client sent\n%q", err, h)
		}
		accepted += n
	}
	// Content goes out once, and once more for a recipient who had to wait for
	// his turn.
	if most := map[bool]int{false: 2, true: 3}[twice]; accepted > most {
		t.Errorf("%d messages were sent whole", accepted)
	}
	said := mx.said.String()
	for _, r := range reports {
		for _, o := range r.Outcomes {
			switch {
			case o.Status == message.Delivered && accepted == 0:
				t.Errorf("delivered, but no content was sent whole: %s", sum(r))
			case o.Status == message.Delivered && !strings.Contains(said, strings.SplitN(o.Reply.Text, "\n", 2)[0]):
				t.Errorf("delivered by a reply that was not said: %s", sum(r))
			}
		}
	}
}

// fuzzDeliver bounds the time: every phase at its longest, for each of the
// connections of an attempt.
func (b *bench) fuzzDeliver(d *message.Delivery) message.Report {
	start := time.Now()
	r := b.deliver(context.Background(), hop(), d)
	if took := time.Since(start); took > 3*time.Hour {
		b.t.Errorf("took %v", took)
	}
	return r
}

// follow reads what a client sent and fails if it is anything but whole
// commands with whole content behind DATA and BDAT, of which the last alone
// may be cut short. It returns how many messages were sent whole.
func follow(b []byte) (whole int, err error) {
	const stuffed = "Subject: x\r\n\r\nQUIT\r\n..\r\nRSET\r\n..\r\nMAIL FROM:<smuggled@x.test>\r\n.\r\n"
	data := false // DATA was sent: content, its end, or a command may follow
	for len(b) > 0 {
		if data {
			data = false
			switch {
			case bytes.HasPrefix(b, []byte(stuffed)):
				whole, b = whole+1, b[len(stuffed):]
				continue
			case strings.HasPrefix(stuffed, string(b)):
				return whole, nil // cut short
			case bytes.HasPrefix(b, []byte(".\r\n")):
				b = b[3:] // nobody was accepted
				continue
			}
		}
		line, rest, found := bytes.Cut(b, []byte("\r\n"))
		if !found {
			return whole, io.ErrUnexpectedEOF
		}
		b = rest
		switch l := string(line); {
		case l == "EHLO out.contoso.example", l == "HELO out.contoso.example", l == "STARTTLS", l == "RSET", l == "QUIT",
			strings.HasPrefix(l, "MAIL FROM:<sender@contoso.example>"), strings.HasPrefix(l, "RCPT TO:<") && strings.HasSuffix(l, "@example.test>"):
		case l == "DATA":
			data = true
		case strings.HasPrefix(l, "BDAT "):
			if !bytes.HasPrefix(b, []byte(fuzzText)) {
				if strings.HasPrefix(fuzzText, string(b)) {
					return whole, nil
				}
				return whole, io.ErrShortBuffer
			}
			whole, b = whole+1, b[len(fuzzText):]
		default:
			return whole, io.ErrNoProgress
		}
	}
	return whole, nil
}
