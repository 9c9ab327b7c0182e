package routing

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"postern/config"
)

// TestDocumentedExamples routes the examples of docs/routing.md: its
// configuration, and each row of its table in both modes.
func TestDocumentedExamples(t *testing.T) {
	page, err := os.ReadFile("../docs/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```toml\n")
	example, rest, _ := strings.Cut(rest, "```\n")
	row := regexp.MustCompile("(?m)^\\| `(.*?)` \\| `(.*?)` \\| (.*?) \\| (.*?) \\| (.*?) \\|$")
	rows := row.FindAllStringSubmatch(rest, -1)
	if len(rows) < 7 {
		t.Fatalf("%d examples", len(rows))
	}
	for column, restrictions := range map[int]string{4: "filter", 5: "enforce"} {
		cfg, findings, err := config.Parse("routing.md", []byte(example+"\n[routing]\nrestrictions = \""+restrictions+"\"\n"))
		if err != nil {
			t.Fatalf("%v: %v", err, findings)
		}
		tab, findings := New(cfg)
		if tab == nil {
			t.Fatalf("findings: %v", findings)
		}
		for _, r := range rows {
			size, err := config.ParseSize(strings.ReplaceAll(r[3], " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			want := r[column]
			if want == "the same" {
				want = r[4]
			}
			d := tab.Route(Query{Sender: addr(t, r[1]), Recipient: addr(t, r[2]), Size: size})
			got := d.Connector
			if got == "" {
				got = d.Reply.String()
			}
			// The table begins with the connector's name or the reply's codes.
			want, _, _ = strings.Cut(strings.NewReplacer("*", "", ":", ",").Replace(want), ",")
			if !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s to %s: %s, the page says %s", restrictions, r[1], r[2], got, want)
			}
		}
	}
}
