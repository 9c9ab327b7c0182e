//go:build linux

package main_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// soundEdge is a configuration that check finds nothing in.
const soundEdge = `[server]
fqdn = "edge.contoso.example"
data_dir = "/var/lib/postern"
[[accepted_domain]]
domain = "contoso.example"
type = "internal_relay"
[[receive_connector]]
name = "From Internet"
bindings = ["0.0.0.0:25", "[::]:25"]
permission_groups = ["anonymous"]
deny = ["accept_authoritative_domain_sender"]
[[receive_connector]]
name = "From organization"
bindings = ["0.0.0.0:25"]
remote_ip_ranges = ["10.0.0.11"]
permission_groups = ["servers"]
auth_mechanism = ["tls", "external_authoritative"]
[[receive_connector]]
name = "Submission"
bindings = ["192.0.2.11:587"]
permission_groups = ["users"]
auth_mechanism = ["tls", "basic", "basic_require_tls"]
require_tls = true
[[user]]
name = "scanner"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$TZa0gmqm+ckP9wzL2cCG2g$y9nzj8WWTEpvqIQfV1mdvXLsWTRKiu5U2NfvUqWIuaw"
[[send_connector]]
name = "Out"
address_spaces = ["*"]
smart_hosts = ["10.0.0.11"]
`

// found is a finding of check.
type found struct {
	Severity, Key, Message, Remedy string
	Line                           int
}

// check asks the command for the findings of a configuration.
func check(t *testing.T, text string) (code int, findings []found) {
	t.Helper()
	file := writeFile(t, filepath.Join(tempDir(t), "postern.toml"), text)
	code, stdout, stderr := runCommand(t, "", binary(t), "check", "--strict", "--config", file, "--output", "json")
	var answer struct{ Findings []found }
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	return code, answer.Findings
}

