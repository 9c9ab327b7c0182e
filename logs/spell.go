package logs

import "fmt"

// spell keeps track of trouble, so that it is reported once when it begins and
// once when it is over. It belongs to writer.run.
type spell struct {
	w *writer
	// on says that trouble is reported and not over; failing, that it is a
	// write that failed, not merely a slow disk.
	on, failing bool
	// base is the number of lines dropped before the spell, seen that at the
	// last check.
	base, seen int64
}

// failed hears of a write that failed.
func (s *spell) failed(err error) {
	s.failing = true
	s.begin(fmt.Errorf("protocol log: %w; up to %d octets of lines wait in memory, those beyond are dropped, and writing is tried again every %v",
		err, maxPending, retryDelay))
}

// check is made when the whole queue has been written, which ends a spell of
// failing writes. A disk that is merely slow shows in lines that were dropped
// all the same; that is over when a check finds no more of them.
func (s *spell) check() {
	dropped := s.w.dropped.Value()
	more := dropped - s.seen
	s.seen = dropped
	switch {
	case s.on && (s.failing || more == 0):
		s.on, s.failing = false, false
		s.w.onRecover(dropped - s.base)
		s.base = dropped
	case more > 0:
		s.begin(fmt.Errorf("protocol log: %d lines were dropped: more is logged than the disk takes at %s", more, s.w.set.directory))
	}
}

func (s *spell) begin(err error) {
	if !s.on {
		s.on = true
		s.w.onError(err)
	}
}
