package metrics

import (
	"encoding/json"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func TestHistogram(t *testing.T) {
	var r Registry
	h := r.Histogram("h_seconds", []time.Duration{time.Second, time.Millisecond, time.Second, 100 * time.Millisecond})
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, time.Millisecond + 1, time.Second, time.Second + 1, time.Hour} {
		h.Observe(d)
	}
	d := h.Value()
	want := []Bucket{{0.001, 3}, {0.1, 4}, {1, 5}, {Bound(math.Inf(1)), 7}}
	if len(d.Buckets) != len(want) || d.Count != 7 || math.Abs(d.Sum-3602.002000002) > 1e-6 {
		t.Fatalf("%+v", d)
	}
	for i, b := range want {
		if d.Buckets[i] != b {
			t.Errorf("bucket %d is %v, want %v", i, d.Buckets[i], b)
		}
	}
	if again := r.Histogram("h_seconds", nil); again != h {
		t.Error("the second request got another histogram")
	}
	if text, err := json.Marshal(d); err != nil || !strings.Contains(string(text), `{"le":"+Inf","count":7}`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestHistogramOfNobody(t *testing.T) {
	var none *Histogram
	none.Observe(time.Second)
	if none.Value().Count != 0 {
		t.Error("nil holds something")
	}
	var zero Histogram
	zero.Observe(time.Second)
	if d := zero.Value(); d.Count != 1 || len(d.Buckets) != 1 {
		t.Errorf("the zero value: %+v", d)
	}
	var r *Registry
	h := r.Histogram("h", []time.Duration{1})
	h.Observe(1)
	if h.Value().Count != 1 {
		t.Error("without a registry it does not count")
	}
	many := make([]time.Duration, 3*MaxBounds)
	for i := range many {
		many[i] = time.Duration(i)
	}
	if d := new(Registry).Histogram("h", many).Value(); len(d.Buckets) != MaxBounds+1 {
		t.Errorf("%d buckets", len(d.Buckets))
	}
	var known Registry
	known.Counter("h").Inc()
	if known.Histogram("h", nil) == nil || known.Snapshot()[0].Value != 1 {
		t.Error("a histogram under the name of a counter is not rejected")
	}
}

func TestHistogramConcurrent(t *testing.T) {
	h := newHistogram([]time.Duration{10, 20})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				h.Observe(time.Duration(i % 30))
				if d := h.Value(); d.Buckets[0].Count > d.Buckets[2].Count {
					t.Error("a bucket holds more than the next")
				}
			}
		})
	}
	wg.Wait()
	if d := h.Value(); d.Count != 8000 {
		t.Errorf("%+v", d)
	}
}

// TestHotPath: to count and to observe takes no memory.
func TestHotPath(t *testing.T) {
	c, h := new(Counter), newHistogram([]time.Duration{time.Millisecond, time.Second})
	if n := testing.AllocsPerRun(100, func() { c.Inc(); h.Observe(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCounter(b *testing.B) {
	c := new(Counter)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Inc()
		}
	})
}

func BenchmarkHistogram(b *testing.B) {
	bounds := make([]time.Duration, 14)
	for i := range bounds {
		bounds[i] = time.Duration(i+1) * time.Millisecond
	}
	h := newHistogram(bounds)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Observe(7 * time.Millisecond)
		}
	})
}

// helpOf knows every name but "hidden".
func helpOf(name string) (string, bool) { return "About " + name + ".", name != "hidden" }

func TestExposition(t *testing.T) {
	var r Registry
	connector := Label{"connector", "From \"the\\Internet\"\nInjected 1"}
	r.Counter("receive_octets", connector).Add(1 << 40)
	r.Counter("hidden").Inc()
	r.Counter("receive_tarpit_nanoseconds").Add(1500 * 1000 * 1000)
	r.Gauge("sessions", Label{"connector", "\xff"}).Set(-3)
	h := r.Histogram("latency_seconds", []time.Duration{100 * time.Millisecond, time.Second}, connector)
	h.Observe(50 * time.Millisecond)
	h.Observe(time.Minute)
	var e Exposition
	e.AddRegistry(&r, helpOf)
	e.Add(KindGauge, "go_goroutines", "One\nline \\ only.", 12.5)
	e.Add(KindGauge, "big", "Big.", 1e20)
	e.Add(KindCounter, "big", "Contradicts.", 7)
	var b strings.Builder
	if err := Write(&b, e.Families()); err != nil {
		t.Fatal(err)
	}
	const label = `connector="From \"the\\Internet\"\nInjected 1"`
	want := `# HELP big Big.
# TYPE big gauge
big 1e+20
# HELP go_goroutines One\nline \\ only.
# TYPE go_goroutines gauge
go_goroutines 12.5
# HELP postern_latency_seconds About latency_seconds.
# TYPE postern_latency_seconds histogram
postern_latency_seconds_bucket{` + label + `,le="0.1"} 1
postern_latency_seconds_bucket{` + label + `,le="1"} 1
postern_latency_seconds_bucket{` + label + `,le="+Inf"} 2
postern_latency_seconds_sum{` + label + `} 60.05
postern_latency_seconds_count{` + label + `} 2
# HELP postern_receive_bytes_total About receive_octets.
# TYPE postern_receive_bytes_total counter
postern_receive_bytes_total{` + label + `} 1099511627776
# HELP postern_receive_tarpit_seconds_total About receive_tarpit_nanoseconds.
# TYPE postern_receive_tarpit_seconds_total counter
postern_receive_tarpit_seconds_total 1.5
# HELP postern_sessions About sessions.
# TYPE postern_sessions gauge
postern_sessions{connector="` + "\uFFFD" + `"} -3
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// FuzzWrite: whatever a label or a help holds, the page keeps its lines, and the
// label can be had back.
func FuzzWrite(f *testing.F) {
	for _, s := range []string{"", "From Internet", `"}`, "a\nb 1", `\`, `\n`, "\xff\xfe", "\u2028", "\x00"} {
		f.Add(s, s)
	}
	unescape := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`)
	f.Fuzz(func(t *testing.T, label, help string) {
		var b strings.Builder
		err := Write(&b, []Family{{Name: "m", Help: help, Series: []Series{{Labels: []Label{{"a", label}}, Value: 1}}}})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		if len(lines) != 4 || !utf8.ValidString(b.String()) {
			t.Fatalf("%q", b.String())
		}
		value, ok := strings.CutPrefix(lines[2], `m{a="`)
		value, end := strings.CutSuffix(value, `"} 1`)
		if got := unescape.Replace(value); !ok || !end || got != strings.ToValidUTF8(label, "\uFFFD") {
			t.Errorf("%q comes back as %q from %q", label, got, lines[2])
		}
	})
}