// TestMisconfigurations: each of them is named once, where it stands and with
// what to write instead, and is gone when that was written.
func TestMisconfigurations(t *testing.T) {
	t.Parallel()
	if code, findings := check(t, soundEdge); code != 0 || len(findings) > 0 {
		t.Fatalf("the sound configuration: exit code %d, %+v", code, findings)
	}
	for _, c := range []struct {
		name              string
		sound, bad, mends string // lines; mends is what the remedy asks for, sound when empty
		want              found
	}{
		{"open relay by a right",
			`deny = ["accept_authoritative_domain_sender"]`, "deny = [\"accept_authoritative_domain_sender\"]\ngrant = [\"accept_any_recipient\"]", "",
			found{"warning", "receive_connector[0].grant", `open relay: connector "From Internet" grants accept_any_recipient to every session, without authentication, from 0.0.0.0/0`,
				"narrow remote_ip_ranges to the hosts that may relay, or take accept_any_recipient out of grant", 12}},
		{"open relay by trust",
			`remote_ip_ranges = ["10.0.0.11"]`, `remote_ip_ranges = ["10.0.0.11", "198.51.0.0/16"]`, `remote_ip_ranges = ["10.0.0.11", "198.51.100.7"]`,
			found{"warning", "receive_connector[1].auth_mechanism", `open relay: connector "From organization" trusts every host from 198.51.0.0/16 as one of our servers (external_authoritative with permission group servers), which may relay, send as us, and skip filters and size limits`,
				"narrow remote_ip_ranges to our own servers, or take external_authoritative out of auth_mechanism", 17}},
		{"strangers send as us",
			`deny = ["accept_authoritative_domain_sender"]`, "", "",
			found{"warning", "receive_connector[0].deny", `strangers may send as us: on connector "From Internet" anyone from 0.0.0.0/0 may use senders in contoso.example without authentication`,
				`add deny = ["accept_authoritative_domain_sender"], unless our own servers send through this connector`, 7}},
		{"backscatter",
			`type = "internal_relay"`, `type = "authoritative"`, "type = \"authoritative\"\n[[remote_domain]]\ndomain = \"*\"\nndr_enabled = false\n[[remote_domain]]\ndomain = \"contoso.example\"",
			found{"note", "accepted_domain[0].type", `backscatter: strangers may write to any address in authoritative domains through connector "From Internet", existing or not; what the next hop then refuses is returned to a sender who may be forged`,
				`leave it so, knowing that [notifications] max_per_sender_per_hour bounds what one address gets; or return nothing to strangers: a [[remote_domain]] with domain = "*" and ndr_enabled = false, and one for your own domains without it`, 6}},
		{"trust in a whole private network",
			`remote_ip_ranges = ["10.0.0.11"]`, `remote_ip_ranges = ["10.0.0.0/8"]`, `remote_ip_ranges = ["10.0.0.0/24"]`,
			found{"warning", "receive_connector[1].remote_ip_ranges", `every host in 10.0.0.0/8 may relay without authentication, and whoever comes through a NAT or a load balancer there: connector "From organization" trusts every host there as one of our servers (external_authoritative)`,
				"name the hosts that may relay alone, at most a /24 of them", 15}},
		{"believing everybody's PROXY header",
			`deny = ["accept_authoritative_domain_sender"]`, "deny = [\"accept_authoritative_domain_sender\"]\nproxy_protocol_from = [\"0.0.0.0/0\"]", "deny = [\"accept_authoritative_domain_sender\"]\nproxy_protocol_from = [\"10.0.0.5\"]",
			found{"warning", "receive_connector[0].proxy_protocol_from", `anybody may forge the client's address: connector "From Internet" believes PROXY headers from 0.0.0.0/0, and with them any address, those of our own servers too`,
				"name the addresses of the proxies alone", 12}},
		{"passwords in clear text",
			"auth_mechanism = [\"tls\", \"basic\", \"basic_require_tls\"]\nrequire_tls = true", "auth_mechanism = [\"tls\", \"basic\"]", "auth_mechanism = [\"tls\", \"basic\", \"basic_require_tls\"]",
			found{"warning", "receive_connector[2].auth_mechanism", `connector "Submission" takes passwords in clear text: "basic" stands without "basic_require_tls"`,
				`write ["tls", "basic", "basic_require_tls"], or require_tls = true`, 22}},
		{"a connector for nobody",
			`permission_groups = ["users"]`, ``, "",
			found{"warning", "receive_connector[2].permission_groups", `connector "Submission" lets users log on and gives them no rights`,
				`add "users" to permission_groups`, 18}},
		{"strangers on the submission port",
			`permission_groups = ["users"]`, "permission_groups = [\"users\", \"anonymous\"]\ndeny = [\"accept_authoritative_domain_sender\"]", "",
			found{"warning", "receive_connector[2].permission_groups", `strangers from 0.0.0.0/0 may send on connector "Submission" without authentication, and port 587 is for those who log on`,
				`take "anonymous" out of permission_groups, or bind port 25`, 21}},
		{"465 without TLS",
			`bindings = ["192.0.2.11:587"]`, `bindings = ["192.0.2.11:465"]`, "bindings = [\"192.0.2.11:465\"]\nimplicit_tls = true",
			found{"warning", "receive_connector[2].bindings[0]", `clients of port 465 begin with TLS, and connector "Submission" waits for clear text`,
				"write implicit_tls = true, or bind another port", 20}},
		{"strangers whom no filter looks at",
			`deny = ["accept_authoritative_domain_sender"]`, "deny = [\"accept_authoritative_domain_sender\"]\ngrant = [\"bypass_anti_spam\"]", "",
			found{"warning", "receive_connector[0].grant[0]", `connector "From Internet" grants bypass_anti_spam to strangers from 0.0.0.0/0: no filter looks at their mail`,
				"take bypass_anti_spam out of grant, or narrow remote_ip_ranges to hosts that you know", 12}},
		{"a tarpit longer than the session",
			`deny = ["accept_authoritative_domain_sender"]`, "deny = [\"accept_authoritative_domain_sender\"]\ntarpit_interval = \"10m\"", "deny = [\"accept_authoritative_domain_sender\"]\ntarpit_interval = \"10s\"",
			found{"warning", "receive_connector[0].tarpit_interval", `tarpit_interval = 10m of connector "From Internet" is never over: connection_timeout ends the session after 5m`,
				"write a few seconds", 12}},
		{"a binding that takes the hub's connections away",
			`bindings = ["0.0.0.0:25", "[::]:25"]`, `bindings = ["192.0.2.10:25", "[::]:25"]`, "",
			found{"note", "receive_connector[1].remote_ip_ranges[0]", `clients in 10.0.0.11 that connect to 192.0.2.10:25 get connector "From Internet" with its range 0.0.0.0/0, not "From organization": a binding to the address itself beats 0.0.0.0:25, whatever the ranges`,
				`add "192.0.2.10:25" to the bindings of "From organization"`, 15}},
		{"a family without clients",
			`bindings = ["192.0.2.11:587"]`, "bindings = [\"192.0.2.11:587\", \"[2001:db8::11]:587\"]\nremote_ip_ranges = [\"0.0.0.0/0\"]", `bindings = ["192.0.2.11:587", "[2001:db8::11]:587"]`,
			found{"warning", "receive_connector[2].bindings[1]", `every client of binding [2001:db8::11]:587 is refused: remote_ip_ranges of connector "Submission" has no IPv6 addresses`,
				`add those of its clients to remote_ip_ranges, "::/0" for all, or take the binding out`, 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.Count(soundEdge, c.sound) != 1 {
				t.Fatalf("%q does not stand in the configuration once", c.sound)
			}
			code, findings := check(t, strings.Replace(soundEdge, c.sound, c.bad, 1))
			if want := map[string]int{"warning": 1}[c.want.Severity]; code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if len(findings) != 1 || findings[0] != c.want {
				t.Errorf("found\n%+v\nwant\n%+v", findings, c.want)
			}
			if c.mends == "" {
				c.mends = c.sound
			}
			if code, findings := check(t, strings.Replace(soundEdge, c.sound, c.mends, 1)); code != 0 || len(findings) > 0 {
				t.Errorf("mended: exit code %d, %+v", code, findings)
			}
		})
	}
}

