package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"postern/internal/message"
)

const (
	segmentSuffix = ".seg"
	newSuffix     = ".new"
)

// survey is what reading a spool's directory finds. Reading changes nothing on
// disk; Open and Reader share it.
type survey struct {
	fs       FS
	dir      string
	flag     int  // os.O_RDWR or os.O_RDONLY
	tolerant bool // newer segments are passed over
	// beside says that a server may be at work in the directory. A segment
	// that goes meanwhile is then passed over, and moved is set.
	beside bool
	moved  bool
	// finished are messages that have ended by what earlier surveys found, and
	// after this one also by what it found; nil when nobody asks.
	finished map[message.ID]struct{}

	secret uint64 // zero when unknown
	cat    catalog
	segs   []*surveyed
	names  []string // of all segment files, sorted
	// orphaned are files without a readable header; junk are leftovers that
	// hold nothing.
	orphaned []string
	junk     []string
	damage   []damaged

	maxLSN, maxID uint64
	maxEpoch      uint32

	states map[stateKey]foundState
	done   map[message.ID]uint32 // epoch of a done record
	seals  map[uint32][]foundSeal
}

// surveyed is one segment on the way into the catalog.
type surveyed struct {
	*segment
	free    bool
	indexed bool
	gaps    []gap
	records []foundRecord // of a ring segment, until the seals are known
}

type foundRecord struct {
	header
	off  int64
	meta messageMeta
}

type stateKey struct {
	id    message.ID
	shard uint16
}

type foundState struct {
	place
	lsn uint64
}

type foundSeal struct {
	end int64
	loc loc
}

// damaged is a stretch of a segment that is to be put aside.
type damaged struct {
	seg      *segment
	from, to int64
	reason   string
}

// run reads everything. It fails only when the directory can't be listed, or
// with ErrVersion.
func (v *survey) run() error {
	v.cat = newCatalog()
	v.states = make(map[stateKey]foundState)
	v.done = make(map[message.ID]uint32)
	v.seals = make(map[uint32][]foundSeal)
	names, err := v.list()
	if err != nil {
		return err
	}
	v.names = names
	slices.Sort(v.names)
	var headless []string
	for _, name := range names {
		err := v.open(name, nil)
		switch {
		case errors.Is(err, errNoHeader):
			headless = append(headless, name)
		case errors.Is(err, ErrVersion) && v.tolerant:
			v.orphaned = append(v.orphaned, name)
		case errors.Is(err, fs.ErrNotExist) && v.beside:
			v.moved = true
		case err != nil:
			return err
		}
	}
	for _, name := range headless {
		v.openHeadless(name)
	}
	// Ring segments in the order in which they came into use: of a message and
	// of its copy on a full disk the original counts, so that a copying that was
	// cut short leaves the segment for the copies without anything live.
	slices.SortStableFunc(v.segs, func(a, b *surveyed) int { return cmp.Compare(a.epoch, b.epoch) })
	for _, g := range v.segs { // cold first: their copies need not be copied again
		if !g.ring {
			v.read(g)
		}
	}
	for _, g := range v.segs {
		if g.ring {
			v.read(g)
		}
	}
	v.merge()
	return nil
}

// list returns the names of the segments, and notes leftovers.
func (v *survey) list() (names []string, err error) {
	entries, err := v.fs.ReadDir(filepath.Join(v.dir, segmentsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasSuffix(name, segmentSuffix):
			names = append(names, name)
		case strings.HasSuffix(name, newSuffix):
			v.junk = append(v.junk, name)
		}
	}
	return names, nil
}

// open opens a segment and takes it up with its own header, or with the one
// given.
func (v *survey) open(name string, h *segmentHeader) error {
	f, err := v.fs.OpenFile(filepath.Join(v.dir, segmentsDir, name), v.flag)
	if err != nil {
		return err
	}
	if h == nil {
		own, err := readSegmentHeader(f)
		if err != nil {
			f.Close()
			return err
		}
		h = &own
		v.secret = own.secret
	}
	if other := v.cat.segs[h.epoch]; other != nil {
		f.Close()
		v.orphaned = append(v.orphaned, name)
		return nil
	}
	g := &surveyed{segment: &segment{
		epoch: h.epoch, name: name, file: f, stamp: newStamp(h.secret, h.epoch), ring: h.ring, size: h.size, end: dataStart,
	}}
	v.segs = append(v.segs, g)
	v.cat.segs[g.epoch] = g.segment
	v.maxEpoch = max(v.maxEpoch, g.epoch)
	return nil
}

