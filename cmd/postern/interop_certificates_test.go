//go:build linux

package main_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer is an authority whose certificates the tests present.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
	file string
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	if i.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	i.file = writeFile(t, filepath.Join(tempDir(t), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return i
}

// issue returns a certificate for a name with its key, as one text of PEM, and
// its thumbprint.
func (i *issuer) issue(t testing.TB, key crypto.Signer, names ...string) (text, thumbprint string) {
	t.Helper()
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	text = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	return text, strings.ToUpper(hex.EncodeToString(sum[:]))
}

// replaceFile puts a text where a file was, so that a reader sees the one or the
// other.
func replaceFile(t testing.TB, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// askOpenSSL makes a TLS connection with openssl s_client and returns the
// thumbprint of the certificate that it was shown, with all that it printed.
func askOpenSSL(t testing.TB, addr string, args ...string) (thumbprint, printed string) {
	t.Helper()
	_, stdout, stderr := runCommand(t, "QUIT\r\n", need(t, "openssl"), append([]string{"s_client", "-connect", addr, "-showcerts"}, args...)...)
	if b, _ := pem.Decode([]byte(stdout[max(strings.Index(stdout, "-----BEGIN CERTIFICATE"), 0):])); b != nil {
		sum := sha256.Sum256(b.Bytes)
		thumbprint = strings.ToUpper(hex.EncodeToString(sum[:]))
	}
	return thumbprint, stdout + stderr
}

// TestOpenSSLSeesCertificates: what openssl s_client is shown: by FQDN, by SNI,
// by the kind of key that it can use, on STARTTLS and implicit TLS, before and
// after the files change.
func TestOpenSSLSeesCertificates(t *testing.T) {
	t.Parallel()
	ca, e := newIssuer(t), newEdge(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(e.dataDir, "certificates")
	put := func(name, text string) { replaceFile(t, filepath.Join(store, name), text) }
	rsaText, rsaCert := ca.issue(t, rsaKey, "edge.contoso.example")
	edgeText, edgeCert := ca.issue(t, nil, "edge.contoso.example")
	starText, star := ca.issue(t, nil, "*.fabrikam.example")
	exactText, exact := ca.issue(t, nil, "mail.fabrikam.example")
	submitText, submit := ca.issue(t, nil, "submit.contoso.example")
	offText, _ := ca.issue(t, nil, "off.contoso.example")
	put("edge.pem", edgeText)
	put("edge-rsa.pem", rsaText)
	put("star.pem", starText)
	put("exact.pem", "Bag Attributes\n    friendlyName: Fabrikam's mail\n"+exactText)
	put("submit.pem", submitText)
	put("off.pem", "Bag Attributes\n    posternEnabled: no\n"+offText)
	implicit, alone := freeAddr(t), freeAddr(t)
	e.receive += "protocol_logging = \"verbose\"\n"
	e.more = fmt.Sprintf(`
[[receive_connector]]
name = "Submission"
fqdn = "submit.contoso.example"
bindings = [%q]
implicit_tls = true
permission_groups = ["anonymous"]
[[receive_connector]]
name = "Alone"
fqdn = "alone.contoso.example"
bindings = [%q]
permission_groups = ["anonymous"]
`, implicit, alone) + impatient
	g := e.serve(t)

	starttls := []string{"-starttls", "smtp", "-verify_return_error", "-CAfile", ca.file}
	with := func(args ...string) []string { return append(append([]string{}, starttls...), args...) }
	for name, tt := range map[string]struct {
		addr string
		args []string
		want string
	}{
		"no name":               {e.addr, with("-noservername"), edgeCert},
		"the FQDN":              {e.addr, with("-servername", "edge.contoso.example", "-verify_hostname", "edge.contoso.example"), edgeCert},
		"another name":          {e.addr, with("-servername", "mail.fabrikam.example", "-verify_hostname", "mail.fabrikam.example"), exact},
		"in capitals":           {e.addr, with("-servername", "MAIL.Fabrikam.Example"), exact},
		"under a wildcard":      {e.addr, with("-servername", "mx.fabrikam.example", "-verify_hostname", "mx.fabrikam.example"), star},
		"too far below":         {e.addr, with("-servername", "a.mx.fabrikam.example"), edgeCert},
		"nobody's name":         {e.addr, with("-servername", "nobody.example"), edgeCert},
		"one that is not on":    {e.addr, with("-servername", "off.contoso.example"), edgeCert},
		"RSA alone, TLS 1.2":    {e.addr, with("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), rsaCert},
		"ECDSA alone, TLS 1.2":  {e.addr, with("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"), edgeCert},
		"RSA alone, TLS 1.3":    {e.addr, with("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"), rsaCert},
		"RSA alone, with a SNI": {e.addr, with("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256:ecdsa_secp256r1_sha256", "-servername", "edge.contoso.example"), edgeCert},
		"implicit TLS":          {implicit, []string{"-verify_return_error", "-CAfile", ca.file, "-noservername"}, submit},
		"implicit TLS and SNI":  {implicit, []string{"-verify_return_error", "-CAfile", ca.file, "-servername", "edge.contoso.example"}, edgeCert},
	} {
		if got, printed := askOpenSSL(t, tt.addr, tt.args...); got != tt.want || !strings.Contains(printed, "Verify return code: 0 (ok)") {
			t.Errorf("%s: %s, want %s\n%s", name, got, tt.want, tail(printed))
		}
	}

	// No certificate for it: self-signed, and STARTTLS all the same.
	if got, printed := askOpenSSL(t, alone, "-starttls", "smtp", "-noservername"); got == "" || !strings.Contains(printed, "subject=CN = edge.contoso.example") {
		t.Errorf("without a certificate of its own:\n%s", tail(printed))
	}
	if n := strings.Count(g.output.String(), "event_id=12014"); n != 1 || !strings.Contains(g.output.String(), `event_id=12014 area=tls connector=Alone fqdn=alone.contoso.example`) {
		t.Errorf("event 12014 %d times", n)
	}

	// What fails is told in the protocol log, with the client's alert.
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nobody's authority": {[]string{"-starttls", "smtp", "-verify_return_error", "-verify", "5"}, "the client does not know who issued our certificate, or intermediate certificates are missing (alert: unknown certificate authority)"},
		"TLS 1.1":            {[]string{"-starttls", "smtp", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, "the client speaks no version of TLS from 1.2 on, only TLS 1.1"},
		"CBC":                {[]string{"-starttls", "smtp", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"}, "no cipher in common: "},
	} {
		if _, printed := askOpenSSL(t, e.addr, tt.args...); !strings.Contains(printed, "Cipher is (NONE)") && !strings.Contains(printed, "verify error") {
			t.Errorf("%s: openssl is content\n%s", name, tail(printed))
		}
		until(t, name+" in the protocol log", func() bool { return strings.Contains(e.protocolLog(t), tt.want) })
	}

	// Files change: new handshakes see the new certificate, by name and by path;
	// who is within TLS stays.
	c := dial(t, e.addr)
	c.startTLS(t)
	renewedText, renewed := ca.issue(t, nil, "edge.contoso.example")
	put("edge.pem", renewedText)
	until(t, "the renewed certificate", func() bool {
		got, _ := askOpenSSL(t, e.addr, with("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")...)
		return got == renewed
	})
	put("edge.pem", "half of a certifica")
	until(t, "a damaged file in the event log", func() bool {
		if got, _ := askOpenSSL(t, e.addr, with("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")...); got != renewed {
			t.Fatalf("with a damaged file: %s", got)
		}
		return strings.Contains(g.output.String(), "event_id=26004")
	})
	named := filepath.Join(e.dir, "named.pem")
	namedText, namedCert := ca.issue(t, nil, "named.example")
	replaceFile(t, named, namedText)
	e.receive += fmt.Sprintf("tls_certificate = %q\n", named)
	if code, stdout, stderr := g.reload(t); code != 0 || !strings.Contains(stdout+stderr, "edge.pem: there is no certificate in it, in PEM") {
		t.Errorf("reload: %d\n%s%s", code, stdout, stderr)
	}
	if got, printed := askOpenSSL(t, e.addr, with("-servername", "mail.fabrikam.example")...); got != namedCert {
		t.Errorf("tls_certificate: %s, want %s\n%s", got, namedCert, tail(printed))
	}
	c.want(t, 250, "NOOP")

	// explain and show say what openssl saw.
	e.receive = strings.Replace(e.receive, fmt.Sprintf("%q", named), `"Fabrikam's mail"`, 1)
	e.write(t)
	var answer struct {
		Certificate struct{ By, Thumbprint, Reason, Problem string }
	}
	for _, tt := range []struct {
		args     []string
		by, want string
	}{
		{[]string{"explain", "connection", e.addr, "127.0.0.1"}, "tls_certificate", exact},
		{[]string{"explain", "connection", implicit, "127.0.0.1"}, "fqdn", submit},
		{[]string{"explain", "connection", implicit, "127.0.0.1", "--server-name", "mx.fabrikam.example"}, "server_name", star},
		{[]string{"explain", "connection", alone, "127.0.0.1"}, "self_signed", ""},
		{[]string{"connector", "show", "Submission"}, "fqdn", submit},
	} {
		code, stdout, stderr := e.postern(t, append(tt.args, "--output", "json")...)
		answer.Certificate.Thumbprint = ""
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil || code != 0 {
			t.Fatal(err, stdout, stderr)
		}
		if c := answer.Certificate; c.By != tt.by || tt.want != "" && c.Thumbprint != tt.want || c.Reason == "" {
			t.Errorf("%v: %+v", tt.args, c)
		}
		if _, stdout, _ := e.postern(t, tt.args...); !regexp.MustCompile(`Certificate.*: +"`).MatchString(stdout) {
			t.Errorf("%v: no certificate in\n%s", tt.args, stdout)
		}
	}
}

// TestReloadUnderTLSLoad: sessions within TLS and handshakes go on while files of
// certificates are swapped, broken and mended, and the configuration is reloaded.
func TestReloadUnderTLSLoad(t *testing.T) {
	t.Parallel()
	ca, e, s := newIssuer(t), newEdge(t), newSink(t, sinkOptions{})
	e.route("Hub", "*", s.addr, `tls = "opportunistic"`)
	e.more = impatient
	store := filepath.Join(e.dataDir, "certificates")
	texts, known := [3]string{}, map[string]bool{}
	for i := range texts {
		var thumbprint string
		texts[i], thumbprint = ca.issue(t, nil, "edge.contoso.example")
		known[thumbprint] = true
	}
	replaceFile(t, filepath.Join(store, "edge.pem"), texts[0])
	g := e.serve(t)

	stop := make(chan struct{})
	time.AfterFunc(8*time.Second, func() { close(stop) })
	over := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	var work sync.WaitGroup
	var mu sync.Mutex
	sessions, messages, handshakes := 0, 0, 0
	faults := []string{}
	fail := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, fmt.Sprintf(format, args...))
	}
	for range 8 { // who stay within TLS all the time
		c := dial(t, e.addr)
		c.startTLS(t)
		sessions++
		work.Go(func() {
			defer c.close()
			for n := 0; !over(); n++ {
				if r, err := c.submit("<a@x.example>", []string{"b@y.example"}, []byte(letter("load"))); err != nil || r.code != 250 {
					fail("message %d of a session: %v, %v", n, r, err)
					return
				}
				mu.Lock()
				messages++
				mu.Unlock()
			}
		})
	}
	for range 4 { // who come and go
		work.Go(func() {
			for !over() {
				conn, err := home().dial("", e.addr)
				if err != nil {
					fail("connect: %v", err)
					return
				}
				c, err := newClient(conn)
				if err != nil {
					fail("greeting: %v", err)
					return
				}
				if _, err := c.command("EHLO x.example"); err != nil {
					fail("EHLO: %v", err)
				}
				if r, err := c.command("STARTTLS"); err != nil || r.code != 220 {
					fail("STARTTLS: %v, %v", r, err)
				}
				tc := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "edge.contoso.example"})
				_ = tc.SetDeadline(time.Now().Add(patience))
				if err := tc.Handshake(); err != nil {
					fail("handshake: %v", err)
					return
				}
				sum := sha256.Sum256(tc.ConnectionState().PeerCertificates[0].Raw)
				if !known[strings.ToUpper(hex.EncodeToString(sum[:]))] {
					fail("a client sees %s", tc.ConnectionState().PeerCertificates[0].Subject)
				}
				tc.Close()
				mu.Lock()
				handshakes++
				mu.Unlock()
			}
		})
	}
	for i := 0; !over(); i++ {
		switch i % 4 {
		case 0, 1:
			replaceFile(t, filepath.Join(store, "edge.pem"), texts[i%3])
		case 2:
			replaceFile(t, filepath.Join(store, "edge.pem"), texts[i%3][:400]) // half of a certificate
		case 3:
			g.hup(t)
		}
		time.Sleep(600 * time.Millisecond)
	}
	work.Wait()
	if len(faults) > 0 {
		t.Errorf("%d faults, such as %s", len(faults), faults[0])
	}
	if messages < 100 || handshakes < 20 {
		t.Errorf("%d messages and %d handshakes are no load", messages, handshakes)
	}
	if g.stop(t); !strings.Contains(g.output.String(), "event_id=26004") {
		t.Error("a damaged file was never told of")
	}
	t.Logf("%d sessions, %d messages, %d handshakes", sessions, messages, handshakes)
}
