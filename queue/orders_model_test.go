package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/dsn"
	"postern/internal/message"
	"postern/queue/spool/faultfs"
	"postern/routing"
)

// orderly is what the orders given so far forbid.
type orderly struct {
	w       *world
	barred  map[message.ID]string // why the message must not be delivered
	removed map[message.ID]bool   // whether the sender is told
	queues  map[string]bool       // suspended, by the hop's domain
	wrong   []string
}

// check is asked before each delivery.
func (o *orderly) check(hop routing.NextHop, d *message.Delivery) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	if why := o.barred[d.ID]; why != "" {
		o.wrong = append(o.wrong, fmt.Sprintf("message %d was delivered, though it is %s", d.ID, why))
	}
	if o.queues[hop.Domain] {
		o.wrong = append(o.wrong, fmt.Sprintf("message %d was delivered to %s, which is suspended", d.ID, hop.Domain))
	}
}

// TestOrdersModel lets a gateway live through days in which orders meet
// deliveries, reloads, restarts, cuts and panics at random. Nothing that is
// suspended or removed is delivered, nobody is sent a message twice, and every
// recipient meets exactly one end.
func TestOrdersModel(t *testing.T) {
	n := 60
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { obeyed(t, rand.New(rand.NewPCG(uint64(seed), 2))) })
		})
	}
}

