package receive

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"postern/config"
)

func TestAuthIsOffered(t *testing.T) {
	const all = "\n250-AUTH PLAIN LOGIN SCRAM-SHA-256 X-ENDLESS X-BROKEN\n"
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{[]string{"tls", "basic", "scram"}, all},
		{[]string{"basic"}, "\n250-AUTH PLAIN LOGIN\n"},
		{[]string{"tls", "basic", "basic_require_tls"}, ""},
		{[]string{"tls", "basic", "basic_require_tls", "scram"}, "\n250-AUTH SCRAM-SHA-256 X-ENDLESS X-BROKEN\n"},
		{[]string{"tls", "client_certificate"}, ""},
		{[]string{"tls"}, ""},
		{[]string{"none"}, ""},
	} {
		t.Run(strings.Join(tt.values, " "), func(t *testing.T) {
			b := newAuthBench(t, func(c *config.ReceiveConnector) { c.AuthMechanism = tt.values })
			c := b.dial(strangerAddr)
			c.play(`
				S: 220 .*
				C: EHLO client.example`)
			if got := c.reply(); !strings.Contains(got, tt.want) || tt.want == "" && strings.Contains(got, "AUTH") {
				t.Errorf("offered:\n%s", got)
			}
		})
	}
}

// TestAuthWithoutMechanisms: what a connector allows is not there until
// somebody provides it.
func TestAuthWithoutMechanisms(t *testing.T) {
	b := newBench(t, testConnector(authenticating))
	c := b.dial(strangerAddr)
	c.play(`
		S: 220 .*
		C: EHLO client.example`)
	if got := c.reply(); strings.Contains(got, "AUTH") {
		t.Errorf("offered:\n%s", got)
	}
	c.play(`
		C: AUTH PLAIN AGtpbQBraW0=
		S: 502 5\.5\.1 Command not implemented
		C: MAIL FROM:<> AUTH=<>
		S: 555 .*` + quit)
}

// TestAuthenticatedMessage: who sent a message is kept, and the keyword says
// that somebody did.
func TestAuthenticatedMessage(t *testing.T) {
	for _, tt := range []struct{ first, param, want string }{
		{"", "", "ESMTPA"},
		{"C: STARTTLS\nS: 220 .*\nTLS\nC: EHLO client.example\nS~ .*\n", "", "ESMTPSA"},
		{"", " SMTPUTF8", "UTF8SMTPA"},
		{"C: STARTTLS\nS: 220 .*\nTLS\nC: EHLO client.example\nS~ .*\n", " SMTPUTF8", "UTF8SMTPSA"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			b := newAuthBench(t)
			logged := protocolLog(t, b)
			c := b.dial(strangerAddr)
			c.play(greet + "\n" + tt.first + `
				C: AUTH PLAIN ` + b64("\x00kim\x00kim") + "\n" + authenticatedReply + `
				C: MAIL FROM:<>` + tt.param + `
				S: 250 .*
				C: RCPT TO:<x@elsewhere.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: Subject: x
				C: .
				S: 250 .*` + quit)
			c.close()
			m := b.only()
			if o := m.envelope.Origin; o.User != "kim" || o.Protocol != tt.want {
				t.Errorf("origin: %+v", o)
			}
			head := strings.Join(strings.Fields(m.content[:strings.Index(m.content, ";")]), " ")
			if !strings.Contains(head, " with "+tt.want+" ") || strings.Contains(head, "kim") {
				t.Errorf("Received: %s", head)
			}
			if !strings.Contains(m.content, "\r\nMessage-ID: ") { // a submission
				t.Errorf("content: %s", m.content)
			}
			_, got, _ := strings.Cut(logged(), "< AUTH <redacted> | \n")
			if !strings.HasPrefix(got, "* kim | authenticated by PLAIN\n* submit accept_any_recipient bypass_anti_spam accept_headers_routing | Set Session Permissions\n> 235 2.7.0 Authentication successful | \n< MAIL ") {
				t.Errorf("logged:\n%s", got)
			}
		})
	}
}

// TestAuthFailuresLookAlike: a wrong password and a user who does not exist are
// answered octet for octet the same, and told apart in the log alone.
func TestAuthFailuresLookAlike(t *testing.T) {
	b := newAuthBench(t, func(c *config.ReceiveConnector) { c.MaxLogonFailures = 10 })
	logged := protocolLog(t, b)
	c := b.dial(strangerAddr)
	c.play(greet)
	var first string
	for _, user := range []string{"kim", "nobody"} {
		c.send("AUTH LOGIN\r\n" + b64(user) + "\r\n" + b64("wrong") + "\r\n")
		got := c.reply() + "\n" + c.reply() + "\n" + c.reply()
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("for %s it is\n%s\nand else\n%s", user, got, first)
		}
	}
	c.play(quit)
	c.close()
	for _, want := range []string{"* LOGIN: the password of kim is wrong | reason", "* LOGIN: there is no such user | reason"} {
		if got := logged(); !strings.Contains(got, want) {
			t.Errorf("logged:\n%s", got)
		}
	}
}

