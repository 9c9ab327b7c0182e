package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/xdg-go/scram"

	"postern/config"
	"postern/receive/logon"
	ptls "postern/tls"
)

const secret = "correct-horse-battery"

// scramClient is SCRAM as a client of go-smtp.
type scramClient struct {
	mechanism string
	c         *scram.ClientConversation
}

func newScramClient(t *testing.T, name string, binding *scram.ChannelBinding) *scramClient {
	t.Helper()
	c, err := scram.SHA256.NewClient(name, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	if binding != nil {
		return &scramClient{"SCRAM-SHA-256-PLUS", c.NewConversationWithChannelBinding(*binding)}
	}
	return &scramClient{"SCRAM-SHA-256", c.NewConversation()}
}

func (s *scramClient) Start() (string, []byte, error) {
	first, err := s.c.Step("")
	return s.mechanism, []byte(first), err
}

func (s *scramClient) Next(challenge []byte) ([]byte, error) {
	response, err := s.c.Step(string(challenge))
	return []byte(response), err
}

// journal is an event log that can be read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// newClientCertificate signs itself, unless there is a parent.
func newClientCertificate(t *testing.T, parent *tls.Certificate, template x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	issuer, signer := &template, any(key)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TestLogon logs on in each way there is, sends as allowed and as not, and
// looks for the password in everything that the gateway wrote.
func TestLogon(t *testing.T) {
	hub, port, dir := newSink(t, "127.0.0.1:0"), freePort(t), t.TempDir()
	ca := newClientCertificate(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	partner := newClientCertificate(t, &ca, x509.Certificate{Subject: pkix.Name{CommonName: "p"}, DNSNames: []string{"mail.fabrikam.example"}})
	forged := newClientCertificate(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "p"}, DNSNames: []string{"mail.fabrikam.example"}})
	app := newClientCertificate(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "app"}})
	caFile, usersFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "users.toml")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	hash := func(scheme string) string {
		h, err := logon.MakeHash(scheme, secret)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if err := os.WriteFile(usersFile, fmt.Appendf(nil, "[[user]]\nname = \"filed\"\npassword_hash = %q\n", hash(logon.Bcrypt)), 0o600); err != nil {
		t.Fatal(err)
	}
	file := strings.Replace(fmt.Sprintf(edge, filepath.Join(dir, "data"), port, `protocol_logging = "verbose"
auth_tarpit_interval = "0s"
max_logon_failures = 0
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = 100
deny = ["accept_authoritative_domain_sender"]
auth_mechanism = ["tls", "basic", "basic_require_tls", "scram", "client_certificate"]
tls_receive_domain_secure_list = ["fabrikam.example"]
domain_secure_enabled = true
client_ca_file = "`+caFile+`"
`, hub.port), `["anonymous"]`, `["anonymous", "users", "partners"]`, 1) + fmt.Sprintf(`
[[user]]
name = "kim"
password_hash = %q
[[user]]
name = "old@contoso.example"
password_hash = %q
[[user]]
name = "app"
certificate_thumbprint = [%q]
allowed_senders = ["apps.contoso.example"]
`, hash(logon.ScramSHA256), hash(logon.Argon2id), ptls.Thumbprint(app.Leaf))
	file = strings.Replace(file, "data_dir", fmt.Sprintf("users_file = %q\ndata_dir", usersFile), 1)
	events := new(journal)
	s := start(t, Options{
		Config: parse(t, file), Logger: slog.New(slog.NewTextHandler(events, nil)),
		Load: func() (*config.Config, []config.Finding, error) { return config.Parse("test.toml", []byte(file)) },
	})

	dial := func(cert *tls.Certificate) *smtp.Client {
		t.Helper()
		cfg := &tls.Config{InsecureSkipVerify: true}
		if cert != nil {
			cfg.Certificates = []tls.Certificate{*cert}
		}
		c, err := smtp.DialStartTLS(fmt.Sprintf("127.0.0.1:%d", port), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.Hello("client.example"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	code := func(err error) int {
		var reply *smtp.SMTPError
		switch {
		case err == nil:
			return 250
		case errors.As(err, &reply):
			return reply.Code
		}
		t.Error(err)
		return 0
	}
	plain := dial(nil)
	state, _ := plain.TLSConnectionState()
	exporter, err := scram.NewTLSExporterBinding(&state)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := scram.NewTLSServerEndpointBinding(&state)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		client *smtp.Client
		auth   sasl.Client
		logon  int
		sends  map[string]int // sender to reply to MAIL
	}{
		{"PLAIN", dial(nil), sasl.NewPlainClient("", "kim", secret), 250, map[string]int{"kim@contoso.example": 250, "old@contoso.example": 550, "x@elsewhere.example": 550}},
		{"LOGIN", dial(nil), sasl.NewLoginClient(`CONTOSO\kim`, secret), 250, map[string]int{"kim@contoso.example": 250}},
		{"argon2id", dial(nil), sasl.NewPlainClient("", "OLD@contoso.example", secret), 250, map[string]int{"old@contoso.example": 250, "kim@contoso.example": 550}},
		{"users_file", dial(nil), sasl.NewPlainClient("", "filed@contoso.example", secret), 250, map[string]int{"filed@contoso.example": 250}},
		{"SCRAM", dial(nil), newScramClient(t, "kim", nil), 250, map[string]int{"kim@contoso.example": 250, "boss@contoso.example": 550}},
		{"SCRAM of one without", dial(nil), newScramClient(t, "old@contoso.example", nil), 535, nil},
		{"PLUS with tls-exporter", plain, newScramClient(t, "kim", &exporter), 250, map[string]int{"kim@contoso.example": 250}},
		{"PLUS with the binding of another connection", dial(nil), newScramClient(t, "kim", &exporter), 535, nil},
		{"PLUS with tls-server-end-point", dial(nil), newScramClient(t, "kim", &endpoint), 250, map[string]int{"kim@contoso.example": 250}},
		{"EXTERNAL", dial(&app), sasl.NewExternalClient(""), 250, map[string]int{"x@apps.contoso.example": 250, "app@contoso.example": 550}},
		{"EXTERNAL of a stranger", dial(&ca), sasl.NewExternalClient(""), 535, map[string]int{"x@elsewhere.example": 250}},
		{"EXTERNAL without a certificate", dial(nil), sasl.NewExternalClient(""), 504, nil},
		{"a wrong password", dial(nil), sasl.NewPlainClient("", "kim", secret+"x"), 535, map[string]int{"kim@contoso.example": 550, "x@elsewhere.example": 250}},
		{"nobody", dial(nil), sasl.NewPlainClient("", "nobody", secret), 535, nil},
		{"the password for the name", dial(nil), sasl.NewLoginClient(secret, "kim"), 535, nil},
		{"a partner", dial(&partner), nil, 0, map[string]int{"bob@fabrikam.example": 250, "x@elsewhere.example": 550, "kim@contoso.example": 550}},
		{"a partner who logs on", dial(&partner), sasl.NewPlainClient("", "kim", secret), 250, map[string]int{"kim@contoso.example": 250}},
		{"who says he is a partner", dial(&forged), nil, 0, map[string]int{"x@elsewhere.example": 250, "bob@fabrikam.example": 454}},
		{"a stranger", dial(nil), nil, 0, map[string]int{"x@elsewhere.example": 250, "kim@contoso.example": 550, "bob@fabrikam.example": 550}},
	} {
		if tt.auth != nil {
			if got := code(tt.client.Auth(tt.auth)); got != tt.logon {
				t.Errorf("%s: %d, want %d", tt.name, got, tt.logon)
			}
		}
		for sender, want := range tt.sends {
			if got := code(tt.client.Mail(sender, nil)); got != want {
				t.Errorf("%s: MAIL FROM:<%s>: %d, want %d", tt.name, sender, got, want)
			}
			if err := tt.client.Reset(); err != nil {
				t.Error(err)
			}
		}
		tt.client.Close()
	}

	// In clear text passwords are refused, whatever the client does.
	clear, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	if got := code(clear.Auth(sasl.NewPlainClient("", "kim", secret))); got != 538 {
		t.Errorf("PLAIN in clear text: %d", got)
	}
	clear.Close()

	// A message of a user relays, and its trace says how it came, not who.
	c := dial(nil)
	if err := c.Auth(sasl.NewPlainClient("", "kim", secret)); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail("kim@contoso.example", []string{"bob@contoso.example"}, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := hub.next(t); !strings.Contains(got, "with ESMTPSA ") || strings.Contains(strings.SplitN(got, "\n", 2)[1], "kim") {
		t.Errorf("arrived:\n%s", got)
	}

	// Accounts change with the configuration.
	file = strings.Replace(file, `name = "kim"`, "name = \"kim\"\nenabled = false", 1)
	if _, _, _, err := s.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if got := code(dial(nil).Auth(sasl.NewPlainClient("", "kim", secret))); got != 535 {
		t.Errorf("a disabled account: %d", got)
	}
	stop(t, s)

	written := events.String()
	filepath.WalkDir(filepath.Join(dir, "data", "logs"), func(path string, d fs.DirEntry, _ error) error {
		if !d.IsDir() {
			b, _ := os.ReadFile(path)
			written += string(b)
		}
		return nil
	})
	if !strings.Contains(written, "authenticated by SCRAM-SHA-256-PLUS") || !strings.Contains(written, "partner recognised") {
		t.Errorf("the logs don't say who logged on:\n%s", written)
	}
	for _, w := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("\x00kim\x00" + secret)), "password_hash", "$argon2id$"} {
		if i := strings.Index(written, w); i >= 0 {
			t.Errorf("the logs hold %q: ...%s", w, written[max(0, i-200):i])
		}
	}
}
