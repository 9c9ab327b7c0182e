package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// model is what a client and a queue know of what they handed in.
type model struct {
	msgs map[message.ID]*known
	last message.ID
}

// known is one message. Steps that were not confirmed may have happened.
type known struct {
	seed      uint64
	size      int
	rcpts     int
	committed bool             // Commit returned nil
	refused   bool             // Commit returned an error, and somebody was there to hear it
	durable   *message.State   // as of the last Flush that returned nil
	current   *message.State   // with all updates handed in
	history   []*message.State // states between the two, each of which may be found
	done      bool             // Done was handed in
	gone      bool             // and flushed
}

func newModel() *model { return &model{msgs: map[message.ID]*known{}} }

func clone(s *message.State) *message.State {
	return &message.State{Recipients: append([]message.RecipientState(nil), s.Recipients...), Attempts: append([]message.Attempt(nil), s.Attempts...), Standing: s.Standing, Done: s.Done}
}

// world is a store with the model of what it should hold.
type world struct {
	s    *spool.Store
	m    *model
	fsys *faultfs.FS
}

func (w world) commit(seed uint64, size, rcpts int) (message.ID, error) {
	d, err := w.s.Create()
	if err != nil {
		return 0, err
	}
	if d.ID() <= w.m.last {
		panic(fmt.Sprintf("id %s after %s", d.ID(), w.m.last))
	}
	w.m.last = d.ID()
	k := &known{seed: seed, size: size, rcpts: rcpts, durable: message.NewState(rcpts), current: message.NewState(rcpts)}
	w.m.msgs[d.ID()] = k
	if _, err := d.Write(text(seed, size)); err != nil {
		d.Abort()
		k.refused = !w.fsys.PowerIsCut()
		return 0, err
	}
	err = d.Commit(context.Background(), envelope(rcpts))
	k.committed, k.refused = err == nil, err != nil && !w.fsys.PowerIsCut()
	return d.ID(), err
}

func (w world) update(id message.ID, u *message.Update) {
	k := w.m.msgs[id]
	if w.s.Update(id, u) != nil {
		return
	}
	if u.Done {
		k.done = true
		return
	}
	k.history = append(k.history, clone(k.current))
	k.current.Apply(u)
}

func (w world) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.s.Flush(ctx); err != nil {
		return err
	}
	w.m.flushed()
	return nil
}

func (m *model) flushed() {
	for _, k := range m.msgs {
		if k.committed {
			k.durable, k.history, k.gone = clone(k.current), nil, k.done
		}
	}
}

