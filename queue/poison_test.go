package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool/faultfs"
	"postern/routing"
)

// An order that is written down while an item waits in its queue, unseen by who
// gave it, is seen by who takes the item next.
func TestOrderBehindAnItem(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    message.Standing
		want MessageStatus
		end  string
	}{
		{"suspended", message.Standing{Suspended: true}, StatusSuspended, "d"},
		{"poison", message.Standing{Poison: true}, StatusPoison, "d"},
		{"removed", message.Standing{Removal: message.RemovalQuiet}, "", "R"},
	} {
		for _, wait := range []time.Duration{2 * time.Hour, 60 * time.Hour} { // until it is tried, or expires
			t.Run(fmt.Sprint(tt.name, wait), func(t *testing.T) {
				inWorld(t, nil, func(t *testing.T, w *world) {
					w.always(postpone)
					id := w.submit(envelope("a@x.example"))
					if synctest.Wait(); wait > 48*time.Hour {
						w.q.mu.Lock() // it will expire before it is tried again
						d := w.q.named("Internet/x.example")
						d.items[0].due = never
						w.q.mu.Unlock()
					}
					f, err := w.q.acquire(id)
					if err != nil {
						t.Fatal(err)
					}
					f.mu.Lock()
					w.q.order(f, tt.s, 0, "")
					f.mu.Unlock()
					w.q.release(f)
					time.Sleep(wait)
					synctest.Wait()
					w.wantStatus(id, tt.want)
					if n := len(w.callsTo("x.example")); n != 1 || w.statuses(id) != tt.end {
						t.Errorf("%d deliveries, %s", n, w.statuses(id))
					}
				})
			})
		}
	}
}

// quietLog is a logger that keeps what it is told.
type quietLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *quietLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *quietLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func TestPanicParks(t *testing.T) {
	log := new(quietLog)
	inWorld(t, func(w *world) { w.options.Logger = slog.New(slog.NewTextHandler(log, nil)) }, func(t *testing.T, w *world) {
		w.setDeliver(func(_ context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "bad.example" {
				c, err := d.Open()
				if err != nil {
					t.Error(err)
				}
				var none *bytes.Buffer
				fmt.Fprint(none, c.Size()) // a bug
			}
			return postpone(d)
		})
		id := w.submit(envelope("a@bad.example", "b@x.example"))
		good := w.submit(envelope("c@x.example"))
		synctest.Wait()
		w.wantStatus(id, StatusRetry)
		w.stop() // the count is durable
		w.start()
		time.Sleep(10 * time.Minute)
		w.wantStatus(id, StatusPoison)
		if s := w.list(Filter{Queue: PoisonName}); len(s) != 1 || s[0].Standing.Panics != 2 || s[0].Recipients != 2 || !slices.Equal(s[0].Queues, []string{PoisonName}) {
			t.Errorf("%+v", s)
		}
		w.wantStatus(good, StatusRetry)
		if n := log.count("panic with a message in hand"); n != 2 || log.count("bytes.(*Buffer)") == 0 {
			t.Errorf("%d panics are logged:\n%s", n, log.b.String())
		}
		if n := w.q.Stats().Panics; n != 1 {
			t.Errorf("%d panics are counted since the start", n)
		}
		if s := w.q.Snapshot(); s[len(s)-1].Name != PoisonName || s[len(s)-1].Messages != 1 {
			t.Errorf("%+v", s)
		}
		calls := len(w.callsTo("bad.example"))
		time.Sleep(100 * time.Hour) // neither tried nor expired, nor told of
		w.stop()
		w.start()
		time.Sleep(100 * time.Hour)
		w.wantStatus(id, StatusPoison)
		if n := len(w.callsTo("bad.example")); n != calls {
			t.Errorf("%d deliveries of a poison message", n-calls)
		}
		w.setDeliver(nil)
		if got := w.order(Suspend, id); got.Skipped[skipPoison] != 1 {
			t.Errorf("%+v", got)
		}
		if got := w.order(Resume, id); got.Changed != 1 {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if w.statuses(id) != "DD" {
			t.Errorf("resumed: %s", w.statuses(id))
		}
		if s := w.q.Snapshot(); slices.ContainsFunc(s, func(i QueueInfo) bool { return i.Name == PoisonName }) {
			t.Errorf("an empty poison queue is shown: %+v", s)
		}
		w.settled()
	})
}

// A router that panics parks the message, from wherever it is asked.
func TestPanicInRouter(t *testing.T) {
	mad := func(q routing.Query) routing.Decision {
		if q.Recipient.Local == "mad" {
			panic("no route")
		}
		return byDomain(q)
	}
	inWorld(t, func(w *world) { w.options.Router = routerFunc(mad) }, func(t *testing.T, w *world) {
		id := w.submit(envelope("mad@x.example", "a@x.example"))
		synctest.Wait()
		w.wantStatus(id, StatusPoison)
		w.stop()
		w.start()
		synctest.Wait()
		w.wantStatus(id, StatusPoison)
		w.order(Resume, id) // and back it comes
		synctest.Wait()
		w.wantStatus(id, StatusPoison)
		w.reconfigure(byDomain)
		w.always(postpone)
		w.order(Resume, id)
		synctest.Wait()
		w.wantStatus(id, StatusRetry)
		w.reconfigure(mad)
		time.Sleep(time.Hour) // routed anew when it is due
		w.wantStatus(id, StatusPoison)
		w.order(Remove, id)
		synctest.Wait()
		if w.statuses(id) != "RR" || len(w.store.reports(id)) != 1 {
			t.Errorf("%s, %d notifications", w.statuses(id), len(w.store.reports(id)))
		}
		time.Sleep(time.Hour)
		w.settled()
	})
}

// A notification whose making panics parks the message, though nothing of it is
// left to deliver.
func TestPanicInNotification(t *testing.T) {
	for _, verb := range []Verb{Resume, Remove} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			w.always(refuse)
			mad := true
			inner := w.q.newDraft
			w.q.newDraft = func() (draft, error) {
				d, err := inner()
				if mad && err == nil {
					return madDraft{d}, nil
				}
				return d, err
			}
			// The message itself is made with a draft that works.
			d, err := inner()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(d, "Subject: hello\r\n\r\nbody\r\n")
			if err := w.q.submit(context.Background(), d, envelope("a@x.example")); err != nil {
				t.Fatal(err)
			}
			id := d.ID()
			time.Sleep(time.Minute)
			w.wantStatus(id, StatusPoison)
			if verb == Remove {
				w.carry(Order{Verb: Remove, Filter: Filter{IDs: []message.ID{id}}})
			} else {
				w.order(Resume, id) // and back it comes
				time.Sleep(time.Minute)
				w.wantStatus(id, StatusPoison)
				mad = false
				w.order(Resume, id)
			}
			time.Sleep(time.Minute)
			if n := len(w.store.reports(id)); n != count(verb == Resume) {
				t.Errorf("%s: %d notifications", verb, n)
			}
			w.settled()
		})
	}
}

