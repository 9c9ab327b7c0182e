package queue

import (
	"slices"
	"strings"
	"time"
)

// Ages counts the messages of each queue by age, ordered as Snapshot orders
// them. It looks at every queued message, in memory: a few milliseconds for a
// million.
func (q *Queue) Ages() []AgeInfo {
	buckets := AgeBuckets()
	var list []AgeInfo
	q.mu.Lock()
	now := q.now()
	q.every(func(d *destination) {
		if d.special != "" && len(d.items) == 0 {
			return
		}
		a := AgeInfo{Name: d.special, Hop: d.hop, Counts: make([]int, len(buckets)+1)}
		for _, items := range [][]item{d.items, d.active} {
			for i := range items {
				n := 0
				for age := time.Duration(now - items[i].arrived); n < len(buckets) && age >= buckets[n]; n++ {
				}
				a.Counts[n]++
			}
			a.Total += len(items)
		}
		list = append(list, a)
	})
	q.mu.Unlock()
	hops := list
	for i := range list {
		if list[i].Name != "" {
			hops = list[:i]
			break
		}
		list[i].Name = list[i].Hop.String()
	}
	slices.SortFunc(hops, func(a, b AgeInfo) int { return strings.Compare(a.Name, b.Name) })
	return list
}