// acceptable reports whether a state may be found after a crash. Shards of one
// update may be torn apart, so each shard is looked at by itself; on a full
// disk attempts are left out.
func (k *known) acceptable(got *message.State) bool {
	candidates := append([]*message.State{k.durable, k.current}, k.history...)
	for lo := 0; lo < len(got.Recipients); lo += 64 {
		hi := min(lo+64, len(got.Recipients))
		ok := false
		for _, c := range candidates {
			if reflect.DeepEqual(got.Recipients[lo:hi], c.Recipients[lo:hi]) && (lo > 0 || got.Standing == c.Standing) && (lo > 0 || len(got.Attempts) == 0 || reflect.DeepEqual(got.Attempts, c.Attempts)) {
				ok = true
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// verify checks a store that was opened after a crash. strict says that a
// refused message must not come back.
func (m *model) verify(s *spool.Store, strict bool) error {
	found := map[message.ID]bool{}
	err := s.Each(func(e spool.Entry) error {
		if found[e.ID] {
			return fmt.Errorf("%s comes twice", e.ID)
		}
		found[e.ID] = true
		k := m.msgs[e.ID]
		if k == nil {
			return fmt.Errorf("%s was never handed in", e.ID)
		}
		if k.gone {
			return fmt.Errorf("%s is back from the dead", e.ID)
		}
		if strict && k.refused {
			return fmt.Errorf("%s was refused and came back", e.ID)
		}
		if !reflect.DeepEqual(e.Envelope, envelope(k.rcpts)) {
			return fmt.Errorf("%s: envelope differs", e.ID)
		}
		if !k.acceptable(e.State) {
			return fmt.Errorf("%s: state %+v; durable %+v, current %+v", e.ID, e.State, k.durable, k.current)
		}
		b, err := content(s, e.ID)
		if err != nil || string(b) != string(text(k.seed, k.size)) {
			return fmt.Errorf("%s: content differs (%d of %d octets): %v", e.ID, len(b), k.size, err)
		}
		l, err := s.Load(e.ID)
		if err != nil || !reflect.DeepEqual(l, e) {
			return fmt.Errorf("%s: Load gives %+v, Each %+v: %v", e.ID, l, e, err)
		}
		k.committed, k.refused = true, false
		k.durable, k.current, k.history, k.done = clone(e.State), clone(e.State), nil, false
		return nil
	})
	if err != nil {
		return err
	}
	for id, k := range m.msgs {
		if k.committed && !k.done && !found[id] {
			return fmt.Errorf("%s was accepted and is lost", id)
		}
		if !found[id] {
			delete(m.msgs, id) // never accepted, or finished
		}
	}
	if p := s.CheckAccounts(); p != nil {
		return errors.New(strings.Join(p, "; "))
	}
	return nil
}

// workload is a life of a small spool: content in segments and in files,
// states of many recipients, segments recycled, cold ones made, compacted and
// removed. It goes on after errors, as a server does.
func workload(w world) {
	var ids []message.ID
	add := func(seed uint64, size, rcpts int) {
		if id, err := w.commit(seed, size, rcpts); err == nil {
			ids = append(ids, id)
		}
	}
	done := func(i int) {
		if i >= 0 && i < len(ids) {
			w.update(ids[i], &message.Update{Done: true})
		}
	}
	add(1, 100, 1)
	add(2, 9000, 2) // a body file
	add(3, 2000, 70)
	for i, id := range ids {
		w.update(id, deferral(0, i+1))
	}
	w.flush()
	ordered := func(i int, s message.Standing) {
		if i < len(ids) {
			w.update(ids[i], &message.Update{At: time.Unix(1800000000, 0).UTC(), Standing: &s})
		}
	}
	ordered(0, message.Standing{Suspended: true})
	ordered(1, message.Standing{Redirect: "[192.0.2.9]:25,hub2.example:25"})
	ordered(2, message.Standing{Panics: 2, Poison: true})
	w.flush()
	if len(ids) > 2 {
		u := deferral(3, 2)
		u.Outcomes[0].Recipients = []int{3, 69}
		u.Attempts = []message.Attempt{{Host: "mx1.example.net", Reply: message.Reply{Code: 451}}}
		w.update(ids[2], u)
	}
	for i := range 36 { // more than the ring holds
		add(uint64(10+i), 3500, 1)
		if len(ids) == 0 {
			continue
		}
		if i%4 != 0 {
			done(len(ids) - 1)
		} else {
			w.update(ids[len(ids)-1], deferral(0, i))
		}
		if i%6 == 5 {
			w.flush()
			w.s.Settle()
		}
	}
	add(90, 7000, 1)
	ordered(0, message.Standing{})
	ordered(1, message.Standing{Removal: message.RemovalTold})
	w.flush()
	for i := 3; i < len(ids); i += 2 { // cold segments lose messages
		done(i)
	}
	w.flush()
	w.s.Settle()
	for i := range 12 {
		add(uint64(100+i), 3000, 1)
		done(len(ids) - 1)
	}
	done(1)
	w.flush()
	w.s.Settle()
}

// run runs a workload on a file system, in a time of its own so that no wait
// takes long; Open may fail.
func run(t *testing.T, fsys *faultfs.FS, work func(world)) (m *model) {
	synctest.Test(t, func(*testing.T) {
		m = newModel()
		s, err := spool.Open("/spool", small(fsys))
		if err != nil {
			return
		}
		work(world{s, m, fsys})
		if s.Close() == nil {
			m.flushed()
		}
	})
	return m
}

// check is checkAfter for a copy of the model.
func check(t *testing.T, fsys *faultfs.FS, m *model, strict bool) (err error) {
	synctest.Test(t, func(*testing.T) { err = checkAfter(fsys, m.clone(), strict) })
	return err
}

// checkAfter opens what is left, checks it, and checks that the store works
// on, and again after that.
func checkAfter(fsys *faultfs.FS, m *model, strict bool) error {
	for round := range 2 {
		s, err := spool.Open("/spool", small(fsys))
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		err = m.verify(s, strict)
		w := world{s, m, fsys}
		if err == nil {
			if st := s.Stats(); st.Failures > 0 {
				err = fmt.Errorf("failures after the start: %s", st.LastError)
			}
		}
		for i := 0; i < 3 && err == nil; i++ {
			var id message.ID
			if id, err = w.commit(uint64(1000+i), 3000*i, 1); err == nil {
				w.update(id, deferral(0, 1))
				if i == 1 {
					w.update(id, &message.Update{Done: true})
				}
				err = w.flush()
			}
		}
		if cerr := s.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		m.flushed()
	}
	return nil
}

// operations is how many operations the workload has without faults.
func operations(t *testing.T) int {
	t.Helper()
	fsys := faultfs.New(0)
	m := run(t, fsys, workload)
	if err := check(t, fsys, m, true); err != nil {
		t.Fatal(err)
	}
	kinds := map[faultfs.Kind]int{}
	fsys = faultfs.New(0)
	fsys.SetHook(func(op faultfs.Op) faultfs.Fault { kinds[op.Kind]++; return faultfs.Fault{} })
	run(t, fsys, workload)
	t.Logf("the workload has %d operations: %v", fsys.Ops(), kinds)
	for _, k := range []faultfs.Kind{faultfs.Write, faultfs.Sync, faultfs.Create, faultfs.Remove, faultfs.Rename, faultfs.SyncDir} {
		if kinds[k] == 0 {
			t.Errorf("the workload has no %s", k)
		}
	}
	return fsys.Ops()
}

// step is how many operations lie between two that are tried: 1 tries all.
func step(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("SPOOL_CRASH_STEP")); err == nil && n > 0 {
		return n
	}
	if testing.Short() || spool.RaceEnabled {
		return 13
	}
	return 1
}

// TestPowerCut cuts the power after every operation of the workload, in every
// way it may go.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	total := operations(t)
	for n := 1; n <= total; n += step(t) {
		fsys := faultfs.New(0)
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault { return faultfs.Fault{Cut: op.N == n && op.Kind != faultfs.Read} })
		m := run(t, fsys, workload)
		fsys.CutPower()
		for _, how := range faultfs.Survivals {
			if err := check(t, fsys.Crash(how, uint64(n)), m, true); err != nil {
				t.Fatalf("power cut after operation %d, survival %d: %v", n, how, err)
			}
		}
	}
}

func (m *model) clone() *model {
	c := newModel()
	c.last = m.last
	for id, k := range m.msgs {
		kk := *k
		c.msgs[id] = &kk
	}
	return c
}

// TestKilledThenPowerCut kills the process after every operation, lets a new
// one start and work, and then cuts the power: what the second one took from
// the page cache of the first must have been made durable.
func TestKilledThenPowerCut(t *testing.T) {
	t.Parallel()
	total := operations(t)
	for n := 1; n <= total; n += step(t) {
		fsys := faultfs.New(0)
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault { return faultfs.Fault{Cut: op.N == n && op.Kind != faultfs.Read} })
		m := run(t, fsys, workload)
		fsys = fsys.Kill()
		var err error
		synctest.Test(t, func(*testing.T) {
			s, oerr := spool.Open("/spool", small(fsys))
			if oerr != nil {
				err = oerr
				return
			}
			if err = m.verify(s, false); err == nil {
				w := world{s, m, fsys}
				for id := range m.msgs {
					w.update(id, deferral(0, 77))
				}
				err = w.flush()
				fsys.CutPower()
			}
			_ = s.Close()
		})
		for _, how := range []faultfs.Survival{faultfs.Nothing, faultfs.Torn} {
			if err == nil {
				err = check(t, fsys.Crash(how, uint64(n)), m, false)
			}
			if err != nil {
				t.Fatalf("killed after operation %d, survival %d: %v", n, how, err)
			}
		}
	}
}

