package logs

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/config"
	"postern/internal/metrics"
)

const (
	// maxPending bounds the lines that wait for the disk, in octets.
	maxPending = 8 << 20
	// chunkSize is how much is written at a time.
	chunkSize = 64 << 10
	// flushDelay is how long a line waits for company.
	flushDelay = 250 * time.Millisecond
	// retryDelay is how long a failed write waits for the next try.
	retryDelay = time.Second
	// pruneInterval is how often old files are looked for besides at each new
	// file.
	pruneInterval = time.Hour
	// maxFree is how many empty chunks are kept.
	maxFree = 4
)

// mode says how lines are written, if they are.
type mode uint32

const (
	modeOff mode = iota
	modeCSV
	modeJSON
)

// target is where lines go: the settings of a log. It never changes.
type target struct {
	kind      Kind
	layout    Layout
	mode      mode // CSV or JSON
	enabled   bool
	directory string

	maxFile, maxDirectory int64
	maxAge                time.Duration
}

// chunk is some lines of one day that go to one target.
type chunk struct {
	target *target
	day    int64 // since 1 January 1970 UTC
	buf    []byte
}

// writer takes lines from sessions and writes them to a file set. Between the
// two stands a queue of chunks, bounded in octets; lines are stamped when they
// enter it, so that a file is in the order of time. Other settings hold for the
// lines that enter the queue from then on.
type writer struct {
	kind      Kind
	name      string // of the kind
	fs        fileSystem
	set       *fileSet // belongs to run
	onError   func(error)
	onRecover func(int64)

	lines   *metrics.Counter // written
	dropped *metrics.Counter
	waiting *metrics.Gauge // octets

	current atomic.Uint32 // the mode of target, or modeOff

	mu      sync.Mutex
	target  *target
	queue   []chunk // oldest first; the last is being filled
	free    [][]byte
	pending int // octets in the queue and in the hand of run
	closed  bool
	stampMS int64
	stamp   []byte // the begin of a line, up to its time
	// lost, lostFrom and lostTo are the lines dropped since the last note of
	// drops in the log.
	lost             int64
	lostFrom, lostTo time.Time

	unpruned bool // old files could not be deleted; belongs to run

	wake chan struct{} // the queue is no longer empty, or the target another
	full chan struct{} // there is a whole chunk
	stop chan struct{}
	done chan struct{}
	err  error // of the last flush; set before done is closed
}

func newWriter(t *target, o Options, fs fileSystem) *writer {
	log := metrics.Label{Name: "log", Value: o.Kind.String()}
	w := &writer{
		kind: o.Kind, name: o.Kind.String(), fs: fs, target: t, set: &fileSet{fs: fs, target: t}, onError: o.OnError, onRecover: o.OnRecover,
		lines:   o.Metrics.Counter("log_lines", log),
		dropped: o.Metrics.Counter("log_dropped_lines", log),
		waiting: o.Metrics.Gauge("log_pending_octets", log),
		wake:    make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	w.announce(t)
	if w.onError == nil {
		w.onError = func(error) {}
	}
	if w.onRecover == nil {
		w.onRecover = func(int64) {}
	}
	go w.run()
	return w
}

// mode is how lines are to be given to append now.
func (w *writer) mode() mode { return mode(w.current.Load()) }

func (w *writer) announce(t *target) {
	m := modeOff
	if t.enabled {
		m = t.mode
	}
	w.current.Store(uint32(m))
}

// configure gives the lines from now on another target.
func (w *writer) configure(c config.Log) error {
	t, err := targetOf(w.kind, c)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	if t.equal(w.target) {
		return nil
	}
	w.target, w.stamp = t, nil
	w.announce(t)
	signal(w.wake)
	return nil
}

func (t *target) equal(o *target) bool {
	return t.mode == o.mode && t.enabled == o.enabled && t.directory == o.directory &&
		t.maxFile == o.maxFile && t.maxDirectory == o.maxDirectory && t.maxAge == o.maxAge
}

// stampSize is the size of what a line has up to its time.
func (w *writer) stampSize(m mode) int {
	if m == modeJSON {
		return len(`{"log":"","time":""`) + len(w.name) + len(timeFormat)
	}
	return len(timeFormat)
}

// append queues lines that lack only their stamps, and returns the time they
// got. It never waits for the disk. It reports false when the lines are not in
// the mode that holds meanwhile.
func (w *writer) append(m mode, lines *lineBuffer) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m != w.mode() {
		return time.Time{}, false
	}
	now := time.Now()
	if w.closed || w.pending+len(lines.b) > maxPending {
		w.lose(now, len(lines.starts))
		return now, true
	}
	if w.lost > 0 {
		w.noteLost(now)
	}
	stamp := w.stampOf(now)
	for _, start := range lines.starts {
		copy(lines.b[start:], stamp)
	}
	w.add(now, lines.b)
	return now, true
}

// lose counts lines that found no room.
func (w *writer) lose(now time.Time, n int) {
	w.dropped.Add(int64(n))
	if w.lost == 0 {
		w.lostFrom = now
	}
	w.lost += int64(n)
	w.lostTo = now
}

// noteLost puts a comment where the lines are missing.
func (w *writer) noteLost(now time.Time) {
	from, to := w.lostFrom.UTC().Format(timeFormat), w.lostTo.UTC().Format(timeFormat)
	if w.target.mode == modeJSON {
		w.add(now, fmt.Appendf(slices.Clone(w.stampOf(now)), ",\"dropped\":%d,\"from\":\"%s\",\"to\":\"%s\"}\n", w.lost, from, to))
	} else {
		w.add(now, fmt.Appendf(nil, "#Dropped: %d lines from %s to %s\n", w.lost, from, to))
	}
	w.lost = 0
}

