package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// counter counts operations on segments.
type counter struct {
	mu            sync.Mutex
	writes, syncs int
}

func (c *counter) hook(op faultfs.Op) faultfs.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(op.Path, "/segments/") {
		switch op.Kind {
		case faultfs.Write:
			c.writes++
		case faultfs.Sync:
			c.syncs++
		}
	}
	return faultfs.Fault{}
}

func (c *counter) take() (writes, syncs int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	writes, syncs = c.writes, c.syncs
	c.writes, c.syncs = 0, 0
	return writes, syncs
}

// TestLoneMessage: a lone message waits for nobody and costs one write and one
// sync; a lone update waits OutcomeDelay and no longer.
func TestLoneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		o := small(fsys)
		o.OutcomeDelay = 0 // the default
		s, err := spool.Open("/spool", o)
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		s.Settle()
		var c counter
		fsys.SetHook(c.hook)
		start := time.Now()
		id := mustCommit(t, s, text(1, 1000), envelope(1))
		if w, n := c.take(); w != 1 || n != 1 || time.Since(start) != 0 {
			t.Errorf("a lone message: %d writes, %d syncs, %v", w, n, time.Since(start))
		}
		mustUpdate(t, s, id, deferral(0, 1))
		time.Sleep(5*time.Millisecond - 1)
		if w, n := c.take(); w != 0 || n != 0 {
			t.Errorf("an update did not wait for company: %d writes, %d syncs", w, n)
		}
		for range 3 { // more updates do not put it off
			mustUpdate(t, s, id, deferral(0, 2))
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if w, n := c.take(); w != 1 || n != 1 {
			t.Errorf("after the delay: %d writes, %d syncs", w, n)
		}
		mustUpdate(t, s, id, deferral(0, 3))
		start = time.Now()
		mustFlush(t, s)
		if time.Since(start) != 0 {
			t.Errorf("Flush waited %v", time.Since(start))
		}
		mustUpdate(t, s, id, deferral(0, 4))
		c.take()
		mustCommit(t, s, text(2, 1000), envelope(1)) // takes the update along
		if w, n := c.take(); w != 1 || n != 1 || s.Stats().PendingUpdates != 0 {
			t.Errorf("a message with an update: %d writes, %d syncs, %d pending", w, n, s.Stats().PendingUpdates)
		}
		mustFlush(t, s)
		if w, _ := c.take(); w != 0 {
			t.Errorf("Flush of nothing: %d writes", w)
		}
	})
}

// TestGroup: messages that come while a sync runs share the next one.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		var gate chan struct{}
		s, err := spool.Open("/spool", small(slowFS{FS: fsys, wait: func() {
			if gate != nil {
				<-gate
			}
		}}))
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		s.Settle()
		var c counter
		fsys.SetHook(c.hook)
		gate = make(chan struct{})
		var wg sync.WaitGroup
		add := func() { wg.Go(func() { mustCommit(t, s, text(1, 100), envelope(1)) }) }
		add()
		synctest.Wait() // its sync runs
		for range 20 {
			add()
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		if w, n := c.take(); w != 2 || n != 2 {
			t.Errorf("%d writes and %d syncs, want 2", w, n)
		}
	})
}

// slowFS waits in every sync of a segment.
type slowFS struct {
	spool.FS
	wait func()
}

func (f slowFS) OpenFile(path string, flag int) (spool.File, error) {
	file, err := f.FS.OpenFile(path, flag)
	if err == nil && filepath.Base(filepath.Dir(path)) == "segments" {
		file = slowFile{file, f.wait}
	}
	return file, err
}

type slowFile struct {
	spool.File
	wait func()
}

func (f slowFile) Sync() error {
	f.wait()
	return f.File.Sync()
}

// TestCommitContext: a context that has ended stops a commit that has not
// begun; afterwards the result counts.
func TestCommitContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate chan struct{}
		s, err := spool.Open("/spool", small(slowFS{FS: faultfs.New(0), wait: func() {
			if gate != nil {
				<-gate
			}
		}}))
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		s.Settle()
		ctx, cancel := context.WithCancel(context.Background())
		d, err := s.Create()
		if err != nil {
			t.Fatal(err)
		}
		gate = make(chan struct{})
		done := make(chan error, 1)
		go func() { done <- d.Commit(ctx, envelope(1)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Commit returned %v while the sync ran", err)
		default:
		}
		close(gate)
		if err := <-done; err != nil {
			t.Errorf("Commit: %v", err)
		}
		d, err = s.Create()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(ctx, envelope(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("Commit with a context that has ended: %v", err)
		}
		if _, err := s.Load(d.ID()); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("Load: %v", err)
		}
		d.Abort() // does nothing
		if err := d.Commit(context.Background(), envelope(1)); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("second Commit: %v", err)
		}
	})
}