// TestFailedOperation fails every operation of the workload once, and cuts the
// power at the end. Writes fail whole and, every other one, short. What was refused must not
// come back: there is always a segment left to seal in.
func TestFailedOperation(t *testing.T) {
	t.Parallel()
	total := operations(t)
	for _, f := range []struct {
		name  string
		step  int
		fault faultfs.Fault
	}{
		{"EIO", 1, faultfs.Fault{Err: syscall.EIO}},
		{"short write", 2, faultfs.Fault{Err: syscall.EIO, Short: 700}},
		{"ENOSPC", 2, faultfs.Fault{Err: syscall.ENOSPC, Short: 100}},
	} {
		for n := 1; n <= total; n += f.step * step(t) {
			fsys := faultfs.New(0)
			fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
				if op.N == n && op.Kind != faultfs.Read {
					return f.fault
				}
				return faultfs.Fault{}
			})
			m := run(t, fsys, workload)
			fsys.CutPower()
			for _, how := range []faultfs.Survival{faultfs.Nothing, faultfs.Everything, faultfs.Torn} {
				if err := check(t, fsys.Crash(how, uint64(n)), m, true); err != nil {
					t.Fatalf("%s at operation %d, survival %d: %v", f.name, n, how, err)
				}
			}
		}
	}
}

