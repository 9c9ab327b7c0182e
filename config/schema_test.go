package config

import (
	"strings"
	"testing"
)

// eachKey walks through the schema.
func eachKey(t *table, path string, f func(path string, t *table, k *key)) {
	for i := range t.keys {
		f(joinPath(path, t.keys[i].Name), t, &t.keys[i])
	}
	for _, s := range t.subs {
		eachKey(s, joinPath(path, s.name), f)
	}
}

// TestSchemaIsWhole holds what the rest of the package relies on.
func TestSchemaIsWhole(t *testing.T) {
	cfg := parseOne(t, "")
	seen, fields := map[string]bool{}, map[any]string{}
	eachKey(schema(), "", func(path string, tab *table, k *key) {
		if seen[path] {
			t.Errorf("%s stands in the schema twice", path)
		}
		seen[path] = true
		ways := 0
		for _, way := range []bool{k.Required, k.Default != nil, k.From != nil} {
			if way {
				ways++
			}
		}
		if ways != 1 {
			t.Errorf("%s: %d of Required, Default and From, want one", path, ways)
		}
		if !strings.HasSuffix(k.Doc, ".") || strings.Contains(k.Doc, "\n") {
			t.Errorf("%s: %q is not a sentence", path, k.Doc)
		}
		row := tab.blank()
		// Show fails when the field is not of the key's type.
		k.Type.show(k.Field(row))
		if v := k.defaultValue(cfg, row); v != nil {
			if faults := k.Type.store(k.Field(row), v); len(faults) > 0 {
				t.Errorf("%s: its default %v is not valid: %v", path, v, faults)
			}
			if !k.isDefault(cfg, tab, row) {
				t.Errorf("%s: its default is not its default", path)
			}
		}
	})
	// No two keys of a table are stored in the same place.
	eachTable(schema(), func(tab *table) {
		row := tab.blank()
		for i := range tab.keys {
			p := tab.keys[i].Field(row)
			if other, taken := fields[p]; taken {
				t.Errorf("%s and %s share a field", tab.keys[i].Name, other)
			}
			fields[p] = tab.keys[i].Name
		}
		if tab.repeated && tab.key(tab.identity) == nil {
			t.Errorf("%s has no key %q to go by", tab.name, tab.identity)
		}
	})
}

func eachTable(t *table, f func(*table)) {
	f(t)
	for _, s := range t.subs {
		eachTable(s, f)
	}
}

// TestDefaultsCanBeWritten writes every default back into a file, in the form
// in which the reference prints it, and expects nothing to change.
func TestDefaultsCanBeWritten(t *testing.T) {
	const head = "[[receive_connector]]\nname = \"a\"\nbindings = [\"127.0.0.1:25\"]\n"
	var b strings.Builder
	b.WriteString("[[accepted_domain]]\ndomain = \"contoso.example\"\n" + head)
	write := func(name, heading string, row any) {
		tab := schema().sub(name)
		if heading != "" {
			b.WriteString(heading + "\n")
		}
		for i := range tab.keys {
			if k := &tab.keys[i]; k.Default != nil {
				k.Type.store(k.Field(row), k.Default)
				b.WriteString(k.Name + " = " + k.Type.text(k.Field(row)) + "\n")
			}
		}
	}
	write("receive_connector", "", new(ReceiveConnector))
	write("send_connector", "[[send_connector]]\nname = \"s\"\naddress_spaces = [\"*\"]", new(SendConnector))
	write("queue", "[queue]", new(Queue))
	write("logs", "[logs]", new(Logs))
	write("dns", "[dns]", new(DNS))
	write("server", "[server]", new(Server))

	written := parseOne(t, b.String())
	plain := parseOne(t, "[[accepted_domain]]\ndomain = \"contoso.example\"\n"+head+"[[send_connector]]\nname = \"s\"\naddress_spaces = [\"*\"]\n")
	for _, c := range written.Diff(plain) {
		t.Errorf("writing the default changes %+v", c)
	}
}
