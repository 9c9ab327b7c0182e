package spool_test

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// TestModel takes random steps on a store and on a model of it, with failing
// operations, full disks, power cuts and orderly restarts in between.
func TestModel(t *testing.T) {
	t.Parallel()
	// A bubble has no deadline to ask for.
	synctest.Test(t, func(t *testing.T) { rapid.Check(struct{ rapid.TB }{t}, checkModel) })
}

func checkModel(t *rapid.T) {
	fsys := faultfs.New(1 << 20)
	m := newModel()
	s, err := spool.Open("/spool", small(fsys))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { // also when a step has failed
		fsys.CutPower()
		_ = s.Close()
	}()
	var ids []message.ID
	reopen := func() {
		fsys.SetHook(nil)
		if s, err = spool.Open("/spool", small(fsys)); err != nil {
			t.Fatalf("Open: %v", err)
		}
		if err := m.verify(s, false); err != nil {
			t.Fatal(err)
		}
		ids = ids[:0]
		for id := range m.msgs {
			ids = append(ids, id)
		}
	}
	pick := func(t *rapid.T) (message.ID, *known) {
		if len(ids) == 0 {
			t.Skip("no message")
		}
		id := rapid.SampledFrom(ids).Draw(t, "id")
		k := m.msgs[id]
		if k == nil || !k.committed || k.done {
			t.Skip("not a live message")
		}
		return id, k
	}
	t.Repeat(map[string]func(*rapid.T){
		"commit": func(t *rapid.T) {
			for range rapid.IntRange(1, 12).Draw(t, "count") {
				size := rapid.SampledFrom([]int{0, 50, 900, 3000, 4090, 12000}).Draw(t, "size")
				rcpts := rapid.SampledFrom([]int{1, 1, 1, 3, 70, 130}).Draw(t, "rcpts")
				if id, err := (world{s, m, fsys}).commit(rapid.Uint64().Draw(t, "seed"), size, rcpts); err == nil {
					ids = append(ids, id)
				}
			}
		},
		"update": func(t *rapid.T) {
			id, k := pick(t)
			u := deferral(rapid.IntRange(0, k.rcpts-1).Draw(t, "rcpt"), rapid.IntRange(1, 99).Draw(t, "tries"))
			if rapid.Bool().Draw(t, "attempt") {
				u.Attempts = []message.Attempt{{Host: "mx.example.net", At: u.At}}
			}
			(world{s, m, fsys}).update(id, u)
		},
		"fall back": func(t *rapid.T) {
			id, k := pick(t)
			(world{s, m, fsys}).update(id, &message.Update{At: time.Unix(1e9, 0).UTC(), Fallbacks: []message.Fallback{{
				Recipients: []int{rapid.IntRange(0, k.rcpts-1).Draw(t, "recipient")}, Connector: rapid.SampledFrom([]string{"", "Backup"}).Draw(t, "connector"),
				Tries: rapid.IntRange(0, 5).Draw(t, "tries"),
			}}})
		},
		"order": func(t *rapid.T) {
			id, _ := pick(t)
			(world{s, m, fsys}).update(id, &message.Update{Standing: &message.Standing{
				Suspended: rapid.Bool().Draw(t, "suspended"), Poison: rapid.Bool().Draw(t, "poison"), Panics: rapid.IntRange(0, 2).Draw(t, "panics"),
				Redirect: rapid.SampledFrom([]string{"", "[10.0.0.11]:25,hub2.corp.contoso.example:2525"}).Draw(t, "redirect"),
			}})
		},
		"done": func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "count") {
				id, _ := pick(t)
				(world{s, m, fsys}).update(id, &message.Update{Done: true})
			}
		},
		"flush": func(*rapid.T) { _ = (world{s, m, fsys}).flush() },
		"load": func(t *rapid.T) {
			id, k := pick(t)
			e, err := s.Load(id)
			if errors.Is(err, faultfs.ErrPowerCut) {
				t.Skip("the power is cut")
			}
			if err != nil || !k.acceptable(e.State) {
				t.Fatalf("Load(%s): %+v, %v", id, e.State, err)
			}
			if b, err := content(s, id); !errors.Is(err, faultfs.ErrPowerCut) && (err != nil || string(b) != string(text(k.seed, k.size))) {
				t.Fatalf("Content(%s): %v", id, err)
			}
		},
		"settle": func(t *rapid.T) {
			_ = (world{s, m, fsys}).flush()
			s.Settle()
			if p := s.CheckAccounts(); p != nil {
				t.Fatal(p)
			}
		},
		"restart": func(t *rapid.T) {
			if s.Close() == nil {
				m.flushed()
			}
			fsys = fsys.Crash(faultfs.Everything, 1) // the process alone is new
			reopen()
		},
		"crash": func(t *rapid.T) {
			fsys.CutPower()
			_ = s.Close()
			fsys = fsys.Crash(rapid.SampledFrom(faultfs.Survivals).Draw(t, "survival"), rapid.Uint64().Draw(t, "seed"))
			reopen()
		},
		"fail": func(t *rapid.T) {
			at := fsys.Ops() + rapid.IntRange(1, 30).Draw(t, "after")
			fault := rapid.SampledFrom([]faultfs.Fault{{Err: syscall.EIO}, {Err: syscall.EIO, Short: 600}, {Err: syscall.ENOSPC, Short: 60}, {Cut: true}}).Draw(t, "fault")
			fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
				if op.N == at && op.Kind != faultfs.Read {
					return fault
				}
				return faultfs.Fault{}
			})
		},
		"capacity": func(t *rapid.T) {
			fsys.SetCapacity(rapid.SampledFrom([]int64{0, 256 << 10, 1 << 20, 8 << 20}).Draw(t, "capacity"))
		},
	})
}
