package event

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/metrics"
	"postern/logs"
)

// maxTrouble is how many events at the levels of warnings and errors are kept
// in memory.
const maxTrouble = 50

// Options are what a Log is made of. The zero value writes text to nobody.
type Options struct {
	Config config.EventLog
	// Stderr is standard error; nil is none.
	Stderr io.Writer
	// JournalStream is the environment's JOURNAL_STREAM, by which systemd tells
	// that standard error is connected to journald.
	JournalStream string
	// Host is the gateway's name in syslog; empty takes the host's.
	Host string
	// Metrics counts events by level, and those that a sink lost; may be nil.
	Metrics *metrics.Registry
}

// Log is the event log. It may be used concurrently. Who opens one closes it.
type Log struct {
	options Options
	journal string // the path of journald's socket
	levels  *levels

	mu      sync.Mutex
	limiter *limiter
	config  config.EventLog
	trouble []*Event // a ring once it is full, oldest at first
	first   int
	stderr  *sink
	syslog  *sink
	closed  bool

	files *logs.Log[logs.EventLine] // nil when the configuration names no directory
	sinks atomic.Pointer[[]*sink]   // those in use

	wake chan struct{} // there is something to wait for
	stop chan struct{}
	done chan struct{}
}

// Open starts an event log. Sinks that can't be reached are tried again for
// ever; that fails nothing.
func Open(o Options) *Log { return open(o, journalSocket) }

func open(o Options, journal string) *Log {
	l := &Log{
		options: o, journal: journal, levels: newLevels(o.Config), limiter: newLimiter(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if l.options.Host == "" {
		l.options.Host, _ = os.Hostname()
	}
	l.sinks.Store(new([]*sink))
	l.mu.Lock()
	l.connect(o.Config)
	l.mu.Unlock()
	l.openFiles(o.Config.File)
	go l.run()
	return l
}

// Logger returns a logger of an area.
func (l *Log) Logger(area eventid.Area) *slog.Logger {
	return slog.New(l.Handler()).With(eventid.AreaKey, string(area))
}

// Handler returns the handler of loggers. Their area is the attribute
// eventid.AreaKey.
func (l *Log) Handler() slog.Handler { return &handler{log: l} }

// Configure puts other settings in force. Levels that were ordered stay until
// their time is over. A sink whose settings are as they were goes on.
func (l *Log) Configure(c config.EventLog) {
	l.levels.configure(c)
	l.mu.Lock()
	old := l.connect(c)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, s := range old {
		_ = s.close(ctx) // it has told what was wrong
	}
	_ = l.files.Configure(filesOf(c.File)) // config has refused what makes no sense
}

// closeTimeout bounds the wait for a sink that is no longer wanted.
const closeTimeout = 2 * time.Second

// connect makes the sinks of a configuration, and returns those that are no
// longer used. Called with mu held.
func (l *Log) connect(c config.EventLog) (old []*sink) {
	if l.closed {
		return nil
	}
	was := l.config
	l.config = c
	if first := l.stderr == nil; l.options.Stderr != nil && (first || c.Format != was.Format) {
		old = append(old, l.stderr)
		l.stderr = l.openStderr(c.Format)
	}
	if c.Syslog != was.Syslog || c.SyslogFacility != was.SyslogFacility {
		old = append(old, l.syslog)
		l.syslog = l.openSyslog(c)
	}
	used := slices.DeleteFunc([]*sink{l.stderr, l.syslog}, func(s *sink) bool { return s == nil })
	l.sinks.Store(&used)
	return slices.DeleteFunc(old, func(s *sink) bool { return s == nil })
}

func (l *Log) openStderr(format string) *sink {
	journald := format == "journald" || format == "auto" && isJournal(l.options.JournalStream, l.options.Stderr)
	switch {
	case journald:
		return l.sink("journald", appendJournal, &journalOutput{path: l.journal, otherwise: l.options.Stderr})
	case format == "json":
		return l.sink("stderr", appendJSON, writerOutput{l.options.Stderr})
	}
	return l.sink("stderr", appendText, writerOutput{l.options.Stderr})
}

func (l *Log) openSyslog(c config.EventLog) *sink {
	if c.Syslog == "" {
		return nil
	}
	network, address, err := config.ParseSyslog(c.Syslog)
	if err != nil {
		return nil // config has refused it
	}
	s := newSyslogFormat(network, c.SyslogFacility, l.options.Host)
	return l.sink("syslog", s.append, &syslogOutput{network: network, address: address})
}

func (l *Log) sink(name string, format func([]byte, *Event) []byte, out output) *sink {
	logger := l.Logger(eventid.Logs)
	return startSink(&sink{
		name: name, format: format, out: out,
		lost: l.options.Metrics.Counter("event_log_lost_events", metrics.Label{Name: "sink", Value: name}),
		onTrouble: func(err error) {
			logger.Error("a sink of the event log does not take events", eventid.EventSinkFailed.Attr(), "sink", name, "error", err)
		},
		onRecover: func(lost int64) {
			logger.Warn("a sink of the event log takes events again", eventid.EventSinkBack.Attr(), "sink", name, "events_lost", lost)
		},
	})
}

// filesOf are the settings of the files, which are always of JSON.
func filesOf(c config.Log) config.Log {
	c.Format = "json"
	return c
}

func (l *Log) openFiles(c config.Log) {
	if c.Directory == "" {
		return
	}
	logger, name := l.Logger(eventid.Logs), logs.EventLog.String()
	// The error is about settings that make no sense, which config has refused.
	l.files, _ = logs.OpenEvents(logs.Options{
		Log: filesOf(c), Metrics: l.options.Metrics,
		OnError: func(err error) {
			logger.Error("a log can't be written; mail goes on without it", eventid.LogFailed.Attr(), "log_name", name, "error", err)
		},
		OnRecover: func(dropped int64) {
			logger.Warn("a log is written again", eventid.LogRecovered.Attr(), "log_name", name, "lines_lost", dropped)
		},
	})
}

// take takes an event that is wanted.
func (l *Log) take(e *Event) {
	now := time.Now()
	if e.Time.IsZero() {
		e.Time = now
	}
	l.mu.Lock()
	if known, ok := l.limiter.table[e.ID]; ok {
		e.Area = known.Area
	} else if e.Area == "" {
		e.Area = eventid.Server
	}
	if l.closed {
		l.mu.Unlock()
		return
	}
	show, began := l.limiter.take(e, now)
	l.mu.Unlock()
	if began {
		kick(l.wake)
	}
	if show {
		l.emit(e)
	}
}

// emit writes an event to every sink.
func (l *Log) emit(e *Event) {
	l.options.Metrics.Counter("events", metrics.Label{Name: "level", Value: LevelName(e.Level)}).Inc()
	if e.Level >= slog.LevelWarn {
		l.keep(e)
	}
	for _, s := range *l.sinks.Load() {
		s.push(e)
	}
	if l.files.On() {
		line := e.line()
		l.files.Write(&line)
	}
}

func (l *Log) keep(e *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.trouble) < maxTrouble {
		l.trouble = append(l.trouble, e)
		return
	}
	l.trouble[l.first] = e
	l.first = (l.first + 1) % maxTrouble
}

// Trouble returns the latest events at the levels of warnings and errors,
// newest first, at most fifty. They are not to be changed.
func (l *Log) Trouble() []*Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.Concat(l.trouble[l.first:], l.trouble[:l.first])
	slices.Reverse(list)
	return list
}

