package backpressure

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/metrics"
)

// bench is a Monitor with a dial for each resource.
type bench struct {
	*Monitor
	t       *testing.T
	dials   map[Name]*dial
	log     *logBuffer
	metrics *metrics.Registry
	relief  []Level
	sheds   int
	mu      sync.Mutex
}

type dial struct {
	used, limit atomic.Int64
	fails       atomic.Bool
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last call.
func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

func defaults(t testing.TB) config.BackPressure {
	t.Helper()
	cfg, _, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	return cfg.BackPressure
}

// newBench starts a Monitor whose resources are far from short. It must run
// within synctest.
func newBench(t *testing.T, edit func(*config.BackPressure)) *bench {
	t.Helper()
	b := &bench{t: t, dials: make(map[Name]*dial), log: &logBuffer{}, metrics: new(metrics.Registry)}
	cfg := defaults(t)
	if edit != nil {
		edit(&cfg)
	}
	meters := make(map[Name]Meter)
	for _, k := range kinds() {
		d := &dial{}
		d.limit.Store(map[Name]int64{Disk: 100 << 30, LogDisk: 100 << 30, Inodes: 1 << 20, Segments: 4, Memory: 1 << 30, FileDescriptors: 1000}[k.name])
		b.dials[k.name] = d
		meters[k.name] = func() (Reading, error) {
			if d.fails.Load() {
				return Reading{Of: "a dial"}, errors.New("the dial is broken")
			}
			return Reading{Used: d.used.Load(), Limit: d.limit.Load(), Of: "a dial"}, nil
		}
	}
	b.Monitor = New(Options{
		Config: cfg, Meters: meters, Metrics: b.metrics, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		Relieve: func(l Level) { b.mu.Lock(); defer b.mu.Unlock(); b.relief = append(b.relief, l) },
		Shed:    func() { b.mu.Lock(); defer b.mu.Unlock(); b.sheds++ },
	})
	b.Start()
	t.Cleanup(func() { end(t, b.Monitor) })
	return b
}

func end(t testing.TB, m *Monitor) {
	t.Helper()
	if err := m.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// free sets what is left of a resource, used what is in use.
func (b *bench) free(n Name, left int64) { b.used(n, b.dials[n].limit.Load()-left) }
func (b *bench) used(n Name, v int64)    { b.dials[n].used.Store(v) }

// wait lets so many measurements pass.
func (b *bench) wait(rounds int) {
	time.Sleep(time.Duration(rounds)*2*time.Second + time.Millisecond)
	synctest.Wait()
}

func (b *bench) wants(l Level, outsider, other Verdict) {
	b.t.Helper()
	if got := b.Level(); got != l {
		b.t.Fatalf("the level is %v, want %v", got, l)
	}
	for i, want := range []Verdict{outsider, other} {
		got := b.Mail(i == 0)
		got.Figures = ""
		if got != want {
			b.t.Fatalf("at %v the verdict is %+v, want %+v (outsider: %v)", l, got, want, i == 0)
		}
	}
	if b.Paused() != (l > Normal) {
		b.t.Fatalf("at %v Pickup is paused: %v", l, b.Paused())
	}
}

// acted is what was asked for to relieve memory.
func (b *bench) acted() (relief []Level, sheds int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.relief), b.sheds
}

// events are the ids in what was logged.
func events(log string) []string {
	var ids []string
	for _, f := range strings.Fields(log) {
		if id, ok := strings.CutPrefix(f, "event_id="); ok {
			ids = append(ids, id)
		}
	}
	return ids
}
