package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func hostNamed(name string) func() (string, error) {
	return func() (string, error) { return name, nil }
}

// parseText parses on a host with a proper name.
func parseText(t *testing.T, text string) (*Config, []Finding) {
	t.Helper()
	cfg, findings, err := parse("edge.toml", []byte(text), hostNamed("edge.contoso.example"))
	if err != nil {
		t.Fatal(err)
	}
	if (cfg == nil) != HasErrors(findings) {
		t.Fatalf("config %v with findings %v", cfg != nil, findings)
	}
	return cfg, findings
}

// parseOne parses a text without errors.
func parseOne(t *testing.T, text string) *Config {
	t.Helper()
	cfg, findings := parseText(t, text)
	for _, f := range findings {
		if f.Severity == Error {
			t.Fatal(f.Format(Position{}))
		}
	}
	return cfg
}

func lines(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Format(Position{}))
	}
	return out
}

func TestDefaultConfiguration(t *testing.T) {
	cfg, findings, err := parse("default", []byte(defaultText), hostNamed("mx.contoso.example"))
	if err != nil || len(findings) > 0 {
		t.Fatalf("findings %q, error %v", lines(findings), err)
	}
	if len(cfg.ReceiveConnectors) != 1 || len(cfg.SendConnectors) != 1 {
		t.Fatalf("connectors: %+v %+v", cfg.ReceiveConnectors, cfg.SendConnectors)
	}
	r, s := cfg.ReceiveConnectors[0], cfg.SendConnectors[0]
	// Whoever else could connect would find an open relay.
	for _, b := range r.Bindings {
		if b.String() != "127.0.0.1:2525" {
			t.Errorf("listens on %s", b)
		}
	}
	for _, rg := range r.RemoteIPRanges {
		if rg.String() != "127.0.0.1" {
			t.Errorf("serves %s", rg)
		}
	}
	if len(r.Grant) != 1 || r.Grant[0] != "accept_any_recipient" || r.MaxInboundConnection == Unlimited {
		t.Errorf("connector: %+v", r)
	}
	for name, n := range map[string]int64{
		"per source": r.MaxInboundConnectionPerSource, "percentage": r.MaxInboundConnectionPercentagePerSource,
		"message rate": r.MessageRateLimit, "connection rate": r.MaxConnectionRatePerMinute,
	} {
		if n != Unlimited {
			t.Errorf("%s = %d, want unlimited", name, n)
		}
	}
	if len(s.SmartHosts) != 0 || s.AddressSpaces[0] != "*" || s.TLS != TLSOpportunistic || s.ProtocolLogging != "verbose" || r.ProtocolLogging != "verbose" {
		t.Errorf("Send connector: %+v", s)
	}
	if cfg.Server.DataDir != "postern-data" || cfg.Queue.Directory != "postern-data/spool" || cfg.Server.FQDN != "mx.contoso.example" || s.FQDN != "mx.contoso.example" {
		t.Errorf("server %+v, queue %+v", cfg.Server, cfg.Queue)
	}
}

func TestDerivedDefaults(t *testing.T) {
	cfg := parseOne(t, `
receive_connector = [{ name = "a", bindings = ["127.0.0.1:25"] }, { name = "b", bindings = ["127.0.0.1:26"], fqdn = "b.example", max_message_size = "1MB" }]
[[send_connector]]
name = "out"
address_spaces = ["*"]
[server]
fqdn = "edge.example"
data_dir = "/var/lib/postern"
max_message_size = "10MB"
[logs]
directory = "/var/log/postern"
`)
	a, b := cfg.ReceiveConnectors[0], cfg.ReceiveConnectors[1]
	if a.FQDN != "edge.example" || a.MaxMessageSize != 10<<20 || b.FQDN != "b.example" || b.MaxMessageSize != 1<<20 || cfg.SendConnectors[0].FQDN != "edge.example" {
		t.Errorf("connectors: %+v %+v", a, b)
	}
	if cfg.Queue.Directory != "/var/lib/postern/spool" || cfg.Control.Socket != "/var/lib/postern/control.sock" || cfg.Logs.Directory != "/var/log/postern" {
		t.Errorf("directories: %+v %+v %+v", cfg.Queue, cfg.Control, cfg.Logs)
	}
	// Defaults of the reference tables 1.4 and 2.5.
	if a.MaxHeaderSize != 256<<10 || a.MaxHopCount != 30 || a.MaxInboundConnection != 5000 || a.ConnectionTimeout.Minutes() != 5 || a.TarpitInterval.Seconds() != 5 ||
		!a.RequireEHLODomain || a.BareLineEnds != "reject" || len(a.RemoteIPRanges) != 2 || !a.Enabled {
		t.Errorf("defaults: %+v", a)
	}
	if q := cfg.Queue; q.MessageExpiration.Hours() != 48 || len(q.Retry) != 3 || q.Retry[1] != (RetryStep{10 * 60 * 1e9, 6}) || q.Retry[2].Count != 1 {
		t.Errorf("queue: %+v", q)
	}
}

