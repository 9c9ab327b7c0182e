package config

import (
	"strings"
	"testing"
)

// TestSyntaxErrors gives for each text that is not TOML the one finding that
// it must have.
func TestSyntaxErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		// No quotes.
		{"address in a list", `bindings = [127.0.0.11:3025]`, `1:13: "127.0.0.11:3025" stands without quotes; write "127.0.0.11:3025", in quotes`},
		{"range in a list of several lines", "remote_ip_ranges = [\n  10.0.0.0/8,\n]", `2:3: "10.0.0.0/8" stands without quotes; write "10.0.0.0/8", in quotes`},
		{"second in a list", `x = ["a", b]`, `1:11: "b" stands without quotes; write "b", in quotes`},
		{"name", "[server]\nfqdn = edge.example # ours", `2:8: "edge.example" stands without quotes; write "edge.example", in quotes`},
		{"size", `max_message_size = 36MB`, `1:20: "36MB" stands without quotes; write "36MB", in quotes`},
		{"size in a list", `x = [36MB]`, `1:6: "36MB" stands without quotes; write "36MB", in quotes`},
		{"yes", `enabled = yes`, `1:11: yes is no TOML value; write true, without quotes`},
		{"False", `enabled = False`, `1:11: False is no TOML value; write false, without quotes`},
		{"typographic quotes", `fqdn = “edge.example”`, `1:8: these are not the quotes of TOML; write straight ones: "edge.example"`},
		{"password", "[[user]]\npassword_hash = hunter2", `2:17: the value stands without quotes; write it in quotes`},
		{"long word", "x = " + strings.Repeat("y", 100), `1:5: "` + strings.Repeat("y", 60) + `"... stands without quotes; write it in quotes`},

		// Not the signs of TOML.
		{"colon", `fqdn: "x"`, `1:5: expected '.' or '=', but got ':' instead; write = between key and value`},
		{"YAML", "server:\n  fqdn: x", `1:7: expected '.' or '=', but got ':' instead; open a table with its name in brackets: [server]`},
		{"JSON", `{"server": 1}`, `1:1: expected '.' or '=', but got '{' instead; write TOML, not JSON: [server], and under it fqdn = "edge.contoso.example"`},
		{"key alone", "fqdn\n", `1:5: expected '.' or '=', but got '\n' instead; write = and a value after the key`},
		{"no value", "fqdn =\n", `1:7: expected value but found '\n' instead; write a value after =`},
		{"slashes", "// a note\n", `1:1: expected '.' or '=', but got '/' instead; begin a comment with #`},
		{"slashes after a value", `x = "a" // a note`, `1:8: expected a top-level item to end with a newline, comment, or EOF, but got '/' instead; begin a comment with #`},
		{"semicolon", `x = "a";`, `1:8: expected a top-level item to end with a newline, comment, or EOF, but got ';' instead; take the semicolon out`},
		{"two keys", `x = "a" y = 1`, `1:8: expected a top-level item to end with a newline, comment, or EOF, but got 'y' instead; write one key in each line, and a string with quotes around all of it`},
		{"no comma", `x = ["a" "b"]`, `1:10: expected a comma (',') or array terminator (']'), but got '"'; write a comma between two elements of a list, and ] after the last`},
		{"open string", "x = \"a\ny = 1", `1:7: strings cannot contain newlines; close the string with a quote in its own line`},
		{"open list", "x = [\"a\",\n[server]\n", `2:2: expected value but found "server" instead; close the list above with ]`},
		{"open heading", "[server\n", `1:8: expected '.' or ']' to end table name, but got '\n' instead; close the name of the table with as many brackets as it begins with`},
		{"backslash", `x = "C:\data"`, `1:6: invalid escape in string '\d'; write \\ for a backslash, or the string in single quotes`},

		// Twice.
		{"key", receiveHead + "name = \"b\"", `4:1: receive_connector.name is written in line 2 already; take one of them out`},
		{"key of the second row", receiveHead + receiveHead + "name = \"b\"", `7:1: receive_connector.name is written in line 5 already; take one of them out`},
		{"table", "[server]\nfqdn = \"a.example\"\n[server]", `3:2: the table server stands in line 1 already; write [server] once, with all its keys`},
		{"table with one bracket, then two", "[send_connector]\nname = \"a\"\n[[send_connector]]", `3:3: the table send_connector stands in line 1 already; write [[send_connector]] with two brackets each time`},
		{"table with two brackets, then one", sendHead + "[send_connector]", `4:2: the table send_connector stands in line 1 already; write [[send_connector]] with two brackets each time`},
		{"table with two brackets that has one", "[[server]]\n[server]", `2:2: the table server stands in line 1 already; write [server] once, with all its keys`},
		{"unknown table", "[x]\n[x]", `2:2: the table x stands in line 1 already; write all its keys under one heading`},
		{"both in one line", "x = {a = 1, a = 2}", `1:13: Key 'x.a' has already been defined; take one of them out`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, findings := parseText(t, tt.text)
			if got := strings.Join(lines(findings), "\n"); c != nil || got != "edge.toml:"+tt.want {
				t.Errorf("got\n%s\nwant\nedge.toml:%s", got, tt.want)
			}
		})
	}
}

// TestUnknownTables wants help for tables that there are not.
func TestUnknownTables(t *testing.T) {
	const tables = "the tables are [server], [dns], [[accepted_domain]], [[receive_connector]], [[user]], [[send_connector]], [[dkim]], [routing], [queue], [notifications], [[remote_domain]], [back_pressure], [logs], [pickup], [control] and [metrics]"
	for _, tt := range []struct{ text, want string }{
		{"[tls]\ncertificate = \"x\"", "unknown table [tls]; tls is a key of [[send_connector]] or [[send_connector.tls_override]]; " + tables},
		{"[[listener]]", "unknown table [[listener]]; " + tables},
		{"[receive_connectors]", "unknown table [receive_connectors]; did you mean [[receive_connector]]?"},
		{"[disk]", `"disk" stands outside its table; it belongs to [back_pressure]`},
	} {
		_, findings := parseText(t, receiveHead+tt.text)
		if got := strings.Join(lines(findings), "\n"); got != "edge.toml:4:1: "+tt.want {
			t.Errorf("%s: got\n%s\nwant\nedge.toml:4:1: %s", tt.text, got, tt.want)
		}
	}
}
