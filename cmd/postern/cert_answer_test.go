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

// TestCertRenewalBackdated: the answer to a renewal takes over although the
// authority wrote an earlier beginning than it did in the old one.
func TestCertRenewalBackdated(t *testing.T) {
	h := newCertHost(t)
	h.must("request", "--domain", "edge.contoso.example,mail.contoso.example", "--key", "ecdsa256")
	first := h.issueFor(h.requested().PublicKey, time.Now().Add(-time.Hour), 90*day, "edge.contoso.example", "mail.contoso.example")
	h.must("import", h.pem("1.pem", first, h.root), "--smtp", "--yes")
	one := ptls.Thumbprint(first)
	h.must("renew", one)
	public := h.requested().PublicKey
	second := h.issueFor(public, time.Now().Add(-5*time.Hour), 90*day, "edge.contoso.example", "mail.contoso.example")
	two := ptls.Thumbprint(second)
	out := h.must("import", h.pem("2.pem", second, h.root), "--connector", "From Internet", "--yes")
	for kind, name := range map[string]string{"receive": "Submission", "send": "Internet"} {
		if h.shows(kind, name) != two {
			t.Errorf("%s shows another one", name)
		}
	}
	if !strings.Contains(out, "The old one is not chosen by its names any more") || !strings.Contains(out, "  postern cert remove "+one[:16]+"\n") {
		t.Errorf("it prints\n%s", out)
	}
	h.must("remove", one, "--yes")

	// Of two that nothing joins, the one that is not chosen says why.
	key := h.newKey()
	third := h.issueFor(key.Public(), time.Now().Add(-9*time.Hour), 90*day, "mail.contoso.example")
	three := ptls.Thumbprint(third)
	h.must("import", h.pem("3.pem", key, third, h.root))
	for range 2 {
		if out := strings.Join(strings.Fields(h.must("enable", three, "--smtp", "--yes")), " "); !strings.Contains(out, `Receive connector "Submission" shows `+two[:16]) ||
			!strings.Contains(out, "all the same: it is newer. To have this one shown: postern cert disable "+two[:16]+" --smtp") {
			t.Errorf("it prints\n%s", out)
		}
	}
}

// TestCertRenewalFallsShort: an answer that can't do all that the old one does
// leaves that in its place, and nothing advises to remove that.
func TestCertRenewalFallsShort(t *testing.T) {
	for name, tt := range map[string]struct {
		from  time.Duration
		names []string
		want  string // of what import prints
	}{
		"fewer names":   {-5 * time.Hour, []string{"edge.contoso.example"}, `Receive connector "Submission" goes on showing the old one`},
		"not yet valid": {5 * day, []string{"edge.contoso.example", "mail.contoso.example"}, `Receive connector "From Internet" goes on showing the old one`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newCertHost(t)
			h.must("request", "--domain", "edge.contoso.example,mail.contoso.example", "--key", "ecdsa256")
			first := h.issueFor(h.requested().PublicKey, time.Now().Add(-time.Hour), 90*day, "edge.contoso.example", "mail.contoso.example")
			one := ptls.Thumbprint(first)
			h.must("import", h.pem("1.pem", first, h.root), "--smtp", "--connector", "From Internet", "--yes")
			h.must("renew", one)
			second := h.issueFor(h.requested().PublicKey, time.Now().Add(tt.from), 90*day, tt.names...)
			out := h.must("import", h.pem("2.pem", second, h.root), "--yes")
			if !strings.Contains(out, tt.want) || strings.Contains(out, "cert remove") || h.shows("receive", "Submission") != one {
				t.Errorf("it prints\n%s", out)
			}
			if tt.from > 0 && h.shows("receive", "From Internet") != one {
				t.Error("one that is not valid yet is shown")
			}
		})
	}
}

// TestCertOtherKeys: what changes for clients that can use one kind of key alone
// is shown and asked for.
func TestCertOtherKeys(t *testing.T) {
	h := newCertHost(t)
	key := h.newKey()
	elliptic := h.issue(key.Public(), "edge.contoso.example")
	h.must("request", "--domain", "edge.contoso.example")
	rsa := h.issueFor(h.requested().PublicKey, time.Now().Add(-9*time.Hour), 90*day, "edge.contoso.example")
	h.must("import", h.pem("ec.pem", key, elliptic, h.root), "--smtp", "--yes")
	one, two := ptls.Thumbprint(elliptic), ptls.Thumbprint(rsa)
	both, alone := one[:16]+", "+two[:16], one[:16]
	for _, step := range []struct {
		args     []string
		from, to string
	}{
		{[]string{"import", h.pem("rsa.pem", rsa, h.root), "--smtp"}, alone, both},
		{[]string{"disable", two, "--smtp"}, both, alone},
		{[]string{"enable", two, "--smtp"}, alone, both},
	} {
		before := h.store()
		code, _, errs := h.run(saying("n\n"), step.args...)
		fields := strings.Join(strings.Fields(errs), " ")
		if code != exitFailed || !strings.Contains(fields, "From Internet "+step.from+" "+step.to+" for clients that can't use the key of the first") ||
			!strings.Contains(fields, "RSA, 2048 bits") || h.store() != before {
			t.Errorf("cert %q: exit code %d\n%s", step.args, code, errs)
		}
		done := h.do(append(step.args, "--yes")...)
		if len(done.Changes) != 1 || len(done.Changes[0].FromOthers) != strings.Count(step.from, ",") || len(done.Changes[0].ToOthers) != strings.Count(step.to, ",") {
			t.Errorf("cert %q: %+v", step.args, done.Changes)
		}
	}
}

