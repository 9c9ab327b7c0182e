package logs

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

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

// chunk is some lines of one day.
type chunk struct {
	day int64 // since 1 January 1970 UTC
	buf []byte
}

// writer takes lines from sessions and writes them to a file set. Between the
// two stands a queue of chunks, bounded in octets; lines are stamped when they
// enter it, so that a file is in the order of time.
type writer struct {
	set       *fileSet
	onError   func(error)
	onRecover func(int64)

	lines   *metrics.Counter // written
	dropped *metrics.Counter
	waiting *metrics.Gauge // octets

	mu      sync.Mutex
	queue   []chunk // oldest first; the last is being filled
	free    [][]byte
	pending int // octets in the queue and in the hand of run
	closed  bool
	stampMS int64
	stamp   []byte
	// lost, lostFrom and lostTo are the lines dropped since the last note of
	// drops in the log.
	lost             int64
	lostFrom, lostTo time.Time

	unpruned bool // old files could not be deleted; belongs to run

	wake chan struct{} // the queue is no longer empty
	full chan struct{} // there is a whole chunk
	stop chan struct{}
	done chan struct{}
	err  error // of the last flush; set before done is closed
}

func newWriter(set *fileSet, o ProtocolOptions) *writer {
	direction := metrics.Label{Name: "direction", Value: o.Direction.String()}
	w := &writer{
		set: set, onError: o.OnError, onRecover: o.OnRecover,
		lines:   o.Metrics.Counter("protocol_log_lines", direction),
		dropped: o.Metrics.Counter("protocol_log_dropped_lines", direction),
		waiting: o.Metrics.Gauge("protocol_log_pending_octets", direction),
		wake:    make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	if w.onError == nil {
		w.onError = func(error) {}
	}
	if w.onRecover == nil {
		w.onRecover = func(int64) {}
	}
	go w.run()
	return w
}

// append queues a line that lacks only its time, and returns the time it got.
// It never waits for the disk.
func (w *writer) append(line []byte) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.closed || w.pending+len(timeFormat)+len(line) > maxPending {
		w.lose(now)
		return now
	}
	if w.lost > 0 {
		w.noteLost(now)
	}
	w.add(now, w.stampOf(now), line)
	return now
}

// lose counts a line that found no room.
func (w *writer) lose(now time.Time) {
	w.dropped.Inc()
	if w.lost == 0 {
		w.lostFrom = now
	}
	w.lost++
	w.lostTo = now
}

// noteLost puts a comment where the lines are missing.
func (w *writer) noteLost(now time.Time) {
	b := fmt.Appendf(nil, "#Dropped: %d lines from %s to %s\n", w.lost,
		w.lostFrom.UTC().Format(timeFormat), w.lostTo.UTC().Format(timeFormat))
	w.lost = 0
	w.add(now, nil, b)
}

// stampOf returns the time as it stands in a line. Lines come in bursts within
// one millisecond, so it is kept for the next.
func (w *writer) stampOf(now time.Time) []byte {
	if ms := now.UnixMilli(); ms != w.stampMS || w.stamp == nil {
		w.stampMS, w.stamp = ms, appendTime(w.stamp[:0], now)
	}
	return w.stamp
}

func (w *writer) add(now time.Time, stamp, line []byte) {
	day := dayOf(now)
	last := len(w.queue) - 1
	if last < 0 || w.queue[last].day != day || len(w.queue[last].buf)+len(stamp)+len(line) > chunkSize {
		switch {
		case last < 0:
			signal(w.wake)
		default:
			signal(w.full)
		}
		w.queue = append(w.queue, chunk{day: day, buf: w.newBuffer()})
		last++
	}
	c := &w.queue[last]
	c.buf = append(append(c.buf, stamp...), line...)
	w.pending += len(stamp) + len(line)
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
	defer w.set.close()
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
				w.err = fmt.Errorf("protocol log: %d lines are lost: %w", w.abandon(rest), err)
				return
			}
		}
		spell.drained()
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
		w.pause(retryDelay, nil)
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
		w.onError(fmt.Errorf("protocol log: delete old files: %w", err))
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
		return fmt.Errorf("protocol log: lines are still being written: %w", ctx.Err())
	}
}
