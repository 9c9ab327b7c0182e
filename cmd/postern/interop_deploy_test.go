//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what the tests look at of a Grafana dashboard.
type dashboard struct {
	Title, UID string
	Panels     []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		Datasource               struct{ Type, UID string }
		Targets                  []struct{ RefID, Expr string }
		FieldConfig              struct{ Defaults struct{ Unit string } }
	}
	Templating struct {
		List []struct{ Name, Type string }
	}
}

// units are those of Grafana that the dashboard uses.
func units() []string { return []string{"short", "cps", "Bps", "s", "bytes", "percentunit"} }

// metricName is a name in an expression of PromQL; matchers are what follows.
var metricName = regexp.MustCompile(`\b((?:postern|process|go)_[a-z_]+)(\{[^}]*\})?`)
var labelName = regexp.MustCompile(`([a-z]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
var grouping = regexp.MustCompile(`\bby \(([a-z, ]+)\)`)

// judge holds an expression against what a gateway exposes: its metrics, the
// labels that it asks for, and the values of those.
func (m *scraped) judge(t *testing.T, where, expr string) {
	t.Helper()
	found := metricName.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 && !strings.HasPrefix(expr, "up{") {
		t.Errorf("%s asks for no metric: %s", where, expr)
	}
	known := []string{"instance", "le"}
	for _, f := range found {
		series := m.names[f[1]]
		if len(series) == 0 {
			t.Errorf("%s asks for %s, which is not there", where, f[1])
			continue
		}
		for _, l := range labelPair.FindAllStringSubmatch(strings.Join(series, " "), -1) {
			known = append(known, l[1])
		}
		for _, l := range labelName.FindAllStringSubmatch(f[2], -1) {
			if l[1] == "instance" || l[1] == "job" {
				continue // of the scrape
			}
			if !strings.Contains(strings.Join(series, "\n"), fmt.Sprintf("%s=%q", l[1], l[2])) {
				t.Errorf("%s asks for %s with %s=%q, which is not there", where, f[1], l[1], l[2])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			if !slices.Contains(known, strings.TrimSpace(l)) {
				t.Errorf("%s groups by %s, which no metric of %s has", where, l, expr)
			}
		}
	}
}

// TestGrafana: the dashboard asks for what a gateway exposes, in units that
// Grafana knows, and Prometheus can read its questions.
func TestGrafana(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.happen(t)
	m := w.scrape(t)
	var d dashboard
	text := readFile(t, "../../deploy/grafana/postern.json")
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || len(d.Panels) < 20 || len(d.Templating.List) != 2 {
		t.Errorf("the dashboard is %q, %q with %d panels and %d variables", d.Title, d.UID, len(d.Panels), len(d.Templating.List))
	}
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	seen := map[int]bool{}
	for i, p := range d.Panels {
		if seen[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H == 0 {
			t.Errorf("panel %d: %+v", i, p)
		}
		seen[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if !slices.Contains(units(), p.FieldConfig.Defaults.Unit) || p.Description == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: unit %q, description %q, data source %q, %d targets", p.Title, p.FieldConfig.Defaults.Unit, p.Description, p.Datasource.UID, len(p.Targets))
		}
		for _, target := range p.Targets {
			m.judge(t, p.Title, target.Expr)
			if !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("%s does not ask for the chosen gateway: %s", p.Title, target.Expr)
			}
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			rules += fmt.Sprintf("      - record: p%d_%s\n        expr: %q\n", p.ID, target.RefID, expr)
		}
	}
	promtool := need(t, "promtool")
	file := writeFile(t, filepath.Join(w.dir, "rules.yml"), rules)
	if code, out, errors := runCommand(t, "", promtool, "check", "rules", file); code != 0 {
		t.Errorf("promtool check rules: %s%s", out, errors)
	}
}

// TestAlerts: the rules ask for what a gateway exposes, and fire when they should.
func TestAlerts(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.happen(t)
	m := w.scrape(t)
	text := string(readFile(t, "../../deploy/prometheus/postern.rules.yml"))
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`(?m)^      - alert: (\w+)\n        expr: (?:>-\n((?:          .*\n)+)|(.*)\n)`).FindAllStringSubmatch(text, -1)
	if len(rules) < 10 || len(rules) != strings.Count(text, "- alert:") {
		t.Fatalf("%d rules are read of %d", len(rules), strings.Count(text, "- alert:"))
	}
	for _, r := range rules {
		m.judge(t, r[1], r[2]+r[3])
		if !strings.Contains(string(page), "| `"+r[1]+"` |") {
			t.Errorf("docs/monitoring.md does not explain %s", r[1])
		}
	}
	promtool := need(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "../../deploy/prometheus/postern.rules.yml"}, {"test", "rules", "../../deploy/prometheus/postern.rules_test.yml"}} {
		if code, out, errors := runCommand(t, "", promtool, args...); code != 0 {
			t.Errorf("promtool %v: %s%s", args, out, errors)
		}
	}
}
