package spool

import (
	"errors"
	"io"
)

// scanned is one record as a scan hands it out. meta and body are valid until
// the next one.
type scanned struct {
	header
	off        int64
	meta, body []byte
}

// gap is a stretch of a segment without valid records. tail says that no valid
// record follows.
type gap struct {
	from, to int64
	tail     bool
}

// scan reads the records of a segment between dataStart and limit in order and
// calls fn for each. Where there is no valid record it searches for the next
// one that is valid in full, and reports what it passed over. end is where the
// last valid record ends. err is fn's, or errUnreadable when parts could not
// be read; these are passed over like damage.
func scan(f io.ReaderAt, st stamp, limit int64, fn func(*scanned) error) (end int64, gaps []gap, err error) {
	w := window{f: f, limit: limit}
	end = dataStart
	for off := int64(dataStart); off+recordHeader <= limit; {
		r, ok := w.record(st, off)
		if !ok {
			next, found := w.search(st, off+recordAlign)
			if !found {
				break
			}
			gaps = append(gaps, gap{from: off, to: next})
			off = next
			continue
		}
		if err := fn(&r); err != nil {
			return end, gaps, err
		}
		off += r.size()
		end = off
	}
	if end < limit {
		gaps = append(gaps, gap{from: end, to: limit, tail: true})
	}
	return end, gaps, w.err
}

// window reads a file through a buffer that moves forward.
type window struct {
	f     io.ReaderAt
	limit int64
	off   int64
	buf   []byte
	err   error
}

const (
	windowSize = 1 << 20
	// blockSize is the grain in which unreadable places are passed over.
	blockSize = 4096
)

// get returns n octets at off. The caller has checked that they are within
// the limit.
func (w *window) get(off, n int64) []byte {
	if off < w.off || off+n > w.off+int64(len(w.buf)) {
		w.load(off, max(n, min(windowSize, w.limit-off)))
	}
	return w.buf[off-w.off : off-w.off+n]
}

// load fills the buffer. What can't be read is zero, and noted.
func (w *window) load(off, n int64) {
	if int64(cap(w.buf)) < n {
		w.buf = make([]byte, n)
	}
	w.off, w.buf = off, w.buf[:n]
	got, err := w.f.ReadAt(w.buf, off)
	clear(w.buf[got:])
	if err == nil || errors.Is(err, io.EOF) {
		return
	}
	for at := int64(got); at < n; {
		step := min(n-at, blockSize-(off+at)%blockSize)
		got, err := w.f.ReadAt(w.buf[at:at+step], off+at)
		if int64(got) < step && !errors.Is(err, io.EOF) {
			clear(w.buf[at : at+step])
			w.err = errUnreadable
		}
		at += step
	}
}

// record returns the record at off if it is valid in full.
func (w *window) record(st stamp, off int64) (r scanned, ok bool) {
	if off+recordHeader > w.limit {
		return r, false
	}
	h, ok := st.parse(w.get(off, recordHeader), off)
	if !ok || h.size() > w.limit-off {
		return r, false
	}
	b := w.get(off, h.size())[recordHeader:]
	r = scanned{header: h, off: off, meta: b[:h.metaLen], body: b[h.metaLen : h.metaLen+h.bodyLen]}
	return r, checksum(r.meta) == h.metaCRC && checksum(r.body) == h.bodyCRC
}

// search finds the next valid record at or after off.
func (w *window) search(st stamp, off int64) (int64, bool) {
	for ; off+recordHeader <= w.limit; off += recordAlign {
		if !looksLikeRecord(w.get(off, recordHeader)) {
			continue
		}
		if _, ok := w.record(st, off); ok {
			return off, true
		}
	}
	return 0, false
}
