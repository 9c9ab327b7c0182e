package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/routing"
)

// answers are the two ways not to take a message for now, each with a clock of
// its own.
var answers = map[string]func(*message.Delivery) message.Report{"unreachable": unreachable, "greylisted": postpone}

// checkIntervals holds the gaps between attempts against the schedule.
func checkIntervals(t *testing.T, calls []call, steps []config.RetryStep, until time.Duration) {
	t.Helper()
	s := newSchedule(config.Queue{Retry: steps})
	jittered := false
	for i := 1; i < len(calls); i++ {
		gap, want := calls[i].at-calls[i-1].at, s.interval(i)
		if gap < want || gap > want+want/5 {
			t.Errorf("gap %d is %v, want %v to %v", i, gap, want, want+want/5)
		}
		jittered = jittered || gap != want
	}
	if !jittered {
		t.Error("there is no jitter")
	}
	last := calls[len(calls)-1].at
	if slack := s.interval(len(calls)); last > until || until-last > slack+slack/5 {
		t.Errorf("the last attempt was at %v, the end at %v", last, until)
	}
}

// TestTimeline follows a message from its arrival to its expiry, 48 hours on.
func TestTimeline(t *testing.T) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				w.always(answer)
				id := w.submit(envelope("kim@there.example"))

				time.Sleep(4*time.Hour - time.Second)
				synctest.Wait()
				if n := len(w.store.reports(id)); n != 0 {
					t.Fatalf("%d notifications before the time", n)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				reports := w.store.reports(id)
				if len(reports) != 1 {
					t.Fatalf("%d notifications after 4 h", len(reports))
				}
				text := string(reports[0].content)
				for _, want := range []string{"Subject: Delivery delayed: hello", "Action: delayed", "Will-Retry-Until: " + w.began.Add(48*time.Hour).Format("Mon, 2 Jan 2006 15:04:05 -0700")} {
					if !strings.Contains(text, want) {
						t.Errorf("the delay notification lacks %q:\n%s", want, text)
					}
				}
				if !w.store.get(id).state.Recipients[0].DelayNotified {
					t.Error("the delay notification is not recorded")
				}

				time.Sleep(44*time.Hour - 2*time.Second)
				synctest.Wait()
				if s := w.statuses(id); s != "d" || len(w.store.reports(id)) != 1 {
					t.Fatalf("just before 48 h: %s, %d notifications", s, len(w.store.reports(id)))
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if s := w.statuses(id); s != "E" {
					t.Fatalf("after 48 h: %s", s)
				}
				reports = w.store.reports(id)
				if len(reports) != 2 {
					t.Fatalf("%d notifications in all", len(reports))
				}
				text = string(reports[1].content)
				for _, want := range []string{"Subject: Undeliverable: hello", "Action: failed", "Status: 4.4.7", "550 4.4.7 QUEUE.Expired; message expired", "Last error: 4"} {
					if !strings.Contains(text, want) {
						t.Errorf("the failure notification lacks %q:\n%s", want, text)
					}
				}
				checkIntervals(t, w.callsTo("there.example"), nil, 48*time.Hour)
				if n := len(w.callsTo("sender.example")); n != 2 {
					t.Errorf("%d notifications delivered", n)
				}
				w.settled()
			})
		})
	}
}

func TestOtherSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []config.RetryStep{{Interval: 2 * time.Second, Count: 2}, {Interval: 20 * time.Second, Count: 0}, {Interval: 5 * time.Minute, Count: 1}}
		w := newWorld(t, func(w *world) {
			w.options.Queue = config.Queue{Retry: steps, MessageExpiration: 2 * time.Hour, DelayNotification: 3 * time.Hour}
		})
		defer w.stop()
		w.always(postpone)
		id := w.submit(envelope("kim@there.example"))
		time.Sleep(2*time.Hour + time.Second)
		checkIntervals(t, w.callsTo("there.example"), steps, 2*time.Hour)
		if n := len(w.store.reports(id)); n != 1 {
			t.Errorf("%d notifications: a delay that comes after expiry is not told", n)
		}
		w.settled()
	})
}

// TestMessageRetryInterval: message_retry_interval is the message's own clock;
// the next hop's goes on by the schedule.
func TestMessageRetryInterval(t *testing.T) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.options.Queue.MessageRetryInterval = 15 * time.Minute })
				defer w.stop()
				w.always(answer)
				w.submit(envelope("kim@there.example"))
				time.Sleep(48*time.Hour + time.Second)
				var steps []config.RetryStep
				if name == "greylisted" {
					steps = []config.RetryStep{{Interval: 15 * time.Minute, Count: 1}}
				}
				checkIntervals(t, w.callsTo("there.example"), steps, 48*time.Hour)
				w.settled()
			})
		})
	}
}

func TestJitter(t *testing.T) {
	s := newSchedule(config.Queue{})
	var low, high time.Duration = 1 << 62, 0
	for range 10000 {
		d := s.wait(1, 0)
		low, high = min(low, d), max(high, d)
	}
	if low < time.Minute || high > 72*time.Second || low > 61*time.Second || high < 71*time.Second {
		t.Errorf("a minute with jitter lies between %v and %v", low, high)
	}
	for n, want := range map[int]time.Duration{1: time.Minute, 4: time.Minute, 5: 10 * time.Minute, 10: 10 * time.Minute, 11: 30 * time.Minute, 1000: 30 * time.Minute} {
		if got := s.interval(n); got != want {
			t.Errorf("after failure %d: %v, want %v", n, got, want)
		}
	}
	if d := s.wait(1, time.Hour); d < time.Hour || d > 72*time.Minute {
		t.Errorf("at least an hour came to %v", d)
	}
}