func obeyed(t *testing.T, r *rand.Rand) {
	router := func(seed int) routerFunc {
		return func(q routing.Query) routing.Decision {
			if q.Recipient.Domain == "sender.example" {
				return byDomain(q)
			}
			h := int(q.Recipient.Domain[0]) * (seed + 1) % 5
			if h == 0 {
				return nowhere()
			}
			return to("C", fmt.Sprintf("hop%d", h))
		}
	}
	fsys := faultfs.New(0)
	if err := fsys.MkdirAll("/queue"); err != nil {
		t.Fatal(err)
	}
	o := &orderly{barred: map[message.ID]string{}, removed: map[message.ID]bool{}, queues: map[string]bool{}}
	w := newWorld(t, func(w *world) {
		w.options.Router, w.options.Queue = router(0), limits(8, 3)
		w.options.FS, w.options.Directory = fsys, "/queue"
		o.w = w
	})
	peaceful := false
	w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
		o.check(hop, d)
		if hop.Domain == "sender.example" {
			return accept(d)
		}
		select {
		case <-time.After(rand.N(20 * time.Minute)):
		case <-ctx.Done():
			return unreachable(d)
		}
		w.mu.Lock()
		calm := peaceful
		w.mu.Unlock()
		if k := rand.N(40); k == 0 && !calm {
			panic("a bug")
		} else if k < 8 {
			return unreachable(d)
		}
		var rep message.Report
		for _, i := range d.Recipients {
			o := message.Outcome{Recipients: []int{i}, Status: message.Deferred, Reply: message.Reply{Code: 450}}
			switch rand.N(4) {
			case 0:
				o.Status, o.Reply = message.Delivered, message.Reply{Code: 250}
			case 1:
				o.Status, o.Reply = message.Failed, message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}}
			}
			rep.Outcomes = append(rep.Outcomes, o)
		}
		return rep
	})
	var ids []message.ID
	forbid := func(fn func()) {
		synctest.Wait() // what is in flight has begun
		w.mu.Lock()
		defer w.mu.Unlock()
		fn()
	}
	allow := func(fn func()) {
		w.mu.Lock()
		defer w.mu.Unlock()
		fn()
	}
	partly := map[message.ID]bool{} // may have been removed in part
	// Of a poison message that is removed without a notification, not even
	// earlier failures are told.
	hushed := map[message.ID]bool{}
	// give gives an order to some messages and notes what it means for those
	// that it applies to.
	give := func(verb Verb, some []message.ID) {
		before := map[message.ID]message.Standing{}
		ndr := r.IntN(2) == 0
		for _, id := range some {
			e, err := w.q.look(id)
			if err == nil && len(e.State.Pending()) > 0 {
				before[id] = e.State.Standing
			}
			if err == nil && e.State.Standing.Poison && verb == Remove && !ndr {
				hushed[id] = true
			}
		}
		if verb == Resume {
			allow(func() {
				for id := range before {
					if o.barred[id] != "removed" {
						delete(o.barred, id)
					}
				}
			})
		}
		w.carry(Order{Verb: verb, Filter: Filter{IDs: some}, WithNDR: ndr, To: fmt.Sprintf("hub%d", r.IntN(2)), By: "x"})
		forbid(func() {
			for id, was := range before {
				if was.Removal != message.RemovalNone {
					continue
				}
				switch {
				case verb == Suspend && !was.Poison:
					o.barred[id] = "suspended"
				case verb == Remove:
					o.barred[id], o.removed[id] = "removed", ndr
				}
			}
		})
	}
	hops := []string{"C/hop1", "C/hop2", "C/hop3", UnreachableName, SubmissionName}
	for step := range 120 {
		switch k := r.IntN(24); {
		case k < 8:
			e := envelope()
			for i := range 1 + r.IntN(5) {
				e.Recipients = append(e.Recipients, message.Recipient{Address: address(fmt.Sprintf("r%d@%c.example", i, 'a'+r.IntN(6)))})
			}
			if r.IntN(5) == 0 {
				e.From = message.Address{}
			}
			ids = append(ids, w.submit(e))
		case k < 15 && len(ids) > 0:
			var some []message.ID
			for range 1 + r.IntN(4) {
				some = append(some, ids[r.IntN(len(ids))])
			}
			verbs := []Verb{Suspend, Suspend, Resume, Resume, RetryNow, Resubmit, Redirect, Remove}
			give(verbs[r.IntN(len(verbs))], some)
		case k < 17:
			name := hops[r.IntN(len(hops))]
			domain := name[min(len(name), 2):]
			if r.IntN(2) == 0 {
				if w.q.SuspendQueue(name) == nil {
					forbid(func() { o.queues[domain] = true })
				}
			} else {
				allow(func() { delete(o.queues, domain) })
				_ = w.q.ResumeQueue(name)
			}
		case k == 17 && r.IntN(2) == 0: // of whoever stands there, told or not
			for _, m := range w.list(Filter{}) {
				partly[m.ID] = true
			}
			_, _ = w.q.Carry(context.Background(), Order{Verb: Remove, Filter: Filter{Queue: hops[r.IntN(len(hops))]}, WithNDR: r.IntN(2) == 0, By: "x"})
		case k == 17:
			_, _ = w.q.RetryQueue(hops[r.IntN(len(hops))], r.IntN(2) == 0)
		case k == 18:
			w.reconfigure(router(step))
		case k == 19:
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Int64N(int64(20*time.Minute))))
			_ = w.q.Stop(ctx)
			cancel()
			time.Sleep(time.Duration(r.Int64N(int64(time.Hour))))
			w.start()
		default:
			time.Sleep(time.Duration(r.Int64N(int64(time.Hour))))
		}
	}
	allow(func() { clear(o.queues); peaceful = true })
	for _, i := range w.q.Snapshot() {
		if i.Suspended {
			if err := w.q.ResumeQueue(i.Name); err != nil {
				t.Error(err)
			}
		}
	}
	give(Resume, ids)
	time.Sleep(30 * time.Minute) // what was in flight may have become poison
	give(Resume, ids)
	time.Sleep(60 * time.Hour)
	w.settled()
	w.stop()
	for _, x := range slices.Compact(o.wrong) {
		t.Error(x)
	}
	told := map[string]int{}
	for _, e := range w.events {
		for _, i := range e.Outcome.Recipients {
			if e.Kind == Notified && !e.Delay {
				told[fmt.Sprintf("%d/%d", e.ID, i)]++
			}
		}
	}
	for _, id := range ids {
		m := w.store.get(id)
		for i, st := range m.state.Recipients {
			who := fmt.Sprintf("%d/%d", id, i)
			if !st.Status.Final() || (st.Status == message.Delivered) != (w.delivered[who] == 1) {
				t.Errorf("message %d, recipient %d: %s, delivered %d times", id, i, st.Status, w.delivered[who])
			}
			if _, ok := o.removed[id]; st.Status == message.Removed && !ok && !partly[id] {
				t.Errorf("message %d was removed by nobody", id)
			}
			ended := st.Status == message.Failed || st.Status == message.Expired || st.Status == message.Removed && (o.removed[id] || partly[id])
			if told[who] == 0 && (partly[id] && st.Status == message.Removed || hushed[id]) {
				continue
			}
			if want := count(ended && dsn.Wanted(m.envelope, i, dsn.Failure)); told[who] != want {
				t.Errorf("message %d, recipient %d, %s: told %d times, want %d", id, i, st.Status, told[who], want)
			}
		}
	}
}
