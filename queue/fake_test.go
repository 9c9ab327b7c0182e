package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postern/config"
	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore is a Store in memory. It outlives the Queue, as a disk does.
type fakeStore struct {
	mu       sync.Mutex
	last     message.ID
	messages map[message.ID]*stored
	finished map[message.ID]*stored
	// fail, when set, is asked before each operation: "create", "write",
	// "commit", "load", "content", "read", "update".
	fail func(op string) error
	// slow, when set, is how long a commit takes at most.
	slow time.Duration
}

type stored struct {
	envelope *message.Envelope
	state    *message.State
	content  []byte
}

func newStore() *fakeStore {
	return &fakeStore{messages: make(map[message.ID]*stored), finished: make(map[message.ID]*stored)}
}

func (s *fakeStore) trouble(op string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(op)
}

func (s *fakeStore) setFail(fn func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fn
}

func (s *fakeStore) Create() (*spool.Draft, error) { return nil, errors.New("not in tests") }

func (s *fakeStore) Each(fn func(spool.Entry) error) error {
	s.mu.Lock()
	ids := slices.Sorted(maps.Keys(s.messages))
	s.mu.Unlock()
	for _, id := range ids {
		e, err := s.Load(id)
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeStore) Load(id message.ID) (spool.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trouble("load"); err != nil {
		return spool.Entry{}, err
	}
	m := s.messages[id]
	if m == nil {
		return spool.Entry{}, spool.ErrNotFound
	}
	st := *m.state
	st.Recipients, st.Attempts = slices.Clone(st.Recipients), slices.Clone(st.Attempts)
	return spool.Entry{ID: id, Envelope: m.envelope, State: &st, Size: int64(len(m.content))}, nil
}

type fakeContent struct {
	*bytes.Reader
	s *fakeStore
}

func (c *fakeContent) Close() error { return nil }
func (c *fakeContent) ReadAt(p []byte, off int64) (int, error) {
	c.s.mu.Lock()
	err := c.s.trouble("read")
	c.s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Reader.ReadAt(p, off)
}

func (s *fakeStore) Content(id message.ID) (message.Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trouble("content"); err != nil {
		return nil, err
	}
	m := s.messages[id]
	if m == nil {
		return nil, spool.ErrNotFound
	}
	return &fakeContent{bytes.NewReader(m.content), s}, nil
}

func (s *fakeStore) Update(id message.ID, u *message.Update) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trouble("update"); err != nil {
		return err
	}
	m := s.messages[id]
	if m == nil {
		return spool.ErrNotFound
	}
	m.state.Apply(u)
	if u.Done {
		delete(s.messages, id)
		s.finished[id] = m
	}
	return nil
}

func (s *fakeStore) Flush(context.Context) error { return nil }

// get returns a message as it is now, finished or not.
func (s *fakeStore) get(id message.ID) *stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.finished[id]
	if m == nil {
		m = s.messages[id]
	}
	if m == nil {
		return nil
	}
	st := *m.state
	st.Recipients = slices.Clone(st.Recipients)
	return &stored{m.envelope, &st, m.content}
}

func (s *fakeStore) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// reports returns the notifications made about a message, in order.
func (s *fakeStore) reports(of message.ID) []*stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	byID := make(map[message.ID]*stored)
	for _, all := range []map[message.ID]*stored{s.messages, s.finished} {
		for id, m := range all {
			if m.envelope.Origin.ReportOf == of {
				byID[id] = m
			}
		}
	}
	var list []*stored
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		list = append(list, byID[id])
	}
	return list
}

type fakeDraft struct {
	bytes.Buffer
	s  *fakeStore
	id message.ID
}

func (s *fakeStore) create() (draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trouble("create"); err != nil {
		return nil, err
	}
	s.last++
	return &fakeDraft{s: s, id: s.last}, nil
}

