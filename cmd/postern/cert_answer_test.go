package main

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ptls "postern/tls"
)

// issueFor answers a request with a certificate that is valid for a while from
// a moment on.
func (h *certHost) issueFor(public crypto.PublicKey, from time.Time, lasting time.Duration, names ...string) *x509.Certificate {
	h.t.Helper()
	return h.sign(&x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: from, NotAfter: from.Add(lasting),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, public)
}

// TestCertAnswerExpired: an answer that is of no use does not use up the request,
// and no key is lost on the way to the one that is.
func TestCertAnswerExpired(t *testing.T) {
	h := newCertHost(t)
	h.must("request", "--domain", "edge.contoso.example", "--friendly-name", "Mail edge", "--key", "ecdsa256")
	before, public := h.store(), h.requested().PublicKey
	bad := h.pem("bad.pem", h.issueFor(public, time.Now().Add(-30*day), 10*day, "edge.contoso.example"), h.root)
	code, out, errs := h.run(strings.NewReader(""), "import", bad)
	if code != exitFailed || out != "" || !strings.Contains(errs, "before it came; ask the authority for another answer to request "+h.listed().Waiting[0].ID[:16]+", which goes on waiting") || h.store() != before {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	good := h.issue(public, "edge.contoso.example")
	if out := strings.Join(strings.Fields(h.must("import", h.pem("good.pem", good, h.root))), " "); !strings.Contains(out, `"Mail edge"`) || !strings.Contains(out, "its key waited as") {
		t.Errorf("it prints\n%s", out)
	}
	// Another answer to the request that was used up has its key and its name.
	again := h.issue(public, "edge.contoso.example", "mail.contoso.example")
	if out := strings.Join(strings.Fields(h.must("import", h.pem("again.pem", again, h.root))), " "); !strings.Contains(out, `"Mail edge"`) || !strings.Contains(out, "its key is that of "+ptls.Thumbprint(good)[:16]) {
		t.Errorf("it prints\n%s", out)
	}
	if _, _, errs := h.run(saying("y\n"), "remove", ptls.Thumbprint(good)); !strings.Contains(strings.Join(strings.Fields(errs), " "), "Its key stays, with "+ptls.Thumbprint(again)[:16]) {
		t.Errorf("it asks\n%s", errs)
	}
	if _, _, errs := h.run(saying("n\n"), "remove", ptls.Thumbprint(again)); !strings.Contains(strings.Join(strings.Fields(errs), " "), "no other answer to the request for it could be imported") {
		t.Errorf("it asks\n%s", errs)
	}
}

// TestCertExpiredIsNotRecommended: nobody is told to enable what has expired.
func TestCertExpiredIsNotRecommended(t *testing.T) {
	h := newCertHost(t)
	key := h.newKey()
	old := h.issueFor(key.Public(), time.Now().Add(-30*day), 10*day, "edge.contoso.example")
	code, out, errs := h.run(strings.NewReader(""), "import", h.pem("old.pem", key, old, h.root))
	if code != exitDone || strings.Contains(out, "cert enable") || !strings.Contains(errs, "postern cert renew "+ptls.Thumbprint(old)[:16]) {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if out := h.must("list"); strings.Contains(out, "cert enable") {
		t.Errorf("list prints\n%s", out)
	}
}

// TestCertAnswerWithFewerNames: what was asked for and is not there is told of.
func TestCertAnswerWithFewerNames(t *testing.T) {
	h := newCertHost(t)
	h.must("request", "--domain", "edge.contoso.example,mail.contoso.example,*.fabrikam.example", "--out", filepath.Join(h.dir, "r.csr"))
	public := h.requested().PublicKey
	done := h.do("import", h.pem("one.pem", h.issue(public, "edge.contoso.example"), h.root))
	if len(done.Warnings) != 1 || !strings.HasSuffix(done.Warnings[0].Message, "and the certificate is not for mail.contoso.example, *.fabrikam.example") {
		t.Errorf("%+v", done.Warnings)
	}
	if done := h.do("import", h.pem("all.pem", h.issue(public, "edge.contoso.example", "mail.contoso.example", "*.fabrikam.example"), h.root)); len(done.Warnings) != 0 {
		t.Errorf("%+v", done.Warnings)
	}
}