// TestCertListShowsWhatIsWrong: a connector that shows what clients turn away is
// not as it should be.
func TestCertListShowsWhatIsWrong(t *testing.T) {
	for want, tt := range map[string]struct {
		from, lasting time.Duration
		usage         x509.ExtKeyUsage
	}{
		"expired on":                          {-30 * day, 10 * day, x509.ExtKeyUsageServerAuth},
		"is not valid before":                 {5 * day, 90 * day, x509.ExtKeyUsageServerAuth},
		"expires on":                          {-30 * day, 34 * day, x509.ExtKeyUsageServerAuth},
		"may not be used by servers":          {-day, 90 * day, x509.ExtKeyUsageClientAuth},
		"lacks the certificate of its issuer": {-day, 90 * day, x509.ExtKeyUsageServerAuth},
	} {
		h := newCertHost(t)
		key := h.newKey()
		from := time.Now().Add(tt.from)
		leaf := h.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "edge"}, DNSNames: []string{"edge.contoso.example"}, NotBefore: from, NotAfter: from.Add(tt.lasting), ExtKeyUsage: []x509.ExtKeyUsage{tt.usage}}, key.Public())
		things := []any{key, leaf}
		if !strings.HasPrefix(want, "lacks") {
			things = append(things, h.root)
		}
		h.must("import", h.pem("x.pem", things...), "--connector", "From Internet", "--yes")
		found := 0
		for _, u := range h.listed().Unserved {
			if u.Connector == "From Internet" && strings.Contains(u.Problem, want) && u.Remedy != "" {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s: %+v", want, h.listed().Unserved)
		}
	}
}

// TestCertAdvice: what commands advise can be done, and is enough.
func TestCertAdvice(t *testing.T) {
	h := newCertHost(t)
	key := h.newKey()
	leaf := h.issue(key.Public(), "edge.contoso.example", "mail.contoso.example")
	one := ptls.Thumbprint(leaf)
	h.must("import", h.pem("1.pem", key, leaf, h.root), "--connector", "From Internet", "--smtp", "--yes")
	_, _, errs := h.run(strings.NewReader(""), "remove", one, "--yes")
	_, advice, ok := strings.Cut(strings.TrimSpace(errs), "or disable this one: postern cert ")
	if !ok || advice != "disable "+one[:16]+` --connector "From Internet" --smtp` {
		t.Fatalf("it says %s", errs)
	}
	h.must("disable", one[:16], "--connector", "From Internet", "--smtp", "--yes")
	h.must("remove", one, "--yes")

	other := h.issue(key.Public(), "www.contoso.example")
	if out := h.must("import", h.pem("2.pem", key, other, h.root)); !strings.Contains(out, "postern cert enable "+ptls.Thumbprint(other)[:16]+` --connector "NAME"`) {
		t.Errorf("it prints\n%s", out)
	}
	h.configure(strings.Replace(certConfig, "implicit_tls = true", "implicit_tls = true\ntls_certificate = \"edge.contoso.example\"", 1))
	if out := h.must("import", h.pem("2.pem", key, other, h.root), "--friendly-name", "x"); !strings.Contains(out, `--connector "From Internet"`) {
		t.Errorf("it prints\n%s", out)
	}
	if _, _, errs := h.run(strings.NewReader(""), "new", "--connector", "Submission"); !strings.Contains(errs, "make it without --connector") || strings.Contains(errs, `write tls_certificate = "`) {
		t.Errorf("it says %s", errs)
	}
	if code, _, errs := h.run(strings.NewReader(""), "export", ptls.Thumbprint(other), "--format", "p12", "--out", filepath.Join(h.dir, "x.p12")); code != exitFailed || !strings.Contains(errs, "--password-file") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	// The request that waits is what to wait for.
	h.must("request", "--domain", "edge.contoso.example")
	waits := h.listed().Waiting[0].ID[:16]
	for _, u := range h.listed().Unserved {
		if u.Connector == "From Internet" && !strings.Contains(u.Remedy, "request "+waits+" waits for it") {
			t.Errorf("%+v", u)
		}
	}
}

// TestCertDays: days are rounded.
func TestCertDays(t *testing.T) {
	now := noon()
	for left, want := range map[time.Duration]int{365*day - 5*time.Second: 365, -9 * time.Second: 0, -21*day - 9*time.Hour: -21, 13 * time.Hour: 1, 4 * day: 4} {
		if got := daysLeft(now.Add(left), now); got != want {
			t.Errorf("%v: %d, want %d", left, got, want)
		}
	}
}
