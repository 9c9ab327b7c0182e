package config

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	cfg := parseOne(t, receiveHead+`max_hop_count = 40
connection_timeout = 600
max_message_size = "36MB"
auth_mechanism = ["tls", "basic"]
max_inbound_connection = "unlimited"
`+sendHead+`smart_hosts = ["hub1", "[2001:db8::1]:26"]
smart_host_auth = { mechanism = "basic", username = "u", password_file = "f" }
[[user]]
name = "u"
password_hash = "$2b$secret"
`)
	find := func(path, key string) Setting {
		t.Helper()
		for _, s := range cfg.Explain(path) {
			if s.Key == key {
				return s
			}
		}
		t.Fatalf("%s has no %s", path, key)
		return Setting{}
	}
	for _, tt := range []struct {
		path, key, json, text string
		isDefault, pending    bool
		unit                  string
	}{
		{"receive_connector[0]", "name", `"a"`, `"a"`, false, false, ""},
		{"receive_connector[0]", "max_hop_count", `40`, `40`, false, false, ""},
		{"receive_connector[0]", "max_recipients_per_message", `200`, `200`, true, false, ""},
		{"receive_connector[0]", "connection_timeout", `600`, `"10m"`, false, false, "seconds"},
		{"receive_connector[0]", "max_message_size", `37748736`, `"36MB"`, true, false, "bytes"},
		{"receive_connector[0]", "fqdn", `"edge.contoso.example"`, `"edge.contoso.example"`, true, false, ""},
		{"receive_connector[0]", "max_inbound_connection", `"unlimited"`, `"unlimited"`, false, false, ""},
		{"receive_connector[0]", "bindings", `["0.0.0.0:25"]`, `["0.0.0.0:25"]`, false, false, ""},
		{"receive_connector[0]", "remote_ip_ranges", `["0.0.0.0/0","::/0"]`, `["0.0.0.0/0", "::/0"]`, true, false, ""},
		{"receive_connector[0]", "tarpit_interval", `5`, `"5s"`, true, false, "seconds"},
		{"receive_connector[0]", "auth_mechanism", `["tls","basic"]`, `["tls", "basic"]`, false, false, ""},
		{"receive_connector[0]", "enabled", `true`, `true`, true, false, ""},
		{"send_connector[0]", "smart_hosts", `["hub1","[2001:db8::1]:26"]`, `["hub1", "[2001:db8::1]:26"]`, false, false, ""},
		{"send_connector[0]", "smart_host_auth.mechanism", `"basic"`, `"basic"`, false, false, ""},
		{"send_connector[0].smart_host_auth", "username", `"u"`, `"u"`, false, false, ""},
		{"send_connector[0]", "max_message_size", `"unlimited"`, `"unlimited"`, true, false, "bytes"},
		{"queue", "retry", `["1m x4","10m x6","30m"]`, `["1m x4", "10m x6", "30m"]`, true, false, ""},
		{"queue", "directory", `"postern-data/spool"`, `"postern-data/spool"`, true, false, ""},
		{"back_pressure", "disk.high", `"auto"`, `"auto"`, true, false, ""},
		{"back_pressure", "messages.high", `1500000`, `1500000`, true, false, ""},
		{"dns", "hosts", `{}`, `{}`, true, false, ""},
		{"server", "fqdn", `"edge.contoso.example"`, `"edge.contoso.example"`, true, false, ""},
		{"user[0]", "password_hash", `null`, `(hidden)`, false, false, ""},
	} {
		s := find(tt.path, tt.key)
		value, err := json.Marshal(s.Value)
		if err != nil || string(value) != tt.json || s.Text != tt.text || s.Default != tt.isDefault || s.Pending != tt.pending || s.Unit != tt.unit || s.Doc == "" {
			t.Errorf("%s %s: %+v as %s, %v", tt.path, tt.key, s, value, err)
		}
	}
	for _, path := range []string{"", "receive_connector", "receive_connector[1]", "receive_connector[-1]", "receive_connector[x]", "queue[0]", "nothing", "server.fqdn"} {
		if s := cfg.Explain(path); s != nil {
			t.Errorf("Explain(%q) = %+v", path, s)
		}
	}
	if s := fmt.Sprintf("%+v", cfg.Explain("user[0]")); strings.Contains(s, "secret") {
		t.Errorf("the hash is explained: %s", s)
	}
}

// TestExplainWithoutFile explains a configuration that was put together by
// hand.
func TestExplainWithoutFile(t *testing.T) {
	cfg := &Config{ReceiveConnectors: []ReceiveConnector{{Name: "a", MaxHopCount: 30, ConnectionTimeout: time.Second / 2}}}
	settings := cfg.Explain("receive_connector[0]")
	for _, s := range settings {
		switch s.Key {
		case "max_hop_count":
			if !s.Default {
				t.Errorf("%+v", s)
			}
		case "connection_timeout":
			if s.Default || s.Value != 0.5 || s.Text != `"500ms"` {
				t.Errorf("%+v", s)
			}
		}
	}
	if len(settings) != len(receiveConnectorTable().keys) {
		t.Errorf("%d settings", len(settings))
	}
}

