package eventid

import (
	"flag"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reference page")

const referenceFile = "../../docs/reference/events.md"

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
		t.Errorf("%s is stale; run: go generate ./internal/eventid", referenceFile)
	}
}

// TestTable holds the entries to what the reference and the handler rely on.
func TestTable(t *testing.T) {
	exchange := map[ID]bool{1020: true, 1021: true, 12014: true, 12015: true, 12016: true, 12017: true, 12018: true, 12019: true, 12024: true,
		15001: true, 15002: true, 15003: true, 15004: true, 15005: true, 15006: true, 15007: true}
	ranges := map[Area]ID{Server: 20000, Config: 20100, Control: 20200, Logs: 20300, Receive: 21000, Queue: 22000, Spool: 23000, Send: 24000, Routing: 25000, TLS: 26000,
		BackPressure: 27000, Pickup: 28000, DNS: 29000}
	var last ID
	for _, e := range All() {
		if e.ID == last {
			t.Errorf("%d stands twice in the table", e.ID)
		}
		last = e.ID
		if !slices.Contains(Areas(), e.Area) {
			t.Errorf("%d: %q is no area", e.ID, e.Area)
		}
		from, width := ranges[e.Area], ID(1000)
		if e.ID >= 20000 && e.ID < 21000 {
			width = 100
			if e.ID == LogLevelReverted { // beside the order that it ends
				from = ranges[Control]
			}
		}
		if !exchange[e.ID] && (from == 0 || e.ID < from || e.ID >= from+width) {
			t.Errorf("%d is not in the range of %s, which begins at %d", e.ID, e.Area, from)
		}
		if !slices.Contains([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}, e.Level) {
			t.Errorf("%d has level %v", e.ID, e.Level)
		}
		for what, text := range map[string]string{"text": e.Text, "meaning": e.Meaning, "remedy": e.Remedy} {
			if text == "" || strings.ContainsAny(text, "\n\r") {
				t.Errorf("%d: its %s is %q", e.ID, what, text)
			}
		}
		for _, text := range []string{e.Meaning, e.Remedy} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%d: %q is no sentence", e.ID, text)
			}
		}
		if _, every := e.Limits(); every < DefaultEvery {
			t.Errorf("%d is summed up every %v", e.ID, every)
		}
	}
}
