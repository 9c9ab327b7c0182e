package main

import (
	"testing"
	"time"

	"postern/internal/control"
)

func TestStatusEvents(t *testing.T) {
	st := &control.Status{Events: []control.Event{
		{Time: noon().Add(-90 * time.Second), Level: "error", ID: 23002, Text: "spool: damage\x1b[2J"},
		{Time: noon().Add(-2 * time.Hour), Level: "warn", ID: 22000, Text: "message deferred", Repeated: 1234, RepeatedIn: 60},
	}}
	golden(t, func(a *app) { a.statusEvents(st, styleFor(a.out), noon()) }, `
Latest warnings and errors
  error, 1m30s ago
      spool: damage?[2J (23002)
  warn, 2h00m ago
      message deferred (22000), 1234 times
`)
	for range 5 {
		st.Events = append(st.Events, control.Event{Time: noon(), Level: "warn", Text: "x"})
	}
	golden(t, func(a *app) { a.statusEvents(st, styleFor(a.out), noon()) }, `
Latest warnings and errors
  error, 1m30s ago
      spool: damage?[2J (23002)
  warn, 2h00m ago
      message deferred (22000), 1234 times
  warn, 0s ago
      x
  warn, 0s ago
      x
  warn, 0s ago
      x
  and 2 more; docs/reference/events.md has what to do
`)
}