func TestDiff(t *testing.T) {
	old := parseOne(t, `[[accepted_domain]]
domain = "a.example"
[[accepted_domain]]
domain = "b.example"
[[user]]
name = "u"
password_hash = "$2b$old"
`+receiveHead+`max_hop_count = 40
[[receive_connector]]
name = "gone"
bindings = ["0.0.0.0:26"]
`+sendHead)
	now := parseOne(t, `[server]
data_dir = "/srv"
[[accepted_domain]]
domain = "b.example"
[[accepted_domain]]
domain = "A.example"
type = "internal_relay"
[[user]]
name = "u"
password_hash = "$2b$new"
[[receive_connector]]
name = "new \"one\""
bindings = ["0.0.0.0:27"]
`+strings.Replace(receiveHead, `"a"`, `"A"`, 1)+sendHead+`smart_hosts = ["h"]
smart_host_auth = { mechanism = "basic", username = "u", password_file = "f" }
max_message_size = "10MB"
`)
	want := []Change{
		{"server.data_dir", `"postern-data"`, `"/srv"`, true},
		{"server.certificate_directory", `"postern-data/certificates"`, `"/srv/certificates"`, true},
		{`accepted_domain["A.example"].domain`, `"a.example"`, `"A.example"`, false},
		{`accepted_domain["A.example"].type`, `"authoritative"`, `"internal_relay"`, false},
		{"accepted_domain", "", "(order changed)", false},
		{`receive_connector["new \"one\""]`, "", "(added)", false},
		{`receive_connector["A"].name`, `"a"`, `"A"`, false},
		{`receive_connector["A"].max_hop_count`, "40", "30", false},
		{`receive_connector["gone"]`, "", "(removed)", false},
		{`user["u"].password_hash`, "(hidden)", "(hidden)", false},
		{`send_connector["s"].smart_hosts`, "[]", `["h"]`, false},
		{`send_connector["s"].max_message_size`, `"unlimited"`, `"10MB"`, false},
		{`send_connector["s"].smart_host_auth.mechanism`, `"none"`, `"basic"`, false},
		{`send_connector["s"].smart_host_auth.username`, `""`, `"u"`, false},
		{`send_connector["s"].smart_host_auth.password_file`, `""`, `"f"`, false},
		{"queue.directory", `"postern-data/spool"`, `"/srv/spool"`, true},
		{"logs.directory", `"postern-data/logs"`, `"/srv/logs"`, false},
		{"logs.receive_protocol.directory", `"postern-data/logs/ProtocolLog/SmtpReceive"`, `"/srv/logs/ProtocolLog/SmtpReceive"`, false},
		{"logs.send_protocol.directory", `"postern-data/logs/ProtocolLog/SmtpSend"`, `"/srv/logs/ProtocolLog/SmtpSend"`, false},
		{"logs.connectivity.directory", `"postern-data/logs/Connectivity"`, `"/srv/logs/Connectivity"`, false},
		{"logs.message_tracking.directory", `"postern-data/logs/MessageTracking"`, `"/srv/logs/MessageTracking"`, false},
		{"logs.agent.directory", `"postern-data/logs/AgentLog"`, `"/srv/logs/AgentLog"`, false},
		{"logs.routing_table.directory", `"postern-data/logs/Routing"`, `"/srv/logs/Routing"`, false},
		{"logs.event.directory", `"postern-data/logs/Events"`, `"/srv/logs/Events"`, false},
		{"control.socket", `"postern-data/control.sock"`, `"/srv/control.sock"`, true},
	}
	got := now.Diff(old)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("change %d:\ngot  %+v\nwant %+v", i, got[min(i, len(got)):], want[min(i, len(want)):])
			}
		}
	}
	if same := now.Diff(now); len(same) > 0 {
		t.Errorf("no change: %+v", same)
	}
}

// TestDesignIsValid reads the configuration that the contract of the project
// shows.
func TestDesignIsValid(t *testing.T) {
	const design = "../../shared/DESIGN.md"
	text, err := os.ReadFile(design)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("the folder shared is missing beside the tree: %v", err)
	}
	_, rest, ok := strings.Cut(string(text), "```toml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatalf("%s holds no TOML", design)
	}
	cfg := parseOne(t, example)
	if len(cfg.ReceiveConnectors) != 2 || len(cfg.SendConnectors) != 3 || cfg.Routing.Restrictions != "enforce" ||
		len(cfg.SendConnectors[2].SourceIPAddress) != 2 || cfg.DNS.Hosts["hub1.corp.contoso.example"] == nil {
		t.Errorf("%+v", cfg)
	}
}
