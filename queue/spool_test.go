package queue

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
	"postern/routing"
)

// onSpool gives a world a real spool in dir.
func onSpool(t *testing.T, dir string, f spool.FS) (*spool.Store, func(*world)) {
	t.Helper()
	s, err := spool.Open(dir, spool.Options{FS: f, SegmentSize: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return s, func(w *world) { w.options.Store = s }
}

// TestSpoolRestarts runs on a real spool through several restarts: nothing is
// lost, nothing is delivered twice, failures are told.
func TestSpoolRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, change := onSpool(t, dir, nil)
		w := newWorld(t, change)
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			c, err := d.Open()
			if err != nil {
				t.Errorf("open: %v", err)
				return postpone(d)
			}
			defer c.Close()
			if c.Size() != d.Size || d.Size == 0 {
				t.Errorf("size %d, said %d", c.Size(), d.Size)
			}
			switch {
			case hop.Domain == "no.example":
				return refuse(d)
			case hop.Domain == "grey.example" && time.Since(w.began) < 2*time.Hour:
				return postpone(d)
			}
			return accept(d)
		})
		const rounds, n = 3, 50
		for range rounds {
			for i := range n {
				w.submit(envelope(fmt.Sprintf("u%d@yes.example", i), "a@no.example", "b@grey.example"))
			}
			time.Sleep(10 * time.Minute)
			w.stop()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, change = onSpool(t, dir, nil)
			change(w)
			w.start()
		}
		time.Sleep(5 * time.Hour)
		w.stop()
		if got := s.Stats().Messages; got != 0 {
			t.Errorf("%d messages are left", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if len(w.delivered) != rounds*n*3 { // one recipient each at yes and grey, and the notification
			t.Errorf("%d deliveries, want %d", len(w.delivered), rounds*n*3)
		}
		for who, times := range w.delivered {
			if times != 1 {
				t.Errorf("%s was delivered %d times", who, times)
			}
		}
	})
}

// TestSpoolDiskFull: with a full disk deliveries go on and are recorded,
// notifications wait, and nothing is sent twice, not even after a restart.
func TestSpoolDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dir = "/spool"
		disk := faultfs.New(64 << 20)
		s, change := onSpool(t, dir, disk)
		w := newWorld(t, change)
		var open atomic.Bool
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			switch {
			case hop.Domain == "sender.example":
				return accept(d)
			case !open.Load():
				return unreachable(d)
			case strings.HasPrefix(d.Envelope.Recipients[0].Address.Local, "no"):
				return refuse(d)
			}
			return accept(d)
		})
		accepted := 0
		for i := 0; ; i++ { // until the spool refuses
			if i == 200 {
				disk.Fill(0)
			}
			d, err := w.q.Create()
			if err == nil {
				fmt.Fprintf(d, "Subject: x\r\n\r\n%s\r\n", strings.Repeat("0123456789", 500))
				name := "yes"
				if i%4 == 0 {
					name = "no"
				}
				err = w.q.Submit(context.Background(), d, envelope(fmt.Sprintf("%s%d@there.example", name, i)))
			}
			if err != nil {
				if i < 200 {
					t.Fatalf("message %d on an empty disk: %v", i, err)
				}
				break
			}
			accepted++
			if i > 100000 {
				t.Fatal("a full disk takes everything")
			}
		}
		open.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		done := w.q.Stats()
		t.Logf("%d accepted; an hour later, with the disk full: %+v", accepted, done)
		if want := uint64(accepted / 4 * 3); done.Delivered < want {
			t.Errorf("%d of %d delivered while the disk is full", done.Delivered, want)
		}
		// A restart with the disk still full.
		w.stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s, change = onSpool(t, dir, disk)
		change(w)
		w.start()
		time.Sleep(10 * time.Minute)
		disk.SetCapacity(1 << 30)
		time.Sleep(2 * time.Hour)
		w.stop()
		if got := s.Stats().Messages; got != 0 {
			t.Errorf("%d messages are left", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		told := map[message.ID]int{}
		refused := 0
		for _, e := range w.events {
			switch e.Kind {
			case Failed:
				refused++
			case Notified:
				told[e.ID]++
			}
		}
		if len(told) != refused || refused < accepted/4 {
			t.Errorf("%d refused, %d told, %d accepted", refused, len(told), accepted)
		}
		for who, times := range w.delivered {
			if times != 1 {
				t.Errorf("%s was delivered %d times", who, times)
			}
		}
	})
}

