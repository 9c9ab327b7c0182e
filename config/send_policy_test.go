package config

import (
	"strings"
	"testing"
)

// findingsOf are the messages of what is wrong with a text, without place and
// remedy; warnings are left out.
func findingsOf(t *testing.T, text string) string {
	t.Helper()
	_, findings, err := Parse("edge.toml", []byte("[server]\nfqdn = \"edge.contoso.example\"\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range findings {
		if f.Severity == Error {
			lines = append(lines, f.Path+": "+f.Message)
		}
	}
	return strings.Join(lines, "\n")
}

func TestSendPolicies(t *testing.T) {
	const dkim = "[[dkim]]\ndomain = \"contoso.example\"\nkeys = { \"a\" = \"a.pem\" }\n"
	const rule = "[[send_connector.reply_rule]]\nname = \"r\"\n"
	for _, tt := range []struct{ name, text, want string }{
		{"a rule", sendHead + rule + "class = \"temporary\"\ncodes = [550]\nenhanced_codes = [\"5.7.1\"]\npattern = \"(?i)try later\"\ndomains = [\"*.fabrikam.example\"]\n", ""},
		{"a rule for everything", sendHead + rule + "class = \"temporary\"\n", "send_connector[0].reply_rule[0]: this rule fits every reply"},
		{"a rule that changes nothing", sendHead + rule + "class = \"temporary\"\ncodes = [451]\n", "send_connector[0].reply_rule[0].codes[0]: codes: 451 is temporary as it is"},
		{"nor that one", sendHead + rule + "class = \"permanent\"\nenhanced_codes = [\"5.1.1\"]\n", `send_connector[0].reply_rule[0].enhanced_codes[0]: enhanced_codes: "5.1.1" is permanent as it is`},
		{"no code", sendHead + rule + "class = \"temporary\"\ncodes = [250]\n", "send_connector[0].reply_rule[0].codes[0]: codes: 250 is out of range"},
		{"no enhanced code", sendHead + rule + "class = \"temporary\"\nenhanced_codes = [\"5.01.1\"]\n", `send_connector[0].reply_rule[0].enhanced_codes[0]: enhanced_codes: "5.01.1" is not an enhanced status code of a refusal`},
		{"no expression", sendHead + rule + "class = \"temporary\"\npattern = \"(\"\n", "send_connector[0].reply_rule[0].pattern: pattern: error parsing regexp: missing closing ): `(`"},
		{"two rules of a name", sendHead + rule + "class = \"temporary\"\ncodes = [550]\n" + strings.Replace(rule, `"r"`, `"R"`, 1) + "class = \"temporary\"\ncodes = [551]\n",
			`send_connector[0].reply_rule[1].name: name: the connector has a rule "R" already`},
		{"a signing domain", dkim + sendHead + "dkim_domains = [\"CONTOSO.example\"]\n", ""},
		{"one there is no key for", dkim + sendHead + "dkim_domains = [\"*\", \"fabrikam.example\"]\n", `send_connector[0].dkim_domains[1]: dkim_domains: there is no [[dkim]] for "fabrikam.example"`},
		{"a domain twice", dkim + strings.Replace(dkim, "contoso", "Contoso", 1), `dkim[1].domain: domain: "Contoso.example" has a [[dkim]] already`},
		{"no From", dkim + "oversigned_headers = [\"Subject\"]\n", "dkim[0].oversigned_headers: oversigned_headers: From is missing, without which a signature is void"},
		{"twice signed", dkim + "signed_headers = [\"subject\"]\n", `dkim[0].signed_headers[0]: signed_headers: "subject" stands in oversigned_headers too`},
		{"Sender may move up", dkim + "oversigned_headers = [\"From\", \"Sender\"]\n", ""},
		{"trace fields", dkim + "signed_headers = [\"Received\"]\n", `dkim[0].signed_headers[0]: signed_headers: "Received" changes on the way, which would break every signature`},
		{"no selector", strings.Replace(dkim, `"a" =`, `"a b" =`, 1), `dkim[0].keys."a b": keys: "a b" is no selector: ' ' can't stand in a name`},
		{"two places of a password", sendHead + "smart_hosts = [\"hub\"]\nsmart_host_auth = { mechanism = \"basic\", username = \"u\", password_file = \"f\", password_env = \"E\" }\n",
			"send_connector[0].smart_host_auth.password_env: password_env: password_file says where the password is already"},
		{"a password of the environment", sendHead + "smart_hosts = [\"hub\"]\nsmart_host_auth = { mechanism = \"scram\", username = \"u\", password_env = \"HUB\" }\n", ""},
		{"none", sendHead + "smart_hosts = [\"hub\"]\nsmart_host_auth = { mechanism = \"scram\", username = \"u\" }\n",
			`send_connector[0].smart_host_auth.password_file: password_file is missing in smart_host_auth, for mechanism = "scram"`},
		{"TLS is never asked for", sendHead + "tls = \"ignore_starttls\"\nsmart_hosts = [\"hub\"]\nsmart_host_auth = { mechanism = \"scram_require_tls\", username = \"u\", password_env = \"HUB\" }\n",
			`send_connector[0].smart_host_auth.mechanism: mechanism: "scram_require_tls" needs TLS, which tls = "ignore_starttls" never asks for`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := findingsOf(t, tt.text); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// TestSendDerivedDefaults: what a connector's keys are when they are not
// written may depend on others.
func TestSendDerivedDefaults(t *testing.T) {
	for _, tt := range []struct {
		spaces       string
		organization bool
	}{
		{`["--"]`, true}, {`["SMTP:--;5"]`, true}, {`["--", "fabrikam.example"]`, false}, {`["*"]`, false},
	} {
		cfg := parseOne(t, "[queue]\nmax_per_domain_outbound_connections = 7\n[[send_connector]]\nname = \"a\"\naddress_spaces = "+tt.spaces+"\n")
		c := cfg.SendConnectors[0]
		if c.SendHeadersOrganization != tt.organization || !c.SendHeadersRouting || c.MaxConnectionsPerDomain != 7 || c.MaxConnections != Unlimited {
			t.Errorf("%s: %+v", tt.spaces, c)
		}
	}
	cfg := parseOne(t, "[queue]\nmax_outbound_connections = \"unlimited\"\nmax_per_domain_outbound_connections = \"unlimited\"\n"+sendHead)
	if n := cfg.SendConnectors[0].MaxConnectionsPerDomain; n != Unlimited {
		t.Errorf("unlimited for a domain became %d", n)
	}
}
