package backpressure

import (
	"log/slog"
	"strings"
	"time"

	"postern/internal/eventid"
)

// highInterval is how often the event log is told that the pressure is still
// high.
const highInterval = 5 * time.Minute

// event is a line for the event log.
type event struct {
	level slog.Level
	text  string
	attrs []any
}

// events are what a round has to tell. Called with mu held.
func (m *Monitor) events(now time.Time, changes []change, nonsense []*resource) []event {
	var out []event
	for _, r := range nonsense {
		t := r.kind.thresholds(r.set, r.reading.Limit)
		out = append(out, event{slog.LevelError, "the thresholds of [back_pressure." + string(r.name) + "] don't fit the resource; the defaults hold instead. Change them and reload",
			[]any{eventid.PressureNonsense.Attr(), "resource", string(r.name), "value", r.value(r.reading), "of", r.reading.Of, "written", r.all(t, r.reading.Limit)}})
	}
	overall := m.published.Load().level
	for _, c := range changes {
		r := c.resource
		e := event{slog.LevelInfo, "resource pressure decreased from " + c.from.String() + " to " + c.to.String(), []any{eventid.PressureDown.Attr()}}
		if c.to > c.from {
			e = event{slog.LevelError, "resource pressure increased from " + c.from.String() + " to " + c.to.String(), []any{eventid.PressureUp.Attr()}}
		}
		e.attrs = append(e.attrs, "resource", string(r.name), "value", c.figures, "of", r.reading.Of)
		out = append(out, m.complete(e))
		if special, ok := m.special(c); ok {
			out = append(out, special)
		}
	}
	if overall < High {
		m.highSaid = time.Time{}
		return out
	}
	if m.highSaid.IsZero() {
		m.highSaid, m.highCount = now, m.refused.Load()
	} else if now.Sub(m.highSaid) >= highInterval {
		n := m.refused.Load()
		out = append(out, m.complete(event{slog.LevelWarn, "resource pressure is still high: all mail is refused",
			[]any{eventid.PressureHigh.Attr(), "refused_meanwhile", n - m.highCount}}))
		m.highSaid, m.highCount = now, n
	}
	return out
}

// special is the event of its own that disk and memory have.
func (m *Monitor) special(c change) (event, bool) {
	if c.to < c.from {
		return event{}, false
	}
	id, text := eventid.ID(0), ""
	switch c.resource.name {
	case Disk, LogDisk, Inodes:
		id, text = eventid.PressureDisk, "mail is refused: too little is free on the volume; make room there, or move the spool to another volume"
	case Memory:
		id, text = eventid.PressureMemory, "mail is refused: the process uses too much memory"
	default:
		return event{}, false
	}
	who := "outsiders"
	if c.to == High {
		who = "everybody"
	}
	return event{slog.LevelError, text, []any{id.Attr(), "resource", string(c.resource.name), "value", c.figures, "of", c.resource.reading.Of, "refused", who}}, true
}

// complete adds what every event of pressure has: the overall level, what is
// switched off, and the value and thresholds of every resource.
func (m *Monitor) complete(e event) event {
	var short, normal []string
	for _, r := range m.resources {
		if r.off || r.err != nil {
			continue
		}
		s := string(r.name) + " = " + r.value(r.reading)
		if l := r.machine.level; l > Normal {
			short = append(short, s+" ["+l.String()+"] "+r.all(r.thresholds, r.reading.Limit))
		} else {
			normal = append(normal, s+" "+r.all(r.thresholds, r.reading.Limit))
		}
	}
	p := m.published.Load()
	e.attrs = append(e.attrs, "pressure", p.level.String(), "switched_off", orNone(m.switchedOff(p)), "under_pressure", orNone(short), "normal", orNone(normal))
	return e
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, "; ")
}

// switchedOff lists what does not work as usual.
func (m *Monitor) switchedOff(p *published) []string {
	var off []string
	switch {
	case p.level == Normal:
		return nil
	case p.all != nil:
		off = append(off, "all mail is refused at MAIL")
	case p.outsiders != nil:
		off = append(off, "mail from outsiders is refused at MAIL")
	case p.slow != nil:
		off = append(off, "mail from outsiders is delayed at MAIL by "+p.delay.String())
	}
	off = append(off, "Pickup and Replay wait")
	if m.relief > Normal {
		off = append(off, "fewer deliveries run at a time")
	}
	return off
}
