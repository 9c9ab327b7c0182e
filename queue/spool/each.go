package spool

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"

	"postern/internal/message"
)

// Each calls fn for every message that is stored when it is called, in no
// particular order, and ends with the first error of fn. It is meant for the
// start: envelopes are read in the order in which they lie on the disk, most
// of them from the indexes of cold segments. A message that cannot be read
// back is reported as damage and left out; one whose state cannot be read
// counts as untouched. Messages that end meanwhile may be left out.
func (s *Store) Each(fn func(Entry) error) error {
	s.mu.Lock()
	todo := make([]located, 0, len(s.cat.index))
	for id, e := range s.cat.index {
		todo = append(todo, located{id, e.msg})
	}
	s.mu.Unlock()
	slices.SortFunc(todo, func(a, b located) int { return cmp.Compare(a.loc, b.loc) })
	for len(todo) > 0 {
		n := 1
		for n < len(todo) && todo[n].loc.epoch() == todo[0].loc.epoch() {
			n++
		}
		if err := s.eachIn(todo[:n], fn); err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// located is a message with the place of its record.
type located struct {
	id  message.ID
	loc loc
}

// eachIn calls fn for messages of one segment, given in order. Those that have
// been copied elsewhere meanwhile are read from there.
func (s *Store) eachIn(todo []located, fn func(Entry) error) error {
	s.mu.Lock()
	g := s.pin(todo[0].loc.epoch())
	s.mu.Unlock()
	var missed []located
	if g != nil {
		err := records(g, func(h *header, off int64, meta []byte) error {
			for len(todo) > 0 && todo[0].loc.offset() < off {
				missed, todo = append(missed, todo[0]), todo[1:]
			}
			if len(todo) == 0 || todo[0].loc.offset() != off {
				return nil
			}
			id := todo[0].id
			todo = todo[1:]
			if h.kind != kindMessage || h.id != uint64(id) {
				missed = append(missed, located{id: id})
				return nil
			}
			env, err := decodeMessage(id, meta)
			return s.visit(id, env, err, fn)
		})
		s.mu.Lock()
		s.unpin(g)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	for _, m := range append(missed, todo...) {
		s.mu.Lock()
		e, ok := s.cat.index[m.id]
		s.mu.Unlock()
		if !ok {
			continue
		}
		env, err := s.readEnvelope(m.id, place{e.msg, e.msgLen})
		if err := s.visit(m.id, env, err, fn); err != nil {
			return err
		}
	}
	return nil
}

// visit calls fn for one message.
func (s *Store) visit(id message.ID, env *message.Envelope, err error, fn func(Entry) error) error {
	for {
		s.mu.Lock()
		e, ok := s.cat.index[id]
		places := s.cat.states(id, &e)
		var st *message.State
		if h := s.cache.byID[id]; h != nil && h.state != nil {
			st = cloneState(h.state) // it may have updates that are not durable
		}
		file := s.fileOf(e.msg.epoch())
		s.mu.Unlock()
		if !ok || e.flags&entryDying != 0 {
			return nil
		}
		if errors.Is(err, errMoved) {
			env, err = s.readEnvelope(id, place{e.msg, e.msgLen})
			continue
		}
		if err != nil {
			s.report(Damage{File: file, Offset: e.msg.offset(), Length: int64(e.msgLen), Reason: err.Error()})
			return nil
		}
		if st == nil {
			st, err = s.readState(id, e.rcpts, places)
		}
		if errors.Is(err, errMoved) {
			err = nil
			continue
		}
		if err != nil {
			s.report(Damage{File: file, Offset: e.msg.offset(), Length: int64(e.msgLen), Reason: err.Error()})
			st = message.NewState(int(e.rcpts))
		}
		return fn(Entry{ID: id, Envelope: env, State: st, Size: e.size})
	}
}

// fileOf names the file of a segment.
func (s *Store) fileOf(epoch uint32) string {
	if g := s.cat.segs[epoch]; g != nil {
		return filepath.Join(segmentsDir, g.name)
	}
	return segmentsDir
}

// records calls fn for the records of a segment in order, from its index if it
// has one. Damage was reported when the store was opened.
func records(g *segment, fn func(h *header, off int64, meta []byte) error) error {
	if !g.ring {
		if entries, _, ok := readIndex(g.file, g.stamp); ok {
			for len(entries) > 0 {
				e, rest, ok := parseIndexEntry(entries)
				if !ok {
					break // cannot be: the checksum was right
				}
				if err := fn(&e.header, e.off, e.meta); err != nil {
					return err
				}
				entries = rest
			}
			return nil
		}
	}
	_, _, err := scan(g.file, g.stamp, g.size, func(r *scanned) error { return fn(&r.header, r.off, r.meta) })
	if errors.Is(err, errUnreadable) {
		return nil
	}
	return err
}