type madDraft struct{ draft }

func (madDraft) Write([]byte) (int, error) { panic("a bug in the making of a notification") }

func fileWorld(fsys *faultfs.FS, w *world) {
	w.options.FS, w.options.Directory = fsys, "/queue"
}

func newFS(t *testing.T) *faultfs.FS {
	fsys := faultfs.New(0)
	if err := fsys.MkdirAll("/queue"); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// crash ends a queue as a SIGKILL does: nothing that it does afterwards is seen
// by the next one.
func (w *world) crash(fsys *faultfs.FS) *faultfs.FS {
	w.t.Helper()
	after := fsys.Kill()
	w.store.mu.Lock()
	kept := newStore()
	kept.last = w.store.last
	for id, m := range w.store.messages {
		kept.messages[id] = &stored{m.envelope, cloneState(m.state), m.content}
	}
	for id, m := range w.store.finished {
		kept.finished[id] = m
	}
	w.store.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.q.Stop(ctx)
	w.store = kept
	w.options.Store, w.options.FS = kept, after
	return after
}

// A message that is alone in hand at two unclean ends in a row is parked; what
// was in hand beside it, or delivered meanwhile, is not.
func TestUncleanEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newFS(t)
		w := newWorld(t, func(w *world) { fileWorld(fsys, w) })
		hang := func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "bad.example" {
				<-ctx.Done()
				return unreachable(d)
			}
			time.Sleep(time.Second)
			return accept(d)
		}
		w.setDeliver(hang)
		bad := w.submit(envelope("a@bad.example"))
		synctest.Wait()
		begun := 0
		for end := 1; ; end++ {
			w.submit(envelope("b@x.example")) // in hand as well, if the queue lets it
			synctest.Wait()
			if n := len(w.made()) - begun; end > 2 && n != 1 {
				t.Errorf("end %d: %d deliveries beside one another", end, n)
			}
			begun = len(w.made())
			fsys = w.crash(fsys)
			w.start()
			synctest.Wait()
			if got := w.status(bad); (got == StatusPoison) != (end == 4) {
				t.Fatalf("after end %d: %q", end, got)
			} else if end == 4 {
				break
			}
		}
		w.mu.Lock()
		clear(w.delivered) // what was in flight at an end is sent again
		w.mu.Unlock()
		time.Sleep(time.Minute)
		if n := w.q.Snapshot(); len(n) == 0 || n[len(n)-1].Messages != 1 {
			t.Errorf("%+v", n)
		}
		w.setDeliver(nil)
		w.order(Resume, bad)
		w.settled()
		w.stop()
	})
}

