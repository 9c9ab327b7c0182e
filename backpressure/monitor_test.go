package backpressure

import (
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

	"go.uber.org/goleak"

	"postern/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.wants(Normal, Verdict{}, Verdict{})
		b.free(Disk, 900<<20)
		b.wait(1)
		refused := Verdict{Refuse: true, Resource: "disk"}
		b.wants(Medium, refused, Verdict{})
		log := b.log.take()
		if got := events(log); !slices.Equal(got, []string{"15004", "15006"}) {
			t.Errorf("events %v:\n%s", got, log)
		}
		for _, want := range []string{
			"resource pressure increased from normal to medium", "resource=disk", `value="900MB free of 100GB, medium from 1GB free"`,
			"mail from outsiders is refused at MAIL; Pickup and Replay wait",
			"disk = 900MB free of 100GB [medium] [normal=1.1GB free medium=1GB free high=500MB free; from high to medium=550MB free]",
			"messages = 0 messages [normal=900000 medium=1000000 high=1500000; from high to medium=1350000]", "file_descriptors = 0 descriptors of 1000",
		} {
			if !strings.Contains(log, want) {
				t.Errorf("no %q in\n%s", want, log)
			}
		}
		b.free(Disk, 500<<20)
		b.wait(1)
		b.wants(High, refused, refused)
		if got := events(b.log.take()); !slices.Equal(got, []string{"15004", "15006"}) {
			t.Errorf("events %v", got)
		}
		b.free(Disk, 540<<20) // within the band
		b.wait(1)
		b.wants(High, refused, refused)
		b.free(Disk, 560<<20)
		b.wait(1)
		b.wants(Medium, refused, Verdict{})
		b.free(Disk, 1100<<20)
		b.wait(1)
		b.wants(Medium, refused, Verdict{})
		b.free(Disk, 1200<<20)
		b.wait(1)
		b.wants(Normal, Verdict{}, Verdict{})
		log = b.log.take()
		if got := events(log); !slices.Equal(got, []string{"15005", "15005"}) || !strings.Contains(log, "switched_off=none") {
			t.Errorf("events %v:\n%s", got, log)
		}
	})
}

// TestStillHigh: 15002 comes every five minutes, with what was refused.
func TestStillHigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.free(Disk, 0)
		b.wait(1)
		b.log.take()
		for range 3 {
			b.Mail(false)
		}
		b.wait(149)
		if log := b.log.take(); log != "" {
			t.Errorf("within five minutes:\n%s", log)
		}
		b.wait(1)
		log := b.log.take()
		if got := events(log); !slices.Equal(got, []string{"15002"}) || !strings.Contains(log, "refused_meanwhile=3") {
			t.Errorf("after five minutes:\n%s", log)
		}
		b.wait(450)
		if got := events(b.log.take()); !slices.Equal(got, []string{"15002", "15002", "15002"}) {
			t.Errorf("in fifteen minutes more: %v", got)
		}
	})
}

func TestQueueLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.used(SubmissionQueue, 20000) // a spike
		b.wait(4)
		b.used(SubmissionQueue, 0)
		b.wait(1)
		b.wants(Normal, Verdict{}, Verdict{})
		b.used(SubmissionQueue, 9999)
		b.wait(4)
		b.wants(Normal, Verdict{}, Verdict{})
		b.wait(1)
		delay := func(d time.Duration) Verdict { return Verdict{Delay: d, Resource: "submission_queue"} }
		b.wants(Medium, delay(10*time.Second), Verdict{})
		if log := b.log.take(); !strings.Contains(log, "mail from outsiders is delayed at MAIL by 10s; Pickup and Replay wait") || !slices.Equal(events(log), []string{"15004"}) {
			t.Errorf("logged:\n%s", log)
		}
		b.wait(5)
		b.wants(Medium, delay(15*time.Second), Verdict{})
		b.wait(1000)
		b.wants(Medium, delay(55*time.Second), Verdict{})
		b.used(SubmissionQueue, 15000)
		b.wait(5)
		refused := Verdict{Refuse: true, Resource: "submission_queue"}
		b.wants(High, refused, refused)
		b.used(SubmissionQueue, 3000)
		b.wait(1)
		b.wants(Medium, delay(55*time.Second), Verdict{})
		b.used(SubmissionQueue, 1999)
		b.wait(1)
		b.wants(Normal, Verdict{}, Verdict{})
	})
}

