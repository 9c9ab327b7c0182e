package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"postern/internal/eventid"
	"postern/internal/message"
)

// batch is records on their way to another segment. The recycler owns it.
type batch struct {
	records []carried
	buf     []byte // headers, metas and bodies, padded
	index   []byte
}

// carried is one record of a batch.
type carried struct {
	header
	from    loc
	at, len int // in buf
	to      loc
}

func (b *batch) reset() { *b = batch{records: b.records[:0], buf: b.buf[:0], index: b.index[:0]} }

func (b *batch) add(h *header, from loc, meta, body []byte) {
	at := len(b.buf)
	b.buf = append(b.buf, make([]byte, recordHeader)...)
	b.buf = append(b.buf, meta...)
	b.buf = append(b.buf, body...)
	for int64(len(b.buf)-at) < h.size() {
		b.buf = append(b.buf, 0)
	}
	b.records = append(b.records, carried{header: *h, from: from, at: at, len: len(b.buf) - at})
}

// evacuate copies what is live in a segment elsewhere and recycles it; false
// when that failed. Copies are durable before anything happens to the
// segment.
func (s *Store) evacuate(g *segment) bool {
	s.mu.Lock()
	live := g.live
	s.mu.Unlock()
	if live > 0 && !s.copyLive(g) {
		return false
	}
	if g.ring && !g.failed && g.size == s.segSize {
		return s.recycle(g)
	}
	return s.discard(g)
}

// copyLive copies the live records of a segment in batches.
func (s *Store) copyLive(g *segment) bool {
	var b batch
	limit := int(min(windowSize, s.segSize/4))
	here := make(map[uint64]uint32) // message records in this segment
	left := int64(0)                // live octets that need no copy
	errCopy := errors.New("copying failed")
	_, gaps, err := scan(g.file, g.stamp, g.end, func(r *scanned) error {
		if r.kind == kindMessage {
			here[r.id]++
		}
		from := makeLoc(g.epoch, r.off)
		s.mu.Lock()
		live := s.cat.live(&r.header, from, here[r.id])
		if !live && s.cat.live(&r.header, from, 0) {
			left += r.size() // a done record whose only copies are here
		}
		s.mu.Unlock()
		if !live {
			return nil
		}
		if len(b.buf) > 0 && len(b.buf)+int(r.size()) > limit && !s.flushBatch(&b) {
			return errCopy
		}
		b.add(&r.header, from, r.meta, r.body)
		return nil
	})
	if errors.Is(err, errCopy) || !s.flushBatch(&b) {
		return false
	}
	return s.rescue(g, gaps, err) && s.emptied(g, left)
}

// emptied reports whether nothing that is live has been left in a segment. It
// is the last look before the segment is recycled; that it finds something
// would be an error in this package, and then the segment stays.
func (s *Store) emptied(g *segment, left int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.live <= left {
		return true
	}
	s.failed("recycling a segment", fmt.Errorf("%s: %d octets are live and were not copied", g.name, g.live-left))
	g.keep = true
	return false
}

