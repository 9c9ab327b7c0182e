package metrics

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
)

func TestCounterAndGauge(t *testing.T) {
	var c Counter
	c.Inc()
	c.Add(4)
	c.Add(-3) // a counter only grows
	c.Add(0)
	if c.Value() != 5 {
		t.Errorf("the counter is %d", c.Value())
	}
	var g Gauge
	g.Set(7)
	g.Add(-9)
	if g.Value() != -2 {
		t.Errorf("the gauge is %d", g.Value())
	}
}

func TestNil(t *testing.T) {
	var c *Counter
	var g *Gauge
	c.Inc()
	g.Set(1)
	g.Add(1)
	if c.Value() != 0 || g.Value() != 0 {
		t.Error("nil holds a number")
	}
	var r *Registry
	counter := r.Counter("a", Label{"b", "c"})
	counter.Inc()
	r.Gauge("a").Set(1)
	if counter.Value() != 1 || r.Snapshot() != nil {
		t.Error("a nil registry's counter does not count, or is seen")
	}
}

func TestSnapshot(t *testing.T) {
	var r Registry
	if len(r.Snapshot()) != 0 {
		t.Error("an empty registry holds something")
	}
	r.Counter("z_total", Label{"connector", "b"}, Label{"direction", "in"}).Add(2)
	r.Counter("z_total", Label{"connector", "a"}, Label{"direction", "out"}).Add(3)
	r.Counter("z_total", Label{"connector", "a"}, Label{"direction", "in"}).Add(4)
	r.Counter("z_total", Label{"connector", "a"}, Label{"direction", "in"}).Add(1)
	r.Gauge("pressure").Set(-1)
	want := []Sample{
		{"pressure", KindGauge, nil, -1, nil},
		{"z_total", KindCounter, []Label{{"connector", "a"}, {"direction", "in"}}, 5, nil},
		{"z_total", KindCounter, []Label{{"connector", "a"}, {"direction", "out"}}, 3, nil},
		{"z_total", KindCounter, []Label{{"connector", "b"}, {"direction", "in"}}, 2, nil},
	}
	if got := r.Snapshot(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if KindGauge.String() != "gauge" || KindCounter.String() != "counter" {
		t.Error("the kinds have other names")
	}
}

// TestLabelValues: values that run into one another are different series.
func TestLabelValues(t *testing.T) {
	var r Registry
	for _, v := range [][2]string{{"a,b", ""}, {"a", "b,"}, {`a\`, "b"}, {`a\,b`, ""}, {"a", ",b"}, {`a\,`, "b"}, {"", "a,b"}} {
		r.Counter("c", Label{"x", v[0]}, Label{"y", v[1]}).Inc()
	}
	if got := r.Snapshot(); len(got) != 7 {
		t.Errorf("%d series: %v", len(got), got)
	}
}

func TestContradictions(t *testing.T) {
	var r Registry
	r.Counter("c", Label{"x", "1"}).Inc()
	r.Gauge("c", Label{"x", "1"}).Set(99)
	r.Counter("c").Add(99)
	r.Counter("c", Label{"y", "1"}).Add(99)
	r.Counter("c", Label{"x", "1"}, Label{"y", "1"}).Add(99)
	want := []Sample{{"c", KindCounter, []Label{{"x", "1"}}, 1, nil}, {Rejected, KindCounter, nil, 4, nil}}
	if got := r.Snapshot(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestBounded: labels that strangers choose can't fill the memory.
func TestBounded(t *testing.T) {
	var r Registry
	for i := range MaxSeries + 500 {
		r.Counter("c", Label{"domain", fmt.Sprint(i)}).Inc()
	}
	r.Counter("c", Label{"domain", "0"}).Inc()
	got := r.Snapshot()
	if len(got) != MaxSeries+1 {
		t.Fatalf("%d series", len(got))
	}
	for _, s := range got {
		want := int64(1)
		switch s.Labels[0].Value {
		case "0":
			want = 2
		case Overflow:
			want = 500
		}
		if s.Value != want {
			t.Errorf("%v is %d, want %d", s.Labels, s.Value, want)
		}
	}
}

func TestConcurrent(t *testing.T) {
	var r Registry
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				r.Counter("c", Label{"n", fmt.Sprint((i + j) % 10)}).Inc()
				r.Gauge("g").Add(1)
				if j%100 == 0 {
					r.Snapshot()
				}
			}
		})
	}
	wg.Wait()
	total := int64(0)
	for _, s := range r.Snapshot() {
		if s.Name == "c" {
			total += s.Value
		}
	}
	if total != 8000 || r.Gauge("g").Value() != 8000 {
		t.Errorf("counted %d and %d", total, r.Gauge("g").Value())
	}
}