// openHeadless takes up a segment of which both headers are gone: the epoch
// stands in every record.
func (v *survey) openHeadless(name string) {
	f, err := v.fs.OpenFile(filepath.Join(v.dir, segmentsDir, name), v.flag)
	if err != nil {
		v.orphaned = append(v.orphaned, name)
		return
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size <= dataStart {
		v.junk = append(v.junk, name)
		return
	}
	epoch, ok := findEpoch(f, v.secret, min(size, maxSegmentSize))
	if err != nil || !ok {
		v.orphaned = append(v.orphaned, name)
		return
	}
	if v.open(name, &segmentHeader{epoch: epoch, secret: v.secret, size: min(size, maxSegmentSize)}) != nil {
		v.orphaned = append(v.orphaned, name)
		return
	}
	if g := v.cat.segs[epoch]; g.name == name {
		v.damage = append(v.damage, damaged{g, 0, dataStart, "both headers of the segment are damaged; its records tell the epoch"})
	}
}

// findEpoch returns the epoch of the first record that verifies.
func findEpoch(f File, secret uint64, size int64) (uint32, bool) {
	w := window{f: f, limit: size}
	for off := int64(dataStart); off+recordHeader <= size; off += recordAlign {
		b := w.get(off, recordHeader)
		if !looksLikeRecord(b) {
			continue
		}
		epoch := recordEpoch(b)
		if _, ok := newStamp(secret, epoch).parse(b, off); ok && epoch != 0 {
			return epoch, true
		}
	}
	return 0, false
}

// read reads the records of one segment: from its index if it has one, else
// all of it.
func (v *survey) read(g *surveyed) {
	size, err := g.file.Size()
	if err != nil {
		g.keep = true
		v.damage = append(v.damage, damaged{g.segment, 0, 0, err.Error()})
		return
	}
	if !g.ring && v.readIndexed(g) {
		return
	}
	if g.ring {
		size = g.size // it was made so long: what is missing at its end counts as unreadable
	}
	g.end, g.gaps, err = scan(g.file, g.stamp, min(g.size, size), func(r *scanned) error {
		rec := foundRecord{header: r.header, off: r.off}
		if r.kind == kindMessage {
			var ok bool
			if rec.meta, _, ok = parseMessageMeta(r.meta); !ok {
				return nil
			}
		}
		v.note(g, &rec)
		return nil
	})
	g.keep = err != nil
	g.free = g.ring && g.end == dataStart
}

func (v *survey) readIndexed(g *surveyed) bool {
	b, end, ok := readIndex(g.file, g.stamp)
	if !ok {
		return false
	}
	var list []foundRecord
	for len(b) > 0 {
		e, rest, ok := parseIndexEntry(b)
		if !ok || e.off < dataStart || e.off+e.size() > end {
			return false
		}
		rec := foundRecord{header: e.header, off: e.off}
		if e.kind == kindMessage {
			if rec.meta, _, ok = parseMessageMeta(e.meta); !ok {
				return false
			}
		}
		list = append(list, rec)
		b = rest
	}
	for i := range list {
		v.note(g, &list[i])
	}
	g.end, g.indexed = end, true
	return true
}

// note takes up a record. Those of ring segments wait until all seals are
// known.
func (v *survey) note(g *surveyed, r *foundRecord) {
	v.maxLSN = max(v.maxLSN, r.lsn)
	if r.kind == kindSeal {
		epoch, end := r.sealed()
		v.maxEpoch = max(v.maxEpoch, epoch)
		v.seals[epoch] = append(v.seals[epoch], foundSeal{end, makeLoc(g.epoch, r.off)})
		return
	}
	v.maxID = max(v.maxID, r.id)
	if g.ring {
		g.records = append(g.records, *r)
	} else {
		v.apply(g, r)
	}
}

// apply merges a record: of a message any copy counts, of a state shard the
// latest.
func (v *survey) apply(g *surveyed, r *foundRecord) {
	id, at := message.ID(r.id), place{makeLoc(g.epoch, r.off), uint32(r.size())}
	switch r.kind {
	case kindMessage:
		if _, ok := v.cat.index[id]; !ok {
			v.cat.addMessage(id, at, r.meta.size, r.meta.rcpts, r.flags&flagBodyFile != 0)
		}
		v.cat.addCopy(g.segment, id)
	case kindState:
		key := stateKey{id, r.shard}
		if old, ok := v.states[key]; !ok || r.lsn > old.lsn {
			v.states[key] = foundState{at, r.lsn}
		}
	case kindDone:
		if _, ok := v.done[id]; !ok {
			v.done[id] = g.epoch
		}
	}
}

// merge finishes the catalog when all segments have been read.
func (v *survey) merge() {
	for _, g := range v.segs {
		seal, sealed := v.sealOf(g)
		for i := range g.records {
			if r := &g.records[i]; !sealed || r.off < seal.end {
				v.apply(g, r)
			}
		}
		g.records = nil
		v.judge(g, sealed, seal)
	}
	for key, st := range v.states {
		v.cat.setState(key.id, int(key.shard), st.place)
	}
	for id, epoch := range v.done {
		v.cat.kill(id, epoch)
	}
	if v.finished != nil {
		// What has ended stays so, even where its done record was on the way
		// from one segment to another and has been missed.
		for id := range v.finished {
			v.cat.kill(id, 0)
		}
		for id := range v.done {
			v.finished[id] = struct{}{}
		}
	}
	v.states, v.done, v.seals = nil, nil, nil
}

// sealOf returns the seal of a ring segment. One that is itself void, because
// the group it was in failed, says where the segment ends all the same, but
// has to be written again: its place is then zero.
func (v *survey) sealOf(g *surveyed) (seal foundSeal, sealed bool) {
	for _, f := range v.seals[g.epoch] {
		if !g.ring || f.end < dataStart || f.end > g.size {
			continue
		}
		holder := v.seals[f.loc.epoch()]
		if len(holder) > 0 && f.loc.offset() >= holder[0].end {
			f.loc = 0
		}
		if !sealed || seal.loc == 0 {
			seal, sealed = f, true
		}
	}
	return seal, sealed
}

// judge tells damage from a torn tail and settles where a segment ends.
func (v *survey) judge(g *surveyed, sealed bool, seal foundSeal) {
	limit := g.size
	if sealed {
		if seal.loc != 0 {
			v.cat.setSeal(g.segment, seal.loc)
		} else {
			g.sealPending = true
		}
		g.free, limit = false, seal.end
		g.end = seal.end
	} else if g.ring && !g.free {
		g.sealPending = true
	}
	for _, p := range g.gaps {
		if p.from >= limit || (p.tail && !sealed) {
			continue
		}
		v.damage = append(v.damage, damaged{g.segment, p.from, min(p.to, limit), fmt.Sprintf("no valid record of epoch %d", g.epoch)})
	}
	if g.keep {
		v.damage = append(v.damage, damaged{g.segment, 0, 0, "parts of the file cannot be read"})
	}
}

// changed reports whether segments have come, gone or got a new epoch since the
// survey began. If not, all of them have only been appended to, and nothing
// that was durable at its beginning has been missed.
func (v *survey) changed() bool {
	names, err := v.list()
	if v.moved || err != nil || len(names) != len(v.names) {
		return true
	}
	for _, name := range names {
		if _, ok := slices.BinarySearch(v.names, name); !ok {
			return true
		}
	}
	for _, g := range v.segs {
		if g.stale() {
			return true
		}
	}
	return false
}

// close closes all files.
func (v *survey) close() error {
	var errs []error
	for _, g := range v.segs {
		errs = append(errs, g.file.Close())
	}
	return errors.Join(errs...)
}
