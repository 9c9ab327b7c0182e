package main

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	ptls "postern/tls"
)

// do runs a command that changes the store and has to succeed, and returns its
// answer.
func (h *certHost) do(args ...string) (done certDone) {
	h.t.Helper()
	out := h.must(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), &done); err != nil {
		h.t.Fatalf("cert %q: %v\n%s", args, err, out)
	}
	if done.Running == nil || *done.Running {
		h.t.Errorf("cert %q: no gateway runs, and it says %v", args, done.Running)
	}
	return done
}

// shows is what a connector shows, by the list: the first digits of the
// thumbprint.
func (h *certHost) shows(kind, connector string) string {
	h.t.Helper()
	for _, c := range h.listed().Certificates {
		for _, u := range c.UsedBy {
			if u.Kind == kind && u.Connector == connector {
				return c.Thumbprint
			}
		}
	}
	return ""
}

// changed writes a change of connectors down as "name: from -> to".
func changed(done certDone) string {
	var list []string
	for _, s := range done.Changes {
		from, to := "-", "-"
		if s.From != nil {
			from = (*s.From)[:8]
		}
		if s.To != nil {
			to = (*s.To)[:8]
		}
		list = append(list, fmt.Sprintf("%s %s: %s > %s", s.Kind, s.Connector, from, to))
	}
	return strings.Join(list, ", ")
}

