package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"syscall"

	"postern/internal/eventid"
	"postern/internal/message"
)

// Draft is a message on its way into the store: content is written to it, then
// it is committed or aborted. It holds little in memory: content that is
// large, or comes when all drafts together hold BodyBudget octets, goes to a
// file. A Draft is used by one goroutine at a time.
type Draft struct {
	s    *Store
	id   message.ID
	size int64
	crc  uint32
	buf  []byte // content, while there is no file
	file File
	err  error // what made the draft unusable
}

// Create starts a new message and gives it its id. It returns ErrNoSpace when
// intake has no room, and ErrClosed.
func (s *Store) Create() (*Draft, error) {
	s.mu.Lock()
	noSpace, closed := s.noSpace, s.closed
	s.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if noSpace {
		return nil, ErrNoSpace
	}
	id, low, err := s.meta.newID()
	if err != nil {
		return nil, spaceError(err)
	}
	if low {
		kick(s.kickRecycler)
	}
	return &Draft{s: s, id: id}, nil
}

// ID returns the id that the message has, and will have once it is committed.
func (d *Draft) ID() message.ID { return d.id }

// Size returns the octets written so far.
func (d *Draft) Size() int64 { return d.size }

// Write adds content. After an error the draft can only be aborted.
func (d *Draft) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if d.file == nil && !d.hold(len(p)) {
		if err := d.spill(); err != nil {
			return 0, d.fail("making a body file", err)
		}
	}
	if d.file == nil {
		d.buf = append(d.buf, p...)
	} else if _, err := d.file.WriteAt(p, d.size); err != nil {
		return 0, d.fail("writing a body file", err)
	}
	d.crc = crc32.Update(d.crc, castagnoli, p)
	d.size += int64(len(p))
	return len(p), nil
}

// fail makes the draft unusable.
func (d *Draft) fail(what string, err error) error {
	d.err = spaceError(fmt.Errorf("spool: %s: %w", what, err))
	return d.err
}

// hold makes room for n more octets in memory; false when they have to go to
// a file.
func (d *Draft) hold(n int) bool {
	need := len(d.buf) + n
	if need <= cap(d.buf) && int64(need) <= d.s.inline {
		return true
	}
	if int64(need) > d.s.inline {
		return false
	}
	b := d.s.buffers.get(need)
	if b == nil {
		b = make([]byte, 0, need)
	}
	more := int64(cap(b) - cap(d.buf))
	if d.s.memory.Add(more) > d.s.o.BodyBudget {
		d.s.memory.Add(-more)
		d.s.buffers.put(b)
		return false
	}
	b = append(b, d.buf...)
	d.s.buffers.put(d.buf)
	d.buf = b
	return true
}

// spill moves the content to a file.
func (d *Draft) spill() error {
	if err := d.s.bodies.ensure(d.id); err != nil {
		return err
	}
	f, err := d.s.fs.OpenFile(d.s.bodies.path(d.id), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	d.file = f
	if len(d.buf) > 0 {
		if _, err := f.WriteAt(d.buf, 0); err != nil {
			return err
		}
	}
	d.release()
	return nil
}

// release gives the draft's memory back.
func (d *Draft) release() {
	d.s.memory.Add(-int64(cap(d.buf)))
	d.s.buffers.put(d.buf)
	d.buf = nil
}

// Commit stores the message. Nil means that content and envelope are on
// stable storage; anything else that the message is not accepted, and the
// draft is gone in either case. The envelope belongs to the store from then
// on and must not be changed. A context that has ended stops a commit that
// has not begun; once the message has been handed to the journal Commit waits
// for the result, since it could not be taken back, and that wait is no longer
// than the disk takes for the group before and its own.
func (d *Draft) Commit(ctx context.Context, e *message.Envelope) error {
	if d.err == nil {
		d.err = ctx.Err()
	}
	if d.err == nil {
		d.err = d.syncBody()
	}
	if d.err != nil {
		err := d.err
		d.Abort()
		return err
	}
	r := newRequest(d, e)
	err := d.s.submit(r)
	if r.kept {
		d.buf = nil
	}
	if err != nil && !r.unsealed {
		d.removeBody()
	}
	d.s.forget(r)
	d.release()
	d.err = ErrClosed
	return err
}

// syncBody makes the body file durable, then its name: the record that refers
// to it comes after both.
func (d *Draft) syncBody() error {
	if d.file == nil {
		return nil
	}
	if err := d.file.Sync(); err != nil {
		return spaceError(fmt.Errorf("spool: syncing a body file: %w", err))
	}
	if err := d.s.fs.SyncDir(filepath.Dir(d.s.bodies.path(d.id))); err != nil {
		return spaceError(fmt.Errorf("spool: syncing a body file's directory: %w", err))
	}
	err := d.file.Close()
	if err != nil {
		return spaceError(fmt.Errorf("spool: closing a body file: %w", err))
	}
	return nil
}

// Abort drops the draft. After Commit it does nothing.
func (d *Draft) Abort() {
	if errors.Is(d.err, ErrClosed) {
		return
	}
	if d.file != nil {
		d.file.Close()
		d.removeBody()
	}
	d.release()
	d.err = ErrClosed
}

// removeBody removes the body file. One that stays is removed at the next
// start.
func (d *Draft) removeBody() {
	if d.file == nil {
		return
	}
	if err := d.s.fs.Remove(d.s.bodies.path(d.id)); err != nil {
		d.s.o.Logger.Warn("spool: removing a body file", eventid.SpoolBodyStays.Attr(), "id", d.id.String(), "error", err)
	}
}

// spaceError adds ErrNoSpace to an error that means a full disk.
func spaceError(err error) error {
	if isFull(err) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, ErrNoSpace)
}
