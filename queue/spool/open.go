package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"postern/internal/eventid"
	"postern/internal/message"
)

// Open opens the spool in dir, making it if need be: it takes the lock, checks
// the version, reads what is there and puts aside what can't be read. It
// returns ErrLocked, ErrVersion, or what the file system said; damage is
// reported by Recovery and is no error.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	started := time.Now()
	s := &Store{
		fs: o.FS, dir: dir, o: o,
		kickCommitter: make(chan struct{}, 1), kickRecycler: make(chan struct{}, 1),
		settle: make(chan chan struct{}), stopRecycler: make(chan struct{}),
		opening: true,
	}
	s.unpinned.L = &s.mu
	if err := s.open(); err != nil {
		if !errors.Is(err, ErrVersion) {
			err = fmt.Errorf("opening the spool in %s: %w", dir, err)
		}
		return nil, err
	}
	s.recovery.Messages, s.recovery.Bytes = len(s.cat.index), s.cat.bytes
	s.recovery.Took = time.Since(started)
	s.opening = false
	s.committer.Go(s.commitLoop)
	s.recycler.Go(s.recycleLoop)
	return s, nil
}

// open does the work of Open in the order of docs/design/spool.md section 8.
func (s *Store) open() (err error) {
	if err := s.checkOwner(); err != nil {
		return err
	}
	if _, err := checkVersion(s.fs, s.dir); err != nil {
		return err
	}
	if err := s.fs.MkdirAll(s.dir); err != nil {
		return err
	}
	s.lock, err = s.fs.Lock(filepath.Join(s.dir, lockName))
	if err != nil {
		return err
	}
	v := &survey{fs: s.fs, dir: s.dir, flag: os.O_RDWR}
	defer func() {
		if err != nil {
			v.close()
			if s.meta.f != nil {
				s.meta.f.Close()
			}
			s.lock.Close()
		}
	}()
	versioned, err := checkVersion(s.fs, s.dir)
	if err != nil {
		return err
	}
	if f, data, ok := s.peekMeta(); ok {
		v.secret, s.meta.data = data.secret, data
		s.meta.f = f
	}
	if len(s.o.Ask) > 0 {
		v.finished = make(map[message.ID]struct{})
	}
	if err := v.run(); err != nil {
		return err
	}
	if err := s.prepare(v); err != nil {
		return err
	}
	if err := s.adopt(v); err != nil {
		return err
	}
	for _, id := range s.o.Ask {
		_, stored := s.cat.index[id]
		if _, ended := v.finished[id]; stored || ended {
			s.recovery.Stored = append(s.recovery.Stored, id)
		}
	}
	if err := s.furnish(); err != nil {
		return err
	}
	if !versioned {
		return writeVersion(s.fs, s.dir)
	}
	return nil
}

// checkOwner refuses a spool that belongs to somebody else: files we made in
// it would be in its owner's way.
func (s *Store) checkOwner() error {
	for _, path := range []string{s.dir, filepath.Join(s.dir, versionName)} {
		fi, err := s.fs.Stat(path)
		if err != nil {
			continue // opening it will say what is wrong
		}
		if path == s.dir && !fi.IsDir() {
			return errors.New("not a directory")
		}
		uid, ok := owner(fi)
		if !ok || uid == os.Geteuid() || (os.Geteuid() == 0 && path == s.dir) {
			continue // root may prepare an empty directory of another's
		}
		return fmt.Errorf("%s belongs to user id %d and this process runs as %d: run it as that user, or change the owner of the directory", path, uid, os.Geteuid())
	}
	return nil
}

// peekMeta opens the meta file if it is there and valid.
func (s *Store) peekMeta() (File, metaData, bool) {
	f, err := s.fs.OpenFile(filepath.Join(s.dir, metaName), os.O_RDWR)
	if err != nil {
		return nil, metaData{}, false
	}
	data, ok := readMeta(f)
	if !ok {
		f.Close()
		return nil, metaData{}, false
	}
	return f, data, true
}

