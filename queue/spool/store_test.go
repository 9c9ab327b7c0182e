package spool_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small are options that make segments change often.
func small(fsys spool.FS) spool.Options {
	return spool.Options{FS: fsys, SegmentSize: 32 << 10, Segments: 4, MaxSegments: 4, OutcomeDelay: time.Millisecond}
}

func open(t testing.TB, fsys spool.FS) *spool.Store {
	t.Helper()
	s, err := spool.Open("/spool", small(fsys))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func mustClose(t testing.TB, s *spool.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// envelope makes an envelope for n recipients.
func envelope(n int) *message.Envelope {
	e := &message.Envelope{
		From: message.Address{Local: "alice", Domain: "fabrikam.example"}, Arrived: time.Unix(1800000000, 0).UTC(), MessageID: "<1@fabrikam.example>",
		Origin: message.Origin{Connector: "From Internet", Session: "08DE23A4C5B60001", Client: netip.MustParseAddrPort("192.0.2.1:33445"), Helo: "mail.fabrikam.example", Protocol: "ESMTPS"},
	}
	for i := range n {
		e.Recipients = append(e.Recipients, message.Recipient{Address: message.Address{Local: fmt.Sprintf("bob%d", i), Domain: "contoso.example"}})
	}
	return e
}

// text makes content that differs from message to message.
func text(seed uint64, n int) []byte {
	b := make([]byte, n+8)
	r := rand.NewPCG(seed, 1)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:n:n]
}

func commit(s *spool.Store, body []byte, e *message.Envelope) (message.ID, error) {
	d, err := s.Create()
	if err != nil {
		return 0, err
	}
	for len(body) > 0 { // in pieces, as from a connection
		n := min(len(body), 3000)
		if _, err := d.Write(body[:n]); err != nil {
			d.Abort()
			return 0, err
		}
		body = body[n:]
	}
	return d.ID(), d.Commit(context.Background(), e)
}

func mustCommit(t testing.TB, s *spool.Store, body []byte, e *message.Envelope) message.ID {
	t.Helper()
	id, err := commit(s, body, e)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return id
}

// content reads a message's content from the disk: what is kept in memory is
// given away before, and held against it.
func content(s *spool.Store, id message.ID) ([]byte, error) {
	first, err := contentOnce(s, id)
	if err != nil {
		return nil, err
	}
	again, err := contentOnce(s, id)
	if err == nil && !bytes.Equal(first, again) {
		err = errors.New("the content differs from one time to the next")
	}
	return again, err
}

func contentOnce(s *spool.Store, id message.ID) ([]byte, error) {
	c, err := s.Content(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(c)
}

// deferral is an update that defers a recipient.
func deferral(rcpt, tries int) *message.Update {
	at := time.Unix(1800000000+int64(tries), 0).UTC()
	return &message.Update{At: at, Outcomes: []message.Outcome{{Recipients: []int{rcpt}, Status: message.Deferred, Tries: tries, Due: at.Add(time.Minute),
		Reply: message.Reply{Code: 451, Enhanced: [3]int{4, 7, 1}, Text: "Greylisted, come back later"}, RemoteMTA: "mx1.example.net [198.51.100.25]"}}}
}

func mustUpdate(t testing.TB, s *spool.Store, id message.ID, u *message.Update) {
	t.Helper()
	if err := s.Update(id, u); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func mustFlush(t testing.TB, s *spool.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// wantMessage checks everything that is known of a message.
func wantMessage(t testing.TB, s *spool.Store, id message.ID, body []byte, e *message.Envelope, st *message.State) {
	t.Helper()
	got, err := s.Load(id)
	if err != nil {
		t.Fatalf("Load(%s): %v", id, err)
	}
	if !reflect.DeepEqual(got.Envelope, e) {
		t.Fatalf("envelope of %s:\ngot  %+v\nwant %+v", id, got.Envelope, e)
	}
	if !reflect.DeepEqual(got.State, st) {
		t.Fatalf("state of %s:\ngot  %+v\nwant %+v", id, got.State, st)
	}
	b, err := content(s, id)
	if err != nil || !bytes.Equal(b, body) {
		t.Fatalf("content of %s: %d octets, want %d, equal %v, err %v", id, len(b), len(body), bytes.Equal(b, body), err)
	}
}

func TestStoreLife(t *testing.T) {
	fsys := faultfs.New(0)
	s := open(t, fsys)
	sizes := []int{0, 1, 100, 4000, 4096, 5000, 70000}
	var ids []message.ID
	states := map[message.ID]*message.State{}
	for i, n := range sizes {
		id := mustCommit(t, s, text(uint64(i), n), envelope(i+1))
		ids = append(ids, id)
		states[id] = message.NewState(i + 1)
		wantMessage(t, s, id, text(uint64(i), n), envelope(i+1), states[id])
	}
	for round := range 3 {
		for i, id := range ids {
			u := deferral(i, round+1)
			mustUpdate(t, s, id, u)
			states[id].Apply(u)
			wantMessage(t, s, id, text(uint64(i), sizes[i]), envelope(i+1), states[id])
		}
	}
	mustClose(t, s)

	s = open(t, fsys)
	seen := 0
	err := s.Each(func(e spool.Entry) error {
		seen++
		if !reflect.DeepEqual(e.State, states[e.ID]) {
			t.Errorf("Each: state of %s: got %+v want %+v", e.ID, e.State, states[e.ID])
		}
		return nil
	})
	if err != nil || seen != len(ids) {
		t.Fatalf("Each: %d messages, want %d, err %v", seen, len(ids), err)
	}
	for i, id := range ids {
		wantMessage(t, s, id, text(uint64(i), sizes[i]), envelope(i+1), states[id])
		mustUpdate(t, s, id, &message.Update{Done: true})
		if _, err := s.Load(id); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("Load of a finished message: %v", err)
		}
		if err := s.Update(id, deferral(0, 1)); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("Update of a finished message: %v", err)
		}
	}
	mustFlush(t, s)
	s.Settle()
	if p := s.CheckAccounts(); p != nil {
		t.Error(p)
	}
	mustClose(t, s)
	s = open(t, fsys)
	if st := s.Stats(); st.Messages != 0 || st.Bytes != 0 {
		t.Errorf("after all is done: %+v", st)
	}
	for _, name := range fsys.Names() {
		if bytes.Contains([]byte(name), []byte("/bodies/")) {
			t.Errorf("%s is left", name)
		}
	}
	mustClose(t, s)
}

// TestRecycling sends many times the ring through the spool while some
// messages stay.
func TestRecycling(t *testing.T) {
	fsys := faultfs.New(0)
	s := open(t, fsys)
	type kept struct {
		id    message.ID
		seed  uint64
		size  int
		state *message.State
	}
	var stay []kept
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range 600 {
		size := rng.IntN(4000)
		id := mustCommit(t, s, text(uint64(i), size), envelope(1))
		if i%10 == 0 {
			u := deferral(0, i)
			st := message.NewState(1)
			st.Apply(u)
			mustUpdate(t, s, id, u)
			stay = append(stay, kept{id, uint64(i), size, st})
		} else {
			mustUpdate(t, s, id, &message.Update{Done: true})
		}
		if i%97 == 0 && len(stay) > 3 { // and some leave later, from cold segments
			k := rng.IntN(len(stay))
			mustUpdate(t, s, stay[k].id, &message.Update{Done: true})
			stay = append(stay[:k], stay[k+1:]...)
		}
	}
	mustFlush(t, s)
	s.Settle()
	if p := s.CheckAccounts(); p != nil {
		t.Error(p)
	}
	st := s.Stats()
	if st.Relocated == 0 || st.ColdSegments == 0 || st.Messages != len(stay) {
		t.Errorf("%d messages should be there: %+v", len(stay), st)
	}
	check := func() {
		for _, k := range stay {
			wantMessage(t, s, k.id, text(k.seed, k.size), envelope(1), k.state)
		}
	}
	check()
	for range 3 { // the second time some cold segments have an index
		mustClose(t, s)
		s = open(t, fsys)
		if r := s.Recovery(); r.Messages != len(stay) || len(r.Damage) != 0 {
			t.Fatalf("recovery: %+v, want %d messages", r, len(stay))
		}
		if p := s.CheckAccounts(); p != nil {
			t.Error(p)
		}
		check()
	}
	for _, k := range stay {
		mustUpdate(t, s, k.id, &message.Update{Done: true})
	}
	mustFlush(t, s)
	s.Settle()
	s.Settle()
	if st := s.Stats(); st.ColdSegments > 1 { // one is being filled
		t.Errorf("cold segments of dead messages are left: %+v", st)
	}
	mustClose(t, s)
}
