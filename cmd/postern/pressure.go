package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"postern/backpressure"
	"postern/config"
	"postern/internal/control"
)

// A bar has three parts, up to medium, up to high and beyond, with a mark
// between each two: wherever the thresholds are, they are seen.
const (
	barToMedium = 12
	barToHigh   = 4
	barBeyond   = 4
)

// bar draws how far a resource is towards its thresholds.
func bar(r *backpressure.ResourceStatus) string {
	beyond := r.Limit
	if beyond <= r.High {
		beyond = r.High + (r.High - r.Medium)
	}
	part := func(from, to float64, columns int) string {
		n := 0
		if to > from {
			n = int((r.Used - from) / (to - from) * float64(columns))
		}
		if r.Used > from && n == 0 {
			n = 1 // there is something of it
		}
		n = min(max(n, 0), columns)
		return strings.Repeat("#", n) + strings.Repeat(".", columns-n)
	}
	return "[" + part(0, r.Medium, barToMedium) + "|" + part(r.Medium, r.High, barToHigh) + "|" + part(r.High, beyond, barBeyond) + "]"
}

const barWidth = barToMedium + barToHigh + barBeyond + 4

// statusPressure prints each resource as a bar.
func (a *app) statusPressure(st *control.Status, s style, now time.Time) {
	p := &st.BackPressure
	if !p.Enabled {
		fmt.Fprintln(a.out, s.bold("Back pressure"))
		a.field("off", "back_pressure.enabled is false: nothing is refused before the spool is full")
		return
	}
	fmt.Fprintln(a.out, s.bold("Back pressure")+" "+paintLevel(s, p.Level, p.Level.String()))
	if len(p.SwitchedOff) > 0 {
		a.field("switched off", strings.Join(p.SwitchedOff, "; "))
	}
	if p.Refused+p.Delayed > 0 {
		a.field("since start", fmt.Sprintf("%d MAIL commands refused, %d delayed", p.Refused, p.Delayed))
	}
	for i := range p.Resources {
		a.pressureLine(&p.Resources[i], s, now)
	}
}

// pressureLine prints the bar of one resource, and beside it the figures.
func (a *app) pressureLine(r *backpressure.ResourceStatus, s style, now time.Time) {
	drawn, text := "", ""
	switch r.State {
	case backpressure.StateOff:
		text = "off"
	case backpressure.StateUnknown:
		text = "unknown: " + clean(r.Reason)
	default:
		drawn = bar(r)
		text = fmt.Sprintf("%s; medium from %s, high from %s", r.ValueText, r.MediumText, r.HighText)
		if r.Level > backpressure.Normal {
			back := r.MediumToNormalText
			text += fmt.Sprintf("; %s for %s, normal again below %s", r.Level, since(r.Since, now), back)
			if strings.HasSuffix(back, " free") {
				text = strings.Replace(text, "again below", "again above", 1)
			}
			text += "; " + clean(r.Of)
		}
	}
	heading := fmt.Sprintf("  %-*s", fieldWidth+3, r.Name)
	indent := utf8.RuneCountInString(heading) + barWidth + 2
	width, _ := terminal(a.out)
	gap := strings.Repeat(" ", barWidth+2-len(drawn))
	for i, line := range wrap(text, max(width-indent, minColumn)) {
		if i == 0 {
			fmt.Fprintln(a.out, heading+paintLevel(s, r.Level, drawn)+gap+line)
			continue
		}
		fmt.Fprintln(a.out, strings.Repeat(" ", indent)+line)
	}
}

// paintLevel colours what is said of a level.
func paintLevel(s style, l backpressure.Level, text string) string {
	switch {
	case text == "":
		return ""
	case l == backpressure.High:
		return s.red(text)
	case l == backpressure.Medium:
		return s.yellow(text)
	}
	return s.green(text)
}

// outlook are the thresholds of a configuration on this host; none when there is
// no configuration, or nothing is watched.
func outlook(cfg *config.Config) []backpressure.ResourceStatus {
	if cfg == nil || !cfg.BackPressure.Enabled {
		return []backpressure.ResourceStatus{}
	}
	return backpressure.Outlook(cfg)
}

// printThresholds prints them as a table.
func (a *app) printThresholds(list []backpressure.ResourceStatus) {
	if len(list) == 0 {
		return
	}
	t := &table{header: []string{"BACK PRESSURE", "NOW", "MEDIUM", "HIGH", "HIGH TO MEDIUM", "MEDIUM TO NORMAL"}, names: true}
	for _, r := range list {
		switch r.State {
		case backpressure.StateWatched:
			now := r.ValueText
			if now == "" {
				now = "-"
			}
			t.add(string(r.Name), now, r.MediumText, r.HighText, r.HighToMediumText, r.MediumToNormalText)
		default:
			t.add(string(r.Name), r.State, "-", "-", "-", "-")
		}
	}
	t.print(a.out)
	fmt.Fprintln(a.out)
}
