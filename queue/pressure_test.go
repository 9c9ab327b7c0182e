package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/routing"
)

// TestThrottle: half of the deliveries go on, then half of those, one at least,
// and nothing is left behind; off, all run again.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Queue = limits(40, 40) })
		defer w.stop()
		for i := range 400 { // for hosts that never answered some are kept back
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		synctest.Wait()
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			return accept(d)
		})
		running := func() int {
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait() // every other time deliveries end at this very moment
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.running[""]
		}
		for i := range 400 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i)))
		}
		if n := running(); n != 40 {
			t.Fatalf("%d deliveries at a time, want 40", n)
		}
		for _, want := range []int{20, 10, 5, 2, 1, 1} {
			w.q.Throttle(false)
			if n := running(); n != want {
				t.Errorf("%d deliveries at a time, want %d", n, want)
			}
		}
		w.q.Throttle(true)
		if n := running(); n != 40 {
			t.Errorf("%d deliveries at a time, want 40", n)
		}
		time.Sleep(time.Minute)
		w.settled()
	})
}

// TestThrottledQueueEmpties: with one delivery at a time all is delivered.
func TestThrottledQueueEmpties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.q.Throttle(false)
		for i := range 50 {
			w.submit(envelope(fmt.Sprintf("u@d%d.example", i%7)))
		}
		time.Sleep(time.Minute)
		w.settled()
		if w.peak[""] != 1 {
			t.Errorf("%d deliveries at a time, want 1", w.peak[""])
		}
	})
}

// TestLengths: a message with several next hops counts once.
func TestLengths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(context.Context, routing.NextHop, *message.Delivery) message.Report {
			return message.Report{}
		})
		if err := w.q.SuspendQueue(SubmissionName); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			w.submit(envelope("u@a.example", "u@b.example"))
		}
		if messages, submission := w.q.Lengths(); messages != 3 || submission != 3 {
			t.Errorf("%d messages, %d of them in Submission; want 3 and 3", messages, submission)
		}
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Hour)
			return accept(d)
		})
		if err := w.q.ResumeQueue(SubmissionName); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if messages, submission := w.q.Lengths(); messages != 3 || submission != 0 {
			t.Errorf("%d messages, %d of them in Submission; want 3 and 0", messages, submission)
		}
		time.Sleep(2 * time.Hour)
		if messages, _ := w.q.Lengths(); messages != 0 {
			t.Errorf("%d messages, want none", messages)
		}
		w.settled()
	})
}
