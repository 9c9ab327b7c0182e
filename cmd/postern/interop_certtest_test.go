//go:build linux

package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/send"
)

// tested is the answer of "postern cert test" in JSON.
type tested struct {
	OK bool
	send.TLSReport
}

func (e *edge) certTest(t testing.TB, want int, args ...string) (r tested) {
	t.Helper()
	code, stdout, stderr := e.postern(t, append([]string{"cert", "test", "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != want {
		t.Fatalf("cert test %s: exit code %d, want %d; %v\n%s%s", strings.Join(args, " "), code, want, err, stdout, stderr)
	}
	return r
}

func portOf(t testing.TB, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// levelsOf are a host's levels and what becomes of mail under each.
func levelsOf(h *send.TLSHost) string {
	var parts []string
	for _, l := range h.Levels {
		parts = append(parts, l.Level+": "+l.Outcome)
	}
	return strings.Join(parts, "\n")
}

// ownPEM is a certificate with its key in one file.
func ownPEM(t testing.TB, cert, key string) string {
	t.Helper()
	var all []byte
	for _, f := range []string{cert, key} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	path := filepath.Join(tempDir(t), "own.pem")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCertTestPostfix looks at a Postfix that asks for certificates, with the
// authority that vouches for it and without.
func TestCertTestPostfix(t *testing.T) {
	t.Parallel()
	ca, cert, key := certified(t, "mx.fabrikam.example")
	p := newPostfixAt(t, freeAddr(t), fmt.Sprintf("smtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\nsmtpd_tls_CAfile = %s\nsmtpd_tls_ask_ccert = yes\n", cert, key, ca), "fabrikam.example")
	e := newEdge(t)
	e.top = "[dns]\nhosts = { \"mx.fabrikam.example\" = [\"127.0.0.1\"], \"fabrikam.example\" = [\"127.0.0.1\"] }\n"
	connector := fmt.Sprintf("\n[[send_connector]]\nname = \"Internet\"\naddress_spaces = [\"*\"]\nport = %s\ntls_certificate = %q\n", portOf(t, p.addr), ownPEM(t, cert, key))
	e.send = connector
	e.write(t)

	host := "mx.fabrikam.example:" + portOf(t, p.addr)
	r := e.certTest(t, 0, host, "--domain", "fabrikam.example")
	h := r.Hosts[0]
	if want := `ignore_starttls: clear
opportunistic: tls
opportunistic, tls_fallback = false: tls
required, encryption_only: tls
required, certificate_validation: waits
required, domain_validation: waits
required, domain_validation, the host's name: waits
required, the key pinned: tls`; levelsOf(&h) != want || !r.OK || r.Connector != "Internet" || r.Domain != "fabrikam.example" {
		t.Errorf("levels:\n%s\nreport %+v", levelsOf(&h), r)
	}
	if h.Version != "TLS1.3" || h.Curve == "" || h.Trust != "unknown issuer" || !strings.Contains(h.Distrust, `was issued by "CN=Partner CA"`) || !h.Asked || len(h.Shown) != 64 ||
		len(h.Certificates) == 0 || h.Certificates[0].Names[0] != "mx.fabrikam.example" || !strings.HasPrefix(h.Greeting, "220 ") || h.Problem != "" {
		t.Errorf("host %+v", h)
	}
	has := func(list []string, keyword string) bool {
		return strings.Contains("\n"+strings.Join(list, "\n")+"\n", "\n"+keyword+"\n")
	}
	if !has(h.EHLOBefore, "STARTTLS") || has(h.EHLOAfter, "STARTTLS") || !has(h.EHLOAfter, "PIPELINING") {
		t.Errorf("offers %q, over TLS %q", h.EHLOBefore, h.EHLOAfter)
	}

	e.send = connector + fmt.Sprintf("[[send_connector.tls_override]]\ndomain = \"fabrikam.example\"\ntls = \"required\"\ntls_auth_level = \"certificate_validation\"\ntls_ca_file = %q\n", ca)
	e.write(t)
	r = e.certTest(t, 0, "fabrikam.example", "--mx")
	h = r.Hosts[0]
	if h.Trust != "trusted" || h.Distrust != "" || h.Configured.Outcome != "tls" || h.Configured.Asks != "TLS with a valid certificate by an authority in ca.pem" {
		t.Errorf("host %+v", h)
	}
	// The lines of a level do what they say, in the place of the override.
	for _, l := range e.certTest(t, 0, host, "--domain", "fabrikam.example").Hosts[0].Levels {
		e.send = connector + l.Configuration
		e.write(t)
		want := 0
		if !l.OK {
			want = 1
		}
		got := e.certTest(t, want, host, "--domain", "fabrikam.example")
		if !strings.Contains(strings.Join(got.Notes, "\n"), "an override for fabrikam.example already") {
			t.Errorf("notes %q", got.Notes)
		}
		if c := got.Hosts[0].Configured; c.Outcome != l.Outcome || c.Asks != l.Asks || c.Reason != l.Reason {
			t.Errorf("%s: %+v, with its lines %+v", l.Level, l.TLSVerdict, c)
		}
	}
	e.send = connector
	e.write(t)
	code, stdout, _ := e.postern(t, "cert", "test", host, "--domain", "fabrikam.example")
	t.Logf("exit code %d\n%s", code, stdout)
	for _, part := range []string{"mx.fabrikam.example at 127.0.0.1:", "TLS1.3", "CN=Partner CA", "a certificate is asked for, and " + h.Shown[:8], "certificate_validation", "[[send_connector.tls_override]]\n  domain = \"fabrikam.example\"\n"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("no %q in\n%s", part, stdout)
		}
	}
}

// TestCertTestOpenSSL looks at OpenSSL's server with implicit TLS, which speaks
// TLS 1.2 alone.
func TestCertTestOpenSSL(t *testing.T) {
	t.Parallel()
	ca, cert, key := certified(t, "smtp.provider.example")
	addr := freeAddr(t)
	cmd := exec.Command(need(t, "openssl"), "s_server", "-accept", addr, "-cert", cert, "-key", key, "-tls1_2", "-quiet", "-naccept", "1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "the socket of openssl s_server", func() bool {
		b, _ := os.ReadFile("/proc/net/tcp")
		return strings.Contains(string(b), fmt.Sprintf("0100007F:%04X", mustPort(t, addr)))
	})
	go func() {
		fmt.Fprint(in, "220 smtp.provider.example ready\r\n")
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			switch {
			case strings.HasPrefix(lines.Text(), "EHLO"):
				fmt.Fprint(in, "250-smtp.provider.example\r\n250 AUTH PLAIN LOGIN\r\n")
			case strings.HasPrefix(lines.Text(), "QUIT"):
				fmt.Fprint(in, "221 2.0.0 bye\r\n")
				in.Close()
			}
		}
	}()
	e := newEdge(t)
	e.top = "[dns]\nhosts = { \"smtp.provider.example\" = [\"127.0.0.1\"] }\n"
	e.route("Provider", "*", "smtp.provider.example:"+portOf(t, addr), fmt.Sprintf("tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = \"smtp.provider.example\"\nimplicit_tls = true\ntls_ca_file = %q", ca))
	e.write(t)
	r := e.certTest(t, 0, "smtp.provider.example")
	h := r.Hosts[0]
	if want := `required, encryption_only: tls
required, certificate_validation: tls
required, domain_validation: tls
required, the key pinned: tls`; levelsOf(&h) != want || h.Version != "TLS1.2" || !h.Implicit || h.Trust != "trusted" || h.Configured.Reason != "trusted for smtp.provider.example" || len(h.EHLOAfter) != 1 || h.Asked {
		t.Errorf("levels:\n%s\nhost %+v", levelsOf(&h), h)
	}
	if r.Connector != "Provider" || h.Address.String() != addr {
		t.Errorf("connector %q, address %v", r.Connector, h.Address)
	}
}

func mustPort(t testing.TB, addr string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}

// TestCertTestAnswers holds exit codes, what is wrong usage, the choice of the
// Send connector, and that no text of a host reaches the terminal as it is.
func TestCertTestAnswers(t *testing.T) {
	t.Parallel()
	evil := newSink(t, sinkOptions{Answer: func(_ int, line string) string {
		if line == "" {
			return "220 \x1b]0;owned\x07 \x1b[31mhello \u202egnp"
		}
		return ""
	}})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	e := newEdge(t)
	e.top = "[dns]\nhosts = { \"mx.test\" = [\"127.0.0.1\"] }\n"
	e.route("Hub", "hub.example", evil.addr, "tls = \"ignore_starttls\"")
	e.route("Strict", "strict.example", "10.99.99.99", "tls = \"required\"")
	e.send += "\n[[send_connector]]\nname = \"Internet\"\naddress_spaces = [\"*.test\", \"other.example\"]\n"
	e.write(t)
	port := portOf(t, evil.addr)
	binary(t) // which takes a while
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{evil.addr}, 0, `by send connector "Hub"`}, // nothing is asked, and all is well
		{[]string{"mx.test:" + port}, 1, "the host does not offer STARTTLS"},
		{[]string{"mx.test:" + port, "--connector", "strict"}, 1, `Send connector "Strict" asks for TLS: mail waits.`},
		{[]string{"mx.test:" + port, "--connector", "strict"}, 1, "To send mail for mx.test another way"},
		{[]string{"mx.test:" + port, "--implicit"}, 1, "the host sent something that is not TLS"},
		{[]string{"mx.test:" + port, "--implicit"}, 1, "The connector has implicit_tls = false"},
		{[]string{"mx.test:" + port, "--implicit"}, 1, `Send connector "Internet" asks for TLS: mail waits.`},
		{[]string{e.addr, "--connector", "Internet"}, 1, e.addr + `, by send connector "Internet" problem Mail loop`},
		{[]string{e.addr, "--connector", "Internet"}, 1, "mail is returned to its sender at once."},
		{[]string{e.addr, "--connector", "Internet"}, 1, "openssl s_client -starttls smtp -connect " + e.addr},
		{[]string{"mx.test:" + port}, 1, "--domain names it"},
		{[]string{"mx.test:" + port, "--connector", "Hub"}, 0, "to its smart hosts alone, which this is not one of"},
		{[]string{silent.Addr().String(), "--connector", "Internet", "--timeout", "300ms"}, 1, "Connection timed out waiting for the greeting"},
		{[]string{"127.0.0.1:1", "--connector", "Internet"}, 1, "connection refused"},
		{[]string{}, 2, "HOST[:PORT] is missing"},
		{[]string{"a b"}, 2, "is neither a host's name nor an address"},
		{[]string{"mx.test:0"}, 2, "is no port between 1 and 65535"},
		{[]string{"mx.test", "--connector", "None"}, 2, "there is no Send connector"},
		{[]string{"mx.elsewhere.example"}, 2, "name one with --connector"},
		{[]string{"mx.test", "--starttls", "--implicit"}, 2, "exclude each other"},
		{[]string{"127.0.0.1", "--mx"}, 2, "is no domain"},
		{[]string{"mx.test", "--mx", "--domain", "other.test"}, 2, "leave --domain out"},
		{[]string{"mx.test", "--domain", "a b"}, 2, "is no domain"},
		{[]string{"mx.test", "--timeout", "0s"}, 2, "write a time up to 10m"},
	} {
		began := time.Now()
		code, stdout, stderr := e.postern(t, append([]string{"cert", "test"}, tt.args...)...)
		text := strings.Join(strings.Fields(stdout+stderr), " ")
		if code != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("cert test %q: exit code %d, want %d with %q in\n%s%s", tt.args, code, tt.code, tt.want, stdout, stderr)
		}
		if strings.ContainsAny(stdout+stderr, "\x1b\x07\u202e") {
			t.Errorf("cert test %q prints what the host says as it is:\n%q", tt.args, stdout)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("cert test %q took %v", tt.args, took)
		}
	}
}
