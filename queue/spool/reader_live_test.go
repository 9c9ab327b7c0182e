package spool_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// traffic runs messages through a store until it is stopped: small ones, large
// ones inside a segment and in body files. Most end at once, some are deferred
// first, and each worker keeps a few; segments are small, so that they are
// recycled all the time. It returns what stays.
func traffic(t *testing.T, s *spool.Store, workers int) (stop func() map[message.ID]int) {
	t.Helper()
	quit := make(chan struct{})
	stay := map[message.ID]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			sizes := []int{300, 3500, 9000, 90000}
			kept := 0
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				default:
				}
				body := text(uint64(w*1e6+i), sizes[i%len(sizes)]+i%100)
				id, err := commit(s, body, envelope(1+i%3))
				if errors.Is(err, spool.ErrNoSpace) {
					time.Sleep(time.Millisecond)
					continue
				}
				if err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
				if i%7 == 0 {
					mustUpdate(t, s, id, deferral(0, i))
				}
				if i%9 == 0 && kept < 12 {
					kept++
					mu.Lock()
					stay[id] = len(body)
					mu.Unlock()
					continue
				}
				mustUpdate(t, s, id, &message.Update{Done: true})
			}
		})
	}
	return func() map[message.ID]int { close(quit); wg.Wait(); return stay }
}

