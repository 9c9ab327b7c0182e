package review

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// While there is room a top counts as a map does; beyond it the bounds of
// Space-Saving hold.
func TestTopAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.IntRange(1, 20).Draw(t, "room")
		tops := newTop[uint64](room)
		exact := map[string]uint64{}
		var total uint64
		n := rapid.IntRange(0, 300).Draw(t, "n")
		kinds := rapid.IntRange(1, 40).Draw(t, "kinds")
		for range n {
			key := fmt.Sprint("k", rapid.IntRange(0, kinds-1).Draw(t, "key"))
			weight := uint64(rapid.IntRange(0, 9).Draw(t, "weight"))
			*tops.add(key, weight) += weight
			exact[key] += weight
			total += weight
		}
		if tops.total != total {
			t.Fatalf("total %d, want %d", tops.total, total)
		}
		if tops.exact() != (len(exact) <= room) {
			t.Fatalf("exact %v with %d keys in room for %d", tops.exact(), len(exact), room)
		}
		list := tops.first(-1)
		if len(list) > room || len(list) != min(len(exact), room) {
			t.Fatalf("%d keys are kept, room is for %d", len(list), room)
		}
		kept := map[string]bool{}
		for i, e := range list {
			kept[e.key] = true
			truth := exact[e.key]
			if e.count < truth || e.count-e.over > truth {
				t.Fatalf("%s: count %d with error %d, the truth is %d", e.key, e.count, e.over, truth)
			}
			if e.value > truth || tops.exact() && (e.over != 0 || e.value != truth) {
				t.Fatalf("%s: value %d, error %d, the truth is %d", e.key, e.value, e.over, truth)
			}
			if i > 0 && list[i-1].count < e.count {
				t.Fatalf("not in order: %d before %d", list[i-1].count, e.count)
			}
		}
		for key, truth := range exact {
			if truth > total/uint64(room) && !kept[key] {
				t.Fatalf("%s weighs %d of %d and is lost, with room for %d", key, truth, total, room)
			}
		}
	})
}

func TestTopBoundsItsKeys(t *testing.T) {
	tops := newTop[struct{}](2)
	tops.add(strings.Repeat("ä", 4000), 1)
	key := tops.first(1)[0].key
	if len(key) > maxKey || !utf8.ValidString(key) || !strings.HasSuffix(key, "ä…") {
		t.Errorf("key of %d octets, %q", len(key), key)
	}
	for i := range 1000 {
		tops.add(fmt.Sprint(i), 1)
	}
	if n := len(tops.entries); n != 2 || len(tops.order) != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	if list := tops.first(1); len(list) != 1 {
		t.Errorf("%d keys, want 1", len(list))
	}
}