func (d *fakeDraft) ID() message.ID { return d.id }
func (d *fakeDraft) Size() int64    { return int64(d.Len()) }
func (d *fakeDraft) Abort()         {}
func (d *fakeDraft) Write(p []byte) (int, error) {
	d.s.mu.Lock()
	err := d.s.trouble("write")
	d.s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return d.Buffer.Write(p)
}
func (d *fakeDraft) Commit(ctx context.Context, e *message.Envelope) error {
	if d.s.slow > 0 {
		time.Sleep(rand.N(d.s.slow))
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if err := d.s.trouble("commit"); err != nil {
		return err
	}
	d.s.messages[d.id] = &stored{envelope: e, state: message.NewState(len(e.Recipients)), content: bytes.Clone(d.Bytes())}
	return nil
}

// routerFunc is a Router.
type routerFunc func(routing.Query) routing.Decision

func (f routerFunc) Route(q routing.Query) routing.Decision { return f(q) }

// byDomain sends each domain to a next hop of its own.
func byDomain(q routing.Query) routing.Decision {
	return to("Internet", q.Recipient.Domain)
}

func to(connector, domain string) routing.Decision {
	return routing.Decision{Connector: connector, NextHop: routing.NextHop{Connector: connector, Domain: domain}}
}

func nowhere() routing.Decision {
	return routing.Decision{Problem: routing.ProblemNoConnector, Reply: message.Reply{Code: 451, Enhanced: [3]int{4, 4, 0}, Text: "A matching connector cannot be found"}}
}

// call is one delivery that was tried.
type call struct {
	at   time.Duration // since the test began
	hop  string
	id   message.ID
	list []int
}

// world is a queue with everything around it, in a bubble of fake time.
type world struct {
	t       *testing.T
	q       *Queue
	store   *fakeStore
	options Options
	began   time.Time
	// jump is how far the wall clock was set, in nanoseconds.
	jump atomic.Int64

	mu        sync.Mutex
	calls     []call
	running   map[string]int
	peak      map[string]int
	delivered map[string]int // "id/recipient" -> times
	events    []Event
	// deliver answers a delivery; nil delivers everything at once.
	deliver func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report
}

func newWorld(t *testing.T, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, store: newStore(), began: time.Now(), running: map[string]int{}, peak: map[string]int{}, delivered: map[string]int{}}
	w.options = Options{
		Settings: Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.contoso.example",
			Notifications: Notifications{MaxPerHour: config.Unlimited}},
		Store:     w.store,
		Deliverer: w,
		OnEvent: func(e Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	if change != nil {
		change(w)
	}
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	q, err := New(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	if s, ok := w.options.Store.(*fakeStore); ok {
		q.newDraft = s.create
	}
	q.wall = func() time.Time { return time.Now().Add(time.Duration(w.jump.Load())) }
	w.q = q
	if err := q.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	w.t.Helper()
	if err := w.q.Stop(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Deliver(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
	w.mu.Lock()
	w.calls = append(w.calls, call{time.Since(w.began), hop.Domain, d.ID, slices.Clone(d.Recipients)})
	for _, k := range []string{"", hop.Domain} {
		w.running[k]++
		w.peak[k] = max(w.peak[k], w.running[k])
	}
	deliver := w.deliver
	w.mu.Unlock()
	r := accept(d)
	if deliver != nil {
		r = deliver(ctx, hop, d)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range r.Outcomes {
		if o.Status == message.Delivered {
			for _, i := range o.Recipients {
				w.delivered[fmt.Sprintf("%d/%d", d.ID, i)]++
			}
		}
	}
	for _, k := range []string{"", hop.Domain} {
		w.running[k]--
	}
	return r
}

// report gives all recipients of a delivery one end.
func report(d *message.Delivery, s message.Status, code int, enhanced [3]int, text string) message.Report {
	return message.Report{Outcomes: []message.Outcome{{Recipients: d.Recipients, Status: s, Reply: message.Reply{Code: code, Enhanced: enhanced, Text: text}, RemoteMTA: "mx1.example [192.0.2.1]"}}}
}

func accept(d *message.Delivery) message.Report {
	return report(d, message.Delivered, 250, [3]int{2, 6, 0}, "Queued")
}
func refuse(d *message.Delivery) message.Report {
	return report(d, message.Failed, 550, [3]int{5, 1, 1}, "User unknown")
}
func postpone(d *message.Delivery) message.Report {
	return report(d, message.Deferred, 451, [3]int{4, 7, 1}, "Greylisted")
}
func unreachable(d *message.Delivery) message.Report {
	r := report(d, message.Deferred, 421, [3]int{4, 4, 1}, "Connection timed out")
	r.Outcomes[0].RemoteMTA = ""
	r.Unreachable = true
	r.Attempts = []message.Attempt{{Host: "mx1.example", Reply: r.Outcomes[0].Reply}}
	return r
}

func (w *world) setDeliver(fn func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deliver = fn
}

// always answers every delivery to a domain but the sender's with fn.
func (w *world) always(fn func(*message.Delivery) message.Report) {
	w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
		if hop.Domain == "sender.example" {
			return accept(d)
		}
		return fn(d)
	})
}

func address(s string) message.Address {
	local, domain, _ := strings.Cut(s, "@")
	return message.Address{Local: local, Domain: domain}
}

func envelope(recipients ...string) *message.Envelope {
	e := &message.Envelope{From: address("bob@sender.example"), Arrived: time.Now(), MessageID: "<1@sender.example>"}
	for _, r := range recipients {
		e.Recipients = append(e.Recipients, message.Recipient{Address: address(r)})
	}
	return e
}

func (w *world) submit(e *message.Envelope) message.ID {
	w.t.Helper()
	d, err := w.q.newDraft()
	if err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(d, "Subject: hello\r\n\r\nbody\r\n")
	e.Size = d.Size()
	if err := w.q.submit(context.Background(), d, e); err != nil {
		w.t.Fatal(err)
	}
	return d.ID()
}

// made lists all deliveries tried so far.
func (w *world) made() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// callsTo lists the deliveries tried to one domain.
func (w *world) callsTo(domain string) []call {
	var list []call
	for _, c := range w.made() {
		if c.hop == domain {
			list = append(list, c)
		}
	}
	return list
}

// statuses are those of a message's recipients.
func (w *world) statuses(id message.ID) string {
	w.t.Helper()
	m := w.store.get(id)
	if m == nil {
		w.t.Fatalf("message %d is nowhere", id)
	}
	var b strings.Builder
	for _, r := range m.state.Recipients {
		b.WriteByte("pdDFER"[r.Status])
	}
	return b.String()
}

// settled checks that nothing is left in memory and every delivered recipient
// was delivered once.
func (w *world) settled() {
	w.t.Helper()
	// A clerk who met another at a message comes again after a second, and may
	// find nothing left to do.
	time.Sleep(3 * time.Second)
	synctest.Wait()
	q := w.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.items != 0 || len(q.splits) != 0 || len(q.flights) != 0 || len(q.chores) != 0 || q.busy != 0 || q.workers != 0 || q.clerks != 0 || q.unsaved != 0 {
		w.t.Errorf("left over: %d items, %d splits, %d flights, %d chores, %d busy, %d workers, %d clerks, %d unsaved",
			q.items, len(q.splits), len(q.flights), len(q.chores), q.busy, q.workers, q.clerks, q.unsaved)
	}
	if q.away != 0 || q.returning.Len() != 0 {
		w.t.Errorf("left over: %d deliveries without their places, %d that return", q.away, q.returning.Len())
	}
	for _, d := range q.destinations {
		if d.away != 0 {
			w.t.Errorf("queue %s counts %d deliveries without their places", d.hop, d.away)
		}
		if len(d.items) != 0 || len(d.active) != 0 || d.pins != 0 || d.deferred != 0 || d.ring != nil {
			w.t.Errorf("queue %s is not empty: %d items, %d active, %d pins, %d deferred", d.hop, len(d.items), len(d.active), d.pins, d.deferred)
		}
	}
	for _, g := range q.gates {
		if g.active != 0 || g.offered != 0 || !g.waiting.empty() || g.returning.Len() != 0 {
			w.t.Errorf("the gate of %s counts %d active, %d offered", g.connector, g.active, g.offered)
		}
	}
	if n := q.counters.messages.Load(); n != 0 {
		w.t.Errorf("%d messages are counted", n)
	}
	if n := w.store.live(); n != 0 {
		w.t.Errorf("%d messages are still stored", n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for who, n := range w.delivered {
		if n != 1 {
			w.t.Errorf("%s was delivered %d times", who, n)
		}
	}
}

// limits is a configuration with these limits.
func limits(all, perDomain int64) config.Queue {
	return config.Queue{MaxOutboundConnections: all, MaxPerDomainOutboundConnections: perDomain}
}
