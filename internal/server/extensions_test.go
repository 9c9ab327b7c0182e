package server

import (
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// hop is a next hop that keeps envelopes whole.
type hop struct {
	port    int
	arrived chan *letter
}

// letter is a message as a hop got it.
type letter struct {
	mail    smtp.MailOptions
	from    string
	to      []string
	rcpt    []smtp.RcptOptions
	content string
}

func newHop(t *testing.T, change func(*smtp.Server)) *hop {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hop{port: l.Addr().(*net.TCPAddr).Port, arrived: make(chan *letter, 100)}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &hopSession{hop: h}, nil }))
	srv.Domain = "hop.example"
	change(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return h
}

type hopSession struct {
	hop *hop
	l   letter
}

func (s *hopSession) Mail(from string, o *smtp.MailOptions) error {
	s.l.from, s.l.mail = from, *o
	return nil
}

func (s *hopSession) Rcpt(to string, o *smtp.RcptOptions) error {
	s.l.to, s.l.rcpt = append(s.l.to, to), append(s.l.rcpt, *o)
	return nil
}

func (s *hopSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err == nil {
		l := s.l
		l.content = string(raw)
		s.hop.arrived <- &l
	}
	return err
}

func (s *hopSession) Reset()        { s.l = letter{} }
func (s *hopSession) Logout() error { return nil }

func (h *hop) next(t *testing.T) *letter {
	t.Helper()
	select {
	case l := <-h.arrived:
		return l
	case <-time.After(wait):
		t.Fatal("no message arrived")
		return nil
	}
}

// twoHops is a gateway between the Internet and two next hops: modern.example
// has every extension, old.example none that it can do without. Notifications
// go to the modern one.
func twoHops(t *testing.T) (modern, old *hop, port int) {
	t.Helper()
	modern = newHop(t, func(s *smtp.Server) { s.EnableBINARYMIME, s.EnableSMTPUTF8, s.EnableDSN = true, true, true })
	old = newHop(t, func(*smtp.Server) {})
	port = freePort(t)
	s := start(t, Options{Config: parse(t, fmt.Sprintf(`[server]
fqdn = "edge.contoso.example"
data_dir = %q
[[accepted_domain]]
domain = "modern.example"
[[accepted_domain]]
domain = "old.example"
[[accepted_domain]]
domain = "bücher.example"
[[receive_connector]]
name = "From Internet"
tarpit_interval = "0s"
bindings = ["127.0.0.1:%d"]
permission_groups = ["anonymous"]
[[send_connector]]
name = "Modern"
address_spaces = ["modern.example", "bücher.example", "sender.example"]
smart_hosts = ["127.0.0.1:%d"]
[[send_connector]]
name = "Old"
address_spaces = ["old.example"]
smart_hosts = ["127.0.0.1:%d"]
`, t.TempDir(), port, modern.port, old.port))})
	t.Cleanup(func() { stop(t, s) })
	return modern, old, port
}

// converse sends each command and expects the code of the reply that stands
// before it.
func converse(t *testing.T, port int, dialog ...string) {
	t.Helper()
	c, err := textproto.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	for _, line := range dialog {
		code, command, _ := strings.Cut(line, " ")
		if _, err := io.WriteString(c.W, command); err != nil {
			t.Fatal(err)
		}
		c.W.Flush()
		var want int
		fmt.Sscan(code, &want)
		if _, _, err := c.ReadResponse(want); err != nil {
			t.Fatalf("%.60q: %v", command, err)
		}
	}
}

// failure checks that a letter is a notification that says status.
func failure(t *testing.T, l *letter, action, status string) {
	t.Helper()
	if l.from != "" || !strings.Contains(l.content, "\r\nAction: "+action+"\r\n") || !strings.Contains(l.content, "\r\nStatus: "+status+"\r\n") {
		t.Errorf("want a notification with %s and %s:\n%s", action, status, l.content)
	}
}

// TestBinaryMIMEThrough: a BINARYMIME message arrives octet by octet at a next
// hop that takes it, and comes back from one that does not.
func TestBinaryMIMEThrough(t *testing.T) {
	modern, old, port := twoHops(t)
	content := "Subject: x\r\n\r\n\r\n.\r\n\n\r\x00\xff."
	converse(t, port, "250 EHLO client.example\r\n", "250 MAIL FROM:<a@sender.example> BODY=BINARYMIME\r\n",
		"250 RCPT TO:<b@modern.example>\r\n", "250 RCPT TO:<b@old.example>\r\n",
		"250 BDAT 12\r\n"+content[:12], fmt.Sprintf("250 BDAT %d LAST\r\n%s", len(content)-12, content[12:]), "221 QUIT\r\n")
	for range 2 {
		l := modern.next(t)
		if l.to[0] == "b@modern.example" {
			if !strings.HasSuffix(l.content, content) || l.mail.Body != smtp.BodyBinaryMIME {
				t.Errorf("arrived %q as %s", l.content, l.mail.Body)
			}
			continue
		}
		failure(t, l, "failed", "5.6.11")
		if l.to[0] != "a@sender.example" || strings.Contains(l.content, "\x00") {
			t.Errorf("the notification went to %v:\n%q", l.to, l.content)
		}
	}
	if len(old.arrived) > 0 {
		t.Errorf("the old next hop got %+v", <-old.arrived)
	}
}

