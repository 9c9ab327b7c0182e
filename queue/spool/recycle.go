package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// recycleLoop is the recycler: it makes room. docs/design/spool.md sections 6
// and 7 have its rules.
func (s *Store) recycleLoop() {
	timer := time.NewTimer(0) // the first attempt comes at once
	defer timer.Stop()
	var settled []chan struct{}
	for {
		select {
		case <-s.kickRecycler:
		case <-timer.C:
		case c := <-s.settle:
			settled = append(settled, c)
		case <-s.stopRecycler:
			s.takeBack()
			s.finishDest()
			return
		}
		if s.attempt() {
			timer.Reset(retryInterval)
		}
		for _, c := range settled {
			close(c)
		}
		settled = nil
	}
}

// attempt makes what room it can. It reports whether to try again soon.
func (s *Store) attempt() (again bool) {
	s.mu.Lock()
	s.passBegun++
	s.mu.Unlock()
	s.takeBack()
	s.diskFull = false
	if err := s.meta.replenish(); err != nil {
		s.mu.Lock()
		s.failed("raising the ceiling of ids", err)
		s.mu.Unlock()
		again = true
	}
	again = !s.removeBodies() || again
	again = !s.replenish() || again
	for !s.stopping() && s.wanting() {
		if !s.makeRoom() {
			break
		}
	}
	s.compact()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passEnded++
	s.offer()
	if len(s.free) > s.reserve() {
		s.noSpace = false
	} else {
		again = true
	}
	kick(s.kickCommitter)
	return again || s.noSpace || s.starving
}

// offer leaves the rest of a ring segment that took copies to outcomes that
// find no other room.
func (s *Store) offer() {
	if d := s.dest; s.starving && len(s.free) <= 1 && d != nil && d.ring && d.size-d.end >= int64(s.maxState)+recordHeader {
		s.dest, s.offered = nil, d
	}
}

// takeBack makes what was offered and not taken the destination again.
func (s *Store) takeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offered != nil {
		s.dest, s.offered = s.offered, nil
	}
}

func (s *Store) stopping() bool {
	select {
	case <-s.stopRecycler:
		return true
	default:
		return false
	}
}

// wanting reports whether there should be another free segment: one beyond
// the reserve is kept ready, and one to write to where none is in use, as after
// a start. Without it a store at rest would seem short of room, and mail that
// is refused for that makes none.
func (s *Store) wanting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready := s.reserve() + 1
	if s.active == nil {
		ready++
	}
	return len(s.free) < ready
}

// removeBodies removes the body files of messages that have ended; true when
// none is left.
func (s *Store) removeBodies() bool {
	s.mu.Lock()
	ids := s.unlink
	s.unlink = nil
	s.mu.Unlock()
	ok := true
	for _, id := range ids {
		if err := s.fs.Remove(s.bodies.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			ok = false
			s.mu.Lock()
			s.unlink = append(s.unlink, id)
			s.mu.Unlock()
		}
	}
	return ok
}

// ringCount and target are how many ring segments there are, and should be.
func (s *Store) ringCount() (n int) {
	for _, g := range s.cat.segs {
		if g.ring && !g.keep && !g.failed {
			n++
		}
	}
	return n
}

func (s *Store) target() int { return s.o.Segments + s.grown + s.reserve() - 1 }

// replenish makes ring segments until their number is right; false when that
// failed.
func (s *Store) replenish() bool {
	for !s.stopping() {
		s.mu.Lock()
		// With a full disk the copies of cold segments take ring segments.
		missing := s.ringCount() < s.target() || len(s.free) == 0 || s.starving && len(s.free) == 1
		s.mu.Unlock()
		if !missing {
			return true
		}
		if !s.addRingSegment() {
			return false
		}
	}
	return true
}

func (s *Store) addRingSegment() bool {
	g, err := s.newRingSegment()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if !isFull(err) {
			s.failed("making a segment", err)
		}
		return false
	}
	s.cat.segs[g.epoch] = g
	s.addFree(g)
	return true
}

func (s *Store) addFree(g *segment) {
	s.free = append(s.free, g)
	slices.SortFunc(s.free, byEpoch)
	s.gained++
	if len(s.free) > s.reserve() {
		s.noSpace = false
	}
	kick(s.kickCommitter)
}

// newRingSegment makes a preallocated segment: all of it is written with
// zeros, so that later writes allocate nothing.
func (s *Store) newRingSegment() (*segment, error) {
	if _, free, err := s.fs.Volume(s.dir); err == nil && free < s.segSize {
		return nil, fmt.Errorf("%w: %w", ErrNoSpace, errVolumeFull)
	}
	g, err := s.newSegment(true, newSuffix)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, segmentsDir)
	temp := filepath.Join(dir, g.name)
	err = func() error {
		zeros := make([]byte, min(s.segSize, windowSize))
		for off := int64(0); off < s.segSize; off += int64(len(zeros)) {
			if _, err := g.file.WriteAt(zeros[:min(int64(len(zeros)), s.segSize-off)], off); err != nil {
				return err
			}
		}
		if err := s.writeHeaders(g); err != nil {
			return err
		}
		if err := g.file.Sync(); err != nil {
			return err
		}
		g.name = segmentName(g.epoch, segmentSuffix)
		if err := s.fs.Rename(temp, filepath.Join(dir, g.name)); err != nil {
			return err
		}
		return s.fs.SyncDir(dir)
	}()
	if err != nil {
		g.file.Close()
		s.fs.Remove(temp)
		return nil, err
	}
	return g, nil
}

