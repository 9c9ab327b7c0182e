package eventid

import (
	"fmt"
	"strings"
	"time"
)

// Reference is the description of every event, as Markdown: the text of
// docs/reference/events.md.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(referenceHead)
	last := Area("")
	for _, area := range Areas() {
		for _, e := range All() {
			if e.Area != area {
				continue
			}
			if area != last {
				fmt.Fprintf(&b, "\n## `%s`\n\n| Id | Level | Text | What it means | What to do | Summed up |\n|---|---|---|---|---|---|\n", area)
				last = area
			}
			fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", e.ID, strings.ToLower(e.Level.String()), cell(e.Text), cell(e.Meaning), cell(e.Remedy), e.limits())
		}
	}
	return []byte(b.String())
}

const referenceHead = `# Reference: events

Made from the program (` + "`go generate ./internal/eventid`" + `). How events are written, and where to: [The event log](../event-log.md).

Numbers below 20000 are Exchange's, and mean what they mean there; 20000 to 29999 are Postern's own. In a text, … stands for what differs from one time to
the next. An event that has "debug" for its level is shown only at that level. The last column says how many events of a case are shown at once and how often the rest is summed
up; what tells cases apart stands behind it.
`

// limits says how an event is summed up.
func (e Event) limits() string {
	burst, every := e.Limits()
	if burst < 0 {
		return "never"
	}
	s := fmt.Sprintf("%d, then once in %s", burst, span(every))
	if len(e.By) > 0 {
		s += ", by " + strings.Join(e.By, ", ")
	}
	return s
}

// cell makes text fit a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func span(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
