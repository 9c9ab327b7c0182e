package pickup

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/queue/spool"
)

// PollInterval is how often the directories are looked at (reference 11).
const PollInterval = 5 * time.Second

// Queue is what the package needs of the delivery queues. All errors are
// temporary, but for spool.ErrTooLarge.
type Queue interface {
	// Create begins a message; its id is the one that the file's name tells.
	Create() (*spool.Draft, error)
	// Submit accepts it: after nil it is on stable storage.
	Submit(ctx context.Context, d *spool.Draft, e *message.Envelope) error
	// Refuse tells the sender of a message that was not accepted why. It returns
	// the notification's id, zero when there are reasons not to send one.
	Refuse(ctx context.Context, e *message.Envelope, reply message.Reply, original message.Content) (message.ID, error)
	// Stored reports whether a message of that id was ever accepted.
	Stored(id message.ID) (bool, error)
}

// Settings are what a reload can change.
type Settings struct {
	Pickup config.Pickup
	// FQDN is the gateway's name in Received fields, Domain that in the
	// Message-IDs that it gives.
	FQDN, Domain string
	// MaxMessageSize is in octets.
	MaxMessageSize int64
}

// Options are what a Pickup is made of.
type Options struct {
	Settings
	Queue Queue
	// Paused reports whether files are to be left where they are for now; nil
	// means never. It is asked before each file.
	Paused func() bool
	// Logger takes a line for each message and each trouble; nil discards them.
	Logger *slog.Logger
}

// Pickup looks after both directories. Its methods may be called concurrently,
// but for Start and Stop, which are called once each.
type Pickup struct {
	directories [2]*directory
	cancel      context.CancelFunc
	done        sync.WaitGroup
}

// New returns a Pickup that does nothing before Start.
func New(o Options) (*Pickup, error) {
	if o.Queue == nil {
		return nil, errors.New("pickup: Options.Queue is missing")
	}
	return build(o, spoolQueue{o.Queue}, osFiles{}), nil
}

func build(o Options, q acceptor, f files) *Pickup {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Paused == nil {
		o.Paused = func() bool { return false }
	}
	p := &Pickup{cancel: func() {}}
	for i := range p.directories {
		d := &directory{replay: i == 1, queue: q, files: f, paused: o.Paused, kick: make(chan struct{}, 1)}
		d.log = o.Logger.With("directory", d.name())
		d.trouble.log = d.log
		d.configure(o.Settings)
		p.directories[i] = d
	}
	return p
}

// Configure puts other settings in force, for the files that are taken from now
// on.
func (p *Pickup) Configure(s Settings) {
	for _, d := range p.directories {
		d.configure(s)
	}
}

// Start begins to take files.
func (p *Pickup) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for _, d := range p.directories {
		p.done.Go(func() { d.run(ctx) })
	}
}

// Stop ends that: the file in hand goes back unless the queue has it already. It
// returns when nothing is in hand, which takes no longer than the disk does.
func (p *Pickup) Stop() {
	p.cancel()
	p.done.Wait()
}

// InHand returns the ids that the names of files in the directories tell, which
// were in hand when the gateway ended. Directories that can't be read have none.
func InHand(c config.Pickup) []message.ID {
	var ids []message.ID
	for _, dir := range []string{c.PickupDirectoryPath, c.ReplayDirectoryPath} {
		if dir == "" {
			continue
		}
		_ = osFiles{}.list(dir, func(name string) bool {
			if _, id, ok := parseInHand(name); ok {
				ids = append(ids, id)
			}
			return len(ids) < maxInHand
		})
	}
	return ids
}

// maxInHand bounds the list. One file of each directory is in hand at a time.
const maxInHand = 1000

// acceptor is a Queue with drafts that a test can make.
type acceptor interface {
	create() (draft, error)
	submit(ctx context.Context, d draft, e *message.Envelope) error
	refuse(ctx context.Context, e *message.Envelope, reply message.Reply, original message.Content) (message.ID, error)
	stored(id message.ID) (bool, error)
}

type spoolQueue struct{ q Queue }

func (s spoolQueue) create() (draft, error) {
	d, err := s.q.Create()
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (s spoolQueue) submit(ctx context.Context, d draft, e *message.Envelope) error {
	return s.q.Submit(ctx, d.(*spool.Draft), e)
}

func (s spoolQueue) refuse(ctx context.Context, e *message.Envelope, reply message.Reply, original message.Content) (message.ID, error) {
	return s.q.Refuse(ctx, e, reply, original)
}

func (s spoolQueue) stored(id message.ID) (bool, error) { return s.q.Stored(id) }
