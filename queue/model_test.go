package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"postern/config"
	"postern/internal/dsn"
	"postern/internal/message"
	"postern/routing"
)

// TestModel lets a gateway live through days of trouble: random recipients,
// answers, reloads, restarts, cuts and disk trouble. In the end every recipient
// has met exactly one end, nobody was sent a message twice, and every failure
// that is to be told was told once.
func TestModel(t *testing.T) {
	n := 40
	if testing.Short() {
		n = 8
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { live(t, rand.New(rand.NewPCG(uint64(seed), 1))) })
		})
	}
}

// anyLimits are limits of the connector "C", or none.
func anyLimits(r *rand.Rand) []config.SendConnector {
	pick := func(low, high int64) int64 {
		if r.IntN(2) == 0 {
			return config.Unlimited
		}
		return low + r.Int64N(high-low)
	}
	if r.IntN(3) == 0 {
		return nil
	}
	return []config.SendConnector{{Name: "C", MaxConnections: pick(1, 6), MaxConnectionsPerDomain: pick(1, 4),
		MessageRateLimit: pick(5, 200), MessageRateLimitPerDomain: pick(2, 100)}}
}

func live(t *testing.T, r *rand.Rand) {
	const domains = 6
	// Each router sends a domain to a hop that depends on its seed.
	router := func(seed int) routerFunc {
		return func(q routing.Query) routing.Decision {
			if q.Recipient.Domain == "sender.example" {
				return byDomain(q)
			}
			h := int(q.Recipient.Domain[0]+q.Recipient.Local[0]) * (seed + 1) % 7
			switch h {
			case 0:
				return nowhere()
			case 1:
				if seed%3 == 0 {
					return routing.Decision{Problem: routing.ProblemSender, Reply: message.Reply{Code: 550, Enhanced: [3]int{5, 7, 1}}}
				}
			}
			d := to("C", fmt.Sprintf("hop%d", h))
			switch {
			case seed%2 == 1 || h == 2:
			case q.Fallback == "F":
				d.Connector, d.NextHop.Connector, d.FallbackOf = "F", "F", "C"
			default:
				d.Fallback = routing.Fallback{Connector: "F", After: time.Duration(1+h) * 20 * time.Minute, Failures: int64(h)}
			}
			return d
		}
	}
	w := newWorld(t, func(w *world) {
		w.options.Router = router(0)
		w.options.Queue = limits(8, 3)
		w.options.SendConnectors = anyLimits(r)
		w.store.slow = time.Minute
	})
	w.setDeliver(func(ctx context.Context, hop routing.NextHop, d *message.Delivery) message.Report {
		if hop.Domain != "sender.example" {
			for range 1 + rand.N(3) {
				left := rand.N(2) == 0 && d.Place.Leave()
				select {
				case <-time.After(rand.N(time.Minute)):
				case <-ctx.Done():
					return unreachable(d)
				}
				if left {
					d.Place.Return(ctx)
				}
			}
		}
		if hop.Domain == "sender.example" {
			return accept(d)
		}
		if rand.N(4) == 0 {
			return unreachable(d)
		}
		var rep message.Report
		for _, i := range d.Recipients {
			o := message.Outcome{Recipients: []int{i}}
			switch rand.N(4) {
			case 0:
				o.Status, o.Reply, o.NoDSN = message.Delivered, message.Reply{Code: 250}, rand.N(2) == 0
			case 1:
				o.Status, o.Reply = message.Failed, message.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}}
			default:
				o.Status, o.Reply = message.Deferred, message.Reply{Code: 450}
			}
			rep.Outcomes = append(rep.Outcomes, o)
		}
		return rep
	})
	var ids []message.ID
	for step := range 150 {
		switch k := r.IntN(20); {
		case k < 10:
			e := envelope()
			for i := range 1 + r.IntN(8) {
				e.Recipients = append(e.Recipients, message.Recipient{Address: address(fmt.Sprintf("%c%d@%c.example", 'a'+r.IntN(4), i, 'a'+r.IntN(domains)))})
			}
			switch r.IntN(6) {
			case 0:
				e.From = message.Address{}
			case 1:
				e.Recipients[0].Notify = message.NotifyNever
			case 2:
				for i := range e.Recipients {
					e.Recipients[i].Notify = message.NotifySuccess | message.Notify(r.IntN(2))*message.NotifyFailure
				}
			}
			ids = append(ids, w.submit(e))
		case k < 12:
			w.options.SendConnectors = anyLimits(r)
			w.reconfigure(router(step))
		case k == 12:
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Int64N(int64(2*time.Minute))))
			w.q.Stop(ctx)
			cancel()
			time.Sleep(time.Duration(r.Int64N(int64(time.Hour))))
			w.start()
		case k == 13:
			rate := 1 + r.IntN(3)
			ops := []string{"create", "write", "commit", "update", "load"}
			op := ops[r.IntN(len(ops))]
			w.store.setFail(func(o string) error {
				if o == op && rand.N(rate+1) > 0 {
					return errDisk
				}
				return nil
			})
			time.Sleep(time.Duration(r.Int64N(int64(10 * time.Minute))))
			w.store.setFail(nil)
			time.Sleep(20 * time.Second) // outcomes in memory are stored before a restart can come
		default:
			time.Sleep(time.Duration(r.Int64N(int64(time.Hour))))
		}
	}
	time.Sleep(50 * time.Hour)
	synctest.Wait()
	w.settled()
	w.stop()

	told, relayed := map[string]int{}, map[string]int{}
	for _, e := range w.events {
		for _, i := range e.Outcome.Recipients {
			switch {
			case e.Kind != Notified || e.Delay:
			case e.Relayed:
				relayed[fmt.Sprintf("%d/%d", e.ID, i)]++
			default:
				told[fmt.Sprintf("%d/%d", e.ID, i)]++
			}
		}
	}
	for _, id := range ids {
		m := w.store.get(id)
		for i, st := range m.state.Recipients {
			failed := st.Status == message.Failed || st.Status == message.Expired
			if !st.Status.Final() || st.Status == message.Delivered != (w.delivered[fmt.Sprintf("%d/%d", id, i)] == 1) {
				t.Errorf("message %d, recipient %d: %s, delivered %d times", id, i, st.Status, w.delivered[fmt.Sprintf("%d/%d", id, i)])
			}
			who := fmt.Sprintf("%d/%d", id, i)
			want := count(failed && dsn.Wanted(m.envelope, i, dsn.Failure))
			if told[who] != want {
				t.Errorf("message %d, recipient %d: failure told %d times, want %d", id, i, told[who], want)
			}
			on := count(st.Status == message.Delivered && st.NoDSN && dsn.Wanted(m.envelope, i, dsn.Relayed))
			if relayed[who] != on || st.Notified != (want+on == 1) {
				t.Errorf("message %d, recipient %d: relaying told %d times, want %d", id, i, relayed[who], on)
			}
		}
	}
}
