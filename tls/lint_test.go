package ptls

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/config"
)

func TestLint(t *testing.T) {
	auth := config.SmartHostAuth{Mechanism: "basic_require_tls"}
	hub := []config.SmartHost{{Host: "hub"}}
	for name, tt := range map[string]struct {
		c    config.SendConnector
		want string
	}{
		"opportunistic": {config.SendConnector{TLS: config.TLSOpportunistic}, ""},
		"the recipient's domain": {config.SendConnector{TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation},
			`note tls_auth_level: send connector "x": without tls_domain each certificate must be for the recipient's domain itself, which those of most mail exchangers are not`},
		"a name":       {config.SendConnector{TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation, TLSDomain: []string{"a"}}, ""},
		"mutual":       {config.SendConnector{TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation, DomainSecureEnabled: true}, ""},
		"a password":   {config.SendConnector{SmartHosts: hub, SmartHostAuth: auth, TLS: config.TLSRequired}, `note tls_auth_level: send connector "x": the password of smart_host_auth is shown to any host that answers for the smart host, since nothing proves its name`},
		"and a pin":    {config.SendConnector{SmartHosts: hub, SmartHostAuth: auth, TLS: config.TLSRequired, TLSFingerprints: []string{"a"}}, ""},
		"no password":  {config.SendConnector{SmartHosts: hub, SmartHostAuth: config.SmartHostAuth{Mechanism: "none"}, TLS: config.TLSRequired}, ""},
		"and its name": {config.SendConnector{SmartHosts: hub, SmartHostAuth: auth, TLS: config.TLSRequired, TLSAuthLevel: config.DomainValidation, TLSDomain: []string{"hub"}}, ""},
		"an override for nobody": {config.SendConnector{AddressSpaces: []string{"a.example", "*.b.example;5"}, TLSOverrides: []config.TLSOverride{
			{Domain: "a.example"}, {Domain: "*.example"}, {Domain: "c.b.example"}, {Domain: "*.A.example"}, {Domain: "x.a.example"}, {Domain: "*.c.example"}, {Domain: "xb.example"}}},
			"warning tls_override[4].domain: send connector \"x\": the override for x.a.example has no effect: no address space of the connector matches\n" +
				"warning tls_override[5].domain: send connector \"x\": the override for *.c.example has no effect: no address space of the connector matches\n" +
				"warning tls_override[6].domain: send connector \"x\": the override for xb.example has no effect: no address space of the connector matches"},
		"overrides of everybody": {config.SendConnector{AddressSpaces: []string{"*"}, TLSOverrides: []config.TLSOverride{{Domain: "a.example"}}}, ""},
		"overrides from a file":  {config.SendConnector{AddressSpacesFile: "x", TLSOverrides: []config.TLSOverride{{Domain: "a.example"}}}, ""},
	} {
		tt.c.Name = "x"
		if got := findingsOf(Lint(&config.Config{SendConnectors: []config.SendConnector{tt.c}})); got != tt.want {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
}

func findingsOf(findings []config.Finding) string {
	var out []string
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s %s: %s", f.Severity, strings.TrimPrefix(f.Path, "send_connector[0]."), f.Message))
	}
	return strings.Join(out, "\n")
}

// TestCheckFiles: what can't be used, or soon can't, is warned of.
func TestCheckFiles(t *testing.T) {
	ca := newAuthority(t, "Test authority", nil)
	dir := t.TempDir()
	store := filepath.Join(dir, "certificates")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	lasting := func(d time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
	}
	roots := writePEM(t, dir, "ca.pem", ca.cert)
	good := ca.issue(t, nil, lasting(1000*time.Hour), "good.example")
	writePEM(t, store, "good.pem", good)
	soon := writePEM(t, dir, "soon.pem", ca.issue(t, nil, lasting(100*time.Hour), "soon.example"))
	old := writePEM(t, dir, "old.pem", ca.issue(t, nil, lasting(-time.Second), "old.example"))
	open := writePEM(t, store, "open.pem", good)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	writePEM(t, store, "keyless.pem", ca.issue(t, nil, lasting(1000*time.Hour), "keyless.example").Leaf)
	servers := writePEM(t, dir, "servers.pem", ca.issue(t, nil, func(c *x509.Certificate) {
		lasting(1000 * time.Hour)(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}, "servers.example"))
	for name, tt := range map[string]struct {
		c    config.SendConnector
		want []string
	}{
		"nothing":   {config.SendConnector{}, nil},
		"good":      {config.SendConnector{TLSCAFile: roots, TLSCertificate: "good.example"}, nil},
		"switched":  {config.SendConnector{TLSCertificate: "none"}, nil},
		"roots":     {config.SendConnector{TLSCAFile: "/nowhere"}, []string{"tls_ca_file: the authorities can't be read: stat /nowhere: no such file or directory"}},
		"not roots": {config.SendConnector{TLSOverrides: []config.TLSOverride{{}, {TLSCAFile: servers + ".x"}}}, []string{"tls_override[1].tls_ca_file: the authorities can't be read: stat " + servers + ".x: no such file or directory"}},
		"soon":      {config.SendConnector{TLSCertificate: soon}, []string{"tls_certificate: the certificate in " + soon + " expires on " + time.Now().Add(100*time.Hour).UTC().Format(time.DateOnly)}},
		"old":       {config.SendConnector{TLSCertificate: old}, []string{"tls_certificate: the certificate in " + old + " expired on " + time.Now().Add(-time.Second).UTC().Format(time.DateOnly)}},
		"open":      {config.SendConnector{TLSCertificate: open}, []string{"tls_certificate: the certificate can't be used: private key: " + open + " is open to everybody on this host (-rw-r--r--); chmod it to 0600, or to 0640 with a group that may read it"}},
		"no such":   {config.SendConnector{TLSCertificate: "other.example"}, []string{"tls_certificate: private key: " + open + " is open to everybody on this host (-rw-r--r--); chmod it to 0600, or to 0640 with a group that may read it", `tls_certificate: there is no certificate "other.example" in ` + store}},
		"keyless":   {config.SendConnector{TLSCertificate: "keyless"}, []string{"tls_certificate: " + store + "/keyless.pem has no private key beside it"}},
		"servers":   {config.SendConnector{TLSCertificate: servers}, []string{"tls_certificate: the certificate in " + servers + " is for servers only, so that hosts that look at it may refuse it"}},
		"mutual":    {config.SendConnector{FQDN: "other.example", DomainSecureEnabled: true}, []string{"domain_secure_enabled: no certificate in " + store + " was issued for other.example and may be used by clients"}},
	} {
		cfg := &config.Config{Server: config.Server{DataDir: dir}, SendConnectors: []config.SendConnector{tt.c}}
		var got []string
		for _, f := range CheckFiles(cfg) {
			if f.Severity != config.Warning || f.Remedy == "" {
				t.Errorf("%s: %+v", name, f)
			}
			got = append(got, strings.Replace(strings.TrimPrefix(f.Path, "send_connector[0].")+": "+f.Message, `send connector "": `, "", 1))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
	// Where there is no store, as on the desk of an administrator, names are
	// nobody's business.
	cfg := &config.Config{Server: config.Server{DataDir: filepath.Join(dir, "nowhere")}, SendConnectors: []config.SendConnector{{TLSCertificate: "x.example"}}}
	if f := CheckFiles(cfg); f != nil {
		t.Errorf("%v", f)
	}
}
