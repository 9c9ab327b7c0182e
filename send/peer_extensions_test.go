package send

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/config"
	"postern/internal/message"
)

// optionsPeer is an independent server that keeps how it understood MAIL and
// RCPT.
type optionsPeer struct {
	mu  sync.Mutex
	got []parsedMessage
}

type parsedMessage struct {
	from    string
	mail    smtp.MailOptions
	to      []string
	rcpt    []smtp.RcptOptions
	content string
}

type optionsSession struct {
	p   *optionsPeer
	cur parsedMessage
}

func (s *optionsSession) Mail(from string, o *smtp.MailOptions) error {
	s.cur = parsedMessage{from: from, mail: *o}
	return nil
}

func (s *optionsSession) Rcpt(to string, o *smtp.RcptOptions) error {
	s.cur.to, s.cur.rcpt = append(s.cur.to, to), append(s.cur.rcpt, *o)
	return nil
}

func (s *optionsSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.cur.content = string(b)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.got = append(s.p.got, s.cur)
	return nil
}

func (s *optionsSession) Reset()        {}
func (s *optionsSession) Logout() error { return nil }

// TestPeerExtensions: an independent server understands every parameter as it
// was meant, in clear text and over TLS.
func TestPeerExtensions(t *testing.T) {
	server := testServerTLS(t, "127.0.0.1", "peer.test")
	p := &optionsPeer{}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &optionsSession{p: p}, nil }))
	srv.Domain, srv.TLSConfig = "peer.test", server
	srv.EnableSMTPUTF8, srv.EnableDSN, srv.EnableBINARYMIME, srv.EnableREQUIRETLS, srv.EnableDELIVERBY = true, true, true, true, true
	srv.MaxRecipients, srv.MaxMessageBytes = 3, 4<<20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() { _ = srv.Close(); _ = l.Close(); done.Wait() })

	large := strings.Repeat(strings.Repeat("x", 70)+"\r\n", chunkingFrom/72+1)
	for _, mode := range []string{config.TLSIgnoreSTARTTLS, config.TLSRequired} {
		for _, tt := range []struct {
			name    string
			content string
			change  func(d *message.Delivery)
			check   func(m parsedMessage) bool
		}{
			{"plain", "x\r\n", func(*message.Delivery) {}, func(m parsedMessage) bool {
				return m.from == "sender@contoso.example" && m.mail.Body == "" && m.mail.Size == 3 && !m.mail.UTF8 && !m.mail.RequireTLS && m.mail.EnvelopeID == ""
			}},
			{"null reverse path", "x\r\n", func(d *message.Delivery) { d.Envelope.From = message.Address{} }, func(m parsedMessage) bool { return m.from == "" }},
			{"7BIT", "x\r\n", func(d *message.Delivery) { d.Envelope.Body = message.Body7Bit }, func(m parsedMessage) bool { return m.mail.Body == smtp.Body7Bit }},
			{"8BITMIME", "caf\xc3\xa9\r\n", func(d *message.Delivery) { d.Envelope.Body = message.Body8BitMIME }, func(m parsedMessage) bool { return m.mail.Body == smtp.Body8BitMIME }},
			{"BINARYMIME by BDAT", "\x00\n.\n\r.\r\r\n.\r\n\xff", func(d *message.Delivery) { d.Envelope.Body = message.BodyBinaryMIME },
				func(m parsedMessage) bool { return m.mail.Body == smtp.BodyBinaryMIME }},
			{"large content by BDAT", large, func(*message.Delivery) {}, func(m parsedMessage) bool { return m.mail.Size == int64(len(large)) }},
			{"SMTPUTF8", "Subject: grüße\r\n\r\n", func(d *message.Delivery) {
				d.Envelope.SMTPUTF8, d.Envelope.Body = true, message.Body8BitMIME
				d.Envelope.From.Local, d.Envelope.Recipients[0].Address.Local, d.Envelope.Recipients[0].Address.Domain = "usér", "δοκιμή", "bücher.test"
			}, func(m parsedMessage) bool {
				return m.mail.UTF8 && m.from == "usér@contoso.example" && m.to[0] == "δοκιμή@bücher.test"
			}},
			{"DSN", "x\r\n", func(d *message.Delivery) {
				d.Envelope.Return, d.Envelope.EnvID = message.ReturnHeaders, "Q=1+2 x"
				d.Envelope.Recipients[0].Notify, d.Envelope.Recipients[0].ORcpt = message.NotifySuccess|message.NotifyFailure|message.NotifyDelay, "rfc822;a+b=c@first.test"
				d.Envelope.Recipients[1].Notify = message.NotifyNever
			}, func(m parsedMessage) bool {
				one, two := m.rcpt[0], m.rcpt[1]
				slices.Sort(one.Notify)
				return m.mail.Return == smtp.DSNReturnHeaders && m.mail.EnvelopeID == "Q=1+2 x" && one.OriginalRecipient == "a+b=c@first.test" &&
					fmt.Sprint(one.Notify) == "[DELAY FAILURE SUCCESS]" && fmt.Sprint(two.Notify) == "[NEVER]"
			}},
			{"quoted local part", "x\r\n", func(d *message.Delivery) { d.Envelope.Recipients[0].Address.Local = `"a b"` },
				func(m parsedMessage) bool { return strings.Contains(m.to[0], "a b") }},
			{"REQUIRETLS", "x\r\n", func(d *message.Delivery) { d.Envelope.RequireTLS = true }, func(m parsedMessage) bool { return m.mail.RequireTLS }},
		} {
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				b := newBench(t, nil).overTCP()
				defer b.stop()
				b.options.Roots = testRoots()
				b.connector.TLS, b.connector.TLSAuthLevel = mode, config.EncryptionOnly
				b.names.addrs["peer.test"] = "127.0.0.1"
				d := mail(tt.content, "a", "b", "c", "d")
				tt.change(d)
				p.mu.Lock()
				p.got = nil
				p.mu.Unlock()
				r := b.deliver(t.Context(), smartHop(fmt.Sprintf("peer.test:%d", l.Addr().(*net.TCPAddr).Port)), d)
				if len(r.Outcomes) != 1 || r.Outcomes[0].Status != message.Delivered {
					t.Fatal(sum(r))
				}
				// LIMITS says three recipients.
				if len(p.got) != 2 || len(p.got[0].to) != 3 || len(p.got[1].to) != 1 {
					t.Fatalf("arrived %+v", p.got)
				}
				for _, m := range p.got {
					if m.content != tt.content {
						t.Errorf("%d octets arrived changed", len(m.content))
					}
				}
				if !tt.check(p.got[0]) {
					t.Errorf("understood as %+v", p.got[0])
				}
			})
		}
	}
	t.Run("larger than SIZE", func(t *testing.T) {
		b := newBench(t, nil).overTCP()
		defer b.stop()
		b.names.addrs["peer.test"] = "127.0.0.1"
		b.connector.TLS = config.TLSIgnoreSTARTTLS
		d := mail(strings.Repeat(large, 5))
		r := b.deliver(t.Context(), smartHop(fmt.Sprintf("peer.test:%d", l.Addr().(*net.TCPAddr).Port)), d)
		if got := sum(r); !strings.HasPrefix(got, "0 failed 552 5.3.4 ") {
			t.Error(got)
		}
	})
}
