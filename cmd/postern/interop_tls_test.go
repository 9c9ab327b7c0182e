//go:build linux

package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certified makes an authority and a certificate of it for a name, as files,
// for servers and clients.
func certified(t testing.TB, name string) (ca, cert, key string) {
	t.Helper()
	dir := tempDir(t)
	keys := [2]*ecdsa.PrivateKey{}
	for i := range keys {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Partner CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	write := func(file, kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return writeFile(t, filepath.Join(dir, file), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, keys[0].Public(), keys[0])
	ca = write("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, root, keys[1].Public(), keys[0])
	cert = write("cert.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(keys[1])
	return ca, cert, write("key.pem", "PRIVATE KEY", der, err)
}

// runExample starts an example. Each of the replacements must have something to
// replace.
func runExample(t *testing.T, file, addr string, replace ...string) *gateway {
	t.Helper()
	file = filepath.Join("../../examples", file)
	code, stdout, stderr := runCommand(t, "", binary(t), "check", "--strict", "--config", file)
	if code != 0 || !strings.HasSuffix(stdout, " is valid: 0 errors, 0 warnings\n") {
		t.Fatalf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the example has no %s", replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	e := newEdge(t)
	e.addr = addr
	writeFile(t, e.path(), strings.ReplaceAll(text, `data_dir = "/var/lib/postern"`, `data_dir = "`+e.dataDir+`"`))
	g := &gateway{process: launch(t, home(), &output{}, binary(t), "serve", "--config", e.path()), edge: e}
	g.awaitGreeting(t, home())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway printed:\n%s", tail(g.output.String()))
		}
	})
	return g
}

// TestPublicTLS runs the example of three public connectors against three
// Postfix hosts: one with a certificate of the partners' authority, one whose
// TLS is broken, one that signs its certificate itself.
func TestPublicTLS(t *testing.T) {
	t.Parallel()
	h := hostsOn25(t, 3)
	resolver := newUnbound(t,
		"fabrikam.example. MX 10 mx.fabrikam.example.", "mx.fabrikam.example. A "+h[0],
		"tailspin.example. MX 10 mx.tailspin.example.", "mx.tailspin.example. A "+h[1],
		"broken.example. MX 10 mx.tailspin.example.", // whom nobody has told us of
		"adatum.example. MX 10 mx.adatum.example.", "mx.adatum.example. A "+h[2],
		"northwind.example. MX 10 mx.adatum.example.", // a partner whose host has no certificate to be checked
	)
	ca, cert, key := certified(t, "mx.fabrikam.example")
	good := newPostfixAt(t, h[0]+":25", fmt.Sprintf("smtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\nsmtpd_tls_loglevel = 1\n", cert, key), "fabrikam.example")
	broken := newPostfixAt(t, h[1]+":25", "smtpd_tls_key_file = /nowhere/key.pem\n", "tailspin.example", "broken.example")
	self := newPostfixAt(t, h[2]+":25", "smtpd_tls_loglevel = 1\n", "adatum.example", "northwind.example")
	hub := newSink(t, sinkOptions{})
	in := freeAddr(t)
	g := runExample(t, "public-tls.toml", in, "0.0.0.0:25", in, `"10.0.0.11"`+"]\npermission", `"127.0.0.1"`+"]\npermission", `smart_hosts = ["10.0.0.11"]`, fmt.Sprintf("smart_hosts = [%q]", hub.addr),
		`# tls_ca_file = "/etc/postern/partner-ca.pem"`, fmt.Sprintf("tls_ca_file = %q", ca),
		"[routing]\n", fmt.Sprintf("[dns]\nservers = [%q]\n[queue]\nretry = [\"1s\"]\ndelay_notification = \"2s\"\n[routing]\n", resolver))

	c := dial(t, in)
	for _, domain := range []string{"fabrikam", "tailspin", "broken", "adatum", "northwind"} {
		c.deliver(t, "kim@contoso.example", "bob@"+domain+".example", letter(domain))
	}

	// Postfix's own trace field says how each message came.
	overTLS := func(mail string) bool {
		_, trace, _ := strings.Cut(mail, "Received: from edge.contoso.example")
		first, _, _ := strings.Cut(trace, "\nReceived:")
		return strings.Contains(first, "(using TLSv1.3 with cipher ")
	}
	if m := good.awaitMail(t, 1)[0]; !overTLS(m) {
		t.Errorf("to the partner with TLS it came otherwise:\n%.600s", m)
	}
	if m := self.awaitMail(t, 1); len(m) != 1 || !overTLS(m[0]) || !strings.Contains(m[0], "bob@adatum.example") {
		t.Errorf("to everybody else came %q", m)
	}
	for _, m := range broken.awaitMail(t, 2) {
		if overTLS(m) {
			t.Errorf("over TLS that is broken came\n%.600s", m)
		}
	}

	if out := g.output.String(); !strings.Contains(out, "TLS failed; the message goes in clear over a new connection") {
		t.Errorf("the fallback was silent:\n%s", tail(out))
	}

	// The partner without a certificate waits, and everybody is told why.
	reason := `Certificate validation failure: the host's certificate is self-signed: no authority vouches for it. It is for postfix.example. ` +
		`Send connector "Partners with TLS" asks for TLS with a valid certificate by an authority in ca.pem`
	d := hub.await(t, 1)[0]
	if text := strings.Join(strings.Fields(string(d.Data)), " "); !strings.Contains(text, strings.Join(strings.Fields(reason), " ")) {
		t.Errorf("the delay notification does not say %q:\n%s", reason, d.Data)
	}
	m := g.edge.awaitMessage(t, "--recipient", "bob@northwind.example")
	shown := strings.Join(strings.Fields(g.edge.must(t, "queue", "show", m.ID)), " ")
	for _, w := range []string{"self-signed: no authority vouches for it", `Send connector "Partners with TLS" asks for TLS with a valid certificate`} {
		if !strings.Contains(shown, w) {
			t.Errorf("queue show lacks %q in %s", w, shown)
		}
	}
	var detail struct {
		Attempts []struct {
			Reply string `json:"reply"`
		} `json:"attempts"`
	}
	if err := json.Unmarshal([]byte(g.edge.must(t, "queue", "show", m.ID, "--output", "json")), &detail); err != nil || len(detail.Attempts) == 0 || !strings.HasPrefix(detail.Attempts[0].Reply, "454 4.7.5 "+reason) {
		t.Errorf("queue show as JSON: %v, %+v", err, detail)
	}
	if mail := self.mail(t); len(mail) != 1 {
		t.Errorf("the partner has %d messages, though its certificate proves nothing", len(mail)-1)
	}

	// What the gateway wrote of it all.
	g.stop(t)
	log := g.edge.protocolLog(t)
	session := func(connector, domain string) string {
		var lines []string
		ids := make(map[string]bool)
		for line := range strings.Lines(log) {
			if f := strings.Split(line, ","); len(f) > 7 && strings.HasSuffix(f[1], connector) && strings.Contains(line, "bob@"+domain) {
				ids[f[2]] = true
			}
		}
		for line := range strings.Lines(log) {
			if f := strings.Split(line, ","); len(f) > 7 && ids[f[2]] {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	for _, tt := range []struct {
		connector, domain string
		want, not         []string
	}{
		{"Partners with TLS", "fabrikam.example", []string{">,STARTTLS,", "TLS negotiation succeeded", "*,trusted,Certificate validation", "CN=mx.fabrikam.example"}, nil},
		{"Partners with broken TLS", "tailspin.example", []string{"-STARTTLS,"}, []string{">,STARTTLS", "TLS negotiation"}},
		{"Internet", "adatum.example", []string{">,STARTTLS,", "*,self-signed,Certificate validation"}, nil},
		{"Internet", "broken.example", []string{"going on in clear"}, []string{"TLS negotiation succeeded"}},
	} {
		got := session(tt.connector, tt.domain)
		for _, w := range tt.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: the log lacks %q in\n%s", tt.domain, w, got)
			}
		}
		for _, n := range tt.not {
			if strings.Contains(got, n) {
				t.Errorf("%s: the log has %q in\n%s", tt.domain, n, got)
			}
		}
	}
}

// TestSmartHostTLS: Postfix as a provider who wants TLS from the first octet and
// knows its customers by their certificates; and as one that is known by its
// fingerprint alone.
func TestSmartHostTLS(t *testing.T) {
	t.Parallel()
	ca, cert, key := certified(t, "smtp.provider.example")
	ours, own, ownKey := certified(t, "edge.contoso.example")
	provider := newPostfixAt(t, freeAddr(t), fmt.Sprintf(`smtpd_tls_cert_file = %s
smtpd_tls_key_file = %s
smtpd_tls_wrappermode = yes
smtpd_tls_CAfile = %s
smtpd_tls_ask_ccert = yes
smtpd_tls_loglevel = 1
smtpd_client_restrictions = permit_tls_all_clientcerts, reject
`, cert, key, ours), "one.example")
	pinned := newPostfix(t, "two.example")
	e := newEdge(t)
	e.top = impatient
	e.route("provider", "one.example", provider.addr, fmt.Sprintf("implicit_tls = true\ntls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = \"smtp.provider.example\"\n"+
		"tls_ca_file = %q\ntls_certificate = %q", ca, filepath.Join(tempDir(t), "own.pem")))
	e.route("pinned", "two.example", pinned.addr, fmt.Sprintf("tls = \"required\"\ntls_fingerprints = [%q]", strings.Repeat("ab", 32)))
	g := e.serve(t)
	c := dial(t, e.addr)
	c.deliver(t, "kim@contoso.example", "bob@one.example", letter("one"))
	c.deliver(t, "kim@contoso.example", "bob@two.example", letter("two"))

	// Neither gets it yet: our certificate is missing, and the pin is another's.
	until(t, "both to wait", func() bool {
		out := g.output.String()
		return strings.Contains(out, "TLS can't begin: tls_certificate: ") && strings.Contains(out, "none of those that are pinned. Its fingerprint is ")
	})
	if n := len(provider.mail(t)) + len(pinned.mail(t)); n != 0 {
		t.Fatalf("%d messages went all the same", n)
	}
	missing := e.send[strings.Index(e.send, "tls_certificate = \"")+len("tls_certificate = \""):]
	missing, _, _ = strings.Cut(missing, "\"")
	// The certificate comes, and is found without a reload. What is printed of
	// the other is what to write.
	writeFile(t, missing, string(readFile(t, own))+string(readFile(t, ownKey)))
	if err := os.Chmod(missing, 0o600); err != nil {
		t.Fatal(err)
	}
	if m := provider.awaitMail(t, 1)[0]; !strings.Contains(m, `(Client CN "edge.contoso.example", Issuer "Partner CA" (verified OK))`) {
		t.Errorf("the provider did not know us:\n%.800s", m)
	}
	_, is, _ := strings.Cut(g.output.String(), "Its fingerprint is ")
	is, _, _ = strings.Cut(is, ",")
	e.send = strings.ReplaceAll(e.send, strings.Repeat("ab", 32), is)
	e.write(t)
	if code, stdout, stderr := g.reload(t); code != 0 {
		t.Fatalf("reload: %s%s", stdout, stderr)
	}
	pinned.awaitMail(t, 1)
}
