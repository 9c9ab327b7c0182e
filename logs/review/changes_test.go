package review

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/eventid"
	"postern/logs"
)

// changed makes a directory with an event log and two routing tables.
func changed(t *testing.T, json bool) string {
	t.Helper()
	dir := t.TempDir()
	var text []byte
	suffix := ".log"
	if json {
		suffix = ".jsonl"
	} else {
		text = logs.AppendHead(text, logs.EventLog, noon)
	}
	for i, e := range []logs.EventLine{
		{Level: "info", ID: int(eventid.Started), Area: "server", Text: "gateway is running"},
		{Level: "warn", ID: int(eventid.MessageDeferred), Area: "queue", Text: "message deferred"}, // nothing changed
		{Level: "info", ID: int(eventid.ConfigurationChanged), Area: "config", Text: "configuration changed", Attributes: logs.Pairs{{Key: "key", Value: "send_connector[\"Partners\"].tls"}, {Key: "old", Value: "opportunistic"}, {Key: "new", Value: "required"}}},
		{Level: "info", ID: int(eventid.Reloaded), Area: "config", Text: "reloaded"},
		{Level: "info", ID: int(eventid.MessageOrdered), Area: "queue", Text: "message redirected", Attributes: logs.Pairs{{Key: "by", Value: "uid 0"}}},
		{Level: "error", ID: int(eventid.CertificateExpired), Area: "tls", Text: "a certificate has expired \x1b[31m"},
		{Level: "info", ID: int(eventid.Stopped), Area: "server", Text: "stopped"},
	} {
		e.Time = at(float64(i * 60))
		if json {
			text = e.AppendJSON(text)
		} else {
			text = e.Append(text)
		}
	}
	files := map[string]string{
		"EVENT20261117-1" + suffix:                     string(text),
		"RoutingConfig#1@20261117T120000Z.json":        `{"time": "2026-11-17T12:00:00.500Z", "reason": "start", "generation": "aaa", "accepted_domains": [{}], "send_connectors": [{}, {}]}`,
		"RoutingConfig#2@20261117T120200Z.json":        `{"time": "2026-11-17T12:02:00.100Z", "reason": "reload", "generation": "bbb\u001b"}`,
		"RoutingConfig#3@20261118T120000Z.json":        `{"time": "2026-11-18T12:00:00Z", "reason": "start", "generation": "ccc"}`,
		"RoutingConfig#4@20261117T120300Z.json":        `{"time": "2026`,
		"RoutingConfig#x@20261117T120300Z.json":        `{}`,
		"RoutingConfig#5@20261117T120300Z.json.partly": `{}`,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestChanges(t *testing.T) {
	for _, json := range []bool{false, true} {
		src, err := At(changed(t, json))
		if err != nil {
			t.Fatal(err)
		}
		list := func(limit int, kinds ...ChangeKind) (string, bool) {
			var p Progress
			q := &Query{Since: noon, Until: noon.Add(12 * time.Hour)}
			changes, more, err := src.Changes(t.Context(), q, kinds, limit, &p)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, c := range changes {
				fmt.Fprintf(&b, "%s %s %s%s\n", c.Time.Format("15:04:05.0"), c.Kind, c.Text, c.Generation)
			}
			if bad := p.Troubles(); len(kinds) == 0 && (len(bad) != 1 || !strings.Contains(bad[0], "#4@")) {
				t.Errorf("troubles %q", bad)
			}
			return b.String(), more
		}
		const want = `12:00:00.0 start gateway is running
12:00:00.5 routing routing table in forceaaa
12:02:00.0 config configuration changed
12:02:00.1 routing routing table in forcebbb\x1B
12:03:00.0 config reloaded
12:04:00.0 order message redirected
12:05:00.0 certificate a certificate has expired \x1B[31m
12:06:00.0 start stopped
`
		if got, more := list(100); got != want || more {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if got, more := list(2); got != want[strings.Index(want, "12:05"):] || !more {
			t.Errorf("the newest two are\n%s", got)
		}
		if got, _ := list(100, ChangeOrder, ChangeConfig); got != "12:02:00.0 config configuration changed\n12:03:00.0 config reloaded\n12:04:00.0 order message redirected\n" {
			t.Errorf("orders and configuration are\n%s", got)
		}
		changes, _, err := src.Changes(t.Context(), &Query{Text: "PARTNERS"}, nil, 100, nil)
		if err != nil || len(changes) != 1 || changes[0].Attributes["new"] != "required" || len(changes[0].Order) != 3 {
			t.Errorf("%+v: %v", changes, err)
		}
	}
}

func FuzzSnapshotTime(f *testing.F) {
	f.Add("RoutingConfig#1@20261117T120000Z.json")
	f.Add("RoutingConfig#-1@.json")
	f.Fuzz(func(t *testing.T, name string) {
		if at, ok := snapshotTime(name); ok && (at.Year() < 0 || !strings.HasPrefix(name, "RoutingConfig#")) {
			t.Errorf("%q is of %v", name, at)
		}
	})
}