// TestRefusedThenPowerCut fails each write and sync of a segment and cuts the
// power soon after. A message whose client was told that it is refused must
// not come back, although all of it may be on the disk.
func TestRefusedThenPowerCut(t *testing.T) {
	t.Parallel()
	total := operations(t)
	refused := 0
	for n := 1; n <= total; n += step(t) {
		for _, after := range []int{0, 1, 2, 4, 7} {
			fsys := faultfs.New(0)
			hit := false
			fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
				if op.N == n && (op.Kind == faultfs.Sync || op.Kind == faultfs.Write) && strings.Contains(op.Path, "/segments/") {
					hit = true
					return faultfs.Fault{Err: syscall.EIO, Short: op.Size}
				}
				return faultfs.Fault{Cut: op.N >= n+1+after && op.Kind != faultfs.Read}
			})
			m := run(t, fsys, workload)
			if !hit {
				break
			}
			for _, k := range m.msgs {
				if k.refused {
					refused++
				}
			}
			fsys.CutPower()
			for _, how := range []faultfs.Survival{faultfs.Everything, faultfs.Torn} {
				if err := check(t, fsys.Crash(how, uint64(n)), m, true); err != nil {
					t.Fatalf("operation %d failed, power cut %d later, survival %d: %v", n, after+1, how, err)
				}
			}
		}
	}
	if refused == 0 {
		t.Error("no message was refused")
	}
}

// TestFailingFrom fails every operation from some point on, for a while: the
// store must neither hang nor lie, and work again afterwards.
func TestFailingFrom(t *testing.T) {
	t.Parallel()
	total := operations(t)
	for n := 1; n <= total; n += 7 * step(t) {
		fsys := faultfs.New(0)
		fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.N >= n && op.Kind == faultfs.Sync {
				return faultfs.Fault{Err: syscall.EIO}
			}
			return faultfs.Fault{}
		})
		m := run(t, fsys, failing)
		fsys.CutPower()
		for _, how := range []faultfs.Survival{faultfs.Nothing, faultfs.Torn} {
			if err := check(t, fsys.Crash(how, uint64(n)), m, false); err != nil {
				t.Fatalf("syncs fail from operation %d, survival %d: %v", n, how, err)
			}
		}
	}
}

// failing commits messages and finishes some until something fails.
func failing(w world) {
	for i := range 40 {
		if id, err := w.commit(uint64(i), 3000, 1); err != nil {
			break
		} else if i%2 == 0 {
			w.update(id, &message.Update{Done: true})
		}
		if i%5 == 0 && w.flush() != nil {
			break
		}
	}
}