// TestExamples: check has nothing to say of any of them.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*.toml")
	if err != nil || len(files) < 4 {
		t.Fatalf("examples: %v %v", files, err)
	}
	for _, file := range files {
		code, stdout, stderr := runCommand(t, "", binary(t), "check", "--strict", "--config", file)
		if code != 0 || strings.Contains(stdout, "warning: ") || !strings.HasSuffix(stdout, "\n"+file+" is valid: 0 errors, 0 warnings\n") {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
	}
}

// TestNotes: what may well be meant is said by check, and by nothing that
// starts or reloads.
func TestNotes(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.receive = "auth_mechanism = [\"none\"]\npermission_groups = [\"anonymous\"]\ndeny = [\"accept_authoritative_domain_sender\"]\n"
	e.addr = strings.Replace(e.addr, "127.0.0.1", "0.0.0.0", 1) // no loopback connector: strangers
	e.route("in", "contoso.example", "127.0.0.1:9", "")
	g := e.serve(t)
	code, stdout, _ := e.postern(t, "check", "--strict")
	if code != 0 || !strings.Contains(stdout, "note: backscatter") || !strings.HasSuffix(stdout, "0 errors, 0 warnings, 1 note\n") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	code, stdout, stderr := g.reload(t)
	if code != 0 || strings.Contains(stdout+stderr+g.output.String(), "backscatter") {
		t.Errorf("exit code %d\n%s%s\nthe gateway said\n%s", code, stdout, stderr, g.output)
	}
}