// TestCertEnableAndBack: what each step changes for which connector, and that it
// can be undone.
func TestCertEnableAndBack(t *testing.T) {
	h := newCertHost(t)
	key := h.newKey()
	both := h.issue(key.Public(), "edge.contoso.example", "mail.contoso.example")
	file := h.pem("both.pem", h.root, both, key)
	one := ptls.Thumbprint(both)
	if done := h.do("import", file); changed(done) != "" || len(done.Warnings) != 0 || strings.Join(done.Certificate.Status, " ") != "not enabled" {
		t.Errorf("imported: %+v", done)
	}
	if done := h.do("enable", one[:8], "--smtp", "--yes"); changed(done) != fmt.Sprintf("receive From Internet: - > %[1]s, receive Submission: - > %[1]s, send Internet: - > %[1]s", one[:8]) ||
		strings.Join(done.Commands, "\n") != "openssl s_client -starttls smtp -connect 127.0.0.1:25 -servername edge.contoso.example -showcerts </dev/null\nopenssl s_client -connect [::1]:465 -servername mail.contoso.example -showcerts </dev/null" {
		t.Errorf("enabled: %+v", done)
	}
	if done := h.do("enable", one[:8], "--smtp"); changed(done) != "" {
		t.Errorf("enabled twice: %+v", done)
	}
	// One that signs itself is never chosen by its name, and can be assigned.
	made := h.do("new", "--connector", "Submission", "--days", "30", "--yes", "--friendly-name", "Pinned", "--key", "ecdsa384")
	self := made.Certificate.Thumbprint
	if changed(made) != fmt.Sprintf("receive Submission: %s > %s", one[:8], self[:8]) || made.Certificate.DaysLeft/29 != 1 || made.Certificate.Key != "ECDSA, 384 bits (P-384)" ||
		strings.Join(made.Certificate.Names, " ") != "mail.contoso.example edge.contoso.example" {
		t.Errorf("made: %+v", made)
	}
	// Its renewal takes over what is assigned, and the old one may go.
	next := h.do("renew", self, "--yes")
	again := next.Certificate.Thumbprint
	if changed(next) != fmt.Sprintf("receive Submission: %s > %s", self[:8], again[:8]) || next.Certificate.FriendlyName != "Pinned" || next.Certificate.DaysLeft/29 != 1 || next.Certificate.Key != "ECDSA, 384 bits (P-384)" {
		t.Errorf("renewed: %+v", next)
	}
	h.must("remove", self, "--yes")
	if code, _, errs := h.run(saying("y\n"), "disable", again, "--connector", "submission"); code != exitDone || !strings.Contains(errs, "Submission  "+again[:16]+"  "+one[:16]) {
		t.Errorf("disabled: exit code %d\n%s", code, errs)
	}
	if h.shows("receive", "Submission") != one {
		t.Error("Submission does not show what it showed")
	}
	if code, _, _ := h.run(saying("yes\n"), "remove", again); code != exitDone {
		t.Error("what is not in use any more is not removed")
	}
	h.configure(certConfig + "tls_certificate = \"edge.contoso.example\"\n") // of the Send connector
	if done := h.do("disable", one, "--smtp", "--yes"); !strings.HasPrefix(changed(done), fmt.Sprintf("receive From Internet: %s > -", one[:8])) ||
		len(done.Warnings) != 1 || !strings.Contains(done.Warnings[0].Message, `Send connector "Internet" has tls_certificate = "edge.contoso.example", and without it its mail waits`) {
		t.Errorf("disabled: %+v", done)
	}
	h.configure(certConfig)
	// A connector that is not enabled keeps what is assigned to it.
	done := h.do("enable", one, "--connector", "Old")
	if len(done.Warnings) != 1 || !strings.Contains(done.Warnings[0].Message, `"Old" is disabled`) {
		t.Errorf("%+v", done)
	}
	if code, _, errs := h.run(strings.NewReader(""), "remove", one, "--yes"); code != exitFailed || !strings.Contains(errs, `in use by Receive connector "Old"`) {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	// And what is assigned to one that is gone goes with the certificate.
	h.configure(strings.Replace(certConfig, `"Old"`, `"Older"`, 1))
	h.must("remove", one, "--yes")
	if store := h.store(); strings.Contains(store, one) || strings.Contains(store, "PRIVATE KEY") {
		t.Errorf("what is left:\n%s", store)
	}
}

// TestCertRequestAndRenewal: an issued certificate from its request to the answer
// of its renewal.
func TestCertRequestAndRenewal(t *testing.T) {
	h := newCertHost(t)
	out := filepath.Join(h.dir, "edge.der")
	code, text, errs := h.run(saying("y\n"), "request", "--connector", "from internet", "--include-accepted-domains", "--domain", "MAIL.contoso.example", "--subject", "O=Contoso", "--not-exportable", "--out", out, "--der")
	if code != exitDone || !strings.Contains(errs, "Receive connector \"From Internet\" greets and answers EHLO as\n  edge.contoso.example\n") || !strings.Contains(text, "The request is in "+out) {
		t.Fatalf("exit code %d\n%s%s", code, text, errs)
	}
	der, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil || r.CheckSignature() != nil || strings.Join(r.DNSNames, " ") != "edge.contoso.example mail.contoso.example contoso.example" || r.Subject.String() != "CN=edge.contoso.example,O=Contoso" {
		t.Fatalf("%+v, %v", r, err)
	}
	if shown := h.must("show", h.listed().Waiting[0].ID[:8]); !strings.Contains(shown, "waits for its certificate") || !strings.Contains(shown, "-----BEGIN CERTIFICATE REQUEST-----") || !strings.Contains(shown, "not exportable") {
		t.Errorf("show prints\n%s", shown)
	}
	// The same again warns.
	if code, _, errs := h.run(strings.NewReader(""), "request", "--domain", "contoso.example,edge.contoso.example,mail.contoso.example"); code != exitDone || !strings.Contains(errs, "another request waits for a certificate for the same names") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	for _, w := range h.listed().Waiting {
		if w.Connector == "" {
			h.must("remove", w.ID, "--yes")
		}
	}
	leaf := h.issue(h.requested().PublicKey, h.requested().DNSNames...)
	one := ptls.Thumbprint(leaf)
	answer := h.pem("answer.pem", leaf, h.root)
	text = h.must("import", answer)
	if !strings.Contains(text, "No connector shows it yet. To let it be shown:\n  postern cert enable "+one[:16]+" --connector \"From Internet\"\n") {
		t.Errorf("import prints\n%s", text)
	}
	if text = h.must("import", answer); !strings.HasPrefix(text, "The store has it already: ") {
		t.Errorf("imported twice, it prints\n%s", text)
	}
	h.must("enable", one, "--connector", "From Internet", "--smtp", "--yes")
	if h.listed().Certificates[0].Exportable {
		t.Error("what was requested as not exportable may leave")
	}

	h.must("renew", one, "--out", filepath.Join(h.dir, "renewed.csr"))
	renewed := h.requested()
	if renewed.Subject.String() != leaf.Subject.String() || strings.Join(renewed.DNSNames, " ") != strings.Join(leaf.DNSNames, " ") {
		t.Errorf("renewed: %+v", renewed)
	}
	next := h.issue(renewed.PublicKey, renewed.DNSNames...)
	two := ptls.Thumbprint(next)
	file := h.pem("next.pem", next, h.root)
	before := h.store()
	if code, _, errs := h.run(saying("n\n"), "import", file); code != exitFailed || !strings.Contains(errs, "From Internet       "+one[:16]+"  "+two[:16]) || h.store() != before {
		t.Errorf("declined: exit code %d\n%s", code, errs)
	}
	h.configure(certConfig + "tls_certificate = \"" + one + "\"\n") // of the Send connector
	done := h.do("import", file, "--yes")
	if len(done.Warnings) != 1 || !strings.Contains(done.Warnings[0].Message, `names the old certificate for Send connector "Internet"`) || !strings.Contains(done.Warnings[0].Remedy, two) {
		t.Errorf("%+v", done.Warnings)
	}
	if h.shows("receive", "From Internet") != two || h.shows("receive", "Submission") != two || h.shows("send", "Internet") != one {
		t.Errorf("the list is %+v", h.listed())
	}
	for _, c := range h.listed().Certificates {
		if c.Exportable || !c.Enabled {
			t.Errorf("%+v", c)
		}
	}
	if code, _, errs := h.run(strings.NewReader(""), "remove", one, "--yes"); code != exitFailed || !strings.Contains(errs, `Send connector "Internet" (tls_certificate names it)`) {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	h.configure(certConfig)
	h.must("remove", one, "--yes")
}

// TestCertInstallOnly: the answer to a renewal that is to wait.
func TestCertInstallOnly(t *testing.T) {
	h := newCertHost(t)
	h.must("request", "--domain", "edge.contoso.example", "--key", "ecdsa256")
	first := h.issue(h.requested().PublicKey, "edge.contoso.example")
	h.must("import", h.pem("1.pem", first, h.root), "--smtp", "--yes")
	h.must("renew", ptls.Thumbprint(first))
	second := h.issue(h.requested().PublicKey, "edge.contoso.example")
	if done := h.do("import", h.pem("2.pem", second, h.root), "--install-only"); changed(done) != "" || done.Certificate.Enabled {
		t.Errorf("%+v", done)
	}
	if h.shows("receive", "From Internet") != ptls.Thumbprint(first) {
		t.Error("it is shown")
	}
	h.must("enable", ptls.Thumbprint(second), "--smtp", "--yes")
	if h.shows("receive", "From Internet") != ptls.Thumbprint(second) {
		t.Error("the newer one is not shown")
	}
}

// TestCertPKCS12: in with a password, out with another, by a prompt's line or a
// file.
func TestCertPKCS12(t *testing.T) {
	h := newCertHost(t)
	key := h.newKey()
	leaf := h.issue(key.Public(), "edge.contoso.example")
	pfx, err := pkcs12.LegacyDES.Encode(key, leaf, []*x509.Certificate{h.root}, "pencil")
	if err != nil {
		t.Fatal(err)
	}
	file := h.write("edge.pfx", pfx)
	if code, _, errs := h.run(strings.NewReader("pencil\r\n"), "import", file, "--smtp", "--yes"); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	one := ptls.Thumbprint(leaf)
	out := filepath.Join(h.dir, "out.p12")
	h.must("export", one, "--format", "p12", "--out", out, "--password-file", h.write("pass", []byte("pencil 2\n")))
	der, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if k, c, _, err := pkcs12.DecodeChain(der, "pencil 2"); err != nil || !c.Equal(leaf) || !key.Equal(k) {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if text := h.must("export", one, "--format", "pem", "--no-key", "--out", "-"); strings.Count(text, "BEGIN CERTIFICATE") != 1 || !strings.Contains(text, "friendlyName: edge.contoso.example\n") {
		t.Errorf("it exports\n%s", text)
	}
	if text := h.must("export", one, "--format", "pem", "--out", filepath.Join(h.dir, "out.pem")); !strings.Contains(text, "The key in it is not encrypted") {
		t.Errorf("it prints\n%s", text)
	}
	h.must("disable", one, "--smtp", "--yes")
	h.must("remove", one, "--yes")
	if done := h.do("import", filepath.Join(h.dir, "out.pem")); done.Certificate.Thumbprint != one || !done.Certificate.HasKey {
		t.Errorf("%+v", done)
	}
}

// TestCertTables: what the list and show print, in 80 columns.
func TestCertTables(t *testing.T) {
	now := noon()
	answer := &certListJSON{
		Certificates: []certJSON{
			{Thumbprint: strings.Repeat("0123456789ABCDEF", 4), SHA1: strings.Repeat("01234567", 5), FriendlyName: "Mail edge", Subject: "CN=edge.contoso.example,O=Contoso", Names: []string{"edge.contoso.example", "mail.contoso.example"}, Issuer: "CN=Contoso Issuing CA,O=Contoso",
				Serial: "0A", NotBefore: now.Add(-240 * time.Hour), NotAfter: now.Add(2112 * time.Hour), DaysLeft: 88, Key: "RSA, 2048 bits", HasKey: true, Status: []string{"in use"},
				UsedBy: []usedBy{{"receive", "From Internet", "assignment", "it was assigned to the connector (postern cert enable)"}, {"send", "Internet", "fqdn", "an authority issued it for the connector's FQDN, edge.contoso.example"}},
				Chain:  []chained{{"AB", "CN=Contoso Issuing CA,O=Contoso", "CN=Contoso Root CA,O=Contoso", now.Add(48000 * time.Hour)}}, File: "/var/lib/postern/certificates/edge.contoso.example-01234567.pem", KeyFile: "/var/lib/postern/certificates/edge.contoso.example-01234567.pem"},
			{Thumbprint: strings.Repeat("F", 64), FriendlyName: "a\x1b[31mname that goes on and on", Subject: "CN=\x07", NotAfter: now.Add(-time.Hour), DaysLeft: -1, Status: []string{"expired", "no key", "self-signed", "not enabled"}, SelfSigned: true},
		},
		Waiting:  []waitJSON{{ID: strings.Repeat("EDCBA9876543210F", 4), FriendlyName: "Mail edge", Names: []string{"edge.contoso.example"}, Key: "RSA, 2048 bits", Requested: &now, Renews: strings.Repeat("0123456789ABCDEF", 4), Request: "x"}},
		Unserved: []unserved{{"Submission", "mail.contoso.example", "no certificate in /var/lib/postern/certificates is for mail.contoso.example, the connector's FQDN", "postern cert request --connector \"Submission\", and postern cert import what the authority returns"}},
	}
	golden(t, func(a *app) { a.printCerts(answer, "/var/lib/postern/certificates", "", now.Add(26*time.Hour)) }, `
THUMBPRINT        FRIENDLY NAME          VALID UNTIL  DAYS  STATUS
0123456789ABCDEF  Mail edge              2027-02-18     88  in use
    edge.contoso.example, mail.contoso.example; issued by CN=Contoso Issuing
    CA,O=Contoso
    receive connector "From Internet": it was assigned to the connector (postern
    cert enable)
    send connector "Internet": an authority issued it for the connector's FQDN,
    edge.contoso.example
FFFFFFFFFFFFFFFF  a?[31mname that goes   2026-11-22     -1  expired, no key,
                  on and on                                 self-signed, not
                                                            enabled
    no DNS name; subject CN=?

Waiting for a certificate
REQUEST           FRIENDLY NAME  KEY             WAITS FOR
EDCBA9876543210F  Mail edge      RSA, 2048 bits  1d02h
    edge.contoso.example
    in the place of 0123456789ABCDEF

Not as it should be
  Receive connector "Submission": no certificate in
  /var/lib/postern/certificates is for mail.contoso.example, the connector's
  FQDN; postern cert request --connector "Submission", and postern cert import
  what the authority returns
`)
	golden(t, func(a *app) { a.printCert(&answer.Certificates[0]) }, `
Mail edge: in use
  thumbprint    0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
  SHA-1         0123456701234567012345670123456701234567
  subject       CN=edge.contoso.example,O=Contoso
  names         edge.contoso.example, mail.contoso.example
  issuer        CN=Contoso Issuing CA,O=Contoso
  serial        0A
  valid from    2026-11-12 12:00:00 +0000
  valid until   2027-02-18 12:00:00 +0000, 88 days left
  key           RSA, 2048 bits, not exportable
  chain         CN=Contoso Issuing CA,O=Contoso, until 2032-05-14, issued by
                CN=Contoso Root CA,O=Contoso
  shown by      receive connector "From Internet": it was assigned to the
                connector (postern cert enable)
                send connector "Internet": an authority issued it for the
                connector's FQDN, edge.contoso.example
  file          /var/lib/postern/certificates/edge.contoso.example-01234567.pem
`)
}

// TestCertListDomain: exactly, by a wildcard, or not at all.
func TestCertListDomain(t *testing.T) {
	h := newCertHost(t)
	if out := h.must("list"); !strings.HasPrefix(out, "No certificates in ") {
		t.Errorf("an empty store is listed as\n%s", out)
	}
	h.must("new", "--domain", "*.contoso.example", "--yes")
	h.must("new", "--domain", "edge.contoso.example,bücher.example", "--yes")
	for domain, want := range map[string]int{"edge.contoso.example": 2, "EDGE.contoso.example.": 2, "x.contoso.example": 1, "*.contoso.example": 1, "bücher.example": 1, "contoso.example": 0} {
		var list certListJSON
		if err := json.Unmarshal([]byte(h.must("list", "--domain", domain, "-o", "json")), &list); err != nil || len(list.Certificates) != want {
			t.Errorf("%s: %d certificates, %v", domain, len(list.Certificates), err)
		}
	}
	if out := h.must("list", "--domain", "fabrikam.example"); out != "No certificate is for fabrikam.example\n" {
		t.Errorf("it prints\n%s", out)
	}
	// A file that can't be used is told of, and nothing else suffers.
	h.write("data/certificates/broken.pem", []byte("rubbish"))
	_, out, errs := h.run(strings.NewReader(""), "list")
	if !regexp.MustCompile(`passed over: .*broken.pem: there is no certificate in it`).MatchString(errs) || !strings.Contains(out, "*.contoso.example") {
		t.Errorf("it prints\n%s%s", out, errs)
	}
}
