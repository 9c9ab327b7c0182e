package backpressure

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// value says a reading: "912MB free of 63GB", "12000 messages", "1.2ms".
func (k *kind) value(r Reading) string {
	s := k.threshold(r.Used, r.Limit)
	if k.unit == nanoseconds {
		return s
	}
	if k.noun != "" {
		s = withNoun(s, k.noun, k.free)
	}
	if r.Limit > 0 {
		s += " of " + k.amount(r.Limit)
	}
	return s
}

func withNoun(s, noun string, free bool) string {
	if free {
		return s[:len(s)-len(" free")] + " " + noun + " free"
	}
	return s + " " + noun
}

// threshold says a value in the words of the configuration.
func (k *kind) threshold(v, limit int64) string {
	if k.free {
		return k.amount(max(limit-v, 0)) + " free"
	}
	return k.amount(v)
}

func (k *kind) amount(n int64) string {
	switch k.unit {
	case octets:
		return Size(n)
	case nanoseconds:
		return latency(time.Duration(n))
	}
	return strconv.FormatInt(n, 10)
}

// latency writes a short time with three digits or less.
func latency(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// Size writes a size in octets for people, with three digits or so: "1.1GB".
func Size(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	v, u := float64(n), 0
	for v >= 1000 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	switch {
	case u > 0 && v < 10:
		v = math.Round(v*100) / 100
	case u > 0 && v < 100:
		v = math.Round(v*10) / 10
	default:
		v = math.Round(v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + units[u]
}

// all says the four thresholds, as the event log shows them.
func (k *kind) all(t Thresholds, limit int64) string {
	return fmt.Sprintf("[normal=%s medium=%s high=%s; from high to medium=%s]",
		k.threshold(t.MediumToNormal, limit), k.threshold(t.Medium, limit), k.threshold(t.High, limit), k.threshold(t.HighToMedium, limit))
}
