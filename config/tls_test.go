package config

import (
	"reflect"
	"strings"
	"testing"
)

// TestSendTLSErrors: TLS keys of a Send connector that contradict each other,
// or would have no effect, are errors.
func TestSendTLSErrors(t *testing.T) {
	const override = "[[send_connector.tls_override]]\ndomain = \"x.example\"\n"
	pin := strings.Repeat("ab", 32)
	for name, tt := range map[string]struct {
		keys string
		want []string
	}{
		"nothing": {"", nil},
		"pins, roots and names": {"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = [\"a.example\", \"*.b.example\"]\ntls_ca_file = \"ca.pem\"\n" +
			"tls_fingerprints = [\"" + pin + "\", \"spki:" + pin + "\"]\ntls_certificate = \"mail.example\"", nil},
		"keys without required": {"tls_ca_file = \"ca.pem\"\ntls_fingerprints = [\"" + pin + "\"]", []string{
			`7:1: tls_ca_file has no effect with tls = "opportunistic"; write tls = "required", or take tls_ca_file out`,
			`8:1: tls_fingerprints has no effect with tls = "opportunistic"; write tls = "required", or take tls_fingerprints out`}},
		"fallback of what never falls back": {"tls = \"required\"\ntls_fallback = false", []string{
			`8:1: tls_fallback has no effect with tls = "required"; write tls = "opportunistic", or take tls_fallback out`}},
		"no fallback": {"tls_fallback = false", nil},
		"roots for nothing": {"tls = \"required\"\ntls_ca_file = \"ca.pem\"", []string{
			`8:1: tls_ca_file has no effect where certificates are not validated; write tls_auth_level = "certificate_validation", or take tls_ca_file out`}},
		"certificate for nothing": {"tls = \"ignore_starttls\"\ntls_certificate = \"x\"", []string{
			`8:1: tls_certificate has no effect with tls = "ignore_starttls"; write another value for tls, or take tls_certificate out`}},
		"certificate for an override": {"tls = \"ignore_starttls\"\ntls_certificate = \"x\"\n" + override + "tls = \"required\"", nil},
		"no pins": {"tls = \"required\"\ntls_fingerprints = [\"abcd\", \"spki:abcd\"]", []string{
			`8:21: tls_fingerprints: "abcd" is not the SHA-256 digest of a certificate or public key; write the 64 digits that ` + "`openssl x509 -noout -fingerprint -sha256`" + ` prints, or "spki:" and the digest of the public key`,
			`8:29: tls_fingerprints: "spki:abcd" is not the SHA-256 digest of a public key; write "spki:" and the 64 digits of a TLSA record ` + "`3 1 1`, or the digest in base64"}},
		"names in U-labels": {"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = \"*.bücher.example\"", []string{
			`9:1: tls_domain: "*.bücher.example" is not a domain name: 'ü' can't stand in a name; write its A-labels, "*.xn--bcher-kva.example"`}},
		"names that are no list": {"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = 5", []string{
			`9:1: tls_domain: 5 is a number; write a string in quotes, or a list of them`}},
		"implicit TLS": {"smart_hosts = [\"h.example:465\"]\ntls = \"required\"\nimplicit_tls = true", nil},
		"implicit TLS without smart hosts": {"tls = \"required\"\nimplicit_tls = true", []string{
			`8:1: implicit_tls: mail exchangers begin in clear, at port 25; write smart_hosts, or take implicit_tls out`}},
		"implicit TLS or clear": {"smart_hosts = [\"h.example:465\"]\nimplicit_tls = true\n" + override + "tls = \"opportunistic\"", []string{
			`8:1: implicit_tls leaves no way to go in clear, which tls = "opportunistic" allows; write tls = "required"`,
			`10:1: warning: domain: no smart host of the connector is called "x.example"; write the name or address of a smart host: recipient domains don't count where smart hosts take all mail`,
			`11:1: tls: implicit_tls of the connector leaves no way to go in clear, which "opportunistic" allows; write tls = "required"`}},
		"implicit TLS at port 25": {"smart_hosts = [\"h.example\"]\ntls = \"required\"\nimplicit_tls = true", []string{
			`9:1: warning: implicit_tls: at port 25 of h.example SMTP usually begins in clear; write port = 465`}},
		"domain security": {"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ndomain_secure_enabled = true", nil},
		"domain security with less": {"tls = \"required\"\ntls_auth_level = \"certificate_validation\"\ndomain_secure_enabled = true", []string{
			`9:1: domain_secure_enabled needs the certificate of the recipient's domain; write tls = "required" and tls_auth_level = "domain_validation"`}},
		"domain security without a certificate": {"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_certificate = \"none\"\ndomain_secure_enabled = true", []string{
			`10:1: domain_secure_enabled needs a certificate of ours, which tls_certificate = "none" denies; write the certificate's name for tls_certificate`}},
		"domain security of smart hosts": {"smart_hosts = [\"h.example\"]\ntls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = \"h.example\"\ndomain_secure_enabled = true", []string{
			`11:1: domain_secure_enabled: smart hosts are no hosts of the recipient's domain; take smart_hosts out, or domain_secure_enabled`}},
		"domain security but not for some": {"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ndomain_secure_enabled = true\n" + override + "tls = \"ignore_starttls\"", []string{
			`12:1: tls: domain_secure_enabled of the connector needs the certificate of the recipient's domain; write tls = "required" and tls_auth_level = "domain_validation"`}},
		"overrides": {override + "tls = \"required\"\ntls_auth_level = \"domain_validation\"\n[[send_connector.tls_override]]\ndomain = \"*.x.example\"\ntls = \"ignore_starttls\"", nil},
		"two overrides for one domain": {override + "tls = \"required\"\n[[send_connector.tls_override]]\ndomain = \"X.example\"\ntls = \"ignore_starttls\"", []string{
			`11:1: domain: "X.example" has an override in this connector already; take one of them out`}},
		"an override without tls":                 {override, []string{`7:1: tls is missing in [[send_connector.tls_override]]; write tls = ...`}},
		"an override's keys without required":     {override + "tls = \"opportunistic\"\ntls_auth_level = \"encryption_only\"", []string{`10:1: tls_auth_level has no effect with tls = "opportunistic"; write tls = "required", or take tls_auth_level out`}},
		"an override for one smart host":          {"smart_hosts = [\"[2001:db8::1]\", \"10.0.0.1\"]\n[[send_connector.tls_override]]\ndomain = \"2001:db8:0::1\"\ntls = \"ignore_starttls\"", nil},
		"an override against smart_host_auth":     {"smart_hosts = [\"x.example\"]\nsmart_host_auth = { mechanism = \"basic_require_tls\", username = \"u\", password_file = \"p\" }\n" + override + "tls = \"ignore_starttls\"", []string{`11:1: tls: "basic_require_tls" of the connector needs TLS, which "ignore_starttls" never asks for; write tls = "required"`}},
		"an override of smart hosts without name": {"smart_hosts = [\"x.example\"]\n" + override + "tls = \"required\"\ntls_auth_level = \"domain_validation\"", []string{`11:1: tls_auth_level: "domain_validation" of smart hosts needs a name to ask for; write tls_domain = "..."`}},
		"an override in one table": {"[send_connector.tls_override]\ndomain = \"x.example\"\ntls = \"required\"", []string{
			`7:1: tls_override is written as a single table; write [[send_connector.tls_override]] with two brackets`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, findings := parseText(t, receiveHead+sendHead+tt.keys)
			var got []string
			for _, f := range findings {
				got = append(got, strings.TrimPrefix(f.Format(f.Position), "edge.toml:"))
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestSendTLSValues: what is written becomes its normal form, and is written
// back as it was.
func TestSendTLSValues(t *testing.T) {
	pin := strings.Repeat("0a", 32)
	c, findings := parseText(t, receiveHead+sendHead+`tls = "required"
tls_auth_level = "domain_validation"
tls_domain = ["a.example", "*.b.example"]
tls_fingerprints = ["`+strings.Repeat("0a:", 31)+`0a", "SPKI:`+pin+`", "spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
tls_override = [{ domain = "One.example", tls = "opportunistic", tls_fallback = false }, { domain = "[10.0.0.1]", tls = "required" }]
`)
	if HasErrors(findings) {
		t.Fatal(findings)
	}
	s := &c.SendConnectors[0]
	overrides := 0
	want := []string{strings.ToUpper(pin), "spki:" + strings.ToUpper(pin), "spki:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"}
	if !reflect.DeepEqual(s.TLSFingerprints, want) {
		t.Errorf("fingerprints %q, want %q", s.TLSFingerprints, want)
	}
	if len(s.TLSDomain) != 2 || s.NoTLSFallback || len(s.TLSOverrides) != 2 || !s.TLSOverrides[0].NoTLSFallback || s.TLSOverrides[1].NoTLSFallback || s.TLSOverrides[1].Domain != "10.0.0.1" {
		t.Errorf("%+v", s)
	}
	for _, setting := range c.Explain("send_connector[0]") {
		switch setting.Key {
		case "tls_override[1].domain":
			if setting.Text != `"10.0.0.1"` {
				t.Errorf("the second override shown as %s", setting.Text)
			}
			overrides++
		case "tls_domain":
			if setting.Text != `["a.example", "*.b.example"]` {
				t.Errorf("tls_domain shown as %s", setting.Text)
			}
		case "tls_fallback":
			if setting.Value != true || setting.Text != "true" || !setting.Default {
				t.Errorf("tls_fallback shown as %+v", setting)
			}
		}
	}
	for _, setting := range c.Explain("send_connector[0].tls_override[0]") {
		if setting.Key == "tls_fallback" && (setting.Value != false || setting.Default) {
			t.Errorf("tls_fallback = false shown as %+v", setting)
		}
	}
	if overrides != 1 {
		t.Error("overrides are not shown with their connector")
	}
	next, _ := parseText(t, receiveHead+sendHead+"tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = \"a.example\"")
	var changed []string
	for _, d := range next.Diff(c) {
		changed = append(changed, d.Path+" "+d.Old+" "+d.New)
	}
	if got, want := strings.Join(changed, "\n"), `send_connector["s"].tls_domain ["a.example", "*.b.example"] "a.example"
send_connector["s"].tls_fingerprints `; !strings.HasPrefix(got, want) || !strings.Contains(got, `send_connector["s"].tls_override["One.example"]  (removed)`) {
		t.Errorf("changes\n%s", got)
	}
}