// Levels returns the level of every area, in the order of eventid.Areas.
func (l *Log) Levels() []AreaLevel { return l.levels.list() }

// Order puts levels in force for a time; zero: until the gateway ends or
// ResetLevels.
func (l *Log) Order(levels map[eventid.Area]slog.Level, d time.Duration) {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	l.levels.order(levels, until)
	kick(l.wake)
}

// ResetLevels gives areas the level of the configuration back.
func (l *Log) ResetLevels(areas ...eventid.Area) { l.levels.reset(areas) }

// run writes summaries when their time has come, and ends the orders of
// levels whose time is over.
func (l *Log) run() {
	defer close(l.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-timer.C:
		case <-l.wake:
		}
		if next := l.expire(time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// expire does what is due, and returns when something will be; zero: only after
// another event or order.
func (l *Log) expire(now time.Time) time.Time {
	if over := l.levels.expire(now); len(over) > 0 {
		l.Logger(eventid.Logs).Info("levels of the event log are as configured again", eventid.LogLevelReverted.Attr(), "areas", over)
	}
	next := l.levels.next()
	l.mu.Lock()
	due, at := l.limiter.due(now, false)
	l.mu.Unlock()
	l.summaries(due, now)
	if next.IsZero() || !at.IsZero() && at.Before(next) {
		next = at
	}
	return next
}

func (l *Log) summaries(due []*Event, now time.Time) {
	slices.SortFunc(due, func(a, b *Event) int { return a.Time.Compare(b.Time) })
	for _, e := range due {
		if e.Repeated > 0 {
			e.Time = now
		}
		l.emit(e)
	}
}

// Close writes what waits, summaries too, and ends the log; events that come
// later are lost. It waits no longer than the context allows, and says which
// sinks have lost events.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	now := time.Now()
	due, _ := l.limiter.due(now, true)
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	<-l.done
	l.summaries(due, now)
	errs := []error{l.files.Close(ctx)}
	for _, s := range *l.sinks.Load() {
		errs = append(errs, s.close(ctx))
	}
	return errors.Join(errs...)
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Describe says what levels are in force, for a line of the event log.
func Describe(levels map[eventid.Area]slog.Level) string {
	var list []string
	for _, a := range eventid.Areas() {
		if l, ok := levels[a]; ok {
			list = append(list, fmt.Sprintf("%s=%s", a, LevelName(l)))
		}
	}
	return strings.Join(list, " ")
}
