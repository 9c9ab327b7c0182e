package review

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// maxKey is how many octets of a key a top keeps. Addresses are shorter
// (RFC 5321 4.5.3.1.3); texts of peers need not be.
const maxKey = 320

// top finds the keys of a stream that weigh most, in bounded memory. It is the
// Space-Saving algorithm (Metwally, Agrawal, El Abbadi, "Efficient computation
// of frequent and top-k elements in data streams", ICDT 2005): while there are
// no more keys than it has room for, all counts are exact. Then a new key takes
// the place of the lightest one and inherits its count, which is noted as the
// error. So a count is never too small, it is too large by at most its error,
// and every key that weighs more than the total divided by the room is there.
//
// With each key goes a value of the caller's, which begins anew when a key takes
// another's place. A top is for one goroutine.
type top[V any] struct {
	room int
	// total is the weight of everything that was added, lost the number of keys
	// that had to make room.
	total, lost uint64
	entries     map[string]*counted[V]
	// order is a heap, the lightest entry first, once there is no room left.
	order lightest[V]
}

// counted is one key of a top.
type counted[V any] struct {
	key string
	// count is at least the key's weight and at most over more than that.
	count, over uint64
	value       V
	place       int
}

func newTop[V any](room int) *top[V] {
	return &top[V]{room: max(room, 1), entries: make(map[string]*counted[V])}
}

// add adds weight to a key and returns its value, to be added to as well. A
// weight of none keeps no key out and gets none in where there is no room left.
func (t *top[V]) add(key string, weight uint64) *V {
	key = cutKey(key)
	t.total += weight
	e := t.entries[key]
	switch {
	case e != nil:
		e.count += weight
		if t.order != nil {
			heap.Fix(&t.order, e.place)
		}
		return &e.value
	case len(t.entries) < t.room:
		// A key is often a piece of a line, which must not live on with it.
		e = &counted[V]{key: strings.Clone(key), count: weight}
		t.entries[e.key] = e
		return &e.value
	case weight == 0:
		t.lost++
		return new(V)
	case t.order == nil:
		t.order = make(lightest[V], 0, t.room)
		for _, e := range t.entries {
			e.place = len(t.order)
			t.order = append(t.order, e)
		}
		heap.Init(&t.order)
	}
	e = t.order[0]
	delete(t.entries, e.key)
	t.lost++
	var zero V
	e.key, e.over, e.count, e.value = strings.Clone(key), e.count, e.count+weight, zero
	t.entries[e.key] = e
	heap.Fix(&t.order, 0)
	return &e.value
}

// exact tells whether all counts are.
func (t *top[V]) exact() bool { return t.lost == 0 }

// first returns the n heaviest keys, the heaviest first and equal ones by name.
// n < 0 returns all of them.
func (t *top[V]) first(n int) []*counted[V] {
	list := make([]*counted[V], 0, len(t.entries))
	for _, e := range t.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *counted[V]) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.key, b.key))
	})
	if n >= 0 && n < len(list) {
		list = list[:n]
	}
	return list
}

// cutKey bounds a key without breaking a character.
func cutKey(s string) string {
	if len(s) <= maxKey {
		return s
	}
	return strings.ToValidUTF8(s[:maxKey-len("…")], "") + "…"
}

// lightest is a heap of entries by their count.
type lightest[V any] []*counted[V]

func (l lightest[V]) Len() int           { return len(l) }
func (l lightest[V]) Less(i, j int) bool { return l[i].count < l[j].count }
func (l lightest[V]) Push(any)           { panic("a top does not grow") }
func (l lightest[V]) Pop() any           { panic("a top does not shrink") }
func (l lightest[V]) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i, j
}
