package metrics

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// MaxBounds is how many bounds a Histogram may have; those beyond are left out.
const MaxBounds = 20

// Histogram counts durations by how long they are. To observe one takes two
// atomic additions and no memory. The zero value works and has no bounds; a nil
// Histogram observes nothing. All methods may be called concurrently.
type Histogram struct {
	bounds  []time.Duration // upper ones, which belong to what they bound; ascending, never changed
	buckets [MaxBounds + 1]atomic.Int64
	sum     atomic.Int64 // nanoseconds
}

// newHistogram returns a Histogram with these upper bounds, which it sorts.
func newHistogram(bounds []time.Duration) *Histogram {
	bounds = slices.Compact(slices.Sorted(slices.Values(bounds)))
	return &Histogram{bounds: bounds[:min(len(bounds), MaxBounds)]}
}

// Observe counts one duration. A negative one, of a clock that was set back,
// counts as none at all.
func (h *Histogram) Observe(d time.Duration) {
	if h == nil {
		return
	}
	d = max(d, 0)
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Distribution is a Histogram at one moment, in seconds.
type Distribution struct {
	// Buckets count what is not longer than their bound, all shorter ones
	// included; the last bound is infinite.
	Buckets []Bucket `json:"buckets"`
	Count   int64    `json:"count"`
	Sum     float64  `json:"sum"`
}

// Bucket is one of them.
type Bucket struct {
	UpTo  Bound `json:"le"`
	Count int64 `json:"count"`
}

// Bound is the upper bound of a bucket in seconds, infinite in the last. In
// JSON, which has no infinity, that is the text "+Inf".
type Bound float64

// MarshalText makes Bound a text in JSON, as it is in the exposition.
func (b Bound) MarshalText() ([]byte, error) { return appendNumber(nil, float64(b)), nil }

// Value returns what has been observed. What is observed meanwhile may be
// missing in part.
func (h *Histogram) Value() Distribution {
	d := Distribution{}
	if h == nil {
		return d
	}
	d.Sum = time.Duration(h.sum.Load()).Seconds()
	for i := range len(h.bounds) + 1 {
		upTo := math.Inf(1)
		if i < len(h.bounds) {
			upTo = h.bounds[i].Seconds()
		}
		d.Count += h.buckets[i].Load()
		d.Buckets = append(d.Buckets, Bucket{Bound(upTo), d.Count})
	}
	return d
}
