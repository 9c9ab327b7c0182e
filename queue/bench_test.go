package queue

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/config"
	"postern/internal/message"
	"postern/queue/spool"
	"postern/routing"
)

// crowd is a Store full of messages that are made up as they are asked for, so
// that only the queue's own memory shows.
type crowd struct {
	fakeStore
	messages, domains int
	due               time.Time
	arrived           time.Time
}

func (c *crowd) Each(fn func(spool.Entry) error) error {
	for i := range c.messages {
		if err := fn(c.entry(i)); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) Load(id message.ID) (spool.Entry, error) { return c.entry(int(id) - 1), nil }

func (c *crowd) entry(i int) spool.Entry {
	e := &message.Envelope{
		From: message.Address{Local: "bob", Domain: "sender.example"}, Arrived: c.arrived,
		Recipients: []message.Recipient{{Address: message.Address{Local: "kim", Domain: "domain-" + strconv.Itoa(i%c.domains) + ".example"}}},
	}
	st := message.NewState(1)
	st.Recipients[0].Status, st.Recipients[0].Due = message.Deferred, c.due.Add(time.Duration(i)*time.Millisecond)
	return spool.Entry{ID: message.ID(i + 1), Envelope: e, State: st}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemory measures what a million queued messages take, and how long taking
// them up does.
func TestMemory(t *testing.T) {
	for _, size := range []struct{ n, domains int }{{1_000_000, 1000}, {100_000, 10_000}} {
		n, domains := size.n, size.domains
		t.Run(fmt.Sprint(domains), func(t *testing.T) {
			before := heap()
			c := &crowd{messages: n, domains: domains, due: time.Now().Add(time.Hour), arrived: time.Now()}
			q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.example"}, Store: c, Deliverer: &world{}})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := q.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			each := float64(heap()-before) / float64(n)
			began = time.Now()
			q.Snapshot()
			t.Logf("%d messages in %d queues: %.0f octets each, taken up in %v, snapshot in %v", n, domains, each, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			if each > 200 {
				t.Errorf("%.0f octets for each message, want 200 at most", each)
			}
			reload(t, q)
			if err := q.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// reload changes the settings of a queue with all its messages waiting, which
// holds nobody up.
func reload(t *testing.T, q *Queue) {
	began := time.Now()
	q.Reconfigure(Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.example", Queue: config.Queue{MessageExpiration: 40 * time.Hour}})
	took := time.Since(began)
	all := q.Stats().Rerouting
	var worst time.Duration
	for began = time.Now(); time.Since(began) < 300*time.Millisecond; {
		at := time.Now()
		q.Stats()
		worst = max(worst, time.Since(at))
		time.Sleep(100 * time.Microsecond)
	}
	// The least that was seen: what is put back for another pass counts again.
	left := q.Stats().Rerouting
	for limit := time.Now().Add(20 * time.Second); left >= all && time.Now().Before(limit); left = q.Stats().Rerouting {
		time.Sleep(time.Millisecond)
	}
	t.Logf("reload in %v; in the %v after it nobody waited longer than %v, and %d of %d messages were routed anew", took.Round(time.Microsecond),
		time.Since(began).Round(time.Millisecond), worst.Round(time.Microsecond), all-left, all)
	if took > time.Second || worst > time.Second {
		t.Errorf("the reload took %v and kept others waiting for %v", took, worst)
	}
	if left >= all {
		t.Errorf("%d messages are to be routed anew, and nothing came of it", left)
	}
}

// TestMemorySeveralHops measures messages that stand in three queues each.
func TestMemorySeveralHops(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory")
	}
	const n = 100_000
	q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.example"}, Store: newStore(), Deliverer: &world{}})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	for i := range n { // before Start nothing is delivered
		e := &message.Envelope{From: address("bob@sender.example"), Arrived: time.Now()}
		for k := range 4 {
			e.Recipients = append(e.Recipients, message.Recipient{Address: message.Address{Local: "kim", Domain: "d" + strconv.Itoa((i+k%3)%1000) + ".example"}})
		}
		q.admit(message.ID(i+1), e)
	}
	each := float64(heap()-before) / n
	t.Logf("a message with four recipients in three queues: %.0f octets", each)
	if each > 400 {
		t.Errorf("%.0f octets for each message", each)
	}
	runtime.KeepAlive(q)
}

type instant struct {
	done  sync.WaitGroup
	pause time.Duration
}

func (d *instant) Deliver(_ context.Context, _ routing.NextHop, del *message.Delivery) message.Report {
	time.Sleep(d.pause)
	d.done.Done()
	return accept(del)
}

// BenchmarkSubmit is the way of a message through the queue: routed, queued,
// delivered, recorded. Store and next hop cost next to nothing.
func BenchmarkSubmit(b *testing.B) {
	for _, domains := range []int{1, 1000} {
		b.Run(fmt.Sprintf("domains=%d", domains), func(b *testing.B) {
			store := newStore()
			deliverer := &instant{}
			q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.example"}, Store: store, Deliverer: deliverer})
			if err != nil {
				b.Fatal(err)
			}
			q.newDraft = store.create
			if err := q.Start(context.Background()); err != nil {
				b.Fatal(err)
			}
			names := make([]string, domains)
			for i := range names {
				names[i] = fmt.Sprintf("d%d.example", i)
			}
			b.ReportAllocs()
			deliverer.done.Add(b.N)
			began := cpu()
			b.ResetTimer()
			for i := range b.N {
				e := &message.Envelope{From: message.Address{Local: "bob", Domain: "sender.example"}, Arrived: time.Now(),
					Recipients: []message.Recipient{{Address: message.Address{Local: "kim", Domain: names[i%domains]}}}}
				d, _ := store.create()
				if err := q.submit(context.Background(), d, e); err != nil {
					b.Fatal(err)
				}
			}
			deliverer.done.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "cpu-µs/op")
			if err := q.Stop(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkDestinations is a hundred thousand next hops with one message each,
// all at once, each of which takes a while to answer.
func BenchmarkDestinations(b *testing.B) {
	const domains = 100_000
	for b.Loop() {
		store := newStore()
		deliverer := &instant{pause: 10 * time.Millisecond}
		q, err := New(Options{Settings: Settings{Router: routerFunc(byDomain), ReportingMTA: "edge.example"}, Store: store, Deliverer: deliverer})
		if err != nil {
			b.Fatal(err)
		}
		q.newDraft = store.create
		if err := q.Start(context.Background()); err != nil {
			b.Fatal(err)
		}
		deliverer.done.Add(domains)
		most, began := 0, cpu()
		for i := range domains {
			d, _ := store.create()
			if err := q.submit(context.Background(), d, envelope(fmt.Sprintf("kim@d%d.example", i))); err != nil {
				b.Fatal(err)
			}
			if i%100 == 0 {
				most = max(most, runtime.NumGoroutine())
			}
		}
		deliverer.done.Wait()
		b.ReportMetric(float64((cpu()-began).Microseconds())/domains, "cpu-µs/message")
		b.ReportMetric(float64(most), "goroutines")
		b.ReportMetric(float64(q.Stats().Queues), "queues")
		if most > defaultOutbound+100 {
			b.Errorf("%d goroutines", most)
		}
		if err := q.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// cpu is the processor time of the process so far, in clock ticks of 10 ms.
func cpu() time.Duration {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat))
	user, _ := strconv.Atoi(fields[13])
	system, _ := strconv.Atoi(fields[14])
	return time.Duration(user+system) * 10 * time.Millisecond
}
