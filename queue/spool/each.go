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

// eachIn calls fn for messages of one segment, given in order. Their envelopes
// are read first, so that fn may take its time and use the store: the segment
// is not held meanwhile. Messages that have been copied elsewhere are read
// from there.
func (s *Store) eachIn(todo []located, fn func(Entry) error) error {
	found := make([]located, 0, len(todo))
	envs := make([]*message.Envelope, 0, len(todo))
	s.mu.Lock()
	g := s.pin(todo[0].loc.epoch())
	s.mu.Unlock()
	if g != nil {
		records(g, func(h *header, off int64, meta []byte) {
			for len(todo) > 0 && todo[0].loc.offset() < off {
				found, envs, todo = append(found, todo[0]), append(envs, nil), todo[1:]
			}
			if len(todo) == 0 || todo[0].loc.offset() != off {
				return
			}
			var env *message.Envelope
			if h.kind == kindMessage && h.id == uint64(todo[0].id) {
				env, _ = decodeMessage(todo[0].id, meta) // read again, and reported, below
			}
			found, envs, todo = append(found, todo[0]), append(envs, env), todo[1:]
		})
		s.mu.Lock()
		s.unpin(g)
		s.mu.Unlock()
	}
	for _, m := range todo {
		found, envs = append(found, m), append(envs, nil)
	}
	for i, m := range found {
		if err := s.visit(m.id, envs[i], fn); err != nil {
			return err
		}
	}
	return nil
}

// visit calls fn for one message. The envelope is read if it is nil.
func (s *Store) visit(id message.ID, env *message.Envelope, fn func(Entry) error) error {
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
		var err error
		if env == nil {
			env, err = s.readEnvelope(id, place{e.msg, e.msgLen})
		}
		if err == nil && st == nil {
			st, err = s.readState(id, e.rcpts, places)
		}
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			s.report(Damage{File: file, Offset: e.msg.offset(), Length: int64(e.msgLen), Reason: err.Error()})
			if env == nil {
				return nil
			}
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
func records(g *segment, fn func(h *header, off int64, meta []byte)) {
	if !g.ring {
		if entries, _, ok := readIndex(g.file, g.stamp); ok {
			for len(entries) > 0 {
				e, rest, ok := parseIndexEntry(entries)
				if !ok {
					break // cannot be: the checksum was right
				}
				fn(&e.header, e.off, e.meta)
				entries = rest
			}
			return
		}
	}
	// What a scan passes over is read message by message.
	_, _, _ = scan(g.file, g.stamp, g.size, func(r *scanned) error {
		fn(&r.header, r.off, r.meta)
		return nil
	})
}