// TestMemory: caches are shed before the level rises, and fewer deliveries run
// as long as it is up.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.used(Memory, 1<<30/100*80)
		b.wait(29)
		b.wants(Normal, Verdict{}, Verdict{})
		if relief, sheds := b.acted(); sheds != 2 || relief != nil { // after 2 s and 32 s
			t.Errorf("caches were shed %d times, deliveries relieved %v", sheds, relief)
		}
		b.wait(1)
		refused := Verdict{Refuse: true, Resource: "memory"}
		b.wants(High, refused, refused)
		log := b.log.take()
		if got := events(log); !slices.Equal(got, []string{"15004", "15007"}) || !strings.Contains(log, "fewer deliveries run at a time") {
			t.Errorf("logged:\n%s", log)
		}
		b.used(Memory, 1<<30/1000*725)
		b.wait(1)
		b.wants(Medium, refused, Verdict{})
		b.used(Memory, 1<<30/100*70)
		b.wait(1)
		b.wants(Normal, Verdict{}, Verdict{})
		if relief, _ := b.acted(); !slices.Equal(relief, []Level{High, Medium, Normal}) {
			t.Errorf("relieved %v", relief)
		}
	})
}

// TestGarbage: memory that can be given up never raises the level, however fast
// it is used again.
func TestGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, interval := range []time.Duration{100 * time.Millisecond, 2 * time.Second, time.Minute} {
			var given atomic.Bool // the next value is the one after Shed
			log := &logBuffer{}
			cfg := defaults(t)
			cfg.Interval = interval
			m := New(Options{
				Config: cfg, Shed: func() { given.Store(true) }, Logger: slog.New(slog.NewTextHandler(log, nil)),
				Meters: map[Name]Meter{Memory: func() (Reading, error) {
					if given.Swap(false) {
						return Reading{Used: 50, Limit: 100}, nil
					}
					return Reading{Used: 99, Limit: 100}, nil
				}},
			})
			m.Start()
			time.Sleep(200 * interval)
			end(t, m)
			if got := log.take(); got != "" {
				t.Errorf("with an interval of %v:\n%s", interval, got)
			}
		}
	})
}

// TestHangingMeter: a disk that does not answer holds up neither those who ask
// for the level nor the end.
func TestHangingMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		asked := 0
		m := New(Options{Config: defaults(t), Meters: map[Name]Meter{Disk: func() (Reading, error) {
			if asked++; asked > 1 {
				<-hang
			}
			return Reading{Used: 100 << 30, Limit: 100 << 30}, nil
		}}})
		m.Start()
		time.Sleep(time.Minute)
		if v := m.Mail(true); !v.Refuse || m.Status().Level != High {
			t.Errorf("the level before does not hold: %+v", v)
		}
		m.Configure(defaults(t))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := m.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop returned %v", err)
		}
		close(hang)
	})
}

// TestWorstWins: what refuses beats what delays, and high beats medium.
func TestWorstWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *config.BackPressure) { c.ReplyNamesResource = true })
		b.used(Messages, 1_100_000)
		b.wait(5)
		b.wants(Medium, Verdict{Delay: 10 * time.Second, Resource: "messages"}, Verdict{})
		b.free(Inodes, 9000)
		b.wait(1)
		b.wants(Medium, Verdict{Refuse: true, Resource: "inodes", Named: true}, Verdict{})
		b.used(SyncLatency, int64(11*time.Second))
		b.wait(5)
		high := Verdict{Refuse: true, Resource: "sync_latency", Named: true}
		b.wants(High, high, high)
		s := b.Status()
		if s.Level != High || s.Refused != 3 || s.Delayed != 1 || !slices.Contains(s.SwitchedOff, "all mail is refused at MAIL") {
			t.Errorf("the status is %+v", s)
		}
		var got int64
		for _, sample := range b.metrics.Snapshot() {
			if sample.Name == "back_pressure_refusals" && sample.Labels[0].Value == "sync_latency" {
				got = sample.Value
			}
		}
		if got != 2 {
			t.Errorf("%d refusals are counted for sync_latency, want 2", got)
		}
	})
}

