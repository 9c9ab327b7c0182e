package send

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postern/config"
	"postern/internal/message"
	"postern/logs"
)

// TestProtocolLog reads a session as it is logged: endpoints, commands and
// replies in order, what was negotiated, no secrets, no content.
func TestProtocolLog(t *testing.T) {
	password := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var lines []logs.Line
	log, err := logs.OpenProtocol(logs.Options{Kind: logs.SendProtocol, Log: config.Log{Enabled: true, Directory: t.TempDir()}, Tee: func(l logs.Line) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, l)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(t.Context())
	mx := &fakeMX{tls: testServerTLS(t, "mx.test"), tlsExt: []string{"PIPELINING", "AUTH PLAIN"}}
	mx.answer = func(_ *fakeSession, line string) string {
		if strings.HasPrefix(line, "AUTH") {
			return "235 2.7.0 fine"
		}
		return ""
	}
	b := newBench(t, nil)
	b.host("192.0.2.25:25", mx)
	b.options.Log = log
	b.connector.ProtocolLogging = "verbose"
	b.connector.SmartHosts = []config.SmartHost{{Host: "mx.test"}}
	b.connector.SmartHostAuth = config.SmartHostAuth{Mechanism: "basic", Username: "edge", PasswordFile: password}
	b.deliver(t.Context(), smartHop("mx.test:25"), mail("Subject: private\r\n\r\n"))
	b.stop()
	var got []string
	for _, l := range lines {
		if l.Connector != "Internet" || l.Session != lines[0].Session || l.Remote != netip.MustParseAddrPort("192.0.2.25:25") {
			t.Errorf("line %+v", l)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%c %s %s", l.Event, l.Data, l.Context)))
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"*  attempting to connect\n+\n< 220 mx.test ESMTP\n> EHLO out.contoso.example\n< 250-mx.test Hello\n< 250-STARTTLS\n< 250 PIPELINING\n> STARTTLS\n< 220 ready\n* TLS1.3 ",
		" TLS negotiation succeeded\n*  Received certificate\n* CN=mx.test Certificate subject\n* CN=Test CA Certificate issuer name\n",
		"* mx.test Certificate alternate names\n* unknown issuer Certificate validation\n* TLS where it can be had (send connector \"Internet\") TLS policy\n> EHLO out.contoso.example\n",
		"> AUTH PLAIN <redacted>\n< 235 2.7.0 fine\n* edge authenticated\n",
		"* " + message.ID(12345).String() + " sending message with InternetMessageId <1@contoso.example>\n> MAIL FROM:<sender@contoso.example> AUTH=<>\n> RCPT TO:<a@example.test>\n> DATA\n< 250 2.1.0 Sender OK\n",
		"< 354 go ahead\n< 250 2.6.0 Queued\n> QUIT\n< 221 2.0.0 bye\n-  Remote",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks\n%s\nin\n%s", want, text)
		}
	}
	for _, secret := range []string{"secret", "AGVkZ2", "private"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if l := lines[len(lines)-1]; !l.Local.IsValid() || l.Local.Addr() != netip.MustParseAddr("192.0.2.200") {
		t.Errorf("local endpoint %v", l.Local)
	}
}

// TestNoProtocolLog: protocol_logging = "none" logs nothing.
func TestNoProtocolLog(t *testing.T) {
	log, err := logs.OpenProtocol(logs.Options{Kind: logs.SendProtocol, Log: config.Log{Enabled: true, Directory: t.TempDir()}, Tee: func(l logs.Line) {
		t.Errorf("logged %+v", l)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(t.Context())
	b := newBench(t, &fakeMX{})
	b.options.Log = log
	b.connector.ProtocolLogging = "none"
	b.send()
	b.stop()
}