// prepare makes what is missing besides segments: directories and meta.
func (s *Store) prepare(v *survey) error {
	for _, name := range []string{segmentsDir, bodiesDir} {
		if err := s.fs.MkdirAll(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	if s.meta.f == nil {
		if err := s.makeMeta(v); err != nil {
			return err
		}
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	data := &s.meta.data
	s.secret, s.segSize = data.secret, data.segmentSize
	s.meta.nextEpoch = max(data.epochLimit, v.maxEpoch+1)
	s.meta.lastID = max(data.idCeiling, v.maxID)
	s.lsn = v.maxLSN
	s.maxRecord = (s.segSize - dataStart) / 2
	s.maxState = int(min(s.segSize/8, 64<<10))
	s.inline = min(s.o.InlineSize, s.segSize/8)
	s.bodies.init(s.fs, filepath.Join(s.dir, bodiesDir))
	return nil
}

// makeMeta makes the meta file anew: at the first start, or when both slots
// are damaged. In that case ids go on above everything that may have been
// given out.
func (s *Store) makeMeta(v *survey) error {
	data := metaData{seq: 1, secret: v.secret, epochLimit: v.maxEpoch + 1}
	if v.secret == 0 {
		data.secret = newSecret()
		// Ids begin with the clock: what is logged of an earlier spool has ids, too.
		data.idCeiling = idAt(time.Now())
	} else {
		data.idCeiling = max(v.maxID, idAt(time.Now())) + idSpan(2*idReserve)
		s.report(Damage{File: metaName, Length: 2 * metaSlot, Reason: "no valid slot: made anew from the segments"})
	}
	for _, g := range v.segs {
		if g.ring {
			data.segmentSize = g.size
		}
	}
	if data.segmentSize == 0 {
		var err error
		if data.segmentSize, err = s.chooseSize(); err != nil {
			return err
		}
	}
	f, _, _, err := openMeta(s.fs, s.dir)
	if err != nil {
		return err
	}
	s.meta.f, s.meta.data = f, data
	return createMeta(f, data)
}

// chooseSize scales segments so that a new spool takes at most a fifth of the
// volume.
func (s *Store) chooseSize() (int64, error) {
	size := s.o.SegmentSize
	if total, _, err := s.fs.Volume(s.dir); err == nil && total > 0 {
		size = min(size, (total/5-dirRoom)/int64(s.o.Segments))
	}
	size = min(size, maxSegmentSize) &^ 4095
	if size < minSegmentSize {
		return 0, fmt.Errorf("%w: segments of %d octets would be too small; give the spool a larger volume", ErrNoSpace, size)
	}
	return size, nil
}

// dirRoom is what directories and the small files of an empty spool take.
const dirRoom = 64 << 10

// adopt takes over what the survey found.
func (s *Store) adopt(v *survey) error {
	s.cat = v.cat
	s.cache.init()
	// After a crash of the process the page cache may hold what the disk does
	// not: nothing is decided from it before it is durable.
	for _, g := range v.segs {
		if g.keep {
			continue
		}
		if err := g.file.Sync(); err != nil {
			return fmt.Errorf("syncing %s: %w", g.name, err)
		}
	}
	if err := s.fs.SyncDir(filepath.Join(s.dir, segmentsDir)); err != nil {
		return err
	}
	for _, d := range v.damage {
		s.putAside(d)
	}
	for _, name := range v.orphaned {
		s.setAsideFile(filepath.Join(segmentsDir, name), "no valid segment header and no record")
	}
	for _, name := range v.junk {
		if err := s.fs.Remove(filepath.Join(s.dir, segmentsDir, name)); err != nil {
			s.o.Logger.Warn("spool: removing a leftover", eventid.SpoolLeftover.Attr(), "file", name, "error", err)
		}
	}
	for _, g := range v.segs {
		if g.free {
			s.free = append(s.free, g.segment)
		}
		if g.sealPending {
			g.cut = g.ring
			s.seals = append(s.seals, g.epoch)
		}
		g.messages = slices.Clip(g.messages)
	}
	slices.SortFunc(s.free, byEpoch)
	s.trim()
	return s.sweepBodies(len(v.damage) > 0 || len(v.orphaned) > 0)
}

func byEpoch(a, b *segment) int { return int(int64(a.epoch) - int64(b.epoch)) }

// trim removes free segments that an earlier run needed and this one does not.
func (s *Store) trim() {
	for s.ringCount() > s.target() && len(s.free) > s.reserve()+1 {
		g := s.free[len(s.free)-1]
		if s.fs.Remove(filepath.Join(s.dir, segmentsDir, g.name)) != nil {
			return
		}
		g.file.Close()
		s.free = s.free[:len(s.free)-1]
		delete(s.cat.segs, g.epoch)
	}
}

// furnish makes the first segments of an empty spool; the recycler makes the
// rest.
func (s *Store) furnish() error {
	for s.ringCount() < min(2, s.target()) {
		g, err := s.newRingSegment()
		if err != nil {
			if s.ringCount() > 0 || len(s.cat.segs) > 0 {
				return nil // the recycler keeps trying
			}
			return err
		}
		s.cat.segs[g.epoch] = g
		s.free = append(s.free, g)
	}
	return nil
}

// sweepBodies removes body files without message and puts messages without
// body file aside. When records were damaged, files without message are kept:
// their records may be among them.
func (s *Store) sweepBodies(keep bool) error {
	present, err := s.bodies.list()
	if err != nil {
		return err
	}
	for id, path := range present {
		if e, ok := s.cat.index[id]; ok && e.flags&entryBodyFile != 0 {
			continue
		}
		if keep {
			s.setAsideFile(path, "a body file without message, and there is damage")
		} else if err := s.fs.Remove(filepath.Join(s.dir, path)); err == nil {
			s.recovery.Orphans++
		}
	}
	for id, e := range s.cat.index {
		if e.flags&entryBodyFile == 0 {
			continue
		}
		if path, ok := present[id]; ok {
			if fi, err := s.fs.Stat(filepath.Join(s.dir, path)); err != nil || fi.Size() == e.size {
				continue
			}
		}
		s.expel(id, e, "its body file is missing or has the wrong length")
	}
	return nil
}

// expel puts the record of a message aside that can't be delivered any more.
func (s *Store) expel(id message.ID, e entry, reason string) {
	if g := s.cat.segs[e.msg.epoch()]; g != nil {
		s.putAside(damaged{g, e.msg.offset(), e.msg.offset() + int64(e.msgLen), "message " + id.String() + ": " + reason})
	}
	s.cat.remove(id, &e)
}
