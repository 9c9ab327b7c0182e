package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// endless is a Store that knows every id.
type endless struct{ *fakeStore }

func (endless) Load(id message.ID) (spool.Entry, error) {
	e := &message.Envelope{From: address("bob@sender.example"), Arrived: time.Unix(1, 0), Subject: "hello", Recipients: []message.Recipient{{Address: address("a@x.example")}}}
	return spool.Entry{ID: id, Envelope: e, State: message.NewState(1), Size: 4096}, nil
}

func (endless) Update(message.ID, *message.Update) error { return nil }

// million is a queue with a million messages in ten delivery queues, that
// delivers nothing.
func million(b *testing.B) *Queue {
	q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain)}, Store: endless{newStore()}, Deliverer: &world{}})
	if err != nil {
		b.Fatal(err)
	}
	q.phase = running
	q.alone = true
	for i := range 1000000 {
		hop := routing.NextHop{Connector: "Internet", Domain: fmt.Sprintf("d%d.example", i%10)}
		q.queueGroups(item{id: message.ID(i*7919%1000003 + 1), arrived: q.now()}, 1, []group{{hop: hop, recipients: []int{0}, due: q.now() + int64(i)}}, q.now())
	}
	return q
}

// BenchmarkPage lists pages of a million messages, and carries orders out on
// them, and measures the longest that a delivery would have waited meanwhile.
func BenchmarkPage(b *testing.B) {
	q := million(b)
	stop, waited := make(chan struct{}), make(chan time.Duration)
	b.Cleanup(func() {
		close(stop)
		b.Logf("the longest wait for the queue was %v", <-waited)
	})
	go func() {
		longest := time.Duration(0)
		for {
			select {
			case <-stop:
				waited <- longest
				return
			case <-time.After(time.Millisecond):
				began := time.Now()
				q.mu.Lock()
				longest = max(longest, time.Since(began))
				q.mu.Unlock()
			}
		}
	}()
	for _, bm := range []struct {
		name string
		run  func(after message.ID) (message.ID, error)
	}{
		{"messages", func(after message.ID) (message.ID, error) {
			p, err := q.Messages(context.Background(), Filter{}, after, 1000)
			return p.Next, err
		}},
		{"messages by queue", func(after message.ID) (message.ID, error) {
			p, err := q.Messages(context.Background(), Filter{Queue: "Internet/d3.example"}, after, 1000)
			return p.Next, err
		}},
		{"messages that match nothing", func(after message.ID) (message.ID, error) {
			p, err := q.Messages(context.Background(), Filter{Subject: "absent"}, after, 1000)
			return p.Next, err
		}},
		{"suspend", func(after message.ID) (message.ID, error) {
			t, err := q.Carry(context.Background(), Order{Verb: Suspend, After: after})
			return t.Next, err
		}},
		{"ages", func(message.ID) (message.ID, error) { q.Ages(); return 0, nil }},
		{"snapshot", func(message.ID) (message.ID, error) { q.Snapshot(); return 0, nil }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			var after message.ID
			for b.Loop() {
				var err error
				if after, err = bm.run(after); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
