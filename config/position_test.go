package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

const positionText = `# comment [not] = a.table
top = 1
"quoted key" = { a = 1, 'b c' = [1, 2], "d\u0041\"" = { e.f = 2 } }
a.b . c = """
[not.a.table]
x = 1 \""""
d = '''it's
y = 2'''''

[server] # comment
  fqdn = "a # b"
list = [ # comment ]
  "x", [ "y", 1979-05-27 07:32:00 ],
  { k = "]" },   # z = 1
]
[[row]]
name = "a\"b]"
[[row.sub]]
n = 1
[[row.sub]]
n = 2
[row.single]
m = 1
[[row]]
name = "b"
[row.sub]
n = 3
`

func TestPositions(t *testing.T) {
	if _, err := toml.Decode(positionText, &map[string]any{}); err != nil {
		t.Fatal(err)
	}
	src, _, err := scanPositions("f.toml", positionText)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"top":                           "2:1",
		`"quoted key"`:                  "3:1",
		`"quoted key".a`:                "3:18",
		`"quoted key"."b c"`:            "3:25",
		`"quoted key"."b c"[1]`:         "3:37",
		`"quoted key"."dA\""`:           "3:41",
		`"quoted key"."dA\"".e.f`:       "3:59",
		"a":                             "4:1",
		"a.b":                           "4:3",
		"a.b.c":                         "4:7",
		"d":                             "7:1",
		"server":                        "10:1",
		"server.fqdn":                   "11:3",
		"server.list[0]":                "13:3",
		"server.list[1]":                "13:8",
		"server.list[1][1]":             "13:15",
		"server.list[2].k":              "14:5",
		"row":                           "16:1",
		"row[0]":                        "16:1",
		"row[0].name":                   "17:1",
		"row[0].sub[0]":                 "18:1",
		"row[0].sub[1].n":               "21:1",
		"row[0].single.m":               "23:1",
		"row[1]":                        "24:1",
		"row[1].sub.n":                  "27:1",
		"row[1].missing":                "24:1", // the nearest parent
		"row[1].missing[3].x":           "24:1",
		`server."missing.key".x`:        "10:1",
		`"quoted key"."missing [x]"[0]`: "3:1",
		"row[7].name":                   "16:1",
		"missing":                       "",
		"":                              "",
	} {
		got := src.position(path)
		if want != "" && got.String() != "f.toml:"+want || want == "" && got != (Position{File: "f.toml"}) {
			t.Errorf("%s stands at %v, want %s", path, got, want)
		}
	}
	for _, path := range []string{"not", "not.a.table", "x", "y", "z", "a.table", "server.z"} {
		if src.has(path) {
			t.Errorf("%s was found at %v", path, src.position(path))
		}
	}
	var none *Config
	if p := none.Position("server"); !p.IsZero() {
		t.Errorf("nil configuration: %v", p)
	}
	if p := new(Config).Position("server"); !p.IsZero() || p.String() != "" {
		t.Errorf("configuration without a file: %v", p)
	}
}

// checkPositions holds that every key and element of a decoded text has a
// position, and that the position is where its key stands.
func checkPositions(text string, src *source, path string, value any) error {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			p := joinPath(path, name)
			offset, ok := src.offsets[p]
			if !ok {
				return fmt.Errorf("%s has no position", p)
			}
			if here := text[offset:]; !strings.HasPrefix(here, name) && !strings.ContainsAny(here[:1], `["'`) {
				return fmt.Errorf("%s does not stand at %q", p, here)
			}
			if err := checkPositions(text, src, p, inner); err != nil {
				return err
			}
		}
	case []map[string]any:
		for i := range v {
			if err := checkElement(text, src, indexPath(path, i), v[i]); err != nil {
				return err
			}
		}
	case []any:
		for i := range v {
			if err := checkElement(text, src, indexPath(path, i), v[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkElement(text string, src *source, path string, value any) error {
	if !src.has(path) {
		return fmt.Errorf("%s has no position", path)
	}
	return checkPositions(text, src, path, value)
}

func FuzzPositions(f *testing.F) {
	f.Add(positionText)
	f.Add(defaultText)
	f.Add("a = [[1,[2]],{b=[{c=1}]}]\r\n[d.e.\"f.g\"]\n[[h]]\n[[h.i]]\n[h.i.j]\n")
	f.Add("a = {\n b = 1, # c\n d = [\n],\n}\n''=\"\\\\\"\n\"\" . x = ''''''")
	f.Add("a=\"\"\"\"\"\"\"\"\nb='''''''''\n")
	f.Fuzz(func(t *testing.T, text string) {
		src, _, err := scanPositions("f.toml", text)
		tree := map[string]any{}
		if err != nil || strings.HasPrefix(text, "\ufeff") || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			return
		}
		if _, err := toml.Decode(text, &tree); err != nil {
			return
		}
		if err := checkPositions(text, &src, "", tree); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
	})
}

// FuzzParse holds that no text makes Parse panic, that a Config comes exactly
// when there is no error, and that every finding has a place and a text.
func FuzzParse(f *testing.F) {
	f.Add([]byte(defaultText))
	f.Add([]byte(positionText))
	f.Add([]byte(receiveHead + sendHead + "smart_host_auth = 5\n[[user]]\n[queue]\nretry = [\"1m\", 5]\n[dns]\nhosts = { x = [1], y = 2 }"))
	f.Add([]byte("receive_connector = [1, {}]\nsend_connector = {}\nback_pressure = []\n[[server]]\n[logs.x]\n"))
	if example, err := os.ReadFile("../examples/edge.toml"); err == nil {
		f.Add(example)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, findings, err := parse("f.toml", text, hostNamed("edge.contoso.example"))
		if err != nil {
			t.Fatal(err)
		}
		if (cfg == nil) != HasErrors(findings) {
			t.Fatalf("config %v with %q", cfg != nil, lines(findings))
		}
		for _, finding := range findings {
			line := finding.Format(Position{})
			if finding.Message == "" || !strings.HasPrefix(line, "f.toml:") || strings.ContainsAny(line, "\r\n\x1b") {
				t.Fatalf("finding %+v: %q", finding, line)
			}
		}
		if cfg == nil {
			return
		}
		for i, r := range cfg.ReceiveConnectors {
			if r.Name == "" || len(r.Bindings) == 0 || r.FQDN == "" || len(cfg.Explain(indexPath("receive_connector", i))) == 0 {
				t.Fatalf("connector %+v", r)
			}
		}
		if changes := cfg.Diff(cfg); len(changes) > 0 {
			t.Fatalf("it differs from itself: %+v", changes)
		}
	})
}