// TestSMTPUTF8Through: a message in UTF-8 arrives at a next hop that takes it,
// and comes back from one that does not, to a sender in UTF-8.
func TestSMTPUTF8Through(t *testing.T) {
	modern, old, port := twoHops(t)
	const content = "From: <usér@sender.example>\r\nSubject: grüße\r\n\r\nx\r\n"
	converse(t, port, "250 EHLO client.example\r\n", "250 MAIL FROM:<usér@sender.example> BODY=8BITMIME SMTPUTF8\r\n",
		"250 RCPT TO:<δοκιμή@bücher.example>\r\n", "250 RCPT TO:<b@old.example>\r\n",
		"354 DATA\r\n", "250 "+content+".\r\n", "221 QUIT\r\n")
	for range 2 {
		l := modern.next(t)
		if !l.mail.UTF8 {
			t.Errorf("sent without SMTPUTF8: %+v", l)
		}
		if l.to[0] == "δοκιμή@bücher.example" {
			if l.from != "usér@sender.example" || !strings.HasSuffix(l.content, content) || !strings.Contains(l.content, "with UTF8SMTP ") {
				t.Errorf("arrived: %+v", l)
			}
			continue
		}
		failure(t, l, "failed", "5.6.7")
		if l.to[0] != "usér@sender.example" {
			t.Errorf("the notification went to %v", l.to)
		}
	}
	if len(old.arrived) > 0 {
		t.Errorf("the old next hop got %+v", <-old.arrived)
	}
}

// TestNeedlessSMTPUTF8: clients ask for SMTPUTF8 whenever it is offered. A
// message that is all US-ASCII goes to a next hop without it all the same, one
// with a field in UTF-8 does not.
func TestNeedlessSMTPUTF8(t *testing.T) {
	modern, old, port := twoHops(t)
	for _, content := range []string{"Subject: plain\r\n\r\ngr\u00fc\u00dfe in the body\r\n", "Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n"} {
		converse(t, port, "250 EHLO client.example\r\n", "250 MAIL FROM:<a@sender.example> BODY=8BITMIME SMTPUTF8\r\n",
			"250 RCPT TO:<b@old.example>\r\n", "354 DATA\r\n", "250 "+content+".\r\n", "221 QUIT\r\n")
	}
	if l := old.next(t); !strings.Contains(l.content, "Subject: plain") || len(old.arrived) > 0 {
		t.Errorf("arrived: %+v", l)
	}
	failure(t, modern.next(t), "failed", "5.6.7")
}

// TestDSNThrough: the parameters arrive at a next hop with DSN, and for one
// without it the gateway tells the sender that the message went on.
func TestDSNThrough(t *testing.T) {
	modern, old, port := twoHops(t)
	converse(t, port, "250 EHLO client.example\r\n", "250 MAIL FROM:<a@sender.example> RET=FULL ENVID=Q+2B1\r\n",
		"250 RCPT TO:<b@modern.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@first.example\r\n",
		"250 RCPT TO:<c@old.example> NOTIFY=SUCCESS ORCPT=rfc822;c@first.example\r\n",
		"250 RCPT TO:<d@old.example> NOTIFY=FAILURE\r\n",
		"354 DATA\r\n", "250 Subject: x\r\n\r\nbody\r\n.\r\n", "221 QUIT\r\n")
	for range 2 {
		l := modern.next(t)
		if l.to[0] == "b@modern.example" {
			if l.mail.Return != smtp.DSNReturnFull || l.mail.EnvelopeID != "Q+1" || len(l.rcpt[0].Notify) != 2 || l.rcpt[0].OriginalRecipient != "x+y@first.example" {
				t.Errorf("arrived with %+v, %+v", l.mail, l.rcpt)
			}
			continue
		}
		failure(t, l, "relayed", "2.0.0")
		for _, want := range []string{"Original-Envelope-Id: Q+1\r\n", "Original-Recipient: rfc822; c@first.example\r\n", "Final-Recipient: rfc822; c@old.example\r\n"} {
			if !strings.Contains(l.content, want) {
				t.Errorf("the notification lacks %q:\n%s", want, l.content)
			}
		}
		if l.to[0] != "a@sender.example" || strings.Contains(l.content, "d@old.example") || len(l.rcpt[0].Notify) != 1 || l.rcpt[0].Notify[0] != smtp.DSNNotifyNever {
			t.Errorf("the notification went to %v with %+v:\n%s", l.to, l.rcpt, l.content)
		}
	}
	if l := old.next(t); len(l.to) != 2 || l.mail.EnvelopeID != "" {
		t.Errorf("the old next hop got %+v", l)
	}
}