// TestNoSecretsBesideAuth: what clients send after an AUTH that came to
// nothing is not logged either.
func TestNoSecretsBesideAuth(t *testing.T) {
	secret := b64("a secret of some length")
	for name, script := range map[string]string{
		"refused":           "C| AUTH X-UNKNOWN\nC| SECRET\nC: SECRET\nS: 504 .*\nS: 500 .*\nS: 500 .*",
		"cancelled":         "C| AUTH LOGIN\nC| *\nC: SECRET\nS: 334 .*\nS: 501 .*\nS: 500 .*",
		"undecodable":       "C| AUTH LOGIN\nC| SECRET!\nC: SECRET\nS: 334 .*\nS: 501 .*\nS: 500 .*",
		"undecodable first": "C| AUTH LOGIN SECRET!\nC: SECRET\nS: 501 .*\nS: 500 .*",
		"failed":            "C| AUTH PLAIN AGEAYg==\nC: SECRET\nS: 535 .*\nS: 500 .*",
		"succeeded":         "C| AUTH PLAIN " + b64("\x00kim\x00kim") + "\nC: SECRET\nS: 235 .*\nS: 500 .*",
		"bare CR":           "C> \"AUTH LOGIN\\rSECRET\\r\\nSECRET\\r\\n\"\nS: 500 .*\nS: 500 .*",
		"bare LF":           "C> \"AUTH LOGIN\\nSECRET\\r\\nSECRET\\r\\n\"\nS: 500 .*\nS: 500 .*",
		"too long":          "C| AUTH LOGIN " + strings.Repeat("SECRET", 100) + "\nC: SECRET\nS: 500 .*\nS: 500 .*",
		"an argument":       "C: AUTH SECRET\nS: 501 .*",
		"a control":         "C> \"AUTH LOGIN SECRET\\x01\\r\\nSECRET\\r\\n\"\nS: 501 .*\nS: 500 .*",
		"before EHLO":       "C: STARTTLS\nS: 220 .*\nTLS\nC| AUTH LOGIN SECRET\nC: SECRET\nS: 503 .*\nS: 500 .*",
	} {
		t.Run(name, func(t *testing.T) {
			b := newAuthBench(t)
			logged := protocolLog(t, b)
			c := b.dial(strangerAddr)
			c.play(greet + "\n" + strings.ReplaceAll(script, "SECRET", secret) + quit)
			c.close()
			if got := logged() + b.logged.String(); strings.Contains(got, secret) || strings.Contains(got, "kim") && name != "succeeded" {
				t.Errorf("logged:\n%s", got)
			}
		})
	}
}

// TestAuthParameter: AUTH= of MAIL is taken where AUTH is offered, and believed
// with the right alone (RFC 4954 5).
func TestAuthParameter(t *testing.T) {
	for _, tt := range []struct{ who, param, want string }{
		{"kim", "kim@contoso.example", ""},
		{"hub", "kim@contoso.example", "kim@contoso.example"},
		{"hub", "e+3Dmc2@contoso.example", "e=mc2@contoso.example"},
		{"hub", "<>", ""},
		{"", "kim@contoso.example", ""},
	} {
		t.Run(tt.who+" "+tt.param, func(t *testing.T) {
			b := newAuthBench(t)
			c := b.dial(strangerAddr)
			c.play(greet)
			if tt.who != "" {
				c.play("C: AUTH PLAIN " + b64("\x00"+tt.who+"\x00"+tt.who) + "\n" + authenticatedReply)
			}
			c.play(`
				C: MAIL FROM:<> AUTH=kim
				S: 501 .*
				C: MAIL FROM:<> AUTH=` + tt.param + `
				S: 250 .*
				C: RCPT TO:<b@contoso.example>
				S: 250 .*
				C: DATA
				S: 354 .*
				C: .
				S: 250 .*` + quit)
			if got := b.only().envelope.Auth; got != tt.want {
				t.Errorf("the originator is %q, want %q", got, tt.want)
			}
		})
	}
}

// TestExternal: a client certificate is offered as a mechanism only to whom it
// is of use.
func TestExternal(t *testing.T) {
	b := newAuthBench(t)
	c := &b.server.snapshot.Load().connectors[0]
	c.tls = c.tls.Clone()
	c.tls.ClientAuth = tls.RequestClientCert
	var peer Peer
	withFakes(b, fakes{begun: func(p Peer) { peer = p }})
	x := b.dial(strangerAddr)
	x.play(greet + `
		C: STARTTLS
		S: 220 .*`)
	conn := tls.Client(x.conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{clientCertificate(t, "partner.example")}})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	x.conn, x.r = conn, newReader(conn)
	x.play(`
		C: EHLO client.example
		S~ .*\n250-AUTH PLAIN LOGIN SCRAM-SHA-256 X-ENDLESS X-BROKEN EXTERNAL\n.*
		C: AUTH EXTERNAL =
		` + authenticatedReply + `
		C: MAIL FROM:<>
		S: 250 .*
		C: RCPT TO:<x@elsewhere.example>
		S: 550 .*
		C: RCPT TO:<b@contoso.example>
		S: 250 .*
		C: DATA
		S: 354 .*
		C: .
		S: 250 .*` + quit)
	if o := b.only().envelope.Origin; o.User != "partner.example" {
		t.Errorf("origin: %+v", o)
	}
	if peer.Connector != "From Internet" || peer.Client != strangerAddr || peer.Local != serverAddr || peer.Helo != "client.example" || peer.TLS == nil {
		t.Errorf("told: %+v", peer)
	}
}

func clientCertificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	template.Subject.CommonName = name
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestAuthTimes: the deadlines of commands hold within an exchange, and a
// mechanism that does not come back is given up.
func TestAuthTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, testConnector(authenticating))
		withFakes(b, fakes{})
		c := b.dialog(greet + `
			C: AUTH LOGIN
			S: 334 .*`)
		start := time.Now()
		c.play(`
			S: 421 4\.4\.1 Connection timed out
			END`)
		after(t, start, time.Minute)

		start = time.Now()
		c = b.dialog(greet + `
			C: AUTH X-BROKEN ` + b64("slow") + `
			S: 454 4\.7\.0 .*`)
		after(t, start, authTimeout)
		c.play(quit)

		c = b.dialog(greet + `
			C: AUTH LOGIN
			S: 334 .*`)
		go b.server.Shutdown(t.Context())
		c.play(`
			S: 421 4\.3\.2 .*
			END`)
	})
}

// TestAuthAndTheEnd: a client that goes away within an exchange ends the
// session, and nothing is obeyed.
func TestAuthAndTheEnd(t *testing.T) {
	b := newAuthBench(t)
	logged := protocolLog(t, b)
	c := b.dialog(greet + `
		C: AUTH LOGIN
		S: 334 .*`)
	c.send(b64("kim"))
	c.pipe.in.close(io.EOF)
	c.play("END")
	<-c.done
	if got := logged(); !strings.HasSuffix(got, "> 334 <redacted> | \n* unexpected EOF | connection lost\n-  | Remote\n") {
		t.Errorf("logged:\n%s", got)
	}
}

// answers are the responses of a client, the first of which goes with the
// command unless it is empty.
type answers struct {
	mechanism string
	rest      []string
}

func (a *answers) Start() (string, []byte, error) {
	first := a.rest[0]
	a.rest = a.rest[1:]
	if first == "" {
		return a.mechanism, nil, nil
	}
	return a.mechanism, []byte(first), nil
}

func (a *answers) Next([]byte) ([]byte, error) {
	if len(a.rest) == 0 {
		return nil, errors.New("the server asks for more")
	}
	next := a.rest[0]
	a.rest = a.rest[1:]
	return []byte(next), nil
}

// TestAuthTCP authenticates an independent client over real sockets, in clear
// text and within TLS.
func TestAuthTCP(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	queue := &memory{}
	s := New(Options{TLS: serverTLS})
	s.queue = queue
	defer func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	c := bound("127.0.0.1:0")
	authenticating(&c)
	s.Configure(Snapshot{Connectors: []config.ReceiveConnector{c}, Domains: testDomains, Auth: fakes{}})
	state := s.Bindings()
	if state[0].Err != nil {
		t.Fatalf("can't listen on loopback: %v", state[0].Err)
	}
	address := state[0].Addr.String()
	for _, with := range []answers{{"PLAIN", []string{"\x00kim\x00kim"}}, {"LOGIN", []string{"", "kim", "kim"}}, {"SCRAM-SHA-256", []string{"kim", "kim kim", ""}}} {
		for name, dial := range map[string]func() (*smtp.Client, error){
			"ESMTPA":  func() (*smtp.Client, error) { return smtp.Dial(address) },
			"ESMTPSA": func() (*smtp.Client, error) { return smtp.DialStartTLS(address, clientTLS()) },
		} {
			with := with
			x, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Auth(&with); err != nil {
				t.Fatal(err)
			}
			if err := x.SendMail("", []string{"x@elsewhere.example"}, strings.NewReader("Subject: x\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if err := x.Quit(); err != nil {
				t.Error(err)
			}
			all := queue.all()
			if o := all[len(all)-1].envelope.Origin; o.User != "kim" || o.Protocol != name {
				t.Errorf("origin: %+v", o)
			}
		}
	}
	x, err := smtp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var refused *smtp.SMTPError
	if err := x.Auth(&answers{"PLAIN", []string{"\x00kim\x00wrong"}}); !errors.As(err, &refused) || refused.Code != 535 || refused.EnhancedCode != (smtp.EnhancedCode{5, 7, 8}) {
		t.Errorf("a wrong password: %v", err)
	}
}
