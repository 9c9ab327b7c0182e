package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/reference/configuration.md")

const referenceFile = "../docs/reference/configuration.md"

func TestReferenceIsCurrent(t *testing.T) {
	if *update {
		if err := os.WriteFile(referenceFile, Reference(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(Reference()) {
		t.Errorf("%s is stale; run: go generate ./config", referenceFile)
	}
}

func TestReferenceSaysWhatIsNotInEffect(t *testing.T) {
	lines := strings.Split(string(Reference()), "\n")
	find := func(heading, key string) string {
		in := false
		for _, l := range lines {
			if strings.HasPrefix(l, "## ") {
				in = l == "## `"+heading+"`"
			}
			if in && strings.HasPrefix(l, "| `"+key+"` |") {
				return l
			}
		}
		t.Fatalf("%s in %s does not stand in the reference", key, heading)
		return ""
	}
	for _, tt := range []struct {
		heading, key string
		contains     []string
	}{
		{"[[receive_connector]]", "tarpit_interval", []string{"| `\"5s\"` |", "0s to 10m"}},
		{"[[receive_connector]]", "max_hop_count", []string{"| number | `30` | 1 to 500 |"}},
		{"[[receive_connector]]", "fqdn", []string{"| `server.fqdn` |"}},
		{"[[receive_connector]]", "max_connection_rate_per_minute", []string{"| `\"unlimited\"` |", `or "unlimited"`}},
		{"[[user]]", "name", []string{"required"}},
		{"[back_pressure.disk]", "high", []string{"| `\"auto\"` |"}},
		{"[back_pressure.memory]", "high", []string{"| `\"75%\"` |"}},
		{"[back_pressure.submission_queue]", "high", []string{"| threshold | `15000` |"}},
		{"[queue]", "directory", []string{"`server.data_dir`/spool", "needs a restart"}},
		{"[queue]", "retry", []string{"`[\"1m x4\", \"10m x6\", \"30m\"]`"}},
	} {
		line := find(tt.heading, tt.key)
		for _, want := range tt.contains {
			if !strings.Contains(line, want) {
				t.Errorf("%s %s: no %q in %s", tt.heading, tt.key, want, line)
			}
		}
		if n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); n != 7 {
			t.Errorf("%s %s: %d cell borders in %s", tt.heading, tt.key, n, line)
		}
	}
	if line := find("[[receive_connector]]", "require_tls"); strings.Contains(line, "not in effect") {
		t.Errorf("require_tls is in effect: %s", line)
	}
}

// receiveKeys are the keys of Receive connectors with their defaults, as the
// reference has them.
func receiveKeys() map[string]string {
	_, table, _ := strings.Cut(string(Reference()), "\n## `[[receive_connector]]`\n")
	table, _, _ = strings.Cut(table, "\n## ")
	keys := map[string]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 4 && strings.HasPrefix(line, "| `") {
			keys[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[3])
		}
	}
	return keys
}

// TestWayFromExchange: the page on Receive connectors names every key once,
// beside Exchange's parameter or among those that Exchange has not, and its
// defaults are the program's.
func TestWayFromExchange(t *testing.T) {
	text, err := os.ReadFile("../docs/receive-connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, ok := strings.Cut(string(text), "\n## Coming from Exchange\n")
	if !ok {
		t.Fatal("the page has no such section")
	}
	keys, named := receiveKeys(), map[string]int{}
	table, rest, _ := strings.Cut(page, "\n\n| `AuthMechanism` |")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(line, "| `") {
			continue
		}
		key := strings.Trim(cells[2], " `")
		if want, ok := keys[key]; !ok {
			t.Errorf("there is no key %q", key)
		} else if got := strings.TrimSpace(cells[3]); got != want {
			t.Errorf("the default of %s is %s, the page says %s", key, want, got)
		}
		named[key]++
	}
	_, others, _ := strings.Cut(rest, "\nKeys that Exchange has not: ")
	others, _, _ = strings.Cut(others, ".\n\n")
	for key := range strings.SplitSeq(strings.ReplaceAll(others, "\n", " "), ",") {
		key = strings.Trim(key, " `")
		if _, ok := keys[key]; !ok {
			t.Errorf("there is no key %q", key)
		}
		named[key]++
	}
	if len(keys) < 40 {
		t.Fatalf("%d keys in the reference", len(keys))
	}
	for key := range keys {
		if named[key] != 1 {
			t.Errorf("the page names %s %d times", key, named[key])
		}
	}
}

// allKeys are the keys of all tables with their defaults, as the reference has
// them: "queue.retry", "send_connector.smart_host_auth.mechanism".
func allKeys() map[string]string {
	keys, table := map[string]string{}, ""
	for line := range strings.Lines(string(Reference())) {
		if heading, ok := strings.CutPrefix(line, "## `["); ok {
			table = strings.Trim(strings.TrimSpace(heading), "[]`")
		}
		if cells := strings.Split(line, "|"); len(cells) > 4 && strings.HasPrefix(line, "| `") {
			keys[table+"."+strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[3])
		}
	}
	return keys
}

// TestSendWayFromExchange: the page on Send connectors names every key of them,
// beside Exchange's parameter or among those that Exchange has not, with the
// program's defaults; and no parameter that Exchange has is left out.
func TestSendWayFromExchange(t *testing.T) {
	text, err := os.ReadFile("../docs/send-connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, ok := strings.Cut(string(text), "\n## Coming from Exchange\n")
	if !ok {
		t.Fatal("the page has no such section")
	}
	keys, named := allKeys(), map[string]int{}
	find := func(key string) string {
		for _, table := range []string{"send_connector.", ""} {
			if _, ok := keys[table+key]; ok {
				return table + key
			}
		}
		t.Errorf("there is no key %q", key)
		return ""
	}
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.Contains(cells[2], "`") {
			continue
		}
		key := find(strings.Trim(cells[2], " `"))
		if got, want := strings.TrimSpace(cells[3]), keys[key]; got != want {
			t.Errorf("the default of %s is %s, the page says %s", key, want, got)
		}
		named[key]++
	}
	_, others, _ := strings.Cut(page, "\nKeys that Exchange has not: ")
	others, _, _ = strings.Cut(others, ".\n\n")
	for key := range strings.SplitSeq(strings.ReplaceAll(others, "\n", " "), ",") {
		named[find(strings.Trim(key, " `"))]++
	}
	for key := range keys {
		if rest, ok := strings.CutPrefix(key, "send_connector."); ok && !strings.Contains(rest, ".") && named[key] != 1 {
			t.Errorf("the page names %s %d times", key, named[key])
		}
	}
	reference, err := os.ReadFile("../../shared/reference/exchange-edge.md")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("the shared folder is missing: %v", err)
	}
	n := 0
	for _, section := range []string{"### 2.1 ", "### 2.5 "} {
		_, table, _ := strings.Cut(string(reference), "\n"+section)
		table, _, _ = strings.Cut(table, "\n### ")
		for line := range strings.Lines(table) {
			cells := strings.Split(line, "|")
			if len(cells) < 4 || !strings.HasPrefix(line, "| `") {
				continue
			}
			for _, m := range regexp.MustCompile("[A-Z][A-Za-z]+").FindAllString(cells[1], -1) {
				if n++; !strings.Contains(page, m) {
					t.Errorf("the page does not name %s", m)
				}
			}
		}
	}
	if n < 70 {
		t.Errorf("%d parameters in the reference", n)
	}
}

func TestExamplesHaveNoFindings(t *testing.T) {
	files, err := filepath.Glob("../examples/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		cfg, findings, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			t.Error(f.Format(cfg.Position(f.Path)))
		}
	}
}
