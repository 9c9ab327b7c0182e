package logs

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestPage: the page on logs has, for each log of lines, its columns and their
// keys in JSON as they are written, in their order; and the directory, the files
// and the table of each log.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for k, heading := range map[Kind]string{
		ReceiveProtocol: "## The protocol log", SendProtocol: "## The protocol log", MessageTracking: "## Message tracking",
		Connectivity: "## The connectivity log", Agent: "## The agent log",
	} {
		_, section, ok := strings.Cut(page, "\n"+heading+"\n")
		if !ok {
			t.Errorf("there is no %q", heading)
			continue
		}
		_, table, _ := strings.Cut(section, "| column | key in JSON | meaning |\n|---|---|---|\n")
		var columns, keys []string
		for line := range strings.Lines(table) {
			cells := strings.Split(line, "|")
			if len(cells) < 5 {
				break
			}
			columns, keys = append(columns, strings.Trim(cells[1], " `")), append(keys, strings.Trim(cells[2], " `"))
		}
		if l := k.Layout(); !slices.Equal(columns, l.Columns) || !slices.Equal(keys, l.Keys) {
			t.Errorf("%v: the page has\n%q\n%q\nwant\n%q\n%q", k, columns, keys, l.Columns, l.Keys)
		}
	}
	for _, k := range Kinds() {
		l := k.Layout()
		row := "| `[logs." + l.Table + "]` | `" + l.Directory + "` | `" + l.Prefix
		if !strings.Contains(page, row) {
			t.Errorf("%v: the page has no %q", k, row)
		}
	}
}
