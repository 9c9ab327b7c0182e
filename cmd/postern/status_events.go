package main

import (
	"fmt"
	"strconv"
	"time"

	"postern/internal/control"
)

// maxStatusEvents is how many events the status shows on a screen; its JSON has
// all that the gateway keeps.
const maxStatusEvents = 5

// statusEvents shows the latest warnings and errors of the event log.
func (a *app) statusEvents(st *control.Status, s style, now time.Time) {
	fmt.Fprintln(a.out, s.bold("Latest warnings and errors"))
	for _, e := range st.Events[:min(len(st.Events), maxStatusEvents)] {
		level := s.yellow(e.Level)
		if e.Level == "error" {
			level = s.red(e.Level)
		}
		text := clean(e.Text)
		if e.ID != 0 {
			text += " (" + strconv.Itoa(e.ID) + ")"
		}
		if e.Repeated > 0 {
			text += fmt.Sprintf(", %d times", e.Repeated)
		}
		fmt.Fprintf(a.out, "  %s, %s ago\n", level, since(e.Time, now))
		a.printField("      ", text)
	}
	if more := len(st.Events) - maxStatusEvents; more > 0 {
		a.printField("  ", fmt.Sprintf("and %d more; docs/reference/events.md has what to do", more))
	}
}