// stampOf returns the begin of a line, up to its time. Lines come in bursts
// within one millisecond, so it is kept for the next.
func (w *writer) stampOf(now time.Time) []byte {
	if ms := now.UnixMilli(); ms != w.stampMS || w.stamp == nil {
		w.stampMS = ms
		if w.target.mode == modeJSON {
			w.stamp = appendHead(w.stamp[:0], w.kind, now)
		} else {
			w.stamp = appendTime(w.stamp[:0], now)
		}
	}
	return w.stamp
}

func (w *writer) add(now time.Time, lines []byte) {
	day := dayOf(now)
	last := len(w.queue) - 1
	if last < 0 || w.queue[last].day != day || w.queue[last].target != w.target || len(w.queue[last].buf)+len(lines) > chunkSize {
		switch {
		case last < 0:
			signal(w.wake)
		default:
			signal(w.full)
		}
		w.queue = append(w.queue, chunk{target: w.target, day: day, buf: w.newBuffer()})
		last++
	}
	c := &w.queue[last]
	c.buf = append(c.buf, lines...)
	w.pending += len(lines)
	w.waiting.Set(int64(w.pending))
}

func (w *writer) newBuffer() []byte {
	if n := len(w.free); n > 0 {
		b := w.free[n-1]
		w.free = w.free[:n-1]
		return b[:0]
	}
	return make([]byte, 0, chunkSize)
}

// dayOf returns the day of a time, UTC, since 1 January 1970.
func dayOf(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= 86399
	}
	return s / 86400
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take removes the oldest chunk from the queue.
func (w *writer) take() (chunk, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue = nil
		return chunk{}, false
	}
	c := w.queue[0]
	w.queue[0] = chunk{}
	w.queue = w.queue[1:]
	return c, true
}

// settle takes n octets off what is pending, and keeps buf, when there is one,
// for later.
func (w *writer) settle(n int, buf []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending -= n
	w.waiting.Set(int64(w.pending))
	if cap(buf) == chunkSize && len(w.free) < maxFree {
		w.free = append(w.free, buf)
	}
}

// run writes chunks until it is stopped and the queue is empty, or a write
// fails after it was stopped.
func (w *writer) run() {
	defer close(w.done)
	defer func() { w.set.close() }()
	base := w.dropped.Value()
	spell := &spell{w: w, base: base, seen: base}
	prune := time.NewTicker(pruneInterval)
	defer prune.Stop()
	w.prune()
	for {
		select {
		case <-w.wake:
			w.pause(flushDelay, w.full)
		case <-prune.C:
			w.prune()
			continue
		case <-w.stop:
		}
		for {
			c, ok := w.take()
			if !ok {
				break
			}
			if rest, err := w.write(c, spell); err != nil {
				w.err = fmt.Errorf("%s log: %d lines are lost: %w", w.kind, w.abandon(rest), err)
				return
			}
		}
		spell.drained()
		w.follow()
		if w.stopped() && w.idle() {
			return
		}
	}
}

// pause waits until early tells something, the time is over or run is to stop.
func (w *writer) pause(d time.Duration, early <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-w.stop:
	}
}

func (w *writer) stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0
}

// write writes a chunk, however often that takes. Once run is to stop, a
// failure is final; it returns what is not written.
func (w *writer) write(c chunk, spell *spell) ([]byte, error) {
	rest := c.buf
	w.direct(c.target)
	for {
		n, opened, err := w.set.write(c.day, rest)
		w.lines.Add(int64(bytes.Count(rest[:n], newline)))
		rest = rest[n:]
		if opened {
			w.prune()
		}
		if err == nil {
			w.settle(n, c.buf)
			spell.written()
			return nil, nil
		}
		w.settle(n, nil)
		spell.failed(err)
		if w.stopped() {
			return rest, err
		}
		if t := w.latest(); t != c.target && t.directory != w.set.directory {
			// Where these lines were meant to go is no longer wanted, perhaps for
			// this very trouble: they follow, in the format that they have.
			other := *t
			other.mode = c.target.mode
			w.direct(&other)
			continue
		}
		w.pause(retryDelay, nil)
	}
}

// direct makes the file set that of a target.
func (w *writer) direct(t *target) {
	if w.set.target == t {
		return
	}
	w.set.close()
	w.set = &fileSet{fs: w.fs, target: t}
}

// latest is the target of the settings in force.
func (w *writer) latest() *target {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.target
}

// follow leaves the files of settings that hold no more, once all that was meant
// for them is written.
func (w *writer) follow() {
	w.mu.Lock()
	t, idle := w.target, len(w.queue) == 0
	w.mu.Unlock()
	if idle && w.set.target != t {
		w.direct(t)
		w.prune()
	}
}

// abandon counts what is not written as dropped: rest and all that is queued.
func (w *writer) abandon(rest []byte) int64 {
	lost := int64(0)
	for c, ok := (chunk{buf: rest}), true; ok; c, ok = w.take() {
		lost += int64(bytes.Count(c.buf, newline))
		w.settle(len(c.buf), nil)
	}
	w.dropped.Add(lost)
	return lost
}

// prune deletes old files. That they can't be deleted is reported once, until
// it works again, and ends nothing.
func (w *writer) prune() {
	err := w.set.prune(time.Now())
	if err != nil && !w.unpruned {
		w.onError(fmt.Errorf("%s log: delete old files: %w", w.kind, err))
	}
	w.unpruned = err != nil
}

func (w *writer) close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.stop)
	}
	w.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return fmt.Errorf("%s log: lines are still being written: %w", w.kind, ctx.Err())
	}
}