// rescue settles what could not be copied. Damage since the start is put
// aside, done records in it are written anew, and messages in it are given
// up. A segment that can't be read is kept as it is.
func (s *Store) rescue(g *segment, gaps []gap, err error) bool {
	if err == nil && len(gaps) == 0 {
		return true
	}
	if err != nil {
		s.mu.Lock()
		g.keep = true
		s.mu.Unlock()
		s.report(Damage{File: filepath.Join(segmentsDir, g.name), Reason: "cannot be read while it is recycled: " + err.Error()})
		return false
	}
	var b batch
	s.mu.Lock()
	for id, d := range s.cat.dead {
		if d.epoch == g.epoch {
			b.add(&header{kind: kindDone, id: uint64(id)}, makeLoc(g.epoch, 0), nil, nil)
		}
	}
	s.mu.Unlock()
	if !s.flushBatch(&b) {
		return false
	}
	for _, p := range gaps {
		s.putAside(damaged{g, p.from, p.to, "damaged since it was written"})
	}
	if g.keep {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.cat.stranded(g.epoch) {
		s.giveUpMessage(id, g)
	}
	return true
}

// giveUpMessage settles a message with a record that is gone. Without its
// message record it can't be delivered; without a state record its recipients
// count as pending, unless their state is in memory.
func (s *Store) giveUpMessage(id message.ID, g *segment) {
	e := s.cat.index[id]
	if e.msg.epoch() == g.epoch {
		s.o.Logger.Error("spool: a message is lost to damage; its record was put aside", eventid.SpoolMessageLost.Attr(), "id", id.String())
		s.cat.remove(id, &e)
		if h := s.cache.byID[id]; h != nil {
			h.dirty = nil
			s.cache.drop(h)
		}
		return
	}
	for i, p := range s.cat.states(id, &e) {
		if p.loc.epoch() != g.epoch {
			continue
		}
		s.cat.setState(id, i, place{})
		if h := s.cache.byID[id]; h != nil && h.state != nil {
			h.touch(uint16(i))
			if !h.queued {
				h.queued = true
				s.updates.dirty = append(s.updates.dirty, h)
			}
		}
	}
}

// flushBatch makes the copies durable and points the index to them. From the
// moment before the write they count as copies on disk, whatever becomes of
// the write.
func (s *Store) flushBatch(b *batch) bool {
	defer b.reset()
	for range maxFailures {
		if len(b.records) == 0 {
			return true
		}
		d := s.ensureDest(b)
		if d == nil {
			return false
		}
		s.place(b, d)
		if len(b.records) == 0 {
			return true
		}
		err := s.writeBatch(b, d)
		if err == nil {
			return true
		}
		s.abandonDest(d, err)
	}
	return false
}

// place drops from the batch what is no longer live, and gives the rest its
// place in d.
func (s *Store) place(b *batch, d *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.records = slices.DeleteFunc(b.records, func(r carried) bool {
		return r.from.offset() != 0 && !s.cat.live(&r.header, r.from, 0)
	})
	off := d.end
	b.index = b.index[:0]
	for i := range b.records {
		r := &b.records[i]
		r.put(b.buf[r.at:], d.stamp, off)
		r.to = makeLoc(d.epoch, off)
		b.index = appendIndexEntry(b.index, &r.header, off, b.buf[r.at+recordHeader:][:r.metaLen])
		off += int64(r.len)
		if r.kind == kindMessage {
			s.cat.addCopy(d, message.ID(r.id))
		}
	}
}

// writeBatch writes the batch to d with one sync.
func (s *Store) writeBatch(b *batch, d *segment) error {
	n := 0 // close the holes of what was dropped
	for i := range b.records {
		r := &b.records[i]
		copy(b.buf[n:], b.buf[r.at:r.at+r.len])
		r.at = n
		n += r.len
	}
	if _, err := d.file.WriteAt(b.buf[:n], d.end); err != nil {
		return err
	}
	if err := d.file.Sync(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.end += int64(n)
	d.index = append(d.index, b.index...)
	for i := range b.records {
		r := &b.records[i]
		if r.from.offset() == 0 {
			s.moveDone(message.ID(r.id), d.epoch, r.from.epoch())
			continue
		}
		s.cat.move(&r.header, r.from, r.to)
		s.stats.relocated++
	}
	return nil
}

// moveDone notes a done record that was written anew.
func (s *Store) moveDone(id message.ID, to, from uint32) {
	if d, ok := s.cat.dead[id]; ok && d.epoch == from {
		d.epoch = to
		s.cat.dead[id] = d
		s.cat.count(from, -recordHeader)
		s.cat.count(to, recordHeader)
	}
}

// ensureDest returns a segment with room for the batch: the present
// destination, a new cold segment, or, when the disk is full, a free ring
// segment. Nil when there is none.
func (s *Store) ensureDest(b *batch) *segment {
	if d := s.dest; d != nil {
		need := int64(len(b.buf))
		if !d.ring {
			need += int64(len(d.index)) + 2*recordHeader + trailerSize
			for i := range b.records { // at most this much of index for each
				need += recordHeader + int64(b.records[i].metaLen)
			}
		}
		if d.end+need <= d.size {
			return d
		}
		s.finishDest()
	}
	var d *segment
	if !s.diskFull {
		cold, err := s.newColdSegment()
		switch {
		case err == nil:
			d = cold
			s.mu.Lock()
			s.cat.segs[d.epoch] = d
			s.mu.Unlock()
		case isFull(err):
			s.diskFull = true
			return nil // another segment may be the better choice now
		default:
			s.mu.Lock()
			s.failed("making a segment", err)
			s.mu.Unlock()
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d == nil {
		if len(s.free) == 0 {
			return nil
		}
		d = s.free[0]
		s.free = s.free[1:]
	}
	d.dest = true
	s.dest = d
	return d
}

// finishDest ends the destination. A cold one gets its index.
func (s *Store) finishDest() {
	d := s.dest
	if d == nil {
		return
	}
	s.dest = nil
	if !d.ring {
		s.writeIndex(d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.dest, d.index = false, nil
	d.messages = slices.Clip(d.messages)
	if d.ring {
		d.sealPending = true
		s.seals = append(s.seals, d.epoch)
	}
}

// writeIndex ends a cold segment with its index and trailer. Without them the
// segment is read whole at the next start, so a failure costs time alone.
func (s *Store) writeIndex(d *segment) {
	h := header{kind: kindIndex, metaLen: uint32(len(d.index)), metaCRC: checksum(d.index)}
	b := make([]byte, h.size()+trailerSize)
	h.put(b, d.stamp, d.end)
	copy(b[recordHeader:], d.index)
	copy(b[h.size():], d.trailer(d.end))
	_, err := d.file.WriteAt(b, d.end)
	if err == nil {
		err = d.file.Sync()
	}
	if err != nil && !isFull(err) {
		s.mu.Lock()
		s.failed("writing the index of a segment", err)
		s.mu.Unlock()
	}
}

// abandonDest gives up a destination in which a write or sync failed. What was
// durable in it stays until it is evacuated.
func (s *Store) abandonDest(d *segment, err error) {
	s.dest = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	d.dest, d.index = false, nil
	if isFull(err) {
		s.diskFull = true // what is durable in it may well stay there
		return
	}
	s.failed("copying records", err)
	d.failed = true
}

// recycle gives a ring segment without live records a new epoch. The second
// copy of the header is written when the first is durable, so that one is
// always whole.
func (s *Store) recycle(g *segment) bool {
	epoch, err := s.meta.newEpoch()
	if err != nil {
		return false
	}
	fresh := &segment{epoch: epoch, name: g.name, file: g.file, stamp: newStamp(s.secret, epoch), ring: true, size: g.size, end: dataStart}
	b := segmentHeader{ring: true, epoch: epoch, secret: s.secret, size: g.size}.encode()
	for _, off := range []int64{0, headerCopy} {
		_, err := g.file.WriteAt(b, off)
		if err == nil {
			err = g.file.Sync()
		}
		if err != nil {
			s.mu.Lock()
			s.failed("recycling a segment", err)
			g.failed = true
			s.mu.Unlock()
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(g)
	s.cat.segs[epoch] = fresh
	s.addFree(fresh)
	return true
}

// discard removes a segment without live records. Its records count as gone
// when its name durably is.
func (s *Store) discard(g *segment) bool {
	dir := filepath.Join(s.dir, segmentsDir)
	err := s.fs.Remove(filepath.Join(dir, g.name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = s.fs.SyncDir(dir)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed("removing a segment", fmt.Errorf("%s: %w", g.name, err))
		return false
	}
	s.release(g)
	g.file.Close()
	return true
}

// release takes a segment out and waits for those who still read it: nobody
// finds it any more, and it is not written to before they are done.
func (s *Store) release(g *segment) {
	s.cat.forget(g)
	for g.readers > 0 {
		s.unpinned.Wait()
	}
}
