package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Measure says what the number of a Threshold counts.
type Measure uint8

// The measures.
const (
	// MeasureAuto is the default, which may depend on the size of what is
	// measured; package backpressure knows it.
	MeasureAuto Measure = iota
	// MeasureFree is what is left: octets, inodes, segments, descriptors.
	MeasureFree
	// MeasureFreePercent is the part that is left, in percent.
	MeasureFreePercent
	// MeasureUsed is what is in use: octets, messages, nanoseconds.
	MeasureUsed
	// MeasureUsedPercent is the part in use, in percent.
	MeasureUsedPercent
)

// Threshold is a value of a resource at which its level changes.
type Threshold struct {
	Measure Measure
	N       int64
}

// thresholds says how a resource's thresholds are written.
type thresholds struct {
	// parse reads an amount, format writes it. An amount that is a plain number
	// in the file (number) stands without quotes.
	parse  func(string) (int64, error)
	format func(int64) string
	number bool
	// least is the smallest amount that may be left.
	least int64
	// forms are the measures that may be written.
	forms []Measure
	// write ends the sentence "write ...".
	write string
}

// The ways of writing thresholds.
func volumeThresholds() thresholds {
	return thresholds{parse: ParseSize, format: FormatSize, least: 1, forms: []Measure{MeasureFree, MeasureFreePercent, MeasureUsedPercent},
		write: `the free space, "500MB free" or "5% free", the part in use from 1% to 100%, "96%", or "auto"`}
}

func inodeThresholds() thresholds {
	return thresholds{parse: parseCount, format: formatCount, least: 1, forms: []Measure{MeasureFree, MeasureFreePercent, MeasureUsedPercent},
		write: `the free ones, "5000 free" or "5% free", the part in use from 1% to 100%, "96%", or "auto"`}
}

func segmentThresholds() thresholds {
	return thresholds{parse: parseCount, format: formatCount, forms: []Measure{MeasureFree}, write: `the free ones, "1 free", or "auto"`}
}

func memoryThresholds() thresholds {
	return thresholds{parse: ParseSize, format: FormatSize, forms: []Measure{MeasureUsed, MeasureUsedPercent},
		write: `the memory in use, "2GB", its part of the limit from 1% to 100%, "75%", or "auto"`}
}

func messageThresholds() thresholds {
	return thresholds{parse: parseCount, format: formatCount, number: true, forms: []Measure{MeasureUsed}, write: `a number of messages, 15000, or "auto"`}
}

func latencyThresholds() thresholds {
	parse := func(s string) (int64, error) {
		d, err := ParseDuration(s)
		return int64(d), err
	}
	return thresholds{parse: parse, format: func(n int64) string { return FormatDuration(time.Duration(n)) }, forms: []Measure{MeasureUsed},
		write: `a duration, "2s", or "auto"`}
}

func descriptorThresholds() thresholds {
	return thresholds{parse: parseCount, format: formatCount, least: 1, forms: []Measure{MeasureFree, MeasureFreePercent, MeasureUsedPercent},
		write: `the free ones, "200 free" or "10% free", the part in use from 1% to 100%, "90%", or "auto"`}
}

func parseCount(s string) (int64, error) {
	if s == "" || leadingDigits(s) != s {
		return 0, fmt.Errorf("%s is not a number", quote(s))
	}
	return strconv.ParseInt(s, 10, 64)
}

func formatCount(n int64) string { return strconv.FormatInt(n, 10) }

// read reads a threshold as it is written in quotes.
func (w thresholds) read(s string) (Threshold, error) {
	var t Threshold
	amount, free := strings.CutSuffix(s, " free")
	digits, percent := strings.CutSuffix(amount, "%")
	ok := false
	switch {
	case s == "auto":
		return Threshold{}, nil
	case percent:
		t.Measure = MeasureUsedPercent
		if free {
			t.Measure = MeasureFreePercent
		}
		n, err := parseCount(digits)
		t.N, ok = n, err == nil && n >= 1 && n <= 100
	default:
		t.Measure = MeasureUsed
		least := int64(1)
		if free {
			t.Measure, least = MeasureFree, w.least
		}
		n, err := w.parse(amount)
		t.N, ok = n, err == nil && n >= least && (free || !w.number)
	}
	if ok {
		for _, m := range w.forms {
			if m == t.Measure {
				return t, nil
			}
		}
	}
	return Threshold{}, fmt.Errorf("%s is not a threshold here", quote(s))
}

// text writes a threshold as read reads it.
func (w thresholds) text(t Threshold) string {
	switch t.Measure {
	case MeasureFree:
		return w.format(t.N) + " free"
	case MeasureFreePercent:
		return formatCount(t.N) + "% free"
	case MeasureUsed:
		return w.format(t.N)
	case MeasureUsedPercent:
		return formatCount(t.N) + "%"
	}
	return "auto"
}

func threshold(w thresholds) typed[Threshold] {
	return typed[Threshold]{
		name: "threshold",
		parse: func(value any) (Threshold, []fault) {
			switch v := value.(type) {
			case int64:
				if w.number && v > 0 {
					return Threshold{Measure: MeasureUsed, N: v}, nil
				}
				return Threshold{}, []fault{{message: quote(v) + " is not a threshold here", remedy: "write " + w.write}}
			case string:
				t, err := w.read(v)
				if err != nil {
					return Threshold{}, []fault{{message: err.Error(), remedy: "write " + w.write}}
				}
				return t, nil
			}
			return Threshold{}, wrongType(value, w.write)
		},
		json: func(t Threshold) any {
			if w.number && t.Measure == MeasureUsed {
				return t.N
			}
			return w.text(t)
		},
		toml: func(t Threshold) string {
			if w.number && t.Measure == MeasureUsed {
				return formatCount(t.N)
			}
			return strconv.Quote(w.text(t))
		},
	}
}

// worse compares two thresholds of one measure: above zero when a is reached
// later than b, as a resource runs short. It reports false when they can't be
// compared without knowing the resource.
func worse(a, b Threshold) (int, bool) {
	if a.Measure != b.Measure || a.Measure == MeasureAuto {
		return 0, false
	}
	n := 0
	switch {
	case a.N > b.N:
		n = 1
	case a.N < b.N:
		n = -1
	}
	if a.Measure == MeasureFree || a.Measure == MeasureFreePercent {
		n = -n
	}
	return n, true
}
