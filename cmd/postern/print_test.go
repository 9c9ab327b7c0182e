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
		{"explain route kim@contoso.example", 2, "accepts 2 arg(s)"},
		{"explain route kim@contoso.example bob", 2, `recipient "bob"`},
		{"explain route <> bob@fabrikam.example --size lots", 2, "--size"},
		{"check --no-such-flag", 2, "unknown flag"},
		{"frobnicate", 2, "unknown command"},
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
