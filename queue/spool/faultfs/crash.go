package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Survival is what a power cut leaves of what was not synced.
type Survival int

// The ways in which power goes.
const (
	// Nothing leaves only what was synced.
	Nothing Survival = iota
	// Everything leaves all, as the death of the process alone does.
	Everything
	// Prefix leaves writes and names up to some moment, the last write torn.
	Prefix
	// Torn leaves any sectors of any writes, and any names.
	Torn
	// Written leaves all writes, but no name that was not synced.
	Written
)

// Survivals are all ways.
var Survivals = []Survival{Nothing, Everything, Prefix, Torn, Written}

const sector = 512

// Crash returns the file system as it is found when the power is back. The
// old one is dead. The seed decides what survives.
func (f *FS) Crash(how Survival, seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = true
	rng := rand.New(rand.NewPCG(seed, uint64(how)))
	names := maps.Clone(f.durable)
	n := len(f.names)
	if how == Nothing || how == Written {
		n = 0
	} else if how == Prefix {
		n = rng.IntN(n + 1)
	}
	for _, o := range f.names[:n] {
		if how != Torn || rng.IntN(2) == 0 {
			o.apply(names)
		}
	}
	out := New(f.capacity)
	for _, path := range slices.Sorted(maps.Keys(names)) {
		old := names[path]
		if path == "/" || path == "." {
			continue
		}
		fresh := &node{dir: old.dir, data: old.survive(how, rng)}
		fresh.synced = slices.Clone(fresh.data)
		out.current[path], out.durable[path] = fresh, fresh
		out.used += int64(len(fresh.data))
	}
	return out
}

// survive returns what is left of a file's content.
func (n *node) survive(how Survival, rng *rand.Rand) []byte {
	b := slices.Clone(n.synced)
	count := len(n.pending)
	cut := -1
	switch how {
	case Nothing:
		return b
	case Prefix:
		count = rng.IntN(count + 1)
		cut = count - 1
	}
	for i, w := range n.pending[:count] {
		keep := len(w.data)
		if i == cut {
			keep = rng.IntN(len(w.data)/sector+1) * sector
		}
		for at := 0; at < keep; {
			step := min(keep-at, sector-int(w.off+int64(at))%sector)
			if how != Torn || rng.IntN(2) == 0 {
				b = overlay(b, w.data[at:at+step], w.off+int64(at))
			}
			at += step
		}
	}
	return b
}

// Kill returns the file system as the next process finds it when the one that
// used it has died: everything is there, and what was not synced still is not.
// The old one is dead.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = true
	return &FS{current: f.current, durable: f.durable, names: f.names, locks: map[string]bool{}, capacity: f.capacity, used: f.used}
}
