package review

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Quantiles are those of the sorted list, within the error that is promised.
func TestQuantilesAgainstSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.SampledFrom([]int64{3, 60, 5_000, 3_600_000, longest}).Draw(t, "scale")
		list := rapid.SliceOfN(rapid.Int64Range(0, scale), 1, 400).Draw(t, "times")
		var q quantiles
		for _, ms := range list {
			q.add(time.Duration(ms) * time.Millisecond)
		}
		slices.Sort(list)
		for _, p := range []float64{0, 0.01, 0.5, 0.95, 0.99, 1} {
			truth := list[max(int(math.Ceil(p*float64(len(list))))-1, 0)]
			got := q.at(p).Milliseconds()
			off := math.Abs(float64(got - truth))
			if truth < 50 && off != 0 || off > float64(truth)*QuantileError+0.5 {
				t.Fatalf("p%v of %d times is %d ms, want %d ms", p*100, len(list), got, truth)
			}
		}
	})
}

func TestQuantilesOfNothing(t *testing.T) {
	var q quantiles
	if got := q.at(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	q.add(-time.Hour)
	q.add(math.MaxInt64)
	if q.at(0.5) != 0 || q.at(1) != longest*time.Millisecond || len(q.counts) > 1400 {
		t.Errorf("of clocks that differ: %v and %v in %d buckets", q.at(0.5), q.at(1), len(q.counts))
	}
	q.add(time.Millisecond)
	if n := len(q.counts); n > 1400 {
		t.Errorf("%d buckets", n)
	}
}
