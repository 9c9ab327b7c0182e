//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// selfSignedFindings are what testssl.sh says of every self-signed certificate.
var selfSignedFindings = regexp.MustCompile(`^(cert_chain_of_trust|cert_revocation|cert_ocspURL|OCSP_stapling|cert_expirationStatus)$`)

// TestTestSSL: testssl.sh finds nothing to complain of in the default set-up but
// the self-signed certificate.
func TestTestSSL(t *testing.T) {
	t.Parallel()
	program := need(t, "testssl")
	e := newEdge(t)
	e.receive += "protocol_logging = \"verbose\"\n"
	e.more = impatient
	e.serve(t)
	out := filepath.Join(tempDir(t), "findings.json")
	// It takes less than half a minute where the processors are free.
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-t", "smtp", "--quiet", "--color", "0", "--warnings", "off", "-n", "none", "--openssl-timeout", "5", "--connect-timeout", "5",
		"--ip", "127.0.0.1", "--jsonfile", out, "-p", "-s", "-f", "-S", "-P", "-U", "edge.contoso.example:"+port(t, e.addr))
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("testssl.sh does not come to an end:\n%s", text)
	}
	b, readErr := os.ReadFile(out)
	var findings []struct{ ID, Severity, Finding string }
	if readErr != nil || json.Unmarshal(b, &findings) != nil {
		t.Fatalf("no findings: %v, %v\n%s", err, readErr, text)
	}
	var seen []string
	for _, f := range findings {
		seen = append(seen, f.ID)
		if !slices.Contains([]string{"OK", "INFO", "DEBUG"}, f.Severity) && !selfSignedFindings.MatchString(f.ID) {
			t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	for _, id := range []string{
		"SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "cipherlist_AVERAGE", "cipherlist_STRONG", "PFS",
		"cert_keySize", "cert_signatureAlgorithm", "cert_trust", "cert_chain_of_trust", "TLS_session_ticket", "cipher_order",
		"heartbleed", "CCS", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "fallback_SCSV", "SWEET32", "FREAK", "DROWN",
		"LOGJAM", "BEAST", "LUCKY13", "RC4",
	} {
		if !slices.Contains(seen, id) {
			t.Errorf("%s was not looked at; %s were", id, strings.Join(seen, " "))
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}