// TestQueueRetry: while a queue is in Retry only one message at a time asks
// whether the next hop is back, and all go when it is.
func TestQueueRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(unreachable)
		for range 100 {
			w.submit(envelope("kim@there.example"))
		}
		synctest.Wait()
		if n := len(w.callsTo("there.example")); n > defaultPerDomain {
			t.Errorf("%d attempts at once", n)
		}
		info := w.q.Snapshot()
		if len(info) != 1 || info[0].Status != Retry || info[0].RetryCount != 1 || info[0].Messages != 100 || info[0].LastError.Text != "Connection timed out" ||
			info[0].NextRetry.Before(time.Now().Add(time.Minute)) || !info[0].Oldest.Equal(w.began) {
			t.Errorf("snapshot %+v", info)
		}
		before := len(w.callsTo("there.example"))
		time.Sleep(59 * time.Second)
		w.submit(envelope("late@there.example"))
		synctest.Wait()
		if n := len(w.callsTo("there.example")); n != before {
			t.Errorf("%d attempts before the queue's retry time", n-before)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := len(w.callsTo("there.example")) - before; n < 2 || n > 4 {
			t.Errorf("%d attempts in three more minutes", n)
		}
		// A delivery takes a while now; one goes ahead, the others follow.
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(10 * time.Second)
			return accept(d)
		})
		start := len(w.callsTo("there.example"))
		at := w.q.Snapshot()[0].NextRetry
		time.Sleep(time.Until(at) + time.Second)
		synctest.Wait()
		if n := len(w.callsTo("there.example")) - start; n != 1 {
			t.Errorf("%d attempts while the queue is in Retry", n)
		}
		if s := w.q.Snapshot()[0].Status; s != Connecting {
			t.Errorf("status %s", s)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(w.callsTo("there.example")) - start; n != 1+initialWindow {
			t.Errorf("%d attempts after the first one got through", n)
		}
		if s := w.q.Snapshot()[0].Status; s != Active {
			t.Errorf("status %s", s)
		}
		time.Sleep(2 * time.Minute)
		w.settled()
		if s := w.q.Snapshot()[0].Status; s != Ready {
			t.Errorf("status %s", s)
		}
		time.Sleep(queueMaxIdle + time.Second)
		synctest.Wait()
		if info := w.q.Snapshot(); len(info) != 0 {
			t.Errorf("an idle queue stays: %+v", info)
		}
	})
}

// TestFailuresTogether: attempts under way together that all reach nobody count
// as one failure of the next hop.
func TestFailuresTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(_ context.Context, _ routing.NextHop, d *message.Delivery) message.Report {
			time.Sleep(time.Second)
			return unreachable(d)
		})
		for range 100 {
			w.submit(envelope("kim@there.example"))
		}
		time.Sleep(30 * time.Second)
		info := w.q.Snapshot()
		if n := len(w.made()); n != initialWindow || info[0].RetryCount != 1 || info[0].Messages != 100 {
			t.Errorf("%d attempts came to %+v", n, info)
		}
		w.setDeliver(nil)
		time.Sleep(2 * time.Minute)
		w.settled()
	})
}

// TestMessageRetry: a 4xx holds its own message back, no other.
func TestMessageRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if d.Envelope.Recipients[0].Address.Local == "grey" && time.Since(w.began) < 2*time.Minute {
				return postpone(d)
			}
			return accept(d)
		})
		grey := w.submit(envelope("grey@there.example"))
		synctest.Wait()
		white := w.submit(envelope("white@there.example"))
		synctest.Wait()
		if w.statuses(white) != "D" || w.statuses(grey) != "d" {
			t.Errorf("white %s, grey %s", w.statuses(white), w.statuses(grey))
		}
		if info := w.q.Snapshot(); info[0].Status != Ready || info[0].Deferred != 1 {
			t.Errorf("snapshot %+v", info)
		}
		time.Sleep(4 * time.Minute)
		if w.statuses(grey) != "D" || w.store.get(grey).state.Recipients[0].Tries != 3 {
			t.Errorf("grey %s after %d tries", w.statuses(grey), w.store.get(grey).state.Recipients[0].Tries)
		}
		w.settled()
	})
}

// TestRetryAfter: a hint of the deliverer holds longer than the schedule.
func TestRetryAfter(t *testing.T) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.stop()
				w.always(func(d *message.Delivery) message.Report {
					r := answer(d)
					r.RetryAfter = 20 * time.Minute
					return r
				})
				w.submit(envelope("kim@there.example"))
				time.Sleep(25 * time.Minute)
				calls := w.callsTo("there.example")
				if len(calls) != 2 || calls[1].at < 20*time.Minute || calls[1].at > 24*time.Minute {
					t.Errorf("attempts %v", calls)
				}
				w.setDeliver(nil)
				time.Sleep(time.Hour)
				w.settled()
			})
		})
	}
}

// TestDeadlinesInBulk: many messages with deadlines close together are dealt
// with in time, wherever they wait.
func TestDeadlinesInBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.stop()
		w.always(unreachable)
		const n = 2 * sweepBatch
		for i := range n {
			w.submit(envelope(fmt.Sprintf("u%d@there.example", i)))
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(4*time.Hour + 10*time.Second)
		synctest.Wait()
		if got := w.q.Stats().Notifications; got != n {
			t.Errorf("%d delay notifications for %d messages", got, n)
		}
		time.Sleep(44 * time.Hour)
		synctest.Wait()
		if s := w.q.Stats(); s.Expired != n || s.Notifications != 2*n {
			t.Errorf("stats %+v", s)
		}
		w.settled()
	})
}
