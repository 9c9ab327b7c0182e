//go:build linux

package main_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeEnds are what some server somewhere takes for the end of content.
//
// Where NUL is in them, this is promised: a next hop that leaves octets alone
// finds no end in them. A next hop that strips NUL before it looks for the end
// is not among the sinks: NUL passes unchanged, for to take it away would
// change a signed message, and such a next hop can't be kept from ending
// CRLF NUL . CRLF where it likes.
var fakeEnds = []string{
	"\n.\n", "\n.\r\n", "\n.\r", "\r.\r", "\r.\n", "\r.\r\n", "\r\n.\n", "\r\n.\r",
	"\r\n\r.\r\n", "\r\n\r.\n", "\r\r\n.\n", "\n\n.\n\n", "\r\r.\r\r", "\n\n.\r\n", "\r\n\n.\r\n", "\r\n.\r\r", "\r\n.\n\r\n", "\r\n.\r\r\n",
	"\n.\n\n", "\n\r.\n\r", "\n\r.\r\n", "\r\n..\n", "\r\n..\r", "\n..\n", "\r..\r", "\n..\r\n",
	"\r\n.\x00\r\n", "\r\n\x00.\r\n", "\r\n.\r\x00\n", "\r\x00\n.\r\n", "\n\x00.\r\n", "\n.\x00\n", "\r\n.\x00", "\x00\r\n.\n", "\r\n\x00.\n", "\r.\x00\r",
	"\r\n. \r\n", "\r\n.\t\n", "\r\n\v.\r\n", "\r\n\x85.\r\n", "\r\n.\x1a\r\n", "\r\n \n.\n", "\f.\f", "\u2028.\u2028",
}

// smuggled is what would be a message of its own, were the end before it one.
func (s *smuggler) smuggled() string {
	return fmt.Sprintf("MAIL FROM:<ceo@contoso.example>\r\n%sDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n", s.rcpts("smuggled"))
}

func (s *smuggler) rcpts(who string) string {
	var b strings.Builder
	for _, l := range laxities {
		if s.reaches(l) {
			fmt.Fprintf(&b, "RCPT TO:<%s%d@%s.example>\r\n", who, s.n, l.name)
		}
	}
	return b.String()
}

// reaches tells whether an attempt has a recipient at a sink. How the octets
// were parted makes no difference to a next hop; one of them must do.
func (s *smuggler) reaches(l laxity) bool { return s.split == 0 || l.name == "any" }

// smuggler is one attempt.
type smuggler struct {
	n     int
	name  string
	from  string // MAIL
	data  bool   // DATA, or else BDAT
	body  string
	split int // where the octets part into two packets; 0 for one
	addr  string

	taken int // how many messages the gateway took
	err   error
}

// octets is the attempt as it goes over the wire behind EHLO, with a complete
// second message of good faith behind it.
func (s *smuggler) octets() string {
	first := s.from + s.rcpts("first")
	if s.data {
		first += "DATA\r\n" + s.body + "\r\n.\r\n"
	} else {
		first += fmt.Sprintf("BDAT %d LAST\r\n%s", len(s.body), s.body)
	}
	return first + "RSET\r\nMAIL FROM:<a@x.example>\r\n" + s.rcpts("second") + "DATA\r\nSubject: second\r\n\r\nsecond\r\n.\r\nQUIT\r\n"
}

// run makes the attempt and counts the messages that the gateway took.
func (s *smuggler) run() {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.err = err
		return
	}
	defer conn.Close()
	c, err := newClient(conn)
	if err == nil {
		_, err = c.command("EHLO client.example")
	}
	if err != nil {
		s.err = err
		return
	}
	all := s.octets()
	if s.split > 0 {
		at := strings.Index(all, s.body) + s.split
		if s.err = c.send([]byte(all[:at])); s.err != nil {
			return
		}
		time.Sleep(3 * time.Millisecond) // so that they are two packets
		all = all[at:]
	}
	if s.err = c.send([]byte(all)); s.err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	replies, err := io.ReadAll(c.r)
	if err != nil {
		s.err = fmt.Errorf("%w behind %q", err, replies)
	}
	s.taken = strings.Count(string(replies), "\n250 2.6.0 ")
}

