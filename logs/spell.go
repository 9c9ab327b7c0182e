package logs

import "fmt"

// spell keeps track of trouble, so that it is reported once when it begins and
// once when it is over. It belongs to writer.run.
type spell struct {
	w *writer
	// on says that trouble is reported and not over; failing, that a write
	// failed; dropping, that lines were dropped since the queue was last
	// drained.
	on, failing, dropping bool
	// base is the number of lines dropped before the spell, seen the number
	// that this spell has noticed.
	base, seen int64
}

// failed hears of a write that failed.
func (s *spell) failed(err error) {
	s.failing = true
	s.begin(fmt.Errorf("%s log: %w; up to %d octets of lines wait in memory, those beyond are dropped, and writing is tried again every %v",
		s.w.kind, err, maxPending, retryDelay))
}

// written hears of a chunk that was written. A disk that is merely slow shows in
// lines that were dropped all the same.
func (s *spell) written() {
	dropped := s.w.dropped.Value()
	if more := dropped - s.seen; more > 0 {
		s.seen, s.dropping = dropped, true
		s.begin(fmt.Errorf("%s log: %d lines were dropped: more is logged than the disk takes at %s", s.w.kind, more, s.w.set.directory))
	}
}

// drained hears that the whole queue has been written, which ends a spell of
// failing writes. That the disk is too slow is over when the queue was drained
// and no line dropped since it was last.
func (s *spell) drained() {
	s.written()
	dropping := s.dropping
	s.dropping = false
	if s.on && (s.failing || !dropping) {
		s.on, s.failing = false, false
		s.w.onRecover(s.seen - s.base)
		s.base = s.seen
	}
}

func (s *spell) begin(err error) {
	if !s.on {
		s.on = true
		s.w.onError(err)
	}
}
