package backpressure

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/metrics"
)

// Options are what a Monitor is made of. All of it has working zero values.
type Options struct {
	Config config.BackPressure
	// Meters read the resources; one without meter is neither watched nor shown.
	Meters map[Name]Meter
	// SharedVolume says that logs and spool lie on one volume. Then log_disk is
	// watched only where it has thresholds of its own.
	SharedVolume bool
	// Relieve is told when it changes how short resources are that delivering
	// takes of; Shed is asked to give up what memory can be done without when
	// there is too little, every ShedInterval or twice in the history of memory,
	// whichever is more often. The Monitor's goroutine calls them, one at a time,
	// and waits for them.
	Relieve func(Level)
	Shed    func()
	Metrics *metrics.Registry
	// Logger takes the events; nil discards them.
	Logger *slog.Logger
}

// ShedInterval is the time between two calls of Options.Shed while it is of no
// use.
const ShedInterval = 30 * time.Second

// Monitor measures resources and publishes what is refused. All methods may be
// called concurrently, but for Start and Stop, which are called once each. A nil
// Monitor refuses nothing.
type Monitor struct {
	o         Options
	published atomic.Pointer[published]
	refused   atomic.Int64
	delayed   atomic.Int64
	kick      chan struct{}
	cancel    context.CancelFunc
	done      sync.WaitGroup

	// rounds is held for one round of measurements, mu for what it changes.
	rounds sync.Mutex
	seen   []seen

	mu        sync.Mutex
	config    config.BackPressure
	resources []*resource
	ramp      ramp
	measured  time.Time // when the latest round was
	relief    Level
	shedAt    time.Time
	highSaid  time.Time // when the event log was last told that all is refused
	highCount int64     // what had been refused by then
}

// seen is what a meter said in a round.
type seen struct {
	reading Reading
	err     error
	skip    bool
}

// resource is one that is watched, or could be.
type resource struct {
	kind
	meter      Meter
	set        *config.Pressure
	off        bool
	machine    machine
	since      time.Time // when the level last changed; zero: never
	reading    Reading
	err        error // why the value is unknown
	thresholds Thresholds
	// nonsense: the configured thresholds don't fit the limit, and the event log
	// knows it.
	nonsense bool

	valueGauge, levelGauge *metrics.Gauge
	refusals, delays       *metrics.Counter
}

// published is what Mail and Level look at. It is never changed.
type published struct {
	level Level
	// all is why everybody is refused, outsiders why they are, slow why they are
	// delayed, and for how long.
	all, outsiders, slow *cause
	delay                time.Duration
	names                bool
}

// cause is the resource that something is refused for.
type cause struct {
	*resource
	figures string
}

// Verdict is what becomes of a MAIL command.
type Verdict struct {
	// Refuse says that it is refused for now; Delay is how long a reply is held
	// back that is not.
	Refuse bool
	Delay  time.Duration
	// Resource is the name of the resource that is short, empty when none is;
	// Figures are its value and threshold. Named says that the client is told
	// the name.
	Resource string
	Figures  string
	Named    bool
}

// New returns a Monitor that finds everything normal until Start.
func New(o Options) *Monitor {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Relieve == nil {
		o.Relieve = func(Level) {}
	}
	if o.Shed == nil {
		o.Shed = func() {}
	}
	m := &Monitor{o: o, kick: make(chan struct{}, 1), cancel: func() {}}
	m.published.Store(&published{})
	for _, k := range kinds() {
		meter := o.Meters[k.name]
		if meter == nil {
			continue
		}
		label := metrics.Label{Name: "resource", Value: string(k.name)}
		m.resources = append(m.resources, &resource{
			kind: k, meter: meter,
			valueGauge: o.Metrics.Gauge("back_pressure_value", label), levelGauge: o.Metrics.Gauge("back_pressure_level", label),
			refusals: o.Metrics.Counter("back_pressure_refusals", label), delays: o.Metrics.Counter("back_pressure_delays", label),
		})
	}
	m.seen = make([]seen, len(m.resources))
	m.configure(o.Config)
	return m
}

// Configure puts another configuration in force, and measures anew at once.
func (m *Monitor) Configure(c config.BackPressure) {
	m.configure(c)
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

func (m *Monitor) configure(c config.BackPressure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.config = c
	for _, r := range m.resources {
		r.set = r.config(&m.config)
		r.off = !c.Enabled || !r.set.Enabled || r.name == LogDisk && m.o.SharedVolume && sameAsDisk(&c)
		r.nonsense = false
		r.machine.mediums, r.machine.highs = 0, 0 // they were of other thresholds
	}
}

// sameAsDisk reports whether log_disk says nothing that disk does not, on a
// volume that they share: it is watched by disk, and has no thresholds of its
// own.
func sameAsDisk(c *config.BackPressure) bool {
	return c.Disk.Enabled && c.LogDisk == config.Pressure{Enabled: true}
}

// Start measures once, so that the first client meets the level that there is,
// and goes on until Stop.
func (m *Monitor) Start() {
	m.round(time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.done.Go(func() { m.run(ctx) })
}

// Stop ends that, and returns when no meter is being read. When ctx ends first
// it returns its error: a disk that does not answer can't be interrupted.
func (m *Monitor) Stop(ctx context.Context) error {
	m.cancel()
	ended := make(chan struct{})
	go func() {
		m.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a resource is still being measured: %w", ctx.Err())
	}
}

func (m *Monitor) run(ctx context.Context) {
	interval := m.interval()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-m.kick:
		}
		m.round(time.Now())
		if next := m.interval(); next != interval {
			interval = next
			ticker.Reset(interval)
		}
	}
}

// defaultInterval is for a configuration that says nothing.
const defaultInterval = 2 * time.Second

func (m *Monitor) interval() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pause()
}

// pause is the time between two rounds. Called with mu held.
func (m *Monitor) pause() time.Duration {
	if m.config.Interval <= 0 {
		return defaultInterval
	}
	return m.config.Interval
}

// Level returns the worst level of all resources: one atomic load.
func (m *Monitor) Level() Level {
	if m == nil {
		return Normal
	}
	return m.published.Load().level
}

// Paused reports whether Pickup and Replay wait.
func (m *Monitor) Paused() bool { return m.Level() >= Medium }

// Mail says what becomes of a MAIL command, of an outsider or not. As long as
// all is normal it costs one atomic load.
func (m *Monitor) Mail(outsider bool) Verdict {
	if m == nil {
		return Verdict{}
	}
	p := m.published.Load()
	var c *cause
	switch {
	case p.level == Normal:
		return Verdict{}
	case p.all != nil:
		c = p.all
	case !outsider:
		return Verdict{}
	case p.outsiders != nil:
		c = p.outsiders
	case p.slow != nil:
		p.slow.delays.Inc()
		m.delayed.Add(1)
		return Verdict{Delay: p.delay, Resource: string(p.slow.name), Figures: p.slow.figures}
	default:
		return Verdict{}
	}
	c.refusals.Inc()
	m.refused.Add(1)
	return Verdict{Refuse: true, Resource: string(c.name), Figures: c.figures, Named: p.names}
}
