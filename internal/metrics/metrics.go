// Package metrics knows the counters, gauges and histograms of the gateway, and
// the text format in which monitoring systems read them. It serves every package
// that has something to count and everyone who reads the counts. A Registry is
// made by the composition root and handed in; there is no global one.
package metrics

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Counter is a number that only grows. The zero value works; a nil Counter
// counts nothing. All methods may be called concurrently.
type Counter struct{ n atomic.Int64 }

// Inc adds one.
func (c *Counter) Inc() { c.Add(1) }

// Add adds n. A negative n is passed over: a counter only grows.
func (c *Counter) Add(n int64) {
	if c != nil && n > 0 {
		c.n.Add(n)
	}
}

// Value returns the count.
func (c *Counter) Value() int64 {
	if c == nil {
		return 0
	}
	return c.n.Load()
}

// Gauge is a number that goes up and down. The zero value works; a nil Gauge
// holds nothing. All methods may be called concurrently.
type Gauge struct{ n atomic.Int64 }

// Set makes the gauge n.
func (g *Gauge) Set(n int64) {
	if g != nil {
		g.n.Store(n)
	}
}

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) {
	if g != nil {
		g.n.Add(n)
	}
}

// Value returns the gauge's number.
func (g *Gauge) Value() int64 {
	if g == nil {
		return 0
	}
	return g.n.Load()
}

// Label tells the series of one name apart, as connector="From Internet".
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Kind says what a series is.
type Kind uint8

// The kinds of series.
const (
	KindCounter Kind = iota
	KindGauge
	KindHistogram
)

// String returns "counter", "gauge" or "histogram".
func (k Kind) String() string {
	switch k {
	case KindGauge:
		return "gauge"
	case KindHistogram:
		return "histogram"
	}
	return "counter"
}

// MarshalText makes Kind its name in JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MaxSeries is how many label sets one name may have. Those that come later
// share one series, all of whose label values are Overflow.
const MaxSeries = 1000

// Overflow is the label value of the series that holds what is beyond
// MaxSeries.
const Overflow = "other"

// Rejected is the name of the counter of requests that contradicted an earlier
// one: the same name as another kind, or with other label names. It stands in
// a Snapshot only when there were some.
const Rejected = "metrics_rejected"

// Registry gives out counters, gauges and histograms by name and labels, and
// lists them. The zero value works. A nil Registry gives out such that work
// and that nobody sees, so that a part can be used without one. All methods may
// be called concurrently.
type Registry struct {
	mu       sync.Mutex
	families map[string]*family
	rejected Counter
}

// family holds the series of one name.
type family struct {
	kind   Kind
	labels []string        // the names, in the order of the first request
	bounds []time.Duration // of a histogram
	series map[string]*series
}

type series struct {
	labels    []Label
	counter   Counter
	gauge     Gauge
	histogram *Histogram // nil in what is none
}

// Counter returns the counter of that name and those labels: the same one each
// time. It is meant to be asked for once and kept, not once an event. Label
// names and their order are fixed by the first request for the name; what
// contradicts it gets a counter that nobody sees, and is counted under Rejected.
func (r *Registry) Counter(name string, labels ...Label) *Counter {
	return &r.get(KindCounter, name, nil, labels).counter
}

// Gauge returns the gauge of that name and those labels, as Counter does.
func (r *Registry) Gauge(name string, labels ...Label) *Gauge {
	return &r.get(KindGauge, name, nil, labels).gauge
}

// Histogram returns the histogram of that name and those labels, as Counter
// does. The bounds of the first request for the name hold.
func (r *Registry) Histogram(name string, bounds []time.Duration, labels ...Label) *Histogram {
	return r.get(KindHistogram, name, bounds, labels).histogram
}

// unseen is a series of nobody's.
func unseen(kind Kind, bounds []time.Duration) *series {
	s := new(series)
	if kind == KindHistogram {
		s.histogram = newHistogram(bounds)
	}
	return s
}

func (r *Registry) get(kind Kind, name string, bounds []time.Duration, labels []Label) *series {
	if r == nil {
		return unseen(kind, bounds)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.families[name]
	if f == nil {
		if r.families == nil {
			r.families = make(map[string]*family)
		}
		f = &family{kind: kind, bounds: slices.Clone(bounds), series: make(map[string]*series)}
		for _, l := range labels {
			f.labels = append(f.labels, l.Name)
		}
		r.families[name] = f
	}
	if f.kind != kind || !slices.EqualFunc(f.labels, labels, func(n string, l Label) bool { return n == l.Name }) {
		r.rejected.Inc()
		return unseen(kind, bounds)
	}
	return f.get(labels)
}

func (f *family) get(labels []Label) *series {
	key := seriesKey(labels)
	if s := f.series[key]; s != nil {
		return s
	}
	if len(f.series) >= MaxSeries {
		labels = slices.Clone(labels)
		for i := range labels {
			labels[i].Value = Overflow
		}
		key = seriesKey(labels)
		if s := f.series[key]; s != nil {
			return s
		}
	}
	s := unseen(f.kind, f.bounds)
	s.labels = slices.Clone(labels)
	f.series[key] = s
	return s
}

// seriesKey joins label values so that no two sets give the same key.
func seriesKey(labels []Label) string {
	var b strings.Builder
	for _, l := range labels {
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(l.Value, `\`, `\\`), ",", `\,`))
		b.WriteByte(',')
	}
	return b.String()
}

// Forget takes a series out that is no more. Whoever still has its counter or
// gauge counts for nobody.
func (r *Registry) Forget(name string, labels ...Label) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.families[name]; f != nil {
		delete(f.series, seriesKey(labels))
	}
}

// Sample is one series at one moment.
type Sample struct {
	Name   string
	Kind   Kind
	Labels []Label
	Value  int64
	// Distribution is that of a histogram.
	Distribution *Distribution
}

// Snapshot returns all series, sorted by name and then by label values. Each
// value is read by itself: a snapshot is not one instant for all of them.
func (r *Registry) Snapshot() []Sample {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	var out []Sample
	for name, f := range r.families {
		for _, s := range f.series {
			sample := Sample{Name: name, Kind: f.kind, Labels: slices.Clone(s.labels), Value: s.counter.Value()}
			switch f.kind {
			case KindGauge:
				sample.Value = s.gauge.Value()
			case KindHistogram:
				d := s.histogram.Value()
				sample.Distribution = &d
			}
			out = append(out, sample)
		}
	}
	r.mu.Unlock()
	if n := r.rejected.Value(); n > 0 {
		out = append(out, Sample{Name: Rejected, Kind: KindCounter, Value: n})
	}
	slices.SortFunc(out, func(a, b Sample) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return slices.CompareFunc(a.Labels, b.Labels, func(x, y Label) int { return cmp.Compare(x.Value, y.Value) })
	})
	return out
}
