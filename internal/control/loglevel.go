package control

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/logs/event"
)

// Events is what can be asked of the event log, which event.Log is.
type Events interface {
	Levels() []event.AreaLevel
	Order(levels map[eventid.Area]slog.Level, d time.Duration)
	ResetLevels(areas ...eventid.Area)
	Trouble() []*event.Event
}

const (
	// DefaultLogLevelFor is how long an order about levels holds that says
	// nothing else, MaxLogLevelFor how long it may hold unless it is unlimited.
	DefaultLogLevelFor = time.Hour
	MaxLogLevelFor     = 7 * 24 * time.Hour
)

// AllAreas stands for every area in an order.
const AllAreas = "all"

// LogLevels are the levels of the event log.
type LogLevels struct {
	Areas []LogLevel `json:"areas"`
}

// LogLevel is the level of one area: "debug", "info", "warn" or "error".
type LogLevel struct {
	Area string `json:"area"`
	// Level is in force, Configured is what the configuration says.
	Level      string `json:"level"`
	Configured string `json:"configured"`
	// Ordered says that an order is in force, until Until, or until the gateway
	// ends.
	Ordered bool      `json:"ordered"`
	Until   time.Time `json:"until,omitzero"`
}

// LogLevelOrder changes levels of the event log for a time.
type LogLevelOrder struct {
	// Levels has the areas with the levels they get; AllAreas is every area that
	// is not named.
	Levels map[string]string `json:"levels,omitempty"`
	// For is how long they hold, in seconds; zero means DefaultLogLevelFor.
	For int64 `json:"for,omitempty"`
	// Unlimited lets them hold until the gateway ends.
	Unlimited bool `json:"unlimited,omitempty"`
	// Reset has the areas that get the level of the configuration back, before
	// Levels is done.
	Reset []string `json:"reset,omitempty"`
}

// LogLevels asks for the levels of the event log.
func (c *Client) LogLevels(ctx context.Context) (*LogLevels, error) {
	return ask[LogLevels](ctx, c, http.MethodGet, "/v1/log-levels", nil, nil)
}

// OrderLogLevels changes levels of the event log, and returns those then in
// force.
func (c *Client) OrderLogLevels(ctx context.Context, o LogLevelOrder) (*LogLevels, error) {
	return ask[LogLevels](ctx, c, http.MethodPost, "/v1/log-levels", nil, o)
}

type logLevelHandler struct {
	events Events
	logger *slog.Logger
}

func (h logLevelHandler) list(r *http.Request) (any, error) {
	if err := newQuery(r).close(); err != nil {
		return nil, err
	}
	if h.events == nil {
		return nil, errNoEvents
	}
	return describeLevels(h.events.Levels()), nil
}

var errNoEvents = &requestError{http.StatusNotFound, "this gateway has no event log whose levels could be changed"}

func (h logLevelHandler) order(r *http.Request) (any, error) {
	var o LogLevelOrder
	if err := readJSON(r, &o); err != nil {
		return nil, err
	}
	if h.events == nil {
		return nil, errNoEvents
	}
	reset, err := areasOf(o.Reset)
	if err != nil {
		return nil, err
	}
	levels, err := levelsOf(o.Levels)
	if err != nil {
		return nil, err
	}
	d, err := o.duration()
	if err != nil {
		return nil, err
	}
	h.tell(r, reset, levels, d) // before the order can silence it
	if len(reset) > 0 {
		h.events.ResetLevels(reset...)
	}
	if len(levels) > 0 {
		h.events.Order(levels, d)
	}
	return describeLevels(h.events.Levels()), nil
}

// tell writes the order to the event log.
func (h logLevelHandler) tell(r *http.Request, reset []eventid.Area, levels map[eventid.Area]slog.Level, d time.Duration) {
	attrs := []any{eventid.LogLevelChanged.Attr(), "by", caller(r)}
	if len(reset) > 0 {
		names := []string{AllAreas}
		if len(reset) < len(eventid.Areas()) {
			names = areaNames(reset)
		}
		attrs = append(attrs, "reset", names)
	}
	if len(levels) > 0 {
		until := "the gateway ends"
		if d > 0 {
			until = time.Now().Add(d).UTC().Format(time.RFC3339)
		}
		attrs = append(attrs, "levels", event.Describe(levels), "until", until)
	}
	h.logger.Info("levels of the event log are changed", attrs...)
}

// duration is how long the levels hold; zero: until the gateway ends.
func (o *LogLevelOrder) duration() (time.Duration, error) {
	switch {
	case len(o.Levels)+len(o.Reset) == 0:
		return 0, badRequest("the order names no area; give levels, reset or both")
	case o.For < 0 || o.For > int64(MaxLogLevelFor/time.Second):
		return 0, badRequest("for: %d: want seconds from 1 to %d, or unlimited", o.For, int64(MaxLogLevelFor/time.Second))
	case o.Unlimited && o.For != 0:
		return 0, badRequest("for and unlimited contradict each other; give one of them")
	case o.Unlimited:
		return 0, nil
	case o.For == 0:
		return DefaultLogLevelFor, nil
	}
	return time.Duration(o.For) * time.Second, nil
}

func areasOf(names []string) (areas []eventid.Area, err error) {
	for _, name := range names {
		switch a := eventid.Area(name); {
		case name == AllAreas:
			areas = eventid.Areas()
		case !slices.Contains(eventid.Areas(), a):
			return nil, noArea(name)
		case !slices.Contains(areas, a):
			areas = append(areas, a)
		}
	}
	return areas, nil
}

func levelsOf(names map[string]string) (map[eventid.Area]slog.Level, error) {
	levels := make(map[eventid.Area]slog.Level)
	for name, level := range names {
		l, ok := event.ParseLevel(level)
		if !ok {
			return nil, badRequest("%q is no level of the event log; debug, info, warn and error are", level)
		}
		if name == AllAreas {
			for _, a := range eventid.Areas() {
				if _, own := names[string(a)]; !own {
					levels[a] = l
				}
			}
			continue
		}
		if !slices.Contains(eventid.Areas(), eventid.Area(name)) {
			return nil, noArea(name)
		}
		levels[eventid.Area(name)] = l
	}
	return levels, nil
}

func noArea(name string) error {
	names := areaNames(eventid.Areas())
	return badRequest("%q is no area of the event log; the areas are %s, and %s for every one", name, strings.Join(names, ", "), AllAreas)
}

func areaNames(areas []eventid.Area) []string {
	names := make([]string, len(areas))
	for i, a := range areas {
		names[i] = string(a)
	}
	return names
}

func describeLevels(list []event.AreaLevel) LogLevels {
	l := LogLevels{Areas: make([]LogLevel, len(list))}
	for i, a := range list {
		l.Areas[i] = LogLevel{Area: string(a.Area), Level: event.LevelName(a.Level), Configured: event.LevelName(a.Configured), Ordered: a.Ordered}
		if !a.Until.IsZero() {
			l.Areas[i].Until = a.Until.UTC()
		}
	}
	return l
}
