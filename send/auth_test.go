package send

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"postern/config"
)

func TestAuth(t *testing.T) {
	server := testServerTLS(t, "hub.test")
	path := filepath.Join(t.TempDir(), "hub.pass")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	plain := "AUTH PLAIN " + b64("\x00edge\x00secret")
	for _, tt := range []struct {
		name      string
		mechanism string
		mx        *fakeMX
		file      string
		want      string
		sent      []string // lines of the exchange
	}{
		{"PLAIN", "basic_require_tls", &fakeMX{tls: server, tlsExt: []string{"AUTH LOGIN PLAIN"}}, path, took, []string{plain}},
		{"LOGIN", "basic_require_tls", &fakeMX{tls: server, tlsExt: []string{"AUTH LOGIN"}}, path, took, []string{"AUTH LOGIN", b64("edge"), b64("secret")}},
		{"in clear", authBasic, &fakeMX{ext: []string{"AUTH=PLAIN"}}, path, took, []string{plain}},
		{"in clear where TLS is required", "basic_require_tls", &fakeMX{ext: []string{"AUTH PLAIN"}}, path, "0 deferred 454 4.7.0 ", nil},
		{"not offered", authBasic, &fakeMX{ext: []string{"AUTH CRAM-MD5"}}, path, "0 deferred 454 4.7.0 ", nil},
		{"refused", authBasic, &fakeMX{ext: []string{"AUTH PLAIN"}, answer: func(_ *fakeSession, line string) string {
			if strings.HasPrefix(line, "AUTH") {
				return "535 5.7.3 Authentication unsuccessful"
			}
			return ""
		}}, path, "0 deferred 454 4.7.0 Authentication with the smart host failed (AUTH PLAIN): 535 5.7.3 Authentication unsuccessful", []string{plain}},
		{"no password file", authBasic, &fakeMX{ext: []string{"AUTH PLAIN"}}, path + ".missing", "0 deferred 454 4.7.0 ", nil},
		{"none", authNone, &fakeMX{ext: []string{"AUTH PLAIN"}}, path, took, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				step := 0
				if tt.mx.answer == nil {
					tt.mx.answer = func(_ *fakeSession, line string) string {
						switch {
						case strings.HasPrefix(line, "AUTH PLAIN"):
							return "235 2.7.0 fine"
						case line == "AUTH LOGIN":
							step = 1
							return "334 VXNlcm5hbWU6"
						case step == 1:
							step = 2
							return "334 UGFzc3dvcmQ6"
						case step == 2:
							step = 0
							return "235 2.7.0 fine"
						}
						return ""
					}
				}
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
				var sent []string
				for _, l := range tt.mx.commands() {
					if !strings.ContainsAny(l, " .") && l != "STARTTLS" && l != "QUIT" && l != "DATA" || strings.HasPrefix(l, "AUTH") {
						sent = append(sent, l)
					}
				}
				if strings.Join(sent, "|") != strings.Join(tt.sent, "|") {
					t.Errorf("sent %q, want %q", sent, tt.sent)
				}
				for _, a := range r.Attempts {
					if strings.Contains(a.Reply.String(), "secret") {
						t.Errorf("the password is in %q", a.Reply)
					}
				}
			})
		})
	}
}

// TestAuthRedirected: hosts that are not the connector's own never see its
// password.
func TestAuthRedirected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.pass")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for hop, auth := range map[string]bool{
		"hub.test:25":               true,
		"hub.test:25,other.test:25": false,
		"other.test:25":             false,
		"[192.0.2.25]:25":           false,
	} {
		t.Run(hop, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mx := &fakeMX{ext: []string{"AUTH PLAIN"}, answer: func(_ *fakeSession, line string) string {
					if strings.HasPrefix(line, "AUTH") {
						return "235 2.7.0 fine"
					}
					return ""
				}}
				b := newBench(t, nil)
				b.names.addrs["hub.test"], b.names.addrs["other.test"] = "192.0.2.25", "192.0.2.25"
				b.host("192.0.2.25:25", mx)
				b.connector.SmartHosts = []config.SmartHost{{Host: "hub.test"}, {Host: "hub2.test"}}
				b.connector.SmartHostAuth = config.SmartHostAuth{Mechanism: authBasic, Username: "edge", PasswordFile: path}
				r := b.deliver(t.Context(), smartHop(hop), mail("x\r\n"))
				b.stop()
				if got := sum(r); got != took {
					t.Errorf("outcome %q", got)
				}
				if got := strings.Contains(strings.Join(mx.commands(), "\n"), "AUTH"); got != auth {
					t.Errorf("AUTH sent: %v, want %v", got, auth)
				}
			})
		})
	}
}

func TestRedact(t *testing.T) {
	for step, want := range map[string]string{
		"AUTH PLAIN AGVkZ2UAc2VjcmV0": "AUTH PLAIN <redacted>",
		"AUTH LOGIN":                  "AUTH LOGIN",
		"c2VjcmV0":                    "<redacted>",
	} {
		if got := redact(step); got != want {
			t.Errorf("redact(%q) = %q, want %q", step, got, want)
		}
	}
}
