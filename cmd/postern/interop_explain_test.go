//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestExplainConnection asks the file alone, as whoever writes it would.
func TestExplainConnection(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.route("out", "*", "127.0.0.1:9", "")
	e.more = `
[[receive_connector]]
name = "Internet"
bindings = ["0.0.0.0:10025", "[::]:10025"]
permission_groups = ["anonymous", "users"]
deny = ["accept_authoritative_domain_sender"]
auth_mechanism = ["tls", "basic", "basic_require_tls"]
proxy_protocol_from = ["10.0.0.5"]
max_idle_commands = 77
[[receive_connector]]
name = "Hubs"
bindings = ["0.0.0.0:10025"]
remote_ip_ranges = ["10.0.0.0/24"]
permission_groups = ["servers"]
auth_mechanism = ["tls", "external_authoritative"]
[[receive_connector]]
name = "Off"
enabled = false
bindings = ["0.0.0.0:10025"]
`
	e.write(t)
	type standing struct {
		Group     string
		Submits   bool `json:"may_submit"`
		Relays    bool `json:"may_relay"`
		AnySender bool `json:"any_sender"`
		SendsAs   []string
	}
	type answer struct {
		Connector, Proxy *string
		Reply            string
		Notes            []string
		Candidates       []struct {
			Name         string
			EliminatedBy *string `json:"eliminated_by"`
		}
		Stranger      *standing
		Authenticated []standing
		Auth          []struct {
			Mechanisms []string
			NeedsTLS   bool `json:"needs_tls"`
		}
		Limits []struct {
			Key   string
			Value any
		}
	}
	ask := func(args ...string) (a answer) {
		t.Helper()
		code, stdout, stderr := e.postern(t, append([]string{"explain", "connection", "--output", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &a); err != nil || code != 0 {
			t.Fatalf("explain connection %v: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
		}
		return a
	}
	for _, c := range []struct{ args, want, lost string }{
		{"192.0.2.10:10025 198.51.100.7", "Internet", "In: binding, Hubs: remote_ip_ranges, Off: disabled"},
		{"192.0.2.10:10025 198.51.100.7:4711", "Internet", "In: binding, Hubs: remote_ip_ranges, Off: disabled"},
		{"192.0.2.10:10025 10.0.0.11", "Hubs", "In: binding, Internet: wider range, Off: disabled"},
		{"192.0.2.10:10025 ::ffff:10.0.0.11", "Hubs", "In: binding, Internet: wider range, Off: disabled"},
		{"[2001:db8::1]:10025 2001:db8::7", "Internet", "In: binding, Hubs: binding, Off: disabled"},
		{"192.0.2.10:10025 198.51.100.7 --proxy 10.0.0.5", "Internet", "In: binding, Hubs: remote_ip_ranges, Off: disabled"},
		{"192.0.2.10:10025 198.51.100.7 --proxy 10.0.0.6", "Hubs", "In: binding, Internet: wider range, Off: disabled"}, // no proxy of ours
		{"192.0.2.10:10026 198.51.100.7", "", "In: binding, Internet: binding, Hubs: binding, Off: disabled"},
	} {
		a := ask(strings.Fields(c.args)...)
		var lost []string
		winner := ""
		for _, x := range a.Candidates {
			if x.EliminatedBy != nil {
				lost = append(lost, x.Name+": "+*x.EliminatedBy)
			} else {
				winner = x.Name
			}
		}
		if a.Connector != nil && *a.Connector != winner || winner != c.want || strings.Join(lost, ", ") != c.lost {
			t.Errorf("%s: %q, %q lost", c.args, winner, lost)
		}
		if a.Reply != "" { // each of them is taken, or comes where nobody listens
			t.Errorf("%s: reply %q", c.args, a.Reply)
		}
	}
	a := ask("192.0.2.10:10025", "198.51.100.7")
	if s := a.Stranger; s == nil || !s.Submits || s.Relays || !s.AnySender || len(a.Authenticated) != 1 || !a.Authenticated[0].Relays {
		t.Errorf("%+v", a)
	}
	if len(a.Auth) != 1 || !a.Auth[0].NeedsTLS || !slices.Equal(a.Auth[0].Mechanisms, []string{"PLAIN", "LOGIN"}) {
		t.Errorf("AUTH: %+v", a.Auth)
	}
	var limits []string
	for _, l := range a.Limits {
		limits = append(limits, fmt.Sprint(l.Key, "=", l.Value))
	}
	for _, want := range []string{"max_idle_commands=77", "tarpit_interval=5", "max_connection_rate_per_minute=unlimited", "max_message_size=3.7748736e+07"} {
		if !slices.Contains(limits, want) {
			t.Errorf("no %s in %v", want, limits)
		}
	}
	explainsEveryLimit(t, limits)
	if a := ask("192.0.2.10:10025", "10.0.0.5"); len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "must begin with a PROXY header") {
		t.Errorf("a proxy by itself: %+v", a.Notes)
	}
	if a := ask("192.0.2.10:10025", "1.2.3.4", "--proxy", "10.0.0.6"); len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "is no proxy") || *a.Proxy != "10.0.0.6" {
		t.Errorf("a false proxy: %+v", a.Notes)
	}

	code, stdout, _ := e.postern(t, "explain", "connection", "192.0.2.10:10025", "198.51.100.7")
	for _, want := range []string{"Receive connector: Internet\n", "the accepted domains alone: ", "anybody but us", "anybody: it may relay", "PLAIN, LOGIN (within TLS)", "remote_ip_ranges",
		"belongs to:      anonymous\n", "belongs to:      users\n", "max_command_line", "2048 bytes, fixed"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	_, stdout, _ = e.postern(t, "explain", "connection", "192.0.2.10:10025", "10.0.0.11")
	for _, want := range []string{"Receive connector: Hubs\n", "belongs to:      servers, by its address alone", "may send to:     anybody: it may relay"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	for _, args := range []string{"192.0.2.10 198.51.100.7", "192.0.2.10:25 nobody", "192.0.2.10:25", "192.0.2.10:25 198.51.100.7 --proxy x"} {
		if code, stdout, _ := e.postern(t, append([]string{"explain", "connection"}, strings.Fields(args)...)...); code != 2 || stdout != "" {
			t.Errorf("%s: exit code %d", args, code)
		}
	}
}

// explainsEveryLimit holds that each limit that may stand in the protocol log
// or a metric is explained.
func explainsEveryLimit(t *testing.T, explained []string) {
	t.Helper()
	text, err := os.ReadFile("../../receive/limits.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\tlimit\w+ += "(\w+)"$`).FindAllStringSubmatch(string(text), -1)
	if len(found) < 20 {
		t.Fatalf("%d limits were found in limits.go", len(found))
	}
	for _, f := range append(found, []string{"", "max_password_checks"}) {
		if name := f[1]; !slices.Contains([]string{"storage", "proxy_header", "foreign_protocol"}, name) && // these have no value
			!slices.ContainsFunc(explained, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			t.Errorf("the limit %s is not explained", name)
		}
	}
}
