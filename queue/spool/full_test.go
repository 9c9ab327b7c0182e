package spool_test

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// fillUp commits messages until there is no room.
func fillUp(t *testing.T, s *spool.Store, size int) (ids []message.ID) {
	t.Helper()
	for i := range 100000 {
		id, err := commit(s, text(uint64(i), size), envelope(1))
		if err == nil {
			ids = append(ids, id)
			continue
		}
		if !errors.Is(err, spool.ErrNoSpace) {
			t.Fatalf("message %d: %v, want ErrNoSpace", i, err)
		}
		if _, err := s.Create(); !errors.Is(err, spool.ErrNoSpace) {
			t.Fatalf("Create on a full disk: %v", err)
		}
		return ids
	}
	t.Fatal("the disk is never full")
	return nil
}

// TestFullDisk: intake stops, outcomes go on, and intake works again by itself
// when messages have ended or the volume has room.
func TestFullDisk(t *testing.T) {
	for _, size := range []int{200, 1500, 4000} {
		for _, relief := range []string{"deliveries", "room"} {
			synctest.Test(t, func(t *testing.T) {
				fsys := faultfs.New(1 << 20)
				s := open(t, fsys)
				ids := fillUp(t, s, size)
				if len(ids)*(size+600) < 600<<10 { // an envelope comes twice, in the record and in an index
					t.Errorf("full after %d messages of %d", len(ids), size)
				}
				if st := s.Stats(); !st.NoSpace || st.FreeSegments < 1 {
					t.Errorf("full: %+v", st)
				}
				for round := range 5 { // every message is tried several times
					for _, id := range ids {
						mustUpdate(t, s, id, deferral(0, round))
					}
					mustFlush(t, s)
				}
				if relief == "room" {
					fsys.SetCapacity(4 << 20)
				} else {
					for _, id := range ids[:len(ids)*2/3] {
						mustUpdate(t, s, id, &message.Update{Done: true})
					}
					mustFlush(t, s)
					ids = ids[len(ids)*2/3:]
				}
				time.Sleep(5 * time.Second) // at most that long, by the bubble's clock
				for range 10 {
					ids = append(ids, mustCommit(t, s, text(1, size), envelope(1)))
				}
				if p := s.CheckAccounts(); p != nil {
					t.Error(p)
				}
				mustClose(t, s)
				s = open(t, fsys)
				if r := s.Recovery(); r.Messages != len(ids) || len(r.Damage) > 0 {
					t.Errorf("%d octets, %s: after a restart %d messages, want %d, damage %v", size, relief, r.Messages, len(ids), r.Damage)
				}
				mustClose(t, s)
			})
		}
	}
}

// TestFullDiskRestart: a full spool opens, records outcomes and empties.
func TestFullDiskRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1 << 20)
		s := open(t, fsys)
		ids := fillUp(t, s, 1000)
		for range 6 { // restarts use up nothing
			fsys.CutPower()
			_ = s.Close()
			fsys = fsys.Crash(faultfs.Everything, 1)
			fsys.Fill(0)
			s = open(t, fsys)
			for _, id := range ids[:50] {
				mustUpdate(t, s, id, deferral(0, 1))
			}
			mustFlush(t, s)
		}
		for _, id := range ids {
			mustUpdate(t, s, id, &message.Update{Done: true})
		}
		mustFlush(t, s)
		time.Sleep(5 * time.Second)
		mustCommit(t, s, text(1, 3000), envelope(1))
		mustClose(t, s)
	})
}

// TestFullDiskBody: a large message that does not fit fails alone.
func TestFullDiskBody(t *testing.T) {
	fsys := faultfs.New(1 << 20)
	s := open(t, fsys)
	defer mustClose(t, s)
	s.Settle()
	fsys.Fill(100 << 10)
	if _, err := commit(s, text(1, 200<<10), envelope(1)); !errors.Is(err, spool.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a body larger than the disk: %v, want ErrNoSpace", err)
	}
	id := mustCommit(t, s, text(2, 3000), envelope(1))
	wantMessage(t, s, id, text(2, 3000), envelope(1), message.NewState(1))
	if n := fsys.Used(); n > 1<<20-90<<10 {
		t.Errorf("%d octets used: the body file is left", n)
	}
}
