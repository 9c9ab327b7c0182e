package backpressure

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// submission are Exchange's thresholds of the Submission queue.
var submission = Thresholds{Medium: 9999, High: 15000, HighToMedium: 10000, MediumToNormal: 2000}

func TestLevelMachine(t *testing.T) {
	for name, tt := range map[string]struct {
		depth  int
		values []int64
		want   []Level
	}{
		"rises and falls apart": {1, []int64{0, 9998, 9999, 2000, 1999, 15000, 10000, 9999, 2000, 1999},
			[]Level{Normal, Normal, Medium, Medium, Normal, High, High, Medium, Medium, Normal}},
		"straight to high and down": {1, []int64{20000, 0}, []Level{High, Normal}},
		"a spike changes nothing":   {3, []int64{20000, 20000, 0, 20000, 20000, 0}, []Level{Normal, Normal, Normal, Normal, Normal, Normal}},
		"what lasts does":           {3, []int64{9999, 20000, 9999, 20000, 20000, 20000}, []Level{Normal, Normal, Medium, Medium, Medium, High}},
		"falling needs no history":  {3, []int64{20000, 20000, 20000, 1}, []Level{Normal, Normal, High, Normal}},
	} {
		var m machine
		for i, v := range tt.values {
			if m = m.step(v, submission, tt.depth); m.level != tt.want[i] {
				t.Errorf("%s: %v at value %d, want %v", name, m.level, i, tt.want[i])
			}
		}
	}
}

// drawThresholds draws any that make sense.
func drawThresholds(t *rapid.T) Thresholds {
	var s Thresholds
	s.MediumToNormal = rapid.Int64Range(1, 1000).Draw(t, "medium_to_normal")
	s.Medium = s.MediumToNormal + rapid.Int64Range(0, 1000).Draw(t, "band")
	s.High = s.Medium + rapid.Int64Range(1, 1000).Draw(t, "above")
	s.HighToMedium = rapid.Int64Range(s.MediumToNormal, s.High).Draw(t, "high_to_medium")
	if !s.valid(0) {
		t.Fatalf("%+v is not valid", s)
	}
	return s
}

// TestNoFlapping: values that stay within a band, however they move there,
// change the level at most once: to where the band's lower end lets it fall.
func TestNoFlapping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawThresholds(t)
		depth := rapid.IntRange(1, 5).Draw(t, "depth")
		m := machine{level: rapid.SampledFrom([]Level{Normal, Medium, High}).Draw(t, "level")}
		low, high := s.MediumToNormal, s.Medium-1
		if rapid.Bool().Draw(t, "upper band") {
			low, high = max(s.HighToMedium, s.Medium), s.High-1
		}
		if low > high {
			t.Skip("there is no band")
		}
		changes := 0
		for _, v := range rapid.SliceOfN(rapid.Int64Range(low, high), 1, 50).Draw(t, "values") {
			next := m.step(v, s, depth)
			if next.level != m.level {
				changes++
			}
			m = next
		}
		if changes > 1 {
			t.Fatalf("%d changes within [%d, %d] of %+v", changes, low, high, s)
		}
	})
}

// TestMonotone: of two resources with the same thresholds, the one that is never
// less short is never at a lower level.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawThresholds(t)
		depth := rapid.IntRange(1, 5).Draw(t, "depth")
		var a, b machine
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			v := rapid.Int64Range(0, s.High+10).Draw(t, "value")
			w := v + rapid.SampledFrom([]int64{0, 1, 100, 2000}).Draw(t, "more")
			a, b = a.step(v, s, depth), b.step(w, s, depth)
			if a.level > b.level {
				t.Fatalf("%v at %d and %v at %d, with %+v", a.level, v, b.level, w, s)
			}
		}
	})
}

// TestSpikes: fewer values in a row beyond a threshold than the history is deep
// never raise the level, whatever they are; as many do.
func TestSpikes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawThresholds(t)
		depth := rapid.IntRange(2, 6).Draw(t, "depth")
		var m machine
		for range rapid.IntRange(1, 10).Draw(t, "spikes") {
			for range rapid.IntRange(0, depth-1).Draw(t, "length") {
				m = m.step(rapid.Int64Range(s.Medium, s.High*2).Draw(t, "spike"), s, depth)
			}
			if m.level != Normal {
				t.Fatal("a spike raised the level")
			}
			m = m.step(rapid.Int64Range(0, s.Medium-1).Draw(t, "rest"), s, depth)
		}
		for range depth {
			m = m.step(s.High, s, depth)
		}
		if m.level != High {
			t.Fatalf("%v after %d values at high", m.level, depth)
		}
		if m.step(s.MediumToNormal-1, s, depth).level != Normal {
			t.Fatal("it does not fall at once")
		}
	})
}

func TestLevelText(t *testing.T) {
	for _, l := range []Level{Normal, Medium, High} {
		b, err := json.Marshal(l)
		var back Level
		if err != nil || string(b) != `"`+l.String()+`"` || json.Unmarshal(b, &back) != nil || back != l {
			t.Errorf("%v is %s, %v, read as %v", l, b, err, back)
		}
	}
}

func TestRamp(t *testing.T) {
	var r ramp
	if r.delay() != 10*time.Second {
		t.Errorf("the first delay is %v", r.delay())
	}
	want := 10 * time.Second
	for range 9 {
		r = r.after(stepTime, true)
		want += 5 * time.Second
		if r.delay() != want {
			t.Errorf("%v, want %v", r.delay(), want)
		}
	}
	if r = r.after(time.Hour, true); r.delay() != 55*time.Second {
		t.Errorf("after an hour %v, want 55s", r.delay())
	}
	if r = r.after(20*time.Second, false); r.delay() != 45*time.Second {
		t.Errorf("after a break of 20 s %v, want 45s", r.delay())
	}
	if r = r.after(time.Hour, false); r.delay() != 10*time.Second {
		t.Errorf("after a long break %v, want 10s", r.delay())
	}
}
