package queue

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// Store is what the queue needs of the spool. Load and Each must reflect every
// update that was handed in, durable or not; Update must not wait for the disk.
// Flush waits until all of them are durable, or ctx ends.
type Store interface {
	Create() (*spool.Draft, error)
	Each(fn func(spool.Entry) error) error
	Load(id message.ID) (spool.Entry, error)
	Content(id message.ID) (message.Content, error)
	Update(id message.ID, u *message.Update) error
	Flush(ctx context.Context) error
}

// Router chooses the next hop of a recipient. It must be pure: the same query
// has the same answer for as long as the Router is in use.
type Router interface {
	Route(routing.Query) routing.Decision
}

// Deliverer brings a message to a next hop. It returns soon after ctx is done.
// It must not change the Delivery and not keep it.
type Deliverer interface {
	Deliver(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report
}

// Settings are what a reload can change.
type Settings struct {
	Router Router
	// Queue has the schedule and the limits; zero values mean the defaults.
	Queue config.Queue
	// ReportingMTA is the gateway's name in notifications, Postmaster the
	// mailbox they come from; by default postmaster at ReportingMTA.
	ReportingMTA string
	Postmaster   message.Address
	// Notifications has the rules for notifications.
	Notifications Notifications
	// SendConnectors have the limits of what leaves through each; nil: there
	// are none.
	SendConnectors []config.SendConnector
}

// Options are what a Queue is made of.
type Options struct {
	Settings
	Store     Store
	Deliverer Deliverer
	// Directory is where the queue keeps small files of its own: which queues
	// are suspended, and what was in hand when the process ended. The store's
	// directory will do. Empty: they are not kept. FS is the file system they
	// lie on; nil means the operating system's.
	Directory string
	FS        spool.FS
	// OnEvent is called for everything that happens to messages, by several
	// goroutines at a time. What it is told of has been handed to the spool. It
	// must be quick and must not call the Queue.
	OnEvent func(Event)
	// Logger takes reports of trouble; nil discards them.
	Logger *slog.Logger
}

// ErrNotRunning is Submit's error before Start and after Stop. It is temporary.
var ErrNotRunning = errors.New("queue: not running")

// draft is what the queue needs of a spool.Draft.
type draft interface {
	io.Writer
	ID() message.ID
	Size() int64
	Commit(ctx context.Context, e *message.Envelope) error
	Abort()
}

// Queue holds the delivery queues. Its methods are safe for concurrent use.
type Queue struct {
	store     Store
	deliverer Deliverer
	onEvent   func(Event)
	log       *slog.Logger
	newDraft  func() (draft, error)
	epoch     time.Time        // when the queue's time begins
	wall      func() time.Time // the wall clock

	// ctx is that of every delivery; cancel cuts them.
	ctx    context.Context
	cancel context.CancelFunc
	kick   chan struct{} // wakes the timekeeper
	stop   chan struct{} // closed by Stop
	done   sync.WaitGroup

	counters counters
	files    files
	quota    quota
	life     *table // nil when nothing is kept on disk
	suspects *table // life while the gateway is cautious, else nil
	// holding is held while it is written down which queues are suspended. It
	// is taken before mu.
	holding sync.Mutex

	// mu guards everything below, and is never held across I/O or a call of
	// anything outside the package. A flight's locks are taken before it.
	mu           sync.Mutex
	phase        phase
	settings     Settings
	schedule     schedule
	remote       *remoteDomains
	gen          uint32 // of settings.Router
	generations  [kept]generation
	destinations map[routing.NextHop]*destination
	unreachable  *destination
	submission   *destination
	poison       *destination
	holds        map[string]bool               // names of the suspended queues
	alone        bool                          // one suspect is tried, and nothing else begun
	splits       map[message.ID][]*destination // by recipient
	flights      map[message.ID]*flight
	fresh, more  ring   // ready queues with nothing, or with something, in flight
	doubtful     ring   // those of fresh whose latest attempt reached no host, or that had none
	stands       uint64 // how many have stood in rings of workers so far
	clock        clock
	gates        map[string]*gate // of Send connectors with limits
	shut         map[*gate]int64  // those that open by themselves, and when
	armed        int64            // when the timekeeper looks next
	chores       choreHeap
	walk         walk
	workers      int         // that deliver or look for something to deliver
	idlers       []chan bool // of workers that wait: true to go on, false to end
	leastIdle    int         // the fewest of them since dismissAt was set
	dismissAt    int64
	busy         int       // of them delivering
	away         int       // deliveries that have left their place
	returning    list.List // of them, those that wait for a worker's place; *seat
	returns      int       // that got one in a row
	throttle     int       // how many may at most, by Throttle; 0: all
	clerks       int       // running
	unsaved      int       // flights with updates that could not be stored
	items        int       // items anywhere
	wakeups      uint64

	// storageUntil is how long no notification is tried after trouble with the
	// storage, storageFailures how often in a row there was some.
	storageUntil    int64
	storageFailures int
}

// generation is the name that a router gave itself. The last few are kept.
type generation struct {
	gen  uint32
	name string
}

const kept = 32

type phase uint8

const (
	idle phase = iota
	running
	stopping
)

// New returns a queue that does nothing before Start.
func New(o Options) (*Queue, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("queue: Options.Store is missing")
	case o.Router == nil:
		return nil, errors.New("queue: Options.Router is missing")
	case o.Deliverer == nil:
		return nil, errors.New("queue: Options.Deliverer is missing")
	}
	q := &Queue{
		store: o.Store, deliverer: o.Deliverer, onEvent: o.OnEvent, log: o.Logger,
		epoch: time.Now(), wall: time.Now,
		kick: make(chan struct{}, 1), stop: make(chan struct{}),
		gen:          1,
		destinations: make(map[routing.NextHop]*destination),
		unreachable:  &destination{special: UnreachableName, unreachable: true, place: -1},
		submission:   &destination{special: SubmissionName, parked: true, place: -1},
		poison:       &destination{special: PoisonName, parked: true, place: -1},
		holds:        make(map[string]bool),
		splits:       make(map[message.ID][]*destination),
		flights:      make(map[message.ID]*flight),
		armed:        never,
	}
	q.newDraft = func() (draft, error) {
		d, err := o.Store.Create()
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	if o.Directory != "" {
		if q.files = (files{o.FS, o.Directory}); o.FS == nil {
			q.files.fs = spool.OS()
		}
	}
	if q.onEvent == nil {
		q.onEvent = func(Event) {}
	}
	q.use(o.Settings)
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q, nil
}

func (q *Queue) use(s Settings) {
	if s.Postmaster.IsNull() {
		s.Postmaster = message.Address{Local: "postmaster", Domain: s.ReportingMTA}
	}
	if s.Notifications.MaxPerHour == 0 {
		s.Notifications.MaxPerHour = defaultPerHour
	}
	q.settings = s
	q.generations[q.gen%kept] = generation{q.gen, ""}
	if named, ok := s.Router.(interface{ Generation() string }); ok {
		q.generations[q.gen%kept].name = named.Generation()
	}
	q.remote = newRemoteDomains(s.Notifications.RemoteDomains)
	q.schedule = newSchedule(s.Queue)
	q.useGates(s.SendConnectors)
}

// Start takes up what is in the store and begins to deliver. It returns when
// all of it is queued; ctx bounds that. A Queue is started once.
func (q *Queue) Start(ctx context.Context) error {
	q.mu.Lock()
	if q.phase != idle {
		q.mu.Unlock()
		return errors.New("queue: started twice")
	}
	q.mu.Unlock()
	q.loadHolds()
	suspects := q.convict(q.beginLife())
	err := q.store.Each(func(e spool.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		q.takeUp(&e)
		return nil
	})
	if err != nil {
		if q.life != nil {
			q.life.close()
		}
		return fmt.Errorf("queue: take up the stored messages: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.phase = running
	q.done.Add(1)
	go q.keepTime()
	if q.life != nil {
		q.done.Add(1)
		go q.watchLife()
	}
	if len(suspects) > 0 {
		q.alone = true
		q.done.Add(1)
		go q.tryAlone(suspects)
	}
	now := q.now()
	if q.staleUnreachable() {
		q.addChore(chore{due: now, kind: choreReroute})
	}
	q.startClerks(now)
	q.startWorkers()
	return nil
}

// Stop ends all work: nothing new is begun, and deliveries under way may end
// until ctx is done, when they are cut. It returns when every goroutine has
// ended. The error is that of ctx when deliveries were cut. The spool stays
// open; its owner flushes and closes it afterwards.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	was := q.phase
	q.phase = stopping
	q.dismiss(true)
	q.mu.Unlock()
	if was != stopping {
		close(q.stop) // whatever happens from now on, it is an orderly end
	}
	ended := make(chan struct{})
	go func() {
		q.done.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("queue: deliveries were cut: %w", ctx.Err())
	}
	q.cancel()
	<-ended
	q.saveLast()
	return err
}

// Create begins a new message. The errors are the spool's, all temporary.
func (q *Queue) Create() (*spool.Draft, error) { return q.store.Create() }

// Submit accepts a message: when it returns nil, content and envelope are on
// stable storage and the message is on its way. After any error the message is
// not accepted; all of them are temporary. The envelope is not to be changed
// afterwards.
func (q *Queue) Submit(ctx context.Context, d *spool.Draft, e *message.Envelope) error {
	return q.submit(ctx, d, e)
}

func (q *Queue) submit(ctx context.Context, d draft, e *message.Envelope) error {
	if len(e.Recipients) == 0 {
		d.Abort()
		return errors.New("queue: the message has no recipient")
	}
	q.mu.Lock()
	phase := q.phase
	q.mu.Unlock()
	if phase != running {
		d.Abort()
		return ErrNotRunning
	}
	id := d.ID()
	if e.Arrived.IsZero() {
		e.Arrived = q.wall()
	}
	if err := d.Commit(ctx, e); err != nil {
		return fmt.Errorf("queue: store the message: %w", err)
	}
	q.counters.submitted.Add(1)
	q.onEvent(Event{Kind: Submitted, At: q.wall(), ID: id, Envelope: e})
	q.admit(id, e)
	return nil
}

// Reconfigure changes router, schedule and limits, and returns at once. The
// messages that wait are routed anew soon after: those in the Unreachable queue
// and those whose next hop is gone first, the others in batches, or when they
// come due before. Every queue in Retry gets one try. Stats tells how far that
// is.
func (q *Queue) Reconfigure(s Settings) {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := q.schedule
	q.gen++
	q.use(s)
	now := q.now()
	sweep := was.expiration != q.schedule.expiration || was.delay != q.schedule.delay
	q.walkAll(sweep, now)
	u := q.unreachable
	if sweep {
		u.lastSweep, u.sweepAt = 0, now
		q.settle(u, now)
	}
	if q.staleUnreachable() {
		q.addChore(chore{due: now, kind: choreReroute})
	}
	q.startWorkers()
}
