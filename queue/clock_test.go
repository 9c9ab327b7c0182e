package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
)

// setClock sets the wall clock forward or back.
func (w *world) setClock(by time.Duration) { w.jump.Add(int64(by)) }

// arrived is a message that the wall clock, as it goes now, saw arrive.
func (w *world) arrived(recipient string) *message.Envelope {
	e := envelope(recipient)
	e.Arrived = time.Time{}
	return e
}

// TestClockJumps: a wall clock that is set by hours, in either direction, while
// messages wait: each is tried at its interval, is told late after 4 h and
// expires after 48 h, no sooner and no later.
func TestClockJumps(t *testing.T) {
	for name, by := range map[string]time.Duration{"back": -6 * time.Hour, "far back": -20 * 365 * 24 * time.Hour, "forward": 6 * time.Hour, "far forward": 20 * 365 * 24 * time.Hour} {
		for answer, fn := range answers {
			t.Run(name+", "+answer, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, nil)
					defer w.stop()
					w.always(fn)
					before := w.submit(w.arrived("before@there.example"))
					time.Sleep(time.Hour)
					w.setClock(by)
					after := w.submit(w.arrived("after@there.example"))
					time.Sleep(3*time.Hour - time.Second)
					synctest.Wait()
					if n := len(w.store.reports(before)); n != 0 {
						t.Errorf("%d notifications before the time", n)
					}
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if b, a := len(w.store.reports(before)), len(w.store.reports(after)); b != 1 || a != 0 {
						t.Errorf("after 4 h: %d and %d notifications", b, a)
					}
					time.Sleep(44*time.Hour - 2*time.Second)
					synctest.Wait()
					if s := w.statuses(before) + w.statuses(after); s != "dd" {
						t.Errorf("just before 48 h: %s", s)
					}
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if s := w.statuses(before) + w.statuses(after); s != "Ed" {
						t.Errorf("after 48 h: %s", s)
					}
					time.Sleep(time.Hour)
					w.settled()
					// The other message went along with its own intervals.
					var mine []call
					for _, c := range w.callsTo("there.example") {
						if c.id == before {
							mine = append(mine, c)
						}
					}
					if answer == "greylisted" {
						checkIntervals(t, mine, nil, 48*time.Hour)
					}
				})
			})
		}
	}
}

// TestClockJumpsBetween: the wall clock is set while the gateway is down. What
// is due hours from now by the new clock is tried within its interval, and
// nothing expires before it was tried once more.
func TestClockJumpsBetween(t *testing.T) {
	for name, by := range map[string]time.Duration{"back": -6 * time.Hour, "far back": -1000 * time.Hour, "forward": 6 * time.Hour, "far forward": 1000 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.always(postpone)
				id := w.submit(w.arrived("kim@there.example"))
				time.Sleep(2 * time.Hour) // the interval is 30 min by now
				w.stop()
				w.setClock(by)
				w.start()
				tried := len(w.made())
				time.Sleep(37 * time.Minute)
				synctest.Wait()
				if n := len(w.made()) - tried; n < 1 || n > 3 {
					t.Errorf("%d attempts", n)
				}
				if s := w.statuses(id); s != "d" {
					t.Errorf("status %s", s)
				}
				at := w.q.Snapshot()[0]
				if at.NextDue.Before(time.Now().Add(by)) || at.NextDue.After(time.Now().Add(by+time.Hour)) {
					t.Errorf("snapshot %+v", at)
				}
				wait := 50 * time.Hour
				if name == "far forward" {
					wait = lastChance
				}
				time.Sleep(wait)
				w.settled()
				if s := w.statuses(id); s != "E" {
					t.Errorf("status %s", s)
				}
				w.stop()
			})
		})
	}
}

// TestDownForDays: mail whose time ran out while the gateway was down is tried
// before it is given up, and goes out when the next hop takes it.
func TestDownForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.always(postpone)
		there, dead := w.submit(w.arrived("kim@there.example")), w.submit(w.arrived("kim@dead.example"))
		synctest.Wait()
		w.stop()
		time.Sleep(100 * time.Hour)
		w.always(func(d *message.Delivery) message.Report {
			if d.Envelope.Recipients[0].Address.Domain == "dead.example" {
				return unreachable(d)
			}
			return accept(d)
		})
		w.start()
		defer w.stop()
		time.Sleep(2 * time.Hour)
		w.settled()
		if s := w.statuses(there) + w.statuses(dead); s != "DE" {
			t.Errorf("statuses %s", s)
		}
		if n := len(w.store.reports(dead)); n != 1 {
			t.Errorf("%d notifications: one that comes with the end needs no delay before it", n)
		}
	})
}
