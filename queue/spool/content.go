package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"postern/internal/message"
)

// wholeRead is the largest content that is read and verified when it is
// opened.
const wholeRead = 64 << 10

// Content opens a message's content, and returns ErrNotFound, ErrDamaged, or
// what the file system said. Small content is verified at once; larger content
// is verified while it is read from start to end, and then ends in ErrDamaged
// instead of io.EOF if it is not what was accepted.
func (s *Store) Content(id message.ID) (message.Content, error) {
	for {
		s.mu.Lock()
		e, ok := s.cat.index[id]
		ok = ok && e.flags&entryDying == 0
		var kept []byte
		var crc uint32
		if h := s.cache.byID[id]; ok && h != nil {
			kept, crc = s.takeKept(h), h.bodyCRC
		}
		s.mu.Unlock()
		switch {
		case !ok:
			return nil, ErrNotFound
		case kept != nil:
			return s.inMemory(id, kept, crc), nil
		}
		c, err := s.openContent(id, e)
		if !errors.Is(err, errMoved) {
			return c, err
		}
	}
}

func (s *Store) openContent(id message.ID, e entry) (message.Content, error) {
	at := place{e.msg, e.msgLen}
	if e.flags&entryBodyFile == 0 && int64(e.msgLen) <= wholeRead {
		return s.readWhole(id, at)
	}
	h, meta, err := s.readMeta(id, at, kindMessage)
	if err != nil {
		return nil, err
	}
	fixed, _, ok := parseMessageMeta(meta)
	if !ok {
		return nil, fmt.Errorf("%w: message %s: short record", ErrDamaged, id)
	}
	v := verifier{size: fixed.size, crc: fixed.crc, id: id}
	if h.flags&flagBodyFile == 0 {
		src := &stored{s: s, id: id, off: recordHeader + int64(h.metaLen)}
		return newContent(src, nil, v, nil), nil
	}
	f, err := s.fs.OpenFile(s.bodies.path(id), os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("spool: opening the body of message %s: %w", id, err)
	}
	return newContent(f, f, v, nil), nil
}

// readWhole reads a record in one go.
func (s *Store) readWhole(id message.ID, at place) (message.Content, error) {
	b := s.buffers.get(int(at.len))
	if b == nil {
		b = make([]byte, at.len)
	}
	b = b[:at.len]
	h, err := header{}, s.readAt(at.loc, 0, b)
	ok := false
	if err == nil {
		h, ok = newStamp(s.secret, at.loc.epoch()).parse(b, at.loc.offset())
		if !ok || h.kind != kindMessage || h.id != uint64(id) || h.size() != int64(at.len) {
			err = fmt.Errorf("%w: message %s: bad record header", ErrDamaged, id)
		}
	}
	var body []byte
	if err == nil {
		body = b[recordHeader+h.metaLen:][:h.bodyLen]
		if checksum(body) != h.bodyCRC {
			err = fmt.Errorf("%w: message %s: bad checksum of the content", ErrDamaged, id)
		}
	}
	if err != nil {
		s.buffers.put(b)
		return nil, err
	}
	return newContent(octets(body), nil, verifier{size: int64(len(body)), crc: h.bodyCRC, id: id}, func() { s.buffers.put(b[:0]) }), nil
}

// inMemory is content in a buffer of the caller's, which becomes that of the
// content.
func (s *Store) inMemory(id message.ID, b []byte, crc uint32) message.Content {
	return newContent(octets(b), nil, verifier{size: int64(len(b)), crc: crc, id: id}, func() { s.buffers.put(b[:0]) })
}

// octets is content in memory.
type octets []byte

func (o octets) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(o)) {
		return 0, io.EOF
	}
	n := copy(p, o[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// stored reads content inside a segment. Each read looks up where the record
// is by then.
type stored struct {
	s   *Store
	id  message.ID
	off int64 // of the content in the record
}

func (c *stored) ReadAt(p []byte, off int64) (int, error) {
	for {
		c.s.mu.Lock()
		e, ok := c.s.cat.index[c.id]
		c.s.mu.Unlock()
		if !ok {
			return 0, ErrNotFound
		}
		err := c.s.readAt(e.msg, c.off+off, p)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return len(p), nil
	}
}

// verifier checks content that is read from start to end.
type verifier struct {
	id   message.ID
	size int64
	crc  uint32 // what it should be
	sum  uint32 // of the first at octets
	at   int64
}

// note takes up what was read at off.
func (v *verifier) note(p []byte, off int64) {
	if off == v.at {
		v.sum = crc32.Update(v.sum, castagnoli, p)
		v.at += int64(len(p))
	}
}

// bad reports whether all has been read and is not what it should be.
func (v *verifier) bad() bool { return v.at == v.size && v.sum != v.crc }

// content implements message.Content over something that reads at a place.
type content struct {
	src     io.ReaderAt
	closer  io.Closer
	release func()

	mu     sync.RWMutex // held for reading while src is used
	closed bool
	pos    int64
	verify verifier
}

func newContent(src io.ReaderAt, closer io.Closer, v verifier, release func()) *content {
	return &content{src: src, closer: closer, release: release, verify: v}
}

// Size returns the content's length in octets.
func (c *content) Size() int64 { return c.verify.size }

// ReadAt reads at a place. It does not verify; it may be called by several
// goroutines.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.readAt(p, off)
}

func (c *content) readAt(p []byte, off int64) (int, error) {
	if c.closed {
		return 0, ErrClosed
	}
	if off < 0 {
		return 0, errors.New("spool: negative offset")
	}
	left := c.verify.size - off
	if left <= 0 {
		return 0, io.EOF
	}
	short := int64(len(p)) > left
	if short {
		p = p[:left]
	}
	n, err := c.src.ReadAt(p, off)
	if n == len(p) {
		err = nil
		if short {
			err = io.EOF
		}
	} else if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: message %s: content ends early", ErrDamaged, c.verify.id)
	}
	return n, err
}

// Read reads on. It is for one goroutine at a time.
func (c *content) Read(p []byte) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.readAt(p, c.pos)
	c.verify.note(p[:n], c.pos)
	if c.verify.bad() {
		// The last octets are held back, for a reader that counts them and
		// would never ask for the end.
		return 0, fmt.Errorf("%w: message %s: bad checksum of the content", ErrDamaged, c.verify.id)
	}
	c.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Seek sets where Read goes on.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.pos
	case io.SeekEnd:
		offset += c.verify.size
	}
	if offset < 0 {
		return 0, errors.New("spool: seek before the start")
	}
	c.pos = offset
	return offset, nil
}

// Close ends the use of the content.
func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.closed = true
	if c.release != nil {
		c.release()
	}
	if c.closer != nil {
		return c.closer.Close()
	}
	return nil
}
