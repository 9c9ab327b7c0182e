package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestTableFits(t *testing.T) {
	var b bytes.Buffer
	table := &table{header: []string{"NAME", "WHY"}}
	table.add("Übersee", strings.Repeat("word ", 60))
	table.add("x", "")
	table.print(&b)
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if len(lines) < 5 {
		t.Fatalf("%d lines:\n%s", len(lines), b.String())
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > defaultWidth {
			t.Errorf("a line of %d columns: %q", n, l)
		}
		if strings.TrimRight(l, " ") != l {
			t.Errorf("spaces at the end of %q", l)
		}
	}
	if !strings.HasPrefix(lines[1], "Übersee  word") || !strings.HasPrefix(lines[2], "         word") {
		t.Errorf("the last column is not wrapped below itself:\n%s", b.String())
	}
}

// TestTableShrinks: where several columns are wide, the widest give way, and a
// word that is too long for its column is broken.
func TestTableShrinks(t *testing.T) {
	table := &table{header: []string{"A", "B", "C"}}
	table.add(strings.Repeat("x", 50), strings.Repeat("word ", 20), "short")
	got := table.widths(80)
	total := 2 * 2
	for _, n := range got {
		total += n
	}
	if total != 80 || got[2] != 5 || got[0] < minColumn || got[1] < minColumn {
		t.Errorf("widths %v make %d columns, want 80", got, total)
	}
	if w := wrap(strings.Repeat("x", 25)+" y", 10); len(w) != 3 || w[2] != "xxxxx y" {
		t.Errorf("a long word is broken into %q", w)
	}
}

func TestCleanTakesNoOrders(t *testing.T) {
	if got := clean("a\x1b[31mb\x07\u202ec\xff"); got != "a?[31mb??c?" {
		t.Errorf("got %q", got)
	}
}

// TestExitCodes: 0 done, 1 failed, 2 wrong usage, 3 no server.
func TestExitCodes(t *testing.T) {
	t.Setenv("POSTERN_CONFIG", "")
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		args string
		want int
		out  string // part of what is printed, on either stream
	}{
		{"version", 0, "postern " + release},
		{"", 0, "Usage:"},
		{"explain route <> bob@fabrikam.example --output json", 0, `"connector": "Internet"`},
		{"explain route kim@contoso.example bob@fabrikam.example --config missing.toml", 1, "missing.toml"},
		{"explain route kim@contoso.example", 2, "RECIPIENT is missing"},
		{"explain route kim@contoso.example bob", 2, `recipient "bob"`},
		{"explain route <> bob@fabrikam.example --size lots", 2, "--size"},
		{"check --no-such-flag", 2, "unknown flag"},
		{"chek", 2, `did you mean "check"?`},
		{"explain rout", 2, `did you mean "route"?`},
		{"explain", 2, "name one of its commands"},
		{"help nope", 2, "unknown command"},
		{"help explain route", 0, "SENDER"},
		{"check edge.toml", 2, "--config edge.toml"},
		{"--version", 0, "postern " + release},
		{"explain route <> postmaster", 0, "Internet"},
		{"version --output yaml", 2, "want table or json"},
		{"connector show nobody", 1, `no connector "nobody"`},
		{"spool salvage x", 2, "--to OUT"},
		{"spool dump x", 1, "x is no spool"},
		{"reload", 3, "no running gateway answers"},
	} {
		var out bytes.Buffer
		got := run(context.Background(), strings.Fields(tt.args), streams{strings.NewReader(""), &out, &out})
		if got != tt.want || !strings.Contains(out.String(), tt.out) {
			t.Errorf("postern %s: exit code %d, want %d with %q in:\n%s", tt.args, got, tt.want, tt.out, out.String())
		}
	}
}
