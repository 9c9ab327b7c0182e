package spool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool/faultfs"
)

// TestRoom: as the disk fills the room for new messages ends with it, and comes
// back with room on the disk.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1 << 20)
		s := open(t, fsys)
		defer mustClose(t, s)
		mustCommit(t, s, text(1, 1000), envelope(1))
		time.Sleep(5 * time.Second)
		free, segments := s.Room()
		if free != segments || free < 3 {
			t.Errorf("of an empty spool %d of %d segments are free", free, segments)
		}
		least := free
		for i := range 100000 {
			if _, err := commit(s, text(uint64(i), 1000), envelope(1)); err != nil {
				break
			}
			n, of := s.Room()
			if n < 1 || n > of {
				t.Fatalf("%d of %d segments are free, and a message was taken", n, of)
			}
			least = min(least, n)
		}
		if least != 1 {
			t.Errorf("before the disk was full %d segments were free at the least, want 1", least)
		}
		if free, _ := s.Room(); free != 0 {
			t.Errorf("new messages are refused, and %d segments are free", free)
		}
		fsys.SetCapacity(4 << 20)
		time.Sleep(5 * time.Second)
		if free, _ := s.Room(); free < 2 {
			t.Errorf("with room on the disk %d segments are free", free)
		}
	})
}

// TestRoomAfterRestart: a store that nothing is written to since its start has
// as much room as one in use. Were it one segment, back pressure would refuse the
// mail that alone could change it.
func TestRoomAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1 << 30)
		for start := range 6 {
			s := open(t, fsys)
			time.Sleep(5 * time.Second)
			if free, of := s.Room(); free < 2 {
				t.Errorf("start %d: %d of %d segments are free", start, free, of)
			}
			mustCommit(t, s, text(uint64(start), 1000), envelope(1))
			mustClose(t, s)
		}
	})
}

// TestLatency: what the disk takes, also while it is still taking it, and only
// as long as it says anything.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(0)
		s := open(t, slowFS{fsys, func() { time.Sleep(3 * time.Second) }})
		defer mustClose(t, s)
		time.Sleep(time.Minute) // for the segments to be made
		if d := s.Latency(); d != 0 {
			t.Errorf("before the first message %v", d)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			mustCommit(t, s, text(1, 1000), envelope(1))
		}()
		time.Sleep(2 * time.Second)
		if d := s.Latency(); d != 2*time.Second {
			t.Errorf("while a sync has taken 2s: %v", d)
		}
		<-done
		time.Sleep(9 * time.Second)
		if d := s.Latency(); d != 3*time.Second {
			t.Errorf("after a sync of 3s: %v", d)
		}
		time.Sleep(2 * time.Second)
		if d := s.Latency(); d != 0 {
			t.Errorf("eleven seconds after it: %v", d)
		}
	})
}

// TestShed: what is forgotten is read again, and what is not durable yet is not
// forgotten.
func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, faultfs.New(0))
		defer mustClose(t, s)
		type kept struct {
			id   message.ID
			body []byte
			e    *message.Envelope
		}
		var all []kept
		for i := range 20 {
			k := kept{body: text(uint64(i), 500), e: envelope(3)}
			k.id = mustCommit(t, s, k.body, k.e)
			all = append(all, k)
		}
		for i, k := range all {
			mustUpdate(t, s, k.id, deferral(0, i))
			s.Shed()
		}
		check := func() {
			t.Helper()
			for i, k := range all {
				st := message.NewState(3)
				st.Apply(deferral(0, i))
				wantMessage(t, s, k.id, k.body, k.e, st)
			}
		}
		check()
		mustFlush(t, s)
		s.Shed()
		check()
		s.Shed()
		if n := s.MemoryHeld(); n != 0 {
			t.Errorf("%d octets are held for nothing", n)
		}
		if p := s.CheckAccounts(); p != nil {
			t.Error(p)
		}
	})
}
