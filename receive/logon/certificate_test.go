package logon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"postern/config"
	"postern/internal/message"
	ptls "postern/tls"
)

// issuer issues certificates; without a certificate of its own they sign
// themselves.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a issuer) issue(t testing.TB, change func(*x509.Certificate)) (tls.Certificate, issuer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, issuer{leaf, key}
}

func authority(t testing.TB, name string) issuer {
	t.Helper()
	_, a := issuer{}.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = name, true, true, x509.KeyUsageCertSign, nil
	})
	return a
}

func named(name string, hosts ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject, c.DNSNames = pkix.Name{CommonName: name, Organization: []string{"Contoso"}}, hosts
	}
}

// handshake returns both ends' view of a TLS connection.
func handshake(t testing.TB, server, client tls.Certificate, version uint16) (Peer, *tls.ConnectionState) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	s := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert, MaxVersion: version, SessionTicketsDisabled: true})
	cfg := &tls.Config{InsecureSkipVerify: true, MaxVersion: version}
	if client.Certificate != nil {
		cfg.Certificates = []tls.Certificate{client}
	}
	c := tls.Client(b, cfg)
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	ours, theirs := s.ConnectionState(), c.ConnectionState()
	return Peer{TLS: &ours, Certificate: server.Certificate[0]}, &theirs
}

func TestExternal(t *testing.T) {
	ca, stranger := authority(t, "Contoso CA"), authority(t, "Contoso CA")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	server, _ := issuer{}.issue(t, named("edge.contoso.example"))
	pinned, _ := issuer{}.issue(t, named("pinned"))
	old, _ := issuer{}.issue(t, func(c *x509.Certificate) { named("old")(c); c.NotAfter = time.Now().Add(-time.Minute) })
	issued, _ := ca.issue(t, named("app"))
	serverOnly, _ := ca.issue(t, func(c *x509.Certificate) {
		named("app")(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	fake, _ := stranger.issue(t, named("app"))
	other, _ := ca.issue(t, named("other"))
	expired, _ := ca.issue(t, func(c *x509.Certificate) { named("app")(c); c.NotAfter = time.Now().Add(-time.Minute) })
	gone, _ := issuer{}.issue(t, named("gone"))
	certified := func(name string, enabled bool, thumbprints []string, subjects ...string) config.User {
		return config.User{Name: name, Enabled: enabled, CertificateThumbprint: thumbprints, CertificateSubject: subjects}
	}
	s := newStore(t,
		certified("pinned", true, []string{ptls.Thumbprint(pinned.Leaf), ptls.Thumbprint(old.Leaf)}),
		certified("app", true, nil, "<I>CN=Contoso CA<S>CN=app, O=Contoso"),
		certified("gone", false, []string{ptls.Thumbprint(gone.Leaf)}),
		certified("wrong issuer", true, nil, "<I>CN=Fabrikam CA<S>CN=other,O=Contoso"))
	for _, tt := range []struct {
		name      string
		client    tls.Certificate
		authorize string
		want      string
	}{
		{"by its digest", pinned, "", "pinned"},
		{"as itself", pinned, "PINNED", "pinned"},
		{"as another", pinned, "app", "!act for somebody else"},
		{"by its digest, too old", old, "", "!not valid at this time"},
		{"by its subject", issued, "", "app"},
		{"of a server", serverOnly, "", "app"},
		{"the subject from a stranger", fake, "", `!user "app": the certificate is not trusted`},
		{"the subject, too old", expired, "", `!user "app": the certificate is not trusted`},
		{"the subject from another authority", other, "", "!belongs to no user"},
		{"a disabled account", gone, "", "!is disabled"},
		{"none", tls.Certificate{}, "", "!no certificate"},
	} {
		peer, _ := handshake(t, server, tt.client, 0)
		peer.Roots = roots
		_, step, err := dialog(start(t, s, "EXTERNAL", peer), tt.authorize)
		if want, fails := strings.CutPrefix(tt.want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v, want %q", tt.name, err, want)
			}
		} else if err != nil || !step.Done || step.Account.Name != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, step, err)
		}
	}
	if _, err := start(t, s, "EXTERNAL", Peer{}).Next(context.Background(), []byte{}); err == nil {
		t.Error("somebody is certified without TLS")
	}
	for _, r := range []string{"\x00", "a\x00b", "\xff"} {
		if _, _, err := dialog(start(t, s, "EXTERNAL", Peer{}), r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", r, err)
		}
	}
	if step, err := start(t, s, "EXTERNAL", Peer{}).Next(context.Background(), nil); err != nil || step.Done || step.Challenge == nil {
		t.Errorf("without an initial response: %+v, %v", step, err)
	}
}