func TestHostName(t *testing.T) {
	for _, tt := range []struct {
		host string
		err  error
		text string
		fqdn string
		want string // in the only finding
	}{
		{host: "edge.contoso.example", fqdn: "edge.contoso.example"},
		{host: "edge.contoso.example.", fqdn: "edge.contoso.example"},
		{host: "edge", fqdn: "edge", want: `fqdn: "edge", the name of this host, is not fully qualified`},
		{host: "edge", text: `fqdn = "mx.contoso.example"`, fqdn: "mx.contoso.example"},
		{host: "edge", text: `fqdn = "mx"`, fqdn: "mx", want: `edge.toml:2:1: warning: fqdn: "mx" is not fully qualified`},
		{host: "my_host.example", fqdn: "localhost", want: `can't serve as fqdn: '_' can't stand in a name`},
		{host: "my_host.example", text: `fqdn = "mx.contoso.example"`, fqdn: "mx.contoso.example"},
		{err: errors.New("no name"), fqdn: "localhost", want: "can't serve as fqdn: no name"},
	} {
		text := "[server]\n" + tt.text + "\n[[receive_connector]]\nname = \"a\"\nbindings = [\"127.0.0.1:25\"]\n"
		cfg, findings, err := parse("edge.toml", []byte(text), func() (string, error) { return tt.host, tt.err })
		if err != nil || cfg == nil {
			t.Fatal(err, lines(findings))
		}
		if cfg.Server.FQDN != tt.fqdn || cfg.ReceiveConnectors[0].FQDN != tt.fqdn {
			t.Errorf("host %q: fqdn %q, want %q", tt.host, cfg.Server.FQDN, tt.fqdn)
		}
		all := strings.Join(lines(findings), "\n")
		if tt.want == "" && all != "" || !strings.Contains(all, tt.want) {
			t.Errorf("host %q: findings %q, want %q", tt.host, all, tt.want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Load(filepath.Join(dir, "none.toml")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.toml") {
		t.Errorf("missing file: %v", err)
	}
	if _, _, err := Load(dir); err == nil {
		t.Error("a directory was read")
	}
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", maxFileSize/2+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(large); err == nil || !strings.Contains(err.Error(), "16MB") {
		t.Errorf("too large a file: %v", err)
	}
	for _, text := range []string{"", " \n\r\n", "\ufeff\n"} { // as a save that was cut short leaves it
		empty := filepath.Join(dir, "empty.toml")
		if err := os.WriteFile(empty, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, findings, err := Load(empty)
		if cfg != nil || err != nil || !HasErrors(findings) || !strings.Contains(strings.Join(lines(findings), "\n"), "empty.toml:1:1: the file is empty") {
			t.Errorf("%q was read: %q, %v", text, lines(findings), err)
		}
	}
	small := filepath.Join(dir, "small.toml")
	if err := os.WriteFile(small, []byte("[server]\nfqdn = \"e.example\"\nfqdm = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, findings, err := Load(small)
	if err != nil || cfg != nil || len(findings) != 2 {
		t.Fatalf("%v %v %q", cfg, err, lines(findings))
	}
	want := Position{File: small, Line: 3, Column: 1}
	if findings[1].In(cfg) != want {
		t.Errorf("position %v, want %v", findings[1].In(cfg), want)
	}
}

// TestEverythingInOneRun finds all that is wrong with a file at once, in the
// order of the file.
func TestEverythingInOneRun(t *testing.T) {
	_, findings := parseText(t, `[[receive_connector]]
name = "a"
bindings = ["127.0.0.1"]
max_hop_count = 0

[[receive_connectors]]
name = "b"

[queue]
retry = ["soon", "1m", 5]
`)
	want := []string{
		`edge.toml:3:13: bindings: "127.0.0.1" is not a binding; write "address:port", such as "0.0.0.0:25" or "[::]:25", with a port from 1 to 65535`,
		`edge.toml:4:1: max_hop_count: 0 is out of range; write a whole number, from 1 to 500`,
		`edge.toml:6:1: unknown table [[receive_connectors]]; did you mean [[receive_connector]]?`,
		`edge.toml:10:10: retry: "soon" is not a retry step; write an interval from 1s to 20d with how often it is waited, from 1 to 1000: "10m x6"`,
		`edge.toml:10:24: retry: 5 is a number; write an interval from 1s to 20d with how often it is waited, from 1 to 1000: "10m x6"`,
	}
	got := lines(findings)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