// liveStore is a store with small segments, on real files when fsys is nil.
func liveStore(t *testing.T, fsys spool.FS) (*spool.Store, string) {
	t.Helper()
	dir := "/spool"
	if fsys == nil {
		dir = filepath.Join(t.TempDir(), "spool")
	}
	o := small(fsys)
	o.InlineSize = 4 << 10
	s, err := spool.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func liveFor(t *testing.T) time.Duration {
	if testing.Short() {
		return time.Second / 4
	}
	return 700 * time.Millisecond
}

// TestReaderBesideStore: whatever a running store finishes, moves or recycles
// while a Reader looks is no damage, no message comes with an error, and none
// that is there all the time is missing.
func TestReaderBesideStore(t *testing.T) {
	t.Run("files", func(t *testing.T) { t.Parallel(); readBeside(t, nil) })
	// Here a sync costs nothing: far more is recycled.
	t.Run("memory", func(t *testing.T) { t.Parallel(); readBeside(t, faultfs.New(0)) })
}

func readBeside(t *testing.T, fsys spool.FS) {
	s, dir := liveStore(t, fsys)
	defer mustClose(t, s)
	old := mustCommit(t, s, text(1, 200), envelope(2)) // is copied from segment to segment
	large := mustCommit(t, s, text(2, 20000), envelope(1))
	stop := traffic(t, s, 3)
	opens, read := 0, 0
	busy := func() bool { st := s.Stats(); return st.Relocated > 0 && st.Finished > 100 }
	for begun := time.Now(); time.Since(begun) < liveFor(t) || !busy(); opens++ {
		r, err := spool.OpenReader(dir, spool.ReaderOptions{FS: fsys})
		if err != nil {
			t.Fatalf("open %d: %v", opens, err)
		}
		if d := r.Damage(); len(d) != 0 || d == nil || r.Summary().Damaged != 0 || r.Summary().Orphans != 0 {
			t.Errorf("open %d: damage %v; %+v", opens, d, r.Summary())
		}
		found := map[message.ID]bool{}
		for e, err := range r.Messages() {
			if err != nil {
				t.Errorf("open %d: %s: %v", opens, e.ID, err)
				continue
			}
			found[e.ID] = true
			c, err := r.Content(e.ID)
			if errors.Is(err, spool.ErrNotFound) {
				continue
			}
			if err != nil {
				t.Errorf("open %d: content of %s: %v", opens, e.ID, err)
				continue
			}
			if n, err := io.Copy(io.Discard, c); err != nil || n != e.Size {
				t.Errorf("open %d: content of %s: %d octets of %d, %v", opens, e.ID, n, e.Size, err)
			}
			c.Close()
			read++
		}
		if !found[old] || !found[large] {
			t.Errorf("open %d: of two messages that stay: %v, %v; %d found", opens, found[old], found[large], len(found))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	stay := stop()
	st := s.Stats()
	t.Logf("%d opens, %d messages read; %d came, %d ended, %d records copied, %d stay", opens, read, st.Committed, st.Finished, st.Relocated, len(stay))
}

// TestSalvageBesideStore: salvaging beside a running store says of no message
// that it is damaged, not of those that come and go, nor of one that is being
// received all the time.
func TestSalvageBesideStore(t *testing.T) {
	t.Parallel()
	s, dir := liveStore(t, nil)
	defer mustClose(t, s)
	d, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if _, err := d.Write(text(3, 50000)); err != nil {
		t.Fatal(err)
	}
	old := mustCommit(t, s, text(1, 200), envelope(2))
	stop := traffic(t, s, 2)
	rounds, written := 0, 0
	for begun := time.Now(); time.Since(begun) < liveFor(t); rounds++ {
		out := t.TempDir()
		found := map[string]bool{}
		err := spool.Salvage(dir, out, spool.ReaderOptions{}, func(v spool.Salvaged) error {
			if v.Damaged || v.Error != "" || v.Content == "" || v.Envelope == "" {
				t.Errorf("round %d: %+v", rounds, v)
			}
			found[v.ID] = true
			written++
			return nil
		})
		if err != nil {
			t.Fatalf("round %d: %v", rounds, err)
		}
		if !found[old.String()] || found[d.ID().String()] {
			t.Errorf("round %d: the message that stays: %v, the one being received: %v", rounds, found[old.String()], found[d.ID().String()])
		}
		b, err := os.ReadFile(filepath.Join(out, old.String()+".json"))
		if err != nil || !strings.Contains(string(b), `"<1@fabrikam.example>"`) {
			t.Errorf("envelope: %s, %v", b, err)
		}
	}
	stop()
	st := s.Stats()
	t.Logf("%d rounds, %d messages written; %d came, %d ended, %d records copied", rounds, written, st.Committed, st.Finished, st.Relocated)
}

// TestDamageBesideStore: real damage is reported beside a running store too,
// and only that: a body file that has gone, a damaged record, a body file that
// has long been without a record.
func TestDamageBesideStore(t *testing.T) {
	t.Parallel()
	s, dir := liveStore(t, nil)
	defer mustClose(t, s)
	large := mustCommit(t, s, text(2, 20000), envelope(1))
	d, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if _, err := d.Write(text(3, 50000)); err != nil {
		t.Fatal(err)
	}
	body := func(id message.ID) string {
		m, _ := filepath.Glob(filepath.Join(dir, "bodies", "*", id.String()))
		if len(m) != 1 {
			t.Fatalf("body of %s: %v", id, m)
		}
		return m[0]
	}
	stop := traffic(t, s, 1)
	defer func() { stop() }()

	orphans := func() int {
		r, err := spool.OpenReader(dir, spool.ReaderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return r.Summary().Orphans
	}
	if n := orphans(); n != 0 {
		t.Errorf("%d orphans while a message is being received", n)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(body(d.ID()), long, long); err != nil {
		t.Fatal(err)
	}
	if n := orphans(); n != 1 {
		t.Errorf("%d orphans with a body file that nobody has touched for an hour", n)
	}
	if err := os.Remove(body(large)); err != nil {
		t.Fatal(err)
	}
	r, err := spool.OpenReader(dir, spool.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if l := r.Damage(); len(l) != 1 || !strings.Contains(l[0].Reason, large.String()) {
		t.Errorf("damage: %v", l)
	}
	if _, err := r.Content(large); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("content: %v", err)
	}
}

// interrupted is a file system that calls between once, after the nth listing
// of the segments.
type interrupted struct {
	spool.FS
	n       int
	between func()
}

func (i *interrupted) ReadDir(path string) ([]fs.DirEntry, error) {
	l, err := i.FS.ReadDir(path)
	if filepath.Base(path) == "segments" {
		if i.n--; i.n == 0 {
			i.between()
		}
	}
	return l, err
}

// churn puts messages through a store until all its ring has been used anew.
// Some stay for a while, so that no segment comes free without copying, and
// what was copied has to be copied again.
func churn(t *testing.T, s *spool.Store) {
	t.Helper()
	for range 2 {
		var last []message.ID
		for i := range 60 {
			id := mustCommit(t, s, text(uint64(i), 3000), envelope(1))
			if i%3 == 0 {
				last = append(last, id)
				continue
			}
			mustUpdate(t, s, id, &message.Update{Done: true})
			mustFlush(t, s)
			s.Settle()
		}
		for _, id := range last {
			mustUpdate(t, s, id, &message.Update{Done: true})
		}
		mustFlush(t, s)
		s.Settle()
	}
}

// TestReaderMeanwhile lets a store recycle all its segments at the worst
// moments: after the Reader has listed them, and before it reads a message
// that it knows.
func TestReaderMeanwhile(t *testing.T) {
	for n := range 8 {
		// The directory is listed to see that it is a spool, then before and
		// after each look; 0 is none of these. At first the messages are in
		// the ring, later in cold segments.
		meanwhile(t, n%4, n >= 4)
	}
}

func meanwhile(t *testing.T, listing int, cold bool) {
	fsys := faultfs.New(0)
	s, dir := liveStore(t, fsys)
	defer mustClose(t, s)
	var ids []message.ID
	for i, size := range []int{300, 3900, 20000} {
		ids = append(ids, mustCommit(t, s, text(uint64(i), size), envelope(1)))
		mustUpdate(t, s, ids[i], deferral(0, i+1))
	}
	mustFlush(t, s)
	if cold {
		churn(t, s)
	}
	moved := s.Stats().Relocated
	r, err := spool.OpenReader(dir, spool.ReaderOptions{FS: &interrupted{fsys, listing, func() { churn(t, s) }}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if l := r.Damage(); len(l) > 0 || r.Summary().Orphans > 0 {
		t.Errorf("listing %d: %v, %+v", listing, l, r.Summary())
	}
	if listing > 0 && s.Stats().Relocated == moved {
		t.Fatal("nothing has been moved")
	}
	i := 0
	for e, err := range r.Messages() {
		if err != nil || i >= len(ids) || e.ID != ids[i] || e.State.Recipients[0].Tries != i+1 {
			t.Fatalf("listing %d: message %d: %+v, %v", listing, i, e, err)
		}
		churn(t, s)
		c, err := r.Content(e.ID)
		if err != nil {
			t.Fatalf("listing %d: %v", listing, err)
		}
		churn(t, s) // under the open content too
		if b, err := io.ReadAll(c); err != nil || int64(len(b)) != e.Size {
			t.Errorf("listing %d: content of %d octets: %d, %v", listing, e.Size, len(b), err)
		}
		c.Close()
		i++
	}
	if i != len(ids) {
		t.Errorf("listing %d: %d messages", listing, i)
	}
	for _, id := range ids {
		mustUpdate(t, s, id, &message.Update{Done: true})
	}
	churn(t, s)
	for e, err := range r.Messages() {
		if err != nil {
			t.Errorf("listing %d: %s has ended: %v", listing, e.ID, err)
		}
	}
	if _, err := r.Content(ids[2]); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("listing %d: content of a message that has ended: %v", listing, err)
	}
}
