package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"postern/backpressure"
	"postern/internal/control"
)

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		used, limit float64
		want        string
	}{
		{0, 100, "[............|....|....]"},
		{1, 100, "[#...........|....|....]"},
		{30, 100, "[######......|....|....]"},
		{59, 100, "[###########.|....|....]"},
		{60, 100, "[############|....|....]"},
		{61, 100, "[############|#...|....]"},
		{70, 100, "[############|##..|....]"},
		{80, 100, "[############|####|....]"},
		{90, 100, "[############|####|##..]"},
		{100, 100, "[############|####|####]"},
		{90, 0, "[############|####|##..]"},
		{1000, 0, "[############|####|####]"},
	} {
		r := backpressure.ResourceStatus{Used: tt.used, Limit: tt.limit, Medium: 60, High: 80}
		if got := bar(&r); got != tt.want {
			t.Errorf("%v of %v: %s, want %s", tt.used, tt.limit, got, tt.want)
		}
	}
}

// TestBarGrows: the bar has always the same width, never shrinks as more is in
// use, and passes a mark exactly when the threshold is reached.
func TestBarGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		medium := float64(rapid.IntRange(1, 1000).Draw(t, "medium"))
		high := medium + float64(rapid.IntRange(1, 1000).Draw(t, "band"))
		limit := high + float64(rapid.IntRange(0, 1000).Draw(t, "above"))
		before := -1
		for used := 0.0; used <= limit; used += max(limit/37, 1) {
			b := bar(&backpressure.ResourceStatus{Used: used, Limit: limit, Medium: medium, High: high})
			n := strings.Count(b, "#")
			if len(b) != barWidth || n < before {
				t.Fatalf("%v of %v, %v, %v: %s", used, medium, high, limit, b)
			}
			if n > barToMedium && used < medium || n > barToMedium+barToHigh && used < high {
				t.Fatalf("%v is beyond a mark of %v, %v: %s", used, medium, high, b)
			}
			before = n
		}
	})
}

func TestStatusPressure(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	st := &control.Status{BackPressure: backpressure.Status{
		Enabled: true, Level: backpressure.Medium, SwitchedOff: []string{"mail from outsiders is refused at MAIL", "Pickup and Replay wait"}, Refused: 7, Delayed: 1,
		Resources: []backpressure.ResourceStatus{
			{Name: backpressure.Disk, Of: "/srv/\x1b[31mspool", State: backpressure.StateWatched, Level: backpressure.Medium, Since: now.Add(-90 * time.Second), Used: 61, Limit: 100, Medium: 60, High: 80,
				ValueText: "39GB free of 100GB", MediumText: "40GB free", HighText: "20GB free", MediumToNormalText: "44GB free"},
			{Name: backpressure.Inodes, State: backpressure.StateUnknown, Reason: "the file system does not count them"},
			{Name: backpressure.Memory, State: backpressure.StateOff},
			{Name: backpressure.Messages, State: backpressure.StateWatched, Limit: 0, Medium: 10, High: 20, ValueText: "0 messages", MediumText: "10", HighText: "20"},
		},
	}}
	for _, width := range []int{60, 120} {
		t.Setenv("COLUMNS", map[int]string{60: "60", 120: "120"}[width])
		var out bytes.Buffer
		a := &app{streams: streams{out: &out}}
		a.statusPressure(st, style{}, now)
		got := out.String()
		joined := strings.Join(strings.Fields(got), " ")
		for _, want := range []string{
			"Back pressure medium", "mail from outsiders is refused at MAIL; Pickup and Replay wait", "7 MAIL commands refused, 1 delayed",
			"disk [############|#...|....]", "free of 100GB; medium", "44GB free", "?[31mspool", "inodes unknown: the file system does", "memory off", "messages [............|....|....]",
		} {
			if !strings.Contains(joined, want) {
				t.Errorf("at %d columns there is no %q in\n%s", width, want, got)
			}
		}
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
				t.Errorf("a line of %d columns at %d: %s", n, width, line)
			}
		}
		if strings.Contains(got, "\x1b") {
			t.Errorf("an escape sequence reaches the terminal:\n%q", got)
		}
	}
	var out bytes.Buffer
	a := &app{streams: streams{out: &out}}
	a.statusPressure(st, style{on: true}, now)
	if !strings.Contains(out.String(), "\x1b[33mmedium\x1b[0m") || !strings.Contains(out.String(), "\x1b[33m[############|#...|....]\x1b[0m") {
		t.Errorf("without colour on a terminal:\n%q", out.String())
	}
	out.Reset()
	a.statusPressure(&control.Status{}, style{}, now)
	if !strings.Contains(out.String(), "back_pressure.enabled is false") {
		t.Errorf("switched off:\n%s", out.String())
	}
}
