package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"sync"

	"postern/internal/message"
)

// Reader looks at a spool's directory without using it: it takes no lock and
// writes nothing, so it works on a damaged spool, on a read-only copy, and
// beside a running server, of which it sees about the moment it was opened.
// What the server changes while it is read is read again where it is by then.
// Its methods are safe for concurrent use.
type Reader struct {
	looker  looker
	summary Summary
	damage  []Damage
	raw     []damaged
	orphans []message.ID
	missing map[message.ID]bool // messages without their body file
	ids     []message.ID
	first   *look // raw is in its segments

	again sync.Mutex   // held while looking again; guards looker
	mu    sync.RWMutex // held for reading while now is used
	now   *look
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
	// that belong to no message and to none that is just arriving or ending.
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
	if _, err := o.FS.ReadDir(filepath.Join(dir, segmentsDir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("spool: %s is no spool: it has no directory %s", dir, segmentsDir)
	}
	if _, err := checkVersion(o.FS, dir); err != nil && (!o.AnyVersion || !errors.Is(err, ErrVersion)) {
		return nil, err
	}
	r := &Reader{
		looker:  looker{fs: o.FS, dir: dir, tolerant: o.AnyVersion, finished: make(map[message.ID]struct{})},
		missing: make(map[message.ID]bool),
	}
	k, err := r.looker.settle((*look).certain)
	if err != nil {
		return nil, err
	}
	r.first, r.now, r.ids = k, k, k.ids()
	r.take(k)
	return r, nil
}

// take notes what a look has found.
func (r *Reader) take(k *look) {
	for _, f := range k.confirmed() {
		switch {
		case f.orphan != 0:
			r.orphans = append(r.orphans, f.orphan)
			continue
		case f.missing != 0:
			r.missing[f.missing] = true
		case f.raw.seg != nil:
			r.raw = append(r.raw, f.raw)
		}
		r.damage = append(r.damage, f.damage)
	}
	slices.Sort(r.orphans)
	r.summary = Summary{
		Directory: r.looker.dir, Messages: len(r.ids), Bytes: k.s.cat.bytes, Segments: len(k.v.segs),
		BodyFiles: k.bodies, Orphans: len(r.orphans), Damaged: len(r.damage),
	}
	for _, g := range k.v.segs {
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
}

// read calls fn with what is known of the directory. If fn fails since the
// message has moved or ended meanwhile, the directory is read anew and fn
// called again. ErrNotFound means that the message has ended.
func (r *Reader) read(id message.ID, fn func(*Store) error) error {
	for n := 1; ; n++ {
		r.mu.RLock()
		k := r.now
		err := fn(k.s)
		retry := err != nil && r.outdated(k, id, err, n)
		r.mu.RUnlock()
		if !retry {
			return err
		}
		ended, lookErr := r.lookAgain(k, id)
		if lookErr != nil {
			return errors.Join(err, lookErr)
		}
		if ended {
			return ErrNotFound
		}
	}
}

// outdated reports whether the nth attempt to read a message failed because of
// what a server may have done since the look.
func (r *Reader) outdated(k *look, id message.ID, err error, n int) bool {
	switch {
	case errors.Is(err, ErrNotFound): // a look that is not settled may have missed it
		return !k.settled && n < confirmations
	case errors.Is(err, fs.ErrNotExist): // the body file
		return !r.missing[id] && n < confirmations
	}
	return n < maxLooks && k.stale(id)
}

// lookAgain replaces what is known by something newer than old, and reports
// whether a message is known to have ended.
func (r *Reader) lookAgain(old *look, id message.ID) (ended bool, err error) {
	r.again.Lock()
	defer r.again.Unlock()
	if _, ended = r.looker.finished[id]; ended || r.now != old {
		return ended, nil
	}
	k, err := r.looker.settle(func(*look) bool { return true })
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != r.first {
		r.now.close()
	}
	r.now = k
	_, ended = r.looker.finished[id]
	return ended, nil
}

// Summary returns figures about the spool.
func (r *Reader) Summary() Summary { return r.summary }

// Damage lists what can't be read; the list is empty, not nil, when there is
// nothing.
func (r *Reader) Damage() []Damage { return append([]Damage{}, r.damage...) }

// Messages goes through all messages in the order of their ids. A message that
// can't be read comes with its id and an error. One that a server has finished
// since the Reader was opened may be left out.
func (r *Reader) Messages() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, id := range r.ids {
			e, err := r.load(id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				e.ID = id
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (r *Reader) load(id message.ID) (e Entry, err error) {
	err = r.read(id, func(s *Store) (err error) {
		e, err = s.Load(id)
		return err
	})
	return e, err
}

// Content opens a message's content, as Store.Content does. What is opened
// stays readable when the message ends. It returns ErrNotFound for a message
// that has ended.
func (r *Reader) Content(id message.ID) (c message.Content, err error) {
	err = r.read(id, func(s *Store) (err error) {
		e, ok := s.cat.index[id]
		switch {
		case !ok:
			err = ErrNotFound
		case e.flags&entryBodyFile != 0:
			c, err = s.Content(id)
		default:
			// Of a record that is read piece by piece a server might
			// overwrite the rest.
			c, err = s.readWhole(id, place{e.msg, e.msgLen})
		}
		return err
	})
	return c, err
}

// Close ends the use of the Reader.
func (r *Reader) Close() error {
	r.again.Lock()
	defer r.again.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.now.close()
	if r.first != r.now {
		err = errors.Join(err, r.first.close())
	}
	return err
}