// TestFailedSync: the waiters get an error, nothing is written to the segment
// again, updates in the group are not lost, and the next message finds a new
// segment.
func TestFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		s := open(t, fsys)
		s.Settle()
		id := mustCommit(t, s, text(1, 100), envelope(1))
		mustFlush(t, s)
		var failed string
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
			if failed == "" && op.Kind == faultfs.Sync && strings.Contains(op.Path, "/segments/") {
				failed = op.Path
				return faultfs.Fault{Err: syscall.EIO}
			}
			if op.Path == failed && (op.Kind == faultfs.Write || op.Kind == faultfs.Sync) {
				t.Errorf("%s of the failed segment", op.Kind)
			}
			return faultfs.Fault{}
		})
		mustUpdate(t, s, id, deferral(0, 1))
		refused, err := commit(s, text(2, 100), envelope(1))
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("Commit: %v, want EIO", err)
		}
		accepted := mustCommit(t, s, text(3, 100), envelope(1))
		mustFlush(t, s)
		if st := s.Stats(); st.Failures != 1 || !strings.Contains(st.LastError, "input/output") {
			t.Errorf("%+v", st)
		}
		fsys.CutPower()
		_ = s.Close()
		fsys = fsys.Crash(faultfs.Everything, 1) // the failed group is on the disk after all
		s = open(t, fsys)
		defer mustClose(t, s)
		if _, err := s.Load(refused); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("the refused message: %v", err)
		}
		wantMessage(t, s, accepted, text(3, 100), envelope(1), message.NewState(1))
		st := message.NewState(1)
		st.Apply(deferral(0, 1))
		wantMessage(t, s, id, text(1, 100), envelope(1), st)
	})
}

// TestFailedSyncs: a disk that fails for a while refuses, and is used again
// when it works.
func TestFailedSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		s := open(t, fsys)
		s.Settle()
		id := mustCommit(t, s, text(1, 100), envelope(1))
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Kind == faultfs.Sync {
				return faultfs.Fault{Err: syscall.EIO}
			}
			return faultfs.Fault{}
		})
		mustUpdate(t, s, id, deferral(0, 1))
		for i := range 10 {
			if _, err := commit(s, text(2, 100), envelope(1)); err == nil {
				t.Errorf("commit %d on a failing disk: no error", i)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush on a failing disk: %v", err)
		}
		cancel()
		st := message.NewState(1)
		st.Apply(deferral(0, 1))
		wantMessage(t, s, id, text(1, 100), envelope(1), st)
		fsys.SetHook(nil)
		time.Sleep(10 * time.Second)
		mustCommit(t, s, text(3, 100), envelope(1))
		mustFlush(t, s)
		mustClose(t, s)
		s = open(t, fsys)
		wantMessage(t, s, id, text(1, 100), envelope(1), st)
		if n := s.Stats().Messages; n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
		mustClose(t, s)
	})
}

// TestCloseFailing: Close on a disk that fails returns, and says what is lost.
func TestCloseFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		s := open(t, fsys)
		id := mustCommit(t, s, text(1, 100), envelope(1))
		fsys.SetHook(func(faultfs.Op) faultfs.Fault { return faultfs.Fault{Err: syscall.EIO} })
		mustUpdate(t, s, id, deferral(0, 1))
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "updates of 1 messages") {
			t.Errorf("Close: %v", err)
		}
		if _, err := s.Create(); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("Create: %v", err)
		}
		if err := s.Update(id, deferral(0, 2)); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("Update: %v", err)
		}
		if err := s.Flush(context.Background()); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("Flush: %v", err)
		}
	})
}

// TestBudget: beyond the budget content goes to files, and memory is given
// back.
func TestBudget(t *testing.T) {
	fsys := faultfs.New(0)
	o := small(fsys)
	o.BodyBudget = 40 << 10 // two buffers of 16 KB
	s, err := spool.Open("/spool", o)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	var drafts []*spool.Draft
	for i := range 5 {
		d, err := s.Create()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(text(uint64(i), 3000)); err != nil {
			t.Fatal(err)
		}
		if n := s.Stats().DraftBytes; n > o.BodyBudget {
			t.Errorf("%d octets in memory", n)
		}
		drafts = append(drafts, d)
	}
	files := 0
	for _, name := range fsys.Names() {
		if strings.Contains(name, "/bodies/") {
			files++
		}
	}
	if files != 3 {
		t.Errorf("%d body files, want 3", files)
	}
	for i, d := range drafts {
		if i == 4 {
			d.Abort()
			continue
		}
		if err := d.Commit(context.Background(), envelope(1)); err != nil {
			t.Fatal(err)
		}
		wantMessage(t, s, d.ID(), text(uint64(i), 3000), envelope(1), message.NewState(1))
	}
	if n := s.Stats().DraftBytes; n != 0 {
		t.Errorf("%d octets are still counted", n)
	}
}

// TestTooLarge: an envelope that no segment holds is refused, and the store
// goes on.
func TestTooLarge(t *testing.T) {
	s := open(t, faultfs.New(0))
	defer mustClose(t, s)
	if _, err := commit(s, text(1, 10), envelope(2000)); !errors.Is(err, spool.ErrTooLarge) {
		t.Errorf("Commit: %v, want ErrTooLarge", err)
	}
	mustCommit(t, s, text(1, 10), envelope(100))
}

