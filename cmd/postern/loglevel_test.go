package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/control"
)

// TestLogLevelOrder reads arguments.
func TestLogLevelOrder(t *testing.T) {
	for _, tt := range []struct {
		args  string
		span  string
		reset bool
		want  string // the order, or what is wrong with it
	}{
		{"", "", false, "<nil>"},
		{"routing=debug", "", false, "&{map[routing:debug] 0 false []}"},
		{"routing=debug dns=info", "10m", false, "&{map[dns:info routing:debug] 600 false []}"},
		{"all=debug", "unlimited", false, "&{map[all:debug] 0 true []}"},
		{"", "", true, "&{map[] 0 false [all]}"},
		{"dns queue dns", "", true, "&{map[] 0 false [dns queue]}"},
		{"dns queue=debug", "1h", true, "&{map[queue:debug] 3600 false [dns]}"},
		{"routing", "", false, `"routing" is no AREA=LEVEL, such as routing=debug`},
		{"routing=debug routing=info", "", false, "routing is given two levels"},
		{"", "10m", false, "--for is of use only with AREA=LEVEL"},
		{"dns", "10m", true, "--for is of use only with AREA=LEVEL"},
		{"dns=debug", "soon", false, "--for soon: want a time from 1s to 7d, or unlimited"},
		{"dns=debug", "0s", false, "--for 0s: want"},
		{"dns=debug", "8d", false, "--for 8d: want"},
	} {
		o, err := logLevelOrder(strings.Fields(tt.args), tt.span, tt.reset)
		got := fmt.Sprint(o)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s --for %s, reset %v: %s, want %s", tt.args, tt.span, tt.reset, got, tt.want)
		}
	}
}

func TestLogLevelTable(t *testing.T) {
	golden(t, func(a *app) {
		a.printLogLevels(&control.LogLevels{Areas: []control.LogLevel{
			{Area: "queue", Level: "info", Configured: "info"},
			{Area: "routing", Level: "debug", Configured: "info", Ordered: true, Until: noon().Add(10 * time.Minute)},
			{Area: "dns", Level: "error", Configured: "warn", Ordered: true},
		}}, noon())
	}, `
AREA     LEVEL  CONFIGURED  UNTIL
queue    info   info
routing  debug  info        2026-11-22 12:10:00 +0000 (in 10m00s)
dns      error  warn        the gateway ends
`)
}

// TestLogLevelUsage: what is wrong in itself is found without a gateway, and
// that there is none has its exit code.
func TestLogLevelUsage(t *testing.T) {
	t.Setenv("POSTERN_CONFIG", "")
	t.Chdir(t.TempDir())
	for args, code := range map[string]int{"log-level": exitNoServer, "log-level routing=debug": exitNoServer, "log-level routing": exitUsage, "log-level a=debug --for x": exitUsage} {
		var out, errs bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), streams{strings.NewReader(""), &out, &errs}); got != code {
			t.Errorf("%s: %d, %s", args, got, errs.String())
		}
	}
}
