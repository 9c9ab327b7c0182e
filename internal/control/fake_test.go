package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"postern/backpressure"
	"postern/internal/message"
	"postern/internal/metrics"
	"postern/internal/wire"
	"postern/queue"
	"postern/queue/spool"
	"postern/receive"
	"postern/routing"
	ptls "postern/tls"
)

// fakeMail is the part of a gateway that is not about its configuration.
type fakeMail struct {
	logger   *slog.Logger // none when nil
	events   Events
	queues   fakeQueues
	bindings []receive.Binding
	imported struct {
		envelope *message.Envelope
		content  []byte
		limit    int64
	}
	importErr error
	dropped   int64
	refused   error
}

func (g *fakeMail) FQDN() string                { return "edge.contoso.example" }
func (g *fakeMail) Started() time.Time          { return time.Now().Add(-time.Hour) }
func (g *fakeMail) Bindings() []receive.Binding { return g.bindings }
func (g *fakeMail) Metrics() []metrics.Family {
	return []metrics.Family{{Name: "postern_test", Kind: metrics.KindGauge, Help: "A figure.", Series: []metrics.Series{{Value: 1}}}}
}
func (g *fakeMail) LinesDropped() int64               { return g.dropped }
func (g *fakeMail) ReloadRefused() (time.Time, error) { return time.Time{}, g.refused }
func (g *fakeMail) Pressure() backpressure.Status {
	return backpressure.Status{Enabled: true, Level: backpressure.Medium, Resources: []backpressure.ResourceStatus{{Name: backpressure.Disk, Level: backpressure.Medium}}}
}
func (g *fakeMail) Certificates() []ptls.Shown {
	return []ptls.Shown{{FriendlyName: "Mail edge", ReceiveConnectors: []string{"From Internet"}}}
}
func (g *fakeMail) SpoolStats() spool.Stats {
	return spool.Stats{Messages: 2, LastSync: 1500 * time.Microsecond}
}
func (g *fakeMail) MaxMessageSize() int64 { return 1000 }
func (g *fakeMail) Route(q routing.Query) routing.Decision {
	return routing.Decision{Connector: "Internet", AddressSpace: "*", Reason: "address space * matches " + q.Recipient.Domain}
}

func (g *fakeMail) Import(ctx context.Context, e *message.Envelope, content io.Reader, limit int64) (message.ID, error) {
	text, err := io.ReadAll(content)
	if err != nil {
		return 0, err
	}
	g.imported.envelope, g.imported.content, g.imported.limit = e, text, limit
	if limit > 0 && int64(len(text)) > limit {
		return 0, wire.NewReply(552, [3]int{5, 3, 4}, "too large")
	}
	return 4711, g.importErr
}

// fakeQueues holds messages that are plain data. Pages and orders look at few
// of them at a time, so that callers must go on.
type fakeQueues struct {
	mu       sync.Mutex
	queues   []queue.QueueInfo
	messages []queue.MessageSummary
	infos    map[message.ID]queue.MessageInfo
	content  map[message.ID][]byte
	orders   []queue.Order
	filters  []queue.Filter
	done     []string // what was done to whole queues
	examine  int      // how many messages a call looks at; 0 for all
	err      error
	// block makes Messages wait for the end of its context.
	block chan struct{}
}

func (q *fakeQueues) Snapshot() []queue.QueueInfo { return q.queues }

func (q *fakeQueues) Ages() []queue.AgeInfo {
	return []queue.AgeInfo{{Name: "Internet/fabrikam.example", Total: 3, Counts: []int{1, 0, 0, 0, 0, 0, 0, 0, 0, 2}}}
}

func (q *fakeQueues) Stats() queue.Stats { return queue.Stats{Messages: 3, Unsaved: 1, Submitted: 7} }

func (q *fakeQueues) whole(what, name string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := slices.IndexFunc(q.queues, func(i queue.QueueInfo) bool { return i.Name == name })
	switch {
	case n < 0:
		return queue.ErrNoQueue
	case q.queues[n].Suspended && what == "retry":
		return fmt.Errorf("%w: %s is suspended; resume it first", queue.ErrBadOrder, name)
	}
	q.done = append(q.done, what+" "+name)
	return nil
}

func (q *fakeQueues) SuspendQueue(name string) error { return q.whole("suspend", name) }
func (q *fakeQueues) ResumeQueue(name string) error  { return q.whole("resume", name) }
func (q *fakeQueues) RetryQueue(name string, resubmit bool) (int, error) {
	if resubmit {
		return 2, q.whole("resubmit", name)
	}
	return 0, q.whole("retry", name)
}

