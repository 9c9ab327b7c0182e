package spool

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"postern/internal/message"
)

// Load returns a message with all updates handed in so far. It returns
// ErrNotFound, ErrDamaged when what is stored does not verify, or what the
// file system said. Right after Commit, and while a message is being worked
// on, it costs no I/O.
func (s *Store) Load(id message.ID) (Entry, error) {
	for {
		s.mu.Lock()
		e, ok := s.cat.index[id]
		if !ok || e.flags&entryDying != 0 {
			s.mu.Unlock()
			return Entry{}, ErrNotFound
		}
		if h := s.cache.get(id); h != nil && h.env != nil && (h.state != nil || !e.hasState()) {
			out := Entry{ID: id, Envelope: h.env, Size: e.size}
			if h.state != nil {
				out.State = cloneState(h.state)
			} else {
				out.State = message.NewState(int(e.rcpts))
			}
			s.mu.Unlock()
			return out, nil
		}
		s.mu.Unlock()
		if err := s.fetch(id, true); err != nil {
			return Entry{}, err
		}
	}
}

// hasState reports whether there are state records of the message.
func (e *entry) hasState() bool { return e.state != 0 || e.flags&entryShards != 0 }

// fetch reads what is stored of a message's state, and its envelope if asked
// for, into the cache.
func (s *Store) fetch(id message.ID, envelope bool) error {
	for {
		s.mu.Lock()
		e, ok := s.cat.index[id]
		if !ok {
			s.mu.Unlock()
			return ErrNotFound
		}
		places := s.cat.states(id, &e)
		s.mu.Unlock()

		state, err := s.readState(id, e.rcpts, places)
		var env *message.Envelope
		if err == nil && envelope {
			env, err = s.readEnvelope(id, place{e.msg, e.msgLen})
		}
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return err
		}
		if s.keepFetched(id, places, env, state) {
			return nil
		}
	}
}

// keepFetched puts what was read into the cache, unless it has changed since.
func (s *Store) keepFetched(id message.ID, was []place, env *message.Envelope, state *message.State) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.cat.index[id]
	if !ok {
		return true // the caller will see that it is gone
	}
	h := s.cache.put(id, e.rcpts)
	if h.env == nil {
		h.env = env
	}
	if h.state == nil {
		if !slices.Equal(was, s.cat.states(id, &e)) {
			return false
		}
		h.state = state
	}
	return true
}

// errMoved says that a record was copied elsewhere before it could be read.
var errMoved = errors.New("record moved")

// readAt fills b from a segment, and keeps the segment from being recycled
// meanwhile.
func (s *Store) readAt(at loc, off int64, b []byte) error {
	s.mu.Lock()
	g := s.pin(at.epoch())
	s.mu.Unlock()
	if g == nil {
		return errMoved
	}
	n, err := g.file.ReadAt(b, at.offset()+off)
	s.mu.Lock()
	s.unpin(g)
	s.mu.Unlock()
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: segment %s is too short", ErrDamaged, g.name)
	}
	return fmt.Errorf("spool: reading segment %s: %w", g.name, err)
}

// firstRead is how much is read of a message record at first: most envelopes
// fit.
const firstRead = 2048

// readMeta reads and verifies header and meta of a record.
func (s *Store) readMeta(id message.ID, at place, k kind) (header, []byte, error) {
	b := make([]byte, min(int64(at.len), firstRead))
	if err := s.readAt(at.loc, 0, b); err != nil {
		return header{}, nil, err
	}
	h, ok := newStamp(s.secret, at.loc.epoch()).parse(b, at.loc.offset())
	if !ok || h.kind != k || h.id != uint64(id) || h.size() != int64(at.len) {
		return header{}, nil, fmt.Errorf("%w: message %s: bad record header", ErrDamaged, id)
	}
	end := recordHeader + int(h.metaLen)
	if end > len(b) {
		more := make([]byte, end)
		n := copy(more, b)
		if err := s.readAt(at.loc, int64(n), more[n:]); err != nil {
			return header{}, nil, err
		}
		b = more
	}
	meta := b[recordHeader:end]
	if checksum(meta) != h.metaCRC {
		return header{}, nil, fmt.Errorf("%w: message %s: bad checksum", ErrDamaged, id)
	}
	return h, meta, nil
}

func (s *Store) readEnvelope(id message.ID, at place) (*message.Envelope, error) {
	_, meta, err := s.readMeta(id, at, kindMessage)
	if err != nil {
		return nil, err
	}
	return decodeMessage(id, meta)
}

// decodeMessage decodes a message record's meta.
func decodeMessage(id message.ID, meta []byte) (*message.Envelope, error) {
	fixed, b, ok := parseMessageMeta(meta)
	if !ok {
		return nil, fmt.Errorf("%w: message %s: short record", ErrDamaged, id)
	}
	env, err := message.DecodeEnvelope(b)
	if err != nil {
		return nil, fmt.Errorf("%w: message %s: %w", ErrDamaged, id, err)
	}
	if len(env.Recipients) != int(fixed.rcpts) {
		return nil, fmt.Errorf("%w: message %s: %d recipients, not %d", ErrDamaged, id, len(env.Recipients), fixed.rcpts)
	}
	return env, nil
}

// readState puts a message's state together from its shards.
func (s *Store) readState(id message.ID, rcpts uint32, places []place) (*message.State, error) {
	st := message.NewState(int(rcpts))
	for i, p := range places {
		if p.loc == 0 {
			continue
		}
		h, meta, err := s.readMeta(id, p, kindState)
		if err != nil {
			return nil, err
		}
		if err := addShard(st, id, int(h.shard), meta); err != nil || int(h.shard) != i {
			return nil, errors.Join(err, fmt.Errorf("%w: message %s: state shard %d", ErrDamaged, id, i))
		}
	}
	return st, nil
}

// addShard puts the decoded shard into its place in a state.
func addShard(st *message.State, id message.ID, shard int, meta []byte) error {
	sub, err := message.DecodeState(meta)
	if err != nil {
		return fmt.Errorf("%w: message %s: %w", ErrDamaged, id, err)
	}
	if at := shard * shardSize; at < len(st.Recipients) {
		copy(st.Recipients[at:min(at+shardSize, len(st.Recipients))], sub.Recipients)
	}
	if shard == 0 {
		st.Attempts, st.Standing = sub.Attempts, sub.Standing
	}
	return nil
}
