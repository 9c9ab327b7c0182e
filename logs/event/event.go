package event

import (
	"encoding"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/eventid"
	"postern/logs"
)

const (
	// maxAttributes bounds the attributes of an event; those beyond are left
	// out.
	maxAttributes = 64
	// maxValue bounds the value of an attribute and the text, in octets.
	maxValue = 8 << 10
)

// Names of the attributes of a summary.
const (
	repeatedKey   = "repeated"
	repeatedInKey = "repeated_in"
)

// Event is one event as it is written. It is not changed any more once it is.
type Event struct {
	Time  time.Time
	Level slog.Level
	// ID is zero for an event without number.
	ID   eventid.ID
	Area eventid.Area
	Text string
	// Attributes are those of the call and of its logger, values as text and
	// not escaped.
	Attributes logs.Pairs
	// Repeated is how many events within RepeatedIn this one stands for, zero
	// for one that stands for itself. The attributes are then those of the
	// latest.
	Repeated   int
	RepeatedIn time.Duration
}

// attributes are those of the event with what a summary adds.
func (e *Event) attributes() logs.Pairs {
	if e.Repeated == 0 {
		return e.Attributes
	}
	return append(slices.Clip(e.Attributes), logs.Pair{Key: repeatedKey, Value: strconv.Itoa(e.Repeated)}, logs.Pair{Key: repeatedInKey, Value: e.RepeatedIn.String()})
}

// line is the event as a line of the event log in files.
func (e *Event) line() logs.EventLine {
	return logs.EventLine{Time: e.Time.UTC().Truncate(time.Millisecond), Level: LevelName(e.Level), ID: int(e.ID), Area: string(e.Area), Text: e.Text, Attributes: e.attributes()}
}

// LevelName is "debug", "info", "warn" or "error"; the levels between count as
// the one below.
func LevelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

// ParseLevel reads the name of a level.
func ParseLevel(name string) (slog.Level, bool) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(name, LevelName(l)) {
			return l, true
		}
	}
	return 0, false
}

// add adds an attribute as text, groups with their names before it.
func (e *Event) add(group string, a slog.Attr) {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, a := range a.Value.Group() {
			e.add(group, a)
		}
		return
	}
	switch {
	case group == "" && a.Key == eventid.Key && a.Value.Kind() == slog.KindInt64:
		e.ID = eventid.ID(a.Value.Int64())
	case group == "" && a.Key == eventid.AreaKey && a.Value.Kind() == slog.KindString:
		e.Area = eventid.Area(a.Value.String())
	case len(e.Attributes) < maxAttributes:
		e.Attributes = append(e.Attributes, logs.Pair{Key: group + a.Key, Value: cut(valueText(a.Value))})
	}
}

// valueText is a value as text.
func valueText(v slog.Value) string {
	switch v.Kind() {
	case slog.KindString:
		return v.String()
	case slog.KindTime:
		return v.Time().UTC().Format("2006-01-02T15:04:05.000Z")
	case slog.KindAny:
		switch x := v.Any().(type) {
		case nil:
			return ""
		case error:
			return errorText(x)
		case []string:
			return strings.Join(x, ", ")
		case encoding.TextMarshaler:
			if b, err := marshal(x); err == nil {
				return string(b)
			}
		}
		return fmt.Sprintf("%+v", v.Any())
	}
	return v.String()
}

// errorText is the text of an error, which may be a nil pointer in an
// interface: fmt says so rather than to panic.
func errorText(err error) string { return fmt.Sprintf("%v", err) }

// marshal survives a marshaller that panics.
func marshal(m encoding.TextMarshaler) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return m.MarshalText()
}

func cut(s string) string {
	if len(s) <= maxValue {
		return strings.Clone(s) // the caller's may hold on to something large
	}
	return s[:maxValue] + "[+" + strconv.Itoa(len(s)-maxValue) + " octets]"
}
