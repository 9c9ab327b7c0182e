package spool_test

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// TestKept: content that was stored just now is read from memory once, and from
// the disk after that; large content, content that nobody has opened for a while
// and content of which there is too much from the disk alone.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		o := small(fsys)
		o.SegmentSize, o.InlineSize = 8<<20, 256<<10
		o.BodyBudget = 8 * 5 * 16 << 10 // five buffers of 16 KB are kept
		s, err := spool.Open("/spool", o)
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		s.Settle()
		var reads atomic.Int64
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Kind == faultfs.Read {
				reads.Add(1)
			}
			return faultfs.Fault{}
		})
		bodies := make(map[message.ID][]byte)
		put := func(n int) message.ID {
			body := text(uint64(len(bodies)), n)
			id := mustCommit(t, s, body, envelope(2))
			bodies[id] = body
			return id
		}
		want := func(why string, id message.ID, fromDisk bool) {
			t.Helper()
			reads.Store(0)
			got, err := contentOnce(s, id)
			if err != nil || !bytes.Equal(got, bodies[id]) {
				t.Fatalf("%s: %d octets: %v", why, len(got), err)
			}
			if (reads.Load() > 0) != fromDisk {
				t.Errorf("%s: %d reads", why, reads.Load())
			}
		}
		first, second := put(4000), put(10)
		if n := s.Stats().DraftBytes; n != 0 {
			t.Errorf("%d octets count as those of drafts", n)
		}
		want("the first time", first, false)
		want("the second time", first, true)
		want("the second message", second, false)
		want("large content", put(100<<10), true)

		ids := []message.ID{put(10), put(10), put(10), put(10), put(10), put(10)}
		want("too much", ids[5], true)
		want("what was there before", ids[0], false)
		want("in its place", put(10), false)

		old := put(10)
		time.Sleep(time.Minute)
		young := []message.ID{put(10), put(10), put(10), put(10), put(10)}
		for _, id := range slices.Concat(ids[1:5], []message.ID{old}) {
			want("nobody opened it", id, true)
		}
		for _, id := range young {
			want("it took its place", id, false)
		}

		gone := put(10)
		if err := s.Update(gone, &message.Update{At: time.Now(), Done: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Content(gone); err != spool.ErrNotFound {
			t.Errorf("content of a message that has ended: %v", err)
		}
	})
}

// TestKeptInUse: content that is open stays as it is, whatever comes after it.
func TestKeptInUse(t *testing.T) {
	s := open(t, faultfs.New(0))
	defer mustClose(t, s)
	body := text(1, 3000)
	id := mustCommit(t, s, body, envelope(1))
	c, err := s.Content(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(id, &message.Update{At: time.Now(), Done: true}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		other := mustCommit(t, s, text(uint64(2+i), 3000), envelope(1))
		if err := s.Update(other, &message.Update{At: time.Now(), Done: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3000)
	if _, err := c.ReadAt(got, 0); err != nil || !bytes.Equal(got, body) {
		t.Errorf("the content has changed: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