// newColdSegment makes a destination for what is copied. It grows as it is
// written. Its header is durable before anything is in it.
func (s *Store) newColdSegment() (*segment, error) {
	g, err := s.newSegment(false, segmentSuffix)
	if err != nil {
		return nil, err
	}
	err = s.writeHeaders(g)
	if err == nil {
		err = g.file.Sync()
	}
	if err == nil {
		err = s.fs.SyncDir(filepath.Join(s.dir, segmentsDir))
	}
	if err != nil {
		g.file.Close()
		s.fs.Remove(filepath.Join(s.dir, segmentsDir, g.name))
		return nil, err
	}
	return g, nil
}

var errVolumeFull = errors.New("the volume has no room for another segment")

// newSegment makes the file of a segment. Files are named by their first
// epoch, so that no name comes twice.
func (s *Store) newSegment(ring bool, suffix string) (*segment, error) {
	epoch, err := s.meta.newEpoch()
	if err != nil {
		return nil, err
	}
	g := &segment{epoch: epoch, stamp: newStamp(s.secret, epoch), ring: ring, size: s.segSize, end: dataStart, name: segmentName(epoch, suffix)}
	g.file, err = s.fs.OpenFile(filepath.Join(s.dir, segmentsDir, g.name), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	return g, err
}

func segmentName(epoch uint32, suffix string) string { return fmt.Sprintf("%08x%s", epoch, suffix) }

func (s *Store) writeHeaders(g *segment) error {
	b := segmentHeader{ring: g.ring, epoch: g.epoch, secret: s.secret, size: g.size}.encode()
	if _, err := g.file.WriteAt(b, 0); err != nil {
		return err
	}
	_, err := g.file.WriteAt(b, headerCopy)
	return err
}

// makeRoom frees one segment; false when it can't.
func (s *Store) makeRoom() bool {
	s.mu.Lock()
	g := s.victim()
	grow := g != nil && g.live > g.size/4 && s.o.Segments+s.grown < s.o.MaxSegments && !s.diskFull
	s.mu.Unlock()
	if g == nil {
		return false
	}
	if grow && s.roomy() {
		// Messages are still being worked on when their segment's turn comes:
		// a longer ring costs less than copying them.
		s.grown++
		if s.addRingSegment() {
			return true
		}
		s.grown--
	}
	if s.evacuate(g) {
		return true
	}
	if !s.diskFull {
		return false
	}
	// The disk turned out to be full: another segment may be the better one.
	s.mu.Lock()
	g = s.victim()
	s.mu.Unlock()
	return g != nil && s.evacuate(g)
}

// roomy reports whether the volume has plenty of room.
func (s *Store) roomy() bool {
	total, free, err := s.fs.Volume(s.dir)
	return err == nil && free > total/4 && free > 64*s.segSize
}

// victim chooses the segment that costs least to free. With a full disk only
// such count as gain something, cold ones too, since the copies take a ring
// segment.
func (s *Store) victim() (best *segment) {
	for _, g := range s.cat.segs {
		if g == s.active || g.dest || g.keep || g.used() == 0 && !g.failed && !g.voided() || s.isFree(g) {
			continue
		}
		if !s.diskFull && !g.ring || s.diskFull && !g.failed && !s.gains(g) {
			continue
		}
		if best == nil || victimOrder(g, best) < 0 {
			best = g
		}
	}
	return best
}

// gains reports whether something is gained by copying a segment to a ring
// segment. A cold one gives back room on the volume alone, so it must not take
// the last free segment.
func (s *Store) gains(g *segment) bool {
	filled, part := g.used(), int64(16)
	if g.cut {
		filled = g.size - dataStart
	}
	if s.starving {
		part = 128
	}
	if g.live > filled-filled/part {
		return false
	}
	d := s.dest
	return g.ring || g.live == 0 || len(s.free) > 1 || d != nil && d.ring && d.size-d.end >= g.live
}

// victimOrder puts failed segments first, then those with the least to copy,
// then the older.
func victimOrder(a, b *segment) int {
	if a.failed != b.failed {
		if a.failed {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.live, b.live), byEpoch(a, b))
}

func (s *Store) isFree(g *segment) bool { return slices.Contains(s.free, g) }

// voided reports whether a segment without valid records was in use.
func (g *segment) voided() bool { return g.seal != 0 || g.sealPending }

// compact merges and removes cold segments, and evacuates failed ones.
func (s *Store) compact() {
	_, free, err := s.fs.Volume(s.dir)
	merge := err == nil && free > 2*s.segSize
	for !s.stopping() {
		s.mu.Lock()
		g := s.compactable(merge && !s.diskFull)
		s.mu.Unlock()
		if g == nil || !s.evacuate(g) {
			return
		}
	}
}

// smallSegments is how many small cold segments there are before they are
// merged.
const smallSegments = 4

// compactable chooses a cold or failed segment whose records are better
// elsewhere: one that is under half live, or the smallest of several small
// ones. Small is an eighth of a segment: with their index several of them fit
// into one, and what they make together is not small.
func (s *Store) compactable(merge bool) *segment {
	var small []*segment
	for _, g := range s.cat.segs {
		if g.dest || g.keep || g == s.active {
			continue
		}
		if g.failed {
			return g
		}
		if g.ring {
			continue
		}
		if g.live == 0 {
			return g
		}
		if s.diskFull && len(s.free) <= s.reserve() {
			continue // the copies would take from the reserve
		}
		if g.live < g.used()/2 {
			return g
		}
		if g.live < (g.size-dataStart)/8 {
			small = append(small, g)
		}
	}
	if !merge || len(small) < smallSegments {
		return nil
	}
	return slices.MinFunc(small, victimOrder)
}
