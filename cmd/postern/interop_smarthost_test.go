//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A gateway hands its mail to another one, which wants it to log on: with every
// mechanism, with the password from a file and from the environment.
func TestSmartHostLogon(t *testing.T) {
	const password = "corr\u00e9ct horse"
	t.Setenv("POSTERN_TEST_HUB", password)
	hash := exec.Command(binary(t), "user", "hash", "--scheme", "scram-sha-256", "edge")
	hash.Stdin = strings.NewReader(password + "\n")
	user, err := hash.Output()
	if err != nil {
		t.Fatal(err)
	}
	s := newSink(t, sinkOptions{})
	hub := newEdge(t)
	hub.top = string(user) + "allowed_senders = [\"contoso.example\"]\n"
	hub.receive = `
fqdn = "hub.contoso.example"
permission_groups = ["users"]
grant = ["accept_any_sender", "accept_authentication_flag"]
auth_mechanism = ["tls", "basic", "scram"]
protocol_logging = "verbose"
`
	hub.route("out", "*", s.addr, "")
	hub.serve(t)

	e := newEdge(t)
	file := filepath.Join(e.dir, "hub.pass")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(e.dir, "open.pass")
	if err := os.WriteFile(open, []byte(password+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	auth := func(mechanism, from string) string {
		return fmt.Sprintf("smart_host_auth = { mechanism = %q, username = \"edge\", %s }\nprotocol_logging = \"verbose\"\n", mechanism, from)
	}
	fromFile, fromEnv := fmt.Sprintf("password_file = %q", file), `password_env = "POSTERN_TEST_HUB"`
	e.route("plain", "plain.example", hub.addr, auth("basic_require_tls", fromEnv))
	e.route("scram", "scram.example", hub.addr, auth("scram_require_tls", fromFile))
	e.route("clear", "clear.example", hub.addr, auth("scram", fromFile)+"tls = \"ignore_starttls\"\n")
	e.route("open", "open.example", hub.addr, auth("scram", fmt.Sprintf("password_file = %q", open)))
	g := e.serve(t)
	c := dial(t, e.addr)
	var to []string
	for _, d := range []string{"plain", "scram", "clear", "open"} {
		to = append(to, "b@"+d+".example")
	}
	content := []byte("From: a@contoso.example\r\nSubject: logon\r\n\r\nhello\r\n")
	if r, err := c.submit("<a@contoso.example>", to, content); err != nil || r.code != 250 {
		t.Fatal(r, err)
	}
	got := map[string]bool{}
	for _, d := range s.await(t, 3) {
		got[strings.Join(d.Rcpt, " ")] = true
	}
	for _, d := range to[:3] {
		if !got["TO:<"+d+">"] {
			t.Errorf("%s got nothing: %v", d, got)
		}
	}
	until(t, "the refusal of the open file", func() bool { return strings.Contains(g.output.String(), "is open to everybody on this host") })

	var log []byte
	until(t, "the protocol log", func() bool {
		log = nil
		files, _ := filepath.Glob(filepath.Join(e.dataDir, "logs", "ProtocolLog", "SmtpSend", "*"))
		for _, f := range files {
			b, _ := os.ReadFile(f)
			log = append(log, b...)
		}
		return bytes.Count(log, []byte("AUTH=<>")) >= 3
	})
	for _, want := range []string{"AUTH PLAIN <redacted>", "AUTH SCRAM-SHA-256-PLUS <redacted>", "AUTH SCRAM-SHA-256 <redacted>"} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	_ = filepath.WalkDir(e.dataDir, func(path string, d os.DirEntry, _ error) error {
		if b, err := os.ReadFile(path); err == nil && !d.IsDir() && bytes.Contains(b, []byte(password)) {
			t.Errorf("the password stands in %s", path)
		}
		return nil
	})
}