func TestPartners(t *testing.T) {
	ca, stranger := authority(t, "CA"), authority(t, "Stranger")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	server, _ := issuer{}.issue(t, named("edge.contoso.example"))
	for _, tt := range []struct {
		name    string
		from    issuer
		hosts   []string
		partner string // the name; "!" for an error
	}{
		{"a host of the domain", ca, []string{"x.example", "mail.Fabrikam.example"}, "mail.Fabrikam.example"},
		{"the domain", ca, []string{"fabrikam.example"}, "fabrikam.example"},
		{"a wildcard", ca, []string{"*.fabrikam.example"}, "*.fabrikam.example"},
		{"another that ends alike", ca, []string{"evilfabrikam.example"}, ""},
		{"a name above", ca, []string{"example"}, ""},
		{"nothing of ours", ca, []string{"mail.example"}, ""},
		{"from a stranger", stranger, []string{"mail.fabrikam.example"}, "!"},
	} {
		client, _ := tt.from.issue(t, named("n", tt.hosts...))
		peer, _ := handshake(t, server, client, 0)
		peer.Roots = roots
		p, err := PartnerOf(peer, []string{"tailspin.example", "fabrikam.example"})
		switch {
		case tt.partner == "!":
			if err == nil || p != nil {
				t.Errorf("%s: %+v, %v", tt.name, p, err)
			}
		case err != nil || (p == nil) != (tt.partner == "") || p != nil && p.Name != tt.partner:
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
		if p == nil {
			continue
		}
		for from, want := range map[string]bool{"a@fabrikam.example": true, "a@x.fabrikam.example": false, "a@tailspin.example": false, "a@contoso.example": false} {
			a, _ := message.ParseAddress(from, false)
			if p.MaySendAs(a) != want {
				t.Errorf("%s: as %s: %v", tt.name, from, !want)
			}
		}
	}
	if p, err := PartnerOf(Peer{}, []string{"fabrikam.example"}); p != nil || err != nil {
		t.Errorf("in clear text: %+v, %v", p, err)
	}
}

// TestScramPlus binds to TLS in each way that a client may try.
func TestScramPlus(t *testing.T) {
	server, _ := issuer{}.issue(t, named("edge.contoso.example"))
	s := newStore(t, user("kim", scramHash(t, password, "saltsaltsalt")))
	client, err := scram.SHA256.NewClient("kim", password, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		peer, theirs := handshake(t, server, tls.Certificate{}, version)
		exporter, err := scram.NewTLSExporterBinding(theirs)
		if err != nil {
			t.Fatal(err)
		}
		endpoint, err := scram.NewTLSServerEndpointBinding(theirs)
		if err != nil {
			t.Fatal(err)
		}
		wrong := exporter
		wrong.Data = append([]byte{1}, wrong.Data[1:]...)
		for _, tt := range []struct {
			name, mechanism string
			c               *scram.ClientConversation
			want            string
		}{
			{"tls-exporter", "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(exporter), ""},
			{"tls-server-end-point", "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(endpoint), ""},
			{"another channel", "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(wrong), "somebody stands between"},
			{"a kind that is not known", "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(scram.NewTLSUniqueBinding([]byte("x"))), "not known here"},
			{"PLUS without binding", "SCRAM-SHA-256-PLUS", client.NewConversation(), "does not fit"},
			{"binding without PLUS", "SCRAM-SHA-256", client.NewConversationWithChannelBinding(exporter), "does not fit"},
			{"a client that can't", "SCRAM-SHA-256", client.NewConversation(), ""},
			{"a client that was told we can't", "SCRAM-SHA-256", client.NewConversationAdvertisingChannelBinding(), "somebody stands between"},
		} {
			step, err := converse(start(t, s, tt.mechanism, peer), tt.c)
			if tt.want == "" && (err != nil || step.Account.Name != "kim") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s with %s: %v, want %q", tt.name, tls.VersionName(version), err, tt.want)
			}
		}
	}
	// In clear text nobody can bind, and a client that could is right.
	if _, err := converse(start(t, s, "SCRAM-SHA-256", Peer{}), client.NewConversationAdvertisingChannelBinding()); err != nil {
		t.Error(err)
	}
}
