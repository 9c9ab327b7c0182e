package event

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/eventid"
)

// AreaLevel is the level of an area.
type AreaLevel struct {
	Area eventid.Area
	// Level is the one in force, Configured the one that the configuration
	// gives.
	Level, Configured slog.Level
	// Ordered says that an order is in force, until Until, which is zero when it
	// holds until the gateway ends.
	Ordered bool
	Until   time.Time
}

// levels are the levels of all areas: those configured and, above them, those
// ordered for a time.
type levels struct {
	// force are the levels in force; what is below is for those who change them.
	force []atomic.Int64

	mu    sync.Mutex
	areas []AreaLevel
}

func newLevels(c config.EventLog) *levels {
	l := &levels{force: make([]atomic.Int64, len(eventid.Areas()))}
	for _, a := range eventid.Areas() {
		l.areas = append(l.areas, AreaLevel{Area: a})
	}
	l.configure(c)
	return l
}

func (l *levels) enabled(area int, level slog.Level) bool {
	return int64(level) >= l.force[area].Load()
}

// configure takes the levels of a configuration. What is ordered stays.
func (l *levels) configure(c config.EventLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.areas {
		name, own := c.Levels[string(l.areas[i].Area)]
		if !own {
			name = c.Level
		}
		level, _ := ParseLevel(name) // info, where nothing is said
		l.areas[i].Configured = level
	}
	l.enforce()
}

// order puts levels in force until a time; zero: until the end.
func (l *levels) order(wanted map[eventid.Area]slog.Level, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.areas {
		if level, ok := wanted[l.areas[i].Area]; ok {
			l.areas[i].Level, l.areas[i].Ordered, l.areas[i].Until = level, true, until
		}
	}
	l.enforce()
}

// reset ends the orders about areas.
func (l *levels) reset(areas []eventid.Area) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.areas {
		if slices.Contains(areas, l.areas[i].Area) {
			l.areas[i].Ordered = false
		}
	}
	l.enforce()
}

// expire ends the orders whose time is over, and returns their areas.
func (l *levels) expire(now time.Time) (over []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.areas {
		a := &l.areas[i]
		if a.Ordered && !a.Until.IsZero() && !now.Before(a.Until) {
			a.Ordered = false
			over = append(over, string(a.Area))
		}
	}
	l.enforce()
	return over
}

// next is when the next order is over; zero: none will be.
func (l *levels) next() (at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.areas {
		if a.Ordered && !a.Until.IsZero() && (at.IsZero() || a.Until.Before(at)) {
			at = a.Until
		}
	}
	return at
}

func (l *levels) list() []AreaLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.areas)
}

// enforce is called with mu held.
func (l *levels) enforce() {
	for i := range l.areas {
		a := &l.areas[i]
		if !a.Ordered {
			a.Level, a.Until = a.Configured, time.Time{}
		}
		l.force[i].Store(int64(a.Level))
	}
}
