package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/config"
)

// TestRoutingTableLog: a snapshot at the start and at each change of the routing
// configuration, which says what was changed; none when nothing of it was.
func TestRoutingTableLog(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	secret := filepath.Join(dir, "hub.pass")
	if err := os.WriteFile(secret, []byte("sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	const rest = `[[send_connector]]
name = "Partners"
address_spaces = ["smtp:Fabrikam.example;7", "*.fabrikam.example"]
smart_hosts = ["mail.fabrikam.example"]
smart_host_auth = { mechanism = "basic", username = "edge", password_file = %q }
max_message_size = "10MB"
blocked_senders = ["a@contoso.example", "b.example"]
fallback = "Hub"
`
	original := fmt.Sprintf(edge, dir, port, "", 25)
	file := original
	s := start(t, Options{
		Config: parse(t, file),
		Load:   func() (*config.Config, []config.Finding, error) { return config.Parse("test.toml", []byte(file)) },
	})
	reload := func(text string) {
		t.Helper()
		file = text
		if _, findings, _, err := s.Reload(t.Context(), "test"); err != nil {
			t.Fatal(err, findings)
		}
	}
	reload(original + "[logs]\nmax_age = \"1d\"\n")
	reload(original + fmt.Sprintf(rest, secret))
	stop(t, s)

	names, _ := filepath.Glob(filepath.Join(dir, "logs", "Routing", "RoutingConfig#*@*Z.json"))
	slices.Sort(names)
	if len(names) != 2 {
		t.Fatalf("files: %q", names)
	}
	var got [2]routesLogged
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || json.Unmarshal(text, &got[i]) != nil {
			t.Fatalf("%s: %s, %v", name, text, err)
		}
		if strings.Contains(string(text), "sesame") || strings.Contains(string(text), "password") && i == 0 {
			t.Errorf("%s", text)
		}
	}
	if got[0].Reason != "start" || len(got[0].Changes) != 0 || len(got[0].SendConnectors) != 1 || got[0].AcceptedDomains[0].Domain != "contoso.example" || got[0].DefaultDomain != "contoso.example" {
		t.Errorf("%+v", got[0])
	}
	if got[1].Reason != "reload" || got[1].Generation == got[0].Generation || !slices.ContainsFunc(got[1].Changes, func(c config.Change) bool { return c.Path == `send_connector["Partners"]` && c.New == "(added)" }) {
		t.Errorf("%+v", got[1])
	}
	if p := got[1].SendConnectors[1]; fmt.Sprintf("%+v", p) != "{Name:Partners Enabled:true AddressSpaces:[{Space:*.fabrikam.example Cost:1} {Space:fabrikam.example Cost:7}] MoreSpaces:0 "+
		"SmartHosts:[mail.fabrikam.example:25] Port:25 TLS:opportunistic MaxMessageSize:10485760 BlockedSenders:2 AllowedSenders:0 Scope:[] Fallback:Hub}" {
		t.Errorf("%+v", p)
	}
}
