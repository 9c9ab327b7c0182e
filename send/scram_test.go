package send

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/xdg-go/scram"

	"postern/config"
)

// scramHost is the host's side of SCRAM.
type scramHost struct {
	plus bool
	// spoil changes what the host says, by its turn.
	spoil  func(turn int, says string) string
	silent bool // accepts without its proof

	turn         int
	conversation *scram.ServerConversation
}

func (h *scramHost) answer(s *fakeSession, line string) string {
	if first, ok := strings.CutPrefix(line, "AUTH SCRAM-SHA-256"); ok {
		_, first, _ = strings.Cut(first, " ")
		server, _ := scram.SHA256.NewServer(func(name string) (scram.StoredCredentials, error) {
			if name != "edge" {
				return scram.StoredCredentials{}, errors.New("no such user")
			}
			client, _ := scram.SHA256.NewClient("edge", "s\u00e9cret", "")
			return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt", Iters: 4096})
		})
		h.turn = 0
		if t, ok := s.c.(*tls.Conn); ok && h.plus {
			state := t.ConnectionState()
			binding, err := scram.NewTLSExporterBinding(&state)
			if err != nil {
				return "454 " + err.Error()
			}
			h.conversation = server.NewConversationWithChannelBinding(binding)
		} else {
			h.conversation = server.NewConversation()
		}
		return h.say(first)
	}
	if h.conversation == nil || s.mail || strings.Contains(line, " ") || line == "QUIT" || line == "STARTTLS" {
		return ""
	}
	if line == "*" {
		h.conversation = nil
		return "501 5.7.0 as you like"
	}
	if h.turn == 2 { // the empty line behind our proof
		h.conversation = nil
		return "235 2.7.0 fine"
	}
	return h.say(line)
}

func (h *scramHost) say(line string) string {
	b, _ := base64.StdEncoding.DecodeString(line)
	says, err := h.conversation.Step(string(b))
	h.turn++
	if err != nil {
		h.conversation = nil
		return "535 5.7.8 no"
	}
	if h.turn == 2 && h.silent {
		h.conversation = nil
		return "235 2.7.0 fine"
	}
	if h.spoil != nil {
		says = h.spoil(h.turn, says)
	}
	return "334 " + base64.StdEncoding.EncodeToString([]byte(says))
}

func TestSCRAM(t *testing.T) {
	server := testServerTLS(t, "hub.test")
	path := filepath.Join(t.TempDir(), "hub.pass")
	if err := os.WriteFile(path, []byte("s\u00e9cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := path + ".wrong"
	if err := os.WriteFile(wrong, []byte("other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	iterations := func(n string) func(int, string) string {
		return func(turn int, says string) string {
			if turn == 1 {
				return strings.Replace(says, "i=4096", "i="+n, 1)
			}
			return says
		}
	}
	both, plain := []string{"AUTH SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN"}, []string{"AUTH PLAIN SCRAM-SHA-256"}
	for _, tt := range []struct {
		name      string
		mechanism string
		host      scramHost
		mx        *fakeMX
		file      string
		want      string
		sent      string // the AUTH command's mechanism
	}{
		{"bound to TLS", "scram_require_tls", scramHost{plus: true}, &fakeMX{tls: server, tlsExt: both}, path, took, "SCRAM-SHA-256-PLUS"},
		{"over TLS", "scram_require_tls", scramHost{}, &fakeMX{tls: server, tlsExt: plain}, path, took, "SCRAM-SHA-256"},
		{"in clear", "scram", scramHost{}, &fakeMX{ext: plain}, path, took, "SCRAM-SHA-256"},
		{"in clear there is nothing to bind to", "scram", scramHost{}, &fakeMX{ext: both}, path, took, "SCRAM-SHA-256"},
		{"clear text is not enough", "scram_require_tls", scramHost{}, &fakeMX{ext: plain}, path, "0 deferred 454 4.7.0 Send connector \"Internet\" authenticates over TLS only", ""},
		{"PLUS was hidden from us", "scram", scramHost{plus: true}, &fakeMX{tls: server, tlsExt: plain}, path,
			"0 deferred 454 4.7.0 Authentication with the smart host failed (AUTH SCRAM-SHA-256): 535 5.7.8 no", "SCRAM-SHA-256"},
		{"not offered, and nothing else will do", "scram", scramHost{}, &fakeMX{ext: []string{"AUTH PLAIN LOGIN"}}, path, "0 deferred 454 4.7.0 The host does not offer AUTH SCRAM-SHA-256", ""},
		{"wrong password", "scram", scramHost{}, &fakeMX{ext: plain}, wrong, "0 deferred 454 4.7.0 Authentication with the smart host failed (AUTH SCRAM-SHA-256): 535 5.7.8 no", "SCRAM-SHA-256"},
		{"a host that does not know the password", "scram", scramHost{spoil: func(turn int, says string) string {
			if turn == 2 {
				return "v=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
			}
			return says
		}}, &fakeMX{ext: plain}, path, "0 deferred 454 4.7.0 Authentication with the smart host failed (SCRAM): server validation failed", "SCRAM-SHA-256"},
		{"a host that proves nothing", "scram", scramHost{silent: true}, &fakeMX{ext: plain}, path, "0 deferred 454 4.7.0 The host accepted AUTH SCRAM-SHA-256 without proving who it is", "SCRAM-SHA-256"},
		{"too much work", "scram", scramHost{spoil: iterations("2000000000")}, &fakeMX{ext: plain}, path, "0 deferred 454 4.7.0 Authentication with the smart host failed (SCRAM): it asks for too much work", "SCRAM-SHA-256"},
		{"more than a number holds", "scram", scramHost{spoil: iterations("99999999999999999999")}, &fakeMX{ext: plain}, path, "0 deferred 454 4.7.0 Authentication with the smart host failed (SCRAM): it asks for too much work", "SCRAM-SHA-256"},
		{"too little", "scram", scramHost{spoil: iterations("1")}, &fakeMX{ext: plain}, path, "0 deferred 454 4.7.0 Authentication with the smart host failed (SCRAM): ", "SCRAM-SHA-256"},
		{"another's nonce", "scram", scramHost{spoil: func(_ int, says string) string { return strings.Replace(says, "r=", "r=x", 1) }}, &fakeMX{ext: plain}, path,
			"0 deferred 454 4.7.0 Authentication with the smart host failed (SCRAM): ", "SCRAM-SHA-256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host := tt.host
				tt.mx.answer = host.answer
				b := newBench(t, nil)
				b.names.addrs["hub.test"] = "192.0.2.25"
				b.host("192.0.2.25:25", tt.mx)
				b.connector.SmartHosts = []config.SmartHost{{Host: "hub.test"}}
				b.connector.SmartHostAuth = config.SmartHostAuth{Mechanism: tt.mechanism, Username: "edge", PasswordFile: tt.file}
				r := b.deliver(t.Context(), smartHop("hub.test:25"), mail("x\r\n"))
				b.stop()
				if got := sum(r); !strings.HasPrefix(got, tt.want) || r.Unreachable {
					t.Errorf("outcome %q, want %q", got, tt.want)
				}
				sent := ""
				for _, l := range tt.mx.commands() {
					if rest, ok := strings.CutPrefix(l, "AUTH "); ok {
						sent, _, _ = strings.Cut(rest, " ")
					}
					if strings.Contains(l, "secret") || strings.Contains(l, encode("s\u00e9cret")) {
						t.Errorf("the password was sent: %q", l)
					}
				}
				if sent != tt.sent {
					t.Errorf("sent AUTH %q, want %q", sent, tt.sent)
				}
			})
		})
	}
}