// TestSpoolPowerCuts: whatever moment the power goes, everything accepted is
// delivered, and twice only what was delivered just before the cut, within the
// time that an outcome may ride to the disk.
func TestSpoolPowerCuts(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cutPower(t, rand.New(rand.NewPCG(seed, 2))) })
		})
	}
}

func cutPower(t *testing.T, r *rand.Rand) {
	const dir, window = "/spool", 50 * time.Millisecond
	disk := faultfs.New(64 << 20)
	s, change := onSpool(t, dir, disk)
	w := newWorld(t, func(w *world) {
		change(w)
		w.options.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	})
	last := map[string]time.Time{} // when a recipient was last delivered, guarded by w.mu
	var cuts []time.Time
	w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
		select {
		case <-time.After(rand.N(100 * time.Millisecond)):
		case <-ctx.Done(): // the power is off
			return unreachable(d)
		}
		switch {
		case hop.Domain == "sender.example":
			return accept(d)
		case rand.N(5) == 0:
			return postpone(d)
		case rand.N(5) == 0:
			return refuse(d)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, i := range d.Recipients {
			key := fmt.Sprintf("%d/%d", d.ID, i)
			if at, ok := last[key]; ok {
				excused := false
				for _, cut := range cuts {
					excused = excused || !at.After(cut) && cut.Sub(at) < window
				}
				if !excused {
					t.Errorf("%s was delivered at %v and again at %v", key, at.Sub(w.began), time.Since(w.began))
				}
			}
			last[key] = time.Now()
		}
		return accept(d)
	})
	accepted := map[message.ID]int{}
	for range 6 {
		for i := range 40 {
			d, err := w.q.Create()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(d, "Subject: x\r\n\r\nbody\r\n")
			e := envelope(fmt.Sprintf("u%d@a.example", i), fmt.Sprintf("u%d@b.example", i))
			if err := w.q.Submit(context.Background(), d, e); err != nil {
				t.Fatal(err)
			}
			accepted[d.ID()] = len(e.Recipients)
			time.Sleep(time.Duration(r.Int64N(int64(10 * time.Millisecond))))
		}
		time.Sleep(time.Duration(r.Int64N(int64(3 * time.Minute))))
		w.mu.Lock()
		cuts = append(cuts, time.Now())
		w.mu.Unlock()
		disk.CutPower()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w.q.Stop(ctx)
		s.Close()
		disk = disk.Crash(faultfs.Survivals[r.IntN(len(faultfs.Survivals))], r.Uint64())
		s, change = onSpool(t, dir, disk)
		change(w)
		w.start()
	}
	time.Sleep(20 * time.Hour)
	w.stop()
	if n := s.Stats().Messages; n != 0 {
		t.Errorf("%d messages are left", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	final := map[string]bool{}
	told := map[message.ID]bool{}
	for _, e := range w.events {
		switch e.Kind {
		case Delivered, Failed:
			for _, i := range e.Outcome.Recipients {
				final[fmt.Sprintf("%d/%d", e.ID, i)] = true
			}
		case Notified:
			told[e.ID] = true
		}
		if e.Kind == Failed && e.Envelope.From.IsNull() {
			t.Errorf("a notification was refused: %+v", e)
		}
	}
	for id, n := range accepted {
		for i := range n {
			if !final[fmt.Sprintf("%d/%d", id, i)] {
				t.Errorf("%d/%d is lost", id, i)
			}
		}
	}
	for _, e := range w.events {
		if e.Kind == Failed && !told[e.ID] {
			t.Errorf("the failure of %d was not told", e.ID)
		}
	}
}