// attempts are all the ways to try each fake end: by DATA and BDAT, declared
// binary and not, in the middle and at the very start of the content, in one
// packet and parted at each octet.
func attempts(addrs map[string]string) []*smuggler {
	var all []*smuggler
	add := func(s smuggler) {
		s.n = len(all)
		s.body = strings.ReplaceAll(s.body, "%SMUGGLED%", s.smuggled())
		all = append(all, &s)
	}
	const plain, binary = "MAIL FROM:<a@x.example>\r\n", "MAIL FROM:<a@x.example> BODY=BINARYMIME\r\n"
	for mode, addr := range addrs {
		for _, end := range fakeEnds {
			head := "Subject: first\r\n\r\nfirst"
			bodies := map[string]string{"middle": head + end + "%SMUGGLED%", "start": end + "%SMUGGLED%"}
			// The line end of DATA counts as the one before the dot, so that
			// ".CRLF" alone is the true end (RFC 5321 4.1.1.4).
			if dot := strings.TrimLeft(end, "\r\n"); !strings.HasPrefix(dot, ".\r\n") {
				bodies["dot first"] = dot + "%SMUGGLED%"
			}
			for name, body := range bodies {
				what := fmt.Sprintf("%s, %s, %q", mode, name, end)
				add(smuggler{name: what + ", DATA", from: plain, data: true, body: body, addr: addr})
				add(smuggler{name: what + ", BDAT", from: plain, body: body, addr: addr})
				add(smuggler{name: what + ", BINARYMIME", from: binary, body: body, addr: addr})
			}
			for at := range len(end) + 1 {
				add(smuggler{name: fmt.Sprintf("%s, parted, %q at %d", mode, end, at), from: plain, data: true,
					body: head + end + "%SMUGGLED%", split: len(head) + at, addr: addr})
			}
		}
	}
	return all
}

// Whatever a message holds, no next hop makes two messages out of the one that
// the gateway took, and none is told a command that the gateway did not mean.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.top = impatient
	var sinks []*laxSink
	for _, l := range laxities {
		s := newLaxSink(t, l)
		sinks = append(sinks, s)
		e.route(l.name, l.name+".example", s.addr, "")
	}
	normalising := freeAddr(t)
	e.more = fmt.Sprintf("\n[[receive_connector]]\nname = \"Normalising\"\nbindings = [%q]\nbare_line_ends = \"normalise\"\n%s%s", normalising, unlimited, relay)
	e.receive += "max_protocol_errors = \"unlimited\"\n"
	g := e.serve(t)

	all := attempts(map[string]string{"reject": e.addr, "normalise": normalising})
	work := make(chan *smuggler)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for s := range work {
				s.run()
			}
		})
	}
	for _, s := range all {
		work <- s
	}
	close(work)
	workers.Wait()

	taken := 0
	for _, s := range all {
		if s.err != nil {
			t.Errorf("%s: %v", s.name, s.err)
		}
		// The second message of good faith always comes, the first if it was
		// not refused. A third is one that the gateway itself was led to see.
		if s.taken < 1 || s.taken > 2 {
			t.Errorf("%s: the gateway took %d messages", s.name, s.taken)
		}
		taken += s.taken
	}
	t.Logf("%d attempts, %d messages taken", len(all), taken)

	// A message declared binary fails where BINARYMIME is not offered; the
	// rest arrives everywhere.
	expected := func(s *smuggler, l laxity) int {
		if !s.reaches(l) {
			return 0
		}
		if s.taken == 2 && strings.Contains(s.from, "BINARYMIME") && !l.chunks {
			return 1
		}
		return s.taken
	}
	for _, s := range sinks {
		want := 0
		for _, a := range all {
			want += expected(a, s.laxity)
		}
		untilWithin(t, time.Minute, fmt.Sprintf("%d messages at %s", want, s.name), func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.messages >= want
		})
	}
	g.stop(t)
	for _, s := range sinks {
		s.mu.Lock()
		messages, odd := 0, s.odd
		for _, n := range s.taken {
			messages += n
		}
		for _, a := range all {
			if messages -= expected(a, s.laxity); !a.reaches(s.laxity) {
				continue
			}
			for who, want := range map[string]int{"first": expected(a, s.laxity) - 1, "second": 1, "smuggled": 0} {
				if n := s.taken[fmt.Sprintf("%s%d@%s.example", who, a.n, s.name)]; n != want {
					t.Errorf("%s: %s got the %s message %d times, want %d", a.name, s.name, who, n, want)
				}
			}
		}
		if messages != 0 {
			t.Errorf("%s took %d messages more than the gateway", s.name, messages)
		}
		if len(odd) > 0 {
			t.Errorf("%s was told %.5q", s.name, odd)
		}
		s.mu.Unlock()
	}
}
