package review

import (
	"math"
	"time"
)

// QuantileError is by how much of its value a quantile may be wrong: 0.01 is
// one percent. Below 50 ms they are exact.
const QuantileError = 0.01

// growth is the ratio of the ends of a bucket: whatever lies in one is at most
// QuantileError away from its middle (Masson, Rim, Lee, "DDSketch", VLDB 2019).
const growth = (1 + QuantileError) / (1 - QuantileError)

// longest is the longest time that is told apart, in milliseconds: ten years.
const longest = 10 * 366 * 24 * 3600 * 1000

// quantiles keeps the distribution of times, in whole milliseconds, with a
// relative error: buckets whose width grows with what they hold, about 1350 at
// most and as many as lie between the shortest and the longest time. Its zero
// value is empty. It is for one goroutine.
type quantiles struct {
	n uint64
	// instant counts the times of no millisecond; counts[i] those of bucket
	// first+i.
	instant  uint64
	first    int
	counts   []uint32 // which stop at what they can hold
	min, max int64
}

// bucketOf returns the bucket of a time of at least one millisecond.
func bucketOf(ms int64) int { return int(math.Ceil(math.Log(float64(ms)) / math.Log(growth))) }

// add counts one time. A negative one, of clocks that differ, counts as none.
func (q *quantiles) add(d time.Duration) {
	ms := min(max(d.Milliseconds(), 0), longest)
	if q.n == 0 {
		q.min, q.max = ms, ms
	}
	q.min, q.max = min(q.min, ms), max(q.max, ms)
	q.n++
	if ms == 0 {
		q.instant++
		return
	}
	b := bucketOf(ms)
	switch {
	case len(q.counts) == 0:
		q.first, q.counts = b, append(q.counts, 0)
	case b < q.first:
		more := q.first - b
		grown := make([]uint32, more+len(q.counts))
		copy(grown[more:], q.counts)
		q.first, q.counts = b, grown
	}
	for b >= q.first+len(q.counts) {
		q.counts = append(q.counts, 0)
	}
	if c := &q.counts[b-q.first]; *c < math.MaxUint32 {
		*c++
	}
}

// at returns the time that the share p of all times does not exceed, by the
// nearest rank: p = 0.5 is the median. It is 0 when there are none.
func (q *quantiles) at(p float64) time.Duration {
	if q.n == 0 {
		return 0
	}
	rank := uint64(max(math.Ceil(p*float64(q.n)), 1))
	if rank >= q.n { // the longest is known exactly
		return time.Duration(q.max) * time.Millisecond
	}
	seen := q.instant
	if rank <= seen {
		return 0
	}
	for i, c := range q.counts {
		if seen += uint64(c); rank <= seen {
			middle := 2 * math.Pow(growth, float64(q.first+i)) / (growth + 1)
			ms := min(max(int64(math.Round(middle)), q.min), q.max)
			return time.Duration(ms) * time.Millisecond
		}
	}
	return time.Duration(q.max) * time.Millisecond
}
