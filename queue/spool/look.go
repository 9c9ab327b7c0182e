package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/internal/message"
)

const (
	// confirmations is in how many looks in a row something has to be wrong
	// before it is damage and nothing that a server is in the middle of.
	confirmations = 3
	// maxLooks bounds how often the directory is read for one picture of it.
	maxLooks = 10
	// firstPause is the pause between the first two looks; it doubles up to
	// lastPause.
	firstPause = 20 * time.Millisecond
	lastPause  = 160 * time.Millisecond
	// arriving is how long a body file without a record may lie unchanged and
	// still belong to a message that is being received: no client may be
	// silent for longer than the ten minutes of RFC 5321 4.5.3.2.6.
	arriving = 15 * time.Minute
)

// look is what reading the directory once has found.
type look struct {
	s        *Store // without goroutines and lock; it is read from alone
	v        *survey
	settled  bool // no segment has changed while it was read
	suspects map[suspect]finding
	bodies   int
}

// suspect is something that seems wrong, as it is recognised in the next look.
type suspect struct {
	name   string
	epoch  uint32
	offset int64
	reason string
}

// finding is what a suspect is reported as when it is confirmed.
type finding struct {
	damage  Damage
	raw     damaged    // of a stretch of a segment
	missing message.ID // of a body file that is not there
	orphan  message.ID // of a body file that is too many: no damage
	young   bool       // it may belong to a message that is being received
	times   int        // in how many looks in a row it has been seen
}

// broken reports whether records may have been lost with what was found.
func (f *finding) broken() bool { return f.missing == 0 && f.orphan == 0 }

// looker reads a directory, beside a server too.
type looker struct {
	fs       FS
	dir      string
	tolerant bool
	finished map[message.ID]struct{} // by any look so far: ids come once
}

// settle looks until what it has found can be relied on: all segments were
// read in one use, and what seems wrong has seemed so in several looks. It
// ends after maxLooks in any case, with the last look and what is confirmed of
// its suspects.
func (l *looker) settle(done func(*look) bool) (*look, error) {
	var last *look
	pause := firstPause
	for n := 1; ; n++ {
		now, err := l.look()
		if err != nil {
			if last != nil {
				last.close()
			}
			return nil, err
		}
		for key, f := range now.suspects {
			if f.times = 1; last != nil {
				f.times += last.suspects[key].times
			}
			now.suspects[key] = f
		}
		if last != nil {
			last.close()
		}
		if now.settled && done(now) || n == maxLooks {
			return now, nil
		}
		last = now
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
	}
}

// certain reports whether everything that seems wrong is confirmed.
func (k *look) certain() bool {
	waiting, broken := false, false
	for _, f := range k.suspects {
		waiting = waiting || f.times < confirmations && !f.young
		broken = broken || f.broken()
	}
	if broken { // then young orphans count too
		for _, f := range k.suspects {
			waiting = waiting || f.times < confirmations
		}
	}
	return !waiting
}

// confirmed returns what is wrong, in the order of names and offsets. Young
// orphans are among it only where records have been lost.
func (k *look) confirmed() (list []finding) {
	broken := false
	for _, f := range k.suspects {
		if f.times >= confirmations {
			list = append(list, f)
			broken = broken || f.broken()
		}
	}
	list = slices.DeleteFunc(list, func(f finding) bool { return f.young && !broken })
	slices.SortFunc(list, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.damage.File, b.damage.File), cmp.Compare(a.damage.Offset, b.damage.Offset))
	})
	return list
}

func (k *look) close() error { return k.v.close() }

// look reads the directory once.
func (l *looker) look() (*look, error) {
	v := &survey{fs: l.fs, dir: l.dir, flag: os.O_RDONLY, tolerant: l.tolerant, beside: true, finished: l.finished}
	if f, err := l.fs.OpenFile(filepath.Join(l.dir, metaName), os.O_RDONLY); err == nil {
		if m, ok := readMeta(f); ok {
			v.secret = m.secret
		}
		f.Close()
	}
	k := &look{v: v, suspects: make(map[suspect]finding)}
	err := v.run()
	if err == nil {
		k.s = &Store{fs: l.fs, dir: l.dir, o: Options{FS: l.fs}.withDefaults(), secret: v.secret, cat: v.cat}
		k.s.unpinned.L = &k.s.mu
		k.s.cache.init()
		k.s.bodies.init(l.fs, filepath.Join(l.dir, bodiesDir))
		err = k.suspectBodies()
	}
	if err != nil {
		k.close()
		return nil, fmt.Errorf("spool: reading %s: %w", l.dir, err)
	}
	k.suspectSegments()
	k.settled = !v.changed()
	return k, nil
}

// suspectSegments notes what can't be read of the segments.
func (k *look) suspectSegments() {
	for _, d := range k.v.damage {
		k.add(d.seg.epoch, finding{raw: d, damage: Damage{
			File: filepath.Join(segmentsDir, d.seg.name), Offset: d.from, Length: d.to - d.from, Reason: d.reason,
		}})
	}
	for _, name := range k.v.orphaned {
		k.add(0, finding{damage: Damage{File: filepath.Join(segmentsDir, name), Reason: "no segment header that this version can read"}})
	}
}

// suspectBodies compares body files with the messages that should have one.
// They are listed after the records were read. What is missing belongs to a
// message that has ended since, or is damage; its done record was durable
// before its file went, so the next look finds it. What is too many belongs to
// a message that is arriving, that has just been committed, or that has just
// ended; when nothing is damaged only one that has long been left alone may
// have lost its record.
func (k *look) suspectBodies() error {
	present, err := k.s.bodies.list()
	if err != nil {
		return err
	}
	k.bodies = len(present)
	for id, path := range present {
		e, ok := k.s.cat.index[id]
		_, ended := k.v.finished[id]
		if ok && e.flags&entryBodyFile != 0 || ended {
			continue
		}
		k.add(0, finding{orphan: id, young: k.arriving(path), damage: Damage{File: path}})
	}
	for id, e := range k.s.cat.index {
		if _, ok := present[id]; !ok && e.flags&entryBodyFile != 0 {
			k.add(0, finding{missing: id, damage: Damage{
				File: k.s.bodyName(id), Length: e.size, Reason: "the body file of message " + id.String() + " is missing",
			}})
		}
	}
	return nil
}

// arriving reports whether a body file without a record may be that of a
// message that is being received. One that has gone meanwhile was.
func (k *look) arriving(path string) bool {
	fi, err := k.s.fs.Stat(filepath.Join(k.s.dir, path))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return time.Since(fi.ModTime()) < arriving
}

func (k *look) add(epoch uint32, f finding) {
	k.suspects[suspect{f.damage.File, epoch, f.damage.Offset, f.damage.Reason}] = f
}

// stale reports whether a record of a message stands in a segment that has
// been put to another use since.
func (k *look) stale(id message.ID) bool {
	e, ok := k.s.cat.index[id]
	if !ok {
		return false
	}
	for _, at := range append(k.s.cat.states(id, &e), place{e.msg, e.msgLen}) {
		if g := k.s.cat.segs[at.loc.epoch()]; g != nil && g.stale() {
			return true
		}
	}
	return false
}

// ids returns the messages in order.
func (k *look) ids() []message.ID { return slices.Sorted(maps.Keys(k.s.cat.index)) }

// bodyName is the path of a body file within the spool's directory.
func (s *Store) bodyName(id message.ID) string {
	path := s.bodies.path(id)
	return filepath.Join(bodiesDir, filepath.Base(filepath.Dir(path)), filepath.Base(path))
}
