package spool_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
)

// TestAsk: a store that is opened again tells which ids were committed, whether
// the message is there still or has ended, and not those that were not.
func TestAsk(t *testing.T) {
	dir := t.TempDir()
	begin := func(ask ...message.ID) *spool.Store {
		s, err := spool.Open(dir, spool.Options{SegmentSize: 256 << 10, OutcomeDelay: time.Millisecond, Ask: ask})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := begin()
	var ids []message.ID
	for i := range 4 {
		d, err := s.Create()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID())
		if _, err := d.Write(text(uint64(i), 100)); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			d.Abort()
		} else if err := d.Commit(context.Background(), envelope(1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Update(ids[1], &message.Update{At: time.Now(), Outcomes: []message.Outcome{{Recipients: []int{0}, Status: message.Delivered}}, Done: true}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = begin(ids[0], ids[1], ids[3])
	defer mustClose(t, s)
	if got, want := s.Recovery().Stored, []message.ID{ids[0], ids[1]}; !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
	if n := s.Recovery().Messages; n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}