func (q *fakeQueues) Messages(ctx context.Context, f queue.Filter, after message.ID, limit int) (queue.Page, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.filters = append(q.filters, f)
	if q.block != nil {
		close(q.block)
		<-ctx.Done()
		return queue.Page{}, ctx.Err()
	}
	var p queue.Page
	for i, m := range q.messages {
		switch {
		case m.ID <= after:
			continue
		case len(p.Messages) == limit || q.examine > 0 && p.Examined == q.examine:
			p.Next = q.messages[i-1].ID
			return p, q.err
		}
		p.Examined++
		if len(f.IDs) == 0 || slices.Contains(f.IDs, m.ID) {
			p.Messages = append(p.Messages, m)
		}
	}
	return p, q.err
}

func (q *fakeQueues) Show(id message.ID) (queue.MessageInfo, error) {
	if i, ok := q.infos[id]; ok {
		return i, nil
	}
	return queue.MessageInfo{}, spool.ErrNotFound
}

func (q *fakeQueues) Content(id message.ID) (message.Content, error) {
	if c, ok := q.content[id]; ok {
		return fakeContent{bytes.NewReader(c)}, nil
	}
	return nil, spool.ErrNotFound
}

type fakeContent struct{ *bytes.Reader }

func (fakeContent) Close() error { return nil }

func (q *fakeQueues) Carry(ctx context.Context, o queue.Order) (queue.Tally, error) {
	if o.To == "bad" {
		return queue.Tally{}, errors.Join(queue.ErrBadOrder)
	}
	p, err := q.Messages(ctx, o.Filter, o.After, 1000)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.orders = append(q.orders, o)
	t := queue.Tally{Matched: len(p.Messages), Next: p.Next, Examined: p.Examined, Skipped: map[string]int{}}
	for _, m := range p.Messages {
		switch m.Status {
		case queue.StatusActive:
			t.Pending++
		case queue.StatusSuspended:
			t.Skipped["it is suspended already"]++
		default:
			t.Changed++
		}
	}
	return t, err
}

// someQueues are a queue in retry and the Unreachable one, with three messages
// between them.
func someQueues() *fakeQueues {
	began := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	hop := routing.NextHop{Connector: "Internet", Domain: "fabrikam.example"}
	reply := message.Reply{Code: 421, Enhanced: [3]int{4, 4, 1}, Text: "Unable to connect"}
	q := &fakeQueues{
		queues: []queue.QueueInfo{
			{
				Name: hop.String(), Hop: hop, Status: queue.Retry, Messages: 2, Deferred: 2, Velocity: -0.25, LastError: reply, RetryCount: 3,
				FirstRetry: began, LastRetry: began.Add(time.Minute), NextRetry: began.Add(time.Hour), Oldest: began,
			},
			{Name: queue.UnreachableName, Status: queue.Ready, Messages: 1},
		},
		infos:   map[message.ID]queue.MessageInfo{},
		content: map[message.ID][]byte{},
	}
	for id := message.ID(1); id <= 3; id++ {
		e := &message.Envelope{
			From: message.Address{Local: "kim", Domain: "contoso.example"}, Size: 20, Arrived: began,
			Recipients: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "fabrikam.example"}}},
		}
		st := message.NewState(1)
		name, status := hop.String(), queue.StatusRetry
		if id == 3 {
			name, status = queue.UnreachableName, queue.StatusUnreachable
		} else {
			st.Apply(&message.Update{At: began.Add(time.Minute), Outcomes: []message.Outcome{{
				Recipients: []int{0}, Status: message.Deferred, Tries: 2, Reply: reply, Due: began.Add(time.Hour),
			}}})
		}
		q.infos[id] = queue.MessageInfo{Entry: spool.Entry{ID: id, Envelope: e, State: st, Size: 20}, Queues: []string{name}}
		q.messages = append(q.messages, queue.MessageSummary{
			ID: id, Queues: []string{name}, Status: status, From: e.From, Recipients: 1, FirstRecipient: e.Recipients[0].Address,
			Size: 20, Arrived: began, LastError: st.Recipients[0].Reply, Tries: st.Recipients[0].Tries,
		})
		q.content[id] = []byte("Subject: x\r\n\r\nbody\r\n")
	}
	return q
}
