package event

import (
	"context"
	"log/slog"
	"slices"

	"postern/internal/eventid"
)

// handler is a slog.Handler: attributes and groups of a logger in front of a
// Log.
type handler struct {
	log *Log
	// area is whose level holds.
	area int
	// with has the attributes of the logger, as an event without text.
	with  Event
	group string
}

// Enabled reports whether an event of that level is wanted. It is all that an
// event costs that is not.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return h.log.levels.enabled(h.area, l)
}

// Handle takes an event. It does not wait for any sink, and gives no error.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	e := h.with
	e.Attributes = slices.Grow(slices.Clip(e.Attributes), min(r.NumAttrs(), maxAttributes))
	e.Time, e.Level, e.Text = r.Time, r.Level, cut(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		e.add(h.group, a)
		return true
	})
	h.log.take(&e)
	return nil
}

// WithAttrs makes the handler of a logger with attributes. The one named
// eventid.AreaKey is the area, whose level holds from there on.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.with.Attributes = slices.Clip(n.with.Attributes)
	for _, a := range attrs {
		n.with.add(n.group, a)
	}
	n.area = areaIndex(n.with.Area)
	return &n
}

// WithGroup makes the handler of a logger whose attributes stand in a group.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	n := *h
	n.group += name + "."
	return &n
}

// areaIndex is the place of an area among eventid.Areas; what has none is the
// server's.
func areaIndex(a eventid.Area) int {
	return max(slices.Index(eventid.Areas(), a), 0)
}