// TestUnknown: a resource that can't be read refuses nothing, and says so.
func TestUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.free(Disk, 0)
		b.wait(1)
		b.dials[Disk].fails.Store(true)
		b.wait(1)
		b.wants(Normal, Verdict{}, Verdict{})
		s := b.Status().Resources[0]
		if s.Name != Disk || s.State != StateUnknown || s.Reason != "the dial is broken" || s.Of != "a dial" {
			t.Errorf("%+v", s)
		}
		b.dials[Disk].fails.Store(false)
		b.wait(1)
		if b.Level() != High {
			t.Errorf("the level is %v", b.Level())
		}
	})
}

// TestConfigure: switched off at once, one resource or all, and on again; other
// thresholds and another interval hold at once.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.free(Disk, 0)
		b.wait(1)
		cfg := defaults(t)
		cfg.Disk.Enabled = false
		b.Configure(cfg)
		synctest.Wait()
		b.wants(Normal, Verdict{}, Verdict{})
		if s := b.Status().Resources[0]; s.State != StateOff {
			t.Errorf("%+v", s)
		}
		b.Configure(defaults(t))
		synctest.Wait()
		if b.Level() != High {
			t.Errorf("the level is %v", b.Level())
		}
		cfg = defaults(t)
		cfg.Enabled = false
		b.Configure(cfg)
		synctest.Wait()
		b.wants(Normal, Verdict{}, Verdict{})
		cfg = defaults(t)
		cfg.Interval = time.Minute
		cfg.Disk.Medium = config.Threshold{Measure: config.MeasureFree, N: 10 << 30}
		b.free(Disk, 9<<30)
		b.Configure(cfg)
		synctest.Wait()
		b.wants(Medium, Verdict{Refuse: true, Resource: "disk"}, Verdict{})
		b.free(Disk, 90<<30)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if b.Level() != Medium {
			t.Error("it was measured before the interval was over")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.wants(Normal, Verdict{}, Verdict{})
	})
}

// TestNonsense: thresholds that don't fit the resource are said once, and the
// defaults hold.
func TestNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *config.BackPressure) {
			c.Disk.Medium = config.Threshold{Measure: config.MeasureFree, N: 200 << 30}
		})
		b.wait(10)
		b.wants(Normal, Verdict{}, Verdict{})
		if log := b.log.take(); strings.Count(log, "don't fit the resource") != 1 {
			t.Errorf("logged:\n%s", log)
		}
		b.free(Disk, 900<<20)
		b.wait(1)
		b.wants(Medium, Verdict{Refuse: true, Resource: "disk"}, Verdict{})
	})
}

func TestSharedVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := defaults(t)
		full := func() (Reading, error) { return Reading{Used: 100 << 30, Limit: 100 << 30}, nil }
		m := New(Options{Config: cfg, SharedVolume: true, Meters: map[Name]Meter{Disk: full, LogDisk: full}})
		m.Start()
		defer end(t, m)
		if s := m.Status(); len(s.Resources) != 1 || s.Resources[0].Name != Disk {
			t.Errorf("%+v", s.Resources)
		}
		cfg.Disk.Medium = config.Threshold{Measure: config.MeasureFree, N: 3 << 30}
		m.Configure(cfg)
		synctest.Wait()
		if s := m.Status(); len(s.Resources) != 1 {
			t.Errorf("with a threshold of disk: %+v", s.Resources)
		}
		cfg.LogDisk.Medium = config.Threshold{Measure: config.MeasureFree, N: 2 << 30}
		m.Configure(cfg)
		synctest.Wait()
		if s := m.Status(); len(s.Resources) != 2 || s.Resources[1].Level != High {
			t.Errorf("with a threshold of its own: %+v", s.Resources)
		}
	})
}

func TestNilMonitor(t *testing.T) {
	var m *Monitor
	if m.Level() != Normal || m.Paused() || m.Mail(true) != (Verdict{}) || len(m.Status().Resources) != 0 {
		t.Error("a nil Monitor refuses something")
	}
}

// TestConcurrently is for the race detector.
func TestConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *config.BackPressure) { c.Interval = 100 * time.Millisecond })
		var work sync.WaitGroup
		for i := range 4 {
			work.Go(func() {
				for n := range 50 {
					b.free(Disk, int64(n%3)*700<<20)
					b.Mail(i%2 == 0)
					b.Status()
					if n%10 == 0 {
						b.Configure(defaults(t))
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		work.Wait()
	})
}
