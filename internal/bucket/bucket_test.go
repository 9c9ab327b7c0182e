package bucket

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func TestPour(t *testing.T) {
	b := New[string](10)
	for i, want := range []struct {
		key   string
		after time.Duration
		level time.Duration
		ok    bool
	}{
		{"a", 0, 20 * time.Second, true},
		{"a", 0, 40 * time.Second, true},
		{"b", 0, 20 * time.Second, true},
		{"a", 0, time.Minute, true},
		{"a", 0, time.Minute, false},
		{"a", 19 * time.Second, 41 * time.Second, false},
		{"a", 20 * time.Second, time.Minute, true},
		{"a", time.Hour, 20 * time.Second, true},
	} {
		level, ok := b.Pour(want.key, start.Add(want.after), 20*time.Second, time.Minute)
		if level != want.level || ok != want.ok {
			t.Errorf("%d: %v, %v; want %v, %v", i, level, ok, want.level, want.ok)
		}
	}
	if got := b.Level("a", start.Add(time.Hour+15*time.Second)); got != 5*time.Second {
		t.Errorf("level %v", got)
	}
	if got := b.Level("nobody", start); got != 0 {
		t.Errorf("level %v", got)
	}
}

// TestBounded: however many keys there are, the table keeps to its size, and
// who pours much is not forgotten for many who pour little.
func TestBounded(t *testing.T) {
	b := New[int](100)
	for range 50 {
		b.Pour(-1, start, time.Second, time.Hour)
	}
	for k := range 10000 {
		b.Pour(k, start, time.Second, time.Hour)
		if b.Len() > 100 {
			t.Fatalf("%d buckets", b.Len())
		}
	}
	if got := b.Level(-1, start); got != 50*time.Second {
		t.Errorf("the one who poured most was forgotten: %v", got)
	}
	// What has run empty goes by and by.
	for k := range 100 {
		b.Pour(20000+k, start.Add(2*time.Hour), time.Second, time.Hour)
	}
	if n := b.Len(); n > 100 {
		t.Errorf("%d buckets", n)
	}
	var none Table[int]
	if _, ok := none.Pour(1, start, time.Second, time.Minute); !ok {
		t.Error("the zero value refuses")
	}
}

// TestRate: in no stretch of time more passes than the bucket holds and what
// runs out meanwhile, and whoever keeps to the rate is never refused.
func TestRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 50).Draw(t, "limit")
		cost := time.Minute / time.Duration(limit)
		b := New[string](1)
		now := start
		var passed []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*cost)).Draw(t, "pause")))
			if _, ok := b.Pour("", now, cost, time.Minute); ok {
				passed = append(passed, now)
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				if n := time.Duration(j - i + 1); n*cost > time.Minute+passed[j].Sub(passed[i]) {
					t.Fatalf("%d passed in %v", n, passed[j].Sub(passed[i]))
				}
			}
		}
		steady := New[string](1)
		for i := range 3 * limit {
			if _, ok := steady.Pour("", start.Add(time.Duration(i)*cost), cost, time.Minute); !ok {
				t.Fatalf("event %d of a steady stream was refused", i)
			}
		}
	})
}

func TestConcurrent(t *testing.T) {
	b := New[int](64)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				b.Pour(g*i%97, start.Add(time.Duration(i)*time.Millisecond), time.Second, time.Minute)
				b.Level(i, start)
			}
		})
	}
	wg.Wait()
	if b.Len() > 64 {
		t.Errorf("%d buckets", b.Len())
	}
}
