package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// TestIndependentClient: what an independent client asks for, with STARTTLS and
// without, arrives as it was meant at a next hop that is an independent server.
func TestIndependentClient(t *testing.T) {
	modern, _, port := twoHops(t)
	never := []smtp.DSNNotify{smtp.DSNNotifyNever}
	for _, secure := range []bool{false, true} {
		for _, tt := range []struct {
			name    string
			from    string
			to      []string
			mail    *smtp.MailOptions
			rcpt    *smtp.RcptOptions
			content string
			check   func(l *letter) bool
		}{
			{"plain", "a@sender.example", []string{"b@modern.example", "c@modern.example"}, nil, nil, "Subject: x\r\n\r\n.\r\n..x\r\n",
				func(l *letter) bool { return l.from == "a@sender.example" && len(l.to) == 2 && !l.mail.UTF8 }},
			{"size", "a@sender.example", []string{"b@modern.example"}, &smtp.MailOptions{Size: 15}, nil, "Subject: x\r\n\r\nx\r\n",
				func(l *letter) bool { return l.mail.Size == int64(len(l.content)) }},
			{"8BITMIME", "a@sender.example", []string{"b@modern.example"}, &smtp.MailOptions{Body: smtp.Body8BitMIME}, nil, "Subject: x\r\n\r\ncaf\xc3\xa9\r\n",
				func(l *letter) bool { return l.mail.Body == smtp.Body8BitMIME }},
			{"SMTPUTF8", "usér@sender.example", []string{"δοκιμή@bücher.example"}, &smtp.MailOptions{UTF8: true}, nil, "Subject: grüße\r\n\r\nx\r\n",
				func(l *letter) bool {
					return l.mail.UTF8 && l.from == "usér@sender.example" && l.to[0] == "δοκιμή@bücher.example"
				}},
			{"DSN", "a@sender.example", []string{"b@modern.example"}, &smtp.MailOptions{Return: smtp.DSNReturnHeaders, EnvelopeID: "Q=1+2"},
				&smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "o+p@first.example"},
				"Subject: x\r\n\r\nx\r\n", func(l *letter) bool {
					slices.Sort(l.rcpt[0].Notify)
					return l.mail.Return == smtp.DSNReturnHeaders && l.mail.EnvelopeID == "Q=1+2" && l.rcpt[0].OriginalRecipient == "o+p@first.example" &&
						fmt.Sprint(l.rcpt[0].Notify) == "[DELAY FAILURE]"
				}},
			{"DSN never", "a@sender.example", []string{"b@modern.example"}, nil, &smtp.RcptOptions{Notify: never}, "Subject: x\r\n\r\nx\r\n",
				func(l *letter) bool { return slices.Equal(l.rcpt[0].Notify, never) }},
			{"null reverse path", "", []string{"b@modern.example"}, nil, nil, "Subject: x\r\n\r\nx\r\n", func(l *letter) bool { return l.from == "" }},
		} {
			t.Run(fmt.Sprintf("%s/tls=%v", tt.name, secure), func(t *testing.T) {
				if err := ask(port, secure, tt.from, tt.to, tt.mail, tt.rcpt, tt.content); err != nil {
					t.Fatal(err)
				}
				l := modern.next(t)
				with := "with ESMTP"
				if secure {
					with += "S"
				}
				if tt.name == "SMTPUTF8" {
					with = strings.Replace(with, "ESMTP", "UTF8SMTP", 1)
				}
				if !strings.HasSuffix(l.content, tt.content) || !strings.Contains(l.content, with+" ") || !tt.check(l) {
					t.Errorf("arrived: %+v", l)
				}
			})
		}
	}
	// What a client gets wrong it is told by the right code.
	for want, try := range map[int]func() error{
		552: func() error {
			return ask(port, false, "a@sender.example", []string{"b@modern.example"}, &smtp.MailOptions{Size: 1 << 40}, nil, "x")
		},
		550: func() error {
			return ask(port, false, "a@sender.example", []string{"b@elsewhere.example"}, nil, nil, "x")
		},
	} {
		if e, ok := try().(*smtp.SMTPError); !ok || e.Code != want || e.EnhancedCode[0] != 5 {
			t.Errorf("want %d: %v", want, e)
		}
	}
	// REQUIRETLS is taken within TLS, and the message never goes in clear.
	if err := ask(port, true, "a@sender.example", []string{"b@modern.example"}, &smtp.MailOptions{RequireTLS: true}, nil, "Subject: x\r\n\r\nx\r\n"); err != nil {
		t.Error(err)
	}
	if err := ask(port, false, "a@sender.example", []string{"b@modern.example"}, &smtp.MailOptions{RequireTLS: true}, nil, "x"); err == nil {
		t.Error("REQUIRETLS was taken in clear")
	}
	if len(modern.arrived) > 0 {
		t.Errorf("arrived: %+v", <-modern.arrived)
	}
}

// ask sends a message as the independent client does.
func ask(port int, secure bool, from string, to []string, m *smtp.MailOptions, r *smtp.RcptOptions, content string) error {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	c := smtp.NewClient(conn)
	if secure {
		if c, err = smtp.NewClientStartTLS(conn, &tls.Config{InsecureSkipVerify: true}); err != nil {
			return err
		}
	}
	defer c.Close()
	if err := c.Mail(from, m); err != nil {
		return err
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt, r); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}
