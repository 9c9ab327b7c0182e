//go:build linux

package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// opensslCA is an authority that "openssl ca" runs: a root, and below it the
// one that signs.
type opensslCA struct {
	dir  string
	root string // file
}

const opensslConfig = `[ca]
default_ca = issuing
[issuing]
dir = %[1]s
database = $dir/index.txt
new_certs_dir = $dir
rand_serial = yes
default_md = sha256
default_days = 90
policy = any
copy_extensions = copy
unique_subject = no
email_in_dn = no
certificate = $dir/issuing.pem
private_key = $dir/issuing.key
x509_extensions = server
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
`

func newOpenSSLCA(t testing.TB) *opensslCA {
	t.Helper()
	need(t, "openssl")
	dir := tempDir(t)
	ca := &opensslCA{dir: dir, root: filepath.Join(dir, "root.pem")}
	writeFile(t, filepath.Join(dir, "ca.cnf"), fmt.Sprintf(opensslConfig, dir))
	writeFile(t, filepath.Join(dir, "index.txt"), "")
	ca.openssl(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/O=Contoso/CN=Contoso Root CA", "-extensions", "authority", "-keyout", "root.key", "-out", "root.pem")
	ca.openssl(t, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Contoso/CN=Contoso Issuing CA", "-keyout", "issuing.key", "-out", "issuing.csr")
	ca.openssl(t, "ca", "-batch", "-notext", "-cert", "root.pem", "-keyfile", "root.key", "-extensions", "authority", "-days", "1825", "-in", "issuing.csr", "-out", "issuing.pem")
	return ca
}

// openssl runs a command of OpenSSL in the authority's directory.
func (ca *opensslCA) openssl(t testing.TB, args ...string) string {
	t.Helper()
	if args[0] == "ca" || args[0] == "req" {
		args = append([]string{args[0], "-config", "ca.cnf"}, args[1:]...)
	}
	code, stdout, stderr := runCommand(t, "", need(t, "env"), append([]string{"-C", ca.dir, need(t, "openssl")}, args...)...)
	if code != 0 {
		t.Fatalf("openssl %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// sign answers a request with a file in the form that is asked for: the
// certificate alone, or with the issuing authority's as PKCS #7.
func (ca *opensslCA) sign(t testing.TB, csr, form string) string {
	t.Helper()
	cert := fmt.Sprintf("answer-%d.pem", time.Now().UnixNano())
	ca.openssl(t, "ca", "-batch", "-notext", "-in", csr, "-out", cert)
	switch form {
	case "p7b":
		ca.openssl(t, "crl2pkcs7", "-nocrl", "-certfile", cert, "-certfile", "issuing.pem", "-certfile", "root.pem", "-out", cert+".p7b")
		return filepath.Join(ca.dir, cert+".p7b")
	case "der":
		ca.openssl(t, "x509", "-in", cert, "-outform", "DER", "-out", cert+".der")
		return filepath.Join(ca.dir, cert+".der")
	}
	return filepath.Join(ca.dir, cert)
}

// presents verifies what a gateway presents, as a client does that knows the
// root alone, and returns the SHA-256 thumbprint of the certificate.
func (ca *opensslCA) presents(t testing.TB, addr, name string) (thumbprint string, verified bool) {
	t.Helper()
	code, stdout, _ := runCommand(t, "QUIT\r\n", need(t, "openssl"), "s_client", "-starttls", "smtp", "-connect", addr, "-servername", name,
		"-CAfile", ca.root, "-verify_hostname", name, "-verify_return_error", "-showcerts")
	_, cert, ok := strings.Cut(stdout, "-----BEGIN CERTIFICATE-----")
	if !ok {
		return "", false
	}
	cert, _, _ = strings.Cut(cert, "-----END CERTIFICATE-----")
	file := writeFile(t, filepath.Join(ca.dir, "seen.pem"), "-----BEGIN CERTIFICATE-----"+cert+"-----END CERTIFICATE-----\n")
	return ca.fingerprint(t, file), code == 0 && strings.Contains(stdout, "Verify return code: 0 (ok)")
}

func (ca *opensslCA) fingerprint(t testing.TB, file string) string {
	t.Helper()
	_, print, _ := strings.Cut(ca.openssl(t, "x509", "-in", file, "-noout", "-fingerprint", "-sha256"), "=")
	return strings.ReplaceAll(strings.TrimSpace(print), ":", "")
}

// certDone is what commands answer that change the store.
type certDone struct {
	Certificate struct {
		Thumbprint string
		Status     []string
		Chain      []struct{ Subject string }
		UsedBy     []struct{ Connector, By string } `json:"used_by"`
	}
	Request struct{ ID string }
	Changes []struct {
		Connector string
		From, To  *string
	}
	Warnings []struct{ Message, Remedy string }
	Running  *bool
	Commands []string
}

// cert runs a command that must succeed and answers in JSON.
func (e *edge) cert(t testing.TB, args ...string) (done certDone) {
	t.Helper()
	code, stdout, stderr := e.postern(t, append([]string{"cert", "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &done); code != 0 || err != nil {
		t.Fatalf("cert %s: exit code %d, %v\n%s%s", strings.Join(args, " "), code, err, stdout, stderr)
	}
	return done
}

// TestCertificateRound: from the request to an authority over its renewal to the
// removal of the old certificate, with a gateway that runs all the time and
// "openssl ca" as the authority.
func TestCertificateRound(t *testing.T) {
	t.Parallel()
	ca := newOpenSSLCA(t)
	e := newEdge(t)
	e.route("out", "*", "127.0.0.1:9", "")
	g := e.serve(t)
	dir := tempDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	session := dial(t, e.addr) // open all the time

	self, verified := ca.presents(t, e.addr, "edge.contoso.example")
	if self == "" || verified {
		t.Fatalf("at first start it presents %q, verified %v", self, verified)
	}

	// 1 and 2: the FQDN, and the request.
	code, _, stderr := e.postern(t, "cert", "request", "--connector", "In", "--out", in("edge.csr"))
	if code != 2 || !strings.Contains(stderr, "answers EHLO as\n  edge.contoso.example\n") || !strings.Contains(stderr, "--yes") {
		t.Fatalf("unasked: exit code %d\n%s", code, stderr)
	}
	e.cert(t, "request", "--connector", "In", "--domain", "mail.contoso.example,bücher.contoso.example", "--subject", `C=US,O="Contoso, Ltd."`,
		"--friendly-name", "Mail edge", "--key", "ecdsa256", "--out", in("edge.csr"), "--yes")
	text := ca.openssl(t, "req", "-in", in("edge.csr"), "-noout", "-verify", "-text", "-nameopt", "RFC2253,sep_comma_plus")
	for _, want := range []string{`CN=edge.contoso.example`, `O=Contoso\, Ltd.`, "DNS:edge.contoso.example, DNS:mail.contoso.example, DNS:xn--bcher-kva.contoso.example", "prime256v1"} {
		if !strings.Contains(text, want) {
			t.Errorf("the request lacks %q:\n%s", want, text)
		}
	}

	// 3: what the authority returns.
	first := e.cert(t, "import", ca.sign(t, in("edge.csr"), "p7b"))
	one := first.Certificate.Thumbprint
	if len(first.Certificate.Chain) != 1 || len(first.Certificate.UsedBy) != 0 || len(first.Changes) != 0 || len(first.Warnings) != 0 || *first.Running != true {
		t.Errorf("imported: %+v", first)
	}
	if now, _ := ca.presents(t, e.addr, "edge.contoso.example"); now != self {
		t.Error("a certificate that is not enabled is presented")
	}
	if again := e.cert(t, "import", ca.sign(t, in("edge.csr"), "der")); again.Certificate.Thumbprint == one || len(again.Certificate.Chain) != 1 {
		t.Errorf("a second certificate for the same key: %+v", again)
	} else {
		e.must(t, "cert", "remove", again.Certificate.Thumbprint[:8], "--yes")
	}

	// 4: let it be presented.
	if code, _, stderr = e.postern(t, "cert", "enable", one[:8], "--connector", "in"); code != 2 || !strings.Contains(stderr, "In         "+self[:16]+"  "+one[:16]) {
		t.Errorf("unasked: exit code %d\n%s", code, stderr)
	}
	enabled := e.cert(t, "enable", one[:8], "--connector", "in", "--yes")
	if len(enabled.Changes) != 1 || enabled.Changes[0].Connector != "In" || *enabled.Changes[0].To != one || !strings.Contains(strings.Join(enabled.Commands, " "), "-connect "+e.addr) {
		t.Errorf("enabled: %+v", enabled)
	}
	await := func(want string) {
		t.Helper()
		until(t, "the gateway presenting "+want, func() bool {
			now, verified := ca.presents(t, e.addr, "edge.contoso.example")
			return now == want && verified
		})
	}
	await(one)

	// Renewal, without a restart.
	e.cert(t, "renew", one[:8], "--out", in("renewed.csr"))
	if code, _, stderr = e.postern(t, "cert", "renew", one[:8]); code != 1 || !strings.Contains(stderr, "waits already") {
		t.Errorf("a second renewal: exit code %d\n%s", code, stderr)
	}
	answer := ca.sign(t, in("renewed.csr"), "pem")
	if code, _, stderr = e.postern(t, "cert", "import", answer); code != 2 || !strings.Contains(stderr, "Connectors will show another certificate:\n") {
		t.Errorf("unasked: exit code %d\n%s", code, stderr)
	}
	renewed := e.cert(t, "import", answer, "--yes")
	two := renewed.Certificate.Thumbprint
	if two == one || len(renewed.Certificate.Chain) != 1 || len(renewed.Warnings) != 0 || len(renewed.Changes) != 1 || *renewed.Changes[0].From != one {
		t.Errorf("renewed: %+v", renewed)
	}
	await(two)

	// Out of the store, for OpenSSL to read.
	writeFile(t, in("password"), "a secret\n")
	if err := os.Chmod(in("password"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.must(t, "cert", "export", two[:8], "--format", "p12", "--password-file", in("password"), "--out", in("edge.p12"))
	e.must(t, "cert", "export", two[:8], "--format", "pem", "--out", in("edge.pem"))
	for _, f := range []string{"edge.p12", "edge.pem"} {
		if fi, err := os.Stat(in(f)); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, fi, err)
		}
	}
	out := ca.openssl(t, "pkcs12", "-in", in("edge.p12"), "-passin", "pass:a secret", "-nodes")
	if strings.Count(out, "BEGIN CERTIFICATE") != 2 || strings.Count(out, "BEGIN PRIVATE KEY") != 1 {
		t.Errorf("OpenSSL reads of the p12\n%s", out)
	}
	writeFile(t, in("from-p12.pem"), out)
	for _, f := range []string{"edge.pem", "from-p12.pem"} {
		if ca.fingerprint(t, in(f)) != two || ca.openssl(t, "pkey", "-in", in(f), "-pubout") != ca.openssl(t, "x509", "-in", in(f), "-noout", "-pubkey") {
			t.Errorf("%s holds something else", f)
		}
		ca.openssl(t, "verify", "-CAfile", ca.root, "-untrusted", in(f), in(f))
	}

	// The old one goes, the one in use stays.
	if code, _, stderr = e.postern(t, "cert", "remove", two[:8], "--yes"); code != 1 || !strings.Contains(stderr, `is in use by Receive connector "In" (it was assigned`) {
		t.Errorf("removing what is in use: exit code %d\n%s", code, stderr)
	}
	e.must(t, "cert", "remove", one[:8], "--yes")
	list := e.must(t, "cert", "list", "--output", "json")
	if strings.Contains(list, one) || !strings.Contains(list, two) {
		t.Errorf("the list is\n%s", list)
	}
	await(two)

	// It comes back from the p12, and is the same.
	e.must(t, "cert", "disable", two[:8], "--connector", "In", "--smtp", "--yes")
	until(t, "the self-signed certificate standing in again", func() bool {
		now, _ := ca.presents(t, e.addr, "edge.contoso.example")
		return now == self
	})
	e.must(t, "cert", "remove", two[:8], "--yes")
	back := e.cert(t, "import", in("edge.p12"), "--password-file", in("password"), "--smtp", "--yes")
	if back.Certificate.Thumbprint != two || len(back.Certificate.Chain) != 1 || len(back.Changes) != 2 ||
		len(back.Warnings) != 1 || !strings.Contains(back.Warnings[0].Message, "Contoso Root CA") { // which the p12 has not
		t.Errorf("imported again: %+v", back)
	}
	await(two)

	session.want(t, 250, "NOOP")
	left, err := os.ReadDir(filepath.Join(e.dataDir, "certificates"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if fi, err := f.Info(); err != nil || fi.Mode().Perm() != 0o600 || strings.HasPrefix(f.Name(), ".change") {
			t.Errorf("%s: %v, %v", f.Name(), fi.Mode(), err)
		}
	}
	g.stop(t)
}

// TestCertificateOwners: what root writes belongs to the gateway's user, who has
// to read it; another user is told whom to be.
func TestCertificateOwners(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const gateway, stranger = 12345, 12346
	e := newEdge(t)
	e.route("out", "*", "127.0.0.1:9", "")
	e.write(t)
	program := filepath.Join(tempDir(t), "postern")
	if code, _, stderr := runCommand(t, "", need(t, "install"), "-m", "0755", binary(t), program); code != 0 {
		t.Fatal(stderr)
	}
	as := func(uid uint32, args ...string) (code int, out string) {
		t.Helper()
		cmd := exec.Command(program, append(args, "--config", e.path())...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		text, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(text)
	}
	if code, _, stderr := e.postern(t, "cert", "new", "--domain", "a.example"); code != 1 || !strings.Contains(stderr, "start the gateway once, or make it with the owner and mode that it needs") {
		t.Errorf("without data_dir: exit code %d\n%s", code, stderr)
	}
	if err := errors.Join(os.Mkdir(e.dataDir, 0o700), os.Chown(e.dataDir, gateway, gateway)); err != nil {
		t.Fatal(err)
	}
	made := e.cert(t, "new", "--connector", "In", "--yes")
	e.must(t, "cert", "request", "--domain", "b.example", "--yes")
	if code, out := as(gateway, "cert", "enable", made.Certificate.Thumbprint, "--connector", "In", "--yes"); code != 0 {
		t.Errorf("the gateway's user: exit code %d\n%s", code, out)
	}
	seen := 0
	for path, what := range picture(t, e.dataDir) {
		seen++
		if !strings.Contains(what, fmt.Sprintf(" %d:%d", gateway, gateway)) || !strings.HasPrefix(what, "-rw------- ") && !strings.HasPrefix(what, "drwx------ ") {
			t.Errorf("%s: %s", path, what)
		}
	}
	if seen != 6 { // two directories, the lock, the assignments, a certificate, a request
		t.Errorf("%d files", seen)
	}
	before := picture(t, e.dataDir)
	for _, args := range [][]string{{"list"}, {"show", made.Certificate.Thumbprint}, {"new", "--domain", "c.example"}, {"request", "--domain", "c.example"},
		{"enable", made.Certificate.Thumbprint, "--smtp"}, {"remove", made.Certificate.Thumbprint, "--yes"}, {"renew", made.Certificate.Thumbprint},
		{"export", made.Certificate.Thumbprint, "--format", "pem", "--out", filepath.Join(e.dir, "x")}} {
		code, out := as(stranger, append([]string{"cert"}, args...)...)
		if code != 1 || !strings.Contains(out, "permission denied") || !strings.Contains(out, "call as root or as the user the gateway runs as") {
			t.Errorf("a stranger, cert %s: exit code %d\n%s", args[0], code, out)
		}
	}
	if d := unlike(before, picture(t, e.dataDir)); d != "" {
		t.Errorf("a stranger changed\n%s", d)
	}
}

// TestDeployHookOfThePage: the hook that docs/tls.md has for ACME clients, with
// what certbot and lego hand it, renewed under a gateway that runs.
func TestDeployHookOfThePage(t *testing.T) {
	t.Parallel()
	needRoot(t)
	page := string(readFile(t, "../../docs/tls.md"))
	_, hook, ok := strings.Cut(page, "```sh\n#!/bin/sh\n# certbot:")
	hook, _, end := strings.Cut(hook, "```\n")
	if !ok || !end {
		t.Fatal("the page has no hook")
	}
	ca := newOpenSSLCA(t)
	e := newEdge(t)
	e.route("out", "*", "127.0.0.1:9", "")
	e.serve(t)
	for _, part := range [][2]string{{"/var/lib/postern/certificates", filepath.Join(e.dataDir, "certificates")}, {"-o postern -g postern", "-o root -g root"}} {
		if !strings.Contains(hook, part[0]) {
			t.Fatalf("the hook has no %s", part[0])
		}
		hook = strings.ReplaceAll(hook, part[0], part[1])
	}
	script := writeFile(t, filepath.Join(e.dir, "hook"), "#!/bin/sh\n#"+hook)
	live := func(cert, key string) (thumbprint string) {
		t.Helper()
		ca.openssl(t, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=edge.contoso.example", "-addext", "subjectAltName=DNS:edge.contoso.example", "-keyout", key, "-out", "acme.csr")
		answer := ca.sign(t, "acme.csr", "pem")
		writeFile(t, cert, string(readFile(t, answer))+string(readFile(t, filepath.Join(ca.dir, "issuing.pem"))))
		return ca.fingerprint(t, answer)
	}
	await := func(want string) {
		t.Helper()
		until(t, "the gateway presenting "+want, func() bool {
			now, verified := ca.presents(t, e.addr, "edge.contoso.example")
			return now == want && verified
		})
	}
	lineage := tempDir(t)
	first := live(filepath.Join(lineage, "fullchain.pem"), filepath.Join(lineage, "privkey.pem"))
	if code, stdout, stderr := runCommand(t, "", need(t, "env"), "RENEWED_LINEAGE="+lineage, "/bin/sh", script); code != 0 {
		t.Fatalf("certbot's: %s%s", stdout, stderr)
	}
	await(first)
	second := live(filepath.Join(lineage, "edge.crt"), filepath.Join(lineage, "edge.key"))
	if code, stdout, stderr := runCommand(t, "", need(t, "env"), "LEGO_CERT_PATH="+filepath.Join(lineage, "edge.crt"), "LEGO_CERT_KEY_PATH="+filepath.Join(lineage, "edge.key"), "/bin/sh", script); code != 0 {
		t.Fatalf("lego's: %s%s", stdout, stderr)
	}
	await(second)
	list := e.must(t, "cert", "list", "--output", "json")
	if strings.Contains(list, first) || !strings.Contains(list, `"friendly_name": "acme"`) || !strings.Contains(list, `"problems": []`) {
		t.Errorf("the list is\n%s", list)
	}
}

// TestCertificateForms: what OpenSSL writes, in every form that authorities and
// other gateways give certificates in.
func TestCertificateForms(t *testing.T) {
	t.Parallel()
	ca := newOpenSSLCA(t)
	e := newEdge(t)
	e.route("out", "*", "127.0.0.1:9", "")
	e.write(t)
	if err := os.Mkdir(e.dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	ca.openssl(t, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=edge.contoso.example", "-addext", "subjectAltName=DNS:edge.contoso.example", "-keyout", "edge.key", "-out", "edge.csr")
	cert := ca.sign(t, "edge.csr", "pem")
	in := func(name string) string { return filepath.Join(ca.dir, name) }
	writeFile(t, in("above.pem"), string(readFile(t, in("issuing.pem")))+string(readFile(t, ca.root)))
	writeFile(t, in("all.pem"), string(readFile(t, in("above.pem")))+string(readFile(t, in("edge.key")))+string(readFile(t, cert)))
	export := []string{"pkcs12", "-export", "-in", cert, "-inkey", "edge.key", "-certfile", "above.pem", "-name", "From elsewhere", "-passout", "pass:a secret"}
	ca.openssl(t, append(export, "-out", "modern.p12")...)
	ca.openssl(t, append(export, "-legacy", "-out", "legacy.p12")...)
	ca.openssl(t, append(export, "-descert", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1", "-out", "windows.p12")...)
	ca.openssl(t, append(export, "-certpbe", "NONE", "-out", "open.p12")...)
	ca.openssl(t, "crl2pkcs7", "-nocrl", "-certfile", cert, "-certfile", "above.pem", "-out", "all.p7b")
	ca.openssl(t, "crl2pkcs7", "-nocrl", "-certfile", cert, "-certfile", "above.pem", "-outform", "DER", "-out", "der.p7b")
	ca.openssl(t, "x509", "-in", cert, "-outform", "DER", "-out", "edge.cer")
	writeFile(t, in("password"), "a secret\n")
	if err := os.Chmod(in("password"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range []struct {
		file   string
		key    bool // comes with it
		friend string
		chain  int
	}{
		{"modern.p12", true, "From elsewhere", 1}, {"legacy.p12", true, "From elsewhere", 1}, {"windows.p12", true, "From elsewhere", 1}, {"open.p12", true, "From elsewhere", 1},
		{"all.pem", true, "edge.contoso.example", 1}, {"all.p7b", false, "by-hand", 1}, {"der.p7b", false, "by-hand", 1}, {"edge.cer", false, "by-hand", 0},
	} {
		if !form.key { // put there by hand, as after a request of OpenSSL's
			if code, _, stderr := runCommand(t, "", need(t, "install"), "-m", "0600", in("edge.key"), filepath.Join(e.dataDir, "certificates", "by-hand.key")); code != 0 {
				t.Fatal(stderr)
			}
		}
		done := e.cert(t, "import", in(form.file), "--password-file", in("password"))
		if done.Certificate.Thumbprint != ca.fingerprint(t, cert) || len(done.Certificate.Chain) != form.chain || len(done.Warnings) != 1-form.chain {
			t.Errorf("%s: %+v", form.file, done)
		}
		shown := e.must(t, "cert", "show", done.Certificate.Thumbprint, "--output", "json")
		if !strings.Contains(shown, fmt.Sprintf(`"friendly_name": %q`, form.friend)) || !strings.Contains(shown, `"has_key": true`) {
			t.Errorf("%s: %s", form.file, shown)
		}
		if key := e.must(t, "cert", "export", done.Certificate.Thumbprint, "--format", "pem", "--out", "-"); strings.Count(key, "BEGIN PRIVATE KEY") != 1 || strings.Count(key, "BEGIN CERTIFICATE") != 1+form.chain {
			t.Errorf("%s is exported as\n%s", form.file, key)
		}
		e.must(t, "cert", "remove", done.Certificate.Thumbprint, "--yes")
		if left := e.must(t, "cert", "list", "--output", "json"); strings.Contains(left, `"thumbprint"`) || strings.Contains(left, `"id"`) {
			t.Errorf("%s: left is %s", form.file, left)
		}
	}
}
