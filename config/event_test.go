package config

import (
	"maps"
	"net"
	"strings"
	"testing"
)

func TestParseSyslog(t *testing.T) {
	for _, tt := range []struct{ text, network, address, wrong string }{
		{"unix:/dev/log", "unix", "/dev/log", ""},
		{"unix:///run/log.sock", "unix", "/run/log.sock", ""},
		{"udp://127.0.0.1:5514", "udp", "127.0.0.1:5514", ""},
		{"udp://loghost", "udp", "loghost:514", ""},
		{"tcp://loghost.contoso.example", "tcp", "loghost.contoso.example:601", ""},
		{"tcp://[2001:db8::1]:6514", "tcp", "[2001:db8::1]:6514", ""},
		{"udp://[2001:db8::1]", "udp", "[2001:db8::1]:514", ""},
		{"", "", "", "none of unix:, udp:// and tcp://"},
		{"/dev/log", "", "", "none of unix:, udp:// and tcp://"},
		{"unix:dev/log", "", "", "no absolute path"},
		{"unix:", "", "", "no absolute path"},
		{"tls://host:6514", "", "", "none of unix:, udp:// and tcp://"},
		{"udp://", "", "", "names no host"},
		{"udp://:514", "", "", "names no host"},
		{"udp://host:", "", "", "no port behind its colon"},
		{"udp://host:70000", "", "", "from 1 to 65535"},
		{"tcp://host:601/path", "", "", "more in it"},
		{"tcp://user@host:601", "", "", "more in it"},
		{"tcp://host:601?x", "", "", "more in it"},
		{"tcp://host:601#", "", "", "more in it"},
		{"udp:host:514", "", "", "names no host"},
		{"udp://ho st", "", "", "can't be read"},
	} {
		network, address, err := ParseSyslog(tt.text)
		if network != tt.network || address != tt.address || (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%q: %q %q, %v", tt.text, network, address, err)
		}
	}
}

// FuzzParseSyslog: whatever is accepted can be dialled.
func FuzzParseSyslog(f *testing.F) {
	for _, s := range []string{"unix:/dev/log", "udp://[::1]:514", "tcp://host", "tcp://%41:1", "udp://[fe80::1%25lo]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		network, address, err := ParseSyslog(s)
		switch {
		case err != nil:
		case network == "unix":
			if !strings.HasPrefix(address, "/") {
				t.Errorf("%q: %q", s, address)
			}
		default:
			if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
				t.Errorf("%q: %q: %v", s, address, err)
			}
		}
	})
}

func TestEventLogSettings(t *testing.T) {
	const head = "[[receive_connector]]\nname = \"a\"\nbindings = [\"127.0.0.1:25\"]\n[server]\ndata_dir = \"/d\"\n"
	e := parseOne(t, head).Logs.Event
	if e.Level != "info" || len(e.Levels) != 0 || e.Format != "auto" || e.Syslog != "" || e.SyslogFacility != "mail" || SyslogFacility(e.SyslogFacility) != 2 ||
		!e.File.Enabled || e.File.Directory != "/d/logs/Events" || e.File.MaxDirectorySize != 250<<20 || e.File.MaxFileSize != 10<<20 || e.File.MaxAge.Hours() != 720 {
		t.Errorf("defaults: %+v", e)
	}
	e = parseOne(t, head+"[logs]\nmax_age = \"2d\"\n[logs.event]\nlevel = \"warn\"\nlevels = { routing = \"debug\", dns = \"error\" }\nfile = false\nsyslog = \"unix:/dev/log\"\nsyslog_facility = \"local7\"\nformat = \"json\"\n").Logs.Event
	if e.Level != "warn" || !maps.Equal(e.Levels, map[string]string{"routing": "debug", "dns": "error"}) || e.Format != "json" || e.Syslog != "unix:/dev/log" ||
		SyslogFacility(e.SyslogFacility) != 23 || e.File.Enabled || e.File.MaxAge.Hours() != 48 {
		t.Errorf("settings: %+v", e)
	}
}
