package metrics

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Family is all series of one name as monitoring systems see them: with the
// prefix of the gateway, in base units.
type Family struct {
	Name   string   `json:"name"`
	Kind   Kind     `json:"kind"`
	Help   string   `json:"help"`
	Series []Series `json:"series"`
}

// Series is one of a Family: a value, or for a histogram its distribution.
type Series struct {
	Labels       []Label       `json:"labels,omitempty"`
	Value        float64       `json:"value"`
	Distribution *Distribution `json:"distribution,omitempty"`
}

// Exposition collects families. The zero value works. It is not safe for
// concurrent use.
type Exposition struct {
	families map[string]*Family
}

// Add adds one series. The name is the whole one. A series that contradicts an
// earlier one of its name in kind is left out.
func (e *Exposition) Add(kind Kind, name, help string, value float64, labels ...Label) {
	e.add(kind, name, help, Series{Labels: labels, Value: value})
}

func (e *Exposition) add(kind Kind, name, help string, s Series) {
	if e.families == nil {
		e.families = make(map[string]*Family)
	}
	f := e.families[name]
	if f == nil {
		f = &Family{Name: name, Kind: kind, Help: help}
		e.families[name] = f
	}
	if f.Kind == kind {
		f.Series = append(f.Series, s)
	}
}

// The units that names in a Registry end in, and what monitoring systems want
// of them.
const (
	octets      = "octets"
	nanoseconds = "_nanoseconds"
)

// AddRegistry adds all series of a registry. Their names get the prefix
// "postern_" and, where they are counters, "_total" at the end; octets are
// called bytes, and nanoseconds are turned into seconds. Help is asked for the
// text of a name as it is in the registry, and whether it is shown at all.
func (e *Exposition) AddRegistry(r *Registry, help func(name string) (text string, shown bool)) {
	for _, s := range r.Snapshot() {
		text, shown := help(s.Name)
		if !shown {
			continue
		}
		name, in := strings.CutSuffix(s.Name, nanoseconds)
		series := Series{Labels: s.Labels, Value: float64(s.Value), Distribution: s.Distribution}
		if in {
			name += "_seconds"
			series.Value /= 1e9
		}
		name = "postern_" + strings.ReplaceAll(name, octets, "bytes")
		if s.Kind == KindCounter {
			name += "_total"
		}
		e.add(s.Kind, name, text, series)
	}
}

// Families returns what was added, sorted by name. Series stand in the order
// in which they were added.
func (e *Exposition) Families() []Family {
	out := make([]Family, 0, len(e.families))
	for _, f := range e.families {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// ContentType is that of what Write writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Write writes families in the text format of Prometheus, version 0.0.4.
func Write(w io.Writer, families []Family) error {
	var b bytes.Buffer
	for i := range families {
		families[i].write(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (f *Family) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", f.Name, escape(f.Help, false), f.Name, f.Kind)
	for i := range f.Series {
		s := &f.Series[i]
		if f.Kind != KindHistogram {
			line(b, f.Name, s.Labels, s.Value)
			continue
		}
		if s.Distribution == nil {
			continue
		}
		for _, bucket := range s.Distribution.Buckets {
			le := Label{"le", string(appendNumber(nil, float64(bucket.UpTo)))}
			line(b, f.Name+"_bucket", append(slices.Clip(s.Labels), le), float64(bucket.Count))
		}
		line(b, f.Name+"_sum", s.Labels, s.Distribution.Sum)
		line(b, f.Name+"_count", s.Labels, float64(s.Distribution.Count))
	}
}

// line writes one sample.
func line(b *bytes.Buffer, name string, labels []Label, value float64) {
	b.WriteString(name)
	for i, l := range labels {
		if i == 0 {
			b.WriteByte('{')
		} else {
			b.WriteByte(',')
		}
		b.WriteString(l.Name + `="` + escape(l.Value, true) + `"`)
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	b.Write(appendNumber(b.AvailableBuffer(), value))
	b.WriteByte('\n')
}

// escape makes a text stay within its line, and a label's value within its
// quotes. What is no UTF-8 would cost the whole page.
func escape(text string, quoted bool) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.ReplaceAll(text, `\`, `\\`)
	text = strings.ReplaceAll(text, "\n", `\n`)
	if quoted {
		text = strings.ReplaceAll(text, `"`, `\"`)
	}
	return text
}

// appendNumber appends a value: whole numbers as such, as far as they are exact.
func appendNumber(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.AppendFloat(b, v, 'f', 0, 64)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