// Others wait a minute for a suspect, and no longer.
func TestSuspectHoldsUpOthersBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newFS(t)
		w := newWorld(t, func(w *world) { fileWorld(fsys, w) })
		w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
			if hop.Domain == "bad.example" {
				<-ctx.Done()
				return unreachable(d)
			}
			return accept(d)
		})
		w.submit(envelope("a@bad.example"))
		for range 2 {
			synctest.Wait()
			fsys = w.crash(fsys)
			w.start()
		}
		good := w.submit(envelope("b@x.example"))
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if w.statuses(good) != "p" {
			t.Errorf("before the minute: %s", w.statuses(good))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if w.statuses(good) != "D" {
			t.Errorf("after the minute: %s", w.statuses(good))
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.q.Stop(ctx)
	})
}

// Lives that last, and orderly ends, clear what counted against a message.
func TestCautionEnds(t *testing.T) {
	for _, orderly := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fsys := newFS(t)
			w := newWorld(t, func(w *world) { fileWorld(fsys, w) })
			w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
				<-ctx.Done()
				return unreachable(d)
			})
			id := w.submit(envelope("a@bad.example"))
			for range 8 {
				synctest.Wait()
				if orderly {
					ctx, cancel := context.WithCancel(context.Background())
					cancel()
					_ = w.q.Stop(ctx)
				} else {
					time.Sleep(11 * time.Minute)
					fsys = w.crash(fsys)
				}
				w.start()
			}
			synctest.Wait()
			w.wantStatus(id, StatusActive)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = w.q.Stop(ctx)
		})
	}
}

// TestQueueFilesFail fails every operation on the queue's files in turn: mail
// goes on.
func TestQueueFilesFail(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for _, errno := range []error{syscall.EIO, syscall.ENOSPC, fs.ErrPermission} {
			synctest.Test(t, func(t *testing.T) {
				fsys := newFS(t)
				first := fsys.Ops()
				fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
					if op.N == first+n {
						return faultfs.Fault{Err: errno}
					}
					return faultfs.Fault{}
				})
				w := newWorld(t, func(w *world) { fileWorld(fsys, w) })
				w.always(postpone)
				a := w.submit(envelope("a@x.example"))
				synctest.Wait()
				_ = w.q.SuspendQueue("Internet/x.example") // in force whatever the disk says
				w.always(accept)
				time.Sleep(time.Hour)
				if w.statuses(a) != "d" {
					t.Errorf("%d, %v: suspended: %s", n, errno, w.statuses(a))
				}
				for range 3 {
					fsys = w.crash(fsys)
					w.start()
					b := w.submit(envelope("b@y.example"))
					time.Sleep(2 * time.Minute)
					if w.statuses(b) != "D" {
						t.Errorf("%d, %v: %s", n, errno, w.statuses(b))
					}
				}
				_ = w.q.ResumeQueue("Internet/x.example")
				time.Sleep(time.Hour)
				w.settled()
				w.stop()
			})
		}
	}
}

func FuzzDecodeLife(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(append(encodeSlot(0x444e41484e545350, 2), encodeSlot(77, 1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		ends, list := decodeLife(b)
		if len(list) > len(b)/slotSize || ends == 0 && len(list) > 0 && len(b) < slotSize {
			t.Fatalf("%d suspects of %d octets", len(list), len(b))
		}
		for _, s := range list {
			if s.id == 0 || s.alone > 0 && len(list) > 1 {
				t.Fatalf("%+v", list)
			}
		}
	})
}

func FuzzDecodeHolds(f *testing.F) {
	f.Add(encodeHolds(map[string]bool{"Internet/x.example": true, SubmissionName: true}))
	f.Add([]byte(holdsMagic + "00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := decodeHolds(b)
		if err != nil {
			if !errors.Is(err, errHolds) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeHolds(encodeHolds(names))
		if err != nil || len(again) != len(names) {
			t.Fatalf("%v, %v", again, err)
		}
	})
}
