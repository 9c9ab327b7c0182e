package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestSalvage: a mistake elsewhere in the file leaves its control socket and its
// data directory to be read; one in them is told.
func TestSalvage(t *testing.T) {
	const head = "[server]\ndata_dir = \"/srv/postern\"\n"
	const sock = "[control]\nsocket = \"/run/x.sock\"\n"
	for _, tt := range []struct {
		text, data, socket string
		lost               []string
	}{
		{head + "[[send_connector]]\nname = \"a\"\ntls = \"bogus\"\n" + sock, "/srv/postern", "/run/x.sock", nil},
		{head + "fqdn = \"no quote\n" + sock, "/srv/postern", "/run/x.sock", nil},
		{head + "fqdn = \"no quote\nnonsense\n", "/srv/postern", "/srv/postern/control.sock", nil},
		{head + "no_such_key = 1\n[[receive_connector]]\nname = 5\n", "/srv/postern", "/srv/postern/control.sock", nil},
		{"[server]\ndata_dir = 5\n" + sock, "postern-data", "/run/x.sock", []string{"server.data_dir"}},
		{head + "[control]\nsocket = true\n", "/srv/postern", "", []string{"control.socket"}},
		{"server = 5\n", "postern-data", "", []string{"server.data_dir"}},
		{"[server]\ndata_dir = \"/srv\n", "", "", nil},
		{"[server\ndata_dir = \"/srv\"\n", "", "", nil},
		{head + "[control\nsocket = \"/run/x.sock\"\n", "", "", nil},
		{head + "x = [1,\n" + sock, "", "", nil},
		{" \n\n", "", "", nil},
		{"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", "", "", nil},
	} {
		file := filepath.Join(t.TempDir(), "postern.toml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, lost := Salvage(file)
		if c == nil {
			if tt.data != "" {
				t.Errorf("%q: nothing", tt.text)
			}
			continue
		}
		if tt.data == "" || filepath.Base(c.Server.DataDir) != filepath.Base(tt.data) || tt.socket != "" && c.Control.Socket != tt.socket || !reflect.DeepEqual(lost, tt.lost) {
			t.Errorf("%q: data %q, socket %q, lost %v", tt.text, c.Server.DataDir, c.Control.Socket, lost)
		}
	}
	if c, _ := Salvage(filepath.Join(t.TempDir(), "missing.toml")); c != nil {
		t.Error("something of a missing file")
	}
}
