package event

import (
	"time"

	"log/slog"

	"postern/internal/eventid"
)

// othersText is the case of those that are not told apart any more.
const othersText = "many"

// limiter sums events up that repeat. It knows no lock: Log holds one.
type limiter struct {
	table map[eventid.ID]eventid.Event
	cases map[caseKey]*spell
	count map[countKey]int // cases of each event
}

// countKey is an event: its number, and its text when it has none.
type countKey struct {
	id   eventid.ID
	text string
}

// caseKey is a case of an event.
type caseKey struct {
	event countKey
	by    string
}

// spell is how often a case has been seen since began.
type spell struct {
	began time.Time
	every time.Duration
	// shown are those that were written at once, more those that were not;
	// latest is the last of them.
	shown, more int
	latest      Event
}

func newLimiter() *limiter {
	l := &limiter{table: make(map[eventid.ID]eventid.Event), cases: make(map[caseKey]*spell), count: make(map[countKey]int)}
	for _, e := range eventid.All() {
		l.table[e.ID] = e
	}
	return l
}

// take counts an event and reports whether it is to be written now, and whether
// a spell has begun, whose end due has to be asked for.
func (l *limiter) take(e *Event, now time.Time) (show, began bool) {
	if e.Level < slog.LevelInfo {
		return true, false
	}
	known := l.table[e.ID]
	burst, every := known.Limits()
	if burst < 0 {
		return true, false
	}
	key := caseKey{event: countKey{id: e.ID}}
	if e.ID == 0 {
		key.event.text = e.Text
	}
	for _, name := range known.By {
		key.by += e.Attributes.Get(name) + "\x00"
	}
	s := l.cases[key]
	if s == nil && l.count[key.event] >= known.MaxCases() {
		key.by = othersText
		s = l.cases[key]
	}
	if s == nil {
		s, began = &spell{began: now, every: every}, true
		l.cases[key] = s
		l.count[key.event]++
	}
	if s.shown < burst && key.by != othersText {
		s.shown++
		return true, began
	}
	s.more++
	s.latest = *e
	return false, began
}

// due returns what is to be written now, and when to ask again; zero: not
// before there is another event. With all set it returns everything that waits.
func (l *limiter) due(now time.Time, all bool) (events []*Event, next time.Time) {
	for key, s := range l.cases {
		end := s.began.Add(s.every)
		if now.Before(end) && !all {
			if next.IsZero() || end.Before(next) {
				next = end
			}
			continue
		}
		if s.more == 0 {
			delete(l.cases, key)
			if l.count[key.event]--; l.count[key.event] <= 0 {
				delete(l.count, key.event)
			}
			continue
		}
		e := s.latest
		if s.more > 1 || key.by == othersText {
			e.Repeated, e.RepeatedIn = s.more, max(now.Sub(s.began), 0).Truncate(time.Second)
		}
		events = append(events, &e)
		// It goes on: the next spell shows none at once.
		s.began, s.more, s.latest = now, 0, Event{}
		if end = now.Add(s.every); next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return events, next
}