// TestConcurrent works on the store from many sides while segments are
// recycled. It is for the race detector, and checks content at every step.
func TestConcurrent(t *testing.T) {
	s := open(t, faultfs.New(0))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 2))
			type mine struct {
				id   message.ID
				seed uint64
				size int
				st   *message.State
			}
			var held []mine
			for i := range 150 {
				m := mine{seed: uint64(w*1000 + i), size: rng.IntN(6000), st: message.NewState(1)}
				var err error
				if m.id, err = commit(s, text(m.seed, m.size), envelope(1)); err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
				held = append(held, m)
				k := rng.IntN(len(held))
				if err := s.Update(held[k].id, deferral(0, i)); err != nil {
					t.Errorf("Update: %v", err)
				}
				held[k].st.Apply(deferral(0, i))
				k = rng.IntN(len(held))
				e, err := s.Load(held[k].id)
				if err != nil || fmt.Sprint(e.State) != fmt.Sprint(held[k].st) {
					t.Errorf("Load: %v, %v", e.State, err)
				}
				b, err := content(s, held[k].id)
				if err != nil || string(b) != string(text(held[k].seed, held[k].size)) {
					t.Errorf("Content: %d octets, %v", len(b), err)
				}
				if len(held) > 10 {
					k = rng.IntN(len(held))
					if err := s.Update(held[k].id, &message.Update{Done: true}); err != nil {
						t.Errorf("Done: %v", err)
					}
					held = append(held[:k], held[k+1:]...)
				}
				if i%40 == 0 {
					mustFlush(t, s)
				}
				s.Stats()
			}
			for _, m := range held {
				_ = s.Update(m.id, &message.Update{Done: true})
			}
		})
	}
	wg.Wait()
	mustFlush(t, s)
	s.Settle()
	if p := s.CheckAccounts(); p != nil {
		t.Error(p)
	}
	if st := s.Stats(); st.Messages != 0 || st.Committed != 1200 || st.Finished != 1200 {
		t.Errorf("%+v", st)
	}
	mustClose(t, s)
}

// TestContentWhileMoving reads large content piece by piece while its segment
// is recycled and written over.
func TestContentWhileMoving(t *testing.T) {
	o := small(faultfs.New(0))
	o.SegmentSize, o.InlineSize = 1<<20, 128<<10
	s, err := spool.Open("/spool", o)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	body := text(1, 100<<10)
	id := mustCommit(t, s, body, envelope(1))
	c, err := s.Content(id)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got []byte
	for len(got) < len(body) {
		b := make([]byte, 10<<10)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
		for i := range 6 {
			x := mustCommit(t, s, text(uint64(i), 120<<10), envelope(1))
			mustUpdate(t, s, x, &message.Update{Done: true})
		}
		mustFlush(t, s)
		s.Settle()
	}
	if string(got) != string(body) {
		t.Error("the content changed while it was read")
	}
	if s.Stats().Relocated == 0 {
		t.Error("nothing was moved")
	}
	mustUpdate(t, s, id, &message.Update{Done: true})
	mustFlush(t, s)
	if _, err := c.ReadAt(make([]byte, 1), 0); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("reading after the end of the message: %v", err)
	}
}

// TestReaderHoldsSegment: a segment is not written over while somebody still
// reads from it, however long that takes.
func TestReaderHoldsSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate chan struct{}
		o := small(slowReadFS{FS: faultfs.New(0), size: 100 << 10, wait: func() {
			if gate != nil {
				<-gate
			}
		}})
		o.SegmentSize, o.InlineSize = 1<<20, 128<<10
		s, err := spool.Open("/spool", o)
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		body := text(1, 100<<10)
		c, err := s.Content(mustCommit(t, s, body, envelope(1)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		gate = make(chan struct{})
		got := make([]byte, len(body))
		done := make(chan error, 1)
		go func() { _, err := io.ReadFull(c, got); done <- err }()
		synctest.Wait() // it has found its place and is about to read
		var wg sync.WaitGroup
		wg.Go(func() { // several times the ring, as far as the reader lets it
			for i := range 60 {
				id := mustCommit(t, s, text(uint64(i), 120<<10), envelope(1))
				if i < 8 || i%3 > 0 { // more stays in later segments, so that the turn of the first comes
					mustUpdate(t, s, id, &message.Update{Done: true})
				}
				time.Sleep(time.Second)
			}
		})
		time.Sleep(time.Hour)
		close(gate)
		if err := <-done; err != nil || string(got) != string(body) {
			t.Errorf("the content changed while it was read: %v", err)
		}
		wg.Wait()
	})
}

// slowReadFS waits before every read of so many octets.
type slowReadFS struct {
	spool.FS
	size int
	wait func()
}

func (f slowReadFS) OpenFile(path string, flag int) (spool.File, error) {
	file, err := f.FS.OpenFile(path, flag)
	if err != nil {
		return nil, err
	}
	return slowReadFile{file, f}, nil
}

type slowReadFile struct {
	spool.File
	fs slowReadFS
}

func (f slowReadFile) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == f.fs.size {
		f.fs.wait()
	}
	return f.File.ReadAt(p, off)
}