func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("POSTERN_TEST_HUB", "secret word")
	t.Setenv("POSTERN_TEST_EMPTY", "")
	for _, tt := range []struct{ file, env, want, problem string }{
		{file: write("good", "secret\r\nanother line\n", 0o600), want: "secret"},
		{file: write("group", "secret", 0o640), want: "secret"},
		{env: "POSTERN_TEST_HUB", want: "secret word"},
		{file: write("open", "secret", 0o644), problem: "is open to everybody on this host (-rw-r--r--); chmod it to 0600"},
		{file: write("shared", "secret", 0o660), problem: "may be written by its group"},
		{file: write("empty", "\nsecret\n", 0o600), problem: "its first line is empty"},
		{file: write("binary", "secret\x00\n", 0o600), problem: "holds no password"},
		{file: filepath.Join(dir, "missing"), problem: "no such file"},
		{env: "POSTERN_TEST_EMPTY", problem: "the variable POSTERN_TEST_EMPTY is not in the gateway's environment"},
		{env: "POSTERN_TEST_UNSET", problem: "the variable POSTERN_TEST_UNSET is not in the gateway's environment"},
	} {
		got, err := readPassword(&config.SmartHostAuth{PasswordFile: tt.file, PasswordEnv: tt.env})
		if got != tt.want || (err == nil) != (tt.problem == "") || err != nil && (!strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), "secret\x00")) {
			t.Errorf("%s%s: %q, %v; want %q, %q", tt.file, tt.env, got, err, tt.want, tt.problem)
		}
	}
}

// TestAuthParameter: AUTH= goes to servers that we have logged on to, with the
// originator if it is known (RFC 4954 5).
func TestAuthParameter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.pass")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, originator string
		logsOn           bool
		want             string // of AUTH= in MAIL
	}{
		{"known", "e+mc2@contoso.example", true, " AUTH=e+2Bmc2@contoso.example"},
		{"not known", "", true, " AUTH=<>"},
		{"no ASCII", "anna@b\u00fccher.example", true, " AUTH=<>"},
		{"too long", strings.Repeat("+", 200) + "@contoso.example", true, " AUTH=<>"},
		{"to a host that we did not log on to", "anna@contoso.example", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: []string{"AUTH PLAIN"}, answer: func(_ *fakeSession, line string) string {
					if strings.HasPrefix(line, "AUTH") {
						return "235 2.7.0 fine"
					}
					return ""
				}}
				b := newBench(t, nil)
				b.names.addrs["hub.test"] = "192.0.2.25"
				b.host("192.0.2.25:25", mx)
				defer b.stop()
				b.connector.SmartHosts = []config.SmartHost{{Host: "hub.test"}}
				if tt.logsOn {
					b.connector.SmartHostAuth = config.SmartHostAuth{Mechanism: authBasic, Username: "edge", PasswordFile: path}
				}
				for range 2 { // also over a connection that is used again
					d := mail("x\r\n")
					d.Envelope.Auth = tt.originator
					if got := sum(b.deliver(t.Context(), smartHop("hub.test:25"), d)); got != took {
						t.Fatal(got)
					}
				}
				want := "MAIL FROM:<sender@contoso.example>" + tt.want
				for _, m := range mx.got() {
					if m.from != want {
						t.Errorf("%q, want %q", m.from, want)
					}
				}
			})
		})
	}
}
