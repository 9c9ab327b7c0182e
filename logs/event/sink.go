package event

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"postern/internal/metrics"
)

const (
	// maxWaiting bounds what waits for a sink, in octets.
	maxWaiting = 1 << 20
	// minBackoff and maxBackoff are how long a sink that failed is left alone.
	minBackoff = time.Second
	maxBackoff = time.Minute
)

// output is where a sink's events go. Its methods are called by one goroutine,
// but for abort.
type output interface {
	// write writes one event. After an error the same event is given again.
	write(b []byte) error
	// close gives back what is held.
	close()
}

// writerOutput writes to a writer, which is not closed.
type writerOutput struct{ io.Writer }

func (o writerOutput) write(b []byte) error {
	_, err := o.Write(b)
	return err
}

func (o writerOutput) close() {}

// sink writes events to an output in a goroutine of its own.
type sink struct {
	name      string
	format    func([]byte, *Event) []byte
	out       output
	lost      *metrics.Counter
	onTrouble func(error)
	onRecover func(lost int64)

	mu      sync.Mutex
	queue   [][]byte // oldest first
	waiting int      // octets in queue and in hand
	// troubled says that trouble was told and is not over; dropped are the
	// events lost since it began.
	troubled bool
	dropped  int64
	closed   bool

	wake chan struct{}
	stop chan struct{} // closed when no more events come
	done chan struct{}
}

func startSink(s *sink) *sink {
	s.wake, s.stop, s.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go s.run()
	return s
}

// push queues an event. One that finds no room is counted and dropped, which is
// told once; other sinks still get what is told.
func (s *sink) push(e *Event) {
	b := s.format(nil, e)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	if s.waiting+len(b) > maxWaiting && s.waiting > 0 {
		s.dropped++
		first := !s.troubled
		s.troubled = true
		s.mu.Unlock()
		s.lost.Inc()
		if first {
			s.onTrouble(fmt.Errorf("it is slower than events come; more than %d octets wait", maxWaiting))
		}
		return
	}
	s.queue = append(s.queue, b)
	s.waiting += len(b)
	s.mu.Unlock()
	kick(s.wake)
}

func (s *sink) take() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.queue = nil
		return nil, false
	}
	b := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return b, true
}

func (s *sink) settle(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting -= n
}

func (s *sink) run() {
	defer close(s.done)
	defer s.out.close()
	for {
		for b, ok := s.take(); ok; b, ok = s.take() {
			if !s.write(b) {
				return
			}
		}
		s.recovered()
		select {
		case <-s.wake:
		case <-s.stop:
			if s.idle() {
				return
			}
		}
	}
}

func (s *sink) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) == 0
}

// write writes one event, however often that takes. It reports false when that
// failed once the sink is to end.
func (s *sink) write(b []byte) bool {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := s.out.write(b)
		if err == nil {
			s.settle(len(b))
			return true
		}
		s.failed(err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.stop:
			t.Stop()
			s.abandon()
			return false
		}
	}
}

// failed tells of trouble once.
func (s *sink) failed(err error) {
	s.mu.Lock()
	first := !s.troubled
	s.troubled = true
	s.mu.Unlock()
	if first {
		s.onTrouble(fmt.Errorf("%w; it is tried again, and %d octets of events wait meanwhile", err, maxWaiting))
	}
}

// recovered tells that everything has been written.
func (s *sink) recovered() {
	s.mu.Lock()
	if !s.troubled || len(s.queue) > 0 {
		s.mu.Unlock()
		return
	}
	lost := s.dropped
	s.troubled, s.dropped = false, 0
	s.mu.Unlock()
	s.onRecover(lost)
}

// abandon counts what is not written, the event in hand included.
func (s *sink) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += int64(len(s.queue)) + 1
	s.lost.Add(int64(len(s.queue)) + 1)
	s.queue, s.closed = nil, true
}

// close writes what waits and ends the sink. It waits no longer than the
// context allows; a write that never answers then ends with the process.
func (s *sink) close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("event log: %s: events are still being written: %w", s.name, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped > 0 {
		return fmt.Errorf("event log: %s: %d events are lost", s.name, s.dropped)
	}
	return nil
}
