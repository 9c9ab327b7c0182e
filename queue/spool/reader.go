package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"postern/internal/message"
)

// Reader looks at a spool's directory without using it: it takes no lock and
// writes nothing, so it works on a damaged spool, on a read-only copy, and
// beside a running server, of which it sees about the moment it was opened.
// Its methods are safe for concurrent use.
type Reader struct {
	// The store has no goroutines and no lock; it is read from alone.
	s       *Store
	summary Summary
	damage  []Damage
	raw     []damaged
	orphans []message.ID
}

// ReaderOptions are the settings of a Reader. The zero value works.
type ReaderOptions struct {
	// FS is the file system; nil means the operating system's.
	FS FS
	// AnyVersion reads what can be understood of a spool that a newer version
	// wrote, instead of returning ErrVersion.
	AnyVersion bool
}

// Summary describes a spool that is only looked at. Sizes are in octets.
type Summary struct {
	Directory string `json:"directory"`
	Messages  int    `json:"messages"`
	Bytes     int64  `json:"bytes"`
	// Segments counts all segments that could be read, RingSegments and
	// ColdSegments their kinds, FreeSegments the ring segments without
	// records.
	Segments     int   `json:"segments"`
	RingSegments int   `json:"ring_segments"`
	FreeSegments int   `json:"free_segments"`
	ColdSegments int   `json:"cold_segments"`
	SegmentSize  int64 `json:"segment_size"`
	// BodyFiles counts content in files of their own, Orphans those of them
	// that belong to no message.
	BodyFiles int `json:"body_files"`
	Orphans   int `json:"orphans"`
	// Damaged counts stretches that can't be read.
	Damaged int `json:"damaged"`
}

// OpenReader reads the records in dir. It returns ErrVersion for a spool of a
// newer version unless told otherwise, and what the file system said when dir
// is no spool or can't be read.
func OpenReader(dir string, o ReaderOptions) (*Reader, error) {
	if o.FS == nil {
		o.FS = OS()
	}
	v := &survey{fs: o.FS, dir: dir, flag: os.O_RDONLY, tolerant: o.AnyVersion}
	if _, err := o.FS.ReadDir(filepath.Join(dir, segmentsDir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("spool: %s is no spool: it has no directory %s", dir, segmentsDir)
	}
	if _, err := checkVersion(o.FS, dir); err != nil && (!o.AnyVersion || !errors.Is(err, ErrVersion)) {
		return nil, err
	}
	if f, err := o.FS.OpenFile(filepath.Join(dir, metaName), os.O_RDONLY); err == nil {
		if m, ok := readMeta(f); ok {
			v.secret = m.secret
		}
		f.Close()
	}
	if err := v.run(); err != nil {
		v.close()
		return nil, fmt.Errorf("spool: reading %s: %w", dir, err)
	}
	return newReader(v, o.FS)
}

func newReader(v *survey, fsys FS) (*Reader, error) {
	s := &Store{fs: fsys, dir: v.dir, o: Options{FS: fsys}.withDefaults(), secret: v.secret, cat: v.cat}
	s.unpinned.L = &s.mu
	s.cache.init()
	s.bodies.init(fsys, filepath.Join(v.dir, bodiesDir))
	r := &Reader{s: s, raw: v.damage}
	r.summary = Summary{Directory: v.dir, Messages: len(s.cat.index), Bytes: s.cat.bytes, Segments: len(v.segs)}
	for _, g := range v.segs {
		r.summary.SegmentSize = max(r.summary.SegmentSize, g.size)
		switch {
		case g.ring && g.free:
			r.summary.FreeSegments++
			fallthrough
		case g.ring:
			r.summary.RingSegments++
		default:
			r.summary.ColdSegments++
		}
	}
	for _, d := range v.damage {
		r.damage = append(r.damage, Damage{File: filepath.Join(segmentsDir, d.seg.name), Offset: d.from, Length: d.to - d.from, Reason: d.reason})
	}
	for _, name := range v.orphaned {
		r.damage = append(r.damage, Damage{File: filepath.Join(segmentsDir, name), Reason: "no segment header that this version can read"})
	}
	if err := r.lookAtBodies(); err != nil {
		v.close()
		return nil, err
	}
	r.summary.Damaged = len(r.damage)
	return r, nil
}

// lookAtBodies compares body files with the messages that should have one.
func (r *Reader) lookAtBodies() error {
	present, err := r.s.bodies.list()
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	r.summary.BodyFiles = len(present)
	for id := range present {
		if e, ok := r.s.cat.index[id]; !ok || e.flags&entryBodyFile == 0 {
			r.orphans = append(r.orphans, id)
		}
	}
	slices.Sort(r.orphans)
	r.summary.Orphans = len(r.orphans)
	for id, e := range r.s.cat.index {
		if _, ok := present[id]; !ok && e.flags&entryBodyFile != 0 {
			r.damage = append(r.damage, Damage{File: r.s.bodyName(id), Length: e.size, Reason: "the body file of message " + id.String() + " is missing"})
		}
	}
	return nil
}

// bodyName is the path of a body file within the spool's directory.
func (s *Store) bodyName(id message.ID) string {
	path := s.bodies.path(id)
	return filepath.Join(bodiesDir, filepath.Base(filepath.Dir(path)), filepath.Base(path))
}

// Summary returns figures about the spool.
func (r *Reader) Summary() Summary { return r.summary }

// Damage lists what can't be read.
func (r *Reader) Damage() []Damage { return slices.Clone(r.damage) }

// Messages goes through all messages in the order of their ids. A message that
// can't be read comes with its id and an error.
func (r *Reader) Messages() iter.Seq2[Entry, error] {
	ids := make([]message.ID, 0, len(r.s.cat.index))
	for id := range r.s.cat.index {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return func(yield func(Entry, error) bool) {
		for _, id := range ids {
			e, err := r.s.Load(id)
			if err != nil {
				e.ID = id
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Content opens a message's content, as Store.Content does.
func (r *Reader) Content(id message.ID) (message.Content, error) { return r.s.Content(id) }

// Close ends the use of the Reader.
func (r *Reader) Close() error {
	var errs []error
	for _, g := range r.s.cat.segs {
		errs = append(errs, g.file.Close())
	}
	return errors.Join(errs...)
}
